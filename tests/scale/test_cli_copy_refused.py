"""Refusals to move a data folder: each has a sentence and changes nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hunyuan_ui import checkpoint, cli_copy
from hunyuan_ui.cli_output import Exit
from hunyuan_ui.errors import StorageError
from hunyuan_ui.job import Job, JobStatus, new_id
from hunyuan_ui.ledger import MOVED_NAME, ReplicaInfo, open_shared
from hunyuan_ui.ledger.sqlite import confirm_review, want_review
from hunyuan_ui.library import copy_to_bucket
from hunyuan_ui.settings import Secret
from tests.bucket_server import BucketServer
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, Rig, click, ended
from tests.scale.one_copy import Said, ids_at
from tests.scale.one_copy import move as move
from tests.scale.one_copy import quick as quick
from tests.scale.one_copy import rig as rig
from tests.scale.one_copy import target as target
from tests.stored_jobs import anything_goes, job

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


def added_at(target: str, **changes: Any) -> Job:
    with closing(open_shared(target, ReplicaInfo(new_id(), "test", 4, one_each=False))) as ledger:
        return ledger.add(job(**changes), anything_goes)[0]


def set_at(target: str, change: str) -> None:
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute(change.encode())


def full(*_: object) -> None:
    raise StorageError("disk_full", free=0)


async def test_it_is_refused_while_a_process_works_on_either(rig: Rig, target: str, move: Callable[..., Said]) -> None:
    async with rig.running() as page:
        await ended(page, await click(page))
        assert "works on the data folder" in move().err
    folder, rig.folder, rig.url = rig.folder, rig.folder.with_name("another"), Secret(target)
    async with rig.running():
        rig.folder = folder
        said = move()
    assert (said.code, "in use" in said.err) == (Exit.FAILED, True)
    assert ids_at(target) == set()
    assert not (rig.folder / MOVED_NAME).exists()
    assert move().code == Exit.DONE


async def test_a_ledger_that_lost_spending_is_not_moved_before_its_owner_has_confirmed_the_budget(
    rig: Rig, target: str, move: Callable[..., Said]
) -> None:
    async with rig.running() as page:
        await ended(page, await click(page))
    want_review(rig.folder, "damaged")
    said = move()
    assert (said.code, "damaged" in said.err, ids_at(target)) == (Exit.FAILED, True, set())
    confirm_review(rig.folder)
    assert move().code == Exit.DONE


async def test_two_folders_at_once_are_never_mixed_in_one_database(
    rig: Rig, target: str, move: Callable[..., Said]
) -> None:
    """The second is refused from the start, before it has written a file anywhere."""
    ids = dict[Path, set[str]]()
    folders = [rig.folder, rig.folder.with_name("another")]
    for rig.folder in folders:
        async with rig.running() as page:
            job_id = await click(page)
            await ended(page, job_id)
        ids[rig.folder] = {job_id}
    refused = list[Said]()

    def meanwhile(name: str) -> None:
        if not refused and name == "copy.rows":
            rig.folder = folders[1]
            refused.append(move())

    checkpoint.hook = meanwhile
    rig.folder = folders[0]
    assert move().code == Exit.DONE
    assert [(said.code, "being copied into it" in said.err) for said in refused] == [(Exit.FAILED, True)]
    assert ids_at(target) == ids[folders[0]]
    assert not (folders[1] / MOVED_NAME).exists()
    checkpoint.hook = None
    rig.folder = folders[1]
    assert "not of this data folder" in move().err  # and not that it is being copied into
    rig.folder = folders[0]
    assert move().code == Exit.DONE


async def test_a_copy_that_is_broken_off_keeps_no_other_out(
    rig: Rig, target: str, move: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as page:
        await ended(page, await click(page))

    with monkeypatch.context() as patch:
        patch.setattr(cli_copy, "_mark", full)
        assert move().code == Exit.FAILED
    assert move().code == Exit.DONE


async def test_a_video_that_is_deleted_between_two_runs_is_deleted_in_the_bucket_too(
    rig: Rig, target: str, bucket: BucketServer, move: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as page:
        kept, gone = [await click(page) for _ in range(2)]
        for job_id in (kept, gone):
            await ended(page, job_id)
    with monkeypatch.context() as patch:
        patch.setattr(cli_copy, "_mark", full)
        assert move("--videos-to", bucket.url).code == Exit.FAILED
    assert {Path(name).stem for name in bucket.names()} == {kept, gone}
    async with rig.running() as page:
        await page.delete(gone, OWNER)
    assert move("--videos-to", bucket.url).code == Exit.DONE
    rig.url = Secret(target)
    rig.settings |= {"videos_url": bucket.url}
    async with rig.running():
        assert {Path(name).stem for name in bucket.names()} == {kept}


async def test_a_table_that_another_program_locks_is_told_as_a_copy_to_run_again(
    rig: Rig, target: str, move: Callable[..., Said]
) -> None:
    async with rig.running() as page:
        await ended(page, await click(page))
    assert ids_at(target) == set()  # makes the tables
    with psycopg.connect(target) as other:
        other.execute("LOCK TABLE jobs")
        said = move()
    assert (said.code, "All rows are there or none" in said.err) == (Exit.FAILED, True)
    assert move().code == Exit.DONE


async def test_a_video_that_cannot_be_read_is_told_and_no_row_is_stored(
    rig: Rig, target: str, bucket: BucketServer, move: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as page:
        await ended(page, await click(page))

    def fail(_: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(copy_to_bucket, "file_sha256", fail)
        said = move("--videos-to", bucket.url)
    assert (said.code, "Input/output error" in said.err, ids_at(target)) == (Exit.FAILED, True, set())
    assert move("--videos-to", bucket.url).code == Exit.DONE


@pytest.mark.parametrize("step", ["opened", "synced", "folder synced"])
async def test_a_mark_that_cannot_be_kept_is_told_and_no_row_is_stored(
    step: str, rig: Rig, target: str, move: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as page:
        await ended(page, await click(page))

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "opened":
            (rig.folder / MOVED_NAME).mkdir()
        elif step == "synced":
            patch.setattr(cli_copy.os, "fsync", fail)
        else:
            patch.setattr(cli_copy, "sync_folder", fail)
        said = move()
    told = "ledger.moved is a folder, a pipe or a link" if step == "opened" else "ledger.moved cannot be kept"
    assert (said.code, told in said.err) == (Exit.FAILED, True), said.err
    assert ids_at(target) == set()
    if step == "opened":
        (rig.folder / MOVED_NAME).rmdir()
    assert move().code == Exit.DONE


async def test_another_ledgers_videos_that_come_while_it_copies_stop_it_before_the_rows(
    rig: Rig, target: str, bucket: BucketServer, move: Callable[..., Said]
) -> None:
    """From a folder that is copied into another database at the same time."""
    async with rig.running() as page:
        await ended(page, await click(page))
    other = new_id()

    def meanwhile(name: str) -> None:
        if name == "copy.file":
            bucket.put(f"{other}.mp4", b"another's")

    checkpoint.hook = meanwhile
    said = move("--videos-to", bucket.url)
    checkpoint.hook = None
    assert (said.code, "1 video of another" in said.err) == (Exit.FAILED, True)
    assert ids_at(target) == set()
    assert not (rig.folder / MOVED_NAME).exists()
    bucket.remove(f"{other}.mp4")
    assert move("--videos-to", bucket.url).code == Exit.DONE


CHANGES = {
    "other money": "UPDATE jobs SET cost_microusd = 7",
    "other note": "UPDATE jobs SET notes = '{\"a\": 1}'",
    "other time": "UPDATE jobs SET sent_at = sent_at + 0.000001",
    "deleted": "UPDATE jobs SET deleted_at = 5",
    "no list": "UPDATE jobs SET list_id = 'x'",
    "one letter": "UPDATE jobs SET request = replace(request, 'heron', 'Heron')",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_rows_that_differ_there_are_never_overwritten(
    rig: Rig, target: str, move: Callable[..., Said], change: str
) -> None:
    async with rig.running() as page:
        await ended(page, await click(page))
    assert move().code == Exit.DONE
    set_at(target, CHANGES[change])
    said = move()
    assert (said.code, "in another state than this data folder" in said.err) == (Exit.FAILED, True)


@pytest.mark.parametrize("stored", ["NEW.updated_at := NEW.updated_at + 1; RETURN NEW", "RETURN NULL"])
async def test_a_database_that_stores_other_rows_than_were_sent_is_told_and_keeps_none(
    stored: str, rig: Rig, target: str, move: Callable[..., Said]
) -> None:
    async with rig.running() as page:
        await ended(page, await click(page))
    assert ids_at(target) == set()  # makes the tables
    set_at(target, f"CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {stored}; END $$")
    set_at(target, "CREATE TRIGGER change BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION change()")
    said = move()
    assert (said.code, "other rows or sums than were written" in said.err) == (Exit.FAILED, True)
    assert ids_at(target) == set()
    assert not (rig.folder / MOVED_NAME).exists()
    set_at(target, "DROP FUNCTION change CASCADE")
    assert move().code == Exit.DONE


async def test_foreign_rows_are_refused_and_rows_that_are_missing_there_are_added(
    rig: Rig, target: str, move: Callable[..., Said]
) -> None:
    async with rig.running() as page:
        ids = {await click(page) for _ in range(5)}
        for job_id in ids:
            await ended(page, job_id)
    foreign = added_at(target)
    said = move()
    assert (said.code, "not of this data folder" in said.err) == (Exit.FAILED, True)
    assert not (rig.folder / MOVED_NAME).exists()
    set_at(target, "DELETE FROM jobs")
    assert move().code == Exit.DONE
    set_at(target, f"DELETE FROM jobs WHERE id IN (SELECT id FROM jobs LIMIT 3) OR id = '{foreign.id}'")
    assert move().code == Exit.DONE
    assert ids_at(target) == ids


@pytest.mark.parametrize("suffix", [".mp4", ".webp", ".json"])
async def test_a_flipped_bit_in_the_bucket_is_found_and_not_overwritten(
    rig: Rig, target: str, bucket: BucketServer, move: Callable[..., Said], suffix: str
) -> None:
    async with rig.running() as page:
        job_id = await click(page)
        await ended(page, job_id)
    assert move("--videos-to", bucket.url).code == Exit.DONE
    content = bytearray(bucket.files()[job_id + suffix])
    content[len(content) // 2] ^= 1
    bucket.put(job_id + suffix, bytes(content))
    said = move("--videos-to", bucket.url)
    assert (said.code, job_id + suffix in said.err) == (Exit.FAILED, True)
    assert bucket.files()[job_id + suffix] == bytes(content)
    bucket.put(job_id + suffix, bytes(content[:-9]))
    assert move("--videos-to", bucket.url).code == Exit.FAILED
    bucket.remove(job_id + suffix)
    assert move("--videos-to", bucket.url).code == Exit.DONE


async def test_a_bucket_that_lies_refuses_or_is_away_stops_it_before_the_ledger(
    rig: Rig, target: str, bucket: BucketServer, move: Callable[..., Said]
) -> None:
    async with rig.running() as page:
        await ended(page, await click(page))
    bucket.garble = lambda method, path: method == "GET" and path.endswith(".mp4")
    assert move("--videos-to", bucket.url).code == Exit.FAILED
    bucket.garble = lambda *_: False
    bucket.behave = lambda _, path: ("500 Away", b"") if path.endswith(".webp") else None
    said = move("--videos-to", bucket.url)
    assert (said.code, "bucket cannot be reached" in said.err) == (Exit.FAILED, True)
    bucket.behave = lambda *_: None
    bucket.put(f"{new_id()}.mp4", b"another's")
    said = move("--videos-to", bucket.url)
    assert (said.code, "1 video not of" in said.err) == (Exit.FAILED, True)
    assert ids_at(target) == set()
    async with rig.running() as page:  # goes on
        assert (await ended(page, await click(page))).status is JobStatus.DONE
