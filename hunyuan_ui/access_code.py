"""The access code that grants use of the owner's key."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final

from hunyuan_ui.credential_attempts import AttemptLimiter
from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.job import Visitor
from hunyuan_ui.setting_values import entered
from hunyuan_ui.settings import Secret

MOST_GRANTS: Final = 10_000


class AccessCode:
    """The visitors who have entered the code, kept in memory.

    Args:
        code: The owner's code; None admits everybody.
        attempts: Its rate limit.
        wrong: Error code for a wrong one.
    """

    def __init__(self, code: Secret | None, attempts: AttemptLimiter, *, wrong: str = "access_code_wrong") -> None:
        self._code = code
        self._wrong = wrong
        self._attempts = attempts
        self._granted: OrderedDict[str, None] = OrderedDict()
        self.keep: Callable[[str], Awaitable[None]] | None = None  # called with each visitor who has entered it

    @property
    def gate(self) -> str:
        """Identifies this code among others, and changes with it; as secret as the code."""
        return "" if self._code is None else f"{self._wrong}/{self._code.reveal()}"

    def knows(self, visitor_id: str) -> bool:
        """Whether this visitor may pass without entering the code."""
        return self._code is None or visitor_id in self._granted

    def admit(self, visitor_id: str) -> None:
        """Admit a visitor for as long as the program runs."""
        self._granted[visitor_id] = None
        if len(self._granted) > MOST_GRANTS:
            self._granted.popitem(last=False)

    async def enter(self, visitor: Visitor, offered: str) -> None:
        """Admit a visitor.

        Raises:
            SpendLimitError: The code is wrong, or there were too many attempts.
            StorageError: The grant cannot be stored for other processes.
        """
        if self._code is None or self.knows(visitor.id):
            return
        await self._attempts.take(visitor, "access_code_attempts")
        is_right = secrets.compare_digest(_digest(offered), _digest(self._code.reveal()))
        if not (is_right and entered(offered)):
            raise SpendLimitError(self._wrong)
        await self._attempts.give_back(visitor)
        if self.keep is not None:
            await self.keep(visitor.id)
        self.admit(visitor.id)


def _digest(text: str) -> bytes:
    # Of equal length, so that the comparison does not reveal the code's length.
    return sha256(entered(text).encode("utf-8", "surrogatepass")).digest()
