"""The texts on a job's card, from the job alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.estimate import engine_estimate, estimate
from hunyuan_ui.job import Job, JobProblem, JobStatus, Payer, Phase
from hunyuan_ui.jobs import JobView
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.views import as_json, ending_of
from hunyuan_ui.words import words
from tests.stored_jobs import job

PRIVATE = Settings(data_dir=Path("data"), api_key=Secret("SG_0123456789abcdef"))
PUBLIC = replace(PRIVATE, share=True, daily_limit_usd=10.0)
CONSOLE = PRIVATE.console_url


def view_of(**facts: Any) -> JobView:
    stored = facts.pop("job", None) or job()
    return JobView(stored, facts.pop("phase", Phase.WAITING), 0.0, estimate(stored.request), **facts)


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({"place": 2, "starts_in_s": 240.0}, "Starts in about 4 min."),
        ({"place": 1, "starts_in_s": 45.0}, "Starts in about 45 s."),
        ({"place": 3, "starts_in_s": 3 * 3600.0}, "Starts in about 3 h."),
        ({"place": 1, "starts_in_s": 2.0}, "Next in line."),
        ({"place": 1}, "Next in line."),
        ({"place": 4}, "Number 4 in line."),  # unpredictable
        ({"place": 4, "starts_in_s": 240.0, "retry_in_s": 9.2}, "Tried again in 9 s."),
        ({}, ""),
    ],
)
def test_a_job_in_the_queue_says_when_it_starts(facts: dict[str, Any], note: str) -> None:
    assert as_json(view_of(**facts), words())["note_text"] == note


@pytest.mark.parametrize("phase", list(Phase))
def test_only_what_is_known_to_go_on_is_called_still_going(phase: Phase) -> None:
    told = as_json(replace(view_of(phase=phase), elapsed_s=9999.0), words())
    is_going = phase in {Phase.SENT, Phase.IN_SERVICE_QUEUE, Phase.RENDERING, Phase.DOWNLOADING}
    assert (told["is_late"], "still going" in told["note_text"]) == (is_going, is_going)


@pytest.mark.parametrize("status", list(JobStatus))
def test_what_ended_without_a_video_offers_the_next_step_with_its_price(status: JobStatus) -> None:
    view = view_of(job=job(status=status, request_id="r-1234567"), phase=Phase.ENDED)
    told = ending_of(view, PRIVATE, words())
    if view.job.is_active or status is JobStatus.DONE:
        assert told == {}
        return
    assert told["again_text"].startswith("Put it back" if status is JobStatus.CANCELLED else "Try again")
    assert told["again_text"].endswith("· about $1.46, at most $2.20")
    assert told["most_usd"] == view.usual.high_usd
    assert told["request_id"] == "r-1234567"
    assert told["settings"] == view.job.request.model_dump()


def test_a_preview_is_tried_again_for_nothing() -> None:
    told = ending_of(view_of(job=job(status=JobStatus.FAILED, payer="nobody")), PUBLIC, words())
    assert (told["again_text"], told["most_usd"]) == ("Try again · free preview", 0.0)


@pytest.mark.parametrize(
    ("settings", "payer", "url"),
    [
        (PRIVATE, "owner", CONSOLE),
        (PUBLIC, "owner", ""),  # the account is not the visitor's
        (PUBLIC, "visitor", CONSOLE),
        (PRIVATE, "nobody", ""),
        (replace(PRIVATE, base_url="http://127.0.0.1:8010"), "owner", ""),
    ],
)
def test_the_account_is_shown_to_whose_it_is(settings: Settings, payer: Payer, url: str) -> None:
    lost = view_of(job=job(status=JobStatus.LOST, payer=payer))
    assert ending_of(lost, settings, words())["account_url"] == url


def test_a_job_that_an_engine_lost_is_sent_again_at_its_own_price_and_is_in_no_account() -> None:
    usual = engine_estimate(VideoRequest(prompt="x"), [], 2.5)
    told = ending_of(replace(view_of(job=job(status=JobStatus.LOST, dialect="openai")), usual=usual), PRIVATE, words())
    assert told["again_text"] == f"Try again · {words().price(usual)}"
    assert (told["most_usd"], told["account_url"]) == (usual.high_usd, "")


@pytest.mark.parametrize(("language", "between"), [("en", " "), ("zh", "")])
def test_sentences_follow_each_other_as_the_language_writes_them(language: str, between: str) -> None:
    say = words(language)
    note = JobProblem.from_code("rate_limited", seconds=30)
    told = as_json(view_of(phase=Phase.PAUSED, note=note, retry_in_s=30.0), say)
    assert told["note_text"] == say.sentence(note) + between + say("wait.retry_in", seconds=30)


@pytest.mark.parametrize("stored", [job(), job(dialect="openai"), job(payer="nobody")])
@pytest.mark.parametrize(("language", "again"), [("en", "again"), ("zh", "重试")])
@pytest.mark.parametrize("code", ["rate_limited", "download_failed"])
def test_what_is_tried_again_says_so_once(code: str, language: str, again: str, stored: Job) -> None:
    note = JobProblem.from_code(code, seconds=30, reason="503")
    told = as_json(view_of(job=stored, phase=Phase.PAUSED, note=note, retry_in_s=30.0), words(language))
    assert told["note_text"].count(again) == 1
    # The same sentence answers a key that is entered, which nobody tries again.
    assert again not in words(language).about(stored).sentence(note)


@pytest.mark.parametrize(
    ("code", "needs_key"),
    [
        ("key_forgotten", True),
        ("key_forgotten_unsent", True),
        ("key_other", True),
        ("owner_key_other", False),
        ("unreachable_sent", False),
        (None, False),
    ],
)
def test_the_page_knows_which_jobs_go_on_only_with_their_visitors_key(code: str | None, needs_key: bool) -> None:
    note = None if code is None else JobProblem.from_code(code, reason="the connection broke")
    assert as_json(view_of(phase=Phase.PAUSED, note=note), words())["needs_key"] is needs_key
