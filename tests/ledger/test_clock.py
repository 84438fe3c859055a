"""The ledger's clock when the machine's jumps: no new day starts, none lasts for ever, and the owner can correct it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hunyuan_ui import checkpoint
from hunyuan_ui.errors import SpendLimitError, StorageError
from hunyuan_ui.job import Job, JobProblem, JobStatus
from hunyuan_ui.ledger import Ledger
from hunyuan_ui.limits import SECONDS_BETWEEN_SUBMITS, SpendLimits
from hunyuan_ui.settings import Secret, Settings
from tests.stored_jobs import (
    ALICE,
    BOB,
    DAY_S,
    NOON,
    PRICE,
    added,
    anything_goes,
    database_in,
    file_of,
    finished,
    in_status,
    job,
)

pytestmark = pytest.mark.usefixtures("database")  # every test on SQLite and on PostgreSQL

CENTURY_S = 100 * 365.25 * DAY_S
HOUR_S = 3600.0


@dataclass
class Machine:
    """A settable clock and a monotonic one."""

    now: float = NOON
    steady: float = 1000.0

    def pass_(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.now += seconds
        self.steady += seconds

    def jump(self, seconds: float) -> None:
        """Change the settable clock."""
        self.now += seconds


def opened(folder: Path, machine: Machine) -> Ledger:
    folder.mkdir(exist_ok=True)
    return Ledger(database_in(folder), now=lambda: machine.now, steady=lambda: machine.steady)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def ledger(tmp_path: Path, machine: Machine) -> Iterator[Ledger]:
    with closing(opened(tmp_path / "data", machine)) as book:
        yield book


def clicked(ledger: Ledger, visitor: str = ALICE) -> Job:
    """Store and end a job as a public page with a limit of four videos a day does."""
    limits = Settings(
        data_dir=Path("unused"),
        api_key=Secret("SG_0123456789"),
        share=True,
        daily_limit_usd=4 * PRICE / 1e6,
        visitor_daily_videos=3,
    )
    made, _ = ledger.add(job(visitor=visitor), SpendLimits(limits).check)
    ledger.claim(made.id)
    ledger.mark_running(made.id, f"request-{made.id}")
    ledger.mark_downloading(made.id, request_id=None, result_url=None, cost_usd=PRICE / 1e6, inference_s=200.0)
    return ledger.mark_done(made.id, sha256="0" * 64, notes={})


def refusal(ledger: Ledger, visitor: str = ALICE) -> str | None:
    try:
        clicked(ledger, visitor)
    except SpendLimitError as error:
        return error.code
    return None


# normal operation


def test_time_goes_on_as_the_machine_says(ledger: Ledger, machine: Machine) -> None:
    for _ in range(3):
        added(ledger)
        machine.pass_(10.5)
        assert ledger.now() == machine.now
    machine.jump(DAY_S)
    assert ledger.now() == machine.now
    assert ledger.ahead_s == 0


@pytest.mark.parametrize("back_s", [1.0, HOUR_S, DAY_S, 40 * DAY_S])
def test_a_clock_set_back_goes_on_from_what_is_stored_as_fast_as_time_passes(
    ledger: Ledger, machine: Machine, back_s: float
) -> None:
    stored = added(ledger).created_at
    machine.jump(-back_s)
    assert ledger.now() == stored
    machine.pass_(50.0)
    assert ledger.now() == max(stored + 50.0, machine.now)
    assert added(ledger).created_at == ledger.now()
    machine.jump(back_s)
    assert ledger.now() == machine.now


def test_a_clock_that_is_set_back_and_right_again_lets_no_day_pass(ledger: Ledger, machine: Machine) -> None:
    finished(ledger)
    for days in (3, -3, 3, -3, 0.5, -0.5):
        machine.jump(-days * DAY_S)
        machine.pass_(1.0)
        assert ledger.totals(ALICE).today_microusd > 0
    assert ledger.now() == machine.now


@pytest.mark.parametrize("passed_s", [HOUR_S, 13 * HOUR_S])
def test_no_time_passes_that_only_one_clock_tells(ledger: Ledger, machine: Machine, passed_s: float) -> None:
    stored = added(ledger).created_at
    machine.jump(-10 * DAY_S)
    ledger.now()
    machine.now += passed_s
    assert ledger.now() == stored
    machine.steady += passed_s  # a machine that sleeps, or a stopped clock
    assert ledger.now() == stored


def test_what_was_only_told_is_not_held(ledger: Ledger, machine: Machine) -> None:
    finished(ledger)
    machine.jump(CENTURY_S)
    assert ledger.totals(ALICE).today_microusd == 0
    machine.jump(-CENTURY_S)
    assert ledger.now() == machine.now
    assert ledger.totals(ALICE).today_microusd > 0


# a century ahead


@pytest.mark.parametrize("jobs", [0, 1, 3])
def test_a_clock_that_was_once_a_century_ahead_refuses_nobody_for_longer_than_a_day(
    ledger: Ledger, machine: Machine, jobs: int
) -> None:
    assert refusal(ledger, BOB) is None
    machine.jump(CENTURY_S)
    for _ in range(jobs):
        assert refusal(ledger) is None
        machine.pass_(SECONDS_BETWEEN_SUBMITS)
    machine.jump(-CENTURY_S)
    assert (ledger.ahead_s > CENTURY_S - HOUR_S) == (jobs > 0)
    machine.pass_(SECONDS_BETWEEN_SUBMITS)
    assert refusal(ledger) == ("visitor_daily_videos" if jobs == 3 else None)
    machine.pass_(SECONDS_BETWEEN_SUBMITS)
    for _ in range(3):
        machine.pass_(DAY_S)
        for visitor in (ALICE, ALICE, ALICE, BOB):
            assert refusal(ledger, visitor) is None
            machine.pass_(SECONDS_BETWEEN_SUBMITS)
        assert refusal(ledger, BOB) == "over_daily_limit"


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("jobs", [0, 1, 3])
def test_the_owner_sets_the_dates_right_and_nothing_becomes_uncounted(
    tmp_path: Path, machine: Machine, jobs: int, restarts: bool
) -> None:
    ledger = opened(tmp_path / "data", machine)
    assert refusal(ledger, BOB) is None
    machine.jump(CENTURY_S)
    for _ in range(jobs):
        assert refusal(ledger) is None
        machine.pass_(SECONDS_BETWEEN_SUBMITS)
    machine.jump(-CENTURY_S)
    if restarts:
        ledger.close()
        ledger = opened(tmp_path / "data", machine)
    assert ledger.set_clock_right() == jobs
    assert (ledger.ahead_s, ledger.set_clock_right()) == (0, 0)
    assert ledger.now() == pytest.approx(machine.now)
    assert ledger.totals(ALICE).today_microusd == (jobs + 1) * PRICE
    assert ledger.totals(ALICE).visitor_today == jobs
    machine.pass_(SECONDS_BETWEEN_SUBMITS + 1)
    assert refusal(ledger) == ("over_daily_limit" if jobs == 3 else None)
    machine.pass_(DAY_S)
    assert ledger.totals(ALICE).today_microusd == 0
    assert refusal(ledger) is None
    assert [day.spent_microusd for day in ledger.days(0.0)] == [(jobs + 1 + (jobs < 3)) * PRICE, PRICE]
    ledger.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_stored_time_is_set_right_and_jobs_keep_their_order(ledger: Ledger, machine: Machine) -> None:
    before = finished(ledger)
    machine.pass_(1.0)
    under_way = added(ledger)
    ledger.claim(under_way.id)
    machine.jump(CENTURY_S)
    ahead = [added(ledger, str(number)) for number in range(20)]
    ledger.claim(ahead[0].id)
    ledger.requeue(ahead[0].id, ledger.now() + 30, None)
    ledger.mark_unknown(under_way.id, JobProblem.from_code("interrupted"))
    deleted = in_status(ledger, JobStatus.DONE, created_at=ledger.now(), ended_at=ledger.now())
    ledger.hide(deleted.id)
    machine.jump(-CENTURY_S)
    waits = added(ledger, "last")
    assert ledger.set_clock_right() == 23
    names = ("created_at", "updated_at", "sent_at", "ended_at", "not_before", "deleted_at")
    for row in file_of(ledger).reader.execute(f"SELECT {', '.join(names)} FROM jobs"):
        assert all(at is None or at == pytest.approx(NOON, abs=1.01) for at in row)
    newest_first = [found.id for found in ledger.jobs(None)]
    assert newest_first == [waits.id, *[made.id for made in reversed(ahead)], under_way.id, before.id]
    assert ledger.get(before.id) == before
    assert [found.id for found in ledger.active()] == [made.id for made in (*ahead, waits)]


@pytest.mark.parametrize("back_s", [HOUR_S, DAY_S])
def test_a_clock_that_is_merely_set_back_moves_no_date(ledger: Ledger, machine: Machine, back_s: float) -> None:
    made = finished(ledger)
    machine.jump(-back_s)
    assert (ledger.ahead_s, ledger.set_clock_right()) == (0, 0)
    assert ledger.get(made.id) == made


def test_dates_that_cannot_be_set_right_stay(tmp_path: Path, machine: Machine) -> None:
    def refuse(name: str) -> None:
        if name == "ledger.clock.commit":
            raise StorageError("disk_full", free="0 MB")

    machine.jump(CENTURY_S)
    with closing(opened(tmp_path / "data", machine)) as ledger:
        made = added(ledger)
        machine.jump(-CENTURY_S)
        checkpoint.hook = refuse
        with pytest.raises(StorageError):
            ledger.set_clock_right()
        assert ledger.ahead_s > 0
        assert ledger.get(made.id) == made


def test_a_file_from_the_future_holds_no_clock(ledger: Ledger, machine: Machine) -> None:
    ahead = machine.now + CENTURY_S
    in_status(ledger, JobStatus.DONE, created_at=ahead, sent_at=ahead, ended_at=ahead)
    assert ledger.ahead_s == 0
    assert ledger.now() == machine.now


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_copy_from_the_future_is_told_after_it_was_restored(tmp_path: Path, machine: Machine) -> None:
    folder = tmp_path / "data"
    machine.jump(CENTURY_S)
    with closing(opened(folder, machine)) as ledger:
        finished(ledger)
        ledger.database.back_up(folder)
    machine.jump(-CENTURY_S)
    (folder / "ledger.sqlite3").write_bytes(b"not a database any more" * 500)
    with closing(opened(folder, machine)) as ledger:
        assert ledger.ahead_s > 0
        assert ledger.set_clock_right() == 1
        assert ledger.totals(ALICE).today_microusd > 0
    with closing(opened(folder, machine)) as ledger:
        assert ledger.ahead_s == 0


def test_setting_right_while_jobs_are_stored_loses_none(ledger: Ledger, machine: Machine) -> None:
    machine.jump(CENTURY_S)
    ids = {ledger.add(replace(job(), reserved_microusd=number), anything_goes)[0].id for number in range(500)}
    machine.jump(-CENTURY_S)
    counted = ledger.totals(ALICE).total_microusd
    assert ledger.set_clock_right() == 500
    assert ledger.ids() == ids
    assert ledger.totals(ALICE).total_microusd == ledger.totals(ALICE).today_microusd == counted
