"""ReplicaCalls: makes the answers to API calls available at every process."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from typing import Any, Final

from hunyuan_ui import log
from hunyuan_ui.errors import StorageError
from hunyuan_ui.jobs.ledger_thread import LedgerThread
from hunyuan_ui.ledger.call_store import KEPT_S, Answer, CallStore

POLL_S: Final = 0.2  # between two reads of other processes' answers while a caller waits here
RECHECK_S: Final = 10.0  # between two reads about one call without news: many callers may wait for the same one
HEARTBEAT_S: Final = 1.0  # heartbeat interval of a waiting caller
RETRY_S: Final = 1.0


class ReplicaCalls:
    """The calls of this process and those that callers wait for here.

    Args:
        reads: The thread that queries the server; its calls run in order.
    """

    def __init__(self, store: CallStore, reads: LedgerThread) -> None:
        self._store = store
        self._reads = reads
        self._waiting: set[tuple[str, asyncio.Event]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def begin(self, call_id: str, session: str) -> None:
        """Announce a call to all processes before its caller learns of it; see `CallStore.begin`.

        Raises:
            StorageError: The server cannot be reached, so that no other process could answer.
        """
        await self._reads(self._store.begin, call_id, session)

    def end(self, call_id: str, session: str, text: str) -> None:
        """Publish the answer to waiting callers, at whichever process."""
        self._later(self._end(call_id, session, text))

    def forget(self, key: str) -> None:
        """Drop the calls of an id or a session: nobody waits for them any more."""
        self._later(self._forget(key))

    async def answers(self, key: str, linger_s: float = 0.0) -> AsyncGenerator[Answer | None]:
        """Yield the answers to an id or a session until no call is pending, and None as a heartbeat.

        While the server is away no answers come; those from that time follow when it is back.

        Args:
            key: An id or a session.
            linger_s: Seconds after the last answer in which the session may begin another call.
        """
        changed = asyncio.Event()
        waiting = (key, changed)
        self._waiting.add(waiting)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="answers of other processes")
        until = -math.inf  # time.monotonic()
        try:
            while True:
                changed.clear()
                try:
                    taken, under_way = await self._reads(self._store.take, key)
                except StorageError:
                    taken, under_way = [], 1
                for answer in taken:
                    yield answer
                    until = time.monotonic() + linger_s
                look_at = time.monotonic() + RECHECK_S if under_way else until
                if look_at <= time.monotonic():
                    return
                while not changed.is_set() and (left_s := look_at - time.monotonic()) > 0:
                    with suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(changed.wait(), min(left_s, HEARTBEAT_S))
                    yield None
        finally:
            self._waiting.discard(waiting)

    # internal

    def _later(self, change: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(change)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, call_id: str, session: str, text: str) -> None:
        for _ in range(round(KEPT_S / RETRY_S)):
            try:
                await self._reads(self._store.end, call_id, text)
            except StorageError as error:
                if error.code == "stopping":
                    return
                await asyncio.sleep(RETRY_S)
                continue
            self._wake({call_id, session})
            return
        log.trouble("call.answer_lost")

    async def _forget(self, key: str) -> None:
        with suppress(StorageError):
            await self._reads(self._store.forget, key)

    async def _look(self) -> None:
        while self._waiting:
            try:
                self._wake(await self._reads(self._store.ended, [key for key, _ in self._waiting]))
            except StorageError:
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(POLL_S)

    def _wake(self, keys: set[str]) -> None:
        for key, changed in self._waiting:
            if key in keys:
                changed.set()
