from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunyuan_ui.jobs.queue_times import QueueEntry, starts_in_s


def queue_of(*lengths: float | None, visitor: str = "") -> list[QueueEntry]:
    return [QueueEntry(f"{visitor}{place}", visitor or str(place), seconds) for place, seconds in enumerate(lengths)]


@pytest.mark.parametrize(
    ("in_flight", "waiting", "places", "starts"),
    [
        ([], [200, 200, 200], 2, [0, 0, 200]),
        ([60], [200, 200, 200], 1, [60, 260, 460]),
        ([60, 10, 90], [200, 30, 30], 3, [10, 60, 90]),
        ([60, 10, 90], [5, 5, 5], 2, [60, 65, 70]),  # a restart with fewer slots
        ([-3], [7], 1, [0]),
    ],
)
def test_each_starts_when_a_place_is_free(
    in_flight: list[float], waiting: list[float], places: int, starts: list[float]
) -> None:
    queue = queue_of(*waiting)
    told = starts_in_s(queue_of(*in_flight, visitor="r"), queue, places, one_each=False)
    assert [told[entry.id] for entry in queue] == starts


def test_nothing_is_said_behind_what_nobody_can_tell_of() -> None:
    running, queue = queue_of(None, visitor="r"), queue_of(30, 30)
    assert starts_in_s(running, queue, 1, one_each=False) == {}
    assert starts_in_s(running, queue, 2, one_each=False) == {"0": 0, "1": 30}
    assert starts_in_s([], queue_of(None, 30), 1, one_each=False) == {"0": 0}


def test_of_each_visitor_one_is_in_flight_and_others_pass_by() -> None:
    running = [QueueEntry("r", "ann", 100)]
    queue = [QueueEntry("a", "ann", 50), QueueEntry("b", "bob", 50)]
    assert starts_in_s(running, queue, 2, one_each=True) == {"a": 100, "b": 0}
    assert starts_in_s(running, queue, 2, one_each=False) == {"a": 0, "b": 50}


LENGTHS = st.lists(st.one_of(st.none(), st.floats(0, 1000)), max_size=8)


@given(LENGTHS, LENGTHS, st.integers(1, 5))
def test_those_in_front_never_start_later(
    in_flight: list[float | None], waiting: list[float | None], places: int
) -> None:
    queue = queue_of(*waiting)
    told = starts_in_s(queue_of(*in_flight, visitor="r"), queue, places, one_each=False)
    starts = [told[entry.id] for entry in queue if entry.id in told]
    assert starts == sorted(starts)
    assert [entry.id for entry in queue][: len(told)] == list(told)
