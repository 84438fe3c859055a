"""Calls that wait: how many of each may, so that there is always a slot of the queue for the next one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from hunyuan_ui.job import Visitor

WAITING_CALLS: Final = 32  # each holds a slot while its video is made; the others are for refusals
WAITING_FOR_ONE_JOB: Final = 2
WAITING_OF_ONE_VISITOR: Final = 4  # public only
ASKING: Final = 16  # of these, who only asks how a job or a list stands
ASKING_OF_ONE_ADDRESS: Final = 8  # public only
WAITING_OF_ONE_ADDRESS: Final = 16  # public only: of those who come one by one, each with a job of their own


@dataclass(frozen=True, slots=True)
class Call:
    """Which job a call is about, who calls, and what they send to come back to it."""

    job_id: str
    visitor: Visitor
    handle: str


class Places:
    """Calls that wait for their video: so few of each that there is always a slot to answer the next one.

    Args:
        is_public: Whether there are strangers to be fair to.
    """

    def __init__(self, *, is_public: bool) -> None:
        self._is_public = is_public
        self._taken: Counter[str] = Counter()

    def has_room(self, call: Call) -> bool:
        """Whether one more call of this kind may wait."""
        return all(self._taken[name] < most for name, most in self._limits(call).items())

    @contextmanager
    def taken(self, call: Call) -> Generator[None]:
        """Hold a place."""
        with self._held(list(self._limits(call))):
            yield

    @contextmanager
    def _held(self, names: list[str]) -> Generator[None]:
        self._taken.update(names)
        try:
            yield
        finally:
            self._taken.subtract(names)
            self._taken = +self._taken  # keeps only what is still held

    @contextmanager
    def free(self, visitor: Visitor, wait_s: float) -> Generator[float]:
        """Hold a place for who asks how something stands; without a free one they are answered at once.

        Args:
            visitor: Who asks.
            wait_s: How long they would wait for news.

        Yields:
            How long they may.
        """
        limits = {"": WAITING_CALLS, "asking": ASKING}
        if self._is_public:
            limits[f"asking {visitor.address}"] = ASKING_OF_ONE_ADDRESS
        if wait_s <= 0 or any(self._taken[name] >= most for name, most in limits.items()):
            yield 0.0
            return
        with self._held(list(limits)):
            yield wait_s

    def _limits(self, call: Call) -> dict[str, int]:
        limits = {"": WAITING_CALLS, f"job {call.job_id}": WAITING_FOR_ONE_JOB}
        if self._is_public:
            limits[f"visitor {call.visitor.id}"] = WAITING_OF_ONE_VISITOR
            limits[f"address {call.visitor.address}"] = WAITING_OF_ONE_ADDRESS
        return limits
