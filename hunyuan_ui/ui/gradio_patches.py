"""Gradio's Blocks, with a page that does not carry what only other programs use, and a memory that has an end."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

import gradio as gr
from gradio import http_server

MOST_SESSIONS: Final = 100  # whose last values Gradio keeps, though nothing here reads them: 10,000 by itself
MOST_UNREAD: Final = 400  # sessions with answers that nobody has come for: without end by itself
MOST_WAITING: Final = 500  # calls that wait for one of Gradio's threads: without end by itself
_UNKNOWN: Final = "this version of Gradio names the scripts of its components in another way"
_API: Final = "api"  # the type of what `gr.api` declares for each parameter and result

_FRONTEND: Final = Path(gr.__file__).parent / "templates" / "frontend"
_ASSETS: Final = _FRONTEND / "assets"
_LIST: Final = re.compile(r"__vite__mapDeps=.{,60}?(\[\"[^\]]*\])")
_NEEDED: Final = r".{,120}?__vite__mapDeps\(\[([\d,]+)\]\)"
_MAIN: Final = re.compile(r'(?:src|href)="\./assets/([^"]+)"')  # what the page itself names


class LightBlocks(gr.Blocks):
    """Blocks that leaves the parameters of `gr.api` out of what a browser draws.

    Gradio puts one component for each into the page's layout, where it is built like any other and looked up in
    every event. Callers find them by their ids in the list of components, which stays whole.
    """

    @property
    def drawn(self) -> list[str]:
        """Return the kinds of components that a page draws as it opens, by their names in its description."""
        components = cast("dict[str, Any]", self.get_config_file())["components"]
        return sorted({one["type"] for one in components if one["props"].get("visible", True)} - {_API})

    def get_config_file(self) -> Any:
        """Return the page's description."""
        config = cast("dict[str, Any]", super().get_config_file())
        unseen = {one["id"] for one in config["components"] if one["type"] == _API}
        for page in (config, *config["page"].values()):
            drawn = [one for one in page["layout"]["children"] if one["id"] not in unseen]
            page["layout"] = {**page["layout"], "children": drawn}
        for page in config["page"].values():
            page["components"] = [one for one in page["components"] if one not in unseen]
        return config

    def queue(self, *arguments: Any, **options: Any) -> Any:
        """Set up the queue as Gradio's own, shut to POST /gradio_api/run/<name>, which would pass by it and its limits.

        It forgets answers that nobody comes for. Gradio builds a whole server for each queue, so that the one which it
        sets up by itself is this one (docs/facts/gradio6.md 0, row 7).
        """
        shut = {"api_open": False, "default_concurrency_limit": None, "max_size": MOST_WAITING}
        super().queue(*arguments, **(shut | options))
        queue = cast("Any", self)._queue
        queue.pending_event_ids_session = _Sessions(queue)
        queue.ANALYTICS_MAX_EVENTS = 1  # a table is built of them after each event, for statistics that are shut
        return self


class _Sessions(dict[str, "set[str]"]):
    """The events that each session has not heard the end of, without the oldest that have ended unheard.

    Args:
        queue: Gradio's, whose messages for a session go with it.
    """

    def __init__(self, queue: Any) -> None:
        super().__init__()
        self._queue = queue

    def __setitem__(self, session: str, events: set[str]) -> None:
        super().__setitem__(session, events)
        if len(self) > MOST_UNREAD:
            self._forget(kept=session)

    def _forget(self, kept: str) -> None:
        under_way = {event.session_hash for event in self._queue.event_ids_to_events.values()}
        for session in [one for one in self if one != kept and one not in under_way][: MOST_UNREAD // 2]:
            del self[session]
            self._queue.pending_messages_per_session.pop(session, None)


class _Sockets:
    """In place of the module `socket` where Gradio tries whether a port is free, which it does for IPv4 alone."""

    SOL_SOCKET = socket.SOL_SOCKET
    SO_REUSEADDR = socket.SO_REUSEADDR

    @staticmethod
    def socket() -> socket.socket:
        made = socket.socket(socket.AF_INET6)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as the server will listen
        return made


def player_files() -> list[str]:
    """Return the addresses, below the page's, of the scripts and styles that Gradio fetches for its video component.

    Gradio asks for them once: where one does not arrive, it never draws a video in that page.
    """
    return _files_of("video")


def drawing_files(components: Iterable[str]) -> list[str]:
    """Return the addresses, below the page's, of all scripts and styles that Gradio fetches until it has drawn a page.

    Gradio's scripts ask for them in four steps, each only when the one before is there (docs/facts/gradio6.md 6).

    Args:
        components: Their names in the page's description.
    """
    named = _MAIN.findall((_FRONTEND / "index.html").read_text(encoding="utf-8"))
    first = _named_in(next(name for name in named if name.endswith(".js")))
    found = [*first, *_needed_in(Path(first[0]).name, r"import\(`\./Blocks-")]
    for component in components:
        found += _files_of(component)
    return [name for name in dict.fromkeys(found) if Path(name).name not in named]


def _files_of(component: str) -> list[str]:
    core = next(path.name for path in _ASSETS.glob("core-*.js") if "video:{" in path.read_text(encoding="utf-8"))
    return _needed_in(core, rf"[,{{]{component}:\{{.*?component:")


def _named_in(script: str) -> list[str]:
    """Return the files that one of Gradio's scripts names, in its own order."""
    named = _LIST.search((_ASSETS / script).read_text(encoding="utf-8"))
    if named is None:
        raise RuntimeError(_UNKNOWN)
    return [f"assets/{Path(name).name}" for name in json.loads(named[1])]


def _needed_in(script: str, before: str) -> list[str]:
    """Return the files that a script of Gradio fetches together, of those it names.

    Args:
        script: Its file.
        before: Pattern of what stands before the list.
    """
    needed = re.search(before + _NEEDED, (_ASSETS / script).read_text(encoding="utf-8"))
    if needed is None:
        raise RuntimeError(_UNKNOWN)
    names = _named_in(script)
    return [names[int(index)] for index in needed[1].split(",")]


def listen_on(name: str) -> None:
    """Let Gradio try its ports where the page will listen.

    Args:
        name: Of the address, without brackets.
    """
    http_server.LOCALHOST_NAME = name
    if ":" in name:
        cast("Any", http_server).socket = _Sockets
