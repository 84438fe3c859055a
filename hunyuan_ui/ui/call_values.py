"""Checks the values of a call for type, count and size before Gradio processes them.

Gradio itself accepts any JSON for any value: it fetches the path in an object, stores what it is given for every
session, and prints what it does not understand (docs/facts/faults-and-security.md 6.1). The rules are derived from
the page's components, so that new events are covered automatically.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any, Final, NamedTuple, NoReturn, cast

import gradio as gr

MOST_TEXT: Final = 16_000  # characters of a text whose component sets no limit
ROOM: Final = 2  # times a component's own limit; slightly longer texts get the request's own, better sentence
MOST_NUMBER: Final = 1e15
MOST_WORD: Final = 100  # characters
MOST_PARTS: Final = 500  # values inside one object
MOST_DEPTH: Final = 8
MOST_KEYS: Final = 32  # of a call's body
MOST_MESSAGES: Final = 10  # of agents in one request
_FRAME_DEPTH: Final = 4  # of an agent's message around a tool's arguments

_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
# Gradio answers prompts/get, which has nothing to answer here, by running a function with unchecked values.
_AGENTS_METHODS: Final = frozenset(
    (
        *("initialize", "ping", "tools/list", "tools/call"),
        *("prompts/list", "resources/list", "resources/templates/list"),
    )
)
_FILE_KEYS: Final = frozenset({"path", "url", "meta", "_type", "is_stream", "orig_name"})
_NO_PARAMETERS: Final[Sequence[Mapping[str, Any]]] = ()

Kind = Callable[[object], "str | None"]  # returns the fault as the suffix of a key "call."


class BadCallError(Exception):
    """A call that is rejected.

    Args:
        code: Of its sentence, after "call.".
        status: HTTP status.
        at: Index of the invalid value; None if no single value is at fault.
        name: The caller's name of that value; empty if no single value is at fault.
        count: Number of values that the function takes.
    """

    def __init__(
        self, code: str, status: int = 422, *, at: int | None = None, name: str = "", count: int | str = 0
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.at = at
        self.name = name
        self.count = count
        self.reply_to: str | int | None = None


class _Value(NamedTuple):
    name: str
    kind: Kind


class _Function(NamedTuple):
    number: int
    name: str  # name in API calls
    values: tuple[_Value, ...]  # in Gradio's order
    is_hidden: tuple[bool, ...]  # filled in by Gradio if a caller leaves them out
    is_queued: bool  # so it must not bypass the queue


class CallRules:
    """The values that each function of a page accepts.

    Args:
        blocks: The built page.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        self._blocks = cast("Any", blocks)
        functions = {number: _function(number, fn) for number, fn in self._blocks.fns.items() if fn.fn is not None}
        self._by_number: Mapping[int, _Function] = functions
        self._by_name = {one.name: one for one in reversed(functions.values())}
        self.public_names = frozenset(
            str(fn.api_name) for fn in self._blocks.fns.values() if fn.api_visibility == "public"
        )

    def joined(self, body: bytes) -> bytes:
        """Check the body of a queued call by number, and return it reduced to the fields that Gradio needs.

        Raises:
            BadCallError: The page could not have made this call.
        """
        call = _object(body)
        return self._numbered_call(self._numbered(call.get("fn_index")), call)

    def run(self, body: bytes, name: str) -> bytes:
        """Check and return the body of an unqueued call: by number, or by name if it has no number."""
        call = _object(body)
        number = call.get("fn_index")
        function = self._named(name) if number is None else self._numbered(number)
        if function.is_queued:
            _no_function()
        return self._numbered_call(function, call, is_by_name=number is None)

    def _numbered_call(self, function: _Function, call: Mapping[str, Any], *, is_by_name: bool = False) -> bytes:
        kept = {**_session_in(call), **_event_in(call), "fn_index": function.number}
        return _bytes({**kept, "data": self._checked(function, _list(call), is_by_name=is_by_name)})

    def called(self, body: bytes, name: str) -> bytes:
        """Check and return the body of a call by name with its values in a list."""
        call, function = _object(body), self._named(name)
        return _bytes({**_session_in(call), "data": self._checked(function, _list(call), is_by_name=True)})

    def named(self, body: bytes, name: str) -> bytes:
        """Check and return the body of a call by name with named values."""
        return _bytes(self._arguments(name, _object(body)))

    def served(self, body: bytes) -> bytes:
        """Check and return the body of a call to a component's server function."""
        call = _object(body)
        block = self._blocks.blocks.get(call.get("component_id")) if _is_whole(call.get("component_id")) else None
        name = call.get("fn_name")
        function = getattr(block, name, None) if isinstance(name, str) else None
        if getattr(function, "_is_server_fn", False) is not True:  # a translated text has every attribute
            _no_function()
        if wrong := _plain(call.get("data")):
            raise BadCallError(wrong, at=0, name="data")
        if "session_hash" not in call:
            raise BadCallError("session")
        return _bytes(
            {**_session_in(call), "data": call.get("data"), "component_id": call["component_id"], "fn_name": name}
        )

    def cancelled(self, body: bytes) -> bytes:
        """Check and return the body of a cancellation."""
        call = _object(body)
        event = call.get("event_id")
        number = call.get("fn_index")
        if not (isinstance(event, str) and _SESSION.fullmatch(event)) or not _is_whole(number):
            raise BadCallError("not_a_call")
        return _bytes({**_session_in(call), "event_id": event, "fn_index": number})

    def agents(self, body: bytes) -> bytes:
        """Check the method and the tool's arguments in an agent's message, or in several, and return the body."""
        found = _json(body)
        messages: list[object] = cast("list[object]", found) if isinstance(found, list) else [found]
        if len(messages) > MOST_MESSAGES:
            raise BadCallError("not_a_call", 400)
        for message in messages:
            if not isinstance(message, dict):
                raise BadCallError("not_a_call", 400)
            self._check_message(cast("dict[str, Any]", message))
        return _bytes(cast("object", found))

    def _check_message(self, message: Mapping[str, Any]) -> None:
        try:
            self._check_tool(message)
            # What only the answer repeats counts too: if it cannot be written, the caller never learns what was done.
            if wrong := _unwritable(message, most_depth=MOST_DEPTH + _FRAME_DEPTH):
                raise BadCallError(wrong)
        except BadCallError as error:
            number = message.get("id")
            error.reply_to = number if isinstance(number, (str, int)) and _unwritable(number) is None else None
            raise

    def _check_tool(self, message: Mapping[str, Any]) -> None:
        method = message.get("method")
        name = method if isinstance(method, str) else ""
        if "method" in message and not (name in _AGENTS_METHODS or name.startswith("notifications/")):
            raise BadCallError("no_method")
        if method != "tools/call":
            return
        params: Mapping[str, Any] = _mapping(message.get("params"))
        arguments = params.get("arguments")
        if wrong := _plain(arguments):
            raise BadCallError(wrong, name="arguments")
        name = params.get("name")
        endpoint = self._tools.get(name) if isinstance(name, str) else None
        if endpoint is None:
            _no_function()
        if arguments is not None:
            self._arguments(endpoint.lstrip("/"), _mapping(arguments))

    def _arguments(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the named values that a function takes; missing ones must have a default."""
        function = self._named(name)
        described = self._parameters.get(f"/{name}")
        if described is None:
            _no_function()
        kinds = [value.kind for value, hidden in zip(function.values, function.is_hidden, strict=True) if not hidden]
        known = {str(one["parameter_name"]): place for place, one in enumerate(described)}
        for key in given:
            if key not in known:
                raise BadCallError("unknown_value", name=key if key.isidentifier() and len(key) <= 40 else "?")
        for place, (one, kind) in enumerate(zip(described, kinds, strict=True)):
            shown = str(one["parameter_name"])
            if shown not in given and not one.get("parameter_has_default"):
                raise BadCallError("missing_value", at=place, name=shown)
            if shown in given and (wrong := kind(given[shown])):
                raise BadCallError(wrong, at=place, name=shown)
        return dict(given)

    def _checked(self, function: _Function, data: list[Any], *, is_by_name: bool) -> list[Any]:
        """Return the values in Gradio's order; a call by name may omit hidden ones and trailing ones with defaults."""
        values = function.values
        if not is_by_name or len(data) == len(values):
            self._check_each(function, values, data, least=len(values))
            return data
        shown = [value for value, hidden in zip(values, function.is_hidden, strict=True) if not hidden]
        defaults = self._defaults(function)
        self._check_each(function, shown, data, least=len(shown) - len(defaults))
        whole = iter([*data, *defaults[len(defaults) - (len(shown) - len(data)) :]])
        return [None if hidden else next(whole) for hidden in function.is_hidden]

    def _check_each(self, function: _Function, values: Sequence[_Value], data: list[Any], *, least: int) -> None:
        most = len(values)
        if not least <= len(data) <= most:
            raise BadCallError("wrong_count", 400, count=most if least == most else f"{least}-{most}")
        for place, (value, given) in enumerate(zip(values, data, strict=False)):
            if wrong := value.kind(given):
                described = self._parameters.get(f"/{function.name}", ())
                name = described[place]["parameter_name"] if place < len(described) else value.name
                raise BadCallError(wrong, at=place, name=str(name))

    def _defaults(self, function: _Function) -> list[Any]:
        """Return the defaults of the trailing values that have one."""
        described = self._parameters.get(f"/{function.name}", _NO_PARAMETERS)
        last = takewhile(lambda one: one.get("parameter_has_default"), reversed(described))
        return [one.get("parameter_default") for one in last][::-1]

    def _named(self, name: str | None) -> _Function:
        function = self._by_name.get(name) if name is not None else None
        return function or _no_function()

    def _numbered(self, number: object) -> _Function:
        function = self._by_number.get(number) if isinstance(number, int) and _is_whole(number) else None
        return function or _no_function()

    @cached_property
    def _parameters(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        endpoints = self._blocks.get_api_info()["named_endpoints"]
        return {name: facts.get("parameters", _NO_PARAMETERS) for name, facts in endpoints.items()}

    @property
    def _tools(self) -> Mapping[str, str]:
        """The functions that agents may call, which are those that they are shown, by their names as tools."""
        named: Mapping[str, str] = getattr(self._blocks.mcp_server_obj, "tool_to_endpoint", {})
        shown = {fn.api_name for fn in self._blocks.fns.values() if getattr(fn.fn, "_mcp_type", "tool") == "tool"}
        return {name: endpoint for name, endpoint in named.items() if endpoint.lstrip("/") in shown}


def _function(number: int, fn: Any) -> _Function:
    values = tuple(
        _Value(_name_of(block, place), _kind_of(block)) for place, block in enumerate(cast("list[Any]", fn.inputs))
    )
    return _Function(
        number, str(fn.api_name), values, tuple(bool(block.skip_api) for block in fn.inputs), bool(fn.queue)
    )


def _name_of(block: Any, place: int) -> str:
    return str(block.elem_id).removeprefix("field-").removeprefix("part-") if block.elem_id else f"value {place + 1}"


def _kind_of(block: Any) -> Kind:
    """Return the check for a component's value; a component without a rule accepts nothing."""
    if isinstance(block, gr.State):
        return _nothing
    if isinstance(block, (gr.HTML, gr.JSON, gr.BrowserState)):
        return _plain
    if isinstance(block, (gr.Radio, gr.Dropdown)):
        return _choice
    if isinstance(block, (gr.Number, gr.Slider)):
        return _number
    if isinstance(block, gr.Checkbox):
        return _flag
    if isinstance(block, (gr.Textbox, gr.Button, gr.Markdown)):
        limit = getattr(block, "max_length", None)
        return _text_of(MOST_TEXT if limit is None else ROOM * int(limit))
    return _described(_mapping(getattr(block, "_api_info", None)))


def _described(schema: Mapping[str, Any]) -> Kind:
    """Return the check for a value that `gr.api` declares by its JSON type."""
    kinds = {
        "string": _text_of(int(schema.get("maxLength", MOST_TEXT))),
        "integer": _number_or_word,
        "number": _number_or_word,
        "boolean": _flag,
        "object": _plain,
        "array": _plain,
    }
    return kinds.get(str(schema.get("type")), _nothing)


# kinds: each accepts None, which a browser sends for an empty value


def _nothing(value: object) -> str | None:
    return None if value is None else "not_taken"


def _flag(value: object) -> str | None:
    return None if value is None or isinstance(value, bool) else "not_flag"


def _number(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > MOST_NUMBER:
        return "not_number"
    return None


def _number_or_word(value: object) -> str | None:
    # A word in place of a number passes: the request's own sentence then says what is valid.
    return None if isinstance(value, str) and _text_of(MOST_WORD)(value) is None else _number(value)


def _text_of(limit: int) -> Kind:
    def text(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not _is_unicode(value):
            return "not_text"
        return None if len(value) <= limit else "too_large"

    return text


def _choice(value: object) -> str | None:
    wrong = _text_of(MOST_TEXT)(value)
    return None if wrong is None or (wrong == "not_text" and _number(value) is None) else "not_choice"


def _plain(value: object) -> str | None:
    """Check a small value of any structure that must not name a file."""
    for count, (part, depth) in enumerate(_parts(value, 0)):
        if count >= MOST_PARTS or depth > MOST_DEPTH:
            return "too_large"
        if isinstance(part, dict) and _FILE_KEYS & cast("dict[str, object]", part).keys():
            return "a_file"
        if isinstance(part, str) and (wrong := _text_of(MOST_TEXT)(part)):
            return wrong
        if isinstance(part, (int, float)) and not isinstance(part, bool) and (wrong := _number(part)):
            return wrong
    return None


def _unwritable(value: object, *, most_depth: int = MOST_DEPTH) -> str | None:
    """Check that a value of any structure can be copied, and encoded in an answer."""
    for count, (part, depth) in enumerate(_parts(value, 0, most_depth)):
        if count >= ROOM * MOST_PARTS or depth > most_depth:
            return "too_large"
        if isinstance(part, str) and not _is_unicode(part):
            return "not_text"
    return None


def _parts(value: object, depth: int, most_depth: int = MOST_DEPTH) -> Iterator[tuple[object, int]]:
    yield value, depth
    if depth > most_depth:
        return
    inner: Iterable[object] = ()
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value)
        inner = [*pairs.keys(), *pairs.values()]
    elif isinstance(value, list):
        inner = cast("list[object]", value)
    for one in inner:
        yield from _parts(one, depth + 1, most_depth)


# bodies


def _session_in(call: Mapping[str, Any]) -> dict[str, Any]:
    session = call.get("session_hash")
    if session is None:
        return {}
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise BadCallError("session")
    return {"session_hash": session}


def _event_in(call: Mapping[str, Any]) -> dict[str, Any]:
    data, trigger = call.get("event_data"), call.get("trigger_id")
    if wrong := _plain(data):
        raise BadCallError(wrong, name="event_data")
    if trigger is not None and not _is_whole(trigger):
        raise BadCallError("not_number", name="trigger_id")
    return {"event_data": data, "trigger_id": trigger}


def _list(call: Mapping[str, Any]) -> list[Any]:
    data = call.get("data")
    if not isinstance(data, list):
        raise BadCallError("not_a_call", 400)
    return cast("list[Any]", data)


def _object(body: bytes) -> dict[str, Any]:
    found = _json(body)
    if not isinstance(found, dict):
        raise BadCallError("not_a_call", 400)
    call = cast("dict[str, Any]", found)
    if len(call) > MOST_KEYS:
        raise BadCallError("not_a_call", 400)
    return call


def _json(body: bytes) -> object:
    try:
        return json.loads(body, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise BadCallError("not_a_call", 400) from None


def _bytes(value: object) -> bytes:
    # Serialized anew: JSON parsers differ on which of two equal keys counts.
    return json.dumps(value, ensure_ascii=True, allow_nan=False).encode()


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_NUMBER


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_function() -> NoReturn:
    raise BadCallError("no_function", 404)
