"""Batches: lists of prompts under one budget, stored row by row, so that resubmitting a list resumes it.

A row's job id is derived from the list's name and the row (`prompt_list.job_id`). Rows that are not stored yet exist
only in this process: after a restart a list continues only when it is submitted again. Where several processes share
the ledger, the others report on the list and stop it through `replica_stores`. The budget is checked in `limits.py`, in
the transactions that store and send a row.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from hunyuan_ui import cancellation, log
from hunyuan_ui.errors import AccessError, HunyuanUIError, InvalidRequestError, SpendLimitError, StorageError
from hunyuan_ui.job import MICRO, InList, Job, JobProblem, JobStatus, Payer, Visitor, is_id
from hunyuan_ui.jobs.batch_view import BatchView, Entry, Order, Plan
from hunyuan_ui.jobs.job_view import MOST_USD
from hunyuan_ui.jobs.services import Services
from hunyuan_ui.ledger import TakenOverError
from hunyuan_ui.limits import BREAKER_AFTER, check_shown
from hunyuan_ui.prompt_list import PromptList, Reading, Row, job_id, list_id, read_list, seeded
from hunyuan_ui.settings import Settings

if TYPE_CHECKING:  # the runner imports this module; replica_stores loads the packages for PostgreSQL
    from hunyuan_ui.jobs.replica_stores import ListState, ReplicaLists
    from hunyuan_ui.jobs.runner import JobRunner

MOST_RUNNING: Final = 20  # lists running at the same time
_KEPT: Final = 100  # ended lists whose full state is kept
_KEPT_BYTES: Final = 32 * 1024 * 1024  # of the rows of all of them; one list may take 12 MiB
_ROW_BYTES: Final = 2_000  # of a row besides its prompts
_READ_AT_ONCE: Final = 2  # lists parsed concurrently; each may use a processor and a thread for seconds
_LOOK_AGAIN_S: Final = 1.0
# Refusals that pass by themselves, and those that may pass when a job settles at less than its reservation.
_AWAY: Final = frozenset({"ledger_busy", "ledger_held", "database_away", "database_refuses"})
_PASSING: Final = frozenset({"queue_full", "visitor_busy", "visitor_places", "too_soon"}) | _AWAY
_OF_MONEY: Final = frozenset({"over_list_budget", "over_daily_limit", "over_total_limit"})
LIMITS: Final = _OF_MONEY | {"over_video_limit"}  # the last of a stored row: no other row's end lets it go
_AGAIN: Final = frozenset({JobStatus.FAILED, JobStatus.CANCELLED})  # certainly not charged


@dataclass
class _Batch:
    plan: Plan
    order: Order
    problem: JobProblem | None = None
    is_stopped: bool = False
    bad: int = 0  # consecutive rows without a video
    is_fed: asyncio.Event = field(default_factory=asyncio.Event)  # no more rows will be stored
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    watched: dict[asyncio.Task[Job], Entry] = field(default_factory=dict["asyncio.Task[Job]", Entry])
    is_starting: bool = True
    task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self.is_starting or (self.task is not None and not self.task.done())

    @property
    def is_feeding(self) -> bool:
        return not self.is_fed.is_set() and not self.is_stopped

    @cached_property
    def size(self) -> int:
        """Approximate memory of its rows, in bytes."""
        requests = [entry.request for entry in self.plan.entries]
        return sum(sys.getsizeof(one.prompt) + sys.getsizeof(one.negative_prompt) + _ROW_BYTES for one in requests)

    def stop(self) -> None:
        self.is_stopped = True
        self.changed.set()


class Batches:
    """The lists of this process.

    A method that takes a list's id raises AccessError if its visitor has no such list.
    """

    def __init__(self, runner: JobRunner, services: Services, settings: Settings, shared: ReplicaLists | None) -> None:
        self._runner = runner
        self._services = services
        self._settings = settings
        self._batches: dict[str, _Batch] = {}
        self._starting = asyncio.Lock()
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)
        self._shared = shared
        if shared is not None:
            shared.here, shared.end = self._states_here, self._end_here

    def id_of(self, name: str, visitor: Visitor) -> str:
        """Return the id of a visitor's list; on a private run all lists belong to the owner."""
        return list_id(visitor.id if self._settings.is_public else "", name)

    async def read(self, text: str, name: str, reading: Reading) -> PromptList:
        """Parse a list in a thread; arguments are those of `read_list`."""
        await self._reading.acquire()
        return await cancellation.in_thread(partial(read_list, text, name, reading), self._reading.release)

    async def plan(self, prompts: PromptList, order: Order) -> Plan:
        """Return what a list would create and cost, and which rows already exist; sends nothing.

        Raises:
            SpendLimitError: No payer is available.
        """
        payer = await self._payer_of(order)
        own_id = self.id_of(prompts.name, order.visitor)
        entries = await self._entries(own_id, prompts.rows, payer, retry_failed=order.retry_failed)
        prices = {
            entry.row.number: self._runner.estimate(entry.request, payer) for entry in entries if entry.job is None
        }
        spent = await self._services.reads(self._services.ledger.list_spent, own_id)
        return Plan(own_id, prompts.name, payer, entries, prices, spent / MICRO, self._at_once())

    async def start(self, prompts: PromptList, order: Order) -> BatchView:
        """Start or resume a list; a newer submission of the same list replaces the running one.

        Raises:
            InvalidRequestError: The list or the budget is invalid.
            AuthenticationError: The sender's own key is malformed, or the service does not know it.
            EndpointError: That key cannot be checked with the service.
            SpendLimitError: The price or a video's cost exceeds what was shown or allowed, or too many lists run.
            StorageError: Jobs cannot be stored safely.
        """
        if prompts.faults:
            line, error = prompts.faults[0]
            raise InvalidRequestError(
                "list_has_faults", field="list", count=len(prompts.faults), line=line, first=error.as_reason
            )
        if not 0 <= order.budget_usd <= MOST_USD:
            value = str(order.budget_usd)[:40]
            raise InvalidRequestError("out_of_range", field="budget_usd", value=value, low=0, high=MOST_USD)
        self._services.folder.check_room()
        await self._check_key(order)
        async with self._starting:
            plan = await self.plan(prompts, order)
            self._check(plan, order, {} if self._shared is None else await self._shared.running())
            await self._end_feeding(plan.list_id)
            batch = _Batch(plan, order)
            if self._shared is not None:  # first: a row that is stored there until then has the earlier budget
                await self._shared.claim_list(plan.list_id, self._state_of(batch))
            self._keep(batch)  # before a failure, so that the others learn that it does not run
            known = [entry.job_id for entry in plan.entries if entry.job is not None]
            try:
                await self._services.writes(self._services.ledger.join_list, plan.list_id, known, order.budget_usd)
            except BaseException:
                batch.is_fed.set()
                raise
            finally:
                batch.is_starting = False
            self._runner.recheck_limits()
            batch.task = asyncio.create_task(self._feed(batch), name=f"list {plan.list_id}")
            batch.task.add_done_callback(partial(_note_death, batch))
        log.event("list.started", list=plan.list_id, rows=len(plan.entries), known=len(known))
        return await self.view(plan.list_id, order.visitor)

    async def view(self, list_id: str, visitor: Visitor, wait_s: float = 0.0) -> BatchView:
        """Return the state of a list."""
        batch = await self._here(list_id)
        if batch is not None and batch.order.visitor.id != visitor.id and not visitor.is_owner:
            raise AccessError("no_such_list")
        if batch is None:
            return await self._view_elsewhere(list_id, visitor, wait_s)
        if wait_s > 0 and batch.task is not None:
            await asyncio.wait({batch.task}, timeout=wait_s)
        is_running = batch.is_running  # before the rows are read: an ended list then has all final states
        await self._refresh(batch)
        spent = await self._services.reads(self._services.ledger.list_spent, list_id)
        is_going = is_running or any(entry.job and entry.job.is_active for entry in batch.plan.entries)
        return BatchView(
            list_id,
            batch.plan.name,
            len(batch.plan.entries),
            batch.plan.entries,
            spent / MICRO,
            batch.order.budget_usd,
            self._left_s(batch.plan.entries, batch.plan.payer) if is_going else 0.0,
            is_running,
            batch.problem,
            is_feeding=is_running and batch.is_feeding,
        )

    async def stored(self, list_id: str) -> list[Entry]:
        """Return the rows of a list for the holder of its signed link.

        Raises:
            AccessError: There is no such list.
        """
        batch = await self._here(list_id)
        if batch is None:
            return (await self._view_of_stored(list_id, None)).entries
        await self._refresh(batch)
        return batch.plan.entries

    async def stop(self, list_id: str, visitor: Visitor) -> BatchView:
        """Store no more rows of a list, and cancel those that are stored but not sent."""
        view = await self.view(list_id, visitor)
        batch = await self._here(list_id)
        if batch is not None:
            batch.stop()
            await batch.is_fed.wait()
            view = await self.view(list_id, visitor)
        elif self._shared is not None:
            await self._shared.stop(list_id)
            view = await self.view(list_id, visitor)
        for entry in view.entries:
            if entry.job is not None and entry.job.status is JobStatus.QUEUED:
                with suppress(AccessError):  # it has just been sent
                    await self._runner.cancel(entry.job_id, visitor)
        log.event("list.stopped", list=list_id)
        return await self.view(list_id, visitor)

    async def close(self) -> None:
        """Stop feeding all lists; stored jobs continue."""
        for own_id in list(self._batches):
            await self._end_feeding(own_id)

    # rows

    async def _entries(self, list_id: str, rows: Iterable[Row], payer: Payer, *, retry_failed: bool) -> list[Entry]:
        """Return each row with its latest job: one that was certainly not charged may have been retried.

        A preview is no video of the model, so that its row is made once somebody pays.
        """
        entries = [Entry(row, job_id(list_id, row), seeded(list_id, row)) for row in rows]
        asked, attempt = entries, 0
        while asked:
            ids = [job_id(list_id, entry.row, attempt) for entry in asked]
            found, deleted = await self._services.reads(self._services.ledger.known, ids)
            followed: list[Entry] = []
            for entry, own_id in zip(asked, ids, strict=True):
                job = found.get(own_id)
                if job is None and entry.job is not None:
                    is_previewed = entry.job.is_preview and not entry.is_deleted and payer != "nobody"
                    is_sent_again = retry_failed or entry.job.status is JobStatus.CANCELLED
                    if not is_previewed and not is_sent_again:
                        continue
                entry.job_id, entry.job, entry.is_deleted = own_id, job, own_id in deleted
                if job is not None and _may_have_next(job):
                    followed.append(entry)
            asked, attempt = followed, attempt + 1
        return entries

    async def _check_key(self, order: Order) -> None:
        # Otherwise each wrong key of a stranger would leave a list behind, and lines in the log.
        if order.own_key and await self._payer_of(order) == "visitor":
            await self._runner.keys.check(order.own_key, order.visitor)

    async def _payer_of(self, order: Order) -> Payer:
        await self._runner.recall(order.visitor)
        return self._runner.payer_of(
            order.visitor, payer=order.payer, own_key=order.own_key, is_logged_in=order.is_logged_in
        )

    def _check(self, plan: Plan, order: Order, elsewhere: Mapping[str, ListState]) -> None:
        if order.shown_usd is not None and plan.payer != "nobody":
            check_shown(round(plan.most_usd * MICRO), order.shown_usd, "list_price_changed")
        dearest = max((price.high_usd for price in plan.prices.values()), default=0.0)
        limit_usd = self._settings.video_limit_usd
        if plan.payer == "owner" and dearest > limit_usd and (self._settings.is_public or not order.is_confirmed):
            code = "over_video_limit" if self._settings.is_public else "confirm_price"
            raise SpendLimitError(code, price=dearest, limit=limit_usd)
        whose = {list_id: batch.order.visitor.id for list_id, batch in self._batches.items() if batch.is_running}
        whose = {list_id: state.visitor for list_id, state in elsewhere.items()} | whose
        running = [visitor for list_id, visitor in whose.items() if list_id != plan.list_id]
        own = [visitor for visitor in running if visitor == order.visitor.id]
        if len(running) >= MOST_RUNNING or (own and self._settings.is_public):
            raise SpendLimitError("lists_running", count=len(own) or len(running))

    # feeding

    async def _feed(self, batch: _Batch) -> None:
        try:
            for entry in batch.plan.entries:
                if entry.has_ended:
                    continue
                if entry.job is None and not await self._sent(batch, entry):
                    break
                self._watch(batch, entry)
            batch.is_fed.set()
            while batch.watched:
                await self._next_change(batch)
        finally:
            batch.is_fed.set()
            batch.order = replace(batch.order, own_key=None)
            for task in batch.watched:
                task.cancel()
        log.event("list.ended", list=batch.plan.list_id)
        await self._notify(batch)

    async def _notify(self, batch: _Batch) -> None:
        entries = batch.plan.entries
        done = sum(entry.job is not None and entry.job.status is JobStatus.DONE for entry in entries)
        with suppress(StorageError):  # a list has ended well whether or not it can be told what it cost
            spent = await self._services.reads(self._services.ledger.list_spent, batch.plan.list_id)
            self._services.notifications.list_ended(done, len(entries), spent / MICRO)

    async def _sent(self, batch: _Batch, entry: Entry) -> bool:
        """Store a row's job as soon as there is room for it; return False if the list ends here."""
        while not batch.is_stopped and batch.problem is None:
            if len(batch.watched) >= self._window():
                await self._next_change(batch)
                continue
            try:
                entry.job = await self._submitted(batch.plan, batch.order, entry)
            except TakenOverError:  # this process stood still: another one sends the list and reports on it
                return False
            except HunyuanUIError as error:
                if error.code in _PASSING or (error.code in _OF_MONEY and batch.watched):
                    await self._next_change(batch)
                    continue
                batch.problem = JobProblem.of(error)
                log.trouble("list.refused", list=batch.plan.list_id, code=error.code)
                return False
            return True
        return False

    async def _submitted(self, plan: Plan, order: Order, entry: Entry) -> Job:
        return await self._runner.submit(
            entry.job_id,
            entry.request,
            order.visitor,
            payer=plan.payer,
            own_key=order.own_key,
            is_confirmed=order.is_confirmed,
            is_logged_in=order.is_logged_in,
            in_list=InList(plan.list_id, order.budget_usd, entry.row.number, len(plan.entries)),
        )

    def _watch(self, batch: _Batch, entry: Entry) -> None:
        task = asyncio.create_task(self._runner.wait(entry.job_id, _owner_of(entry, batch.order.visitor)))
        batch.watched[task] = entry

    async def _next_change(self, batch: _Batch) -> None:
        """Wait until a row ends, the list is to stop, or a short timeout passes."""
        batch.changed.clear()
        change = asyncio.ensure_future(batch.changed.wait())
        try:
            await asyncio.wait({change, *batch.watched}, timeout=_LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()
        for task in [task for task in batch.watched if task.done()]:
            entry = batch.watched.pop(task)
            with suppress(HunyuanUIError):  # deleted right after it was stored, or temporarily unreadable
                entry.job = task.result()
            self._count(batch, entry.job)
            self._runner.recheck_limits()
        with suppress(HunyuanUIError):  # temporarily unreadable
            await self._cancel_held_by_limit(batch)

    async def _cancel_held_by_limit(self, batch: _Batch) -> None:
        """End a list if all its stored jobs are held by a spending limit: none of them can settle."""
        watched, problem = list(batch.watched.values()), None
        for entry in watched:
            view = await self._runner.view(entry.job_id, _owner_of(entry, batch.order.visitor))
            if view.job.held_by not in LIMITS or not view.retry_in_s:  # about to be checked again
                return
            problem = view.job.problem and JobProblem.from_code(view.job.held_by, **view.job.problem.facts)
        if problem is None:
            return
        batch.problem = problem
        log.trouble("list.refused", list=batch.plan.list_id, code=problem.code)
        for entry in watched:
            with suppress(AccessError):
                await self._runner.cancel(entry.job_id, _owner_of(entry, batch.order.visitor))

    def _count(self, batch: _Batch, job: Job | None) -> None:
        """End a list whose rows yield no videos, before all of them have been charged or have failed."""
        if job is None or job.is_active or job.status is JobStatus.CANCELLED:
            return
        batch.bad = 0 if job.status is JobStatus.DONE else batch.bad + 1
        if batch.bad >= BREAKER_AFTER and batch.problem is None:
            last = job.problem or JobProblem.from_code("no_video_yet", status=job.status.value)
            batch.problem = JobProblem.from_code(
                "list_without_videos", count=batch.bad, last={"key": f"error.{last.code}", "facts": last.facts}
            )

    def _window(self) -> int:
        # In private one more than run concurrently, so that no slot stays empty; the other rows wait here, where other
        # clicks can overtake them.
        return 1 if self._settings.is_public else self._at_once() + 1

    def _at_once(self) -> int:
        return 1 if self._settings.is_public else self._settings.concurrency

    async def _end_feeding(self, list_id: str) -> None:
        batch = self._batches.get(list_id)
        if batch is not None and batch.task is not None and not batch.task.done():
            await cancellation.end([batch.task])

    def _keep(self, batch: _Batch) -> None:
        self._batches.pop(batch.plan.list_id, None)
        self._batches[batch.plan.list_id] = batch
        ended = [own_id for own_id, kept in self._batches.items() if not kept.is_running and kept is not batch]
        left = _KEPT_BYTES
        for place, own_id in enumerate(reversed(ended)):
            left -= self._batches[own_id].size
            if place >= _KEPT or left < 0:
                del self._batches[own_id]

    # state

    async def _here(self, list_id: str) -> _Batch | None:
        """Return a list of this process, unless another process has taken it over."""
        batch = self._batches.get(list_id)
        if batch is None or batch.is_running or self._shared is None:
            return batch
        return batch if await self._shared.state_of(list_id) is None else None

    async def _view_elsewhere(self, list_id: str, visitor: Visitor, wait_s: float) -> BatchView:
        give_up_at = time.monotonic() + wait_s
        while True:
            state = None if self._shared is None else await self._shared.state_of(list_id)
            view = await self._view_of_stored(list_id, visitor, state)
            if not view.is_running or time.monotonic() >= give_up_at:
                return view
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _states_here(self) -> dict[str, ListState]:
        return {list_id: self._state_of(batch) for list_id, batch in self._batches.items()}

    def _state_of(self, batch: _Batch) -> ListState:
        from hunyuan_ui.jobs.replica_stores import ListState

        facts = (batch.order.visitor.id, batch.plan.name, len(batch.plan.entries), batch.order.budget_usd)
        is_running = batch.is_running
        return ListState(*facts, is_running, is_running and not batch.is_fed.is_set(), batch.problem)

    def _end_here(self, list_id: str, is_others: bool) -> None:
        batch = self._batches.get(list_id)
        if batch is not None and batch.is_running:
            batch.stop()
            if is_others and batch.task is not None:
                batch.task.cancel()  # the other process reports how it ends
        elif is_others:
            self._batches.pop(list_id, None)  # it knows nothing of the rows that the other one has stored

    async def _refresh(self, batch: _Batch) -> None:
        # An unknown or lost row may still change, and any row's video may be deleted.
        stored = [entry for entry in batch.plan.entries if entry.job is not None]
        found, deleted = await self._services.reads(self._services.ledger.known, [entry.job_id for entry in stored])
        for entry in stored:
            entry.job = found.get(entry.job_id, entry.job)
            entry.is_deleted = entry.job_id in deleted

    async def _view_of_stored(self, list_id: str, visitor: Visitor | None, state: ListState | None = None) -> BatchView:
        jobs = await self._services.reads(self._services.ledger.of_list, list_id) if is_id(list_id) else []
        jobs = [job for job in jobs if visitor is None or visitor.may_see(job)]
        is_hidden = state is not None and visitor is not None and not visitor.is_owner and state.visitor != visitor.id
        if is_hidden or (not jobs and state is None):
            raise AccessError("no_such_list")
        entries: dict[int, Entry] = {}
        rows = 0
        for job in jobs:
            place = job.notes.get("list", {})
            number = int(place.get("row", len(entries) + 1))
            rows = max(rows, int(place.get("rows", 0)))
            # The latest attempt at a row is the one that counts.
            entries[number] = Entry(Row(number, 0, job.request), job.id, job.request, job)
        spent = await self._services.reads(self._services.ledger.list_spent, list_id)
        listed = [entries[number] for number in sorted(entries)]
        left_s = self._left_s(listed, jobs[0].payer) if any(job.is_active for job in jobs) else 0.0
        view = BatchView(list_id, "", max(rows, len(listed)), listed, spent / MICRO, None, left_s, is_running=False)
        if state is None:
            return view
        of_all = {name: getattr(state, name) for name in ("name", "rows", "budget_usd", "is_running", "problem")}
        return replace(view, **of_all, is_feeding=state.is_feeding)

    def _left_s(self, entries: list[Entry], payer: Payer) -> float:
        expected = [self._runner.estimate(entry.request, payer) for entry in entries if not entry.has_ended]
        # A preview is rendered locally in seconds; until some have calibrated its estimate, there is none.
        left = [one.seconds for one in expected if payer != "nobody" or one.is_calibrated]
        return max(max(left, default=0.0), sum(left) / self._at_once())


def _may_have_next(job: Job) -> bool:
    """Whether a row may have a later job than this one, which cost nothing."""
    return job.is_preview or (job.status in _AGAIN and not job.cost_microusd)


def _owner_of(entry: Entry, visitor: Visitor) -> Visitor:
    """Return who may see a row's job: on a private run another of the owner's browsers may have sent it."""
    return visitor if entry.job is None or visitor.is_owner else Visitor(entry.job.visitor)


def _note_death(batch: _Batch, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.trouble("list.died", list=batch.plan.list_id, kind=type(error).__name__)
        batch.problem = JobProblem.from_code("internal", reference=batch.plan.list_id[:8])
