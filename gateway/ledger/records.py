"""Writing choices: the entry, its sealed details and what stands beside it, in one transaction; and what accounts are
called.

Everything here runs inside the writer's thread as (part of) a job. A subject is an identifier as the ledger knows it:
its keys, and the kind and value that only the commitment is made from; the value itself is never stored. But for an
account's name, sealed with a key of its own in the vault: it is the operator's own word and reaches nobody but the
operator, whose sender needs it to tell people of something new (R15), since a key cannot be turned back.
"""

import os
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain

from gateway.fold.noes import is_no_news
from gateway.fold.record import NamesLearnt, Record, Said, SaidOut
from gateway.ledger import openings
from gateway.ledger.choice_record import LeafSecrets, as_written, public_leaf, said_of_choice, sealed_details
from gateway.ledger.folded_people import named_by, people_of, says_first
from gateway.ledger.subjects import ACTS, TIGHTENS, Choice, Subject, Written, milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import ChoiceKind

NAME_LABEL = b"account/1"
LEARN = "INSERT OR IGNORE INTO name (alias, canonical, seq, at) VALUES "
LOOSEN = "INSERT OR IGNORE INTO looser_name (alias, canonical, seq) VALUES "
SPELT = "INSERT OR IGNORE INTO mailbox_name (spelling, mailbox, seq, at) VALUES (?, ?, ?, ?)"  # of which mailbox, once


def keep_account_name(tx: Transaction, key: bytes, name: str) -> None:
    """Once; written with whatever is first known of the account."""
    if not name or tx.db.execute("SELECT 1 FROM account_name WHERE key = ?", (key,)).fetchone():
        return
    person = tx.persons.new_person()
    sealed = person.seal(NAME_LABEL, name.encode())
    tx.db.execute("INSERT INTO account_name VALUES (?, ?, ?)", (key, person.person, sealed))


def account_names_after(tx: Transaction, key: bytes, most: int) -> list[tuple[bytes, bytes, bytes]]:
    """(key, person, sealed) of the accounts behind a key, in the order of keys."""
    sql = "SELECT key, person, sealed FROM account_name WHERE key > ? ORDER BY key LIMIT ?"
    return tx.db.execute(sql, (key, most)).fetchall()


def open_account_name(tx: Transaction, person: bytes, sealed: bytes) -> str | None:
    """None: its key is gone."""
    name = tx.persons.keys(person).open(NAME_LABEL, sealed)
    return name.decode() if name is not None else None


def drop_account_names(tx: Transaction, keys: Iterable[bytes]) -> set[bytes]:
    """Forgets what these are called. Returns whose keys of the vault are not needed any more."""
    sql = "DELETE FROM account_name WHERE key = ? RETURNING person"
    return {row[0] for key in keys for row in tx.db.execute(sql, (key,)).fetchall()}


def know(tx: Transaction, subject: Subject, now: int, *, unknown: bool = False) -> None:
    """The identifier's other names, once. An opt-out that was made by a digest alone now reaches the identifier. Of an
    account also what it is called. `unknown`: nothing was ever said of it, by none of its names.
    """
    tx.met |= named_by(subject)
    if subject.is_account:
        keep_account_name(tx, subject.key, subject.value)
    key, seq, fresh = subject.key, tx.size, tx.fresh
    if looser := _unknown(tx, "looser_name", key, subject.looser, all_=unknown):
        _learn(tx, LOOSEN, [(alias, key, seq) for alias in looser])
        for alias in looser:
            fresh.say(Record(seq, 0, key, NamesLearnt(looser=(alias,))), len(looser))
    if names := _unknown(tx, "name", key, subject.keys[1:], all_=unknown):
        _learn(tx, LEARN, [(alias, key, seq, now) for alias in names])
        fresh.say(Record(seq, now, key, NamesLearnt(tuple(names))), len(names))
    if subject.mailbox is not None and tx.db.execute(SPELT, (key, subject.mailbox, seq, now)).rowcount:
        fresh.row()
        fresh.say(Record(seq, now, key, NamesLearnt(mailbox=subject.mailbox)))


def _learn(tx: Transaction, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
    """By one statement: between two of them the event loop would have the interpreter each time."""
    written = tx.db.execute(_of_rows(sql, len(rows[0]), len(rows)), [*chain.from_iterable(rows)]).rowcount
    tx.fresh.row(len(rows))
    if written < len(rows):  # a state knew less than the ledger: what was written is read back
        tx.fresh.leave_out()


@cache
def _of_rows(sql: str, columns: int, rows: int) -> str:
    return sql + ", ".join([f"({', '.join('?' * columns)})"] * rows)


def _unknown(tx: Transaction, table: str, key: bytes, aliases: Sequence[bytes], *, all_: bool) -> list[bytes]:
    if not aliases or all_:
        return [*dict.fromkeys(aliases)]
    rows = tx.db.execute(f"SELECT alias FROM {table} WHERE canonical = ?", (key,))  # noqa: S608 - names are ours
    known = {row[0] for row in rows}
    return [alias for alias in dict.fromkeys(aliases) if alias not in known]


def write(tx: Transaction, subject: Subject, choice: Choice, request: bytes, *, unknown: bool = False) -> Written:
    """One entry about one identifier. `request` groups what was said at once; `unknown` as in `know`."""
    know(tx, subject, milliseconds(choice.at), unknown=unknown)
    choice = as_written(subject, choice)
    written = append(tx, subject, choice, request, said_of_choice(choice))
    if choice.informed or choice.parental:
        tx.db.execute("INSERT INTO given VALUES (?, ?, ?)", (written.seq, choice.informed, choice.parental))
    return written


def hear(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """A signal: an entry only where it is news (`gateway.fold.noes`)."""
    know(tx, subject, milliseconds(choice.at))
    said = said_of_choice(as_written(subject, choice), signal=True)
    assert isinstance(said, SaidOut)
    if not says_first(tx, subject.key) and is_no_news(people_of(tx, [subject.key]).slate(), subject.key, said):
        return None
    return write(tx, subject, choice, request)


def append(
    tx: Transaction,
    subject: Subject,
    choice: Choice,
    request: bytes,
    said: Said | None,
    told: tuple[str, str] = ("", ""),
) -> Written:
    """The entry and its sealed details alone. `said`: what the fold is told by it, and by what stands beside it; None:
    nothing. `told` as in `entry.choice`.
    """
    tx.about.add(subject.key)
    event, rs, rd = request if _first(tx, request) else os.urandom(16), os.urandom(32), os.urandom(32)
    person, details = tx.persons.new_person(), sealed_details(choice)
    body = public_leaf(subject, choice, LeafSecrets(event, rs, rd), details, told)
    seq, at = tx.append(body), milliseconds(choice.at)
    if said is not None:
        tx.fresh.say(Record(seq, at, subject.key, said, subject.is_account))
    received = milliseconds(choice.received) if choice.received else None
    tx.db.execute(
        "INSERT INTO detail (seq, event, request, key, kind, person, at, received, sealed, opening)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            seq,
            event,
            request,
            subject.key,
            subject.kind,
            person.person,
            at,
            received,
            *openings.seal(person, event, rs, rd, details),
        ),
    )
    if choice.details.get("device"):
        state = choice.kind not in {*TIGHTENS, ChoiceKind.OPT_IN, *ACTS}
        tx.db.execute("INSERT INTO acted VALUES (?, ?, ?)", (seq, choice.details["device"], state))
    return Written(event, seq, subject.kind, subject.key, rs)


def _first(tx: Transaction, request: bytes) -> bool:
    """The first entry of a request bears the request's own id, so that one id finds them all."""
    return tx.db.execute("SELECT 1 FROM detail WHERE event = ?", (request,)).fetchone() is None
