"""Two processes behind a pooler in transaction mode, where a connection changes clients after each transaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hunyuan_ui.job import JobStatus, new_id
from hunyuan_ui.ledger import ReplicaInfo, open_shared
from hunyuan_ui.ledger.shared_ledger import SharedLedger
from tests.pooler import TransactionPooler
from tests.postgres_server import PostgresServer
from tests.stored_jobs import added

_OFTEN = 12  # enough repetitions for a client to prepare a statement


@pytest.fixture
def ledgers(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[list[SharedLedger]]:
    """Two processes behind one pooler."""
    pooler = TransactionPooler(postgres_server.url(tmp_path))
    made = [open_shared(pooler.url, ReplicaInfo(new_id(), name, slots=99, one_each=False)) for name in ("one", "two")]
    for ledger in made:
        ledger.renew_lease()
    yield made
    for ledger in made:
        ledger.close()
    pooler.close()


def test_no_statement_of_one_process_is_taken_for_anothers(ledgers: list[SharedLedger]) -> None:
    one, two = ledgers
    for number in range(_OFTEN):
        one.totals("")
        sent = added(one, str(number))
        assert two.board()
        two.updates()
        two.renew_lease()
        assert one.claim(sent.id)
        one.mark_running(sent.id, new_id())
        added(two, str(number))
    assert [job.status for job in one.jobs(None)].count(JobStatus.RUNNING) == _OFTEN
    assert len(two.jobs(None)) == 2 * _OFTEN
    assert len(two.updates().own) == len(one.updates().own) == _OFTEN
