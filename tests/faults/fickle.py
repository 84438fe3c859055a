"""The paid service with random behaviour: its first responses about a job are decided when the job is accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

from hunyuan_ui.endpoint import contract
from tests.faults.service import COST_USD, PaidService
from tests.raw_service import Received, Reply, answer

DAY_S = 86_400.0


def states(*words: str, cost: float | None = None) -> list[Reply]:
    """Respond with these statuses in order, each with the cost if one is given."""
    metrics = {} if cost is None else {"cost": cost}
    return [answer(200, {"status": word, "metrics": metrics}) for word in words]


@dataclass
class JobScript:
    """A job's faults before all works, or its ending.

    Args:
        statuses: The first responses for its status.
        results: The first responses for its result.
        files: The first responses from its file's address.
        refusal: HTTP status of an error response to its POST, although it was accepted and the error names its cost.
        named: The cost in US dollars that this error names.
        has_id: Whether the error names the request as well.
        end: Fails permanently, free or charged; None if the video is made.
    """

    statuses: list[Reply] = field(default_factory=list[Reply])
    results: list[Reply] = field(default_factory=list[Reply])
    files: list[Reply] = field(default_factory=list[Reply])
    refusal: int | None = None
    named: float = COST_USD
    has_id: bool = True
    end: Literal["free", "charged"] | None = None


class FickleService(PaidService):
    """Keeps a history of everything that it may have charged for, with times.

    Attributes:
        job_scripts: Of the next accepted jobs.
        clock: Returns the time at which it accepts a job, UTC seconds.
        sent_at: When each prompt was accepted.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.job_scripts: list[JobScript] = []
        self.clock: Callable[[], float] = lambda: 0.0
        self.sent_at: dict[str, float] = {}
        self._script_of: dict[str, JobScript] = {}

    def get_well(self) -> None:
        """Respond as a working service from now on; permanent failures remain."""
        with self._lock:
            self._scripts.clear()
            self._drops.clear()
            self.job_scripts.clear()
            self._script_of = {request_id: JobScript(end=script.end) for request_id, script in self._script_of.items()}

    def billed_on(self, day: float) -> int:
        """Return how many jobs of a UTC day it charged for."""
        return sum(at // DAY_S == day and prompt not in self.forgiven for prompt, at in self.sent_at.copy().items())

    def ends_charged(self, prompt: str) -> bool:
        """Whether a job failed permanently and was charged all the same."""
        return any(self._prompts[one] == prompt and script.end == "charged" for one, script in self._script_of.items())

    def behave(self, received: Received) -> Reply:
        """Return the next response of the job's script, or that of a working service."""
        path = received.path.partition("?")[0]
        request_id = path.removesuffix("/status").rpartition("/")[2].removesuffix(".mp4")
        script = self._script_of.get(request_id)
        if received.method == "POST" or script is None:
            return super().behave(received)
        if path.startswith("/files/"):
            return script.files.pop(0) if script.files else super().behave(received)
        if "/request-history/" in path:
            return answer(200, self._row(request_id)) if script.end else super().behave(received)
        first = script.statuses if path.endswith("/status") else script.results
        if first:
            return first.pop(0)
        if script.end:
            metrics = {"cost": COST_USD} if script.end == "charged" else {}
            return answer(200, {"status": "FAILED", "error": "out of memory", "metrics": metrics})
        return super().behave(received)

    def _choose(self, received: Received) -> Reply:
        reply = super()._choose(received)
        # A request with another response may have been accepted too; then the history has it.
        if received.method == "POST" and reply.bills and json.loads(received.body)["prompt"] not in self.sent_at:
            self._take(received.path, received)
        return reply

    def _take(self, path: str, received: Received) -> Reply:
        reply = super()._take(path, received)
        request_id = next(reversed(self._prompts))
        prompt, now = self._prompts[request_id], self.clock()
        script = self._script_of[request_id] = deepcopy(self.job_scripts.pop(0)) if self.job_scripts else JobScript()
        self.sent_at[prompt] = now
        row: dict[str, Any] = {"created_at": round(now * 1000)}
        if script.end:
            cost = COST_USD if script.end == "charged" else 0
            row |= {"model_status": "FAILED", "credits_deduction": cost, "generation_url": None}
            if path == contract.GENERATE_V1:
                script.refusal = script.refusal or 500
        if script.end == "free":
            self.forgiven.add(prompt)
        self.past[request_id] |= row
        if script.refusal is None:
            return reply
        headers = {} if script.end == "free" else {contract.COST_HEADER: str(script.named)}
        if script.has_id:
            headers[contract.REQUEST_ID_HEADER] = request_id
        return answer(script.refusal, {"error": "no"}, headers=headers, bills=True)
