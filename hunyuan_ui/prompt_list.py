"""Parses a prompt list: lines of text, CSV, or JSON lines, with wildcards, each row validated.

Pure: reads text, sends nothing. Every row is a `VideoRequest` or a fault with its line.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import zip_longest
from typing import Any, Final, Literal, NamedTuple, cast

from hunyuan_ui.errors import InvalidRequestError
from hunyuan_ui.request import MAX_SEED, RANDOM_SEED, VideoRequest, clean_text, parameters
from hunyuan_ui.wildcards import picked, read_wildcards

MOST_ROWS: Final = 1000
MOST_BYTES: Final = 1024 * 1024
MOST_NAME: Final = 100  # characters
KINDS: Final = ("auto", "text", "csv", "jsonl")
Kind = Literal["auto", "text", "csv", "jsonl"]

_NUMBER: Final = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,9})?")
_TEXTS: Final = frozenset(parameter.name for parameter in parameters() if parameter.is_text)
_NAMES: Final = tuple(VideoRequest.model_fields)
_SEPARATORS: Final = (",", ";", "\t")
# The line from which Excel reads the separator, and which some programs write for it.
_SEPARATOR_LINE: Final = re.compile(r"""\s*"?sep=(?P<separator>[,;|\t])"?[^\S\t]*""", re.IGNORECASE)
_HEADS: Final = frozenset({*_NAMES, "prompts", "text"})
# First characters of a line of YAML, JSON, settings or code, a Markdown table, a web page, another program's
# parameters, subtitles, or a document.
_OTHER_KIND: Final = re.compile(
    rf"\s*((-\s+(prompt|negative_prompt)|(-\s+)?({'|'.join(name for name in _NAMES if name not in _TEXTS)}))\s*[:=]"
    r"|(prompts?|negative_prompt)\s*=|negative prompt:|steps:\s*[0-9]+\s*,"
    r"|\{\s*([\"']\w+[\"']|prompts?)\s*:|\[\s*([{\"']|$)|\[\[?\w+\]\]?\s*$|\|.*\|\s*$|```"
    r"|<(!doctype|html|head|body|\?xml)\b|[0-9:,.]+\s+-->|%PDF-|\{\\rtf)",
    re.IGNORECASE,
)


class Fault(NamedTuple):
    """A fault in a list, and its position.

    Args:
        line: Of the text, from 1; 0 for the whole list.
        error: The fault.
    """

    line: int
    error: InvalidRequestError


class Row(NamedTuple):
    """One video of a list.

    Args:
        number: Its position in the list, from 1.
        line: Of the text, from 1; the rows of one wildcard share it.
        request: Of the video; a random seed is still -1.
        occurrence: Number among rows with the same content, from 1.
    """

    number: int
    line: int
    request: VideoRequest
    occurrence: int = 1


@dataclass(frozen=True, slots=True)
class PromptList:
    """A parsed list.

    Args:
        name: Chosen by the sender; with the rows' content it determines the job ids.
        rows: In order.
        faults: A list with faults is not sent.
    """

    name: str
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """Options for parsing a list.

    Args:
        kind: The format, or "auto" to detect it from the first line.
        defaults: By wire name: values for fields that a row leaves out.
        picks: Number of combinations of a prompt's wildcards; 0 for all.
        picks_seed: Seed for their selection.
    """

    kind: Kind = "auto"
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    picks: int = 0
    picks_seed: int = 0


AS_WRITTEN: Final = Reading()


def text_of(data: bytes) -> str:
    """Decode a file in UTF-8, or in UTF-16 with a byte order mark, as spreadsheets write it.

    Raises:
        InvalidRequestError: It is too large, or in another encoding.
    """
    _check_size(len(data))
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise InvalidRequestError("list_not_text", field="list") from None
    _check_text(text)
    return text


def read_list(text: str, name: str, reading: Reading = AS_WRITTEN) -> PromptList:
    """Parse and validate every row of a list; faults are returned, not raised.

    Args:
        text: Of the whole list, at most 1 MiB in UTF-8.
        name: Of the list, 1 to 100 characters after cleaning.
        reading: Options for parsing.
    """
    name = clean_text(name[: 10 * MOST_NAME])
    rows: list[Row] = []
    faults: list[Fault] = []
    seen: Counter[str] = Counter()
    try:
        _check_head(text, name, reading)
        for line, found in _values(text, reading.kind):
            try:
                if isinstance(found, InvalidRequestError):
                    raise found
                for request in _requests(found, reading):
                    content = content_of(request)
                    seen[content] += 1
                    rows.append(Row(len(rows) + 1, line, request, seen[content]))
                    _check_count(len(rows))
            except InvalidRequestError as error:
                if error.code == "list_too_many":
                    raise
                faults.append(Fault(line, error))
                _check_count(len(faults))
        if not rows and not faults:
            raise InvalidRequestError("list_empty", field="list")
    except InvalidRequestError as error:
        faults.append(Fault(0, error))
    return PromptList(name, tuple(rows), tuple(faults))


def content_of(request: VideoRequest) -> str:
    """Return the identity of a row's content: all nine values by name, in normal form and order."""
    return json.dumps({name: getattr(request, name) for name in sorted(_NAMES)}, ensure_ascii=False)


def list_id(owner: str, name: str) -> str:
    """Return the id of a list: 32 hexadecimal digits.

    Args:
        owner: Of the list.
        name: The list's.
    """
    return _digest("list", owner, name)


def job_id(list_id: str, row: Row, attempt: int = 0) -> str:
    """Return the id of a row's job, which does not depend on its position in the list.

    Args:
        list_id: Of its list.
        row: The row.
        attempt: Number of earlier jobs of this row that ended without a charge.
    """
    return _digest("row", list_id, content_of(row.request), str(row.occurrence), str(attempt))


def seeded(list_id: str, row: Row) -> VideoRequest:
    """Return a row's request with its seed: a random one is derived from the row, and so equal at each run."""
    if row.request.seed != RANDOM_SEED:
        return row.request
    seed = int(_digest("seed", job_id(list_id, row)), 16) % (MAX_SEED + 1)
    return row.request.model_copy(update={"seed": seed})


def _digest(*parts: str) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise InvalidRequestError("list_too_large", field="list", limit=MOST_BYTES)


def _check_text(text: str) -> None:
    if "\0" in text:  # in no text, unless it is UTF-16 without a byte order mark
        raise InvalidRequestError("list_not_text", field="list")


def _check_count(count: int) -> None:
    if count > MOST_ROWS:
        raise InvalidRequestError("list_too_many", field="list", limit=MOST_ROWS)


def _check_head(text: str, name: str, reading: Reading) -> None:
    if not name:
        raise InvalidRequestError("list_without_name", field="name")
    if len(name) > MOST_NAME:
        raise InvalidRequestError("text_too_long", field="name", length=len(name), limit=MOST_NAME)
    _check_size(len(text) if len(text) > MOST_BYTES else len(text.encode("utf-8", "replace")))
    _check_text(text)
    if not isinstance(reading.picks, int) or not 0 <= reading.picks <= MOST_ROWS:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRequestError("out_of_range", field="picks", value=str(reading.picks)[:40], low=0, high=MOST_ROWS)


def _requests(values: Mapping[str, Any], reading: Reading) -> Iterator[VideoRequest]:
    """Yield the requests of one line: one, or one per combination of its wildcards."""
    whole = {**reading.defaults, **values}
    prompt = whole.get("prompt")
    if not isinstance(prompt, str) or not any(sign in prompt for sign in "{}\\"):
        yield VideoRequest.parse(whole)
        return
    wildcards = read_wildcards(prompt)
    if not reading.picks and wildcards.count > MOST_ROWS:
        raise InvalidRequestError("wildcard_many", field="prompt", limit=MOST_ROWS)
    first = VideoRequest.parse({**whole, "prompt": "-"})  # their common fields are validated once
    for text in picked(wildcards, reading.picks, reading.picks_seed):
        own = VideoRequest.parse({"prompt": text})
        yield first.model_copy(update={"prompt": own.prompt})


def _values(text: str, kind: Kind) -> Iterator[tuple[int, Mapping[str, Any] | InvalidRequestError]]:
    """Yield each row's line and values, or its fault."""
    text = text.removeprefix("\ufeff")
    first = next((line for line in _lines(text) if line.strip()), "")
    if kind in ("auto", "csv") and (named := _SEPARATOR_LINE.fullmatch(first)):
        return _of_csv(text.replace(first, "", 1), named["separator"])
    if kind == "jsonl" or (kind == "auto" and re.match(r'\s*\{\s*"', first)):
        return ((number, _object(line)) for number, line in enumerate(_lines(text), 1) if line.strip())
    if kind == "csv" or (kind == "auto" and _separator(first) is not None):
        return _of_csv(text, _separator(first))
    return _of_lines(_lines(text), is_sure=kind == "text")


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _of_lines(lines: Iterable[str], *, is_sure: bool) -> Iterator[tuple[int, Mapping[str, Any] | InvalidRequestError]]:
    is_first = True
    for number, line in enumerate(lines, 1):
        if clean_text(line) and not line.lstrip().startswith("#"):
            is_prompt = is_sure or not _is_of_another_kind(line, is_first=is_first)
            yield number, {"prompt": line} if is_prompt else InvalidRequestError("list_not_prompts", field="list")
            is_first = False


def _is_of_another_kind(line: str, *, is_first: bool) -> bool:
    """Whether a line is a table's header, or begins a file of another format."""
    cells = [cell.strip().strip("\"'").lower() for cell in re.split(r"[,;|\t]", line)]
    is_head = all(cell in _HEADS for cell in cells) and (is_first or len(cells) > 1)
    return is_head or _OTHER_KIND.match(line) is not None


def _object(line: str) -> Mapping[str, Any] | InvalidRequestError:
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counted = Counter(name for name, _ in pairs)
        twice.extend(name for name, count in counted.items() if count > 1)
        return dict(pairs)

    try:
        found: Any = json.loads(line, object_pairs_hook=once)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return InvalidRequestError("list_not_json", field="list")
    if twice:
        return InvalidRequestError("list_name_twice", field="list", name=twice[0][:40])
    return {name: value for name, value in cast("dict[str, Any]", found).items() if value is not None}


def _separator(header: str) -> str | None:
    """Return the separator in a CSV's header line; None if it is no header."""
    for separator in _SEPARATORS:
        if "prompt" in _cells(header, separator):
            return separator
    return None


def _cells(line: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=separator, strict=True), list[str]())
    except csv.Error:
        return []
    return [cell.strip().lower() for cell in cells]


def _of_csv(text: str, separator: str | None) -> Iterator[tuple[int, Mapping[str, Any] | InvalidRequestError]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator or ",", strict=True)
    header: list[str] | None = None
    begin = 1
    try:
        for cells in reader:
            line, begin = begin, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip().lower() for cell in cells]
                if (wrong := _wrong_header(header)) is not None:
                    yield line, wrong
                    return
            elif any(cell.strip() for name, cell in zip_longest(header, cells, fillvalue="") if not name):
                columns = sum(map(bool, header))
                yield line, InvalidRequestError("list_cells", field="list", count=len(cells), columns=columns)
            else:
                named = {name: _cell(name, cell) for name, cell in zip(header, cells, strict=False)}
                yield line, {name: value for name, value in named.items() if value is not None}
    except csv.Error:
        yield begin, InvalidRequestError("list_not_csv", field="list")


def _wrong_header(header: list[str]) -> InvalidRequestError | None:
    for name, count in Counter(name for name in header if name).items():
        if name not in _NAMES:
            return InvalidRequestError("field_unknown", field=name, name=name[:40])
        if count > 1:
            return InvalidRequestError("list_name_twice", field="list", name=name)
    return None if "prompt" in header else InvalidRequestError("list_no_prompts", field="list")


def _cell(name: str, cell: str) -> Any:
    """Parse a cell; None if it is empty, and the text itself if a number is expected but invalid."""
    text = cell.strip()
    if not text:
        return None
    if name in _TEXTS or not _NUMBER.fullmatch(text):
        return cell
    return float(text) if "." in text else int(text)
