"""A server's database restored to an older state is detected and never sent from; no other is mistaken for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hunyuan_ui import checkpoint
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Job, JobStatus, new_id
from hunyuan_ui.ledger import ReplicaInfo, needs_review, open_shared, restored_ledger
from hunyuan_ui.ledger.restored_ledger import DECISIONS_KEPT, IDS_KEPT
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from tests.ledger.one_folder import stopped_at
from tests.postgres_server import PostgresServer, Rows, load_rows, rows_of
from tests.stored_jobs import PRICE, added, anything_goes, job

Opened = Callable[..., SharedLedger]


@pytest.fixture
def url(tmp_path: Path, postgres_server: PostgresServer) -> str:
    return postgres_server.url(tmp_path)


@pytest.fixture
def opened(url: str) -> Iterator[Opened]:
    """Open ledgers of processes that share the database, each with an optional folder for its records."""
    made = list[SharedLedger]()

    def open_one(folder: Path | None = None) -> SharedLedger:
        made.append(open_shared(url, ReplicaInfo(new_id(), "a", slots=99, one_each=False)))
        made[-1].renew_lease()
        if folder is not None:
            assert not made[-1].mark_unknown_if_older(folder)
        return made[-1]

    yield open_one
    for ledger in made:
        ledger.close()


def statuses(ledger: SharedLedger) -> dict[str, JobStatus]:
    return {found.id: found.status for found in ledger.jobs(None)}


def claimed(ledger: SharedLedger) -> Job:
    sent = ledger.claim(added(ledger).id)
    assert sent is not None
    return sent


def finish(ledger: SharedLedger, job_id: str) -> None:
    """Take a job through all transitions to its video."""
    ledger.claim(job_id)
    ledger.mark_running(job_id, job_id)
    ledger.mark_downloading(job_id, request_id=job_id, result_url=None, cost_usd=1.0, inference_s=1.0)
    ledger.mark_done(job_id, sha256="0" * 64, notes={})


def test_what_waits_in_a_database_that_was_set_back_is_unknown_and_its_owner_is_asked(
    opened: Opened, url: str, tmp_path: Path
) -> None:
    first = opened(tmp_path)
    sent, waiting = added(first), added(first)
    before = rows_of(url)
    assert first.claim(sent.id)
    load_rows(url, before)
    again = opened()
    assert again.mark_unknown_if_older(tmp_path)
    assert needs_review(tmp_path)
    assert statuses(again) == {sent.id: JobStatus.UNKNOWN, waiting.id: JobStatus.UNKNOWN}
    assert {one.problem.code for one in again.unknown() if one.problem} == {"ledger_put_back"}


def test_a_set_back_is_told_once_and_what_is_stored_after_it_is_sent(opened: Opened, url: str, tmp_path: Path) -> None:
    before = state_with_one_sent(opened, url, tmp_path)
    load_rows(url, before)
    again = opened()
    assert again.mark_unknown_if_older(tmp_path)
    assert claimed(again).status is JobStatus.SUBMITTING
    assert not opened().mark_unknown_if_older(tmp_path)


def state_with_one_sent(opened: Opened, url: str, folder: Path) -> Rows:
    """Send a job; return the database's rows from before."""
    ledger = opened(folder)
    waiting = added(ledger)
    before = rows_of(url)
    assert ledger.claim(waiting.id)
    return before


def test_what_another_process_stored_since_is_left_to_it(opened: Opened, url: str, tmp_path: Path) -> None:
    load_rows(url, state_with_one_sent(opened, url, tmp_path))
    later = added(opened())
    again = opened()
    assert again.mark_unknown_if_older(tmp_path)
    assert statuses(again)[later.id] is JobStatus.QUEUED


def test_a_running_process_stores_and_sends_nothing_until_the_newer_state_is_back(
    opened: Opened, url: str, tmp_path: Path
) -> None:
    ledger = opened(tmp_path)
    sent, waiting = added(ledger), added(ledger)
    before = rows_of(url)
    assert ledger.claim(sent.id)
    newer = rows_of(url)
    load_rows(url, before)
    for change in (
        lambda: ledger.claim(sent.id),
        lambda: ledger.claim(waiting.id),
        lambda: ledger.add(job(), anything_goes),
        ledger.try_again,
    ):
        with pytest.raises(StorageError, match="database_set_back"):
            change()
        assert ledger.problem is not None
    load_rows(url, newer)
    ledger.try_again()
    assert ledger.problem is None
    assert ledger.claim(waiting.id)


def test_a_job_under_way_ends_although_the_database_was_set_back_to_when_it_had_been_sent(
    opened: Opened, url: str, tmp_path: Path
) -> None:
    ledger = opened(tmp_path)
    sent = claimed(ledger)
    before = rows_of(url)
    claimed(ledger)
    load_rows(url, before)
    ledger.mark_running(sent.id, "r1")
    ledger.mark_downloading(sent.id, request_id="r1", result_url=None, cost_usd=1.0, inference_s=1.0)
    assert ledger.mark_done(sent.id, sha256="0" * 64, notes={}).status is JobStatus.DONE


def test_a_job_that_was_queued_again_is_no_sign(opened: Opened, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    claimed(ledger)
    ledger.requeue(claimed(ledger).id, None, None)
    assert not opened().mark_unknown_if_older(tmp_path)


def test_what_costs_nothing_is_not_noted(opened: Opened, url: str, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    free, _ = ledger.add(job(payer="nobody"), anything_goes)
    before = rows_of(url)
    assert ledger.claim(free.id)
    load_rows(url, before)
    assert not opened().mark_unknown_if_older(tmp_path)


def test_what_was_sent_to_an_engine_is_noted_as_its_list_may_name_no_prompts(
    opened: Opened, url: str, tmp_path: Path
) -> None:
    ledger = opened(tmp_path)
    sent, _ = ledger.add(job(dialect="openai"), anything_goes)
    before = rows_of(url)
    assert ledger.claim(sent.id)
    load_rows(url, before)
    again = opened()
    assert again.mark_unknown_if_older(tmp_path)
    assert [found.status for found in again.jobs(None)] == [JobStatus.UNKNOWN]


def test_another_database_is_none_that_was_set_back(
    opened: Opened, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    claimed(opened(tmp_path))
    other = open_shared(postgres_server.url(tmp_path / "other"), ReplicaInfo(new_id(), "b", slots=99, one_each=False))
    assert not other.mark_unknown_if_older(tmp_path)
    other.close()


def test_processes_of_one_folder_note_in_one_file(opened: Opened, url: str, tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    before = rows_of(url)
    claimed(one)
    claimed(two)
    assert len(list(tmp_path.glob("ledger.sent-*"))) == 1
    load_rows(url, before)
    assert opened().mark_unknown_if_older(tmp_path)


def test_a_clock_that_another_process_set_right_is_no_sign(opened: Opened, tmp_path: Path, url: str) -> None:
    ledger = opened(tmp_path)
    sent = claimed(ledger)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE jobs SET updated_at = 1, sent_at = 1, created_at = 1 WHERE id = %s", (sent.id,))
    ledger.try_again()
    assert not opened().mark_unknown_if_older(tmp_path)


@pytest.mark.parametrize("note", [b"", b"\xff" * 90, b"+ ../../x 1\n", b"+\n-\n+ a b c\n", b"+ " + b"0" * 32 + b" x\n"])
def test_a_note_that_says_nothing_is_none(opened: Opened, tmp_path: Path, note: bytes) -> None:
    claimed(opened(tmp_path))
    next(tmp_path.glob("ledger.sent-*")).write_bytes(note)
    assert not opened().mark_unknown_if_older(tmp_path)


def test_a_note_that_cannot_be_written_keeps_nothing_from_being_sent(opened: Opened, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    claimed(ledger)
    note = next(tmp_path.glob("ledger.sent-*"))
    note.unlink()
    note.mkdir()
    claimed(ledger)
    assert not opened().mark_unknown_if_older(tmp_path)


@pytest.mark.parametrize("step", ["begin", "commit", "committed"])
def test_a_stop_while_a_set_back_is_found_sends_nothing_again(
    opened: Opened, url: str, tmp_path: Path, step: str
) -> None:
    load_rows(url, state_with_one_sent(opened, url, tmp_path))
    with stopped_at(f"ledger.older.{step}"):
        opened().mark_unknown_if_older(tmp_path)
    again = opened()
    again.mark_unknown_if_older(tmp_path)
    assert set(statuses(again).values()) == {JobStatus.UNKNOWN}
    assert needs_review(tmp_path)


def test_only_the_last_of_many_are_asked_about(opened: Opened, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    claimed(ledger)
    note = next(tmp_path.glob("ledger.sent-*"))
    note.write_bytes(b"".join(b"+ %032x 1.0\n" % number for number in range(5000)))
    for _ in range(IDS_KEPT):
        claimed(ledger)
    assert not opened().mark_unknown_if_older(tmp_path)


@pytest.mark.parametrize(
    "look", [SharedLedger.try_again, lambda ledger: ledger.mark_sent_unknown(ledger.updates().unsent)]
)
def test_what_another_process_of_the_folder_queues_again_is_no_sign(
    look: Callable[[SharedLedger], object], opened: Opened, tmp_path: Path
) -> None:
    one = opened(tmp_path)
    sent = claimed(one)
    other = opened(tmp_path)
    one.requeue(sent.id, None, None)
    look(other)
    assert one.claim(sent.id)


def test_what_was_sent_is_stored_again_as_its_process_has_it_and_what_waits_is_not(
    opened: Opened, url: str, tmp_path: Path
) -> None:
    ledger = opened(tmp_path)
    before = rows_of(url)
    running, made, waiting = claimed(ledger), claimed(ledger), added(ledger)
    running = ledger.mark_running(running.id, "r1")
    made = ledger.mark_running(made.id, "r2")
    ledger.mark_downloading(made.id, request_id="r2", result_url=None, cost_usd=1.0, inference_s=1.0)
    made = ledger.mark_done(made.id, sha256="0" * 64, notes={})
    load_rows(url, before)
    with pytest.raises(StorageError, match="database_set_back"):
        ledger.try_again()
    assert ledger.restore_rows([running, made, waiting]) == {running.id, made.id}
    ledger.try_again()
    assert statuses(ledger) == {running.id: JobStatus.RUNNING, made.id: JobStatus.DONE}


def test_a_job_that_waits_is_not_sent_again_by_what_it_was_before(opened: Opened, url: str, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    waiting = added(ledger)
    before = rows_of(url)
    assert ledger.claim(waiting.id)
    load_rows(url, before)
    assert ledger.restore_rows([waiting]) == set()
    ledger.mark_sent_unknown(ledger.updates().unsent)
    assert statuses(ledger) == {waiting.id: JobStatus.UNKNOWN}


def test_of_two_that_are_being_sent_the_one_that_is_stored_again_first_leaves_the_other_alone(
    opened: Opened, url: str, tmp_path: Path
) -> None:
    ledger = opened(tmp_path)
    waiting = [added(ledger), added(ledger)]
    before = rows_of(url)
    one, other = (ledger.claim(job.id) for job in waiting)
    assert one is not None
    assert other is not None
    load_rows(url, before)
    assert ledger.restore_rows([one]) == {one.id}
    assert statuses(ledger) == {one.id: JobStatus.SUBMITTING, other.id: JobStatus.QUEUED}
    assert ledger.restore_rows([other]) == {other.id}
    assert ledger.mark_running(other.id, "r1").status is JobStatus.RUNNING


def test_a_job_that_was_just_queued_again_is_not_taken_for_one_that_is_being_sent(opened: Opened) -> None:
    ledger = opened()
    sent = claimed(ledger)
    ledger.requeue(sent.id, None, None)
    assert ledger.restore_rows([sent]) == set()
    assert statuses(ledger) == {sent.id: JobStatus.QUEUED}


def test_an_answer_that_comes_after_the_doubt_is_taken_by_its_process_whoever_had_the_older_row(
    opened: Opened, url: str, tmp_path: Path
) -> None:
    ledger, other = opened(tmp_path), opened()
    waiting = added(ledger)
    before = rows_of(url)
    before[0][0]["worker"] = other.process
    assert ledger.claim(waiting.id)
    load_rows(url, before)
    ledger.mark_sent_unknown([waiting.id])
    assert statuses(ledger) == {waiting.id: JobStatus.UNKNOWN}
    assert ledger.mark_running(waiting.id, "r1").status is JobStatus.RUNNING


def test_a_job_that_is_stored_as_it_is_stays_so(opened: Opened) -> None:
    ledger, other = opened(), opened()
    running, strange = claimed(ledger), claimed(other)
    ledger.mark_running(running.id, "r1")
    assert ledger.restore_rows([running, strange]) == set()
    assert statuses(ledger) == {running.id: JobStatus.RUNNING, strange.id: JobStatus.SUBMITTING}


def test_a_claim_whose_commit_was_not_known_is_noted_before_the_job_is_sent(
    opened: Opened, url: str, tmp_path: Path
) -> None:
    ledger = opened(tmp_path)
    waiting = added(ledger)
    before = rows_of(url)
    with lost_after("ledger.claim.committed"), pytest.raises(StorageError):
        ledger.claim(waiting.id)
    ledger.try_again()
    sent = ledger.claim(waiting.id)
    assert sent is not None
    assert sent.status is JobStatus.SUBMITTING
    load_rows(url, before)
    assert opened().mark_unknown_if_older(tmp_path)


@contextmanager
def lost_after(name: str) -> Iterator[None]:
    """Break the connection at a checkpoint inside the block."""

    def fail(passed: str) -> None:
        if passed == name:
            raise psycopg.OperationalError

    checkpoint.hook = fail
    yield
    checkpoint.hook = None


@pytest.mark.parametrize("is_anothers", [False, True])
def test_what_was_cancelled_before_a_set_back_is_cancelled_again_whoever_has_it(
    is_anothers: bool, opened: Opened, url: str
) -> None:
    ledger, other = opened(), opened()
    waiting, kept = added(other if is_anothers else ledger), added(ledger)
    before = rows_of(url)
    assert ledger.cancel(waiting.id)
    assert ledger.updates().lost_decisions == set()
    load_rows(url, before)
    assert ledger.updates().lost_decisions == {waiting.id}
    ledger.repeat_decisions({waiting.id})
    assert statuses(ledger) == {waiting.id: JobStatus.CANCELLED, kept.id: JobStatus.QUEUED}
    assert ledger.updates().lost_decisions == set()


@pytest.mark.parametrize("ends", [SharedLedger.cancel, finish])
def test_what_was_deleted_before_a_set_back_is_deleted_again_with_its_prompt(
    ends: Callable[[SharedLedger, str], object], opened: Opened, url: str
) -> None:
    ledger = opened()
    deleted = added(ledger, "a secret")
    ends(ledger, deleted.id)
    before = rows_of(url)
    assert ledger.hide(deleted.id)
    load_rows(url, before)
    assert ledger.get(deleted.id) is not None
    ledger.repeat_decisions(ledger.updates().lost_decisions)
    assert ledger.get(deleted.id) is None
    assert "a secret" not in str(rows_of(url))
    assert ledger.to_delete() == [deleted.id]


def test_what_could_not_be_deleted_is_not_deleted_later(opened: Opened) -> None:
    ledger = opened()
    running = claimed(ledger)
    assert not ledger.hide(running.id)
    finish(ledger, running.id)
    assert ledger.updates().lost_decisions == set()


def test_what_could_not_be_cancelled_is_not_cancelled_when_it_is_queued_again(opened: Opened) -> None:
    ledger = opened()
    sent = claimed(ledger)
    assert ledger.cancel(sent.id) is None
    ledger.requeue(sent.id, None, None)
    assert ledger.updates().lost_decisions == set()


def test_what_was_sent_and_deleted_is_in_doubt_when_it_is_queued_again_and_never_cancelled(
    opened: Opened, url: str, tmp_path: Path
) -> None:
    ledger = opened(tmp_path)
    made = added(ledger)
    before = rows_of(url)
    finish(ledger, made.id)
    ledger.hide(made.id)
    load_rows(url, before)
    assert ledger.updates().lost_decisions == set()
    ledger.mark_sent_unknown(ledger.updates().unsent)
    assert statuses(ledger) == {made.id: JobStatus.UNKNOWN}
    ledger.repeat_decisions(ledger.updates().lost_decisions)
    assert statuses(ledger) == {}
    assert ledger.totals("").total_microusd == PRICE


def test_only_the_newest_decisions_are_asked_about(opened: Opened, url: str) -> None:
    ledger = opened()
    waiting = [added(ledger).id for _ in range(3)]
    before = rows_of(url)
    for number, job_id in enumerate(waiting):
        ledger.cancel(job_id)
        if number == 0:
            for other in range(DECISIONS_KEPT - 2):
                restored_ledger.remember(ledger._recent_decisions.cancelled, f"{other:032x}")
    load_rows(url, before)
    assert ledger.updates().lost_decisions == set(waiting[1:])
