"""Access to a run, its payer, and its limits."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.settings import (
    Settings,
)
from tests.read_settings import CODE, KEY, read, short


@pytest.mark.parametrize(
    ("environ", "share", "is_public"),
    [
        ({}, False, False),
        ({"GRADIO_SERVER_NAME": "127.0.0.1"}, False, False),
        ({"GRADIO_SERVER_NAME": "127.0.0.2"}, False, False),
        ({"GRADIO_SERVER_NAME": "localhost"}, False, False),
        ({"GRADIO_SERVER_NAME": "::1"}, False, False),
        ({"GRADIO_SERVER_NAME": "[::1]"}, False, False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, False, True),
        ({"GRADIO_SERVER_NAME": "::"}, False, True),
        ({"GRADIO_SERVER_NAME": "192.168.1.5"}, False, True),
        ({"GRADIO_SERVER_NAME": "my-laptop.local"}, False, True),
        ({"GRADIO_SERVER_NAME": "localhost.evil.example"}, False, True),
        ({}, True, True),
        ({"GRADIO_SHARE": "true"}, False, True),
        ({"GRADIO_SHARE": "True"}, False, True),
        ({"GRADIO_SHARE": "1"}, False, True),
        ({"GRADIO_SHARE": "false"}, False, False),
        ({"SYSTEM": "spaces"}, False, True),
        ({"SPACE_ID": "someone/hunyuan"}, False, True),
        ({"SPACE_ID": "someone/hunyuan"}, True, True),
    ],
    ids=short,
)
def test_a_run_is_public_when_strangers_can_reach_it(environ: dict[str, str], share: bool, is_public: bool) -> None:
    settings = read(share, **environ)
    assert settings.is_public == is_public
    assert not (settings.share and settings.is_space)


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("daily_limit", ["", "10"])
@pytest.mark.parametrize("key", ["", KEY])
def test_strangers_use_the_owners_key_only_under_a_daily_limit(share: bool, daily_limit: str, key: str) -> None:
    settings = read(share, SEGMIND_API_KEY=key, HUNYUAN_UI_DAILY_LIMIT_USD=daily_limit)
    assert settings.is_preview == (not key)
    assert settings.may_spend_owner_key == bool(key and (daily_limit or not share))


@pytest.mark.parametrize(
    ("environ", "limit_usd"),
    [
        ({"SEGMIND_API_KEY": KEY}, 20.0),
        ({"SEGMIND_API_KEY": KEY, "HUNYUAN_UI_DAILY_LIMIT_USD": " "}, 20.0),
        ({"SEGMIND_API_KEY": KEY, "GRADIO_SERVER_NAME": "[::1]", "HUNYUAN_UI_TOTAL_LIMIT_USD": "50"}, 20.0),
        ({"SEGMIND_API_KEY": KEY, "HUNYUAN_UI_DAILY_LIMIT_USD": "0"}, 0.0),
        ({"SEGMIND_API_KEY": KEY, "HUNYUAN_UI_DAILY_LIMIT_USD": "1000000"}, 1_000_000.0),
        ({"SEGMIND_API_KEY": KEY, "GRADIO_SERVER_NAME": "0.0.0.0"}, None),
        ({"SEGMIND_API_KEY": KEY, "GRADIO_SHARE": "true"}, None),
        ({"SEGMIND_API_KEY": KEY, "SYSTEM": "spaces"}, None),
        ({}, None),
    ],
    ids=short,
)
def test_a_private_key_spends_at_most_twenty_dollars_a_day_unless_its_owner_says_so(
    environ: dict[str, str], limit_usd: float | None
) -> None:
    assert read(**environ).daily_limit_usd == limit_usd


@pytest.mark.parametrize(
    ("environ", "mounts", "storage", "needs_history"),
    [
        ({}, [("/", "ext4")], "kept", False),
        ({}, [("/", "overlay")], "wiped", False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, [("/", "overlay")], "wiped", True),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, [("/", "ext4")], "kept", False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, [("/", "overlay"), ("/data", "xfs")], "kept", False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, [], "kept", False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0", "SEGMIND_API_KEY": ""}, [("/", "overlay")], "wiped", False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0", "HUNYUAN_UI_DAILY_LIMIT_USD": ""}, [("/", "overlay")], "wiped", False),
        ({"SYSTEM": "spaces"}, [("/", "ext4")], "wiped", True),
        ({"SYSTEM": "spaces"}, [("/", "overlay"), ("/data", "fuse.hf-mount")], "lax", True),
        ({"SYSTEM": "spaces"}, [("/", "overlay"), ("/data", "ext4")], "kept", False),
    ],
    ids=short,
)
def test_the_history_is_needed_where_a_restart_may_wipe_what_strangers_spend(
    environ: dict[str, str], mounts: list[tuple[str, str]], storage: str, needs_history: bool
) -> None:
    owners = {"SEGMIND_API_KEY": KEY, "HUNYUAN_UI_DAILY_LIMIT_USD": "5", "HUNYUAN_UI_DATA_DIR": "/data/hunyuan"}
    places = [(PurePosixPath(place), kind) for place, kind in mounts]
    settings = Settings.from_environ({**owners, **environ}, mounts=places)
    assert (settings.storage, settings.needs_history) == (storage, needs_history)
    assert settings.may_spend_owner_key or not needs_history
    assert settings.offers_preview or not needs_history


def test_a_total_limit_alone_does_not_lend_the_key_to_strangers() -> None:
    assert not read(True, SEGMIND_API_KEY=KEY, HUNYUAN_UI_TOTAL_LIMIT_USD="10").may_spend_owner_key


@pytest.mark.parametrize(
    ("environ", "is_offered"),
    [
        ({}, True),
        ({"SEGMIND_API_KEY": KEY}, False),
        ({"SEGMIND_API_KEY": KEY, "HUNYUAN_UI_ACCESS_CODE": CODE}, False),
        ({"SYSTEM": "spaces"}, True),
        ({"SYSTEM": "spaces", "SEGMIND_API_KEY": KEY}, True),
        ({"SYSTEM": "spaces", "SEGMIND_API_KEY": KEY, "HUNYUAN_UI_DAILY_LIMIT_USD": "5"}, True),  # its disk is wiped
        ({"GRADIO_SHARE": "true", "SEGMIND_API_KEY": KEY, "HUNYUAN_UI_DAILY_LIMIT_USD": "5"}, False),
        (
            {
                "SYSTEM": "spaces",
                "SEGMIND_API_KEY": KEY,
                "HUNYUAN_UI_DAILY_LIMIT_USD": "5",
                "HUNYUAN_UI_ACCESS_CODE": CODE,
            },
            True,
        ),
    ],
    ids=short,
)
def test_a_preview_is_offered_wherever_somebody_comes_whom_the_owners_key_is_not_for(
    environ: dict[str, str], is_offered: bool
) -> None:
    assert read(**environ).offers_preview == is_offered


@pytest.mark.parametrize(
    ("environ", "has_login"),
    [
        ({"SYSTEM": "spaces", "OAUTH_CLIENT_SECRET": "s3cret"}, True),
        ({"SYSTEM": "spaces"}, False),
        ({"OAUTH_CLIENT_SECRET": "s3cret"}, False),
        ({"SPACE_ID": "someone/hunyuan", "OAUTH_CLIENT_SECRET": "s3cret"}, False),
    ],
    ids=short,
)
def test_a_login_counts_on_a_space_with_oauth_only(environ: dict[str, str], has_login: bool) -> None:
    assert (read(**environ).login_secret is not None) == has_login
    if has_login:
        assert read(HUNYUAN_UI_REQUIRE_LOGIN="yes", **environ).requires_login
    else:
        with pytest.raises(SettingsError) as caught:
            read(HUNYUAN_UI_REQUIRE_LOGIN="yes", **environ)
        assert caught.value.facts["name"] == "HUNYUAN_UI_REQUIRE_LOGIN"


@pytest.mark.parametrize(
    ("share", "environ", "by"),
    [
        (False, {}, None),
        (True, {}, "share"),
        (True, {"SYSTEM": "spaces"}, "space"),
        (True, {"GRADIO_SERVER_NAME": "0.0.0.0"}, "share"),
        (False, {"GRADIO_SERVER_NAME": "0.0.0.0"}, "address"),
    ],
    ids=short,
)
def test_what_lets_strangers_in_is_named(share: bool, environ: dict[str, str], by: str | None) -> None:
    assert read(share, **environ).public_by == by


def test_the_owner_of_an_engine_is_who_knows_its_key_and_not_that_of_the_hosted_service() -> None:
    engine = {"HUNYUAN_UI_ENGINE_URL": "http://gpu.local", "SEGMIND_API_KEY": KEY}
    assert read(True, **engine).owner_secret is None
    secret = read(True, **engine, HUNYUAN_UI_ENGINE_KEY="of-the-engine").owner_secret
    assert secret is not None
    assert secret.reveal() == "of-the-engine"
