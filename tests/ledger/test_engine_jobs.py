"""The ledger's queries about jobs on a self-hosted engine, separate from those of the hosted service."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.estimate import Outcome
from hunyuan_ui.job import JobStatus
from hunyuan_ui.ledger import Ledger
from tests.stored_jobs import added, finished, in_status, job, opened_ledger

pytestmark = pytest.mark.usefixtures("database")  # every test on SQLite and on PostgreSQL

ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
OTHER = "video_gen_" + "0f" * 16


def done(seconds: float, dialect: str, **facts: Any) -> dict[str, Any]:
    return {"status": JobStatus.DONE, "dialect": dialect, "inference_s": seconds, "cost_microusd": 20_000, **facts}


def test_an_engine_and_the_hosted_service_teach_nothing_of_each_other(ledger: Ledger) -> None:
    for seconds, dialect, payer in (
        (60.0, "openai", "owner"),
        (211.0, "v2", "owner"),
        (220.0, "v1", "owner"),
        (6.0, "v2", "nobody"),
    ):
        assert ledger.adopt(job(**done(seconds, dialect, payer=payer, ended_at=seconds)))
    assert ledger.outcomes("owner", of_engine=True) == [Outcome(200, 60.0, 0.02)]
    assert [outcome.inference_s for outcome in ledger.outcomes("owner")] == [220.0, 211.0]
    assert [outcome.inference_s for outcome in ledger.outcomes("nobody")] == [6.0]


def test_an_engines_work_is_summed_with_deleted_jobs_and_without_other_services(ledger: Ledger) -> None:
    assert ledger.engine_seconds() == 0.0
    assert ledger.adopt(job(**done(60.0, "openai", ended_at=1.0)))
    assert ledger.adopt(job(**done(1000.0, "v2", ended_at=1.0)))
    ledger.hide(finished(ledger, dialect="openai").id)
    assert ledger.engine_seconds() == 60.0 + 211.0


def test_a_start_that_has_written_nothing_yet_knows_whose_a_request_is(tmp_path: Path, ledger: Ledger) -> None:
    in_status(ledger, JobStatus.DONE, request_id=ID)
    sent = in_status(ledger, JobStatus.SUBMITTING, dialect="openai")
    ledger.close()
    with closing(opened_ledger(tmp_path)) as again:
        assert again.unclaimed(sent, [ID, OTHER]) == [OTHER]


@pytest.mark.parametrize("written", [ID, ID.replace("-", ""), ID.upper()])
def test_a_request_that_another_job_has_is_not_free(ledger: Ledger, written: str) -> None:
    in_status(ledger, JobStatus.DONE, request_id=ID)
    sent = in_status(ledger, JobStatus.SUBMITTING, dialect="openai")
    assert ledger.unclaimed(sent, [written, OTHER]) == [OTHER]
    assert ledger.unclaimed(sent, []) == []


def test_a_request_of_a_deleted_job_is_not_free(ledger: Ledger) -> None:
    deleted = finished(ledger, dialect="openai")
    ledger.hide(deleted.id)
    sent = in_status(ledger, JobStatus.SUBMITTING, dialect="openai")
    assert ledger.unclaimed(sent, ["request-1"]) == []


@pytest.mark.parametrize(
    ("status", "prompt", "dialect", "is_free"),
    [
        (JobStatus.SUBMITTING, "a fox", "openai", False),
        (JobStatus.UNKNOWN, "a fox", "openai", False),
        (JobStatus.QUEUED, "a fox", "openai", True),
        (JobStatus.SUBMITTING, "a heron", "openai", True),
        (JobStatus.UNKNOWN, "a fox", "v2", True),
    ],
)
def test_what_two_jobs_could_have_sent_is_neithers(
    ledger: Ledger, status: JobStatus, prompt: str, dialect: str, is_free: bool
) -> None:
    sent = in_status(ledger, JobStatus.SUBMITTING, dialect="openai")
    if status is JobStatus.QUEUED:
        added(ledger, prompt, dialect=dialect)
    else:
        assert ledger.adopt(job(prompt, status=status, dialect=dialect))
    assert (ledger.unclaimed(sent, [OTHER]) == [OTHER]) is is_free
