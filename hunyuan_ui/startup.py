"""Startup: reads options and settings, exits with status 2 and a sentence if one is invalid; handles end signals."""

from __future__ import annotations

import argparse
import errno
import signal
import socket
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, NoReturn, TypeAlias

from hunyuan_ui import __version__
from hunyuan_ui.cli_output import Parser, end_signals, prepare_console, show
from hunyuan_ui.errors import SettingsError
from hunyuan_ui.setting_values import without_keys
from hunyuan_ui.settings import SETTINGS, Setting, Settings
from hunyuan_ui.words import select_texts, words

_WORDS: Final = words("en")  # console output is English
_TEXT_WIDTH: Final = 100

_Place: TypeAlias = tuple[int, int, tuple[str, ...]]  # device and inode of an existing folder, and names below it


def read_settings(arguments: Sequence[str], home: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings from the environment and the command line, after checking that their address is free.

    Args:
        arguments: Without the program's name.
        home: Folder of app.py.
        environ: Replaces the process's environment.

    Raises:
        SystemExit: With status 2 and a sentence that names the fault; nothing was started.
    """
    prepare_console()
    options = build_parser().parse_args(arguments)
    try:
        _check_working_folder()
        settings = Settings.from_environ(environ, share=options.share, home=home)
        check_address(settings)
    except SettingsError as error:
        stop(error)
    select_texts(has_engine=settings.engine_url is not None, is_public=settings.is_public)
    return settings


class Served(NamedTuple):
    """A folder or file that is served to everybody, and the variable that names it."""

    name: str
    path: Path
    may_lie_inside: bool = False  # in the data folder; none of the data folder's files is in it


def check_served(settings: Settings, served: Iterable[Served]) -> None:
    """Refuse to start if the data folder or the settings file overlaps with publicly served files.

    The data folder may not be inside, equal to, or around a served one; the settings file may not be inside one.

    Names and links do not matter: folders are identified by device and inode.

    Args:
        settings: Of this run.
        served: Everything that the page's server returns by path.

    Raises:
        SystemExit: With status 2 and a sentence that names the variable; nothing was started.
    """
    data = _places(settings.data_dir)
    env_file = _places(settings.env_file) if settings.env_file else []
    for name, path, may_lie_inside in served:
        try:
            there = _places(path.resolve())
        except (OSError, RuntimeError):
            stop(SettingsError(name, "circle"))
        if there[0] in data or (data[0] in there and not may_lie_inside):
            stop(SettingsError(name, "served", served=path, data=settings.data_dir))
        if there[0] in env_file:
            stop(SettingsError(name, "served_env_file", served=path, file=settings.env_file))


def check_writable(served: Served) -> None:
    """Refuse to start if a served folder cannot be written, such as one that another user has created.

    Args:
        served: A folder, created if missing.

    Raises:
        SystemExit: With status 2 and a sentence that names the variable; nothing was started.
    """
    try:
        served.path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=served.path):
            return
    except OSError:
        stop(SettingsError(served.name, "not_writable", folder=served.path))


def check_temporary_folder(environ: Mapping[str, str]) -> None:
    """Refuse to start if there is no temporary folder, for which Gradio asks when it is imported.

    Args:
        environ: The environment; it may name another folder for Gradio.

    Raises:
        SystemExit: With status 2 and a sentence that names the variable; nothing was started.
    """
    if environ.get("GRADIO_TEMP_DIR"):
        return
    try:
        tempfile.gettempdir()
    except OSError:
        stop(SettingsError("TMPDIR", "temporary_folder"))


def stop(error: SettingsError) -> NoReturn:
    """Exit with status 2 and the sentence of the error."""
    show(f"{_WORDS.sentence(error)}\n", sys.stderr)
    raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser, whose help lists every option and every setting."""
    parser = Parser(
        prog="app.py",
        usage=f"app.py [-h] [--share]\n       python -m hunyuan_ui --help    {_WORDS['start.help.without_page']}",
        description=_WORDS["start.help"],
        epilog="\n".join([_WORDS["start.help.settings"], *map(_described, SETTINGS)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--share", action="store_true", help=_WORDS["start.help.share"])
    return parser


def _check_working_folder() -> None:
    try:
        Path.cwd()  # Gradio asks for it when it is imported
    except OSError:
        raise SettingsError("PWD", "working_folder") from None


def check_address(settings: Settings) -> None:
    """Check whether the page could listen on its address, without listening yet.

    Args:
        settings: Without a port a free one is chosen later, so only the address is checked.

    Raises:
        SettingsError: The address is not one of this machine, or the port is taken or not permitted.
    """
    name, port = settings.server_name, settings.server_port
    try:
        name.encode("ascii")  # other digits and letters are understood here, and not by Gradio
        family, kind, protocol, _, place = socket.getaddrinfo(
            name, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise SettingsError("GRADIO_SERVER_NAME", "address_unknown", address=without_keys(name)) from None
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # like the server's socket
        try:
            trial.bind(place)
        except OSError as error:
            raise _unusable(name, port, error) from None


class EndSignal:
    """Waits for a signal to end, so that the program shuts down in order; repeated signals count as one."""

    def __init__(self) -> None:
        # Unlike an event's lock, this may be entered again by a signal that interrupts the handling of another.
        self._received: SimpleQueue[int] = SimpleQueue()
        for number in end_signals():
            signal.signal(number, lambda number, _: self._received.put(number))

    def has_come(self) -> bool:
        """Whether a signal was received."""
        return not self._received.empty()

    def wait(self) -> None:
        """Block until the first signal."""
        while True:
            with suppress(Empty):
                self._received.get(timeout=1.0)  # without a timeout Windows would not handle Ctrl+C
                return


def say(*lines: str) -> None:
    """Print lines for the owner to stdout; stderr is for the log."""
    show("\n".join([*lines, ""]), sys.stdout)


def _described(setting: Setting) -> str:
    text = _WORDS("start.help.setting", help=setting.help, default=setting.default_text)
    return f"  {setting.name}\n{textwrap.indent(textwrap.fill(text, _TEXT_WIDTH), ' ' * 6)}"


def _places(path: Path) -> list[_Place]:
    """Return the identity of a path without links, and of each folder above it; itself first."""
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
    """Whether names in an existing folder are case-insensitive, tested with a name in its path."""
    named = next((place for place in (folder, *folder.parents) if place.name.swapcase() != place.name), None)
    try:
        return named is not None and named.with_name(named.name.swapcase()).samefile(named)
    except OSError:
        return False


def _unusable(name: str, port: int | None, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError("GRADIO_SERVER_PORT", "port_taken", port=port)
    if error.errno == errno.EACCES:
        return SettingsError("GRADIO_SERVER_PORT", "port_forbidden", port=port)
    return SettingsError("GRADIO_SERVER_NAME", "address_elsewhere", address=name)


def describe(settings: Settings, *, spent_today_usd: float = 0.0, spent_total_usd: float = 0.0) -> list[str]:
    """Return the startup summary for the owner: who has access, whose key is used, and its maximum cost.

    Args:
        settings: Of this run.
        spent_today_usd: Amount that already counts against today's limit, in US dollars.
        spent_total_usd: Amount that already counts against the total limit, in US dollars.
    """
    say, address = _WORDS, settings.server_name
    lines = [
        say("start.version", version=__version__),
        say(f"start.reach.{settings.public_by or 'private'}", address=address),
        *(_engine(settings) if settings.engine_url else [_whose_key(settings)]),
        say("start.most", most=_most(settings, spent_today_usd, spent_total_usd)),
        *([say("start.proxy", proxy=settings.proxy)] if settings.proxy and settings.api_key else []),
        *([say("start.env_file", file=settings.env_file)] if settings.env_file else []),
        say("start.data", folder=settings.data_dir),
        *([say("start.bucket", url=settings.videos_url)] if settings.videos_url else []),
    ]
    return [*lines, *_storage(settings)]


def addresses(local_url: str, share_url: str | None, *, mcp_error: str | None = None) -> list[str]:
    """Return the addresses of the running page, and how to stop it.

    Args:
        local_url: On this machine.
        share_url: Of the public link, if there is one.
        mcp_error: Why agents cannot use it although GRADIO_MCP_SERVER is true; Gradio itself prints where they can.
    """
    say = _WORDS
    # A server on all addresses is reached from here by a loopback address.
    lines = [say("start.open", url=local_url.replace("//[::]:", "//[::1]:"))]
    if share_url:
        lines.append(say("start.share", url=share_url))
    if mcp_error:
        lines.append(say("start.no_mcp", error=mcp_error))
    return [*lines, say["start.end"]]


def _storage(settings: Settings) -> list[str]:
    keys = [] if settings.database_url is None else ["start.database"]
    if settings.storage == "wiped":
        wiped = "wiped_space" if settings.is_space else "wiped"
        lost = {(True, True): wiped, (True, False): "ledger_wiped", (False, True): "videos_wiped"}
        keys.append(f"start.storage.{lost.get((settings.forgets_spending, settings.forgets_videos), 'elsewhere')}")
    elif settings.database_url is None and (settings.is_space or settings.storage != "kept"):
        keys.append(f"start.storage.{settings.storage}")
    if settings.needs_history:
        keys.append("start.history")
    if settings.may_spend_owner_key and settings.forgets_spending and settings.total_limit_usd is not None:
        keys.append("start.total_limit.history" if settings.needs_history else "start.total_limit")
    return [_WORDS[key] for key in keys]


def _engine(settings: Settings) -> list[str]:
    """Return the engine's address, that only its host may be in the local network, and who may use it."""
    rate, limit = settings.engine_usd_per_hour, settings.daily_limit_usd
    lines = [
        _WORDS("start.engine", url=settings.engine_url),
        _WORDS("start.engine.price", rate=rate) if rate else _WORDS["start.engine.free"],
    ]
    if settings.is_public:
        is_open = limit is not None
        lines.append(_WORDS(f"start.engine.{'public' if is_open else 'rests'}", videos=settings.visitor_daily_videos))
    return lines


def _whose_key(settings: Settings) -> str:
    if settings.api_key is None:
        return _WORDS["start.key.none"]
    if not settings.may_spend_owner_key:
        return _WORDS["start.key.rests"]
    limit = settings.video_limit_usd
    if not settings.is_public:
        return _WORDS("start.key.private", limit=limit)
    gates = ["code" if settings.access_code else "", "login" if settings.requires_login else ""]
    gate = _WORDS[f"start.visitors.{'_and_'.join(filter(None, gates)) or 'all'}"]
    return _WORDS("start.key.public", visitors=gate, videos=settings.visitor_daily_videos, limit=limit)


def _most(settings: Settings, today_usd: float, total_usd: float) -> str:
    say = _WORDS
    if not settings.may_spend_owner_key:
        return say["start.most.nothing"]
    if settings.daily_limit_usd is None and settings.total_limit_usd is None:
        return say["start.most.no_limit"]
    left = None if settings.total_limit_usd is None else max(0.0, settings.total_limit_usd - total_usd)
    in_all = say["start.in_all" if not settings.forgets_spending else "start.until_restart"]
    if settings.daily_limit_usd is None:
        return say("start.most.total", left=left or 0.0, in_all=in_all)
    first = max(0.0, settings.daily_limit_usd - today_usd)
    today = say["start.today" if not settings.needs_history else "start.today_history"]
    if left is None:
        return say("start.most.day", first=first, today=today, limit=settings.daily_limit_usd)
    return say("start.most.both", first=min(first, left), today=today, left=left, in_all=in_all)
