"""The access code: a word from the owner that opens their key to those who know it. Pure rules, kept in memory."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from hashlib import sha256
from math import ceil
from typing import Final

from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.settings import Secret

WRONG_CODES_A_MINUTE: Final = 5
KEYS_TRIED_A_MINUTE: Final = 20
MOST_GRANTS: Final = 10_000

_MINUTE_S: Final = 60.0


class Attempts:
    """How often something may be tried, counted over everybody: a visitor's token is free to mint.

    Args:
        most: Attempts in any 60 s.
        now: A clock in seconds that never jumps.
    """

    def __init__(self, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self._times: deque[float] = deque(maxlen=most)
        self._now = now

    def check(self, code: str) -> None:
        """Let one more attempt pass.

        Raises:
            SpendLimitError: With this code and the seconds to wait.
        """
        if len(self._times) < (self._times.maxlen or 0):
            return
        wait_s = self._times[0] + _MINUTE_S - self._now()
        if wait_s > 0:
            raise SpendLimitError(code, seconds=ceil(wait_s))

    def count(self) -> None:
        """Count one attempt."""
        self._times.append(self._now())


class AccessCode:
    """Who has shown that they know the code; forgotten when the program ends.

    Args:
        code: The owner's code; None opens to everybody.
        now: A clock in seconds that never jumps.
        wrong: Code of the sentence about a wrong one.
    """

    def __init__(
        self, code: Secret | None, now: Callable[[], float] = time.monotonic, *, wrong: str = "access_code_wrong"
    ) -> None:
        self._code = code
        self._sentence = wrong
        self._wrong = Attempts(WRONG_CODES_A_MINUTE, now)
        self._granted: OrderedDict[str, None] = OrderedDict()

    @property
    def is_set(self) -> bool:
        """Whether there is a code to be asked for."""
        return self._code is not None

    def knows(self, visitor_id: str) -> bool:
        """Whether this visitor may pass without being asked."""
        return self._code is None or visitor_id in self._granted

    def enter(self, visitor_id: str, offered: str) -> None:
        """Let a visitor in for as long as the program runs.

        Raises:
            SpendLimitError: The code is wrong, or too many wrong ones came in the last minute.
        """
        if self._code is None:
            return
        self._wrong.check("access_code_attempts")
        if not secrets.compare_digest(_digest(offered), _digest(self._code.reveal())):
            self._wrong.count()
            raise SpendLimitError(self._sentence)
        self._granted[visitor_id] = None
        if len(self._granted) > MOST_GRANTS:
            self._granted.popitem(last=False)


def _digest(text: str) -> bytes:
    # Of one length, so that the comparison says nothing about the code's.
    return sha256(text.strip().encode("utf-8", "surrogatepass")).digest()
