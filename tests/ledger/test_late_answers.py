"""What a process learns late of its own POST, after another one has taken the job over."""

from __future__ import annotations

import pytest

from hunyuan_ui.job import Job, JobProblem, JobStatus
from hunyuan_ui.ledger import TakenOverError
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from tests.ledger.one_database import Opened, lapse, statuses
from tests.ledger.one_database import opened as opened
from tests.stored_jobs import added

pytestmark = pytest.mark.slow


def taken_over(opened: Opened) -> tuple[SharedLedger, SharedLedger, Job]:
    """Return a process that has sent a job and fell silent, the one that took over from it, and the job."""
    late, other = opened("late"), opened("other")
    sent = added(late)
    late.claim(sent.id)
    lapse(other)
    other.take_over()
    return late, other, sent


@pytest.mark.parametrize("answer", ["id", "video"])
def test_a_late_answer_to_its_own_post_brings_the_job_back_to_its_sender(opened: Opened, answer: str) -> None:
    late, other, sent = taken_over(opened)
    if answer == "id":
        back = late.mark_running(sent.id, "r1")
        assert back.status is JobStatus.RUNNING
    else:
        back = late.mark_downloading(sent.id, request_id="r1", result_url=None, cost_usd=1.4, inference_s=2)
        assert back.status is JobStatus.DOWNLOADING
    assert (back.request_id, back.ended_at, back.problem) == ("r1", None, None)
    assert late.own(sent.id) == back
    with pytest.raises(TakenOverError):
        other.own(sent.id)


@pytest.mark.parametrize("learned", ["not sent", "refused"])
def test_what_its_own_process_learns_late_of_a_post_that_costs_nothing_ends_the_doubt(
    opened: Opened, learned: str
) -> None:
    late, other, sent = taken_over(opened)
    refused = JobProblem.from_code("refused", status=422, detail="")
    if learned == "not sent":
        ended = late.requeue(sent.id, late.now() + 5, JobProblem.from_code("unreachable", reason="ConnectTimeout"))
    else:
        ended = late.mark_failed(sent.id, refused)
    assert ended == other.get(sent.id)
    assert ended.status is JobStatus.FAILED
    assert ended.problem == (JobProblem.from_code("stood_still") if learned == "not sent" else refused)
    assert other.totals("").total_microusd == 0
    assert other.updates().has_unowned is False


def looked_for(opened: Opened, *, has_given_up: bool) -> tuple[SharedLedger, SharedLedger, Job]:
    """Return a process that fell silent while it sent to an engine, the one that looks for its job there, and that."""
    late, other = opened("late"), opened("other")
    sent = added(late, dialect="openai")
    late.claim(sent.id)
    lapse(other)
    assert [job.status for job in other.take_over()] == [JobStatus.SUBMITTING]
    if has_given_up:
        other.mark_unknown(sent.id, JobProblem.from_code("interrupted"))
    return late, other, sent


@pytest.mark.parametrize("has_given_up", [True, False])
def test_a_late_answer_of_an_engine_brings_the_job_back_from_who_looked_for_it(
    opened: Opened, *, has_given_up: bool
) -> None:
    late, other, sent = looked_for(opened, has_given_up=has_given_up)
    late.renew_lease()
    back = late.mark_running(sent.id, "r1")
    assert (back.status, back.request_id, back.ended_at, back.problem) == (JobStatus.RUNNING, "r1", None, None)
    assert late.own(sent.id) == back
    assert late.updates().own == {sent.id}
    with pytest.raises(TakenOverError):
        other.mark_unknown(sent.id, JobProblem.from_code("interrupted"))


@pytest.mark.parametrize("has_given_up", [True, False])
def test_a_late_refusal_of_an_engine_ends_the_doubt_of_who_looked_for_it(opened: Opened, *, has_given_up: bool) -> None:
    late, other, sent = looked_for(opened, has_given_up=has_given_up)
    late.mark_failed(sent.id, JobProblem.from_code("engine_refused", status=422, detail=""))
    assert statuses(other) == [JobStatus.FAILED]
    assert other.totals("").total_microusd == 0


def test_who_found_the_job_at_the_engine_keeps_it(opened: Opened) -> None:
    late, other, sent = looked_for(opened, has_given_up=False)
    found = other.mark_running(sent.id, "r1")
    with pytest.raises(TakenOverError):
        late.mark_running(sent.id, "r1")
    assert other.own(sent.id) == found


def test_an_answer_that_is_late_says_nothing_of_another_post_of_the_job(opened: Opened) -> None:
    late, other = opened("late"), opened("other")
    sent = added(late, dialect="openai")
    late.claim(sent.id)
    late.requeue(sent.id, None, None)
    lapse(other)
    other.take_over()
    assert other.claim(sent.id) is not None
    for change in (
        lambda: late.requeue(sent.id, None, None),  # again, as its commit had no answer
        lambda: late.mark_failed(sent.id, JobProblem.from_code("interrupted")),
    ):
        with pytest.raises(TakenOverError):
            change()
    assert other.mark_running(sent.id, "r2").status is JobStatus.RUNNING


def test_a_cost_that_its_own_process_learns_late_is_counted(opened: Opened) -> None:
    late, other, sent = taken_over(opened)
    late.mark_unknown(sent.id, JobProblem.from_code("refused_but_charged", status=500, detail=""), cost_usd=1.25)
    assert other.totals("").total_microusd == 1_250_000


def test_what_is_learned_late_adds_no_word_to_a_deleted_job(opened: Opened) -> None:
    late, other, sent = taken_over(opened)
    assert other.hide(sent.id)
    with pytest.raises(TakenOverError):
        late.mark_failed(sent.id, JobProblem.from_code("refused", status=422, detail=sent.request.prompt))
    assert "heron" not in str(other._connection.execute("SELECT * FROM jobs").fetchall())


def test_nothing_learned_late_outweighs_the_owners_word(opened: Opened) -> None:
    late, other, sent = taken_over(opened)
    other.settle_unknown(sent.id, was_charged=True)
    with pytest.raises(TakenOverError):
        late.requeue(sent.id, None, None)
    assert other.totals("").total_microusd == sent.reserved_microusd


def test_a_late_answer_after_the_owners_word_is_kept_and_changes_nothing_else(opened: Opened) -> None:
    late, other, sent = taken_over(opened)
    other.settle_unknown(sent.id, was_charged=True)
    for request_id in ("r1", "r2"):  # the first one stays
        with pytest.raises(TakenOverError):
            late.mark_running(sent.id, request_id)
    kept = other.get(sent.id)
    assert kept is not None
    assert (kept.status, kept.request_id) == (JobStatus.LOST, "r1")
    assert other.retry_lost(sent.id) is not None
    assert other.updates().own == {sent.id}


@pytest.mark.parametrize("settle", ["decision", "amount"])
def test_a_late_answer_that_the_service_has_the_request_outweighs_the_word_that_nothing_was_charged(
    opened: Opened, settle: str
) -> None:
    late, other, sent = taken_over(opened)
    if settle == "decision":
        other.settle_unknown(sent.id, was_charged=False)
    else:
        other.correct_cost(sent.id, 0.0, "")
    assert other.totals("").total_microusd == 0
    assert late.mark_running(sent.id, "r1").status is JobStatus.RUNNING
    assert other.totals("").total_microusd == sent.reserved_microusd


def test_a_late_answer_outweighs_a_cancellation_in_a_database_that_lost_the_sending(opened: Opened) -> None:
    late, other = opened("late"), opened("other")
    sent = added(late)
    late.claim(sent.id)
    with late.database.transaction("test") as connection:
        connection.execute("UPDATE jobs SET status = 'queued', sent_at = NULL WHERE id = ?", (sent.id,))
    assert other.cancel(sent.id) is not None
    back = late.mark_running(sent.id, "r1")
    assert back.status is JobStatus.RUNNING
    assert back.sent_at is not None
    assert other.totals("").today_microusd == sent.reserved_microusd
