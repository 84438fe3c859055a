"""The ledger: jobs and money in one SQLite table, and the files that keep it safe."""

from hunyuan_ui.ledger.found import FROM_HISTORY, SAID, UNTIMED, said_id
from hunyuan_ui.ledger.ledger import NAMED, Ledger
from hunyuan_ui.ledger.sqlite import (
    FILE_NAME,
    LOG_NAME,
    Opened,
    back_up,
    confirm_review,
    count_jobs,
    needs_review,
    open_ledger,
    open_reader,
)

__all__ = [
    "FILE_NAME",
    "FROM_HISTORY",
    "LOG_NAME",
    "NAMED",
    "SAID",
    "UNTIMED",
    "Ledger",
    "Opened",
    "back_up",
    "confirm_review",
    "count_jobs",
    "needs_review",
    "open_ledger",
    "open_reader",
    "said_id",
]
