"""Returns answers to Gradio API calls from any process, if several processes share the ledger.

A call is two requests: a POST that begins it, and a GET that returns the answer. Gradio keeps the answer in the memory
of the process that received the POST (docs/facts/gradio6.md 2); here it goes through the database.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gradio import server_messages, utils
from gradio.server_messages import (
    CloseStreamMessage,
    HeartbeatMessage,
    ProcessCompletedMessage,
    UnexpectedErrorMessage,
)
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hunyuan_ui.errors import HunyuanUIError, StorageError
from hunyuan_ui.jobs import JobRunner
from hunyuan_ui.ui.visitor import say_for
from hunyuan_ui.words import Words

if TYPE_CHECKING:  # imported only if a database is set
    from hunyuan_ui.jobs.replica_stores import ReplicaCalls

_NOT_FOUND: Final = UnexpectedErrorMessage(message="404: Not Found", session_not_found=True)
_GRADIO: Any = server_messages
_STOPPED: Final = UnexpectedErrorMessage(message=str(_GRADIO.ServerMessage.server_stopped.value))  # clients know it


class _Form(NamedTuple):
    """A stream's message format and end, and how long it stays open for a session's next call."""

    draw: Callable[[dict[str, Any]], str]
    close: Callable[[], str]
    linger_s: float


def share_answers(queue: Any, calls: ReplicaCalls) -> None:
    """Make Gradio's queue publish the answer to each call instead of keeping it.

    Args:
        queue: Of the page's Blocks.
        calls: Receives the answers.
    """
    push = queue.push

    async def pushed(body: Any, request: Any, username: str | None) -> Any:
        # There is no await between the end of Gradio's own `push` and `begin`, so that the call cannot end before it.
        is_taken, event_id, state = await push(body=body, request=request, username=username)
        if is_taken:
            try:
                await calls.begin(event_id, str(body.session_hash))
            except StorageError as error:
                await queue.clean_events(event_id=event_id)
                return False, say_for(request).sentence(error), "queue_full"
        return is_taken, event_id, state

    def published(event: Any, message: Any) -> None:
        if not isinstance(message, ProcessCompletedMessage):
            return  # queue positions are skipped; only a call's end is published
        session = event.session_hash
        if event.alive:
            message.event_id = event._id
            calls.end(event._id, session, json.dumps(message.model_dump(), default=str))
        known = queue.pending_event_ids_session.get(session, set())
        known.discard(event._id)
        if not known:
            queue.pending_event_ids_session.pop(session, None)
            queue.pending_messages_per_session.pop(session, None)

    remove = queue.remove_from_queue

    async def removed(event_id: str) -> None:
        await remove(event_id)
        ended = ProcessCompletedMessage(output={}, success=True, event_id=event_id)
        calls.end(event_id, "", json.dumps(ended.model_dump(), default=str))

    queue.push, queue.send_message, queue.remove_from_queue = pushed, published, removed


def build_answer_routes(runner: JobRunner) -> list[Route]:
    """Return the routes to mount before Gradio's own; none with a single process."""
    if runner.calls is None:
        return []
    streams = AnswerStreams(runner.calls)
    of_call = [f"/gradio_api/call/{version}{{name}}/{{event_id}}" for version in ("", "v2/")]
    return [Route("/gradio_api/queue/data", streams.of_session), *(Route(path, streams.of_call) for path in of_call)]


class AnswerStreams:
    """The GET streams of answers, in the format of Gradio's clients.

    Args:
        calls: Of all processes.
    """

    def __init__(self, calls: ReplicaCalls) -> None:
        self._calls = calls

    async def of_session(self, request: Request) -> Response:
        """Return the answers to all calls of a session, until none is pending."""
        return self._stream(request, request.query_params.get("session_hash", ""), _OF_SESSION)

    async def of_call(self, request: Request) -> Response:
        """Return the answer to one call."""
        return self._stream(request, request.path_params["event_id"], _OF_CALL)

    def _stream(self, request: Request, key: str, form: _Form) -> Response:
        queue = request.app.get_blocks()._queue
        say = say_for(request)
        return StreamingResponse(self._chunks(queue, key, say, form), media_type="text/event-stream")

    async def _chunks(self, queue: Any, key: str, say: Words, form: _Form) -> AsyncGenerator[str]:
        draw, close, linger_s = form
        spoke_at, is_known = time.monotonic(), False
        try:
            async for answer in self._calls.answers(key, linger_s):
                is_known = True
                if answer is not None:
                    yield draw(_lost(answer.call_id, say) if answer.text is None else json.loads(answer.text))
                elif queue.stopped:
                    yield draw(_STOPPED.model_dump())
                    return
                elif time.monotonic() - spoke_at >= utils.get_heartbeat_rate():
                    yield draw(HeartbeatMessage().model_dump())
                else:
                    continue
                spoke_at = time.monotonic()
            yield close() if is_known else draw(_NOT_FOUND.model_dump())
        except (asyncio.CancelledError, GeneratorExit):  # the client has disconnected
            self._calls.forget(key)
            raise


def _lost(call_id: str, say: Words) -> dict[str, Any]:
    output = {"error": say.sentence(HunyuanUIError("call_lost"))}
    return ProcessCompletedMessage(output=output, success=False, event_id=call_id).model_dump()


def _whole(message: dict[str, Any]) -> str:
    return f"data: {json.dumps(message, default=str)}\n\n"


def _closed() -> str:
    return _whole(CloseStreamMessage().model_dump())


def _of_one(message: dict[str, Any]) -> str:
    if message["msg"] == "heartbeat":
        event, data = "heartbeat", None
    elif message["msg"] == "unexpected_error":
        event, data = "error", message["message"]
    elif message["success"]:
        event, data = "complete", message["output"].get("data")
    else:
        event, data = "error", message["output"]
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"


# Gradio's client drops calls that it began before it noticed that their stream was closed.
_OF_SESSION: Final = _Form(_whole, _closed, linger_s=1.0)
_OF_CALL: Final = _Form(_of_one, lambda: "", linger_s=0.0)
