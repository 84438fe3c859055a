"""Jobs: the only package that joins endpoint, ledger, library and limits; the page reaches them through it."""

from hunyuan_ui.jobs.job_view import HistoryState, JobView, Spending
from hunyuan_ui.jobs.runner import JobRunner, build_runner

__all__ = ["HistoryState", "JobRunner", "JobView", "Spending", "build_runner"]
