"""Rate limits on guesses of codes, which never lock out those who know the code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import count

import pytest

from hunyuan_ui.access_code import MOST_GRANTS, AccessCode
from hunyuan_ui.credential_attempts import (
    AT_MOST,
    FRESH_AFTER_S,
    LONGEST_WAIT_S,
    MOST_REMEMBERED,
    MOST_WAITING,
    OF_A_VISITOR,
    OF_AN_ADDRESS,
    AttemptLimiter,
    AttemptsInMemory,
    Limiter,
    Rate,
)
from hunyuan_ui.errors import SpendLimitError, StorageError
from hunyuan_ui.job import Visitor
from hunyuan_ui.settings import Secret
from hunyuan_ui.ui.visitor import code_in
from hunyuan_ui.words import words
from tests.stored_jobs import Clock

pytestmark = pytest.mark.anyio

CODE = "open sesame"
HERE = "203.0.113.5"
minted = count()


def visitor(address: str = HERE) -> Visitor:
    """Return a new visitor."""
    return Visitor.from_token(f"{next(minted):032x}", address=address)


class Rig:
    """An access code with a clock that only waits advance."""

    def __init__(self, code: str | None = CODE) -> None:
        self.clock = Clock(1000.0)
        self.waits: list[float] = []
        self.access = AccessCode(None if code is None else Secret(code), AttemptLimiter(self.clock, self.sleep))

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.at += seconds

    async def enter(self, who: Visitor, offered: str) -> str | None:
        """Return the code of the refusal, if any."""
        try:
            await self.access.enter(who, offered)
        except SpendLimitError as error:
            return error.code
        return None

    async def guesses(self, who: Callable[[], Visitor], *, for_s: float, per_s: float) -> int:
        """Guess wrong that often; return how many guesses were checked."""
        end, looked_at = self.clock.at + for_s, 0
        while self.clock.at < end:
            looked_at += await self.enter(who(), "wrong") == "access_code_wrong"
            self.clock.at += 1 / per_s
        return looked_at


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_without_a_code_everybody_is_let_in() -> None:
    open_to_all = Rig(None)
    assert open_to_all.access.knows(visitor().id)
    assert await open_to_all.enter(visitor(), "anything") is None


async def test_only_the_visitor_who_entered_the_code_is_let_in(rig: Rig) -> None:
    knower, other = visitor(), visitor()
    assert not rig.access.knows(knower.id)
    assert await rig.enter(knower, CODE) is None
    assert rig.access.knows(knower.id)
    assert not rig.access.knows(other.id)


@pytest.mark.parametrize("offered", ["", "open", "open sesame!", "OPEN SESAME", "öpen sesame", "\ud800"])
async def test_another_word_does_not_let_in(rig: Rig, offered: str) -> None:
    who = visitor()
    assert await rig.enter(who, offered) == "access_code_wrong"
    assert not rig.access.knows(who.id)


async def test_a_code_of_other_letters_than_ascii_can_be_entered() -> None:
    assert await Rig("芝麻开门").enter(visitor(), " 芝麻开门\n") is None
    assert await Rig("caf\u00e9").enter(visitor(), "cafe\u0301") is None
    assert await Rig("cafe\u0301").enter(visitor(), "caf\u00e9") is None


@pytest.mark.parametrize(
    "offered",
    [
        "\u200bopen sesame\ufeff",
        "open\u00a0sesame",
        "open\u2060 sesame\u200e",
        "ｏｐｅｎ　ｓｅｓａｍｅ",
        "\u00adopen\u202fses\u00adame",
    ],
)
async def test_what_a_copy_brings_along_does_not_make_the_code_wrong(rig: Rig, offered: str) -> None:
    assert await rig.enter(visitor(), offered) is None


@pytest.mark.parametrize("offered", ["", " ", "\u200b", "\ufeff\u200b"])
async def test_a_code_of_nothing_that_is_seen_lets_nobody_in(offered: str) -> None:
    assert await Rig("\u200b").enter(visitor(), offered) == "access_code_wrong"


async def test_a_long_hostile_text_is_compared_at_once(rig: Rig) -> None:
    began = time.perf_counter()
    assert await rig.enter(visitor(), "\u0316\u0301" * 30_000) == "access_code_wrong"
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize("code", ["open sesame", "caf\u00e9", "芝麻开门"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_code_in_a_header_is_read_as_programs_send_it(code: str, encoding: str) -> None:
    sent = code.encode(encoding, "replace").decode("latin-1")  # as decoded by a server
    assert code_in({"x-access-code": sent}) == (code if encoding == "utf-8" or code.isascii() else sent)


# guessing


async def test_a_visitor_has_five_guesses_and_then_one_every_twelve_seconds(rig: Rig) -> None:
    guesser = visitor()
    for _ in range(OF_A_VISITOR.burst):
        assert await rig.enter(guesser, "wrong") == "access_code_wrong"
    assert await rig.enter(guesser, CODE) == "access_code_attempts"
    rig.clock.at += OF_A_VISITOR.every_s
    assert await rig.enter(guesser, CODE) is None


async def test_visitors_made_up_at_one_address_have_twenty_guesses_in_any_minute(rig: Rig) -> None:
    times: list[float] = []
    for _ in range(1500):
        if await rig.enter(visitor(), "wrong") == "access_code_wrong":
            times.append(rig.clock.at)
        rig.clock.at += 0.1
    assert len(times) > 40
    assert max(sum(begin <= at < begin + 60 for at in times) for begin in times) <= 20


@pytest.mark.parametrize(
    "addresses",
    [
        [f"2001:db8:1:2:{number:x}::1" for number in range(500)],
        [f"2001:db8:1:2::{number:x}%eth{number}" for number in range(500)],
        ["203.0.113.5", "::ffff:203.0.113.5"] * 250,
        [""] * 500,
        ["unix:" + "x" * 64 + f"{number}" for number in range(500)],
    ],
)
async def test_what_one_machine_has_of_addresses_counts_as_one(rig: Rig, addresses: list[str]) -> None:
    answers = [await rig.enter(visitor(address), "wrong") for address in addresses]
    begun = rig.clock.at - 1000.0
    assert answers.count("access_code_wrong") <= 10 + begun / 6 + 1
    assert "access_code_attempts" in answers or begun > 60


async def test_guesses_from_ever_new_addresses_are_bounded(rig: Rig) -> None:
    fresh = (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in count())
    looked_at = await rig.guesses(lambda: visitor(next(fresh)), for_s=120, per_s=100)
    assert looked_at <= AT_MOST.burst + 120 / AT_MOST.every_s + 1


async def test_guesses_from_a_hundred_addresses_are_braked(rig: Rig) -> None:
    numbers = count()
    looked_at = await rig.guesses(lambda: visitor(f"10.0.{next(numbers) % 100}.1"), for_s=300, per_s=40)
    minutes = (rig.clock.at - 1000.0) / 60
    assert looked_at <= 100 * (minutes + 1) + 60 * (minutes + 1)  # unlimited: 100 * 20 * minutes


# knowing


@pytest.mark.parametrize("wrong", [5, 6, 20, 200])
async def test_who_knows_the_code_waits_for_seconds_however_often_one_stranger_guessed(rig: Rig, wrong: int) -> None:
    stranger = visitor()
    for _ in range(wrong):
        await rig.enter(stranger, "wrong")
    begun = rig.clock.at
    assert await rig.enter(visitor(), CODE) is None
    assert rig.clock.at - begun <= LONGEST_WAIT_S


async def test_who_knows_the_code_waits_for_seconds_while_strangers_at_their_address_guess_in_turn(rig: Rig) -> None:
    for _ in range(5):
        await rig.guesses(visitor, for_s=60, per_s=20)
        begun = rig.clock.at
        assert await rig.enter(visitor(), CODE) is None
        assert rig.clock.at - begun <= LONGEST_WAIT_S


async def test_who_knows_the_code_passes_at_once_from_another_address_while_one_is_guessing(rig: Rig) -> None:
    await rig.guesses(visitor, for_s=120, per_s=30)
    begun = rig.clock.at
    assert await rig.enter(visitor("198.51.100.7"), CODE) is None
    assert rig.clock.at == begun


@pytest.mark.parametrize("machines", [10, 100, 300])
async def test_who_knows_the_code_passes_while_the_brake_holds_everybody_else(rig: Rig, machines: int) -> None:
    numbers = count()
    await rig.guesses(lambda: visitor(f"10.0.{next(numbers) % machines}.1"), for_s=120, per_s=50)
    for number in range(5):
        begun = rig.clock.at
        assert await rig.enter(visitor(f"198.51.100.{number}"), CODE) is None
        assert rig.clock.at - begun <= 1.0


async def test_the_brake_lets_go_within_a_minute(rig: Rig) -> None:
    numbers = count()
    await rig.guesses(lambda: visitor(f"10.{next(numbers) // 250 % 250}.{next(numbers) % 250}.1"), for_s=200, per_s=50)
    rig.clock.at += FRESH_AFTER_S
    rig.waits.clear()
    for _ in range(3):
        assert await rig.enter(visitor("10.0.0.1"), "wrong") == "access_code_wrong"
    assert rig.waits == []


async def test_right_codes_are_not_counted_and_let_nobody_wait(rig: Rig) -> None:
    assert {await rig.enter(visitor(), CODE) for _ in range(500)} == {None}
    assert rig.waits == []


async def test_who_is_in_stays_in_while_others_guess_and_is_not_asked_again(rig: Rig) -> None:
    knower = visitor()
    await rig.enter(knower, CODE)
    await rig.guesses(visitor, for_s=60, per_s=20)
    assert rig.access.knows(knower.id)
    rig.waits.clear()
    assert await rig.enter(knower, CODE) is None
    assert rig.waits == []


# waiting


async def test_the_seconds_to_wait_are_named() -> None:
    rig = Rig()
    guesser = visitor()
    for _ in range(OF_A_VISITOR.burst):
        await rig.enter(guesser, "wrong")
    rig.clock.at += 1.5
    with pytest.raises(SpendLimitError) as caught:
        await rig.access.enter(guesser, "wrong")
    assert "try again in 11 s" in words().sentence(caught.value)


async def test_a_refused_try_costs_no_later_one(rig: Rig) -> None:
    guesser = visitor()
    for _ in range(100):
        await rig.enter(guesser, "wrong")
    rig.clock.at += OF_A_VISITOR.every_s
    assert await rig.enter(guesser, "wrong") == "access_code_wrong"


async def test_only_so_many_wait_for_their_turn() -> None:
    clock, released = Clock(0.0), asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await released.wait()

    attempts = AttemptLimiter(clock, sleep)
    asked = [asyncio.ensure_future(attempts.take(visitor(f"10.1.{n}.1"), "key_attempts")) for n in range(200)]
    for _ in range(3):
        await asyncio.sleep(0)  # each has come as far as it can
    released.set()
    ended = await asyncio.gather(*asked, return_exceptions=True)
    let_through = [error for error in ended if error is None]
    assert len(let_through) == AT_MOST.burst + MOST_WAITING
    assert {error.code for error in ended if isinstance(error, SpendLimitError)} == {"key_attempts"}
    clock.at += 60
    await attempts.take(visitor(), "key_attempts")


async def test_who_gives_up_waiting_leaves_their_place() -> None:
    attempts = AttemptLimiter(Clock(0.0))
    for _ in range(MOST_WAITING * 2):
        who = visitor()
        for _ in range(10):
            if attempts._waiting:
                break
            task = asyncio.ensure_future(attempts.take(who, "key_attempts"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert attempts._waiting == 0


def test_a_right_try_leaves_no_trace() -> None:
    limiter = Limiter(OF_AN_ADDRESS)
    limiter.take(1.0)
    used_until, last, _ = limiter.state
    limiter.take(100.0)
    limiter.give_back()
    assert limiter.last == last
    assert limiter.free_at(100.0) == 100.0
    assert limiter.state[0] == 100.0 > used_until


async def test_a_grant_that_cannot_be_stored_lets_nobody_in(rig: Rig) -> None:
    async def keep(_visitor_id: str) -> None:
        raise StorageError("database_away")

    who, rig.access.keep = visitor(), keep
    with pytest.raises(StorageError):
        await rig.access.enter(who, CODE)
    assert not rig.access.knows(who.id)


# memory


async def test_a_stranger_with_the_code_cannot_fill_the_memory(rig: Rig) -> None:
    first = visitor()
    await rig.enter(first, CODE)
    for _ in range(MOST_GRANTS):
        latest = visitor()
        await rig.enter(latest, CODE)
    assert not rig.access.knows(first.id)
    assert rig.access.knows(latest.id)


async def test_strangers_cannot_fill_the_memory_with_their_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OF_A_VISITOR", "OF_AN_ADDRESS", "OF_EVERYBODY", "AT_MOST"):
        monkeypatch.setattr(f"hunyuan_ui.credential_attempts.{name}", Rate(10**9, 1e-9))
    store = AttemptsInMemory(Clock(0.0))
    attempts = AttemptLimiter(store=store)
    for number in range(MOST_REMEMBERED // 2 + 50):
        await attempts.take(visitor(f"10.{number // 65_000}.{number // 250 % 250}.{number % 250}"), "key_attempts")
    assert len(store._by_name) == MOST_REMEMBERED


async def test_who_goes_on_guessing_is_remembered_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hunyuan_ui.credential_attempts.MOST_REMEMBERED", 2)
    store = AttemptsInMemory(Clock(0.0))

    def guess(now: float, limiters: list[Limiter]) -> float:
        limiters[0].take(now)
        return 0.0

    for name in ("guesser", "one", "guesser", "another"):
        await store.change({name: OF_A_VISITOR}, guess)
    assert list(store._by_name) == ["guesser", "another"]
