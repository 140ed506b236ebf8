"""A no and a yes: where they are written, and what a yes covers.

A no is a bit at the key that said it, and one on an edge to each account that has that key by more than an app's word
(`up`). A yes clears no bit, it covers bits: its own, what its own no had sent up, and what had come from accounts that
no longer have it (`down`); an account's also covers all that was sent up to it, and what its members keep from it. A
cover names the screen of the yes: a void of that screen needs no pass over rows.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from gateway.fold.kin import (
    edges_of,
    family,
    has,
    holder_since,
    mailbox_names,
    mates,
    own_names,
    passed_on,
    roads,
    roots,
    with_looser,
)
from gateway.fold.reading import is_child, revoked
from gateway.fold.record import OrderOver, Record, SaidIn, SaidOut, SaidPruned, ScreenVoided
from gateway.fold.state import NO_RECORD, NOBODY, SEVERAL, Allowed, Bit, Cover, KeptPlace, Slate, Voids, widened
from gateway.terms import ALL_PURPOSES, DataClass, GrantKind, Purpose, Source

NOES = ("own", "orders")  # of a row: what its holder said, and what a state's list says


def covered(bit: Bit, cover: Cover, voids: Voids) -> Bit:
    """A later yes of the same key takes the place of its earlier one, and counts from that one on while it held. What
    a void had brought back came by that void.
    """
    others = [each for each in bit.covers if each.by != cover.by]
    before = (each.seq for each in bit.covers if each.by == cover.by and each.screen not in voids)
    came = bit.came
    same = [each for each in bit.covers if not each.only or {*each.only} & {*cover.only}]
    if all(each.screen in voids for each in same):
        came = max([came, *(voids[each.screen] for each in same)])
    return bit._replace(came=came, covers=(*others, cover._replace(seq=next(before, cover.seq))))


def fold_out(slate: Slate, record: Record, said: SaidOut) -> None:
    purposes = widened(said.purposes)
    if said.signal and is_no_news(slate, record.key, said):
        return
    row = slate.row(record.key)
    bit = Bit(record.key, record.seq, record.seq, said.source, said.mark, record.seq if said.dated else NO_RECORD)
    side = "orders" if bit.is_order() else "own"
    there: Mapping[Purpose, Bit] = getattr(row, side)
    bits = {each: _said_again(there[each], bit) if each in there else bit for each in purposes}
    ins = {each: allowed for each, allowed in row.ins.items() if each not in bits}
    slate.put(record.key, **{side: {**there, **bits}}, ins=ins)
    for account in row.targets if record.account else ():
        take_over(slate, account, side, bits, record.seq)
    if row.is_alone():
        return
    others = mailbox_names(slate, record.key)
    for other in others:
        end_yes(slate, other, purposes)
    for account in roads(slate, family(slate, record.key) | others):
        send_up(slate, account, record.key, bits, record.seq)


def take_over(slate: Slate, account: bytes, side: str, bits: Mapping[Purpose, Bit], seq: int) -> None:
    """What was said by another form of an account's name, as if the account had said it with that record. `side`: of
    its row, one of `NOES`.
    """
    own, voids = dict(getattr(slate.row(account), side)), slate.voids
    for purpose, bit in bits.items():
        there = own.get(purpose)
        if there is None or (bit.denies(voids) and not there.denies(voids)):
            own[purpose] = bit._replace(who=account, came=seq)
    slate.put(account, **{side: own})
    end_yes(slate, account, [each for each, bit in bits.items() if bit.denies(voids)])


def _said_again(before: Bit, bit: Bit) -> Bit:
    """Of another one's no it is nobody's alone; a further reading leaves since when somebody is not asked."""
    return bit._replace(mark=bit.mark if before.mark == bit.mark else SEVERAL, dated=max(before.dated, bit.dated))


def fold_order_over(slate: Slate, record: Record, said: OrderOver) -> None:
    """Whoever said yes before the list named them, to everybody or to one recipient, their accounts, and all that those
    have, are asked again: a list that takes back its no is no yes of anybody.
    """
    own = family(slate, record.key) | mailbox_names(slate, record.key)
    accounts = roads(slate, own)
    has = ((each, member) for each in accounts for member in slate.row(each).members)
    things = [family(slate, member) for each, member in has if slate.edge(each, member).lives()]
    for other in with_looser(slate, own.union(accounts, *things)):
        end_yes(slate, other, said.purposes)
        _end_grants(slate, other, said.purposes)


def _end_grants(slate: Slate, key: bytes, purposes: Collection[Purpose]) -> None:
    """Those that a no to these ends, as `reading.revoked` has it."""
    grants = slate.row(key).grants
    kept = {
        name: given
        for name, given in grants.items()
        if name.kind is GrantKind.DIRECTED
        or not (
            name.purpose in purposes or (name.data_class is DataClass.PRECISE_GEO and Purpose.SENSITIVE in purposes)
        )
    }
    if len(kept) < len(grants):
        slate.put(key, grants=kept)


def fold_pruned(slate: Slate, record: Record, said: SaidPruned) -> None:
    """It denies nothing, and may have been a no: what another one says later is not theirs alone to take back."""
    cover, own = Cover(NOBODY, record.seq, ""), dict(slate.row(record.key).own)
    for each in ALL_PURPOSES:
        bit = own.get(each) or Bit(record.key, record.seq, record.seq, "", said.mark, covers=(cover,))
        own[each] = bit if bit.mark == said.mark else bit._replace(mark=SEVERAL)
    slate.put(record.key, own=own)


def is_no_news(slate: Slate, key: bytes, said: SaidOut) -> bool:
    """A signal of what its present holder denied already by the same word, or by several; or GPC, of what an account
    allowed with it in sight (11 CCR 7025(c)(3)). What a state's list says makes nothing known: it may be taken back.
    """
    row, voids = slate.row(key), slate.voids
    known = {each for each, bit in holder_since(row).items() if bit.denies(voids) and bit.mark in {said.mark, SEVERAL}}
    if said.source == Source.GPC:
        known |= {each for each, allowed in row.ins.items() if allowed.informed and allowed.screen not in voids}
    return known.issuperset(widened(said.purposes))


def end_yes(slate: Slate, key: bytes, purposes: Iterable[Purpose], before: int | None = None) -> None:
    """A yes is over; `before`: if it is older than that record."""
    ins = slate.row(key).ins
    gone = {each for each in purposes if each in ins and (before is None or ins[each].seq < before)}
    if gone:
        slate.put(key, ins={each: allowed for each, allowed in ins.items() if each not in gone})


def send_up(slate: Slate, account: bytes, origin: bytes, bits: Mapping[Purpose, Bit], seq: int) -> None:
    """What lies there and denies is not replaced by what is covered. That lies beside what is covered otherwise, for a
    void may uncover the one or the other, and does not come anew.
    """
    voids, up = slate.voids, dict(slate.edge(account, origin).up)
    for purpose, bit in bits.items():
        there = said_alike(bits_there := up.get(purpose, ()), bit)
        others = tuple(each for each in bits_there if each not in there)
        if bit.denies(voids) or not there:
            up[purpose] = (*others, bit._replace(came=seq))
        else:
            up[purpose] = (*others, *_beside(there, bit._replace(came=there[-1].came)))
    slate.put_edge(account, origin, seq, up=up)


def said_alike(bits: Iterable[Bit], bit: Bit) -> tuple[Bit, ...]:
    """Those that a list said as well, or nobody's list: the ones never take the place of the others."""
    return tuple(each for each in bits if each.is_order() == bit.is_order())


def _beside(bits: tuple[Bit, ...], bit: Bit) -> tuple[Bit, ...]:
    """Of one person one no for each way in which a void may uncover it."""
    return (*(each for each in bits if (each.whose(), each.covers) != (bit.whose(), bit.covers)), bit)


def fold_in(slate: Slate, record: Record, said: SaidIn) -> None:
    """One on a screen that was voided before counts for nothing. A child's own is none, however old they get (R14): it
    lifts as any does, for what others read of a key never rests on how old it is.
    """
    if said.screen in slate.voids:
        return
    counts = said.parental or not is_child(slate, record.key)
    for purpose in said.purposes:
        cover = Cover(record.key, record.seq, said.screen)
        ins = slate.row(record.key).ins
        allowed = Allowed(record.seq, said.screen, said.informed and record.account, said.parental)
        forms = own_names(slate, record.key) if record.account else (record.key,)
        for each in forms:
            _leave_past(slate, each, record.seq, record.at)
            cover_own(slate, each, purpose, cover)
        if counts:
            slate.put(record.key, ins={**ins, purpose: allowed})
        if record.account:
            for each in forms:
                _lift_of_account(slate, each, purpose, cover, record.at)
        else:
            _lift_of_member(slate, purpose, cover, record.at)
        _cover_kept(slate, purpose, cover)


def cover_own(slate: Slate, key: bytes, purpose: Purpose, cover: Cover, sides: Iterable[str] = NOES) -> None:
    for side in sides:
        own = getattr(slate.row(key), side)
        if purpose in own:
            slate.put(key, **{side: {**own, purpose: covered(own[purpose], cover, slate.voids)}})


def _lift_of_account(slate: Slate, account: bytes, purpose: Purpose, cover: Cover, at: int) -> None:
    for member in slate.row(account).members:
        cover_edge(slate, account, member, "up", purpose, cover)
        its, form = roots(slate, member), slate.edge(account, member).begun == NO_RECORD
        held = [each for each in its if has(slate, account, each, at)]
        if len(held) == len(its) or (form and any(has(slate, account, each, at) for each in slate.row(member).owners)):
            cover_edge(slate, account, member, "down", purpose, cover)
        elif held:
            cover_edge(slate, account, member, "down", purpose, cover._replace(only=tuple(held)))


def _leave_past(slate: Slate, account: bytes, seq: int, at: int) -> None:
    """Before what an account passes on is lifted: it stays with those that it has no more by their date."""
    for member in slate.row(account).members:
        edge = slate.edge(account, member)
        if edge.lives() and not edge.lifts(at):
            leave_what_came(slate, account, member, seq)


def _lift_of_member(slate: Slate, purpose: Purpose, cover: Cover, at: int) -> None:
    key, others = cover.by, mates(slate, cover.by)
    ways = roads(slate, family(slate, key) | mailbox_names(slate, key), at)
    for other in others:
        end_yes(slate, other, (purpose,))
        cover_own(slate, other, purpose, cover)
    for account in ways:
        _leave_past(slate, account, cover.seq, at)
        for origin in (key, *others):
            cover_edge(slate, account, origin, "up", purpose, cover)
    for account, name, edge in [*edges_of(slate, own_names(slate, key))]:
        if not has(slate, account, key, at):
            if edge.lives() and not edge.lifts(at):
                leave_what_came(slate, account, name, cover.seq)
            cover_edge(slate, account, name, "down", purpose, cover._replace(only=_speaks_for(slate, key, name)))
    _lift_orders(slate, purpose, cover, ways)


def _lift_orders(slate: Slate, purpose: Purpose, cover: Cover, ways: Iterable[bytes]) -> None:
    """What a state's deletion list says by a name of the identifier is its holder's to take back: lists know it by no
    other. What somebody said by that name stays.
    """
    for name in own_names(slate, cover.by) - {cover.by}:
        if purpose in slate.row(name).orders:
            mine = cover._replace(only=_speaks_for(slate, cover.by, name))
            cover_own(slate, name, purpose, mine, ("orders",))
            for account in ways:
                cover_edge(slate, account, name, "up", purpose, mine, Bit.is_order)


def _speaks_for(slate: Slate, key: bytes, name: bytes) -> tuple[bytes, ...]:
    """The identifiers for which a key has its say of what lies with a name; empty: all that this is a name of."""
    if len(slate.row(key).targets) > 1:
        return (key,)  # a digest of several has no say for any of them
    mine, its = {*roots(slate, key)}, {*roots(slate, name)}
    return () if its <= mine else tuple(sorted(mine & its))


def cover_edge(
    slate: Slate,
    account: bytes,
    member: bytes,
    side: str,
    purpose: Purpose,
    cover: Cover,
    which: Callable[[Bit], bool] = lambda _: True,
) -> None:
    """`side`: `up` or `down`; `which`: of its noes."""
    bits = getattr(slate.edge(account, member), side)
    if purpose in bits:
        lifted = tuple(covered(bit, cover, slate.voids) if which(bit) else bit for bit in bits[purpose])
        slate.put_edge(account, member, cover.seq, **{side: {**bits, purpose: lifted}})


def _cover_kept(slate: Slate, purpose: Purpose, cover: Cover) -> None:
    """What came through the one who says yes, from people who are forgotten, at each of its forms; and what another
    spelling of its mailbox says for one that is forgotten.
    """
    own, others, voids = own_names(slate, cover.by), mates(slate, cover.by), slate.voids
    for key in with_looser(slate, own.union(*(family(slate, each) for each in others))):
        kept, found = slate.row(key).kept, dict[KeptPlace, Bit]()
        for place, bit in kept.items():
            of, origin, via = place
            if of is purpose and (via in own or (via in others and origin == via)):
                found[place] = covered(bit, cover, voids)
        if found:
            slate.put(key, kept={**kept, **found})


def leave_what_came(slate: Slate, account: bytes, member: bytes, seq: int) -> None:
    """Copies what an account passes on to a member into the `down` of their edge, once."""
    revoke_over(slate, with_looser(slate, family(slate, member)))
    came = passed_on(slate, account, {member}, slate.edge(account, member).past)
    leave_down(slate, account, member, seq, came)
    slate.put_edge(account, member, seq, past=seq)


def revoke_over(slate: Slate, keys: Iterable[bytes]) -> None:
    """The grants that are over go before what ended them is out of sight."""
    for key in keys:
        if over := revoked(slate, key):
            grants = slate.row(key).grants
            slate.put(key, grants={name: given for name, given in grants.items() if name not in over})


def leave_down(slate: Slate, account: bytes, member: bytes, seq: int, found: Iterable[tuple[Purpose, Bit]]) -> None:
    """Puts more beside what stayed with a member."""
    down = dict(slate.edge(account, member).down)
    for purpose, bit in found:
        down[purpose] = _beside(down.get(purpose, ()), bit)
    slate.put_edge(account, member, seq, down=down)


def fold_screen(slate: Slate, record: Record, said: ScreenVoided) -> None:
    if said.screen not in slate.voids:
        slate.void(said.screen, record.seq)
