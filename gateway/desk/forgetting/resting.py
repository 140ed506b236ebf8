"""What rests on which entry: those that a prune has to say again, so that whatever is folded later, after further acts,
voids and unlinks, comes out as with every entry there. `prune` calls it. Reads only.

Measured by what the fold keeps of some people just before the first entry that stays: an entry is needed if a row or an
edge names it, or if it made something there that has no number. Proved by a second fold, in which nobody knows any more
what the others said: where that keeps anything else, each entry about those keys is said again, or, were that not
enough either, about all who hang together with them. What an earlier prune
said again, in an entry that stays, is in that fold as well: a word that was taken back must not stand alone. Where a
state's list says no of anybody it is measured a second time, as if it had taken all of that back: on some day it may.
And of what changed hands everything is needed that was chosen before: an unlink of whoever has it now takes what was
chosen since, and then what came before stands again, though the row names only what came behind.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from gateway.fold import fold
from gateway.fold.record import LinkSaid, Record, Released, Said, SaidIn, SaidOut, SaidPruned
from gateway.fold.state import (
    EMPTY,
    HEAD,
    NO_EDGE,
    NOBODY,
    NOTHING,
    Bit,
    Bits,
    KeyRow,
    LinkEdge,
    Place,
    anew,
    bits_of,
)
from gateway.ledger.acts.folded_people import batches_of, connected_groups
from gateway.ledger.log_records import NOBODY as NO_ONE
from gateway.ledger.log_records import (
    SideRow,
    all_sides,
    is_order,
    order_over,
    place_of_entry,
    side_rows,
    sides_at,
    told_by,
)
from gateway.ledger.side import Mention, places_of_each

AGAIN = "SELECT of FROM restated WHERE seq >= ?1 AND of < ?1"
Group = list[bytes]  # of keys that hang together
Unnumbered = tuple[str, Any]  # what has no number in a row or an edge
NOBODYS, STILL_TO_COME = -1, 2**62  # a group; the number of an entry
MADE_OF_SEVERAL = frozenset({"states", "age"})  # a state that is over for one identifier; the youngest that ever was


def pruned_record(row: SideRow, record: Record) -> Record:
    """As it is read once its entry is pruned: only that something was said is known, and where somebody is."""
    said = SaidPruned(*(getattr(record.said, name, "") for name in SaidPruned._fields))
    return record._replace(said=said) if row.is_own(record) else record


def entries_to_restate(db: sqlite3.Connection, below: int) -> set[int]:
    """The entries below a place that something still rests on. Within a transaction."""
    again = {row[0] for row in db.execute(AGAIN, (below,))}
    found = {row[0] for row in db.execute("SELECT seq FROM voided_ui WHERE seq < ?", (below,))}
    screens = [row for row in side_rows(db, {NO_ONE}, Mention.OF) if row.seq < below]
    batches = [*batches_of(_groups(db, below))]
    number_of = {key: number for number, groups in enumerate(batches) for group in groups for key in group}
    places = places_of_each(db, number_of, place_of_entry(db, below))
    while batches:  # each goes once it was asked about
        theirs = [row for row in sides_at(db, places.pop()) if row.seq < below]
        groups = _GroupsBelow(db, batches.pop(), _in_order(theirs, screens), again)
        found |= groups.needed()
    return found | again


def _in_order(*rows: list[SideRow]) -> list[SideRow]:
    found = {row.place: row for row in chain(*rows)}
    return [found[place] for place in sorted(found)]


def _groups(db: sqlite3.Connection, below: int) -> Iterator[Group]:
    """Everybody of whom anything was said."""
    together = set[bytes]()
    for group in connected_groups(all_sides(db)):
        together.update(group)
        yield group
    for (key,) in db.execute("SELECT DISTINCT key FROM detail WHERE seq < ?", (below,)):
        if key not in together:
            yield [key]


class _GroupsBelow:
    """Some groups, and what was said of them below a place. Most people said one thing: of those who said the same the
    fold is asked once.
    """

    def __init__(
        self, db: sqlite3.Connection, groups: list[Group], rows: list[SideRow], again: Collection[int]
    ) -> None:
        of_key = {key: number for number, group in enumerate(groups) for key in group}
        placed = [*told_by(db, rows, keys={*of_key, NO_ONE})]
        # Each entry as the fold reads it once its body is gone.
        gone = {row.seq: pruned_record(row, record) for row, record in placed if row.is_own(record) and record.key}
        said = Counter(of_key[each.key] for each in gone.values())
        self._alone = [
            record for row, record in placed if row.is_own(record) and record.key and said[of_key[record.key]] == 1
        ]
        self._gone = {seq: each for seq, each in gone.items() if said[of_key[each.key]] > 1}
        self._group = {key: group for key, group in of_key.items() if said[group] > 1}
        self._placed = [each for each in placed if each[1].key in self._group or not each[1].key]
        self._again = again

    def needed(self) -> set[int]:
        found = {each.seq for each in self._alone if _leaves_anything(each.said)}
        found |= self._of_several() | self._before_hands_changed()
        if any(is_order(record.said) for _, record in self._placed):
            self._placed = [(row, order_over(record)) for row, record in self._placed]
            found |= self._of_several()
        return found

    def _of_several(self) -> set[int]:
        whole = KeptPieces(record for _, record in self._placed)
        found = self._gone.keys() & whole.numbers()
        if differing := self._differing(whole, found):
            found |= {seq for seq, each in self._gone.items() if each.key in differing}
            groups = {self._group.get(key) for key in self._differing(whole, found)}
            found |= {seq for seq, each in self._gone.items() if self._group[each.key] in groups}
        return found

    def _before_hands_changed(self) -> set[int]:
        """What the groups chose before something of theirs was last given back, came to another account or left one: of
        a link that ends the day may still come.
        """
        chosen, accounts, last = list[tuple[int, int]](), defaultdict[int, set[bytes]](set), defaultdict[int, int](int)
        for row, record in self._placed:
            group = self._group.get(record.key, NOBODYS)
            match record.said:
                case SaidOut() | SaidIn() if row.is_own(record):
                    chosen.append((group, record.seq))
                case Released():
                    last[group] = max(last[group], record.seq)
                case LinkSaid(account=account, until=until, claimed=False):
                    accounts[group].add(account)
                    if until is not None or len(accounts[group]) > 1:
                        last[group] = max(last[group], record.seq if until is None else STILL_TO_COME)
        return {seq for group, seq in chosen if seq < last[group]}

    def _differing(self, whole: "KeptPieces", found: Collection[int]) -> set[bytes]:
        """The keys of which anything else is kept where nothing is said again but what was found."""
        left_out = {*self._gone}.difference(found, self._again)
        shorter = {self._group[self._gone[seq].key] for seq in left_out}
        less = KeptPieces(self._without(left_out, shorter)) if shorter else whole
        return {key for key in whole.keys_that_differ(less) if self._group.get(key) in shorter}

    def _without(self, left_out: Collection[int], groups: Collection[int]) -> Iterator[Record]:
        """What is left of these groups, and the voids of screens."""
        for row, record in self._placed:
            if row.is_own(record) and row.seq in left_out:
                yield self._gone[row.seq]
            elif record.key == NO_ONE or self._group[record.key] in groups:
                yield record


class KeptPieces:
    """The rows and edges that the fold keeps of some records, but for what came of pruned entries: that denies nothing.
    Which keys a row has edges with is left out, for the edges say so.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        state, self._makers = dict[Place, Any](), dict[tuple[Place, Unnumbered], list[int]]()
        for record in records:
            changes = fold(record, state.get)
            for place, now in changes.items():
                if place != HEAD:
                    self._note(record.seq, place, _unnumbered(state.get(place)), _unnumbered(now))
            state.update(changes)
        state.pop(HEAD, None)
        pieces = {place: _of_the_readable(piece) for place, piece in state.items()}
        self.pieces = {place: piece for place, piece in pieces.items() if piece not in (EMPTY, NO_EDGE)}

    def _note(self, seq: int, place: Place, before: Mapping[Unnumbered, Any], after: Mapping[Unnumbered, Any]) -> None:
        """Which entries made something since it was last not there; of what is said whole each time the last one."""
        for what in before.keys() | after.keys() if before != after else ():
            if what not in after:
                del self._makers[place, what]
            elif before.get(what) != after[what]:
                made = self._makers.setdefault((place, what), [])
                if what[0] not in MADE_OF_SEVERAL:
                    made.clear()
                made.append(seq)

    def numbers(self) -> set[int]:
        """Of the entries that these rest on; other numbers too."""
        found = {seq for made in self._makers.values() for seq in made}
        for piece in self.pieces.values():
            found.update(_row_numbers(piece) if isinstance(piece, KeyRow) else _edge_numbers(piece))
        return found

    def keys_that_differ(self, other: "KeptPieces") -> set[bytes]:
        """Of an edge both."""
        ours, theirs = self.pieces, other.pieces
        found = (place for place in ours.keys() | theirs.keys() if ours.get(place) != theirs.get(place))
        return {key for place in found for key in ((place,) if isinstance(place, bytes) else place)}


@lru_cache(typed=True)
def _leaves_anything(said: Said) -> bool:
    """Whether an entry that is the only one of some people is needed. `typed`: two words may be alike but for that."""
    return bool(KeptPieces([Record(0, 0, b"somebody", said)]).numbers())


def _unnumbered(piece: KeyRow | LinkEdge | None) -> dict[Unnumbered, Any]:
    if piece is None:
        return {}
    if isinstance(piece, LinkEdge):
        return {("span", None): (piece.start, piece.until)}
    found: dict[Unnumbered, Any] = {("states", name): ended for name, ended in piece.states.items()}
    found |= {("told", name): day for name, day in piece.told.items()}
    found |= {("words", name): band for name, band in piece.words.items()}
    return found | ({("age", None): piece.age} if piece.age else {})


def _of_the_readable(piece: KeyRow | LinkEdge) -> KeyRow | LinkEdge:
    if isinstance(piece, KeyRow):
        own = {purpose: bit for purpose, bit in piece.own.items() if _is_readable(bit)}
        return anew(piece, {"own": own, "accounts": NOTHING, "members": NOTHING})
    return anew(piece, {"up": _readable(piece.up), "down": _readable(piece.down)})


def _readable(side: Bits) -> Bits:
    found = {purpose: tuple(filter(_is_readable, bits)) for purpose, bits in side.items()}
    return {purpose: bits for purpose, bits in found.items() if bits}


def _is_readable(bit: Bit) -> bool:
    return all(each.by != NOBODY for each in bit.covers)


def _row_numbers(row: KeyRow) -> Iterator[int]:
    for bit in (*(bit for _, bit in row.noes()), *row.kept.values()):
        yield from _bit_numbers(bit)
    yield from (allowed.seq for allowed in row.ins.values())
    yield from (given.seq for given in row.grants.values())
    yield row.since - 1  # it names what comes after the release


def _edge_numbers(edge: LinkEdge) -> Iterator[int]:
    yield from (edge.begun, edge.ended, edge.whole, edge.past)
    for _, bit in (*bits_of(edge.up), *bits_of(edge.down)):
        yield from _bit_numbers(bit)


def _bit_numbers(bit: Bit) -> Iterator[int]:
    yield from (bit.seq, bit.came, bit.dated, *(each.seq for each in bit.covers))
