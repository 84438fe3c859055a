from __future__ import annotations

from collections import Counter

import pytest

from hunyuan_ui.jobs.wait_times import FIRST_POLL_S, POLL_JITTER, STEADY_JITTER, poll_wait_s


def test_a_job_that_was_just_sent_is_asked_about_soon_and_an_old_one_at_the_interval() -> None:
    assert poll_wait_s(5.0, 0.0, is_first=True) == pytest.approx(FIRST_POLL_S, rel=POLL_JITTER)
    assert poll_wait_s(5.0, 200.0) == pytest.approx(5.0, rel=STEADY_JITTER)


def test_a_young_job_is_asked_about_fewer_than_two_dozen_times_until_the_interval_is_reached() -> None:
    age_s, asked = 0.0, 0
    while (wait_s := poll_wait_s(5.0, age_s, is_first=not asked)) < 5.0 * (1 - STEADY_JITTER):
        age_s, asked = age_s + wait_s, asked + 1
    assert asked < 24


@pytest.mark.parametrize(("first_age_s", "slack"), [(0.0, 0.5), (200.0, 0.25)], ids=["begun", "taken up"])
def test_questions_about_jobs_that_begin_together_are_spread_evenly(first_age_s: float, slack: float) -> None:
    jobs, interval_s = 4000, 5.0
    asked: Counter[int] = Counter()
    for _ in range(jobs):
        at, is_first = 0.0, True
        while at < 60:
            at += poll_wait_s(interval_s, first_age_s + at, is_first=is_first)
            is_first = False
            asked[int(at)] += 1
    fair = jobs / interval_s
    settled = range(40 if first_age_s == 0 else 0, 60)  # a new job's polls slow down first
    assert max(asked[second] for second in settled) < (1 + slack) * fair
    assert min(asked[second] for second in settled) > (1 - slack) * fair
