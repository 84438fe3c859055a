"""How fast keys and codes may be tried, and the access code, which opens the owner's key to those who know it.

Pure rules, kept in memory.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from math import ceil, inf
from typing import Final

from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.job import Visitor
from hunyuan_ui.settings import Secret


@dataclass(frozen=True, slots=True)
class Rate:
    """So many tries at once, then one more every so many seconds."""

    burst: int
    every_s: float


OF_A_VISITOR: Final = Rate(5, 12.0)
OF_AN_ADDRESS: Final = Rate(10, 6.0)  # 20 in any minute
OF_EVERYBODY: Final = Rate(60, 1.0)
AT_MOST: Final = Rate(20, 0.1)  # whoever tries, and from however many places
FRESH_AFTER_S: Final = 60.0
LONGEST_WAIT_S: Final = 10.0
MOST_WAITING: Final = 8  # tries that wait for their turn, of all callers: each may hold one of Gradio's 40 slots
MOST_REMEMBERED: Final = 10_000  # visitors, and addresses
MOST_GRANTS: Final = 10_000
_TICK_S: Final = 1e-6  # below what floats add up to


class _Pace:
    """When the next try of one rate may be made: the generic cell rate algorithm."""

    __slots__ = ("_before", "_rate", "_used_until", "last")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._used_until = -inf
        self.last = self._before = -inf

    def free_at(self, now: float) -> float:
        at = self._used_until - (self._rate.burst - 1) * self._rate.every_s
        return at if at - now > _TICK_S else now

    def take(self, at: float, *, is_over: bool = False) -> None:
        """Use up one try; one that is let through over the rate is not put on top of a used-up one."""
        used_until = max(self._used_until, at) + self._rate.every_s
        if is_over:
            used_until = max(self._used_until, min(used_until, at + self._rate.burst * self._rate.every_s))
        self._used_until = used_until
        self._before, self.last = self.last, at

    def give_back(self) -> None:
        self._used_until -= self._rate.every_s
        self.last = self._before


class _Paces:
    """The paces of the latest who tried, one each."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._by_name: OrderedDict[str, _Pace] = OrderedDict()

    def of(self, name: str) -> _Pace:
        """Return somebody's pace, a new one for whoever has not tried yet."""
        return self._by_name.get(name) or _Pace(self._rate)

    def keep(self, name: str, pace: _Pace) -> None:
        self._by_name[name] = pace
        self._by_name.move_to_end(name)
        if len(self._by_name) > MOST_REMEMBERED:
            self._by_name.popitem(last=False)


class Tries:
    """The one limit on tries of keys and codes, whichever way they come in: page, API, agents, owner's page.

    Nobody can tell a stranger who guesses from the one who knows before the guess was looked at. So a try waits for
    its turn for some seconds before it is refused, a right code costs nothing, and three rates hold at once. A visitor
    has five tries, then one every 12 s. An address (of IPv6 its /64) has 20 a minute, however many visitors are made
    up there. All together have two a second for a minute and one a second after that. That last one is a brake and no
    lock: an address that has not tried for a minute has its first try all the same, up to ten such a second.

    So guesses come at 20 a minute from one place and at ten a second from all the world, which an access code of ten
    random letters outlives by ages; and who knows the code waits for seconds, not minutes. Only a flood of parallel
    tries from their own address (one router, one proxy) can keep them waiting, for as long as it lasts.

    Args:
        now: A clock in seconds that never jumps.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._visitors = _Paces(OF_A_VISITOR)
        self._addresses = _Paces(OF_AN_ADDRESS)
        self._everybody = _Pace(OF_EVERYBODY)
        self._at_most = _Pace(AT_MOST)
        self._waiting = 0

    async def take(self, visitor: Visitor, code: str) -> None:
        """Wait until this visitor may make one more try.

        Args:
            visitor: Who, and from which address.
            code: Of the sentence when that is too long.

        Raises:
            SpendLimitError: With this code and the seconds to wait.
        """
        now = self._now()
        address = _network_of(visitor.address)
        theirs, there = self._visitors.of(visitor.id), self._addresses.of(address)
        is_fresh = now - there.last >= FRESH_AFTER_S
        paces = [theirs, there, self._at_most, *([] if is_fresh else [self._everybody])]
        at = max(pace.free_at(now) for pace in paces)
        wait_s = at - now
        if wait_s > LONGEST_WAIT_S or (wait_s > 0 and self._waiting >= MOST_WAITING):
            raise SpendLimitError(code, seconds=ceil(wait_s))
        for pace in (theirs, there, self._at_most):
            pace.take(at)
        self._everybody.take(at, is_over=is_fresh)
        self._visitors.keep(visitor.id, theirs)
        self._addresses.keep(address, there)
        await self._wait(wait_s)

    def give_back(self, visitor: Visitor) -> None:
        """Undo a try that was right."""
        theirs, there = self._visitors.of(visitor.id), self._addresses.of(_network_of(visitor.address))
        for pace in (theirs, there, self._at_most, self._everybody):
            pace.give_back()

    async def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            return
        self._waiting += 1
        try:
            await self._sleep(seconds)
        finally:
            self._waiting -= 1


class AccessCode:
    """Who has shown that they know the code; forgotten when the program ends.

    Args:
        code: The owner's code; None opens to everybody.
        tries: Which limit holds.
        wrong: Code of the sentence about a wrong one.
    """

    def __init__(self, code: Secret | None, tries: Tries, *, wrong: str = "access_code_wrong") -> None:
        self._code = code
        self._sentence = wrong
        self._tries = tries
        self._granted: OrderedDict[str, None] = OrderedDict()

    def knows(self, visitor_id: str) -> bool:
        """Whether this visitor may pass without being asked."""
        return self._code is None or visitor_id in self._granted

    async def enter(self, visitor: Visitor, offered: str) -> None:
        """Let a visitor in for as long as the program runs; who is in is not asked again.

        Raises:
            SpendLimitError: The code is wrong, or too many were tried lately.
        """
        if self._code is None or self.knows(visitor.id):
            return
        await self._tries.take(visitor, "access_code_attempts")
        if not secrets.compare_digest(_digest(offered), _digest(self._code.reveal())):
            raise SpendLimitError(self._sentence)
        self._tries.give_back(visitor)
        self._granted[visitor.id] = None
        if len(self._granted) > MOST_GRANTS:
            self._granted.popitem(last=False)


def _network_of(address: str) -> str:
    """Return what one machine has of addresses: of IPv6 a network of 64 bits, out of which it may take any."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv6Address):
        return str(known.ipv4_mapped or ipaddress.ip_network((int(known), 64), strict=False))
    return str(known)


def _digest(text: str) -> bytes:
    # Of one length, so that the comparison says nothing about the code's.
    return sha256(text.strip().encode("utf-8", "surrogatepass")).digest()
