"""Every text for people: sentences of page, API and command line in each language, money and lengths of time.

A text has places in braces, and a place may say how its value is written: `{price:usd}`, `{free:MB}`, `{field:label}`.
An error's sentence is under `error.` and its code, the reason within it under `reason.` and its own. Where a text is
true of the hosted service alone, `engine.` and its key says it of an engine of one's own, and `public.` and its key
what is true for whoever reads it on a public page. Which of them is said follows from the start (`speak_as`), and of a
job from the job (`Words.about`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:  # what is said at the very start must not wait for what these import
    from hunyuan_ui.errors import HunyuanUIError, Reason
    from hunyuan_ui.job import Job, JobProblem
    from hunyuan_ui.request import VideoRequest

LOCALES: Final = Path(__file__).parent
DEFAULT_LANGUAGE: Final = "en"
LANGUAGE_COOKIE: Final = "hunyuan_language"
LANGUAGE_PARAMETER: Final = "lang"

_OF_ENGINE: Final = "engine."
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
CENT_USD: Final = 0.01
SOON_HOURS_S: Final = 5400  # from here on minutes are too many to read


class Priced(Protocol):
    """What one video is expected to take: seconds, and US dollars about and at most."""

    @property
    def seconds(self) -> float: ...

    @property
    def cost_usd(self) -> float: ...

    @property
    def high_usd(self) -> float: ...


class Listed(Protocol):
    """How a list of prompts stands: videos, US dollars with what is reserved, and seconds until all are made."""

    @property
    def done(self) -> int: ...

    @property
    def rows(self) -> int: ...

    @property
    def spent_usd(self) -> float: ...

    @property
    def budget_usd(self) -> float | None: ...

    @property
    def left_s(self) -> float: ...


class Words:
    """The visible words of one language.

    Args:
        language: Name of a file beside this one, as "en".
        table: Keys to texts with places in braces.
        of_engine: Whether it speaks of an engine of one's own or of the hosted service; as this start does when None.
    """

    def __init__(self, language: str, table: Mapping[str, str], *, of_engine: bool | None = None) -> None:
        self.language = language
        self._table = table
        self._of_engine = of_engine
        self._filled = _Filled(self)

    def __getitem__(self, key: str) -> str:
        of_engine = _start.has_engine if self._of_engine is None else self._of_engine
        beside = (_TO_VISITORS if _start.is_public else "", _OF_ENGINE if of_engine else "")
        return next((text for before in beside if before and (text := self._table.get(before + key))), self._table[key])

    def __call__(self, key: str, /, **facts: object) -> str:
        """Return a text with its places filled."""
        return self._filled.vformat(self[key], (), facts)

    def about(self, job: Job) -> Words:
        """Return the same words, true of where a job is made: at an engine of one's own or at the hosted service."""
        return Words(self.language, self._table, of_engine=job.is_at_engine)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def of_scripts(self) -> dict[str, str]:
        """Return what the page's own scripts say, without the prefix of the words that all of them share."""
        wanted = (key for key in self._table if key.startswith(_SCRIPTS) and not key.endswith(".help"))
        return {key.removeprefix(_PAGE_KEYS): self[key] for key in wanted}

    def sentence(self, problem: JobProblem | HunyuanUIError) -> str:
        """Return what an error, or a problem that was stored of one, says to people."""
        try:
            return self(f"error.{problem.code}", **problem.facts)
        except (KeyError, ValueError, IndexError):
            # A row of an older version may lack a fact; the sentence it was stored with is complete.
            stored: str = getattr(problem, "sentence", "")
            if not stored:
                raise
            return stored

    def label(self, field: object) -> str:
        """Return the name of a request's field; any other value of a call is called as callers write it."""
        return self[f"field.{field}"] if f"field.{field}" in self else str(field)

    def duration(self, seconds: float) -> str:
        """Return a length of time as people say it, in seconds, minutes or hours."""
        unit, count = _in_unit(seconds)
        return self(f"time.{unit}", count=count)

    def duration_range(self, low_s: float, high_s: float) -> str:
        """Return a range of time, with its unit once where both ends share it."""
        (low_unit, low), (high_unit, high) = _in_unit(low_s), _in_unit(high_s)
        if low_unit != high_unit:
            return self("time.range", low=self.duration(low_s), high=self.duration(high_s))
        return self(f"time.{high_unit}", count=low if low == high else self("time.range", low=low, high=high))

    def generate_label(self, estimate: Priced, *, is_preview: bool, count: int = 1) -> str:
        """Return the button's text with time and price.

        Args:
            estimate: Of one video.
            is_preview: Nothing is paid.
            count: Videos that one click makes; they are made side by side, and the price is that of all.
        """
        if is_preview:
            return self("generate.preview_several" if count > 1 else "generate.preview", count=count)
        if count > 1:
            return self.several_label(count, estimate.seconds, estimate.cost_usd * count, estimate.high_usd * count)
        return self("generate.priced", time=self.duration(estimate.seconds), price=self.price(estimate))

    def several_label(self, count: int, seconds: float, about_usd: float, most_usd: float) -> str:
        """Return the text of a button that makes several videos, with the time and the price of all of them."""
        key = "generate.priced_several" if most_usd else "generate.free_several"
        price = self.price_of(about_usd, most_usd)
        return self(key, count=count, time=self.duration(seconds), price=price)

    def money(self, usd: float) -> str:
        """Return US dollars as people read them."""
        return self["price.under_cent"] if 0 < usd < CENT_USD else f"${usd:,.2f}"

    def price(self, estimate: Priced, count: int = 1) -> str:
        """Return the price of videos that are still to be made, as it is said everywhere."""
        return self.price_of(estimate.cost_usd * count, estimate.high_usd * count)

    def price_of(self, about_usd: float, most_usd: float) -> str:
        """Return a price that was estimated, in US dollars, as it is said everywhere."""
        if most_usd == 0:
            return self["price.free"]
        if 0 < about_usd < CENT_USD:
            return self("price.most", most=self.money(max(most_usd, CENT_USD)))
        return self("price.about", about=self.money(about_usd), most=self.money(most_usd))

    def list_line(self, listed: Listed) -> str:
        """Return how a list of prompts stands, without what is nothing or not known."""
        said = [self("list.done", done=listed.done, rows=listed.rows)]
        if listed.budget_usd:
            said.append(self("list.spent_of", spent=self.money(listed.spent_usd), budget=self.money(listed.budget_usd)))
        elif listed.spent_usd:
            said.append(self.money(listed.spent_usd))
        if listed.left_s:
            said.append(self("list.left", time=self.duration(listed.left_s)))
        return " · ".join(said)

    def length(self, frames: int, seconds: float) -> str:
        """Return the length of a video in seconds with one decimal place; of a single frame, that it is a picture."""
        return self["result.one_picture"] if frames == 1 else self("result.seconds", seconds=f"{seconds:.1f}")

    def size_line(self, request: VideoRequest, *, is_typed: bool = True) -> str:
        """Return the real size and length of what a request makes.

        Args:
            request: Whose.
            is_typed: Somebody chose these numbers, so it is said where they are rounded up.
        """
        width, height = request.real_size
        length = self.length(request.video_length, request.duration_s)
        facts = {"width": width, "height": height, "length": length}
        if not is_typed or (width, height) == (request.width, request.height):
            return self("form.size_line", **facts)
        return self("form.size_line_rounded", asked=f"{request.width}x{request.height}", **facts)


@dataclass
class _Start:
    """What this start of the program is, as far as sentences tell."""

    has_engine: bool = False
    is_public: bool = False


_start: Final = _Start()


def speak_as(*, has_engine: bool = False, is_public: bool = False) -> None:
    """Let every text be true of this start.

    Args:
        has_engine: Videos are made by an engine of one's own, not by the hosted service.
        is_public: Whoever reads the page may be somebody else than its owner.
    """
    _start.has_engine, _start.is_public = has_engine, is_public


class _Filled(Formatter):
    """Fills the places of a text, each value written as its place says.

    Args:
        say: The words of the text's language.
    """

    def __init__(self, say: Words) -> None:
        self._say = say
        self._ways: dict[str, Callable[[Any], str]] = {
            "usd": say.money,
            "MB": lambda count: f"{count // 1_000_000} MB",
            "MiB": lambda count: f"{count / 2**20:.0f} MiB",
            "label": say.label,
            "s": lambda count: "" if count == 1 else "s",
            "or": lambda choices: f" {say['list.or']} ".join(map(str, choices)),
        }

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, dict):  # the parts of a `Reason`, which may have been stored
            reason = cast("Reason", value)
            return self._say(reason["key"], **reason["facts"])
        if format_spec in self._ways and (format_spec in ("label", "s") or not isinstance(value, str)):
            return self._ways[format_spec](value)
        # A text in the place of a number was written by an older version, or is said instead of a count.
        return format(value, "" if isinstance(value, str) else format_spec)


@cache
def languages() -> tuple[str, ...]:
    """Return the languages there are, the default first."""
    found = sorted(path.stem for path in LOCALES.glob("*.json"))
    return (DEFAULT_LANGUAGE, *(name for name in found if name != DEFAULT_LANGUAGE))


@cache
def words(language: str = DEFAULT_LANGUAGE) -> Words:
    """Return the words of a language; what it lacks is English."""
    return Words(language, {**_table(DEFAULT_LANGUAGE), **_table(language)})


def words_for(cookies: Mapping[str, str], headers: Mapping[str, str]) -> Words:
    """Return the words a visitor reads: by the choice in their page's address, in their cookie, or by their browser.

    Args:
        cookies: Of the request.
        headers: Of the request; `referer` is the page it was made by, whose address has a language where a browser
            refuses cookies.
    """
    chosen = [_language_in(headers.get("referer", "")), cookies.get(LANGUAGE_COOKIE, "")]
    wished = [*chosen, *headers.get("accept-language", "").split(",")]
    for wish in wished:
        language = wish.split(";")[0].strip().split("-")[0].lower()
        if language in languages():
            return words(language)
    return words()


@cache
def _table(language: str) -> Mapping[str, str]:
    return cast("dict[str, str]", json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8")))


def _language_in(address: str) -> str:
    try:
        return parse_qs(urlsplit(address).query).get(LANGUAGE_PARAMETER, [""])[0]
    except ValueError:  # not an address, or more than one should have
        return ""


def _in_unit(seconds: float) -> tuple[str, str]:
    """Return the unit people would use and the count in it, rounded as they would."""
    if seconds < 60:
        return "seconds", f"{max(1, round(seconds))}"
    if seconds < SOON_HOURS_S:
        minutes = seconds / 60
        return "minutes", f"{round(minutes * 2) / 2 if minutes < 10 else round(minutes):g}"
    return "hours", f"{round(seconds / 1800) / 2:g}"
