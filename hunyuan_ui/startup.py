"""Start-up: options and settings in, a clear sentence and status 2 when one is wrong, and the signal to end."""

from __future__ import annotations

import argparse
import errno
import signal
import socket
import sys
import textwrap
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.settings import SETTINGS, Setting, Settings, tidy_gradio_variables

_TEXT_WIDTH: Final = 100


def read_settings(arguments: Sequence[str], home: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the environment and the command line, whose address is free to listen on.

    Args:
        arguments: Without the program's name.
        home: Folder of app.py.
        environ: In place of the process's environment.

    Raises:
        SystemExit: With status 2 and a sentence that names what is wrong; nothing was started.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        if environ is None:
            tidy_gradio_variables()
        settings = Settings.from_environ(environ, share=options.share, home=home)
        check_address(settings)
    except SettingsError as error:
        parser.exit(2, f"{error}\n")
    return settings


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


def _unusable(name: str, port: int | None, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        cure = "choose another one, or leave the variable out to take the next free one"
        return SettingsError("GRADIO_SERVER_PORT", f"port {port} is taken by another program; {cure}")
    if error.errno == errno.EACCES:
        return SettingsError("GRADIO_SERVER_PORT", f"this user may not listen on port {port}; choose one above 1023")
    return SettingsError("GRADIO_SERVER_NAME", f"{name!r} is not an address of this machine")
