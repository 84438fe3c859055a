"""Detects that jobs of a data folder were sent from another ledger than the one in use: its file, or a database.

Source: docs/architecture.md 5, "Another ledger".
"""

from __future__ import annotations

from pathlib import Path

from hunyuan_ui.ledger.queries import LedgerQueries
from hunyuan_ui.ledger.restored_ledger import SentIds
from hunyuan_ui.ledger.sqlite import paid_by_file, want_review_without


def is_spending_elsewhere(folder: Path, ledger: LedgerQueries) -> bool:
    """Have the owner confirm the budget if a ledger lacks what was sent from another one; return whether it does.

    Args:
        ledger: The one in use, after the library's videos were restored in it.

    Raises:
        StorageError: The ledger cannot be read, or the folder cannot be written.
    """
    sent = [list(SentIds(path)) for path in folder.glob("ledger.sent-*") if path.is_file()]
    if ledger.is_shared:  # otherwise the folder's file is the one in use
        sent.append(paid_by_file(folder))
    known = ledger.ids() if any(sent) else set[str]()
    lacking = [[job_id for job_id in ids if job_id not in known] for ids in sent]
    return want_review_without(folder, {ids[-1] for ids in lacking if ids})  # the newest stands for all before it
