from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from hunyuan_ui.storage import mounts_here, storage_of

ROOT = (PurePosixPath("/"), "overlay")


@pytest.mark.parametrize(
    ("folder", "mounts", "storage"),
    [
        ("/home/user/app/data", [ROOT], "wiped"),
        ("/data", [ROOT, ("/data", "ext4")], "kept"),
        ("/data/hunyuan", [ROOT, ("/data", "xfs")], "kept"),
        ("/data/hunyuan", [ROOT, ("/data", "fuse.hf-mount")], "lax"),
        ("/data", [ROOT, ("/data", "nfs4")], "lax"),
        ("/data", [ROOT, ("/data", "tmpfs")], "wiped"),
        ("/database", [ROOT, ("/data", "ext4")], "wiped"),
        ("/data/fast/x", [ROOT, ("/data", "ext4"), ("/data/fast", "tmpfs")], "wiped"),
        ("/data", [("/", "ext4")], "wiped"),
        ("/data", [], "wiped"),
    ],
)
def test_a_folder_is_as_lasting_as_the_disk_it_lies_on(
    folder: str, mounts: list[tuple[str, str]], storage: str
) -> None:
    assert storage_of(PurePosixPath(folder), [(PurePosixPath(place), kind) for place, kind in mounts]) == storage


@pytest.mark.skipif(not Path("/proc/self/mounts").exists(), reason="the system does not tell its mounts")
def test_this_machines_mounts_are_read() -> None:
    assert ("/proc", "proc") in [(str(place), kind) for place, kind in mounts_here()]
