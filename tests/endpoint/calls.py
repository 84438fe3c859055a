"""Calls of the service's client, and checks of their errors."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from hunyuan_ui.endpoint.contract import GENERATE_V1, SUBMIT_V2
from hunyuan_ui.endpoint.segmind import EndpointClient, Timeouts
from hunyuan_ui.errors import HunyuanUIError, MediaError
from hunyuan_ui.request import VideoRequest
from tests.raw_service import RawService, Reply

KEY = "SG_0123456789abcdef"
ID = "2c7f59ea13f1402c9353915a2b5a2124"
REQUEST = VideoRequest.parse({"prompt": "a lighthouse in a storm"})
CALM = Timeouts(connect_s=10, submit_s=10, get_s=10, generate_s=10)
SHORT = Timeouts(connect_s=10, submit_s=0.3, get_s=0.3, generate_s=0.3)


def only_uncut(_: Path, *, is_cut: bool = False) -> None:
    """Take every file for a whole video whose line did not break."""
    if is_cut:
        raise MediaError("video_cut_short")


def client_of(origin: str, timeouts: Timeouts = CALM) -> EndpointClient:
    """Return a client of a service."""
    return EndpointClient(origin, f"{origin}/inference-request", timeouts=timeouts)


def client_for(service: RawService, reply: Reply) -> EndpointClient:
    """Return a client with long timeouts for responses that will come, and short ones for those that never will."""
    return client_of(service.origin, SHORT if reply.stalls else CALM)


async def submit(client: EndpointClient) -> str:
    """Send the POST of v2."""
    return (await client.submit(REQUEST, KEY)).request_id


async def generate(client: EndpointClient) -> str | None:
    """Send the POST of v1."""
    async with client.generate(REQUEST, KEY) as found:
        return found.url


POSTS = [pytest.param(submit, SUBMIT_V2, id="v2"), pytest.param(generate, GENERATE_V1, id="v1")]


async def failure_of(call: Any, *arguments: object) -> HunyuanUIError:
    """Return the error that a call raises, after checking that it contains no key."""
    with pytest.raises(HunyuanUIError) as caught:
        await call(*arguments)
    assert_no_key_in(caught.value)
    return caught.value


def assert_no_key_in(error: BaseException) -> None:
    """Assert that the key is in no part of an error: its texts, and the chained errors and requests."""
    texts = [*traceback.format_exception(error), repr(error)]
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen.args), repr(vars(seen))]
        assert not hasattr(seen, "request"), "the request holds the key"
        seen = seen.__cause__ or seen.__context__
    # The test's own source line may contain the constant's name, never its value.
    assert not [text for text in texts if KEY in text]


async def ask_status(client: EndpointClient) -> object:
    """Request a job's status."""
    return await client.status(ID, KEY)


async def ask_result(client: EndpointClient) -> object:
    """Request a job's result."""
    return await client.result(ID, KEY)


async def ask_credits(client: EndpointClient) -> object:
    """Request the balance."""
    return await client.credits(KEY)


async def ask_history(client: EndpointClient) -> object:
    """Request a job's history row."""
    return await client.history(ID, KEY)


async def ask_list(client: EndpointClient) -> object:
    """Request the history's list."""
    return await client.past_requests(KEY, since=time.time() - 86_400, now=time.time)
