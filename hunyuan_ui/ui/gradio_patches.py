"""Patches for Gradio's Blocks: a page without API-only components, and limits on its memory."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, cast

import gradio as gr
from gradio import http_server
from gradio.server_messages import ProcessCompletedMessage
from gradio.state_holder import SessionState

from hunyuan_ui.errors import HunyuanUIError, SettingsError
from hunyuan_ui.ui.visitor import say_for

MOST_SESSIONS: Final = 100  # sessions whose last values Gradio keeps, although unused here; 10,000 by default
MOST_UNREAD: Final = 400  # sessions with uncollected answers; unlimited by default
MOST_UNREAD_BYTES: Final = 64 * 1024 * 1024  # memory of uncollected answers; a prompt list's answer may take 8 MiB
QUEUE_CHECK_S: Final = 0.02  # between checks for a new call; at Gradio's 0.001 s an idle page uses 8 % of a core
MOST_WAITING: Final = 500  # calls that wait for one of Gradio's threads; unlimited by default
_TOLD_WITHIN_S: Final = 0.2
_LOOK_EVERY_S: Final = 0.001
_STARTED_WITHIN_S: Final = 2.0  # after a signal; longer than a start that has begun to send still takes
_UNKNOWN: Final = "this version of Gradio names the scripts of its components in another way"
_API: Final = "api"  # component type that `gr.api` uses for each parameter and result

_FRONTEND: Final = Path(gr.__file__).parent / "templates" / "frontend"
_ASSETS: Final = _FRONTEND / "assets"
_LIST: Final = re.compile(r"__vite__mapDeps=.{,60}?(\[\"[^\]]*\])")
_NEEDED: Final = r".{,120}?__vite__mapDeps\(\[([\d,]+)\]\)"
_MAIN: Final = re.compile(r'(?:src|href)="\./assets/([^"]+)"')  # scripts and styles in the page's HTML


class LightBlocks(gr.Blocks):
    """Blocks that omits the components of `gr.api` from the browser's layout.

    Gradio puts one component for each parameter into the page's layout, where it is rendered like any other and looked
    up in every event. Callers find them by id in the list of components, which stays complete.
    """

    @property
    def drawn(self) -> list[str]:
        """Return the types of components that a page renders when it opens, as named in its config."""
        components = cast("dict[str, Any]", self.get_config_file())["components"]
        return sorted({one["type"] for one in components if one["props"].get("visible", True)} - {_API})

    def get_config_file(self) -> Any:
        """Return the page's config."""
        config = cast("dict[str, Any]", super().get_config_file())
        unseen = {one["id"] for one in config["components"] if one["type"] == _API}
        for page in (config, *config["page"].values()):
            drawn = [one for one in page["layout"]["children"] if one["id"] not in unseen]
            page["layout"] = {**page["layout"], "children": drawn}
        for page in config["page"].values():
            page["components"] = [one for one in page["components"] if one not in unseen]
        return config

    def queue(self, *arguments: Any, **options: Any) -> Any:
        """Set up Gradio's queue, and close POST /gradio_api/run/<name>, which would bypass it and its limits.

        It drops uncollected answers. Gradio builds a whole server for each queue, so that the one which it sets up by
        itself is this one (docs/facts/gradio6.md 0, row 7).
        """
        shut = {"api_open": False, "default_concurrency_limit": None, "max_size": MOST_WAITING}
        super().queue(*arguments, **(shut | options))
        queue = cast("Any", self)._queue
        queue.sleep_when_free = QUEUE_CHECK_S
        queue.pending_event_ids_session = _Sessions(queue)
        queue.send_message = _weighed(queue)
        # It keeps each session's last values for deep links, which are disabled.
        cast("Any", SessionState)._update_value_in_config = _forget_value
        queue.ANALYTICS_MAX_EVENTS = 1  # for statistics that are off, Gradio tabulates them after each event
        return self

    async def end_calls(self) -> None:
        """Answer all calls that are under way, because the program ends; Gradio would name its own exception."""
        queue = cast("Any", self)._queue
        for event in list(queue.event_ids_to_events.values()):
            say = say_for(event.request)
            output = {"error": say.sentence(HunyuanUIError("call_lost"))}
            queue.send_message(event, ProcessCompletedMessage(output=output, success=False, event_id=event._id))
        await asyncio.sleep(_TOLD_WITHIN_S)


class _Sessions(dict[str, "set[str]"]):
    """Pending event ids of each session; drops the oldest sessions whose finished events were never collected.

    Args:
        queue: Gradio's; a session's messages are dropped with it.
    """

    def __init__(self, queue: Any) -> None:
        super().__init__()
        self._queue = queue
        self._bytes: dict[str, int] = {}  # of each session's uncollected answers

    def __setitem__(self, session: str, events: set[str]) -> None:
        super().__setitem__(session, events)
        if len(self) > MOST_UNREAD:
            self._forget(self._ended(session)[: MOST_UNREAD // 2])

    def weigh(self, session: str, size: int) -> None:
        """Count an answer of `size` bytes that is about to be sent to a session; drop old ones above the limit."""
        unread = self._queue.pending_messages_per_session
        self._bytes = {one: held for one, held in self._bytes.items() if one in unread and not unread[one].empty()}
        self._bytes[session] = self._bytes.get(session, 0) + size
        over = sum(self._bytes.values()) - MOST_UNREAD_BYTES
        for one in self._ended(session):
            if over <= 0:
                break
            over -= self._bytes.pop(one, 0)
            self._forget([one])

    def _ended(self, kept: str) -> list[str]:
        under_way = {event.session_hash for event in self._queue.event_ids_to_events.values()}
        return [one for one in self if one != kept and one not in under_way]

    def _forget(self, sessions: Iterable[str]) -> None:
        for session in sessions:
            del self[session]
            self._queue.pending_messages_per_session.pop(session, None)


def _forget_value(*_: object) -> None:
    pass


def _weighed(queue: Any) -> Any:
    """Return the queue's `send_message`, extended to count the memory of answers."""
    send = queue.send_message

    def weighed(event: Any, message: Any) -> None:
        if event.alive and isinstance(message, ProcessCompletedMessage):
            queue.pending_event_ids_session.weigh(event.session_hash, _size_of(cast("Any", message).output))
        send(event, message)

    return weighed


def _size_of(value: object) -> int:
    """Return the approximate memory of an answer, in bytes."""
    inner: Iterable[object] = ()
    if isinstance(value, dict):
        inner = cast("dict[object, object]", value).values()
    elif isinstance(value, (list, tuple)):
        inner = cast("list[object]", value)
    return sys.getsizeof(cast("object", value)) + sum(map(_size_of, inner))


class _Sockets:
    """Replaces the module `socket` where Gradio checks whether a port is free, which it does for IPv4 only."""

    SOL_SOCKET = socket.SOL_SOCKET
    SO_REUSEADDR = socket.SO_REUSEADDR

    @staticmethod
    def socket() -> socket.socket:
        made = socket.socket(socket.AF_INET6)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # like the server's socket
        return made


def player_files() -> list[str]:
    """Return the page-relative addresses of the scripts and styles that Gradio fetches for its video component.

    Gradio requests them once: if one fails to load, that page never renders a video.
    """
    return _files_of("video")


def drawing_files(components: Iterable[str]) -> list[str]:
    """Return the page-relative addresses of all scripts and styles that Gradio fetches before it has rendered a page.

    Gradio's scripts request them in four steps, one after the other (docs/facts/gradio6.md 6).

    Args:
        components: Their names in the page's config.
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
    """Return the files that one of Gradio's scripts names, in order."""
    named = _LIST.search((_ASSETS / script).read_text(encoding="utf-8"))
    if named is None:
        raise RuntimeError(_UNKNOWN)
    return [f"assets/{Path(name).name}" for name in json.loads(named[1])]


def _needed_in(script: str, before: str) -> list[str]:
    """Return those of a script's named files that it fetches together.

    Args:
        script: Its file.
        before: Pattern of the code before the list.
    """
    needed = re.search(before + _NEEDED, (_ASSETS / script).read_text(encoding="utf-8"))
    if needed is None:
        raise RuntimeError(_UNKNOWN)
    names = _named_in(script)
    return [names[int(index)] for index in needed[1].split(",")]


def listen_on(name: str) -> None:
    """Make Gradio's port check use the address that the page will listen on.

    Args:
        name: Of the address, without brackets.
    """
    http_server.LOCALHOST_NAME = name
    if ":" in name:
        cast("Any", http_server).socket = _Sockets


def wait_for_server(is_ending: Callable[[], bool]) -> None:
    """Make Gradio wait for its server for as long as it starts, and start it once.

    After 5 s Gradio would start a second one beside it, on the next port (docs/facts/gradio6.md 0, row 11), and after a
    start that failed as well; but a runner that has stopped cannot be started again.

    Args:
        is_ending: Whether the program is to end meanwhile. A start that is nearly done may have begun to send, so it is
            waited for and then ended in order; any other ends the program at once.

    Raises:
        SystemExit: In `launch`: the start has failed, which the log then tells.
        SettingsError: In `launch`: another program has taken the port since Gradio found it free.
    """

    def run_in_thread(server: Any) -> None:
        server.thread = threading.Thread(target=server.run, daemon=True)
        if server.reloader:
            server.watch_thread = threading.Thread(target=server.watch, daemon=True)
            server.watch_thread.start()
        server.thread.start()
        end_at = math.inf
        while not server.started:
            if is_ending():
                end_at = min(end_at, time.monotonic() + _STARTED_WITHIN_S)
            if time.monotonic() > end_at:
                os._exit(0)  # another exit would wait for the threads that a disk or a database holds up
            if not server.thread.is_alive():
                lifespan = getattr(server, "lifespan", None)
                if lifespan is None or lifespan.should_exit:
                    raise SystemExit(1)
                raise SettingsError("GRADIO_SERVER_PORT", "port_taken_meanwhile", port=server.config.port)
            server.thread.join(_LOOK_EVERY_S)

    cast("Any", http_server.Server).run_in_thread = run_in_thread
