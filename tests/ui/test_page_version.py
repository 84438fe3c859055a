"""The version of the page, by which an open page knows that its event numbers may be others by now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.page_json import PAGE_VERSION
from tests.built_page import built_page

pytestmark = pytest.mark.slow

PRIVATE = Settings(data_dir=Path("data"))
PUBLIC = replace(PRIVATE, server_name="0.0.0.0")
SPACE = replace(PRIVATE, is_space=True)
LIMITED = replace(PRIVATE, daily_limit_usd=7.0, concurrency=2)  # what moves no control and no event


def version_of(settings: Settings) -> str:
    built_page(settings)
    return PAGE_VERSION.text


def test_the_version_changes_with_what_the_page_is_built_from_and_with_nothing_else() -> None:
    versions = [version_of(settings) for settings in (PRIVATE, PUBLIC, SPACE)]
    assert len(set(versions)) == len(versions)
    assert [version_of(settings) for settings in (PRIVATE, PUBLIC, SPACE)] == versions
    assert version_of(LIMITED) == versions[0]


KEY = Secret("SG_0011223344556677")
OWNERS = replace(PUBLIC, api_key=KEY, daily_limit_usd=7.0)
UNSHARED = replace(OWNERS, daily_limit_usd=None)
ENGINE = replace(PRIVATE, engine_url="http://127.0.0.1:8000")
KEYED = replace(PRIVATE, api_key=KEY)


def test_the_version_changes_with_who_can_pay_and_with_whose_words_the_page_has() -> None:
    for before, after in ((PUBLIC, OWNERS), (OWNERS, UNSHARED), (PRIVATE, KEYED), (KEYED, ENGINE)):
        assert version_of(before) != version_of(after)
    assert version_of(replace(OWNERS, daily_limit_usd=9.0)) == version_of(OWNERS)
