from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.job import MICRO, InList, Job, JobStatus, Payer
from hunyuan_ui.limits import (
    BREAKER_AFTER,
    MOST_ACTIVE_OF_ONE,
    MOST_WAITING,
    MOST_WAITING_OF_ONE,
    MOST_WAITING_PRIVATE,
    SECONDS_BETWEEN_SUBMITS,
    QueueFacts,
    SpendLimits,
    Totals,
)
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Secret, Settings
from hunyuan_ui.words import words

PRIVATE = Settings(data_dir=Path("data"), api_key=Secret("SG_0123456789abcdef"))
PUBLIC = replace(PRIVATE, share=True, daily_limit_usd=100.0)
LIMITED = replace(PRIVATE, daily_limit_usd=10.0, total_limit_usd=50.0)
PREVIEW = replace(PRIVATE, api_key=None)
PUBLIC_PREVIEW = replace(PREVIEW, share=True)
EMPTY = Totals()


def job(price: float = 1.5, payer: Payer = "owner") -> Job:
    return Job(
        id="a" * 32,
        visitor="b" * 32,
        status=JobStatus.QUEUED,
        request=VideoRequest.parse({"prompt": "a fox"}),
        dialect="v2",
        payer=payer,
        created_at=0,
        updated_at=0,
        reserved_microusd=round(price * MICRO),
        predicted_s=211,
    )


def passes(settings: Settings, asked: Job, totals: Totals = EMPTY, **options: Any) -> bool:
    return code_of(settings, asked, totals, **options) is None


def code_of(settings: Settings, asked: Job, totals: Totals = EMPTY, **options: Any) -> str | None:
    try:
        SpendLimits(settings).check(asked, totals, **options)
    except SpendLimitError as error:
        return error.code
    return None


def said(settings: Settings, asked: Job, totals: Totals = EMPTY) -> str:
    with pytest.raises(SpendLimitError) as caught:
        SpendLimits(settings).check(asked, totals)
    return words().sentence(caught.value)


def cents(dollars: float) -> int:
    return round(dollars * MICRO)


# payer


def test_an_own_key_for_the_hosted_service_pays_nothing_at_an_engine() -> None:
    limits = SpendLimits(replace(PUBLIC, engine_url="http://gpu.local"))
    assert limits.payer(has_own_key=True) == "owner"
    with pytest.raises(SpendLimitError) as caught:
        limits.payer("visitor", has_own_key=True)
    assert caught.value.code == "no_key"


@pytest.mark.parametrize(
    ("settings", "payer"), [(PRIVATE, "owner"), (PUBLIC, "owner"), (PREVIEW, "nobody"), (PUBLIC_PREVIEW, "nobody")]
)
def test_without_an_own_key_the_owner_pays_or_nobody(settings: Settings, payer: str) -> None:
    assert SpendLimits(settings).payer(has_own_key=False) == payer


@pytest.mark.parametrize("settings", [PRIVATE, PUBLIC, PREVIEW, PUBLIC_PREVIEW, replace(PUBLIC, daily_limit_usd=None)])
def test_an_own_key_always_pays_for_itself(settings: Settings) -> None:
    assert SpendLimits(settings).payer(has_own_key=True) == "visitor"


@pytest.mark.parametrize(
    "settings",
    [
        replace(PRIVATE, share=True),
        replace(PRIVATE, is_space=True),
        replace(PRIVATE, server_name="0.0.0.0"),
        replace(PRIVATE, share=True, total_limit_usd=5.0),
    ],
)
def test_without_a_daily_limit_the_owners_key_is_not_lent_to_strangers(settings: Settings) -> None:
    with pytest.raises(SpendLimitError) as caught:
        SpendLimits(settings).payer(has_own_key=False)
    assert caught.value.code == "owner_key_not_shared"


def payer(settings: Settings, wanted: Payer | None = None, **shown: bool) -> str:
    """Return the payer, or the code of the refusal."""
    try:
        return SpendLimits(settings).payer(wanted, **{"has_own_key": False, **shown})
    except SpendLimitError as error:
        return error.code


UNLIMITED = replace(PUBLIC, daily_limit_usd=None)
CODED = replace(PUBLIC, access_code=Secret("open sesame"))
WITH_LOGIN = replace(PUBLIC, share=False, is_space=True, requires_login=True, login_secret=Secret("s"))


@pytest.mark.parametrize(
    ("settings", "payers"),
    [
        (PRIVATE, ("owner",)),
        (PREVIEW, ("nobody", "visitor")),
        (PUBLIC, ("owner", "visitor")),
        (UNLIMITED, ("nobody", "visitor")),
        (CODED, ("owner", "nobody", "visitor")),
        (WITH_LOGIN, ("owner", "nobody", "visitor")),
        (PUBLIC_PREVIEW, ("nobody", "visitor")),
        (replace(PUBLIC, engine_url="http://gpu.local"), ("owner",)),
        (replace(CODED, engine_url="http://gpu.local"), ("owner", "nobody")),
    ],
)
def test_a_visitor_is_offered_whoever_can_pay(settings: Settings, payers: tuple[Payer, ...]) -> None:
    assert SpendLimits(settings).payers == payers
    for choice in payers:
        assert payer(settings, choice, has_own_key=True, is_logged_in=True) == choice


def test_who_is_not_offered_cannot_be_chosen() -> None:
    assert payer(UNLIMITED, "owner") == "owner_key_not_shared"
    assert payer(PREVIEW, "owner", has_own_key=True) == "no_key"
    assert payer(PRIVATE, "nobody") == "no_preview"
    assert payer(PUBLIC, "visitor") == "no_key"


def test_a_preview_can_be_chosen_although_a_key_was_brought() -> None:
    assert payer(UNLIMITED, "nobody", has_own_key=True) == "nobody"


def test_the_owners_key_needs_the_code_and_nothing_else_does() -> None:
    assert payer(CODED, knows_code=False) == "access_code_needed"
    assert payer(CODED, "owner", has_own_key=True, knows_code=False) == "access_code_needed"
    assert payer(CODED, has_own_key=True, knows_code=False) == "visitor"
    assert payer(CODED, "nobody", knows_code=False) == "nobody"
    assert payer(CODED, knows_code=True) == "owner"


def test_in_private_nobody_is_asked_for_the_code() -> None:
    assert payer(replace(PRIVATE, access_code=Secret("1234")), knows_code=False) == "owner"


def test_where_a_login_is_required_the_owners_key_waits_for_it() -> None:
    assert payer(WITH_LOGIN) == "login_needed"
    assert payer(WITH_LOGIN, is_logged_in=True) == "owner"
    assert payer(WITH_LOGIN, has_own_key=True) == "visitor"


def test_where_a_code_and_a_login_are_asked_for_neither_stands_for_the_other() -> None:
    both = replace(WITH_LOGIN, access_code=Secret("open sesame"))
    assert payer(both, knows_code=True) == "login_needed"
    assert payer(both, knows_code=False, is_logged_in=True) == "access_code_needed"
    assert payer(both, "owner", has_own_key=True, knows_code=True) == "login_needed"
    assert payer(both, knows_code=True, is_logged_in=True) == "owner"


# money


def test_a_private_run_without_limits_lets_a_job_pass() -> None:
    assert passes(PRIVATE, job(), Totals(today_microusd=cents(1e6), total_microusd=cents(1e6)))


@pytest.mark.parametrize("settings", [LIMITED, replace(PUBLIC, daily_limit_usd=10.0)])
def test_the_daily_limit_holds_to_the_micro_dollar(settings: Settings) -> None:
    full = cents(10) - cents(1.5)
    assert passes(settings, job(), Totals(today_microusd=full))
    assert code_of(settings, job(), Totals(today_microusd=full + 1)) == "over_daily_limit"
    assert code_of(settings, job(), Totals(today_microusd=full + 1), is_confirmed=True) == "over_daily_limit"


def test_the_total_limit_holds_to_the_micro_dollar() -> None:
    full = cents(50) - cents(1.5)
    assert passes(LIMITED, job(), Totals(total_microusd=full))
    assert code_of(LIMITED, job(), Totals(total_microusd=full + 1)) == "over_total_limit"


def test_a_limit_of_nothing_lets_nothing_pass() -> None:
    assert code_of(replace(PRIVATE, daily_limit_usd=0.0), job(0.01)) == "over_daily_limit"
    assert code_of(replace(PRIVATE, total_limit_usd=0.0), job(0.01)) == "over_total_limit"


def test_a_refusal_names_limit_rest_and_price() -> None:
    sentence = said(LIMITED, job(), Totals(today_microusd=cents(9)))
    assert "$10.00" in sentence
    assert "$1.00" in sentence
    assert "$1.50" in sentence


def test_a_limit_that_was_passed_leaves_nothing_and_not_less() -> None:
    assert "leaves $0.00" in said(LIMITED, job(), Totals(today_microusd=cents(12)))


def test_a_dear_video_asks_its_owner_once() -> None:
    assert passes(PRIVATE, job(5.0))
    assert code_of(PRIVATE, job(5.000001)) == "confirm_price"
    assert passes(PRIVATE, job(5.000001), is_confirmed=True)


@pytest.mark.parametrize("payer", ["owner", "visitor"])
@pytest.mark.parametrize(
    ("shown_usd", "code"),
    [(None, None), (1.5, None), (1.4951, None), (99.0, None), (1.48, "price_changed"), (0.02, "price_changed")],
)
def test_a_price_that_is_higher_than_what_was_shown_is_refused(
    payer: Payer, shown_usd: float | None, code: str | None
) -> None:
    assert code_of(LIMITED, job(1.5, payer), shown_usd=shown_usd) == code
    assert code_of(LIMITED, job(1.5, payer), shown_usd=shown_usd, is_confirmed=True) == code


def test_a_price_that_was_never_shown_is_said_and_not_paid() -> None:
    assert code_of(PRIVATE, job(1.5), shown_usd=0.0) == "price_not_shown"
    assert code_of(PRIVATE, job(0.0, "nobody"), shown_usd=0.0) is None


def test_a_changed_price_is_said_with_the_one_that_was_shown() -> None:
    with pytest.raises(SpendLimitError) as caught:
        SpendLimits(PRIVATE).check(job(2.85), EMPTY, shown_usd=2.2)
    assert (
        words().sentence(caught.value).startswith("This video may cost $2.85 now, more than the $2.20 that was shown.")
    )
    assert caught.value.facts["price"] == 2.85


def test_a_dear_video_is_refused_to_strangers_whatever_they_confirm() -> None:
    assert passes(PUBLIC, job(5.0))
    assert code_of(PUBLIC, job(5.000001), is_confirmed=True) == "over_video_limit"


@pytest.mark.parametrize("settings", [PREVIEW, PUBLIC_PREVIEW, replace(LIMITED, api_key=None)])
def test_a_preview_costs_nothing_and_meets_no_money_limit(settings: Settings) -> None:
    assert passes(settings, job(99, "nobody"), Totals(today_microusd=cents(99), total_microusd=cents(99), bad_streak=9))


@pytest.mark.parametrize("settings", [LIMITED, PUBLIC])
def test_a_visitors_own_key_meets_no_limit_of_the_owner(settings: Settings) -> None:
    used_up = Totals(
        cents(1000), cents(1000), visitor_today=99, visitor_active=3, seconds_since_visitor=0, bad_streak=9
    )
    assert passes(settings, job(99, "visitor"), used_up)


def test_spending_stops_after_a_streak_of_paid_jobs_without_a_video() -> None:
    assert passes(PUBLIC, job(), Totals(bad_streak=BREAKER_AFTER - 1))
    assert code_of(PUBLIC, job(), Totals(bad_streak=BREAKER_AFTER)) == "breaker_open"


def test_in_private_a_streak_stops_nobody_who_sees_it() -> None:
    assert passes(PRIVATE, job(), Totals(bad_streak=BREAKER_AFTER))


# fairness


@pytest.mark.parametrize(
    ("settings", "most", "payer"),
    [
        (PRIVATE, MOST_WAITING_PRIVATE, "owner"),
        (PUBLIC, MOST_WAITING, "owner"),
        (PUBLIC, MOST_WAITING, "visitor"),
        (PUBLIC_PREVIEW, MOST_WAITING, "nobody"),
    ],
)
def test_the_queue_has_an_end_for_everybody(settings: Settings, most: int, payer: Payer) -> None:
    assert passes(settings, job(payer=payer), Totals(waiting=most - 1))
    assert code_of(settings, job(payer=payer), Totals(waiting=most)) == "queue_full"
    assert passes(settings, job(payer=payer), Totals(waiting=most), queue_facts=QueueFacts(parked=1))


@pytest.mark.parametrize(("settings", "payer"), [(PUBLIC, "owner"), (PUBLIC_PREVIEW, "nobody")])
def test_a_visitor_has_one_job_under_way_and_the_next_one_waiting(settings: Settings, payer: Payer) -> None:
    assert passes(settings, job(payer=payer), Totals(visitor_active=MOST_ACTIVE_OF_ONE - 1))
    assert code_of(settings, job(payer=payer), Totals(visitor_active=MOST_ACTIVE_OF_ONE)) == "visitor_busy"


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 5))
def test_what_a_visitor_is_told_is_what_a_click_gets(today: int, active: int, limit: int) -> None:
    settings, totals = replace(PUBLIC, visitor_daily_videos=limit), Totals(visitor_today=today, visitor_active=active)
    told = SpendLimits(settings).allowance(totals)
    assert passes(settings, job(), totals) == (told.left_today > 0 and not told.is_full)
    assert told.is_next_queued == (0 < active < MOST_ACTIVE_OF_ONE)
    assert 0 <= told.left_today <= told.limit == limit


@pytest.mark.parametrize("payer", ["owner", "visitor", "nobody"])
def test_nobody_can_take_all_places_in_public(payer: Payer) -> None:
    asked, most = job(payer=payer), MOST_WAITING_OF_ONE
    assert passes(PUBLIC, asked, Totals(visitor_waiting=most - 1), queue_facts=QueueFacts(on_key=most - 1))
    assert code_of(PUBLIC, asked, Totals(visitor_waiting=most)) == "visitor_places"
    assert code_of(PUBLIC, asked, Totals(), queue_facts=QueueFacts(on_key=most)) == "visitor_places"
    assert code_of(PUBLIC, asked, Totals(waiting_on_key=most)) == "visitor_places"  # counted over all processes
    assert passes(PUBLIC, asked, Totals(visitor_waiting=most), queue_facts=QueueFacts(own_parked=1))
    assert passes(PRIVATE, asked, Totals(visitor_waiting=MOST_WAITING), queue_facts=QueueFacts(on_key=MOST_WAITING))
    assert MOST_WAITING_OF_ONE * 2 < MOST_WAITING


def test_a_visitor_has_so_many_videos_a_day() -> None:
    assert passes(PUBLIC, job(), Totals(visitor_today=2))
    assert code_of(PUBLIC, job(), Totals(visitor_today=3)) == "visitor_daily_videos"
    assert code_of(replace(PUBLIC, visitor_daily_videos=0), job()) == "visitor_daily_videos"
    assert "3 of 3" in said(PUBLIC, job(), Totals(visitor_today=3))


def test_previews_are_not_counted_by_the_day() -> None:
    assert passes(PUBLIC_PREVIEW, job(payer="nobody"), Totals(visitor_today=99))


@pytest.mark.parametrize(("settings", "payer"), [(PUBLIC, "owner"), (PUBLIC_PREVIEW, "nobody")])
def test_a_visitor_waits_between_two_clicks(settings: Settings, payer: Payer) -> None:
    asked = job(payer=payer)
    assert passes(settings, asked, Totals(seconds_since_visitor=SECONDS_BETWEEN_SUBMITS))
    assert code_of(settings, asked, Totals(seconds_since_visitor=SECONDS_BETWEEN_SUBMITS - 0.1)) == "too_soon"
    assert "try again in 7 s" in said(settings, asked, Totals(seconds_since_visitor=3.2))
    assert "try again in 1 s" in said(settings, asked, Totals(seconds_since_visitor=9.9))


def test_in_private_nobody_is_counted() -> None:
    busy = Totals(visitor_today=99, visitor_active=9, seconds_since_visitor=0)
    assert passes(PRIVATE, job(), busy)


_AMOUNTS = st.integers(0, cents(200))


@given(_AMOUNTS, _AMOUNTS, _AMOUNTS, st.booleans(), st.booleans())
def test_whatever_passes_stays_within_both_limits(
    today: int, total: int, price: int, is_public: bool, is_confirmed: bool
) -> None:
    settings = replace(LIMITED, share=is_public)
    asked = replace(job(), reserved_microusd=price)
    if passes(settings, asked, Totals(today_microusd=today, total_microusd=total), is_confirmed=is_confirmed):
        assert today + price <= cents(10)
        assert total + price <= cents(50)
        assert price <= cents(5) or (is_confirmed and not is_public)


@pytest.mark.parametrize("payer", ["owner", "visitor"])
def test_the_budget_of_a_list_is_spent_to_the_last_cent_and_no_further(payer: Payer) -> None:
    full = Totals(list_microusd=cents(50.5) - job(payer=payer).reserved_microusd)
    over = replace(full, list_microusd=full.list_microusd + 1)
    assert passes(PRIVATE, job(payer=payer), full, budget_usd=50.50)
    assert code_of(PRIVATE, job(payer=payer), over, budget_usd=50.50) == "over_list_budget"
    assert passes(PRIVATE, job(payer=payer), over)


# at sending


def sending(settings: Settings, asked: Job, totals: Totals = EMPTY, most_usd: float = 1.0) -> str | int:
    try:
        return SpendLimits(settings).check_sending(asked, totals, most_usd)
    except SpendLimitError as error:
        return error.code


def test_what_is_sent_reserves_the_higher_of_both_prices() -> None:
    assert sending(PUBLIC, job(1.5), most_usd=1.2) == cents(1.5)
    assert sending(PUBLIC, job(1.5), most_usd=4.2) == cents(4.2)
    assert sending(PUBLIC, job(1.5), most_usd=5.2) == "over_video_limit"
    assert sending(LIMITED, job(1.5), most_usd=5.2) == "over_video_limit"
    assert sending(LIMITED, job(6.5), most_usd=5.2) == cents(6.5)  # a person has confirmed it


def test_what_still_waits_is_not_counted_beside_what_is_sent() -> None:
    waiting = Totals(cents(12), cents(12), queued_microusd=cents(9))
    assert sending(LIMITED, job(7.0), waiting, 7.0) == cents(7)
    assert sending(LIMITED, job(7.000001), waiting, 7.0) == "over_daily_limit"
    assert sending(LIMITED, job(), replace(waiting, total_microusd=cents(57)), 2.0) == cents(2)
    assert sending(LIMITED, job(), replace(waiting, total_microusd=cents(57)), 2.5) == "over_total_limit"


def test_a_visitors_own_waiting_videos_do_not_use_up_the_day_of_the_one_that_is_sent() -> None:
    most = PUBLIC.visitor_daily_videos
    assert sending(PUBLIC, job(), Totals(visitor_today=most, visitor_queued=1)) == cents(1.5)
    assert sending(PUBLIC, job(), Totals(visitor_today=most + 1, visitor_queued=1)) == "visitor_daily_videos"


def test_a_key_that_is_not_shared_any_more_is_not_used() -> None:
    assert sending(replace(PUBLIC, daily_limit_usd=None), job()) == "owner_key_not_shared"
    assert sending(replace(PRIVATE, daily_limit_usd=None), job()) == cents(1.5)
    assert sending(PUBLIC, job(), Totals(bad_streak=BREAKER_AFTER)) == "breaker_open"
    assert sending(PRIVATE, job(), Totals(bad_streak=BREAKER_AFTER)) == cents(1.5)


@pytest.mark.parametrize("payer", ["visitor", "nobody"])
def test_what_the_owner_does_not_pay_for_is_held_by_no_limit_of_theirs(payer: Payer) -> None:
    used_up = Totals(cents(1000), cents(1000), bad_streak=9)
    shut = replace(PUBLIC, daily_limit_usd=None)
    assert sending(shut, job(1.5, payer), used_up) == cents(1.5)
    assert sending(shut, job(0, "nobody"), used_up, 99.0) == 0


@pytest.mark.parametrize("payer", ["owner", "visitor"])
def test_the_budget_of_a_list_is_asked_again_whoever_pays(payer: Payer) -> None:
    asked = job(1.5, payer)
    InList("c" * 32, 10.0, 1, 2).note(asked)
    assert sending(PRIVATE, asked, Totals(list_microusd=cents(8.5))) == cents(1.5)
    assert sending(PRIVATE, asked, Totals(list_microusd=cents(8.5)), 1.6) == "over_list_budget"
