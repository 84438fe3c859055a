"""Bucket: files in an object store, each written once, read back, and never overwritten.

What stores are and do: docs/facts/scale.md 4. A store's own errors name addresses and accounts, so none of their text
is passed on.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import re
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import obstore
from obstore import exceptions, store

from hunyuan_ui import log
from hunyuan_ui.checkpoint import checkpoint
from hunyuan_ui.errors import SettingsError, StorageError
from hunyuan_ui.file_type import BY_SUFFIX
from hunyuan_ui.job import is_id
from hunyuan_ui.library import VIDEOS_URL

_T = TypeVar("_T")

PROBE: Final = "probe-"  # begins the names of the files that a start writes and removes
_OBSTORE: Final[Any] = obstore  # its types name a package that need not be there
_STORE: Final[Any] = store
_AT_ONCE: Final = 8  # transfers; what is uploaded is in memory as a whole
_PAGE: Final = 1000  # names that a store lists at once
_LET_GO_S: Final = 0.25
# One call may take as long as the limits let it; without TLS only where the store's endpoint is named so.
_HTTP: Final[Any] = {"timeout": timedelta(hours=1), "allow_http": True}
# What an error's text tells of, as a start says it. Where no variable names a key, a machine in the cloud is asked for
# one; any other does not answer.
_NO_KEYS: Final = "bucket_keys"
_SAID: Final = (
    (re.compile(r"/latest/(api/token|meta-data)|computeMetadata|/metadata/identity|MissingAccount"), _NO_KEYS),
    (re.compile(r"code: 501"), "bucket_overwrites"),  # it does not know the condition
    (re.compile(r"code: 4(?!08|29)\d\d"), "bucket_refuses"),
)
_REFUSALS: Final = (
    PermissionError,
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    exceptions.NotSupportedError,
)


@dataclass(frozen=True, slots=True)
class BucketLimits:
    """How patient a bucket's caller is.

    Args:
        connect_s: Longest wait for a connection.
        answer_s: Longest wait for an answer, apart from the time of an upload.
        min_bytes_per_s: Slowest upload, as of a download (docs/facts/faults-and-security.md, row 41).
        rest_s: Between two looks whether a bucket that was away is back.
    """

    connect_s: float = 5.0
    answer_s: float = 20.0
    min_bytes_per_s: int = 32 * 1024
    rest_s: float = 5.0


LIMITS = BucketLimits()
# A thread of the store's that still lets go of an answer while Python ends would abort the whole process.
atexit.register(time.sleep, _LET_GO_S)


class Digest(NamedTuple):
    """What tells whether two files are the same."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """Return that of a file's content."""
        return cls(len(content), sha256(content).hexdigest())


class Bucket:
    """A bucket, or the part of it below a prefix.

    What is done with it runs on a loop in a thread of its own, so that a store that hangs holds nobody else up: `ask`
    waits for it on another loop, `call` in another thread. While the bucket is away, every call is refused at once, and
    it is looked for until it is back.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`; the keys are in the store's own
            variables.
        limits: How patient to be; `LIMITS` unless something else is given.

    Raises:
        SettingsError: The address, or what the store's variables say, cannot be used.
    """

    def __init__(self, url: str, limits: BucketLimits | None = None) -> None:
        self._limits = limits or LIMITS
        self.when_back: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._problem: StorageError | None = None
        self._why = ""  # the same as a start says it
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False
        self._lock = threading.Lock()
        try:
            self._store: Any = _STORE.from_url(
                url,
                client_options={**_HTTP, "connect_timeout": timedelta(seconds=self._limits.connect_s)},
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=self._limits.answer_s)},
            )
        except (exceptions.BaseError, ValueError, OSError) as error:
            # The address was looked at before, so that the store's variables are what it does not understand.
            code = _NO_KEYS if _said(error)[1] == _NO_KEYS else "bucket_variables"
            raise SettingsError(VIDEOS_URL, code) from None
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        threading.Thread(target=self._run, name="bucket", daemon=True).start()

    # from elsewhere

    async def ask(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return what a coroutine of this bucket's loop returns; to be awaited on another loop.

        Raises:
            StorageError: The bucket is away or refuses, or this was closed.
        """
        return await asyncio.wrap_future(self._begin(work))

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return what a coroutine of this bucket's loop returns; blocks, and raises as `ask`."""
        try:
            return self._begin(work).result()
        except concurrent.futures.CancelledError:
            raise StorageError("stopping") from None

    @property
    def problem(self) -> StorageError | None:
        """Why the bucket could not be used at the last try; None if it could."""
        return self._problem

    def close(self) -> None:
        """Break off what is under way, and refuse everything later."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._loop.call_soon_threadsafe(self._break_off)

    # on its own loop

    async def put_new(self, name: str, content: bytes) -> bool:
        """Write a file; where the name exists, leave that and return False."""
        async with self._slots:
            try:
                await self._try(
                    lambda: obstore.put_async(self._store, name, content, mode="create"),
                    size_bytes=len(content),
                )
            except exceptions.AlreadyExistsError:
                return False
            except FileNotFoundError:
                raise self._failed("bucket_refuses", "bucket_missing") from None
        self._works(is_written=True)
        return True

    async def put_checked(self, name: str, content: bytes) -> bool:
        """Write a file and read it back; return False if the name exists with another content.

        Raises:
            StorageError: `bucket_garbled`: it was written, and is not what was read; it was removed again.
        """
        is_new = await self.put_new(name, content)
        checkpoint("bucket.written")
        if await self.digest(name) == Digest.of(content):
            return True
        if not is_new:
            return False
        await self.delete(name)
        raise StorageError("bucket_garbled")

    async def digest(self, name: str) -> Digest | None:
        """Read a file and return its size and checksum; None if it is not there."""
        return await self._digested(name, len)

    async def content(self, name: str) -> bytes | None:
        """Return the content of a small file; None if it is not there."""
        chunks: list[bytes] = []
        return b"".join(chunks) if await self._read(name, chunks.append) else None

    async def save(self, name: str, path: Path) -> Digest | None:
        """Copy a file to the disk and return its size and checksum; None if it is not there.

        Raises:
            OSError: The disk cannot be written.
        """
        with path.open("wb") as file:
            return await self._digested(name, file.write)

    async def size(self, name: str) -> int | None:
        """Return a file's size in bytes; None if it is not there."""
        try:
            return int((await self._try(lambda: obstore.head_async(self._store, name)))["size"])
        except FileNotFoundError:
            return None

    async def delete(self, *names: str) -> None:
        """Remove files; those that are not there are no trouble."""

        async def remove(name: str) -> None:
            with suppress(FileNotFoundError):
                await self._try(lambda: obstore.delete_async(self._store, name))

        await asyncio.gather(*map(remove, names))

    async def names(self) -> dict[str, int]:
        """Return the size in bytes of every file that lies in no folder, by its name."""
        found: dict[str, int] = {}
        pages: Any = aiter(_OBSTORE.list(self._store, chunk_size=_PAGE))
        while (page := await self._try(lambda: anext(pages, None))) is not None:
            found |= dict(_at_the_top(page))
        return found

    async def proven(self) -> dict[str, int]:
        """Return `names`, after a small file has shown that the bucket can be written, overwrites nothing, and so on.

        Raises:
            SettingsError: It cannot be used.
        """
        name = f"{PROBE}{secrets.token_hex(8)}"
        try:
            await self.put_new(name, b"1")
            try:
                wrong = "bucket_overwrites" if await self.put_new(name, b"2") else ""
                wrong = wrong or ("" if await self.content(name) == b"1" else "bucket_garbles")
            finally:
                await self.delete(name)
            if not wrong:
                return await self.names()
        except StorageError:
            wrong = self._why
        raise SettingsError(VIDEOS_URL, wrong)

    # inside

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _begin(self, work: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        with self._lock:
            if self._is_closed:
                work.close()
                raise StorageError("stopping")
            return asyncio.run_coroutine_threadsafe(self._to_its_end(work), self._loop)

    async def _to_its_end(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await work
        except asyncio.CancelledError:
            if self._is_closed:
                raise StorageError("stopping") from None
            raise

    async def _digested(self, name: str, take: Callable[[bytes], int]) -> Digest | None:
        found, size = sha256(), 0

        def both(chunk: bytes) -> None:
            nonlocal size
            found.update(chunk)
            size += take(chunk)

        return Digest(size, found.hexdigest()) if await self._read(name, both) else None

    async def _read(self, name: str, take: Callable[[bytes], object]) -> bool:
        async with self._slots:
            try:
                found = await self._try(lambda: obstore.get_async(self._store, name))
            except FileNotFoundError:
                return False
            chunks, size = aiter(found.stream()), 0
            while (chunk := await self._try(lambda: anext(chunks, None))) is not None:
                size += len(chunk)
                take(bytes(chunk))
        if size != found.meta["size"]:
            raise self._failed("bucket_away", "bucket_garbles")
        return True

    async def _try(self, call: Callable[[], Awaitable[_T]], *, size_bytes: int = 0) -> _T:
        """Wait for a call of the store within its time, and note whether the bucket is there.

        Raises:
            FileNotFoundError: The file is not there.
            AlreadyExistsError: The name exists.
            StorageError: The bucket is away or refuses.
        """
        is_looking = self._looking is not None and asyncio.current_task() is self._looking
        if self._problem is not None and self._problem.code == "bucket_away" and not is_looking:
            raise self._problem.with_traceback(None)
        with self._noting():
            return await asyncio.wait_for(call(), self._limits.answer_s + size_bytes / self._limits.min_bytes_per_s)

    @contextmanager
    def _noting(self) -> Generator[None]:
        try:
            yield
        except (FileNotFoundError, exceptions.AlreadyExistsError):
            self._works()
            raise
        except (exceptions.BaseError, asyncio.TimeoutError, OSError) as error:
            raise self._failed(*_said(error)) from None
        self._works()

    def _works(self, *, is_written: bool = False) -> None:
        # What may be read need not be writable.
        if self._problem is not None and (is_written or self._problem.code == "bucket_away"):
            log.event("bucket.back")
            self._problem = None

    def _failed(self, code: str, why: str) -> StorageError:
        if self._problem is None or self._problem.code != code:
            log.trouble(code.replace("_", ".", 1), why=why)
        self._problem, self._why = StorageError(code), why
        if self._looking is None and code == "bucket_away":
            self._looking = self._loop.create_task(self._look_until_back(), name="bucket look")
        return self._problem

    async def _look_until_back(self) -> None:
        while self._problem is not None and self._problem.code == "bucket_away":
            await asyncio.sleep(self._limits.rest_s)
            with suppress(StorageError):
                await self.size(f"{PROBE}none")
        self._looking = None
        if self.when_back is not None:
            with suppress(StorageError):
                await self.when_back()

    def _break_off(self) -> None:
        async def end() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=1.0) if others else None
            self._loop.stop()

        self._ending = self._loop.create_task(end())


def _said(error: Exception) -> tuple[str, str]:
    """Return the codes of an error: while running, and at a start."""
    if isinstance(error, _REFUSALS):
        return "bucket_refuses", "bucket_refuses"
    why = next((why for pattern, why in _SAID if pattern.search(str(error))), None)
    return ("bucket_away", "bucket_unreachable") if why is None else ("bucket_refuses", why)


def _at_the_top(page: Any) -> Generator[tuple[str, int]]:
    for entry in page:
        if "/" not in entry["path"]:
            yield entry["path"], entry["size"]


def count_videos(url: str) -> int:
    """Return how many videos a bucket holds; the errors are those of `Bucket` and `Bucket.probe`."""
    bucket = Bucket(url)
    try:
        return sum(Path(name).suffix in BY_SUFFIX and is_id(Path(name).stem) for name in bucket.call(bucket.proven()))
    finally:
        bucket.close()
