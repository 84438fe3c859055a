from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hunyuan_ui.errors import DownloadError, InvalidRequestError, MediaError, SpendLimitError, StorageError, reason
from hunyuan_ui.estimate import Outcome, estimate
from hunyuan_ui.job import JobProblem
from hunyuan_ui.jobs import BatchView, Entry
from hunyuan_ui.list_texts import problem_of_list
from hunyuan_ui.prompt_help.presets import STEPS
from hunyuan_ui.prompt_list import Row
from hunyuan_ui.request import VideoRequest, parameters
from hunyuan_ui.ui import labels
from hunyuan_ui.ui.html_part import head
from hunyuan_ui.ui.labels import translations
from hunyuan_ui.words import LANGUAGE_COOKIE, languages, shown_sum, words, words_for
from tests.stored_jobs import job

UI = Path(labels.__file__).parent
REQUEST = VideoRequest.parse({"prompt": "x"})


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "1 s"),
        (42.4, "42 s"),
        (59.9, "60 s"),
        (211, "3.5 min"),
        (780, "13 min"),
        (5399, "90 min"),
        (9724, "2.5 h"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert words().duration(seconds) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(137, 317, "2.5 to 5.5 min"), (40, 90, "40 s to 1.5 min"), (210, 211, "3.5 min")],
)
def test_a_range_names_its_unit_once(low: float, high: float, said: str) -> None:
    assert words().duration_range(low, high) == said


@pytest.mark.parametrize(
    ("key", "fact"), [("result.steps", "steps"), ("pay.accepted", "count"), ("list.rows", "count")]
)
def test_one_is_not_said_as_several(key: str, fact: str) -> None:
    one, two = (words()(key, **{fact: count}) for count in (1, 2))
    assert two == one.replace("1", "2").replace("step", "steps").replace("video", "videos")


@pytest.mark.parametrize(("language", "wrong"), [("en", "the owner can look"), ("zh", "所有者可以")])
def test_the_account_of_a_key_is_looked_at_by_whoever_has_the_key(language: str, wrong: str) -> None:
    say = words(language)
    told = {key: say[key] for key in say if key.startswith("error.")}
    account = {"en": "account's generations", "zh": "账户的生成记录"}[language]
    assert not [key for key, text in told.items() if account in text and wrong in text]
    assert sum(account in text for text in told.values()) > 6


ALWAYS_SEVERAL = {
    *("door.too_large", "call.wrong_count", "hint.too_long", "hint.past_clip", "hint.many_moves"),
    *(
        "generate.some_began",
        "error.text_too_long",
        "error.list_too_many",
        "error.wildcard_many",
        "error.prices_changed",
    ),
    *("error.prices_not_shown", "error.list_without_videos", "error.breaker_open", "error.breaker_open_queued"),
    *("engine.error.breaker_open", "engine.error.breaker_open_queued"),
    *("setting.code", "api.list_prompts", "reason.box_too_long", "reason.pictures_without_place"),
}
SEVERAL = re.compile(
    r"\{\w+(:,)?\} ((paid|camera) )?(bytes|values|tokens|characters|moves|jobs|videos|files|lists|rows|cells|days"
    r"|requests|combinations|pictures|frames|steps)\b"
)


def test_a_number_that_may_be_one_is_never_said_with_a_plural() -> None:
    say = words("en")
    assert {key for key in say if SEVERAL.search(say[key])} <= ALWAYS_SEVERAL


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize(
    "key", ["page.send_failed", "engine.page.send_failed", "page.not_sent", "generate.another_click"]
)
def test_a_click_without_an_answer_is_repeated_with_the_button_that_was_pressed(key: str, language: str) -> None:
    # It may have been the one that makes another video of the same settings: Generate would send the form.
    text = words(language)[key]
    assert not any(name in text for name in ("Generate", "“生成”")), text


@pytest.mark.parametrize(
    ("usd", "said"), [(0, "$0.00"), (0.004, "under $0.01"), (1.463, "$1.46"), (1234.5, "$1,234.50")]
)
def test_money_is_dollars_and_cents(usd: float, said: str) -> None:
    assert words().money(usd) == said


def test_what_is_less_than_a_cent_is_said_in_each_language() -> None:
    assert [words(language).money(0.004) for language in ("en", "zh")] == ["under $0.01", "不到 $0.01"]
    said = [
        words(language)("app.spent", spent=words(language).money(0.001), reserved="$0.00") for language in ("en", "zh")
    ]
    assert ["under" in text for text in said] == [True, False]


def test_the_button_says_time_and_price() -> None:
    unlearnt = words().generate_label(estimate(REQUEST), is_preview=False)
    assert unlearnt == "Generate · about 3.5 min · about $1.46, at most $2.20"
    seen = [Outcome(211.0, 211.0, 1.46)] * 3
    assert words().generate_label(estimate(REQUEST, seen), is_preview=False) == (
        "Generate · about 3.5 min · about $1.46, at most $1.76"
    )
    assert words().generate_label(estimate(REQUEST), is_preview=True) == "Generate · free preview"


def test_a_problem_is_told_in_full() -> None:
    problem = JobProblem.of(
        InvalidRequestError("frames_not_possible", field="video_length", value=78, choices=[77, 81])
    )
    assert words().sentence(problem) == "Frames: 78 is not possible (it must be 4n + 1). Use 77 or 81."


@pytest.mark.parametrize(
    ("made_by", "said"),
    [
        ({"payer": "nobody"}, "The preview is finished, but its file cannot be written (x). Nothing was charged"),
        ({"dialect": "openai"}, "The video is finished, but its file cannot be written (x). Its time counts"),
        ({}, "The video is finished, but its file cannot be written (x). It was charged"),
    ],
)
def test_a_list_that_ended_early_is_told_in_the_words_for_what_makes_it(made_by: dict[str, str], said: str) -> None:
    last = {"key": "error.video_not_written", "facts": {"reason": "x"}}
    problem = JobProblem.from_code("list_without_videos", count=3, last=last)
    entries = [Entry(Row(number, 0, REQUEST), "", REQUEST, made) for number, made in enumerate([job(**made_by), None])]
    view = BatchView("", "", 2, entries, 0, None, 0, is_running=False, problem=problem)
    assert said in (problem_of_list(view, words()) or "")
    assert problem_of_list(replace(view, problem=None), words()) is None
    assert "3" in (problem_of_list(replace(view, entries=[]), words()) or "")


def test_a_stored_problem_without_its_facts_keeps_its_stored_sentence() -> None:
    assert words().sentence(JobProblem("job_failed", sentence="It failed, said an older version.")) == (
        "It failed, said an older version."
    )


def test_a_stored_problem_keeps_the_texts_that_an_older_version_put_into_it() -> None:
    facts = {"reason": "it came too slowly"}
    assert "yet (it came too slowly)." in words().sentence(JobProblem("download_failed", facts))
    assert "（it came too slowly）" in words("zh").sentence(JobProblem("download_failed", facts))
    assert "(0 MB free)" in words().sentence(JobProblem("disk_full", {"free": "0 MB"}))


def test_a_reason_is_said_in_the_language_of_its_sentence_also_after_it_was_stored() -> None:
    error = DownloadError("download_failed", reason=reason("http", status=503))
    stored = JobProblem(**json.loads(json.dumps(asdict(JobProblem.of(error)))))
    assert stored == JobProblem.of(error)
    for problem in (error, stored):
        assert "(HTTP 503)" in words().sentence(problem)
        assert "（HTTP 503）" in words("zh").sentence(problem)


def test_a_reason_may_hold_another_one() -> None:
    why = reason("http_detail", status=500, detail=reason("html_page"))
    assert words()("reason.no_list") == "it holds no list of requests"
    assert "(HTTP 500: an HTML page)" in words().sentence(DownloadError("download_failed", reason=why))
    assert "（HTTP 500：一个 HTML 页面）" in words("zh").sentence(DownloadError("download_failed", reason=why))
    wrong = InvalidRequestError("field_missing", field="width").as_reason
    assert (
        words("zh").sentence(MediaError("bad_settings_in_video", problem=wrong)).endswith("宽度：缺少这个值。请补上。")
    )


@pytest.mark.parametrize(
    ("free", "said"), [(0, "(0 MB free)"), (999_999, "(0 MB free)"), (512 * 1024 * 1024, "(536 MB free)")]
)
def test_room_is_said_in_megabytes(free: int, said: str) -> None:
    assert said in words().sentence(StorageError("disk_full", free=free))


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [("", "en-GB,en;q=0.9", "en"), ("", "xx-YY", "en"), ("xx", "en", "en"), ("en", "xx", "en"), ("", "", "en")],
)
def test_a_visitor_reads_a_language_that_is_there(cookie: str, accepted: str, language: str) -> None:
    assert words_for({LANGUAGE_COOKIE: cookie}, {"accept-language": accepted}).language == language


def test_every_word_that_a_script_asks_for_is_there() -> None:
    asked: set[str] = set()
    for path in (UI / "web").glob("*.[!p]*"):
        source = path.read_text("utf-8")
        asked |= set(re.findall(r'data-(?:say|hint)="([a-z_.]+)"', source))
        asked |= set(re.findall(r"\bwords\.([a-z_]+)", source))
        asked |= set(re.findall(r'"((?:batch|coach|compare|export|gallery|owner|pay|viewer)\.[a-z_]+)"', source))
    assert len(asked) > 100
    for language in languages():
        assert asked - words(language).of_scripts().keys() == set()


def test_a_page_view_does_not_carry_what_only_the_server_says() -> None:
    scripts = "".join(path.read_text("utf-8") for path in (UI / "web").glob("*.[!p]*"))
    table = words()
    unsent = {key for key in table if key.startswith(("owner.", "pay."))} - table.of_scripts().keys()
    assert len(unsent) > 60
    assert [key for key in unsent if re.search(rf'"{re.escape(key)}"', scripts)] == []


def test_the_words_of_scripts_cannot_end_their_element() -> None:
    told = head().partition("window.hunyuanWords = ")[2].partition(";\n")[0]
    assert "<" not in told
    held = json.loads(told)
    assert held == {language: words(language).of_scripts() for language in languages()}


def test_gradio_is_told_the_texts_of_its_own_controls_and_no_others() -> None:
    sources = [path.read_text("utf-8") for path in UI.glob("*.py")]
    asked = {key for source in sources for key in re.findall(r'\blabel\("([a-z_.]+)"\)', source)}
    asked |= {f"field.{field.name}" for field in parameters()} | {f"form.quality.{name}" for name in STEPS}
    assert len(asked) > 15
    tables = translations().translations_dict
    assert tables.keys() == set(languages())
    for language, table in tables.items():
        assert asked - table.keys() == set(), language
        assert len(table) < 60, language


def test_a_sum_is_that_of_what_is_shown_unless_that_is_below_a_cent() -> None:
    assert shown_sum([(1.4642, 2.1963), (0.0149, 0.0151)]) == pytest.approx((1.47, 2.22))
    assert shown_sum([(1.4642, 2.1963), (0.004, 0.006)]) == pytest.approx((1.4682, 2.2023))
    assert shown_sum([]) == (0, 0)


@pytest.mark.parametrize("high_usd", [101.0625, 2.2, 1.462, 2.200001, 0.0149, 0.004, 2.2000000000001, 1000.001])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_refusal_names_the_maximum_that_the_button_names_and_no_more_than_is_left(
    language: str, high_usd: float
) -> None:
    say = words(language)
    most = re.findall(r"\$[\d,.]+\d", say.price_of(high_usd / 2, high_usd))[-1]
    for code in ("over_video_limit", "confirm_price", "over_daily_limit", "over_list_budget"):
        assert most in say.sentence(SpendLimitError(code, price=high_usd, limit=5.0, left=0.349999))
    assert "$0.34" in say.sentence(SpendLimitError("over_daily_limit", price=high_usd, limit=5.0, left=0.349999))
    assert "$0.00" in say.sentence(SpendLimitError("over_total_limit", price=high_usd, limit=5.0, left=0.004))
