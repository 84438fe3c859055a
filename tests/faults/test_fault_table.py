"""Every row of the fault table (docs/facts/faults-and-security.md 3), through a real runner against the raw service.

A case's id begins with the number of its row. Rows tested elsewhere are listed in `ELSEWHERE`.
"""

from __future__ import annotations

import importlib
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import COST_HEADER, CREDITS, GENERATE_V1, SUBMIT_V2
from hunyuan_ui.endpoint.segmind import Timeouts
from hunyuan_ui.job import MICRO, Job, JobStatus, Phase
from tests.engines import HEALTH, VIDEOS
from tests.faults import oracle
from tests.faults.rig import CALM, OWNER, SHORT, SHORT_GETS, Dialect, Rig, click, ended, kill, next_job_works, until
from tests.faults.service import FILE, HISTORY, RESULT, STATUS, PaidService, video_of
from tests.raw_service import (
    Received,
    Reply,
    answer,
    close,
    cut,
    garbage,
    gzip_bomb,
    html,
    huge,
    rate_limited,
    redirect,
    reset,
    silence,
    slow_body,
    slow_headers,
)
from tests.seen import seen

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

DONE, FAILED, UNKNOWN, LOST = JobStatus.DONE, JobStatus.FAILED, JobStatus.UNKNOWN, JobStatus.LOST
POST: dict[Dialect, str] = {"v2": SUBMIT_V2, "v1": GENERATE_V1, "openai": VIDEOS}
V2: Sequence[Dialect] = ("v2",)
V1: Sequence[Dialect] = ("v1",)
BOTH: Sequence[Dialect] = ("v2", "v1")
ENGINE: Sequence[Dialect] = ("openai",)
ALL: Sequence[Dialect] = ("v2", "v1", "openai")
JOB, CONTENT = f"{VIDEOS}/*", f"{VIDEOS}/*/content"
MP4 = video_of("anything")
NOTHING_THERE = answer(404, {"error": "not found"})
Misbehave = Callable[[PaidService, Dialect], None]


@dataclass(frozen=True)
class Case:
    """One fault: the service's behaviour, the job's ending, and its error code."""

    name: str
    misbehave: Misbehave
    status: JobStatus
    code: str | None = None
    dialects: Sequence[Dialect] = BOTH
    posts: int = 1
    is_forgiven: bool = False
    has_next: bool = True
    timeouts: Timeouts = CALM


def post(*replies: Reply) -> Misbehave:
    """Script the next POSTs."""
    return lambda service, dialect: service.on("POST", POST[dialect], list(replies))


def get(path: str, *replies: Reply, times: int = 1) -> Misbehave:
    """Script the next GETs of a path."""
    return lambda service, _: service.on("GET", path, list(replies) * times)


def both(*faults: Misbehave) -> Misbehave:
    """Misbehave in more than one way."""

    def misbehave(service: PaidService, dialect: Dialect) -> None:
        for fault in faults:
            fault(service, dialect)

    return misbehave


def link_to(url: str) -> Misbehave:
    """Name this address as the video's, permanently."""
    done = {"status": "COMPLETED", "output": url, "metrics": {"cost": 1.46}}
    never_there = answer(200, {"request_id": "0", "generation_url": url})
    return lambda service, _: (
        service.on("GET", HISTORY, never_there),
        service.on("GET", RESULT, answer(200, done)),
        service.on("GET", STATUS, answer(200, {"status": "COMPLETED"})),
    )[-1]


def away(service: PaidService, _: Dialect) -> None:
    service.refuse()


def costs(usd: float) -> Misbehave:
    """Charge another price than expected."""
    return lambda service, _: setattr(service, "cost_usd", usd)


def fails(error: object, name: str = "sglang") -> Misbehave:
    """Let an engine of this kind fail each job with this error."""
    return both(kind(name), lambda service, _: setattr(service.engine, "fails", error))


def kind(name: str) -> Misbehave:
    """Be another engine."""
    return lambda service, _: setattr(service.engine, "kind", name)


def echo(service: PaidService, dialect: Dialect) -> None:
    """Echo all headers, including the key."""

    def act(wire: Any, received: Received) -> None:
        sent = received.headers.get("x-api-key") or received.headers["authorization"]
        answer(400, {"error": f"bad header: {sent}"}).act(wire, received)

    service.on("POST", POST[dialect], [Reply(act, bills=False)])


def pieces(at: int, framing: str) -> Reply:
    return cut(MP4, at, framing=framing, content_type="video/mp4")


def short_length(count: int) -> Reply:
    """Announce fewer bytes than are sent."""
    return answer(200, MP4, content_type="video/mp4", headers={"Content-Length": str(count)})


GONE = get(HISTORY, NOTHING_THERE, times=500)
CASES: tuple[Case, ...] = (
    # 3a. submit
    Case("01-refused", away, FAILED, "unreachable", posts=0, dialects=ALL),
    Case("05-dropped-while-sent", lambda s, _: s.drop_connections(), UNKNOWN, "no_answer", posts=0),
    Case("06-silence", post(silence()), UNKNOWN, "no_answer", timeouts=SHORT, dialects=ALL),
    Case("07-reset", post(reset()), UNKNOWN, "no_answer", dialects=ALL),
    Case("07-close", post(close()), UNKNOWN, "no_answer", dialects=ALL),
    Case("07-garbage-that-quotes-the-key", post(garbage()), UNKNOWN, "no_answer", dialects=ALL),
    Case("09-accepted", both(), DONE, dialects=V2),
    Case("10-no-id", post(answer(200, {"status": "QUEUED"})), UNKNOWN, "unreadable_answer", V2),
    Case("10-error-with-200", post(answer(200, {"error": "busy"})), UNKNOWN, "unreadable_answer", V2),
    Case("11-bytes", both(), DONE, dialects=V1),
    Case("12-error", post(answer(200, {"error": "busy"})), UNKNOWN, "unreadable_answer", V1),
    Case(
        "12-error-with-a-cost",
        post(answer(200, {"error": "busy"}, headers={COST_HEADER: "1.46"})),
        UNKNOWN,
        "unreadable_answer",
        V1,
    ),
    Case("13-bad-json", post(answer(200, b"{", content_type="application/json")), UNKNOWN, "unreadable_answer"),
    Case("14-400", post(answer(400, {"error": "bad"})), FAILED, "bad_body"),
    Case("14-400-that-quotes-the-key", echo, FAILED, "bad_body"),
    Case("14-422", post(answer(422, {"error": "no"})), FAILED, "refused_before_run"),
    Case("14-404", post(answer(404, {"error": "no model"})), FAILED, "model_unknown"),
    Case("14-410", post(answer(410, {"error": "retired"})), FAILED, "model_retired"),
    Case("15-401", post(answer(401, {"error": "Unauthorized"})), FAILED, "key_refused"),
    Case("15-403", post(answer(403, {"error": "Forbidden"})), FAILED, "not_allowed"),
    Case("16-405", post(html(405)), FAILED, "wrong_method"),
    Case("17-406-form", post(answer(406, {"error": "Invalid content type"})), FAILED, "wrong_content_type"),
    Case("18-406-credits", post(answer(406, {"error": "Insufficient credits"})), FAILED, "out_of_credits"),
    Case("18-402", post(answer(402, {"error": "Insufficient credits"})), FAILED, "out_of_credits"),
    Case("18-spend-limit", post(answer(402, {"error": "Team spend limit"})), FAILED, "team_spend_limit"),
    Case("19-retry-after", post(rate_limited("retry-after", 0)), DONE, posts=2, dialects=ALL),
    Case("20-reset-by-its-own-clock", post(rate_limited("reset", 1, clock_off_s=-86_400)), DONE, posts=2, dialects=ALL),
    Case("20-neither", post(rate_limited("neither")), DONE, posts=2, dialects=ALL),
    Case("21-500-in-json", post(answer(500, {"error": "CUDA"})), FAILED, "service_failed"),
    Case("22-502", post(html(502)), UNKNOWN, "gateway_failed"),
    Case("22-503", post(answer(503, {"error": "busy"}, bills=True)), UNKNOWN, "gateway_failed"),
    Case("22-504", post(html(504)), UNKNOWN, "gateway_failed"),
    Case("22-500-html", post(Reply(html(500).act, bills=True)), UNKNOWN, "gateway_failed"),
    Case("23-html-with-200", post(html(200)), UNKNOWN, "unreadable_answer"),
    Case("24-302", post(redirect("https://elsewhere.example/")), FAILED, "service_moved", dialects=ALL),
    Case("24-308", post(redirect("/v3/hunyuan-video", 308)), FAILED, "service_moved", dialects=ALL),
    Case("25-huge", post(huge()), UNKNOWN, "unreadable_answer"),
    Case("26-slow-headers", post(slow_headers()), UNKNOWN, "no_answer", timeouts=SHORT, dialects=ALL),
    Case("26-slow-body", post(slow_body()), UNKNOWN, "unreadable_answer", timeouts=SHORT),
    Case("27-gzip-bomb", post(gzip_bomb()), UNKNOWN, "unreadable_answer"),
    # 3b. poll and result
    Case(
        "28-every-poll-fails-some-way",
        both(
            get(STATUS, reset(), html(502), answer(200, b"{"), answer(408), rate_limited("neither"), silence()),
            get(RESULT, close(), answer(500, {"error": "x"}), answer(200, b"[]"), garbage()),
        ),
        DONE,
        dialects=V2,
        timeouts=SHORT_GETS,
    ),
    Case("28-the-key-is-refused-for-a-while", get(STATUS, answer(401, {"error": "no"}), times=3), DONE, dialects=V2),
    Case(
        "29-failed",
        both(get(STATUS, answer(422, {"status": "FAILED", "error": "prompt"}), times=500), GONE),
        FAILED,
        "job_failed",
        V2,
        is_forgiven=True,
        has_next=False,
    ),
    Case(
        "29-failed-with-200",
        both(get(STATUS, answer(200, {"status": "FAILED"}), times=500), GONE),
        FAILED,
        "job_failed_unexplained",
        V2,
        is_forgiven=True,
        has_next=False,
    ),
    Case(
        "29-failed-twice", get(STATUS, answer(422, {"status": "FAILED", "error": "busy"}), times=2), DONE, dialects=V2
    ),
    Case("30-young-404", both(get(STATUS, NOTHING_THERE), get(HISTORY, NOTHING_THERE)), DONE, dialects=V2),
    Case("30-expired-and-in-the-history", get(STATUS, NOTHING_THERE, times=500), DONE, dialects=V2),
    Case("30-gone", both(get(STATUS, NOTHING_THERE, times=500), GONE), LOST, "request_expired", V2, has_next=False),
    Case("31-unknown-word", get(STATUS, answer(200, {"status": "DREAMING"})), DONE, dialects=V2),
    Case("32-no-output-at-first", get(RESULT, answer(200, {"status": "COMPLETED"}), times=2), DONE, dialects=V2),
    Case(
        "32-no-output-ever",
        both(get(RESULT, answer(200, {"status": "COMPLETED"}), times=500), GONE),
        LOST,
        "no_video_in_result",
        V2,
        has_next=False,
    ),
    Case("33-costs-less", costs(0.5), DONE),
    Case("33-costs-more", costs(2.75), DONE),
    # 3c. download
    Case("34-cut", get(FILE, pieces(900, "length"), pieces(0, "length")), DONE, dialects=V2),
    Case("34-cut-chunk", get(FILE, pieces(900, "chunked")), DONE, dialects=V2),
    Case("34-cut-in-the-answer", post(pieces(900, "length")), LOST, "video_lost", V1),
    Case("35-cut-without-length", get(FILE, pieces(len(MP4) - 9, "none"), pieces(40, "none")), DONE, dialects=V2),
    Case("35-cut-in-the-answer", post(pieces(len(MP4) - 9, "none")), LOST, "video_unreadable", V1),
    Case("36-html", get(FILE, html(200), answer(200, {"error": "x"})), DONE, dialects=V2),
    Case("37-403-once", get(FILE, answer(403)), DONE, dialects=V2),
    Case("37-404-for-ever", get(FILE, answer(404), times=500), LOST, "video_lost", V2, has_next=False),
    Case("38-redirect-to-nowhere", get(FILE, redirect("//[")), DONE, dialects=V2),
    Case("39-private", link_to("http://169.254.169.254/latest"), LOST, "link_refused", V2, has_next=False),
    Case("39-file", link_to("https://127.0.0.1/x.mp4"), LOST, "link_refused", V2, has_next=False),
    Case("39-user", link_to("https://a:b@example.com/x.mp4"), LOST, "link_refused", V2, has_next=False),
    Case("40-huge", get(FILE, huge(start=MP4[:32])), DONE, dialects=V2),
    Case("41-drip", get(FILE, slow_body(200, MP4[:64])), DONE, dialects=V2),
    # 3d. this machine
    Case("54-balance-unknown", get(CREDITS, html(502), times=500), DONE),
    # self-hosted engine, where its responses differ
    Case("09-accepted", both(), DONE, dialects=ENGINE),
    Case("05-dropped-on-health-and-post", lambda s, _: s.drop_connections(2), UNKNOWN, "no_answer", ENGINE, posts=0),
    Case("10-no-id", post(answer(200, {"status": "queued"})), UNKNOWN, "engine_unreadable", ENGINE),
    Case("13-bad-json", post(answer(200, b"{", content_type="application/json")), UNKNOWN, "engine_unreadable", ENGINE),
    Case("14-400", post(answer(400, {"detail": "bad"})), FAILED, "engine_refused", ENGINE),
    Case("14-400-that-quotes-the-key", echo, FAILED, "engine_refused", ENGINE),
    Case("14-422", post(answer(422, {"detail": [{"msg": "no"}]})), FAILED, "engine_refused", ENGINE),
    Case("15-401", post(answer(401, {"error": "Unauthorized"})), FAILED, "engine_key_refused", ENGINE),
    Case("16-405", post(html(405)), FAILED, "engine_refused", ENGINE),
    Case("21-500-in-json", post(answer(500, {"detail": "CUDA"}, bills=True)), UNKNOWN, "engine_unsure", ENGINE),
    Case("22-502", post(html(502)), UNKNOWN, "engine_unsure", ENGINE),
    Case("22-503", post(answer(503, {"detail": "x"}, bills=True)), UNKNOWN, "engine_unsure", ENGINE),
    Case("23-html-with-200", post(html(200)), UNKNOWN, "engine_unreadable", ENGINE),
    Case("25-huge", post(huge()), UNKNOWN, "engine_unreadable", ENGINE),
    Case("26-slow-body", post(slow_body()), UNKNOWN, "engine_unreadable", ENGINE, timeouts=SHORT),
    Case("27-gzip-bomb", post(gzip_bomb()), UNKNOWN, "engine_unreadable", ENGINE),
    Case(
        "28-every-poll-fails-some-way",
        get(JOB, reset(), html(502), answer(200, b"{"), answer(408), rate_limited("neither"), silence(), html(404)),
        DONE,
        dialects=ENGINE,
        timeouts=SHORT_GETS,
    ),
    Case("29-failed", fails("out of memory"), FAILED, "engine_failed", ENGINE, is_forgiven=True, has_next=False),
    Case(
        "29-failed-object",
        fails({"code": "x", "message": "no"}),
        FAILED,
        "engine_failed",
        ENGINE,
        is_forgiven=True,
        has_next=False,
    ),
    Case(
        "29-failed-500",
        fails({"message": "no"}, "vllm"),
        FAILED,
        "engine_failed",
        ENGINE,
        is_forgiven=True,
        has_next=False,
    ),
    Case(
        "29-failed-unexplained",
        fails({}),
        FAILED,
        "engine_failed_unexplained",
        ENGINE,
        is_forgiven=True,
        has_next=False,
    ),
    Case("30-young-404", get(JOB, answer(404, {"detail": "Video not found"})), DONE, dialects=ENGINE),
    Case(
        "30-restarted",
        get(JOB, answer(404, {"detail": "Video not found"}), times=500),
        LOST,
        "engine_forgot",
        ENGINE,
        has_next=False,
    ),
    Case("31-other-words", kind("tensorrt"), DONE, dialects=ENGINE),
    Case("31-vllm", kind("vllm"), DONE, dialects=ENGINE),
    Case("31-fastvideo", kind("fastvideo"), DONE, dialects=ENGINE),
    Case("34-cut", get(CONTENT, pieces(900, "length"), pieces(0, "length")), DONE, dialects=ENGINE),
    Case("34-half-a-file", get(CONTENT, answer(200, MP4[: len(MP4) // 2])), DONE, dialects=ENGINE),
    Case("34-cut-chunk", get(CONTENT, pieces(900, "chunked")), DONE, dialects=ENGINE),
    Case("36-html", get(CONTENT, html(200), answer(200, {"error": "x"})), DONE, dialects=ENGINE),
    Case("37-404-for-ever", get(CONTENT, answer(404), times=500), LOST, "video_lost", ENGINE, has_next=False),
    Case("38-redirect-to-nowhere", get(CONTENT, redirect("//[")), DONE, dialects=ENGINE),
    Case("34-length-too-small", get(CONTENT, short_length(len(MP4) - 9), short_length(8)), DONE, dialects=ENGINE),
    Case("36-type-lies", lambda s, _: setattr(s.engine, "content_type", "text/html"), DONE, dialects=ENGINE),
    Case("36-error-as-a-video", get(CONTENT, answer(200, b"{}", content_type="video/mp4")), DONE, dialects=ENGINE),
    Case("25-huge-poll", get(JOB, huge(), gzip_bomb()), DONE, dialects=ENGINE),
    Case("26-slow-poll", get(JOB, slow_body(), slow_headers()), DONE, dialects=ENGINE, timeouts=SHORT_GETS),
    Case("28-poll-redirects", get(JOB, redirect("https://elsewhere.example/")), DONE, dialects=ENGINE),
    Case("28-poll-of-another-job", get(JOB, answer(200, {"id": "a" * 32, "status": "failed"})), DONE, dialects=ENGINE),
    Case("28-poll-without-status", get(JOB, answer(200, {"id": "a" * 32}), answer(200, [])), DONE, dialects=ENGINE),
    Case(
        "05-health-lies",
        get(HEALTH, html(200), redirect("https://elsewhere.example/"), huge(), slow_body()),
        DONE,
        dialects=ENGINE,
        timeouts=SHORT_GETS,
    ),
    Case("40-huge", get(CONTENT, huge(start=MP4[:32])), DONE, dialects=ENGINE),
    Case("41-drip", get(CONTENT, slow_body(200, MP4[:64])), DONE, dialects=ENGINE),
)


# On PostgreSQL each row once: its cases differ in the client's behaviour, and databases in storage.
FIRST_OF_ROW = {case.name[:2]: case for case in reversed(CASES)}.values()
RUNS = [(case, dialect, "sqlite") for case in CASES for dialect in case.dialects]
RUNS += [(case, case.dialects[0], "postgres") for case in FIRST_OF_ROW]


@pytest.mark.parametrize(
    ("case", "dialect", "database"),
    [pytest.param(*run, id=f"{run[0].name}-{run[1]}-{run[2]}") for run in RUNS],
    indirect=["database"],
)
@pytest.mark.usefixtures("database")
async def test_row(case: Case, dialect: Dialect, rig: Rig, service: PaidService, lines: io.StringIO) -> None:
    rig.dialect = dialect
    async with replace(rig, timeouts=case.timeouts).running() as runner:
        case.misbehave(service, dialect)
        job = await ended(runner, await click(runner))
        if case.is_forgiven:
            service.forgiven.add(job.request.prompt)
        assert (job.status, job.problem.code if job.problem else None) == (case.status, case.code)
        assert service.posts()[job.request.prompt] == case.posts
        _check_money(job, service)
    if case.misbehave is away:
        service.listen()
    async with rig.running() as runner:
        if case.has_next:
            await next_job_works(runner)
    oracle.check(rig.folder, service, lines.getvalue())


def _check_money(job: Job, service: PaidService) -> None:
    assert (job.counted_microusd == 0) == (job.status is FAILED)
    if job.status is DONE:
        assert job.cost_microusd == round(service.cost_usd * MICRO)


async def test_a_v1_answer_that_breaks_off_is_fetched_by_the_history(rig: Rig, service: PaidService) -> None:
    """Rows 34 and 35 in v1, where the response names a request that the history has."""
    rig.dialect = "v1"
    headers = {"x-request-id": "known-to-the-history", COST_HEADER: "1.46", "Content-Length": str(len(MP4))}
    async with rig.running() as runner:
        short = answer(200, MP4[:-9], content_type="video/mp4", headers=headers)

        def act(wire: Any, received: Received) -> None:
            short.act(wire, received)
            wire.close()

        service.on("POST", GENERATE_V1, [Reply(act)])
        link = f"{service.origin}/kept.mp4"
        service.on("GET", HISTORY, answer(200, {"request_id": "known-to-the-history", "generation_url": link}))
        job_id = await click(runner)
        service.on("GET", "/kept.mp4", answer(200, video_of(f"a heron, take {job_id}")))
        assert (await ended(runner, job_id)).status is DONE
    oracle.check(rig.folder, service)


@pytest.mark.parametrize("is_restarted", [False, True], ids=["while it is watched", "after a restart"])
async def test_row30_one_404_does_not_lose_a_job_however_old_it_is(
    rig: Rig, service: PaidService, is_restarted: bool
) -> None:
    clock = [20_000.0 * 86_400]
    rig.now = lambda: clock[0]
    service.on("GET", STATUS, answer(200, {"status": "PROCESSING"}))
    runner = rig.open()
    await runner.start()
    job_id = await click(runner)
    await until(lambda: seen(runner, job_id, OWNER).phase is Phase.RENDERING)
    if is_restarted:
        await kill(runner)
    clock[0] += 3 * 86_400
    service.on("GET", HISTORY, [NOTHING_THERE])
    service.on("GET", STATUS, [NOTHING_THERE, answer(200, {"status": "PROCESSING"})])
    if is_restarted:
        runner = rig.open()
        await runner.start()
    await until(lambda: any("/request-history/" in one.path for one in service.requests))
    service.on("GET", STATUS, answer(200, {"status": "COMPLETED"}))
    assert (await ended(runner, job_id)).status is DONE
    await runner.stop()
    oracle.check(rig.folder, service)


async def test_row03_a_service_that_cannot_prove_itself_is_tried_once(rig: Rig, service: PaidService) -> None:
    service.greet_connections(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # as a captive portal would
    async with replace(rig, origin=service.origin.replace("http:", "https:")).running() as runner:
        job = await ended(runner, await click(runner))
        assert (job.status, job.problem.code if job.problem else "") == (FAILED, "tls_failed")
        assert (await runner.spending()).spent_total_usd == 0
    assert (service.connections, service.bill) == (1, [])


async def test_row08_no_post_goes_over_a_connection_that_was_used_before(rig: Rig, service: PaidService) -> None:
    async with rig.running() as runner:
        await next_job_works(runner)
        await next_job_works(runner)
    used = Counter(one.connection for one in service.requests)
    assert [used[one.connection] for one in service.requests if one.method == "POST"] == [1, 1]


@pytest.mark.parametrize("bad", [html(502), answer(401, {"error": "no"}), answer(200, {"credits": -1.0})])
async def test_row15_and_18_a_stopped_queue_sends_nothing_until_the_free_call_is_content(
    rig: Rig, service: PaidService, bad: Reply
) -> None:
    rig.settings = {"concurrency": 1}
    service.on("POST", SUBMIT_V2, [answer(402, {"error": "Insufficient credits"})])
    service.on("GET", CREDITS, [bad] * 4)
    async with rig.running() as runner:
        first, second = await click(runner), await click(runner)
        assert (await ended(runner, first)).status is FAILED
        assert (await ended(runner, second)).status is DONE
        asked = [one.path for one in service.requests if one.path in (CREDITS, SUBMIT_V2)]
        assert asked == [SUBMIT_V2, *[CREDITS] * 5, SUBMIT_V2]
        assert (await runner.spending()).problem is None


async def test_row38_a_redirect_elsewhere_is_refused_before_any_connection(rig: Rig, service: PaidService) -> None:
    with PaidService() as elsewhere:
        service.on("GET", FILE, redirect(f"{elsewhere.origin}/x.mp4"))
        async with rig.running() as runner:
            job = await ended(runner, await click(runner))
            assert (job.status, job.problem.code if job.problem else "") == (LOST, "link_refused")
        assert elsewhere.connections == 0
    oracle.check(rig.folder, service)


# Where the other rows are tested: test modules and functions.
ELSEWHERE: dict[int, str] = {
    2: "tests.endpoint.test_segmind:test_row02_a_name_that_does_not_resolve_sends_nothing",
    3: "tests.endpoint.test_segmind:test_row03_a_certificate_nobody_vouches_for_stops_everything",
    4: "tests.endpoint.test_segmind:test_row04_a_connection_that_is_not_made_in_time_sends_nothing",
    42: "tests.faults.test_kill_sweep:test_nothing_is_lost_or_paid_twice_by_a_kill",
    43: "tests.faults.test_this_machine:test_row43_a_disk_without_room_refuses_to_spend",
    44: "tests.faults.test_disk_faults:test_a_disk_that_fails_once_at_any_step_loses_nothing",
    45: "tests.faults.test_disk_faults:test_a_disk_that_stays_full_for_a_while_loses_nothing",
    46: "tests.faults.test_this_machine:test_row46_a_read_only_folder_is_for_viewing",
    47: "tests.faults.test_this_machine:test_row47_a_clock_that_jumps_opens_no_second_day_and_loses_no_video",
    48: "tests.faults.test_this_machine:test_row48_a_tab_that_was_closed_finds_its_job_again",
    49: "tests.faults.test_this_machine:test_row49_a_double_click_is_one_job",
    50: "tests.faults.test_kill_sweep:test_nothing_is_lost_or_paid_twice_by_a_kill",
    51: "tests.faults.test_this_machine:test_row51_a_second_process_only_shows",
    52: "tests.faults.test_this_machine:test_row52_a_locked_ledger_refuses_and_recovers",
    53: "tests.faults.test_damage:test_row53_a_damaged_ledger_keeps_the_videos_and_refuses_to_spend",
    55: "tests.faults.test_this_machine:test_row55_a_task_that_dies_is_started_again",
    56: "tests.faults.test_sigterm:test_row56_sigterm_ends_in_time_and_loses_nothing",
}


def test_every_row_of_the_table_is_proven() -> None:
    here = {int(case.name[:2]) for case in CASES}
    here |= {int(number) for name in globals() if name.startswith("test_row") for number in re.findall(r"\d\d", name)}
    assert here | set(ELSEWHERE) == set(range(1, 57))
    for place in ELSEWHERE.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
