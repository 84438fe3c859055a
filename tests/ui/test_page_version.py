"""The version of the page, by which an open page knows that its event numbers may be others by now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hunyuan_ui.settings import Settings
from hunyuan_ui.ui.page_json import PAGE_VERSION
from tests.built_page import built_page

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
