"""A filled data folder, and the command that moves it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui import cli_copy
from hunyuan_ui.job import new_id
from hunyuan_ui.jobs import Order
from hunyuan_ui.ledger import FILE_NAME, ReplicaInfo, open_shared
from hunyuan_ui.library import bucket as door
from hunyuan_ui.library.bucket import BucketLimits
from hunyuan_ui.prompt_list import read_list
from tests.faults.conftest import impatient as impatient
from tests.faults.conftest import service as service
from tests.faults.rig import OWNER, STRANGER, Rig, click, ended, kill, until
from tests.faults.service import PaidService
from tests.postgres_server import PASSWORD, PostgresServer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten a bucket's timeouts."""
    monkeypatch.setattr(door, "LIMITS", BucketLimits(connect_s=1.0, answer_s=2.0, rest_s=0.05))


@pytest.fixture
def rig(tmp_path: Path, service: PaidService) -> Rig:
    """Opens runners on a data folder without a database."""
    return Rig(tmp_path / "data", service.origin, settings={"daily_limit_usd": 1000.0})


@pytest.fixture
def target(tmp_path: Path, postgres_server: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres_server.url(tmp_path / "target")


class Said:
    """Result of a run of the command."""

    def __init__(self, code: int, captured: Any) -> None:
        self.code = code
        self.out, self.err = captured.out, captured.err

    @property
    def facts(self) -> dict[str, Any]:
        return json.loads(self.out)


@pytest.fixture
def move(rig: Rig, target: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command; its output must not contain the password."""

    def run(*arguments: str, **environ: str) -> Said:
        told = ["copy", "--from", str(rig.folder), "--json", *arguments]
        code = cli_copy.main(told, {"HUNYUAN_UI_DATABASE_URL": target, **environ})
        said = Said(code, capsys.readouterr())
        assert PASSWORD not in said.out + said.err
        return said

    return run


async def filled(rig: Rig, service: PaidService) -> list[str]:
    """Fill a data folder with one job of each kind, kill the process with some in flight, and return the ids."""
    dying = rig.open()
    await dying.start()
    ids = [await click(dying) for _ in range(3)]
    ids.append(await click(dying, visitor=STRANGER))
    for job_id in ids:
        await ended(dying, job_id)
    await dying.delete(ids[0], OWNER)
    sent = await dying.batches.start(read_list("a heron\na stork", "campaign"), Order(OWNER, 10.0))
    await dying.batches.view(sent.list_id, OWNER, wait_s=60)
    service.is_held = True
    ids += [await click(dying) for _ in range(6)]
    await until(lambda: len(service.posts()) >= 8)
    await kill(dying)
    service.is_held = False
    return ids


def rows_of(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        return connection.execute("SELECT * FROM jobs ORDER BY id").fetchall()


def ids_at(target: str) -> set[str]:
    with closing(open_shared(target, ReplicaInfo(new_id(), "test", 4, one_each=False))) as ledger:
        return ledger.ids()
