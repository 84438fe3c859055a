"""What a process publishes of its jobs, where the database has lost it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hunyuan_ui.job import JobStatus
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import STRANGER, Rig, click, kill, until
from tests.faults.service import PaidService
from tests.postgres_server import PostgresServer, load_rows, rows_of
from tests.scale.test_two_runners import OWN_KEY, PUBLIC

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


@pytest.fixture
def rig(tmp_path: Path, service: PaidService, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Opens runners on one folder and one database, of a service that keeps each job running."""
    monkeypatch.setattr("tests.stored_jobs.server", postgres_server)
    service.is_held = True
    return Rig(tmp_path / "data", service.origin, settings=PUBLIC)


@pytest.mark.parametrize("way", ["lost", "sent again", "reset"])
async def test_a_job_that_waits_for_its_key_takes_no_slot_again_after_a_failover(
    rig: Rig, postgres_server: PostgresServer, way: str
) -> None:
    dying = rig.open()
    await dying.start()
    await dying.keys.remember(OWN_KEY, STRANGER)
    before = rows_of(postgres_server.url(rig.folder))
    job_id = await click(dying, visitor=STRANGER, payer="visitor")
    await until(lambda: dying._dispatcher.live[job_id].job.status is JobStatus.RUNNING)
    await kill(dying)
    async with rig.running() as runner:
        ledger = runner._services.ledger
        assert isinstance(ledger, SharedLedger)

        def is_parked() -> bool:
            return [seen.takes_place for seen in ledger.board() if seen.process == ledger.process] == [False]

        await until(is_parked, 20.0)
        if way == "lost":
            load_rows(postgres_server.url(rig.folder), before)
        elif way == "sent again":
            lost = replace(runner._dispatcher.live[job_id].job, status=JobStatus.QUEUED, sent_at=None)
            with ledger._transaction("failover"):
                ledger._set(job_id, {"status": lost.status.value, "sent_at": None, **ledger._own})
        else:
            with ledger._transaction("reset"):
                ledger._set(job_id, ledger._own)
        assert not is_parked()
        await until(is_parked, 20.0)
