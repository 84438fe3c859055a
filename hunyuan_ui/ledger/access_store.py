"""AccessStore: granted access and attempts at codes and keys, for all processes (docs/facts/scale.md 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from hunyuan_ui.job import DAY_S
from hunyuan_ui.ledger.postgres import NOW, PostgresDatabase

GRANTED_S: Final = 30 * DAY_S
_GRANT_COMMITS_S: Final = 5.0  # a transaction begun before a read may become visible only after it
_GRANT: Final = (
    f"INSERT INTO grants VALUES (:gate, :visitor, {NOW}) ON CONFLICT (gate, visitor) DO UPDATE SET at = excluded.at"
)
_ATTEMPTS_KEPT_S: Final = 3600.0  # longer than any rate limit looks back
_KEEP_ATTEMPTS: Final = (
    "INSERT INTO tries VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
    " SET used_until = excluded.used_until, last = excluded.last, before = excluded.before"
)

Limit: TypeAlias = tuple[float, float, float]  # used until, last, before; see `attempts.Limiter`


class AccessStore:
    """Grants and attempts of all processes that share a database; thread-safe.

    Each method raises StorageError if the server cannot be reached.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def grant(self, gate: str, visitor_id: str) -> None:
        """Record for all processes that a visitor may pass a gate."""
        self._database.run(_GRANT, {"gate": gate, "visitor": visitor_id})

    def granted(self, since: float) -> tuple[list[tuple[str, str]], float]:
        """Return the granted (gate, visitor) pairs, and the server time up to which they are complete.

        Args:
            since: Time returned by an earlier call; 0 for all valid grants.
        """
        with self._database.reading() as read:
            rows = read.execute(
                f"SELECT gate, visitor FROM grants WHERE at > greatest(:since, {NOW} - {GRANTED_S})", {"since": since}
            )
            found = [(gate, visitor) for gate, visitor in rows]
            (now,) = read.execute(f"SELECT {NOW}").fetchone()
        return found, now - _GRANT_COMMITS_S

    def change_attempts(self, names: Sequence[str], change: Callable[[float, list[Limit | None]], list[Limit]]) -> None:
        """Update rate limiters for all processes at once.

        Args:
            names: Of the limiters.
            change: Receives the server's time and the stored state of each limiter; returns the new states.
        """
        with self._database.transaction("tries") as connection:
            places = ", ".join("?" * len(names))
            rows = connection.execute(f"SELECT * FROM tries WHERE name IN ({places})", tuple(names))
            known = {name: (used_until, last, before) for name, used_until, last, before in rows}
            (now,) = connection.execute(f"SELECT {NOW}").fetchone()
            for name, state in zip(names, change(now, [known.get(name) for name in names]), strict=True):
                connection.execute(_KEEP_ATTEMPTS, (name, *state))
            connection.execute("DELETE FROM tries WHERE last < ?", (now - _ATTEMPTS_KEPT_S,))
