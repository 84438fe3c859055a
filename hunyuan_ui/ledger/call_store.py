"""CallStore: the results of API calls, readable by every process (docs/facts/scale.md 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from hunyuan_ui.job import DAY_S
from hunyuan_ui.ledger.postgres import NOW, PostgresDatabase

KEPT_S: Final = 300.0  # an answer that nobody collects
LONGEST_S: Final = float(DAY_S)  # longer than any caller waits

_IS_LOST: Final = "worker <> :process AND NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = calls.worker)"
_HAS_ENDED: Final = f"(answer IS NOT NULL OR {_IS_LOST})"
_OF_KEY: Final = "(id = :key OR session = :key)"
_BEGIN: Final = (
    f"WITH old AS (DELETE FROM calls WHERE kept_until < {NOW})"
    f" INSERT INTO calls VALUES (:id, :session, :process, {NOW} + {LONGEST_S}) ON CONFLICT DO NOTHING"
)
_TAKE: Final = (
    f"WITH taken AS (DELETE FROM calls WHERE {_OF_KEY} AND {_HAS_ENDED} RETURNING id, answer)"
    f" SELECT (SELECT count(*) FROM calls WHERE {_OF_KEY}) - (SELECT count(*) FROM taken),"
    " (SELECT coalesce(json_agg(json_build_array(id, answer)), '[]'::json) FROM taken)"
)


class Answer(NamedTuple):
    """The result of a call; the text is None if the process that handled it has died."""

    call_id: str
    text: str | None


class CallStore:
    """The calls of all processes that share a database; thread-safe, and never blocked by writers of the ledger.

    Each method raises StorageError if the server cannot be reached.
    """

    def __init__(self, database: PostgresDatabase, process: str) -> None:
        self._database = database
        self._process = process

    def begin(self, call_id: str, session: str) -> None:
        """Register a call of this process, and delete expired ones.

        Args:
            call_id: Of the call.
            session: A second key under which its answer can be collected.
        """
        self._database.run(_BEGIN, {"id": call_id, "session": session, "process": self._process})

    def end(self, call_id: str, text: str) -> None:
        """Record the result of a call, unless it has ended or is no longer waited for."""
        kept = f"kept_until = {NOW} + {KEPT_S}"
        statement = f"UPDATE calls SET answer = :text, {kept} WHERE id = :id AND answer IS NULL"
        self._database.run(statement, {"id": call_id, "text": text})

    def ended(self, keys: Sequence[str]) -> set[str]:
        """Return those of some ids and sessions for which `take` would return an answer."""
        statement = f"SELECT id, session FROM calls WHERE (id = ANY(:keys) OR session = ANY(:keys)) AND {_HAS_ENDED}"
        rows = self._database.run(statement, {"keys": list(keys), "process": self._process})
        return {key for row in rows for key in row}

    def take(self, key: str) -> tuple[list[Answer], int]:
        """Return and delete the answers to an id or a session; also return how many calls are still pending."""
        ((under_way, taken),) = self._database.run(_TAKE, {"key": key, "process": self._process})
        return [Answer(*pair) for pair in taken], under_way

    def forget(self, key: str) -> None:
        """Drop the calls of an id or a session: nobody waits for them any more."""
        self._database.run(f"DELETE FROM calls WHERE {_OF_KEY}", {"key": key})
