"""Today's ledger as the state of a host follows it (`gateway.state.upkeep.FollowedLog`), at one moment of a connection:
its records in the order in which they came, and whose older ones are others since. Whoever keeps the state makes one
behind each commit (`app.state_keeper`).

A position is that of a row of the table `side`, and how many of its records were read. The root at a position is the
mark of the row before it: of any two files that went different ways each has drawn its own.
"""

import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from operator import itemgetter

from gateway.fold.record import Record
from gateway.ledger import log_records
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.log_records import unpack_numbers
from gateway.ledger.schema import rows_of

CHUNK = 2048  # rows of the table that are read at once
PLACES = 2**20  # records that one row may tell: of an unlink some thousands
LAST_PLACE = "SELECT coalesce(max(place), 0) FROM side"
NAME = f"SELECT origin || ' ' || hex(ledger), peppers, ({LAST_PLACE}) FROM head"  # noqa: S608 - ours
BEFORE = "SELECT seq + 1 FROM side WHERE place < ? AND entered ORDER BY place DESC LIMIT 1"
CHANGES = "SELECT place, anew FROM side WHERE place >= ? AND anew IS NOT NULL"
MADE = "SELECT s.place, d.at FROM side s JOIN detail d ON d.seq = s.seq WHERE s.place IN ({marks}) AND s.entered"
WHOSE = "SELECT key FROM detail WHERE seq IN ({marks})"
# Each by the first row of theirs. A `digest` is what is known by its key alone (`desk.deletion_orders`).
ASKED = "SELECT a.column1, ({one}) FROM (VALUES {{rows}}) AS a"
KIND = "SELECT d.kind FROM detail d WHERE d.key = a.column1 AND d.kind <> 'digest' LIMIT 1"
LISTED = """
SELECT CASE b.kind WHEN 'MAID' THEN 'ad_id_sha256' ELSE b.kind END
FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq
WHERE r.key = a.column1 AND b.kind IN ('Email', 'Phone', 'MAID', 'CTVID') LIMIT 1
"""
ABROAD = "SELECT 'Phone' FROM deletion_abroad o WHERE o.abroad = a.column1 LIMIT 1"
KINDS = [ASKED.format(one=each) for each in (KIND, LISTED, ABROAD)]
TAKEN_BACK = "SELECT key FROM deletion_key WHERE seq IN ({marks}) AND gone IS NOT NULL"
# First what the log is, with the mark of the row before what the state lacks; then the rows from one on, and of each
# whether anything of it is out of the ordinary, and whom its entry is about.
GROWN = f"""
SELECT 0, ({LAST_PLACE}), (SELECT max(number) FROM shared_epoch), h.peppers, x'', NULL,
  (SELECT b.mark FROM side b WHERE b.place = ?1), EXISTS (SELECT 1 FROM erasure WHERE NOT done),
  h.origin || ' ' || hex(h.ledger), x'' FROM head h
UNION ALL
SELECT 1, s.place, s.seq, s.entered, s.packed, s.anew, s.mark,
  EXISTS (SELECT 1 FROM voided_choice v WHERE v.seq = s.seq)
  OR EXISTS (SELECT 1 FROM deletion_row r WHERE r.seq = s.seq AND r.gone IS NOT NULL), d.kind, d.key
FROM (SELECT * FROM side WHERE place >= ?2 ORDER BY place LIMIT ?3) s LEFT JOIN detail d ON d.seq = s.seq AND s.entered
ORDER BY 1, 2
"""  # noqa: S608 - ours


class FreshRecords:
    """What an open transaction has said so far, as `LedgerLog.read` will give it: who folds it reads nothing back.
    `place`: of the last row of the table, then of the last that it wrote itself.
    """

    def __init__(self, place: int) -> None:
        self.place, self._begun = place, end_behind(place)
        self._whole = True
        self._records: list[tuple[int, Record]] = []  # each with the position behind it
        self.kinds: dict[bytes, str] = {}  # of whom its entries tell, as far as they are at hand

    @property
    def end(self) -> int:
        """The position behind everything that was said."""
        return end_behind(self.place)

    def has(self, after: int, head: int) -> bool:
        """Whether all is among these that lies behind one position and before another, which is the log's end."""
        return self.follows(after) and head == self.end

    def say(self, records: Sequence[Record]) -> int:
        """The place of the row that tells these."""
        self.place += 1
        first = self.place * PLACES + 1
        self._records += enumerate(records, first)
        return self.place

    def leave_out(self) -> None:
        """What is older is told otherwise, which has to be read."""
        self._whole = False
        self.kinds.clear()

    def follows(self, position: int) -> bool:
        """Whether nothing lies between a position and these."""
        return self._whole and self._begun <= position

    def after(self, position: int) -> Sequence[tuple[int, Record]]:
        return self._records[bisect_right(self._records, position, key=itemgetter(0)) :]

    def mark(self) -> tuple[int, bool, int]:
        """For `back`."""
        return self.place, self._whole, len(self._records)

    def back(self, mark: tuple[int, bool, int]) -> None:
        """What came since is not said after all."""
        self.place, self._whole, kept = mark
        del self._records[kept:]
        self.kinds.clear()  # whoever asks reads them


class LedgerLog:
    """`name`: another one for another log. `head`: the position behind everything. `peppers`: how many wrap its
    keys. `fresh`: what the last transaction said, if nobody wrote behind it.
    """

    def __init__(self, db: sqlite3.Connection, fresh: FreshRecords | None = None) -> None:
        self._db, self._fresh = db, fresh
        self._told = fresh.kinds if fresh is not None else {}  # of whom the kind is at hand
        self.name, self.peppers, last = self._look()
        self._seed = f"{self.name} {self.peppers}"  # under another pepper all keys are others
        self.head = end_behind(last)

    def _look(self) -> tuple[str, int, int]:
        found: tuple[str, int, int] = self._db.execute(NAME).fetchone()
        return found

    def root(self, position: int) -> bytes | None:
        """None: it is not as long."""
        place, number = divmod(position, PLACES)
        before = place if number else place - 1
        if before <= 0:
            return sha256(self._seed.encode()).digest()
        mark = self._mark(before)
        return None if mark is None else sha256(f"{self._seed} {before} {mark}".encode()).digest()

    def _mark(self, place: int) -> int | None:
        row = self._db.execute("SELECT mark FROM side WHERE place = ?", (place,)).fetchone()
        return row[0] if row else None

    def entries(self, position: int) -> int:
        """How many are told before a position."""
        place, number = divmod(position, PLACES)
        row = self._db.execute(BEFORE, (place + (number > 0),)).fetchone()
        return int(row[0]) if row else 0

    def kinds(self, keys: Collection[bytes]) -> set[tuple[bytes, str]]:
        """Of whom an entry tells, or a list: each by one of theirs, for all of one's are of one kind."""
        told = {key: self._told[key] for key in keys if key in self._told}
        for sql in KINDS:
            if not (unknown := {*keys} - told.keys()):
                break
            told.update((key, kind) for key, kind in rows_of(self._db, sql, unknown) if kind is not None)
        return {*told.items()}

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
        while rows := log_records.sides_from(self._db, begun, CHUNK):
            place, number = 0, 0
            for row, record in log_records.told_by(self._db, rows):
                place, number = row.place, number + 1 if row.place == place else 1
                if place > first or number > skip:
                    yield place * PLACES + number, record
            begun = rows[-1].place + 1

    def place_behind(self, position: int) -> int:
        """The last place that a position, which was the end, has behind it."""
        return position // PLACES - 1

    def is_rewritten(self, after: int) -> bool:
        """Whether behind a position something was told otherwise that came before it."""
        return self._db.execute(CHANGES, (after // PLACES,)).fetchone() is not None

    def changed(self, after: int) -> frozenset[bytes] | None:
        """Of whom something is told otherwise than before a position. None: nobody knows, for it went in a process that
        ended before it had told.
        """
        found, gone = set[bytes](), set[int]()
        for place, anew in self._db.execute(CHANGES, (after // PLACES,)).fetchall():
            if anew:
                seqs = unpack_numbers(anew)
                found.update(key for sql in (WHOSE, TAKEN_BACK) for (key,) in rows_of(self._db, sql, seqs))
            else:
                gone.add(place)
        forgotten = _forgotten(self._db) if gone else {}
        if not gone <= forgotten.keys():
            return None
        return frozenset(found.union(*(forgotten[place] for place in gone)))

    def records_about(self, keys: Iterable[bytes]) -> list[Record]:
        """Everything about some keys, in the order of the log."""
        return log_records.records_of(self._db, keys={*keys})


class GrownLog(LedgerLog):
    """A server's ledger for a state that has all of it up to a position: what came since, and all that is asked of it,
    is read by one statement, and so at one moment; what is not at hand then never changes. `fresh` as in `LedgerLog`,
    also where others wrote behind it. `epoch`: the newest that machines share. `is_erasing`: an erasure is pending. It
    is none for a state that is not as far, as one that was put in force meanwhile: raises `LedgerRefused`.
    """

    def __init__(self, db: sqlite3.Connection, position: int, fresh: FreshRecords | None = None) -> None:
        self._from = position
        self._before, self._within = divmod(position, PLACES)
        self._before -= 1
        super().__init__(db, fresh if fresh is not None and fresh.follows(position) else None)
        self.has_more = self.head > position

    def _look(self) -> tuple[str, int, int]:
        self._begun = self._fresh.place if self._fresh is not None else self._before
        given = (self._before, self._begun, CHUNK + 1)
        (_, last, self.epoch, peppers, _, _, mark, erasing, name, _), *rows = self._db.execute(GROWN, given).fetchall()
        self.is_erasing = bool(erasing)
        self._marks = {self._before: mark} | {row[1]: row[6] for row in rows}
        self._entered = [seq for _, _, seq, entered, *_ in rows if entered]
        self._rows = [row for row in rows if row[1] > self._begun]
        self._is_whole = not self._within and last in self._marks and last >= self._begun
        self._told = self._told | {key: kind for *_, kind, key in rows if kind not in {None, "digest"}}
        return name, peppers, last

    @property
    def is_plain(self) -> bool:
        """Whether it can be folded on from this alone: nothing is told otherwise than it was first, of nothing it does
        not count, and there is not more than was read. Else whoever folds reads all of one moment (`LedgerLog`).
        """
        return self._is_whole and not any(anew is not None or odd for _, _, _, _, _, anew, _, odd, *_ in self._rows)

    def _mark(self, place: int) -> int | None:
        found = self._marks.get(place)
        return super()._mark(place) if found is None else found

    def entries(self, position: int) -> int:
        """How many are told before a position."""
        if position == self.head and self._entered:
            return int(self._entered[-1]) + 1
        return super().entries(position)

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        """Each with the position behind it."""
        self._prove_is_there(after)
        if self._fresh is not None:
            yield from self._fresh.after(after)
        for _, place, seq, entered, packed, *_ in self._rows:
            records = log_records.row_of((place, seq, entered, packed)).records()
            for position, record in enumerate(records, place * PLACES + 1):
                if position > after:
                    yield position, record

    def changed(self, after: int) -> frozenset[bytes]:
        """Nobody, as `is_plain` says."""
        self._prove_is_there(after)
        return frozenset()

    def _prove_is_there(self, after: int) -> None:
        if after < self._from:
            raise LedgerRefused("the state is another one since, which is behind; it goes on in a moment")


def log_end(db: sqlite3.Connection) -> int:
    """The position behind everything, as `LedgerLog.head`."""
    return end_behind(db.execute(LAST_PLACE).fetchone()[0])


def end_behind(place: int) -> int:
    """The position behind all that is told at a place."""
    return (place + 1) * PLACES


def watch_deletes(db: sqlite3.Connection) -> None:
    """Who is forgotten by this connection, it remembers until the state has been told: the ledger keeps nothing of
    them.
    """
    db.execute("CREATE TEMP TABLE IF NOT EXISTS forgotten (place INTEGER NOT NULL, key BLOB)")


def remember_forgotten(db: sqlite3.Connection, place: int, keys: Iterable[bytes]) -> None:
    """By the place of the row that tells that theirs went."""
    if _watches(db):
        rows = [(place, key) for key in keys]
        db.executemany("INSERT INTO temp.forgotten VALUES (?, ?)", rows or [(place, None)])


def forget_deletes(db: sqlite3.Connection) -> None:
    """Once they were told."""
    if _watches(db) and db.execute("SELECT 1 FROM temp.forgotten").fetchone():
        db.execute("DELETE FROM temp.forgotten")


def _forgotten(db: sqlite3.Connection) -> dict[int, set[bytes]]:
    found = defaultdict[int, set[bytes]](set)
    for place, key in db.execute("SELECT place, key FROM temp.forgotten") if _watches(db) else ():
        found[place].update([] if key is None else [key])
    return found


def _watches(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'forgotten'").fetchone() is not None
