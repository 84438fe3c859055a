"""This process's side of what processes share besides the jobs: codes, attempts, prompt lists, answers to API calls.

Imported only if a database is set, where `ledger/shared_stores` keeps it.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from hunyuan_ui import log
from hunyuan_ui.access_code import AccessCode
from hunyuan_ui.credential_attempts import Change, Limiter, Rate
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobProblem
from hunyuan_ui.jobs.ledger_thread import LedgerThread
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger.shared_stores import ANSWER_KEPT_S, AccessStore, Answer, CallStore, Limit, ListStore

POLL_S: Final = 0.2  # between two reads of what other processes have stored, while somebody waits for it
STOPS_WITHIN_S: Final = 10.0  # a process reads its requests every second, and may be storing a row at that moment
RECHECK_S: Final = 10.0  # between two reads about one call without news: many callers may wait for the same one
HEARTBEAT_S: Final = 1.0  # heartbeat interval of a waiting caller
RETRY_S: Final = 1.0


class ReplicaAccess:
    """The rate limiters of all processes (see `AttemptStore`), and the visitors who have entered a code at any."""

    def __init__(self, store: AccessStore, services: Services) -> None:
        self._store = store
        self._services = services
        self._codes: dict[str, AccessCode] = {}
        self._since = 0.0
        self._reading = asyncio.Lock()

    async def change(self, names: dict[str, Rate], change: Change) -> float:
        """Update limiters for all processes at once."""
        result = 0.0

        def changed(now: float, known: list[Limit | None]) -> list[Limit]:
            nonlocal result
            limiters = [Limiter(rate, *(state or ())) for rate, state in zip(names.values(), known, strict=True)]
            result = change(now, limiters)
            return [limiter.state for limiter in limiters]

        hidden = [self._services.links.hidden(name) for name in names]  # addresses are stored only as hashes
        await self._services.writes.soon(self._store.change_attempts, hidden, changed)
        return result

    def share(self, code: AccessCode) -> None:
        """Share a code's grants with the other processes, in both directions."""
        gate = self._services.links.hidden(code.gate)

        async def keep(visitor_id: str) -> None:
            await self._services.writes.soon(self._store.grant, gate, visitor_id)

        code.keep = keep
        self._codes[gate] = code

    async def recall(self) -> None:
        """Admit visitors who have entered a code at another process since the last call; none if unreadable."""
        async with self._reading:
            with suppress(StorageError):
                granted, self._since = await self._services.reads(self._store.granted, self._since)
                for gate, visitor_id in granted:
                    if gate in self._codes:
                        self._codes[gate].admit(visitor_id)


@dataclass(frozen=True)
class ListState:
    """State of another process's list, apart from its rows; fields as in `BatchView`."""

    visitor: str
    name: str
    rows: int
    budget_usd: float
    is_running: bool
    is_feeding: bool
    problem: JobProblem | None = None

    @property
    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> ListState | None:
        """Parse another process's report; None if its version uses another format."""
        with suppress(ValueError, TypeError, KeyError):
            facts: dict[str, Any] = json.loads(text)
            problem = facts.pop("problem")
            return cls(**facts, problem=None if problem is None else JobProblem(**problem))
        return None


class ReplicaLists:
    """The lists that are sent by processes sharing the ledger.

    Each method raises StorageError if the ledger cannot be reached.
    """

    def __init__(self, store: ListStore, services: Services) -> None:
        self._store = store
        self._services = services
        self._published: dict[str, ListState] = {}
        self.here: Callable[[], dict[str, ListState]] = dict  # the lists of this process
        self.end: Callable[[str, bool], None]  # ends one of them; True if another process took it

    async def claim_list(self, list_id: str, state: ListState) -> None:
        """Become the process that sends a list, after stopping it at another process."""
        await self.stop(list_id)
        await self._services.writes.soon(self._store.claim_list, list_id, state.text)
        self._published[list_id] = state

    async def state_of(self, list_id: str) -> ListState | None:
        """Return the state of a list that another live process sends or has sent; None if there is none."""
        found = await self._services.reads(self._store.elsewhere, list_id)
        return ListState.read(found[list_id]) if list_id in found else None

    async def running(self) -> dict[str, ListState]:
        """Return the lists that other processes are sending; raises as `state_of`."""
        found = await self._services.reads(self._store.elsewhere)
        states = {list_id: ListState.read(text) for list_id, text in found.items()}
        return {list_id: one for list_id, one in states.items() if one is not None and one.is_running}

    async def stop(self, list_id: str) -> None:
        """Have another process stop sending a list, and wait until it does; raises as `state_of`."""
        give_up_at = time.monotonic() + STOPS_WITHIN_S
        is_asked = False
        while (
            (state := await self.state_of(list_id)) is not None and state.is_feeding and time.monotonic() < give_up_at
        ):
            if not is_asked:
                await self._services.writes.soon(self._store.stop, list_id)
                is_asked = True
            await asyncio.sleep(POLL_S)

    async def tick(self) -> None:
        """Handle the requests of other processes for this process's lists, and publish their state."""
        here = self.here()
        if here:
            for list_id, is_others in (await self._services.reads(self._store.to_end, list(here))).items():
                self.end(list_id, is_others)
        for list_id, state in here.items():
            if self._published.get(list_id) != state:
                await self._services.writes(self._store.publish, list_id, state.text)
        self._published = here


class ReplicaCalls:
    """The calls of this process and those that callers wait for here."""

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

    def _later(self, change: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(change)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, call_id: str, session: str, text: str) -> None:
        for _ in range(round(ANSWER_KEPT_S / RETRY_S)):
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
