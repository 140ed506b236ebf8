"""Entries as they go by, for `gateway verify`: each read and bound to its side row (`LedgerReading`), compared with
what is told beside it (`SidesCheck`) and with what its sealed boxes hold (`BoxesCheck`). Each says in `found` what does
not fit. Reads only.

From what is told beside entries the fold is made. It stands in their order, is the same word about the same person at
the same time, and nothing where an entry says nothing. What a leaf does not show, sealed details do.

Boxes have to open with their person's keys, and to hold what the entry commits to: the commitment to the details is
checked whole. That to the subject needs the identifier itself, which the ledger does not have: of that opening only is
known that it is there and opens. What was forgotten is passed over; a key that was not destroyed and is not there, or
that nothing opens, is told.
"""

import binascii
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from itertools import compress
from typing import Any

import orjson

from gateway.fold import record as told
from gateway.fold.record import Kept, Record, Said
from gateway.fold.state import FOR_EVER, widened
from gateway.keys import seals
from gateway.keys.person_keys import Vault
from gateway.ledger import entry, subjects, tree
from gateway.ledger.entry import DELETION_LIST
from gateway.ledger.errors import EntryUnread
from gateway.ledger.log_records import SideRow, all_sides, is_order, readable_sides_of
from gateway.ledger.proof import merkle
from gateway.ledger.proof.merkle import WIDTH
from gateway.ledger.side import led_by, sum_of_mentions
from gateway.ledger.subjects import ACT, ACTS, RESIDES, SALT, Opened, in_order, moment
from gateway.terms import ChoiceKind, DataClass, GrantKind, NoticeKind, Source, Told

# seq, body, then of its side row: key, at, event; person, sealed, opening where they were asked for; kind
Entry = tuple[Any, ...]
RESTATED = "SELECT of, seq FROM restated WHERE seq >= ?"
# One that has lost its time counts as live, and is none that the entry took back.
GONE = "SELECT count(*), gone, coalesce(gone_at, 0) FROM deletion_row WHERE gone >= ? GROUP BY gone, gone_at"
EVENT, MINUTE = 16, 60_000  # bytes of an event; milliseconds
TILES = 4  # of entries read at once: few enough to stay in a processor's cache, many of each shape
BOXES = ", d.person, d.sealed, d.opening"
PRUNED = """
SELECT x.of, r.body, d.key, d.at, d.event{}, d.kind FROM restated x
LEFT JOIN entry r ON r.seq = x.seq LEFT JOIN detail d ON d.seq = x.of
WHERE x.of < (SELECT pruned FROM head) ORDER BY x.of
"""
KEPT = """
SELECT e.seq, e.body, d.key, d.at, d.event{}, d.kind FROM entry e
LEFT JOIN detail d ON d.seq = e.seq WHERE e.seq >= (SELECT pruned FROM head) ORDER BY e.seq
"""
# Bodies that a prune has marked as gone, and was cut off before it took them away.
GOING = """
SELECT e.seq, e.body, d.key, d.at, d.event{}, d.kind FROM entry e LEFT JOIN detail d ON d.seq = e.seq
WHERE e.seq < (SELECT pruned FROM head) AND e.seq NOT IN (SELECT of FROM restated) ORDER BY e.seq
"""


def blocks(db: sqlite3.Connection, *parts: str, boxes: bool) -> Iterator[list[Entry]]:
    """The entries of `PRUNED`, `KEPT` or `GOING`, some tiles' worth at a time."""
    for sql in parts:
        cursor = db.execute(sql.format(BOXES if boxes else ""))
        while rows := cursor.fetchmany(TILES * WIDTH):
            yield rows


Leaf = dict[str, Any]
URL = bytes.maketrans(b"+/", b"-_")


class LedgerReading:
    """One pass over the log. `found`: entries that cannot be read, or whose side rows are not theirs; voids; and prunes
    of which no entry tells.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.found: list[str] = []
        self._unlinked = {row[0] for row in db.execute("SELECT seq FROM unlinked_event")}
        self._voids: set[tuple[int, int, str]] = set()
        self._uis: set[tuple[str, int, str]] = set()
        self._taken_back: set[tuple[int, int, str]] = set()
        self._restated = dict[int, int]()
        self._below = 0  # as the last prune says
        self._db = db
        [self._pruned] = db.execute("SELECT pruned FROM head").fetchone()

    def add(self, rows: Sequence[Entry]) -> Sequence[Leaf]:
        """The next entries, all of them pruned ones or none. Returns what each says."""
        seqs, bodies, keys, ats, events, *_ = zip(*rows, strict=True)
        leaves = self._leaves(seqs, bodies)
        about = [key is not None for key in keys]
        if not _belong(*([*compress(column, about)] for column in (leaves, events, ats))):
            self.found += [
                f"entry {seq} and its side row do not belong together"
                for seq, key, leaf, event, at in zip(seqs, keys, leaves, events, ats, strict=True)
                if key is not None and not _belong([leaf], [event], [at])
            ]
        for seq, key, leaf in zip(seqs, keys, leaves, strict=True):
            if key is None:
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    self._about_nobody(seq, leaf)
        return leaves

    def _about_nobody(self, seq: int, leaf: Leaf) -> None:
        if "s" in leaf and seq not in self._unlinked:
            self.found.append(f"entry {seq} is about somebody, and its side row is gone")
        elif seq < self._pruned and leaf["e"] != ChoiceKind.CONSENT_VOIDED:
            return  # it counts as gone, and what it says is not asked for any more
        elif leaf["e"] == "restated":
            self._restated[leaf["of"]] = seq  # of two the later one: a prune that was cut off may have begun
        elif leaf["e"] == "void":
            self._voids |= {(of, seq, leaf["t"]) for first, last in leaf["of"] for of in range(first, last + 1)}
        elif leaf["e"] == ChoiceKind.CONSENT_VOIDED:
            self._uis.add((leaf["ui"], seq, leaf["t"]))
        elif leaf["e"] == "pruned":
            self._below = max(self._below, leaf["below"])  # the last one is always kept: it is newer than what it takes
        elif leaf["e"] == entry.TAKEN_BACK:
            self._taken_back.add((leaf["count"], seq, leaf["t"]))

    def finish(self) -> None:
        """That what is voided, taken back or said again is what entries say, as far as they are kept; that a screen is,
        each of them says, for a prune says it again.
        """
        for sql, since, said, what in (
            ("SELECT seq, by, at FROM voided_choice WHERE by >= ?", self._pruned, self._voids, "the void of entry {}"),
            ("SELECT ui, seq, at FROM voided_ui WHERE seq >= ?", 0, self._uis, "the void of the screen {}"),
            (RESTATED, self._pruned, {*self._restated.items()}, "that entry {} is restated"),
            (GONE, self._pruned, self._taken_back, "that a deletion list took back {} requests"),
        ):
            rows = {(*row[:2], *map(_minute, row[2:])) for row in self._db.execute(sql, (since,))}
            self.found += [f"{what.format(each)} is not what entry {by} says" for each, by, *_ in sorted(rows ^ said)]
        if self._below != self._pruned:
            self.found.append(f"{self._pruned} entries count as pruned, and those that are kept tell of {self._below}")
        decided = {seq for (seq,) in self._db.execute("SELECT seq FROM void_act WHERE seq >= ?", (self._pruned,))}
        undecided = sorted(decided ^ {by for _, by, _ in self._voids})
        self.found += [f"who decided on the void of entry {seq} is not what stands beside it" for seq in undecided]

    def _leaves(self, seqs: Sequence[int], bodies: Sequence[bytes]) -> list[Leaf]:
        if seqs[0] >= self._pruned:
            with contextlib.suppress(AttributeError, ValueError):
                leaves = [*map(orjson.loads, bodies)]
                if {*map(type, [leaf.get("e") for leaf in leaves])} == {str}:
                    return leaves
        return [self._leaf(seq, body) for seq, body in zip(seqs, bodies, strict=True)]

    def _said_in(self, seq: int, body: bytes) -> bytes:
        """Of an entry that counts as pruned: its own body, which is still to go, or what another one restates of it.
        Nothing: it is neither.
        """
        kept = tree.leaf_at(self._db, seq)
        return next((each for each in (body, entry.original(body)) if merkle.leaf_hash(each) == kept), b"")

    def _leaf(self, seq: int, body: bytes) -> Leaf:
        """What an entry says; of one that is restated what it said, if the tree has its hash."""
        try:
            leaf = orjson.loads(body if seq >= self._pruned else self._said_in(seq, body or b""))
        except (ValueError, KeyError, TypeError, tree.TreeBroken):
            leaf = None
        if isinstance(leaf, dict) and isinstance(leaf.get("e"), str):
            return leaf
        self.found.append(f"entry {seq} cannot be read, or has, or is restated with, other bytes than the tree")
        return {"e": "unreadable"}  # no kind of entry


def _minute(at: int) -> str:
    """As leaves have it."""
    return entry.minute(moment(at // MINUTE * MINUTE))


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
            time == _minute(minutes * MINUTE)
            for time, minutes in {*zip(times, [at // MINUTE for at in ats], strict=True)}
        )
    )


LINKS = frozenset({ChoiceKind.LINKED, ChoiceKind.UNLINKED})
# Of these nothing need be told: nothing rests on it, or it is of somebody who is forgotten.
MAY_BE_SILENT = frozenset({*LINKS, ChoiceKind.TOLD, ChoiceKind.ERASED, ChoiceKind.UNLINKED_PERSON})
BESIDE = told.NamesLearnt | told.ActUsed | Kept  # what may be learnt without an entry; and that a link is over
# What reports read of links and notices.
LINKED = (
    "SELECT seq, identifier, account, start, until, claimed FROM link_event WHERE NOT released AND seq BETWEEN ? AND ?"
)
GIVEN = "SELECT seq, notice, day FROM told_event WHERE seq BETWEEN ? AND ?"
Sides = Mapping[int, SideRow]  # by the entries that say it
Reported = Mapping[int, tuple[object, ...]]
UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # whatever is there instead


class SidesCheck:
    """Takes the entries as they go by, and walks along what is told beside them. `found`: what is no entry's word, by
    entry.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.found = list[str]()
        self._db = db
        self._walk = all_sides(db)
        self._next: SideRow | None = None
        self._restated, self._going = dict[int, tuple[Entry, Leaf]](), dict[int, tuple[Entry, Leaf]]()
        self._last = -1  # the entry whose row went by last
        self._led = 0  # from each key to each row, as a sum
        self._listed, self._named = Counter[int](), 0  # noes of deletion lists: how many an entry has, and all as a sum
        [self._pruned] = db.execute("SELECT pruned FROM head").fetchone()
        self._go_on()

    def add_going(self, rows: Sequence[Entry], leaves: Sequence[Leaf]) -> Sides:
        """Before all others: entries that a prune that was cut off has left, of which something may still be told."""
        self._going |= {row[0]: (row, leaf) for row, leaf in zip(rows, leaves, strict=True)}
        return {side.seq: side for side in readable_sides_of(self._db, [row[0] for row in rows])}

    def add(self, rows: Sequence[Entry], leaves: Sequence[Leaf]) -> Sides:
        """The next entries, with what they say. Returns what is told beside them, as far as it can be read."""
        if rows[0][0] < self._pruned:
            self._restated |= {row[0]: (row, leaf) for row, leaf in zip(rows, leaves, strict=True)}
            return {side.seq: side for side in readable_sides_of(self._db, [row[0] for row in rows])}
        reported, found = self._reported(rows[0][0], rows[-1][0]), dict[int, SideRow]()
        for row, leaf in zip(rows, leaves, strict=True):
            side = self._side_of(row[0])
            if side is not None:
                found[side.seq] = side
            if side is None or not _is_of(row, leaf, side, *reported) or not self._has_its_orders(row[0], leaf):
                self._tell(row[0])
        return found

    def finish(self) -> None:
        """That nothing else is told, and that keys lead to all that is."""
        while self._next is not None:
            self._stray(self._next)
            self._go_on()
        if self._led != sum_of_mentions(self._db):
            self.found.append("what leads from people to what is told of them is not what is told")
        if self._named != sum(map(hash, self._db.execute("SELECT seq, key FROM deletion_key"))):
            self.found.append("the requests of deletion lists are not those whose no is told")

    def _has_its_orders(self, seq: int, leaf: Leaf) -> bool:
        """Whether as many requests of a deletion list are told beside an entry as it says; of most entries none."""
        return self._listed.pop(seq, 0) == (leaf.get("count") if leaf["e"] == DELETION_LIST else 0)

    def _side_of(self, seq: int) -> SideRow | None:
        """The row of an entry, where it comes in its turn; those before it are looked at."""
        while (row := self._next) is not None and not (row.entered and row.seq >= seq):
            self._stray(row)
            self._go_on()
        self._last = seq
        if row is None or row.seq > seq:
            return None
        self._go_on()
        return row

    def _go_on(self) -> None:
        """To the next row that can be read."""
        while True:
            try:
                self._next = next(self._walk, None)
                led = led_by(self._next.place, self._next.records()) if self._next else ()
            except EntryUnread as error:
                self.found.append(str(error))
            else:
                self._led += sum(map(hash, led))
                return

    def _stray(self, row: SideRow) -> None:
        """A row that is none of an entry whose body is kept."""
        if not row.entered:
            orders = [(each.key, each.said.mark) for each in row.records() if is_order(each.said)]
            self._listed[row.seq] += sum(bool(mark) for _, mark in orders)  # without one: the same request's second
            self._named += sum(hash((row.seq, key)) for key, _ in orders)
            if row.seq > self._last + 1 or not all(_may_be_learnt(row, each) for each in row.records()):
                self.found.append(f"something is told before entry {row.seq} that only an entry may say")
            return
        is_pruned = all(isinstance(each.said, told.SaidPruned) for each in row.own())
        if row.seq in self._restated:
            right = self._is_word_of(self._restated[row.seq], row)
        elif row.seq in self._going and not is_pruned:
            right = self._is_word_of(self._going[row.seq], row)
        else:
            right = row.seq < self._pruned and is_pruned
        if not right or row.seq <= self._last:
            self._tell(row.seq)
        self._last = max(self._last, row.seq)

    def _is_word_of(self, said: tuple[Entry, Leaf], row: SideRow) -> bool:
        return _is_of(*said, row, *self._reported(row.seq, row.seq))

    def _tell(self, seq: int) -> None:
        self.found.append(f"what is told beside entry {seq} is not what it says")

    def _reported(self, first: int, last: int) -> tuple[Reported, Reported]:
        links, notices = (_by_number(self._db.execute(sql, (first, last))) for sql in (LINKED, GIVEN))
        return links, notices


def _by_number(rows: Iterable[tuple[Any, ...]]) -> Reported:
    return {seq: tuple(row) for seq, *row in rows}


def _may_be_learnt(row: SideRow, record: Record) -> bool:
    """Between two entries; a link that is over is so before the day on which that is told."""
    if isinstance(record.said, told.LinkSaid):
        return record.said.until == record.at < row.side.at
    return (isinstance(record.said, BESIDE) or is_order(record.said)) and record.at == row.side.at < FOR_EVER


def _is_of(row: Entry, leaf: Leaf, side: SideRow, links: Reported, notices: Reported) -> bool:
    """Whether the side of an entry is its own, and reports have the same of it. About nobody is an entry, too, whose
    person is forgotten.
    """
    own = side.own()
    linked = next(((each.key, *each.said) for each in own if isinstance(each.said, told.LinkSaid)), None)
    try:
        given = (leaf["k"], _day(leaf)) if leaf["e"] == ChoiceKind.TOLD else None
        reported = links.get(side.seq) == linked and notices.get(side.seq, given) == given
        return reported and (_is_about_nobody(leaf, side, own) if row[2] is None else _is_about(row, leaf, side, own))
    except UNREADABLE:
        return False


def _is_about_nobody(leaf: Leaf, side: SideRow, own: Collection[Record]) -> bool:
    voids = leaf["e"] == ChoiceKind.CONSENT_VOIDED
    said = [told.ScreenVoided(leaf["ui"])] if voids else []
    return [each.said for each in own] == said and all(each.at == side.side.at < FOR_EVER for each in own)


def _is_about(row: Entry, leaf: Leaf, side: SideRow, own: Sequence[Record]) -> bool:
    _, _, key, at, *_, kind = row
    beside = [each for each in side.records() if not _stays_by(each, own)]
    if any((each.key, each.at) != (key, at) for each in beside) or side.side.at != at:
        return False
    if not own:
        return leaf["e"] in MAY_BE_SILENT
    [record] = own
    return record.account == (kind == "account") and record.said == _shown(ChoiceKind(leaf["e"]), leaf, at, record.said)


def _stays_by(record: Record, own: Collection[Record]) -> bool:
    """Whether it is a no that stays with others by what an entry says, which is one to the same."""
    said = [each.said for each in own if isinstance(each.said, told.SaidOut) and each.at == record.at]
    return isinstance(record.said, told.KeptNo) and any(record.said.purpose in widened(no.purposes) for no in said)


def _day(leaf: Leaf) -> int:
    return date.fromisoformat(leaf["day"]).toordinal()


def _shown(word: ChoiceKind, leaf: Leaf, at: int, said: Said) -> Said | None:
    """What a leaf says, with what only its side has. None: it says nothing."""
    if word in LINKS:
        return said if isinstance(said, told.LinkSaid) else None
    if word is ChoiceKind.AGE:
        return said if isinstance(said, told.AgeTold) else None
    if word is ChoiceKind.TOLD:
        kind = told.NoticeBounced if isinstance(said, told.NoticeBounced) else told.NoticeGiven
        return kind(NoticeKind(leaf["k"]), _day(leaf))
    if word in MAY_BE_SILENT:
        return None
    if word in {ChoiceKind.NUMBER_RELEASED, ChoiceKind.CHILD_FOUND}:
        return told.Released() if word is ChoiceKind.NUMBER_RELEASED else told.ChildFound()
    return _chosen(word, leaf, at, said)


def _chosen(word: ChoiceKind, leaf: Leaf, at: int, said: Said) -> Said:
    purposes, source, mark = in_order(tuple(leaf.get("p", ()))), leaf.get("src", ""), getattr(said, "mark", "")
    if word in {ChoiceKind.STATE_BEGAN, ChoiceKind.STATE_ENDED}:
        return told.StateSaid(word is ChoiceKind.STATE_BEGAN, purposes, source, mark)
    recipient, screen = leaf.get("to", ""), leaf.get("ui", "")
    place = leaf.get("j", "") if getattr(said, "place", "") else ""
    of = DataClass(leaf["c"][0]) if leaf.get("c") else None
    if word in ACTS:
        until = at + ACT if ACTS[word] is GrantKind.DIRECTED else None
        return told.GrantSaid(recipient, purposes, of, ACTS[word], screen, until, place)
    if word is not ChoiceKind.OPT_IN:
        return told.SaidOut(purposes, source, mark, dated=source != Source.READING, place=place)
    if recipient:
        return told.GrantSaid(recipient, purposes, of, GrantKind.OPTED_IN, screen, place=place)
    return told.SaidIn(purposes, screen, getattr(said, "informed", False), getattr(said, "parental", False), place)


OPENS = b'{"d":"'  # a leaf with details; then what it commits to
D = slice(len(OPENS), len(OPENS) + 43)  # base64url of 32 bytes

OFFICERS = """
SELECT v.seq, e.body, v.event, v.person, v.at, v.sealed FROM void_act v JOIN entry e ON e.seq = v.seq
WHERE v.sealed IS NOT NULL AND v.seq >= (SELECT pruned FROM head)
"""


OUTCOME = "SELECT outcome FROM told_event WHERE seq = ?"
UNLINKED = "SELECT 1 FROM erasure WHERE mode = 'unlink' AND seq > ? LIMIT 1"


class BoxesCheck:
    """Takes entries with their side rows, in any order. `opened`: boxes that hold what they should."""

    def __init__(self, db: sqlite3.Connection, vault: Vault) -> None:
        self.found: list[str] = []
        self.opened = 0
        self._vault = vault
        self._said = dict[int, Said]()  # by the entries at hand
        self._db = db

    def add(self, rows: Sequence[Entry], sides: Sides) -> None:
        """`sides`: what is told beside them."""
        boxed = [row for row in rows if row[2] is not None and row[1] is not None and (row[6] or row[7])]
        self._said = {seq: each.said for seq, side in sides.items() for each in side.own()}
        for seq, body, _, at, event, person, sealed, opening, _ in self._plain(boxed):
            self._open(person, seq, entry.original(body), at, event, sealed, opening)

    def _plain(self, rows: Sequence[Entry]) -> Sequence[Entry]:
        """Most entries have both boxes, and their details are a time. Returns those that have not, or all where one of
        these does not hold what its entry commits to, for `_open`, which tells which.
        """
        keys = self._vault.both_keys_of(row[5] for row in rows)
        whole, left = list[Entry](), list[Entry]()
        for row in rows:
            both = (
                row[6]
                and row[7]
                and row[5] in keys
                and all(ABSENT.get(name) == value for name, value in _of_details(self._said.get(row[0])))
                and row[1].startswith(OPENS)
            )
            (whole if both else left).append(row)
        try:
            openings_, details = subjects.open_boxes_of([(keys[row[5]], row[4], row[6], row[7]) for row in whole])
        except seals.OpeningFailed:
            return rows
        if {*map(len, openings_)} - {SALT}:
            return rows
        only = [said[SALT:] == _only_a_time(row[3]) for row, said in zip(whole, details, strict=True)]
        made = [entry.details_commitment(each[:SALT], each[SALT:]) for each in compress(details, only)]
        if not _same([row[1][D] for row in compress(whole, only)], made):
            return rows
        self.opened += 2 * sum(only)
        return left + [row for row, plain in zip(whole, only, strict=True) if not plain]

    def finish(self) -> None:
        """Who decided on voids: a box without an opening."""
        for seq, body, event, person, at, sealed in self._db.execute(OFFICERS):
            self._open(person, seq, body, at, event, sealed, None)

    def _open(
        self, person: bytes, seq: int, body: bytes, at: int, event: bytes, sealed: bytes | None, opening: bytes | None
    ) -> None:
        keys = self._vault.keys(person)
        shut = (sealed and not keys.details) or (opening and not keys.openings)
        if shut and self._vault.is_lost(person):
            self.found.append(f"the keys of entry {seq} are lost")
        opened = subjects.open_boxes(keys, event, sealed, opening)
        if opened.broken or not self._holds(seq, body, at, opened):
            self.found.append(f"the boxes of entry {seq} do not open to what it commits to")
        else:
            self.opened += (opened.rs is not None) + (opened.details is not None)

    def _holds(self, seq: int, body: bytes, at: int, opened: Opened) -> bool:
        if opened.rs is not None and len(opened.rs) != SALT:
            return False
        if opened.details is None or opened.rd is None:
            return True
        commitment = entry.b64(entry.details_commitment(opened.rd, opened.details))
        if f'"d":"{commitment}"'.encode() not in body or _only_a_time(at)[1:-1] not in opened.details:
            return False
        said = orjson.loads(opened.details)
        return self._as_sealed(seq, said) and all(
            said.get(name, ABSENT.get(name)) == value for name, value in _of_details(self._said.get(seq))
        )

    def _as_sealed(self, seq: int, said: Mapping[str, object]) -> bool:
        """What is told of an entry beside its own words; and that those of a link are there, unless it is forgotten."""
        if "outcome" in said and not self._is_outcome(seq, said["outcome"]):
            return False
        return "start" not in said or seq in self._said or self._db.execute(UNLINKED, (seq,)).fetchone() is not None

    def _is_outcome(self, seq: int, outcome: object) -> bool:
        """Whether it became of a notice what is told. Releases of before version 40 told of none that came back."""
        reported, beside = self._db.execute(OUTCOME, (seq,)).fetchone(), self._said.get(seq)
        word = told.NoticeBounced if outcome == Told.BOUNCED else told.NoticeGiven
        return reported == (outcome,) and (beside is None or type(beside) is word)


# What a side says where details have no such member.
ABSENT = {"device": "", "informed": False, "parental": False, RESIDES: False}


def _of_details(said: Said | None) -> list[tuple[str, object]]:
    """What the side of an entry says that its sealed details say too, by their members."""
    match said:
        case told.LinkSaid():
            return [("start", said.start), ("until", said.until)]
        case told.AgeTold():
            return [("band", said.band), ("device", said.mark)]
        case told.SaidIn():
            return [("informed", said.informed), ("parental", said.parental), (RESIDES, bool(said.place))]
        case told.SaidOut():
            return [("device", said.mark), (RESIDES, bool(said.place))]
        case told.GrantSaid():
            return [(RESIDES, bool(said.place))]
        case told.StateSaid():
            return [("device", said.mark)]
    return []


def _only_a_time(at: int) -> bytes:
    """Details that say nothing but when."""
    return b"%b%03d%b" % (_second(at // 1000), at % 1000, b'+00:00"}')


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    """A time as details tell it, up to its milliseconds."""
    return b'{"at":"%b.' % moment(seconds * 1000).isoformat(timespec="seconds").removesuffix("+00:00").encode()


def _same(said: Sequence[bytes], made: Sequence[bytes]) -> bool:
    """Whether each is base64url of the other: all at once. A zero byte makes 32 into 33, which are 44 letters."""
    joined = binascii.b2a_base64(b"".join([each + b"\x00" for each in made]), newline=False)
    return joined.translate(URL) == b"".join([each + b"A" for each in said])
