"""DataFolder: the data folder with its lock, free space checks, and a reserve for finishing paid jobs."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from hunyuan_ui.errors import StorageError
from hunyuan_ui.file_writes import is_disk_full

MIN_FREE_BYTES: Final = 512 * 1024 * 1024  # twice the largest download (docs/facts/faults-and-security.md row 43)
LOCK_NAME: Final = "ledger.lock"
# Deleted when the disk is full, so that the ledger can still be written (docs/facts/faults-and-security.md row 45).
BALLAST_BYTES: Final = 1024 * 1024
# This program's own files; opening a pipe in the place of one would block, and a link to nothing would read as no file.
_OWN_FILES: Final = re.compile(r"ledger\.(confirmed|lock|moved|other|review|sent|sqlite3(-\w+)?)|links\.secret|ballast")
_OWN_NAMES: Final = re.compile(r"ledger\..*|links\.secret|ballast", re.IGNORECASE)  # with backups, on any disk


class DataFolder:
    """The data folder of this process.

    Args:
        path: Created if missing.
        min_free_bytes: With less free space nothing may be spent.
        is_shared: By processes whose ledger is in a database; never together with one whose ledger is in the folder.
    """

    def __init__(self, path: Path, *, min_free_bytes: int = MIN_FREE_BYTES, is_shared: bool = False) -> None:
        self.path = path
        self._is_shared = is_shared
        self._refusal: StorageError | None = None
        self._files: dict[str, tuple[int, int]] = {}
        self._least_bytes: dict[str, int] = {}
        self.min_free_bytes = min_free_bytes
        self._lock: IO[str] | None = None
        self._use = threading.Lock()
        self._users = 0  # blocks of `in_use` that have not ended
        self._is_closed = False
        self._videos_folder: Path | None = None
        self._unstored: set[str] = set()  # ids of jobs whose finished video could not be written
        self.videos_problem: StorageError | None = None  # why its last check failed
        self.write_problem: StorageError | None = None  # why the last test write failed
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)  # prompts are nobody else's business
            self._take()
        except StorageError as error:
            self._refusal = error
        except OSError:
            self._refusal = StorageError("disk_read_only")

    def watch(self, name: str, *, never_shrinks: bool = False) -> None:
        """Record the identity of a file, and its least size if it never shrinks.

        It must be kept open, so that no other file gets its inode.
        """
        with suppress(OSError):
            found = (self.path / name).stat()
            self._note(name, found)
            self._least_bytes[name] = found.st_size if never_shrinks else 0

    def require_videos_folder(self, path: Path) -> None:
        """Allow spending only while this folder is writable too; it may be a link to another disk."""
        self._videos_folder = path
        if self.can_write:
            with suppress(StorageError):
                self._check_videos_folder()

    def owns(self, path: Path) -> bool:
        """Whether a path, by whatever links, is in the folder of the videos, or one of the other files kept here."""
        try:
            real, folder = path.resolve(), self.path.resolve()
            videos = (self._videos_folder or folder / "-").resolve()
        except (OSError, RuntimeError):  # the latter of links in a circle
            return False
        return real.is_relative_to(videos) or (real.parent == folder and _OWN_NAMES.fullmatch(real.name) is not None)

    def recheck_videos_folder(self) -> StorageError | None:
        """Return why no video can be stored there; no write if it exists and nothing is known against it."""
        is_suspect = self.videos_problem is not None or bool(self._unstored)
        if self._videos_folder is not None and (is_suspect or not self._videos_folder.is_dir()):
            with suppress(StorageError):
                self._check_videos_folder()
        return self.videos_problem

    def recheck_writing(self) -> None:
        """Write to the folder for a test, if nothing is known against it; `write_problem` has the result."""
        if self.problem is None and self.shortage is None:  # the reserve must not take the last bytes
            with suppress(StorageError):
                self._check_writing()

    def note_unstored(self, job_id: str) -> None:
        """Refuse to spend until this job's video is stored: a quota or a size limit passes every smaller test write."""
        if self._videos_folder is not None:
            self._unstored.add(job_id)
            self.recheck_videos_folder()

    def note_stored(self, job_id: str) -> None:
        """Spend again, if this job's was the last video that could not be written."""
        self._unstored.discard(job_id)

    @property
    def missing_files(self) -> frozenset[str]:
        """The watched files that are no longer in the folder, because they, it or a link to it were removed, or cut."""
        return frozenset(name for name, known in self._files.items() if self._lies_at(name) != known)

    @property
    def problem(self) -> StorageError | None:
        """Why this process may not write to the folder; None if it may."""
        if self._refusal is None and self.missing_files:
            return StorageError("folder_replaced")
        return self._refusal

    @property
    def refusal(self) -> StorageError | None:
        """Why nothing may be stored, apart from too little free space: `problem`, or a failed check or write."""
        return self.problem or self.videos_problem or self.write_problem

    @property
    def can_write(self) -> bool:
        """Whether this process holds the folder's lock and may write to it."""
        return self.problem is None

    @property
    def shortage(self) -> StorageError | None:
        """Why no result could be stored, by the free space alone: of the folder, or of the other required one."""
        for path in filter(None, (self.path, self._videos_folder)):
            with suppress(OSError):
                if (free := shutil.disk_usage(path).free) < self.min_free_bytes:
                    return _disk_full(free)
        return None

    def check_room(self) -> None:
        """Refuse to spend if the folder cannot store the result.

        Raises:
            StorageError: Another process holds the folder, it was replaced by another, something else is in the place
                of one of its files, or it or the other required folder is read-only or nearly full.
        """
        if (problem := self.problem) is not None:
            # The same exception raised repeatedly would otherwise accumulate tracebacks.
            raise problem.with_traceback(None)
        if (shortage := self.shortage) is not None:
            raise shortage
        self._check_writing()
        self._check_videos_folder()

    def refuse(self, error: StorageError) -> None:
        """Switch to read-only for this reason. A full disk can surface as many errors, so check free space first."""
        self._refusal = error
        with suppress(OSError):
            free = shutil.disk_usage(self.path).free
            if free < BALLAST_BYTES:
                self._refusal = _disk_full(free)

    def drop_ballast(self) -> None:
        """Free a little space on a full disk, to record jobs that are already paid."""
        with suppress(OSError):
            self._ballast.unlink(missing_ok=True)

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Keep the folder from other processes until the end of the block, although it is closed meanwhile.

        A thread cannot be stopped, and another process must not work on the same file.
        """
        with self._use:
            self._users += 1
        try:
            yield
        finally:
            with self._use:
                self._users -= 1
                self._release_if_unused()

    def close(self) -> None:
        """Release the folder for other processes, once nothing uses it any more."""
        with self._use:
            self._is_closed = True
            self._release_if_unused()

    def _release_if_unused(self) -> None:
        if self._is_closed and not self._users and self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def _take(self) -> None:
        for path in self.path.iterdir():
            if _OWN_FILES.fullmatch(path.name):
                _require_file(path)
        lock = (self.path / LOCK_NAME).open("a+", encoding="ascii")
        try:
            _lock_file(lock, is_shared=self._is_shared)
        except OSError:
            lock.close()
            raise StorageError("ledger_taken") from None
        self._lock = lock
        self._note(LOCK_NAME, os.fstat(lock.fileno()))
        try:
            self._keep_ballast()
        except OSError as error:
            # A full disk is temporary and reported by check_room; other errors are not.
            if not is_disk_full(error):
                raise

    def _check_writing(self) -> None:
        self.write_problem = None
        try:
            self._keep_ballast()
        except OSError as error:
            self.write_problem = _disk_full(free=0) if is_disk_full(error) else StorageError("disk_read_only")
        except StorageError as error:
            self.write_problem = error
        if self.write_problem is not None:
            raise self.write_problem.with_traceback(None)

    def _check_videos_folder(self) -> None:
        path, self.videos_problem = self._videos_folder, None
        if path is None:
            return
        try:
            path.mkdir(exist_ok=True)
            # Existence and permissions do not reveal a broken link, a full disk or one that became read-only.
            with tempfile.TemporaryFile(dir=path) as probe:
                probe.write(b"\0")
            if self._unstored:
                raise OSError("a video could not be written")
        except OSError as error:
            if is_disk_full(error):
                raise _disk_full(free=0) from None
            self.videos_problem = StorageError("videos_not_writable", folder=path.name)
            raise self.videos_problem from None

    def _note(self, name: str, found: os.stat_result) -> None:
        if found.st_ino:  # some file systems provide no inode numbers
            self._files[name] = (found.st_dev, found.st_ino)

    def _lies_at(self, name: str) -> tuple[int, int] | None:
        try:
            found = (self.path / name).stat()
        except OSError:
            return None
        return None if found.st_size < self._least_bytes.get(name, 0) else (found.st_dev, found.st_ino)

    def _keep_ballast(self) -> None:
        if self._ballast.exists():
            _require_file(self._ballast)
        if self._ballast.exists() and self._ballast.stat().st_size == BALLAST_BYTES:
            # Only a failed write reliably reveals a disk that became read-only.
            os.utime(self._ballast)
            return
        try:
            self._ballast.write_bytes(bytes(BALLAST_BYTES))
        except OSError:
            self.drop_ballast()  # a partial file would only use up the last bytes
            raise


def _require_file(path: Path) -> None:
    """Raise a StorageError for a folder, pipe or device, and for a link to nothing."""
    with suppress(OSError):
        if stat.S_ISREG(path.stat().st_mode):
            return
    raise StorageError("not_a_file", file=path.name)


def _disk_full(free: int) -> StorageError:
    return StorageError("disk_full", free=free)


if sys.platform == "win32":
    import msvcrt

    def _lock_file(file: IO[str], *, is_shared: bool) -> None:
        if is_shared:
            return  # Python has no shared file lock on this system
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock_file(file: IO[str], *, is_shared: bool) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
