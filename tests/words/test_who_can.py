"""What only an owner can do, no other reader of a public page is told to do, in any language."""

from __future__ import annotations

import re
from typing import Final

import pytest

from hunyuan_ui.words import languages, words

# An owner's things: the account and its key, the machine and its settings, the engine, this program's version.
OWNERS: Final = {
    "en": re.compile(
        r"generations|credits first|check the key|certificate|HUNYUAN_UI_|SEGMIND_|engine's log|update this program"
        r"|stop the other copy|restart the program|connect its disk|make room"
    ),
    "zh": re.compile(
        r"生成记录|充值|检查密钥|证书|HUNYUAN_UI_|SEGMIND_|日志|更新本程序|停止另一个|重新启动程序|重启程序|接上|腾出空间"
    ),
}
BY_OWNER: Final = {"en": re.compile(r"\bowner"), "zh": re.compile("所有者|主人")}
REASONS: Final = re.compile(r"\(.*?\)|（.*?）")
# Sentences of a start, of the command that copies a ledger, and of what an engine's log may have.
ELSEWHERE: Final = {"error.replica_differs", "error.sqlite_too_old", "engine.error.job_failed_charged"}


@pytest.mark.parametrize("language", languages())
def test_no_error_tells_a_visitor_to_do_what_only_an_owner_can(language: str) -> None:
    say = words(language)
    keys = [key for key in say if re.match(r"(\w+\.)?error\.(?!copy_)", key) and key not in ELSEWHERE]
    owners = {key for key in keys if OWNERS[language].search(REASONS.sub("", say[key]))}
    assert len(owners) > 20
    assert {key: say[key] for key in owners if not BY_OWNER[language].search(say[key])} == {}


@pytest.mark.parametrize("language", languages())
def test_no_error_takes_the_key_of_a_job_for_the_owners(language: str) -> None:
    of_keys = [key for key in words(language) if re.match(r"error\.(key_(missing|refused)|not_allowed)", key)]
    assert len(of_keys) == 6
    assert [key for key in of_keys if "SEGMIND_API_KEY" in words(language)[key]] == []


@pytest.mark.parametrize("language", languages())
def test_what_an_api_and_the_command_line_say_too_names_no_button(language: str) -> None:
    button = re.compile({"en": r"\bGenerate\b", "zh": "“生成”"}[language])
    assert [
        key for key in words(language) if re.match(r"(\w+\.)?error\.", key) and button.search(words(language)[key])
    ] == []
