from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.estimate import estimate
from hunyuan_ui.job import InClick, Job, is_id, new_id
from hunyuan_ui.ledger.schema import to_job, to_row
from hunyuan_ui.request import MAX_SEED, VideoRequest
from hunyuan_ui.ui.events import _send_more  # pyright: ignore[reportPrivateUsage]
from hunyuan_ui.ui.variations import COUNTS, JobSpec, again_id, click_of, count_in, is_whole, variations
from hunyuan_ui.words import words
from tests.stored_jobs import NOON, job

WISH = VideoRequest.parse({"prompt": "a heron", "seed": 7})


def stored(spec: JobSpec, **changes: Any) -> Job:
    """Return the job of a specification, as the ledger returns it."""
    made = job(id=spec.id, **changes)
    if spec.in_click is not None:
        spec.in_click.note(made)
    return to_job(to_row(made).values())


def test_the_first_is_the_job_that_was_asked_for_and_the_next_seeds_follow() -> None:
    job_id = new_id()
    made = variations(job_id, WISH, 4)
    assert made[0] == JobSpec(job_id, WISH, InClick(job_id, 0, 4))
    assert [spec.request.seed for spec in made] == [7, 8, 9, 10]
    assert all(spec.request.model_copy(update={"seed": 7}) == WISH for spec in made)
    assert variations(job_id, WISH, 1) == [JobSpec(job_id, WISH, None)]


def test_random_seeds_are_left_to_be_drawn_one_by_one() -> None:
    made = variations(new_id(), WISH.model_copy(update={"seed": -1}), 3)
    assert [spec.request.seed for spec in made] == [-1, -1, -1]


@given(job_id=st.uuids().map(lambda id_: id_.hex), count=st.integers(1, 4), seed=st.integers(0, MAX_SEED))
def test_a_repeated_click_names_the_same_different_jobs(job_id: str, count: int, seed: int) -> None:
    wish = WISH.model_copy(update={"seed": seed})
    made = variations(job_id, wish, count)
    assert made == variations(job_id, wish, count)
    assert len({spec.id for spec in made}) == len({spec.request.seed for spec in made}) == count
    assert all(is_id(spec.id) and VideoRequest.parse(spec.request.model_dump()) for spec in made)


def test_a_click_is_whole_once_all_its_videos_are_stored_in_whichever_attempt() -> None:
    four = [stored(spec) for spec in variations(new_id(), WISH, 4)]
    others = list(map(stored, variations(new_id(), WISH, 4)))
    for count in range(1, 5):
        assert {is_whole(one, [*others, *four[:count]]) for one in four[:count]} == {count == 4}
    again = stored(JobSpec(again_id(four[1].id), WISH, four[1].in_click))
    assert not is_whole(four[0], [*four[:3], again])
    assert is_whole(four[0], [four[0], again, *four[2:]])
    assert is_whole(job(), [])
    assert is_whole(stored(JobSpec(new_id(), WISH, InClick(new_id(), 0, None))), [])  # of an older version


def test_the_jobs_of_one_click_are_known_by_any_of_them_in_their_order() -> None:
    click_id = new_id()
    four = [stored(spec) for spec in variations(click_id, WISH, 4)]
    known = [job(), *reversed(four), stored(JobSpec(new_id(), WISH, None)), *map(stored, variations(new_id(), WISH, 4))]
    ids = [one.id for one in four]
    assert [click_of(id_, known) for id_ in ids] == [{"id": click_id, "jobs": ids}] * 4
    assert click_of(known[0].id, known) is click_of(new_id(), known) is click_of("", known) is None
    assert click_of(ids[0], []) is click_of(ids[0], four[:1]) is None


@pytest.mark.parametrize("gone", range(4))
def test_the_others_stay_together_whichever_of_them_is_gone(gone: int) -> None:
    click_id = new_id()
    left = [stored(spec) for spec in variations(click_id, WISH, 4)]
    del left[gone]
    told = {"id": click_id, "jobs": [one.id for one in left]}
    assert [click_of(one.id, left) for one in left] == [told] * 3


def test_what_was_tried_again_stands_in_the_place_of_what_had_ended() -> None:
    specs = variations(new_id(), WISH, 3)
    first, second, third = (stored(spec, created_at=NOON) for spec in specs)
    again = [stored(JobSpec(new_id(), WISH, second.in_click), created_at=NOON + at) for at in (1, 2)]
    for known in ([first, second, third, *again], [*reversed(again), third, first], [again[1], third, first]):
        assert click_of(again[1].id, known) == click_of(first.id, known)
        assert (click_of(first.id, known) or {})["jobs"] == [first.id, again[1].id, third.id]
    assert click_of(second.id, [first, second, third, *again]) is None
    alone = job()
    assert click_of(again_id(alone.id), [alone, job(id=again_id(alone.id))]) is None


@pytest.mark.parametrize("note", [None, "", 7, [], {}, {"id": "x"}, {"place": 1}, {"id": 3, "place": "a"}])
def test_a_note_that_this_program_did_not_write_makes_no_set(note: object) -> None:
    known = [job(notes={"click": note}) for _ in range(2)]
    assert click_of(known[0].id, known) is None


def test_a_count_that_cannot_be_chosen_is_one() -> None:
    assert [count_in(count) for count in COUNTS] == [1, 2, 3, 4]
    assert {count_in(count) for count in ("5", "0", "-1", "4.0", "", None, [], "²", 10**9)} == {1}
    assert count_in(3) == 3


def test_the_button_says_the_whole_price() -> None:
    expected = estimate(WISH)
    paid = words().generate_label(expected, is_preview=False, count=3)
    price = words().price(expected, 3)
    assert paid == f"Generate 3 · about 3.5 min · {price} in all"
    assert words().generate_label(expected, is_preview=True, count=2) == "Generate 2 · free preview"


@pytest.mark.anyio
async def test_a_limit_in_the_middle_says_how_many_began() -> None:
    began: list[str] = []

    async def send(job_id: str, _wish: VideoRequest, in_click: InClick | None) -> None:
        assert in_click is not None
        if len(began) == 2:
            raise SpendLimitError("over_daily_limit", limit="$5.00", left="$0.20", price="$1.46")
        began.append(job_id)

    specs = variations(new_id(), WISH, 4)[1:]
    said = await _send_more(send, specs, words())
    assert began == [spec.id for spec in specs[:2]]
    assert said.startswith("3 of 4 videos were started. The next one was refused: Today's limit of $5.00 leaves $0.20")
    assert await _send_more(send, [], words()) == ""
