"""The ledger: jobs and money in one SQLite table, and the files that keep it safe."""

from hunyuan_ui.ledger.book import NAMED, Ledger
from hunyuan_ui.ledger.files import Opened, back_up, confirm_review, needs_review, open_ledger

__all__ = ["NAMED", "Ledger", "Opened", "back_up", "confirm_review", "needs_review", "open_ledger"]
