from __future__ import annotations

import time

import pytest

from hunyuan_ui.endpoint.retry_after import retry_after_s

RESET = "x-rate-limit-reset-at-utc"
NOW = 1_795_651_200.0  # 2026-11-26 00:00:00 UTC
ISO = "2026-11-26T00:00:42"
DATE = "Thu, 26 Nov 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    "reset",
    [
        "2026-11-26T00:00:42Z",
        "2026-11-26T00:00:42",
        "2026-11-26 00:00:42",
        "2026-11-26 00:00:42 UTC",
        "2026-11-26T00:00:42.123456789Z",
        "2026-11-26T00:00:42+00:00",
        "2026-11-26T02:00:42+02:00",
        "2026-11-25T19:30:42-0430",
        "1795651242",
        "1795651242.0",
        "1795651242000",
        "42",
        "Thu, 26 Nov 2026 00:00:42 GMT",
        "Thu, 26 Nov 2026 00:00:42 -0000",
    ],
)
def test_the_moment_of_the_reset_is_understood_in_every_form(reset: str) -> None:
    assert retry_after_s({RESET: reset, "date": DATE}, now=0.0) == pytest.approx(42)


def test_the_reset_is_measured_by_the_services_clock_not_ours() -> None:
    headers = {RESET: "2026-11-26T00:00:42Z", "date": DATE}
    assert retry_after_s(headers, now=NOW + 3000) == 42
    assert retry_after_s({RESET: headers[RESET]}, now=NOW + 2) == 40


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system cannot change the zone of a process")
def test_a_date_without_a_zone_is_utc_wherever_this_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        waits = [retry_after_s({RESET: text, "date": DATE}) for text in ("Thu, 26 Nov 2026 00:00:42 -0000", ISO)]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert waits == [42, 42]


def test_the_reset_counts_before_retry_after() -> None:
    assert retry_after_s({RESET: ISO, "retry-after": "9", "date": DATE}) == 42


@pytest.mark.parametrize(("text", "seconds"), [("7", 7), ("7.5", 7.5), ("Thu, 26 Nov 2026 00:01:00 GMT", 60)])
def test_retry_after_is_used_where_there_is_no_reset(text: str, seconds: float) -> None:
    assert retry_after_s({"retry-after": text, "date": DATE}) == seconds


def test_an_unreadable_reset_leaves_the_word_to_retry_after() -> None:
    assert retry_after_s({RESET: "soon", "retry-after": "9", "date": DATE}) == 9


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [("2026-11-25T23:59:59Z", 1), ("2027-11-26T00:00:00Z", 3600), ("0", 1), ("999999999", 3600)],
)
def test_a_wait_is_at_least_a_second_and_at_most_an_hour(reset: str, seconds: float) -> None:
    assert retry_after_s({RESET: reset, "date": DATE}) == seconds


@pytest.mark.parametrize("reset", ["2026-11-25T23:00:00Z", "2026-11-25T23:59:57Z", "1795651100", "1995-01-01 00:00:00"])
def test_a_limit_that_has_long_ended_says_nothing_of_the_wait(reset: str) -> None:
    assert retry_after_s({RESET: reset, "retry-after": "9", "date": DATE}) == 9
    assert 15 <= retry_after_s({RESET: reset, "date": DATE}) <= 60


@pytest.mark.parametrize(
    "text", ["", "soon", "-5", "nan", "inf", "2026-13-45T99:99:99Z", "1e9", "９", "x" * 10_000, "9" * 400]
)
def test_nothing_usable_means_a_guess_with_jitter(text: str) -> None:
    waits = {retry_after_s({RESET: text, "retry-after": text, "date": text}) for _ in range(20)}
    assert all(15 <= wait <= 60 for wait in waits)
    assert len(waits) > 1
