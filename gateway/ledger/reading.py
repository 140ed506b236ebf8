"""Entries as they go by, each read and bound to its side row, with whatever of them hangs together with nobody.

Says in `found` what does not fit. Reads only.
"""

import binascii
import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any

import orjson

from gateway.fold import fold
from gateway.fold.reading import standing_of
from gateway.fold.record import Record, SaidOut
from gateway.fold.state import Place
from gateway.ledger import entry, log_records, merkle, reach, tree
from gateway.ledger.likeness import PeopleGroup
from gateway.ledger.log_records import NOBODY, NOTHING_BESIDE, Entered
from gateway.ledger.merkle import WIDTH
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
    """One pass over the log. `groups`: who hangs together with somebody, or said more than one no; with all of it.
    `alone`: everybody else, with what that no denies, its entry and its moment (Unix milliseconds).
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.groups: dict[bytes, PeopleGroup] = {}
        for keys in reach.connected_groups(db):
            self.groups.update(dict.fromkeys(keys, PeopleGroup(keys)))
        self.alone: dict[bytes, tuple[bytes, int, int, int]] = {}
        self.found: list[str] = []
        self.unread: set[bytes] = set()  # of whom an entry cannot be read
        self._own = OwnBits()
        self._taken_out: list[int] = []  # entries of those of whom there is more to tell
        self._voided = {row[0] for row in db.execute("SELECT seq FROM voided_choice")}
        self._unlinked = {row[0] for row in db.execute("SELECT seq FROM unlinked_event")}
        self._voids: set[tuple[int, int]] = set()
        self._uis: set[tuple[str, int]] = set()
        self._db = db
        [self._pruned] = db.execute("SELECT pruned FROM head").fetchone()
        for each in log_records.said_beside(db):
            self.groups.setdefault(each.record.key, PeopleGroup([each.record.key])).said.append(each)

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
        groups, alone, voided, own_bits = self.groups, self.alone, self._voided, self._own
        for seq, at, key, kind, leaf in zip(seqs, ats, keys, kinds, leaves, strict=True):
            try:
                if key is None:
                    self._about_nobody(seq, leaf)
                elif not (key in groups or key in alone or seq in voided) and (
                    own := own_bits[leaf["e"], leaf.get("src", ""), *leaf.get("p", ())]
                ):
                    alone[key] = key, own, seq, at
                else:
                    self._hear(Entered(seq, at, key, kind, leaf, *beside.get(seq, NOTHING_BESIDE)))
            except (KeyError, TypeError, ValueError):
                self.unread.add(key)
        for each in log_records.said_in(self._db, self._taken_out):
            self.groups[each.record.key].tell(each)
        self._taken_out.clear()

    def _hear(self, entered: Entered) -> None:
        key = entered.key
        if key not in self.groups:
            self.groups[key] = PeopleGroup([key])
        if key in self.alone:
            self._taken_out.append(self.alone.pop(key)[2])
        each = None if entered.seq in self._voided else log_records.entry_record(entered)
        if each is not None:
            self.groups[key].tell(each)

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
            with contextlib.suppress(ValueError):
                leaves = [*map(orjson.loads, bodies)]
                if all(type(leaf) is dict and type(leaf.get("e")) is str for leaf in leaves):
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
        and "".join([f"{each}AA" for each in ids]) == joined
        and times == [_minute(at // MINUTE) for at in ats]
    )


@lru_cache(maxsize=4096)
def _minute(minutes: int) -> str:
    """A time as a public entry tells it."""
    return entry.minute(moment(minutes * MINUTE))
