"""The owner's page and the choice of the payer, as their scripts receive them."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import gradio as gr
import pytest
from starlette.requests import Request

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.job import JobStatus, Visitor, new_id
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.owner import OwnerEvents, csv_of, limit_lines
from hunyuan_ui.ui.owner_days import DAYS
from hunyuan_ui.ui.payment import PayEvents, allowances, chosen_payer
from hunyuan_ui.ui.views import head_of
from hunyuan_ui.ui.visitor import login_of, token_of
from hunyuan_ui.words import words
from tests.fake_service import FakeService, answer
from tests.stored_jobs import job

pytestmark = pytest.mark.anyio

KEY = "SG_00112233aabbccdd"
OWN_KEY = "SG_ffff0000ffff0000"
CODE = "open sesame"
TOKEN = "a" * 32
WHO = TOKEN


@pytest.fixture
def private(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", api_key=Secret(KEY), poll_interval_s=0.002)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def runner(request: pytest.FixtureRequest, private: Settings, service: FakeService) -> AsyncIterator[JobRunner]:
    settings = replace(private, **getattr(request, "param", {}))
    opened = build_runner(settings, client=service.client(), folder=DataFolder(settings.data_dir, min_free_bytes=0))
    await opened.start()
    yield opened
    await opened.stop()


PUBLIC = {"share": True, "daily_limit_usd": 10.0, "access_code": Secret(CODE)}
public = pytest.mark.parametrize("runner", [PUBLIC], indirect=True)


def asking(page: str = "s1", **scope: Any) -> gr.Request:
    """Return a browser's request as Gradio passes it to an event."""
    request = Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [], **scope})
    return gr.Request(request=request, session_hash=page)


def event(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)  # type: ignore[arg-type]


# the owner's page


async def test_the_owner_sees_days_jobs_limits_and_what_is_to_be_settled(runner: JobRunner) -> None:
    lost = job(status=JobStatus.UNKNOWN, prompt="a <b>heron</b>")
    runner._services.ledger.adopt(lost)
    runner._services.ledger.adopt(
        job(status=JobStatus.DONE, cost_microusd=1_460_000, sent_at=runner._services.ledger.now())
    )
    shown = await OwnerEvents(runner).event("refresh")(asking(), event(), WHO)
    assert len(shown["days"]) == DAYS
    assert shown["days"][-1]["usd"] == pytest.approx(1.46 + 1.5)
    assert shown["limits"][0].startswith("$2.96 spent and $0.00 reserved today")
    assert [entry["id"] for entry in shown["unknown"]] == [runner.videos.public_id(lost)]
    assert "Your account holds $12.50 now." in shown["unknown"][0]["text"]
    assert {row["cost"] for row in shown["jobs"]} == {"$1.46", "up to $1.50"}
    assert any("a <b>heron</b>" in row["what"] for row in shown["jobs"])
    json.dumps(shown)
    settled = await OwnerEvents(runner).event("settle")(
        asking(), event(job=shown["unknown"][0]["id"], was_charged=False), WHO
    )
    assert settled["unknown"] == []
    assert settled["days"][-1]["usd"] == pytest.approx(1.46)


@pytest.mark.parametrize(
    ("status", "named_microusd", "cost"),
    [
        (JobStatus.RUNNING, None, "up to $1.50"),
        (JobStatus.RUNNING, 500_000, "up to $1.50"),  # a part of its price, perhaps
        (JobStatus.RUNNING, 5_000_000, "up to $5.00"),
        (JobStatus.DOWNLOADING, 500_000, "$0.50"),
        (JobStatus.UNKNOWN, 5_000_000, "$5.00"),
    ],
)
async def test_what_is_shown_for_a_job_is_what_counts_for_it(
    runner: JobRunner, status: JobStatus, named_microusd: int | None, cost: str
) -> None:
    held = job(status=status, cost_microusd=named_microusd, sent_at=runner._services.ledger.now())
    runner._services.ledger.adopt(held)
    shown = await OwnerEvents(runner).event("refresh")(asking(), event(), WHO)
    assert [row["cost"] for row in shown["jobs"]] == [cost]
    assert [f"up to {cost}." in one["text"] for one in shown["unknown"]] == [True] * (status is JobStatus.UNKNOWN)
    assert f"${shown['days'][-1]['usd']:.2f}" == cost.removeprefix("up to ")


@pytest.mark.parametrize("said", [{}, {"was_charged": None}, {"was_charged": 0}], ids=repr)
async def test_only_a_clear_no_takes_back_what_may_have_been_charged(runner: JobRunner, said: dict[str, Any]) -> None:
    unsettled = job(status=JobStatus.UNKNOWN)
    runner._services.ledger.adopt(unsettled)
    shown = runner.videos.public_id(unsettled)
    settled = await OwnerEvents(runner).event("settle")(asking(), event(job=shown, **said), WHO)
    assert (settled["problem"], settled["unknown"]) == ("", [])
    assert settled["days"][-1]["usd"] == pytest.approx(1.5)


@public
async def test_a_stranger_sees_the_owners_page_shut_whatever_they_ask(runner: JobRunner) -> None:
    lost = job(status=JobStatus.UNKNOWN)
    runner._services.ledger.adopt(lost)
    events = OwnerEvents(runner)
    for name in ("refresh", "export", "settle", "resume"):
        shown = await events.event(name)(asking(), event(job=lost.id, was_charged=False), WHO)
        assert set(shown) == {"is_offered", "needs_proof", "problem"}
    stored = runner._services.ledger.get(lost.id)
    assert stored is not None
    assert stored == replace(lost, updated_at=stored.updated_at)


@public
async def test_who_knows_the_key_opens_it_and_reads_no_strangers_words(runner: JobRunner) -> None:
    runner._services.ledger.adopt(job(status=JobStatus.DONE, prompt="a secret wish"))
    events = OwnerEvents(runner)
    wrong = await events.event("prove")(asking(), event(key=OWN_KEY), WHO)
    assert "not the API key" in wrong["problem"]
    shown = await events.event("prove")(asking(), event(key=KEY), WHO)
    assert len(shown["jobs"]) == 1
    exported = await events.event("export")(asking(), event(), WHO)
    assert exported["csv"].count("\n") == 2
    for said in (json.dumps(shown), json.dumps(exported)):
        assert "a secret wish" not in said
        assert KEY not in said


@pytest.mark.parametrize("runner", [{"share": True, "api_key": None}], indirect=True)
async def test_a_public_preview_offers_no_owners_page(runner: JobRunner) -> None:
    shown = await OwnerEvents(runner).event("prove")(asking(), event(key=""), WHO)
    assert not shown["is_offered"]


# Texts with special characters, and their cells.
WRITTEN = [
    ("=1+1", "'=1+1"),
    ("+1", "'+1"),
    ("-1", "'-1"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
    ('a, "quoted"\nline', 'a, "quoted"\nline'),
    ("cat;=HYPERLINK(1)", "cat;'=HYPERLINK(1)"),
    ("cat\t=HYPERLINK(1)", "cat\t'=HYPERLINK(1)"),
    ("cat\r\n=HYPERLINK(1)", "cat\r\n'=HYPERLINK(1)"),
    ("cat|@x", "cat|'@x"),
    ("cat:-2+3", "cat:'-2+3"),
    ("  =1", "'  '=1"),
    ("\t=1", "'\t'=1"),
    ("\u3000＝1", "'\u3000'＝1"),
    ("＝1＋1", "'＝1＋1"),
    ("cat;＠x", "cat;'＠x"),
    ("\u22121", "'\u22121"),
    ("﹣1", "'﹣1"),
    ('"=1', "\"'=1"),
    ('x"; "=1', 'x"; "\'=1'),
    ("\ufeff=1", "\ufeff'=1"),
    ("\u200b=1", "\u200b'=1"),
    ("cat;;==1", "cat;;'='=1"),
    ("'=1", "''=1"),
    ("well-known 2025-11-25 a=b x@y 1+1", "well-known 2025-11-25 a=b x@y 1+1"),
    ("猫-猫", "猫-猫"),
]


def cells_by(separator: str, quote: str, text: str) -> list[str]:
    """Return the cells that a spreadsheet reads from a file with unintended separators and quotes."""
    lines = text.splitlines() if quote else re.split(r"[\r\n]+", text)
    reader = csv.reader(lines, delimiter=separator, quotechar=quote or None, quoting=0 if quote else csv.QUOTE_NONE)
    return [cell for row in reader for cell in row]


@pytest.mark.parametrize(("written", "kept"), WRITTEN)
@pytest.mark.parametrize("field", ["prompt", "request_id"])
def test_a_spreadsheet_computes_nothing_from_what_people_or_the_service_wrote(
    field: str, written: str, kept: str
) -> None:
    row = job(status=JobStatus.DONE)
    row = replace(row, request_id=written) if field == "request_id" else replace(row, request=wish(written))
    text = csv_of([row], lambda _: "id", with_prompts=True)
    (read,) = csv.DictReader(io.StringIO(text, newline=""))
    assert read[field] == kept
    for separator in ",;\t|: ":
        for quote in ('"', ""):
            for cell in cells_by(separator, quote, text):
                begins = unicodedata.normalize("NFKC", cell.strip("\ufeff\u200b \t\u3000\"'"))[:1]
                is_bare = cell.lstrip('\ufeff\u200b \t\u3000"')[:1] != "'"
                assert begins not in tuple("=+-@\u2212") or not is_bare, (separator, quote, cell)


def wish(prompt: str) -> VideoRequest:
    """Return a request with an uncleaned prompt, as older versions may have stored it."""
    return VideoRequest.model_construct(**{**VideoRequest.parse({"prompt": "a"}).model_dump(), "prompt": prompt})


def test_prompts_are_in_the_file_only_where_they_are_meant_to_be() -> None:
    rows = [job(status=JobStatus.DONE, prompt="a heron")]
    assert "heron" in csv_of(rows, lambda _: "id", with_prompts=True)
    assert "heron" not in csv_of(rows, lambda _: "id", with_prompts=False)
    assert "prompt" not in csv_of([], lambda _: "id", with_prompts=False)


@pytest.mark.parametrize("runner", [{}, PUBLIC], indirect=True)
async def test_no_list_of_the_owners_page_names_a_job_by_what_opens_it(runner: JobRunner) -> None:
    rows = [job(status=status) for status in (JobStatus.UNKNOWN, JobStatus.DONE, JobStatus.LOST)]
    for row in rows:
        runner._services.ledger.adopt(row)
    events = OwnerEvents(runner)
    await events.event("prove")(asking(), event(key=KEY), WHO)
    shown = json.dumps(
        [await events.event("refresh")(asking(), event(), WHO), await events.event("export")(asking(), event(), WHO)]
    )
    for row in rows:
        assert row.id not in shown
        # In the table of each response, in the file, and where it needs a decision.
        assert shown.count(runner.videos.public_id(row)) == (5 if row.status is JobStatus.UNKNOWN else 3)
        assert runner.videos.public_id(row)[:8] not in row.id
    (unknown,) = (await events.event("refresh")(asking(), event(), WHO))["unknown"]
    for wrong in (rows[0].id, runner.videos.public_id(rows[2]), "", None):
        refused = await events.event("settle")(asking(), event(job=wrong, was_charged=True), WHO)
        assert refused["problem"]
    settled = await events.event("settle")(asking(), event(job=unknown["id"], was_charged=True), WHO)
    assert settled["unknown"] == []


async def test_what_is_spent_and_reserved_is_named_and_what_is_left_is_never_less_than_nothing(
    runner: JobRunner,
) -> None:
    spending = replace(await runner.spending(), spent_today_usd=12.0, spent_total_usd=20.0, reserved_today_usd=2.2)
    assert limit_lines(spending, replace(runner.settings, daily_limit_usd=10.0, total_limit_usd=50.0), words())[:2] == [
        "$9.80 spent and $2.20 reserved today (UTC), $0.00 of $10.00 is left",
        "$20.00 counted in all, $30.00 of $50.00 is left",
    ]
    assert limit_lines(spending, replace(runner.settings, daily_limit_usd=None), words())[:2] == [
        "$9.80 spent and $2.20 reserved today (UTC), no daily limit",
        "$20.00 counted in all, no total limit",
    ]


@pytest.mark.parametrize(
    ("runner", "said"),
    [
        ({}, ""),
        (
            {"storage": "wiped"},
            "Videos here lie on a disk that does not last: download them.",
        ),
        ({"storage": "lax"}, "Videos here stay when this page restarts; its record of the last moments may not."),
        ({**PUBLIC, "is_space": True}, "Videos here stay when this Space restarts."),
        (
            {**PUBLIC, "is_space": True, "storage": "wiped"},
            "Videos here vanish when this Space restarts: download them.",
        ),
    ],
    indirect=["runner"],
)
async def test_the_head_says_what_a_restart_leaves(runner: JobRunner, said: str) -> None:
    assert head_of(await runner.spending(), runner.settings, "owner", words())["storage"] == said


@pytest.mark.parametrize("runner", [PUBLIC], indirect=True)
async def test_the_head_and_the_owners_page_say_what_a_wiped_disk_loses(runner: JobRunner) -> None:
    kept: dict[str, Any] = {"database_url": Secret("postgresql://u:p@h/x"), "videos_url": "s3://bucket"}
    spending = await runner.spending()
    space = replace(runner.settings, is_space=True, storage="wiped")

    def said(**changes: Any) -> tuple[str, str]:
        settings = replace(space, **changes)
        head = head_of(spending, settings, "owner", words())["storage"]
        return head, limit_lines(spending, settings, words())[-1]

    stays, vanish = "Finished videos here stay when", "Videos here vanish when"
    for changes, head, owner in (
        (kept, stays, "loses nothing"),
        ({**kept, "videos_url": None}, vanish, "finished videos with it"),
        ({**kept, "database_url": None}, stays, "history of seven days"),
        ({}, vanish, "history of seven days"),
        ({"daily_limit_usd": None}, vanish, "finished videos, and the record"),
        ({"daily_limit_usd": None, "videos_url": "s3://bucket"}, stays, "the record of what was spent with it"),
    ):
        assert said(**changes)[0].startswith(head)
        assert owner in said(**changes)[1]
    assert "restart" not in said(storage="kept")[1]


# payer


@pytest.mark.parametrize(
    ("runner", "choices"),
    [
        ({}, ["owner"]),
        ({"api_key": None}, ["nobody", "visitor"]),
        ({"share": True}, ["nobody", "visitor"]),
        ({"share": True, "daily_limit_usd": 5.0}, ["owner", "visitor"]),
        ({"share": True, "daily_limit_usd": 5.0, "storage": "wiped"}, ["owner", "nobody", "visitor"]),
        (PUBLIC, ["owner", "nobody", "visitor"]),
    ],
    indirect=["runner"],
)
async def test_the_page_offers_whoever_can_pay(runner: JobRunner, choices: list[str]) -> None:
    shown = await PayEvents(runner).opened(asking(), Visitor.from_token(TOKEN), words())
    assert [entry["payer"] for entry in shown["choices"]] == choices
    assert shown["chosen"] == choices[0]


@public
@pytest.mark.parametrize("claimed", [None, {}, "owner", {"chosen": "admin"}, {"chosen": ["owner"]}, {"chosen": None}])
async def test_a_choice_that_is_not_offered_is_the_usual_one(runner: JobRunner, claimed: object) -> None:
    assert chosen_payer(claimed, runner) == "owner"
    assert chosen_payer({"chosen": "nobody"}, runner) == "nobody"


@public
async def test_a_key_never_comes_back_and_goes_when_it_is_taken_back(runner: JobRunner) -> None:
    pay = PayEvents(runner)
    shown = await pay.event("bring")(asking(), event(key=OWN_KEY), WHO, {"chosen": "visitor"})
    assert (shown["has_key"], shown["chosen"], shown["problem"]) == (True, "visitor", "")
    assert shown["accepted"] == "Key accepted: $12.50 on this account."
    assert OWN_KEY not in json.dumps(shown)
    shown = await pay.event("forget")(asking(), event(), WHO, shown)
    assert not shown["has_key"]
    assert not runner.keys.has(Visitor.from_token(TOKEN))


@public
@pytest.mark.parametrize("credits_usd", [0, 0.0, -3])
async def test_a_key_without_credits_is_taken_and_said_to_be_empty(
    runner: JobRunner, service: FakeService, credits_usd: float
) -> None:
    service.script("credits", answer(200, {"credits": credits_usd, "free-credits": 0}))
    shown = await PayEvents(runner).event("bring")(asking(), event(key=OWN_KEY), WHO, {"chosen": "visitor"})
    assert shown["has_key"]
    assert "no credits on this account" in shown["accepted"]


async def test_where_keys_are_made_is_told_of_segmind_alone(runner: JobRunner, private: Settings) -> None:
    shown = await PayEvents(runner).opened(asking(), Visitor.from_token(TOKEN), words())
    assert shown["keys_url"] == "https://cloud.segmind.com/console/api-keys"
    assert replace(private, base_url="http://127.0.0.1:8010").console_url == ""


@public
async def test_what_is_left_today_is_told_before_the_click(runner: JobRunner) -> None:
    visitor = Visitor.from_token(TOKEN)
    told = [await allowances(runner, visitor, words())]
    for _ in range(3):
        runner._services.ledger.adopt(job(visitor=visitor.id, status=JobStatus.DONE, created_at=time.time()))
        told.append(await allowances(runner, visitor, words()))
    assert [one["owner"] for one in told[:3]] == [f"{left} of 3 videos left today." for left in (3, 2, 1)]
    assert told[3]["owner"].startswith("0 of 3 videos left today.")
    assert {one["nobody"] for one in told} == {""}
    assert await allowances(runner, Visitor.from_token("b" * 32), words()) == told[0]


async def test_in_private_nobody_is_told_of_an_allowance(runner: JobRunner) -> None:
    assert await allowances(runner, Visitor.from_token(TOKEN), words()) == {}


@public
async def test_a_refused_key_is_a_sentence_beside_the_box(runner: JobRunner, service: FakeService) -> None:
    service.script("credits", answer(401, {"error": f"Unauthorized {OWN_KEY}"}))
    shown = await PayEvents(runner).event("bring")(asking(), event(key=OWN_KEY), WHO, {"chosen": "visitor"})
    assert "refused the API key" in shown["problem"]
    assert OWN_KEY not in json.dumps(shown)
    assert shown["chosen"] == "visitor"


@public
async def test_the_code_opens_the_owners_key_to_its_visitor(runner: JobRunner) -> None:
    pay = PayEvents(runner)
    shown = await pay.event("enter")(asking(), event(code="guess"), WHO, {"chosen": "owner"})
    assert (shown["needs_code"], "not the access code" in shown["problem"]) == (True, True)
    shown = await pay.event("enter")(asking(), event(code=CODE), WHO, {"chosen": "owner"})
    assert (shown["needs_code"], shown["problem"]) == (False, "")
    await runner.submit(new_id(), VideoRequest.parse({"prompt": "a fox"}), Visitor.from_token(TOKEN), payer="owner")


@public
async def test_a_page_that_is_loaded_again_keeps_the_key(runner: JobRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hunyuan_ui.jobs.visitor_keys.KEPT_AFTER_LEAVING_S", 0.05)
    pay, visitor = PayEvents(runner), Visitor.from_token(TOKEN)
    await pay.event("bring")(asking(), event(key=OWN_KEY), WHO, {})
    runner.keys.page_closed(new_id(), visitor)
    await pay.opened(asking(), visitor, words())
    await anyio.sleep(0.1)
    assert runner.keys.has(visitor)


# logins


def test_a_login_makes_the_token_and_counts_on_a_space_only(private: Settings) -> None:
    logged_in: dict[str, Any] = {"session": {"oauth_info": {"userinfo": {"preferred_username": "heron"}}}}
    space = replace(private, is_space=True, login_secret=Secret("client secret"))
    assert login_of(asking(**logged_in), private) == ""
    assert token_of(asking(**logged_in), WHO, private) == TOKEN
    assert login_of(asking(**logged_in), space) == "heron"
    made = token_of(asking(**logged_in), WHO, space)
    assert made == token_of(asking(**logged_in), "b" * 32, space) != TOKEN
    # Knowing a name does not suffice to create its token, which depends on the secret.
    elsewhere = replace(space, login_secret=Secret("of another space"))
    assert token_of(asking(**logged_in), WHO, elsewhere) not in (made, TOKEN)
    assert "heron" not in made
    assert token_of(asking(session={}), WHO, space) == TOKEN
    assert login_of(asking(session={}), space) == ""


LOGIN = {"share": True, "daily_limit_usd": 10.0, "requires_login": True, "login_secret": Secret("s3cret")}
LOGGED_IN = {"oauth_info": {"userinfo": {"preferred_username": "somebody"}}}


@pytest.mark.parametrize(
    ("runner", "session", "needs"),
    [({}, {}, False), (LOGIN, {}, True), (LOGIN, LOGGED_IN, False)],
    indirect=["runner"],
    ids=["never", "not yet", "logged in"],
)
async def test_a_login_is_asked_for_only_where_and_while_it_is_needed(
    runner: JobRunner, session: dict[str, Any], needs: bool
) -> None:
    request = asking(session=session)
    shown = await PayEvents(runner).opened(request, Visitor.from_token(TOKEN), words())
    assert shown["needs_login"] is needs
