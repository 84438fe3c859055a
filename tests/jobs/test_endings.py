"""How many responses confirm an ending; what follows from it is in tests/faults/test_endings.py."""

from __future__ import annotations

from hunyuan_ui.errors import JobFailedError
from hunyuan_ui.jobs.endings import PROOFS, Ending, Endings, ending_of


def confirmed_after(ending: Ending, every_s: float) -> tuple[int, float]:
    """Return after how many responses, and seconds since the first, an ending is confirmed."""
    at = 0.0
    endings = Endings(now=lambda: at)
    count = 1
    while not endings.confirm(ending):
        at += every_s
        count += 1
    return count, at


def test_a_failure_after_a_finished_video_needs_more_than_an_ordinary_one() -> None:
    failed = JobFailedError("job_failed")
    assert ending_of(failed) is Ending.FAILED
    assert ending_of(failed, was_completed=True) is Ending.TAKEN_BACK
    assert confirmed_after(Ending.FAILED, 5.0) == (3, 10.0)
    assert confirmed_after(Ending.TAKEN_BACK, 5.0) == (13, 60.0)
    assert confirmed_after(Ending.TAKEN_BACK, 1000.0) == (4, 3000.0)


def test_a_response_that_contradicts_an_ending_begins_its_count_anew() -> None:
    for ending, proof in PROOFS.items():
        at = 0.0
        endings = Endings(now=lambda: at)  # noqa: B023 - read within the same turn
        for _ in range(proof.answers - 1):
            assert not endings.confirm(ending)
        endings.clear()
        at = 2 * proof.seconds
        assert not endings.confirm(ending), ending
