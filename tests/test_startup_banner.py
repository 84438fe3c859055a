from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hunyuan_ui.outbound_proxies import Proxies
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.startup import addresses, describe, read_settings
from hunyuan_ui.words import select_texts, words

KEY = "SG_0123456789abcdef"
CODE = "open sesame"
PRIVATE = Settings(data_dir=Path("data"), api_key=Secret(KEY))
LIMITED = replace(PRIVATE, share=True, daily_limit_usd=10.0)
NEEDS_A_DISK = "HUNYUAN_UI_TOTAL_LIMIT_USD needs a disk that stays"
PREVIEW = Settings(data_dir=Path("data"), is_space=True)


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
    assert words in describe(settings)[1]


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


def test_a_private_run_with_a_key_says_which_variable_sets_its_daily_limit() -> None:
    assert "HUNYUAN_UI_DAILY_LIMIT_USD sets what it may spend in a day" in describe(PRIVATE)[2]


def test_a_public_run_without_a_daily_limit_says_that_the_key_rests_and_why() -> None:
    assert "NOT used, because no HUNYUAN_UI_DAILY_LIMIT_USD is set" in describe(replace(PRIVATE, share=True))[2]


def test_it_says_whether_an_access_code_guards_the_key() -> None:
    assert "there is no access code" in describe(LIMITED)[2]
    assert "who know the access code" in describe(replace(LIMITED, access_code=Secret(CODE)))[2]


@pytest.mark.parametrize("settings", [PRIVATE, LIMITED, replace(LIMITED, access_code=Secret(CODE))])
def test_it_shows_no_secret(settings: Settings) -> None:
    said = "\n".join(describe(settings))
    assert KEY not in said
    assert CODE not in said


@pytest.mark.parametrize(("key", "is_said"), [(Secret(KEY), True), (None, False)])
def test_it_names_the_proxy_that_the_key_is_sent_through(key: Secret | None, is_said: bool) -> None:
    behind = replace(PRIVATE, api_key=key, proxies=Proxies.of({"https_proxy": "http://u:secret@proxy.example:3128"}))
    said = "\n".join(describe(behind))
    assert ("through the proxy http://proxy.example:3128" in said) == is_said
    assert "secret" not in said


@pytest.mark.parametrize("limit", [None, 0.0, 10.0])
def test_it_says_whether_visitors_may_use_the_engine(limit: float | None) -> None:
    shared = replace(LIMITED, api_key=None, engine_url="http://127.0.0.1:8000", daily_limit_usd=limit)
    said = "\n".join(describe(shared))
    assert ("Visitors may NOT use it, because no HUNYUAN_UI_DAILY_LIMIT_USD is set" in said) == (limit is None)
    assert ("Visitors may use it" in said) == (limit is not None)


@pytest.mark.parametrize(("address", "said"), [("127.0.0.1", "Own engine"), ("0.0.0.0", "Owner's engine")])
def test_the_page_speaks_of_the_engine_to_whoever_may_read_it(address: str, said: str, tmp_path: Path) -> None:
    environ = {"HUNYUAN_UI_ENGINE_URL": "http://127.0.0.1:8000", "GRADIO_SERVER_NAME": address}
    try:
        read_settings([], tmp_path, environ)
        assert words("en")["app.engine"] == said
    finally:
        select_texts()


def test_it_says_where_the_page_can_be_opened() -> None:
    assert addresses("http://127.0.0.1:7860/", None)[0] == "Open http://127.0.0.1:7860/"
    assert addresses("http://[::]:7860/", None)[0] == "Open http://[::1]:7860/"
    assert "Public link: https://a.example" in addresses("http://127.0.0.1:7860/", "https://a.example")


def test_an_owner_who_wanted_agents_learns_what_is_missing() -> None:
    said = "\n".join(addresses("http://127.0.0.1:7860/", None, mcp_error="no module named mcp."))
    assert 'no module named mcp. It needs: pip install "gradio[mcp]"' in said


def test_on_a_space_it_says_what_a_restart_leaves() -> None:
    assert "the Space's own disk, which is wiped when it restarts" in describe(replace(PREVIEW, storage="wiped"))[-1]
    assert "stays when the Space restarts" in describe(replace(PREVIEW, storage="kept"))[-1]
    assert "the last moments of the ledger may be lost" in describe(replace(PREVIEW, storage="lax"))[-1]


@pytest.mark.parametrize(
    ("has_database", "has_bucket", "said"),
    [
        (True, True, "nothing is lost with it"),
        (True, False, "videos vanish then, the record of what was spent does not"),
        (False, True, "the record of what was spent vanishes then, finished videos do not"),
        (False, False, "videos, and the record of what was spent"),
    ],
)
@pytest.mark.parametrize("is_space", [True, False])
def test_on_a_disk_that_is_wiped_it_says_what_is_kept_elsewhere(
    has_database: bool, has_bucket: bool, said: str, is_space: bool
) -> None:
    url = Secret("postgresql://u:p@h/x") if has_database else None
    bucket = "s3://bucket/x" if has_bucket else None
    here = replace(PREVIEW, is_space=is_space, storage="wiped", database_url=url, videos_url=bucket)
    lines = describe(here)
    assert lines[-1].endswith(f"{said}.")
    assert any("recorded in PostgreSQL" in line for line in lines) == has_database
    assert any("kept in s3://bucket/x" in line for line in lines) == has_bucket


def test_elsewhere_it_says_so_only_where_something_is_lost() -> None:
    assert describe(PRIVATE)[-1].startswith("Data folder:")
    assert "a container's own disk or in memory" in describe(replace(PRIVATE, storage="wiped"))[-1]
    lax = replace(PRIVATE, storage="lax")
    assert "the last moments of the ledger may be lost" in describe(lax)[-1]
    elsewhere = replace(lax, database_url=Secret("postgresql://u:p@h/x"))
    assert "the last moments of the ledger may be lost" not in "\n".join(describe(elsewhere))


@pytest.mark.parametrize(
    ("settings", "is_said"),
    [
        (replace(LIMITED, storage="wiped"), True),
        (replace(LIMITED, storage="lax"), True),
        (LIMITED, False),
        (replace(LIMITED, storage="wiped", daily_limit_usd=None), False),
        (replace(LIMITED, storage="wiped", api_key=None), False),
        (replace(PRIVATE, storage="wiped"), False),
    ],
)
def test_it_says_that_the_key_rests_until_the_history_was_read(settings: Settings, is_said: bool) -> None:
    said = "\n".join(describe(settings))
    assert ("your key rests until the service's history" in said) == is_said
    assert ("$10.00 today, less what the history names" in said) == is_said


@pytest.mark.parametrize(
    ("settings", "forgets"),
    [
        (replace(LIMITED, storage="wiped"), "all but those seven days"),
        (replace(PRIVATE, storage="wiped"), "everything"),
    ],
)
def test_a_total_limit_on_a_disk_that_is_wiped_is_not_promised(settings: Settings, forgets: str) -> None:
    limited = replace(settings, total_limit_usd=25.0)
    assert describe(limited)[-1] == f"{NEEDS_A_DISK}: here a restart forgets {forgets}."
    assert most(limited).endswith("$25.00 until it is started again.")
    assert NEEDS_A_DISK not in "\n".join(describe(settings))


@pytest.mark.parametrize(
    "settings", [LIMITED, replace(LIMITED, storage="lax"), replace(LIMITED, storage="wiped", api_key=None)]
)
def test_a_total_limit_that_holds_or_is_not_used_needs_no_word(settings: Settings) -> None:
    assert NEEDS_A_DISK not in "\n".join(describe(replace(settings, total_limit_usd=25.0)))


def test_it_fits_one_screen() -> None:
    everything = replace(LIMITED, is_space=True, storage="wiped", total_limit_usd=25.0, access_code=Secret(CODE))
    assert len([*describe(everything), *addresses("http://127.0.0.1:7860/", "https://a.example")]) <= 20
