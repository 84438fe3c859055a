"""Every example in README and docs/ that calls the program is run unchanged, except for the address."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import pytest

from hunyuan_ui.job import JobStatus
from hunyuan_ui.library.library import VideoLibrary
from tests.app_process import ROOT, RunningApp, running_app
from tests.shelves import put_video
from tests.stored_jobs import added, opened_ledger

EXAMPLES = "".join(path.read_text("utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
ADDRESS = "http://127.0.0.1:7860"
RUN_WITHIN_S = 120.0


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language; `sh` blocks install and start things, the others are run."""
    return re.findall(rf"^```{language}\n(.*?)^```", EXAMPLES, re.MULTILINE | re.DOTALL)


def block(language: str, holds: str) -> str:
    (found,) = [text for text in blocks(language) if holds in text]
    return found


def run(program: list[str], text: str, folder: Path, **environment: str) -> str:
    ended = subprocess.run(
        program,
        input=text,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=RUN_WITHIN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def frames(video: Path | str) -> int:
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(container.streams.video[0]))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("readme")) as started:
        yield started


def at(app: RunningApp, text: str) -> str:
    assert ADDRESS in text
    return text.replace(ADDRESS, app.url.rstrip("/"))


def test_no_example_is_left_out() -> None:
    assert {language: len(blocks(language)) for language in ("python", "js", "bash")} == {
        "python": 2,
        "js": 1,
        "bash": 2,
    }
    assert set(re.findall(r"^```(\w+)$", EXAMPLES, re.MULTILINE)) == {"python", "js", "bash", "sh", "nginx", "mermaid"}


def test_the_manuals_copy_of_a_folder_in_use_is_a_whole_one(tmp_path: Path) -> None:
    made = put_video(tmp_path / "data", "a" * 32)
    with closing(opened_ledger(tmp_path / "data")) as ledger:
        assert ledger.adopt(made)
        waiting = added(ledger)
        (tmp_path / "data" / "links.secret").write_bytes(bytes(32))
        text = block("sh", "backup").replace(".venv/bin/python", sys.executable)
        run(["sh"], text, tmp_path)
        # A second copy is none of half an older one.
        assert subprocess.run(["sh"], input=text, text=True, cwd=tmp_path, capture_output=True, check=False).returncode
    with closing(opened_ledger(tmp_path / "backup")) as restored:
        assert {job.id: job.status for job in restored.jobs(None)} == {
            made.id: JobStatus.DONE,
            waiting.id: JobStatus.UNKNOWN,  # it may have been sent since
        }
    assert VideoLibrary(tmp_path / "backup" / "videos").finished(made.id) is not None
    assert (tmp_path / "backup" / "links.secret").read_bytes() == bytes(32)


def test_the_python_example_makes_a_video(app: RunningApp, tmp_path: Path) -> None:
    video, seed, cost = (
        run([sys.executable, "-"], at(app, block("python", "/generate")), tmp_path).splitlines()[-1].split()
    )
    assert frames(video) == 25
    assert (int(seed), float(cost)) == (96501778, 0.0)


def test_the_python_example_makes_a_list(app: RunningApp, tmp_path: Path) -> None:
    said = run([sys.executable, "-"], at(app, block("python", "/submit_many")), tmp_path)
    assert said.splitlines()[-1].startswith("3 of 3 ")


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_the_curl_example_submits_and_asks(app: RunningApp, tmp_path: Path) -> None:
    said = run(["bash", "-euo", "pipefail"], at(app, block("bash", "curl")), tmp_path)
    sent, asked = (json.loads(line)[0] for line in re.findall(r"^event: complete\ndata: (.*)$", said, re.MULTILINE))
    assert sent["job_id"] == asked["job_id"]
    assert asked["status"] in ("queued", "submitting", "running", "downloading", "done")


@pytest.mark.skipif(not shutil.which("node"), reason="no Node")
def test_the_javascript_example_waits_for_the_video(app: RunningApp, tmp_path: Path) -> None:
    said = run(["node", "--input-type=module", "-"], at(app, block("js", "fetch")), tmp_path)
    status, address = said.split()
    assert status == "done"
    assert address.startswith(app.url)
    assert address.endswith(".mp4")


@pytest.mark.slow
def test_the_command_lines_make_and_estimate(tmp_path: Path, own_data_folder: Path) -> None:
    commands = block("bash", "-m hunyuan_ui").replace("python -m", f"'{sys.executable}' -m")
    environment = {"PYTHONPATH": str(ROOT), "HUNYUAN_UI_DATA_DIR": str(own_data_folder)}
    said = run(["bash", "-euo", "pipefail"], commands, tmp_path, **environment)
    made, expected, of_list = said.splitlines()
    assert made.startswith("boat.mp4")
    assert frames(tmp_path / "boat.mp4") == 25
    assert json.loads(expected)["width"] == 864
    assert of_list.startswith("3 rows: 3 done")
    assert [frames(video) for video in sorted((tmp_path / "boats").glob("*.mp4"))] == [25, 25, 25]
    assert len((tmp_path / "boats" / "list.csv").read_text("utf-8-sig").splitlines()) == 4
