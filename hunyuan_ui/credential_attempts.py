"""Rate limits on attempts at keys and access codes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil, inf
from typing import Final, Protocol

from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.job import Visitor
from hunyuan_ui.local_addresses import network_of


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit: a burst of attempts, then one per interval in seconds."""

    burst: int
    every_s: float


OF_A_VISITOR: Final = Rate(5, 12.0)
OF_AN_ADDRESS: Final = Rate(10, 6.0)  # 20 in any minute
OF_EVERYBODY: Final = Rate(60, 1.0)
AT_MOST: Final = Rate(20, 0.1)  # cap for all callers together, however many addresses
FRESH_AFTER_S: Final = 60.0
LONGEST_WAIT_S: Final = 10.0
MOST_WAITING: Final = 8  # attempts waiting for their turn, of all callers: each may hold one of Gradio's 40 slots
MOST_REMEMBERED: Final = 20_000  # visitors and addresses
_TICK_S: Final = 1e-6  # below accumulated float errors


class Limiter:
    """One rate limiter: the generic cell rate algorithm.

    Args:
        rate: Its limit.
        used_until: When all taken attempts are used up.
        last: Time of the last attempt.
        before: Time of the attempt before that.
    """

    __slots__ = ("_before", "_rate", "_used_until", "last")

    def __init__(self, rate: Rate, used_until: float = -inf, last: float = -inf, before: float = -inf) -> None:
        self._rate = rate
        self._used_until = used_until
        self.last, self._before = last, before

    @property
    def state(self) -> tuple[float, float, float]:
        """The values from which, with its rate, it is recreated."""
        return self._used_until, self.last, self._before

    def free_at(self, now: float) -> float:
        """Return when the next attempt is allowed."""
        at = self._used_until - (self._rate.burst - 1) * self._rate.every_s
        return at if at - now > _TICK_S else now

    def take(self, at: float, *, is_over: bool = False) -> None:
        """Count an attempt; one that is allowed beyond the rate does not extend a full wait."""
        used_until = max(self._used_until, at) + self._rate.every_s
        if is_over:
            used_until = max(self._used_until, min(used_until, at + self._rate.burst * self._rate.every_s))
        self._used_until = used_until
        self._before, self.last = self.last, at

    def give_back(self) -> None:
        """Undo the last attempt."""
        self._used_until -= self._rate.every_s
        self.last = self._before


Change = Callable[[float, list[Limiter]], float]


class AttemptStore(Protocol):
    """Storage of rate limiters."""

    async def change(self, names: dict[str, Rate], change: Change) -> float:
        """Change the limiters of these names atomically, in order; return the change's result.

        Args:
            names: Names of the limiters, and their rates.
            change: Receives the time in seconds and the limiters; if it raises, they stay unchanged.
        """
        ...


class AttemptsInMemory:
    """The rate limiters of one process, for the most recent names.

    Args:
        now: A monotonic clock in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._by_name: OrderedDict[str, Limiter] = OrderedDict()

    async def change(self, names: dict[str, Rate], change: Change) -> float:
        """Change limiters; see `AttemptStore`."""
        limiters = {name: self._by_name.get(name) or Limiter(rate) for name, rate in names.items()}
        result = change(self._now(), list(limiters.values()))
        for name, limiter in limiters.items():
            self._by_name[name] = limiter
            self._by_name.move_to_end(name)
        while len(self._by_name) > MOST_REMEMBERED:
            self._by_name.popitem(last=False)
        return result


class AttemptLimiter:
    """The limit on attempts at keys and access codes, shared by page, API, MCP and owner's page.

    An attempt waits for some seconds before it is refused, a correct one is not counted, and three rates apply at once:
    a visitor has five attempts, then one every 12 s; an address (for IPv6 its /64) has 20 a minute, for all its
    visitors; all together have two a second for a minute, then one a second. The last rate locks nobody out: the first
    attempt of an address in a minute is always accepted, up to ten of these a second.

    So one address makes 20 guesses a minute and all together ten a second, far too few for an access code of ten random
    letters, and whoever knows the code waits for seconds. Only a flood of concurrent attempts from the same address (a
    router, a proxy) can delay them, while it lasts.

    Args:
        now: A monotonic clock in seconds.
        sleep: Waits for a number of seconds.
        store: Storage of the counts; in memory if omitted.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        store: AttemptStore | None = None,
    ) -> None:
        self._store = store or AttemptsInMemory(now)
        self._sleep = sleep
        self._waiting = 0

    async def take(self, visitor: Visitor, error_code: str) -> None:
        """Wait until this visitor may make another attempt.

        Args:
            visitor: With the address of the call.
            error_code: Of the error when the wait is too long.

        Raises:
            SpendLimitError: With this code and the seconds to wait.
            StorageError: The counts are stored in a database that cannot be reached.
        """

        def take(now: float, limiters: list[Limiter]) -> float:
            theirs, there, at_most, everybody = limiters
            is_fresh = now - there.last >= FRESH_AFTER_S
            at = max(limiter.free_at(now) for limiter in (theirs, there, at_most, *([] if is_fresh else [everybody])))
            wait_s = at - now
            if wait_s > LONGEST_WAIT_S or (wait_s > 0 and self._waiting >= MOST_WAITING):
                raise SpendLimitError(error_code, seconds=ceil(wait_s))
            for limiter in (theirs, there, at_most):
                limiter.take(at)
            everybody.take(at, is_over=is_fresh)
            return wait_s

        wait_s = await self._store.change(_names_of(visitor), take)
        if wait_s > 0:
            self._waiting += 1
            try:
                await self._sleep(wait_s)
            finally:
                self._waiting -= 1

    async def give_back(self, visitor: Visitor) -> None:
        """Undo a correct attempt."""

        def give_back(_now: float, limiters: list[Limiter]) -> float:
            for limiter in limiters:
                limiter.give_back()
            return 0.0

        await self._store.change(_names_of(visitor), give_back)


def _names_of(visitor: Visitor) -> dict[str, Rate]:
    return {
        f"visitor {visitor.id}": OF_A_VISITOR,
        f"address {network_of(visitor.address)}": OF_AN_ADDRESS,
        "at most": AT_MOST,
        "everybody": OF_EVERYBODY,
    }
