"""CalibratedEstimates: expected time and cost of a request on this installation, calibrated by its finished jobs."""

from __future__ import annotations

from hunyuan_ui import log
from hunyuan_ui.errors import StorageError
from hunyuan_ui.estimate import Estimate, Outcome, engine_estimate, estimate
from hunyuan_ui.job import Payer
from hunyuan_ui.jobs.ledger_thread import LedgerThread
from hunyuan_ui.ledger import Ledger
from hunyuan_ui.request import VideoRequest


class CalibratedEstimates:
    """Holds the latest outcomes in memory, so that pricing needs no ledger read.

    Args:
        engine_usd_per_hour: Hourly price of the owner's engine; None without an engine.

    Raises:
        StorageError: The ledger cannot be read.
    """

    def __init__(self, ledger: Ledger, reads: LedgerThread, engine_usd_per_hour: float | None) -> None:
        self._engine_usd_per_hour = engine_usd_per_hour
        self._ledger = ledger
        self._reads = reads
        self._outcomes = self._read()

    def estimate(self, request: VideoRequest, payer: Payer) -> Estimate:
        """Return a request's expected time and cost; free previews are calibrated by previews only."""
        outcomes = self._outcomes[payer == "nobody"]
        if payer == "owner" and self._engine_usd_per_hour is not None:
            return engine_estimate(request, outcomes, self._engine_usd_per_hour)
        return estimate(request, outcomes)

    async def reload(self) -> None:
        """Reload the outcomes after a job has ended or a cost was corrected; keep the old ones if that fails."""
        try:
            self._outcomes = await self._reads(self._read)
        except StorageError as error:
            log.trouble("estimates.not_read", code=error.code)

    def _read(self) -> dict[bool, list[Outcome]]:
        of_engine = self._engine_usd_per_hour is not None
        return {True: self._ledger.outcomes("nobody"), False: self._ledger.outcomes("owner", of_engine=of_engine)}
