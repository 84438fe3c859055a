"""SharedLists: publishes the state of prompt lists to all processes, and stops lists of other processes."""

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
from hunyuan_ui.ledger.list_book import ListBook

STOPS_WITHIN_S: Final = 10.0  # a process reads its requests every second, and may be storing a row at that moment
LOOK_S: Final = 0.2  # between two checks whether a list has stopped


@dataclass(frozen=True)
class ToldList:
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
    def read(cls, text: str) -> ToldList | None:
        """Parse another process's report; None if its version uses another format."""
        with suppress(ValueError, TypeError, KeyError):
            facts: dict[str, Any] = json.loads(text)
            problem = facts.pop("problem")
            return cls(**facts, problem=None if problem is None else JobProblem(**problem))
        return None


class SharedLists:
    """The lists that are sent by processes sharing the ledger.

    Args:
        book: In the ledger.
        services: Of this run.
    """

    def __init__(self, book: ListBook, services: Services) -> None:
        self._book = book
        self._services = services
        self._said: dict[str, ToldList] = {}
        self.here: Callable[[], dict[str, ToldList]] = dict  # the lists of this process
        self.end: Callable[[str, bool], None]  # ends one of them; True if another process has taken it over

    async def lead(self, list_id: str, told: ToldList) -> None:
        """Become the process that sends a list, after stopping it at another process.

        Raises:
            StorageError: The ledger cannot be reached.
        """
        await self.stop(list_id)
        await self._services.writes.soon(self._book.lead, list_id, told.text)
        self._said[list_id] = told

    async def told(self, list_id: str) -> ToldList | None:
        """Return the state of a list that another live process sends or has sent; None if there is none.

        Raises:
            StorageError: The ledger cannot be reached.
        """
        found = await self._services.reads(self._book.elsewhere, list_id)
        return ToldList.read(found[list_id]) if list_id in found else None

    async def running(self) -> dict[str, ToldList]:
        """Return the lists that other processes are sending; raises as `told`."""
        found = await self._services.reads(self._book.elsewhere)
        told = {list_id: ToldList.read(text) for list_id, text in found.items()}
        return {list_id: one for list_id, one in told.items() if one is not None and one.is_running}

    async def stop(self, list_id: str) -> None:
        """Have another process stop sending a list, and wait until it does; raises as `told`."""
        give_up_at = time.monotonic() + STOPS_WITHIN_S
        is_asked = False
        while (told := await self.told(list_id)) is not None and told.is_feeding and time.monotonic() < give_up_at:
            if not is_asked:
                await self._services.writes.soon(self._book.stop, list_id)
                is_asked = True
            await asyncio.sleep(LOOK_S)

    async def tick(self) -> None:
        """Handle the requests of other processes for this process's lists, and publish their state."""
        here = self.here()
        running = [list_id for list_id, told in here.items() if told.is_running]
        if running:
            for list_id, is_others in (await self._services.reads(self._book.to_end, running)).items():
                self.end(list_id, is_others)
        for list_id, told in here.items():
            if self._said.get(list_id) != told:
                await self._services.writes(self._book.tell, list_id, told.text)
        self._said = here
