"""Erasure: what a person asks to be forgotten, in one transaction with the entries that say so (R19).

`erase_details` forgets the details of their entries and the shares that were kept track of; standing, links and what
opens an entry stay, so that the opt-out holds and can be proved. `unlink` forgets those too (erasure_by_unlink.py).
`child_found` says no to everything, for good, and then forgets the details (R14). An entry of an erasure names nobody
and no other entry. Recipients are told before anything is deleted. The deletions are only pending until
erasure_steps.py has destroyed the keys. Never touches what is another person's: what an account merely has, and what
was said on a number before it came to whoever proves it now, or on a child's device before it was theirs (R5, R12).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from gateway.desk import own_systems, recipient_holdings, recipients_to_tell, suppression
from gateway.desk.answered_requests import HowItCame
from gateway.desk.forgetting import erasure_by_unlink
from gateway.desk.forgetting.erasure_by_unlink import UnlinkPlan, plan_unlink
from gateway.desk.recipients_to_tell import Identified, Names, ToldWord
from gateway.fold.kin import family
from gateway.fold.record import ChildFound
from gateway.keys import seals
from gateway.ledger.acts import records
from gateway.ledger.acts.folded_people import Belongings, FoldedPeople, canonicals, group, persons_behind
from gateway.ledger.acts.holders import forgotten_since, linked_since, released_since
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.store import asked_of
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.terms import CHOOSABLE, ChoiceKind, Erasing

ENTRY = {
    Erasing.DETAILS: ChoiceKind.ERASED,
    Erasing.UNLINK: ChoiceKind.UNLINKED_PERSON,
    Erasing.CHILD: ChoiceKind.CHILD_FOUND,
}


@dataclass(frozen=True, slots=True)
class ErasureOrder:
    """What to forget of whom. `subjects`: those that the caller proved control of, at least one. `note`: SHA-256 of
    what the desk wrote about it, kept beside the ledger and in no entry. `came`: how it was asked for. `is_listed`: by
    a state's list; `beside`: what is forgotten with it, each from where it is that person's.
    """

    mode: Erasing
    subjects: Sequence[Subject]
    at: datetime
    note: bytes | None = None
    came: HowItCame = field(default_factory=HowItCame)
    is_listed: bool = False
    beside: Belongings = field(default_factory=dict)


Follows = Callable[[Written], None]  # what is so as soon as an erasure is written, with it


async def carry_out(writer: Writer, order: ErasureOrder, ahead: Callable[[Transaction], Follows]) -> Written:
    """Returns once the keys are destroyed and no older page is left in a file. `ahead`: looks before anything is
    forgotten, and gives what follows. What was kept about these people and is not entered yet has to be entered before
    (`emergency.enter_waiting`). Raises `StoreUnavailable`: where it was written and is not finished yet, it is finished
    by itself, and asking again does no harm.
    """
    request = seals.new_event(order.at)
    found = None
    if order.mode is Erasing.UNLINK:
        found = await asyncio.to_thread(asked_of, writer.store, partial(plan, order=order))

    def job(tx: Transaction) -> Written:
        follows = ahead(tx)
        written = erase(tx, order, request, found)
        follows(written)
        return written

    written = await writer.commit(job)
    if not await writer.commit(lambda tx: done(tx, written.seq)):
        raise StoreUnavailable("it is written and not finished yet; ask again")
    return written


def plan(db: sqlite3.Connection, order: ErasureOrder) -> UnlinkPlan:
    """What an unlink will leave, as of one moment of a connection: opt-outs do not wait for that."""
    [size] = db.execute("SELECT size FROM head").fetchone()
    own = _belongings(db, order, {subject.key for subject in order.subjects})
    return plan_unlink(db, order.subjects, own, size, milliseconds(order.at))


def erase(tx: Transaction, order: ErasureOrder, request: bytes, found: UnlinkPlan | None = None) -> Written:
    """One entry for each subject; returns the first. It is not done before `done` says so. `found`: what an unlink
    leaves, as of a moment before.
    """
    now = milliseconds(order.at)
    for subject in order.subjects:
        records.know_names(tx, subject, now)
    written = [_write(tx, subject, order, request) for subject in order.subjects]
    own = _belongings(tx.db, order, _reached(tx, order))
    called = recipient_holdings.called_among(tx, own)
    persons = persons_behind(tx.db, own) | _tell(tx, order, own, written[0].event) | records.drop_account_names(tx, own)
    if order.mode is Erasing.UNLINK:
        persons |= {person for key in own for person in suppression.suppressed_persons(tx, key)}
        erasure_by_unlink.unlink(tx, order.subjects, own, written[0].seq, now, found)
    else:
        _forget_details(tx, order, own, called)
    _pend(tx, order, written[0].seq, persons)
    return written[0]


def done(tx: Transaction, seq: int) -> bool:
    """Whether an erasure is finished: keys destroyed, files cut."""
    row = tx.db.execute("SELECT done FROM erasure WHERE seq = ?", (seq,)).fetchone()
    return bool(row and row[0])


def _write(tx: Transaction, subject: Subject, order: ErasureOrder, request: bytes) -> Written:
    purposes = CHOOSABLE if order.mode is Erasing.CHILD else ()
    said = ChildFound() if order.mode is Erasing.CHILD else None
    received, manner, place = order.came
    word = Choice(ENTRY[order.mode], purposes, "", order.at, place, manner=manner, received=received)
    return records.append(tx, subject, word, request, said)


def _reached(tx: Transaction, order: ErasureOrder) -> set[bytes]:
    """The identifiers that were named, and what is beside them; of a child's account also what it has now by more than
    an app's word. Not by a link whose date is past, confirmed or not: that may be another holder's by now (R5).
    """
    now = milliseconds(order.at)
    keys = {each.key for each in order.subjects} | order.beside.keys()
    accounts = {each.key for each in order.subjects if each.is_account}
    if order.mode is Erasing.CHILD and accounts:
        slate = FoldedPeople(tx.db, accounts).slate()
        has = ((each, member) for each in accounts for member in slate.row(each).members)
        keys = keys.union(*(family(slate, member) for each, member in has if slate.edge(each, member).carries(now)))
    return keys


def _belongings(db: sqlite3.Connection, order: ErasureOrder, keys: set[bytes]) -> Belongings:
    """These keys with the other names of their identifiers, each from where it is whose it is now; a digest that
    another one has too stays for that one. Of a state's list nobody proved anything: it means whoever had the address.
    What a child's account has and no call named is theirs since others had it, a device too.
    """
    names = {name for key in keys for name in group(db, key)}
    names -= {name for name in names if name not in keys and canonicals(db, name) - names}
    proved = {each.key for each in order.subjects if each.is_account}
    mine = {name for subject in order.subjects for name in group(db, subject.key)}
    now = milliseconds(order.at)

    def since(name: bytes) -> int:
        if order.is_listed:
            return released_since(db, name)
        return forgotten_since(db, name, now, proved) if name in mine else linked_since(db, name, now, proved)

    return {name: order.beside[name] if name in order.beside else since(name) for name in sorted(names)}


def _tell(tx: Transaction, order: ErasureOrder, own: Belongings, event: bytes) -> set[bytes]:
    """Recipients first, while it is known who got what, and the operator's own systems. Rows that nobody can name stay
    until a call does, for nothing else tells who has it. Returns whose keys of the vault are not needed any more.
    """
    names, unlinks = recipients_to_tell.names_of(tx, order.subjects, own), order.mode is Erasing.UNLINK
    put_off = recipient_holdings.put_off_since(order.at)
    found = list(recipients_to_tell.identified(tx, names, own, put_off))
    received, last = order.came.received, _last(order) if order.came.place else None
    deletions = ((each, ToldWord.DELETE) for each in found)
    recipients_to_tell.tell_recipients(tx, deletions, order.at, received, lambda _: last)
    _ask_systems(tx, order, _names(order, names, found, own), own, event)
    if order.mode is Erasing.CHILD:
        recipients_to_tell.tell_backend(tx, order.subjects, order.at)
    if unlinks:
        recipient_holdings.forget_informed(tx, own)
        return recipients_to_tell.forget_recipients(tx, own, own)
    for each in found:
        if each.named in own:  # all that a child's account has, which no call named
            for kind, value in each.identifiers.items():
                suppression.keep_suppression(tx, Subject(kind, value, (each.named,)))
    known = {*names, *recipient_holdings.keys_among(tx, own)}
    staying = recipients_to_tell.untold(tx, found, names, own, put_off, strictly=order.is_listed)
    return recipients_to_tell.forget_recipients(tx, known, own, staying, whole=order.is_listed)


def _last(order: ErasureOrder) -> datetime:
    """By when it has to be passed on, where the person lives: in Europe within a month."""
    return own_systems.last_moment(order.came.place, order.came.received or order.at)


def _names(
    order: ErasureOrder, names: Names, found: Iterable[Identified], own: Belongings
) -> set[tuple[str, str]]:  # fmt: skip
    """What can be said of whom it is about, and of nobody whom a row that left merely named beside them (R12)."""
    said = [recipients_to_tell.in_every_form(subject) for subject in order.subjects]
    held = [each.identifiers for each in found if each.named in own]
    return {item for forms in (*said, *names.values(), *held) for item in forms.items()}


def _ask_systems(
    tx: Transaction, order: ErasureOrder, identifiers: set[tuple[str, str]], own: Belongings, event: bytes
) -> None:  # fmt: skip
    """Each by the request's own clock. Of a state's list `desk.deletion_orders` asks, which answers for it."""
    if order.is_listed:
        return
    last = _last(order)
    known = own_systems.registered(tx)
    before = own_systems.still_named(tx, own) if known else {}
    for system in known:
        named = identifiers | before.get(system.recipient, set())
        own_systems.ask_deletion(tx, system, named, order.at, last, event=event, received=order.came.received)


def _forget_details(tx: Transaction, order: ErasureOrder, own: Belongings, called: set[bytes]) -> None:
    """`called`: those of whom recipients had the identifier itself, before that was forgotten too."""
    tx.db.executemany("UPDATE detail SET sealed = NULL WHERE key = ? AND seq >= ?", list(own.items()))
    _begin_anew(tx, own)
    called |= recipient_holdings.called_among(tx, own)  # of what was only counted they are told by this erasure
    for subject in order.subjects:  # of a kind that recipients key by no digest only what they have, or were told of
        if suppression.digests(subject) or not called.isdisjoint(subject.keys):
            suppression.keep_suppression(tx, subject)


def _begin_anew(tx: Transaction, keys: Iterable[bytes]) -> None:
    """Whoever registers with it again is shown nothing from before."""
    tx.db.executemany(
        "INSERT INTO erased VALUES (?, ?) ON CONFLICT (identifier) DO UPDATE SET seq = excluded.seq",
        [(key, tx.size) for key in keys],
    )


def _pend(tx: Transaction, order: ErasureOrder, seq: int, persons: Iterable[bytes]) -> None:
    tx.db.execute(
        "INSERT INTO erasure (seq, mode, at, note) VALUES (?, ?, ?, ?)",
        (seq, order.mode, milliseconds(order.at), order.note),
    )
    whole = order.mode is Erasing.UNLINK
    tx.db.executemany(
        "INSERT INTO erasure_person VALUES (?, ?, ?)", [(seq, person, whole) for person in sorted(persons)]
    )
    tx.unfinished = True
