from __future__ import annotations

import copy
import dataclasses
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import is_key
from hunyuan_ui.errors import SettingsError
from hunyuan_ui.settings import (
    DEFAULT_BASE_URL,
    DEFAULT_HISTORY_URL,
    SETTINGS,
    Secret,
    Setting,
    Settings,
)
from hunyuan_ui.words import words
from tests.read_settings import CODE, DATABASE, KEY, read, short

GOOD: list[tuple[str, str, str, object]] = [
    ("HUNYUAN_UI_ENGINE_URL", "http://gpu.local:30000/v1/", "engine_url", "http://gpu.local:30000"),
    ("HUNYUAN_UI_ENGINE_URL", "https://10.0.0.7", "engine_url", "https://10.0.0.7"),
    ("HUNYUAN_UI_ENGINE_MODEL", "a/Model 1", "engine_model", "a/Model 1"),
    ("HUNYUAN_UI_ENGINE_USD_PER_HOUR", "2.50", "engine_usd_per_hour", 2.5),
    ("SEGMIND_BASE_URL", "https://api.example.com/", "base_url", "https://api.example.com"),
    ("SEGMIND_BASE_URL", "https://example.com/proxy", "base_url", "https://example.com/proxy"),
    ("SEGMIND_BASE_URL", "http://127.0.0.1:8010", "base_url", "http://127.0.0.1:8010"),
    ("SEGMIND_BASE_URL", "http://localhost:8010/", "base_url", "http://localhost:8010"),
    ("SEGMIND_BASE_URL", "http://[::1]:8010", "base_url", "http://[::1]:8010"),
    ("SEGMIND_HISTORY_URL", "https://history.example.com/", "history_url", "https://history.example.com"),
    ("HUNYUAN_UI_API", "v1", "dialect", "v1"),
    ("HUNYUAN_UI_API", " v2 ", "dialect", "v2"),
    ("HUNYUAN_UI_VIDEOS_URL", "s3://bucket/", "videos_url", "s3://bucket"),
    ("HUNYUAN_UI_VIDEOS_URL", "az://con-tainer/of/all.kinds=1/", "videos_url", "az://con-tainer/of/all.kinds=1"),
    ("HUNYUAN_UI_VIDEOS_URL", "gs://b.u_c-ket", "videos_url", "gs://b.u_c-ket"),
    ("HUNYUAN_UI_CONCURRENCY", "1", "concurrency", 1),
    ("HUNYUAN_UI_CONCURRENCY", "10000", "concurrency", 10_000),
    ("HUNYUAN_UI_POLL_SECONDS", "0.05", "poll_interval_s", 0.05),
    ("HUNYUAN_UI_POLL_SECONDS", "300", "poll_interval_s", 300.0),
    ("HUNYUAN_UI_VIDEO_LIMIT_USD", "0", "video_limit_usd", 0.0),
    ("HUNYUAN_UI_VIDEO_LIMIT_USD", "2.50", "video_limit_usd", 2.5),
    ("HUNYUAN_UI_DAILY_LIMIT_USD", "10", "daily_limit_usd", 10.0),
    ("HUNYUAN_UI_DAILY_LIMIT_USD", "0", "daily_limit_usd", 0.0),
    ("HUNYUAN_UI_TOTAL_LIMIT_USD", "1000000", "total_limit_usd", 1_000_000.0),
    ("HUNYUAN_UI_VISITOR_DAILY_VIDEOS", "0", "visitor_daily_videos", 0),
    ("HUNYUAN_UI_VISITOR_DAILY_VIDEOS", "007", "visitor_daily_videos", 7),
    ("HUNYUAN_UI_REQUIRE_LOGIN", "No", "requires_login", False),
    ("HUNYUAN_UI_ENV_FILE", "/srv/../page.env", "env_file", Path("/page.env")),
    ("GRADIO_SERVER_NAME", "0.0.0.0", "server_name", "0.0.0.0"),
    ("GRADIO_SERVER_PORT", "1", "server_port", 1),
    ("GRADIO_SERVER_PORT", "65535", "server_port", 65_535),
    ("GRADIO_MCP_SERVER", "True", "has_mcp", True),
]

BAD_URLS = [
    "api.segmind.com",
    "http://api.segmind.com",
    "http://127.0.0.1.evil.example",
    "http://10.0.0.5",
    "ftp://api.segmind.com",
    "file:///etc/passwd",
    "https://",
    "https://user@example.com",
    "https://:hunter2@example.com",
    "https://example.com?x=1",
    "https://example.com/?",
    "https://example.com/#top",
    "https://exam\nple.com",
    "https://exam ple.com",
    "https://example.com\\@evil.example",
    "https://example.com:99999",
    "https://example.com:0",
    "https://example.com:http",
    "https://[::1",
    "https://exämple.com",
]
BAD_BUCKETS = [
    "bucket",
    "https://bucket.s3.amazonaws.com",
    "s3://",
    "s3://b",
    "s3://Bucket/x",
    "s3://hunter2:hunter2@bucket/x",
    "s3://bucket/x?key=hunter2",
    "s3://bucket/#x",
    "s3://bucket//x",
    "s3://bucket/x//y",
    "s3://bucket/x//",
    "s3://bucket/../x",
    "s3://bucket/x/.",
    "s3://bucket/%2e%2e/x",
    "s3://bucket/ä",
    "s3://bucket/a b",
    "s3://bucket\nx",
    "s3:bucket",
    "file:///srv/videos",
    "memory:///",
]
BAD_NUMBERS = ["x", "-1", "nan", "inf", "-inf", "1,5", "$5", "1e9", "1000001", "1_0", "１０", "1e1", "+5", "0x10"]
BAD_NUMBERS += ["5.", ".5", "5 0", "٣", "1.0.0", "1__0", "1_000", "NaN", "1E1", "5.0_0", "Infinity", "0b1", "5,0", "五"]
BAD_NUMBERS += ["9" * 5000]
BAD_WHOLE = ["x", "-1", "1.5", "1e3", "+5", "1_000", "٣", "１０", "0x10", "5.", "5 0", "0000000000099999", "9" * 5000]

BAD: list[tuple[str, str]] = [
    ("HUNYUAN_UI_DATABASE_URL", "mysql://owner:hunter2@localhost/hunyuan"),
    ("HUNYUAN_UI_DATABASE_URL", "postgresql://[owner:hunter2@localhost/hunyuan"),
    ("HUNYUAN_UI_DATABASE_URL", "host=localhost password=hunter2"),
    ("HUNYUAN_UI_DATABASE_URL", "postgresql:hunter2"),
    *(("HUNYUAN_UI_VIDEOS_URL", text) for text in BAD_BUCKETS),
    *(("SEGMIND_BASE_URL", text) for text in BAD_URLS),
    *(("SEGMIND_HISTORY_URL", text) for text in BAD_URLS),
    *(("HUNYUAN_UI_ENGINE_URL", text) for text in BAD_URLS if text.partition(":")[0] != "http"),
    *(("HUNYUAN_UI_ENGINE_USD_PER_HOUR", text) for text in BAD_NUMBERS),
    ("HUNYUAN_UI_ENGINE_MODEL", "x" * 201),
    *(("HUNYUAN_UI_API", text) for text in ("v3", "V2", "2")),
    *(("HUNYUAN_UI_CONCURRENCY", text) for text in ("0", "10001", *BAD_WHOLE)),
    *(("HUNYUAN_UI_POLL_SECONDS", text) for text in ("0", "0.04", "301", *BAD_NUMBERS)),
    *(("HUNYUAN_UI_VIDEO_LIMIT_USD", text) for text in BAD_NUMBERS),
    *(("HUNYUAN_UI_DAILY_LIMIT_USD", text) for text in BAD_NUMBERS),
    *(("HUNYUAN_UI_TOTAL_LIMIT_USD", text) for text in BAD_NUMBERS),
    *(("HUNYUAN_UI_VISITOR_DAILY_VIDEOS", text) for text in ("10001", *BAD_WHOLE)),
    *(("GRADIO_SERVER_PORT", text) for text in ("0", "65536", *BAD_WHOLE)),
    *(("HUNYUAN_UI_REQUIRE_LOGIN", text) for text in ("maybe", "2", "yes")),  # yes is only for Spaces with a login
    ("HUNYUAN_UI_DATA_DIR", "~nobody-of-that-name/data"),
    ("HUNYUAN_UI_ENV_FILE", "~nobody-of-that-name/page.env"),
    ("GRADIO_MCP_SERVER", "on"),
]


def engine_of(name: str) -> dict[str, str]:
    """Return the other settings that an engine's setting requires."""
    return {"HUNYUAN_UI_ENGINE_URL": "http://gpu.local"} if name.startswith("HUNYUAN_UI_ENGINE_") else {}


@pytest.mark.parametrize(("name", "text", "field", "value"), GOOD, ids=short)
def test_a_good_value_is_read(name: str, text: str, field: str, value: object) -> None:
    assert getattr(read(**{**engine_of(name), name: text}), field) == value


@pytest.mark.parametrize("name", ["KEY", "MODEL", "USD_PER_HOUR"])
def test_a_setting_of_an_engine_does_nothing_without_the_engine(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{f"HUNYUAN_UI_ENGINE_{name}": "1"})
    assert "HUNYUAN_UI_ENGINE_URL" in words().sentence(caught.value)


def test_an_engine_changes_who_may_spend_and_how_much_at_once() -> None:
    private = read(HUNYUAN_UI_ENGINE_URL="http://gpu.local")
    assert (private.is_preview, private.may_spend_owner_key, private.concurrency) == (False, True, 1)
    assert read(HUNYUAN_UI_ENGINE_URL="http://gpu.local", HUNYUAN_UI_CONCURRENCY="3").concurrency == 3
    public = read(True, HUNYUAN_UI_ENGINE_URL="http://gpu.local")
    assert (public.may_spend_owner_key, public.offers_preview, public.owner_secret) == (False, True, None)
    allowed = read(True, HUNYUAN_UI_ENGINE_URL="http://gpu.local", HUNYUAN_UI_DAILY_LIMIT_USD="0")
    assert (allowed.may_spend_owner_key, allowed.needs_history) == (True, False)


def test_the_address_of_a_database_is_read_as_a_secret() -> None:
    read_url = read(HUNYUAN_UI_DATABASE_URL=DATABASE).database_url
    assert read_url is not None
    assert read_url.reveal() == DATABASE
    assert "hunter2" not in repr(read_url)


@pytest.mark.parametrize(("name", "text"), BAD, ids=short)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: text})
    said = words().sentence(caught.value)
    assert said.startswith(f"{name}: ")
    assert len(said) < 250
    assert said.isprintable()
    assert "hunter2" not in said


def test_every_setting_is_tried_with_good_and_bad_values() -> None:
    anything_goes = {
        "SEGMIND_API_KEY",
        "HUNYUAN_UI_DATABASE_URL",
        "HUNYUAN_UI_ENGINE_KEY",
        "HUNYUAN_UI_ACCESS_CODE",
        "HUNYUAN_UI_NOTIFY",
        "HUNYUAN_UI_DATA_DIR",
        "GRADIO_SERVER_NAME",
    }
    names = {setting.name for setting in SETTINGS} - anything_goes
    assert names <= {name for name, *_ in GOOD}
    assert names <= {name for name, _ in BAD}


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_variable_is_as_good_as_none(text: str) -> None:
    assert read(**{setting.name: text for setting in SETTINGS}) == read()


def test_without_variables_the_defaults_hold(tmp_path: Path) -> None:
    settings = Settings.from_environ({}, home=tmp_path)
    assert settings == Settings(data_dir=tmp_path / "data")
    assert settings.is_preview
    assert not settings.is_public


def test_a_default_in_words_names_the_default() -> None:
    for setting in SETTINGS:
        if setting.default is not None:
            shown = f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default).lower()
            assert shown in setting.default_text, setting.name


def test_every_setting_says_what_it_is() -> None:
    assert all(setting.help and setting.default_text for setting in SETTINGS)
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_the_data_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(HUNYUAN_UI_DATA_DIR="somewhere").data_dir == tmp_path / "somewhere"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(HUNYUAN_UI_DATA_DIR="~/videos").data_dir == tmp_path / "videos"


@pytest.mark.parametrize("text", ["$HOME/videos", "${HOME}/videos", "/data/$USER", r"%APPDATA%\hunyuan"])
def test_a_data_folder_is_no_variable_that_nobody_has_replaced(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(HUNYUAN_UI_DATA_DIR=text)
    assert caught.value.facts["name"] == "HUNYUAN_UI_DATA_DIR"


CLOSED = ("HUNYUAN_UI_DATA_DIR", "setting.folder_closed")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder into which this process may not look."""
    folder, user = tmp_path / "closed", os.geteuid()
    folder.mkdir(mode=0o000)
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)


@pytest.mark.parametrize("place", ["", "in/it"])
def test_a_data_folder_of_another_user_is_named(closed: Path, place: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(HUNYUAN_UI_DATA_DIR=str(closed / place))
    assert (caught.value.facts["name"], caught.value.facts["problem"]["key"]) == CLOSED


def test_a_data_folder_whose_name_no_disk_takes_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(HUNYUAN_UI_DATA_DIR=str(tmp_path / ("x" * 300)))
    assert (caught.value.facts["name"], caught.value.facts["problem"]["key"]) == CLOSED
    assert read(HUNYUAN_UI_DATA_DIR=str(tmp_path / "new" / "one")).data_dir == tmp_path / "new" / "one"


@pytest.mark.parametrize("name", ["SEGMIND_API_KEY", "HUNYUAN_UI_ENGINE_KEY"])
@pytest.mark.parametrize("text", ["$SEGMIND_API_KEY", "${KEY}", "<your-key>", "{{ key }}"])
def test_a_key_that_nobody_has_filled_in_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(HUNYUAN_UI_ENGINE_URL="http://127.0.0.1:1", **{name: text})
    assert caught.value.facts["name"] == name


@pytest.mark.parametrize("text", [f"{DEFAULT_BASE_URL}/v1", f"{DEFAULT_BASE_URL}/v2/"])
def test_the_base_url_may_end_with_a_version(text: str) -> None:
    assert (read(SEGMIND_BASE_URL=text).base_url, read(SEGMIND_BASE_URL=text).history_url) == (
        DEFAULT_BASE_URL,
        DEFAULT_HISTORY_URL,
    )


def test_the_history_follows_the_base_url() -> None:
    assert read().history_url == DEFAULT_HISTORY_URL
    assert read(SEGMIND_BASE_URL=DEFAULT_BASE_URL + "/").history_url == DEFAULT_HISTORY_URL
    assert read(SEGMIND_BASE_URL="http://127.0.0.1:8010/").history_url == "http://127.0.0.1:8010/inference-request"


# names


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("HUNYUAN_UI_DAILY_LIMIT", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("HUNYUAN_UI_DAYLY_LIMIT_USD", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("hunyuan_ui_daily_limit_usd", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("HUNYAN_UI_DAILY_LIMIT_USD", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("HUNYUAN_DAILY_LIMIT_USD", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("HUNYUAN_UI_TOTAL_LIMIT", "HUNYUAN_UI_TOTAL_LIMIT_USD"),
        ("HUNYUAN_UI_CODE", "HUNYUAN_UI_ACCESS_CODE"),
        ("HUNYUAN_UI_PORT", "HUNYUAN_UI_"),
        ("HUNYUAN_UI_DATABASE", "HUNYUAN_UI_DATABASE_URL"),
        ("HUNYUAN_UI_PROMPT_KEY", "HUNYUAN_UI_"),
        ("HUNYUAN_UI_NOTIFIES", "HUNYUAN_UI_NOTIFY"),
        ("HUNYUAN_UI_", "HUNYUAN_UI_"),
        ("SEGMIND_APIKEY", "SEGMIND_API_KEY"),
        ("SEGMIND_KEY", "SEGMIND_API_KEY"),
        ("SEGMIND_API_KEY ", "SEGMIND_API_KEY"),
        ("SEGMIND_API_KEY\n", "SEGMIND_API_KEY"),
        ("HUNYUAN_UI-DAILY-LIMIT-USD", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("HUNYUAN-UI-ACCESS-CODE", "HUNYUAN_UI_ACCESS_CODE"),
        ("hunyuan.ui.notify", "HUNYUAN_UI_NOTIFY"),
        ("HUNYUAN UI TOTAL LIMIT USD", "HUNYUAN_UI_TOTAL_LIMIT_USD"),
        ("SEGMIND-API-KEY", "SEGMIND_API_KEY"),
        ("HUNYUAN_DAILY_LIMIT", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("HUNYAN_UI_DAILY_LIMIT", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("HUNYUAN_TOTAL_LIMIT", "HUNYUAN_UI_TOTAL_LIMIT_USD"),
        ("HUNYUNA_UI_VIDEO_LIMIT", "HUNYUAN_UI_VIDEO_LIMIT_USD"),
        ("DAILY_LIMIT_USD", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("TOTAL_LIMIT_USD", "HUNYUAN_UI_TOTAL_LIMIT_USD"),
        ("VISITOR_DAILY_VIDEOS", "HUNYUAN_UI_VISITOR_DAILY_VIDEOS"),
        ("UI_ACCESS_CODE", "HUNYUAN_UI_ACCESS_CODE"),
        ("GRADIO_TOTAL_LIMIT_USD", "HUNYUAN_UI_TOTAL_LIMIT_USD"),
        ("GRADIO_UI_DAILY_LIMIT", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("HY_UI_DAILY_LIMIT_USD", "HUNYUAN_UI_DAILY_LIMIT_USD"),
        ("HUNYAUN_TOTAL_LIMIT", "HUNYUAN_UI_TOTAL_LIMIT_USD"),
        ("HYUNYUAN_UI_VISITOR_VIDEOS", "HUNYUAN_UI_VISITOR_DAILY_VIDEOS"),
        ("DOCKER_HUNYUAN_UI_TOTAL_LIMIT_USD", "HUNYUAN_UI_TOTAL_LIMIT_USD"),
        ("export HUNYUAN_UI_ACCESS_CODE", "HUNYUAN_UI_ACCESS_CODE"),
        ("\uff28UNYUAN_UI_DAILY_LIMIT_USD", "HUNYUAN_UI_DAILY_LIMIT_USD"),
    ],
)
@pytest.mark.parametrize("text", ["", "5", KEY])
def test_a_name_that_is_no_setting_stops_and_names_the_nearest(name: str, nearest: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: text})
    said = words().sentence(caught.value)
    assert said.startswith(name.strip())
    assert said.isprintable()
    assert f"the nearest one is {nearest}" in said
    assert KEY not in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SEGMENT_API_KEY", "of another service"),
        ("SEGMENT-API-KEY", "of another service"),
        ("HUNYUAN_MODEL_PATH", "/models"),
        ("HUNYUAN_API_KEY", "of another service"),
        ("HUNYUAN_ACCESS_KEY", "of another service"),
        ("OPENAI_DAILY_LIMIT_USD", "5"),
        ("DAILY_LIMIT", "100"),
        ("ACCESS_CODE", "of another program"),
        ("MY_HUNYUAN_UI_SERVICE_HOST", "10.0.0.7"),
        ("MY_HUNYUAN_UI_PORT", "tcp://10.0.0.7:7860"),
        ("HUNYUAN_UI_SERVICE_HOST", "10.0.0.7"),
        ("HUNYUAN_UI_SERVICE_PORT", "7860"),
        ("HUNYUAN_UI_SERVICE_PORT_HTTP", "7860"),
        ("HUNYUAN_UI_PORT", "tcp://10.0.0.7:7860"),
        ("HUNYUAN_UI_PORT_7860_TCP", "tcp://10.0.0.7:7860"),
        ("HUNYUAN_UI_PORT_7860_TCP_ADDR", "10.0.0.7"),
        ("SEGMIND_PROXY_SERVICE_HOST", "10.0.0.8"),
        ("GRADIO_ANALYTICS_ENABLED", "False"),
    ],
)
def test_what_other_programs_are_told_is_left_alone(name: str, text: str) -> None:
    assert read(**{name: text}) == read()


# quotes, as `docker run --env-file` passes them on


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
@pytest.mark.parametrize("quotes", ["''", '""', "“”", "„“", "‘’", "«»", "``"])
def test_a_pair_of_quotes_is_no_part_of_any_value(setting: Setting, quotes: str, tmp_path: Path) -> None:
    opened, closed = quotes
    plain = {name: text for name, text, *_ in reversed(GOOD)}
    plain |= {
        "HUNYUAN_UI_DATABASE_URL": DATABASE,
        "SEGMIND_API_KEY": KEY,
        "HUNYUAN_UI_ENGINE_KEY": KEY,
        "HUNYUAN_UI_ACCESS_CODE": CODE,
        "HUNYUAN_UI_NOTIFY": "json://127.0.0.1",
        "HUNYUAN_UI_DATA_DIR": str(tmp_path),
    }
    text = plain[setting.name]
    for quoted in (f"{opened}{text}{closed}", f" {opened}{text}{closed}\n", f"{opened} {text} {closed}"):
        values = [
            getattr(read(**{**engine_of(setting.name), setting.name: given}), setting.field) for given in (text, quoted)
        ]
        bare, unquoted = (value.reveal() if isinstance(value, Secret) else value for value in values)
        assert unquoted == bare
    assert read(**{setting.name: quotes}) == read()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
@pytest.mark.parametrize("text", ['"', "'", '"5', "5'", "\"5'", "'\"5\"'", '""5""'])
def test_a_lone_quote_is_refused_by_the_name_of_its_variable(setting: Setting, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{setting.name: text})
    assert words().sentence(caught.value).startswith(f"{setting.name}: has a quotation mark")


def test_a_quote_within_a_value_is_part_of_it() -> None:
    code = read(HUNYUAN_UI_ACCESS_CODE='it\'s "open" now').access_code
    assert code is not None
    assert code.reveal() == 'it\'s "open" now'


@pytest.mark.parametrize(
    "code",
    ["x" * 601, "\u200b\u200b", "two\nlines", "a\ttab", "bell\a", "half \ud800", "\ufdfa" * 40],
    ids=["too long", "invisible", "lines", "tab", "control", "half a character", "too long as it is compared"],
)
def test_a_code_that_nobody_can_enter_is_refused_and_not_shown(code: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(HUNYUAN_UI_ACCESS_CODE=code)
    sentence = words().sentence(caught.value)
    assert sentence.startswith("HUNYUAN_UI_ACCESS_CODE: cannot be typed")
    assert code.strip() not in sentence


@pytest.mark.parametrize("code", ["x" * 600, "7", "open sesame", "芝麻开门", "ＯＰＥＮ\u200b", "🔑"])
def test_a_code_that_can_be_typed_is_taken(code: str) -> None:
    assert read(HUNYUAN_UI_ACCESS_CODE=code).access_code is not None


def test_a_share_link_is_asked_for_with_quotes_as_well() -> None:
    assert read(GRADIO_SHARE='"true"').share
    assert not read(GRADIO_SHARE="'false'").share


@pytest.mark.usefixtures("own_environment")
def test_quotes_are_taken_off_what_gradio_reads_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_ROOT_PATH", '"/videos"')
    monkeypatch.setenv("GRADIO_ALLOWED_PATHS", "/srv/pictures")
    Settings.from_environ()
    assert os.environ["GRADIO_ROOT_PATH"] == "/videos"
    assert os.environ["GRADIO_ALLOWED_PATHS"] == "/srv/pictures"
    monkeypatch.setenv("GRADIO_ROOT_PATH", '/videos"')
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ()
    assert caught.value.facts["name"] == "GRADIO_ROOT_PATH"


# secrets


@pytest.mark.parametrize("key", ["SG_0123 4567", "SG_0123\n4567", "SG_01234567\x00", "ключ", "SG_01234567\u200b"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(SEGMIND_API_KEY=key)
    assert words().sentence(caught.value).startswith("SEGMIND_API_KEY: ")
    assert key not in words().sentence(caught.value)
    assert "0123" not in words().sentence(caught.value)


def test_a_key_pasted_with_a_line_break_at_its_end_is_understood() -> None:
    key = read(SEGMIND_API_KEY=f"{KEY}\n").api_key
    assert key is not None
    assert key.reveal() == KEY


def test_secrets_are_hidden_in_every_representation() -> None:
    settings = read(SEGMIND_API_KEY=KEY, HUNYUAN_UI_ACCESS_CODE=CODE)
    secret = settings.api_key
    shown = [repr(settings), str(settings), f"{settings}", repr(secret), str(secret), f"{secret}", f"{secret!s:>40}"]
    shown += [json.dumps(dataclasses.fields(settings), default=str), repr([secret]), repr({"key": secret})]
    for text in shown:
        assert KEY not in text
        assert CODE not in text
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_cannot_be_pickled(protocol: int) -> None:
    for value in (Secret(KEY), read(SEGMIND_API_KEY=KEY)):
        with pytest.raises(TypeError, match="secret"):
            pickle.dumps(value, protocol)


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, dataclasses.asdict])
def test_a_secret_cannot_be_copied_out(take: Any) -> None:
    settings = read(SEGMIND_API_KEY=KEY)
    with pytest.raises(TypeError, match="secret"):
        take(settings if take is dataclasses.asdict else settings.api_key)


@pytest.mark.parametrize("text", ["", "SG_0123 4567", "SG_\n", "ключ", "k" * 513])
def test_what_no_header_can_carry_is_not_a_key(text: str) -> None:
    assert not is_key(text)
    assert is_key("SG_" + "f" * 16)
