"""Charges that only the account's history or its owner knows are added to the ledger once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui import checkpoint
from hunyuan_ui.job import OWNER, Job, JobProblem, JobStatus
from hunyuan_ui.ledger import DECLARED_USD, FROM_HISTORY, UNTIMED, Ledger
from hunyuan_ui.request import VideoRequest
from tests.stored_jobs import DAY_S, NOON, PRICE, Clock, added, finished, in_status, job, opened_ledger

pytestmark = pytest.mark.usefixtures("database")  # every test on SQLite and on PostgreSQL

HOUR_S = 3600
COST = 1_460_000


def found(request_id: str | None = "request-1", prompt: str = "a heron", **changes: Any) -> Job:
    """Return a finished request of two hours ago, as the history's parser converts it to a job."""
    at = changes.pop("at", NOON - 2 * HOUR_S)
    usual = job(prompt, visitor=OWNER.id, status=JobStatus.DOWNLOADING, created_at=at, sent_at=at, cost_microusd=COST)
    usual = replace(usual, id=f"{abs(hash(request_id)):032x}", request_id=request_id, notes={FROM_HISTORY: True})
    return replace(usual, result_url="https://x.test/1.mp4", **changes)


def said(microusd: int) -> Job:
    return job(
        visitor=OWNER.id, status=JobStatus.LOST, cost_microusd=microusd, notes={DECLARED_USD: 1.0, "reviewed": True}
    )


def test_what_is_found_is_stored_once(ledger: Ledger, clock: Clock) -> None:
    one, two = found(), found("request-2", at=NOON - 3 * DAY_S)
    assert ledger.import_history([one, two, replace(one, id="f" * 32)]) == [
        replace(one, updated_at=NOON),
        replace(two, updated_at=NOON),
    ]
    clock.at += HOUR_S
    assert ledger.import_history([two, one]) == []
    assert [stored.id for stored in ledger.active()] == [two.id, one.id]
    totals = ledger.totals("")
    assert (totals.today_microusd, totals.total_microusd) == (COST, 2 * COST)


@pytest.mark.parametrize("written", ["2C7F59EA-13F1-402C-9353-915A2B5A2124", "2c7f59ea13f1402c9353915a2b5a2124"])
def test_a_request_that_is_known_is_not_found_again_however_its_id_is_written(ledger: Ledger, written: str) -> None:
    in_status(ledger, JobStatus.DONE, request_id="2c7f59ea-13f1-402c-9353-915a2b5a2124")
    assert ledger.import_history([found(written)]) == []


def test_a_request_whose_job_was_deleted_is_not_found_again(ledger: Ledger) -> None:
    ledger.hide(finished(ledger).id)
    assert ledger.import_history([found("request-1")]) == []


def test_a_queued_job_is_what_was_asked_for_since(ledger: Ledger) -> None:
    first, second = (added(ledger, "a heron") for _ in range(2))
    added(ledger, "another")
    (named,) = ledger.import_history([found(at=NOON + 5), found("request-2", at=NOON - HOUR_S)])[:1]
    assert (named.id, named.status, named.request_id) == (first.id, JobStatus.DOWNLOADING, "request-1")
    assert (named.sent_at, named.cost_microusd, named.visitor) == (NOON + 5, COST, first.visitor)
    assert [job.status for job in ledger.active() if job.id == second.id] == [JobStatus.QUEUED]
    totals = ledger.totals("")
    assert totals.total_microusd - totals.queued_microusd == 2 * COST


@pytest.mark.parametrize("status", [JobStatus.DOWNLOADING, JobStatus.DONE])
def test_a_video_whose_answer_named_no_request_is_not_found_again(ledger: Ledger, status: JobStatus) -> None:
    """As of v1 without its header: each start of a public page reads the history."""
    paid = in_status(ledger, status, sent_at=NOON - 60, cost_microusd=COST)
    for _ in range(2):
        assert ledger.import_history([found(prompt=paid.request.prompt, at=NOON)]) == []
    assert ledger.totals("").total_microusd == COST
    known = ledger.get(paid.id)
    assert known is not None
    assert (known.status, known.request_id) == (status, None)


@pytest.mark.parametrize("status", [JobStatus.DOWNLOADING, JobStatus.LOST])
def test_a_job_that_failed_here_and_was_charged_there_counts(ledger: Ledger, status: JobStatus) -> None:
    failed, deleted = (in_status(ledger, JobStatus.FAILED, request_id=name) for name in ("request-1", "request-2"))
    ledger.hide(deleted.id)
    assert ledger.totals("").today_microusd == 0
    rows = [found(name, status=status, at=NOON) for name in ("request-1", "request-2")]
    assert [job.id for job in ledger.import_history(rows)] == [failed.id, deleted.id]
    assert [job.id for job in ledger.active()] == ([failed.id] if status is JobStatus.DOWNLOADING else [])
    assert ledger.totals("").today_microusd == 2 * COST
    assert ledger.import_history(rows) == []


@pytest.mark.parametrize(
    ("payer", "status"), [("visitor", JobStatus.LOST), ("owner", JobStatus.RUNNING), ("owner", JobStatus.UNKNOWN)]
)
def test_a_job_that_failed_stays_so_unless_its_own_account_was_charged(
    ledger: Ledger, payer: Any, status: JobStatus
) -> None:
    in_status(ledger, JobStatus.FAILED, request_id="request-1", payer=payer)
    assert ledger.import_history([found(status=status)]) == []


def test_a_job_that_is_just_being_sent_is_left_to_its_own_answer(ledger: Ledger, clock: Clock) -> None:
    ledger.claim(added(ledger, "a heron").id)
    assert ledger.import_history([found(at=NOON)]) == []
    assert len(ledger.import_history([found(prompt="another", at=NOON)])) == 1


@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.DOWNLOADING, JobStatus.LOST])
def test_an_unknown_job_whose_id_an_error_named_is_what_the_history_says(ledger: Ledger, status: JobStatus) -> None:
    unknown = in_status(ledger, JobStatus.UNKNOWN, request_id="request-1", sent_at=NOON, cost_microusd=2 * COST)
    deleted = in_status(ledger, JobStatus.UNKNOWN, request_id="request-2", sent_at=NOON)
    ledger.hide(deleted.id)
    counted = ledger.totals("").today_microusd
    running = [found(name, status=JobStatus.RUNNING, cost_microusd=None) for name in ("request-1", "request-2")]
    rows = running if status is JobStatus.RUNNING else [found(status=status, cost_microusd=None)]
    (named,) = ledger.import_history([*rows, *rows])
    assert (named.id, named.status, named.cost_microusd) == (unknown.id, status, 2 * COST)
    assert ledger.totals("").today_microusd == counted
    assert ledger.import_history(rows) == []


@pytest.mark.parametrize("status", [JobStatus.UNKNOWN, JobStatus.LOST])
def test_a_job_without_an_answer_is_given_its_request(ledger: Ledger, status: JobStatus) -> None:
    problem = JobProblem.from_code("interrupted")
    sent = in_status(ledger, status, prompt="a heron", sent_at=NOON - HOUR_S / 2, problem=problem)
    (named,) = ledger.import_history([found(at=NOON - HOUR_S)])
    assert (named.id, named.visitor, named.status) == (sent.id, sent.visitor, JobStatus.DOWNLOADING)
    assert ledger.get(sent.id) == named
    assert (named.request_id, named.cost_microusd, named.problem) == ("request-1", COST, None)
    assert ledger.totals("").today_microusd == COST
    assert ledger.import_history([found(at=NOON - HOUR_S)]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "another"},
        {"at": NOON - 4 * HOUR_S},
        {"request": VideoRequest.parse({"prompt": "a heron", "seed": 1})},
        {"request_id": None},
    ],
)
def test_another_request_is_not_taken_for_it(ledger: Ledger, changes: dict[str, Any]) -> None:
    sent = in_status(ledger, JobStatus.UNKNOWN, prompt="a heron", sent_at=NOON - HOUR_S)
    (other,) = ledger.import_history([found(**{"at": NOON - HOUR_S, **changes})])
    assert other.id != sent.id
    assert ledger.totals("").today_microusd == PRICE + COST


def test_of_two_that_are_alike_each_is_given_its_own_by_time(ledger: Ledger) -> None:
    late = in_status(ledger, JobStatus.UNKNOWN, prompt="a heron", sent_at=NOON - 600)
    early = in_status(ledger, JobStatus.UNKNOWN, prompt="a heron", sent_at=NOON - 1800)
    taken = ledger.import_history([found("request-1", at=NOON - 1799), found("request-2", at=NOON - 601)])
    assert [stored.id for stored in taken] == [early.id, late.id]
    assert len(ledger.import_history([found("request-3", at=NOON - 600)])) == 1
    assert len(ledger.jobs(None)) == 3


def test_of_two_found_alike_only_one_is_given_the_job_without_an_answer(ledger: Ledger) -> None:
    sent = in_status(ledger, JobStatus.UNKNOWN, prompt="a heron", sent_at=NOON - 600)
    taken = ledger.import_history([found("request-1", at=NOON - 600), found("request-2", at=NOON - 601)])
    assert taken[0].id == sent.id
    assert {stored.request_id for stored in ledger.jobs(None)} == {"request-1", "request-2"}
    assert ledger.totals("").today_microusd == 2 * COST


def test_where_no_time_is_told_the_words_alone_decide(ledger: Ledger) -> None:
    sent = in_status(ledger, JobStatus.UNKNOWN, prompt="a heron", sent_at=NOON - 20 * HOUR_S)
    (named,) = ledger.import_history([found(at=NOON, notes={FROM_HISTORY: True, UNTIMED: True})])
    assert named.id == sent.id


def test_a_deleted_job_without_an_answer_stays_deleted_and_is_counted_once(ledger: Ledger) -> None:
    sent = in_status(ledger, JobStatus.UNKNOWN, prompt="a heron", sent_at=NOON - HOUR_S)
    ledger.hide(sent.id)
    assert ledger.import_history([found(at=NOON - HOUR_S)]) == []
    assert ledger.totals("").today_microusd == PRICE


@pytest.mark.parametrize("prompt", ["-", " - ", "–"])
def test_a_prompt_that_looks_like_an_erased_one_is_a_prompt(ledger: Ledger, prompt: str) -> None:
    request = VideoRequest.parse({"prompt": prompt, "negative_prompt": ""})
    sent = in_status(ledger, JobStatus.UNKNOWN, request=request, sent_at=NOON - HOUR_S)
    strange = VideoRequest.parse({"prompt": "of another program", "negative_prompt": ""})
    (other,) = ledger.import_history([found("request-2", request=strange, at=NOON - HOUR_S)])
    assert (other.id != sent.id, ledger.totals("").today_microusd) == (True, PRICE + COST)
    (named,) = ledger.import_history([found(request=request, at=NOON - HOUR_S)])
    assert (named.id, named.status) == (sent.id, JobStatus.DOWNLOADING)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_request_is_its_own_jobs_before_it_is_a_deleted_ones(ledger: Ledger, is_first: bool) -> None:
    deleted = in_status(ledger, JobStatus.UNKNOWN, prompt="erased", sent_at=NOON - HOUR_S)
    kept = in_status(ledger, JobStatus.UNKNOWN, prompt="a heron", sent_at=NOON - HOUR_S + 600)
    ledger.hide(deleted.id)
    both = [found("request-1", "a heron", at=NOON - HOUR_S), found("request-2", "erased", at=NOON - HOUR_S)]
    assert [named.id for named in ledger.import_history(both if is_first else both[::-1])] == [kept.id]
    assert ledger.totals("").today_microusd == PRICE + COST


def test_a_visitors_own_job_is_not_the_accounts(ledger: Ledger) -> None:
    in_status(ledger, JobStatus.UNKNOWN, prompt="a heron", sent_at=NOON - HOUR_S, payer="visitor")
    (other,) = ledger.import_history([found(at=NOON - HOUR_S)])
    assert other.visitor == OWNER.id


def test_all_is_taken_in_or_nothing(tmp_path: Path) -> None:
    def fail(point: str) -> None:
        if point == "ledger.import_history.commit":
            raise ZeroDivisionError

    checkpoint.hook = fail
    ledger = opened_ledger(tmp_path)
    with pytest.raises(ZeroDivisionError):
        ledger.import_history([found(), found("request-2")])
    assert ledger.jobs(None) == []
    ledger.close()


def test_the_owners_word_counts_today_and_the_latest_holds(ledger: Ledger, clock: Clock) -> None:
    ledger.declare_spending(said(3_000_000))
    assert ledger.totals("").today_microusd == 3_000_000
    ledger.declare_spending(said(2_000_000))
    assert (ledger.totals("").today_microusd, ledger.totals("").bad_streak) == (2_000_000, 0)
    clock.at += DAY_S
    ledger.declare_spending(said(500_000))
    assert (ledger.totals("").today_microusd, ledger.totals("").total_microusd) == (500_000, 2_500_000)


def test_what_is_settled_here_is_part_of_the_owners_word_and_what_runs_is_not(ledger: Ledger) -> None:
    in_status(ledger, JobStatus.DONE, sent_at=NOON - HOUR_S, cost_microusd=COST)
    in_status(ledger, JobStatus.DONE, sent_at=NOON - DAY_S, cost_microusd=COST)
    in_status(ledger, JobStatus.RUNNING, sent_at=NOON - 60)
    ledger.declare_spending(said(3_000_000))
    assert ledger.totals("").today_microusd == 3_000_000 + PRICE
    ledger.declare_spending(said(0))
    assert ledger.totals("").today_microusd == COST + PRICE


def test_what_is_found_later_is_part_of_the_owners_word_if_it_was_charged_before(ledger: Ledger, clock: Clock) -> None:
    ledger.declare_spending(said(2_000_000))
    clock.at += 60
    ledger.import_history([found()])
    assert ledger.totals("").today_microusd == 2_000_000
    ledger.import_history(
        [found("request-2", at=NOON - 60), found("request-3", at=NOON + 30)]
    )  # may have been charged since
    assert ledger.totals("").today_microusd == 2_000_000 + 2 * COST
    ledger.import_history([found("request-4"), found("request-5", at=NOON - DAY_S)])
    assert ledger.totals("").today_microusd == 5 * COST - COST  # more than was stated


def test_a_request_that_the_history_cannot_tell_is_never_taken_for_the_owners_word(
    ledger: Ledger, clock: Clock
) -> None:
    ledger.declare_spending(said(5_000_000))
    clock.at += 60
    ledger.import_history([found(prompt=said(0).request.prompt, at=NOON + 30)])
    assert ledger.totals("").today_microusd == 5_000_000 + COST
