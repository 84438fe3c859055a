"""Structured log: one JSON line an event on stderr, never with a key or a prompt in it."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO, cast

from hunyuan_ui.settings import Secret

_LOGGER: Final = logging.getLogger("hunyuan_ui")
_SERVER: Final = logging.getLogger("uvicorn.error")
_KEY_SHAPE: Final = re.compile(r"SG_[0-9A-Za-z]{8,}")


class _NoTracebacks(logging.Filter):
    """Turns what the web server would print as a page of traceback, with its exception's text, into one event."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.exc_info or record.exc_info[0] is None:
            return True
        _LOGGER.warning("server.error", extra={"facts": {}}, exc_info=record.exc_info)
        return False


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
        return json.dumps(self._safe({**line, **facts}), ensure_ascii=True, allow_nan=False)

    def _safe(self, value: object) -> object:
        # Redacted before it becomes JSON: a secret with a quote in it is written differently there.
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
        # str() of an Enum that is a str would name the class.
        return redact(value if isinstance(value, str) else str(value), self._secrets)


def configure(*secrets: Secret | None, stream: TextIO | None = None, level: str = "INFO") -> None:
    """Send this program's events to a stream as JSON lines.

    Args:
        secrets: Texts that must never appear.
        stream: Where to; stderr when None.
        level: The least important events that are written: INFO, or WARNING for trouble only.
    """
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(_JsonLines([secret for secret in secrets if secret is not None]))
    _LOGGER.handlers[:] = [output]
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False
    for known in [found for found in _SERVER.filters if isinstance(found, _NoTracebacks)]:
        _SERVER.removeFilter(known)
    _SERVER.addFilter(_NoTracebacks())


def event(name: str, /, **facts: Any) -> None:
    """Log one event."""
    _LOGGER.info(name, extra={"facts": facts})


def trouble(name: str, /, **facts: Any) -> None:
    """Log one event that its owner should look at; inside an `except` its type and place are added."""
    _LOGGER.warning(name, extra={"facts": facts}, exc_info=sys.exc_info()[0] is not None)


def redact(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return the text with keys replaced, by their shape and by their letters."""
    for secret in secrets:
        if letters := secret.reveal():
            text = text.replace(letters, "***")
    return _KEY_SHAPE.sub("***", text)


def _frames(traceback: TracebackType | None) -> str:
    # File and line only: the text of an exception may hold a prompt or a key.
    places: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return " < ".join(reversed(places[-6:]))
