"""Links: an account has an identifier from one record until another; a number or mailbox is given back; names are
learnt. Whoever becomes connected passes on what they say themselves, and nothing that came to them from elsewhere.
"""

from collections.abc import Iterable

from gateway.fold.facts import leave_facts
from gateway.fold.kin import edges_of, family, has, holder_since, mailbox_names, passed_on, roads, roots, with_looser
from gateway.fold.noes import NOES, end_yes, leave_what_came, revoke_over, send_up, take_over
from gateway.fold.record import LinkSaid, NamesLearnt, Record, Released
from gateway.fold.state import NO_RECORD, NOTHING, LinkEdge, Slate, bits_of


def fold_link(slate: Slate, record: Record, said: LinkSaid) -> None:
    """A live link that is said again changes only what differs; a whole one never becomes claimed, a claimed one
    becomes whole anew. An end that came by its date alone is news, and so is a link that a clock which was ahead ended.
    """
    edge, over = slate.edge(said.account, record.key), said.until is not None and said.until <= record.at
    goes_on = edge.lifts(record.at)
    same = (edge.start, edge.until) == (said.start, said.until) and edge.lives() != over
    if (goes_on and said.claimed > edge.claimed) or (same and said.claimed == edge.claimed):
        return
    if not goes_on or said.claimed != edge.claimed:
        _begin(slate, record, said, edge, over=over)
        return
    slate.put_edge(said.account, record.key, record.seq, start=said.start, until=said.until)
    if over:
        end_link(slate, said.account, record.key, record.seq, facts=not edge.claimed)


def _begin(slate: Slate, record: Record, said: LinkSaid, edge: LinkEdge, *, over: bool) -> None:
    """One that is over already carries nothing."""
    account, member, names = said.account, record.key, family(slate, record.key)
    if over or said.claimed > edge.claimed:
        end_link(slate, account, member, record.seq, facts=not (edge.claimed and said.claimed))
    revoke_over(slate, with_looser(slate, names))  # what came by the claim that was
    now = {"start": said.start, "until": said.until, "claimed": said.claimed, "begun": record.seq, "past": NO_RECORD}
    ended, whole = record.seq if over else NO_RECORD, edge.whole if said.claimed else record.seq
    slate.put_edge(account, member, record.seq, ended=ended, whole=whole, **now)
    if over and not said.claimed:
        leave_facts(slate, account, member)
    elif not said.claimed:
        _go_up(slate, (account,), names | mailbox_names(slate, member), record.seq)
        _read_again(slate, account, names, record.seq)


def _go_up(slate: Slate, accounts: Iterable[bytes], origins: Iterable[bytes], seq: int) -> None:
    """What these said themselves, as far as their present holder did."""
    for account in accounts:
        for origin in origins:
            for side in NOES:
                if bits := holder_since(slate.row(origin), side):
                    send_up(slate, account, origin, bits, seq)


def _read_again(slate: Slate, account: bytes, names: Iterable[bytes], seq: int) -> None:
    """What stayed when a link ended, and still stands at the account, is read through it again."""
    for name in names:
        down = slate.edge(account, name).down
        if down and all(has(slate, account, root) for root in roots(slate, name)):
            passed = passed_on(slate, account, (), NO_RECORD)
            stand = {(each, bit.whose()) for each, bit in passed if bit.denies(slate.voids)}
            left = {each: tuple(bit for bit in bits if (each, bit.whose()) not in stand) for each, bits in down.items()}
            slate.put_edge(account, name, seq, down=left)


def end_link(slate: Slate, account: bytes, member: bytes, seq: int, *, facts: bool) -> None:
    """What had come through it stays, and so do the account's age and places (`facts`); these not of one that an app
    alone spoke for, but where the number went back to the pool. What the member had sent to the account goes on
    counting there.
    """
    edge = slate.edge(account, member)
    if not edge.lives():
        return
    leave_what_came(slate, account, member, seq)
    if facts:
        leave_facts(slate, account, member)
    slate.put_edge(account, member, seq, ended=seq)


def fold_release(slate: Slate, record: Record, _: Released) -> None:
    """Its links end, and each yes on it with all that was allowed, told and said of its place; its noes stay (R5)."""
    for name in family(slate, record.key) | mailbox_names(slate, record.key):
        for account, member, edge in list(edges_of(slate, (name,))):
            end_link(slate, account, member, record.seq, facts=True)
            if edge.lifts(record.at):
                slate.put_edge(account, member, record.seq, until=record.at)
        slate.put(name, since=record.seq + 1, ins=NOTHING, grants=NOTHING, told=NOTHING, places=())


def fold_names(slate: Slate, record: Record, said: NamesLearnt) -> None:
    """A target is added to a name's list and never replaced."""
    key, row, before = record.key, slate.row(record.key), family(slate, record.key)
    same = {form: record.seq for form in said.same if form not in row.names}
    looser = {form: record.seq for form in said.looser if form not in row.looser}
    if same or looser:
        slate.put(key, names={**row.names, **same}, looser={**row.looser, **looser})
    for form in same:
        slate.put(form, targets={**slate.row(form).targets, key: record.seq})
    for form in same if record.account else ():
        _go_on_from(slate, record, form)
    for form in looser:
        slate.put(form, owners={**slate.row(form).owners, key: record.seq})
    fresh, others = family(slate, key) - before, before | mailbox_names(slate, key)
    mine, theirs = roads(slate, fresh), roads(slate, others)
    _go_up(slate, mine | theirs, fresh, record.seq)
    _go_up(slate, mine - theirs, others, record.seq)
    if said.mailbox is not None and slate.row(key).box is None:
        _join_mailbox(slate, key, said.mailbox, record.seq)


def _go_on_from(slate: Slate, record: Record, form: bytes) -> None:
    """What stood of an account under another form of its name, of which no link knew, is the account's from here on:
    its noes, all that was sent up to it, and whom it has.
    """
    account, row = record.key, slate.row(form)
    for side in NOES:
        take_over(slate, account, side, getattr(row, side), record.seq)
    slate.put(account, kept={**row.kept, **slate.row(account).kept})
    for member in row.members:
        before, now = slate.edge(form, member), slate.edge(account, member)
        if before.lives() and not (now.lives() and now.claimed <= before.claimed):
            revoke_over(slate, with_looser(slate, family(slate, member)))
            begun = before._replace(begun=record.seq, past=NO_RECORD, whole=max(before.whole, now.whole))
            slate.put_edge(account, member, record.seq, **begun._replace(up=now.up, down=now.down)._asdict())
        for purpose, bit in bits_of(before.up):
            send_up(slate, account, member, {purpose: bit}, record.seq)


def _join_mailbox(slate: Slate, key: bytes, box: bytes, seq: int) -> None:
    """A spelling that was met for the first time: what others said of the mailbox goes to whoever has it, what was said
    by one of its digests to whoever has the others; a no ends the yes of another spelling.
    """
    slate.put(key, box=box)
    slate.put(box, spellings={**slate.row(box).spellings, key: seq})
    fresh, others = family(slate, key), mailbox_names(slate, key)
    mine, theirs = roads(slate, fresh), roads(slate, others)
    for names, beside, ways in ((fresh, others, theirs - mine), (others, fresh, mine - theirs)):
        for name in names:
            for purpose, bit in slate.row(name).noes():
                if bit.denies(slate.voids):
                    for other in beside:
                        end_yes(slate, other, (purpose,), bit.seq)
        _go_up(slate, ways, names, seq)
