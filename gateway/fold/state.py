"""What the fold keeps: a row a key, an edge an (account, key) pair, the voided screens. Never changed in place."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from gateway.fold.record import GrantName, KeyAge
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Purpose, Source

Place = bytes | tuple[bytes, bytes]  # of a row its key; of an edge account and member; of the head HEAD
KeptPlace = tuple[Purpose, bytes, bytes]  # purpose, who said it, what it came through
StateName = tuple[str, str, Purpose]  # source, mark of the installation, purpose
Voids = Mapping[str, int]  # each screen that was voided, with the record that did so
Get = Callable[[Place], Any]  # None where nothing lies
HEAD: Place = b"head"  # no key: those have 16 bytes
NOTHING: Mapping[Any, Any] = MappingProxyType({})
SEVERAL = "*"  # in place of a mark: more than one said it, so that no one of them can take it back
NOBODY = b"nobody"  # no key: whose cover no later yes takes the place of
NO_RECORD = -1  # in place of one: it never came, or is forgotten
FOR_EVER = sys.maxsize  # milliseconds; later than any date that is said


class Cover(NamedTuple):  # a yes over a no
    by: bytes
    seq: int
    screen: str  # were that voided, the no is there again
    only: tuple[bytes, ...] = ()  # for which identifiers it holds, of a digest of several; empty: for all


class Bit(NamedTuple):  # a no to one purpose, which denies while none of its covers holds
    who: bytes  # said it; of somebody who is forgotten a random key
    seq: int  # the record that said it last
    came: int  # the record that brought it to this place
    source: str  # for who shows somebody what denies them; the fold asks of it only whether it is a state's list
    mark: str
    dated: int = NO_RECORD  # the last record by which they said it themselves
    covers: tuple[Cover, ...] = ()

    def denies(self, voids: Voids, root: bytes | None = None) -> bool:
        """Whether no cover holds. `root`: for which identifier, where it lies with a digest of several."""
        return not self.covers or not any(
            each.screen not in voids and (not each.only or root in each.only) for each in self.covers
        )

    def is_order(self) -> bool:
        """Whether a state's deletion list says it. It lies apart from what somebody said: once the list takes it back
        it is as if it had never been there.
        """
        return self.source == Source.DROP

    def whose(self) -> tuple[bytes, bool]:
        """Who says it, and whether a list does so for them."""
        return self.who, self.is_order()

    def ends(self) -> int:
        """Which grants it ends: those before this record; of one that stays of somebody forgotten none."""
        return self.came if self.seq > NO_RECORD else NO_RECORD


Bits = Mapping[Purpose, tuple[Bit, ...]]  # of one side of an edge


def bits_of(side: Bits) -> Iterator[tuple[Purpose, Bit]]:
    """Each with its purpose."""
    return ((purpose, bit) for purpose, bits in side.items() for bit in bits)


class Allowed(NamedTuple):  # a yes to one purpose, at the very key that said it
    seq: int
    screen: str
    informed: bool
    parental: bool


class GrantGiven(NamedTuple):
    seq: int
    screen: str
    until: int | None  # of a directed act
    child: bool = False  # a child's own, which counts while a parent's yes to the purpose does (R14)


class KeyRow(NamedTuple):  # all that is kept of one key. Behind each: what it is; who reads it; what ends it
    own: Mapping[Purpose, Bit] = NOTHING  # its noes; its names, mailbox, looser forms, accounts; a yes covers them
    orders: Mapping[Purpose, Bit] = NOTHING  # the same of a state's list, as if nothing else was said
    ins: Mapping[Purpose, Allowed] = NOTHING  # its yeses; itself; a no here, any word of its mailbox, a release, a void
    kept: Mapping[KeptPlace, Bit] = NOTHING  # of who is forgotten; itself, what it has; a yes of what they came by
    states: Mapping[StateName, tuple[bytes, ...]] = NOTHING  # for whom each is over; its names; its own source
    grants: Mapping[GrantName, GrantGiven] = NOTHING  # itself; a later no that it reads, a use, a release, a void
    told: Mapping[str, int] = NOTHING  # the day of each notice; itself; a release that ends links
    age: KeyAge | None = None  # its names, and what has it as an account; the desk, unless it is fixed
    words: Mapping[str, str] = NOTHING  # a band an installation; its names, until an account ever had it; taken back
    since: int = 0  # the first record of its present holder (R5): which noes go up; the next release
    targets: Mapping[bytes, int] = NOTHING  # identifiers that it is an exact name of, since which record; nothing
    names: Mapping[bytes, int] = NOTHING  # the other way
    owners: Mapping[bytes, int] = NOTHING  # identifiers that it is a looser form of; nothing
    looser: Mapping[bytes, int] = NOTHING  # the other way
    box: bytes | None = None  # the plainest spelling of its mailbox; nothing
    spellings: Mapping[bytes, int] = NOTHING  # the other way
    accounts: Mapping[bytes, int] = NOTHING  # those with an edge to it, whichever name they were told; nothing
    members: Mapping[bytes, int] = NOTHING  # the other way
    places: tuple[str, ...] = ()  # where its person said to be; its names, and what has it as an account; a release

    def noes(self) -> Iterable[tuple[Purpose, Bit]]:
        """All that denies by what was said at this key, whoever said it."""
        return chain(self.own.items(), self.orders.items()) if self.orders else self.own.items()

    def is_alone(self) -> bool:
        """Whether nobody else hears of what it says."""
        return not (self.accounts or self.names or self.targets or self.box or self.spellings)


class LinkEdge(NamedTuple):  # an account and a key that it has, had, or has another name or form of
    start: int = NO_RECORD  # read to see whether a link that is told again says anything new
    until: int | None = None
    claimed: bool = False  # by an app's word alone: nothing goes up
    begun: int = NO_RECORD  # the one by which it has it
    ended: int = NO_RECORD  # the one by which it has it no more
    whole: int = NO_RECORD  # the last one by which it had it by more than an app's word; read by what came back
    past: int = NO_RECORD  # what had come before this record is in `down` already, for its date is over
    up: Bits = NOTHING  # what the member said; the account and all that it has; a yes of either
    down: Bits = NOTHING  # what stayed; the member; its yes, or the account's once back

    def lives(self) -> bool:
        """For a no: until its end is on record."""
        return self.begun != NO_RECORD and self.ended == NO_RECORD

    def lifts(self, at: int) -> bool:
        """For what lifts a no it is over at its date as well: clocks may be wrong, and in doubt a no stays."""
        return self.lives() and (self.until is None or self.until > at)

    def carries(self, at: int | None = None) -> bool:
        """Whether what is said goes up by it: it is more than an app's word. `at`: for what lifts a no, then."""
        return not self.claimed and (self.lives() if at is None else self.lifts(at))


Piece = TypeVar("Piece", KeyRow, LinkEdge)
EMPTY, NO_EDGE = KeyRow(), LinkEdge()
FIELDS = {name: place for each in (KeyRow, LinkEdge) for place, name in enumerate(each._fields)}


def anew(was: Piece, fields: Mapping[str, Any]) -> Piece:
    """With some fields changed, in a third of the time of `_replace`."""
    now = list(was)
    for name, value in fields.items():
        now[FIELDS[name]] = value
    return tuple.__new__(type(was), now)


class Slate:
    """The state while one record is folded: what is read comes from `get`, once, and what is changed stays here."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._met: dict[Place, Any] = {}
        self.changes: dict[Place, Any] = {}
        self.voids: Voids = get(HEAD) or NOTHING

    def row(self, key: bytes) -> KeyRow:
        found: KeyRow = self._met.get(key) or self._first(key, EMPTY)
        return found

    def edge(self, account: bytes, member: bytes) -> LinkEdge:
        place = (account, member)
        found: LinkEdge = self._met.get(place) or self._first(place, NO_EDGE)
        return found

    def _first(self, place: Place, nothing: KeyRow | LinkEdge) -> Any:
        found = self._met[place] = self._get(place) or nothing
        return found

    def void(self, screen: str, seq: int) -> None:
        self.voids = self.changes[HEAD] = {**self.voids, screen: seq}

    def put(self, key: bytes, **fields: Any) -> None:
        self._met[key] = self.changes[key] = anew(self.row(key), fields)

    def put_edge(self, account: bytes, member: bytes, seq: int, **fields: Any) -> None:
        """Both ends know of it."""
        place = (account, member)
        self._met[place] = self.changes[place] = anew(self.edge(account, member), fields)
        if account not in (row := self.row(member)).accounts:
            self.put(member, accounts={**row.accounts, account: seq})
            self.put(account, members={**self.row(account).members, member: seq})


@cache
def widened(purposes: tuple[Purpose, ...]) -> tuple[Purpose, ...]:
    """What an opt-out denies: at a third party sale, sharing and targeted ads are one thing, so a no to one of them is
    a no to all three (R3, R25). The record keeps what was said.
    """
    said = {*purposes}
    if not said.isdisjoint(SIGNAL_PURPOSES):
        said.update(SIGNAL_PURPOSES)
    return tuple(each for each in CHOOSABLE if each in said)


def denied_by_state(source: str, purposes: tuple[Purpose, ...]) -> tuple[Purpose, ...]:
    """What a state denies: the same; but what an id has from the others of its phone is told as it is, for a yes to one
    of the three may have taken that from it.
    """
    return purposes if source == Source.INSTALLATION else widened(purposes)
