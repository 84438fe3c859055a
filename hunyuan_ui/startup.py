"""Start-up: options and settings in, a clear sentence and status 2 when one is wrong, and the signal to end."""

from __future__ import annotations

import argparse
import errno
import signal
import socket
import sys
import textwrap
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, TypeAlias

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.settings import SETTINGS, Setting, Settings, tidy_gradio_variables

_TEXT_WIDTH: Final = 100

_Place: TypeAlias = tuple[int, int, tuple[str, ...]]  # device and inode of a folder that is there, and names below it


def read_settings(arguments: Sequence[str], home: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the environment and the command line, whose address is free to listen on.

    Args:
        arguments: Without the program's name.
        home: Folder of app.py.
        environ: In place of the process's environment.

    Raises:
        SystemExit: With status 2 and a sentence that names what is wrong; nothing was started.
    """
    options = build_parser().parse_args(arguments)
    try:
        if environ is None:
            tidy_gradio_variables()
        settings = Settings.from_environ(environ, share=options.share, home=home)
        check_address(settings)
    except SettingsError as error:
        stop(error)
    return settings


class Served(NamedTuple):
    """A folder or file that is served to everybody, and the variable that names it."""

    name: str
    path: Path
    may_lie_inside: bool = False  # in the data folder; nothing of that is in it


def check_served(settings: Settings, served: Iterable[Served]) -> None:
    """Refuse to start where the data folder lies in what is served to everybody, is the same, or holds it.

    Whatever names and links lead there: folders are told apart by what the system knows them by.

    Args:
        settings: Of this run.
        served: All that the page's server gives to whoever knows a path.

    Raises:
        SystemExit: With status 2 and a sentence that names the variable; nothing was started.
    """
    data = _places(settings.data_dir)
    for name, path, may_lie_inside in served:
        try:
            there = _places(path.resolve())
        except (OSError, RuntimeError):
            stop(SettingsError(name, "must be a path that leads somewhere; its links go round in a circle"))
        if there[0] in data or (data[0] in there and not may_lie_inside):
            problem = (
                f"what lies in {path} is served to everybody, and the data folder {settings.data_dir} must not meet it;"
                f" choose another folder, for this one or in HUNYUAN_UI_DATA_DIR"
            )
            stop(SettingsError(name, problem))


def stop(error: SettingsError) -> NoReturn:
    """End the program with status 2 and the sentence of what is wrong."""
    sys.stderr.write(f"{error}\n")
    raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser, whose help lists every option and every setting."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="A page that makes videos from text with hosted HunyuanVideo. Without a key it is a free preview.",
        epilog="\n".join(["settings (environment variables):", *map(_described, SETTINGS)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--share", action="store_true", help="also open a public link; your key is used only under a daily limit"
    )
    return parser


def check_address(settings: Settings) -> None:
    """Find out whether the page could listen where it should, without listening yet.

    Args:
        settings: Without a port, one that is free is looked for later, so only the address is tried.

    Raises:
        SettingsError: The address is not one of this machine, or the port is taken or not allowed.
    """
    name, port = settings.server_name, settings.server_port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            name.strip("[]"), port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise SettingsError("GRADIO_SERVER_NAME", f"{name!r} is not an address or a known name") from None
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(place)
        except OSError as error:
            raise _unusable(name, port, error) from None


def end_signal() -> threading.Event:
    """Return what is set by Ctrl+C or SIGTERM, so that the program ends in order instead of being torn down."""
    should_end = threading.Event()

    def end(*_: object) -> None:
        should_end.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return should_end


def say(*lines: str) -> None:
    """Show the owner what they should read; the log has stderr to itself."""
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _described(setting: Setting) -> str:
    words = f"{setting.help} Default: {setting.default_text}."
    return f"  {setting.name}\n{textwrap.indent(textwrap.fill(words, _TEXT_WIDTH), ' ' * 6)}"


def _places(path: Path) -> list[_Place]:
    """Return what a path without links is, and each folder above it; itself first."""
    return [_place(folder) for folder in (path, *path.parents)]


def _place(path: Path) -> _Place:
    missing: list[str] = []
    for folder in (path, *path.parents):
        try:
            found = folder.stat()
        except OSError:
            missing.insert(0, folder.name)
            continue
        names = map(str.casefold, missing) if missing and _ignores_case(folder) else missing
        return found.st_dev, found.st_ino, tuple(names)
    return 0, 0, tuple(missing)


def _ignores_case(folder: Path) -> bool:
    """Whether names in a folder that is there may be written in either case, told from a name on the way to it."""
    named = next((place for place in (folder, *folder.parents) if place.name.swapcase() != place.name), None)
    try:
        return named is not None and named.with_name(named.name.swapcase()).samefile(named)
    except OSError:
        return False


def _unusable(name: str, port: int | None, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        cure = "choose another one, or leave the variable out to take the next free one"
        return SettingsError("GRADIO_SERVER_PORT", f"port {port} is taken by another program; {cure}")
    if error.errno == errno.EACCES:
        return SettingsError("GRADIO_SERVER_PORT", f"this user may not listen on port {port}; choose one above 1023")
    return SettingsError("GRADIO_SERVER_NAME", f"{name!r} is not an address of this machine")
