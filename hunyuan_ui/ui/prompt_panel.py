"""Prompt help: detected topics, hints, words to append, and a suggested improvement."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.prompt_help.analysis import is_english, pieces
from hunyuan_ui.prompt_help.hints import NEEDED, hints, token_estimate
from hunyuan_ui.prompt_help.suggest import improve
from hunyuan_ui.prompt_help.vocabulary import BY_KEY, VOCABULARY, chosen, toggle
from hunyuan_ui.request import VideoRequest, parameters
from hunyuan_ui.ui.html_part import part
from hunyuan_ui.ui.page_json import json_body
from hunyuan_ui.ui.visitor import say_for
from hunyuan_ui.words import Words

PROMPT: Final = "/gradio_api/hunyuan/prompt"
_LONGEST: Final = max(int(field.high or 0) for field in parameters() if field.is_text)


def build_prompt_panel() -> Any:
    """Place the help under the prompt; its script calls the route below."""
    groups = {group: [word.key for word in entries] for group, entries in VOCABULARY.items()}
    return part("panel", groups=groups)


def build_prompt_route() -> Route:
    """Return the route that analyses a prompt; it stores nothing and is free."""
    return Route(PROMPT, _look, methods=["POST"])


def advice_on(prompt: str, negative_prompt: str, say: Words) -> dict[str, Any]:
    """Return all advice on a prompt, in the visitor's language; of one that is too long to be sent, only that it is."""
    text = prompt.strip()
    if problem := _too_long(text, say):
        nothing: dict[str, Any] = {"pieces": [], "tokens": "", "chosen": [], "additions": []}
        return {**nothing, "prompt": prompt, "improved": prompt, "hints": [problem], "problem": problem}
    found = pieces(text)
    improved = improve(prompt)
    return {
        "prompt": prompt,
        "pieces": [{"name": name, "is_present": name in found} for name in NEEDED] if is_english(text) else [],
        "tokens": say("coach.tokens", tokens=token_estimate(text)) if text else "",
        "hints": [say(f"hint.{hint.code}", **hint.facts) for hint in hints(prompt, negative_prompt)],
        "chosen": chosen(prompt),
        "improved": improved.after,
        "additions": [{"piece": say[f"coach.{piece}"], "clause": clause} for piece, clause in improved.additions],
    }


async def _look(request: Request) -> JSONResponse:
    body = await json_body(request)
    prompt, negative_prompt, key = (_text(body, name) for name in ("prompt", "negative_prompt", "toggle"))
    say = say_for(request)
    toggled = toggle(prompt, key) if key in BY_KEY and len(prompt) <= _LONGEST else prompt
    # Some tens of milliseconds for a hostile text, which must not block the event loop.
    advice = await asyncio.to_thread(advice_on, toggled, negative_prompt[:_LONGEST], say)
    return JSONResponse(advice, headers={"Cache-Control": "no-store"})


def _too_long(text: str, say: Words) -> str:
    """Return the sentence with which a click would be refused; "" if the text fits."""
    if len(text) <= _LONGEST:
        return ""
    try:
        VideoRequest.parse({"prompt": text})
    except InvalidRequestError as error:
        return say.sentence(error)
    return ""


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name)
    return found if isinstance(found, str) else ""
