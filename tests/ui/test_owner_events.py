"""Actions on the owner's page: each event for its owner and for a stranger, in private and in public."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.job import OWNER, Job, JobProblem, JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.jobs.job_view import HistoryState
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui import owner
from hunyuan_ui.ui.owner import JOBS_SHOWN, OwnerEvents, history_lines
from hunyuan_ui.ui.owner_days import DAYS, axis_of
from hunyuan_ui.ui.views import as_json, facts_of
from hunyuan_ui.words import words
from tests.fake_service import FakeService, answer
from tests.stored_jobs import job
from tests.ui.test_owner_page import asking, event

pytestmark = pytest.mark.anyio

KEY = "SG_00112233aabbccdd"
TOKEN = "a" * 32
WHO = TOKEN
HUGE = pytest.param(10**309, id="huge")  # more than any float
PUBLIC = {"share": True, "daily_limit_usd": 10.0}
public = pytest.mark.parametrize("runner", [PUBLIC], indirect=True)
everywhere = pytest.mark.parametrize("runner", [{}, PUBLIC], indirect=True, ids=["private", "public"])
ON_A_JOB = ["settle", "correct", "confirm", "look_again", "open_video"]
ACTIONS = [*ON_A_JOB, "refresh", "export", "end_waiting", "find_videos", "say_spent", "set_clock_right", "resume"]


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def runner(request: pytest.FixtureRequest, tmp_path: Path, service: FakeService) -> AsyncIterator[JobRunner]:
    private = Settings(data_dir=tmp_path / "data", api_key=Secret(KEY), poll_interval_s=0.002)
    settings = replace(private, **getattr(request, "param", {}))
    folder = DataFolder(settings.data_dir, min_free_bytes=0)
    opened = build_runner(settings, client=service.client(), download=service.download, folder=folder)
    await opened.start()
    yield opened
    await opened.stop()


async def owners(runner: JobRunner) -> OwnerEvents:
    """Return the events of an owner's page that its owner has opened."""
    events = OwnerEvents(runner)
    if runner.settings.is_public:
        await events.event("prove")(asking(), event(key=KEY), WHO)
    return events


def stored(runner: JobRunner, status: JobStatus = JobStatus.DONE, **facts: Any) -> Job:
    """Store a job of a visitor's on the owner's key."""
    now = runner._services.ledger.now()
    made = job(status=status, **{"sent_at": now, "ended_at": now, "request_id": f"request-{new_id()}", **facts})
    assert runner._services.ledger.adopt(made)
    return made


def in_doubt(runner: JobRunner, named: float, **facts: Any) -> Job:
    return stored(runner, cost_microusd=1_400_000, notes={"estimate_usd": 1.4, "named_usd": named}, **facts)


def shown(runner: JobRunner, entry: Job) -> str:
    """Return a job's public id on the page."""
    return runner.videos.public_id(entry)


def now_of(runner: JobRunner, entry: Job) -> Job:
    found = runner._services.ledger.get(entry.id)
    assert found is not None
    return found


@public
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", [JobStatus.UNKNOWN, JobStatus.LOST, JobStatus.DONE])
async def test_a_stranger_sees_the_owners_page_shut_whatever_they_ask(
    runner: JobRunner, action: str, status: JobStatus
) -> None:
    theirs = in_doubt(runner, 99.0, status=status)
    waiting = job(payer="visitor")
    runner._services.ledger.adopt(waiting)
    runner._dispatcher.take(waiting)
    before = [now_of(runner, entry) for entry in (theirs, waiting)]
    asked = event(job=shown(runner, theirs), was_charged=False, cost_usd=0.0, note="mine now", usd=0.0)
    page_now = await OwnerEvents(runner).event(action)(asking(), asked, WHO)
    assert set(page_now) == {"is_offered", "needs_proof", "problem"}
    assert [now_of(runner, entry) for entry in (theirs, waiting)] == before
    assert await runner.waiting_for_visitor() == 1


@everywhere
async def test_a_cost_in_doubt_is_shown_with_what_counts_and_confirmed(runner: JobRunner) -> None:
    events, doubt = await owners(runner), in_doubt(runner, 0.012345)
    page_now = await events.event("refresh")(asking(), event(), WHO)
    (entry,) = page_now["doubtful"]
    assert "named $0.01; $1.40 is counted" in entry["text"]
    assert "Your account holds $12.50 now." in entry["text"]
    assert entry["request"] == doubt.request_id
    assert entry["can"] == {"correct": True, "confirm": True}
    page_now = await events.event("confirm")(asking(), event(job=entry["id"]), WHO)
    assert (page_now["doubtful"], page_now["said"]) == ([], "Put right: $0.01 counts.")
    assert now_of(runner, doubt).cost_microusd == 12_345
    assert "confirmed" in page_now["jobs"][0]["corrections"][0]


@everywhere
async def test_a_cost_nobody_can_have_paid_is_only_put_right(runner: JobRunner) -> None:
    events, doubt = await owners(runner), in_doubt(runner, 1e8)
    (entry,) = (await events.event("refresh")(asking(), event(), WHO))["doubtful"]
    assert "more than $1,000,000.00" in entry["text"]
    assert entry["can"] == {"correct": True, "confirm": False}
    page_now = await events.event("confirm")(asking(), event(job=shown(runner, doubt)), WHO)
    assert "not an amount" in page_now["problem"]
    page_now = await events.event("correct")(
        asking(), event(job=shown(runner, doubt), cost_usd=1.46, note="as billed"), WHO
    )
    assert (page_now["doubtful"], page_now["problem"]) == ([], "")
    assert now_of(runner, doubt).counted_microusd == 1_460_000


@everywhere
@pytest.mark.parametrize("how", ["confirm", "correct"])
async def test_a_cost_in_doubt_outlives_its_deleted_video_without_what_was_deleted(runner: JobRunner, how: str) -> None:
    events, doubt = await owners(runner), in_doubt(runner, 0.02, prompt="a secret heron")
    runner._services.ledger.hide(doubt.id)
    page_now = await events.event("refresh")(asking(), event(), WHO)
    (entry,) = page_now["doubtful"]
    assert "named $0.02; $1.40 is counted" in entry["text"]
    assert "heron" not in json.dumps(page_now)
    assert page_now["jobs"] == []
    asked = event(job=entry["id"], cost_usd=0.02, note="as billed")
    page_now = await events.event(how)(asking(), asked, WHO)
    assert (page_now["doubtful"], page_now["problem"]) == ([], "")
    assert page_now["days"][-1]["usd"] == pytest.approx(0.02)


async def test_a_cost_in_doubt_of_a_job_under_way_waits_for_its_end(runner: JobRunner) -> None:
    in_doubt(runner, 99.0, status=JobStatus.RUNNING, ended_at=None)
    (entry,) = (await OwnerEvents(runner).event("refresh")(asking(), event(), WHO))["doubtful"]
    assert entry["text"].count("still under way") == 1
    assert not any(entry["can"].values())


@everywhere
@pytest.mark.parametrize("note", ["refunded by support", "=1+1", "cat;=HYPERLINK(1)", "<b>x</b>", "退款"])
async def test_what_was_put_right_stays_beside_the_job_and_in_the_csv(runner: JobRunner, note: str) -> None:
    events, made = await owners(runner), stored(runner, cost_microusd=1_460_000)
    await events.event("correct")(asking(), event(job=shown(runner, made), cost_usd=2, note=note), WHO)
    page_now = await events.event("correct")(asking(), event(job=shown(runner, made), cost_usd=0.5, note="  "), WHO)
    (row,) = page_now["jobs"]
    assert row["cost"] == "$0.50"
    assert [text[:9] for text in row["corrections"]] == ["Put right", "Put right"]
    assert f"$2.00 instead of $1.46. {note}" in row["corrections"][0]
    assert row["corrections"][1].endswith("$0.50 instead of $2.00.")
    exported = await events.event("export")(asking(), event(), WHO)
    (line,) = csv.DictReader(io.StringIO(exported["csv"]))
    assert line["job_hash"] == shown(runner, made)
    assert line["note"].replace("'", "") == note
    assert not line["note"].startswith("=")
    assert (line["cost_usd"], line["counted_usd"], line["request_id"]) == ("0.5", "0.5", made.request_id)


@everywhere
@pytest.mark.parametrize(
    ("status", "cost_usd", "becomes"),
    [
        (JobStatus.FAILED, 1.46, JobStatus.LOST),
        (JobStatus.UNKNOWN, 0, JobStatus.FAILED),
        (JobStatus.LOST, 0.02, JobStatus.LOST),
    ],
)
async def test_whatever_was_sent_and_has_ended_can_be_put_right(
    runner: JobRunner, status: JobStatus, cost_usd: float, becomes: JobStatus
) -> None:
    events, made = await owners(runner), stored(runner, status)
    before = (await events.event("refresh")(asking(), event(), WHO))["jobs"][0]
    page_now = await events.event("correct")(asking(), event(job=before["id"], cost_usd=cost_usd, note="seen"), WHO)
    assert (now_of(runner, made).status, now_of(runner, made).counted_microusd) == (becomes, round(cost_usd * 1e6))
    assert f"instead of {before['cost']}. seen" in page_now["jobs"][0]["corrections"][0]


@pytest.mark.parametrize(
    "facts",
    [
        {"status": JobStatus.DONE, "payer": "nobody"},
        {"status": JobStatus.CANCELLED, "sent_at": None},
        {"status": JobStatus.FAILED, "sent_at": None},
        {"status": JobStatus.RUNNING, "ended_at": None},
    ],
)
async def test_nothing_can_be_put_right_of_what_was_not_paid_for_or_has_not_ended(
    runner: JobRunner, facts: dict[str, Any]
) -> None:
    stored(runner, **facts)
    (row,) = (await OwnerEvents(runner).event("refresh")(asking(), event(), WHO))["jobs"]
    assert not row["can"]["correct"]


@everywhere
@pytest.mark.parametrize("amount", [None, "1.46", True, [1], math.nan, math.inf, -0.01, 1_000_001, HUGE])
async def test_what_is_no_amount_changes_nothing_and_leaves_the_desk_open(runner: JobRunner, amount: object) -> None:
    events, made = await owners(runner), stored(runner, cost_microusd=1_460_000)
    page_now = await events.event("correct")(asking(), event(job=shown(runner, made), cost_usd=amount, note="why"), WHO)
    assert "Nothing was changed" in page_now["problem"]
    assert len(page_now["jobs"]) == 1
    assert now_of(runner, made).cost_microusd == 1_460_000


@everywhere
@pytest.mark.parametrize("named", [None, "", "its own id", "\ud800" * 32, {"$gt": ""}])
@pytest.mark.parametrize("action", ON_A_JOB)
async def test_an_unknown_job_is_said_to_be_none(runner: JobRunner, action: str, named: object) -> None:
    known = stored(runner)
    asked = event(job=known.id if named == "its own id" else named, cost_usd=1.0, note="x")
    page_now = await (await owners(runner)).event(action)(asking(), asked, WHO)
    assert "There is no such video" in page_now["problem"]
    assert page_now["jobs"]


@everywhere
@pytest.mark.parametrize(
    ("said_usd", "cost", "more"),
    [(0, "$1.25", ["A later answer named another cost: $1.25 is counted now."]), (1.25, "$1.25", []), (2, "$2.00", [])],
)
async def test_a_cost_that_is_named_after_it_was_put_right_is_told_beside_that(
    runner: JobRunner, said_usd: float, cost: str, more: list[str]
) -> None:
    events, lost = await owners(runner), stored(runner, JobStatus.LOST, request_id="request-0001", cost_microusd=1)
    await events.event("correct")(asking(), event(job=shown(runner, lost), cost_usd=said_usd, note="refunded"), WHO)
    await events.event("look_again")(asking(), event(job=shown(runner, lost)), WHO)
    assert (await runner.wait(lost.id, Visitor(lost.visitor), 30)).status is JobStatus.DONE
    (row,) = (await events.event("refresh")(asking(), event(), WHO))["jobs"]
    assert (row["cost"], row["corrections"][1:]) == (cost, more)


@everywhere
async def test_a_lost_video_is_looked_for_again(runner: JobRunner) -> None:
    events, lost = await owners(runner), stored(runner, JobStatus.LOST, request_id="request-0001", cost_microusd=1)
    late = stored(runner, JobStatus.LOST, sent_at=runner._services.ledger.now() - 8 * 86_400)
    rows = {row["request"]: row for row in (await events.event("refresh")(asking(), event(), WHO))["jobs"]}
    assert rows["request-0001"]["can"]["look_again"]
    assert not rows[str(late.request_id)]["can"]["look_again"]
    page_now = await events.event("look_again")(asking(), event(job=rows["request-0001"]["id"]), WHO)
    assert page_now["said"] == "The video is being looked for. Refresh in a moment."
    found = await runner.wait(lost.id, Visitor(lost.visitor), 30)
    assert found.status is JobStatus.DONE
    page_now = await events.event("look_again")(asking(), event(job=shown(runner, lost)), WHO)
    assert (page_now["problem"], page_now["said"]) == ("", "")
    assert [row["can"]["look_again"] for row in page_now["jobs"] if row["request"] == "request-0001"] == [False]
    page_now = await events.event("look_again")(asking(), event(job=shown(runner, late)), WHO)
    assert "cannot be looked for again" in page_now["problem"]


@everywhere
async def test_the_owner_ends_what_waits_for_a_visitors_key(runner: JobRunner) -> None:
    events = await owners(runner)
    assert (await events.event("refresh")(asking(), event(), WHO))["waiting"] is None
    for status in (JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.RUNNING):
        waiting = job(status=status, payer="visitor", created_at=86_400.0, request_id="request-0009")
        runner._services.ledger.adopt(waiting)
        runner._dispatcher.take(waiting)
    page_now = (await events.event("refresh")(asking(), event(), WHO))["waiting"]
    assert page_now["text"].startswith("Jobs: 3, the oldest since 1970-01-02 00:00 UTC. Already sent")
    assert page_now["can_end"]
    ended = await events.event("end_waiting")(asking(), event(), WHO)
    assert ended["said"].startswith("Ended: 2.")
    assert not ended["waiting"]["can_end"]


@everywhere
async def test_a_row_opens_what_its_reader_may_see(runner: JobRunner) -> None:
    own = stored(runner, visitor=Visitor.from_token(TOKEN).id)
    visitors, lost = stored(runner), stored(runner, JobStatus.LOST)
    found = stored(runner, visitor=OWNER.id)
    events = await owners(runner)
    rows = {row["request"]: row for row in (await events.event("refresh")(asking(), event(), WHO))["jobs"]}
    may_open = {own.id: True, found.id: True, visitors.id: not runner.settings.is_public, lost.id: False}
    for entry in (own, found, visitors, lost):
        assert rows[str(entry.request_id)]["can"]["open"] is may_open[entry.id]
        page_now = await events.event("open_video")(asking(), event(job=shown(runner, entry)), WHO)
        assert page_now["opened"] == (entry.id if may_open[entry.id] else "")
        assert bool(page_now["problem"]) is not may_open[entry.id]


@everywhere
async def test_a_note_is_kept_from_those_whose_job_it_is(runner: JobRunner) -> None:
    made = stored(runner, cost_microusd=1_460_000)
    asked = event(job=shown(runner, made), cost_usd=1.0, note="a customer of ours")
    assert (await (await owners(runner)).event("correct")(asking(), asked, WHO))["said"]
    view = await runner.view(made.id, Visitor(made.visitor))
    assert "customer" not in json.dumps([as_json(view, words()), facts_of(view.job, words())])


async def test_more_jobs_are_shown_when_asked_for(runner: JobRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(JOBS_SHOWN + 2):
        stored(runner)
    events = OwnerEvents(runner)
    page_now = await events.event("refresh")(asking(), event(count=0), WHO)
    assert (len(page_now["jobs"]), page_now["more"]) == (JOBS_SHOWN, 2 * JOBS_SHOWN)
    page_now = await events.event("refresh")(asking(), event(count=page_now["more"], asked=7), WHO)
    assert page_now["asked"] == 7  # by which the page tells an older answer
    assert (len(page_now["jobs"]), page_now["more"]) == (JOBS_SHOWN + 2, 0)
    for wrong in ("all", None, 10**400, -1):
        assert len((await events.event("refresh")(asking(), event(count=wrong), WHO))["jobs"]) >= JOBS_SHOWN
    monkeypatch.setattr(owner, "MOST_SHOWN", JOBS_SHOWN + 1)
    page_now = await events.event("refresh")(asking(), event(count=2 * JOBS_SHOWN), WHO)
    assert (len(page_now["jobs"]), page_now["more"]) == (JOBS_SHOWN + 1, 0)


@pytest.mark.parametrize(
    ("spent", "limit", "top", "limit_text"),
    [
        ([0.0, 0.0], None, "$0.01", ""),
        ([0.0, 1.46], None, "$2.00", ""),
        ([1.46], 10.0, "$10.00", "daily limit $10.00"),
        ([1.46], 20.0, "$2.00", "↑ daily limit $20.00"),
        ([0.3], 1_000_000.0, "$0.50", "↑ daily limit $1,000,000.00"),
        ([0.0], 20.0, "$20.00", "daily limit $20.00"),
        ([43.8], 5.0, "$50.00", "daily limit $5.00"),
        ([1000.0], None, "$1,000.00", ""),
        ([], 0.0, "$0.01", "daily limit $0.00"),
    ],
)
def test_the_axis_ends_at_a_round_number_above_everything(
    spent: list[float], limit: float | None, top: str, limit_text: str
) -> None:
    axis = axis_of(spent, Settings(data_dir=Path("data"), api_key=Secret(KEY), daily_limit_usd=limit), words())
    assert axis is not None
    assert (axis["top_text"], axis["limit_text"]) == (top, limit_text)
    assert axis["top"] >= max([*spent, limit or 0.0] if axis["has_line"] else [0.0, *spent])
    assert axis["half_text"] == words().money(axis["top"] / 2) or axis["top"] < 0.02
    # The highest day is high enough to be visible.
    assert max(spent, default=0.0) == 0 or max(spent) / axis["top"] >= 0.1


def test_no_dollars_are_drawn_where_nothing_has_a_price_or_had_one() -> None:
    free = Settings(data_dir=Path("data"), engine_url="http://gpu.local:30000")
    assert axis_of([0.0, 0.0], free, words()) is None
    assert axis_of([], free, words()) is None
    assert axis_of([0.0, 1.46], free, words()) is not None  # paid at the hosted service before
    assert axis_of([0.0], replace(free, engine_usd_per_hour=2.5), words()) is not None
    preview = Settings(data_dir=Path("data"))
    assert axis_of([0.0], preview, words()) is None
    assert axis_of([1.46], preview, words()) is not None
    assert axis_of([0.0], replace(preview, api_key=Secret(KEY)), words()) is not None


async def test_the_desk_does_not_wait_for_a_balance_that_does_not_come(
    runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_visitor: Visitor) -> float | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(runner.owner, "credits", never)
    monkeypatch.setattr("hunyuan_ui.ui.owner._BALANCE_WITHIN_S", 0.01)
    in_doubt(runner, 99.0)
    page_now = await OwnerEvents(runner).event("refresh")(asking(), event(), WHO)
    assert "Your account" not in page_now["doubtful"][0]["text"]


# the account's history, and the clock

PAST = {
    "request_id": "request-7777",
    "status": "COMPLETED",
    "model_name": "hunyuan-video",
    "credits_deduction": 1.46,
    "request_body": {"prompt": "a fox"},
    "generation_url": "https://files.test/7777.mp4",
}


@everywhere
async def test_videos_made_with_the_key_are_found_once(runner: JobRunner, service: FakeService) -> None:
    events = await owners(runner)
    page_now = await events.event("find_videos")(asking(), event(), WHO)
    assert page_now["problem"]
    assert page_now["history"]["text"].startswith("It could not be read ")
    for said in ("New here: 1.", "Nothing new: "):
        service.script("past_requests", answer(200, {"data": [PAST]}), answer(200, {"data": []}))
        page_now = await events.event("find_videos")(asking(), event(), WHO)
        assert page_now["said"].startswith(said)
        assert page_now["history"]["text"].startswith("It was read ")
    assert [row["request"] for row in page_now["jobs"]] == ["request-7777"]
    assert not page_now["history"]["wants_word"]


@pytest.mark.parametrize("runner", [{**PUBLIC, "storage": "wiped"}], indirect=True)
async def test_the_key_rests_until_the_owner_says_what_was_spent(runner: JobRunner) -> None:
    events = await owners(runner)
    page_now = await events.event("refresh")(asking(), event(), WHO)
    assert page_now["history"]["wants_word"]
    assert "the owner's key rests" in page_now["history"]["text"]
    page_now = await events.event("say_spent")(asking(), event(usd="2"), WHO)
    assert "Nothing was changed" in page_now["problem"]
    assert page_now["history"]["key_rests"]
    page_now = await events.event("say_spent")(asking(), event(usd=2), WHO)
    assert page_now["said"] == "$2.00 counts as spent today."
    assert not page_now["history"]["key_rests"]
    assert page_now["history"]["wants_word"]
    (row,) = page_now["jobs"]
    assert (row["what"], row["cost"], row["can"]["correct"]) == ("What you said was spent before", "$2.00", False)
    assert (await runner.spending()).spent_today_usd == 2.0


@pytest.mark.parametrize(
    ("state", "text", "wants_word"),
    [
        (HistoryState(False, False, False, None, None), "", False),
        (HistoryState(True, True, False, 90.0, None), "It was read 1.5 min ago.", False),
        (HistoryState(True, False, True, None, None), "It is being read for the first time. Until past", True),
        (
            HistoryState(True, False, True, 12.0, JobProblem.from_code("key_missing")),
            "It could not be read 12 s ago. ",
            True,
        ),
    ],
)
def test_it_is_said_how_the_history_stands(state: HistoryState, text: str, wants_word: bool) -> None:
    lines = history_lines(state, words())
    assert lines["text"].startswith(text)
    assert bool(text) == bool(lines["text"])
    assert lines["wants_word"] is wants_word


@pytest.mark.parametrize("ahead_days", [3, 36_525])
async def test_dates_ahead_of_the_clock_are_named_and_set_right(tmp_path: Path, ahead_days: int) -> None:
    ahead_s, service = ahead_days * 86_400.0, FakeService()
    settings = Settings(data_dir=tmp_path / "data", api_key=Secret(KEY))
    folder = DataFolder(settings.data_dir, min_free_bytes=0)
    runner = build_runner(settings, client=service.client(), folder=folder, now=lambda: time.time() + ahead_s)
    await runner.start()
    try:
        stored(runner, cost_microusd=1_460_000)
        ahead_s, events = 0.0, OwnerEvents(runner)
        page_now = await events.event("refresh")(asking(), event(), WHO)
        assert f"{ahead_days:,} days ahead of this machine's clock" in page_now["warnings"][0]
        assert page_now["is_clock_wrong"]
        assert len(page_now["days"]) == DAYS
        page_now = await events.event("set_clock_right")(asking(), event(), WHO)
        assert page_now["said"] == "Dates set right: 1."
        assert (page_now["warnings"], page_now["is_clock_wrong"]) == ([], False)
        assert page_now["days"][-1]["usd"] == 1.46
    finally:
        await runner.stop()
