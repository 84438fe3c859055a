from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from hunyuan_ui.estimate import Outcome, estimate
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import JobRunner, build_runner
from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.form import PRICED
from hunyuan_ui.ui.price_texts import PRICE, advice, build_price_route, opening_form, priced, priced_parts
from hunyuan_ui.ui.views import head_of
from hunyuan_ui.words import languages, words
from tests.fake_service import FakeService
from tests.stored_jobs import in_status

DEFAULT = VideoRequest.model_construct()
NUMBERS: dict[str, Any] = {name: getattr(DEFAULT, name) for name in PRICED}
TOKEN = "a" * 32


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRunner]:
    service = FakeService()
    settings = Settings(data_dir=tmp_path_factory.mktemp("priced") / "data", api_key=Secret("SG_00112233aabbccdd"))
    runner = build_runner(settings, client=service.client(), download=service.download)
    yield runner
    asyncio.run(runner.stop())


@pytest.fixture(scope="module")
def client(runner: JobRunner) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=[build_price_route(runner)])) as client:
        yield client


def test_the_line_above_the_button_tells_what_is_really_made() -> None:
    request = VideoRequest.parse({"prompt": "x"})
    assert advice(request, estimate(request), words()) == "864x480 · 3.2 s"
    typed = request.model_copy(update={"width": 853})
    assert advice(typed, estimate(typed), words()) == "853x480 is made as 864x480 · 3.2 s"
    draft = request.model_copy(update={"infer_steps": 20, "width": 864})
    assert "864x480 · 3.2 s" in advice(draft, estimate(draft), words())
    assert words()["form.draft_line"] in advice(draft, estimate(draft), words())


def test_a_job_that_would_outlive_its_record_is_warned_of() -> None:
    huge = VideoRequest.parse({"prompt": "x", "width": 1280, "height": 1280, "video_length": 129, "infer_steps": 70})
    assert words()["form.too_long_line"] in advice(huge, estimate(huge), words())


def test_a_form_is_priced_with_what_its_click_would_reserve(client: TestClient, runner: JobRunner) -> None:
    found = client.post(PRICE, json={**NUMBERS, "count": "1", "payer": "owner"}).json()
    assert found["button"] == "Generate · about 3.5 min · about $1.46, at most $2.20"
    assert found["most_usd"] == runner.estimate(DEFAULT, "owner").high_usd
    assert (found["frames"], found["is_free"]) == ("Frames · 3.2 s", False)


@pytest.mark.parametrize("count", ["1", "2", "3", "4"])
def test_the_price_of_several_videos_is_that_of_all(client: TestClient, runner: JobRunner, count: str) -> None:
    found = client.post(PRICE, json={**NUMBERS, "count": count, "payer": "owner"}).json()
    most_usd = runner.estimate(DEFAULT, "owner").high_usd * int(count)
    assert found["most_usd"] == pytest.approx(most_usd)
    assert f"at most ${2.20 * int(count):.2f}" in found["button"]  # of one it says $2.20


@pytest.mark.parametrize("name", PRICED)
@pytest.mark.parametrize(
    "value", [None, "", "many", 0, -3, 999_999, 1e9, 12.5, True, [], {}, "9" * 400, 10**400, "\u202e77"]
)
def test_a_number_that_cannot_be_has_a_sentence_and_no_price(client: TestClient, name: str, value: object) -> None:
    answer = client.post(PRICE, json={**NUMBERS, name: value, "count": "1", "payer": "owner"})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["button"], found["most_usd"], found["frames"]) == ("Generate", None, None)
    assert found["line"].startswith(words()[f"field.{name}"])


@pytest.mark.parametrize("body", ["", "null", "[]", "{", "[" * 100_000])
def test_what_is_no_form_is_refused(client: TestClient, body: str) -> None:
    assert client.post(PRICE, content=body).status_code == 400


def test_whatever_else_is_asked_the_usual_payer_is_priced(client: TestClient) -> None:
    for payer in (None, "nobody", [], {"a": 1}, "x" * 1000):
        found = client.post(PRICE, json={**NUMBERS, "count": [], "payer": payer}).json()
        assert "at most $2.20" in found["button"]


def test_only_who_asks_for_all_of_it_gets_the_head_the_examples_and_their_own_last_seed(client: TestClient) -> None:
    asked = {**NUMBERS, "count": "1", "payer": "owner"}
    assert {"head", "examples", "last_seed"}.isdisjoint(client.post(PRICE, json=asked).json())
    found = client.post(PRICE, json={**asked, "is_whole": True}, headers={"x-hunyuan-visitor": TOKEN}).json()
    assert found["head"]["spent"] == "spent $0.00 · reserved $0.00"
    assert len(found["examples"]["cards"]) == len(EXAMPLES)
    assert found["last_seed"] is None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.key)
def test_an_example_says_the_price_that_the_button_says_once_it_is_picked(runner: JobRunner, example: Any) -> None:
    for language in languages():
        say = words(language)
        cards = asyncio.run(priced_parts(runner, "owner", say))["examples"]["cards"]
        card = next(card for card in cards if card["key"] == example.key)
        assert card["settings"] == example.request.model_dump()
        found = priced({**card["settings"], "count": "1"}, runner, "owner", say)
        assert found["button"].endswith(card["price"])
        assert found["most_usd"] == card["most_usd"]


@pytest.mark.anyio
@pytest.mark.parametrize("is_public", [False, True])
async def test_an_example_has_the_newest_video_that_was_made_of_it_here_and_none_in_public(
    tmp_path: Path, is_public: bool
) -> None:
    settings = Settings(data_dir=tmp_path / "data", share=is_public)
    runner = build_runner(settings, client=FakeService().client())
    ledger, visitor = runner._services.ledger, runner.visitor(TOKEN)
    request, made = EXAMPLES[1].request, {"sha256": "0" * 64, "notes": {"width": 864, "height": 480}}
    jobs = [
        in_status(ledger, JobStatus.DONE, visitor=visitor.id, request=request, created_at=at, **made)
        for at in (1.0, 3.0, 2.0)
    ]
    cards = (await priced_parts(runner, "nobody", words(), visitor))["examples"]["cards"]
    await runner.stop()
    own = {card["key"]: card["own"]["id"] for card in cards if card["own"]}
    assert own == ({} if is_public else {EXAMPLES[1].key: jobs[1].id})


def test_a_preview_is_free_whatever_the_form_holds(tmp_path: Path) -> None:
    runner = build_runner(Settings(data_dir=tmp_path / "data"))
    found = priced({**NUMBERS, "width": 1280, "height": 1280, "count": "2"}, runner, "nobody", words())
    asyncio.run(runner.stop())
    assert (found["button"], found["most_usd"], found["is_free"]) == ("Generate 2 · free preview", 0, True)


def test_the_form_begins_with_the_defaults_and_their_price(runner: JobRunner) -> None:
    found = opening_form(None, runner, "owner", words())
    assert (found["settings"], found["last_seed"]) == (None, None)
    assert found["price"]["of"] == {**NUMBERS, "variations": "1"}
    assert "at most $2.20" in found["price"]["button"]


def test_the_head_names_what_is_spent_and_what_is_reserved(runner: JobRunner) -> None:
    spending = replace(runner.read_spending(), spent_today_usd=3.66, reserved_today_usd=2.20)
    limited = replace(runner.settings, daily_limit_usd=10.0)
    assert head_of(spending, limited, "owner", words())["spent"] == "spent $1.46 · reserved $2.20 of $10.00"
    unlimited = replace(limited, daily_limit_usd=None)
    assert head_of(spending, unlimited, "owner", words())["spent"] == "spent $1.46 · reserved $2.20"


@pytest.mark.parametrize("language", languages())
def test_a_preview_is_not_said_to_be_for_want_of_a_key_where_the_owner_has_one(tmp_path: Path, language: str) -> None:
    key = Secret("SG_0011223344556677")
    settings = Settings(data_dir=tmp_path, api_key=key, server_name="0.0.0.0")
    runner = build_runner(settings)
    spending = runner.read_spending()
    for one in (settings, replace(settings, daily_limit_usd=5.0, access_code=Secret("marzipan-hedgehog"))):
        said = head_of(spending, one, "nobody", words(language))["mode_help"]
        assert not re.search(r"key is set|this machine|设置|这台机器", said), said
    asyncio.run(runner.stop())


def test_a_price_is_said_in_one_form() -> None:
    assert words().price(estimate(DEFAULT)) == "about $1.46, at most $2.20"
    assert words("zh").price(estimate(DEFAULT)) == "约 $1.46，最多 $2.20"
    assert words().price(estimate(DEFAULT, [Outcome(211.0, 211.0, 1.46)] * 3)) == "about $1.46, at most $1.76"  # $1.752
    tiny = replace(estimate(DEFAULT), cost_usd=0.002, high_usd=0.003)
    assert words().price(tiny) == "at most $0.01"
    assert words().price(tiny, 10) == "about $0.02, at most $0.03"


@pytest.mark.parametrize("about_usd", [0.004, 0.005, 0.0149, 0.3333, 1.4642, 999.996])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 1000])
def test_a_price_of_several_is_the_sum_of_what_is_said_of_each_and_never_below_the_maximum(
    about_usd: float, count: int
) -> None:
    one = replace(estimate(DEFAULT), cost_usd=about_usd, high_usd=1.2 * about_usd)

    def amounts(text: str) -> list[float]:
        return [float(amount.replace(",", "")) for amount in re.findall(r"\$([\d,.]*\d)", text)]

    said, whole = amounts(words().price(one)), amounts(words().price(one, count))
    assert whole[-1] >= one.high_usd * count - 1e-9
    if about_usd >= 0.01:
        assert whole == pytest.approx([count * amount for amount in said])
    shown = amounts(words().generate_label(one, is_preview=False, count=count))
    assert shown == whole
