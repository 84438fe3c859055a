"""Jobs: the only package that combines endpoint, ledger, library and limits; the page uses them through it."""

from hunyuan_ui.jobs.batch_view import BatchView, Entry, Order, Plan
from hunyuan_ui.jobs.job_view import EngineState, JobView, Spending
from hunyuan_ui.jobs.runner import JobRunner, build_runner

__all__ = [
    "BatchView",
    "EngineState",
    "Entry",
    "JobRunner",
    "JobView",
    "Order",
    "Plan",
    "Spending",
    "build_runner",
]
