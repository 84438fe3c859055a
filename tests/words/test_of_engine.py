"""With a self-hosted engine no text mentions the hosted service, its account or its charges, in any language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter
from typing import Final

import pytest

from hunyuan_ui.estimate import engine_estimate
from hunyuan_ui.job import JobStatus
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.words import languages, select_texts, words
from tests.stored_jobs import job
from tests.words.job_cards import texts_of_cards

OF_ENGINE: Final = "engine."
# Exclusive to the hosted service: an account with a balance, its keys, charges, and a file's seven days.
OF_SERVICE: Final = {
    "en": re.compile(
        r"\bservices?\b|segmind|\baccount|generations|(?<!free of )charge|credits?\b|balance|seven days"
        r"|API key|x-api-key|own(er's)? key|your key",
        re.I,
    ),
    "zh": re.compile(
        r"(?<!提供)服务(?!器)|segmind|账户|生成记录|(?<!不)收费|扣费|余额|七天"
        r"|API 密钥|x-api-key|自己的密钥|所有者的?密钥",
        re.I,
    ),
}
# Texts that no start with an engine uses, by reason.
ELSEWHERE: Final = {
    # a visitor's own key is the hosted service's: limits.py offers no payer "visitor"
    *("pay.visitor", "pay.visitor_help", "pay.key", "pay.kept", "pay.key_accepted", "pay.key_empty", "pay.get_key"),
    *("error.key_forgotten", "error.key_forgotten_unsent", "error.key_other", "error.owner_key_other"),
    *("error.not_a_key", "reason.no_credits", "notify.unknown_own_key"),
    # the account: its page, balance, history, and the costs it names (owner.py, history.py)
    *("page.account", "owner.balance", "owner.history", "owner.history_help", "owner.history.rests"),
    *("owner.restart.history", "error.history_unread", "error.said_spent", "start.history"),
    *("start.total_limit.history", "owner.doubtful_help", "owner.doubt"),
    # raised only by the hosted service's client (segmind.py, responses.py); the preview's end is the preview's
    *("error.bad_body", "error.key_missing", "error.key_missing_sent", "error.key_refused", "error.key_refused_sent"),
    *("error.out_of_credits", "error.not_allowed", "error.not_allowed_sent", "error.model_unknown"),
    *("error.wrong_method", "error.wrong_content_type", "error.team_spend_limit", "error.value_refused"),
    *("error.model_retired", "error.refused_before_run", "error.service_failed", "error.refused"),
    *("error.gateway_failed", "error.unreadable_answer", "error.refused_but_charged", "error.job_failed"),
    *("error.job_failed_unexplained", "error.job_failed_sent", "error.job_failed_unexplained_sent"),
    *("error.request_expired", "error.no_video_in_result", "error.preview_gone", "cli.preview_ended"),
    # about a whole ledger, whoever made its videos (the command that copies one)
    *("cli.copy.money", "cli.copy.help.videos_to"),
    # an engine keeps a job for as long as it runs (estimate.py)
    "form.too_long_line",
    # whose key pays (startup.py), and help that is shown before any setting is read
    *("start.key.none", "start.key.rests", "start.key.private", "start.key.public", "start.help.share"),
    *("cli.help", "cli.help.exits", "cli.help.retry_failed", "cli.help.check"),
    # --check calls the hosted service only if its key is set as well, and then means it
    *("check.name.balance", "check.no_key", "check.needs_key", "check.key_known", "check.balance", "check.balance_low"),
}


def places(text: str) -> set[tuple[str, str | None]]:
    return {(name, way) for _, name, way, _ in Formatter().parse(text) if name is not None and way != "s"}


@pytest.fixture
def engine_start() -> Iterator[None]:
    select_texts(has_engine=True)
    yield
    select_texts()


def speaks_of_service(language: str) -> set[str]:
    say = words(language)
    keys = [key for key in say if not key.startswith((OF_ENGINE, "preview.", "setting."))]
    return {key for key in keys if OF_SERVICE[language].search(say[key])}


@pytest.mark.usefixtures("engine_start")
@pytest.mark.parametrize("language", languages())
def test_no_text_of_a_start_with_an_engine_speaks_of_the_service(language: str) -> None:
    assert speaks_of_service(language) - ELSEWHERE == set()


@pytest.mark.usefixtures("engine_start")
def test_nothing_is_excepted_that_does_not_need_it() -> None:
    assert ELSEWHERE - speaks_of_service("en") - speaks_of_service("zh") == set()
    assert not [key for key in ELSEWHERE if OF_ENGINE + key in words()]


@pytest.mark.parametrize("language", languages())
def test_a_text_of_an_engine_stands_for_another_one_and_needs_no_more_facts(language: str) -> None:
    say = words(language)
    own = [key for key in say if key.startswith(OF_ENGINE)]
    assert len(own) > 50
    for key in own:
        instead = key.removeprefix(OF_ENGINE)
        assert instead in say, key
        assert words("en")[key] != words("en")[instead], key
        assert places(say[key]) <= places(say[instead]), key


@pytest.mark.parametrize("has_engine", [False, True])
def test_what_is_said_of_a_job_is_true_of_where_it_is_made_whatever_this_start_uses(has_engine: bool) -> None:
    select_texts(has_engine=has_engine)
    try:
        here, hosted = (words().about(job(dialect=dialect)) for dialect in ("openai", "v2"))
        assert here["phase.sent"] == "Sent to the engine"
        assert hosted["phase.sent"] == "Sent to the service"
        assert here.about(job(dialect="v1"))["phase.sent"] == "Sent to the service"
        assert words()["phase.sent"] == (here if has_engine else hosted)["phase.sent"]
    finally:
        select_texts()


@pytest.mark.parametrize("language", languages())
def test_a_visitor_of_a_public_page_is_told_of_its_owners_machine(language: str) -> None:
    say = words(language)
    keys = [key.removeprefix("public.") for key in say if key.startswith("public.")]
    private = {key: say[key] for key in keys}
    select_texts(has_engine=True, is_public=True)
    try:
        assert {key: say[key] for key in keys} == {key: say[f"public.{key}"] for key in keys}
        free = engine_estimate(VideoRequest(prompt="x"), [], 0.0)
        for said in (say.price(free), say.generate_label(free, is_preview=False, count=2), say["app.engine"]):
            assert {"en": "owner's", "zh": "所有者的"}[language] in said.lower()
        said = " ".join([*(say[key] for key in keys), say.price(free)])
        assert not re.search(r"\byour own|one's own|你自己|自有", said)
    finally:
        select_texts()
    assert {key: say[key] for key in keys} == private
    assert all(places(say[key]) == places(say[f"public.{key}"]) for key in keys)


CODES: Final = [key.removeprefix("error.") for key in words() if key.startswith("error.") and key not in ELSEWHERE]


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("status", list(JobStatus))
def test_no_card_of_a_job_at_an_engine_speaks_of_the_service(
    status: JobStatus, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = job(dialect="openai", status=status, request_id="r-1234567")
    for said in texts_of_cards(stored, CODES, language, monkeypatch):
        assert not OF_SERVICE[language].search(said), said


@pytest.mark.usefixtures("engine_start")
@pytest.mark.parametrize("language", languages())
def test_the_pages_scripts_say_it_too(language: str) -> None:
    said = words(language).of_scripts()
    assert said["owner.charged"] == words(language)["engine.owner.charged"]
    assert not [key for key in said if key.startswith(OF_ENGINE)]


@pytest.mark.usefixtures("engine_start")
@pytest.mark.parametrize("code", ["breaker_open", "breaker_open_queued"])
def test_runs_without_a_video_are_not_called_paid_at_an_engine(code: str) -> None:
    # Its time may be free, and nothing of it is paid for by a job.
    assert not re.search(r"\bpaid\b|spending|cost", words("en")[f"error.{code}"])
    assert not re.search("付费|花费|花钱", words("zh")[f"error.{code}"])
