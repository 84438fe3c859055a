"""What processes that share a database keep there besides the jobs: granted access, attempts, API calls, prompt lists.

Source: docs/facts/scale.md 3. Imported only if a database is set. The stores are thread-safe, and reading and writing
them waits for no writer of the ledger, except for `AccessStore.change_attempts`; each method raises StorageError if the
server cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from hunyuan_ui.job import DAY_S
from hunyuan_ui.ledger.connection import Connection
from hunyuan_ui.ledger.postgres import NOW, PostgresDatabase
from hunyuan_ui.ledger.transactions import TakenOverError

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
    """Granted access, and attempts at codes and keys."""

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
            (now,) = read.execute(f"SELECT {NOW}").fetchone()  # first: this process may be stopped at any moment
            rows = read.execute(
                f"SELECT gate, visitor FROM grants WHERE at > greatest(:since, {NOW} - {GRANTED_S})", {"since": since}
            )
            found = [(gate, visitor) for gate, visitor in rows]
        return found, now - _GRANT_COMMITS_S

    def change_attempts(self, names: Sequence[str], change: Callable[[float, list[Limit | None]], list[Limit]]) -> None:
        """Update rate limiters for all processes at once.

        Args:
            change: Receives the server's time and the stored state of each limiter; returns the new states.
        """
        with self._database.transaction("tries") as connection:
            rows = connection.execute("SELECT * FROM tries WHERE name = ANY(?)", (list(names),))
            known = {name: (used_until, last, before) for name, used_until, last, before in rows}
            (now,) = connection.execute(f"SELECT {NOW}").fetchone()
            for name, state in zip(names, change(now, [known.get(name) for name in names]), strict=True):
                connection.execute(_KEEP_ATTEMPTS, (name, *state))
            connection.execute("DELETE FROM tries WHERE last < ?", (now - _ATTEMPTS_KEPT_S,))


_WANT_REVIEW: Final = (
    f"INSERT INTO pauses VALUES ('review', 1, NULL, {NOW}) ON CONFLICT (payer) DO UPDATE"
    " SET until = 1, at = excluded.at RETURNING at"
)
_CONFIRM_REVIEW: Final = f"UPDATE pauses SET until = 0, at = {NOW} WHERE payer = 'review'"


class ReviewStore:
    """Whether past spending is uncertain for any process, until the owner has confirmed the budget at one of them.

    A process that sent nothing cannot tell that the database was restored to an older state, and would spend again.

    Attributes:
        is_wanted: Whether it is, as last read.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._asked_at = 0.0  # by this process, by the server's clock; 0 if not
        self.is_wanted = False
        self.exchange(is_unsure=False)

    def exchange(self, *, is_unsure: bool) -> bool:
        """Share what this process has found and read the others'; return whether the owner has confirmed it since."""
        rows = self._database.run("SELECT until, at FROM pauses WHERE payer = 'review'")
        if is_unsure and not (self._asked_at and rows):
            self._asked_at = self._database.run(_WANT_REVIEW)[0][0]
            rows = [(1.0, self._asked_at)]
        elif self._asked_at and not is_unsure:  # the newer state is back; unless another process has asked since
            self._database.run("DELETE FROM pauses WHERE payer = 'review' AND until = 1 AND at = ?", (self._asked_at,))
            self._asked_at = 0.0
        self.is_wanted = any(until for until, _ in rows)
        return is_unsure and any(not until and at > self._asked_at for until, at in rows)

    def confirm(self) -> None:
        """Record for all processes that the owner lets spending continue."""
        self._database.run(_CONFIRM_REVIEW)
        self.is_wanted = False


ANSWER_KEPT_S: Final = 300.0  # an answer that nobody collects
CALL_KEPT_S: Final = float(DAY_S)  # longer than any caller waits

_IS_LOST: Final = "worker <> :process AND NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = calls.worker)"
_HAS_ENDED: Final = f"(answer IS NOT NULL OR {_IS_LOST})"
_OF_KEY: Final = "(id = :key OR session = :key)"
_BEGIN: Final = (
    f"WITH old AS (DELETE FROM calls WHERE kept_until < {NOW})"
    f" INSERT INTO calls VALUES (:id, :session, :process, {NOW} + {CALL_KEPT_S}) ON CONFLICT DO NOTHING"
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
    """The results of API calls."""

    def __init__(self, database: PostgresDatabase, process: str) -> None:
        self._database = database
        self._process = process

    def begin(self, call_id: str, session: str) -> None:
        """Register a call of this process, and delete expired ones.

        Args:
            session: A second key under which its answer can be collected.
        """
        self._database.run(_BEGIN, {"id": call_id, "session": session, "process": self._process})

    def end(self, call_id: str, text: str) -> None:
        """Record the result of a call, unless it has ended or is no longer waited for."""
        kept = f"kept_until = {NOW} + {ANSWER_KEPT_S}"
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


_LIVES: Final = f"EXISTS (SELECT 1 FROM workers WHERE workers.id = lists.worker AND seen_at + :lease_s >= {NOW})"
_LIST_KEPT_S: Final = DAY_S  # after its process has gone
_CLAIM: Final = (
    f"INSERT INTO lists VALUES (:id, :worker, :told, {NOW}) ON CONFLICT (id) DO UPDATE"
    " SET worker = excluded.worker, told = excluded.told, at = excluded.at, is_stopped = false"
)
_TO_END: Final = "SELECT id, worker <> :worker FROM lists WHERE id = ANY(:ids) AND (is_stopped OR worker <> :worker)"
_LISTS: Final = f"SELECT id, told FROM lists WHERE worker <> :worker AND {_LIVES}"


class ListStore:
    """The state of prompt lists.

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
        values = {"ids": list(list_ids), "worker": self._process}
        with self._database.reading() as read:
            return dict(read.execute(_TO_END, values).fetchall())

    def check_own(self, connection: Connection, list_id: str) -> None:
        """Raise TakenOverError, inside a transaction, if another process has claimed a list."""
        claimed = connection.execute("SELECT worker FROM lists WHERE id = ?", (list_id,)).fetchone()
        if claimed is not None and claimed[0] != self._process:
            raise TakenOverError

    def elsewhere(self, list_id: str | None = None) -> dict[str, str]:
        """Return the state of all lists, or of one, that other live processes have published."""
        one = "" if list_id is None else " AND id = :id"
        with self._database.reading() as read:
            values = {"worker": self._process, "lease_s": self._lease_s, "id": list_id}
            return dict(read.execute(_LISTS + one, values).fetchall())
