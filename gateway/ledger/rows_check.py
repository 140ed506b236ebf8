"""The rows that checks read, and those that they are made from, against what the entries give (`gateway verify`).

Of people who are alike (`likeness`) one is asked for: a replay of the rules that wrote the rows gives hers, the fold,
which knows no tables, what stands; and everybody's rows are compared with hers, under their own keys, entries and
moments. Whoever is like nobody, or has other rows than those who are like them, is replayed and folded by themselves.
Of whoever said one no, and hangs together with nobody, the fold alone is asked. Reads only.
"""

import contextlib
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, starmap
from operator import itemgetter
from typing import Any

from gateway.choice.standing import IN_BITS, OUT, OUT_BITS, SHIFT, Standing
from gateway.fold import fold, reading
from gateway.fold.kin import family
from gateway.fold.record import Record
from gateway.fold.state import Place, Slate
from gateway.ledger import happenings, log_records, replay, standing_rows, table
from gateway.ledger.likeness import Likenesses, LikePeople, PeopleGroup
from gateway.ledger.reading import LedgerReading
from gateway.ledger.standing_rows import ROW_TABLES, Row

BATCH = 5_000  # keys that are replayed in one database
FOR_EVER = 2**62  # milliseconds
Different = set[tuple[str, bytes]]
UNKNOWN = 1 << 40  # of no purpose, and past the bits of all
WEIGHTS = " ".join(f"WHEN '{purpose}' THEN {OUT << shift}" for purpose, shift in SHIFT.items())
WEIGHT = f"CASE purpose {WEIGHTS} ELSE {UNKNOWN} END"
NO = f"state = {OUT} AND out_at NOT NULL AND in_at IS NULL AND ui = '' AND NOT informed AND NOT parental"
ALL = {name: f"SELECT {', '.join(columns)} FROM {name}" for name, columns in ROW_TABLES.items()}  # noqa: S608 - ours
# All rows, in the order of their keys. Rows of a key that are the same but for their purposes are one, with the bits of
# these; NULL instead: they are not, and each is told besides.
ROWS = ALL | {
    "own_choice": f"""
SELECT key, iif(seq = last AND out_at = latest AND bits < {UNKNOWN}, bits, NULL) AS bits, seq, out_at FROM (
  SELECT key, min(seq) AS seq, max(seq) AS last, min(out_at) AS out_at, max(out_at) AS latest,
  sum(iif({NO}, {WEIGHT}, {UNKNOWN})) AS bits FROM own_choice GROUP BY key)
""",  # noqa: S608 - words and numbers of ours
    "travelled_choice": f"""
SELECT key, iif(same, bits, NULL) AS bits, iif(same, seq, NULL) AS seq, iif(same, origin, NULL) AS origin,
  iif(same, via, NULL) AS via FROM (SELECT key, sum({WEIGHT}) AS bits, min(seq) AS seq, min(origin) AS origin,
  min(via) AS via, min(seq) = max(seq) AND min(origin) = max(origin) AND min(via) = max(via)
  AND sum({WEIGHT}) < {UNKNOWN} AS same FROM travelled_choice GROUP BY key)
""",  # noqa: S608 - words and numbers of ours
    # One that says nothing may be there or not: whoever was met and never chose has one.
    "standing": """
SELECT key, own, travelled, seq, linked, rare, changed FROM (SELECT *, CASE WHEN held <> '' OR age_band NOT NULL
  OR granted OR informed OR parental OR grown OR told NOT NULL OR cpni_told NOT NULL
  THEN json_array(held, age_band, granted, informed, parental, grown, told, cpni_told) END AS rare FROM standing)
WHERE own OR travelled OR seq NOT NULL OR linked OR rare NOT NULL
""",
}
FETCHED = 1024  # rows at once: few enough to stay in a processor's cache
KEY = itemgetter(0)


def rows_in(db: sqlite3.Connection) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    """A word for the rows, their columns, and the next of them, none at the end; of each word in the order of keys."""
    for name, columns in ROW_TABLES.items():
        cursor, several = db.execute(ROWS[name]), list[bytes]()
        told = [column[0] for column in cursor.description]
        while rows := cursor.fetchmany(FETCHED):
            yield name, told, rows
            several += [row[0] for row in rows if row[1] is None]
        yield name, told, ()
        yield f"several {name}", columns, [*happenings.rows_of(db, ALL[name] + " WHERE key IN ({marks})", several)]
        yield f"several {name}", columns, ()


class RowsCheck:
    """`found`: (table, key) of whatever differs. `looked_at`: keys whose rows were; `replayed`: those whose rows were
    made again.
    """

    def __init__(self, db: sqlite3.Connection, read: LedgerReading) -> None:
        self.found = Different()
        self.looked_at = self.replayed = 0
        self._db, self._read, self._likes = db, read, Likenesses()

    def run(self) -> None:
        people = [group for group in self._read.people() if self._read.unread.isdisjoint(group.keys)]
        self.looked_at = len(self._read.alone) + sum(len(group.keys) for group in people)
        for group in people:
            self._likes.settle(group)
        for firsts in batches([like.first for like in self._likes.values()], BATCH):
            self._ask([first.like for first in firsts if first.like])
        wrong = [group.keys[0] for group in people if group.like is None or group.like.wrong]
        self._look_at([*wrong, *self._differing()])

    def _ask(self, likes: Sequence[LikePeople]) -> None:
        """The rules and the fold, of the first of each."""
        asked = {key: like for like in likes for key in like.first.keys}
        self.replayed += len(asked)
        happened = happenings.of(self._db, asked, FOR_EVER)
        with contextlib.closing(replay.live_again(self._db, asked, happened, settle_last=True)) as life:
            for word, names, rows in rows_in(life):
                for row in rows:
                    asked[row[0]].learn(word, names, row)
            for like in likes:
                keys = like.first.keys
                like.wrong = bool(too_open(life, keys, log_records.records_of(self._db, keys=keys)))

    def _differing(self) -> set[bytes]:
        """Whoever has other rows than those who are like them, or than their one no gives."""
        self._read.alone.sort(key=KEY)
        return set().union(*starmap(self._differing_in, groupby(rows_in(self._db), KEY)))

    def _differing_in(self, word: str, parts: Iterable[tuple[str, Sequence[str], Sequence[Row]]]) -> set[bytes]:
        made = sorted(self._made(word), key=KEY)
        missing, more, start = set[Row](), set[Row](), 0
        for *_, rows in parts:
            end = bisect_right(made, rows[-1][0], start, key=KEY) if rows else len(made)
            ought, start = made[start:end], end
            if ought != rows:
                missing.update({*ought}.difference(rows))
                more.update({*rows}.difference(ought))
        differing = missing ^ more  # but what came in two parts
        due = {row[:-1]: row[-1] for row in missing} if word == "standing" else {}
        later = {row[0] for row in more if row[:-1] in due and row[-1] > due[row[:-1]]}  # it was written again
        return {row[0] for row in differing} - later

    def _made(self, word: str) -> Iterator[Row]:
        """The rows that there ought to be."""
        if word == "own_choice":
            yield from self._read.alone
        elif word == "standing":
            yield from ((key, own, 0, seq, 0, None, seq + 1) for key, own, seq, _ in self._read.alone)
        for like in self._likes.values():
            yield from like.rows(word)

    def _look_at(self, keys: Iterable[bytes]) -> None:
        """Everybody whom these hang together with, by themselves."""
        people = [self._read.groups.get(key) or PeopleGroup([key]) for key in sorted({*keys})]
        found = {group.keys[0]: group for group in people if self._read.unread.isdisjoint(group.keys)}
        for groups in batches(found.values(), BATCH):
            keys = [key for group in groups for key in group.keys]
            different = of_keys(self._db, keys, keys)
            wrong = {key for _, key in different}
            for group in groups:
                if wrong.isdisjoint(group.keys):
                    different |= too_open(self._db, group.keys, log_records.records_of(self._db, keys=group.keys))
            self.replayed += len(keys)
            self.found |= different


def of_keys(db: sqlite3.Connection, keys: Sequence[bytes], everybody: Iterable[bytes]) -> Different:
    """By a replay. `everybody`: whom the keys are connected with."""
    everybody = list(everybody)
    happened = happenings.of(db, everybody, FOR_EVER)
    for settle_last in (True, False):  # the second only where the first differs: it is the truth, at twice the time
        with contextlib.closing(replay.live_again(db, everybody, happened, settle_last=settle_last)) as life:
            found = standing_rows.row_differences(db, life, keys)
        if not found:
            return found
        keys = sorted({key for _, key in found})
    return found


def too_open(db: sqlite3.Connection, keys: Iterable[bytes], records: Sequence[Record]) -> Different:
    """Whose rows let pass what the fold denies, or say a yes that it has not. Left out is whoever is but a looser
    form, which denies in the tables from when it is met; and whose digest another identifier has too, of which the
    tables do not tell in every order what is whose (`gateway help fold`).
    """
    state, found = dict[Place, Any](), Different()
    for record in records:
        state.update(fold(record, state.get))
    now, slate = max((record.at for record in records), default=0), Slate(state.get)
    for key in keys:
        kept = state.get(key)
        form = kept is None or (kept.owners and kept.is_alone() and not kept.own)
        if not form and not any(len(slate.row(name).targets) > 1 for name in family(slate, key)):
            [_, _, known, *row] = db.execute(table.ROWS_OF.format(marks="?"), [key]).fetchone()
            stands = Standing() if known is None else table.standing(now, *row)
            says = reading.standing_of(key, state.get, now)
            if _noes(says) & ~_noes(stands) or stands.own & IN_BITS & ~says.own:
                found.add(("standing", key))
            allowed = table.grants(db.execute(table.GRANTS_OF.format(marks="?"), [key, now]))
            if not {*allowed} <= {*reading.grants_of(key, state.get, now)}:
                found.add(("grant_choice", key))
    return found


def _noes(standing: Standing) -> int:
    return (standing.own | standing.travelled) & OUT_BITS


def batches(groups: Iterable[PeopleGroup], size: int) -> Iterator[list[PeopleGroup]]:
    """Whole groups together, about `size` keys at a time."""
    batch, keys = list[PeopleGroup](), 0
    for group in groups:
        batch.append(group)
        keys += len(group.keys)
        if keys >= size:
            yield batch
            batch, keys = [], 0
    if batch:
        yield batch
