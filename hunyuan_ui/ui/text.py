"""Value to text: locales, money, durations, sizes and error sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qs, urlsplit

import gradio as gr
from gradio.i18n import I18nData

from hunyuan_ui.errors import SENTENCES
from hunyuan_ui.estimate import Estimate
from hunyuan_ui.job import JobProblem
from hunyuan_ui.request import VideoRequest, parameters

LOCALES: Final = Path(__file__).parent / "locales"
DEFAULT_LANGUAGE: Final = "en"
LANGUAGE_COOKIE: Final = "hunyuan_language"
LANGUAGE_PARAMETER: Final = "lang"

_LABELS: Final = ("form.", "field.", "app.duplicate")
_PAGE_KEYS: Final = "page."
_SCRIPTS: Final = (
    _PAGE_KEYS,
    "address.",
    "coach.",
    "compare.",
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


class Words:
    """The visible words of one language.

    Args:
        language: Name of a file in `locales`, as "en".
        table: Keys to texts with places in braces.
    """

    def __init__(self, language: str, table: Mapping[str, str]) -> None:
        self.language = language
        self._table = table

    def __getitem__(self, key: str) -> str:
        return self._table[key]

    def __call__(self, key: str, **facts: object) -> str:
        """Return a text with its places filled."""
        return self._table[key].format_map(facts)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def keys(self) -> Iterable[str]:
        """Return the keys of every text but the errors' sentences."""
        return (key for key in self._table if not key.startswith("error."))

    def of_scripts(self) -> dict[str, str]:
        """Return what the page's own scripts say, without the prefix of the words that all of them share."""
        wanted = (key for key in self._table if key.startswith(_SCRIPTS) and not key.endswith(".help"))
        return {key.removeprefix(_PAGE_KEYS): self._table[key] for key in wanted}

    def sentence(self, problem: JobProblem) -> str:
        """Return a problem's sentence in this language, or in English where there is none."""
        text = self._table.get(f"error.{problem.code}", SENTENCES[problem.code])
        try:
            return text.format_map(self._said(problem.facts))
        except (KeyError, ValueError, IndexError):
            # A row of an older version may lack a fact; its stored sentence is complete.
            return problem.sentence

    def _said(self, facts: Mapping[str, object]) -> dict[str, object]:
        """Return facts with the words that `request` puts into them in this language."""
        said = dict(facts)
        if "label" in said:
            names = {field.label: self._table[f"field.{field.name}"] for field in parameters()}
            said["label"] = names.get(str(said["label"]), said["label"])
        if "choices" in said:
            said["choices"] = str(said["choices"]).replace(" or ", f" {self['list.or']} ")
        return said

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

    def generate_label(self, estimate: Estimate, *, is_preview: bool, count: int = 1) -> str:
        """Return the button's text with time and price.

        Args:
            estimate: Of one video.
            is_preview: Nothing is paid.
            count: Videos that one click makes; they are made side by side, and the price is that of all.
        """
        many = "_several" if count > 1 else ""
        if is_preview:
            return self(f"generate.preview{many}", count=count)
        time, price = self.duration(estimate.seconds), self.price(estimate, count)
        return self(f"generate.priced{many}", count=count, time=time, price=price)

    def price(self, estimate: Estimate, count: int = 1) -> str:
        """Return the price of videos that are still to be made, as it is said everywhere."""
        about, most = estimate.cost_usd * count, estimate.high_usd * count
        if 0 < about < CENT_USD:
            return self("price.most", most=money(max(most, CENT_USD)))
        return self("price.about", about=money(about), most=money(most))

    def size_line(self, request: VideoRequest) -> str:
        """Return the real size and length of what a request makes, saying so where the size is rounded up."""
        width, height = request.real_size
        facts = {"width": width, "height": height, "seconds": seconds_text(request)}
        if (width, height) == (request.width, request.height):
            return self("form.size_line", **facts)
        return self("form.size_line_rounded", asked=f"{request.width}x{request.height}", **facts)


def money(usd: float) -> str:
    """Return US dollars as people read them."""
    return "under $0.01" if 0 < usd < CENT_USD else f"${usd:,.2f}"


def seconds_text(request: VideoRequest) -> str:
    """Return the length of a request's video in seconds with one decimal place."""
    return f"{request.duration_s:.1f}"


def label(key: str) -> str:
    """Return a label that the browser shows in its own language."""
    return cast("str", I18nData(key))  # Gradio's parameters that take a label are declared as text


def translations() -> gr.I18n:
    """Return every language's texts of Gradio's own controls, for `launch(i18n=...)`; they travel with every page."""
    tables = {language: _table(language).items() for language in languages()}
    return gr.I18n(
        **{name: {key: text for key, text in table if key.startswith(_LABELS)} for name, table in tables.items()}
    )


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
    table = cast("dict[str, str]", json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8")))
    if language != DEFAULT_LANGUAGE:
        return table
    fields = {f"field.{field.name}": field.label for field in parameters()}
    helps = {f"field.{field.name}.help": field.help for field in parameters()}
    return {**fields, **helps, **table}


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
