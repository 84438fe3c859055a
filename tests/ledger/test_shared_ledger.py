"""Several ledgers on one database: leases, ownership of jobs, and the rights of a process that lost its jobs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hunyuan_ui.errors import HunyuanUIError
from hunyuan_ui.job import Job, JobProblem, JobStatus
from hunyuan_ui.ledger import TakenOverError, shared_stores
from hunyuan_ui.ledger.connection import Cursor, Values
from hunyuan_ui.ledger.postgres import _Statements, open_postgres
from hunyuan_ui.limits import Totals
from tests.ledger.one_database import Opened, lapse, statuses
from tests.ledger.one_database import opened as opened
from tests.postgres_server import PostgresServer
from tests.stored_jobs import ALICE, BOB, DAY_S, NOON, PRICE, Clock, added, anything_goes, finished, in_status, job


def test_a_deleted_job_leaves_nothing_that_was_published_of_it(opened: Opened) -> None:
    ledger = opened()
    sent = added(ledger)
    ledger.claim(sent.id)
    ledger.mark_running(sent.id, "request-1")
    ledger.show({sent.id: ('{"note": "no heron in the prompt"}', True)})
    ledger.mark_lost(sent.id, JobProblem.from_code("video_lost", request_id="request-1"))
    ledger.hide(sent.id)
    assert "heron" not in str(ledger._connection.execute("SELECT * FROM jobs").fetchall())


def test_no_step_of_a_job_goes_to_the_server_more_often_than_it_must(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides begin and commit: one read of the job, with everything else that the step needs, and the change."""
    ledger, asked = opened(), list[str]()

    def execute(self: Any, statement: str, values: Values = ()) -> Cursor:
        asked.append(statement)
        return run(self, statement, values)

    run = _Statements.execute
    monkeypatch.setattr(_Statements, "execute", execute)
    finished(ledger)
    steps = ["SELECT", "INSERT", *["SELECT", "UPDATE"] * 4]
    assert [statement.split()[0] for statement in asked] == steps


def test_a_dead_ones_jobs_are_taken_once_and_what_it_was_sending_is_unknown(opened: Opened) -> None:
    dead, one, two = opened("dead"), opened("one"), opened("two")
    queued, sending, running, loading = (added(dead, str(number)) for number in range(4))
    for sent in (sending, running, loading):
        dead.claim(sent.id, key="its key's mark")
    dead.mark_running(running.id, "r1")
    dead.mark_running(loading.id, "r2")
    dead.mark_downloading(loading.id, request_id="r2", result_url=None, cost_usd=1.0, inference_s=1.0)
    dead.renew_lease()
    assert not one.updates().has_unowned
    assert one.take_over() == []
    lapse(one, two)
    assert one.updates().has_unowned
    marks = {taken.id: taken.notes.get("key") for taken in one.take_over()}
    assert marks == {queued.id: None, running.id: "its key's mark", loading.id: "its key's mark"}
    assert two.take_over() == []
    assert not two.updates().has_unowned
    assert one.updates().own == {queued.id, running.id, loading.id}
    unknown = one.get(sending.id)
    assert unknown is not None
    assert (unknown.status, unknown.ended_at) == (JobStatus.UNKNOWN, unknown.updated_at)
    assert [replica.name for replica in one.replicas()] == ["one", "two"]


def test_who_wakes_up_late_loses_every_transition(opened: Opened) -> None:
    late, other = opened("late"), opened("other")
    queued, running = added(late, "a"), added(late, "b")
    late.claim(running.id)
    late.mark_running(running.id, "r1")
    lapse(other)
    assert len(other.take_over()) == 2
    late.renew_lease()
    problem = JobProblem.from_code("interrupted")
    assert late.claim(queued.id) is None
    for change in (
        lambda: late.own(queued.id),
        lambda: late.mark_failed(queued.id, problem),
        lambda: late.mark_running(running.id, "r1"),
        lambda: late.mark_downloading(running.id, request_id="r1", result_url=None, cost_usd=1, inference_s=1),
        lambda: late.mark_lost(running.id, problem),
        lambda: late.mark_unknown(running.id, problem),
    ):
        with pytest.raises(TakenOverError):
            change()
    late.show({job.id: ("{}", False) for job in (queued, running)})
    assert {(seen.shown, seen.takes_place) for seen in other.board()} == {(None, True)}
    assert sorted(statuses(other)) == [JobStatus.QUEUED, JobStatus.RUNNING]
    assert other.claim(queued.id) is not None
    assert late.claim(queued.id) is None  # the other one is sending it
    assert late.updates().own == set()


def test_after_an_outage_nobody_is_buried_before_they_can_say_that_they_live(opened: Opened) -> None:
    one, two = opened("one"), opened("two")
    added(one)
    lapse()  # nobody could reach the server
    two.renew_lease()
    assert two.take_over() == []
    assert not two.updates().has_unowned
    one.renew_lease()
    lapse(one, two)
    assert two.take_over() == []
    assert len(one.replicas()) == 2


def test_who_leaves_in_order_hands_its_jobs_over_at_once(opened: Opened) -> None:
    leaving, staying = opened("leaving"), opened("staying")
    handed = added(leaving)
    leaving.leave()
    assert staying.updates().has_unowned
    assert [taken.id for taken in staying.take_over()] == [handed.id]


def test_a_job_that_waits_for_a_key_goes_to_who_has_it_unless_it_is_being_sent(opened: Opened) -> None:
    one, other = opened("one"), opened("other")
    parked, sending, waiting = (added(one) for _ in range(3))
    one.show({job.id: (None, False) for job in (parked, sending)})
    one.claim(sending.id)  # its key has just come, and what was published last is a moment old
    assert [taken.id for taken in other.take_parked([parked.id, sending.id, waiting.id])] == [parked.id]
    assert one.updates().own == {sending.id, waiting.id}


def test_what_was_asked_of_a_run_is_not_asked_of_the_next_one_nor_of_a_deleted_job(opened: Opened) -> None:
    ledger, problem = opened(), JobProblem.from_code("video_lost", request_id="request-1")
    lost, gone = added(ledger), added(ledger)
    for sent in (lost, gone):
        ledger.claim(sent.id)
        ledger.mark_running(sent.id, f"request of {sent.id}")
    ledger.record_request(lost.id, "stop")
    assert ledger.updates().requests == {lost.id: "stop"}
    for sent in (lost, gone):
        ledger.mark_lost(sent.id, problem)
    assert ledger.retry_lost(lost.id) is not None
    assert ledger.updates().requests == {}
    ledger.hide(gone.id)
    ledger.record_request(gone.id, "stop")
    assert ledger.to_delete() == [gone.id]


def test_a_queued_job_may_be_cancelled_at_any_process(opened: Opened) -> None:
    one, two = opened("one"), opened("two")
    queued = added(one)
    assert two.cancel(queued.id) is not None
    assert one.claim(queued.id) is None
    assert one.whose([queued.id])[queued.id][0].status is JobStatus.CANCELLED


@pytest.mark.parametrize("one_each", [False, True])
def test_a_job_whose_key_has_just_come_takes_its_place_at_once(opened: Opened, one_each: bool) -> None:
    one, two = (opened(name, places=9 if one_each else 1, one_each=one_each) for name in ("one", "two"))
    parked, waiting = added(one), added(two)
    one.show({parked.id: (None, False)})
    assert one.claim(parked.id) is not None
    assert two.claim(waiting.id) is None


def test_places_in_flight_are_counted_over_all(opened: Opened) -> None:
    one, two = opened("one", places=2), opened("two", places=2)
    first, second, third = added(one, "1"), added(two, "2"), added(two, "3")
    assert one.claim(first.id)
    assert two.claim(second.id)
    assert two.claim(third.id) is None
    two.mark_running(second.id, "request-2")
    two.show({second.id: (None, False)})  # it waits for its visitor's key
    assert two.claim(third.id)


def test_of_one_visitor_only_one_is_in_flight_at_all_processes(opened: Opened) -> None:
    one, two = opened("one", one_each=True), opened("two", one_each=True)
    hers, also_hers, his = added(one, visitor=ALICE), added(two, visitor=ALICE), added(two, visitor=BOB)
    assert one.claim(hers.id)
    assert two.claim(also_hers.id) is None
    assert two.claim(his.id)


def test_an_id_clicked_at_two_processes_at_once_is_one_job(opened: Opened) -> None:
    ledgers, clicked = [opened("one"), opened("two")], job()
    new = list[bool]()
    threads = [
        threading.Thread(target=lambda ledger=ledger: new.append(ledger.add(clicked, anything_goes)[1]))
        for ledger in ledgers * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [False] * 7 + [True]
    assert sum(len(ledger.updates().own) for ledger in ledgers) == 1


@pytest.mark.parametrize("ahead_s", [0.001, 3600.0, 2 * DAY_S])
def test_no_row_is_dated_before_what_a_process_whose_clock_is_ahead_has_stored(opened: Opened, ahead_s: float) -> None:
    late, early = opened("late", now=Clock(NOON)), opened("early", now=Clock(NOON + ahead_s))
    hers, his = added(late), added(early, visitor=BOB)
    assert his.updated_at == NOON + ahead_s
    assert late.cancel(hers.id) is not None
    assert late.whose([hers.id])[hers.id][0].updated_at >= his.updated_at
    assert added(late).created_at >= his.created_at


def test_a_job_counts_for_the_day_that_has_begun_at_another_process(opened: Opened) -> None:
    def note(_: Job, totals: Totals) -> None:
        shown.append(totals.today_microusd)

    shown = list[int]()
    late, early = opened("late", now=Clock(NOON)), opened("early", now=Clock(NOON + DAY_S))
    in_status(late, JobStatus.DONE, created_at=NOON, sent_at=NOON, cost_microusd=4 * PRICE)
    his = added(early, visitor=BOB)
    early.claim(his.id)
    late.add(job(), note)
    assert shown == [PRICE]


@pytest.mark.parametrize("wrong_s", [3 * DAY_S, -3 * DAY_S])
def test_a_machine_whose_clock_is_wrong_begins_no_day_for_all(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, wrong_s: float
) -> None:
    """The day of a limit is the server's."""
    right = opened("right")
    before = finished(right)
    time_s = time.time
    monkeypatch.setattr(time, "time", lambda: time_s() + wrong_s)
    wrong = opened("wrong")
    his = added(wrong)
    assert 0 <= his.created_at - before.created_at < 60
    wrong.claim(his.id)
    wrong.mark_sent_unknown([his.id])
    wrong.renew_lease()
    assert abs(wrong.now() - time_s()) < 60
    assert (wrong.ahead_s, abs(right.now() - time_s()) < 60) == (0, True)


def test_two_first_starts_at_once_make_one_set_of_tables(tmp_path: Path, postgres_server: PostgresServer) -> None:
    url, failed = postgres_server.url(tmp_path), list[HunyuanUIError]()

    def start() -> None:
        try:
            open_postgres(url).close()
        except HunyuanUIError as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("ahead_s", [60.0, 3600.0, 2 * DAY_S])
def test_who_takes_jobs_over_reads_their_times_by_the_clock_that_they_were_stored_with(
    opened: Opened, ahead_s: float
) -> None:
    """A job that must wait another minute must not wait for the difference between the clocks."""
    late, early = opened("late", now=Clock(NOON)), opened("early", now=Clock(NOON + ahead_s))
    limited = added(early)
    early.claim(limited.id)
    early.requeue(limited.id, early.now() + 60, None)
    early.leave()
    (taken,) = late.take_over()
    assert taken.not_before is not None
    assert taken.not_before - late.now() == 60


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_dead_ones_jobs_are_taken_after_the_servers_clock_has_jumped(
    jump_s: float, opened: Opened, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    dead, living, other = opened("dead"), opened("living"), opened("other")
    waiting = added(dead)
    with psycopg.connect(postgres_server.url(tmp_path)) as connection:
        connection.execute("UPDATE workers SET seen_at = seen_at - %s, since = since - %s", (jump_s, jump_s))
    living.renew_lease()
    assert living.take_over() == []  # no process has had the time to renew its lease
    lapse(living, other)
    assert [taken.id for taken in living.take_over()] == [waiting.id]
    assert [replica.name for replica in living.replicas()] == ["living", "other"]


def test_a_refused_job_is_taken_back_under_its_own_visitor_while_it_waits(opened: Opened) -> None:
    ledger = opened("one")
    waiting, sent = added(ledger), added(ledger)
    assert ledger.claim(sent.id)
    for stored in (waiting, sent):
        ledger.remove_refused(stored.id, BOB)
    assert len(ledger.jobs(None)) == 2
    for stored in (waiting, sent):
        ledger.remove_refused(stored.id, stored.visitor)
    assert [job.id for job in ledger.jobs(None)] == [sent.id]


# what is shared besides the jobs


def test_a_pause_ends_only_where_no_reason_for_it_is_left(opened: Opened) -> None:
    one, other = opened("one"), opened("other")
    problem = JobProblem.from_code("out_of_credits")
    one.pause(600.0, problem)
    other.pause(0.0, problem)  # the reason stays although this process has waited long enough
    other.pause(5.0, None)  # nor does a rate limit end it
    pause = one.updates().pause
    assert pause is not None
    assert (pause.wait_s > 590, pause.problem) == (True, problem)
    other.pause(0.0, None)
    pause = one.updates().pause
    assert pause is not None
    assert (pause.wait_s, pause.problem) == (0.0, None)


LIVE_LONGER = "UPDATE workers SET seen_at = seen_at + 60"


def test_what_is_shared_is_dropped_once_it_is_of_no_use(opened: Opened) -> None:
    ledger, other = opened("a"), opened("b")
    database = ledger.access._database
    database.run(LIVE_LONGER)
    for name in ("old", "new"):
        ledger.access.grant("gate", name)
        ledger.access.change_attempts([name], lambda now, _: [(0.0, now, 0.0)])
        ledger.calls.begin(name, name)
        ledger.lists.claim_list(name, "{}")
    other.lists.claim_list("of a living one", "{}")
    for change in (
        f"UPDATE grants SET at = at - {31 * DAY_S} WHERE visitor = 'old'",
        "UPDATE tries SET last = last - 3700 WHERE name = 'old'",
        f"UPDATE calls SET kept_until = kept_until - {2 * DAY_S} WHERE id = 'old'",
        f"UPDATE lists SET at = at - {2 * DAY_S} WHERE id <> 'new'",
        "UPDATE lists SET worker = 'gone' WHERE id = 'old'",
    ):
        database.run(change)
    ledger.access.change_attempts(["new"], lambda now, _: [(0.0, now, 0.0)])
    ledger.calls.begin("newer", "newer")
    ledger.lists.claim_list("new", "{}")
    assert ledger.access.granted(0.0)[0] == [("gate", "new")]
    assert database.run("SELECT name FROM tries") == [("new",)]
    assert database.run("SELECT id FROM calls ORDER BY id") == [("new",), ("newer",)]
    assert database.run("SELECT id FROM lists ORDER BY id") == [("new",), ("of a living one",)]


def test_a_grant_that_becomes_visible_a_moment_late_is_not_missed(opened: Opened) -> None:
    ledger = opened()
    _, since = ledger.access.granted(0.0)
    ledger.access.grant("gate", "visitor")
    ledger.access._database.run("UPDATE grants SET at = at - 3")  # its transaction began before the last read
    assert ledger.access.granted(since)[0] == [("gate", "visitor")]


def test_the_first_answer_to_a_call_and_the_word_of_a_lists_own_process_stay(opened: Opened) -> None:
    ledger, other = opened("a"), opened("b")
    ledger.access._database.run(LIVE_LONGER)
    ledger.calls.begin("call", "session")
    ledger.calls.end("call", "first")
    ledger.calls.end("call", "second")
    assert ledger.calls.take("session") == ([("call", "first")], 0)
    ledger.lists.claim_list("list", "own")
    other.lists.publish("list", "another's")
    assert other.lists.elsewhere("list") == {"list": "own"}
    other.lists.stop("list")
    assert ledger.lists.to_end(["list"]) == {"list": False}
    other.lists.claim_list("list", "anew")
    assert (ledger.lists.to_end(["list"]), other.lists.to_end(["list"])) == ({"list": True}, {})


@pytest.mark.parametrize("years", [0.01, 1, 100])
@pytest.mark.parametrize("step", ["add", "claim", "cancel", "look"])
def test_a_clock_that_is_set_right_at_one_process_is_right_at_all(opened: Opened, years: float, step: str) -> None:
    clock = Clock()
    one, other = opened("one", now=clock), opened("other", now=clock)
    early = added(other)
    clock.at += years * 365 * DAY_S
    added(one)
    added(other)
    clock.at = NOON + 60
    assert one.ahead_s > DAY_S
    assert other.ahead_s > DAY_S
    assert one.set_clock_right()
    match step:
        case "add":
            spent = list[int]()
            other.add(job(), lambda _, totals: spent.append(totals.today_microusd))
            assert spent == [3 * PRICE]
        case "claim":
            other.claim(early.id)
        case "cancel":
            other.cancel(early.id)
        case _:
            other.updates()
    added(one)
    for ledger in (one, other):
        assert ledger.ahead_s == 0
        assert abs(ledger.now() - clock.at) < 1
    late = added(opened("late", now=clock))
    assert abs(late.created_at - clock.at) < 1
    clock.at -= 2 * DAY_S  # what was set right once protects as before
    assert other.now() >= NOON + 60


@pytest.mark.parametrize("stopped_s", [0.2, 0.3])
def test_a_grant_is_found_by_a_process_that_was_stopped_while_it_looked(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, stopped_s: float
) -> None:
    one, other = opened("one"), opened("other")
    execute, is_stopped = _Statements.execute, False
    monkeypatch.setattr(shared_stores, "_GRANT_COMMITS_S", 0.1)

    def stopped(self: Any, statement: str, values: Values = ()) -> Cursor:
        nonlocal is_stopped
        cursor = execute(self, statement, values)
        if not is_stopped:
            is_stopped = True
            other.access.grant("code", "a")
            time.sleep(stopped_s)
        return cursor

    monkeypatch.setattr(_Statements, "execute", stopped)
    found, since = one.access.granted(0.0)
    found += one.access.granted(since)[0]
    assert ("code", "a") in found
