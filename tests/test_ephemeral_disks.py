from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from hunyuan_ui.ephemeral_disks import mounts_here, mounts_in, storage_of

ROOT = ("/", "overlay")
HOME = ("/", "ext4")
ID = "0f" * 32


def storage(folder: str, mounts: list[tuple[str, str]], *, is_space: bool) -> str:
    places = [(PurePosixPath(place), kind) for place, kind in mounts]
    return storage_of(PurePosixPath(folder), places, is_space=is_space)


@pytest.mark.parametrize(
    ("folder", "mounts", "left"),
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
def test_on_a_space_a_folder_is_as_lasting_as_the_disk_that_was_attached(
    folder: str, mounts: list[tuple[str, str]], left: str
) -> None:
    assert storage(folder, mounts, is_space=True) == left


@pytest.mark.parametrize(
    ("folder", "mounts", "left"),
    [
        ("/home/me/hunyuan/data", [HOME], "kept"),
        ("/home/me/hunyuan/data", [HOME, ("/home", "btrfs")], "kept"),
        ("/home/me/hunyuan/data", [], "kept"),  # macOS and Windows
        ("/media/stick/data", [HOME, ("/media/stick", "fuseblk")], "kept"),
        ("/data", [ROOT, ("/data", "ext4")], "kept"),
        ("/app/data", [ROOT], "wiped"),
        ("/app/data", [("/", "fuse.fuse-overlayfs")], "wiped"),
        ("/app/data", [("/", "rootfs"), ROOT], "wiped"),
        ("/app/data", [ROOT, HOME], "kept"),  # mounted over it
        ("/tmp/data", [HOME, ("/tmp", "tmpfs")], "wiped"),
        ("/dev/shm", [HOME, ("/dev", "devtmpfs"), ("/dev/shm", "tmpfs")], "wiped"),
        ("/data", [ROOT, ("/data", "nfs4")], "lax"),
        ("/data", [ROOT, ("/data", "fuse.gcsfuse")], "lax"),
        ("/app/data", [("/", "9p")], "wiped"),
        ("/app/data", [("/", "virtiofs")], "wiped"),
        ("/data", [("/", "virtiofs"), ("/data", "virtiofs")], "lax"),
    ],
)
def test_elsewhere_only_a_containers_own_disk_and_memory_are_wiped(
    folder: str, mounts: list[tuple[str, str]], left: str
) -> None:
    assert storage(folder, mounts, is_space=False) == left


@pytest.mark.parametrize(
    ("root", "left"),
    [
        ("/", "kept"),
        ("/var/lib/docker/volumes/hunyuan-data/_data", "kept"),
        (f"/var/lib/docker/volumes/{ID}/_data", "wiped"),
        (f"/home/me/.local/share/containers/storage/volumes/{ID}/_data", "wiped"),
        ("/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/data", "wiped"),
        ("/var/lib/kubelet/pods/1/volumes/kubernetes.io~csi/pvc-1/mount", "kept"),
    ],
)
def test_a_volume_that_nobody_named_is_thrown_away_with_its_container(root: str, left: str) -> None:
    text = (
        "600 500 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/x\n"
        f"601 600 8:1 {root} /my\\040data rw,relatime shared:2 master:3 - ext4 /dev/sda1 rw\n"
        "a line of another kind\n"
    )
    places = mounts_in(text)
    assert [str(place) for place, _ in places] == ["/", "/my data"]
    assert storage_of(PurePosixPath("/my data/x"), places, is_space=False) == left


@pytest.mark.parametrize(
    ("root", "disk", "left"),
    [
        (f"/var/lib/docker/vfs/dir/{ID}", "ext4 /dev/sda1 rw", "wiped"),
        (f"/home/me/.local/share/containers/storage/vfs/dir/{ID}", "ext4 /dev/sda1 rw", "wiped"),
        (f"/@/var/lib/docker/btrfs/subvolumes/{ID}", "btrfs /dev/sda1 rw", "wiped"),
        ("/var/lib/containerd/io.containerd.snapshotter.v1.btrfs/active/7", "btrfs /dev/sda1 rw", "wiped"),
        ("/", f"zfs rpool/var/docker/{ID} rw", "wiped"),
        ("/rootfs", f"xfs /dev/mapper/docker-8:1-262-{ID} rw", "wiped"),
        ("/", "ext4 /dev/mapper/devpool-snap-7 rw", "wiped"),
        ("/", "ext4 /dev/mapper/ubuntu--vg-root rw", "kept"),
        ("/@home", "btrfs /dev/sda1 rw", "kept"),
        ("/", "zfs rpool/data/docker rw", "kept"),
        ("/", "ext4 /dev/vda rw", "kept"),
    ],
)
def test_a_containers_layer_is_known_whatever_its_engine_keeps_it_in(root: str, disk: str, left: str) -> None:
    places = mounts_in(f"27 1 254:0 {root} / rw,relatime - {disk}\n")
    assert storage_of(PurePosixPath("/app/data"), places, is_space=False) == left


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="the system does not tell its mounts")
def test_this_machines_mounts_are_read() -> None:
    assert ("/proc", "proc") in [(str(place), kind) for place, kind in mounts_here()]
