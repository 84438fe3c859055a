"""Estimates a request's seconds and dollars by a formula that finished jobs calibrate.

Source: docs/facts/model.md 1.3 (formula, calibrated so that the default request takes 211.32 s) and
docs/facts/segmind-api.md 4 ($0.006929 a second). The level is a guess until this account's own jobs calibrate it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from hunyuan_ui.endpoint.contract import RECORD_LIFE_S
from hunyuan_ui.request import SIZE_MULTIPLE, VideoRequest

FIXED_S: Final = 8.0  # text encoding, H.264, upload
S_PER_TOKEN_STEP: Final = 5.21e-5  # linear layers
TOKENS_AT_PARITY: Final = 18_432  # attention costs as much as the linear layers at 6 x 3072 tokens
S_PER_PIXEL_FRAME: Final = 4.60e-7  # video decoder
TEXT_TOKENS: Final = 256
USD_PER_S: Final = 0.006929

_SAFE_SHARE: Final = 0.75  # of the hour until the service forgets a request, which includes its own queue

_UNCALIBRATED_SPREAD: Final = (0.65, 1.5)  # docs/facts/model.md 1.4: the absolute level is +-35 % until calibrated
_CALIBRATED_SPREAD: Final = (0.85, 1.2)
_UNTIMED_SPREAD: Final = (0.2, 3.0)  # of an unmeasured machine: from a distilled model to an older card
_CALIBRATED_AFTER: Final = 3  # jobs
_SHORTEST_S: Final = 1e-9  # nothing is faster; a smaller value is an invalid record
_FACTOR_RANGE: Final = (0.05, 8.0)  # an extreme outlier must not make the estimate useless
_PLAUSIBLE_TIMES: Final = 10


class Outcome(NamedTuple):
    """Actual time and cost of one finished job."""

    predicted_s: float
    inference_s: float
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected seconds and US dollars, each with a low and a high bound; `high_usd` is a job's reservation."""

    seconds: float
    low_s: float
    high_s: float
    cost_usd: float
    low_usd: float
    high_usd: float
    is_calibrated: bool
    record_life_s: float = RECORD_LIFE_S

    @property
    def may_outlive_record(self) -> bool:
        """Whether a slow run may end after the service has forgotten the request, so that the video could be lost."""
        return self.high_s > _SAFE_SHARE * self.record_life_s


def predicted_seconds(request: VideoRequest) -> float:
    """Return the formula's seconds for a request, uncalibrated."""
    width, height = request.real_size
    patches = (width // SIZE_MULTIPLE) * (height // SIZE_MULTIPLE)
    latents = (request.video_length - 1) // 4
    tokens = (latents + 1) * patches + TEXT_TOKENS
    pixel_frames = SIZE_MULTIPLE**2 * patches * (4 * latents + 1)
    step_s = S_PER_TOKEN_STEP * tokens * (1 + tokens / TOKENS_AT_PARITY)
    return FIXED_S + request.infer_steps * step_s + S_PER_PIXEL_FRAME * pixel_frames


def estimate(request: VideoRequest, outcomes: Sequence[Outcome] = ()) -> Estimate:
    """Return a request's expected time and cost, calibrated by finished jobs if there are any.

    Args:
        request: The request to be made.
        outcomes: Recent finished jobs of the same service, in any order; about twenty suffice.
    """
    timed = [o for o in outcomes if o.predicted_s > _SHORTEST_S and o.inference_s > _SHORTEST_S]
    factor = _clipped(median(o.inference_s / o.predicted_s for o in timed)) if timed else 1.0
    # A price of zero means unknown: reserving nothing would let every limit pass. A lower price is calibrated by prices
    # only: seconds are no bill, and two clipped factors could end far below every actual bill.
    billed = [o.cost_usd / (USD_PER_S * o.predicted_s) for o in timed if o.cost_usd is not None and o.cost_usd > 0]
    price_factor = _clipped(median(billed)) if billed else max(1.0, factor)
    is_calibrated = len(timed) >= _CALIBRATED_AFTER
    low, high = _CALIBRATED_SPREAD if is_calibrated else _UNCALIBRATED_SPREAD
    predicted_s = predicted_seconds(request)
    seconds, listed = factor * predicted_s, listed_usd(predicted_s)
    cost = price_factor * listed
    # Small videos may have calibrated too low a price for a large one, so the maximum is at least the list price.
    return Estimate(seconds, low * seconds, high * seconds, cost, low * cost, max(high * cost, listed), is_calibrated)


def listed_usd(predicted_s: float) -> float:
    """Return the list price of a request in US dollars, uncalibrated (docs/facts/segmind-api.md 4)."""
    return USD_PER_S * predicted_s


def engine_estimate(request: VideoRequest, outcomes: Sequence[Outcome], usd_per_hour: float) -> Estimate:
    """Return a request's expected time on a self-hosted engine, and the price of that time.

    Args:
        request: The request to be made.
        outcomes: Recent finished jobs of the same engine.
        usd_per_hour: US dollars; 0 if the hours have no price.
    """
    known = estimate(request, outcomes)
    if known.is_calibrated:
        low_s, high_s = known.low_s, known.high_s
    else:
        low_s, high_s = (share * known.seconds for share in _UNTIMED_SPREAD)
    low, cost, high = (usd_per_hour / 3600 * seconds for seconds in (low_s, known.seconds, high_s))
    return Estimate(known.seconds, low_s, high_s, cost, low, high, known.is_calibrated, math.inf)


def is_plausible(cost_usd: float, expected_usd: float) -> bool:
    """Whether a cost is plausible: from a tenth to ten times the expected one (docs/architecture.md 3)."""
    return expected_usd / _PLAUSIBLE_TIMES <= cost_usd <= expected_usd * _PLAUSIBLE_TIMES


def believable_s(seconds: float | None, predicted_s: float, passed_s: float) -> float | None:
    """Return reported working seconds; None if they are over ten times the expected ones and have not even passed.

    Otherwise one response in another unit would teach a price by which every limit refuses every video.

    Args:
        passed_s: Since the job was sent.
    """
    return None if seconds is None or seconds > max(passed_s, _PLAUSIBLE_TIMES * predicted_s) else seconds


def _clipped(factor: float) -> float:
    low, high = _FACTOR_RANGE
    return min(max(factor, low), high)
