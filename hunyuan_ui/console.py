"""The console: what the command line says and where, its exit codes, and what a signal means to it."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import shutil
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, TextIO

_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\n"}


class Exit(IntEnum):
    """What the command says to the shell: what happened to the video and its money, whatever could be shown of it."""

    DONE = 0
    FAILED = 1  # no video, and nothing was charged for it
    USAGE = 2  # an option or setting is wrong; nothing was sent
    LIMIT = 3  # a spending limit; nothing was sent
    UNKNOWN = 4  # no video here, and it was charged or may have been; sending it again would pay again
    NOT_COPIED = 5  # the video is made and kept in the data folder, but is not where it should be
    GOES_ON = 130  # interrupted; the job goes on and can be resumed


class Interruption:
    """Somebody's wish that this program end, by Ctrl+C, SIGTERM or a closed terminal.

    It is noted instead of raised, so that what is under way is ended in order and the exit code is known.
    """

    def __init__(self) -> None:
        self.is_wished = False
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def note(self, *_: object) -> None:
        """Take a signal."""
        self.is_wished = True
        if self._waiting is not None:
            loop, event = self._waiting
            with suppress(RuntimeError):  # the loop has ended, and with it what could be interrupted
                loop.call_soon_threadsafe(event.set)

    async def wait(self) -> None:
        """Return when it is wished."""
        event = asyncio.Event()
        self._waiting = (asyncio.get_running_loop(), event)
        if not self.is_wished:
            await event.wait()


@contextmanager
def interruptions() -> Generator[Interruption]:
    """Note signals that would end this program as one wish, until the block ends."""
    interruption = Interruption()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    # What was started to outlive its terminal (nohup, a shell's background job) goes on doing so.
    taken = {number: action for number, action in before.items() if action is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, interruption.note)
    try:
        yield interruption
    finally:
        for number, action in taken.items():
            signal.signal(number, action)


def prepare_console() -> None:
    """Let nothing that is shown fail, and no file take the place of a console that was closed."""
    with suppress(OSError):
        while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass  # now nothing that a library writes to a standard stream can end in the ledger
        os.close(opened)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


class StatusLine:
    """How something goes, on stderr: one line that is written over on a terminal, a line for each news elsewhere.

    It is written over by spaces alone: consoles that know no escape sequences show them, and colours nobody needs.
    """

    def __init__(self) -> None:
        self._told = ""
        self._length = 0

    def tell(self, line: str, news: str) -> None:
        """Show how it goes.

        Args:
            line: For a terminal, cut to its width.
            news: For everything else, once.
        """
        if _is_terminal(sys.stderr):
            shown = _shown(line.replace("\n", " "), sys.stderr)[: max(1, _columns() - 1)]
            show(f"\r{shown.ljust(self._length)}", sys.stderr)
            self._length = len(shown)
        elif news != self._told:
            progress(f"{news}\n")
            self._told = news

    def end(self) -> None:
        """Leave nothing of the line on a terminal."""
        if self._length:
            show(f"\r{' ' * self._length}\r", sys.stderr)
            self._length = 0


def say(sentence: str, code: Exit) -> int:
    """Show a sentence on stderr and return the code."""
    progress(f"{sentence}\n")
    return code


def print_line(text: str) -> None:
    """Show a text and the end of its line on stdout."""
    show(f"{_harmless(text)}\n", sys.stdout)


def progress(text: str) -> None:
    """Show a text on stderr."""
    show(_harmless(text), sys.stderr)


def _harmless(text: str) -> str:
    """Return a text whose control characters are seen and do nothing: a service's own words are in it."""
    return text.translate(_CONTROLS)


def _shown(text: str, stream: TextIO) -> str:
    """Return what a stream makes of a text in its encoding."""
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
    """Write a text if it can be written; a full disk, a closed pipe or no console at all changes nothing else."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        # What is left in the buffer would fail again when Python ends, which would make the exit code 120.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


class Parser(argparse.ArgumentParser):
    """A parser of a command line whose help, and whose word on a mistake, is shown where it can be."""

    def _print_message(self, message: str, file: Any = None) -> None:
        show(message, file or sys.stderr)


def copy(kept: Path, target: Path) -> None:
    """Copy a video; a copy that fails leaves nothing where nothing was.

    Raises:
        OSError: It could not be copied.
    """
    was_there = target.exists()
    try:
        shutil.copyfile(kept, target)
    except shutil.SameFileError:
        return
    except OSError:
        if not was_there:
            with suppress(OSError):
                target.unlink(missing_ok=True)  # half a video under its name would be taken for the whole
        raise
