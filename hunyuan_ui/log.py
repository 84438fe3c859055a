"""Structured log: one JSON line per event on stderr, without keys or prompts, also for messages of other code.

Other code's messages and prints may contain a caller's data, so only their place, kind and size are kept.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO, cast

from hunyuan_ui.cli_output import show
from hunyuan_ui.setting_values import without_keys
from hunyuan_ui.settings import Secret

_LOGGER: Final = logging.getLogger("hunyuan_ui")
_MOST_TEXT: Final = 1_000  # characters per value
_OTHERS_EVERY_S: Final = 1.0
_MOST_LINE: Final = 8_000  # characters of a line with all its values


class _Others(logging.Handler):
    """Logs an event in place of a message from other code; its text is ignored.

    A place in the code is logged once a second: some repeat a message as often as strangers connect.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._logged_at: dict[str, float] = {}  # time.monotonic(), by place

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _LOGGER.name:
            return  # an event of this program, which its own handler writes; logging it here would recurse
        name = "server.error" if record.name.startswith("uvicorn") else "other.message"
        facts = {"logger": record.name, "at": f"{Path(record.pathname).name}:{record.lineno}"}
        now, place = time.monotonic(), " ".join(facts.values())
        if now - self._logged_at.get(place, -math.inf) < _OTHERS_EVERY_S:
            return
        self._logged_at[place] = now
        error = record.exc_info if record.exc_info and record.exc_info[0] is not None else None
        _LOGGER.log(max(record.levelno, logging.WARNING), name, extra={"facts": facts}, exc_info=error)


class _Prints:
    """Replaces a standard stream: prints from the server's threads become events without their text.

    Args:
        stream: The real stream, for the thread that starts and ends the program and handles no requests.
    """

    def __init__(self, stream: TextIO) -> None:
        self.real = stream
        self._known = threading.local()

    def write(self, text: str) -> int:
        if threading.current_thread() is threading.main_thread():
            show(text, self.real)
            return len(text)
        error = sys.exc_info()[1]
        # A traceback is printed in many pieces; it is logged as one event.
        seen = (id(error), id(error.__traceback__)) if error is not None else None
        if text.strip() and (seen is None or seen != getattr(self._known, "seen", None)):
            trouble("other.print", characters=len(text))
        self._known.seen = seen
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _JsonLines(logging.Formatter):
    def __init__(self, secrets: list[Secret]) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line: dict[str, Any] = {"time": stamp, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["where"] = _frames(record.exc_info[2])
        facts = {name: value for name, value in getattr(record, "facts", {}).items() if name not in line}
        # ensure_ascii keeps bidi marks and line breaks in foreign text from forging lines.
        written = json.dumps(self._safe({**line, **facts}), ensure_ascii=True, allow_nan=False)
        if len(written) <= _MOST_LINE:
            return written
        return json.dumps(self._safe({**line, "characters": len(written)}), ensure_ascii=True, allow_nan=False)

    def _safe(self, value: object) -> object:
        # Redacted before JSON encoding, which would escape a quote in a secret.
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, BaseException):
            return type(value).__name__
        if isinstance(value, Mapping):
            pairs = cast("Mapping[object, object]", value).items()
            return {redact(str(name), self._secrets): self._safe(inner) for name, inner in pairs}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._safe(inner) for inner in cast("Iterable[object]", value)]
        # str() of a str Enum would include the class name.
        text = redact(value if isinstance(value, str) else str(value), self._secrets)
        return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def configure(*secrets: Secret | None, stream: TextIO | None = None, level: str = "INFO") -> None:
    """Send this program's events to a stream as JSON lines.

    Args:
        secrets: Texts that must never be logged.
        stream: The target; stderr if None.
        level: The minimum level: INFO, or WARNING for trouble only.
    """
    # A line that cannot be written, on a full disk or to a closed pipe, is dropped: the report of it on stderr would be
    # logged in turn, and fail inside the job that logs an event.
    logging.raiseExceptions = False
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(_JsonLines([secret for secret in secrets if secret is not None]))
    _LOGGER.handlers[:] = [output]
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False
    take_over()


def take_over() -> None:
    """Remove all other log handlers; repeat after a library has set up its own."""
    root = logging.getLogger()
    for known in [found for found in root.handlers if isinstance(found, _Others)]:
        root.removeHandler(known)
    root.addHandler(_Others(logging.WARNING))
    for logger in [found for found in root.manager.loggerDict.values() if isinstance(found, logging.Logger)]:
        if logger is not _LOGGER:
            logger.handlers.clear()
            logger.propagate = True


def guard_prints() -> None:
    """Suppress prints from the server's threads; the log already has the real stream."""
    sys.stdout = cast("TextIO", _Prints(sys.stdout))
    sys.stderr = cast("TextIO", _Prints(sys.stderr))


def free_prints() -> None:
    """Let every thread print again, for the final output of a program that ends."""
    sys.stdout, sys.stderr = (
        stream.real if isinstance(stream, _Prints) else stream for stream in (sys.stdout, sys.stderr)
    )


def event(name: str, /, **facts: Any) -> None:
    """Log one event."""
    _LOGGER.info(name, extra={"facts": facts})


def trouble(name: str, /, **facts: Any) -> None:
    """Log an event that the owner should look at; inside an `except` its type and place are added."""
    _LOGGER.warning(name, extra={"facts": facts}, exc_info=sys.exc_info()[0] is not None)


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Replace keys in a text: texts in the format of a key, and the given secrets."""
    for secret in secrets:
        if letters := secret.reveal():
            text = text.replace(letters, "***")
    return without_keys(text)


def _frames(traceback: TracebackType | None) -> str:
    # File and line only: an exception's text may contain a prompt or a key.
    places: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return " < ".join(reversed(places[-6:]))
