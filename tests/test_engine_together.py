"""A self-hosted engine with the command line, lists, notifications, --check, API and MCP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.cli import Exit, main
from hunyuan_ui.job import new_id
from hunyuan_ui.media import check_mp4
from tests.app_process import running_app
from tests.engines import HEALTH, KINDS, VIDEOS
from tests.faults.conftest import impatient as impatient
from tests.faults.service import PaidService
from tests.raw_service import Received, Reply, Wire, answer
from tests.test_notifications import Listener
from tests.ui.test_mcp_results import agent, call
from tests.words.test_of_engine import OF_SERVICE

pytestmark = pytest.mark.usefixtures("impatient")

KEY = "the-engines-own-key"
SMALL = ["--width=64", "--height=48", "--frames=5"]
PRICED = {"HUNYUAN_UI_ENGINE_USD_PER_HOUR": "3.60"}
PROMPTS = "a boat\na crow\na heron\n"


@pytest.fixture
def service() -> Iterator[PaidService]:
    with PaidService() as running:
        running.engine.key = KEY
        yield running


@pytest.fixture
def environ(service: PaidService, tmp_path: Path) -> dict[str, str]:
    own = {"HUNYUAN_UI_ENGINE_URL": service.origin, "HUNYUAN_UI_ENGINE_KEY": KEY}
    return {**own, "HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), "HUNYUAN_UI_POLL_SECONDS": "0.05"}


@pytest.fixture
def console(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Output must never mention the hosted service, whatever else is asserted."""
    told: list[str] = []
    read = capsys.readouterr

    def readouterr() -> Any:
        told.extend(found := read())
        return found

    capsys.readouterr = readouterr  # type: ignore[method-assign]
    yield capsys
    readouterr()
    assert not OF_SERVICE["en"].search("".join(told)), "".join(told)
    assert KEY not in "".join(told)


def prompts_in(folder: Path) -> str:
    (folder / "boats.txt").write_text(PROMPTS, "utf-8")
    return str(folder / "boats.txt")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [{}, PRICED], ids=["free", "priced"])
def test_the_command_line_makes_a_video_on_every_engine(
    service: PaidService,
    environ: dict[str, str],
    tmp_path: Path,
    console: pytest.CaptureFixture[str],
    kind: str,
    rate: dict[str, str],
) -> None:
    service.engine.kind = kind
    target = tmp_path / "cat.mp4"
    assert main(["a cat", *SMALL, f"--out={target}"], {**environ, **rate}) == Exit.DONE
    check_mp4(target)
    said = console.readouterr().out
    assert ("$0.21" in said, "free" in said) == (bool(rate), not rate)
    assert main(["a cat", *SMALL, "--estimate"], {**environ, **rate}) == Exit.DONE
    assert ("$" in console.readouterr().out) == bool(rate)


@pytest.mark.parametrize("lost", ["answer", "failed", "refused", "key", "away"])
def test_what_went_wrong_is_told_in_the_engines_own_terms(
    service: PaidService, environ: dict[str, str], console: pytest.CaptureFixture[str], tmp_path: Path, lost: str
) -> None:
    def take(wire: Wire, received: Received) -> None:
        service.engine.behave(received)
        wire.reset()

    if lost == "answer":
        service.on("POST", VIDEOS, Reply(take))
    elif lost == "refused":
        service.on("POST", VIDEOS, answer(422, {"detail": "size"}))
    elif lost == "away":
        service.refuse()
        service.hang_up()
    elif lost == "key":
        environ["HUNYUAN_UI_ENGINE_KEY"] = "another-key-of-it"
    elif lost == "failed":
        service.engine.fails = "CUDA out of memory"
    code = main(["a cat", *SMALL, f"--out={tmp_path / 'cat.mp4'}"], environ)
    assert code == (Exit.UNKNOWN if lost == "answer" else Exit.FAILED)
    assert "engine" in console.readouterr().err


def test_a_list_needs_a_budget_only_where_hours_have_a_price(
    service: PaidService, environ: dict[str, str], tmp_path: Path, console: pytest.CaptureFixture[str]
) -> None:
    listed = ["--batch", prompts_in(tmp_path), *SMALL, f"--out={tmp_path / 'out'}"]
    assert main([*listed, "--estimate"], environ) == Exit.DONE
    assert main(listed, environ) == Exit.DONE
    assert "$" not in console.readouterr().out
    assert sorted(service.posts().values()) == [1, 1, 1]
    assert main(listed, environ) == Exit.DONE
    assert sorted(service.posts().values()) == [1, 1, 1]
    other = {**environ, **PRICED, "HUNYUAN_UI_DATA_DIR": str(tmp_path / "priced")}
    assert main(listed, other) == Exit.USAGE
    assert "--budget" in console.readouterr().err
    # A video takes 211 s: the first estimate is too high, the calibrated one is not.
    assert main([*listed, "--budget=0.30"], other) == Exit.LIMIT
    console.readouterr()
    assert main([*listed, "--budget=5"], other) == Exit.DONE
    assert "$0.63 spent" in console.readouterr().out
    assert sorted(service.posts().values()) == [2, 2, 2]


@pytest.mark.parametrize(("rate", "price"), [({}, "free"), (PRICED, "$0.21")], ids=["free", "priced"])
def test_notices_tell_the_price_of_the_time_or_none(
    service: PaidService, environ: dict[str, str], tmp_path: Path, rate: dict[str, str], price: str
) -> None:
    listener = Listener()
    noticed = {**environ, **rate, "HUNYUAN_UI_NOTIFY": listener.address}
    target = f"--out={tmp_path / 'cat.mp4'}"
    assert main(["a cat", *SMALL, target], noticed) == Exit.DONE
    service.engine.fails = "out of memory"
    assert main(["a dog", *SMALL, target], noticed) == Exit.FAILED
    listener.close()
    done, failed = listener.told
    assert done.startswith(f"Video done: {price}. Job ")
    assert failed.startswith("No video, and nothing is counted.")
    assert not OF_SERVICE["en"].search(done + failed)


@pytest.mark.parametrize(
    ("status", "state", "code"), [(200, "as_expected", Exit.DONE), (503, "different", Exit.FAILED)]
)
def test_the_check_in_json_asks_the_engine_and_makes_nothing(
    service: PaidService,
    environ: dict[str, str],
    console: pytest.CaptureFixture[str],
    status: int,
    state: str,
    code: Exit,
) -> None:
    service.engine.is_warm = status == 200
    assert main(["--check", "--json"], environ) == code
    rows = {row["name"]: row for row in json.loads(console.readouterr().out)["checks"]}
    assert rows["engine"]["state"] == state
    assert {one.path.partition("?")[0] for one in service.requests} <= {HEALTH, VIDEOS}
    assert {one.method for one in service.requests} == {"GET"}
    assert main(["--check"], environ) == code


@pytest.mark.anyio
async def test_an_agent_makes_a_video_on_the_engine(
    service: PaidService, environ: dict[str, str], tmp_path: Path
) -> None:
    service.engine.kind = "vllm"
    own: dict[str, Any] = {name: value for name, value in environ.items() if name != "HUNYUAN_UI_DATA_DIR"}
    short: dict[str, Any] = {"prompt": "A paper boat in a gutter", "video_length": 5, "width": 64, "height": 64}
    with running_app(tmp_path, **own, GRADIO_MCP_SERVER="true") as app:
        async with agent(app) as session:
            tools = (await session.list_tools()).tools
            told = [" ".join([tool.description or "", json.dumps(tool.inputSchema)]) for tool in tools]
            assert not [text for text in told if OF_SERVICE["en"].search(text)]
            (expected,) = await call(session, "estimate", **short)
            assert json.loads(expected)["high_usd"] == 0
            (sent,) = await call(session, "submit", **short, job_id=new_id())
            job_id = json.loads(sent)["job_id"]
            seen: dict[str, Any] = {"is_active": True}
            while seen["is_active"]:
                (text,) = await call(session, "status", job_id=job_id, wait_s=25)
                seen = json.loads(text)
            assert seen["status"] == "done"
            address, _ = await call(session, "result", job_id=job_id)
            assert address == seen["video"]
            (listed,) = await call(
                session, "submit_many", prompts="a boat\na crow", name="boats", budget_usd=0, only_check=False
            )
            list_id = json.loads(listed)["status"]["list_id"]
            state: dict[str, Any] = {"is_running": True}
            while state["is_running"]:
                (text,) = await call(session, "status_many", list_id=list_id, wait_s=25)
                state = json.loads(text)
            assert (state["done"], state["spent_usd"]) == (2, 0)
    assert set(service.posts().values()) == {1}
