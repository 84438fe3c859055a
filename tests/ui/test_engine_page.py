"""The page's texts about a self-hosted engine, and that there are none without one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import gradio as gr
import pytest

from hunyuan_ui.check import State, check
from hunyuan_ui.estimate import engine_estimate
from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import EngineState, Spending
from hunyuan_ui.jobs.engine_jobs import fields_set_at_engine
from hunyuan_ui.jobs.services import build_services
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings
from hunyuan_ui.startup import describe
from hunyuan_ui.ui.form import build_request_form
from hunyuan_ui.ui.labels import label
from hunyuan_ui.ui.owner import engine_lines, limit_lines
from hunyuan_ui.ui.views import facts_of, head_of
from hunyuan_ui.words import words
from tests.app_process import modules_of_an_import
from tests.raw_service import RawService, Reply, answer
from tests.stored_jobs import job

ROOT = Path(__file__).parents[2]
NOTHING_SPENT = Spending(0.0, 0.0, 0.0, None, None)


def settings(tmp_path: Path, url: str | None = "http://gpu.local:30000") -> Settings:
    return Settings(data_dir=tmp_path / "data", engine_url=url)


@pytest.mark.anyio
async def test_what_no_request_carries_is_shown_as_set_at_the_engine(tmp_path: Path) -> None:
    with gr.Blocks():
        here = build_request_form(set_elsewhere=fields_set_at_engine(settings(tmp_path)))
        hosted = build_request_form()
    shown = {name: getattr(here, name).interactive for name in VideoRequest.model_fields}
    assert [name for name, can in shown.items() if can is False] == ["flow_shift", "embedded_guidance_scale"]
    assert not [name for name in VideoRequest.model_fields if getattr(hosted, name).interactive is False]
    assert cast("Any", here.flow_shift).info.key == "form.set_at_engine"
    with pytest.raises(KeyError):
        label("form.no_such_text")


def test_nothing_of_an_engine_is_shown_without_one(tmp_path: Path) -> None:
    without = settings(tmp_path, None)
    services = build_services(without)
    asyncio.run(services.close())
    assert (fields_set_at_engine(without), services.engine) == ((), None)
    assert engine_lines(None, words()) == []
    assert "engine" not in " ".join(describe(without)).replace(str(tmp_path), "").lower()
    assert head_of(NOTHING_SPENT, without, "nobody", words())["mode"] == "Local preview"


def test_no_dollars_are_named_where_hours_have_no_price(tmp_path: Path) -> None:
    free = settings(tmp_path)
    priced = replace(free, engine_usd_per_hour=2.5)
    made = job(dialect="openai", status=JobStatus.DONE, cost_microusd=0, reserved_microusd=0)
    said = [head_of(NOTHING_SPENT, free, "owner", words())["spent"], *limit_lines(NOTHING_SPENT, free, words())]
    assert "$" not in " ".join([*said, *facts_of(made, words())])
    assert words()["price.free"] in facts_of(made, words())
    assert "$" in head_of(NOTHING_SPENT, priced, "owner", words())["spent"]
    assert len(limit_lines(NOTHING_SPENT, priced, words())) == 3
    assert [head_of(NOTHING_SPENT, one, "owner", words())["mode_help"] for one in (free, priced)] == [
        words()["app.engine_free_help"],
        words()["app.engine_help"],
    ]
    assert "$0.01" in facts_of(replace(made, cost_microusd=10_000), words())
    # Videos paid for at the hosted service before keep their price.
    assert "$1.46" in facts_of(replace(made, dialect="v2", cost_microusd=1_460_000), words())


def loaded(tmp_path: Path, **environ: str) -> set[str]:
    """Return the engine modules that a start of the page imports."""
    here = "hunyuan_ui.endpoint."
    names = {name.removeprefix(here) for name in modules_of_an_import(tmp_path, **environ) if name.startswith(here)}
    return names & {"engines", "openai_videos"}


@pytest.mark.slow
def test_nothing_of_an_engine_is_loaded_without_one(tmp_path: Path) -> None:
    assert loaded(tmp_path) == set()
    assert loaded(tmp_path, HUNYUAN_UI_ENGINE_URL="http://gpu.local") == {"engines", "openai_videos"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_price_head_banner_and_owner_name_the_engine(tmp_path: Path, language: str) -> None:
    say, here = words(language), settings(tmp_path)
    free = engine_estimate(VideoRequest(prompt="x"), [], 0.0)
    assert say.price(free) == say["price.free"]
    assert say["price.free"] in say.generate_label(free, is_preview=False)
    several = say.generate_label(free, is_preview=False, count=3)
    assert several.endswith(say["price.free"])
    assert "3" in several
    assert "$" not in say.several_label(2, 60.0, 0.0, 0.0) + say.price_of(0.0, 0.0)
    paid = engine_estimate(VideoRequest(prompt="x"), [], 2.5)
    assert "$" in say.price(paid)
    assert not paid.may_outlive_record
    assert head_of(NOTHING_SPENT, here, "owner", say)["mode"] == say["app.engine"]
    assert "http://gpu.local:30000" in " ".join(describe(here))
    for is_ready in (True, False, None):
        (line,) = engine_lines(EngineState("http://gpu.local", "", is_ready, 1.5), say)
        assert "1.50" in line
        assert "{" not in line


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "state"), [(200, State.AS_EXPECTED), (503, State.DIFFERENT), (None, State.NOT_REACHABLE)]
)
async def test_the_check_asks_the_engine_and_not_the_hosted_service(
    tmp_path: Path, status: int | None, state: State
) -> None:
    with RawService() as service:
        service.on("GET", "/health", answer(status or 200))
        service.on("GET", "/v1/videos", answer(200, {"object": "list", "data": []}))
        if status is None:
            service.refuse()
        rows = {row.name: row for row in await check(settings(tmp_path, service.origin))}
        assert {one.path for one in service.requests} <= {"/health", "/v1/videos?limit=1"}
        assert {one.method for one in service.requests} <= {"GET"}
    assert rows["engine"].state is state
    assert "key" not in rows
    assert "{" not in rows["engine"].sentence


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (answer(401, {"error": "Unauthorized"}), "HUNYUAN_UI_ENGINE_KEY"),
        (answer(403, {"detail": "Forbidden"}), "HUNYUAN_UI_ENGINE_KEY"),
        (answer(404, {"detail": "Not Found"}), "404"),
        (answer(200, b"<html></html>", content_type="text/html"), "unexpected"),
        (answer(200, {"object": "video"}), "unexpected"),
    ],
)
async def test_the_check_tells_a_wrong_key_and_a_place_where_no_engine_is(
    tmp_path: Path, listed: Reply, said: str
) -> None:
    with RawService() as service:
        service.on("GET", "/prefix/health", answer(200))
        service.on("GET", "/prefix/v1/videos", listed)
        found = await check(settings(tmp_path, f"{service.origin}/prefix"))
    (row,) = (row for row in found if row.name == "engine")
    assert row.state is State.DIFFERENT
    assert said in row.sentence
