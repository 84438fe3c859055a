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
    """Runs calls of the ledger one after the other, in the order in which they came.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str = "ledger writes") -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, call: Callable[_P, _T], *args: _P.args, **values: _P.kwargs) -> _T:
        """Run a call, however long others take before it.

        Raises:
            StorageError: The program stops, or whatever the call raises.
        """
        return await asyncio.wrap_future(self._begin(call, *args, **values))

    async def soon(self, call: Callable[_P, _T], *args: _P.args, **values: _P.kwargs) -> _T:
        """Run a call that a person waits for, or leave it: what could not begin in time never will.

        Raises:
            StorageError: Others take too long before it, the program stops, or whatever the call raises.
        """
        future = self._begin(call, *args, **values)
        ended = asyncio.wrap_future(future)
        await asyncio.wait([ended], timeout=sqlite.BUSY_TIMEOUT_S)
        if future.cancel():
            raise StorageError("ledger_busy")
        return await ended

    def close(self) -> None:
        """Run what was given so far, and nothing more."""
        self._pool.shutdown(wait=True)

    def _begin(self, call: Callable[_P, _T], *args: _P.args, **values: _P.kwargs) -> Future[_T]:
        try:
            return self._pool.submit(partial(call, *args, **values))
        except RuntimeError:  # the pool is closed
            raise StorageError("stopping") from None
