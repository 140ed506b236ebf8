"""The rows that checks read, and those that they are made from, against what the entries give (`gateway verify`).

Of people who are alike (`likeness`) one is asked for: a replay of the rules that wrote the rows gives hers, the fold,
which knows no tables, what stands; and everybody's rows are compared with hers, under their own keys, entries and
moments. Whoever is like nobody, or has other rows than those who are like them, is replayed and folded by themselves.
Of whoever said one no, and hangs together with nobody, the fold alone is asked. Reads only.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
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
from gateway.ledger.standing_rows import CHANGED, ROW_TABLES, Row

BATCH = 5_000  # keys that are replayed in one database
FOR_EVER = 2**62  # milliseconds
Different = set[tuple[str, bytes]]
UNKNOWN = 1 << 40  # of no purpose, and past the bits of all
WEIGHT = " ".join(f"WHEN '{purpose}' THEN {OUT << shift}" for purpose, shift in SHIFT.items())
# Of whoever chose: own noes of one entry and one moment with a standing that says them and nothing else; or NULL.
ONCE = f"""
SELECT o.key, CASE WHEN o.seq = last AND o.at = latest AND s.seq = last AND own = bits AND changed > last
  AND NOT travelled AND NOT linked AND held = '' AND age_band IS NULL AND NOT granted AND NOT informed AND NOT parental
  AND NOT grown AND told IS NULL AND cpni_told IS NULL THEN own END, last, o.at FROM (
  SELECT key, min(seq) AS seq, max(seq) AS last, min(out_at) AS at, max(out_at) AS latest,
    sum(CASE WHEN state = {OUT} AND out_at NOT NULL AND in_at IS NULL AND ui = '' AND NOT informed AND NOT parental
      THEN CASE purpose {WEIGHT} ELSE {UNKNOWN} END ELSE {UNKNOWN} END) AS bits
  FROM own_choice GROUP BY key
) o LEFT JOIN standing s ON s.key = o.key
"""  # noqa: S608 - words and numbers of ours
ROWS = {name: f"SELECT {', '.join(columns)} FROM {name}" for name, columns in ROW_TABLES.items()}  # noqa: S608 - ours
# A standing that says nothing may be there or not: whoever was met and never chose has one.
NEVER_CHOSE = f"""
{ROWS["standing"]} s WHERE NOT EXISTS (SELECT 1 FROM own_choice o WHERE o.key = s.key) AND (travelled OR linked OR own
  OR seq NOT NULL OR held <> '' OR age_band NOT NULL OR granted OR informed OR parental OR grown OR told NOT NULL
  OR cpni_told NOT NULL)
"""  # noqa: S608 - ours
ONCE_COLUMNS = ("key", "own", "seq", "out_at")
KEY = itemgetter(0)
OF_KEYS = " WHERE key IN ({marks})"
Alone = Mapping[bytes, tuple[bytes, int, int, int]]


class RowsByKey:
    """(table, its columns, key, all rows of the key in it one behind the other). Of those who are as `alone` has them
    only how many they are is told, in `known`.
    """

    def __init__(self, db: sqlite3.Connection, alone: Alone) -> None:
        self._db, self._alone, self.known = db, alone, 0

    def __iter__(self) -> Iterator[tuple[str, Sequence[str], bytes, Row]]:
        db, alone, chose, known = self._db, self._alone, list[bytes](), 0
        for row in db.execute(ONCE):
            if alone.get(row[0]) == row:
                known += 1
            elif row[1] is None:
                chose.append(row[0])
            else:
                yield "once", ONCE_COLUMNS, row[0], row
        self.known = known
        for row in chain(happenings.rows_of(db, ROWS["standing"] + OF_KEYS, chose), db.execute(NEVER_CHOSE)):
            yield "standing", ROW_TABLES["standing"], row[0], row
        for name, columns in ROW_TABLES.items():
            if name != "standing":
                own = name == "own_choice"
                rows = happenings.rows_of(db, ROWS[name] + OF_KEYS, chose) if own else db.execute(ROWS[name])
                for key, group in groupby(rows, KEY):
                    yield name, columns, key, tuple(chain.from_iterable(group))


class RowsCheck:
    """`found`: (table, key) of whatever differs. `looked_at`: keys whose rows were; `replayed`: those whose rows were
    made again.
    """

    def __init__(self, db: sqlite3.Connection, read: LedgerReading) -> None:
        self.found = Different()
        self.looked_at = self.replayed = 0
        self._db, self._read = db, read

    def run(self) -> None:
        read, alike = self._read, Likenesses(self._db)
        for key in read.unread:  # of whom an entry cannot be read, which is told already
            read.alone.pop(key, None)
        people = [group for group in read.people() if read.unread.isdisjoint(group.keys)]
        self.looked_at = len(read.alone) + sum(len(group.keys) for group in people)
        for group in people:
            alike.settle(group)
        likes = {like.first.keys[0]: like for like in alike.known.values()}
        for firsts in batches([like.first for like in likes.values()], BATCH):
            self._ask([likes[first.keys[0]] for first in firsts])
        for group in people:
            group.values += tuple(group.like.fixed) if group.like else ()
        wrong = [group.keys[0] for group in people if group.like is None or group.like.wrong]
        self._look_at([*wrong, *self._differing(likes.values())])

    def _ask(self, likes: Sequence[LikePeople]) -> None:
        """The rules and the fold, of the first of each."""
        asked = {key: like for like in likes for key in like.first.keys}
        self.replayed += len(asked)
        happened = happenings.of(self._db, asked, FOR_EVER)
        with contextlib.closing(replay.live_again(self._db, asked, happened, settle_last=True)) as life:
            for name, columns, key, cells in RowsByKey(life, {}):
                asked[key].learn(name, key, columns, cells)
            for like in likes:
                keys = like.first.keys
                like.wrong = bool(too_open(life, keys, log_records.records_of(self._db, keys=keys)))

    def _differing(self, likes: Iterable[LikePeople]) -> set[bytes]:
        """Whoever has other rows than those who are like them."""
        groups, wrong, rows = self._read.groups, set[bytes](), RowsByKey(self._db, self._read.alone)
        left = sum(like.number * sum(map(len, like.rows.values())) for like in likes)
        for name, _, key, cells in rows:
            group = groups.get(key)
            if group is None:
                wrong.add(key)
            elif (like := group.like) is not None:
                made = like.rows[name].get(group.values.index(key)) if name in like.rows else None
                left -= made is not None
                if made is None or ((ought := made(group.values)) != cells and not _same(name, ought, cells)):
                    wrong.add(key)
        return wrong if (left, rows.known) == (0, len(self._read.alone)) else wrong | self._missing()

    def _missing(self) -> set[bytes]:
        """Whoever ought to have rows and has none."""
        there = {(name, key) for name, _, key, _ in RowsByKey(self._db, {})}
        missing = {key for key in self._read.alone if ("once", key) not in there}
        for key, group in self._read.groups.items():
            rows = group.like.rows if group.like else {}
            missing |= {key for name in rows if (name, key) not in there and group.values.index(key) in rows[name]}
        return missing

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


def _same(name: str, made: Row, found: Row) -> bool:
    """In another order; and a standing may have been written later."""
    if name == "standing":
        return (
            bool(made)
            and found[CHANGED] >= made[CHANGED]
            and found == (*made[:CHANGED], found[CHANGED], *made[CHANGED + 1 :])
        )
    width = len(ROW_TABLES[name])
    one, other = ({row[at : at + width] for at in range(0, len(row), width)} for row in (made, found))
    return one == other


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
