"""A data folder moved to PostgreSQL and a bucket: all of it or nothing, and sent from one place only."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui import checkpoint, cli_copy
from hunyuan_ui.cli_output import Exit
from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.ledger import FILE_NAME, MOVED_NAME, ReplicaInfo, open_ledger, open_shared
from hunyuan_ui.ledger.ledger import Ledger
from hunyuan_ui.settings import Secret
from tests.app_process import ROOT
from tests.bucket_server import BucketServer
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.kill import ForkServer, fork_server
from tests.faults.rig import OWNER, STRANGER, Rig, click, ended
from tests.faults.service import PaidService
from tests.postgres_server import PASSWORD, PostgresServer
from tests.scale.one_copy import Said, filled, ids_at, rows_of
from tests.scale.one_copy import move as move
from tests.scale.one_copy import quick as quick
from tests.scale.one_copy import rig as rig
from tests.scale.one_copy import target as target
from tests.stored_jobs import anything_goes, job

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

OLD_LEDGER = Path(__file__).parents[1] / "ledger" / "version_1.sqlite3"


async def test_the_page_goes_on_at_the_database_as_if_nothing_had_happened(
    rig: Rig, service: PaidService, target: str, move: Callable[..., Said]
) -> None:
    ids = await filled(rig, service)
    before = rows_of(rig.folder)
    reader = Ledger(open_ledger(rig.folder, can_write=False).database)
    with closing(reader):
        totals, lists = reader.totals(OWNER.id), {entry.id for entry in reader.jobs(None, limit=100)}
    said = move()
    assert said.code == Exit.DONE, said.err
    assert said.facts["jobs"] == len(before)
    assert sum(said.facts["by_status"].values()) == len(before)
    assert said.facts["total_usd"] * 1_000_000 == pytest.approx(totals.total_microusd)
    assert (said.facts["deleted"], said.facts["lists"], said.facts["in_lists"]) == (1, 1, 2)
    with closing(sqlite3.connect(rig.folder / FILE_NAME)) as connection:
        sums = connection.execute("SELECT sum(cost_microusd), sum(reserved_microusd) FROM jobs").fetchone()
    assert [said.facts[name] * 1_000_000 for name in ("costs_usd", "reserved_usd")] == pytest.approx(sums)
    assert rows_of(rig.folder) == before
    with closing(open_shared(target, ReplicaInfo(new_id(), "test", 4, one_each=False))) as there:
        assert there.totals(OWNER.id).total_microusd == totals.total_microusd
        assert {entry.id for entry in there.jobs(None, limit=100)} == lists
        assert there.ids("deleted") == {ids[0]}
    rig.url = Secret(target)
    async with rig.running() as page:
        for job_id in ids[4:]:
            assert (await ended(page, job_id)).status in (JobStatus.DONE, JobStatus.UNKNOWN)
        found, _ = await page.videos.find(OWNER)
        assert {ids[1], ids[2]} <= {entry.id for entry in found}
        made = next(entry for entry in found if entry.id == ids[1])
        assert (await page.videos.video(made)).is_file()
        assert [entry.id for entry in (await page.videos.find(STRANGER))[0]] == [ids[3]]
        view = await page.batches.view(page.batches.id_of("campaign", OWNER), OWNER)
        assert (view.done, view.spent_usd > 0) == (2, True)
    assert max(service.posts().values()) == 1


async def test_a_link_from_before_opens_afterwards(rig: Rig, target: str, move: Callable[..., Said]) -> None:
    async with rig.running() as page:
        made = await ended(page, await click(page))
        signature = page.videos.signature(made)
    # A page that was once started there has left a secret, and no jobs.
    rig.url, folder = Secret(target), rig.folder
    rig.folder = folder.with_name("another")
    async with rig.running():
        pass
    rig.folder = folder
    assert move().code == Exit.DONE
    async with rig.running() as page:
        assert (await page.videos.opened(made.id, signature)).id == made.id


async def test_nothing_is_sent_from_the_folder_any_more(
    rig: Rig, service: PaidService, move: Callable[..., Said]
) -> None:
    await filled(rig, service)
    posts = dict(service.posts())
    assert move().code == Exit.DONE
    async with rig.running() as page:
        assert (problem := (await page.spending()).problem) is not None
        assert problem.code == "ledger_moved"
        assert len(await page.jobs(OWNER)) > 5  # they are shown
        with pytest.raises(StorageError, match="ledger_moved"):
            await click(page)
    assert dict(service.posts()) == posts


async def test_copying_again_changes_nothing(
    rig: Rig, service: PaidService, move: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(rig, service)
    first = move()
    monkeypatch.chdir(rig.folder.parent)
    assert (first.code, move("--from", rig.folder.name).facts) == (Exit.DONE, first.facts)


async def test_videos_go_along_into_a_bucket(
    rig: Rig, service: PaidService, target: str, bucket: BucketServer, move: Callable[..., Said]
) -> None:
    ids = await filled(rig, service)
    (rig.folder / "videos" / f"{ids[2]}.json").unlink()  # is rebuilt from the row
    (rig.folder / "videos" / f"{ids[1]}.webp").unlink()
    said = move("--videos-to", bucket.url)
    assert said.code == Exit.DONE, said.err
    videos = said.facts["videos"]
    assert (videos["videos"], videos["missing"], videos["changed"], videos["left"]) == (5, [], [], [])
    assert videos["files"] == len(bucket.names()) == 15
    assert videos["size_bytes"] == sum(map(len, bucket.files().values()))
    assert json.loads(bucket.files()[f"{ids[2]}.json"])["id"] == ids[2]
    shutil.rmtree(rig.folder)
    rig.folder, rig.url = rig.folder.with_name("new"), Secret(target)
    rig.settings |= {"videos_url": bucket.url}
    async with rig.running() as page:
        found, _ = await page.videos.find(OWNER)
        for made in [entry for entry in found if entry.id in ids[1:3]]:
            assert (await page.videos.video(made)).is_file()
            assert (await page.videos.poster(made)).is_file()
        for job_id in ids[4:]:
            await ended(page, job_id)
    assert max(service.posts().values()) == 1


async def test_what_no_bucket_keeps_is_named(rig: Rig, bucket: BucketServer, move: Callable[..., Said]) -> None:
    async with rig.running() as page:
        gone, odd = [await click(page) for _ in range(2)]
        for job_id in (gone, odd):
            await ended(page, job_id)
    videos = rig.folder / "videos"
    (videos / f"{gone}.mp4").unlink()
    with (videos / f"{odd}.mp4").open("ab") as file:
        file.write(b"x")
    (videos / f"{new_id()}.unreadable").write_bytes(b"?")
    said = move("--videos-to", bucket.url)
    assert said.code == Exit.NOT_COPIED
    told = said.facts["videos"]
    assert (told["missing"], told["changed"], len(told["left"])) == ([gone], [odd], 1)
    assert bucket.files()[f"{odd}.mp4"].endswith(b"x")


USAGE: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no target": ([], {"HUNYUAN_UI_DATABASE_URL": ""}, "--to"),
    "no address": (["--to", f"mysql://u:{PASSWORD}@h/d"], {}, "--to: must be"),
    "nobody there": (["--to", "postgresql://u:p@127.0.0.1:1/d"], {}, "--to: leads to no server"),
    "no bucket": (["--videos-to", "ftp://x"], {}, "--videos-to: must be"),
    "no folder": (["--from", "/nowhere/at/all"], {}, "has no ledger"),
}


@pytest.mark.parametrize("case", USAGE)
async def test_a_wrong_option_is_named(rig: Rig, move: Callable[..., Said], case: str) -> None:
    async with rig.running():
        pass
    arguments, environ, expected = USAGE[case]
    said = move(*arguments, **environ)
    assert (said.code, expected in said.err) == (Exit.USAGE, True), said.err


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://owner:{PASSWORD}@h/d",
        f"postgresql://h/d?user=owner&password={PASSWORD}&connect_timeout=5",
        f"postgresql://owner:x@h/d?sslPassword={PASSWORD}",
        f"postgresql://owner:{PASSWORD}@h/d?password={PASSWORD}@{PASSWORD}",
    ],
)
def test_a_mistyped_option_shows_no_password(capsys: pytest.CaptureFixture[str], address: str) -> None:
    with pytest.raises(SystemExit) as caught:
        cli_copy.main(["copy", f"--too={address}"], {})
    said = capsys.readouterr().err
    assert (caught.value.code, PASSWORD in said, "--too" in said) == (Exit.USAGE, False, True)


def test_a_folder_without_a_ledger_is_not_made(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "none"
    assert cli_copy.main(["copy", "--from", str(folder), "--to", target], {}) == Exit.USAGE
    assert not folder.exists()


def test_a_ledger_of_an_older_version_goes_along(rig: Rig, target: str, move: Callable[..., Said]) -> None:
    rig.folder.mkdir()
    shutil.copy(OLD_LEDGER, rig.folder / FILE_NAME)
    said = move()
    assert said.code == Exit.DONE, said.err
    assert len(ids_at(target)) == said.facts["jobs"] > 0


def test_a_damaged_ledger_is_refused_and_left_as_it_is(rig: Rig, target: str, move: Callable[..., Said]) -> None:
    rig.folder.mkdir()
    content = OLD_LEDGER.read_bytes()
    (rig.folder / FILE_NAME).write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    before = (rig.folder / FILE_NAME).read_bytes()
    assert move().code == Exit.FAILED
    assert (rig.folder / FILE_NAME).read_bytes() == before
    assert ids_at(target) == set()


@pytest.mark.slow
def test_two_thousand_rows_go_along_in_their_order(rig: Rig, target: str, move: Callable[..., Said]) -> None:
    rig.folder.mkdir()
    with closing(Ledger(open_ledger(rig.folder).database, now=lambda: 1e9)) as ledger:
        for number in range(2000):
            ledger.add(job(f'a fox\n"{number}" \\u0000 {{}} 狐 \U0001f98a \''), anything_goes)
        ids = [entry.id for entry in ledger.active()]
    assert move().facts["by_status"] == {"queued": 2000}
    with closing(open_shared(target, ReplicaInfo(new_id(), "test", 4, one_each=False))) as there:
        assert [entry.id for entry in there.active()] == ids  # all with the same time


# kills


@pytest.fixture
def forks() -> Iterator[ForkServer]:
    with fork_server("tests.scale.copying_program") as running:
        yield running


@pytest.mark.slow
async def test_a_kill_anywhere_leaves_one_place_that_sends_and_the_next_run_ends_the_same(
    rig: Rig, service: PaidService, postgres_server: PostgresServer, bucket: BucketServer, forks: ForkServer
) -> None:
    await filled(rig, service)
    kept = rig.folder

    def run(name: str, kill_at: list[Any] | None) -> int:
        folder = kept.with_name(name)
        if not folder.exists():
            shutil.copytree(kept, folder)
        urls = ["--to", postgres_server.url(folder), "--videos-to", f"{bucket.url}/{name}"]
        arguments = ["copy", "--from", str(folder), "--json", *urls]
        passed = str(folder.with_suffix(".passed"))
        return forks.run(arguments=arguments, environ=bucket.environment, kill_at=kill_at, passed=passed)

    def said(name: str) -> str:
        return kept.with_name(name).with_suffix(".said").read_text("utf-8")

    assert run("clean", None) == Exit.DONE, said("clean")
    whole = json.loads(said("clean"))
    passed = kept.with_name("clean.passed").read_text("ascii").split()
    assert {"bucket.written", "copy.file", "copy.rows", "copy.marked", "ledger.copy.committed"} < set(passed)
    points = sorted({(name, hit) for name in set(passed) for hit in (1, passed.count(name))})
    for point, hit in points:
        name = f"{point}-{hit}"
        assert run(name, [point, hit]) == -signal.SIGKILL, f"{name}: {said(name)}"
        url = postgres_server.url(kept.with_name(name))
        is_there, is_marked = bool(ids_at(url)), (kept.with_name(name) / MOVED_NAME).exists()
        assert is_marked or not is_there, name
        assert run(name, None) == Exit.DONE, f"{name}: {said(name)}"
        told = json.loads(said(name).splitlines()[-1])
        assert {**told, "folder": whole["folder"]} == whole, name
        assert {name_there[:32] for name_there in bucket.names(f"{name}/")}
        assert bucket.files(f"{name}/") == bucket.files("clean/"), name


async def test_a_server_that_goes_away_in_the_middle_leaves_nothing_and_the_next_run_ends_it(
    rig: Rig, service: PaidService, postgres_server: PostgresServer, target: str, move: Callable[..., Said]
) -> None:
    await filled(rig, service)

    def cut(name: str) -> None:
        if name == "copy.rows":
            postgres_server.cut()

    checkpoint.hook = cut
    said = move()
    checkpoint.hook = None
    assert (said.code, "database cannot be reached" in said.err) == (Exit.FAILED, True)
    assert ids_at(target) == set()
    assert move().code == Exit.DONE


def test_a_row_that_the_database_does_not_take_is_told_and_nothing_is_moved(
    rig: Rig, target: str, move: Callable[..., Said]
) -> None:
    rig.folder.mkdir()
    with closing(Ledger(open_ledger(rig.folder).database)) as ledger:
        stored = ledger.add(job(), anything_goes)[0]
        ledger.add(job(), anything_goes)
    with closing(sqlite3.connect(rig.folder / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE jobs SET result_url = 'a' || char(0) WHERE id = ?", (stored.id,))
    said = move()
    assert (said.code, "NUL character" in said.err) == (Exit.FAILED, True)
    assert ids_at(target) == set()
    assert not (rig.folder / MOVED_NAME).exists()


async def test_who_interrupts_it_runs_it_again(
    rig: Rig, target: str, bucket: BucketServer, move: Callable[..., Said]
) -> None:
    async with rig.running() as page:
        for _ in range(6):
            await ended(page, await click(page))
    hits: list[str] = []

    def interrupt(name: str) -> None:
        if name == "copy.file" and not hits:
            hits.append(name)
            os.kill(os.getpid(), signal.SIGINT)

    checkpoint.hook = interrupt
    said = move("--videos-to", bucket.url)
    checkpoint.hook = None
    assert (said.code, "Interrupted" in said.err) == (Exit.FAILED, True)
    assert 0 < len(bucket.names()) < 18
    assert ids_at(target) == set()
    assert move("--videos-to", bucket.url).code == Exit.DONE
    assert len(bucket.names()) == 18


def test_the_command_itself_reads_its_settings_from_the_environment(tmp_path: Path, target: str) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(OLD_LEDGER, tmp_path / "data" / FILE_NAME)
    place = {"HUNYUAN_UI_DATA_DIR": str(tmp_path / "data"), "HUNYUAN_UI_DATABASE_URL": target}
    command = [sys.executable, "-m", "hunyuan_ui.ledger", "copy"]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **place}, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "every row are the same at both" in ended.stdout
    assert PASSWORD not in ended.stdout + ended.stderr


def test_the_folder_is_held_while_it_is_copied(rig: Rig, target: str, move: Callable[..., Said]) -> None:
    rig.folder.mkdir()
    shutil.copy(OLD_LEDGER, rig.folder / FILE_NAME)
    seen: list[str] = []

    def look(name: str) -> None:
        if name == "copy.rows":
            with closing(DataFolder(rig.folder)) as other:
                seen.append(other.problem.code if other.problem else "free")

    checkpoint.hook = look
    assert move().code == Exit.DONE
    checkpoint.hook = None
    assert seen == ["ledger_taken"]
