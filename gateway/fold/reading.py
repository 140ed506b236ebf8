"""A key as it is read: every no that reaches it, with where it lies, who said it, and since when it is read here; and
the standing and the grants that come out. What travels is read, not copied.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from gateway.choice.law import AGES
from gateway.choice.question import Grant
from gateway.choice.standing import IN, Standing, out_bits, with_state
from gateway.fold.kin import family, mailbox_names, mates, passed_on, roots, speakers
from gateway.fold.record import GrantName
from gateway.fold.state import FOR_EVER, NO_RECORD, Bit, Get, KeyRow, Slate, StateName, Voids, bits_of
from gateway.terms import DataClass, GrantKind, NoticeKind, Purpose, Source

NOTICES = (NoticeKind.PRIVACY, NoticeKind.CPNI)  # whose days a standing has


class NoPlace(StrEnum):  # where a no lies, as the key sees it that is asked about
    OWN = "own"  # said at this very key
    NAME = "name"  # said by another name of the identifier
    MAILBOX = "mailbox"  # said in another spelling
    ACCOUNT = "account"  # of an account that has it now
    UP = "up"  # sent up to this account by what it has or had
    DOWN = "down"  # stayed when an account had it no more
    KEPT = "kept"  # stayed of somebody who is forgotten
    LOOSER = "looser"  # of an identifier that this is a looser form of


class ReadNo(NamedTuple):
    """One no as one key reads it. `reach`: the record since which it is read here. `root`: the identifier for which it
    is. `via`: the account that it came through; that and `place` are for who shows somebody what denies them (P2).
    """

    purpose: Purpose
    bit: Bit
    place: NoPlace
    reach: int
    root: bytes
    via: bytes | None = None

    def holds(self, voids: Voids) -> bool:
        return self.bit.denies(voids, self.root)

    def arrived(self, voids: Voids) -> int:
        """The last record that made it deny here; `NO_RECORD`: it was lifted before it could be read."""
        first = max(self.bit.ends(), self.reach)
        covers = [each for each in self.bit.covers if not each.only or self.root in each.only]
        left = [each.seq for each in covers if each.screen not in voids]
        if not left:
            return max(first, *(voids[each.screen] for each in covers)) if covers else first
        return first if min(left) > first or min(left) == first > self.bit.came else NO_RECORD


Noes = tuple[Iterable[tuple[Purpose, Bit]], NoPlace, int, bytes, bytes | None]  # of one place, else as `ReadNo` has it


class Kin:
    """Whom a key belongs with, found once."""

    def __init__(self, slate: Slate, key: bytes) -> None:
        self.slate, self.key, self.row = slate, key, slate.row(key)
        rows = self.family = {name: slate.row(name) for name in family(slate, key)}
        # of most names nothing is
        told = {name for name, row in rows.items() if row.own or row.orders or row.states or row.accounts}
        self.speakers = {root: [each for each in speakers(slate, root) if each in told] for root in roots(slate, key)}
        self.edges = [(each, name, slate.edge(each, name)) for name, row in rows.items() for each in row.accounts]
        self.is_account = any(slate.edge(key, member).begun >= 0 for member in self.row.members)


def read_noes(slate: Slate, key: bytes) -> Iterator[ReadNo]:
    """All of them, those that are lifted too."""
    for bits, place, reach, root, through in _noes(Kin(slate, key)):
        for purpose, bit in bits:
            yield ReadNo(purpose, bit, place, reach, root, through)


def _noes(kin: Kin) -> Iterator[Noes]:
    slate, key, row = kin.slate, kin.key, kin.row
    for root in kin.speakers:
        yield from _at_root(kin, root)
    for member in row.members:  # of an account: what was sent up to it
        yield bits_of(slate.edge(key, member).up), NoPlace.UP, NO_RECORD, key, None
    for (purpose, _, via), bit in row.kept.items():
        yield ((purpose, bit),), NoPlace.KEPT, NO_RECORD, key, via
    for owner, since in row.owners.items():
        for bits, _, reach, root, through in _at_root(Kin(slate, owner), owner):
            others = [each for each in bits if each[1].who != key]  # nobody has from others what they said themselves
            yield others, NoPlace.LOOSER, max(reach, since), root, through


def _at_root(kin: Kin, root: bytes) -> Iterator[Noes]:
    slate, key = kin.slate, kin.key
    since, names = kin.row.targets.get(root, NO_RECORD), kin.speakers.get(root, (root,))
    reaches = {name: max(since, kin.family[name].targets.get(root, NO_RECORD)) for name in names}
    for name, reach in reaches.items():
        place = NoPlace.OWN if name == key else NoPlace.NAME
        yield kin.family[name].noes(), place, reach if name != key else NO_RECORD, root, None
    met = mates(slate, root)
    for mate, then in met.items():
        for name in speakers(slate, mate):
            yield slate.row(name).noes(), NoPlace.MAILBOX, max(since, then), root, None
    apart = {*kin.family}.union(*(family(slate, mate) for mate in met)) if met else kin.family.keys()
    for account, name, edge in kin.edges:
        if name not in reaches:
            continue
        # what stayed of an account that ever had it, and what one passes on that has it now
        stayed = (each for each in bits_of(edge.down) if each[1].who not in apart)
        yield stayed, NoPlace.DOWN, reaches[name], root, account
        if edge.lives():
            passed = passed_on(slate, account, apart, edge.past)
            yield passed, NoPlace.ACCOUNT, max(reaches[name], edge.begun), root, account


def standing_of(key: bytes, get: Get, now: int) -> Standing:
    """As a check and the pages read it; `now` in Unix milliseconds, for what ends by its date."""
    standing, linked = lasting_standing(key, get)
    return replace(standing, linked=True) if linked > now else standing


def lasting_standing(key: bytes, get: Get) -> tuple[Standing, int]:
    """What stands until something is said, as of nobody linked, and until when some account is known for it, in Unix
    milliseconds; 0: none is.
    """
    kin = Kin(slate := Slate(get), key)
    row, voids = kin.row, slate.voids
    ins = {each: allowed for each, allowed in row.ins.items() if allowed.screen not in voids}
    own = out_bits([each for each, bit in row.own.items() if bit.denies(voids)])
    informed = parental = out_bits(())
    for purpose, allowed in ins.items():
        own = with_state(own, purpose, IN)
        informed = with_state(informed, purpose, IN) if allowed.informed else informed
        parental = with_state(parental, purpose, IN) if allowed.parental else parental
    held = states_of(kin)
    others = ((bits, root) for bits, place, _, root, _ in _noes(kin) if place is not NoPlace.OWN)
    came = {each for bits, root in others for each, bit in bits if bit.denies(voids, root)}
    came |= {each for each, bit in row.orders.items() if bit.denies(voids)}  # no word of theirs: such a one is news
    denied, sources = out_bits(came | {purpose for _, _, purpose in held}), frozenset([each[0] for each in held])
    granted, (band, grown) = not revoked(slate, key).issuperset(row.grants), _age(kin)
    day, cpni_day = (date.fromordinal(row.told[each]) if each in row.told else None for each in NOTICES)
    places = frozenset(_places(kin)).union(*(_places(Kin(slate, owner)) for owner in row.owners))
    facts = (granted, sources, informed, parental, grown, day, cpni_day, places)
    return Standing(own, denied, band, None, False, *facts), _linked(kin)


def states_of(kin: Kin) -> set[StateName]:
    return {
        state
        for root, names in kin.speakers.items()
        for name in names
        for state, ended in kin.family[name].states.items()
        if root not in ended
    }


def _linked(kin: Kin) -> int:
    """An account is known itself."""
    untils = (edge.until for *_, edge in kin.edges if edge.lives() and not edge.claimed)
    return FOR_EVER if kin.is_account else max((FOR_EVER if each is None else each for each in untils), default=0)


def _age(kin: Kin) -> tuple[str | None, bool]:
    """The youngest band on record for it and the accounts that have it, and whether any of them was younger once (R14).
    What installations say counts where no account is known to have or have had it.
    """
    rows = _aged(kin)
    known = any(edge.begun >= 0 and not edge.claimed for _, _, edge in kin.edges)
    ages = [row.age for row in rows if row.age]
    bands = [*(age.band for age in ages), *(band for row in rows if not known for band in row.words.values())]
    grown = any(AGES.index(age.youngest) < AGES.index(age.band) for age in ages)
    return min(bands, key=AGES.index, default=None), grown


def _places(kin: Kin) -> Iterator[str]:
    """Where its person said that they live: by the roads that their noes take."""
    for row in (*_aged(kin), *map(kin.slate.row, mailbox_names(kin.slate, kin.key))):
        yield from row.places


def _aged(kin: Kin) -> list[KeyRow]:
    """Whose ages and places are its own: its names', and those of the accounts that have it."""
    has = [account for account, _, edge in kin.edges if edge.begun >= 0 and edge.lives()]
    return [*kin.family.values(), *map(kin.slate.row, has)]


def is_proved(slate: Slate, key: bytes) -> bool:
    """Whether an age on record is more than installations' words."""
    return any(row.age for row in _aged(Kin(slate, key)))


def is_child(slate: Slate, key: bytes) -> bool:
    """Whether it is as young as somebody under 13, of whom a parent alone says yes (R14)."""
    return _age(Kin(slate, key))[0] == AGES[0]


def grants_of(key: bytes, get: Get, now: int) -> list[Grant]:
    """What a key allowed one recipient and is not over, the newest first: read under the very key, through nobody."""
    slate = Slate(get)
    voids, over = slate.voids, revoked(slate, key)
    found = [
        Grant(name.recipient, name.purpose, name.data_class, given.seq, name.kind, given.child)
        for name, given in slate.row(key).grants.items()
        if name not in over and given.screen not in voids and (given.until is None or given.until > now)
    ]
    return sorted(found, key=lambda grant: -grant.seq)


def revoked(slate: Slate, key: bytes) -> set[GrantName]:
    """The grants that a later no to their purpose has ended, wherever it was said; one to `sensitive` ends those of the
    precise location too. Not an act, which was asked for by itself.
    """
    if not (grants := slate.row(key).grants):
        return set()
    last: dict[Purpose, int] = {}
    for each in read_noes(slate, key):
        last[each.purpose] = max(last.get(each.purpose, NO_RECORD), each.arrived(slate.voids))
    chosen = [name for name in grants if name.kind is not GrantKind.DIRECTED]
    point = {name: (Purpose.SENSITIVE,) for name in chosen if name.data_class is DataClass.PRECISE_GEO}
    return {
        name
        for name, given in grants.items()
        if any(last.get(each, NO_RECORD) > given.seq for each in (name.purpose, *point.get(name, ())))
    }


def last_outs(key: bytes, get: Get) -> dict[Purpose, int]:
    """The record of the last no to each purpose that a key's present holder said of themselves, lifted or not: from it
    on they are not asked again for a year. A further reading of a number has none.
    """
    row = Slate(get).row(key)
    return outs_since(row, row.since)


def outs_since(row: KeyRow, since: int) -> dict[Purpose, int]:
    """The same of a row, where it is known elsewhere since when it is its present holder's."""
    found: dict[Purpose, int] = {}
    for purpose, bit in row.noes():
        if bit.dated >= since:
            found[purpose] = max(bit.dated, found.get(purpose, since))
    return found


def come_back(mark: str, device: bytes, keys: Iterable[bytes], get: Get) -> frozenset[Purpose]:
    """The purposes that an installation of an app opted in to since the last no that it said itself, where each no that
    stands on any of these keys is its own (P3). A state is none, but what it has from its other ids. `device`: its key.
    """
    slate = Slate(get)
    since = {each: allowed.seq for each, allowed in slate.row(device).ins.items() if allowed.screen not in slate.voids}
    since.pop(Purpose.SENSITIVE, None)
    for key in keys if since else ():
        others = {each for *said, each in states_of(Kin(slate, key)) if said != [Source.INSTALLATION, mark]}
        noes = (each for each in read_noes(slate, key) if each.purpose in since and each.holds(slate.voids))
        others |= {each.purpose for each in noes if each.bit.mark != mark or each.bit.seq > since[each.purpose]}
        since = {each: seq for each, seq in since.items() if each not in others}
    return frozenset(since)
