"""Every language has every text, with the same placeholders."""

from __future__ import annotations

import json
import re
from string import Formatter
from typing import Any

import pytest

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.job import JobProblem
from hunyuan_ui.prompt_help.examples import EXAMPLES
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import LOCALES, languages, words, words_for

OTHERS = languages()[1:]

# Texts that are the same in Chinese: names, formats, symbols.
NOT_CHINESE = {
    *(
        "app.title",
        "page.language",
        "page.line_action",
        "page.sentences",
        "export.gif",
        "result.made",
        "result.cost",
        "form.size_line",
        "example.shape",
    ),
    *("owner.day", "error.setting"),
    *(
        "call.of_value",
        "cli.made",
        "cli.phase_note",
        "reason.http",
        "reason.http_detail",
        "start.version",
        "start.most.total",
        "start.most.both",
    ),
}


def file_of(language: str) -> dict[str, str]:
    """Parse a locale file, refusing duplicate keys."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        assert len(set(keys)) == len(keys), sorted({key for key in keys if keys.count(key) > 1})
        return dict(pairs)

    return json.loads((LOCALES / f"{language}.json").read_text("utf-8"), object_pairs_hook=once)


def places(text: str) -> set[tuple[str, str | None]]:
    """Return the placeholders with their formats."""
    return {(name, way) for _, name, way, _ in Formatter().parse(text) if name is not None and way != "s"}


def test_there_are_english_and_chinese() -> None:
    assert languages() == ("en", "zh")


@pytest.mark.parametrize("language", OTHERS)
def test_every_key_is_in_every_language(language: str) -> None:
    known, own = set(file_of("en")), set(file_of(language))
    assert {"missing": sorted(known - own), "unknown": sorted(own - known)} == {"missing": [], "unknown": []}


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_same_places_for_facts(language: str) -> None:
    own, known = file_of(language), file_of("en")
    assert {key: text for key, text in own.items() if key in known and places(text) != places(known[key])} == {}


@pytest.mark.parametrize("language", languages())
def test_no_text_is_empty_or_padded(language: str) -> None:
    assert [key for key, text in file_of(language).items() if not text or text != text.strip()] == []


def test_chinese_texts_are_chinese() -> None:
    found = {key for key, text in file_of("zh").items() if not re.search("[\u4e00-\u9fff]", text)}
    assert found == NOT_CHINESE


def test_every_example_has_a_title_in_every_language() -> None:
    keys = {f"example.{example.key}" for example in EXAMPLES}
    assert all(keys <= set(file_of(language)) for language in languages())


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "zh-TW", "zh"),
        ("", "fr,zh;q=0.5", "zh"),
        ("", "fr", "en"),
        ("en", "zh-CN", "en"),
        ("zh", "en-GB", "zh"),
        ("xx", "zh", "zh"),
    ],
)
def test_the_choice_by_hand_comes_before_the_browsers(cookie: str, accepted: str, language: str) -> None:
    assert words_for({"hunyuan_language": cookie}, {"accept-language": accepted}).language == language


@pytest.mark.parametrize(
    ("address", "language"),
    [
        ("http://127.0.0.1:7860/?lang=zh", "zh"),
        ("https://somebody-hunyuan.hf.space/prefix/?__theme=dark&lang=zh&job=1", "zh"),
        ("http://127.0.0.1:7860/?lang=zh-TW", "zh"),
        ("http://127.0.0.1:7860/?lang=xx", "en"),
        ("http://127.0.0.1:7860/?language=zh", "en"),
        ("http://127.0.0.1:7860/?lang=", "en"),
        ("http://[::1/?lang=zh", "en"),
        ("?" + "&" * 100_000, "en"),
        ("", "en"),
    ],
)
def test_the_choice_in_the_pages_address_comes_before_the_cookie(address: str, language: str) -> None:
    headers = {"accept-language": "zh-CN", "referer": address}
    assert words_for({"hunyuan_language": "en"}, headers).language == language


def test_a_problem_in_chinese_names_its_field_in_chinese() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        VideoRequest.parse({"prompt": "x", "height": 1281})
    assert words("zh").sentence(JobProblem.of(caught.value)) == "高度：1281 超出范围。请用 1 到 1280 之间的数。"
    with pytest.raises(InvalidRequestError) as caught:
        VideoRequest.parse({"prompt": "x", "video_length": 78})
    assert words("zh").sentence(JobProblem.of(caught.value)).endswith("请用 77 或 81。")


@pytest.mark.parametrize(
    ("named", "language"),
    [("zh_CN", "zh"), ("ZH", "zh"), ("zh_Hant_TW", "zh"), ("zh-TW", "zh"), ("zha", "en"), ("en_GB.UTF-8", "en")],
)
def test_a_language_is_named_with_its_region_as_browsers_or_systems_write_it(named: str, language: str) -> None:
    other = {"zh": "en", "en": "fr"}[language]
    headers = {"referer": f"https://page.example/?lang={named}", "accept-language": other}
    assert words_for({}, headers).language == language
    assert words_for({}, {"accept-language": f"{named},{other}"}).language == language


def test_no_chinese_text_calls_a_value_of_any_kind_a_number() -> None:
    assert [key for key in words("zh") if "数值" in words("zh")[key]] == []


def test_a_video_under_way_that_may_still_wait_is_not_said_to_be_rendering() -> None:
    assert [key for key in ("pay.next", "pay.full", "error.visitor_busy") if "正在生成" in words("zh")[key]] == []
