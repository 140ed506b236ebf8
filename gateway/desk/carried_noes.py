"""Noes that reach somebody by what is learnt later: a link that begins, a name. Whoever has what such a no reaches is
told of it then, in the same transaction, as if it were said now (11 CCR 7026(f)(2), R2, R18). The writer calls it
behind each job.

Of most who are linked nobody ever said no, which is seen from what stands alone; nothing is looked up for them.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from datetime import datetime
from functools import partial

from gateway.desk import own_systems
from gateway.desk.recipients_to_tell import LEFT, pass_no_on
from gateway.fold.kin import family, mailbox_names, passed_on, roads, with_looser
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
            names = [_names(slate, each) for each in one.subjects]
            came = set[bytes]().union(*names)
            for subject, own in zip(one.subjects, names, strict=True):
                _tell_of_noes(tx, slate, subject, own, came, one)


def _everybody(joined: JoinedPeople) -> tuple[Subject, ...]:
    return (*joined.subjects, *((joined.account,) if joined.account else ()))


def _tell_of_noes(
    tx: Transaction, slate: Slate, subject: Subject, names: set[bytes], came: set[bytes], joined: JoinedPeople
) -> None:
    """`names`: the subject's own; `came`: those of all that came with it."""
    onward = _onward(slate, names, came, joined.account)
    if not onward and joined.account and not any(_denied(slate, joined.account.key, ())):
        return
    owner = joined.account or (subject if subject.is_account else None)  # one that is known by another form, too
    has = _has_now(slate, owner.key) if owner and onward else set[bytes]()
    beyond = _sent_before(slate, names) if owner is None else {}
    near, far = with_looser(slate, family(slate, subject.key)), with_looser(slate, names | has)
    if not (own_systems.registered(tx) or tx.found_among(LEFT, near.union(far, *beyond))):
        return
    stays, goes, itself = list[ReadNo](), list[ReadNo](), _said_itself(slate, subject)
    for each in read_noes(slate, subject.key):
        if each.holds(slate.voids):
            (goes if each.purpose in onward and itself(each) else stays).append(each)
    _tell(tx, (subject,), stays, near, joined)
    _tell(tx, _everybody(joined), goes, far, joined)
    for reached, sent in beyond.items():
        _tell(tx, (subject,), [each for each in goes if each.purpose in sent], {*reached}, joined)


def _tell(
    tx: Transaction, whom: Sequence[Subject], noes: Sequence[ReadNo], reached: set[bytes], joined: JoinedPeople
) -> None:
    """Of all these at once, however many they are, as of the first that came; of whoever was forgotten nobody knows
    when that was.
    """

    def received() -> datetime | None:
        times = [at for _, at in rows_of(tx.db, SAID_AT, {each.bit.seq for each in noes})]
        return moment(min(times)) if times else None

    if noes:
        pass_no_on(tx, whom, frozenset(each.purpose for each in noes), reached, moment(joined.at), received)


def _has_now(slate: Slate, account: bytes) -> set[bytes]:
    """An account and every name of what it has, by an app's word too."""
    living = (member for member in slate.row(account).members if slate.edge(account, member).lives())
    return {account}.union(*(family(slate, member) for member in living))


def _sent_before(slate: Slate, own: set[bytes]) -> dict[frozenset[bytes], set[Purpose]]:
    """Of the accounts that have one of these names what each has now, by which purposes these deny it still: of whoever
    came back since nobody is told.
    """
    found = defaultdict[frozenset[bytes], set[Purpose]](set)
    for account in roads(slate, own):
        if sent := _sent_up(slate, account, own):
            found[frozenset(with_looser(slate, _has_now(slate, account)))] |= sent
    return found


def _denied(slate: Slate, account: bytes, apart: Container[bytes]) -> Iterator[Purpose]:
    """What an account denies to those whom it has, but for what `apart` said; its own first, for it may have hundreds
    of browsers.
    """
    for bits in (slate.row(account).own.items, partial(passed_on, slate, account, apart, NO_RECORD)):
        yield from (purpose for purpose, bit in bits() if bit.denies(slate.voids))


def _onward(slate: Slate, names: set[bytes], came: set[bytes], account: Subject | None) -> frozenset[Purpose]:
    """What goes on from an identifier to the accounts that have it, and to all that those have: of what it said itself
    that which the account had not denied before, apart from what came with this very link.
    """
    if account is None:
        return frozenset(Purpose)
    sent, denied = _sent_up(slate, account.key, names), _denied(slate, account.key, came)
    while sent and (known := next(denied, None)):
        sent.discard(known)
    return frozenset(sent)


def _names(slate: Slate, subject: Subject) -> set[bytes]:
    return family(slate, subject.key) | mailbox_names(slate, subject.key)


def _sent_up(slate: Slate, account: bytes, own: set[bytes]) -> set[Purpose]:
    """What any of these names sent up to an account that denies it still."""
    ways = (bits_of(slate.edge(account, name).up) for name in own)
    return {purpose for way in ways for purpose, bit in way if bit.denies(slate.voids)}


def _said_itself(slate: Slate, subject: Subject) -> Callable[[ReadNo], bool]:
    """Whether its present holder said a no; of an account whether it passes it on."""
    since = slate.row(subject.key).since
    return lambda each: subject.is_account or (each.place in ITSELF and each.bit.seq >= since)
