"""The short loops of the examples: rendering, serving, and whose pictures replace them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat
from starlette.applications import Starlette
from starlette.testclient import TestClient

from hunyuan_ui.job import Visitor
from hunyuan_ui.jobs import build_runner
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.example_drawing import draw_loops
from hunyuan_ui.media import facts
from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.example_loops import FOLDER, LOOPS, build_loop_route
from hunyuan_ui.ui.price_texts import priced_parts
from hunyuan_ui.words import words

MOST_BYTES = 600_000
MOST_APART = 0.05  # tolerance between encoder versions
VISITOR = Visitor("a" * 32)


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=[build_loop_route()]))


def test_there_is_a_loop_and_a_poster_for_each_example_and_all_are_small() -> None:
    names = {f"{example.key}{suffix}" for example in EXAMPLES for suffix in (".mp4", ".webp")}
    assert {path.name for path in FOLDER.iterdir()} == names
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.key)
def test_a_loop_has_about_the_shape_of_its_example_and_is_short(example: Any) -> None:
    loop = facts(FOLDER / f"{example.key}.mp4")
    width, height = example.request.real_size
    assert loop.width / loop.height == pytest.approx(width / height, rel=0.06)
    assert 1 < loop.duration_s < 4


def test_the_script_of_the_repository_draws_what_lies_there(tmp_path: Path) -> None:
    draw_loops(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in FOLDER.iterdir())
    for drawn in tmp_path.glob("*.mp4"):
        assert facts(drawn) == facts(FOLDER / drawn.name)
    # A prompt changed since has another scene, or other words in it.
    apart = {drawn.stem: _apart(drawn, FOLDER / drawn.name) for drawn in tmp_path.glob("*.webp")}
    assert {key: mean for key, mean in apart.items() if mean > MOST_APART} == {}


def _apart(one: Path, other: Path) -> float:
    """Return the mean difference of two pictures in grey levels from 0 to 255."""
    with Image.open(one) as left, Image.open(other) as right:
        return ImageStat.Stat(ImageChops.difference(left.convert("L"), right.convert("L"))).mean[0]


def test_a_loop_is_served_whole_in_ranges_and_for_a_day(client: TestClient) -> None:
    whole = client.get(f"{LOOPS}/fox.mp4")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.content == (FOLDER / "fox.mp4").read_bytes()
    assert whole.headers["cache-control"] == "public, max-age=86400"
    part = client.get(f"{LOOPS}/fox.mp4", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert client.get(f"{LOOPS}/fox.webp").headers["content-type"] == "image/webp"


@pytest.mark.parametrize("name", ["dog.mp4", "fox", "..%2Fpage.js", "%2e%2e%2fpage.js", "fox.mp4%00", "FOX.MP4", ""])
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"{LOOPS}/{name}").status_code == 404


def test_the_first_example_is_the_documented_sample_with_every_default() -> None:
    assert EXAMPLES[0].request == VideoRequest.parse({"prompt": "A cat walks on the grass, realistic style."})


@pytest.mark.parametrize("is_public", [False, True])
def test_an_owners_own_video_takes_the_place_of_a_drawn_one_in_private_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_public: bool
) -> None:
    monkeypatch.setattr("hunyuan_ui.local_endpoint.app.create_app", partial(create_app, seconds=0.05))
    folder, example = tmp_path / "data", EXAMPLES[1]

    async def cards_after(settings: Settings, *, makes: bool) -> dict[str, Any]:
        runner = build_runner(settings)
        await runner.start()
        if makes:
            small = example.request.model_copy(update={"width": 64, "height": 48, "video_length": 5})
            job = await runner.submit("1" * 32, small, VISITOR, payer="nobody", shown_usd=0)
            job = await runner.wait(job.id, VISITOR, 30)
            assert job.status.value == "done"
        cards = (await priced_parts(runner, "nobody", words(), VISITOR))["examples"]["cards"]
        stranger = (await priced_parts(runner, "nobody", words(), Visitor("b" * 32)))["examples"]["cards"]
        await runner.stop()
        assert all(card["own"] is None for card in stranger)
        return {card["key"]: card["own"] for card in cards if card["own"]}

    private = Settings(data_dir=folder)
    assert asyncio.run(cards_after(private, makes=False)) == {}
    own = asyncio.run(cards_after(private, makes=True))
    assert (list(own), own[example.key]["id"], own[example.key]["width"]) == ([example.key], "1" * 32, 64)
    later = replace(private, server_name="0.0.0.0" if is_public else "127.0.0.1")
    again = asyncio.run(cards_after(later, makes=False))
    assert list(again) == ([] if is_public else [example.key])
