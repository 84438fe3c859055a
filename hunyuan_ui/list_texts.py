"""Sentences about a prompt list, for the page, the API and the command line."""

from __future__ import annotations

from hunyuan_ui.jobs import BatchView
from hunyuan_ui.words import Words


def list_line(view: BatchView, say: Words) -> str:
    """Format the state of a prompt list, without zero or unknown values."""
    parts = [say("list.done", done=view.done, rows=view.rows)]
    parts += [say(f"list.{status}", count=count) for status, count in view.missed.items() if count]
    if view.budget_usd:
        parts.append(say("list.spent_of", spent=say.money(view.spent_usd), budget=say.money(view.budget_usd)))
    elif view.spent_usd:
        parts.append(say.money(view.spent_usd))
    if view.left_s:
        parts.append(say("list.left", time=say.duration(view.left_s)))
    return " · ".join(parts)


def problem_of_list(view: BatchView, say: Words) -> str | None:
    """Return the sentence of why a list ended early, in the words for what makes it; None if it did not."""
    if view.problem is None:
        return None
    return (say.about(view.latest) if view.latest else say).sentence(view.problem)
