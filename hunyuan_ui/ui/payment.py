"""Choice of the payer: the owner, nobody for a local preview, or the visitor with their own key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import gradio as gr

from hunyuan_ui.job import JobProblem, Payer, Visitor
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.setting_values import LONGEST_ENTERED
from hunyuan_ui.ui.error_boundary import Event, page_event
from hunyuan_ui.ui.html_part import part
from hunyuan_ui.ui.visitor import login_of, say_for, visitor_of
from hunyuan_ui.words import Words

KEYS_PAGE: Final = "/console/api-keys"  # path on the console's host (docs/facts/segmind-api.md 3.4)
PAY_EVENTS: Final = ("bring", "forget", "enter")

# Result of a change: the payer from then on, and a sentence.
Change = Callable[[gr.EventData, Visitor, Words], Awaitable[tuple[Payer, str]]]


def build_pay() -> Any:
    """Place the choice of the payer; its script hides it if there is only one."""
    return part("payment", *PAY_EVENTS)


def chosen_payer(shown: object, runner: JobRunner) -> Payer:
    """Return the payer that the page's choice names, or the default."""
    wanted = cast("Mapping[str, object]", shown).get("chosen") if isinstance(shown, Mapping) else None
    return wanted if wanted in runner.payers else runner.payers[0]


def named_payer(named: object, runner: JobRunner) -> Payer:
    """Return the payer of a click, which an open page may name although this start does not offer it.

    It becomes the default, for which the click must have shown the price. Not so an own key: its price is the same.
    """
    return "visitor" if named == "visitor" else chosen_payer({"chosen": named}, runner)


class PayEvents:
    """Events of the payer choice; a key arrives in an event's data, is kept by the runner, and is never sent back.

    Args:
        runner: Gives access to keys and the access code.
    """

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def opened(self, request: gr.Request, visitor: Visitor, say: Words) -> dict[str, Any]:
        """Return the initial state of the choice when a page opens; a key about to be dropped is kept."""
        self._runner.keys.renew(visitor)
        return await self._state(visitor, say, login_of(request, self._runner.settings))

    async def bring(self, event: gr.EventData, visitor: Visitor, say: Words) -> tuple[Payer, str]:
        """Accept an entered key."""
        credits_usd = await self._runner.keys.remember(_text(event, "key"), visitor)
        key = "pay.key_accepted" if credits_usd > 0 else "pay.key_empty"
        return "visitor", say(key, credits=say.money(credits_usd))

    async def forget(self, _event: gr.EventData, visitor: Visitor, _say: Words) -> tuple[Payer, str]:
        """Drop a key on the visitor's request."""
        self._runner.keys.forget(visitor)
        return "visitor", ""

    async def enter(self, event: gr.EventData, visitor: Visitor, say: Words) -> tuple[Payer, str]:
        """Accept an entered access code."""
        await self._runner.access.enter(visitor, _text(event, "code"))
        return "owner", say("pay.accepted", count=self._runner.settings.visitor_daily_videos)

    def event(self, name: str) -> Event:
        """Return the event that calls the method of that name, and returns the choice's new state or the refusal."""
        change: Change = getattr(self, name)

        async def answer(request: gr.Request, event: gr.EventData, who: object, shown: object) -> dict[str, Any]:
            visitor = visitor_of(request, who, self._runner)
            login = login_of(request, self._runner.settings)

            async def changed(_request: gr.Request) -> dict[str, Any]:
                say = say_for(request)
                chosen, accepted = await change(event, visitor, say)
                return {**await self._state(visitor, say, login, chosen), "accepted": accepted}

            def refused(problem: JobProblem, _field: str | None, say: Words) -> dict[str, Any]:
                chosen = chosen_payer(shown, self._runner)
                refusal = {"problem": say.sentence(problem), "problem_ends_in_s": problem.facts.get("seconds")}
                return {**self._shown(visitor, say, login, chosen), **refusal}

            return await page_event(changed, refused)(request)

        return answer

    async def _state(self, visitor: Visitor, say: Words, login: str, chosen: Payer | None = None) -> dict[str, Any]:
        await self._runner.recall(visitor)
        allowed = await allowances(self._runner, visitor, say)
        return {**self._shown(visitor, say, login, chosen), "allowance": allowed}

    def _shown(self, visitor: Visitor, say: Words, login: str, chosen: Payer | None = None) -> dict[str, Any]:
        runner = self._runner
        console = runner.settings.console_url
        held = held_by(runner, visitor)
        usual: Payer = "visitor" if held["has_key"] else runner.payers[0]
        return {
            "choices": [
                {"payer": payer, "label": say[f"pay.{payer}"], "help": say[f"pay.{payer}_help"]}
                for payer in runner.payers
            ],
            "chosen": chosen or usual,
            **held,
            "needs_login": runner.settings.requires_login and not login,
            "keys_url": console and console + KEYS_PAGE,
            "problem": "",
        }


def held_by(runner: JobRunner, visitor: Visitor) -> dict[str, bool]:
    """Return which credentials a visitor has entered, or must still enter."""
    return {
        "has_key": "visitor" in runner.payers and runner.keys.has(visitor),
        "needs_code": "owner" in runner.payers and runner.settings.is_public and not runner.access.knows(visitor.id),
    }


async def allowances(runner: JobRunner, visitor: Visitor, say: Words) -> dict[Payer, str]:
    """Return a sentence by payer on a visitor's remaining quota, shown before a click."""
    allowance = await runner.allowance(visitor)
    if allowance is None:
        return {}
    turn = "pay.full" if allowance.is_full else "pay.next" if allowance.is_next_queued else ""
    queued = say[turn] if turn else ""
    if not allowance.left_today:
        return {"owner": say("pay.none_left", limit=allowance.limit), "nobody": queued}
    left = say("pay.left", left=allowance.left_today, limit=allowance.limit)
    return {"owner": say.joined([left, queued]), "nobody": queued}


def _text(event: gr.EventData, name: str) -> str:
    found: object = getattr(event, name, "")
    return found[:LONGEST_ENTERED] if isinstance(found, str) else ""
