"""The standing table as the look-up that checks read: SQLite rows by primary key, in the caller's own thread."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.ledger import device_states
from gateway.ledger.entry import b64
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.store import Store
from gateway.ledger.subjects import milliseconds
from gateway.ledger.watch import FileWatch
from gateway.mirror.lookup import Reached, RowUnreadable, Seen, Stale
from gateway.terms import DataClass, GrantKind, Purpose

NOTHING_HELD: frozenset[str] = frozenset()
HEAD = (
    "SELECT size, peppers, NULL FROM head"  # `key IN ()` would read the whole table to find nothing (measured: 22 ms)
)
ROWS_OF = (  # the marks are question marks
    "SELECT h.size, h.peppers, s.key, s.own, s.travelled, s.age_band, s.seq, s.linked, s.granted, s.held,"
    " s.informed, s.parental, s.grown, s.told, s.cpni_told FROM head h LEFT JOIN standing s ON s.key IN ({marks})"
)

GRANTS_OF = (
    "SELECT recipient, purpose, data_class, seq, kind FROM grant_choice"
    " WHERE key IN ({marks}) AND (until IS NULL OR until > ?) ORDER BY seq DESC"
)


@lru_cache(maxsize=64)
def _rows_of(keys: int) -> str:
    return ROWS_OF.format(marks=",".join("?" * keys)) if keys else HEAD


class StandingTable:
    """A `Lookup`. One reading connection, opened anew whenever the watch lost and found the file again."""

    def __init__(self, store: Store, watch: FileWatch, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._store = store
        self._watch = watch
        self._db: sqlite3.Connection | None = None
        self._generation = -1
        self._opened = 0

    def seen(self, keys: Sequence[bytes], *, numbered: bool = False) -> Seen:  # noqa: ARG002 - a row has its number
        """One statement, one moment: the head and the rows. The head tells whether these keys can be found at all."""
        rows = self._read(_rows_of(len(keys)), keys)
        if rows[0][1] != self._watch.peppers:
            raise Stale
        if rows[0][2] is None:
            return Seen(rows[0][0], (), Reached("", rows[0][0]))
        now = self._now() if any(row[7] for row in rows) else 0  # until when it is linked, and most are not
        return Seen(rows[0][0], tuple([standing(now, *row[3:]) for row in rows]), Reached("", rows[0][0]))

    def proof(self) -> float | None:
        return self._watch.proof()

    def version(self) -> tuple[float, int, int]:
        """SQLite's own mark of what other connections committed
        (https://sqlite.org/pragma.html#pragma_data_version).
        """
        marks = self._read("PRAGMA data_version", ())
        return self._watch.fresh_until, self._opened, marks[0][0]

    def changed_since(self, keys: Sequence[bytes], reached: Reached) -> bool:
        if not keys:
            return False
        marks = ",".join("?" * len(keys))
        sql = f"SELECT 1 FROM standing WHERE key IN ({marks}) AND changed >= ? LIMIT 1"  # noqa: S608
        return bool(self._read(sql, [*keys, reached.position]))

    def tied(self, account: bytes, identifier: bytes) -> bool:
        sql = (
            "SELECT 1 FROM link WHERE account = ? AND identifier = ? AND ended IS NULL AND (until IS NULL OR until > ?)"
            " AND NOT claimed"
        )
        return bool(self._read(sql, [account, identifier, self._now()]))

    def links_of(self, key: bytes) -> list[tuple[bytes, bool, bool]]:
        return device_states.links_of(self._read, key, self._now())

    def words_of(self, key: bytes) -> list[str]:
        return device_states.words_of(self._read, key)

    def alone(self, mark: str, device: bytes, keys: Sequence[bytes]) -> frozenset[Purpose]:
        return device_states.alone(self._read, mark, device, keys)

    def grants(self, keys: Sequence[bytes]) -> list[Grant]:
        if not keys:
            return []
        return grants(self._read(GRANTS_OF.format(marks=",".join("?" * len(keys))), [*keys, self._now()]))

    def log(self) -> str:
        return str(self._read("SELECT origin FROM head", ())[0][0])

    def voided(self, ui: str) -> bool:
        return bool(self._read("SELECT 1 FROM voided_ui WHERE ui = ?", [ui]))

    def touched(self, key: bytes) -> int | None:
        """The last entry that touched a standing."""
        rows = self._read("SELECT seq FROM standing WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def event(self, seq: int) -> str | None:
        rows = self._read("SELECT event FROM detail WHERE seq = ?", (seq,))
        return b64(rows[0][0]) if rows else None

    def _now(self) -> int:
        return milliseconds(self._clock())

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _read(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        if not self._watch.fresh():
            raise Stale
        try:
            if self._db is None or self._generation != self._watch.generation:
                self._reopen()
            assert self._db is not None
            rows = self._db.execute(sql, values).fetchall()
        except (sqlite3.Error, LedgerRefused) as error:
            with contextlib.suppress(sqlite3.Error):
                self.close()
            raise RowUnreadable(type(error).__name__) from error
        if not self._watch.fresh():  # a process that was paused must not answer with an old proof
            raise Stale
        return rows

    def _reopen(self) -> None:
        self.close()
        self._generation = self._watch.generation
        self._db = self._store.open_to_read()
        self._opened += 1


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
