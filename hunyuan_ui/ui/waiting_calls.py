"""WaitingCalls: limits on API calls that wait, so that Gradio's queue always has a slot for the next call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.job import Visitor

WAITING_CALLS: Final = 32  # each holds a slot until its video is finished; the other slots are for refusals
WAITING_FOR_ONE_JOB: Final = 2
WAITING_OF_ONE_VISITOR: Final = 4  # public only
WAITING_OF_ONE_ADDRESS: Final = 16  # public only: of callers who each have their own visitor token and job
ASKING: Final = 16  # of the waiting calls: status queries of a job or a list
ASKING_OF_ONE_ADDRESS: Final = 8  # public only
LONGEST_STATUS_WAIT_S: Final = 25.0  # of a status query: agents abandon a tool call after about 30 s


def status_wait_s(given: object) -> float:
    """Return the seconds that a status query waits for news, limited to 0 to `LONGEST_STATUS_WAIT_S`.

    Raises:
        InvalidRequestError: It is not a number.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        value, high = repr(given)[:60], int(LONGEST_STATUS_WAIT_S)
        raise InvalidRequestError("not_a_number", field="wait_s", value=value, low=0, high=high)
    return float(min(given, LONGEST_STATUS_WAIT_S)) if given > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """The job and the visitor of a call, and the handle with which the caller can return to the job."""

    job_id: str
    visitor: Visitor
    handle: str


class WaitingCalls:
    """Limits on calls that wait for their video or for news of it.

    Args:
        is_public: Whether fairness limits between strangers apply.
    """

    def __init__(self, *, is_public: bool) -> None:
        self._is_public = is_public
        self._taken: Counter[str] = Counter()

    def has_room(self, call: Call) -> bool:
        """Whether another call of this kind may wait."""
        return self._is_free(self._limits(call))

    @contextmanager
    def taken(self, call: Call) -> Generator[None]:
        """Hold a slot for a call that waits for its video."""
        with self._held(list(self._limits(call))):
            yield

    @contextmanager
    def asking(self, visitor: Visitor, wait_s: float) -> Generator[float]:
        """Hold a slot for a status query; without a free slot it is answered immediately.

        Args:
            visitor: The caller.
            wait_s: Seconds that the query would wait for news.

        Yields:
            The seconds that it may wait.
        """
        limits = {"": WAITING_CALLS, "asking": ASKING}
        if self._is_public:
            limits[f"asking {visitor.address}"] = ASKING_OF_ONE_ADDRESS
        if wait_s <= 0 or not self._is_free(limits):
            yield 0.0
            return
        with self._held(list(limits)):
            yield wait_s

    @contextmanager
    def _held(self, names: list[str]) -> Generator[None]:
        self._taken.update(names)
        try:
            yield
        finally:
            self._taken.subtract(names)
            self._taken = +self._taken  # drops names with no slots

    def _is_free(self, limits: dict[str, int]) -> bool:
        return all(self._taken[name] < most for name, most in limits.items())

    def _limits(self, call: Call) -> dict[str, int]:
        limits = {"": WAITING_CALLS, f"job {call.job_id}": WAITING_FOR_ONE_JOB}
        if self._is_public:
            limits[f"visitor {call.visitor.id}"] = WAITING_OF_ONE_VISITOR
            limits[f"address {call.visitor.address}"] = WAITING_OF_ONE_ADDRESS
        return limits
