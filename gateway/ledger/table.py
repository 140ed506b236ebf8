"""The standing table as the look-up that checks read: SQLite rows by primary key, in the caller's own thread."""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.choice.standing import Standing
from gateway.choice.verdict import Grant
from gateway.ledger import schema
from gateway.ledger.entry import b64
from gateway.ledger.watch import FileWatch
from gateway.mirror.lookup import Seen, Stale, Unreadable
from gateway.terms import DataClass, Purpose

NOTHING_HELD: frozenset[str] = frozenset()
HEAD = (
    "SELECT size, peppers, NULL FROM head"  # `key IN ()` would read the whole table to find nothing (measured: 22 ms)
)
ROWS_OF = (
    "SELECT h.size, h.peppers, s.key, s.own, s.travelled, s.age_band, s.seq, s.linked, s.granted, s.held"
    " FROM head h LEFT JOIN standing s ON s.key IN ({marks})"  # the marks are question marks
)


class StandingTable:
    """A `Lookup`. One reading connection, opened anew whenever the watch lost and found the file again."""

    def __init__(self, folder: Path, watch: FileWatch, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._folder = folder
        self._watch = watch
        self._db: sqlite3.Connection | None = None
        self._generation = -1

    def seen(self, keys: Sequence[bytes]) -> Seen:
        """One statement, one moment: the head and the rows. The head tells whether these keys can be found at all."""
        rows = self._read(ROWS_OF.format(marks=",".join("?" * len(keys))) if keys else HEAD, keys)
        if rows[0][1] != self._watch.peppers:
            raise Stale
        now = self._now()
        found = tuple(_standing(now, *row[3:]) for row in rows if row[2] is not None)
        return Seen(rows[0][0], found)

    def changed_since(self, keys: Sequence[bytes], position: int) -> bool:
        if not keys:
            return False
        marks = ",".join("?" * len(keys))
        sql = f"SELECT 1 FROM standing WHERE key IN ({marks}) AND changed >= ? LIMIT 1"  # noqa: S608
        return bool(self._read(sql, [*keys, position]))

    def tied(self, account: bytes, identifier: bytes) -> bool:
        sql = "SELECT 1 FROM link WHERE account = ? AND identifier = ? AND (until IS NULL OR until > ?)"
        return bool(self._read(sql, [account, identifier, self._now()]))

    def grants(self, keys: Sequence[bytes]) -> list[Grant]:
        if not keys:
            return []
        marks = ",".join("?" * len(keys))
        rows = self._read(
            f"SELECT recipient, purpose, data_class, seq FROM grant_choice WHERE key IN ({marks})",  # noqa: S608
            keys,
        )
        return [Grant(to, Purpose(purpose), DataClass(data), seq) for to, purpose, data, seq in rows]

    def event(self, seq: int) -> str | None:
        rows = self._read("SELECT event FROM detail WHERE seq = ?", (seq,))
        return b64(rows[0][0]) if rows else None

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _read(self, sql: str, values: Sequence[bytes | int]) -> list[tuple[Any, ...]]:
        if not self._watch.fresh():
            raise Stale
        try:
            if self._db is None or self._generation != self._watch.generation:
                self._reopen()
            assert self._db is not None
            rows = self._db.execute(sql, values).fetchall()
        except (sqlite3.Error, schema.LedgerRefused) as error:
            with contextlib.suppress(sqlite3.Error):
                self.close()
            raise Unreadable(type(error).__name__) from error
        if not self._watch.fresh():  # a process that was paused must not answer with an old proof
            raise Stale
        return rows

    def _reopen(self) -> None:
        self.close()
        self._generation = self._watch.generation
        self._db = schema.open_to_read(self._folder)


def _standing(
    now: int, own: int, travelled: int, age_band: str | None, seq: int | None, linked: int, granted: int, held: str
) -> Standing:
    return Standing(
        own, travelled, age_band, seq, linked > now, bool(granted), frozenset(held.split(",")) if held else NOTHING_HELD
    )
