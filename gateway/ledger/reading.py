"""Entries as they go by, each read and bound to its side row, and told of whoever it is about, with what no entry says.

Says in `found` what does not fit. Reads only.
"""

import binascii
import contextlib
import sqlite3
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain, compress, groupby
from operator import itemgetter
from typing import Any

import orjson

from gateway.fold import fold
from gateway.fold import record as told
from gateway.fold.reading import standing_of
from gateway.fold.record import EVERYBODY, Record, SaidOut
from gateway.fold.state import Place
from gateway.ledger import entry, log_records, merkle, reach, tree
from gateway.ledger.likeness import PeopleGroup
from gateway.ledger.log_records import NOBODY, NOTHING_BESIDE, Entered
from gateway.ledger.merkle import WIDTH
from gateway.ledger.standing_rows import Row
from gateway.ledger.subjects import moment
from gateway.terms import ChoiceKind, Purpose, Source

# seq, body, then of its side row: key, at, event; person, sealed, opening where they were asked for; kind
Entry = tuple[Any, ...]
EVERY = 2**62
EVENT, MINUTE = 16, 60_000  # bytes of an event; milliseconds
TILES = 4  # of entries read at once: few enough to stay in a processor's cache, many of each shape
BOXES = ", d.person, d.sealed, d.opening"
PRUNED = """
SELECT x.of, r.body, d.key, d.at, d.event{}, d.kind FROM restated x
LEFT JOIN entry r ON r.seq = x.seq LEFT JOIN detail d ON d.seq = x.of
WHERE x.of < (SELECT pruned FROM head) AND x.of < ? ORDER BY x.of
"""
KEPT = """
SELECT e.seq, e.body, d.key, d.at, d.event{}, d.kind FROM entry e
LEFT JOIN detail d ON d.seq = e.seq WHERE e.seq >= (SELECT pruned FROM head) AND e.seq < ? ORDER BY e.seq
"""


def blocks(db: sqlite3.Connection, below: int = EVERY, *, boxes: bool = False) -> Iterator[list[Entry]]:
    """What is restated of the pruned entries, then the entries, some tiles' worth at a time."""
    for sql in (PRUNED, KEPT):
        cursor = db.execute(sql.format(BOXES if boxes else ""), (below,))
        while rows := cursor.fetchmany(TILES * WIDTH):
            yield rows


Leaf = dict[str, Any]
EntryWord = tuple[int, bool, str | None]
VARYING = frozenset("dist")  # members of a leaf that no two entries share
ACCOUNT = "account"
UNNAMED, MARKED = frozenset({None, "", EVERYBODY}), "marked"
# What no entry says: as of which entry, when, of whom; then other keys, as far as a place, and what else a row says.
SAID_BESIDE = {
    table: (names, f"SELECT {columns} FROM {table} WHERE seq < ? AND {which}")  # noqa: S608 - ours
    for table, names, columns, which in (
        ("looser_name", 4, "seq, 0, canonical, alias", "true ORDER BY seq, canonical"),
        ("name", 4, "seq, at, canonical, alias", "true ORDER BY turn"),
        ("mailbox_name", 4, "seq, at, spelling, mailbox", "true ORDER BY turn"),
        ("link_event", 3, "seq, start, identifier", "at IS NULL"),  # from before links were entries
        ("act_used", 3, "seq, at, key, recipient", "true ORDER BY turn"),
        ("kept_deny", 5, "seq, at, key, origin, via, purpose", "true ORDER BY seq"),
        ("kept_end", 3, "seq, at, key, purpose, what, ui", "true ORDER BY seq"),
        ("kept_revoked", 3, "seq, at, key, recipient, purpose, data_class, kind", "true ORDER BY seq"),
        ("kept_told", 3, "seq, at, key, notice, day", "true ORDER BY seq"),
        ("kept_age", 3, "seq, at, key, band, youngest, fixed", "true ORDER BY seq"),
    )
}
AS_OF = itemgetter(0, 1, 2)
# Whoever said more than one thing, or something that was voided.
SEVERAL = """
SELECT key FROM detail GROUP BY key HAVING count(*) > 1
UNION SELECT d.key FROM voided_choice v JOIN detail d ON d.seq = v.seq
"""
NOES = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.WITHDRAW})
URL = bytes.maketrans(b"+/", b"-_")


class OwnBits(dict[tuple[str, ...], int]):
    """What one no denies for whoever said it, by what its entry says, as the fold has it; 0: it is no such no."""

    def __missing__(self, word: tuple[str, ...]) -> int:
        kind, source, *purposes = word
        self[word] = 0
        if kind in NOES and source != Source.READING:
            said = SaidOut(tuple(Purpose(each) for each in purposes), source)
            state = fold(Record(0, 0, NOBODY, said), dict[Place, Any]().get)
            self[word] = standing_of(NOBODY, state.get, 0).own
        return self[word]


class LedgerReading:
    """One pass over the log, or over what lies `below` an entry. `groups`: who hangs together with somebody, or said
    anything but one no, with all of it. `alone`: everybody else, as `rows_check` reads their rows.
    """

    def __init__(self, db: sqlite3.Connection, below: int = EVERY) -> None:
        self.groups: dict[bytes, PeopleGroup] = {}
        for keys in chain(reach.connected_groups(db), db.execute(SEVERAL)):
            if keys[0] not in self.groups:
                self.groups.update(dict.fromkeys(keys, PeopleGroup(keys)))
        self.alone = list[Row]()
        self.found: list[str] = []
        self.unread: set[bytes] = set()  # of whom an entry cannot be read
        self._own, self._words = OwnBits(), dict[Hashable, EntryWord]()
        self._voided = {row[0] for row in db.execute("SELECT seq FROM voided_choice")}
        self._screens = {row[0] for row in db.execute("SELECT ui FROM voided_ui")}
        self._unlinked = {row[0] for row in db.execute("SELECT seq FROM unlinked_event")}
        self._voids: set[tuple[int, int]] = set()
        self._uis: set[tuple[str, int]] = set()
        self._db = db
        [self._pruned] = db.execute("SELECT pruned FROM head").fetchone()
        for table, (names, sql) in SAID_BESIDE.items():
            for (number, at, key), rows in groupby(db.execute(sql, (below,)), AS_OF):
                group, columns = self._group(key), [*zip(*rows, strict=True)]
                group.named.append(key)
                group.numbers.append(number)
                group.moments.append(at)
                for column in columns[3:names]:
                    group.named += column
                group.words.append((table, len(columns[0]), *columns[names:]))
                if table == "link_event" or (table == "kept_end" and not self._screens.isdisjoint(columns[-1])):
                    group.dated = True

    def _group(self, key: bytes) -> PeopleGroup:
        return self.groups.get(key) or self.groups.setdefault(key, PeopleGroup([key]))

    def add(self, rows: Sequence[Entry]) -> None:
        """The next entries, all of them pruned ones or none."""
        seqs, bodies, keys, ats, events, *_, kinds = zip(*rows, strict=True)
        leaves = self._leaves(seqs, bodies)
        about = [key is not None for key in keys]
        if not _belong(*([*compress(column, about)] for column in (leaves, events, ats))):
            self.found += [
                f"entry {seq} and its side row do not belong together"
                for seq, key, leaf, event, at in zip(seqs, keys, leaves, events, ats, strict=True)
                if key is not None and not _belong([leaf], [event], [at])
            ]
        beside = log_records.beside_entries(self._db, seqs[0], seqs[-1])
        groups, alone, own_bits = self.groups, self.alone, self._own
        for seq, at, key, kind, leaf in zip(seqs, ats, keys, kinds, leaves, strict=True):
            try:
                if key is None:
                    self._about_nobody(seq, leaf)
                elif key not in groups and (own := own_bits[leaf["e"], leaf.get("src", ""), *leaf.get("p", ())]):
                    alone.append((key, own, seq, at))
                else:
                    self._hear(Entered(seq, at, key, kind, leaf, *beside.get(seq, NOTHING_BESIDE)))
            except (KeyError, TypeError, ValueError):
                self.unread.add(key)

    def _hear(self, entered: Entered) -> None:
        """Tells it of whoever it is about."""
        group, (_, dated, source) = self._group(entered.key), (word := self._word(entered))
        group.named.append(entered.key)
        group.numbers.append(entered.seq)
        group.moments.append(entered.at)
        group.words.append(word)
        group.dated = group.dated or dated
        if entered.account is not None:
            group.named.append(entered.account)
            group.moments.append(entered.start)
        if entered.mark and entered.mark not in UNNAMED:
            group.marks += [entered.mark, f"{source}@{entered.mark}"]

    def _word(self, entered: Entered) -> EntryWord:
        """What it says but for keys, numbers, moments and marks: which that is, whether it names a date, its source."""
        leaf = entered.leaf
        for name in VARYING:
            leaf.pop(name, None)
        what = (
            *(entered.kind == ACCOUNT, orjson.dumps(leaf), entered.seq in self._voided, entered.day, entered.outcome),
            *(entered.account is None, entered.until is None, entered.claimed, entered.informed, entered.parental),
            *(entered.band, entered.may_rise, entered.mark if entered.mark in UNNAMED else MARKED),
        )
        if what not in self._words:
            each = log_records.entry_record(entered)
            said = each.record.said if each else None
            dated = isinstance(said, told.Released) or getattr(said, "until", None) is not None
            dated = dated or getattr(said, "screen", None) in self._screens
            self._words[what] = len(self._words), dated, leaf.get("src")
        return self._words[what]

    def people(self) -> list[PeopleGroup]:
        """Each group once."""
        return [group for key, group in self.groups.items() if key == group.keys[0]]

    def _about_nobody(self, seq: int, leaf: Leaf) -> None:
        if "s" in leaf and seq not in self._unlinked:
            self.found.append(f"entry {seq} is about somebody, and its side row is gone")
        elif leaf["e"] == "void":
            self._voids |= {(of, seq) for first, last in leaf["of"] for of in range(first, last + 1)}
        elif leaf["e"] == ChoiceKind.CONSENT_VOIDED:
            self._uis.add((leaf["ui"], seq))

    def finish(self) -> None:
        """That what is voided is what entries say, as far as they are kept."""
        for sql, said, what in (
            ("SELECT seq, by FROM voided_choice WHERE by >= ?", self._voids, "the void of entry {}"),
            ("SELECT ui, seq FROM voided_ui WHERE seq >= ?", self._uis, "the void of the screen {}"),
        ):
            rows = set(self._db.execute(sql, (self._pruned,)))
            self.found += [f"{what.format(each)} is not what entry {by} says" for each, by in sorted(rows ^ said)]

    def _leaves(self, seqs: Sequence[int], bodies: Sequence[bytes]) -> list[Leaf]:
        if seqs[0] >= self._pruned:
            with contextlib.suppress(AttributeError, ValueError):
                leaves = [*map(orjson.loads, bodies)]
                if {*map(type, [leaf.get("e") for leaf in leaves])} == {str}:
                    return leaves
        return [self._leaf(seq, body) for seq, body in zip(seqs, bodies, strict=True)]

    def _leaf(self, seq: int, body: bytes) -> Leaf:
        """What an entry says; of one that is restated what it said, if the tree has its hash."""
        try:
            if seq >= self._pruned:
                leaf = orjson.loads(body)
            else:
                was = entry.original(body or b"")
                leaf = orjson.loads(was) if tree.leaf_at(self._db, seq) == merkle.leaf_hash(was) else None
        except (ValueError, KeyError, tree.TreeBroken):
            leaf = None
        if isinstance(leaf, dict) and isinstance(leaf.get("e"), str):
            return leaf
        self.found.append(f"entry {seq} cannot be read, or is restated with other bytes than the tree has")
        return {"e": "unreadable"}  # no kind of entry


def _belong(leaves: Sequence[Leaf], events: Sequence[bytes], ats: Sequence[int]) -> bool:
    """Whether each has the event, as base64url, and the minute of its side row: all at once. Two zero bytes make 16
    into 18, which are 24 letters.
    """
    joined = binascii.b2a_base64(b"\x00\x00".join([*events, b""]), newline=False).translate(URL).decode()
    ids, times = [leaf.get("i") for leaf in leaves], [leaf.get("t") for leaf in leaves]
    return (
        {*map(len, events)} <= {EVENT}
        and {*map(type, ids), *map(type, times)} <= {str}
        and "".join([f"{each}AA" for each in ids]) == joined
        and all(
            time == entry.minute(moment(minutes * MINUTE))
            for time, minutes in {*zip(times, [at // MINUTE for at in ats], strict=True)}
        )
    )
