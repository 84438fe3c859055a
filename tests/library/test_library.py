from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import av
import pytest

from hunyuan_ui import media
from hunyuan_ui.errors import MediaError
from hunyuan_ui.job import Job, JobStatus, new_id
from hunyuan_ui.library import library as module
from hunyuan_ui.library.library import VideoLibrary, file_sha256
from hunyuan_ui.media import settings_tag
from hunyuan_ui.request import VideoRequest
from tests.tags import settings_of
from tests.videos import mp4_bytes


def downloading(job_id: str) -> Job:
    return Job(
        id=job_id,
        visitor="ab" * 16,
        status=JobStatus.DOWNLOADING,
        request=VideoRequest(prompt="a heron at dawn 白鹭", seed=7),
        dialect="v2",
        payer="owner",
        created_at=1000.0,
        updated_at=1200.0,
        reserved_microusd=2_000_000,
        predicted_s=211.0,
        sent_at=1001.0,
        request_id="request-1",
        cost_microusd=1_460_000,
        inference_s=205.0,
        notes={"attempts": 1},
    )


@pytest.fixture
def library(tmp_path: Path) -> VideoLibrary:
    return VideoLibrary(tmp_path / "videos")


def stored(library: VideoLibrary, data: bytes | None = None) -> Job:
    job = downloading(new_id())
    library.part(job.id).write_bytes(data or mp4_bytes())
    return library.store(job, library.part(job.id))


def pictures(path: Path) -> list[bytes]:
    with av.open(path, format="mp4") as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


def test_a_stored_video_has_its_pictures_its_settings_a_poster_and_a_sidecar(
    library: VideoLibrary, tmp_path: Path
) -> None:
    done = stored(library)
    video = library.video(done.id)
    (tmp_path / "as it came.mp4").write_bytes(mp4_bytes())
    assert pictures(video) == pictures(tmp_path / "as it came.mp4")
    assert settings_of(video) == done.request
    assert done.sha256 == file_sha256(video)
    assert done.notes == {
        "attempts": 1,
        "width": 32,
        "height": 16,
        "fps": 24.0,
        "frames": 5,
        "duration_s": pytest.approx(5 / 24),
        "size_bytes": video.stat().st_size,
        "suffix": ".mp4",
    }
    poster = library.poster(done.id)
    assert poster is not None
    assert poster.read_bytes()[8:12] == b"WEBP"
    assert not list(library.folder.glob("*.part"))


def test_nothing_is_kept_of_a_file_whose_line_broke_before_its_end(library: VideoLibrary) -> None:
    job = downloading(new_id())
    part = library.part(job.id)
    part.write_bytes(mp4_bytes()[:-1])
    with pytest.raises(MediaError):
        library.check(part, is_cut=True)
    assert library.unreadable(job.id) is None
    with pytest.raises(MediaError):
        library.check(part)
    assert library.unreadable(job.id) is not None


def test_a_download_is_decoded_once_to_see_that_it_is_whole_and_again_when_it_has_changed(
    library: VideoLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    look = media.check_video
    monkeypatch.setattr(media, "check_video", lambda path, **how: (looks.append(path), look(path, **how))[1])
    for change in ("none", "another file", "cut short", "written again"):
        job = downloading(new_id())
        part = library.part(job.id)
        part.write_bytes(mp4_bytes())
        library.check(part)
        looks.clear()
        time.sleep(0.01)  # a file system's clock may have a resolution of 4 ms
        if change == "another file":
            part.unlink()
            part.write_bytes(b"<html>" * 100)
        elif change == "cut short":
            os.truncate(part, part.stat().st_size - 1)
        elif change == "written again":
            part.write_bytes(b"\0" * part.stat().st_size)
        made = library.finish(job)
        assert (made is not None, len(looks)) == ((True, 0) if change == "none" else (False, 1)), change
        assert library._checked == {}


def test_the_stored_file_says_nothing_of_its_visitor_or_its_price(library: VideoLibrary) -> None:
    done = stored(library)
    data = library.video(done.id).read_bytes()
    for word in (done.visitor, done.id, "request-1", "1460000", "owner"):
        assert word.encode() not in data


@pytest.mark.parametrize("first", [b"free", b"wide", b"skip"])
@pytest.mark.parametrize("is_tagged", [True, False])
def test_a_quicktime_file_that_became_an_mp4_with_its_settings_is_named_as_one(
    library: VideoLibrary, monkeypatch: pytest.MonkeyPatch, first: bytes, is_tagged: bool
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if not is_tagged:
        monkeypatch.setattr(settings_tag, "write", fail)
    done = stored(library, mp4_bytes().replace(b"ftyp", first, 1))
    video = library.video(done.id)
    kind = media.type_of(video)
    assert kind is not None
    assert (video.suffix, done.notes["suffix"], kind.suffix) == ((".mp4",) * 3 if is_tagged else (".mov",) * 3)
    assert (found := library.finished(done.id)) is not None
    assert found.notes == done.notes


@pytest.mark.parametrize("error", [MediaError("export_failed", problem="x"), OSError(28, "No space left on device")])
def test_a_video_that_cannot_take_its_settings_is_kept_as_it_came(
    library: VideoLibrary, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(settings_tag, "write", fail)
    done = stored(library)
    assert library.video(done.id).read_bytes() == mp4_bytes()
    assert (done.sha256, library.finished(done.id)) != (None, None)


def test_a_disk_that_loses_the_tagged_copy_leaves_the_video_as_it_came(
    library: VideoLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, losses = os.fsync, iter([1])

    def lose_once(file: int) -> None:
        os.ftruncate(file, 100) if next(losses, None) else fsync(file)

    monkeypatch.setattr(os, "fsync", lose_once)
    done = stored(library)
    assert next(losses, None) is None
    assert library.video(done.id).read_bytes() == mp4_bytes()
    assert library.finished(done.id) is not None


def test_nothing_gets_its_name_before_its_last_byte_is_on_the_disk(
    library: VideoLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a name without its bytes would be an empty video, and the paid one lost."""
    fsync, replace_path, replace = os.fsync, Path.replace, os.replace
    on_the_disk: dict[int, tuple[int, int]] = {}
    named: dict[str, bool] = {}
    ends: list[str] = []

    def noted_sync(file: int) -> None:
        found = os.fstat(file)
        on_the_disk[found.st_ino] = (found.st_size, found.st_mtime_ns)
        ends.append("folder" if stat.S_ISDIR(found.st_mode) else "file")
        fsync(file)

    def note(source: Path, target: Path) -> None:
        found = source.stat()
        named[Path(target).suffix] = on_the_disk.get(found.st_ino) == (found.st_size, found.st_mtime_ns)
        ends.append(Path(target).suffix)

    def noted_replace(source: Path, target: Path) -> None:
        note(Path(source), target)
        replace(source, target)

    def noted_replace_path(self: Path, target: Path) -> Path:
        note(self, target)
        return replace_path(self, target)

    job = downloading(new_id())
    library.part(job.id).write_bytes(mp4_bytes())
    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    monkeypatch.setattr(Path, "replace", noted_replace_path)
    library.store(job, library.part(job.id))
    del named[".webp"]  # a poster is rendered again
    assert named == {".part": True, ".json": True, ".mp4": True}
    assert ends[-2:] == [".mp4", "folder"]


def test_the_sidecar_alone_gives_the_job_back(library: VideoLibrary) -> None:
    done = stored(library)
    found = library.finished(done.id)
    assert found is not None
    assert found.status is JobStatus.DONE
    assert (found.request, found.visitor, found.request_id) == (done.request, done.visitor, done.request_id)
    assert (found.cost_microusd, found.sha256, found.notes) == (done.cost_microusd, done.sha256, done.notes)


def test_a_file_that_is_not_the_described_one_is_not_finished(library: VideoLibrary) -> None:
    done = stored(library)
    library.video(done.id).write_bytes(mp4_bytes(shade=10))
    assert library.finished(done.id) is None
    library.video(done.id).write_bytes(mp4_bytes()[:-20])
    assert library.finished(done.id) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="it has no pipes in folders")
def test_a_pipe_in_the_place_of_a_sidecar_holds_nobody(library: VideoLibrary) -> None:
    done = stored(library)
    sidecar = library.folder / f"{done.id}.json"
    sidecar.unlink()
    os.mkfifo(sidecar)
    assert library.finished(done.id) is None
    assert json.loads(library.sidecar(done))["id"] == done.id


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"id": 5}', '{"version": 1}'])
def test_a_broken_sidecar_is_not_finished(library: VideoLibrary, text: str) -> None:
    done = stored(library)
    library.folder.joinpath(f"{done.id}.json").write_text(text, encoding="utf-8")
    assert library.finished(done.id) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cost_microusd", -5_000_000),
        ("reserved_microusd", -1),
        ("cost_microusd", True),
        ("payer", "me"),
        ("payer", []),
        ("dialect", ""),
    ],
)
def test_a_sidecar_that_somebody_edited_gives_no_money_back(library: VideoLibrary, name: str, value: object) -> None:
    done = stored(library)
    path = library.folder / f"{done.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), name: value}), encoding="utf-8")
    assert library.finished(done.id) is None


ODD_NOTES: list[tuple[str, object]] = [
    ("width", "wide"),
    ("height", None),
    ("frames", float("inf")),
    ("frames", 1e999),
    ("duration_s", float("nan")),
    ("duration_s", -1),
    ("size_bytes", [5]),
    ("suffix", 4),
    ("suffix", []),
    ("estimate_usd", "1.46"),
    ("estimate_usd", True),
    ("named_usd", "a lot"),
    ("list", None),
    ("list", {"row": "first", "rows": 3, "budget_usd": 5}),
    ("list", {"row": 1, "rows": 3, "budget_usd": "five"}),
    ("list", {"row": None, "rows": 3, "budget_usd": 5}),
    ("click", {"id": "0" * 32, "place": 0, "count": "two"}),
    ("corrections", 5),
    ("corrections", ["cheaper"]),
    ("corrections", [{"note": 5}]),
    ("corrections", [{"at": 5, "to_microusd": 5, "from_microusd": None, "status": [], "note": ""}]),
    ("mine", {"deep": [float("nan")]}),
    ("list", {"row": 1, "rows": 3, "budget_usd": 5, "more": float("nan")}),
    ("click", {"id": "0" * 32, "place": 0, "count": 2, "deep": [float("-inf")]}),
    ("corrections", [{"at": 5, "to_microusd": 5, "status": "lost", "note": "", "more": float("nan")}]),
    ("corrections", [{"at": 5, "to_microusd": 5, "status": "lost", "note": "a\0"}]),
    ("mine", "\ud800"),
    ("mine\0", 1),
]


GOOD_NOTES: dict[str, object] = {
    "list": {"row": 1, "rows": 3, "budget_usd": 5.5},
    "click": {"id": "0" * 32, "place": 0, "count": None},
    "corrections": [{"at": 5.5, "to_microusd": 5, "from_microusd": None, "status": "lost", "note": "cheaper"}],
    "named_usd": 0.01,
    "is_favourite": True,
    "mine": {"deep": [1, None, "text"]},
}


def test_the_notes_of_a_sidecar_are_given_back_whole(library: VideoLibrary) -> None:
    done = stored(library)
    path = library.folder / f"{done.id}.json"
    facts = json.loads(path.read_bytes())
    path.write_text(json.dumps({**facts, "notes": {**facts["notes"], **GOOD_NOTES}}), encoding="utf-8")
    found = library.finished(done.id)
    assert found is not None
    assert found.notes == {**done.notes, **GOOD_NOTES}


@pytest.mark.parametrize(("name", "value"), ODD_NOTES, ids=repr)
def test_a_note_of_a_sidecar_that_cannot_be_read_costs_the_note_and_not_the_video(
    library: VideoLibrary, name: str, value: object
) -> None:
    done = stored(library)
    path = library.folder / f"{done.id}.json"
    facts = json.loads(path.read_bytes())
    path.write_text(json.dumps({**facts, "notes": {**facts["notes"], name: value}}), encoding="utf-8")
    found = library.finished(done.id)
    assert found is not None
    assert name not in found.notes
    assert found.notes.items() <= done.notes.items()
    assert min(found.made) > 0


@pytest.mark.parametrize("name", ["visitor", "request_id", "sha256"])
@pytest.mark.parametrize("text", ["\ud800", "é", "a\0"], ids=ascii)
def test_a_sidecar_with_a_text_that_no_ledger_takes_is_not_finished(
    library: VideoLibrary, name: str, text: str
) -> None:
    done = stored(library)
    path = library.folder / f"{done.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), name: text}), encoding="utf-8")
    assert library.finished(done.id) is None


def test_a_sidecar_of_another_job_is_not_believed(library: VideoLibrary) -> None:
    first, second = stored(library), stored(library)
    text = library.folder.joinpath(f"{first.id}.json").read_text(encoding="utf-8")
    library.folder.joinpath(f"{second.id}.json").write_text(text, encoding="utf-8")
    assert library.finished(second.id) is None


def test_a_cut_short_download_is_not_stored_and_its_part_is_kept(library: VideoLibrary) -> None:
    job = downloading(new_id())
    library.part(job.id).write_bytes(mp4_bytes()[:-20])
    with pytest.raises(MediaError):
        library.store(job, library.part(job.id))
    assert library.part(job.id).exists()
    assert library.ids() == set()


def test_a_missing_poster_is_drawn_again(library: VideoLibrary) -> None:
    done = stored(library)
    path = library.folder.joinpath(f"{done.id}.webp")
    drawn = path.read_bytes()
    path.unlink()
    assert library.poster(done.id) == path
    assert path.read_bytes() == drawn
    assert drawn[8:12] == b"WEBP"


@pytest.mark.parametrize("left", [b"", bytes(500), b"RIFF", b"<html>" * 9], ids=["empty", "zeros", "cut", "other"])
def test_a_poster_that_was_spoiled_is_drawn_again(library: VideoLibrary, left: bytes) -> None:
    done = stored(library)
    path = library.folder / f"{done.id}.webp"
    path.write_bytes(left)
    assert library.poster(done.id) == path
    assert media.is_poster(path)
    path.write_bytes(left)
    library.video(done.id).unlink()
    assert library.poster(done.id) is None


def test_a_poster_that_is_drawn_while_its_video_is_deleted_does_not_stay(
    library: VideoLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stored(library)
    (library.folder / f"{job.id}.webp").unlink()

    def draw_late(_video: Path, path: Path) -> None:
        library.delete(job.id)
        path.write_bytes(b"drawn")

    monkeypatch.setattr(media, "write_poster", draw_late)
    assert library.poster(job.id) is None
    assert list(library.folder.iterdir()) == []


def test_a_video_whose_pictures_cannot_be_decoded_is_kept_without_a_poster(library: VideoLibrary) -> None:
    data = bytearray(mp4_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = b"\0" * (len(data) - start)
    done = stored(library, bytes(data))
    assert bytes(data[start:]) in library.video(done.id).read_bytes()
    assert not library.folder.joinpath(f"{done.id}.webp").exists()


def test_delete_removes_every_file(library: VideoLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    done, other = stored(library), stored(library)
    left: list[int] = []
    monkeypatch.setattr(module, "sync_folder", lambda folder: left.append(len(list(folder.iterdir()))))
    library.delete(done.id)
    library.delete(done.id)
    assert left == [3, 3]  # on the disk, so that a power cut brings nothing back
    assert {path.name[:32] for path in library.folder.iterdir()} == {other.id}
    with pytest.raises(MediaError):
        library.video(done.id)


def test_a_poster_that_is_drawn_while_its_video_is_being_deleted_is_deleted_too(
    library: VideoLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = stored(library)
    poster, unlink = library.folder / f"{done.id}.webp", Path.unlink

    def draws_anew(path: Path, **options: Any) -> None:
        unlink(path, **options)
        if path.suffix == ".json":
            poster.write_bytes(b"RIFF")

    monkeypatch.setattr(Path, "unlink", draws_anew)
    library.delete(done.id)
    assert not poster.exists()


def test_sweep_removes_the_parts_of_jobs_that_are_over(library: VideoLibrary) -> None:
    kept, gone = new_id(), new_id()
    library.part(kept).write_bytes(b"x")
    library.part(gone).write_bytes(b"x")
    library.folder.joinpath(f"{gone}.json.part").write_text("{", encoding="utf-8")
    assert sorted(library.sweep({kept})) == [f"{gone}.json.part", f"{gone}.mp4.part"]
    assert [path.name for path in library.folder.iterdir()] == [f"{kept}.mp4.part"]


def test_sweep_leaves_what_another_process_may_still_write(library: VideoLibrary) -> None:
    old, young = (library.part(new_id()) for _ in range(2))
    for part, age_s in ((old, 61.0), (young, 59.0)):
        part.write_bytes(b"x")
        written = time.time() - age_s
        os.utime(part, (written, written))
    assert library.sweep(set(), older_than_s=60) == [old.name]
    assert young.exists()


def test_a_finished_video_leaves_nothing_of_a_process_that_died(tmp_path: Path) -> None:
    library = VideoLibrary(tmp_path / "videos", process="0123456789abcdef")
    job, other = downloading(new_id()), new_id()
    library.part(job.id).write_bytes(mp4_bytes())
    for left in (f".{job.id}.webp.x.part", f".{other}.webp.x.part"):
        (library.folder / left).write_bytes(b"x")
    assert library.finish(job) is not None
    assert [path.name for path in library.folder.glob(".*")] == [f".{other}.webp.x.part"]


def test_of_several_downloads_that_do_not_play_the_largest_is_kept(library: VideoLibrary) -> None:
    job_id = new_id()
    for size, kept in ((2000, 2000), (1000, 2000), (3000, 3000)):
        library.part(job_id).write_bytes(b"\x1a\x45\xdf\xa3".ljust(size, b"\0"))
        with pytest.raises(MediaError):
            library.check(library.part(job_id))
        found = library.unreadable(job_id)
        assert found is not None
        assert found.stat().st_size == kept


def test_a_sidecar_of_an_older_version_is_written_anew(library: VideoLibrary) -> None:
    done = stored(library)
    path = library.folder / f"{done.id}.json"
    assert library.sidecar(done) == path.read_bytes()
    old = json.loads(path.read_bytes())
    del old["notes"]["suffix"]
    path.write_text(json.dumps(old), encoding="utf-8")
    new = json.loads(library.sidecar(done))
    size = library.video(done.id).stat().st_size
    assert (new["notes"]["suffix"], new["notes"]["size_bytes"], new["id"]) == (".mp4", size, done.id)


@pytest.mark.parametrize("job_id", ["", "../../etc/passwd", "a" * 31, "A" * 32, "0" * 31 + "/", "0" * 32 + "\n"])
def test_a_malformed_id_never_becomes_a_path(library: VideoLibrary, job_id: str) -> None:
    for ask in (library.part, library.video, library.delete):
        with pytest.raises(MediaError):
            ask(job_id)


def test_the_sidecar_holds_no_secret_and_no_address(library: VideoLibrary) -> None:
    done = stored(library)
    sidecar = json.loads(library.folder.joinpath(f"{done.id}.json").read_text(encoding="utf-8"))
    assert set(sidecar) == {
        *("version", "model", "request", "id", "visitor", "dialect", "payer", "created_at", "sent_at", "notes"),
        *("reserved_microusd", "predicted_s", "request_id", "cost_microusd", "inference_s", "queue_s", "sha256"),
    }
