"""Dates of a self-hosted engine's jobs, in every form that an engine may give them."""

from __future__ import annotations

import pytest

from hunyuan_ui.endpoint import engines
from hunyuan_ui.request import VideoRequest

AT = 1_796_040_000.0  # 2026-11-30 12:00:00 UTC
REQUEST = VideoRequest(prompt="a heron")


@pytest.mark.parametrize(
    ("began", "ended"),
    [
        (AT, AT + 211),
        (int(AT * 1000), int(AT * 1000) + 211_000),
        (str(int(AT)), str(int(AT) + 211)),
        ("2026-11-30T12:00:00Z", "2026-11-30T12:03:31.25Z"),
        ("2026-11-30T12:00:00.123456+00:00", "2026-11-30T14:03:31+02:00"),
        ("2026-11-30 12:00:00", "2026-11-30 12:03:31"),
        ("Mon, 30 Nov 2026 12:00:00 GMT", "Mon, 30 Nov 2026 12:03:31 GMT"),
    ],
)
def test_what_a_run_took_is_read_from_dates_of_any_form(began: object, ended: object) -> None:
    assert engines.metrics_in({"created_at": began, "completed_at": ended}).inference_time == pytest.approx(211)


@pytest.mark.parametrize(
    ("created", "is_its"),
    [
        (int(AT), True),
        (int(AT) - 3600, False),
        (int(AT - 3600) * 1000, False),
        (str(int(AT) - 3600), False),
        ("2026-11-30T11:00:00Z", False),
        ("2026-11-30T12:00:00Z", True),
        ("2026-11-30T20:00:00+08:00", True),
        ("2026-11-30T12:00:00.5+08:00", False),
        ("2026-11-30T04:00:00", True),  # by a clock whose zone nobody knows
        ("2026-11-30", True),
        ("yesterday", True),
        (None, True),
    ],
)
def test_an_older_job_of_the_list_is_not_taken_for_one_just_sent(created: object, is_its: bool) -> None:
    item = {"id": "video_1", "prompt": REQUEST.prompt, "created_at": created}
    assert engines.is_of(item, REQUEST, AT) is is_its


@pytest.mark.parametrize("value", [True, -1, 1e15, float("nan"), float("inf"), 10**400, "", "soon", [AT], {"at": AT}])
def test_what_is_no_date_tells_no_time(value: object) -> None:
    assert engines.metrics_in({"created_at": value, "completed_at": AT}).inference_time is None
