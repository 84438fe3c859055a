"""User-facing texts of page, API and command line in each language, with formatted money and durations.

A text has placeholders in braces, optionally with a format: `{price:usd}`, `{free:MB}`, `{field:label}`. An error's
sentence has the key `error.` and its code, the reason within it `reason.` and its own. If a text applies only to
the hosted service, `engine.` and its key is the text for a self-hosted engine, and `public.` and its key the one
for any reader of a public page. The variant depends on the start (`select_texts`), and for a job on the job
(`Words.about`): of a local preview, which is free, it is the text of `preview.` and its key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:  # startup messages must not wait for these imports
    from hunyuan_ui.errors import HunyuanUIError, Reason
    from hunyuan_ui.estimate import Estimate
    from hunyuan_ui.job import Job, JobProblem
    from hunyuan_ui.request import VideoRequest

LOCALES: Final = Path(__file__).parent
DEFAULT_LANGUAGE: Final = "en"
LANGUAGE_COOKIE: Final = "hunyuan_language"
LANGUAGE_PARAMETER: Final = "lang"

_OF_ENGINE: Final = "engine."
_OF_PREVIEW: Final = "preview."
_TO_VISITORS: Final = "public."
_PAGE_KEYS: Final = "page."
_SCRIPTS: Final = (
    _PAGE_KEYS,
    "address.",
    "batch.",
    "coach.",
    "compare.",
    "example.",
    "export.",
    "field.",
    "gallery.",
    "owner.",
    "pay.",
    "viewer.",
    "word.",
)
# Of these, what only the server says: each page view would carry it in every language.
_OF_SERVER: Final = (
    *("owner.left.", "owner.no_limit.", "owner.restart.", "owner.said.", "owner.history.", "owner.engine"),
    *("owner.payer.", "owner.status.", "owner.correction", "owner.doubt_", "owner.unsettled", "owner.balance"),
    *("owner.limit_line", "owner.sum", "owner.video_limit", "owner.replica_", "owner.waiting_sent"),
    *("owner.waiting_text", "pay.left", "pay.none_left", "pay.next", "pay.full"),
    *("pay.owner", "pay.visitor", "pay.nobody", "pay.accepted", "pay.key_accepted", "pay.key_empty"),
)
CENT_USD: Final = 0.01
_HAIR: Final = 6  # digits of a cent that are more than a sum's own error
SOON_HOURS_S: Final = 5400  # above this, durations are shown in hours


def shown_sum(prices: Collection[tuple[float, float]]) -> tuple[float, float]:
    """Return the expected and the maximum US dollars of videos, as sums of what is shown of each, so that they add up.

    Args:
        prices: Both of each video. Some that are below a cent are shown without an expected price, and summed exactly.
    """
    if all(about >= CENT_USD for about, _ in prices):
        prices = [(round(about, 2), _whole_cents_of(most)) for about, most in prices]
    return sum(about for about, _ in prices), sum(most for _, most in prices)


def _whole_cents_of(usd: float, to_whole: Callable[[float], int] = math.ceil) -> float:
    return to_whole(round(usd / CENT_USD, _HAIR)) * CENT_USD


class Words:
    """The user-facing texts of one language.

    Args:
        language: Name of a file in this folder, such as "en".
        table: Keys to texts with placeholders.
        maker: Prefix of the texts for what makes a video, empty for the hosted service; None as `select_texts` set it.
    """

    def __init__(self, language: str, table: Mapping[str, str], *, maker: str | None = None) -> None:
        self.language = language
        self._table = table
        self._maker = maker
        self._filled = _Filled(self)

    def __getitem__(self, key: str) -> str:
        of_start = _OF_ENGINE if _start.has_engine else ""
        beside = (_TO_VISITORS if _start.is_public else "", of_start if self._maker is None else self._maker)
        return next((text for before in beside if before and (text := self._table.get(before + key))), self._table[key])

    def __call__(self, key: str, /, **facts: object) -> str:
        """Return a text with its placeholders filled."""
        return self._filled.vformat(self[key], (), facts)

    def about(self, job: Job) -> Words:
        """Return the same words for what makes a job: the local preview, a self-hosted engine or the hosted service."""
        maker = _OF_PREVIEW if job.is_preview else _OF_ENGINE if job.is_at_engine else ""
        return Words(self.language, self._table, maker=maker)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def of_scripts(self) -> dict[str, str]:
        """Return the texts for the page's scripts, without their common key prefix."""
        of_page = (key for key in self._table if key.startswith(_SCRIPTS) and not key.endswith(".help"))
        return {key.removeprefix(_PAGE_KEYS): self[key] for key in of_page if not key.startswith(_OF_SERVER)}

    def sentence(self, problem: JobProblem | HunyuanUIError) -> str:
        """Return the sentence of an error, or of a problem that was stored for one."""
        try:
            return self(f"error.{problem.code}", **problem.facts)
        except (KeyError, ValueError, IndexError):
            # A row of an older version may lack a value; its stored sentence is complete.
            stored: str = getattr(problem, "sentence", "")
            if not stored:
                raise
            return stored

    def problem_of(self, job: Job) -> str | None:
        """Return the sentence of a job's problem, in the words for what makes it; None if it has none."""
        return None if job.problem is None else self.about(job).sentence(job.problem)

    def joined(self, sentences: Sequence[str]) -> str:
        """Return sentences, without empty ones, as one text; Chinese ones follow each other without a space."""
        said = [sentence for sentence in sentences if sentence]
        return reduce(lambda text, sentence: self("page.sentences", first=text, next=sentence), said or [""])

    def label(self, field: object) -> str:
        """Return the label of a request's field; other values keep their name in the API."""
        return self[f"field.{field}"] if f"field.{field}" in self else str(field)

    def duration(self, seconds: float) -> str:
        """Format a duration in seconds, minutes or hours."""
        unit, count = _in_unit(seconds)
        return self(f"time.{unit}", count=count)

    def duration_range(self, low_s: float, high_s: float) -> str:
        """Format a range of durations, with the unit only once if both ends share it."""
        (low_unit, low), (high_unit, high) = _in_unit(low_s), _in_unit(high_s)
        if low_unit != high_unit:
            return self("time.range", low=self.duration(low_s), high=self.duration(high_s))
        return self(f"time.{high_unit}", count=low if low == high else self("time.range", low=low, high=high))

    def generate_label(self, estimate: Estimate, *, is_preview: bool, count: int = 1) -> str:
        """Return the button's label with time and price.

        Args:
            estimate: Of one video.
            is_preview: The video is free.
            count: Videos that one click makes; they are made concurrently, and the price is that of all.
        """
        if is_preview:
            return self("generate.preview_several" if count > 1 else "generate.preview", count=count)
        if count > 1:
            return self.several_label(
                count, estimate.seconds, *shown_sum([(estimate.cost_usd, estimate.high_usd)] * count)
            )
        return self("generate.priced", time=self.duration(estimate.seconds), price=self.price(estimate))

    def several_label(self, count: int, seconds: float, about_usd: float, most_usd: float) -> str:
        """Return the label of a button that makes several videos, with their total time and price."""
        key = "generate.priced_several" if most_usd else "generate.free_several"
        price = self.price_of(about_usd, most_usd)
        return self(key, count=count, time=self.duration(seconds), price=price)

    def money(self, usd: float) -> str:
        """Format US dollars."""
        return self["price.under_cent"] if 0 < usd < CENT_USD else f"${usd:,.2f}"

    def price(self, estimate: Estimate, count: int = 1) -> str:
        """Format the price of videos that are still to be made."""
        return self.price_of(*shown_sum([(estimate.cost_usd, estimate.high_usd)] * count))

    def price_of(self, about_usd: float, most_usd: float) -> str:
        """Format an estimated price in US dollars; the maximum is rounded up, so that a budget of it is enough."""
        if most_usd == 0:
            return self["price.free"]
        most_usd = _whole_cents_of(most_usd)
        if 0 < about_usd < CENT_USD:
            return self("price.most", most=self.money(max(most_usd, CENT_USD)))
        return self("price.about", about=self.money(about_usd), most=self.money(most_usd))

    def length(self, frames: int, seconds: float) -> str:
        """Format the length of a video in seconds with one decimal place; a single frame is called a picture."""
        return self["result.one_picture"] if frames == 1 else self("result.seconds", seconds=f"{seconds:.1f}")

    def size_line(self, request: VideoRequest, *, is_typed: bool) -> str:
        """Return the real size and length of a request's video.

        Args:
            request: Of the video.
            is_typed: A person entered these numbers, so rounding up is mentioned.
        """
        width, height = request.real_size
        length = self.length(request.video_length, request.duration_s)
        facts = {"width": width, "height": height, "length": length}
        if not is_typed or (width, height) == (request.width, request.height):
            return self("form.size_line", **facts)
        return self("form.size_line_rounded", asked=f"{request.width}x{request.height}", **facts)


@dataclass
class _Start:
    """Properties of this start that select between texts."""

    has_engine: bool = False
    is_public: bool = False


_start: Final = _Start()


def select_texts(*, has_engine: bool = False, is_public: bool = False) -> None:
    """Select the texts for this start.

    Args:
        has_engine: Videos are made by a self-hosted engine, not by the hosted service.
        is_public: A reader of the page may be somebody other than its owner.
    """
    _start.has_engine, _start.is_public = has_engine, is_public


class _Filled(Formatter):
    """Fills the placeholders of a text, each value formatted as its placeholder says.

    Args:
        say: The words of the text's language.
    """

    def __init__(self, say: Words) -> None:
        self._say = say
        self._ways: dict[str, Callable[[Any], str]] = {
            "usd": say.money,
            "most_usd": lambda usd: say.money(_whole_cents_of(usd)),
            "least_usd": lambda usd: say.money(_whole_cents_of(usd, math.floor)),
            "MB": lambda count: f"{count // 1_000_000} MB",
            "MiB": lambda count: f"{count / 2**20:.0f} MiB",
            "label": say.label,
            "s": lambda count: "" if count == 1 else "s",
            "or": lambda choices: f" {say['list.or']} ".join(map(str, choices)),
        }

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, dict):  # the parts of a `Reason`, which may come from storage
            reason = cast("Reason", value)
            return self._say(reason["key"], **reason["facts"])
        if format_spec in self._ways and (format_spec in ("label", "s") or not isinstance(value, str)):
            return self._ways[format_spec](value)
        # A text in place of a number was written by an older version, or deliberately replaces a count.
        return format(value, "" if isinstance(value, str) else format_spec)


@cache
def languages() -> tuple[str, ...]:
    """Return the available languages, the default first."""
    found = sorted(path.stem for path in LOCALES.glob("*.json"))
    return (DEFAULT_LANGUAGE, *(name for name in found if name != DEFAULT_LANGUAGE))


@cache
def words(language: str = DEFAULT_LANGUAGE) -> Words:
    """Return the words of a language; missing texts are English."""
    return Words(language, {**_table(DEFAULT_LANGUAGE), **_table(language)})


def words_for(cookies: Mapping[str, str], headers: Mapping[str, str]) -> Words:
    """Return a visitor's words: by the language in their page's address, in their cookie, or of their browser.

    Args:
        cookies: Of the request.
        headers: Of the request; `referer` is the address of the page, which contains the language if the browser
            refuses cookies.
    """
    chosen = [_language_in(headers.get("referer", "")), cookies.get(LANGUAGE_COOKIE, "")]
    wished = [*chosen, *headers.get("accept-language", "").split(",")]
    for wish in wished:
        language = wish.split(";")[0].strip().replace("_", "-").split("-")[0].lower()
        if language in languages():
            return words(language)
    return words()


@cache
def _table(language: str) -> Mapping[str, str]:
    return cast("dict[str, str]", json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8")))


def _language_in(address: str) -> str:
    try:
        return parse_qs(urlsplit(address).query).get(LANGUAGE_PARAMETER, [""])[0]
    except ValueError:  # not a URL, or too many parameters
        return ""


def _in_unit(seconds: float) -> tuple[str, str]:
    """Return a duration's unit and the rounded count in it."""
    if seconds < 60:
        return "seconds", f"{max(1, round(seconds))}"
    if seconds < SOON_HOURS_S:
        minutes = seconds / 60
        return "minutes", f"{round(minutes * 2) / 2 if minutes < 10 else round(minutes):g}"
    return "hours", f"{round(seconds / 1800) / 2:g}"
