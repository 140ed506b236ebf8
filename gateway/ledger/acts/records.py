"""Writing choices: the entry, its sealed details and what stands beside it, in one transaction; and what accounts are
called.

Everything here runs inside the writer's thread as (part of) a job. A subject is an identifier as the ledger knows it:
its keys, and the kind and value that only the commitment is made from; the value itself is never stored. But for an
account's name, sealed with a key of its own in the vault: it is the operator's own word and reaches nobody but the
operator, whose sender needs it to tell people of something new (R15), since a key cannot be turned back.
"""

import os
from collections.abc import Container, Iterable

from gateway.fold.noes import is_no_news
from gateway.fold.record import LinkSaid, NamesLearnt, Record, Said, SaidOut
from gateway.keys import seals
from gateway.ledger.acts.folded_people import (
    is_unknown,
    is_without_row,
    named_by,
    people_at_hand,
    people_of,
    says_first,
)
from gateway.ledger.acts.reach import Relations
from gateway.ledger.choice_record import (
    LeafSecrets,
    as_written,
    names_of_subject,
    public_leaf,
    said_of_choice,
    sealed_details,
)
from gateway.ledger.proof import openings
from gateway.ledger.side import Mention
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import DAY_MS

NAME_LABEL = b"account/1"
DETAIL = (
    "INSERT INTO detail (seq, event, request, key, kind, person, at, received, sealed, opening)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
NAMED = "SELECT key FROM account_name WHERE key IN ({marks})"
NAME = "INSERT INTO account_name VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"  # another job of the batch may have
LATE = DAY_MS  # so long may a clock be wrong, and a link goes on past its date
OVER = (
    "SELECT account, identifier, start, l.until, claimed FROM dated_link d JOIN link_event l USING (turn)"
    " WHERE d.until <= ? ORDER BY +turn"  # by the index of dates
)


def keep_account_name(tx: Transaction, key: bytes, name: str) -> None:
    """Once; written with whatever is first known of the account."""
    if not name or key in tx.named or tx.found_among(NAMED, [key]):
        return
    tx.named.add(key)
    person = tx.persons.new_person()
    tx.unwritten.add(NAME, (key, person.person, person.seal(NAME_LABEL, name.encode())))


def account_names_after(tx: Transaction, key: bytes, most: int) -> list[tuple[bytes, bytes, bytes]]:
    """(key, person, sealed) of the accounts behind a key, in the order of keys."""
    sql = "SELECT key, person, sealed FROM account_name WHERE key > ? ORDER BY key LIMIT ?"
    return tx.db.execute(sql, (key, most)).fetchall()


def open_account_name(tx: Transaction, person: bytes, sealed: bytes) -> str | None:
    """None: its key is gone."""
    name = tx.persons.keys(person).open(NAME_LABEL, sealed)
    return name.decode() if name is not None else None


def account_name(tx: Transaction, key: bytes) -> str | None:
    """What the account of a key is called; None: it is none, or that was forgotten."""
    row = tx.db.execute("SELECT person, sealed FROM account_name WHERE key = ?", (key,)).fetchone()
    return open_account_name(tx, *row) if row else None


def drop_account_names(tx: Transaction, keys: Iterable[bytes]) -> set[bytes]:
    """Forgets what these are called. Returns whose keys of the vault are not needed any more."""
    sql, keys = "DELETE FROM account_name WHERE key = ? RETURNING person", [*keys]
    tx.named.difference_update(keys)
    return {row[0] for key in keys for row in tx.db.execute(sql, (key,)).fetchall()}


def know_names(tx: Transaction, subject: Subject, now: int) -> None:
    """The identifier's other names, once. An opt-out that was made by a digest alone now reaches the identifier. Of an
    account also what it is called.
    """
    if names := names_learnt(tx, subject, now):
        tx.say([names], now)


def names_learnt(tx: Transaction, subject: Subject, now: int, *, unknown: bool = False) -> Record | None:
    """What is to be said of an identifier's names, with the entry about it or without one. `unknown`: nothing was ever
    said of it, by none of its names.
    """
    names = names_of_subject(subject)
    stranger, unknown = unknown, unknown or names is None or is_without_row(tx, subject.key)
    stranger = stranger or (unknown and is_unknown(tx, subject))
    tx.met |= named_by(subject)
    if subject.is_account:
        keep_account_name(tx, subject.key, subject.value)
    if names is not None and not unknown:
        same, looser, has_box = _names_known(tx, subject.key)
        names = NamesLearnt(
            tuple(each for each in names.same if each not in same),
            tuple(each for each in names.looser if each not in looser),
            None if has_box else names.mailbox,
        )
    if not names or not any(names):
        return None
    if not stranger:
        tx.join((subject,), None, now)
    return Record(tx.size, now, subject.key, names, subject.is_account)


def _names_known(tx: Transaction, key: bytes) -> tuple[Container[bytes], Container[bytes], bool]:
    """Exact names, looser forms, and whether its mailbox is known. Nobody else is folded for it: of an account with all
    that it has each call would do so once more.
    """
    if people := people_at_hand(tx):
        row = people.slate().row(key)
        return row.names, row.looser, row.box is not None
    told = Relations(tx.db, Mention.NAME)
    told.read([key])
    return told.names[key], told.looser[key], bool(told.boxes[key])


def write_choice(
    tx: Transaction, subject: Subject, choice: Choice, request: bytes, *, unknown: bool = False
) -> Written:
    """One entry about one identifier. `request` groups what was said at once; `unknown` as in `names_learnt`."""
    names = names_learnt(tx, subject, milliseconds(choice.at), unknown=unknown)
    choice = as_written(subject, choice)
    return append(tx, subject, choice, request, said_of_choice(choice), names=names)


def hear_signal(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """A signal: an entry only where it is news (`gateway.fold.noes`)."""
    names = names_learnt(tx, subject, milliseconds(choice.at))
    choice = as_written(subject, choice)
    said = said_of_choice(choice, signal=True)
    assert isinstance(said, SaidOut)
    if not says_first(tx, subject.key) and is_no_news(people_of(tx, [subject.key]).slate(), subject.key, said):
        if names:
            tx.say([names], names.at)
        return None
    return append(tx, subject, choice, request, said._replace(signal=False), names=names)


def append(
    tx: Transaction,
    subject: Subject,
    choice: Choice,
    request: bytes,
    said: Said | None,
    told: tuple[str, str] = ("", ""),
    *,
    names: Record | None = None,
) -> Written:
    """The entry and its sealed details alone. `said`: what the fold is told by it; None: nothing. `told` as in
    `entry.choice`. `names`: what is learnt with it.
    """
    tx.about.add(subject.key)
    event, rs, rd = request if _first(tx, request) else seals.new_event(choice.at), os.urandom(32), os.urandom(32)
    person, details = tx.persons.new_person(), sealed_details(choice)
    body, at = public_leaf(subject, choice, LeafSecrets(event, rs, rd), details, told), milliseconds(choice.at)
    if tx.due is not None and tx.due <= at - LATE:
        tx.say([*([names] if names else []), *end_dated_links(tx, at - LATE)], at)
        names = None  # by these somebody said something before the link was over
    own = None if said is None else Record(tx.size, at, subject.key, said, subject.is_account)
    seq = tx.append(body, [each for each in (names, own) if each], at)
    received = milliseconds(choice.received) if choice.received else None
    if subject.kind != "digest":  # which says no kind (`ledger_log`)
        tx.fresh.kinds[subject.key] = subject.kind
    tx.unwritten.add(
        DETAIL,
        (
            seq,
            event,
            request,
            subject.key,
            subject.kind,
            person.person,
            at,
            received,
            *openings.seal_boxes(person, event, rs, rd, details),
        ),
    )
    return Written(event, seq, subject.kind, subject.key, rs)


def _first(tx: Transaction, request: bytes) -> bool:
    """The first entry of a request bears the request's own id, so that one id finds them all."""
    if request in tx.begun:
        first, tx.begun[request] = tx.begun[request], False
        return first
    return tx.db.execute("SELECT 1 FROM detail WHERE event = ?", (request,)).fetchone() is None


def end_dated_links(tx: Transaction, until: int) -> list[Record]:
    """What is to be said of the links that are over by a date: before the first entry that was made a day behind it."""
    over = tx.db.execute(OVER, (until,)).fetchall()
    tx.db.execute("DELETE FROM dated_link WHERE until <= ?", (until,))
    look_at_dates(tx)
    return [
        Record(tx.size, ended, identifier, LinkSaid(account, start, ended, bool(claimed)))
        for account, identifier, start, ended, claimed in over
    ]


def look_at_dates(tx: Transaction) -> None:
    """Where another link has a date, or none any more."""
    [tx.due] = tx.db.execute("SELECT min(until) FROM dated_link").fetchone()
