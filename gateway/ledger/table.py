"""The standing table, as rows by primary key: what stands of a key by the ledger's own rules, for replays and `verify`,
and the numbers of entries for whoever may know them.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from gateway.choice.question import Grant
from gateway.choice.standing import RowUnreadable, Stale, Standing
from gateway.ledger.entry import b64
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.store import Store
from gateway.ledger.watch import FileWatch
from gateway.terms import DataClass, GrantKind, Purpose

NOTHING_HELD: frozenset[str] = frozenset()
ROWS_OF = (  # the marks are question marks
    "SELECT h.size, h.peppers, s.key, s.own, s.travelled, s.age_band, s.seq, s.linked, s.granted, s.held,"
    " s.informed, s.parental, s.grown, s.told, s.cpni_told FROM head h LEFT JOIN standing s ON s.key IN ({marks})"
)

GRANTS_OF = (
    "SELECT recipient, purpose, data_class, seq, kind FROM grant_choice"
    " WHERE key IN ({marks}) AND (until IS NULL OR until > ?) ORDER BY seq DESC"
)


class StandingTable:
    """What a check's answer says beside its verdict, to callers that may know which entry decided: read here, never
    asked whether anything may go. One reading connection, opened anew whenever the watch lost and found the file again.
    """

    def __init__(self, store: Store, watch: FileWatch) -> None:
        self._store = store
        self._watch = watch
        self._db: sqlite3.Connection | None = None
        self._generation = -1

    def began(self, key: bytes) -> int | None:
        """The last entry by which a device's or a tool's state began that a key has."""
        seq: int | None = self._read("SELECT max(seq) FROM device_state WHERE key = ?", (key,))[0][0]
        return seq

    def event(self, seq: int) -> str | None:
        """The event id (base64url) of an entry about somebody; None for other entries."""
        rows = self._read("SELECT event FROM detail WHERE seq = ?", (seq,))
        return b64(rows[0][0]) if rows else None

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _read(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Raises `LookupRefused`."""
        if not self._watch.fresh():
            raise Stale
        try:
            if self._db is None or self._generation != self._watch.generation:
                self.close()
                self._generation = self._watch.generation
                self._db = self._store.open_to_read()
            rows = self._db.execute(sql, values).fetchall()
        except (sqlite3.Error, LedgerRefused) as error:
            with contextlib.suppress(sqlite3.Error):
                self.close()
            raise RowUnreadable(type(error).__name__) from error
        return rows


def standing(
    now: int,
    own: int,
    travelled: int,
    age_band: str | None,
    seq: int | None,
    linked: int,
    granted: int,
    held: str,
    informed: int,
    parental: int,
    grown: int,
    told: int | None,
    cpni_told: int | None,
) -> Standing:
    """One row of `ROWS_OF`, from its fourth column on, as of a moment in Unix milliseconds."""
    return _standing(
        own, travelled, age_band, seq, linked > now, bool(granted), held, informed, parental, grown, told, cpni_told
    )


@lru_cache(maxsize=8192)
def _standing(
    own: int,
    travelled: int,
    age_band: str | None,
    seq: int | None,
    linked: bool,
    granted: bool,
    held: str,
    informed: int,
    parental: int,
    grown: int,
    told: int | None,
    cpni_told: int | None,
) -> Standing:
    """The same columns are the same standing, whosever they are: most people's are alike but for the entry."""
    return Standing(
        own,
        travelled,
        age_band,
        seq,
        linked,
        granted,
        frozenset(held.split(",")) if held else NOTHING_HELD,
        informed,
        parental,
        bool(grown),
        _day(told),
        _day(cpni_told),
    )


def _day(ordinal: int | None) -> date | None:
    return None if ordinal is None else date.fromordinal(ordinal)


def grants(rows: Iterable[tuple[Any, ...]]) -> list[Grant]:
    """Rows of `GRANTS_OF`, the newest first."""
    return [
        Grant(to, Purpose(purpose), DataClass(data) if data else None, seq, GrantKind(kind))
        for to, purpose, data, seq, kind in rows
    ]
