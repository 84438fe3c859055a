"""Every function of the page, by number and by name: accepted and rejected values."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any, cast

import gradio as gr
import pytest

from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import Settings
from hunyuan_ui.ui import call_values
from hunyuan_ui.ui.call_values import MOST_PARTS, MOST_TEXT, BadCallError, CallRules
from hunyuan_ui.words import words
from tests.built_page import BuiltPage, built_page

pytestmark = pytest.mark.anyio

FILE = {"path": "http://203.0.113.1/x", "meta": {"_type": "gradio.FileData"}}
FILES: list[Any] = [
    FILE,
    {"path": "/etc/passwd"},
    {"url": "http://203.0.113.1/x"},
    {"meta": {"_type": "gradio.FileData"}},
    {"x": FILE},
    [FILE],
    [[{"a": [FILE]}]],
    {"value": {"path": "x", "meta": {}}},
    {"path": "x", "meta": None},
]


@pytest.fixture(scope="module")
def page_built(tmp_path_factory: pytest.TempPathFactory) -> BuiltPage:
    return built_page(Settings(data_dir=tmp_path_factory.mktemp("page") / "data"))


@pytest.fixture(scope="module")
def built(page_built: BuiltPage) -> Any:
    return page_built.blocks


@pytest.fixture(scope="module")
def rules(page_built: BuiltPage) -> CallRules:
    return CallRules(page_built.blocks)


@pytest.fixture(scope="module")
def small() -> CallRules:
    """The rules of a page with one component of each type, and a function that accepts one text."""

    async def build() -> CallRules:
        with gr.Blocks(analytics_enabled=False) as page:
            parts = [gr.Textbox(), gr.Textbox(max_length=10), gr.Slider(0, 9), gr.Number(), gr.Checkbox()]
            parts += [gr.Radio(["1", "2"]), gr.Dropdown(["1"]), gr.HTML(), gr.JSON()]
            cast("Any", gr.Button()).click(lambda *_: None, parts, api_name="all")
            cast("Any", gr.Button()).click(lambda _: None, parts[0], api_name="one", queue=False)
        return CallRules(page)

    return asyncio.run(build())


ALL = ["x", "x", 5, 5, True, "1", "1", {}, {}]


def with_value(place: int, value: object) -> list[Any]:
    return [*ALL[:place], value, *ALL[place + 1 :]]


def sent(**call: Any) -> bytes:
    return json.dumps(call).encode()


def refused(check: Any, *arguments: Any) -> BadCallError:
    with pytest.raises(BadCallError) as caught:
        check(*arguments)
    return caught.value


def test_what_the_page_sends_passes_by_number_and_by_name(page_built: BuiltPage, rules: CallRules) -> None:
    seen = 0
    for number, fn, values in page_built.functions():
        event = {"job": "a" * 32, "index": 0, "settings": VideoRequest.model_construct().model_dump()}
        body = sent(data=values, fn_index=number, session_hash="a1b2", event_data=event, trigger_id=3)
        passed = json.loads(rules.joined(body))
        assert passed == json.loads(body)
        if fn.queue:
            for call in (body, sent(data=values)):
                assert refused(rules.run, call, str(fn.api_name)).status == 404
        else:
            assert json.loads(rules.run(sent(data=values), str(fn.api_name)))["fn_index"] == number
            assert json.loads(rules.run(body, "predict")) == passed
        assert json.loads(rules.called(sent(data=values), str(fn.api_name))) == {"data": values}
        seen += 1
    assert seen > 25


def test_no_value_of_any_function_can_name_a_file(page_built: BuiltPage, rules: CallRules) -> None:
    tried = 0
    for number, fn, values in page_built.functions():
        for place in range(len(values)):
            for file in FILES:
                bad = [*values[:place], file, *values[place + 1 :]]
                error = refused(rules.joined, sent(data=bad, fn_index=number, session_hash="a"))
                assert (error.at, error.status) == (place, 422)
                refused(rules.run, sent(data=bad), str(fn.api_name))
                refused(rules.called, sent(data=bad), str(fn.api_name))
                tried += 1
        for file in FILES:
            body = sent(data=values, fn_index=number, event_data=file)
            assert refused(rules.joined, body).code == "a_file"
    assert tried > 500


TEXT: list[Any] = [1, 1.5, True, [], {}, ["x"], {"x": 1}]
NUMBER: list[Any] = ["5", "x", True, [], {}, [5], 1e300, 10**20]
CHOICE: list[Any] = [True, [], {}, ["1"], 1e300]
WRONG = [TEXT, TEXT, NUMBER, NUMBER, [0, 1, "true", [], {}], CHOICE, CHOICE, [1e300, FILE], [1e300, FILE]]


@pytest.mark.parametrize("place", range(len(ALL)))
def test_a_value_of_the_wrong_kind_goes_no_further(small: CallRules, place: int) -> None:
    for value in (ALL[place], None):
        small.joined(sent(data=with_value(place, value), fn_index=0))
    for value in WRONG[place]:
        error = refused(small.joined, sent(data=with_value(place, value), fn_index=0))
        assert (error.at, error.status) == (place, 422), value


def test_a_word_for_a_number_of_the_api_gets_the_requests_own_sentence(rules: CallRules) -> None:
    rules.named(sent(prompt="x", width="wide"), "submit")
    for value in ("5" * 101, True, [5], {}, 1e300):
        assert refused(rules.named, sent(prompt="x", width=value), "submit").name == "width"


def test_a_wrong_count_goes_no_further(page_built: BuiltPage, rules: CallRules) -> None:
    for number, fn, values in page_built.functions():
        for bad in (values[:-1], [*values, None], [*values, FILE], []):
            if len(bad) == len(values):
                continue
            assert refused(rules.joined, sent(data=bad, fn_index=number)).code == "wrong_count"
            if str(fn.api_name) not in rules.public_names:
                assert refused(rules.called, sent(data=bad), str(fn.api_name)).code == "wrong_count"


LEFT_OUT: list[tuple[str, list[Any], list[Any]]] = [
    ("status", ["x"], ["x", 0.0, False]),
    ("status", ["x", 25], ["x", 25, False]),
    ("status", ["x", 25, True], ["x", 25, True]),
    ("result", ["x"], ["x"]),
    ("estimate", ["x", "", 64], ["x", "", 64, 480, 77, 40, 7.0, 6, 96501778]),
    ("submit", ["x"], ["x", VideoRequest.model_fields["negative_prompt"].default, 854, 480, 77, 40, 7.0, 6, 96501778]),
]


@pytest.mark.parametrize(("name", "given", "passed"), LEFT_OUT, ids=str)
def test_a_call_by_name_may_leave_out_the_last_values_that_have_defaults(
    rules: CallRules, name: str, given: list[Any], passed: list[Any]
) -> None:
    assert json.loads(rules.called(sent(data=given), name))["data"][: len(passed)] == passed
    by_number = {number: one for number, one in rules._by_number.items() if one.name == name}
    ((number, function),) = by_number.items()
    assert len(json.loads(rules.called(sent(data=given), name))["data"]) == len(function.values)
    if not function.is_queued:
        assert json.loads(rules.run(sent(data=given), name))["data"][: len(passed)] == passed
        if len(given) < len(function.values):
            assert refused(rules.run, sent(data=given, fn_index=number), name).code == "wrong_count"


@pytest.mark.parametrize(
    ("name", "given", "takes"),
    [
        ("status", [], "1-3"),
        ("status", ["x", 0, True, None], "1-3"),
        ("result", [], "1"),
        ("result", ["x", 0], "1"),
        ("estimate", [], "1-9"),
        ("submit", [], "1-11"),
        ("submit", ["x"] * 12, "1-11"),
    ],
    ids=str,
)
def test_a_value_that_is_needed_and_one_too_many_are_refused(
    rules: CallRules, name: str, given: list[Any], takes: str
) -> None:
    error = refused(rules.called, sent(data=given), name)
    assert (error.code, error.status, str(error.count)) == ("wrong_count", 400, takes)


async def test_only_the_last_values_can_be_left_out_and_hidden_ones_are_none_of_them() -> None:
    def called(first: str, second: int = 2, third: str = "c", *, caller: gr.Request) -> None: ...

    with gr.Blocks(analytics_enabled=False) as page:
        cast("Any", gr).api(called, api_name="last")
        parts = [gr.Textbox("a"), gr.State(1), gr.Number(), gr.Checkbox(True)]  # the number has no default
        gr.Button().click(lambda *_: None, parts, api_name="middle")
    rules = CallRules(page)
    assert json.loads(rules.called(sent(data=["x"]), "last")) == {"data": ["x", 2, "c"]}
    assert json.loads(rules.called(sent(data=["x", 5]), "last")) == {"data": ["x", 5, "c"]}
    assert json.loads(rules.called(sent(data=["x", 5]), "middle")) == {"data": ["x", None, 5, True]}
    assert json.loads(rules.called(sent(data=["x", 5, False]), "middle")) == {"data": ["x", None, 5, False]}
    assert refused(rules.called, sent(data=["x"]), "middle").count == "2-3"
    assert refused(rules.called, sent(data=["x", FILE]), "middle").at == 1


@pytest.mark.parametrize("number", [-1, 10**6, 10**12, "0", True, 0.0, [0], {}])
def test_a_number_that_no_function_has_is_none(rules: CallRules, number: object) -> None:
    error = refused(rules.joined, sent(data=[], fn_index=number))
    assert (error.code, error.status) == ("no_function", 404)


def test_what_only_the_browser_does_is_no_function(built: Any, rules: CallRules) -> None:
    scripts = [number for number, fn in built.fns.items() if fn.fn is None]
    assert scripts
    for number in scripts:
        assert refused(rules.joined, sent(data=[], fn_index=number)).code == "no_function"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"data"',
        b"{}",
        b'{"data": {}}',
        b'{"data": "x"}',
        b'{"data": null}',
        b'{"data": [NaN]}',
        b'{"data": [Infinity]}',
        b'{"data": [-Infinity]}',
        b'{"data": [1e999]}',
        b'{"data": [' + b"1" * 5000 + b"]}",
        b'{"data": [' + b"[" * 30_000 + b"]" * 30_000 + b"]}",
        b'{"data": []} {}',
        b"data=1",
        b"\xff\xfe{}",
        json.dumps({"data": ["x"], **{str(number): 1 for number in range(40)}}).encode(),
    ],
    ids=lambda body: body[:20],
)
def test_what_is_no_call_is_refused(small: CallRules, body: bytes) -> None:
    for check in (lambda: small.called(body, "one"), lambda: small.run(body, "one")):
        error = refused(check)
        assert error.status in (400, 422)


@pytest.mark.parametrize("body", [b"", b"1", b"[1]", b'{"id": 1e999, "method": "ping"}', b'{"id": NaN}'])
def test_what_is_no_message_of_an_agent_is_refused(small: CallRules, body: bytes) -> None:
    assert refused(small.agents, body).code == "not_a_call"


@pytest.mark.parametrize("session", ["", "a" * 65, "a b", "a/b", "a\n", 1, [], {}, FILE, "ä"])
def test_a_session_is_a_short_word(small: CallRules, session: object) -> None:
    assert refused(small.called, sent(data=["x"], session_hash=session), "one").code == "session"


def test_of_a_body_only_what_is_needed_goes_on(small: CallRules) -> None:
    more = {"event_id": "x", "simple_format": True, "batched": True, "oauth_token": "x", "request": FILE, "z": FILE}
    passed = json.loads(small.called(sent(data=["x"], session_hash="a", **more), "one"))
    assert passed == {"data": ["x"], "session_hash": "a"}
    joined = json.loads(small.run(sent(data=["x"], session_hash="a", **more), "one"))
    assert set(joined) == {"data", "session_hash", "event_data", "fn_index", "trigger_id"}


def test_of_two_values_of_one_name_the_one_that_was_checked_goes_on(small: CallRules) -> None:
    assert json.loads(small.called(b'{"data": [{"path": "x"}], "data": ["x"]}', "one")) == {"data": ["x"]}
    refused(small.called, b'{"data": ["x"], "data": [{"path": "x"}]}', "one")


@pytest.mark.parametrize("text", ["\ud800", "x\udfff"])
def test_text_is_unicode(small: CallRules, text: str) -> None:
    assert refused(small.called, sent(data=[text]), "one").code == "not_text"


def test_text_and_objects_have_a_size(small: CallRules) -> None:
    assert refused(small.called, sent(data=["x" * (MOST_TEXT + 1)]), "one").code == "too_large"
    small.joined(sent(data=with_value(1, "x" * 20), fn_index=0))
    assert refused(small.joined, sent(data=with_value(1, "x" * 21), fn_index=0)).code == "too_large"
    deep: Any = "x"
    for _ in range(12):
        deep = {"x": deep}
    for large in (deep, [0] * (MOST_PARTS + 1), {str(key): 0 for key in range(MOST_PARTS)}, {"x" * MOST_TEXT * 2: 1}):
        assert refused(small.joined, sent(data=with_value(7, large), fn_index=0)).code == "too_large"


def test_every_refusal_has_its_sentence() -> None:
    source = Path(call_values.__file__).read_text("utf-8")
    codes = set(re.findall(r'BadCallError\(\s*"(\w+)"', source)) | set(re.findall(r'(?:return|else) "(\w+)"', source))
    assert len(codes) > 10
    for language in ("en", "zh"):
        assert [code for code in sorted(codes) if f"call.{code}" not in words(language)] == []


# named values


def test_named_values_pass_when_they_are_right(rules: CallRules) -> None:
    right = {"prompt": "x", "video_length": 25, "flow_shift": 7.5, "job_id": "a" * 32}
    assert json.loads(rules.named(sent(**right), "submit")) == right
    assert json.loads(rules.named(sent(prompt="x"), "submit")) == {"prompt": "x"}
    assert json.loads(rules.named(sent(job_id="x", wait_s=25), "status")) == {"job_id": "x", "wait_s": 25}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_named_value_can_name_a_file(rules: CallRules, file: object) -> None:
    for name in VideoRequest.model_fields:
        for function in ("submit", "generate", "estimate"):
            error = refused(rules.named, sent(**{"prompt": "x", name: file}), function)
            assert error.name == name
    refused(rules.named, sent(job_id=file), "status")
    refused(rules.named, sent(job_id=file), "result")


@pytest.mark.parametrize(
    ("given", "function", "code", "name"),
    [
        ({}, "submit", "missing_value", "prompt"),
        ({"prompt": "x", "colour": "red"}, "submit", "unknown_value", "colour"),
        ({"prompt": "x", "a b\n": "red"}, "submit", "unknown_value", "?"),
        ({"prompt": "x", "width": ["wide"]}, "submit", "not_number", "width"),
        ({"prompt": "x", "width": True}, "submit", "not_number", "width"),
        ({"prompt": 5}, "submit", "not_text", "prompt"),
        ({}, "status", "missing_value", "job_id"),
    ],
    ids=str,
)
def test_a_wrong_named_value_is_named(
    rules: CallRules, given: dict[str, Any], function: str, code: str, name: str
) -> None:
    error = refused(rules.named, sent(**given), function)
    assert (error.code, error.name) == (code, name)


@pytest.mark.parametrize("name", ["nothing", "attach", "", "submit\n", "../submit", "__init__"])
def test_only_public_functions_take_named_values(rules: CallRules, name: str) -> None:
    assert refused(rules.named, sent(prompt="x"), name).status == 404


def test_the_public_functions_are_named(rules: CallRules) -> None:
    assert rules.public_names == {*("generate", "submit", "status", "result", "estimate", "submit_many", "status_many")}


# the rest


def test_a_components_own_function_must_be_one(built: Any, rules: CallRules) -> None:
    block = next(iter(built.blocks))
    for name in ("preprocess", "postprocess", "__init__", "get_config", "nothing", 1, None, ["x"]):
        body = sent(data=None, component_id=block, session_hash="a", fn_name=name)
        assert refused(rules.served, body).code == "no_function"
    for number, component in built.blocks.items():  # a text that Gradio translates has every attribute
        for name in dir(component):
            body = sent(data=None, component_id=number, session_hash="a", fn_name=name)
            assert refused(rules.served, body).code == "no_function", (component, name)
    for number in (None, "1", 10**9, [1]):
        refused(rules.served, sent(data=None, component_id=number, session_hash="a", fn_name="x"))


async def test_a_components_own_function_takes_no_file() -> None:
    def told(_value: Any) -> None: ...

    with gr.Blocks(analytics_enabled=False) as page:
        html = gr.HTML(server_functions=[told])
    rules = CallRules(page)
    call = {"component_id": html._id, "session_hash": "a", "fn_name": "told"}
    assert json.loads(rules.served(sent(**call, data=["x"]))) == {**call, "data": ["x"]}
    for file in FILES:
        assert refused(rules.served, sent(**call, data=file)).code == "a_file"
    assert refused(rules.served, sent(data=1, component_id=html._id, fn_name="told")).code == "session"


async def test_a_component_that_nobody_thought_of_takes_nothing() -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        parts = [gr.Image(), gr.Video(), gr.File(), gr.Gallery(), gr.Audio(), gr.State("x"), gr.Chatbot()]
        gr.Button().click(lambda *_: None, parts)
    rules = CallRules(page)
    rules.joined(sent(data=[None] * len(parts), fn_index=0))
    for place in range(len(parts)):
        for value in (FILE, "http://203.0.113.1/x", "x", 1, [FILE]):
            bad = [value if at == place else None for at in range(len(parts))]
            assert refused(rules.joined, sent(data=bad, fn_index=0)).code == "not_taken"


def test_a_call_is_taken_back_by_its_own_names(rules: CallRules) -> None:
    right = {"event_id": "ab12", "session_hash": "a", "fn_index": 3}
    assert json.loads(rules.cancelled(sent(**right, more=FILE))) == right
    for name, value in (("event_id", FILE), ("event_id", "a" * 65), ("fn_index", "3"), ("session_hash", FILE)):
        refused(rules.cancelled, sent(**{**right, name: value}))


TOOLS = {name: f"/{name}" for name in ("generate", "submit", "estimate")}


@pytest.mark.parametrize("method", ["prompts/get", "resources/read", "Tools/Call", "", None, ["tools/call"]])
def test_agents_have_no_other_way_to_a_function(built: Any, method: object) -> None:
    rules = CallRules(built)
    for params in ({}, {"name": "x", "arguments": {"list_id": "0" * 32}}, {"uri": "file:///x"}):
        message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        error = refused(rules.agents, json.dumps(message).encode())
        assert (error.code, error.reply_to) == ("no_method", 7)
    for allowed in ({"method": "notifications/cancelled", "params": {"requestId": 7}}, {"id": 1, "result": {}}):
        assert json.loads(rules.agents(json.dumps(allowed).encode())) == allowed


@pytest.mark.parametrize("name", ["generate", "another", "/submit", "", 5, None])
@pytest.mark.parametrize("arguments", [{}, {"prompt": "x"}, None])
def test_agents_call_only_what_they_are_shown(built: Any, name: object, arguments: object) -> None:
    rules = CallRules(built)
    built.mcp_server_obj = type("Server", (), {"tool_to_endpoint": TOOLS})
    try:
        call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        assert refused(rules.agents, json.dumps(call).encode()).code == "no_function"
    finally:
        built.mcp_server_obj = None


def test_a_tools_arguments_are_its_values(built: Any) -> None:
    rules = CallRules(built)
    built.mcp_server_obj = type("Server", (), {"tool_to_endpoint": TOOLS})
    try:
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"clientInfo": {"url": "https://x"}}}
        assert json.loads(rules.agents(json.dumps(hello).encode())) == hello

        def call(**arguments: Any) -> dict[str, Any]:
            params = {"name": "submit", "arguments": arguments}
            return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}

        good = call(prompt="x", width=64)
        assert json.loads(rules.agents(json.dumps([hello, good]).encode())) == [hello, good]
        for bad in (*(call(prompt=file) for file in FILES), call(prompt="x", width=["64"]), call(prompt="x", y=1)):
            for body in (bad, [hello, bad]):
                assert refused(rules.agents, json.dumps(body).encode()).reply_to == 7
        bad = {**call(), "params": {"name": "another", "arguments": FILE}}
        assert refused(rules.agents, json.dumps(bad).encode()).code == "a_file"
        for body in (b"1", b"[1]", b"null", json.dumps([hello] * 11).encode()):
            refused(rules.agents, body)
    finally:
        built.mcp_server_obj = None


@pytest.mark.parametrize("number", ["\ud800", "a\udc00"])
def test_an_agents_number_that_no_answer_could_repeat_is_refused(rules: CallRules, number: str) -> None:
    for method in ("ping", "tools/call", "nope"):
        error = refused(rules.agents, json.dumps({"jsonrpc": "2.0", "id": number, "method": method}).encode())
        assert error.reply_to is None
    assert refused(rules.agents, json.dumps({"id": 1, "method": "ping", "params": {number: 1}}).encode()).reply_to == 1
    marked = {"id": 2, "method": "tools/list", "params": {"_meta": {"progressToken": number}}}
    assert refused(rules.agents, json.dumps(marked).encode()).code == "not_text"


@pytest.mark.parametrize("levels", [20, 300, 960])
def test_an_agents_message_is_no_deeper_than_what_reads_it_can_follow(rules: CallRules, levels: int) -> None:
    body = '{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": {"a": %s}}' % ("[" * levels + "]" * levels)
    error = refused(rules.agents, body.encode())
    assert error.code in ("too_large", "not_a_call")
    assert error.reply_to == (7 if error.code == "too_large" else None)


async def test_the_rules_need_no_list_of_functions() -> None:
    """A new event of the page is covered automatically."""
    with gr.Blocks(analytics_enabled=False) as page:
        text, number, html = gr.Textbox(max_length=10), gr.Number(), gr.HTML()
        gr.Button().click(lambda *_: None, [text, number, html], api_name="new")
    rules = CallRules(page)
    rules.called(sent(data=["x", 1, {"x": 1}]), "new")
    for place, code in ((0, "not_text"), (1, "not_number"), (2, "a_file")):
        values: list[Any] = ["x", 1, {}]
        values[place] = FILE
        assert refused(rules.called, sent(data=values), "new").code == code
