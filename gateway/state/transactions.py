"""Writing the state: a slice of the log folded in one transaction, a copy's places put as they come. Nothing outlives
its `with`. Whoever follows the log calls it (`upkeep`), and a replica's follower.

What stands of somebody of whom nothing was known, or of an account and an identifier that it has from then on, differs
from what stands of the last such one in keys and numbers alone: so it is filled into a form with holes, in place of
folding, reading and packing a dozen rows. No rule is written a second time: a form is made by folding stand-ins, and
taken only where other stand-ins, several times, come out of it byte by byte as they do out of the fold.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, Self

import lmdb

from gateway.fold import fold
from gateway.fold.record import Kept, LinkSaid, NamesLearnt, Record, SaidOut
from gateway.fold.state import EMPTY, HEAD, NO_EDGE, KeyRow, LinkEdge, Place
from gateway.state.environment import StateMap, StateRefused
from gateway.state.fronts import CrowdedAccount, Fronts, crowd_key, crowd_of, has_many, is_crowded, unpack_crowd
from gateway.state.lookup import StatePlaces
from gateway.state.packed_rows import (
    ANY_DIGEST,
    CHANGED,
    EDGE_BYTES,
    HEAD_KEY,
    KEY_BYTES,
    LEFT_KEY,
    PlaceChanges,
    StateHead,
    forget_gone,
    moved_at,
    pack_edge,
    pack_number,
    place_key,
    says_all,
    tail_of,
    unpack_head,
)

MOST_FORMS = 2048  # kept at once
TRIALS = 4  # stand-ins that a form is tried with: one order of two among them passes by luck
MOST_RECORDS = 8  # records of one stranger: of an address with its looser forms
FIRST = 256  # the first entry with a number that cannot be taken for something else
STARTS = range(2**40, 2**41)  # milliseconds of 2004 to 2039: when a link began, a number that is as long as any of them
WIDTHS = (FIRST, 2**16, 2**32)  # from which entry on a number is a longer one
PlacedBytes = tuple[bytes, bytes]  # a place, and what lies there
Made = Callable[[Sequence[Record], Sequence[int]], Mapping[bytes, bytes]]


class Stranger(NamedTuple):
    """All that one entry says of somebody, and of nobody else but the account that has them. `keys`: theirs first, then
    their names' and the account's, each once; `positions`: behind each record.
    """

    records: Sequence[Record]
    positions: Sequence[int]
    keys: Sequence[bytes]

    def like(self) -> tuple[Any, ...]:
        """What is the same of all who fill the same form."""
        seq, first = self.records[0].seq, self.positions[0]
        words = [_word(each) for each in self.records]
        return sum(seq >= each for each in WIDTHS), *[each - first for each in self.positions], *words

    def values(self) -> list[bytes]:
        """What stands in the holes."""
        starts = [pack_number(said.start) for each in self.records if isinstance(said := each.said, LinkSaid)]
        return [*self.keys, pack_number(self.records[0].seq), *map(CHANGED.pack, self.positions), *starts]

    def stand_in(self) -> "Stranger":
        """Somebody else who is like them."""
        seq, start = self.records[0].seq, int.from_bytes(os.urandom(6), "big")
        width = max(each for each in WIDTHS if each <= seq)
        other = width + int.from_bytes(os.urandom(8), "big") % (width * (width if width == FIRST else 2**15) - width)
        keys = [os.urandom(KEY_BYTES) for _ in self.keys]
        given = dict(zip(self.keys, keys, strict=True))
        records = [each._replace(seq=other, key=keys[0], said=_renamed(each.said, given)) for each in self.records]
        return Stranger(records, [start + each - self.positions[0] for each in self.positions], keys)


def stranger_of(records: Sequence[Record], positions: Sequence[int]) -> Stranger | None:
    """None: these are not what a form can be made of."""
    keys, seq = [records[0].key], records[0].seq
    for each in records:
        said = each.said
        if isinstance(said, NamesLearnt):
            keys += [*said.same, *said.looser, *((said.mailbox,) if said.mailbox else ())]
        elif isinstance(said, LinkSaid):
            if said.until is not None or said.start not in STARTS:
                return None
            keys.append(said.account)
        elif not isinstance(said, SaidOut) or said.mark:
            return None
    whole = seq >= FIRST and len(records) <= MOST_RECORDS and len({*keys}) == len(keys)
    return Stranger(records, positions, keys) if whole else None


def _word(record: Record) -> tuple[Any, ...]:
    said = record.said
    if isinstance(said, NamesLearnt):
        return len(said.same), len(said.looser), said.mailbox is not None
    return (LinkSaid, record.account, said.claimed) if isinstance(said, LinkSaid) else (record.account, *said)


def _renamed(said: Any, given: Mapping[bytes, bytes]) -> Any:
    if isinstance(said, LinkSaid):
        start = STARTS.start + int.from_bytes(os.urandom(8), "big") % len(STARTS)
        return said._replace(account=given[said.account], start=start)
    if not isinstance(said, NamesLearnt):
        return said
    names, looser = ([given[each] for each in some] for some in (said.same, said.looser))
    return NamesLearnt((*names,), (*looser,), given[said.mailbox] if said.mailbox else None)


class RowForm(NamedTuple):
    """What lies in some places, as all names of an identifier have the same: under which of a stranger's keys each of
    these is, an edge under two; what lies there but for its holes; and what stands in those.
    """

    places: Sequence[Sequence[int]]
    text: bytes
    holes: Callable[[Sequence[bytes]], tuple[bytes, ...]]


NOT_TRIED: list[RowForm] = []


class StrangerForms:
    """Those that were made so far. `made`: what the fold makes of the records of somebody of whom nothing is known, by
    place, as it is written.
    """

    def __init__(self, made: Made) -> None:
        self._made = made
        self._forms: dict[tuple[Any, ...], list[RowForm] | None] = {}

    def rows(self, stranger: Stranger) -> list[PlacedBytes] | None:
        """(key, what lies there) of each row and edge; None: there is no form for it."""
        like, forms = stranger.like(), self._forms
        form = forms.get(like, NOT_TRIED)
        if form is NOT_TRIED:
            form = self._form_of(stranger)
            if len(forms) >= MOST_FORMS:
                forms.clear()  # a state that is made beside ours may just look for its own
            forms[like] = form
        return None if form is None else _filled(form, stranger)

    def _form_of(self, stranger: Stranger) -> list[RowForm] | None:
        """None where it does not come out as it should."""
        one = stranger.stand_in()
        form = _with_holes(self._made(one.records, one.positions), one)
        if form is None:
            return None
        for _ in range(TRIALS):
            other = stranger.stand_in()
            if dict(_filled(form, other)) != self._made(other.records, other.positions):
                return None
        return form


def _with_holes(rows: Mapping[bytes, bytes], stranger: Stranger) -> list[RowForm] | None:
    """None where something lies elsewhere than with the stranger."""
    values, places = stranger.values(), {key: number for number, key in enumerate(stranger.keys)}
    longest_first = sorted({*values}, key=len, reverse=True)
    holes = re.compile(b"|".join(map(re.escape, longest_first)), re.DOTALL)
    form, alike = list[RowForm](), defaultdict[bytes, list[list[int]]](list)
    for place, packed in rows.items():
        keys = [place[at : at + KEY_BYTES] for at in range(0, len(place), KEY_BYTES)]
        if not places.keys() >= {*keys}:
            return None
        alike[packed].append([places[each] for each in keys])
    for packed, lie in alike.items():
        text = b"%b".join(each.replace(b"%", b"%%") for each in holes.split(packed))
        form.append(RowForm(lie, text, _several([values.index(each) for each in holes.findall(packed)])))
    return form


def _several(numbers: Sequence[int]) -> Callable[[Sequence[bytes]], tuple[bytes, ...]]:
    """`itemgetter` that always gives several."""
    if len(numbers) > 1:
        return itemgetter(*numbers)
    return lambda values: tuple(values[number] for number in numbers)


def _filled(form: Sequence[RowForm], stranger: Stranger) -> list[PlacedBytes]:
    values = stranger.values()
    found = list[PlacedBytes]()
    for row in form:
        packed = row.text % row.holes(values)
        found += [(b"".join([values[key] for key in place]), packed) for place in row.places]
    return found


class StateWrite(StatePlaces):
    """Several records folded in one transaction, which also moves the position: all of it is there, or nothing."""

    def __init__(self, held: StateMap) -> None:
        super().__init__()
        self._held = held
        self._changed = set[Place]()
        self._crowds = set[bytes]()  # keys that are crowded from now on
        self._before: dict[tuple[bytes, bytes], LinkEdge] = {}  # what lay at the edges that changed
        self._lay: dict[Place, bytes | None] = {}
        self._cursor: lmdb.Cursor | None = None
        self._run: list[tuple[Record, int]] = []  # what one entry says of one key, not folded yet
        self._spoken_of, self._left_with = set[bytes](), set[bytes]()

    def __enter__(self) -> Self:
        self._txn = self._held.begin_writing()
        self._places = PlaceChanges(self._txn)
        try:
            self.head = unpack_head(self._txn.get(HEAD_KEY))
        except BaseException:
            self._txn.abort()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._txn.abort()  # of what was not finished; else it does nothing

    def _packed(self, place: Place) -> bytes | None:
        """As it lay there before this transaction: asked once by the fold, and once more when it is written."""
        if place not in self._lay:
            self._lay[place] = super()._packed(place)
        return self._lay[place]

    def fold(self, record: Record, position: int) -> None:
        """The next record of the log, and the position behind it."""
        run = self._run
        if run and (record.seq, record.key) != (run[0][0].seq, run[0][0].key):
            self.settle()
        self._run.append((record, position))
        self.head = self.head._replace(position=position)
        self.hear_of(record)

    def hear_of(self, record: Record) -> None:
        """Whose kind has to be known, for it may be a digest: not that of an account, nor of whoever is said to have
        names. What stays of somebody forgotten stays with each name of an identifier alike.
        """
        if not record.key or record.account or isinstance(record.said, NamesLearnt):
            return
        is_left = isinstance(record.said, Kept) and (self.get(record.key) or EMPTY).targets
        (self._left_with if is_left else self._spoken_of).add(record.key)

    def heed(self, kinds: Callable[[Collection[bytes]], Collection[tuple[bytes, str]]]) -> None:
        """Before `finish`: which digests were named alone by what was folded. `kinds`: (key, kind) of those of whom the
        log knows it; whoever else was spoken of may be a digest of any kind.
        """
        if self.head.alone != ANY_DIGEST:
            found = kinds(self._spoken_of | self._left_with)
            unknown = self._spoken_of - {key for key, _ in found}
            alone = ANY_DIGEST if unknown else ANY_DIGEST & {kind for _, kind in found}
            self.head = self.head._replace(alone=self.head.alone | alone)

    def settle(self) -> None:
        """Before anything is read: what waits is folded, or filled into a form where nothing is known of whom it is
        about.
        """
        run, self._run = self._run, []
        if run and not self._is_filled(run):
            for each in run:
                self._fold(*each)

    def _is_filled(self, run: Sequence[tuple[Record, int]]) -> bool:
        stranger = stranger_of([record for record, _ in run], [position for _, position in run])
        if stranger is None or any(map(self._found.get, stranger.keys)):
            return False
        cursor = self._cursor = self._cursor or self._txn.cursor()
        if cursor.getmulti([*stranger.keys]) or not (rows := FORMS.rows(stranger)):
            return False
        self._places.put_first(rows, cursor)
        for key, _ in rows:
            place = key if len(key) == KEY_BYTES else (key[:KEY_BYTES], key[KEY_BYTES:])
            self._found.pop(place, None)
            self._lay.pop(place, None)
        return True

    def _fold(self, record: Record, position: int) -> None:
        changes = fold(record, self.get)
        if HEAD in changes:
            self.head = self.head._replace(voids=changes.pop(HEAD), voided=position)
            self._found[HEAD] = self.head.voids
        self._change(changes, position)

    def replace(self, found: Mapping[Place, Any], position: int) -> None:
        """What lies at some places, or None where nothing does; up to a position of the log. Both ends of what goes are
        among them: whoever read through one of these still belongs with the other.
        """
        self.settle()
        if found:
            _leave(self._txn)
        self._change(found, position)

    def _change(self, found: Mapping[Place, Any], position: int) -> None:
        for place, each in found.items():
            if isinstance(place, bytes) and is_crowded(each or EMPTY) and not is_crowded(self.get(place) or EMPTY):
                self._crowds.add(place)
            if isinstance(place, tuple):
                self._before.setdefault(place, self.get(place) or NO_EDGE)
            self._found[place] = each
            self._last[place] = position
        self._changed.update(found)

    def finish(self, root: bytes, position: int, entries: int) -> None:
        """`root` and `entries`: of the log at the position that it has come to, which may be behind the last record.
        Raises lmdb.Error; then nothing is written.
        """
        self.settle()
        self.head = self.head._replace(root=root, position=position, entries=entries)
        self._put_places()
        self._txn.put(HEAD_KEY, self.head.pack())
        self._txn.commit()

    def _put_places(self) -> None:
        kept, changes = Fronts(self.get, self._last, self._crowds), self._places
        for place in self._changed:
            if self._found[place] is None:
                changes.delete(place_key(place), self._last[place])
            elif isinstance(place, tuple):
                changes.put(place_key(place), pack_edge(self._found[place], self._last[place]), self._packed(place))
        for key in kept.reached(self._changed):
            if self.get(key) is not None:
                self._put_row(changes, key, kept)
        changes.finish()
        self._put_crowds()

    def _put_crowds(self) -> None:
        changed: dict[bytes, list[bytes]] = {each: [] for each in self._changed if isinstance(each, bytes)}
        for account, member in self._before:
            changed.setdefault(account, []).append(member)
        for account, members in changed.items():
            row = self.get(account) or EMPTY
            if has_many(row):
                self._txn.put(crowd_key(account), self._crowd(account, row, members).pack(row))
            elif row.members or members:
                self._txn.delete(crowd_key(account))

    def _crowd(self, account: bytes, row: KeyRow, members: Sequence[bytes]) -> CrowdedAccount:
        """As it is once the edges to some members are others."""
        packed = self._txn.get(crowd_key(account))
        if packed is not None:
            crowd = unpack_crowd(packed)[0]
            for member in members:
                place = (account, member)
                crowd.change(member, self._before[place], self._found[place] or NO_EDGE, self._last[place])
            if not crowd.is_short():
                return crowd
        return crowd_of(account, row.members, self.get, self._last)

    def _put_row(self, changes: PlaceChanges, key: bytes, kept: Fronts) -> None:
        """Where it says something else now, also in what it says only by others."""
        before, front = self._packed(key) or b"", kept.front_of(key)
        if not says_all(front):
            front = moved_at(front, self.head.position)
        elif key not in self._changed and before.startswith(front):
            return
        packed = front + (kept.tail(key) if key in self._changed else tail_of(before))
        changes.put(key, packed, before or None)


class _Nowhere(dict[bytes, bytes]):
    """A state of which nothing is kept, for `StateWrite`: what it writes of one stranger is to be seen."""

    put = dict.__setitem__

    def delete(self, key: bytes) -> None:
        self.pop(key, None)

    def begin_writing(self) -> Self:
        return self

    def abort(self) -> None: ...


def made_of_stranger(records: Sequence[Record], positions: Sequence[int]) -> dict[bytes, bytes]:
    """What the fold makes of somebody of whom nothing is known, by place."""
    nowhere: Any = _Nowhere({HEAD_KEY: StateHead("", positions[-1]).pack()})
    with StateWrite(nowhere) as write:
        for record, position in zip(records, positions, strict=True):
            write._fold(record, position)  # noqa: SLF001 - by the rules, not by a form
        write._put_places()  # noqa: SLF001
    return {key: packed for key, packed in nowhere.items() if len(key) in {KEY_BYTES, EDGE_BYTES}}


FORMS = StrangerForms(made_of_stranger)


def read_head(held: StateMap) -> tuple[StateHead, int]:
    """And how often its pages were left with what was replaced. Raises `NotAState`, lmdb.Error."""
    with held.env.begin() as txn:
        return unpack_head(txn.get(HEAD_KEY)), _times_left(txn)


def _leave(txn: lmdb.Transaction) -> None:
    """Pages are left with what is replaced."""
    txn.put(LEFT_KEY, (_times_left(txn) + 1).to_bytes(8, "big"))


def _times_left(txn: lmdb.Transaction) -> int:
    return int.from_bytes(txn.get(LEFT_KEY, b""), "big")


def write_copied(held: StateMap, places: Mapping[bytes, bytes | None], head: StateHead) -> None:
    """Places as they lie in another environment, or None where nothing does any more, and its head. Raises
    `StateRefused`; then nothing is written.
    """
    try:
        with held.begin_writing() as txn:
            went = 0
            for place, packed in places.items():
                if packed is None:
                    went += txn.delete(place)
                else:
                    txn.put(place, packed)
            if went:
                _leave(txn)
            txn.put(HEAD_KEY, head.pack())
    except lmdb.Error as error:
        raise StateRefused(f"{type(error).__name__}: {error}") from error


def forget_before(held: StateMap, *, anew: bool = False) -> None:
    """What went. `anew`: of one that was made without it, for nobody knows what lay in the one before it. Under the
    writers' lock. Raises lmdb.Error.
    """
    with held.begin_writing() as txn:
        head = unpack_head(txn.get(HEAD_KEY))
        forget_gone(txn, head.position if anew and head.entries else 0)  # before the first entry there was nobody
