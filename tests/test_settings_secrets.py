"""Secrets in odd places of settings: parts of addresses, and values in another variable's place."""

from __future__ import annotations

import pytest

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.words import words
from tests.read_settings import DATABASE, KEY, read


@pytest.mark.parametrize(
    ("name", "text", "secret"),
    [
        ("HUNYUAN_UI_DATABASE_URL", DATABASE, "hunter2"),
        ("HUNYUAN_UI_DATABASE_URL", "postgresql://db/x?user=a&password=hunter%402", "hunter@2"),
        ("HUNYUAN_UI_DATABASE_URL", "postgresql://db/x?sslkey=a&sslpassword=hunter2", "hunter2"),
        ("HUNYUAN_UI_NOTIFY", "json://one.example/token9 mailto://a:hunter2@b.example", "json://one.example/token9"),
        ("HUNYUAN_UI_NOTIFY", "json://one.example/token9 mailto://a:hunter2@b.example", "hunter2"),
        ("HTTPS_PROXY", "http://a:hunter2@proxy.example:3128", "hunter2"),
    ],
)
def test_a_part_of_an_address_that_is_a_secret_is_one_alone(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, secret: str
) -> None:
    monkeypatch.setattr("hunyuan_ui.settings.is_installed", lambda _: True)
    assert secret in [one.reveal() for one in read(**{name: text}).secrets]


@pytest.mark.parametrize("name", ["HUNYUAN_UI_API", "HUNYUAN_UI_DAILY_LIMIT_USD", "SEGMIND_BASE_URL"])
@pytest.mark.parametrize("text", [KEY, KEY.lower(), f"https://x.example/?token={KEY[3:]}", f"{'x' * 55}{KEY}"])
def test_a_key_in_another_variables_place_is_not_shown(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: text})
    assert KEY[3:9] not in words().sentence(caught.value)
