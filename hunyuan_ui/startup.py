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

from hunyuan_ui import __version__
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


_WHY: Final = {
    "space": "public: it runs on a Hugging Face Space, so anybody with its address can use it.",
    "share": "public: a share link was asked for, so anybody with the link can use it.",
    "address": "public: it listens on {address}, so other machines can reach it.",
    None: "private: it answers on this machine only, and whoever uses it is its owner.",
}
_STORAGE: Final = {
    "kept": "on a mounted disk, so it stays when the Space restarts.",
    "lax": "on a mounted store that may write late: videos stay, but the last moments of the ledger may be lost.",
    "wiped": "on {disk}: videos, and the record of what was spent.",
}
_DISK: Final = {
    True: "the Space's own disk, which is wiped when it restarts",
    False: "a container's own disk or in memory, which is wiped when it is started anew",
}


def describe(settings: Settings, *, spent_today_usd: float = 0.0, spent_total_usd: float = 0.0) -> list[str]:
    """Return what the owner should read at the start: who can come, whose key is used, and what that may cost at most.

    Args:
        settings: Of this run.
        spent_today_usd: What counts against today's limit already, in US dollars.
        spent_total_usd: What counts against the total limit already, in US dollars.
    """
    lines = [
        f"Hunyuan UI {__version__}",
        f"This page is {_WHY[settings.public_by].format(address=settings.server_name)}",
    ]
    if settings.api_key is None:
        lines.append(
            "No SEGMIND_API_KEY is set: videos are a free local preview, or are made with a visitor's own key."
        )
    elif not settings.may_spend_owner_key:
        lines.append(
            "Your key is NOT used, because no HUNYUAN_UI_DAILY_LIMIT_USD is set: "
            "visitors use the local preview or their own key."
        )
    else:
        lines.append(_who_may_use_it(settings))
    lines.append(f"Most that this start may spend of your money: {_most(settings, spent_today_usd, spent_total_usd)}.")
    lines.append(f"Data folder: {settings.data_dir}")
    return [*lines, *_storage(settings)]


def addresses(local_url: str, share_url: str | None, *, mcp_error: str | None = None) -> list[str]:
    """Return where the page can be opened now, and how it ends.

    Args:
        local_url: On this machine.
        share_url: Of the public link, if there is one.
        mcp_error: Why agents cannot use it although GRADIO_MCP_SERVER is true; Gradio itself tells where they can.
    """
    lines = [f"Open {local_url}", *([f"Public link: {share_url}"] if share_url else [])]
    if mcp_error:
        lines.append(f'No MCP for agents: {mcp_error} It needs: pip install "gradio[mcp]"')
    return [*lines, "Ctrl+C ends it; videos under way go on at the service and are taken up at the next start."]


def _storage(settings: Settings) -> list[str]:
    lines: list[str] = []
    if settings.is_space or settings.storage != "kept":
        lines.append(f"It is {_STORAGE[settings.storage].format(disk=_DISK[settings.is_space])}")
    if settings.needs_history:
        lines.append(
            "So at each start your key rests until the service's history of the last seven days was read: "
            "what it names counts, and its videos come back to you."
        )
    if settings.may_spend_owner_key and settings.storage == "wiped" and settings.total_limit_usd is not None:
        left = "all but those seven days" if settings.needs_history else "everything"
        lines.append(f"HUNYUAN_UI_TOTAL_LIMIT_USD needs a disk that stays: here a restart forgets {left}.")
    return lines


def _who_may_use_it(settings: Settings) -> str:
    if not settings.is_public:
        asks = f"a video above {_usd(settings.video_limit_usd)} asks first"
        return f"Your key is used; {asks}, and HUNYUAN_UI_DAILY_LIMIT_USD sets what it may spend in a day."
    gates = [
        "who know the access code" if settings.access_code else "",
        "who have logged in with Hugging Face" if settings.requires_login else "",
    ]
    gate = " and ".join(filter(None, gates)) or "of every kind: there is no access code"
    return (
        f"Your key is used for visitors {gate}; each may make {settings.visitor_daily_videos} videos a day, "
        f"and none may cost more than {_usd(settings.video_limit_usd)}."
    )


def _most(settings: Settings, today_usd: float, total_usd: float) -> str:
    if not settings.may_spend_owner_key:
        return "nothing"
    if settings.daily_limit_usd is None and settings.total_limit_usd is None:
        return "no limit is set (HUNYUAN_UI_DAILY_LIMIT_USD, HUNYUAN_UI_TOTAL_LIMIT_USD)"
    left = None if settings.total_limit_usd is None else max(0.0, settings.total_limit_usd - total_usd)
    in_all = "in all" if settings.storage != "wiped" else "until it is started again"
    if settings.daily_limit_usd is None:
        return f"{_usd(left or 0.0)} {in_all}"
    first = max(0.0, settings.daily_limit_usd - today_usd)
    today = "today" if not settings.needs_history else "today, less what the history names"
    if left is None:
        return f"{_usd(first)} {today}, then {_usd(settings.daily_limit_usd)} a day (UTC)"
    return f"{_usd(min(first, left))} {today}, {_usd(left)} {in_all}"


def _usd(amount: float) -> str:
    return f"${amount:,.2f}"
