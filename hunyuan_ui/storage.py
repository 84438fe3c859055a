"""Storage: what a Space's restart leaves of a folder, told from the disks that are mounted."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final, Literal

Storage = Literal["kept", "lax", "wiped"]

# A Space's own disk and its memory are empty again after a restart; what was attached to it is mounted as its own disk.
_WIPED: Final = ("overlay", "tmpfs", "ramfs")
# Stores behind a network write late and lock little (hosting.md 7.3).
_LAX: Final = ("fuse", "nfs", "cifs", "smb", "9p", "virtiofs")


def storage_of(folder: PurePath, mounts: Iterable[tuple[PurePath, str]]) -> Storage:
    """Return whether a folder's files stay, stay but are written late, or are wiped at a restart.

    Args:
        folder: An absolute path.
        mounts: Every mount point with its kind of file system, as `mounts_here` reads them.
    """
    over = [(len(place.parts), kind) for place, kind in mounts if place == folder or place in folder.parents]
    depth, kind = max(over, default=(1, ""), key=lambda mount: mount[0])
    if depth <= 1 or kind in _WIPED:
        return "wiped"
    return "lax" if kind.startswith(_LAX) else "kept"


def mounts_here() -> list[tuple[PurePath, str]]:
    """Return the mount points of this machine and their kinds; none where the system does not tell."""
    with suppress(OSError):
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
        fields = [line.split() for line in lines]
        return [(PurePath(parts[1].replace("\\040", " ")), parts[2]) for parts in fields if len(parts) > 2]
    return []
