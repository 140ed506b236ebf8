"""Reading the state of this host: one moment of it, and on that the look-up of standings and grants by key, in process,
without a queue or a thread hop. Checks call it.

Nothing is answered but where somebody vouches that the state follows the log which is being written, and by a proof
that was there before the reading and still stands behind it: a process may have been paused in between.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, Self, TypeVar, cast

import lmdb

from gateway.choice.question import Grant
from gateway.choice.standing import Stale, Standing, Vouching, alike
from gateway.fold.kin import edges_of, family
from gateway.fold.reading import come_back, grants_of, read_noes, standing_of
from gateway.fold.state import HEAD, NO_RECORD, KeyRow, LinkEdge, Place, Slate
from gateway.state.environment import StateForeign, StateMap, StateRefused
from gateway.state.fronts import Fronts, crowd_key, read_crowd, speaks_for_few
from gateway.state.packed_rows import (
    ANY_DIGEST,
    CHANGED,
    EDGE_BYTES,
    FOLD,
    HEAD_KEY,
    KEY_BYTES,
    AnothersFormat,
    ChangedPart,
    NotAState,
    StateHead,
    front_standing,
    is_of_many,
    own_change_at,
    place_key,
    read_changes,
    read_gone,
    says_all,
    tail_of,
    unpack_edge,
    unpack_head,
    unpack_tail,
)
from gateway.terms import Purpose

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
T = TypeVar("T")


class Reached(NamedTuple):
    """How far a state had come when something was read. Of two generations nobody knows which is the later."""

    generation: str
    position: int


class HeadRead(NamedTuple):
    """The head as of a commit, proved to be of these rules and of peppers of this `epoch`. `screens`: its bits."""

    commit: int
    epoch: int
    head: StateHead
    screens: int
    reached: Reached


UNREAD = HeadRead(-1, -1, StateHead(""), 0, Reached("", 0))  # no commit has this number


class StatePlaces:
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


class StateMoment(StatePlaces):
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

    def links(self, key: bytes) -> list[tuple[bytes, LinkEdge]]:
        """Of all accounts that have or had an identifier, by any of its names."""
        slate = Slate(self.get)
        edges = edges_of(slate, family(slate, key))
        return [(account, edge) for account, _, edge in edges if edge.begun != NO_RECORD]

    def names(self, key: bytes) -> set[bytes]:
        """All names of the identifiers that a key is a name of."""
        return family(Slate(self.get), key)

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


TORN_PAGES = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.PanicError, NotAState)


def is_torn_page(error: object) -> bool:
    """Whether it tells of a page that does not hold what was written. A process of another version says nothing about
    what it cannot read: others of this host answer from it.
    """
    return isinstance(error, TORN_PAGES) and not isinstance(error, AnothersFormat)


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


class Seen(NamedTuple):
    """`position`: how many entries the ledger held; `reached`: by what to ask whether anything changed since. `alike`:
    what the standings say, each word once (`choice.standing.alike`). `alone`: the kinds of which digests
    of ad ids were named without the id; of each other digest stands what does of the first. `beside`: what stands of
    those that were asked about beside them; None: none were.
    """

    position: int
    standings: tuple[Standing, ...]
    reached: Reached | None
    alike: tuple[Standing, ...] = ()
    alone: frozenset[str] = ANY_DIGEST
    beside: tuple[Standing, ...] | None = None


def earliest(several: Collection[Reached | None]) -> Reached | None:
    """The one by which nothing is overlooked that came after any of them. None: there is none."""
    known = [each for each in several if each is not None]
    return min(known) if len(known) == len(several) and len({each.generation for each in known}) == 1 else None


class EntryFacts(Protocol):
    """What only the log's entries tell (`desk.history`). Raises `LookupRefused`."""

    def event(self, seq: int) -> str | None: ...
    def began(self, names: Collection[bytes], sources: Collection[str]) -> int | None:
        """The last entry by which a state of one of these sources began that any of these names told."""


class StateLookup:
    """What checks look up. Keys are 16 bytes (`gateway.keys.secret_files`). Each call raises `LookupRefused` rather
    than answer from doubt. `opened`: the state at the moment of asking, or `StateRefused`.
    """

    def __init__(
        self,
        opened: Callable[[], StateMoment],
        vouches: Vouching,
        clock: Callable[[], datetime],
        facts: EntryFacts,
    ) -> None:
        self._opened, self._vouches, self._clock, self._facts = opened, vouches, clock, facts
        self.named_alone = ANY_DIGEST  # as of the last look; what counts is what is `seen`

    def seen(self, keys: Sequence[bytes], *, numbered: bool = False, beside: Sequence[bytes] = ()) -> Seen:
        """The standings that exist, in no order, as of one position; an unknown key has none. `numbered`: each
        with the entry of the last no that it has, which costs more, and nothing beside them. `beside`: keys that are
        told apart.
        """
        if numbered:
            return self._numbered(keys)

        def read(moment: StateMoment) -> tuple[list[tuple[bytes, Standing]], Any, StateHead, Reached]:
            others = moment.standings(beside, self._now) if beside else None
            return moment.standings(keys, self._now), others, moment.head, moment.reached

        found, others, head, reached = self._at(read)
        standings = tuple([standing for _, standing in found])
        told_apart = None if others is None else tuple([standing for _, standing in others])
        self.named_alone = head.alone
        like = alike(standings) if standings else ()
        return Seen(head.entries, standings, reached, like, head.alone, told_apart)

    def _numbered(self, keys: Sequence[bytes]) -> Seen:
        def read(moment: StateMoment) -> tuple[list[tuple[Standing, set[bytes]]], int, Reached]:
            found = [
                (replace(standing, seq=moment.last_no(key)), moment.names(key) if standing.held else set[bytes]())
                for key, standing in moment.standings(keys, self._now)
            ]
            return found, moment.head.entries, moment.reached

        found, entries, reached = self._at(read)
        standings = tuple(
            [
                replace(each, seq=self._began(names, each.held)) if each.seq is None and names else each
                for each, names in found
            ]
        )
        return Seen(entries, standings, reached, alike(standings))

    def _began(self, names: Collection[bytes], held: Collection[str]) -> int | None:
        """None also where nobody says it in time: the answer is the same, and names no entry."""
        try:
            return self._facts.began(names, held)
        except Stale:
            return None

    def proof(self) -> float | None:
        """The newest proof that answers may be trusted now; None: there is none. Another one comes twice a second."""
        return self._vouches.proof()

    def version(self) -> object:
        """What is another one after any change of what can be looked up, by whichever process, and after each proof.
        Equal versions: whatever was answered before would be answered again.
        """
        return self._at(lambda moment: (self._vouches.fresh_until, *moment.reached))

    def changed_since(self, keys: Sequence[bytes], reached: Reached) -> bool:
        """Whether any of the standings may have changed since."""
        return self._at(lambda moment: moment.moved(keys, reached))

    def tied(self, account: bytes, identifier: bytes) -> bool:
        """Whether an account has an identifier now, by more than an app's word."""
        edge = self._at(lambda moment: moment.get((account, identifier)))
        return edge is not None and edge.lifts(self._now()) and not edge.claimed

    def unnamed(self, account: bytes, forms: Sequence[bytes]) -> bool:
        """Whether anything stands of other forms of an account's name that are not known to be its own."""

        def read(moment: StateMoment) -> bool:
            names = moment.names(account)
            return any(each not in names and moment.get(each) is not None for each in forms)

        return self._at(read)

    def links_of(self, key: bytes) -> list[tuple[bytes, bool, bool]]:
        """(account, whether only an app's word ties them, whether it has it now) of all that have or had an identifier,
        by any of its names.
        """
        links, now = self._at(lambda moment: moment.links(key)), self._now()
        return [(account, edge.claimed, edge.start <= now and edge.lifts(now)) for account, edge in links]

    def words_of(self, key: bytes) -> list[str]:
        """How old installations of apps said that somebody is, by any name of theirs, whether it counts or not."""
        rows = self._at(lambda moment: [moment.get(name) for name in moment.names(key)])
        return [band for row in rows if row for band in row.words.values()]

    def alone(self, mark: str, device: bytes, keys: Sequence[bytes]) -> frozenset[Purpose]:
        """What an installation came back from: the purposes that it opted in to, where each no that stands on any of
        the keys is its own (`fold.reading.come_back`).
        """
        return self._at(lambda moment: come_back(mark, device, keys, moment.get))

    def grants(self, keys: Sequence[bytes]) -> list[Grant]:
        """What these keys allowed one recipient or programme and is not over, the newest first."""
        return self._at(lambda moment: moment.grants(keys, self._now()))

    def log(self) -> str:
        """The name of the log that positions are of: another one once an older copy was put back."""
        return self._at(lambda moment: moment.head.log).partition(" ")[0]

    def voided(self, ui: str) -> bool:
        """Whether consents that were given on a screen count for nothing."""
        return ui in self._at(lambda moment: moment.head.voids)

    def event(self, seq: int) -> str | None:
        """The event id (base64url) of an entry about somebody; None for other entries."""
        return self._facts.event(seq)

    def _at(self, read: Callable[[StateMoment], T]) -> T:
        """What is read of one moment that is proved before and after, and no older than what was proved."""
        proof, reaches = self._vouches.proof(), self._vouches.reaches
        if proof is None:
            raise Stale
        try:
            with self._opened() as moment:
                if moment.reached.position < reaches:
                    raise Stale
                found = read(moment)
        except StateRefused as refused:
            raise Stale(str(refused)) from refused
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # rows that are whole and make no sense
            raise Stale(type(error).__name__) from error
        if not self._vouches.stands(proof):
            raise Stale
        return found

    def _now(self) -> int:
        return (self._clock() - EPOCH) // MILLISECOND
