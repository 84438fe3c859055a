from __future__ import annotations

import random
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunyuan_ui.job import Job, JobProblem, JobStatus
from hunyuan_ui.ledger import Ledger, expected_usd
from hunyuan_ui.limits import Day, Totals
from tests.stored_jobs import ALICE, BOB, DAY_S, NOON, PRICE, Clock, anything_goes, file_of, job, opened_ledger

pytestmark = pytest.mark.usefixtures("database")  # every test on SQLite and on PostgreSQL

MIDNIGHT = NOON + DAY_S / 2
PROBLEM = JobProblem.from_code("interrupted")
UNPAID = (JobStatus.FAILED, JobStatus.CANCELLED)


def stored(ledger: Ledger, status: JobStatus, **facts: Any) -> Job:
    made = job(status=status, **facts)
    assert ledger.adopt(made)
    return made


def test_an_empty_ledger_counts_nothing(ledger: Ledger) -> None:
    assert ledger.totals(ALICE) == Totals()


# money

_JOBS = st.lists(
    st.builds(
        job,
        status=st.sampled_from(JobStatus),
        payer=st.sampled_from(["owner", "visitor", "nobody"]),
        visitor=st.sampled_from([ALICE, BOB]),
        reserved_microusd=st.integers(0, 10**12),
        cost_microusd=st.none() | st.integers(0, 10**12),
        created_at=st.floats(NOON - 3 * DAY_S, NOON),
        sent_at=st.none() | st.floats(NOON - 3 * DAY_S, NOON),
    ),
    max_size=8,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(_JOBS)
def test_the_ledger_counts_money_as_each_job_does(jobs: list[Job]) -> None:
    today = NOON - DAY_S / 2
    with tempfile.TemporaryDirectory() as folder, closing(opened_ledger(Path(folder))) as ledger:
        for made in jobs:
            ledger.adopt(made)
        counted = ledger.totals(ALICE)
    assert counted.total_microusd == sum(made.counted_microusd for made in jobs)
    assert counted.today_microusd == sum(
        made.counted_microusd for made in jobs if made.sent_at is None or made.sent_at >= today
    )


_RESERVING = (JobStatus.QUEUED, JobStatus.SUBMITTING, JobStatus.RUNNING)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(_JOBS)
def test_what_of_today_is_only_reserved_is_told_apart(jobs: list[Job]) -> None:
    today = NOON - DAY_S / 2
    with tempfile.TemporaryDirectory() as folder, closing(opened_ledger(Path(folder))) as ledger:
        for made in jobs:
            ledger.adopt(made)
        counted = ledger.totals(ALICE)
    assert counted.reserved_microusd == sum(
        made.counted_microusd
        for made in jobs
        if made.status in _RESERVING and (made.sent_at is None or made.sent_at >= today)
    )
    assert counted.reserved_microusd <= counted.today_microusd
    assert counted.queued_microusd == sum(made.counted_microusd for made in jobs if made.status is JobStatus.QUEUED)


def test_a_job_counts_on_the_day_it_was_sent(ledger: Ledger, clock: Clock) -> None:
    clock.at = MIDNIGHT - 60
    sent, waits = job(), job()
    for made in (sent, waits):
        ledger.add(made, anything_goes)
    ledger.claim(sent.id)
    assert ledger.totals(ALICE).today_microusd == 2 * PRICE
    clock.at = MIDNIGHT
    assert ledger.totals(ALICE).today_microusd == PRICE
    ledger.claim(waits.id)
    assert ledger.totals(ALICE).today_microusd == PRICE
    clock.at += DAY_S
    assert ledger.totals(ALICE).today_microusd == 0
    assert ledger.totals(ALICE).total_microusd == 2 * PRICE


def test_a_reservation_becomes_the_real_cost_and_a_failure_gives_it_back(ledger: Ledger) -> None:
    paid, failed = job(), job()
    for made in (paid, failed):
        ledger.add(made, anything_goes)
        ledger.claim(made.id)
        ledger.mark_running(made.id, f"request-{made.id}")
    ledger.mark_downloading(paid.id, request_id=f"request-{paid.id}", result_url=None, cost_usd=1.2, inference_s=170.0)
    ledger.mark_failed(failed.id, PROBLEM)
    assert ledger.totals(ALICE).total_microusd == 1_200_000


def test_an_unknown_job_counts_until_its_owner_says_it_was_not_charged(ledger: Ledger) -> None:
    kept, released = stored(ledger, JobStatus.UNKNOWN), stored(ledger, JobStatus.UNKNOWN)
    assert ledger.totals(ALICE).total_microusd == 2 * PRICE
    ledger.settle_unknown(kept.id, was_charged=True)
    ledger.settle_unknown(released.id, was_charged=False)
    assert ledger.totals(ALICE).total_microusd == PRICE


# fairness


@pytest.mark.parametrize("status", JobStatus, ids=lambda status: status.value)
def test_a_visitors_videos_of_today_are_those_that_may_become_one(ledger: Ledger, status: JobStatus) -> None:
    stored(ledger, status, created_at=NOON)
    stored(ledger, status, created_at=NOON, visitor=BOB)
    stored(ledger, status, created_at=NOON, payer="nobody")
    stored(ledger, status, created_at=NOON - DAY_S)
    assert ledger.totals(ALICE).visitor_today == (status not in UNPAID)


def test_a_visitor_is_busy_with_jobs_under_way_but_not_with_those_on_an_own_key(ledger: Ledger) -> None:
    for status in JobStatus:
        stored(ledger, status, payer="visitor")
    assert ledger.totals(ALICE).visitor_active == 0
    for status in JobStatus:
        stored(ledger, status)
        stored(ledger, status, visitor=BOB)
    assert ledger.totals(ALICE).visitor_active == 4
    for status in JobStatus:
        stored(ledger, status, payer="nobody")
    assert ledger.totals(ALICE).visitor_active == 8
    assert ledger.totals("c" * 32).visitor_active == 0


@pytest.mark.parametrize("payer", ["owner", "nobody"])
def test_the_time_since_a_visitors_last_click_is_counted(ledger: Ledger, clock: Clock, payer: str) -> None:
    ledger.add(job(payer=payer), anything_goes)
    clock.at += 7
    ledger.add(job(payer="visitor"), anything_goes)
    assert ledger.totals(ALICE).seconds_since_visitor == 7
    assert ledger.totals(BOB).seconds_since_visitor is None


def test_everybodys_waiting_jobs_are_counted(ledger: Ledger) -> None:
    stored(ledger, JobStatus.QUEUED)
    stored(ledger, JobStatus.QUEUED, visitor=BOB, payer="visitor")
    stored(ledger, JobStatus.RUNNING)
    assert ledger.totals(ALICE).waiting == 2


@pytest.mark.parametrize("payer", ["owner", "visitor", "nobody"])
def test_a_visitors_own_waiting_jobs_are_counted_whoever_pays(ledger: Ledger, payer: str) -> None:
    for status in JobStatus:
        stored(ledger, status, payer=payer)
        stored(ledger, status, payer=payer, visitor=BOB)
    stored(ledger, JobStatus.QUEUED, payer="nobody")
    assert ledger.totals(ALICE).visitor_waiting == 2
    assert ledger.totals(BOB).visitor_waiting == 1
    assert ledger.totals("").visitor_waiting == 0


@pytest.mark.parametrize(
    ("ends", "streak"),
    [
        ("", 0),
        ("done", 0),
        ("unknown", 1),
        ("lost unknown lost", 3),
        ("unknown unknown done", 0),
        ("done unknown lost", 2),
        ("unknown failed cancelled unknown", 2),
        (" ".join(["lost"] * 12), 10),
    ],
)
def test_a_streak_is_of_paid_jobs_in_a_row_without_a_video(ledger: Ledger, ends: str, streak: int) -> None:
    for age, status in enumerate(reversed(ends.split())):
        stored(ledger, JobStatus(status), ended_at=NOON - age)
        stored(ledger, JobStatus.DONE, ended_at=NOON - age, payer="visitor")
    stored(ledger, JobStatus.RUNNING)
    assert ledger.totals(ALICE).bad_streak == streak


@pytest.mark.parametrize("seed", range(4))
def test_a_streak_ends_at_the_newest_video_however_many_ended_in_one_moment(ledger: Ledger, seed: int) -> None:
    draw, judged = random.Random(seed), list[tuple[float, int, str]]()
    for number in range(30):
        status = draw.choice(["done", "unknown", "lost", "failed"] if seed else ["unknown", "lost"])
        ended_at, payer = NOON - draw.randrange(6), draw.choice(["owner", "owner", "visitor"])
        notes = draw.choice([{}, {}, {"reviewed": True}])
        stored(ledger, JobStatus(status), ended_at=ended_at, payer=payer, notes=notes)
        if payer == "owner" and status != "failed" and not notes:
            judged.append((ended_at, number, status))
        newest = [status for *_, status in sorted(judged, reverse=True)]
        assert ledger.totals(ALICE).bad_streak == min([*newest, "done"].index("done"), 10)


def test_what_the_owner_has_looked_at_no_longer_stops_spending(ledger: Ledger) -> None:
    seen = [stored(ledger, JobStatus.UNKNOWN, ended_at=NOON) for _ in range(3)]
    ledger.note(seen[0].id, reviewed=True)
    assert ledger.totals(ALICE).bad_streak == 2
    for found in seen:
        ledger.note(found.id, reviewed=True)
    assert ledger.totals(ALICE).bad_streak == 0


def test_the_guard_is_shown_the_same_inside_the_transaction(ledger: Ledger) -> None:
    shown: list[Totals] = []
    stored(ledger, JobStatus.DONE, cost_microusd=1_000_000, ended_at=NOON)
    ledger.add(replace(job(), visitor=BOB), lambda _, totals: shown.append(totals))
    assert shown == [Totals(today_microusd=1_000_000, total_microusd=1_000_000)]


def test_each_day_shows_what_it_cost(ledger: Ledger, clock: Clock) -> None:
    stored(ledger, JobStatus.DONE, sent_at=NOON - 2 * DAY_S, cost_microusd=1_250_000)
    stored(ledger, JobStatus.FAILED, sent_at=NOON - DAY_S)
    stored(ledger, JobStatus.DONE, sent_at=NOON, cost_microusd=1_000_000)
    stored(ledger, JobStatus.UNKNOWN, sent_at=NOON)
    stored(ledger, JobStatus.DONE, sent_at=NOON, payer="visitor", cost_microusd=9_000_000)
    stored(ledger, JobStatus.QUEUED)
    midnight = NOON - DAY_S / 2
    assert ledger.days(midnight - 9 * DAY_S) == [
        Day(midnight - 2 * DAY_S, 1_250_000, 1),
        Day(midnight, 1_000_000 + 2 * PRICE, 1),
    ]
    assert ledger.days(midnight) == [Day(midnight, 1_000_000 + 2 * PRICE, 1)]
    clock.at = NOON + DAY_S
    assert [day.spent_microusd for day in ledger.days(midnight)] == [1_000_000 + PRICE, PRICE]


def test_the_days_add_up_to_the_totals(ledger: Ledger) -> None:
    for status in JobStatus:
        stored(ledger, status, sent_at=NOON, cost_microusd=1_111_111)
    counted = ledger.totals(ALICE)
    assert [day.spent_microusd for day in ledger.days(0)] == [counted.today_microusd] == [counted.total_microusd]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_counting_reads_indexes_and_not_every_row_there_ever_was(ledger: Ledger) -> None:
    connection = file_of(ledger).reader
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    ledger.totals(ALICE)
    ledger.active()
    ledger.unknown()
    connection.set_trace_callback(None)
    plans = [[row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")] for statement in asked]
    steps = [step for plan in plans for step in plan if "jobs" in step]
    assert len(steps) == 12
    assert all(step.startswith("SEARCH") or "COVERING INDEX" in step for step in steps), steps


def test_what_waits_since_yesterday_is_no_part_of_todays_videos(ledger: Ledger, clock: Clock) -> None:
    ledger.add(job(), anything_goes)
    assert (ledger.totals(ALICE).visitor_today, ledger.totals(ALICE).visitor_queued) == (1, 1)
    clock.at += DAY_S
    assert (ledger.totals(ALICE).visitor_today, ledger.totals(ALICE).visitor_queued) == (0, 0)


def test_what_the_owner_has_seen_is_in_no_streak_and_costs_what_it_did(ledger: Ledger) -> None:
    for number in range(4):
        assert ledger.adopt(job(status=JobStatus.LOST, sent_at=1.0, ended_at=float(number), notes={"key": "mark"}))
    ledger.hide(ledger.jobs(None)[0].id)
    before = ledger.totals("")
    ledger.mark_reviewed()
    after = ledger.totals("")
    assert (before.bad_streak, after.bad_streak) == (4, 0)
    assert after.total_microusd == before.total_microusd > 0
    assert all(one.notes == {"key": "mark", "reviewed": True} for one in ledger.jobs(None))
    assert ledger.adopt(job(status=JobStatus.LOST, sent_at=1.0, ended_at=5.0))
    assert ledger.totals("").bad_streak == 1


@pytest.mark.parametrize(("named_usd", "counted_usd"), [(None, 2.2), (0.0, 2.2), (3.0, 3.0), (1.4, 1.4), (900.0, None)])
def test_a_cost_counts_although_its_answer_names_another_jobs_request(
    ledger: Ledger, named_usd: float | None, counted_usd: float | None
) -> None:
    first, second = (
        ledger.add(job(reserved_microusd=2_200_000, notes={"estimate_usd": 1.46}), anything_goes)[0] for _ in "ab"
    )
    for one in (first, second):
        ledger.claim(one.id)
    ledger.mark_running(first.id, "R-1")
    found = ledger.mark_running(second.id, "r1", cost_usd=named_usd)
    assert (found.status, found.request_id) == (JobStatus.UNKNOWN, None)
    assert found == ledger.get(second.id)
    counted_usd = expected_usd(second) if counted_usd is None else counted_usd
    assert found.counted_microusd == round(counted_usd * 1_000_000)
    assert ledger.totals("").today_microusd == 2_200_000 + found.counted_microusd
