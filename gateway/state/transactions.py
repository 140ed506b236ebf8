"""Transactions on the state: one to read, for each check, and one to write, for a slice of the log. Nothing of either
outlives its `with`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self, cast

import lmdb

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.fold import fold
from gateway.fold.kin import Alike, edges_of, family
from gateway.fold.reading import come_back, grants_of, read_noes, standing_of
from gateway.fold.record import Kept, NamesLearnt, Record
from gateway.fold.state import EMPTY, HEAD, NO_EDGE, NO_RECORD, KeyRow, LinkEdge, Place, Slate
from gateway.state.changes import (
    EDGE_BYTES,
    ChangedPart,
    PlaceChanges,
    forget_gone,
    own_change_at,
    read_changes,
    read_gone,
)
from gateway.state.crowded_accounts import (
    CrowdedAccount,
    crowd_key,
    crowd_of,
    read_crowd,
    speaks_for_few,
    unpack_crowd,
)
from gateway.state.environment import StateForeign, StateMap, StateRefused
from gateway.state.fronts import Fronts, has_many, is_crowded
from gateway.state.packed_rows import (
    ANY_DIGEST,
    CHANGED,
    FOLD,
    HEAD_KEY,
    KEY_BYTES,
    LEFT_KEY,
    AnothersFormat,
    NotAState,
    StateHead,
    front_standing,
    is_of_many,
    moved_at,
    pack_edge,
    pack_tail,
    place_key,
    says_all,
    tail_of,
    unpack_edge,
    unpack_head,
    unpack_tail,
)
from gateway.state.stranger_forms import StrangerForms, stranger_of
from gateway.terms import Purpose


class Reached(NamedTuple):
    """How far a state had come when something was read. Of two generations nobody knows which is the later."""

    generation: str
    position: int


class Tie(NamedTuple):
    """That an account has or had an identifier, by one of its names."""

    account: bytes
    name: bytes
    edge: LinkEdge

    def holds(self, now: int) -> bool:
        """Whether it has it at a moment in Unix milliseconds."""
        return self.edge.start <= now and self.edge.lifts(now)


class HeadRead(NamedTuple):
    """The head as of a commit, proved to be of these rules and of peppers of this `epoch`. `screens`: its bits."""

    commit: int
    epoch: int
    head: StateHead
    screens: int
    reached: Reached


UNREAD = HeadRead(-1, -1, StateHead(""), 0, Reached("", 0))  # no commit has this number


class _Places:
    """What the fold and its readings get their rows and edges from: each is unpacked once, and of rows that lie there
    alike, as most names of one identifier do, one for all.
    """

    def __init__(self) -> None:
        self.head = UNREAD.head
        self.latest = 0  # the largest last change of all that was read
        self._txn: lmdb.Transaction
        self._found: dict[Place, Any] = {}
        self._last: dict[Place, int] = {}  # the last change of each
        self._alike: dict[bytes, KeyRow] = {}  # by their bytes

    def get(self, place: Place) -> Any:
        """As the fold asks for it: None where nothing lies."""
        try:
            return self._found[place]
        except KeyError:
            found = self._found[place] = self._unpacked(place)
            return found

    def _unpacked(self, place: Place) -> Any:
        if place == HEAD:
            self.latest = max(self.latest, self.head.voided)
            return self.head.voids or None
        packed = self._packed(place)
        if packed is None:
            return None
        found, changed = self._row(packed) if isinstance(place, bytes) else unpack_edge(packed)
        self._last[place] = changed
        self.latest = max(self.latest, changed)
        return found

    def _row(self, packed: bytes) -> tuple[KeyRow, int]:
        tail = tail_of(packed)
        found = self._alike.get(tail)
        if found is None:
            found = self._alike[tail] = unpack_tail(tail)
        return found, own_change_at(packed)

    def _packed(self, place: Place) -> bytes | None:
        found: bytes | None = self._txn.get(place_key(place))
        return found


class StateMoment(_Places):
    """The state at one moment, for one check. Raises `StateRefused` where it may not be answered from."""

    def __init__(self, held: StateMap, epoch: int) -> None:
        super().__init__()
        self._held, self._epoch = held, epoch
        self._screens = 0
        self._few: dict[bytes, KeyRow | None] = {}
        self._spoke = False  # some of those for all
        self._walked = set[Place]()

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException as error:
            _refuse(error, self._held)
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._txn.abort()
        if raised[1] is not None:
            _refuse(raised[1], self._held)

    def _begin(self) -> None:
        held = self._held
        if held.mark.denies:
            raise StateRefused("it is behind the log, or was replaced")
        txn = self._txn = held.env.begin()
        try:
            read: HeadRead = held.last_head or UNREAD
            if txn.id() != read.commit or read.epoch != self._epoch:  # of the same commit it is the same head
                read = held.last_head = self._read_head()
        except BaseException:
            txn.abort()
            raise
        _, _, self.head, self._screens, self.reached = read

    def lies(self, keys: Iterable[bytes]) -> bool:
        """Whether anything lies at any of some keys."""
        with self._txn.cursor() as cursor:
            return bool(cursor.getmulti([*keys]))

    def standing(self, key: bytes, now: int) -> Standing | None:
        """What stands of a key; None: nothing ever did. `now` in Unix milliseconds, for what ends by its date."""
        packed = self._txn.get(key)
        return None if packed is None else self._by_front(packed, now) or self._by_speakers(key, now)

    def standings(self, keys: Iterable[bytes], clock: Callable[[], int]) -> list[tuple[bytes, Standing]]:
        """What stands of those of whom anything does: of a dozen keys that a check asks for, mostly of none. `clock`:
        Unix milliseconds.
        """
        get = self._txn.get
        known = [(key, packed) for key in keys if (packed := get(key)) is not None]
        if not known:
            return []
        now = clock()
        fronts: dict[bytes, Standing | None] = {}  # the names of one identifier mostly lie there alike
        for _, packed in known:
            if packed not in fronts:
                fronts[packed] = self._by_front(packed, now)
        return [(key, fronts[packed] or self._by_speakers(key, now)) for key, packed in known]

    def _by_front(self, packed: bytes, now: int) -> Standing | None:
        found = front_standing(packed, self._screens, now)
        if found is None:
            return None
        self.latest = max(self.latest, found[1])
        return found[0]

    def _by_speakers(self, key: bytes, now: int) -> Standing:
        """Without all members of any account, where that is as good."""
        found = standing_of(key, self._of_few, now)
        if not self._spoke:
            return found
        slate = Slate(self._of_few)
        if not slate.row(key).grants and speaks_for_few(slate, key):
            return found
        return standing_of(key, self.get, now)

    def _of_few(self, place: Place) -> Any:
        """As `get`, but of an account of many a few that are as good as all."""
        if not isinstance(place, bytes) or place == HEAD or place in self._found:
            return self.get(place)
        if place not in self._few:
            self._few[place] = self._read_few(place)
        return self._few[place]

    def _read_few(self, key: bytes) -> KeyRow | None:
        packed = self._txn.get(key)
        if packed is not None and is_of_many(packed):
            found = read_crowd(self._txn.get(crowd_key(key), b""), self._screens)
            if found is not None:
                self._spoke = True
                self.latest = max(self.latest, found[1], *CHANGED.unpack_from(packed))
                return found[0]
        row: KeyRow | None = self.get(key)
        return row

    def last_no(self, key: bytes) -> int | None:
        """The last record that said one of the noes that stand of a key; None: none, or it is forgotten."""
        slate = Slate(self.get)
        last = max((no.bit.seq for no in read_noes(slate, key) if no.holds(slate.voids)), default=NO_RECORD)
        return None if last == NO_RECORD else last

    def moved(self, keys: Iterable[bytes], since: Reached) -> bool:
        """Whether what stands of these may be another one than at a `reached` of before."""
        asked = [*keys]
        for key in asked:
            self.standing(key, 0)
        if since.generation != self.reached.generation or self.latest > since.position:
            return True
        floor, gone = read_gone(self._txn)  # of what went, as behind an unlink, there is no row to tell of it
        return floor > since.position or any(at > since.position and place in asked for at, place in gone)

    def ties(self, key: bytes) -> list[Tie]:
        """To all accounts that have or had an identifier, by any of its names."""
        slate = Slate(self.get)
        edges = edges_of(slate, family(slate, key))
        return [Tie(account, name, edge) for account, name, edge in edges if edge.begun != NO_RECORD]

    def names(self, key: bytes) -> set[bytes]:
        """All names of the identifiers that a key is a name of."""
        return family(Slate(self.get), key)

    def words(self, key: bytes) -> list[str]:
        """How old installations say that somebody is, by any name of an identifier, whether it counts or not."""
        slate = Slate(self.get)
        return [band for name in family(slate, key) for band in slate.row(name).words.values()]

    def came_back(self, mark: str, device: bytes, keys: Iterable[bytes]) -> frozenset[Purpose]:
        """See `fold.reading.come_back`."""
        return come_back(mark, device, keys, self.get)

    def grants(self, keys: Sequence[bytes], now: int) -> list[Grant]:
        """What these allowed one recipient and is not over, the newest first."""
        found = [grant for key in keys for grant in grants_of(key, self.get, now)]
        return sorted(found, key=lambda grant: -grant.seq)

    def changes(self, after: int, limit: int) -> ChangedPart:
        """What changed behind a position: whole positions, until there are so many places."""
        return read_changes(self._txn, after, limit, self.head.position)

    def packed(self, place: bytes) -> bytes | None:
        """As it lies there, for a copy; None: nothing does."""
        found: bytes | None = self._txn.get(place)
        return found

    def places(self) -> Iterator[bytes]:
        """Under what anything lies."""
        with self._txn.cursor() as cursor:
            yield from cast("Iterator[bytes]", cursor.iternext(keys=True, values=False))

    def crowd(self, account: bytes) -> tuple[bytes, bytes | None]:
        """What lies beside the row of an account of many, as `packed`, and where."""
        key = crowd_key(account)
        return key, self._txn.get(key)

    def beyond(self, places: Iterable[bytes]) -> set[bytes]:
        """The keys of which something else may stand although nothing changed that lies under them: those around what
        is so large that its changes are not carried on to them. Each is walked around once a moment.
        """
        wide = set[Place]()
        for place in places:
            keys = (place,) if len(place) < EDGE_BYTES else (place[:KEY_BYTES], place[KEY_BYTES:])
            rows = (self._txn.get(key) for key in keys)
            if not all(row is None or says_all(row) for row in rows):
                wide.update(key for key in keys if key not in self._walked)
        self._walked |= wide
        return Fronts(self.get, {}, Everybody()).reached(wide) if wide else set()

    def _read_head(self) -> HeadRead:
        head = unpack_head(self._txn.get(HEAD_KEY))
        prove_made_here(head, self._epoch)
        reached = Reached(self._held.folder.name, head.position)  # how far this generation has folded the log
        return HeadRead(self._txn.id(), self._epoch, head, head.screens, reached)


class Everybody(set[bytes]):
    """Every key is among them."""

    def __contains__(self, key: object) -> bool:
        return True


class StateWrite(_Places):
    """Several records folded in one transaction, which also moves the position: all of it is there, or nothing."""

    def __init__(self, held: StateMap) -> None:
        super().__init__()
        self._held = held
        self._changed = set[Place]()
        self._crowds = set[bytes]()  # keys that are crowded from now on
        self._before: dict[tuple[bytes, bytes], LinkEdge] = {}  # what lay at the edges that changed
        self._lay: dict[Place, bytes | None] = {}
        self._cursor: lmdb.Cursor | None = None
        self._tails: dict[Alike, bytes] = {}  # of the rows of names that are alike
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
        packed = front + (self._tail(key, kept) if key in self._changed else tail_of(before))
        changes.put(key, packed, before or None)

    def _tail(self, key: bytes, kept: Fronts) -> bytes:
        alike = kept.alike(key)
        if alike is None:
            return pack_tail(self._found[key])
        if alike not in self._tails:
            self._tails[alike] = pack_tail(self._found[key])
        return self._tails[alike]


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


TORN_PAGES = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.PanicError, NotAState)


def is_torn_page(error: object) -> bool:
    """Whether it tells of a page that does not hold what was written. A process of another version says nothing about
    what it cannot read: others of this host answer from it.
    """
    return isinstance(error, TORN_PAGES) and not isinstance(error, AnothersFormat)


def write_first_head(held: StateMap, head: StateHead) -> None:
    """Of a generation that is made."""
    with held.begin_writing() as txn:
        txn.put(HEAD_KEY, head.pack())


def prove_made_here(head: StateHead, epoch: int) -> None:
    """Raises `StateForeign` for a state of other rules, or whose keys are wrapped by other peppers."""
    if head.fold != FOLD:
        raise StateForeign(f"it was made by the fold number {head.fold}, this is number {FOLD}")
    if head.epoch != epoch:
        raise StateForeign(f"its keys are of the pepper epoch {head.epoch}, ours of {epoch}")


def _refuse(error: object, held: StateMap) -> None:
    """What cannot be read is refused, whatever it was that did not read; where it is the page, by all who read it."""
    if is_torn_page(error):
        held.mark.set_torn()
    if isinstance(error, lmdb.Error | NotAState):
        raise StateRefused(f"{type(error).__name__}: {error}") from error
