from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.estimate import estimate
from hunyuan_ui.job import is_id, new_id
from hunyuan_ui.request import MAX_SEED, VideoRequest
from hunyuan_ui.ui.events import _send_more  # pyright: ignore[reportPrivateUsage]
from hunyuan_ui.ui.variations import COUNTS, again_id, click_of, count_in, variations
from hunyuan_ui.words import words

WISH = VideoRequest.parse({"prompt": "a heron", "seed": 7})


def test_the_first_is_the_job_that_was_asked_for_and_the_next_seeds_follow() -> None:
    job_id = new_id()
    made = variations(job_id, WISH, 4)
    assert made[0] == (job_id, WISH)
    assert [wish.seed for _, wish in made] == [7, 8, 9, 10]
    assert all(wish.model_copy(update={"seed": 7}) == WISH for _, wish in made)


def test_random_seeds_are_left_to_be_drawn_one_by_one() -> None:
    made = variations(new_id(), WISH.model_copy(update={"seed": -1}), 3)
    assert [wish.seed for _, wish in made] == [-1, -1, -1]


@given(job_id=st.uuids().map(lambda id_: id_.hex), count=st.integers(1, 4), seed=st.integers(0, MAX_SEED))
def test_a_repeated_click_names_the_same_different_jobs(job_id: str, count: int, seed: int) -> None:
    wish = WISH.model_copy(update={"seed": seed})
    made = variations(job_id, wish, count)
    assert made == variations(job_id, wish, count)
    assert len({id_ for id_, _ in made}) == len({wish.seed for _, wish in made}) == count
    assert all(is_id(id_) and VideoRequest.parse(wish.model_dump()) for id_, wish in made)


def test_the_jobs_of_one_click_are_known_by_any_of_them_in_their_order() -> None:
    ids = [id_ for id_, _ in variations(new_id(), WISH, 4)]
    known = [new_id(), *reversed(ids), new_id()]
    assert [click_of(id_, known) for id_ in ids] == [ids] * 4
    assert click_of(ids[1], ids[:3]) == ids[:3]
    assert click_of(known[0], known) == click_of(new_id(), known) == click_of("", known) == click_of(ids[0], []) == []


def test_what_was_tried_again_stands_in_the_place_of_what_had_ended() -> None:
    ids = [id_ for id_, _ in variations(new_id(), WISH, 3)]
    twice = again_id(again_id(ids[1]))
    known = [*ids, again_id(ids[1]), twice]
    assert click_of(twice, known) == click_of(ids[0], known) == [ids[0], twice, ids[2]]
    alone = new_id()
    assert click_of(again_id(alone), [alone, again_id(alone)]) == []


def test_a_count_that_cannot_be_chosen_is_one() -> None:
    assert [count_in(count) for count in COUNTS] == [1, 2, 3, 4]
    assert {count_in(count) for count in ("5", "0", "-1", "4.0", "", None, [], "²", 10**9)} == {1}
    assert count_in(3) == 3


def test_the_button_says_the_whole_price() -> None:
    expected = estimate(WISH)
    paid = words().generate_label(expected, is_preview=False, count=3)
    price = f"about ${3 * expected.cost_usd:.2f}, at most ${3 * expected.high_usd:.2f}"
    assert paid == f"Generate 3 · about 3.5 min · {price} in all"
    assert words().generate_label(expected, is_preview=True, count=2) == "Generate 2 · free preview"


@pytest.mark.anyio
async def test_a_limit_in_the_middle_says_how_many_began() -> None:
    began: list[str] = []

    async def send(job_id: str, wish: VideoRequest) -> None:
        if len(began) == 2:
            raise SpendLimitError("over_daily_limit", limit="$5.00", left="$0.20", price="$1.46")
        began.append(job_id)

    wishes = variations(new_id(), WISH, 4)[1:]
    said = await _send_more(send, wishes, words())
    assert began == [job_id for job_id, _ in wishes[:2]]
    assert said.startswith("3 of 4 videos were started. Today's limit of $5.00 leaves $0.20")
    assert await _send_more(send, [], words()) == ""
