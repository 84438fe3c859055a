"""Error boundary of the page and the API: the only place where their errors become sentences."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import gradio as gr

from hunyuan_ui import log
from hunyuan_ui.errors import HunyuanUIError, InvalidRequestError
from hunyuan_ui.job import JobProblem
from hunyuan_ui.ui.visitor import say_for
from hunyuan_ui.words import Words

Event = Callable[..., Awaitable[Any]]
OnProblem = Callable[[JobProblem, "str | None", Words], Any]


def toast(problem: JobProblem, _field: str | None, say: Words) -> NoReturn:
    """Show a problem as Gradio's own message; an API client receives the same sentence."""
    raise gr.Error(say.sentence(problem), print_exception=False)


def page_event(handler: Event, on_problem: OnProblem = toast) -> Event:
    """Wrap a handler in the page's error boundary: every exception becomes a sentence.

    Args:
        handler: An event of the page or the API; its first `gr.Request` determines the language.
        on_problem: Returns the event's result for a problem, its field, and the visitor's words.
    """

    @functools.wraps(handler)
    async def guarded(*values: Any, **named: Any) -> Any:
        say = say_for(next((value for value in values if isinstance(value, gr.Request)), None))
        try:
            return await handler(*values, **named)
        except HunyuanUIError as error:
            field = error.field if isinstance(error, InvalidRequestError) else None
            return on_problem(JobProblem.of(error), field, say)
        except Exception as error:  # noqa: BLE001 - the page's boundary, one of the two named in docs/architecture.md 1
            reference = secrets.token_hex(4)
            log.trouble("page.internal_error", event=handler.__name__, reference=reference, kind=type(error).__name__)
            return on_problem(JobProblem.from_code("internal", reference=reference), None, say)

    return guarded
