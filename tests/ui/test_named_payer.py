"""The payer that an API call names: nobody else ever pays for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hunyuan_ui import limits
from hunyuan_ui.errors import HunyuanUIError, SpendLimitError
from hunyuan_ui.job import new_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.ui.api import ApiCalls
from hunyuan_ui.ui.batch import BatchCalls
from hunyuan_ui.words import words
from tests.fake_service import FakeService
from tests.jobs.one_page import OWN_KEY
from tests.jobs.one_page import impatient as impatient
from tests.jobs.one_page import service as service
from tests.ui.test_api_callers import caller, running, values

pytestmark = pytest.mark.anyio


@pytest.fixture
def private(tmp_path: Path) -> Settings:
    key = Secret("SG_00112233aabbccdd")
    return Settings(data_dir=tmp_path / "data", api_key=key, daily_limit_usd=1000.0, poll_interval_s=0.002)


@pytest.fixture(params=["private", "public"])
def paid(request: pytest.FixtureRequest, private: Settings) -> Settings:
    return replace(private, share=request.param == "public", visitor_daily_videos=99)


@pytest.fixture(params=["submit", "generate", "submit_many"])
def call(request: pytest.FixtureRequest) -> Callable[[JobRunner, Any], Any]:
    """A call that sends one video."""

    async def sent(runner: JobRunner, who: Any) -> Any:
        calls = ApiCalls(runner)
        if request.param == "submit_many":
            lists = BatchCalls(runner, calls.slots)
            who.headers["x-hunyuan-visitor"] = "a" * 32
            told = await lists.submit_many(who, "a fox", "foxes", 10.0, "auto", 0, 0, False, False)
            return await lists.status_many(who, told["list_id"], 10.0)
        return await getattr(calls, request.param)(*values("", who))

    return sent


@pytest.mark.parametrize(
    ("payer", "code"),
    [
        ("nobody", "no_preview"),
        ("NOBODY", "no_preview"),
        ("visitor", "no_key"),
        ("preview", "payer_unknown"),
        ("me", "payer_unknown"),
        ("owner, nobody", "payer_unknown"),
    ],
)
async def test_what_is_not_to_cost_the_owner_is_refused_where_only_the_owner_could_pay(
    paid: Settings, service: FakeService, call: Callable[..., Any], payer: str, code: str
) -> None:
    async with running(paid, service) as (runner, _):
        with pytest.raises(HunyuanUIError) as refused:
            await call(runner, caller(x_payer=payer))
        assert refused.value.code == code
        assert "Nothing was sent" in words("en").sentence(refused.value)
    assert service.posts == 0


@pytest.mark.parametrize("payer", ["", " ", "owner", "Owner"])
async def test_the_owner_pays_when_named_and_when_nobody_is(
    paid: Settings, service: FakeService, call: Callable[..., Any], payer: str
) -> None:
    async with running(paid, service) as (runner, _):
        await call(runner, caller(x_payer=payer))
        (job,) = await runner._services.reads(runner._services.ledger.jobs, None)
        assert job.payer == "owner"


async def test_an_own_key_pays_only_where_the_call_does_not_name_the_owner(
    paid: Settings, service: FakeService
) -> None:
    async with running(paid, service) as (runner, calls):
        for payer, pays in (("", "visitor"), ("visitor", "visitor"), ("owner", "owner")):
            who = caller(
                f"203.0.113.{len(pays)}", x_payer=payer, x_api_key=OWN_KEY, x_hunyuan_visitor=f"{len(payer):032x}"
            )
            told = await calls.submit(*values("", who))
            job = await runner._services.stored(told["job_id"][:32])
            assert job.payer == pays


async def test_a_preview_page_makes_no_preview_for_a_call_that_is_to_be_paid(
    private: Settings, service: FakeService
) -> None:
    async with running(replace(private, api_key=None), service) as (_, calls):
        with pytest.raises(HunyuanUIError) as refused:
            await calls.submit(*values("", caller(x_payer="owner")))
        assert refused.value.code == "no_key"


# the price that a call is told


@pytest.mark.parametrize(
    ("changes", "headers", "is_free"),
    [
        ({}, {}, False),
        ({"share": True, "access_code": Secret("opensesame1")}, {"x_payer": "nobody"}, True),
        ({"api_key": None}, {}, True),
        ({"api_key": None}, {"x_payer": "nobody", "x_api_key": OWN_KEY}, True),
        ({"api_key": None}, {"x_api_key": OWN_KEY}, False),
        ({"api_key": None, "share": True}, {"x_payer": "visitor", "x_api_key": OWN_KEY}, False),
    ],
)
async def test_an_answer_says_free_exactly_where_nobody_pays(
    private: Settings, service: FakeService, changes: dict[str, Any], headers: dict[str, str], is_free: bool
) -> None:
    async with running(replace(private, **changes), service) as (runner, calls):
        who = caller(**headers)
        expected = await calls.estimate(*values("", who)[:-3], who)
        told = await calls.submit(*values("", who))
        job = await runner._services.stored(told["job_id"][:32])
        assert (job.payer == "nobody") == is_free
        assert (expected["is_free"], told["estimate"]["is_free"]) == (is_free, is_free)


async def test_a_price_is_told_also_where_only_an_own_key_could_pay(private: Settings, service: FakeService) -> None:
    async with running(replace(private, share=True, daily_limit_usd=None), service) as (_, calls):
        assert not (await calls.estimate(*values()[:-3], caller()))["is_free"]


# who calls with a login


def with_login(name: str = "", **headers: str) -> Any:
    """Return a caller who has logged in by this name, if any."""
    who = caller(f"203.0.113.{len(name)}", **headers)
    session = {"oauth_info": {"userinfo": {"preferred_username": name}}} if name else {}
    who.request = SimpleNamespace(scope={"session": session})
    return who


@pytest.fixture
def space(private: Settings) -> Settings:
    login = {"requires_login": True, "login_secret": Secret("client secret")}
    return replace(private, is_space=True, visitor_daily_videos=1, **login)


@pytest.mark.parametrize("as_what", ["token", "handle", "id", "nothing", "list"])
async def test_a_login_has_its_videos_a_day_whatever_token_its_calls_carry(
    space: Settings, service: FakeService, as_what: str
) -> None:
    async with running(space, service) as (runner, calls):

        async def send(name: str) -> Any:
            who = with_login(name, **({"x_hunyuan_visitor": new_id()} if as_what == "token" else {}))
            if as_what == "list":
                lists = BatchCalls(runner, calls.slots)
                told = await lists.submit_many(who, "a fox", new_id(), 10.0, "auto", 0, 0, False, False)
                told = await lists.status_many(who, told["list_id"], 10.0)
                assert told["problem"] is None or "1 of 1 video today" in told["problem"]
                return None if told["problem"] else told
            job_id = {"handle": f"{new_id()}.{new_id()}", "id": new_id()}.get(as_what, "")
            try:
                told = await calls.submit(*values(job_id, who))
            except SpendLimitError:
                return None
            assert "." not in told["job_id"]
            return await calls.status(who, told["job_id"], 10.0)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limits, "SECONDS_BETWEEN_SUBMITS", 0)
            sent = [await send(name) for name in ("heron", "heron", "heron", "crow")]
        assert [told is not None for told in sent] == [True, False, False, True]
    assert len(service.bill) == 2


async def test_a_handle_from_before_a_login_still_opens_its_job(space: Settings, service: FakeService) -> None:
    async with running(space, service) as (_, calls):
        told = await calls.submit(*values("", with_login(x_payer="nobody")))
        assert (await calls.status(with_login("heron"), told["job_id"], 10.0))["status"] == "done"
