"""Notifications by Apprise: the outcome and cost of a video, never its content.

A separate thread sends them, so that no job waits; a failure has no other effect and is logged once.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any, Final

from hunyuan_ui import log
from hunyuan_ui.errors import SettingsError, SpendLimitError
from hunyuan_ui.job import DAY_S, MICRO, Job, JobStatus
from hunyuan_ui.words import words

_WORDS: Final = words("en")  # the owner's console output is English, too
_TOLD: Final = (JobStatus.DONE, JobStatus.FAILED, JobStatus.LOST, JobStatus.UNKNOWN)
_LIMITS: Final = ("over_daily_limit", "over_total_limit")
_MOST_WAITING: Final = 100  # more are dropped: nobody reads that many
_CLOSE_WITHIN_S: Final = 3.0


class Notifications:
    """Sends notifications to the owner's addresses; does nothing without any.

    Args:
        addresses: For Apprise, separated by spaces. They contain passwords, so they are never logged or shown.

    Raises:
        SettingsError: An address is unknown to Apprise; names its position, never its text.
    """

    def __init__(self, addresses: str = "") -> None:
        self._waiting: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._has_failed = False
        self._limits_told: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        if not addresses.strip():
            return
        self._sender = _sender(addresses.split())
        self._thread = threading.Thread(target=self._send_all, name="notices", daemon=True)
        self._thread.start()

    def job_ended(self, job: Job) -> None:
        """Notify of a job's end, with or without a video, and of its cost; not for rows of a list."""
        if job.status not in _TOLD or (job.status is JobStatus.DONE and "list" in job.notes):
            return
        cost_usd = job.charged_microusd / MICRO
        say = _WORDS.about(job)
        price = say.money(cost_usd) if cost_usd else say["notify.free"]
        if cost_usd and job.cost_microusd is None and job.status is not JobStatus.UNKNOWN:
            price = say("owner.at_most", price=price)  # no answer named it, so its reservation counts
        # What another key may have paid counts nowhere here, and is not settled here.
        is_of_others = job.status is JobStatus.UNKNOWN and job.payer == "visitor"
        key = "notify.unknown_own_key" if is_of_others else f"notify.{job.status.value}"
        self._enqueue(say(key, price=price, job=job.id[:8]))

    def refused(self, error: SpendLimitError, now: float) -> None:
        """Notify that the daily or the total limit holds back a video, once a day.

        Args:
            error: Why a job was not stored.
            now: UTC seconds.
        """
        day = int(now // DAY_S)
        if error.code in _LIMITS and self._limits_told.get(error.code) != day:
            self._limits_told[error.code] = day
            self._enqueue(_WORDS("notify.limit", **error.facts))

    def list_ended(self, done: int, total: int, cost_usd: float) -> None:
        """Notify that a prompt list is finished.

        Args:
            done: Rows with a video.
            total: Rows of the list.
            cost_usd: Cost of the whole list in US dollars.
        """
        price = _WORDS.money(cost_usd) if cost_usd else _WORDS["notify.free"]
        self._enqueue(_WORDS("notify.list", done=done, total=total, price=price))

    def close(self) -> None:
        """Wait some seconds until all queued notifications are sent; blocks."""
        if self._thread is not None and self._thread.is_alive():
            try:
                self._waiting.put(None, timeout=_CLOSE_WITHIN_S)
            except queue.Full:
                return
            self._thread.join(_CLOSE_WITHIN_S)

    def _enqueue(self, sentence: str) -> None:
        if self._thread is None:
            return
        try:
            self._waiting.put_nowait(sentence)
        except queue.Full:
            self._failed("full")

    def _send_all(self) -> None:
        while (sentence := self._waiting.get()) is not None:
            # Apprise catches every exception of a service's plug-in and returns False.
            if not self._sender.notify(body=sentence, title=_WORDS["app.title"]):
                self._failed("refused")

    def _failed(self, why: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.trouble("notices.not_sent", why=why)


def _sender(addresses: list[str]) -> Any:
    import apprise

    logging.getLogger("apprise").disabled = True  # it logs addresses
    sender: Any = apprise.Apprise()
    for place, address in enumerate(addresses, 1):
        if not sender.add(address):
            raise SettingsError("HUNYUAN_UI_NOTIFY", "notify_address", place=place)
    return sender
