"""LedgerThread: a thread that calls the ledger, so that neither a commit nor a read blocks the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from hunyuan_ui.errors import StorageError
from hunyuan_ui.ledger import sqlite

_P = ParamSpec("_P")
_T = TypeVar("_T")


class LedgerThread:
    """Runs ledger calls one at a time, in the order of submission."""

    def __init__(self, name: str = "ledger writes") -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, call: Callable[_P, _T], *args: _P.args, **values: _P.kwargs) -> _T:
        """Run a call, however long the calls before it take.

        Raises:
            StorageError: The program is stopping; the call's own errors pass through.
        """
        return await asyncio.wrap_future(self._begin(call, *args, **values))

    async def soon(self, call: Callable[_P, _T], *args: _P.args, **values: _P.kwargs) -> _T:
        """Run a call that a person waits for, or drop it: a call that could not start in time never runs.

        Raises:
            StorageError: Earlier calls take too long, or the program is stopping; the call's own errors pass through.
        """
        future = self._begin(call, *args, **values)
        ended = asyncio.wrap_future(future)
        await asyncio.wait([ended], timeout=sqlite.BUSY_TIMEOUT_S)
        if future.cancel():
            raise StorageError("ledger_busy")
        return await ended

    def close(self) -> None:
        """Run the calls submitted so far, and accept no more."""
        self._pool.shutdown(wait=True)

    def _begin(self, call: Callable[_P, _T], *args: _P.args, **values: _P.kwargs) -> Future[_T]:
        try:
            return self._pool.submit(partial(call, *args, **values))
        except RuntimeError:  # the pool is closed
            raise StorageError("stopping") from None
