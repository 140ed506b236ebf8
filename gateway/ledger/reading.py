"""Entries as they go by, each read and bound to its side row, with whatever of them hangs together with nobody.

Says in `found` what does not fit. Reads only.
"""

import binascii
import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson

from gateway.ledger import entry, log_records, merkle, reach, tree
from gateway.ledger.likeness import PeopleGroup
from gateway.ledger.merkle import WIDTH
from gateway.ledger.subjects import moment
from gateway.terms import ChoiceKind

# seq, body, then of its side row: key, at, event; and person, sealed, opening where they were asked for
Entry = tuple[Any, ...]
EVERY = 2**62
EVENT, MINUTE = 16, 60_000  # bytes of an event; milliseconds
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


Leaf = dict[str, Any]
NOTHING: list[str] = []
KINDS, NOES = frozenset(ChoiceKind), frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.WITHDRAW})
URL = bytes.maketrans(b"+/", b"-_")


class LedgerReading:
    """One pass over the log. `groups`: who hangs together with somebody, or said more than one no; with all of it.
    `alone`: everybody else, with a number for the no, its entry and its moment (Unix milliseconds).
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.groups = {
            key: group for keys in reach.connected_groups(db) for group in [PeopleGroup(keys)] for key in keys
        }
        self.alone: dict[bytes, tuple[int, int, int]] = {}
        self.found: list[str] = []
        self.unread: set[bytes] = set()  # of whom an entry cannot be read
        self._words: dict[bytes, int] = {}  # kind, source and purposes
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
        seqs, bodies, keys, ats, events, *_ = zip(*rows, strict=True)
        leaves = self._leaves(seqs, bodies)
        about = [at for at, key in enumerate(keys) if key is not None]
        if not _belong([leaves[at] for at in about], [events[at] for at in about], [ats[at] for at in about]):
            self.found += [
                f"entry {seqs[at]} and its side row do not belong together"
                for at in about
                if not _belong([leaves[at]], [events[at]], [ats[at]])
            ]
        groups, alone, voided, more = self.groups, self.alone, self._voided, list[int]()
        for seq, leaf, key, at in zip(seqs, leaves, keys, ats, strict=True):
            if key is None:
                self._about_nobody(seq, leaf)
            elif leaf["e"] not in KINDS or type(leaf.get("p", NOTHING)) is not list:
                self.unread.add(key)
            elif key in groups or key in alone or seq in voided or leaf["e"] not in NOES:
                more.append(seq)
                self.take_out(key, more)
            else:
                alone[key] = (self._word(leaf), seq, at)
        self.tell_groups(more)

    def take_out(self, key: bytes, more: list[int]) -> None:
        """There is more to tell of somebody than one word. `more`: entries that are to be told then."""
        if key not in self.groups:
            self.groups[key] = PeopleGroup([key])
            if key in self.alone:
                more.append(self.alone.pop(key)[1])

    def tell_groups(self, seqs: Sequence[int]) -> None:
        for each in log_records.said_in(self._db, seqs):
            group = self.groups[each.record.key]
            group.said.append(each)
            group.entries.append(each.record.seq)

    def people(self) -> list[PeopleGroup]:
        """Each group once."""
        return [group for key, group in self.groups.items() if key == group.keys[0]]

    def _word(self, leaf: Leaf) -> int:
        word = orjson.dumps([leaf["e"], leaf.get("src"), leaf.get("p")])
        return self._words.setdefault(word, len(self._words))

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
        return {"e": ""}


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
