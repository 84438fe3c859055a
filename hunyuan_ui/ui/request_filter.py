"""ASGI filter for all requests: which origin may call which path, the size of bodies, and response headers.

It wraps Gradio's own middleware and matches each request by the path that the application will see. Unknown paths get
404. Source: docs/facts/faults-and-security.md 6.1, measured on Gradio 6.31.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from html import escape
from typing import Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hunyuan_ui.settings import Settings
from hunyuan_ui.ui import origins
from hunyuan_ui.ui.batch import CHECK, SEND
from hunyuan_ui.ui.call_values import BadCallError, CallRules
from hunyuan_ui.ui.video_files import SHARED_HEADERS
from hunyuan_ui.words import Words, words_for

MOST_BYTES: Final = 64 * 1024  # the longest prompts, with every character escaped, are half of it
MOST_LIST_BYTES: Final = 2 * 1024 * 1024 + MOST_BYTES  # the longest list, with every second character escaped

_READ: Final = frozenset({"GET", "HEAD"})
_STREAM: Final = frozenset({"GET"})  # without a head of its own, which would take an answer and throw it away
_POST: Final = frozenset({"POST"})

_OTHERS_SEND: Final = "content-type, x-api-key, x-access-code, x-payer"  # allowed in API calls from other origins
_OTHERS_READ: Final = "accept-ranges, content-length, content-range"
# hf.space is not its host alone: everybody has pages there.
_SPACE_FRAMES: Final = "frame-ancestors 'self' https://huggingface.co"

_EXPLAINED: Final = (
    '<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light dark"><title>{status}</title></head>'
    '<body style="font: 1rem/1.5 system-ui; max-width: 40rem; margin: 3rem auto; padding: 0 1rem">{paragraphs}</body>'
)

Check = Callable[[CallRules, bytes, "re.Match[str]"], bytes]


class Kind(Enum):
    """Purpose of a path, which decides who may request it."""

    PAGE = auto()  # the page itself: other sites may link to it
    LOGIN = auto()  # login redirects to and from Hugging Face
    LOOKS = auto()  # scripts, styles and pictures of the page
    OWN = auto()  # requests of the page's scripts
    API = auto()  # callable by other origins if public
    FILE = auto()  # readable by other origins if public, at an unguessable address


class Path(NamedTuple):
    """An allowed path."""

    pattern: re.Pattern[str]
    methods: frozenset[str]
    kind: Kind
    check: Check | None = None
    most_bytes: int = MOST_BYTES


def _open(
    pattern: str, methods: frozenset[str], kind: Kind, check: Check | None = None, most_bytes: int = MOST_BYTES
) -> Path:
    return Path(re.compile(pattern, re.DOTALL), methods, kind, check, most_bytes)


def _of_the_page(route: Route) -> Path:
    kind = Kind.FILE if "." in route.path else Kind.OWN
    most_bytes = MOST_LIST_BYTES if route.path in (CHECK, SEND) else MOST_BYTES
    return Path(route.path_regex, frozenset(route.methods or ()), kind, most_bytes=most_bytes)


_NAME: Final = "(?P<name>[^/]+)"
_LIST: Final = "(?P<name>submit_many)"
_NAMED: Final[Check] = lambda rules, body, at: rules.named(body, at["name"])  # noqa: E731
_CALLED: Final[Check] = lambda rules, body, at: rules.called(body, at["name"])  # noqa: E731

GRADIO: Final = (
    _open("/?", _READ, Kind.PAGE),
    _open("/config/?", _READ, Kind.OWN),
    # Gradio's own names are shorter; a disk refuses to look for one that is much longer, on which Gradio fails.
    _open("/(assets|static|svelte)/[ -~]{0,200}", _READ, Kind.LOOKS),
    _open(r"/(gradio_api/)?theme\.css|/favicon\.ico|/manifest\.json|/pwa_icon", _READ, Kind.LOOKS),
    _open(r"/robots\.txt", _READ, Kind.LOOKS),
    _open("/gradio_api/(app_id/?|startup-events|login_check/?|queue/status)", _READ, Kind.OWN),
    _open("/gradio_api/heartbeat/[A-Za-z0-9_-]{1,64}", _STREAM, Kind.OWN),
    _open(r"/gradio_api/(info/?|openapi\.json)", _READ, Kind.API),
    _open("/gradio_api/queue/data", _STREAM, Kind.OWN),
    _open("/gradio_api/queue/join", _POST, Kind.OWN, lambda rules, body, _: rules.joined(body)),
    _open(f"/gradio_api/(run|api)/{_NAME}/?", _POST, Kind.OWN, lambda rules, body, at: rules.run(body, at["name"])),
    _open(f"/gradio_api/call/v2/{_LIST}/?", _POST, Kind.API, _NAMED, MOST_LIST_BYTES),
    _open(f"/gradio_api/call/{_LIST}/?", _POST, Kind.API, _CALLED, MOST_LIST_BYTES),
    _open(f"/gradio_api/call/v2/{_NAME}/?", _POST, Kind.API, _NAMED),
    _open(f"/gradio_api/call/{_NAME}/?", _POST, Kind.API, _CALLED),
    _open(f"/gradio_api/call/(v2/)?{_NAME}/[^/]+", _STREAM, Kind.API),
    _open("/gradio_api/cancel", _POST, Kind.OWN, lambda rules, body, _: rules.cancelled(body)),
    _open("/gradio_api/component_server/?", _POST, Kind.OWN, lambda rules, body, _: rules.served(body)),
)
AGENTS: Final = (
    _open("/gradio_api/mcp(/|/http/?)?", frozenset({"GET", "HEAD", "DELETE"}), Kind.OWN),
    _open("/gradio_api/mcp(/|/http/?)?", _POST, Kind.OWN, lambda rules, body, _: rules.agents(body)),
    _open("/gradio_api/mcp/schema", _READ, Kind.OWN),
    _open("/gradio_api/mcp/sse", _STREAM, Kind.OWN),
    _open("/gradio_api/mcp/messages/?", _POST, Kind.OWN, lambda rules, body, _: rules.agents(body)),
)
LOGIN: Final = (_open("/login/(huggingface|callback)", _READ, Kind.LOGIN), _open("/logout", _READ, Kind.OWN))


class RequestFilter:
    """ASGI middleware around the whole application.

    Args:
        app: The wrapped application.
        settings: Of this run. In private mode a request with another Host than this machine's, or through a proxy, is
            refused: it may be a DNS rebinding attack, or a proxy that unintentionally makes this page public.
        rules: The values that the page's functions accept.
        routes: Of the page itself, besides Gradio's.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        rules: CallRules,
        *,
        routes: Iterable[Route] = (),
    ) -> None:
        self._app = app
        self._is_public, self._is_space = settings.is_public, settings.is_space
        self._rules = rules
        own = [_of_the_page(route) for route in routes]
        agents = AGENTS if settings.has_mcp else ()
        self._paths: Sequence[Path] = [*own, *GRADIO, *agents, *(LOGIN if settings.login_secret else ())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            # The application uses no WebSockets, and a browser lets any page open one.
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        say = words_for(Request(scope).cookies, headers)
        is_foreign = origins.is_foreign(scope, headers, is_public=self._is_public)
        found = self._found(scope)
        kind = found[0].kind if found else None
        is_shared = is_foreign and self._is_public and kind in (Kind.API, Kind.FILE)
        bare, send = send, self._with_response_headers(send, kind, is_shared=is_shared)
        refusal = self._indirect_refusal(scope, headers, say)
        if refusal is None and is_foreign and not (is_shared and self._is_for_all(found)):
            refusal = self._cross_origin_refusal(headers, kind, say)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif is_shared and scope["method"] == "OPTIONS":
            await _preflight()(scope, receive, bare)
        elif found is None or scope["method"] not in found[0].methods:
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        else:
            await self._forward(_stripped(scope, is_foreign=is_shared), receive, send, found, say)

    def _found(self, scope: Scope) -> tuple[Path, re.Match[str]] | None:
        """Return the allowed path of a request; if none allows its method, one that allows others."""
        path, other = route_path(scope), None
        asked = QueryParams(scope["query_string"])
        if "deep_link" in asked or asked.get("page"):
            return None  # names a file with the values of somebody's page, or a page that does not exist
        for one in self._paths:
            if (at := one.pattern.fullmatch(path)) is not None:
                if scope["method"] in one.methods:
                    return one, at
                other = other or (one, at)
        return other

    def _indirect_refusal(self, scope: Scope, headers: Headers, say: Words) -> Response | None:
        """Return a private page's refusal of a request that did not come directly to this machine's address."""
        if self._is_public:
            return None
        port = (scope.get("server") or ("", 0))[1]
        if not origins.is_for_this_machine(scope, headers):
            return _explained_refusal(421, headers, [say("door.elsewhere", port=port), *_alternatives(say, port)])
        if origins.is_proxied(scope, headers):
            return _explained_refusal(403, headers, [say["door.proxied"], *_alternatives(say, port)])
        if headers.get("sec-fetch-dest") in origins.FRAMES:
            return _explained_refusal(403, headers, [say["door.framed"]])
        return None

    def _cross_origin_refusal(self, headers: Headers, kind: Kind | None, say: Words) -> Response | None:
        """Return the refusal for a page of another origin; None if it only links here."""
        may_open = kind in (Kind.PAGE, Kind.LOGIN) and "origin" not in headers
        if may_open and origins.opens_the_page(headers, frames=self._is_space):
            return None
        return _explained_refusal(403, headers, [say["door.foreign"]])

    def _is_for_all(self, found: tuple[Path, re.Match[str]] | None) -> bool:
        if found is None or (named := found[1].groupdict().get("name")) is None:
            return found is not None
        return named in self._rules.public_names

    async def _forward(
        self, scope: Scope, receive: Receive, send: Send, found: tuple[Path, re.Match[str]], say: Words
    ) -> None:
        path, at = found
        if scope["method"] in _READ:
            await self._app(scope, receive, send)
            return
        body = await _read(scope, receive, path.most_bytes)
        if body is None:
            await _error_response(413, say("door.too_large", limit=path.most_bytes))(scope, receive, send)
            return
        if path.check is not None:
            try:
                if not _is_json(Headers(scope=scope)):
                    raise BadCallError("not_a_call", 400)
                body = path.check(self._rules, body, at)
            except BadCallError as error:
                await _bad_call(error, say, is_agent=path in AGENTS)(scope, receive, send)
                return
            scope = {**scope, "headers": _with_length(scope["headers"], len(body))}
        await self._app(scope, _replayed(body, receive), send)

    def _with_response_headers(self, send: Send, kind: Kind | None, *, is_shared: bool) -> Send:
        """Wrap `send` to add the response headers of this kind of path."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                for name in [name for name in headers if name.startswith("access-control-")]:
                    del headers[name]
                if is_shared:
                    headers["Access-Control-Allow-Origin"] = "*"
                    headers["Access-Control-Expose-Headers"] = _OTHERS_READ
                if kind is Kind.FILE:
                    headers.update(SHARED_HEADERS)
                elif kind is not Kind.LOOKS:
                    headers.setdefault("Cache-Control", "no-store")
                if headers.get("content-type", "").startswith("text/html"):
                    self._restrict_frames(headers)
                    headers["Cache-Control"] = "no-store"  # event numbers change with the version
            await send(message)

        return send_with_headers

    def _restrict_frames(self, headers: MutableHeaders) -> None:
        if self._is_space:
            headers.append("Content-Security-Policy", _SPACE_FRAMES)
            return
        frames = ("'self'", "SAMEORIGIN") if self._is_public else ("'none'", "DENY")
        headers.append("Content-Security-Policy", f"frame-ancestors {frames[0]}")
        headers["X-Frame-Options"] = frames[1]


def install_request_filter(
    app: Starlette,
    settings: Settings,
    rules: CallRules,
    *,
    routes: Iterable[Route] = (),
) -> None:
    """Install the filter in an application that is about to start, outside of all its other middleware.

    Args:
        app: At startup, when its own middleware is complete; later additions by Gradio would be outside this filter.
        settings: As for `RequestFilter`.
        rules: As for `RequestFilter`.
        routes: As for `RequestFilter`.
    """
    if app.middleware_stack is None:
        raise RuntimeError("the application is not being started")
    app.middleware_stack = RequestFilter(app.middleware_stack, settings, rules, routes=routes)


def route_path(scope: Scope) -> str:
    """Return the path by which the application selects a route: without the configured root path."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    return rest if not rest or rest.startswith("/") else path


def _stripped(scope: Scope, *, is_foreign: bool) -> Scope:
    """Return the request without its origin, which Gradio would act on, and a foreign one without credentials.

    Host names that are invalid are left out too: Gradio builds URLs from them, and fails in the middle of a call.
    """
    dropped = {b"origin", b"x-gradio-server", *([b"cookie", b"authorization"] if is_foreign else [])}
    dropped.update(origins.nameless(Headers(scope=scope)))
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() not in dropped]}


def _with_length(headers: Iterable[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [pair for pair in headers if pair[0].lower() not in (b"content-length", b"transfer-encoding")]
    return [*kept, (b"content-length", str(length).encode())]


def _is_json(headers: Headers) -> bool:
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    return kind == "application/json"


async def _read(scope: Scope, receive: Receive, most_bytes: int) -> bytes | None:
    """Return a whole body; None if it exceeds the limit for this path, whatever its header says."""
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isdigit() or len(length) > 9 or int(length) > most_bytes:
        return None
    body, has_more = b"", True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(body) > most_bytes:
            return None
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields an already read body, and then the following messages."""
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


# responses


def _alternatives(say: Words, port: int) -> list[str]:
    return [say("door.tunnel", port=port), say["door.publish"]]


def _explained_refusal(status: int, headers: Headers, lines: Sequence[str]) -> Response:
    """Return a few lines as a response: HTML for a browser, JSON for a program."""
    if "text/html" not in headers.get("accept", ""):
        return _error_response(status, " ".join(lines))
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return HTMLResponse(_EXPLAINED.format(status=status, paragraphs=paragraphs), status)


def _error_response(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence, "detail": sentence}, status)


def _preflight() -> Response:
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET, HEAD, POST",
            "Access-Control-Allow-Headers": _OTHERS_SEND,
            "Access-Control-Max-Age": "600",
        },
    )


def _bad_call(error: BadCallError, say: Words, *, is_agent: bool) -> Response:
    problem = f"{say(f'call.{error.code}', count=error.count)} {say['call.nothing_sent']}"
    sentence = say("call.of_value", name=error.name, problem=problem) if error.name else problem
    if is_agent:
        number = _NO_METHOD if error.code == "no_method" else _BAD_VALUES
        return JSONResponse({"jsonrpc": "2.0", "id": error.reply_to, "error": {"code": number, "message": sentence}})
    if error.at is None or error.status != 422:
        return _error_response(error.status, sentence)
    # Gradio's own format: its clients read name and sentence from it, its page marks the field.
    fine: list[dict[str, Any]] = [{"__type__": "validate", "is_valid": True, "message": ""}] * error.at
    wrong = {"__type__": "validate", "is_valid": False, "message": problem, "parameter_name": error.name}
    return JSONResponse({"error": sentence, "detail": [*fine, wrong]}, 422)


_NO_METHOD: Final = -32601  # of JSON-RPC
_BAD_VALUES: Final = -32602
