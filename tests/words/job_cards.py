"""What the card of a job says, in every phase and with every problem that it may have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import pytest

from hunyuan_ui.estimate import estimate
from hunyuan_ui.job import Job, JobProblem, Phase
from hunyuan_ui.jobs import JobView
from hunyuan_ui.ui.views import as_json
from hunyuan_ui.words import Words, words


def texts_of_cards(stored: Job, codes: Sequence[str], language: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the texts of each card, the sentence of its problem with its placeholders unfilled."""
    monkeypatch.setattr(Words, "sentence", lambda say, problem: say[f"error.{problem.code}"])
    for phase, code in product(Phase if stored.is_active else [Phase.ENDED], codes):
        problem = JobProblem.from_code(code)
        shown = stored if stored.is_active else replace(stored, problem=problem)
        told = as_json(
            JobView(shown, phase, 9.0, estimate(stored.request), note=problem, retry_in_s=3.0), words(language)
        )
        yield " ".join([told["phase_text"], told["usual_text"], told["note_text"]])
