"""Detects whether the files in a folder survive a restart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final, Literal

Storage = Literal["kept", "lax", "wiped"]

# A container's own layer and memory file systems are empty after a restart; attached storage is mounted as a separate
# file system.
_WIPED: Final = ("overlay", "fuse.fuse-overlayfs", "aufs", "tmpfs", "ramfs", "rootfs")
# Network file systems write late and lock weakly (docs/facts/hosting.md 7.3); fuseblk is a local disk.
_LAX: Final = ("fuse", "nfs", "cifs", "smb", "9p", "virtiofs")
_LOCAL: Final = ("fuseblk",)
_ROOT_OF_A_SANDBOX: Final = ("9p", "virtiofs")  # of gVisor and Kata, over a container's layer
# File systems that are deleted with their container: anonymous volumes, a pod's emptyDir, and the layer of a container
# engine that stores layers as copies, in btrfs, in ZFS or on a block device.
_THROWN_AWAY: Final = re.compile(
    r"/volumes/([0-9a-f]{64}/_data|kubernetes\.io~empty-dir/)|/(vfs/dir|btrfs/subvolumes)/[0-9a-f]{64}"
    r"|/io\.containerd\.snapshotter\.v1\.|/dev/mapper/\S*(docker-|containerd|-snap-)\S*|\S+/docker/[0-9a-f]{64}( |$)"
)
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def storage_of(folder: PurePath, mounts: Iterable[tuple[PurePath, str]], *, is_space: bool) -> Storage:
    """Return whether a folder's files survive a restart, survive but are written late, or are wiped.

    Args:
        folder: An absolute path.
        mounts: All mount points with their file system types, as `mounts_here` reads them; the last one of a path
            counts. If empty, the system is unknown, and files are assumed to survive.
        is_space: On a Space the root disk is wiped, whatever its type.
    """
    depth, kind = 0, ""
    for place, its_kind in mounts:
        if (place == folder or place in folder.parents) and len(place.parts) >= depth:
            depth, kind = len(place.parts), its_kind
    if kind in _WIPED or (depth <= 1 and (is_space or kind in _ROOT_OF_A_SANDBOX)):
        return "wiped"
    return "lax" if kind.startswith(_LAX) and kind not in _LOCAL else "kept"


def mounts_here() -> list[tuple[PurePath, str]]:
    """Return this machine's mount points and file system types; none if the system does not provide them."""
    with suppress(OSError):
        return mounts_in(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace"))
    return []


def mounts_in(text: str) -> list[tuple[PurePath, str]]:
    """Parse the mount points and file system types of a `mountinfo` file (proc(5)), in order."""
    found: list[tuple[PurePath, str]] = []
    for line in text.splitlines():
        about, _, disk = line.partition(" - ")
        fields, kind = about.split(), disk.partition(" ")[0]
        if len(fields) > 4 and kind:
            is_thrown_away = _THROWN_AWAY.search(f"{fields[3]} {disk.partition(' ')[2].split(' ')[0]}") is not None
            place = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])
            found.append((PurePath(place), _WIPED[0] if is_thrown_away else kind))
    return found
