"""Full and read-only disks: a real small one if mounting is allowed, otherwise injected errors."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest

from hunyuan_ui.data_folder import DataFolder
from tests.faults.rig import Rig

STEPS = ("ledger.", "part_", "library.")


class Disk(Protocol):
    """A disk under a data folder."""

    def fill(self) -> None:
        """Use up all free space."""

    def forbid_writing(self) -> None:
        """Become read-only."""

    def heal(self) -> None:
        """Be writable again, with free space."""


class RealDisk:
    """A separate file system, mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fill(self) -> None:
        with (self._folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(65_536))

    def forbid_writing(self) -> None:
        self._remount("ro")

    def heal(self) -> None:
        self._remount("rw")
        (self._folder / "filler").unlink(missing_ok=True)

    def _remount(self, mode: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self._folder)], check=True)


class InjectedDisk:
    """Errors at every write operation."""

    def __init__(self, rig: Rig, patch: pytest.MonkeyPatch) -> None:
        self._number = 0
        rig.checkpoint = self._step
        keep_ballast = DataFolder._keep_ballast

        def keep(folder: DataFolder) -> None:
            self._step("part_ballast")
            keep_ballast(folder)

        patch.setattr(DataFolder, "_keep_ballast", keep)

    def fill(self) -> None:
        self._number = errno.ENOSPC

    def forbid_writing(self) -> None:
        self._number = errno.EROFS

    def heal(self) -> None:
        self._number = 0

    def _step(self, name: str) -> None:
        if self._number and name.startswith("ledger."):
            is_full = self._number == errno.ENOSPC
            raise sqlite3.OperationalError("database or disk is full" if is_full else "attempt to write a readonly")
        if self._number and name.startswith(STEPS):
            raise OSError(self._number, os.strerror(self._number))


@cache
def may_mount() -> bool:
    """Whether this process may mount a disk."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    with TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            return False
        return subprocess.run(["umount", "-l", folder], check=False).returncode == 0
