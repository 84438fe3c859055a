"""The runner: the only room that joins endpoint, ledger, library and guard, and the page's one door to them."""

from hunyuan_ui.jobs.build import open_runner
from hunyuan_ui.jobs.job_view import HistoryState, JobView, Limits
from hunyuan_ui.jobs.runner import JobRunner

__all__ = ["HistoryState", "JobRunner", "JobView", "Limits", "open_runner"]
