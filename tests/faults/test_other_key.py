"""A job that was sent with one key and is asked about with another one, of another account or of the same."""

from __future__ import annotations

import time
from contextlib import closing
from sqlite3 import connect

import pytest

from hunyuan_ui.endpoint import contract
from hunyuan_ui.job import JobStatus, Phase, Visitor
from hunyuan_ui.jobs import JobRunner, dispatcher, endings, services
from hunyuan_ui.settings import Secret
from hunyuan_ui.words import words
from tests.faults.rig import OWNER, STRANGER, Dialect, Rig, click, ended, next_job_works, until
from tests.faults.service import FILE, HISTORY, STATUS, PaidService
from tests.raw_service import Received, Reply, answer
from tests.seen import seen
from tests.stored_jobs import DAY_S, job
from tests.videos import mp4_bytes

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

FIRST, OTHER = "canary-of-the-first-key-01", "canary-of-another-key-02"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask often."""
    monkeypatch.setattr(dispatcher, "_OTHER_KEY_S", 0.02)


def with_accounts(service: PaidService, *, is_one: bool = False) -> None:
    """Let the service know a request under its own account's keys only."""
    behave = service.behave

    def known_to_its_account(received: Received) -> Reply:
        request_id = received.path.removesuffix("/status").rpartition("/")[2]
        key = received.headers.get(contract.KEY_HEADER)
        if received.method == "GET" and not is_one and service._keys.get(request_id, key) != key:
            return answer(404, {"error": f"Request {request_id} not found"})
        return behave(received)

    service._flow = known_to_its_account


def of_owner(rig: Rig, key: str) -> None:
    rig.settings = {**rig.settings, "api_key": Secret(key)}
    rig._whose = lambda: {"dialect": rig.dialect}  # type: ignore[method-assign]


async def rendering(runner: JobRunner, visitor: Visitor, **options: str) -> str:
    job_id = await click(runner, visitor=visitor, **options)
    await until(lambda: seen(runner, job_id, visitor).job.request_id)
    return job_id


async def sent_with_the_first(rig: Rig, service: PaidService) -> str:
    """Send a job of the owner's that renders until `is_held` ends, and stop."""
    service.is_held = True
    of_owner(rig, FIRST)
    async with rig.running() as runner:
        return await rendering(runner, OWNER)


def unmarked(rig: Rig) -> None:
    """Take the keys' marks from all jobs, as an older program left them."""
    with closing(connect(rig.folder / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("UPDATE jobs SET notes = json_remove(notes, '$.key')")


async def says_so(
    runner: JobRunner, job_id: str, visitor: Visitor, code: str, service: PaidService, *, asks: str = "/status"
) -> None:
    """Wait until a job waits for its key, and go on long after one that is not known would have been given up."""
    await until(lambda: (note := seen(runner, job_id, visitor).note) is not None and note.code == code)
    status = seen(runner, job_id, visitor).job.status
    asked = service.count("GET", asks)
    await until(lambda: service.count("GET", asks) > asked + 10)
    views = [seen(runner, job_id, visitor)]
    await until(lambda: views.append(seen(runner, job_id, visitor)) or views[-1].phase is Phase.PAUSED)
    view = views[-1]  # not one of a moment later, at which it may be asked about again
    assert (view.job.status, view.job.is_active) == (status, True)
    assert view.note is not None
    assert "{" not in words().sentence(view.note)


@pytest.mark.parametrize("is_marked", [True, False], ids=["marked", "of an older program"])
async def test_the_owners_other_key_loses_no_video_and_holds_no_place(
    rig: Rig, service: PaidService, is_marked: bool
) -> None:
    with_accounts(service)
    rig.settings["concurrency"] = 1
    job_id = await sent_with_the_first(rig, service)
    if not is_marked:
        unmarked(rig)
    service.is_held = False
    of_owner(rig, OTHER)
    async with rig.running() as runner:
        await says_so(runner, job_id, OWNER, "owner_key_other", service)
        await next_job_works(runner)
    of_owner(rig, FIRST)
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert sum(service.billed().values()) == 2


async def test_a_visitors_other_key_loses_no_video_and_the_first_one_fetches_it(rig: Rig, service: PaidService) -> None:
    with_accounts(service)
    service.is_held = True
    rig.settings |= {"server_name": "0.0.0.0", "daily_limit_usd": 10.0}
    async with rig.running() as runner:
        job_id = await rendering(runner, STRANGER, own_key=FIRST)
    service.is_held = False
    async with rig.running() as runner:
        await runner.keys.remember(OTHER, STRANGER)
        await says_so(runner, job_id, STRANGER, "key_other", service)
        await runner.keys.remember(FIRST, STRANGER)
        assert (await ended(runner, job_id, STRANGER)).status is JobStatus.DONE


@pytest.mark.parametrize("is_marked", [True, False], ids=["", "of an older program"])
@pytest.mark.parametrize("dialect", ["v1", "v2"])
async def test_a_file_that_is_late_waits_for_the_key_too(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch, dialect: Dialect, is_marked: bool
) -> None:
    with_accounts(service)
    rig.dialect = dialect
    if dialect == "v1":  # the body breaks off, and only the history has the file
        headers = {contract.REQUEST_ID_HEADER: "late-request-1"}
        service.on("POST", "*", [answer(200, mp4_bytes()[:900], content_type="video/mp4", headers=headers)])
        service._keys["late-request-1"] = FIRST
    service.on("GET", FILE, answer(404, {"error": "gone"}))
    of_owner(rig, FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(endings, "PROOFS", dict.fromkeys(endings.Ending, endings.Proof(4, 3600.0)))
        async with rig.running() as runner:
            job_id = await click(runner)
            await until(lambda: seen(runner, job_id, OWNER).job.status is JobStatus.DOWNLOADING)
    if not is_marked:
        unmarked(rig)
    of_owner(rig, OTHER)
    async with rig.running() as runner:
        asks = "/late-request-1" if dialect == "v1" else ".mp4"
        await says_so(runner, job_id, OWNER, "owner_key_other", service, asks=asks)
    service.on("GET", FILE, answer(200, mp4_bytes(), content_type="video/mp4"))
    service._prompts["late-request-1"] = "late"
    of_owner(rig, FIRST)
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert len(service.bill) == 1


async def test_a_job_of_an_older_program_is_marked_once_its_key_knows_it(rig: Rig, service: PaidService) -> None:
    with_accounts(service)
    job_id = await sent_with_the_first(rig, service)
    unmarked(rig)
    async with rig.running() as runner:
        await until(lambda: services.KEY in seen(runner, job_id, OWNER).job.notes)
    of_owner(rig, OTHER)
    async with rig.running() as runner:
        await says_so(runner, job_id, OWNER, "owner_key_other", service)


async def test_a_job_of_an_older_program_is_fetched_by_what_the_history_alone_knows(
    rig: Rig, service: PaidService
) -> None:
    job_id = await sent_with_the_first(rig, service)
    unmarked(rig)
    service.on("GET", STATUS, answer(404, {"error": "not found"}))
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE


async def test_a_job_of_an_older_program_that_failed_by_the_history_alone_waits_for_no_key(
    rig: Rig, service: PaidService
) -> None:
    job_id = await sent_with_the_first(rig, service)
    unmarked(rig)
    service.on("GET", STATUS, answer(404, {"error": "not found"}))
    service.on("GET", HISTORY, answer(200, {"model_status": "FAILED", "credits_deduction": 0}))
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.FAILED


async def test_a_job_of_an_older_program_that_no_key_knows_ends_with_the_life_of_its_file(
    rig: Rig, service: PaidService
) -> None:
    job_id = await sent_with_the_first(rig, service)
    unmarked(rig)
    service.on("GET", "*", answer(404, {"error": "not found"}))
    days = 6.9
    rig.now = lambda: time.time() + days * DAY_S
    async with rig.running() as runner:
        await says_so(runner, job_id, OWNER, "owner_key_other", service)
        days = 7.1
        assert (await ended(runner, job_id)).status is JobStatus.LOST


async def test_a_preview_of_an_older_program_waits_for_no_key(rig: Rig) -> None:
    async with rig.running() as runner:
        runner._services.require_its_key(job(payer="nobody", created_at=time.time()))
        with pytest.raises(services.NeedsKeyError):
            runner._services.require_its_key(job(payer="owner", created_at=time.time()))


async def test_a_request_that_only_an_error_named_waits_for_its_key(rig: Rig, service: PaidService) -> None:
    with_accounts(service)
    named = "11112222333344445555666677778888"
    service._keys[named] = FIRST
    service.on("POST", "*", [answer(500, {"error": "busy", "request_id": named})])
    service.on("GET", "*/status", [answer(503, {"error": "busy"})] * 1000)
    of_owner(rig, FIRST)
    async with rig.running() as runner:
        job_id = await rendering(runner, OWNER)
    service._scripts.clear()
    of_owner(rig, OTHER)
    async with rig.running() as runner:
        await says_so(runner, job_id, OWNER, "owner_key_other", service)


async def test_another_key_of_the_same_account_goes_on(rig: Rig, service: PaidService) -> None:
    with_accounts(service, is_one=True)
    job_id = await sent_with_the_first(rig, service)
    service.is_held = False
    of_owner(rig, OTHER)
    async with rig.running() as runner:
        made = await ended(runner, job_id)
        assert made.status is JobStatus.DONE
        assert made.notes[services.KEY] == runner._services.key_mark(FIRST)  # the key that it was sent with


async def test_another_key_of_the_same_account_finds_in_the_history_what_the_status_has_forgotten(
    rig: Rig, service: PaidService
) -> None:
    with_accounts(service, is_one=True)
    job_id = await sent_with_the_first(rig, service)
    service.is_held = False
    service.on("GET", STATUS, answer(404, {"error": "not found"}))
    of_owner(rig, OTHER)
    async with rig.running() as runner:
        assert (await ended(runner, job_id)).status is JobStatus.DONE
    assert sum(service.billed().values()) == 1


@pytest.mark.parametrize("is_old", [False, True], ids=["same key", "other key, after the file's life"])
async def test_what_is_not_known_any_more_still_ends(
    rig: Rig, service: PaidService, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    job_id = await sent_with_the_first(rig, service)
    service.on("GET", "*", answer(404, {"error": "not found"}))
    if is_old:
        monkeypatch.setattr(services, "FILE_LIFE_S", -1.0)
        of_owner(rig, OTHER)
    async with rig.running() as runner:
        job = await ended(runner, job_id)
        assert job.status is JobStatus.LOST
        assert FIRST not in str(job.notes)
