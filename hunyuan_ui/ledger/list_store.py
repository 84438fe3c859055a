"""ListStore: the state of prompt lists, readable by every process (docs/facts/scale.md 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hunyuan_ui.job import DAY_S
from hunyuan_ui.ledger.postgres import NOW, PostgresDatabase

_LIVES: Final = f"EXISTS (SELECT 1 FROM workers WHERE workers.id = lists.worker AND seen_at + :lease_s >= {NOW})"
_LIST_KEPT_S: Final = DAY_S  # after its process has gone
_CLAIM: Final = (
    f"INSERT INTO lists VALUES (:id, :worker, :told, {NOW}) ON CONFLICT (id) DO UPDATE"
    " SET worker = excluded.worker, told = excluded.told, at = excluded.at, is_stopped = false"
)
_LISTS: Final = f"SELECT id, told FROM lists WHERE worker <> :worker AND {_LIVES}"


class ListStore:
    """The lists of all processes that share a database; thread-safe, and never blocked by writers of the ledger.

    Each method raises StorageError if the server cannot be reached.

    Args:
        lease_s: Seconds without a heartbeat after which a process counts as dead.
    """

    def __init__(self, database: PostgresDatabase, process: str, lease_s: float) -> None:
        self._database = database
        self._process = process
        self._lease_s = lease_s

    def claim_list(self, list_id: str, state: str) -> None:
        """Record that this process sends a list from now on, whichever did before.

        Args:
            state: Its state, as JSON.
        """
        self._database.run(
            f"DELETE FROM lists WHERE at < {NOW} - {_LIST_KEPT_S} AND NOT {_LIVES}", {"lease_s": self._lease_s}
        )
        self._database.run(_CLAIM, {"id": list_id, "worker": self._process, "told": state})

    def publish(self, list_id: str, state: str) -> None:
        """Publish the state of one of this process's lists."""
        values = {"id": list_id, "told": state, "worker": self._process}
        self._database.run("UPDATE lists SET told = :told WHERE id = :id AND worker = :worker", values)

    def stop(self, list_id: str) -> None:
        """Request whichever process sends a list to stop it."""
        self._database.run("UPDATE lists SET is_stopped = true WHERE id = :id", {"id": list_id})

    def to_end(self, list_ids: Sequence[str]) -> dict[str, bool]:
        """Return which of this process's lists must end; True for those that another process has taken over."""
        places = ", ".join("?" * len(list_ids))
        with self._database.reading() as read:
            rows = read.execute(
                f"SELECT id, worker <> ? FROM lists WHERE id IN ({places}) AND (is_stopped OR worker <> ?)",
                (self._process, *list_ids, self._process),
            )
            return dict(rows.fetchall())

    def elsewhere(self, list_id: str | None = None) -> dict[str, str]:
        """Return the state of all lists, or of one, that other live processes have published."""
        one = "" if list_id is None else " AND id = :id"
        with self._database.reading() as read:
            values = {"worker": self._process, "lease_s": self._lease_s, "id": list_id}
            return dict(read.execute(_LISTS + one, values).fetchall())
