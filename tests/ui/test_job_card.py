"""What the card of a job says, from the job alone."""

from __future__ import annotations

from typing import Any

import pytest

from hunyuan_ui.estimate import estimate
from hunyuan_ui.job import Phase
from hunyuan_ui.jobs import JobView
from hunyuan_ui.ui.views import as_json
from hunyuan_ui.words import words
from tests.stored_jobs import job


def view_of(**facts: Any) -> JobView:
    stored = facts.pop("job", None) or job()
    return JobView(stored, facts.pop("phase", Phase.WAITING), 0.0, estimate(stored.request), **facts)


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({"place": 2, "starts_in_s": 240.0}, "Starts in about 4 min."),
        ({"place": 1, "starts_in_s": 45.0}, "Starts in about 45 s."),
        ({"place": 3, "starts_in_s": 3 * 3600.0}, "Starts in about 3 h."),
        ({"place": 1, "starts_in_s": 2.0}, "Next in line."),
        ({"place": 1}, "Next in line."),
        ({"place": 4}, "Number 4 in line."),  # nobody can tell when
        ({"place": 4, "starts_in_s": 240.0, "retry_in_s": 9.2}, "Tried again in 9 s."),
        ({}, ""),
    ],
)
def test_a_job_in_the_queue_says_when_it_starts(facts: dict[str, Any], note: str) -> None:
    assert as_json(view_of(**facts), words())["note_text"] == note
