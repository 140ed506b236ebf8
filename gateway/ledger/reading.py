"""Entries as they go by, each read, bound to its side row, and folded where it is a simple one.

Says in `found` what does not fit, and keeps for a replay the keys that are not simple enough for the fold. Reads only.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from gateway.ledger import entry, merkle, tree
from gateway.ledger.fold import Fold
from gateway.ledger.merkle import WIDTH
from gateway.ledger.verify_connections import Connected
from gateway.ledger.verify_shapes import LeafShape, Shapes, minute
from gateway.terms import ChoiceKind

# seq, body, then of its side row: key, at, event; and person, sealed, opening where they were asked for
Entry = tuple[Any, ...]
EVERY = 2**62
TILES = 4  # of entries read at once: few enough to stay in a processor's cache, many of each shape
BOXES = ", d.person, d.sealed, d.opening"
PRUNED = """
SELECT x.of, r.body, d.key, d.at, d.event{} FROM restated x
LEFT JOIN entry r ON r.seq = x.seq LEFT JOIN detail d ON d.seq = x.of
WHERE x.of < (SELECT pruned FROM head) AND x.of < ? ORDER BY x.of
"""
KEPT = """
SELECT e.seq, e.body, d.key, d.at, d.event{} FROM entry e
LEFT JOIN detail d ON d.seq = e.seq WHERE e.seq >= (SELECT pruned FROM head) AND e.seq < ? ORDER BY e.seq
"""


def blocks(db: sqlite3.Connection, below: int = EVERY, *, boxes: bool = False) -> Iterator[list[Entry]]:
    """What is restated of the pruned entries, then the entries, some tiles' worth at a time."""
    for sql in (PRUNED, KEPT):
        cursor = db.execute(sql.format(BOXES if boxes else ""), (below,))
        while rows := cursor.fetchmany(TILES * WIDTH):
            yield rows


class LedgerReading:
    """One pass over the log. `complex`: keys for a replay that are connected with nobody."""

    def __init__(self, db: sqlite3.Connection, people: Connected, folded: Fold) -> None:
        self.people = people
        self.fold = folded
        self.complex = set(people.lone)
        self.found: list[str] = []
        self._voided = {row[0] for row in db.execute("SELECT seq FROM voided_choice")}
        self._unlinked = {row[0] for row in db.execute("SELECT seq FROM unlinked_event")}
        self._given = {row[0] for row in db.execute("SELECT seq FROM given UNION SELECT seq FROM acted WHERE state")}
        self._apart = self._voided | self._given  # more is to be looked at than what the entry says
        self._shapes = Shapes(folded.says)
        self._voids: set[tuple[int, int]] = set()
        self._uis: set[tuple[str, int]] = set()
        self._db = db
        [self._pruned] = db.execute("SELECT pruned FROM head").fetchone()

    def add(self, rows: Sequence[Entry]) -> None:
        """The next entries, all of them pruned ones or none."""
        seqs, bodies, keys, ats, events, *_ = zip(*rows, strict=True)
        shapes: Sequence[LeafShape | None] = [None] * len(rows)
        if seqs[0] >= self._pruned:
            shapes = self._shapes.of(bodies, ats, events)
        groups, firsts, complex_, apart = self.people.group_of, self.fold.firsts, self.complex, self._apart
        alone = self.fold.alone
        for seq, body, key, at, event, shape in zip(seqs, bodies, keys, ats, events, shapes, strict=True):
            if shape is None:
                self._read(seq, body, key, at, event)
            elif shape.own is None or key in groups or key in firsts or key in alone or key in complex_ or seq in apart:
                if seq not in self._voided:
                    self._fold(seq, key, at, shape.leaf)
            else:  # as `Fold.add` does with most entries
                firsts[key] = (shape.own, seq, at)

    def _read(self, seq: int, body: bytes, key: bytes | None, at: int, event: bytes) -> None:
        leaf = self._leaf(seq, body)
        if key is None:
            self._about_nobody(seq, leaf)
        elif leaf.get("i") != entry.b64(event) or leaf.get("t") != minute(at // 60_000).decode():
            self.found.append(f"entry {seq} and its side row do not belong together")
        else:
            if seq >= self._pruned:
                self._shapes.meet(body, leaf)
            if seq not in self._voided:
                self._fold(seq, key, at, leaf)

    def _about_nobody(self, seq: int, leaf: dict[str, Any]) -> None:
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

    def _leaf(self, seq: int, body: bytes) -> dict[str, Any]:
        """What an entry says; of one that is restated what it said, if the tree has its hash."""
        try:
            was = entry.original(body or b"") if seq < self._pruned else body
            leaf = orjson.loads(was)
            kept = was is body or tree.leaf_at(self._db, seq) == merkle.leaf_hash(was)
        except (ValueError, KeyError, tree.TreeBroken):
            leaf, kept = {}, False
        if not kept:
            self.found.append(f"entry {seq} cannot be read, or is restated with other bytes than the tree has")
        return leaf if isinstance(leaf, dict) and "e" in leaf else {"e": ""}

    def _fold(self, seq: int, key: bytes, at: int, leaf: dict[str, Any]) -> None:
        if key in self.complex:
            return
        people = self.people
        if key in people.group_of and key not in people.families:
            if people.families:
                self._leave_out(key)  # another name of somebody, who said something by it
        elif seq < people.since.get(key, 0) or seq in self._given or not self.fold.add(seq, key, at, leaf):
            self._leave_out(key)

    def _leave_out(self, key: bytes) -> None:
        for each in self.people.leave_out(key):
            self.fold.leave_out(each)
        if key not in self.people.group_of:
            self.complex.add(key)

    def __contains__(self, key: bytes) -> bool:
        """Whether anything is told of a key."""
        return key in self.fold or key in self.people.group_of or key in self.complex

    def slow(self) -> Iterator[list[bytes]]:
        """Groups of keys for a replay."""
        yield from self.people.slow()
        yield from ([key] for key in sorted(self.complex))
