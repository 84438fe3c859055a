from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunyuan_ui import log
from hunyuan_ui.errors import HunyuanUIError
from hunyuan_ui.job import JobStatus
from hunyuan_ui.settings import Secret

KEY = "SG_0123456789abcdef"
CODE = 'open "sesame"\\ é'


class Lines(io.StringIO):
    """A stream that returns the event written last."""

    @property
    def last(self) -> dict[str, Any]:
        *_, line = self.getvalue().splitlines()
        return json.loads(line)


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger, root = logging.getLogger("hunyuan_ui"), logging.getLogger()
    before, others = (logger.handlers[:], logger.level, logger.propagate), root.handlers[:]
    stream = Lines()
    log.configure(Secret(KEY), None, Secret(CODE), stream=stream)
    yield stream
    logger.handlers[:], logger.level, logger.propagate = before
    root.handlers[:] = others


def fail(text: str) -> None:
    raise ValueError(text)


def test_an_event_is_one_json_line_with_its_facts(lines: Lines) -> None:
    log.event("job.sent", job="a" * 32, cost_usd=1.46, attempt=2, retried=False, note=None)
    log.event("job.done")
    assert lines.getvalue().count("\n") == 2
    first = json.loads(lines.getvalue().splitlines()[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "info",
        "event": "job.sent",
        "job": "a" * 32,
        "cost_usd": 1.46,
        "attempt": 2,
        "retried": False,
        "note": None,
    }


def test_facts_keep_their_shape(lines: Lines) -> None:
    log.event("shapes", status=JobStatus.DONE, path=Path("a/b"), many=(1, {"x": [2.5]}), nan=float("nan"))
    assert lines.last["status"] == "done"
    assert lines.last["path"] == "a/b"
    assert lines.last["many"] == [1, {"x": [2.5]}]
    assert lines.last["nan"] == "nan"


@pytest.mark.parametrize("secret", [KEY, CODE, "SG_anotherkey99"])
def test_a_secret_never_appears_wherever_it_stands(lines: Lines, secret: str) -> None:
    log.event(
        f"event {secret}",
        text=f"before {secret} after",
        deep=[{"headers": {secret: secret}}],
        held=Secret(secret),
        other=Path(secret),
    )
    written = lines.getvalue()
    assert secret not in written
    assert json.dumps(secret)[1:-1] not in written
    assert lines.last["text"] == "before *** after"
    assert written.count("\n") == 1


def test_the_text_of_an_exception_never_appears(lines: Lines) -> None:
    try:
        fail("a secret prompt")
    except ValueError as error:
        log.trouble("went.wrong", error=error)
    assert "secret" not in lines.getvalue()
    assert "fail" not in lines.last["where"].split(" < ")[1]
    assert lines.last["level"] == "warning"
    assert lines.last["exception"] == "ValueError"
    assert lines.last["error"] == "ValueError"
    assert re.match(r"test_log\.py:\d+ fail < test_log\.py:\d+ ", lines.last["where"])


def test_an_error_in_the_chain_shows_no_text_either(lines: Lines) -> None:
    try:
        try:
            fail("a secret prompt")
        except ValueError as error:
            raise HunyuanUIError("job_failed", detail="a secret prompt") from error
    except HunyuanUIError:
        log.trouble("went.wrong")
    assert "secret" not in lines.getvalue()
    assert lines.last["exception"] == "HunyuanUIError"


def test_trouble_without_an_exception_names_none(lines: Lines) -> None:
    log.trouble("disk.full", free_mb=3)
    assert lines.last["free_mb"] == 3
    assert "exception" not in lines.last


@pytest.mark.parametrize("forged", ['\n{"event": "forged"}', "\r\nforged", "\u2028forged", "\x85forged", "\u202egrof"])
def test_a_line_break_in_foreign_text_makes_no_new_line(lines: Lines, forged: str) -> None:
    log.event("x", detail=f"a{forged}")
    log.event(f"y{forged}")
    assert len(lines.getvalue().splitlines()) == 2
    assert lines.getvalue().isascii()
    assert lines.last["event"] == f"y{forged}"


def test_a_fact_cannot_pass_for_the_event(lines: Lines) -> None:
    log.event("real", event="forged", time="forged", level="forged", name="kept")
    assert lines.last["event"] == "real"
    assert lines.last["level"] == "info"
    assert lines.last["time"] != "forged"
    assert lines.last["name"] == "kept"


def test_percent_signs_are_no_placeholders(lines: Lines) -> None:
    log.event("100% %s %d")
    assert lines.last["event"] == "100% %s %d"


def test_configuring_again_replaces_the_stream(lines: Lines) -> None:
    second = Lines()
    log.configure(stream=second)
    log.event("once")
    assert lines.getvalue() == ""
    assert second.last["event"] == "once"


def test_events_reach_no_other_log(lines: Lines) -> None:
    elsewhere = Lines()
    handler = logging.StreamHandler(elsewhere)
    logging.getLogger().addHandler(handler)
    log.event("x")
    logging.getLogger().removeHandler(handler)
    assert elsewhere.getvalue() == ""
    assert lines.last["event"] == "x"


def test_an_empty_secret_hides_nothing() -> None:
    assert log.redact("abc", [Secret("")]) == "abc"


@given(st.text(min_size=1), st.dictionaries(st.text(), st.text() | st.floats() | st.integers() | st.lists(st.text())))
def test_any_facts_make_one_line_of_json(secret: str, facts: dict[str, Any]) -> None:
    stream = Lines()
    logger = logging.getLogger("hunyuan_ui")
    before = (logger.handlers[:], logger.level, logger.propagate)
    log.configure(Secret(secret), stream=stream)
    log.event("x", **facts)
    logger.handlers[:], logger.level, logger.propagate = before
    assert stream.getvalue().count("\n") == 1
    json.loads(stream.getvalue())


def test_an_error_inside_the_web_server_is_one_line_without_its_text() -> None:
    stream = io.StringIO()
    log.configure(stream=io.StringIO())
    log.configure(stream=stream)
    server = logging.getLogger("uvicorn.error")
    server.setLevel(logging.INFO)  # another test's server may have silenced it
    try:
        raise KeyError("SG_0123456789abcdef and a prompt")
    except KeyError:
        server.exception("Exception in ASGI application\n")
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert (said["event"], said["exception"]) == ("server.error", "KeyError")
    assert "prompt" not in line


def test_what_others_log_is_told_without_their_words(lines: Lines) -> None:
    for name, level in (("httpx", "warning"), ("asyncio", "error"), ("uvicorn.error", "critical"), ("gradio", "error")):
        other = logging.getLogger(name)
        other.setLevel(logging.INFO)
        other.addHandler(handler := logging.StreamHandler(elsewhere := io.StringIO()))
        log.take_over()
        getattr(other, level)("a secret %s", "prompt\n{}", stacklevel=1)
        assert (lines.last["logger"], lines.last["level"]) == (name, level)
        assert lines.last["at"].startswith("test_log.py:")
        assert handler not in other.handlers
        assert elsewhere.getvalue() == ""
    logging.getLogger("httpx").info("quiet")
    assert lines.getvalue().count("\n") == 4
    assert "secret" not in lines.getvalue()
    assert "prompt" not in lines.getvalue()


def test_a_line_has_an_end_whatever_it_is_told(lines: Lines) -> None:
    log.event("long", text="x" * 100_000, short="y")
    assert lines.last["short"] == "y"
    assert len(lines.last["text"]) < 1_100
    log.event("many", **{f"fact_{number}": "x" * 900 for number in range(100)})
    assert set(lines.last) == {"time", "level", "event", "characters"}
    assert max(map(len, lines.getvalue().splitlines())) < 8_000


@contextmanager
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Lines, Lines]]:
    """Yield the streams of a program whose threads print nothing; a fixture's would be pytest's own in the test."""
    out, err = Lines(), Lines()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        log.guard_prints()
        yield out, err


@pytest.mark.parametrize("again", [1, 3])
def test_an_event_is_written_once_though_the_programs_own_logger_propagates(lines: Lines, again: int) -> None:
    for _ in range(again):
        logging.getLogger("hunyuan_ui").propagate = True  # as by a library that reconfigures logging
        log.take_over()
    log.trouble("disk.full")
    logging.getLogger("someone").warning("a secret prompt")
    logging.getLogger("hunyuan_ui.someone").propagate = True
    told = [json.loads(line)["event"] for line in lines.getvalue().splitlines()]
    assert told == ["disk.full", "other.message"]


def test_nothing_loops_where_no_handler_was_set_up(lines: Lines) -> None:
    logger = logging.getLogger("hunyuan_ui")
    logger.handlers.clear()
    logger.propagate = True
    log.take_over()
    logging.getLogger("someone").error("a secret prompt")
    log.event("job.done")
    assert lines.getvalue() == ""


def in_a_thread(function: Callable[[], None]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_a_traceback_that_a_thread_prints_is_one_event(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> None:
        try:
            try:
                fail("a secret prompt")
            except ValueError as error:
                raise KeyError("another secret") from error
        except KeyError:
            traceback.print_exc()
            sys.stdout.write("a secret, said aloud")

    with guarded(monkeypatch) as streams:
        in_a_thread(failing)
        in_a_thread(failing)
    assert [stream.getvalue() for stream in streams] == ["", ""]
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert {(line["event"], line["exception"]) for line in told} == {("other.print", "KeyError")}
    assert len(told) == 4  # one per stream, each time
    assert all("failing" in line["where"] for line in told)
    assert "secret" not in lines.getvalue()


def test_what_a_thread_prints_is_counted_and_what_the_program_says_is_said(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chatting() -> None:
        sys.stdout.write("a secret prompt")
        sys.stderr.write("\n")

    with guarded(monkeypatch) as (out, err):
        in_a_thread(chatting)
        assert (out.getvalue(), err.getvalue()) == ("", "")
        assert lines.last == {**lines.last, "event": "other.print", "characters": 15}
        assert lines.getvalue().count("\n") == 1
        sys.stdout.write("Open http://127.0.0.1:7860/\n")
        assert out.getvalue() == "Open http://127.0.0.1:7860/\n"
        log.free_prints()
        in_a_thread(chatting)
        assert out.getvalue().endswith("a secret prompt")


class Broken(io.StringIO):
    """A stream on a full disk, or a pipe that nobody reads any more."""

    def write(self, text: str, /) -> int:
        raise OSError(28, "No space left on device", text)


@pytest.mark.usefixtures("lines")  # which restores the log
def test_a_line_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def job() -> None:
        log.event("job.submitting")
        try:
            fail("a secret prompt")
        except ValueError:
            log.trouble("job.internal_error")
        sys.stdout.write("from a library")
        ended.append("paid and stored")

    broken = Broken()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", broken)
        patch.setattr("sys.stderr", broken)
        log.configure()
        log.guard_prints()
        job()
        in_a_thread(job)
    assert len(ended) == 2


def test_what_other_code_repeats_is_logged_once_a_second_for_each_place(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("hunyuan_ui.log.time.monotonic", lambda: now[0])
    log.take_over()
    for _ in range(3):
        for _ in range(1000):
            logging.getLogger("asyncio").error("socket.accept() out of system resource")
            logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        now[0] += 1.0
    assert lines.getvalue().count("\n") == 6
    for _ in range(3):
        log.event("job.done")  # the program's own are all kept
    assert lines.getvalue().count("\n") == 9
