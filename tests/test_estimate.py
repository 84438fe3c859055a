from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunyuan_ui.endpoint import contract
from hunyuan_ui.estimate import RECORD_LIFE_S, USD_PER_S, Estimate, Outcome, estimate, predicted_seconds
from hunyuan_ui.request import VideoRequest

# width, height, frames, steps, seconds, US dollars: the table in docs/facts/model.md 1.3
TABLE = [
    (854, 480, 77, 40, 211, 1.46),
    (854, 480, 77, 20, 117, 0.81),
    (854, 480, 77, 30, 164, 1.14),
    (854, 480, 77, 50, 258, 1.79),
    (854, 480, 77, 70, 353, 2.44),
    (854, 480, 25, 40, 52, 0.36),
    (854, 480, 49, 40, 113, 0.78),
    (854, 480, 129, 40, 471, 3.26),
    (512, 320, 61, 30, 38, 0.27),
    (640, 368, 77, 40, 95, 0.66),
    (640, 480, 77, 40, 136, 0.94),
    (720, 720, 77, 40, 299, 2.07),
    (960, 544, 77, 40, 303, 2.10),
    (960, 544, 129, 50, 860, 5.96),
    (1280, 720, 49, 40, 377, 2.61),
    (1280, 720, 77, 40, 782, 5.42),
    (1280, 720, 129, 30, 1451, 10.05),
    (1280, 720, 129, 50, 2376, 16.5),
    (1280, 1280, 129, 70, 9724, 67),
    (854, 480, 1, 40, 12, 0.09),
]


def asked(**values: Any) -> VideoRequest:
    return VideoRequest(prompt="a fox", **values)


DEFAULT = asked()
PREDICTED_S = predicted_seconds(DEFAULT)


def took(factor: float, cost_usd: float | None = None) -> Outcome:
    return Outcome(PREDICTED_S, factor * PREDICTED_S, cost_usd)


def range_of(outcomes: list[Outcome]) -> tuple[float, float]:
    made = estimate(DEFAULT, outcomes)
    return made.low_s / made.seconds, made.high_s / made.seconds


@pytest.mark.parametrize(("width", "height", "frames", "steps", "seconds", "dollars"), TABLE)
def test_the_formula_gives_the_table(
    width: int, height: int, frames: int, steps: int, seconds: float, dollars: float
) -> None:
    made = estimate(asked(width=width, height=height, video_length=frames, infer_steps=steps))
    assert made.seconds == pytest.approx(seconds, abs=0.51, rel=2e-4)
    assert made.cost_usd == pytest.approx(dollars, abs=0.006, rel=6e-3)


def test_the_default_takes_what_the_price_list_says() -> None:
    assert estimate(DEFAULT).seconds == pytest.approx(211.32, abs=0.1)


def test_a_lying_and_a_standing_video_take_the_same() -> None:
    assert predicted_seconds(asked(width=480, height=854)) == PREDICTED_S


def test_a_size_costs_what_is_really_made() -> None:
    assert predicted_seconds(asked(width=864)) == PREDICTED_S


def test_a_single_outlier_changes_nothing_that_the_others_say() -> None:
    assert estimate(DEFAULT, [took(0.5), took(0.5), took(7.0)]).seconds == pytest.approx(0.5 * PREDICTED_S)


def test_seconds_and_dollars_are_learnt_apart() -> None:
    made = estimate(DEFAULT, [Outcome(100, 50, 1.0), Outcome(100, 50, 1.0), Outcome(100, 50, None)])
    assert made.seconds == pytest.approx(0.5 * PREDICTED_S)
    assert made.cost_usd == pytest.approx(made.seconds * 1.0 / 50)


def test_a_service_that_is_fast_and_dear_is_believed_its_bills() -> None:
    made = estimate(DEFAULT, [Outcome(PREDICTED_S, 0.3, 1.46)] * 5)
    assert made.cost_usd == pytest.approx(1.46)


@pytest.mark.parametrize("cost_usd", [None, 0.0])
def test_seconds_alone_teach_no_lower_price(cost_usd: float | None) -> None:
    made = estimate(DEFAULT, [Outcome(PREDICTED_S, 0.3, cost_usd)] * 5)
    assert made.cost_usd == pytest.approx(PREDICTED_S * USD_PER_S)
    assert made.seconds == pytest.approx(0.05 * PREDICTED_S)
    slow = estimate(DEFAULT, [Outcome(PREDICTED_S, 2 * PREDICTED_S, cost_usd)] * 5)
    assert slow.cost_usd == pytest.approx(2 * PREDICTED_S * USD_PER_S)


def test_the_range_narrows_after_three_jobs() -> None:
    assert range_of([]) == pytest.approx((0.65, 1.5))
    assert range_of([took(1.0)] * 2) == pytest.approx((0.65, 1.5))
    assert range_of([took(1.0)] * 3) == pytest.approx((0.85, 1.2))
    assert not estimate(DEFAULT, [took(1.0)] * 2).is_calibrated
    assert estimate(DEFAULT, [took(1.0)] * 3).is_calibrated


def test_a_price_of_zero_never_makes_a_job_free() -> None:
    made = estimate(DEFAULT, [took(1.0, 0.0)] * 20)
    assert made.cost_usd == pytest.approx(PREDICTED_S * USD_PER_S)


@pytest.mark.parametrize(("cost_usd", "bound"), [(1e-9, 0.05), (1e6, 8)])
def test_an_absurd_price_cannot_drag_the_estimate_away(cost_usd: float, bound: float) -> None:
    made = estimate(DEFAULT, [took(1.0, cost_usd)] * 5)
    assert made.cost_usd == pytest.approx(bound * PREDICTED_S * USD_PER_S)


@pytest.mark.parametrize(("factor", "bound"), [(1e-6, 0.05), (1e6, 8)])
def test_absurd_times_cannot_drag_the_estimate_away(factor: float, bound: float) -> None:
    assert estimate(DEFAULT, [took(factor)] * 5).seconds == pytest.approx(bound * PREDICTED_S)


@pytest.mark.parametrize(
    "outcome", [Outcome(0, 100, 1.0), Outcome(-5, 100, 1.0), Outcome(100, 0, 1.0), Outcome(100, math.nan, 1.0)]
)
def test_a_job_that_says_nothing_usable_is_left_out(outcome: Outcome) -> None:
    assert estimate(DEFAULT, [outcome] * 3) == estimate(DEFAULT)


_SIDES = st.integers(1, 1280)
_FRAMES = st.integers(0, 32).map(lambda n: 4 * n + 1)
_STEPS = st.integers(1, 70)
_OUTCOMES = st.lists(
    st.builds(Outcome, st.floats(0, 1e5), st.floats(0, 1e5), st.one_of(st.none(), st.floats(0, 1e5))), max_size=25
)


@given(_SIDES, _SIDES, _FRAMES, _STEPS, _SIDES, _FRAMES, _STEPS)
def test_more_never_costs_less(
    width: int, height: int, frames: int, steps: int, wider: int, longer: int, finer: int
) -> None:
    small = asked(
        width=min(width, wider), height=height, video_length=min(frames, longer), infer_steps=min(steps, finer)
    )
    large = asked(
        width=max(width, wider), height=height, video_length=max(frames, longer), infer_steps=max(steps, finer)
    )
    assert estimate(small).cost_usd <= estimate(large).cost_usd
    assert estimate(small).seconds <= estimate(large).seconds


@given(_OUTCOMES)
def test_every_estimate_is_a_positive_range(outcomes: list[Outcome]) -> None:
    made: Estimate = estimate(DEFAULT, outcomes)
    assert 0 < made.low_s < made.seconds < made.high_s < math.inf
    assert 0 < made.low_usd < made.cost_usd < made.high_usd < math.inf


def test_a_slow_run_is_weighed_against_the_life_of_the_services_record() -> None:
    assert RECORD_LIFE_S == contract.RECORD_LIFE_S
    assert not estimate(asked(width=1280, height=720, video_length=129, infer_steps=30)).may_outlive_record  # 36 min
    assert estimate(asked(width=1280, height=720, video_length=129, infer_steps=50)).may_outlive_record  # 59 min
