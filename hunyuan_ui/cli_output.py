"""The console: output of the command line, its exit codes, and signal handling."""

from __future__ import annotations

import argparse
import asyncio
import errno
import io
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

from hunyuan_ui.setting_values import without_keys

_ROOM: Final = 8 * 1024 * 1024  # bytes; more than a video has
_FIXED: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)  # a file may be written, its folder not
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\n"}


class Exit(IntEnum):
    """Exit codes of the command: the outcome of the video and its money, whatever could be printed."""

    DONE = 0
    FAILED = 1  # no video, and nothing was charged for it
    USAGE = 2  # an option or setting is wrong; nothing was sent
    LIMIT = 3  # a spending limit; nothing was sent
    UNKNOWN = 4  # no video here, and it was charged or may have been; resending it would pay again
    NOT_COPIED = 5  # the video is finished and kept in the data folder, but was not copied to its target
    GOES_ON = 130  # interrupted; the job continues and can be resumed


class Interruption:
    """A request to stop this program, by Ctrl+C, SIGTERM or a closed terminal.

    It is recorded rather than raised, so that running work is ended in order and the exit code is known.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def note(self, *_: object) -> None:
        """Handle a signal."""
        self.is_requested = True
        if self._waiting is not None:
            loop, event = self._waiting
            with suppress(RuntimeError):  # the loop has ended, and there is nothing to interrupt
                loop.call_soon_threadsafe(event.set)

    async def wait(self) -> None:
        """Wait until it is requested."""
        event = asyncio.Event()
        self._waiting = (asyncio.get_running_loop(), event)
        if not self.is_requested:
            await event.wait()


def end_signals() -> list[signal.Signals]:
    """Return the signals that ask this program to end: Ctrl+C, SIGTERM and a closed terminal."""
    numbers = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]
    # Programs that ignore a signal to outlive their terminal (nohup, a shell's background job) keep ignoring it.
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def interruptions() -> Generator[Interruption]:
    """Record termination signals as one interruption, until the block ends."""
    interruption = Interruption()
    taken = {number: signal.getsignal(number) for number in end_signals()}
    for number in taken:
        signal.signal(number, interruption.note)
    try:
        yield interruption
    finally:
        for number, action in taken.items():
            signal.signal(number, action)


def prepare_console() -> None:
    """Prevent output errors, and replace closed standard streams, so that no file gets their descriptors."""
    with suppress(OSError):
        while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass  # otherwise a library's output to a standard stream could end up in the ledger
        os.close(opened)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # libraries print too
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until the end
        elif isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


class StatusLine:
    """Progress on stderr: on a terminal one line that is overwritten, elsewhere one line per change.

    It is overwritten with spaces only: some consoles print escape sequences, and no colours are needed.
    """

    def __init__(self) -> None:
        self._last_news = ""
        self._length = 0

    def update(self, line: str, news: str) -> None:
        """Show the progress.

        Args:
            line: For a terminal, cut to its width.
            news: For everything else, printed once.
        """
        if _is_terminal(sys.stderr):
            shown = _shown(line.replace("\n", " "), sys.stderr)[: max(1, _columns() - 1)]
            show(f"\r{shown.ljust(self._length)}", sys.stderr)
            self._length = len(shown)
        elif news != self._last_news:
            progress(f"{news}\n")
            self._last_news = news

    def end(self) -> None:
        """Clear the line on a terminal."""
        if self._length:
            show(f"\r{' ' * self._length}\r", sys.stderr)
            self._length = 0


def say(sentence: str, code: Exit) -> int:
    """Print a sentence to stderr and return the code."""
    progress(f"{sentence}\n")
    return code


def end_in_doubt_on_a_crash(advice: str) -> None:
    """Let an unforeseen error end the process with `Exit.UNKNOWN`: Python's own code means that nothing was charged.

    Args:
        advice: Printed after the error.
    """

    def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.__excepthook__(kind, error, trace)
        os._exit(say(advice, Exit.UNKNOWN))

    sys.excepthook = crashed


def print_line(text: str) -> None:
    """Print a line to stdout."""
    show(f"{_harmless(text)}\n", sys.stdout)


def progress(text: str) -> None:
    """Print a text to stderr."""
    show(_harmless(text), sys.stderr)


def _harmless(text: str) -> str:
    """Escape a text's control characters: it contains the service's own text."""
    return text.translate(_CONTROLS)


def _shown(text: str, stream: TextIO) -> str:
    """Return a text as a stream's encoding can represent it."""
    encoding = stream.encoding or "ascii"
    return _harmless(text).encode(encoding, "backslashreplace").decode(encoding)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _columns() -> int:
    try:
        own = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        own = 0
    return own or shutil.get_terminal_size().columns


def show(text: str, stream: TextIO | None) -> None:
    """Write a text if possible; a full disk, a closed pipe or a missing console changes nothing else."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        # Buffered data would fail again at interpreter exit, which would make the exit code 120.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


class Parser(argparse.ArgumentParser):
    """An argument parser whose help and errors are printed through `show`."""

    def _print_message(self, message: str, file: Any = None) -> None:
        show(without_keys(message), file or sys.stderr)  # an error repeats a key that was typed as an argument


def has_room(folder: Path) -> bool:
    """Whether a folder takes a file of a video's size, by trying: permissions do not reveal a quota or a full disk."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_ROOM))
    except OSError:
        return False
    return True


def target_fault(target: Path) -> str | None:
    """Return why a file cannot have this name, as the suffix of a key "setting." in the words; None if it can."""
    try:
        real = target.resolve()  # of a link, where it leads
        was_there = real.exists()
        if real.is_dir():
            return "out_is_folder"
        if target == Path("-") or (was_there and not real.is_file()):
            return "out_no_file"
        with real.open("ab"):  # changes nothing that is there
            pass
        if not was_there:
            real.unlink()
    except (OSError, RuntimeError):  # the latter of links in a circle
        return "out_closed"
    return None


def copy(kept: Path, target: Path) -> None:
    """Copy a video under a temporary name, so that no partial file ever has its name, or replaces what is there.

    Raises:
        OSError: The copy failed.
    """
    real = Path(os.path.realpath(target))  # of a link, where it leads
    with suppress(OSError):
        if real.samefile(kept):
            return
    part = real.with_name(f".{secrets.token_hex(8)}.part")  # the target's own name may be as long as a name can be
    try:
        shutil.copyfile(kept, part)
        with suppress(OSError):
            shutil.copymode(real, part)
        part.replace(real)
    except OSError as error:
        if error.errno not in _FIXED or not real.is_file():
            raise
        shutil.copyfile(kept, real)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
