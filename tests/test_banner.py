from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hunyuan_ui.banner import describe
from hunyuan_ui.settings import Secret, Settings

KEY = "SG_0123456789abcdef"
CODE = "open sesame"
PRIVATE = Settings(data_dir=Path("data"), api_key=Secret(KEY))
LIMITED = replace(PRIVATE, share=True, daily_limit_usd=10.0)


def most(settings: Settings, today: float = 0.0, total: float = 0.0) -> str:
    said = describe(settings, spent_today_usd=today, spent_total_usd=total)
    (line,) = [line for line in said if line.startswith("Most that this start may spend")]
    return line.partition(": ")[2]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (PRIVATE, "private: it answers on this machine only"),
        (replace(PRIVATE, share=True), "public: a share link"),
        (replace(PRIVATE, is_space=True), "public: it runs on a Hugging Face Space"),
        (replace(PRIVATE, server_name="0.0.0.0"), "public: it listens on 0.0.0.0"),
    ],
)
def test_it_says_who_can_come_and_why(settings: Settings, words: str) -> None:
    assert words in describe(settings)[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (replace(PRIVATE, api_key=None), "nothing."),
        (replace(PRIVATE, share=True), "nothing."),
        (replace(PRIVATE, share=True, total_limit_usd=5.0), "nothing."),
        (PRIVATE, "no limit is set (HUNYUAN_UI_DAILY_LIMIT_USD, HUNYUAN_UI_TOTAL_LIMIT_USD)."),
        (LIMITED, "$10.00 today, then $10.00 a day (UTC)."),
        (replace(LIMITED, total_limit_usd=25.0), "$10.00 today, $25.00 in all."),
        (replace(LIMITED, total_limit_usd=4.0), "$4.00 today, $4.00 in all."),
        (replace(PRIVATE, total_limit_usd=50.0), "$50.00 in all."),
    ],
)
def test_it_says_what_this_start_may_spend_at_most(settings: Settings, words: str) -> None:
    assert most(settings) == words


def test_what_is_spent_already_is_taken_off() -> None:
    assert most(LIMITED, today=2.93) == "$7.07 today, then $10.00 a day (UTC)."
    assert most(LIMITED, today=12.0).startswith("$0.00 today")
    assert most(replace(LIMITED, total_limit_usd=20.0), today=1.0, total=15.0) == "$5.00 today, $5.00 in all."
    assert most(replace(PRIVATE, total_limit_usd=20.0), total=30.0) == "$0.00 in all."


def test_a_public_run_without_a_daily_limit_says_that_the_key_rests_and_why() -> None:
    assert "NOT used, because no HUNYUAN_UI_DAILY_LIMIT_USD is set" in describe(replace(PRIVATE, share=True))[1]


def test_it_says_whether_an_access_code_guards_the_key() -> None:
    assert "there is no access code" in describe(LIMITED)[1]
    assert "who know the access code" in describe(replace(LIMITED, access_code=Secret(CODE)))[1]


@pytest.mark.parametrize("settings", [PRIVATE, LIMITED, replace(LIMITED, access_code=Secret(CODE))])
def test_it_shows_no_secret(settings: Settings) -> None:
    said = "\n".join(describe(settings))
    assert KEY not in said
    assert CODE not in said
