"""The rows that checks read, and those that they are made from, against what the entries give (`gateway verify`).

Of people who are alike (`likeness`) one is looked at: each row by a replay of the rules that wrote it, and what stands
by the fold, which knows no tables. The rows of whoever said no once, and hangs together with nobody, are of one form,
which a statement finds; those of all others are read one by one. Reads only.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any

from gateway.choice.standing import IN_BITS, OUT, OUT_BITS, SHIFT, Standing
from gateway.fold import fold, reading
from gateway.fold.kin import family
from gateway.fold.record import ChildFound, Kept, Record, SaidIn, SaidOut, SaidPruned
from gateway.fold.state import Place, Slate
from gateway.ledger import happenings, replay, standing_rows, table
from gateway.ledger.likeness import Likenesses, PeopleGroup, records_of_groups
from gateway.ledger.reading import LedgerReading
from gateway.ledger.standing_rows import ROW_TABLES

CHOSE = (SaidOut, SaidIn, SaidPruned, ChildFound, Kept)
BATCH = 5_000  # keys that are replayed in one database
FOR_EVER = 2**62  # milliseconds
Different = set[tuple[str, bytes]]

UNKNOWN = 1 << 40  # of no purpose, and past the bits of all
WEIGHT = " ".join(f"WHEN '{purpose}' THEN {OUT << shift}" for purpose, shift in SHIFT.items())
# Own noes of one entry and one moment, and a standing that says them and nothing else: (key, own bits, entry, moment).
SAID_ONCE = f"""
SELECT o.key, own, s.seq, o.at FROM (
  SELECT key, min(seq) AS seq, max(seq) AS last, min(out_at) AS at, max(out_at) AS latest,
    sum(CASE WHEN state = {OUT} AND out_at NOT NULL AND in_at IS NULL AND ui = '' AND NOT informed AND NOT parental
      THEN CASE purpose {WEIGHT} ELSE {UNKNOWN} END ELSE {UNKNOWN} END) AS bits
  FROM own_choice GROUP BY key
) o CROSS JOIN standing s ON s.key = o.key
WHERE o.seq = last AND o.at = latest AND s.seq = last AND own = bits AND changed > last AND NOT travelled AND NOT linked
  AND held = '' AND age_band IS NULL AND NOT granted AND NOT informed AND NOT parental AND NOT grown AND told IS NULL
  AND cpni_told IS NULL
"""  # noqa: S608 - words and numbers of ours
ALL = {name: f"SELECT {', '.join(columns)} FROM {name}" for name, columns in ROW_TABLES.items()}  # noqa: S608 - ours
# A standing that says nothing may be there or not: whoever was met and never chose has one (`live_rows.NEVER`).
MORE = (
    "(travelled OR linked OR held <> '' OR age_band NOT NULL OR granted OR informed OR parental OR grown"
    " OR told NOT NULL OR cpni_told NOT NULL)"
)
OF_OTHERS = f"{ALL['standing']} WHERE {MORE} OR (seq NOT NULL AND NOT own)"
OF_SPEAKERS = f"{ALL['standing']} WHERE own AND NOT {MORE} AND key IN ({{marks}})"
SPEAKERS = f"SELECT count(*) FROM standing WHERE own AND NOT {MORE}"  # noqa: S608 - ours
ELSEWHERE = tuple(
    f"SELECT DISTINCT {columns[0]} FROM {name}"  # noqa: S608 - ours
    for name, columns in ROW_TABLES.items()
    if name not in {"standing", "own_choice"}
)


class RowsCheck:
    """`found`: (table, key) of whatever differs. `looked_at`: keys whose rows were; `replayed`: those of them whose
    rows were made again, for all who are like them.
    """

    def __init__(self, db: sqlite3.Connection, read: LedgerReading) -> None:
        self.found = Different()
        self.looked_at = self.replayed = 0
        self._db, self._read, self._alike = db, read, Likenesses(db)

    def run(self) -> None:
        standings, choices = self._look_at_who_said_no_once()
        read, more = self._read, list[int]()
        for key in [*read.alone, *(row[0] for sql in ELSEWHERE for row in self._db.execute(sql))]:
            read.take_out(key, more)
        read.tell_groups(more)
        groups = read.people()
        spoke = {each.record.key for group in groups for each in group.said if isinstance(each.record.said, CHOSE)}
        for group in groups:
            self._alike.settle(group)
        strangers = self._add_rows(spoke, standings) | self._add_own_choices(spoke, choices)
        if read.unread:  # of whom an entry cannot be read, which is told already
            groups = [group for group in groups if read.unread.isdisjoint(group.keys)]
        self._look_at([*groups, *(PeopleGroup([key]) for key in sorted(strangers))])

    def _look_at_who_said_no_once(self) -> tuple[int, int]:
        """What the form leaves open, which word it was and what it denies, is looked at once for each. Returns how many
        standings and own choices are theirs.
        """
        alone, right, count, choices = self._read.alone, set[tuple[int, int]](), 0, 0
        for key, own, seq, at in self._db.execute(SAID_ONCE):
            said = alone.pop(key, None)
            if said is None:
                continue
            like = (said[0], own)
            if said[1] != seq or said[2] != at or (like not in right and self._wrong([PeopleGroup([key])])):
                alone[key] = said
                continue
            right.add(like)
            count, choices = count + 1, choices + own.bit_count()
        self.looked_at += count
        return count, choices

    def _add_rows(self, spoke: Collection[bytes], standings: int) -> set[bytes]:
        """To the groups. Returns whoever has a standing and nobody tells of."""
        db, alike = self._db, self._alike
        for name in ROW_TABLES.keys() - {"own_choice", "standing", "travelled_choice"}:
            alike.add(name, db.execute(ALL[name]))
        alike.add_travelled(db.execute(ALL["travelled_choice"]))
        others = alike.add_standings(db.execute(OF_OTHERS))
        speakers = [*happenings.rows_of(db, OF_SPEAKERS, spoke)]
        alike.add_standings(speakers)
        all_ = db.execute(SPEAKERS).fetchone()[0] == standings + len(speakers)
        return set() if all_ and not others else self._strangers("standing")

    def _add_own_choices(self, spoke: Collection[bytes], choices: int) -> set[bytes]:
        """The same with own choices, of those who said something: whether anybody else has one is counted."""
        add, every = self._alike.add, ALL["own_choice"]
        rows = [*happenings.rows_of(self._db, f"{every} WHERE key IN ({{marks}})", spoke)]
        add("own_choice", rows)
        if self._db.execute("SELECT count(*) FROM own_choice").fetchone()[0] == choices + len(rows):
            return set()
        add("own_choice", (row for row in self._db.execute(every) if row[0] not in spoke))
        return self._strangers("own_choice")

    def _strangers(self, name: str) -> set[bytes]:
        found = self._db.execute(f"SELECT key FROM {name} EXCEPT SELECT key FROM detail")  # noqa: S608 - ours
        return {key for (key,) in found if key not in self._read.groups}

    def _look_at(self, groups: Iterable[PeopleGroup]) -> None:
        """One of those who are alike, and the next where that one is not right."""
        waiting: dict[Hashable, list[PeopleGroup]] = {}
        for group in groups:
            self.looked_at += len(group.keys)
            like = group.like()
            waiting.setdefault(group.keys[0] if like is None else like, []).append(group)
        while waiting:
            wrong = set[bytes]()
            for batch in batches([alike[-1] for alike in waiting.values()], BATCH):
                wrong |= self._wrong(batch)
            left = {like: alike for like, alike in waiting.items() if not wrong.isdisjoint(alike.pop().keys)}
            waiting = {like: alike for like, alike in left.items() if alike}

    def _wrong(self, groups: Sequence[PeopleGroup]) -> set[bytes]:
        """Whose rows are not what the entries give."""
        keys = [key for group in groups for key in group.keys]
        different = of_keys(self._db, keys, keys)
        wrong = {key for _, key in different}
        for group, records in zip(groups, records_of_groups(self._db, [group.keys for group in groups]), strict=True):
            if wrong.isdisjoint(group.keys):
                different |= too_open(self._db, group.keys, records)
        self.replayed += len(keys)
        self.found |= different
        return {key for _, key in different}


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
