"""The banner: what a start says of itself before anybody can spend anything. Pure."""

from __future__ import annotations

from typing import Final

from hunyuan_ui import __version__
from hunyuan_ui.settings import Settings

_WHY: Final = {
    "space": "public: it runs on a Hugging Face Space, so anybody with its address can use it.",
    "share": "public: a share link was asked for, so anybody with the link can use it.",
    "address": "public: it listens on {address}, so other machines can reach it.",
    None: "private: it answers on this machine only, and whoever uses it is its owner.",
}
_STORAGE: Final = {
    "kept": "on a mounted disk, so it stays when the Space restarts.",
    "lax": "on a mounted store that may write late: videos stay, but the last moments of the ledger may be lost.",
    "wiped": "on {disk}: videos, and the record of what was spent.",
}
_DISK: Final = {
    True: "the Space's own disk, which is wiped when it restarts",
    False: "a container's own disk or in memory, which is wiped when it is started anew",
}


def describe(settings: Settings, *, spent_today_usd: float = 0.0, spent_total_usd: float = 0.0) -> list[str]:
    """Return what the owner should read at the start: who can come, whose key is used, and what that may cost at most.

    Args:
        settings: Of this run.
        spent_today_usd: What counts against today's limit already, in US dollars.
        spent_total_usd: What counts against the total limit already, in US dollars.
    """
    lines = [
        f"Hunyuan UI {__version__}",
        f"This page is {_WHY[settings.public_by].format(address=settings.server_name)}",
    ]
    if settings.api_key is None:
        lines.append(
            "No SEGMIND_API_KEY is set: videos are a free local preview, or are made with a visitor's own key."
        )
    elif not settings.may_spend_owner_key:
        lines.append(
            "Your key is NOT used, because no HUNYUAN_UI_DAILY_LIMIT_USD is set: "
            "visitors use the local preview or their own key."
        )
    else:
        lines.append(_who_may_use_it(settings))
    lines.append(f"Most that this start may spend of your money: {_most(settings, spent_today_usd, spent_total_usd)}.")
    lines.append(f"Data folder: {settings.data_dir}")
    return [*lines, *_storage(settings)]


def addresses(local_url: str, share_url: str | None, *, mcp_error: str | None = None) -> list[str]:
    """Return where the page can be opened now, and how it ends.

    Args:
        local_url: On this machine.
        share_url: Of the public link, if there is one.
        mcp_error: Why agents cannot use it although GRADIO_MCP_SERVER is true; Gradio itself tells where they can.
    """
    lines = [f"Open {local_url}", *([f"Public link: {share_url}"] if share_url else [])]
    if mcp_error:
        lines.append(f'No MCP for agents: {mcp_error} It needs: pip install "gradio[mcp]"')
    return [*lines, "Ctrl+C ends it; videos under way go on at the service and are taken up at the next start."]


def _storage(settings: Settings) -> list[str]:
    lines: list[str] = []
    if settings.is_space or settings.storage != "kept":
        lines.append(f"It is {_STORAGE[settings.storage].format(disk=_DISK[settings.is_space])}")
    if settings.needs_history:
        lines.append(
            "So at each start your key rests until the service's history of the last seven days was read: "
            "what it names counts, and its videos come back to you."
        )
    if settings.may_spend_owner_key and settings.storage == "wiped" and settings.total_limit_usd is not None:
        left = "all but those seven days" if settings.needs_history else "everything"
        lines.append(f"HUNYUAN_UI_TOTAL_LIMIT_USD needs a disk that stays: here a restart forgets {left}.")
    return lines


def _who_may_use_it(settings: Settings) -> str:
    if not settings.is_public:
        return f"Your key is used; a video above {_usd(settings.video_limit_usd)} asks first."
    gates = [
        "who know the access code" if settings.access_code else "",
        "who have logged in with Hugging Face" if settings.requires_login else "",
    ]
    gate = " and ".join(filter(None, gates)) or "of every kind: there is no access code"
    return (
        f"Your key is used for visitors {gate}; each may make {settings.visitor_daily_videos} videos a day, "
        f"and none may cost more than {_usd(settings.video_limit_usd)}."
    )


def _most(settings: Settings, today_usd: float, total_usd: float) -> str:
    if not settings.may_spend_owner_key:
        return "nothing"
    if settings.daily_limit_usd is None and settings.total_limit_usd is None:
        return "no limit is set (HUNYUAN_UI_DAILY_LIMIT_USD, HUNYUAN_UI_TOTAL_LIMIT_USD)"
    left = None if settings.total_limit_usd is None else max(0.0, settings.total_limit_usd - total_usd)
    in_all = "in all" if settings.storage != "wiped" else "until it is started again"
    if settings.daily_limit_usd is None:
        return f"{_usd(left or 0.0)} {in_all}"
    first = max(0.0, settings.daily_limit_usd - today_usd)
    today = "today" if not settings.needs_history else "today, less what the history names"
    if left is None:
        return f"{_usd(first)} {today}, then {_usd(settings.daily_limit_usd)} a day (UTC)"
    return f"{_usd(min(first, left))} {today}, {_usd(left)} {in_all}"


def _usd(amount: float) -> str:
    return f"${amount:,.2f}"
