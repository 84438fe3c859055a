"""ReplicaLists: publishes the state of prompt lists to all processes, and stops lists of other processes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from hunyuan_ui.job import JobProblem
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger.list_store import ListStore

STOPS_WITHIN_S: Final = 10.0  # a process reads its requests every second, and may be storing a row at that moment
POLL_S: Final = 0.2  # between two checks whether a list has stopped


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
        self.end: Callable[[str, bool], None]  # ends one of them; True if another process has taken it over

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
        running = [list_id for list_id, state in here.items() if state.is_running]
        if running:
            for list_id, is_others in (await self._services.reads(self._store.to_end, running)).items():
                self.end(list_id, is_others)
        for list_id, state in here.items():
            if self._published.get(list_id) != state:
                await self._services.writes(self._store.publish, list_id, state.text)
        self._published = here
