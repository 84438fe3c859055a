"""Bucket: files in an object store, each written once, verified by reading back, and never overwritten.

Behaviour of stores: docs/facts/scale.md 4. Their errors contain addresses and accounts, so none of their text is passed
on.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import re
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
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

PROBE: Final = "probe-"  # prefix of the test files that a start writes and removes
_OBSTORE: Final[Any] = obstore  # its types name an optional package
_STORE: Final[Any] = store
_AT_ONCE: Final = 8  # concurrent transfers; each upload is completely in memory
_PAGE: Final = 1000  # names per page of a listing
_LET_GO_S: Final = 0.25
# The limits below bound each call; plain http is used only if the store's endpoint is given that way.
_HTTP: Final[Any] = {"timeout": timedelta(hours=1), "allow_http": True}
# Startup messages by error text. If no variable has a key, obstore queries the cloud machine's metadata service, which
# times out elsewhere.
_NO_KEYS: Final = "bucket_keys"
_CODES: Final = (
    (re.compile(r"/latest/(api/token|meta-data)|computeMetadata|/metadata/identity|MissingAccount"), _NO_KEYS),
    (re.compile(r"code: 501"), "bucket_overwrites"),  # it does not support conditional writes
    (re.compile(r"code: 4(?!08|29)\d\d"), "bucket_refuses"),
    # The refusal of one of many deletions, as of a file that is locked.
    (re.compile(r"\bkey .*\(code: (?!InternalError|SlowDown|ServiceUnavailable)\w"), "bucket_refuses"),
)
_NO_BUCKET: Final = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist")  # only in a GET's 404
_REFUSALS: Final = (
    PermissionError,
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    exceptions.NotSupportedError,
)


@dataclass(frozen=True, slots=True)
class BucketLimits:
    """Timeouts of a bucket.

    Args:
        answer_s: Response timeout, apart from the time of an upload.
        min_bytes_per_s: Lowest upload rate, as for a download (docs/facts/faults-and-security.md, row 41).
        rest_s: Interval of checks whether an unreachable bucket is back.
    """

    connect_s: float = 5.0
    answer_s: float = 20.0
    min_bytes_per_s: int = 32 * 1024
    rest_s: float = 5.0


LIMITS = BucketLimits()
# A store thread that still releases a response at interpreter shutdown would abort the process.
atexit.register(time.sleep, _LET_GO_S)


class Digest(NamedTuple):
    """Size and checksum by which files are compared."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """Return the digest of a file's content."""
        return cls(len(content), sha256(content).hexdigest())


class Bucket:
    """A bucket, or the part of it below a prefix.

    All calls run on an event loop in a separate thread, so that a hanging store blocks nothing else: `ask` awaits from
    another loop, `call` blocks another thread. While the bucket is unreachable, every call fails immediately, or every
    change if it can be read; it is probed until it works again.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`; the keys are in the store's own
            variables.

    Raises:
        SettingsError: The address or the store's variables are invalid.
    """

    def __init__(self, url: str) -> None:
        self._limits = LIMITS
        self.when_back: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._problem: StorageError | None = None
        self._is_away = False  # also for reading
        self._needs_change = False  # a change has failed, so that only one that succeeds ends the problem
        self._probe = f"{PROBE}{secrets.token_hex(8)}"
        self._why = ""  # the same problem, as a startup message
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
            # The address was validated before, so the fault is in the store's variables.
            code = _NO_KEYS if _codes_of(error)[1] == _NO_KEYS else "bucket_variables"
            raise SettingsError(VIDEOS_URL, code) from None
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        threading.Thread(target=self._run, name="bucket", daemon=True).start()

    # from other threads

    async def ask(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on this bucket's loop and return its result; await it on another loop.

        Raises:
            StorageError: The bucket is unreachable or refuses, or was closed.
        """
        return await asyncio.wrap_future(self._begin(work))

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on this bucket's loop and return its result; blocks, and raises as `ask`."""
        try:
            return self._begin(work).result()
        except concurrent.futures.CancelledError:
            raise StorageError("stopping") from None

    @property
    def problem(self) -> StorageError | None:
        """Why the last attempt to use the bucket failed; None if it succeeded."""
        return self._problem

    def close(self) -> None:
        """Cancel running calls, and refuse all later ones."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._loop.call_soon_threadsafe(self._break_off)

    # on its own loop

    async def put_new(self, name: str, content: bytes) -> bool:
        """Write a new file; return False, without changing it, if the name exists."""
        async with self._slots:
            try:
                await self._try(
                    lambda: obstore.put_async(self._store, name, content, mode="create"),
                    size_bytes=len(content),
                    is_change=True,
                )
            except exceptions.AlreadyExistsError:
                return False
            except FileNotFoundError:
                raise self._failed("bucket_refuses", "bucket_missing", is_change=True) from None
        self._works(is_changed=True)
        return True

    async def put_checked(self, name: str, content: bytes) -> bool:
        """Write a file and read it back; return False if the name exists with different content.

        Raises:
            StorageError: `bucket_garbled`: it was written, but read back differently; it was removed again.
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
        """Read a file and return its size and checksum; None if it does not exist."""
        return await self._digested(name, len)

    async def content(self, name: str) -> bytes | None:
        """Return the content of a small file; None if it does not exist."""
        chunks: list[bytes] = []
        return b"".join(chunks) if await self._read(name, chunks.append) else None

    async def save(self, name: str, path: Path) -> Digest | None:
        """Download a file to the disk and return its size and checksum; None if it does not exist.

        Raises:
            OSError: The disk cannot be written.
        """
        with path.open("wb") as file:
            return await self._digested(name, file.write)

    async def size(self, name: str) -> int | None:
        """Return a file's size in bytes; None if it does not exist."""
        try:
            return int((await self._try(lambda: obstore.head_async(self._store, name)))["size"])
        except FileNotFoundError:
            return None

    async def delete(self, *names: str) -> None:
        """Remove files; missing ones are ignored, and nothing is still being removed when an error is raised."""

        async def remove(name: str) -> None:
            with suppress(FileNotFoundError):
                await self._try(lambda: obstore.delete_async(self._store, name), is_change=True)

        ended = await asyncio.gather(*map(remove, names), return_exceptions=True)
        if error := next(filter(None, ended), None):
            raise error

    async def names(self) -> dict[str, int]:
        """Return the size in bytes of every file outside of folders, by name."""
        found: dict[str, int] = {}
        page: Any
        pages: Any = aiter(_OBSTORE.list(self._store, chunk_size=_PAGE))
        while (page := await self._try(lambda: anext(pages, None))) is not None:
            found |= {entry["path"]: entry["size"] for entry in page if "/" not in entry["path"]}
        return found

    async def proven(self) -> dict[str, int]:
        """Return `names`, after testing with a small file that the bucket can be written, never overwrites, and so on.

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

    async def _try(self, call: Callable[[], Awaitable[_T]], *, size_bytes: int = 0, is_change: bool = False) -> _T:
        """Await a store call with a timeout, and record whether the bucket is reachable.

        Raises:
            FileNotFoundError: The file does not exist.
            AlreadyExistsError: The name exists.
            StorageError: The bucket is unreachable or refuses.
        """
        is_looking = self._looking is not None and asyncio.current_task() is self._looking
        problem = self._problem
        if problem is not None and problem.code == "bucket_away" and (self._is_away or is_change) and not is_looking:
            raise problem.with_traceback(None)
        within_s = self._limits.answer_s + size_bytes / self._limits.min_bytes_per_s
        try:
            found = await asyncio.wait_for(call(), within_s)
        except (FileNotFoundError, exceptions.AlreadyExistsError) as error:
            if _NO_BUCKET.search(str(error)):
                raise self._failed("bucket_refuses", "bucket_missing", is_change=is_change) from None
            self._works()
            raise
        except (exceptions.BaseError, asyncio.TimeoutError, OSError) as error:
            raise self._failed(*_codes_of(error), is_change=is_change) from None
        self._works()
        return found

    def _works(self, *, is_changed: bool = False) -> None:
        # A successful read does not prove that writing works.
        self._is_away = False
        if self._problem is not None and (is_changed or not self._needs_change):
            log.event("bucket.back")
            self._problem, self._needs_change = None, False

    def _failed(self, code: str, why: str, *, is_change: bool = False) -> StorageError:
        if self._problem is None or self._problem.code != code:
            log.trouble(code.replace("_", ".", 1), why=why)
        self._problem, self._why = StorageError(code), why
        # Once a change has failed, the next one that fails says nothing of reading, which is tested on its own.
        self._is_away = code == "bucket_away" and (self._is_away or not (is_change and self._needs_change))
        self._needs_change = self._needs_change or is_change or code == "bucket_refuses"
        if self._looking is None:
            self._looking = self._loop.create_task(self._look_until_back(), name="bucket look")
        return self._problem

    async def _look_until_back(self) -> None:
        while self._problem is not None:
            await asyncio.sleep(self._limits.rest_s)
            with suppress(StorageError):
                if self._is_away:
                    await self.size(f"{PROBE}none")
                if self._needs_change:
                    await self._change()
        self._looking = None
        if self.when_back is not None:
            with suppress(StorageError):
                await self.when_back()

    async def _change(self) -> None:
        """Write and remove a small file, under one name, so that no more than one is ever left."""
        for _ in range(2):
            with suppress(FileNotFoundError):
                await self._try(lambda: obstore.delete_async(self._store, self._probe), is_change=True)
            if self._problem is not None:
                await self.put_new(self._probe, b"1")

    def _break_off(self) -> None:
        async def end() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=1.0) if others else None
            self._loop.stop()

        self._ending = self._loop.create_task(end())


def _codes_of(error: Exception) -> tuple[str, str]:
    """Return the codes of an error: for a running program, and for a start."""
    if isinstance(error, _REFUSALS):
        return "bucket_refuses", "bucket_refuses"
    why = next((why for pattern, why in _CODES if pattern.search(str(error))), None)
    return ("bucket_away", "bucket_unreachable") if why is None else ("bucket_refuses", why)


def count_videos(url: str) -> int:
    """Return how many videos a bucket holds; errors as `Bucket` and `Bucket.proven`."""
    bucket = Bucket(url)
    try:
        return sum(Path(name).suffix in BY_SUFFIX and is_id(Path(name).stem) for name in bucket.call(bucket.proven()))
    finally:
        bucket.close()
