"""Gradio's Blocks, with a page that does not carry what only other programs use, and a memory that has an end."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any, Final, cast

import gradio as gr
from gradio import http_server

MOST_SESSIONS: Final = 100  # whose last values Gradio keeps, though nothing here reads them: 10,000 by itself
MOST_UNREAD: Final = 400  # sessions with answers that nobody has come for: without end by itself
MOST_WAITING: Final = 500  # calls that wait for one of Gradio's threads: without end by itself
_API: Final = "api"  # the type of what `gr.api` declares for each parameter and result

_ASSETS: Final = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
_FILES: Final = re.compile(r"__vite__mapDeps=.{,60}?(\[\"[^\]]*\])")
_VIDEO: Final = re.compile(r"[,{]video:\{.*?component:.*?__vite__mapDeps\(\[([\d,]+)\]\)")


class LightBlocks(gr.Blocks):
    """Blocks that leaves the parameters of `gr.api` out of what a browser draws.

    Gradio puts one component for each into the page's layout, where it is built like any other and looked up in
    every event. Callers find them by their ids in the list of components, which stays whole.
    """

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
        """Set up the queue, as Gradio's own, and let it forget answers that nobody comes for."""
        super().queue(*arguments, **options)
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
    core = next(text for path in _ASSETS.glob("core-*.js") if _VIDEO.search(text := path.read_text(encoding="utf-8")))
    named, needed = _FILES.search(core), _VIDEO.search(core)
    if named is None or needed is None:
        raise RuntimeError("this version of Gradio names the scripts of its components in another way")
    names = json.loads(named.group(1))
    return [f"assets/{Path(names[int(index)]).name}" for index in needed.group(1).split(",")]


def listen_on(name: str) -> None:
    """Let Gradio try its ports where the page will listen.

    Args:
        name: Of the address, without brackets.
    """
    http_server.LOCALHOST_NAME = name
    if ":" in name:
        cast("Any", http_server).socket = _Sockets
