"""--check: tests with free calls only whether the key, the service and this machine are as this program expects."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import uuid4

from hunyuan_ui.data_folder import DataFolder
from hunyuan_ui.endpoint.calls import Timeouts
from hunyuan_ui.endpoint.contract import FILE_LIFE_S
from hunyuan_ui.endpoint.download import answer_at
from hunyuan_ui.endpoint.segmind import EndpointClient
from hunyuan_ui.errors import (
    AuthenticationError,
    EndpointUnreachableError,
    HunyuanUIError,
    Reason,
    RequestExpiredError,
    SettingsError,
    StorageError,
    UnexpectedResponseError,
    reason,
)
from hunyuan_ui.estimate import estimate
from hunyuan_ui.ledger import count_jobs, count_jobs_at, needs_review, was_moved
from hunyuan_ui.library import FOLDER_NAME, count_videos_at
from hunyuan_ui.request import VideoRequest
from hunyuan_ui.settings import DEFAULT_BASE_URL, Settings
from hunyuan_ui.words import words

_WORDS: Final = words("en")  # console output is English
_FILES: Final = "https://images.segmind.com/"  # docs/facts/segmind-api.md 2.5
_DAY_S: Final = 86_400.0
# Errors of a sent call when the service or the connection to it is down.
_NO_ANSWER: Final = (
    reason("no_answer_in_time"),
    reason("answer_without_end"),
    reason("connection_broke"),
    reason("not_http"),
)


class State(str, Enum):
    """Outcome of one check."""

    AS_EXPECTED = "as_expected"
    DIFFERENT = "different"
    NOT_REACHABLE = "not_reachable"
    NOT_ASKED = "not_asked"


class Finding(NamedTuple):
    """One row: the check, its outcome, and what was found."""

    name: str
    state: State
    detail: Reason

    @property
    def sentence(self) -> str:
        """The finding as a sentence."""
        return _WORDS(self.detail["key"], **self.detail["facts"])


@dataclass(frozen=True, slots=True)
class Subject:
    """Input of a check: the settings of this run, and a client for them."""

    settings: Settings
    client: EndpointClient
    timeouts: Timeouts

    @property
    def key(self) -> str:
        """The owner's key; empty if there is none."""
        return self.settings.api_key.reveal() if self.settings.api_key else ""


Check: TypeAlias = Callable[[Subject], Awaitable[list[Finding]]]


async def check(settings: Settings, *, timeouts: Timeouts = Timeouts()) -> list[Finding]:
    """Run all checks and return their rows. No call can be charged, and no job is changed.

    Args:
        settings: Of this run.
        timeouts: Of each call.
    """
    client = EndpointClient(settings.base_url, settings.history_url, timeouts=timeouts, proxies=settings.proxies)
    try:
        subject = Subject(settings, client, timeouts)
        # With a self-hosted engine and no key the hosted service is not used.
        is_hosted = settings.engine_url is None or settings.api_key is not None
        rows = await asyncio.gather(*(one(subject) for one in CHECKS if is_hosted or one not in _OF_THE_SERVICE))
    finally:
        await client.aclose()
    return [row for some in rows for row in some]


def is_all_well(found: Iterable[Finding]) -> bool:
    """Whether everything is as this program expects."""
    return all(row.state is State.AS_EXPECTED for row in found)


def as_text(found: list[Finding]) -> str:
    """Format the rows as text, one line each, with a summary."""
    states = [_WORDS[f"check.state.{row.state.value}"] for row in found]
    names = [_WORDS[f"check.name.{row.name}"] for row in found]
    wide, name_wide = max(map(len, states)), max(map(len, names))
    lines = [f"{s:<{wide}}  {n:<{name_wide}}  {row.sentence}" for s, n, row in zip(states, names, found, strict=True)]
    return "\n".join([*lines, _WORDS["check.well" if is_all_well(found) else "check.not_well"]])


def as_json(found: list[Finding]) -> str:
    """Format the rows as one JSON object in ASCII."""
    rows = [{"name": row.name, "state": row.state.value, "detail": row.sentence} for row in found]
    return json.dumps({"is_as_expected": is_all_well(found), "checks": rows})


# hosted service


async def _key_and_balance(subject: Subject) -> list[Finding]:
    if not subject.key:
        return [_row("key", State.DIFFERENT, "no_key"), _row("balance", State.NOT_ASKED, "needs_key")]
    try:
        credits_usd = await subject.client.credits(subject.key)
    except AuthenticationError as error:
        return [_finding_of("key", error), _row("balance", State.NOT_ASKED, "needs_key")]
    except HunyuanUIError as error:
        return [_finding_of("key", error), _finding_of("balance", error)]
    key = _row("key", State.AS_EXPECTED, "key_known")
    usual = estimate(VideoRequest(prompt="-")).high_usd
    if credits_usd < usual:
        return [key, _row("balance", State.DIFFERENT, "balance_low", credits=credits_usd, price=usual)]
    return [key, _row("balance", State.AS_EXPECTED, "balance", credits=credits_usd)]


async def _unknown_request(subject: Subject) -> list[Finding]:
    name = "unknown_request"
    if not subject.key:
        return [_row(name, State.NOT_ASKED, "needs_key")]
    try:
        status = await subject.client.status(str(uuid4()), subject.key)
    except RequestExpiredError:
        return [_row(name, State.AS_EXPECTED, "unknown_request")]
    except HunyuanUIError as error:
        return [_finding_of(name, error)]
    return [_row(name, State.DIFFERENT, "request_is_known", status=status.state.value)]


async def _wrong_verb(subject: Subject) -> list[Finding]:
    name = "wrong_verb"
    if not subject.key:
        return [_row(name, State.NOT_ASKED, "needs_key")]
    try:
        status = await subject.client.status_of_wrong_verb(subject.settings.dialect, subject.key)
    except HunyuanUIError as error:
        return [_finding_of(name, error)]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return [_row(name, State.AS_EXPECTED, "wrong_verb")]
    return [_row(name, State.DIFFERENT, "verb_taken", status=status)]


async def _history_and_files(subject: Subject) -> list[Finding]:
    """Request the last day's history, and check the host of the newest file in it, or else of any file."""
    now, rows, link = time.time(), [], ""
    if not subject.key:
        rows = [_row("history", State.NOT_ASKED, "needs_key")]
    else:
        try:
            past = await subject.client.past_requests(subject.key, since=now - _DAY_S, now=time.time)
        except HunyuanUIError as error:
            rows = [_finding_of("history", error)]
        else:
            rows = [_row("history", State.AS_EXPECTED, "history", count=len(past))]
            young = [one for one in past if one.url and (one.at or 0) > now - FILE_LIFE_S]
            link = max(young, key=lambda one: one.at or 0).url or "" if young else ""
    return [*rows, await _file_host(subject, link)]


async def _file_host(subject: Subject, link: str) -> Finding:
    base = subject.settings.base_url
    url = link or (_FILES if base == DEFAULT_BASE_URL else base + "/")
    try:
        status = await answer_at(url, own_origin=base, proxies=subject.settings.proxies)
    except HunyuanUIError as error:
        is_refused = error.code == "link_refused"
        why: Reason = error.facts["reason"]
        state = State.DIFFERENT if is_refused else State.NOT_REACHABLE
        return _row("files", state, "files_refused" if is_refused else "files_away", reason=why)
    if link and status != HTTPStatus.OK:
        return _row("files", State.DIFFERENT, "file_gone", status=status)
    return _row("files", State.AS_EXPECTED, "file" if link else "files")


# self-hosted engine


async def _engine(subject: Subject) -> list[Finding]:
    settings = subject.settings
    if settings.engine_url is None:
        return []
    from hunyuan_ui.endpoint.openai_videos import EngineClient

    client = EngineClient(settings.engine_url, timeouts=subject.timeouts, proxies=settings.proxies)
    key = settings.engine_key.reveal() if settings.engine_key else ""
    try:
        is_ready = await client.is_ready(key)
        if is_ready:
            await client.check(key)
    except HunyuanUIError as error:
        return [_finding_of("engine", error)]
    finally:
        await client.aclose()
    state = State.AS_EXPECTED if is_ready else State.DIFFERENT
    return [_row("engine", state, "engine" if is_ready else "engine_warming", url=settings.engine_url)]


# this machine


async def _data_folder(subject: Subject) -> list[Finding]:
    return await asyncio.to_thread(_folder_rows, subject.settings)


def _folder_rows(settings: Settings) -> list[Finding]:
    folder = DataFolder(settings.data_dir)
    try:
        row = _folder_row(folder)
    finally:
        folder.close()  # before the ledger is read: a page that starts meanwhile could not take the folder
    return [row, _disk_row(folder, settings), _ledger_row(folder, settings)]


def _folder_row(folder: DataFolder) -> Finding:
    if folder.problem is not None and folder.problem.code == "ledger_taken":
        return _row("data_folder", State.AS_EXPECTED, "folder_in_use", folder=folder.path)
    if folder.problem is not None:
        return _finding_of("data_folder", folder.problem)
    folder.require_videos_folder(folder.path / FOLDER_NAME)
    if folder.videos_problem is not None:
        return _finding_of("data_folder", folder.videos_problem)
    return _row("data_folder", State.AS_EXPECTED, "folder", folder=folder.path)


def _disk_row(folder: DataFolder, settings: Settings) -> Finding:
    try:
        free = shutil.disk_usage(folder.path).free
    except OSError:
        return _row("disk", State.NOT_ASKED, "no_folder")
    if free < folder.min_free_bytes:
        return _row("disk", State.DIFFERENT, "disk_full", free=free, least=folder.min_free_bytes)
    if settings.storage == "kept":
        return _row("disk", State.AS_EXPECTED, "disk", free=free)
    state = State.AS_EXPECTED if settings.needs_history else State.DIFFERENT
    return _row("disk", state, f"disk_{settings.storage}", free=free)


def _ledger_row(folder: DataFolder, settings: Settings) -> Finding:
    url = settings.database_url
    try:
        count = count_jobs(folder.path) if url is None else count_jobs_at(url.reveal())
    except (SettingsError, StorageError) as error:
        return _finding_of("ledger", error)
    if needs_review(folder.path):
        return _finding_of("ledger", StorageError("ledger_damaged"))
    if url is None and was_moved(folder.path):
        return _finding_of("ledger", StorageError("ledger_moved"))
    if count is None:
        return _row("ledger", State.AS_EXPECTED, "ledger_new")
    return _row("ledger", State.AS_EXPECTED, "ledger", count=count)


def _row(name: str, state: State, detail: str, **facts: Any) -> Finding:
    return Finding(name, state, Reason(key=f"check.{detail}", facts=facts))


def _finding_of(name: str, error: HunyuanUIError) -> Finding:
    is_silent = isinstance(error, UnexpectedResponseError) and error.facts.get("reason") in _NO_ANSWER
    is_away = is_silent or isinstance(error, EndpointUnreachableError)
    return Finding(name, State.NOT_REACHABLE if is_away else State.DIFFERENT, error.as_reason)


async def _bucket(subject: Subject) -> list[Finding]:
    url = subject.settings.videos_url
    return [] if url is None else [await asyncio.to_thread(_bucket_row, url)]


def _bucket_row(url: str) -> Finding:
    try:
        return _row("bucket", State.AS_EXPECTED, "bucket", url=url, count=count_videos_at(url))
    except SettingsError as error:
        is_away = error.facts["problem"]["key"] == "setting.bucket_unreachable"
        return Finding("bucket", State.NOT_REACHABLE if is_away else State.DIFFERENT, error.as_reason)


# In output order. A check of something optional, such as a database server, a bucket or an engine, returns no row if
# its setting is not set.
CHECKS: Final[tuple[Check, ...]] = (
    _key_and_balance,
    _unknown_request,
    _wrong_verb,
    _history_and_files,
    _engine,
    _data_folder,
    _bucket,
)
_OF_THE_SERVICE: Final = (_key_and_balance, _unknown_request, _wrong_verb, _history_and_files)
