"""What only the entries of the log tell: the numbers and events that an answer may say beside its verdict, to callers
that may know which entry decided (`state.lookup`). Never asked whether anything may go.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Iterator

from gateway.choice.standing import RowUnreadable, Stale
from gateway.fold.state import FOR_EVER
from gateway.ledger.entry import b64
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.schema import BODY, JOINED, rows_of
from gateway.ledger.store import Store
from gateway.ledger.watch import LedgerWatch

BEGAN = f"""
SELECT max(d.seq), json_extract(CAST({BODY} AS TEXT), '$.src') AS source FROM detail d {JOINED}
WHERE d.key IN ({{marks}}) AND json_extract(CAST({BODY} AS TEXT), '$.e') = 'state_began' AND d.at <= ?
AND NOT EXISTS (SELECT 1 FROM voided_choice v WHERE v.seq = d.seq AND v.at <= ?) GROUP BY source
"""  # noqa: S608 - ours


def last_began(
    db: sqlite3.Connection, names: Collection[bytes], sources: Collection[str], now: int = FOR_EVER
) -> int | None:
    """The last entry, until a moment in Unix milliseconds, by which a state of one of these sources began that any of
    these names told. None: there is none.
    """
    found = rows_of(db, BEGAN, names, now, now) if sources else ()
    return max((seq for seq, source in found if source in sources), default=None)


class LedgerFacts:
    """One reading connection, opened anew whenever the watch lost and found the file again. Each call raises
    `LookupRefused` rather than answer from doubt.
    """

    def __init__(self, store: Store, watch: LedgerWatch) -> None:
        self._store = store
        self._watch = watch
        self._db: sqlite3.Connection | None = None
        self._generation = -1

    def began(self, names: Collection[bytes], sources: Collection[str]) -> int | None:
        """See `last_began`."""
        with self._reading() as db:
            return last_began(db, names, sources)

    def event(self, seq: int) -> str | None:
        """The event id (base64url) of an entry about somebody; None for other entries."""
        with self._reading() as db:
            row = db.execute("SELECT event FROM detail WHERE seq = ?", (seq,)).fetchone()
        return b64(row[0]) if row else None

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self._watch.fresh():
            raise Stale
        try:
            if self._db is None or self._generation != self._watch.generation:
                self.close()
                self._generation = self._watch.generation
                self._db = self._store.open_to_read()
            yield self._db
        except (sqlite3.Error, LedgerRefused) as error:
            with contextlib.suppress(sqlite3.Error):
                self.close()
            raise RowUnreadable(type(error).__name__) from error
