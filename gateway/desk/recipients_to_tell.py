"""A person's no, and which recipients have to hear it: the choice is written, and with it, in one transaction, the
messages to those that got what it is about (11 CCR 7026(f)(2) and (3), 7027(g); R18). `consent.verbs` calls it.

An opt-out reaches what its identifier reaches: the other names, the accounts that have it, and what those have. A
recipient is told of each of these that it got from us, where the disclosure log shows that it did and in the form in
which it got it, and of no other one. A message holds identifiers, what to do, a day and the duty to pass it on; never a
source, a place or a reason. Nothing is told twice unless data left in between.

Noes that reach somebody by what is learnt later, a link that begins or a name, are told then, in the same transaction,
as if they were said now (R2, R18): the writer calls `tell_carried` behind each job. Of most who are linked nobody ever
said no, which is seen from what stands alone; nothing is looked up for them. What a replica says later that it had sent
is told of by `desk.late_sends`.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from gateway.choice import identity
from gateway.choice.identity import AD_IDS
from gateway.choice.row_shape import KINDS_OF, is_held, is_of
from gateway.choice.rules import refusals
from gateway.desk import outbox, own_systems, recipient_holdings, suppression
from gateway.fold.kin import all_names, family, passed_on, roads, with_looser
from gateway.fold.reading import NoPlace, ReadNo, read_noes
from gateway.fold.state import NO_RECORD, Slate, bits_of, widened
from gateway.ledger.acts import records
from gateway.ledger.acts.folded_people import Belongings, is_unknown, named_by, people_of
from gateway.ledger.acts.holders import released_since
from gateway.ledger.schema import rows_of
from gateway.ledger.subjects import TIGHTENS, Choice, Subject, Written, milliseconds, moment
from gateway.ledger.transaction import JoinedPeople, Transaction
from gateway.terms import ACCOUNT_BACKEND, CHOOSABLE, DataClass, Purpose


class ToldWord(StrEnum):
    """What a message asks for."""

    DELETE = "delete"
    OPT_OUT = "opt_out"
    LIMIT = "limit"  # goes out as an opt_out with its own duty: the word says no more than R18 lets it
    CHILD = "child_found"


DUTY = {
    ToldWord.DELETE: "Delete what you have from us under these identifiers, and have everyone delete it whom"
    " you passed it on to.",  # Cal. Civ. Code 1798.105(c)
    ToldWord.OPT_OUT: "Stop selling and sharing what you have from us under these identifiers, and tell everyone"
    " whom you passed it on to.",  # 11 CCR 7026(f)
    ToldWord.LIMIT: "Use and pass on what is sensitive of what you have from us under these identifiers only"
    " for what the person asked for, and tell everyone whom you passed it on to.",  # 11 CCR 7027(g)
    ToldWord.CHILD: "Close the account.",
}
GOT = (
    "SELECT recipient, classes, purpose, max(batch) FROM disclosure d WHERE key = :key AND batch >= :since"
    " AND (outcome <> 'not_sent'"
    " OR EXISTS (SELECT 1 FROM reported r WHERE r.decision = d.row AND r.at >= :put_off)) GROUP BY 1, 2, 3"
    " UNION ALL SELECT recipient, classes, purpose, max(batch) FROM disclosed"
    " WHERE key = :key AND batch >= :since AND outcome <> 'possible' AND count > 0 GROUP BY 1, 2, 3"
)
LEFT = (
    "SELECT key FROM held_key WHERE key IN ({marks}) UNION SELECT key FROM disclosure WHERE key IN ({marks})"
    " UNION SELECT key FROM disclosed WHERE key IN ({marks})"
)
# The recipients under a key, whatever became of it.
ANY = "SELECT recipient FROM disclosure WHERE key = :key UNION SELECT recipient FROM disclosed WHERE key = :key"
Names = Mapping[bytes, Mapping[str, str]]  # key: {kind: value}


class Got(NamedTuple):
    """What one recipient got under one key. `batch`: the entry of the last time."""

    recipient: str
    classes: frozenset[str]
    purposes: frozenset[str]
    batch: int


class Identified(NamedTuple):
    """What a recipient got, by what it is called there. `named`: the key of each identifier; `under`: the one under
    which it was found.
    """

    got: Got
    identifiers: Mapping[str, str]
    named: bytes
    under: bytes


@dataclass(slots=True)
class Addressed:
    """One recipient's message as it is put together."""

    identifiers: set[tuple[str, str]] = field(default_factory=set)
    named: set[bytes] = field(default_factory=set)
    lasts: set[datetime] = field(default_factory=set)


def forms(subject: Subject) -> dict[str, str]:
    """What an identifier is called, by kind: itself and the digests that are sent for it; an ad id goes as it is. One
    that is known by its key alone is called nothing.
    """
    if not subject.value:
        return {}
    itself = {subject.kind: subject.value}
    return itself if subject.kind in AD_IDS else itself | suppression.digests(subject)


def names_of(tx: Transaction, subjects: Iterable[Subject], own: Belongings) -> dict[bytes, dict[str, str]]:
    """What can be said of which key: of those that a caller named, and of those that were erased before."""
    found = {key: known for key in own if (known := suppression.read_suppression(tx, key))}
    for subject in subjects:
        for key in own.keys() & set(subject.keys):
            found[key] = found.get(key, {}) | forms(subject)
    return found


def identified(
    tx: Transaction, names: Names, own: Belongings, put_off: int = recipient_holdings.NEVER
) -> Iterator[Identified]:  # fmt: skip
    """What recipients got under these keys, as far as it can be named: by what is kept of what left; of data of other
    classes, of which nothing is, by what a caller names or an erasure left. `put_off` as of `under`.
    """
    for key, since in own.items():
        known = defaultdict[str, frozenset[str]](frozenset)  # by recipient, the classes of which something is kept
        for each in recipient_holdings.under(tx, key, since, put_off):
            known[each.recipient] |= each.classes
            got = Got(each.recipient, each.classes, each.purposes, each.batch)
            forms = recipient_holdings.open_held(tx, each.recipient, each.person, each.sealed)
            yield Identified(got, forms, each.named, key)
        for got in got_under(tx, key, since, put_off) if key in names else ():
            classes = got.classes - known[got.recipient]
            to = tx.recipients.get(got.recipient)
            listed = {kind: value for kind, value in names[key].items() if is_held(kind, classes, to)}
            if listed:
                yield Identified(got, listed, key, key)


def tell_recipients(
    tx: Transaction, found: Iterable[tuple[Identified, ToldWord]], at: datetime, received: datetime | None = None,
    last: Callable[[Got], datetime | None] = lambda _: None,
) -> None:  # fmt: skip
    """One message to each recipient for each word, of what is news to it. `last`: by when it has to be told of what it
    got, where the request has a last moment of its own.
    """
    now, addressed = milliseconds(at), dict[tuple[str, ToldWord], Addressed]()
    for each, word in found:
        got = each.got
        if each.identifiers and recipient_holdings.is_news(tx, got.recipient, each.named, word, got.batch):
            message_to = addressed.setdefault((got.recipient, word), Addressed())
            message_to.identifiers |= set(each.identifiers.items())
            message_to.named.add(each.named)
            message_to.lasts.update(filter(None, [last(got)]))
    for (recipient, word), message_to in sorted(addressed.items()):
        recipient_holdings.informed(tx, recipient, sorted(message_to.named), [word], now)
        content = message(word, message_to.identifiers, at)
        came, soonest = milliseconds(received) if received else None, min(message_to.lasts, default=None)
        outbox.queue(tx, recipient, content, now, received=came, last=soonest)


def message(word: ToldWord, identifiers: Iterable[tuple[str, str]], at: datetime) -> dict[str, object]:
    """What is sent: all of it."""
    listed = [identity.as_called(kind, value) for kind, value in sorted(identifiers)]
    asked = ToldWord.OPT_OUT if word is ToldWord.LIMIT else word
    return {"type": asked, "identifiers": listed, "date": at.date().isoformat(), "duty": DUTY[word]}


def take_back(tx: Transaction, recipient: str, identifiers: Collection[tuple[str, str]], at: datetime) -> None:
    """What left while its people were erased, each of kind and value: the recipient was told before it had it, and is
    told again.
    """
    if identifiers:
        outbox.queue(tx, recipient, message(ToldWord.DELETE, identifiers, at), milliseconds(at))


def tell_backend(tx: Transaction, subjects: Iterable[Subject], at: datetime) -> None:
    """The system of accounts learns of a child: which account only where the call named one, as its SHA-256."""
    accounts = [subject.value for subject in subjects if subject.is_account]
    for digest in [identity.kinds.digest("sha256", account) for account in accounts] or [""]:
        known = [("account_sha256", digest)] if digest else []
        outbox.queue(tx, ACCOUNT_BACKEND, message(ToldWord.CHILD, known, at), milliseconds(at))


def untold(
    tx: Transaction, found: Iterable[Identified], names: Names, own: Belongings, put_off: int, *, strictly: bool = False
) -> set[tuple[bytes, str]]:
    """(key, recipient) of what can be called by a name, and was called by none of what was found: nor, where the key's
    own name could not have been what left, by any other of the same people's that is of the same classes. `put_off`
    as of `identified`; `strictly`: whoever was told of one class was told of no other.
    """
    told = [each for each in found if each.identifiers]
    named = defaultdict[tuple[bytes, str], set[str]](set)  # the classes of which somebody was told
    beside = defaultdict[str, set[str]](set)  # by recipient, the kinds that it was told of
    for each in told:
        named[each.under, each.got.recipient] |= each.got.classes if strictly else KINDS_OF.keys()
        beside[each.got.recipient].update(each.identifiers)
    return {
        (key, got.recipient)
        for key, since in own.items()
        for got in got_under(tx, key, since, put_off)
        if (classes := got.classes & KINDS_OF.keys() - named.get((key, got.recipient), set()))
        if any(is_of(kind, classes) for kind in names.get(key, ()))
        or not all(any(is_of(kind, [one]) for kind in beside[got.recipient]) for one in classes)
    }


def forget_recipients(
    tx: Transaction, keys: Iterable[bytes], own: Belongings, staying: Collection[tuple[bytes, str]] = (),
    *, whole: bool = False,
) -> set[bytes]:  # fmt: skip
    """The disclosure rows of keys whose recipients were told; each chunk's entry stays. `staying`: of which key those
    of which recipient do, as they are all that tells who has it; `whole` as of `forget_held`. Returns whose keys of the
    vault are not needed any more.
    """
    going = {key: own[key] for key in keys}
    rows = [
        (key, since, recipient)
        for key, since in going.items()
        for (recipient,) in tx.db.execute(ANY, {"key": key}).fetchall()
        if (key, recipient) not in staying
    ]
    tx.db.executemany("DELETE FROM disclosure WHERE key = ? AND batch >= ? AND recipient = ?", rows)
    tx.db.executemany("DELETE FROM disclosed WHERE key = ? AND batch >= ? AND recipient = ?", rows)
    return recipient_holdings.forget_held(tx, going, whole=whole)


def got_under(tx: Transaction, key: bytes, since: int, put_off: int = recipient_holdings.NEVER) -> list[Got]:
    """What left, or may have left, by recipient: the one place where the log of disclosures is read for messages. What
    a caller only asked about shows of nobody that they got it, so it tells them nothing (R18). `put_off`: an announced
    send that its caller says did not leave counts too, where that was said from a moment on.
    """
    found: dict[str, list[tuple[str, str, int]]] = {}
    for recipient, *more in tx.db.execute(GOT, {"key": key, "since": since, "put_off": put_off}):
        found.setdefault(recipient, []).append(tuple(more))
    return [
        Got(recipient, _set(row[0] for row in listed), _set(row[1] for row in listed), max(row[2] for row in listed))
        for recipient, listed in found.items()
    ]


def _set(joined: Iterable[str]) -> frozenset[str]:
    return frozenset(name for text in joined for name in text.split(",") if name)


SENSITIVE = frozenset({DataClass.PRECISE_GEO, DataClass.CONTENT, DataClass.CPNI})  # Cal. Civ. Code 1798.140(ae)


def write_and_tell(
    tx: Transaction, subject: Subject, choice: Choice, request: bytes, kept: records.KeptNoes = ()
) -> Written:
    """As `records.write_choice`."""
    unknown = is_unknown(tx, subject)
    written = records.write_choice(tx, subject, choice, request, kept, unknown=unknown)
    pass_on(tx, subject, choice, unknown=unknown)
    return written


def hear_and_tell(
    tx: Transaction, subject: Subject, choice: Choice, request: bytes, kept: records.KeptNoes = ()
) -> Written | None:
    """As `records.hear_signal`."""
    unknown = is_unknown(tx, subject)
    written = records.hear_signal(tx, subject, choice, request, kept)
    if written:
        pass_on(tx, subject, choice, unknown=unknown)
    return written


def pass_on(tx: Transaction, subject: Subject, choice: Choice, *, unknown: bool) -> None:
    """Messages to whoever holds what a choice stops, and to the operator's own systems."""
    if choice.kind in TIGHTENS:
        said, reached = frozenset(widened(choice.purposes)), _reached(tx, subject, unknown=unknown)
        pass_no_on(tx, [subject], said, reached, choice.at, lambda: choice.received)
    elif own_systems.registered(tx):
        own_systems.hear_yes(tx, _reached(tx, subject, unknown=unknown))


def pass_standing_on(tx: Transaction, key: bytes, at: datetime) -> None:
    """What denies of a key now, as if it was said now, for a no that nobody says: of a state's list, or that a void
    brought back. What its person came back to is no part of it. An own system is told what is kept by a name.
    """
    standing = people_of(tx, [key]).standing(key, milliseconds(at))
    if said := frozenset(purpose for purpose in CHOOSABLE if standing.denies(purpose)):
        subject = Subject("", "", (key,))
        pass_no_on(tx, [subject], said, _reached(tx, subject, unknown=False), at, lambda: None)


TOLD_AT_ONCE = 50  # people of one transaction: an opt-out may wait for it


def void_passed_on(keys: Sequence[bytes], at: datetime) -> Iterator[Callable[[Transaction], None]]:
    """Jobs of the writer, behind a void of what these people had said: whatever it brought back is told to whoever got
    their data meanwhile. Done again they tell nobody twice.
    """

    def job(tx: Transaction, some: Sequence[bytes]) -> None:
        for key in some:
            pass_standing_on(tx, key, at)

    for start in range(0, len(keys), TOLD_AT_ONCE):
        yield partial(job, some=keys[start : start + TOLD_AT_ONCE])


def pass_no_on(
    tx: Transaction, subjects: Sequence[Subject], said: frozenset[Purpose], reached: set[bytes], at: datetime,
    received: Callable[[], datetime | None],
) -> None:  # fmt: skip
    """A no to these purposes that reaches these keys. `subjects`: whom a caller names; `received` is looked up where
    somebody is to be told.
    """
    stopped, has_systems = list(_stopped(tx, subjects, said, reached)), own_systems.registered(tx)
    came = received() if stopped or has_systems else None
    tell_recipients(tx, stopped, at, came, _last_of(said, came or at))
    if has_systems:
        named = _accounts_among(tx, reached)
        for each in subjects:
            named |= {each.key: in_every_form(each)} if each.value else _kept_forms(tx, each.key)
        own_systems.suppress(tx, named, said, at, came)


def tell_of_state(tx: Transaction, subject: Subject, said: frozenset[Purpose], at: datetime) -> None:
    """Of what an id of a phone is denied by a person's no on another one, as if that was said now: to whoever has the
    id by its own names, for it goes on to nobody. `consent.installations` calls it.
    """
    if said:
        names = family(people_of(tx, [subject.key]).slate(), subject.key)
        pass_no_on(tx, [subject], said, named_by(subject) | names, at, lambda: None)


def _reached(tx: Transaction, subject: Subject, *, unknown: bool) -> set[bytes]:
    """`unknown`: nobody hears of it but by the identifier's own names."""
    reached = named_by(subject)
    return reached if unknown else reached | reached_by_no(people_of(tx, [subject.key]).slate(), subject.key)


def _kept_forms(tx: Transaction, key: bytes) -> dict[bytes, dict[str, str]]:
    """What each name of an identifier is called that no call names: as recipients have it, or an erasure left it."""
    found = dict[bytes, dict[str, str]]()
    for name in family(people_of(tx, [key]).slate(), key):
        found[name] = suppression.read_suppression(tx, name)
        for held in recipient_holdings.under(tx, name, released_since(tx.db, name)):
            if held.named == name:  # whom a row merely named beside it is nobody that the no is about (R12)
                found[name] |= recipient_holdings.open_held(tx, held.recipient, held.person, held.sealed)
    return found


def _accounts_among(tx: Transaction, keys: Iterable[bytes]) -> dict[bytes, dict[str, str]]:
    """What those of some keys are called that are accounts."""
    names = {key: records.account_name(tx, key) for key in keys}
    return {key: {"account": name} for key, name in names.items() if name}


def in_every_form(subject: Subject) -> dict[str, str]:
    """As `forms`, with the digest of an ad id too: what an own system may know somebody by."""
    return forms(subject) | suppression.digests(subject)


def _stopped(
    tx: Transaction, subjects: Sequence[Subject], said: frozenset[Purpose], reached: set[bytes]
) -> Iterator[tuple[Identified, ToldWord]]:
    """What recipients have that the no stops."""
    left = tx.found_among(LEFT, reached)
    yield from _stopped_of(tx, subjects, said, {key: released_since(tx.db, key) for key in sorted(left)})


def _stopped_of(
    tx: Transaction, subjects: Sequence[Subject], said: frozenset[Purpose], own: Belongings
) -> Iterator[tuple[Identified, ToldWord]]:
    if not own:
        return
    for each in identified(tx, names_of(tx, subjects, own), own):
        word = word_for(said, each.got.purposes, each.got.classes, third=is_outside(tx, each.got.recipient))
        if word:
            yield each, word


def _last_of(said: frozenset[Purpose], came: datetime) -> Callable[[Got], datetime | None]:
    return lambda got: own_systems.marketing_last(said & got.purposes, came)


def tell_holders(tx: Transaction, subject: Subject, said: frozenset[Purpose], choice: Choice) -> None:
    """Of a no on what was given back since it was said: whoever got it, whosever it was then, for it denies for all."""
    own = dict.fromkeys(sorted(tx.found_among(LEFT, named_by(subject))), 0)
    tell_recipients(
        tx,
        list(_stopped_of(tx, [subject], said, own)),
        choice.at,
        choice.received,
        _last_of(said, choice.received or choice.at),
    )


def reached_by_no(slate: Slate, key: bytes) -> set[bytes]:
    """The key itself, its names, the spellings of its mailbox, the accounts that have one of these by more than an
    app's word, all that those have, by an app's word too, and looser forms of it all. From there it goes to nobody.
    """
    own = all_names(slate, key)
    return with_looser(slate, own.union(*(_has_now(slate, account) for account in {key} | roads(slate, own))))


def is_outside(tx: Transaction, recipient: str) -> bool:
    """Whether a recipient is outside the business, as anybody may be who is not configured here any more."""
    known = tx.recipients.get(recipient)
    return known is None or known.third


def word_for(
    said: frozenset[Purpose], purposes: frozenset[str], classes: frozenset[str], *, third: bool
) -> ToldWord | None:
    """What a recipient is told that got these classes for these purposes; None: the choice is not about it. What the
    verdict stops it tells (`choice.rules.refusals`); `third`: of somebody outside the business. A service that nobody
    can opt out of goes on (L41).
    """
    choosable = [purpose for purpose in CHOOSABLE if purpose in purposes]
    if not choosable:
        return None
    if refusals.stops(said - {Purpose.SENSITIVE}, choosable, third=third):
        return ToldWord.OPT_OUT
    limits = Purpose.SENSITIVE in said and (Purpose.SENSITIVE in choosable or not SENSITIVE.isdisjoint(classes))
    return ToldWord.LIMIT if limits or refusals.stops_class(said, map(DataClass, classes)) else None


ITSELF = frozenset({NoPlace.OWN, NoPlace.NAME, NoPlace.MAILBOX})  # where what an identifier said lies
SAID_AT = "SELECT seq, coalesce(received, at) FROM detail WHERE seq IN ({marks})"


def tell_carried(tx: Transaction) -> None:
    """Of all who became connected since it was called last."""
    joined, tx.joined = tx.joined, []
    if joined:
        slate = people_of(tx, {each.key for one in joined for each in _everybody(one)}).slate()
        for one in joined:
            names = [all_names(slate, each.key) for each in one.subjects]
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
    for bits in (slate.row(account).noes, partial(passed_on, slate, account, apart, NO_RECORD)):
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


def _sent_up(slate: Slate, account: bytes, own: set[bytes]) -> set[Purpose]:
    """What any of these names sent up to an account that denies it still."""
    ways = (bits_of(slate.edge(account, name).up) for name in own)
    return {purpose for way in ways for purpose, bit in way if bit.denies(slate.voids)}


def _said_itself(slate: Slate, subject: Subject) -> Callable[[ReadNo], bool]:
    """Whether its present holder said a no; of an account whether it passes it on."""
    since = slate.row(subject.key).since
    return lambda each: subject.is_account or (each.place in ITSELF and each.bit.seq >= since)
