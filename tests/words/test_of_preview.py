"""Of a local preview, which is free, no text says that it was or may be charged, in any language."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any, Final

import pytest

from hunyuan_ui.errors import ALSO_WHEN_SENT, code_when_sent
from hunyuan_ui.job import JobProblem, JobStatus
from hunyuan_ui.words import languages, words
from tests.stored_jobs import job
from tests.words.job_cards import texts_of_cards

OF_PREVIEW: Final = "preview."
OF_MONEY: Final = {
    "en": re.compile(r"(?<!Nothing was )charged|\bpaid|\bpay\b|account|the service\b", re.I),
    "zh": re.compile(r"(?<!没有)收费|扣费|付费|账户|服务(?!器)"),
}
# What neither the local endpoint answers nor its client raises: a key's and an engine's troubles, a failure there.
OF_OTHERS: Final = re.compile("tls|rate_limited|key|not_allowed|engine|job_failed")
CODES: Final = [
    *(code_when_sent(code) for code in sorted(ALSO_WHEN_SENT) if not OF_OTHERS.search(code)),
    *("bucket_conflict", "bucket_garbled", "no_room_for_video", "video_not_written", "download_failed", "bad_answer"),
    *("ledger_put_back", "preview_gone"),
]


def places(text: str) -> set[tuple[str, str | None]]:
    return {(name, way) for _, name, way, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("status", list(JobStatus))
def test_no_card_of_a_preview_speaks_of_a_charge_or_of_the_service(
    status: JobStatus, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = job(payer="nobody", status=status, request_id="r-1234567", reserved_microusd=0)
    for said in texts_of_cards(stored, CODES, language, monkeypatch):
        assert not OF_MONEY[language].search(said), said


@pytest.mark.parametrize("language", languages())
def test_a_text_of_a_preview_stands_for_another_one_and_needs_no_more_facts(language: str) -> None:
    say = words(language)
    own = [key for key in say if key.startswith(OF_PREVIEW)]
    assert own
    for key in own:
        instead = key.removeprefix(OF_PREVIEW)
        assert say[key] != say[instead], key
        assert places(say[key]) <= places(say[instead]), key
        assert not OF_MONEY[language].search(say[key]), key


@pytest.mark.parametrize("language", languages())
def test_no_notification_of_a_previews_end_speaks_of_a_charge(language: str) -> None:
    say = words(language).about(job(payer="nobody"))
    for status in ("done", "failed", "lost", "unknown"):
        said = say(f"notify.{status}", price=say["notify.free"], job="0123abcd")
        assert not OF_MONEY[language].search(said), said


def test_the_preview_is_a_jobs_and_no_starts() -> None:
    say = words().about(job(payer="nobody"))
    assert say["phase.in_service_queue"] == "In the queue"
    assert say.about(job())["phase.in_service_queue"] == words()["phase.in_service_queue"] == "In the service's queue"
    assert say.about(job(dialect="openai"))["phase.in_service_queue"] == "In the engine's queue"


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("facts", [{"payer": "nobody"}, {"dialect": "openai"}, {}])
def test_a_jobs_problem_is_told_in_the_words_for_what_makes_it(facts: dict[str, Any], language: str) -> None:
    problem, say = JobProblem.from_code("unreachable_sent", reason="x"), words(language)
    stored = job(status=JobStatus.LOST, problem=problem, **facts)
    hosted = say.about(job()).sentence(problem)
    told = say.problem_of(stored)
    assert (told == hosted) == (not facts)
    assert say.problem_of(job()) is None
