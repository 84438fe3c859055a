"""A list of two hundred prompts, killed five times and resubmitted each time, against a service with its own bill."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

from hunyuan_ui.endpoint import contract
from hunyuan_ui.job import MICRO, Job, JobStatus
from hunyuan_ui.ledger import Ledger
from hunyuan_ui.prompt_list import list_id
from tests.faults.kill import ForkServer, fork_server
from tests.faults.service import COST_USD, FILE, STATUS, PaidService
from tests.raw_service import answer, html, rate_limited, reset
from tests.stored_jobs import database_in, url_in

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("database")]

PROMPTS = [f"a heron, take {number}" for number in range(200)]
TEXT = "\n".join(PROMPTS)
LIMITS = {"daily_limit_usd": 10_000.0}
LIST = list_id("", "campaign")
KILLS = [
    ("ledger.add.committed", 13),
    ("ledger.claim.committed", 17),
    ("ledger.running.commit", 11),
    ("ledger.downloading.committed", 19),
    ("ledger.done.begin", 9),
]


def run(forks: ForkServer, service: PaidService, folder: Path, budget_usd: float, **options: object) -> int:
    url = url_in(folder)
    common = {"folder": str(folder), "origin": service.origin, "dialect": "v2", "settings": LIMITS}
    common["database_url"] = None if url is None else url.reveal()
    return forks.run(**common, list=TEXT, budget_usd=budget_usd, **options)


def stored(folder: Path) -> tuple[list[Job], float]:
    """Return the list's jobs, and what it has spent by the ledger."""
    with closing(Ledger(database_in(folder, can_write=False))) as ledger:
        return ledger.of_list(LIST), ledger.list_spent(LIST) / MICRO


def misbehave(service: PaidService) -> None:
    """Make retryable requests fail now and then, and one row be refused."""
    service.on("GET", STATUS, [html(502), reset(), answer(500), rate_limited("retry-after", 1)])
    service.on("GET", FILE, [reset(), html(503)])
    service.on("POST", contract.SUBMIT_V2, [rate_limited("retry-after", 1), answer(422, {"error": "no"})])


@pytest.mark.slow
def test_a_list_that_is_killed_five_times_pays_each_row_once_and_keeps_its_budget(tmp_path: Path) -> None:
    folder, budget_usd = tmp_path / "data", 150.0
    with PaidService() as service, fork_server() as forks:
        misbehave(service)
        for kill_at in KILLS:
            assert run(forks, service, folder, budget_usd, kill_at=kill_at) == -signal.SIGKILL
            _, spent_usd = stored(folder)
            assert len(service.bill) * COST_USD <= spent_usd + 1e-9 <= budget_usd + 1e-9
        assert run(forks, service, folder, budget_usd) == 0
        jobs, spent_usd = stored(folder)
        unknown = sum(job.status is JobStatus.UNKNOWN for job in jobs)
        most = max(job.reserved_microusd for job in jobs) / MICRO
        assert budget_usd - most < spent_usd <= budget_usd
        assert set(service.billed().values()) == {1}
        before = len(service.bill)

        assert run(forks, service, folder, budget_usd) == 0
        assert len(service.bill) == before

        assert run(forks, service, folder, 1000.0) == 0
        jobs, spent_usd = stored(folder)
        assert len(jobs) == len({job.request.prompt for job in jobs}) == len(PROMPTS)
        failed = [job for job in jobs if job.status is JobStatus.FAILED]
        done = [job for job in jobs if job.status is JobStatus.DONE]
        assert len(failed) == 1
        assert len(done) + len(failed) + unknown == len(PROMPTS)
        assert unknown <= 2 * 4  # a kill leaves at most as many in doubt as are sent concurrently
        assert set(service.billed().values()) == {1}
        assert {job.request.prompt for job in done} <= service.billed().keys()
        in_doubt = [job.counted_microusd for job in jobs if job.status is JobStatus.UNKNOWN]
        assert spent_usd == pytest.approx(len(done) * COST_USD + sum(in_doubt) / MICRO)
        assert len(service.bill) <= len(done) + unknown
