"""Dollars per day on the owner's page: the days, and the plot's axis."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, Final

from hunyuan_ui.job import DAY_S, MICRO
from hunyuan_ui.settings import Settings
from hunyuan_ui.words import Words

DAYS: Final = 30
_FAR: Final = 10.0  # times the highest day: a limit above that is not drawn
_HALVED_USD: Final = 0.02  # the smallest maximum whose half is a whole cent


def days_of(spent: Iterable[Any], say: Words) -> tuple[list[dict[str, Any]], str]:
    """Return each of the last days for the plot, and a sentence with their sum."""
    found = {int(day.begins_at): day for day in spent}
    # As many days as fit, however far the ledger may be ahead of this machine's clock.
    last = max(int(time.time()) // DAY_S * DAY_S, *found, 0)
    days = [
        _day(begins_at, found[begins_at].spent_microusd if begins_at in found else 0, say)
        for begins_at in range(last - (DAYS - 1) * DAY_S, last + 1, DAY_S)
    ]
    total = say.money(sum(day["usd"] for day in days))
    return days, say("owner.sum", spent=total, count=sum(day.videos for day in found.values()))


def _day(begins_at: int, spent_microusd: int, say: Words) -> dict[str, Any]:
    usd = spent_microusd / MICRO
    name = time.strftime("%Y-%m-%d", time.gmtime(begins_at))
    return {"name": name, "usd": usd, "text": say("owner.day", day=name, spent=say.money(usd))}


def axis_of(spent_usd: list[float], settings: Settings, say: Words) -> dict[str, Any] | None:
    """Return the plot's maximum, a round number of dollars, and its axis labels.

    None if nothing has a price, nor had one in these days: there is nothing to plot.

    Args:
        spent_usd: Of each day.
        settings: Whether videos have prices, and the daily limit, which is drawn as a line unless the days would be too
            low to be legible under it.
        say: In the owner's language.
    """
    limit_usd = settings.daily_limit_usd
    if not any(spent_usd) and (settings.is_preview or not settings.has_prices):
        return None
    spent = max(spent_usd, default=0.0)
    is_far = limit_usd is not None and 0 < spent < limit_usd / _FAR
    most = max(0.01, spent, 0.0 if is_far else limit_usd or 0.0)
    unit = 10.0 ** math.floor(math.log10(most))
    top = next((step * unit for step in (1, 2, 5) if step * unit >= most), 10 * unit)
    text = "" if limit_usd is None else say("owner.limit_line", limit=say.money(limit_usd))
    return {
        "top": top,
        "top_text": say.money(top),
        "half_text": say.money(top / 2) if top >= _HALVED_USD else "",
        "limit_text": f"↑ {text}" if is_far else text,
        "limit_share": None if limit_usd is None else 1.0 if is_far else limit_usd / top,
        "has_line": limit_usd is not None and not is_far,
    }
