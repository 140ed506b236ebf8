"""Noes that reach somebody by what is learnt later: a link that begins, a name. Whoever has what such a no reaches is
told of it then, in the same transaction, as if it were said now (11 CCR 7026(f)(2), R2, R18). The writer calls it
behind each job.

Of most who are linked nobody ever said no, which is seen from what stands alone; nothing is looked up for them.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator
from functools import partial

from gateway.desk import own_systems
from gateway.desk.recipients_to_tell import LEFT, pass_no_on, reached_by_no
from gateway.fold.kin import family, mailbox_names, passed_on, with_looser
from gateway.fold.reading import NoPlace, ReadNo, read_noes
from gateway.fold.state import NO_RECORD, Slate, bits_of
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.schema import rows_of
from gateway.ledger.subjects import Subject, moment
from gateway.ledger.transaction import JoinedPeople, Transaction
from gateway.terms import Purpose

ITSELF = frozenset({NoPlace.OWN, NoPlace.NAME, NoPlace.MAILBOX})  # where what an identifier said lies
SAID_AT = "SELECT seq, coalesce(received, at) FROM detail WHERE seq IN ({marks})"


def tell_carried(tx: Transaction) -> None:
    """Of all who became connected since it was called last."""
    joined, tx.joined = tx.joined, []
    if joined:
        slate = people_of(tx, {each.key for one in joined for each in _everybody(one)}).slate()
        for one in joined:
            for subject in one.subjects:
                _tell_of_noes(tx, slate, subject, one)


def _everybody(joined: JoinedPeople) -> tuple[Subject, ...]:
    return (*joined.subjects, *((joined.account,) if joined.account else ()))


def _tell_of_noes(tx: Transaction, slate: Slate, subject: Subject, joined: JoinedPeople) -> None:
    onward = _onward(slate, subject, joined.account)
    if not onward and joined.account and not any(_denied(slate, joined.account.key, ())):
        return
    near = with_looser(slate, family(slate, subject.key))
    far = reached_by_no(slate, subject.key) if onward else near
    if not (tx.found_among(LEFT, far) or own_systems.registered(tx)):
        return
    said, itself = defaultdict[tuple[int, bool], set[Purpose]](set), _said_itself(slate, subject)
    for each in read_noes(slate, subject.key):
        if each.holds(slate.voids):
            said[each.bit.seq, each.purpose in onward and itself(each)].add(each.purpose)
    times = dict(rows_of(tx.db, SAID_AT, {seq for seq, _ in said}))
    for (seq, goes_on), purposes in sorted(said.items()):
        received = moment(times[seq]) if seq in times else None  # of whoever was forgotten nobody knows it
        whom, reached = (_everybody(joined), far) if goes_on else ((subject,), near)
        pass_no_on(tx, whom, frozenset(purposes), reached, moment(joined.at), received)


def _denied(slate: Slate, account: bytes, apart: Container[bytes]) -> Iterator[Purpose]:
    """What an account denies to those whom it has, but for what `apart` said; its own first, for it may have hundreds
    of browsers.
    """
    for bits in (slate.row(account).own.items, partial(passed_on, slate, account, apart, NO_RECORD)):
        yield from (purpose for purpose, bit in bits() if bit.denies(slate.voids))


def _onward(slate: Slate, subject: Subject, account: Subject | None) -> frozenset[Purpose]:
    """What goes on from an identifier to the accounts that have it, and to all that those have: of what it said itself
    that which the account had not denied before.
    """
    if account is None:
        return frozenset(Purpose)
    mine = family(slate, subject.key) | mailbox_names(slate, subject.key)
    ways = (bits_of(slate.edge(account.key, name).up) for name in mine)
    sent = {purpose for way in ways for purpose, bit in way if bit.denies(slate.voids)}
    denied = _denied(slate, account.key, mine)
    while sent and (known := next(denied, None)):
        sent.discard(known)
    return frozenset(sent)


def _said_itself(slate: Slate, subject: Subject) -> Callable[[ReadNo], bool]:
    """Whether its present holder said a no; of an account whether it passes it on."""
    since = slate.row(subject.key).since
    return lambda each: subject.is_account or (each.place in ITSELF and each.bit.seq >= since)
