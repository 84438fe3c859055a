"""Lists of prompts over several processes: what each of them sends, so that all can tell of it and end it."""

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

STOPS_WITHIN_S: Final = 10.0  # a process reads its wishes every second, and may be storing a row just then
LOOK_S: Final = 0.2  # between two looks whether a list has stopped


@dataclass(frozen=True)
class ToldList:
    """How a list of another process stands, apart from its rows; the same as in `BatchView`."""

    visitor: str
    name: str
    rows: int
    budget_usd: float
    is_running: bool
    is_feeding: bool
    problem: JobProblem | None = None

    @property
    def text(self) -> str:
        """The same as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> ToldList | None:
        """Return what a process has told; None if its version tells something else."""
        with suppress(ValueError, TypeError, KeyError):
            facts: dict[str, Any] = json.loads(text)
            problem = facts.pop("problem")
            return cls(**facts, problem=None if problem is None else JobProblem(**problem))
        return None


class SharedLists:
    """The lists that the processes which share the ledger send.

    Args:
        book: In the ledger.
        services: Of this run.
    """

    def __init__(self, book: ListBook, services: Services) -> None:
        self._book = book
        self._services = services
        self._said: dict[str, ToldList] = {}
        self.here: Callable[[], dict[str, ToldList]] = dict  # the lists of this process
        self.end: Callable[[str, bool], None]  # ends one of them; True where another process sends it by now

    async def lead(self, list_id: str, told: ToldList) -> None:
        """Be the process that sends a list; another one that does has ended before.

        Raises:
            StorageError: The ledger cannot be reached.
        """
        await self.stop(list_id)
        await self._services.writes.soon(self._book.lead, list_id, told.text)
        self._said[list_id] = told

    async def told(self, list_id: str) -> ToldList | None:
        """Return how a list stands that another living process sends or has sent; None if none does.

        Raises:
            StorageError: The ledger cannot be reached.
        """
        found = await self._services.reads(self._book.elsewhere, list_id)
        return ToldList.read(found[list_id]) if list_id in found else None

    async def running(self) -> dict[str, ToldList]:
        """Return the lists that other processes send just now; raises as `told`."""
        found = await self._services.reads(self._book.elsewhere)
        told = {list_id: ToldList.read(text) for list_id, text in found.items()}
        return {list_id: one for list_id, one in told.items() if one is not None and one.is_running}

    async def stop(self, list_id: str) -> None:
        """Have another process send nothing more of a list, and wait until it does so; raises as `told`."""
        give_up_at = time.monotonic() + STOPS_WITHIN_S
        is_asked = False
        while (told := await self.told(list_id)) is not None and told.is_feeding and time.monotonic() < give_up_at:
            if not is_asked:
                await self._services.writes.soon(self._book.stop, list_id)
                is_asked = True
            await asyncio.sleep(LOOK_S)

    async def tick(self) -> None:
        """Do what others have asked of this process's lists, and let them see how these stand."""
        here = self.here()
        running = [list_id for list_id, told in here.items() if told.is_running]
        if running:
            for list_id, is_others in (await self._services.reads(self._book.to_end, running)).items():
                self.end(list_id, is_others)
        for list_id, told in here.items():
            if self._said.get(list_id) != told:
                await self._services.writes(self._book.tell, list_id, told.text)
        self._said = here
