"""Rows of the result table: measurement, baseline and limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

SLACK = 2.0  # beyond the limit times this, something broke and noise is no excuse


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        what: The measurement, for people.
        ours: The program's value, in `unit`.
        reference: The baseline's value, in `unit`; None for an absolute limit.
        unit: Of both.
        value: The limited quantity: a ratio, a difference or `ours` itself.
        limit: Limit of `value`; None only shows it.
        kind: Of `value`.
        is_floor: The limit is a minimum, not a maximum.
    """

    what: str
    ours: float
    reference: float | None
    unit: str
    value: float
    limit: float | None
    kind: Literal["ratio", "difference", "value"]
    is_floor: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether the value is within the limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.is_floor else self.value <= self.limit

    @property
    def is_far_off(self) -> bool:
        """Whether two alternating measurements differ by more than a busy machine explains."""
        if self.limit is None or self.kind == "value":
            return False
        return self.value < self.limit / SLACK if self.is_floor else self.value > self.limit * SLACK


def ratio(what: str, ours: float, reference: float, unit: str, *, at_most: float) -> Row:
    """Compare two costs."""
    return Row(what, ours, reference, unit, ours / reference, at_most, "ratio")


def rate(what: str, ours: float, reference: float, unit: str, *, at_least: float) -> Row:
    """Compare two speeds."""
    return Row(what, ours, reference, unit, ours / reference, at_least, "ratio", is_floor=True)


def difference(what: str, ours: float, reference: float, unit: str, *, at_most: float) -> Row:
    """Compare two costs by their difference."""
    return Row(what, ours, reference, unit, ours - reference, at_most, "difference")


def bound(what: str, ours: float, unit: str, *, at_most: float, reference: float | None = None) -> Row:
    """Compare a value with an absolute limit; a reference is shown beside it."""
    return Row(what, ours, reference, unit, ours, at_most, "value")


def shown(what: str, ours: float, reference: float, unit: str) -> Row:
    """Show a value beside its reference, without a limit."""
    return Row(what, ours, reference, unit, ours, None, "value")


def alternate(rounds: int, *calls: Callable[[], float]) -> tuple[float, ...]:
    """Call all alternately, in varying order, and return the median of each: other load then affects all alike."""
    found: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds):
        order = list(enumerate(calls))
        for index, call in order if turn % 2 else order[::-1]:
            found[index].append(call())
    return tuple(median(values) for values in found)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the percentile of the values at a fraction."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    lines = ["| what | here | reference | | limit | ok |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        reference = "" if row.reference is None else _text(row.reference, row.unit)
        sign = "at least" if row.is_floor else "at most"
        limit = "" if row.limit is None else f"{sign} {_judged(row, row.limit)}"
        value = _judged(row, row.value) if row.kind != "value" else ""
        ok = "" if row.limit is None else "yes" if row.is_ok else "no"
        lines.append(f"| {row.what} | {_text(row.ours, row.unit)} | {reference} | {value} | {limit} | {ok} |")
    return "\n".join(lines)


def _judged(row: Row, value: float) -> str:
    return f"{value:.2f}x" if row.kind == "ratio" else _text(value, row.unit)


def _text(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 or float(value).is_integer() else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()
