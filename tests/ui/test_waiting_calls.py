"""Limits on calls that wait, so that the next call always finds a slot."""

from __future__ import annotations

import math
from contextlib import ExitStack

import pytest

from hunyuan_ui.job import Visitor, new_id
from hunyuan_ui.ui.waiting_calls import (
    ASKING,
    ASKING_OF_ONE_ADDRESS,
    WAITING_CALLS,
    WAITING_OF_ONE_ADDRESS,
    Call,
    WaitingCalls,
    status_wait_s,
)


def visitor(address: str) -> Visitor:
    return Visitor.from_token(new_id(), address=address)


def call(address: str) -> Call:
    return Call(new_id(), visitor(address), "")


def waits(slots: WaitingCalls, address: str = "203.0.113.9") -> bool:
    """Whether a status query would wait now."""
    with slots.asking(visitor(address), 5.0) as wait_s:
        return wait_s == 5.0


@pytest.mark.parametrize(
    ("given", "seconds"), [(0, 0), (-1, 0), (7, 7), (24.5, 24.5), (10**400, 25), (math.inf, 25), (math.nan, 0)]
)
def test_a_status_query_waits_between_0_and_25_seconds(given: float, seconds: float) -> None:
    assert status_wait_s(given) == seconds


def test_a_status_query_does_not_wait_while_calls_hold_all_slots() -> None:
    slots = WaitingCalls(is_public=False)
    with ExitStack() as held:
        for number in range(WAITING_CALLS):
            assert waits(slots)
            held.enter_context(slots.taken(call(f"203.0.113.{number}")))
        assert not slots.has_room(call("203.0.113.9"))
        assert not waits(slots)
    assert waits(slots)


def test_status_queries_leave_slots_to_calls() -> None:
    slots = WaitingCalls(is_public=False)
    with ExitStack() as held:
        for _ in range(ASKING):
            assert held.enter_context(slots.asking(visitor("203.0.113.9"), 5.0)) == 5.0
        assert not waits(slots)
        assert slots.has_room(call("203.0.113.9"))


def test_one_address_takes_no_slot_from_another_in_public() -> None:
    slots = WaitingCalls(is_public=True)
    with ExitStack() as held:
        for _ in range(ASKING_OF_ONE_ADDRESS):
            held.enter_context(slots.asking(visitor("203.0.113.1"), 5.0))
        assert (waits(slots, "203.0.113.1"), waits(slots, "203.0.113.2")) == (False, True)
    with ExitStack() as held:
        for _ in range(WAITING_OF_ONE_ADDRESS):
            held.enter_context(slots.taken(call("203.0.113.1")))
        assert [slots.has_room(call(f"203.0.113.{number}")) for number in (1, 2)] == [False, True]
