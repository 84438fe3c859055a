"""The processes that share the ledger, on the owner's page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hunyuan_ui.ui.owner_csv import utc
from hunyuan_ui.words import Words


def replica_lines(replicas: Iterable[Any], say: Words) -> list[str]:
    """Return a line for each process and its jobs; `replicas` as `OwnerActions.replicas` returns them."""
    return [_line(replica, say) for replica in replicas]


def _line(replica: Any, say: Words) -> str:
    facts = {"name": replica.name, "when": utc(replica.started_at)}
    facts |= {"waiting": replica.waiting, "in_flight": replica.in_flight}
    if replica.is_this:
        return say("owner.replica_this", **facts)
    return say("owner.replica", seconds=round(replica.seen_s_ago), **facts)
