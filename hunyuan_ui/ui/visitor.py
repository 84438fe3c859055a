"""Identity of a caller: the browser's token, the login, the address and the language."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, cast, get_args

import gradio as gr
from starlette.requests import Request

from hunyuan_ui.errors import AccessError, InvalidRequestError
from hunyuan_ui.job import Payer, Visitor, is_id, new_id
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.settings import Settings
from hunyuan_ui.words import Words, words, words_for

VISITOR_HEADER: Final = "x-hunyuan-visitor"
KEY_HEADER: Final = "x-api-key"
CODE_HEADER: Final = "x-access-code"
PAYER_HEADER: Final = "x-payer"  # owner, visitor or nobody (local preview), if there is a choice


def token_in(stored: object) -> str:
    """Return the token that a browser has stored, or a new one if it is missing or malformed."""
    return str(stored) if is_id(stored) else new_id()


def token_sent(request: Request) -> str:
    """Return the visitor's token in a request of the page's scripts.

    Raises:
        AccessError: There is none.
    """
    token = request.headers.get(VISITOR_HEADER, "")
    if not is_id(token):
        raise AccessError("not_yours")
    return token


def login_of(request: gr.Request | None, settings: Settings) -> str:
    """Return the visitor's name at Hugging Face; empty without a login, and where Gradio would mock one."""
    if settings.login_secret is None or request is None:
        return ""
    scope: Mapping[str, Any] = getattr(cast("Any", request).request, "scope", {})
    session: Mapping[str, Any] = scope.get("session", {})
    user = session.get("oauth_info", {}).get("userinfo", {})
    return str(user.get("preferred_username", ""))


def token_of(request: gr.Request | None, stored: object, settings: Settings) -> str:
    """Return the visitor's token: derived from their login, if any, so that it cannot be minted at will."""
    name = login_of(request, settings)
    if not name or settings.login_secret is None:
        return token_in(stored)
    return hmac.new(settings.login_secret.reveal().encode(), name.encode(), sha256).hexdigest()[:32]


def token_of_key(own_key: str) -> str:
    """Return the token of a caller without one who sends their own key with each call."""
    return sha256(own_key.encode()).hexdigest()[:32]


def visitor_of(request: gr.Request, stored: object, runner: JobRunner) -> Visitor:
    """Return the visitor behind an event of the page."""
    return runner.visitor(token_of(request, stored, runner.settings), address_of(request))


def say_for(request: gr.Request | Request | None) -> Words:
    """Return the words in the language of the visitor behind a request or an event."""
    if request is None:
        return words()
    return words_for(cast("Any", request).cookies, headers_of(request))


def headers_of(request: gr.Request | Request | None) -> Mapping[str, str]:
    """Return the headers of a call; none if the event has no request."""
    return {} if request is None else cast("Mapping[str, str]", cast("Any", request).headers)


def code_in(headers: Mapping[str, str]) -> str:
    """Return the access code of a call; non-Latin letters in it are UTF-8."""
    text = headers.get(CODE_HEADER, "")
    with suppress(UnicodeError):
        return text.encode("latin-1").decode("utf-8")
    return text


def payer_in(headers: Mapping[str, str]) -> Payer | None:
    """Return the payer that a call names, offered or not; None if it names none.

    Raises:
        InvalidRequestError: It names something else, for which nobody else may pay.
    """
    named, payers = headers.get(PAYER_HEADER, "").strip(), get_args(Payer)
    found = next((payer for payer in payers if payer == named.lower()), None)
    if named and found is None:
        raise InvalidRequestError("payer_unknown", field=PAYER_HEADER, value=named[:40], choices=list(payers))
    return found


def address_of(request: gr.Request | None) -> str:
    """Return the source address of a call; empty if the event has no request.

    Behind a proxy named in `FORWARDED_ALLOW_IPS`, uvicorn has replaced it by the one in the proxy's header.
    """
    client: Any = getattr(request, "client", None)
    return "" if client is None else str(client.host)
