"""How the runner spaces its questions."""

from __future__ import annotations

import pytest

from hunyuan_ui.runner.live import FIRST_POLL_S, POLL_JITTER, poll_wait_s


def test_a_job_that_was_just_sent_is_asked_about_soon_and_an_old_one_at_the_interval() -> None:
    assert poll_wait_s(5.0, 0.0) == pytest.approx(FIRST_POLL_S, rel=POLL_JITTER)
    assert poll_wait_s(5.0, 200.0) == pytest.approx(5.0, rel=POLL_JITTER)


def test_a_young_job_is_asked_about_fewer_than_two_dozen_times_until_the_interval_is_reached() -> None:
    age_s, asked = 0.0, 0
    while (wait_s := poll_wait_s(5.0, age_s)) < 5.0 * (1 - POLL_JITTER):
        age_s, asked = age_s + wait_s, asked + 1
    assert asked < 24


def test_questions_that_begin_together_are_spread_evenly_after_one_round() -> None:
    waits = [poll_wait_s(5.0, 200.0) for _ in range(5000)]
    seconds = [sum(low <= wait < low + 1 for wait in waits) for low in (2.5, 3.5, 4.5, 5.5, 6.5)]
    assert sum(seconds) == 5000
    assert min(seconds) > 800
