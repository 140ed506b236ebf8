"""Today's ledger as the state of a host follows it (`gateway.state.upkeep.FollowedLog`), at one moment of a connection:
its records in the order in which they came, and whose older ones are others since. Whoever keeps the state makes one
behind each commit (`app.state_keeper`).

The table `record` has a row for each, in that order; triggers write it. A position is that of a row, and how many of
the records were read that it tells. The root at a position is the mark of the row before it: of any two files that went
different ways each has drawn its own.
"""

import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from operator import itemgetter

from gateway.fold.record import Record
from gateway.ledger import log_records
from gateway.ledger.log_records import PlacedRecord
from gateway.ledger.schema import rows_of

CHUNK = 2048  # rows of the table that are read at once
PLACES = 2**20  # records that one row may tell: of an unlink some thousands
ENTRY, GONE = "entry", "gone"
LAST_PLACE = "SELECT coalesce(max(place), 0) FROM record"
NAME = f"SELECT origin || ' ' || hex(ledger), peppers, ({LAST_PLACE}) FROM head"  # noqa: S608 - ours
ROWS = "SELECT place, told, of FROM record WHERE place >= ? ORDER BY place LIMIT ?"
BEFORE = "SELECT of + 1 FROM record WHERE told = 'entry' AND place < ? ORDER BY place DESC LIMIT 1"
CHANGES = "SELECT place, told, of FROM record WHERE place >= ? AND told IN ('changed', 'kept', 'gone')"
MADE = "SELECT place, at FROM record r JOIN detail d ON d.seq = r.of WHERE place IN ({marks}) AND told = 'entry'"
# The tables that records are read from, each with the columns that say whom a row is about.
ABOUT = {
    "detail": "OLD.key, NULL", "name": "OLD.alias, OLD.canonical", "looser_name": "OLD.alias, OLD.canonical",
    "mailbox_name": "OLD.spelling, OLD.mailbox", "link_event": "OLD.account, OLD.identifier",
    "act_used": "OLD.key, NULL", "kept_deny": "OLD.key, NULL", "kept_end": "OLD.key, NULL",
    "kept_revoked": "OLD.key, NULL", "kept_age": "OLD.key, NULL", "kept_told": "OLD.key, NULL",
}  # fmt: skip
OF_KEPT = " UNION ".join(f"SELECT key FROM {table} WHERE seq = ?1" for table in ABOUT if table.startswith("kept"))  # noqa: S608 - ours

Row = tuple[int, str, int]  # place, what tells it, its number there


class FreshRecords:
    """What an open transaction has said so far, as `LedgerLog.read` will give it: who folds it reads nothing back.
    `place`: the last row of the table when it began. Whoever writes such a row says so here, and then what it tells.
    """

    def __init__(self, place: int) -> None:
        self._place, self._number, self._begun = place, 0, _behind(place)
        self._whole = True
        self._records: list[tuple[int, Record]] = []  # each with the position behind it

    def has(self, after: int, head: int) -> bool:
        """Whether all is among these that lies behind one position and before another, which is the log's end."""
        return self._whole and self._begun <= after and head == _behind(self._place)

    def row(self, rows: int = 1) -> None:
        """So many were written, and the first of them tells whatever is said before the next."""
        self._place, self._number = self._place + rows, 0

    def say(self, record: Record, rows: int = 1) -> None:
        """What the last row tells; `rows`: or the first of so many that were written last."""
        self._number += 1
        self._records.append(((self._place - rows + 1) * PLACES + self._number, record))

    def leave_out(self) -> None:
        """The rows tell more, which has to be read."""
        self._whole = False

    def after(self, position: int) -> Sequence[tuple[int, Record]]:
        return self._records[bisect_right(self._records, position, key=itemgetter(0)) :]

    def mark(self) -> tuple[int, int, bool, int]:
        """For `back`."""
        return self._place, self._number, self._whole, len(self._records)

    def back(self, mark: tuple[int, int, bool, int]) -> None:
        """What came since is not said after all."""
        self._place, self._number, self._whole, kept = mark
        del self._records[kept:]


class LedgerLog:
    """`name`: another one for another log. `head`: the position behind everything. `peppers`: how many wrap its
    keys. `fresh`: what the last transaction said, if nobody wrote behind it.
    """

    def __init__(self, db: sqlite3.Connection, fresh: FreshRecords | None = None) -> None:
        self._db, self._fresh = db, fresh
        self.name, self.peppers, last = db.execute(NAME).fetchone()
        self._seed = f"{self.name} {self.peppers}"  # under another pepper all keys are others
        self.head = _behind(last)

    def root(self, position: int) -> bytes | None:
        """None: it is not as long."""
        place, number = divmod(position, PLACES)
        before = place if number else place - 1
        if before <= 0:
            return sha256(self._seed.encode()).digest()
        row = self._db.execute("SELECT mark FROM record WHERE place = ?", (before,)).fetchone()
        return sha256(f"{self._seed} {before} {row[0]}".encode()).digest() if row else None

    def entries(self, position: int) -> int:
        """How many are told before a position."""
        place, number = divmod(position, PLACES)
        row = self._db.execute(BEFORE, (place + (number > 0),)).fetchone()
        return int(row[0]) if row else 0

    def times(self, positions: Collection[int]) -> dict[int, int]:
        """When the entry was made, in Unix milliseconds, that the record before each position tells; of those that
        tell one.
        """
        before = {each: (each - 1) // PLACES for each in positions}
        made = dict(rows_of(self._db, MADE, {*before.values()}))
        return {position: made[place] for position, place in before.items() if place in made}

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        """Each with the position behind it."""
        if self._fresh is not None and self._fresh.has(after, self.head):
            yield from self._fresh.after(after)
            return
        first, skip = divmod(after, PLACES)
        begun = first
        while rows := self._db.execute(ROWS, (begun, CHUNK)).fetchall():
            for place, records in self._told(rows):
                for number, record in enumerate(records, 1):
                    if place > first or number > skip:
                        yield place * PLACES + number, record
            begun = rows[-1][0] + 1

    def is_rewritten(self, after: int) -> bool:
        """Whether behind a position something was told otherwise that came before it."""
        return self._db.execute(CHANGES, (after // PLACES,)).fetchone() is not None

    def changed(self, after: int) -> frozenset[bytes] | None:
        """Of whom something is told otherwise than before a position. None: nobody knows, for it went in a process that
        ended before it had told.
        """
        found, gone = set[bytes](), set[int]()
        for place, what, of in self._db.execute(CHANGES, (after // PLACES,)).fetchall():
            if what == GONE:
                gone.add(place)
            else:
                sql = "SELECT key FROM detail WHERE seq = ?1" if what == "changed" else OF_KEPT
                found |= {key for (key,) in self._db.execute(sql, (of,))}
        forgotten = _forgotten(self._db) if gone else {}
        if not gone <= forgotten.keys():
            return None
        return frozenset(found.union(key for place in gone for key in forgotten[place] if key is not None))

    def records_about(self, keys: Iterable[bytes]) -> list[Record]:
        """Everything about some keys, in the order of the log."""
        return log_records.records_of(self._db, keys={*keys})

    def _told(self, rows: Sequence[Row]) -> Iterator[tuple[int, list[Record]]]:
        """(place, what its row tells). Of what went, nothing; and nothing of a number that tells something else now,
        which has a later place.
        """
        wanted, found = defaultdict[str, set[int]](set), defaultdict[tuple[str, int], list[PlacedRecord]](list)
        for _, what, of in rows:
            wanted[what].add(of)
        for each in log_records.said_at(self._db, wanted[ENTRY]):
            found[ENTRY, each.record.seq].append(each)
        for what in wanted.keys() & log_records.LEARNT_BESIDE.keys():
            for each in log_records.learnt_by_number(self._db, what, wanted[what]):
                found[what, each.record.seq if what == "looser" else each.turn].append(each)
        size = self.entries(rows[0][0] * PLACES)
        for place, what, of in rows:
            size = of + 1 if what == ENTRY else size
            placed = sorted(found[what, of], key=PlacedRecord.order)
            yield place, [each.record for each in placed if each.record.seq <= size]


def log_end(db: sqlite3.Connection) -> int:
    """The position behind everything, as `LedgerLog.head`."""
    return _behind(db.execute(LAST_PLACE).fetchone()[0])


def _behind(place: int) -> int:
    return (place + 1) * PLACES


def watch_deletes(db: sqlite3.Connection) -> None:
    """Who is forgotten by this connection, it remembers until the state has been told: the ledger keeps nothing of
    them. Each row that goes makes one in `record`, whose place is remembered beside whom it was about.
    """
    db.execute("CREATE TEMP TABLE IF NOT EXISTS forgotten (turn INTEGER PRIMARY KEY, key BLOB, other BLOB)")
    db.execute("CREATE TEMP TABLE IF NOT EXISTS forgotten_at (turn INTEGER PRIMARY KEY, place INTEGER)")
    for table, columns in ABOUT.items():
        db.execute(
            f"CREATE TEMP TRIGGER IF NOT EXISTS remember_{table} AFTER DELETE ON main.{table} BEGIN"
            f" INSERT INTO forgotten SELECT NULL, {columns}; END"
        )
    db.execute(
        "CREATE TEMP TRIGGER IF NOT EXISTS remember_place AFTER INSERT ON main.record WHEN NEW.told = 'gone' BEGIN"
        " INSERT INTO forgotten_at VALUES (NULL, NEW.place); END"
    )


def forget_deletes(db: sqlite3.Connection) -> None:
    """Once they were told."""
    if _watches(db) and db.execute("SELECT 1 FROM temp.forgotten_at").fetchone():
        db.execute("DELETE FROM temp.forgotten")
        db.execute("DELETE FROM temp.forgotten_at")


def _forgotten(db: sqlite3.Connection) -> dict[int, tuple[bytes | None, bytes | None]]:
    """By the place of the row that tells that theirs went."""
    if not _watches(db):
        return {}
    sql = "SELECT place, key, other FROM temp.forgotten_at JOIN temp.forgotten USING (turn)"
    return {place: (key, other) for place, key, other in db.execute(sql)}


def _watches(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'forgotten'").fetchone() is not None
