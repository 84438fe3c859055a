"""Keys: which is used, how long it is kept, and that each kind of money is spent only at its own service."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest

from hunyuan_ui import credential_attempts
from hunyuan_ui.credential_attempts import OF_AN_ADDRESS
from hunyuan_ui.errors import AuthenticationError, EndpointUnreachableError
from hunyuan_ui.job import JobProblem, JobStatus, Phase, Visitor, new_id
from hunyuan_ui.jobs import visitor_keys
from hunyuan_ui.jobs.visitor_keys import GOOD_FOR_S, KEPT_AFTER_LEAVING_S, KEPT_S, KeyRing
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.words import words
from tests.fake_service import FakeService, answer, failure
from tests.jobs.one_page import FOX, KEY, NEIGHBOUR, OWN_KEY, VISITOR, made, refusal, running, until
from tests.jobs.one_page import impatient as impatient
from tests.jobs.one_page import private as private
from tests.jobs.one_page import public as public
from tests.jobs.one_page import service as service
from tests.seen import seen
from tests.stored_jobs import ALICE, BOB, Clock, job

pytestmark = pytest.mark.anyio


# the ring


def test_a_lent_key_is_kept_for_an_hour_after_its_last_use() -> None:
    clock = Clock(0.0)
    ring = KeyRing(None, clock)
    ring.remember(ALICE, Secret(OWN_KEY))
    clock.at = KEPT_S - 1
    ring.renew(ALICE)
    clock.at += KEPT_S - 1
    assert ring.remembered(ALICE) is not None
    clock.at += 1
    assert ring.remembered(ALICE) is None
    ring.renew(ALICE)
    assert ring.remembered(ALICE) is None


def test_a_key_whose_page_was_closed_is_soon_forgotten_and_a_reload_keeps_it() -> None:
    clock = Clock(0.0)
    ring = KeyRing(None, clock)
    ring.remember(ALICE, Secret(OWN_KEY))
    ring.renew(ALICE, KEPT_AFTER_LEAVING_S)
    clock.at = KEPT_AFTER_LEAVING_S - 1
    assert ring.remembered(ALICE) is not None
    ring.renew(ALICE)
    clock.at = KEPT_S
    assert ring.remembered(ALICE) is not None
    ring.renew(ALICE, KEPT_AFTER_LEAVING_S)
    clock.at += KEPT_AFTER_LEAVING_S
    assert ring.remembered(ALICE) is None


def test_a_key_that_nobody_comes_back_for_does_not_stay_in_memory() -> None:
    clock = Clock(0.0)
    ring = KeyRing(None, clock)
    ring.remember(ALICE, Secret(OWN_KEY))
    clock.at = KEPT_S
    ring.remember(BOB, Secret(KEY))
    assert list(ring._by_visitor) == [BOB]


def test_a_key_is_its_visitors_alone() -> None:
    ring = KeyRing(Secret(KEY))
    ring.remember(ALICE, Secret(OWN_KEY))
    assert ring.remembered(BOB) is None
    assert ring.for_job(job(payer="visitor", visitor=BOB)) is None
    assert ring.for_job(job(payer="visitor", visitor=ALICE)) == OWN_KEY


def test_a_job_keeps_its_key_until_it_has_ended_even_if_the_visitor_takes_it_back() -> None:
    ring = KeyRing(Secret(KEY))
    ring.remember(ALICE, Secret(OWN_KEY))
    begun = job(payer="visitor", visitor=ALICE)
    assert ring.for_job(begun) == OWN_KEY
    ring.forget_visitor(ALICE)
    assert ring.for_job(begun) == OWN_KEY
    ring.forget_job(begun.id)
    assert ring.for_job(begun) is None


def test_a_job_keeps_the_key_that_it_began_with_when_its_visitor_brings_another() -> None:
    ring = KeyRing(Secret(KEY))
    ring.remember(ALICE, Secret(OWN_KEY))
    begun = job(payer="visitor", visitor=ALICE)
    assert ring.for_job(begun) == OWN_KEY
    ring.remember(ALICE, Secret("SG_eeee1111eeee1111"))
    assert ring.for_job(begun) == OWN_KEY
    assert ring.for_job(job(payer="visitor", visitor=ALICE)) == "SG_eeee1111eeee1111"


def test_each_payer_has_a_key_of_its_own() -> None:
    ring = KeyRing(Secret(KEY))
    ring.remember(ALICE, Secret(OWN_KEY))
    assert ring.for_job(job(payer="owner", visitor=ALICE)) == KEY
    assert ring.for_job(job(payer="nobody", visitor=ALICE)) not in (KEY, OWN_KEY)
    assert KeyRing(None).for_job(job(payer="owner")) is None


# entering a key


async def test_a_key_is_asked_for_its_balance_before_it_is_taken(public: Settings, service: FakeService) -> None:
    async with running(public, service) as runner:
        await runner.keys.remember(f" {OWN_KEY}\n", VISITOR)
        assert (service.asked, service.posts) == (["credits"], 0)
        assert runner.keys.has(VISITOR)
        assert not runner.keys.has(NEIGHBOUR)
        runner.keys.forget(VISITOR)
        assert not runner.keys.has(VISITOR)


async def test_a_key_that_was_taken_wakes_the_queue(
    public: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(public, service) as runner:
        had: list[bool] = []
        monkeypatch.setattr(runner.keys, "_on_change", lambda: had.append(runner.keys.has(VISITOR)))
        await runner.keys.remember(OWN_KEY, VISITOR)
        assert had == [True]


async def test_a_key_that_the_service_does_not_know_is_not_taken(public: Settings, service: FakeService) -> None:
    service.script("credits", answer(401, {"error": "Unauthorized."}))
    async with running(public, service) as runner:
        with pytest.raises(AuthenticationError) as caught:
            await runner.keys.remember(OWN_KEY, VISITOR)
        assert OWN_KEY not in words().sentence(caught.value)
        assert not runner.keys.has(VISITOR)


async def test_a_key_that_cannot_be_checked_is_not_taken(public: Settings, service: FakeService) -> None:
    service.script("credits", *[failure(httpx.ConnectError)] * 9)
    async with running(public, service) as runner:
        with pytest.raises(EndpointUnreachableError):
            await runner.keys.remember(OWN_KEY, VISITOR)
        assert not runner.keys.has(VISITOR)


@pytest.mark.parametrize("text", ["", "SG_ 1", "SG_\r\nx-evil: 1", "ключ", "k" * 513])
async def test_what_cannot_be_a_key_is_never_sent(public: Settings, service: FakeService, text: str) -> None:
    async with running(public, service) as runner:
        assert await refusal(runner.keys.remember(text, VISITOR)) == "not_a_key"
        if text:
            assert await refusal(runner.submit(new_id(), FOX, VISITOR, own_key=text)) == "not_a_key"
        assert service.asked == []


@pytest.mark.parametrize("text", ["\u200b{}\ufeff", "\u00a0{}\u3000", "{}\u200e\r\n", "ＳＧ_{}"])
async def test_what_a_copy_brings_along_is_no_part_of_a_key(public: Settings, service: FakeService, text: str) -> None:
    pasted = text.format(OWN_KEY if "Ｓ" not in text else OWN_KEY.removeprefix("SG_"))
    async with running(public, service) as runner:
        await runner.keys.remember(pasted, VISITOR)
        kept = runner.keys._keys.remembered(VISITOR.id)
        assert kept is not None
        assert kept.reveal() == OWN_KEY


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse an attempt that would have to wait."""
    monkeypatch.setattr(credential_attempts, "LONGEST_WAIT_S", 0.0)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("is_right", [False, True])
async def test_nobody_can_sort_keys_here_by_whichever_way_they_come_in(
    public: Settings, service: FakeService, is_right: bool
) -> None:
    if not is_right:
        service.script("credits", *[answer(401, {"error": "Unauthorized."})] * 999)
    async with running(public, service) as runner:
        ended: list[str | None] = []
        for number in range(149):
            who = Visitor.from_token(f"{number}", address="203.0.113.5")
            key = f"SG_{number:016x}"
            if number % 2:
                ended.append(await refusal(runner.keys.remember(key, who)))
            else:
                ended.append(await refusal(runner.submit(new_id(), FOX, who, own_key=key)))
        assert service.asked.count("credits") == OF_AN_ADDRESS.burst
        # Beyond the limit all are refused alike, right or wrong.
        assert set(ended[2 * OF_AN_ADDRESS.burst :]) == {"key_attempts"}
        assert await refusal(runner.keys.remember(OWN_KEY, replace(VISITOR, address="203.0.113.9"))) == (
            None if is_right else "key_refused"
        )


@pytest.mark.usefixtures("hasty")
async def test_keys_codes_and_the_owners_proof_have_one_limit_together(public: Settings, service: FakeService) -> None:
    service.script("credits", *[answer(401, {"error": "Unauthorized."})] * 99)
    async with running(replace(public, access_code=Secret("open sesame")), service) as runner:
        for _ in range(2):
            assert await refusal(runner.keys.remember("SG_00", VISITOR)) == "key_refused"
            assert await refusal(runner.access.enter(VISITOR, "close sesame")) == "access_code_wrong"
        assert await refusal(runner.owner.prove(VISITOR, "SG_00")) == "owner_key_wrong"
        assert await refusal(runner.keys.remember(OWN_KEY, VISITOR)) == "key_attempts"
        assert await refusal(runner.submit(new_id(), FOX, VISITOR, own_key=OWN_KEY)) == "key_attempts"
        assert await refusal(runner.access.enter(VISITOR, "open sesame")) == "access_code_attempts"
        assert await refusal(runner.owner.prove(VISITOR, KEY)) == "access_code_attempts"
        await runner.access.enter(NEIGHBOUR, "open sesame")
    assert service.posts == 0


async def test_a_key_that_comes_with_a_job_is_checked_before_anything_is_stored(
    public: Settings, service: FakeService
) -> None:
    service.script("credits", answer(401, {"error": "Unauthorized."}))
    async with running(public, service) as runner:
        assert await refusal(runner.submit(new_id(), FOX, VISITOR, own_key=OWN_KEY)) == "key_refused"
        assert (service.posts, (await runner.jobs(VISITOR))) == (0, [])


async def test_a_right_key_is_asked_about_once_in_a_while(
    public: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(public, service) as runner:
        clock = Clock(0.0)
        monkeypatch.setattr(runner.keys, "_now", clock)
        await asyncio.gather(*(runner.keys.check(OWN_KEY, VISITOR) for _ in range(30)))
        for _ in range(30):
            await runner.keys.check(OWN_KEY, NEIGHBOUR)
        assert service.asked == ["credits"]
        assert OWN_KEY not in repr(vars(runner.keys))
        clock.at = GOOD_FOR_S
        await runner.keys.check(OWN_KEY, VISITOR)
        assert service.asked == ["credits"] * 2


async def test_a_wrong_key_is_forgotten_at_once_and_counts_each_time(public: Settings, service: FakeService) -> None:
    service.script("credits", *[answer(401, {"error": "Unauthorized."})] * 2)
    async with running(public, service) as runner:
        for _ in range(2):
            assert await refusal(runner.keys.check(OWN_KEY, VISITOR)) == "key_refused"
        await runner.keys.check(OWN_KEY, VISITOR)
    assert service.asked == ["credits"] * 3


async def test_who_stops_waiting_for_a_check_stops_it_for_nobody_else(public: Settings, service: FakeService) -> None:
    async with running(public, service) as runner:
        first = asyncio.ensure_future(runner.keys.check(OWN_KEY, VISITOR))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(runner.keys.check(OWN_KEY, NEIGHBOUR))
        await asyncio.sleep(0)
        first.cancel()
        await second
    assert service.asked == ["credits"]


async def test_a_key_that_pays_for_nothing_is_not_asked_about(public: Settings, service: FakeService) -> None:
    async with running(public, service) as runner:
        await runner.submit(new_id(), FOX, VISITOR, payer="owner", own_key=OWN_KEY)
    assert "credits" not in service.asked


async def test_a_repeated_call_is_the_same_job_whatever_its_key_has_become(
    public: Settings, service: FakeService
) -> None:
    job_id = new_id()
    async with running(public, service) as runner:
        await runner.submit(job_id, FOX, VISITOR, own_key=OWN_KEY)
    service.script("credits", *[failure(httpx.ConnectError)] * 9)
    async with running(public, service) as runner:
        assert (await runner.wait(job_id, VISITOR, 0.001)).id == job_id
        again = await refusal(runner.submit(job_id, FOX, VISITOR, own_key=OWN_KEY))
        assert again in (None, "unreachable")
        service.scripts["credits"] = []
        assert (await runner.submit(job_id, FOX, VISITOR, own_key=OWN_KEY)).id == job_id
        assert (await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE
        service.script("credits", *[answer(401, {"error": "Unauthorized."})] * 9)
        assert (await runner.submit(job_id, FOX, VISITOR, own_key=OWN_KEY)).status is JobStatus.DONE
    assert service.posts == 1


async def test_a_lent_key_pays_for_its_visitors_videos_only(public: Settings, service: FakeService) -> None:
    keys: list[str] = []

    def remember(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["x-api-key"])
        return answer(200, {"request_id": f"own-{len(keys):05d}"})(request)

    service.script("submit", *[remember] * 3)
    async with running(public, service) as runner:
        await runner.keys.remember(OWN_KEY, VISITOR)
        await made(runner)
        await made(runner, NEIGHBOUR)
        await made(runner, VISITOR, "owner")
        assert keys == [OWN_KEY, KEY, KEY]


async def test_after_a_restart_an_own_job_waits_for_its_key_and_goes_on_with_it(
    public: Settings, service: FakeService
) -> None:
    keys: list[str] = []

    def remember(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["x-api-key"])
        return answer(200, {"status": "PROCESSING"})(request)

    service.script("status", *[remember] * 3)
    job_id = new_id()
    async with running(public, service) as runner:
        await runner.keys.remember(OWN_KEY, VISITOR)
        await runner.submit(job_id, FOX, VISITOR)
        await until(lambda: len(keys) == 3)
    async with running(public, service) as runner:
        await until(lambda: seen(runner, job_id, VISITOR).note is not None)
        view = await runner.view(job_id, VISITOR)
        assert (view.phase, view.note.code if view.note else None) == (Phase.PAUSED, "key_forgotten")
        asked = list(service.asked)
        await runner.keys.remember("SG_eeee1111eeee1111", NEIGHBOUR)
        assert service.asked == [*asked, "credits"]
        await runner.keys.remember(OWN_KEY, VISITOR)
        assert (await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE
    assert set(keys) == {OWN_KEY}
    assert service.posts == 1


@pytest.mark.parametrize(("refused", "status"), [("status", 401), ("status", 403), ("result", 401)])
async def test_a_job_whose_key_the_service_refuses_now_goes_on_with_the_one_that_its_visitor_brings(
    public: Settings, service: FakeService, refused: str, status: int
) -> None:
    newer = "SG_eeee1111eeee1111"

    def by_key(request: httpx.Request) -> httpx.Response:
        if request.headers["x-api-key"] == OWN_KEY:
            return answer(status, {"error": "API key is invalid or may have expired"})(request)
        return (service._status if refused == "status" else service._result)(request)

    service.script(refused, *[by_key] * 10_000)
    async with running(public, service) as runner:
        job_id = new_id()
        await runner.submit(job_id, FOX, VISITOR, own_key=OWN_KEY)
        await until(lambda: service.asked.count(refused) > 3)
        await runner.keys.remember(newer, VISITOR)
        assert (await runner.wait(job_id, VISITOR, 10)).status is JobStatus.DONE
    assert service.posts == 1


async def test_an_own_job_that_was_never_sent_says_so_while_it_waits_for_its_key(
    public: Settings, service: FakeService
) -> None:
    service.script("submit", answer(429, {"error": "slow down"}, headers={"retry-after": "60"}))
    job_id = new_id()
    async with running(public, service) as runner:
        await runner.keys.remember(OWN_KEY, VISITOR)
        await runner.submit(job_id, FOX, VISITOR)
        await until(lambda: seen(runner, job_id, VISITOR).note is not None)
    async with running(public, service) as runner:
        runner._dispatcher.live[job_id].retry_at = None
        runner._dispatcher.wake()
        await until(lambda: (note := seen(runner, job_id, VISITOR).note) is not None and note.code != "rate_limited")
        view = await runner.view(job_id, VISITOR)
        assert (view.phase, view.note) == (Phase.PAUSED, JobProblem("key_forgotten_unsent"))
        assert "It was not sent and nothing was charged" in words().sentence(JobProblem("key_forgotten_unsent"))
        assert (await runner.cancel(job_id, VISITOR)).status is JobStatus.CANCELLED
    assert service.bill == []


async def test_a_key_is_kept_for_an_hour_after_its_last_video(public: Settings, service: FakeService) -> None:
    clock = Clock(0.0)
    async with running(public, service) as runner:
        runner._services.keys._now = clock
        await runner.keys.remember(OWN_KEY, VISITOR)
        clock.at = KEPT_S - 1
        await made(runner)
        clock.at += KEPT_S - 1
        assert runner.keys.has(VISITOR)


async def test_a_page_that_opens_keeps_the_key_that_was_about_to_be_forgotten(
    public: Settings, service: FakeService
) -> None:
    clock = Clock(0.0)
    async with running(public, service) as runner:
        runner._services.keys._now = clock
        await runner.keys.remember(OWN_KEY, VISITOR)
        runner.keys.page_closed("one", VISITOR)
        clock.at = KEPT_AFTER_LEAVING_S - 1
        runner.keys.page_opened("another", VISITOR)
        clock.at += KEPT_S - 1
        assert runner.keys.has(VISITOR)


async def test_strangers_cannot_fill_the_memory_with_pages_or_keys(
    public: Settings, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_MOST_PAGES", "_MOST_GOOD"):
        monkeypatch.setattr(visitor_keys, name, 2)
    async with running(public, service) as runner:
        for number in range(3):
            await runner.keys.remember(f"SG_{number}111222233334444", VISITOR)
            runner.keys.page_opened(f"page {number}", VISITOR)
        assert list(runner.keys._pages) == ["page 1", "page 2"]
        asked = service.asked.count("credits")
        await runner.keys.check("SG_2111222233334444", VISITOR)
        assert (asked, service.asked.count("credits"), len(runner.keys._good)) == (3, 3, 2)
