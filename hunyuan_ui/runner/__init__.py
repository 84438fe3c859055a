"""The runner: the only room that joins endpoint, ledger, library and guard, and the page's one door to them."""

from hunyuan_ui.runner.door import JobRunner
from hunyuan_ui.runner.opening import open_runner
from hunyuan_ui.runner.views import HistoryState, JobView, Limits

__all__ = ["HistoryState", "JobRunner", "JobView", "Limits", "open_runner"]
