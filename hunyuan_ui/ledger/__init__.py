"""The ledger: jobs and money in one SQLite table, and the files that keep it safe."""

from hunyuan_ui.ledger.book import NAMED, Ledger
from hunyuan_ui.ledger.files import Opened, back_up, confirm_review, needs_review, open_ledger
from hunyuan_ui.ledger.found import FROM_HISTORY, SAID, UNTIMED, said_id

__all__ = [
    "FROM_HISTORY",
    "NAMED",
    "SAID",
    "UNTIMED",
    "Ledger",
    "Opened",
    "back_up",
    "confirm_review",
    "needs_review",
    "open_ledger",
    "said_id",
]
