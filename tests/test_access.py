from __future__ import annotations

import pytest

from hunyuan_ui.access import MOST_GRANTS, WRONG_CODES_A_MINUTE, AccessCode, Attempts
from hunyuan_ui.errors import SpendLimitError
from hunyuan_ui.settings import Secret
from tests.stored_jobs import ALICE, BOB, Clock


def code_of(access: AccessCode, offered: str, visitor: str = ALICE) -> str | None:
    try:
        access.enter(visitor, offered)
    except SpendLimitError as error:
        return error.code
    return None


def test_without_a_code_everybody_is_let_in() -> None:
    access = AccessCode(None)
    assert not access.is_set
    assert access.knows(ALICE)
    assert code_of(access, "anything") is None


def test_only_the_visitor_who_entered_the_code_is_let_in() -> None:
    access = AccessCode(Secret("open sesame"))
    assert not access.knows(ALICE)
    assert code_of(access, "open sesame") is None
    assert access.knows(ALICE)
    assert not access.knows(BOB)


@pytest.mark.parametrize("offered", ["", "open", "open sesame!", "OPEN SESAME", "öpen sesame", "\ud800"])
def test_another_word_does_not_let_in(offered: str) -> None:
    access = AccessCode(Secret("open sesame"))
    assert code_of(access, offered) == "access_code_wrong"
    assert not access.knows(ALICE)


def test_a_code_of_other_letters_than_ascii_can_be_entered() -> None:
    access = AccessCode(Secret("芝麻开门"))
    assert code_of(access, " 芝麻开门\n") is None


def test_the_sixth_wrong_code_of_a_minute_is_not_looked_at_even_if_it_is_right() -> None:
    clock = Clock(0.0)
    access = AccessCode(Secret("1234"), clock)
    tried = [code_of(access, f"{guess}", visitor=f"{guess:032x}") for guess in range(WRONG_CODES_A_MINUTE)]
    assert tried == ["access_code_wrong"] * WRONG_CODES_A_MINUTE
    assert code_of(access, "1234", BOB) == "access_code_attempts"
    clock.at = 59.9
    assert code_of(access, "1234", BOB) == "access_code_attempts"
    clock.at = 60.0
    assert code_of(access, "1234", BOB) is None


def test_right_codes_are_not_counted_and_let_nobody_wait() -> None:
    access = AccessCode(Secret("1234"), Clock(0.0))
    assert {code_of(access, "1234", f"{number:032x}") for number in range(100)} == {None}


def test_who_is_in_stays_in_while_others_guess() -> None:
    access = AccessCode(Secret("1234"), Clock(0.0))
    access.enter(ALICE, "1234")
    for _ in range(50):
        code_of(access, "0000", BOB)
    assert access.knows(ALICE)


def test_the_seconds_to_wait_are_named() -> None:
    clock = Clock(100.0)
    attempts = Attempts(1, clock)
    attempts.count()
    clock.at = 118.5
    with pytest.raises(SpendLimitError, match="try again in 42 s"):
        attempts.check("access_code_attempts")


def test_a_stranger_with_the_code_cannot_fill_the_memory() -> None:
    access = AccessCode(Secret("1234"))
    access.enter(ALICE, "1234")
    for number in range(MOST_GRANTS):
        access.enter(f"{number:032x}", "1234")
    assert not access.knows(ALICE)
    assert access.knows(f"{MOST_GRANTS - 1:032x}")
