from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hunyuan_ui import checkpoint
from hunyuan_ui.errors import AccessError, SpendLimitError, StorageError
from hunyuan_ui.job import Job, JobProblem, JobStatus
from hunyuan_ui.ledger import Ledger, open_ledger
from hunyuan_ui.limits import SpendLimits, Totals
from hunyuan_ui.settings import Secret, Settings
from tests.ledger.one_folder import stopped_at
from tests.stored_jobs import (
    ALICE,
    BOB,
    NOON,
    PRICE,
    Clock,
    added,
    anything_goes,
    file_of,
    finished,
    in_status,
    job,
    opened_ledger,
)

pytestmark = pytest.mark.usefixtures("database")  # every test on SQLite and on PostgreSQL

PROBLEM = JobProblem.from_code("job_failed", detail="no")
QUEUED, SUBMITTING, RUNNING = JobStatus.QUEUED, JobStatus.SUBMITTING, JobStatus.RUNNING
DOWNLOADING, DONE, FAILED = JobStatus.DOWNLOADING, JobStatus.DONE, JobStatus.FAILED
CANCELLED, UNKNOWN, LOST = JobStatus.CANCELLED, JobStatus.UNKNOWN, JobStatus.LOST


# adding jobs


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_step_of_a_job_asks_the_database_more_than_it_must(ledger: Ledger) -> None:
    """On a server each statement is a round trip."""
    asked = list[str]()
    file_of(ledger).connection.set_trace_callback(asked.append)
    finished(ledger)
    words = [statement.split()[0] for statement in asked]
    step = ["BEGIN", "SELECT", "UPDATE", "COMMIT"]
    assert words == ["BEGIN", "SELECT", "INSERT", "COMMIT", *step, *step, *step, *step]


def test_what_a_step_returns_is_what_is_stored(ledger: Ledger) -> None:
    """For every kind of value: text, numbers, none, JSON."""
    notes = {"estimate_usd": 1.5, "a": [1, None, {"ü": "'; --"}]}
    asked, other, late, odd = (ledger.add(job(notes=notes), anything_goes)[0] for _ in range(4))
    for returned in (
        lambda: ledger.claim(asked.id),
        lambda: ledger.requeue(asked.id, NOON + 9.25, PROBLEM, {**notes, "tries": 1}),
        lambda: ledger.claim(asked.id),
        lambda: ledger.mark_running(asked.id, "R-1", cost_usd=None, server="a'b"),
        lambda: ledger.name_cost(asked.id, 99.0),
        lambda: ledger.mark_downloading(
            asked.id, request_id="R-1", result_url="https://x/?a='", cost_usd=1.46, inference_s=211.125, queue_s=0.1
        ),
        lambda: ledger.mark_lost(asked.id, PROBLEM, cost_usd=99.0, inference_s=1e-9),
        lambda: ledger.retry_lost(asked.id),
        lambda: ledger.mark_done(asked.id, sha256="0" * 64, notes={"width": 864, "fps": 24.0}),
        lambda: ledger.correct_cost(asked.id, 1.25, "seen ü"),
        lambda: ledger.claim(late.id),
        lambda: ledger.mark_running(late.id, "r1"),  # of another job: it becomes unknown
        lambda: ledger.settle_unknown(late.id, was_charged=True),
        lambda: ledger.cancel(other.id),
        lambda: ledger.mark_failed(odd.id, PROBLEM),
        lambda: ledger.note(odd.id, reviewed=True),
    ):
        job_after = returned()
        assert job_after is not None
        assert ledger.get(job_after.id) == job_after
    assert [ledger.claim(asked.id), ledger.cancel(late.id), ledger.retry_lost(odd.id)] == [None] * 3
    assert ledger.claim("f" * 32) is None


def test_what_a_claim_notes_stands_beside_what_is_known_and_only_if_the_job_is_sent(ledger: Ledger) -> None:
    asked = ledger.add(job(notes={"budget_usd": 3.0, "key": "of an earlier attempt"}), anything_goes)[0]

    def refuse(_job: Job, _totals: Totals) -> int:
        raise SpendLimitError("over_daily_limit")

    held = ledger.claim(asked.id, refuse, key="of this one")
    assert held is not None
    assert (held.status, held.notes) == (QUEUED, asked.notes)
    sent = ledger.claim(asked.id, key="of this one")
    assert sent == ledger.get(asked.id)
    assert sent is not None
    assert (sent.status, sent.notes) == (SUBMITTING, {"budget_usd": 3.0, "key": "of this one"})


def test_a_job_comes_back_as_it_was_stored(ledger: Ledger, clock: Clock) -> None:
    asked = job("狐狸 👩‍🚀 \\ % _ \"quoted\" 'single'; DROP TABLE jobs", notes={"a": [1, None, "ü"]}, problem=PROBLEM)
    stored, is_new = ledger.add(asked, anything_goes)
    assert is_new
    assert stored == replace(asked, created_at=clock.at, updated_at=clock.at)
    assert ledger.get(asked.id) == stored


def test_the_same_id_twice_is_one_row(ledger: Ledger) -> None:
    first = added(ledger)
    again, is_new = ledger.add(replace(job("something else"), id=first.id), anything_goes)
    assert (again, is_new) == (first, False)
    assert len(ledger.jobs(None)) == 1


def test_a_known_id_asks_the_guard_no_second_time(ledger: Ledger) -> None:
    def refuse(job: Job, totals: Totals) -> None:
        raise SpendLimitError("visitor_busy")

    first = added(ledger)
    assert ledger.add(first, refuse) == (first, False)


def test_an_id_of_another_visitor_is_refused(ledger: Ledger) -> None:
    first = added(ledger)
    with pytest.raises(AccessError):
        ledger.add(replace(first, visitor=BOB), anything_goes)
    assert ledger.get(first.id) == first


def test_a_deleted_job_is_not_made_again_by_a_late_click(ledger: Ledger) -> None:
    first = finished(ledger)
    ledger.hide(first.id)
    assert not ledger.add(replace(first, status=QUEUED), anything_goes)[1]
    assert ledger.active() == []


def test_a_deleted_job_leaves_nothing_that_the_service_said_of_it(ledger: Ledger) -> None:
    sent = in_status(ledger, SUBMITTING, sent_at=NOON)
    said = {"code": "gateway_failed", "facts": {"detail": "no heron in the prompt 'a heron'"}}
    ledger.mark_running(sent.id, "request-1", unconfirmed=said)
    ledger.mark_lost(sent.id, JobProblem.from_code("video_lost", request_id="request-1"))
    ledger.hide(sent.id)
    rows = ledger._connection.execute("SELECT * FROM jobs").fetchall()
    assert "heron" not in str(rows)


def test_a_refused_job_leaves_nothing(ledger: Ledger) -> None:
    def refuse(job: Job, totals: Totals) -> None:
        raise SpendLimitError("queue_full", count=20)

    asked = job()
    with pytest.raises(SpendLimitError):
        ledger.add(asked, refuse)
    assert ledger.ids() == set()
    assert ledger.add(asked, anything_goes)[1]


@pytest.mark.parametrize("point", ["ledger.add.begin", "ledger.add.commit"])
@pytest.mark.parametrize(("failure", "raised"), [("of the database", StorageError), (OSError, OSError)])
def test_a_job_that_cannot_be_committed_leaves_nothing(
    tmp_path: Path, database: str, point: str, failure: Any, raised: Any
) -> None:
    if raised is StorageError:
        failure = {"sqlite": sqlite3.OperationalError("disk is full"), "postgres": psycopg.errors.DiskFull()}[database]

    fail = True

    def at(name: str) -> None:
        if fail and name == point:
            raise failure

    checkpoint.hook = at
    book = opened_ledger(tmp_path)
    asked = job()
    with pytest.raises(raised):
        book.add(asked, anything_goes)
    assert book.ids() == set()
    fail = False
    assert book.add(asked, anything_goes)[1]
    book.close()


def test_what_is_committed_is_there_for_the_next_process(tmp_path: Path) -> None:
    book = opened_ledger(tmp_path)
    asked = job()
    with stopped_at("ledger.add.committed"):
        book.add(asked, anything_goes)
    book.close()
    again = opened_ledger(tmp_path)
    assert [found.id for found in again.active()] == [asked.id]
    again.close()


@pytest.mark.parametrize("books", [1, 2])
def test_eight_threads_never_pass_a_limit(tmp_path: Path, books: int) -> None:
    settings = Settings(data_dir=tmp_path, api_key=Secret("SG_0123456789"), daily_limit_usd=10 * PRICE / 1e6)
    check = SpendLimits(settings).check
    opened = [opened_ledger(tmp_path) for _ in range(books)]
    start = threading.Barrier(8)

    def spend(thread: int) -> int:
        start.wait()
        won = 0
        for _ in range(5):
            try:
                won += opened[thread % books].add(job(), check)[1]
            except SpendLimitError as error:
                assert error.code == "over_daily_limit"  # noqa: PT017 - some pass, the others must fail so
        return won

    with ThreadPoolExecutor(8) as pool:
        won = sum(pool.map(spend, range(8)))
    assert won == 10
    assert opened[0].totals(ALICE).total_microusd == 10 * PRICE
    for book in opened:
        book.close()


@pytest.mark.parametrize("books", [1, 2])
def test_eight_threads_never_send_beyond_a_limit(tmp_path: Path, books: int) -> None:
    settings = Settings(data_dir=tmp_path, api_key=Secret("SG_0123456789"), daily_limit_usd=10 * PRICE / 1e6)
    dear = 2.5 * PRICE / 1e6  # by the calibration since they were stored
    opened = [opened_ledger(tmp_path) for _ in range(books)]
    waiting = [added(opened[0]) for _ in range(20)]
    start = threading.Barrier(8)

    def send(thread: int) -> int:
        start.wait()
        book, check = opened[thread % books], SpendLimits(settings).check_sending
        sent = [book.claim(found.id, lambda job, totals: check(job, totals, dear)) for found in waiting]
        return sum(one is not None and one.status is SUBMITTING for one in sent)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, range(8))) == 4
    kept = opened[0].totals(ALICE)
    assert (kept.today_microusd - kept.queued_microusd, kept.queued_microusd) == (10 * PRICE, 16 * PRICE)
    held = opened[0].jobs(None, statuses=frozenset({QUEUED}))
    assert {(one.held_by, one.sent_at, one.reserved_microusd) for one in held} == {("over_daily_limit", None, PRICE)}
    assert opened[-1].claim(held[0].id) is not None  # its problem is removed when it is sent
    sent = opened[0].get(held[0].id)
    assert sent is not None
    assert (sent.status, sent.problem, sent.held_by) == (SUBMITTING, None, None)
    for book in opened:
        book.close()


def test_eight_threads_claim_a_job_once(tmp_path: Path) -> None:
    opened = [opened_ledger(tmp_path) for _ in range(2)]
    waiting = [added(opened[0]) for _ in range(20)]
    start = threading.Barrier(8)

    def claim(thread: int) -> int:
        start.wait()
        return sum(opened[thread % 2].claim(found.id) is not None for found in waiting)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 20
    for book in opened:
        book.close()


# transitions

TRANSITIONS: dict[str, tuple[Callable[[Ledger, str], Job | None], JobStatus, set[JobStatus]]] = {
    "claim": (lambda book, id_: book.claim(id_), SUBMITTING, {QUEUED}),
    "requeue": (lambda book, id_: book.requeue(id_, None, PROBLEM), QUEUED, {SUBMITTING}),
    "running": (lambda book, id_: book.mark_running(id_, "request-1"), RUNNING, {SUBMITTING}),
    "downloading": (
        lambda book, id_: book.mark_downloading(id_, request_id=None, result_url=None, cost_usd=None, inference_s=None),
        DOWNLOADING,
        {SUBMITTING, RUNNING, DOWNLOADING},
    ),
    "done": (lambda book, id_: book.mark_done(id_, sha256="0", notes={}), DONE, {DOWNLOADING}),
    "failed": (lambda book, id_: book.mark_failed(id_, PROBLEM), FAILED, {QUEUED, SUBMITTING, RUNNING}),
    "unknown": (lambda book, id_: book.mark_unknown(id_, PROBLEM), UNKNOWN, {SUBMITTING, RUNNING}),
    "lost": (lambda book, id_: book.mark_lost(id_, PROBLEM), LOST, {RUNNING, DOWNLOADING}),
    "cancel": (lambda book, id_: book.cancel(id_), CANCELLED, {QUEUED}),
    "was charged": (lambda book, id_: book.settle_unknown(id_, was_charged=True), LOST, {UNKNOWN}),
    "was not charged": (lambda book, id_: book.settle_unknown(id_, was_charged=False), FAILED, {UNKNOWN}),
}

# Another caller may have been faster: these return whether they changed the job, the others must have.
ASKED = {"claim", "cancel", "was charged", "was not charged"}


@pytest.mark.parametrize("begun", JobStatus, ids=lambda status: status.value)
@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_job_moves_only_where_the_design_says(ledger: Ledger, clock: Clock, name: str, begun: JobStatus) -> None:
    move, to, allowed = TRANSITIONS[name]
    other = in_status(ledger, begun)
    before = in_status(ledger, begun)
    clock.at += 60
    try:
        moved = move(ledger, before.id)
    except RuntimeError:
        moved = None
    after = ledger.get(before.id)
    assert after is not None
    assert (moved is not None) == (begun in allowed)
    if moved is None:
        assert (after.status, after.updated_at) == (begun, clock.at - 60)
    else:
        assert moved == after
        assert (after.status, after.updated_at) == (to, clock.at)
    untouched = ledger.get(other.id)
    assert untouched is not None
    assert untouched.status == begun


@pytest.mark.parametrize("name", TRANSITIONS)
def test_no_move_makes_a_job_of_an_id_that_is_not_there(ledger: Ledger, name: str) -> None:
    if name in ASKED:
        assert TRANSITIONS[name][0](ledger, "f" * 32) is None
    else:
        with pytest.raises(RuntimeError, match="f" * 32):
            TRANSITIONS[name][0](ledger, "f" * 32)
    assert ledger.ids() == set()


@pytest.mark.parametrize("begun", [SUBMITTING, RUNNING, DOWNLOADING, DONE, LOST, UNKNOWN])
def test_what_was_sent_is_not_sent_again_by_a_click_or_a_note(ledger: Ledger, begun: JobStatus) -> None:
    sent = in_status(ledger, begun, sent_at=NOON)
    ledger.add(replace(sent, status=QUEUED, sent_at=None), anything_goes)
    ledger.note(sent.id, reviewed=True)
    ledger.hide(sent.id)
    assert ledger.claim(sent.id) is None


def test_the_way_of_a_job_is_recorded(ledger: Ledger, clock: Clock) -> None:
    begun = added(ledger)
    clock.at += 10
    sent = ledger.claim(begun.id)
    assert sent is not None
    assert sent.sent_at == clock.at
    assert ledger.mark_running(begun.id, "request-1").request_id == "request-1"
    clock.at += 200
    settled = ledger.mark_downloading(
        begun.id,
        request_id="request-1",
        result_url="https://x.example/v.mp4",
        cost_usd=1.46,
        inference_s=211.0,
        queue_s=2.0,
    )
    assert (settled.cost_microusd, settled.inference_s, settled.queue_s) == (1_460_000, 211.0, 2.0)
    assert settled.ended_at is None
    clock.at += 5
    done = ledger.mark_done(begun.id, sha256="0" * 64, notes={"width": 864})
    assert (done.ended_at, done.sha256, done.notes) == (clock.at, "0" * 64, {"width": 864})
    assert (done.result_url, done.sent_at) == ("https://x.example/v.mp4", sent.sent_at)


def test_a_requeued_job_was_not_sent_and_waits_with_its_reason(ledger: Ledger, clock: Clock) -> None:
    begun = added(ledger)
    ledger.claim(begun.id)
    back = ledger.requeue(begun.id, clock.at + 30, PROBLEM)
    assert (back.sent_at, back.not_before, back.problem) == (None, clock.at + 30, PROBLEM)
    again = ledger.claim(begun.id)
    assert again is not None
    assert again.not_before is None


def test_a_cost_that_was_named_once_stays_when_a_later_answer_names_none(ledger: Ledger) -> None:
    begun = in_status(ledger, RUNNING, request_id="request-1")
    ledger.mark_downloading(begun.id, request_id="request-1", result_url="https://x/1", cost_usd=0.9, inference_s=130.0)
    again = ledger.mark_downloading(
        begun.id, request_id=None, result_url="https://x/2", cost_usd=None, inference_s=None
    )
    assert (again.cost_microusd, again.inference_s, again.request_id) == (900_000, 130.0, "request-1")
    assert again.result_url == "https://x/2"


def test_notes_are_merged(ledger: Ledger) -> None:
    stored = in_status(ledger, DONE, notes={"width": 864})
    assert ledger.note(stored.id, reviewed=True).notes == {"width": 864, "reviewed": True}
    with pytest.raises(AccessError):
        ledger.note("f" * 32, reviewed=True)


def test_a_job_is_adopted_once_and_never_from_the_future(ledger: Ledger, clock: Clock) -> None:
    ahead = clock.at + 1e9
    found = job(status=DONE, created_at=clock.at - 50, updated_at=ahead, sent_at=ahead, ended_at=ahead)
    assert ledger.adopt(found)
    assert not ledger.adopt(replace(found, visitor=BOB))
    kept = ledger.get(found.id)
    assert kept is not None
    assert (kept.visitor, kept.created_at, kept.sent_at, kept.ended_at) == (ALICE, clock.at - 50, clock.at, clock.at)
    assert ledger.now() == clock.at


@pytest.mark.parametrize("ended", [DONE, LOST, UNKNOWN, FAILED, CANCELLED])
def test_a_deleted_job_is_not_brought_back_by_a_file_that_is_found(ledger: Ledger, ended: JobStatus) -> None:
    gone = in_status(ledger, ended)
    ledger.hide(gone.id)
    before = ledger.totals(ALICE)
    assert not ledger.adopt(replace(gone, status=DONE, sha256="0" * 64, cost_microusd=2 * PRICE))
    assert ledger.get(gone.id) is None
    assert ledger.jobs(None) == []
    assert ledger.totals(ALICE) == before
    assert ledger.ids("done") == ({gone.id} if ended is DONE else set())


# the clock


def test_a_clock_set_back_opens_no_new_day(tmp_path: Path, ledger: Ledger, clock: Clock) -> None:
    finished(ledger)
    noon = clock.at
    clock.at -= 3 * 86_400
    assert ledger.now() == noon
    assert ledger.totals(ALICE).today_microusd == 1_460_000
    assert added(ledger).created_at == noon
    reopened = opened_ledger(tmp_path, clock)
    assert reopened.now() == noon
    reopened.close()


def test_a_clock_that_goes_on_opens_the_next_day(ledger: Ledger, clock: Clock) -> None:
    finished(ledger)
    clock.at += 86_400
    assert ledger.totals(ALICE).today_microusd == 0
    assert ledger.totals(ALICE).total_microusd == 1_460_000


# a ledger that cannot be used


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_ledger_locked_by_somebody_else_is_busy_and_nothing_is_stored(tmp_path: Path) -> None:
    opened = open_ledger(tmp_path)
    opened.database.connection.execute("PRAGMA busy_timeout = 20")
    book = Ledger(opened.database, now=Clock())
    other = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError) as caught:
        book.add(job(), anything_goes)
    assert caught.value.code == "ledger_busy"
    other.execute("ROLLBACK")
    other.close()
    assert book.ids() == set()
    assert book.add(job(), anything_goes)[1]
    book.close()


def test_a_closed_ledger_says_that_the_server_stops(tmp_path: Path) -> None:
    book = opened_ledger(tmp_path)
    book.close()
    for use in (lambda: book.add(job(), anything_goes), lambda: book.jobs(None)):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.code == "stopping"


def test_the_time_is_told_while_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    told: list[float] = []

    def ask(name: str) -> None:
        if name == "ledger.add.commit":
            asking = threading.Thread(target=lambda: told.append(ledger.now()))
            asking.start()
            asking.join(5)
            assert told

    checkpoint.hook = ask
    ledger = opened_ledger(tmp_path / "data")
    added(ledger)
    assert told == [NOON]
    ledger.close()


def test_only_what_was_sent_has_an_amount_to_put_right(ledger: Ledger) -> None:
    refused = in_status(ledger, FAILED, sent_at=None)
    assert ledger.correct_cost(refused.id, 1.0, "") is None
    sent = in_status(ledger, FAILED, sent_at=1.0)
    corrected = ledger.correct_cost(sent.id, 1.0, "it was charged")
    assert corrected is not None
    assert (corrected.status, corrected.cost_microusd) == (LOST, 1_000_000)


def test_what_the_owner_says_a_lost_job_cost_is_no_part_of_its_price(ledger: Ledger) -> None:
    begun = added(ledger)
    ledger.claim(begun.id)
    ledger.mark_running(begun.id, "request-1")
    ledger.name_cost(begun.id, 0.5, is_so_far=True)
    ledger.mark_lost(begun.id, PROBLEM)
    assert ledger.correct_cost(begun.id, 0.3, "the bill")
    assert ledger.retry_lost(begun.id)
    assert ledger.mark_lost(begun.id, PROBLEM).counted_microusd == 300_000
