from __future__ import annotations

import time
from pathlib import Path

import pytest
from starlette.routing import Route

from hunyuan_ui.job import JobStatus
from hunyuan_ui.ui.served_files import named_by, served_path
from hunyuan_ui.ui.video_files import SERVED
from tests.stored_jobs import job

DONE = job(id="1d" * 16, status=JobStatus.DONE, sha256="0" * 64, prompt="a heron")
CODE = "c0" * 16


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_the_path_of_a_video_leads_back_to_it_and_no_file_is_made(cache: Path, suffix: str) -> None:
    path = Path(served_path(DONE, CODE, suffix))
    assert path.parent.parent == cache
    assert path.suffix == suffix
    assert "heron" not in str(path)
    assert named_by(str(path)) == (DONE.id, CODE)
    assert not cache.exists()


@pytest.mark.parametrize("folder", ["", "/", "/var/tmp/other/gradio/", "C:\\Users\\ann\\gradio\\", "line\nbreak/"])
def test_the_folder_of_another_process_may_lie_elsewhere(folder: str) -> None:
    mark = "\\" if "\\" in folder else "/"
    assert named_by(f"{folder}{DONE.id}{CODE}{mark}fox.mp4") == (DONE.id, CODE)


@pytest.mark.parametrize(
    "path",
    [
        f"/tmp/{DONE.id}/fox.mp4",
        f"/tmp/{DONE.id}{CODE}",
        f"/tmp/{DONE.id}{CODE}0/fox.mp4",
        f"/tmp/0{DONE.id}{CODE}/fox.mp4",
        f"/tmp/{DONE.id}{CODE}/in/fox.mp4",
        f"/tmp/{DONE.id}{CODE.upper()}X/fox.mp4",
        "data/ledger.sqlite3",
        "",
    ],
)
def test_any_other_path_leads_to_none(path: str) -> None:
    assert named_by(path) == ("", "")


@pytest.mark.parametrize("path", [f"/tmp/{DONE.id}{CODE}/fox.mp4", f"C:\\t\\{DONE.id}{CODE}\\fox.webm"])
def test_its_route_takes_such_paths_and_no_others(path: str) -> None:
    route = Route(SERVED, lambda _: None)  # pyright: ignore[reportArgumentType]
    assert route.path_regex.match(f"/gradio_api/file={path}")
    for other in ("/tmp/gradio/some.txt", f"/data/videos/{DONE.id}.mp4", f"/tmp/{DONE.id}{CODE}.mp4", "x"):
        assert not route.path_regex.match(f"/gradio_api/file={other}")


@pytest.mark.parametrize(
    "repeated", ["a", ".", "..", ".mp4", "/", "\\", f"/{CODE}{CODE}/.", f"\\{CODE}{CODE}\\x.", f"{CODE}{CODE}.", "\n"]
)
@pytest.mark.parametrize("begin", ["", f"/tmp/{CODE}{CODE}/", f"/tmp/{CODE}{CODE}/x."])
def test_a_long_address_holds_nobody_up(begin: str, repeated: str) -> None:
    pattern = Route(SERVED, lambda _: None).path_regex  # pyright: ignore[reportArgumentType]
    path = begin + repeated * (60_000 // len(repeated))
    began = time.process_time()
    for end in ("", "/", "\\", "\n", "x"):
        pattern.fullmatch(f"/gradio_api/file={path}{end}")
        named_by(path + end)
    assert time.process_time() - began < 0.5
