"""The page's boundary: the one place where its errors, and those of the API, become sentences."""

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
    """Show a problem as Gradio's own message; a client of the API receives the same sentence."""
    raise gr.Error(say.sentence(problem), print_exception=False)


def page_event(handler: Event, on_problem: OnProblem = toast) -> Event:
    """Return the handler with the page's boundary round it: whatever is raised becomes a sentence.

    Args:
        handler: An event of the page or the API; its first `gr.Request` tells the language.
        on_problem: Makes the event's answer from the problem, the field it is about, and the visitor's words.
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
