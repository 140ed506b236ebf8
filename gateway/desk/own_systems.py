"""The operator's own systems that hold people's data: what each is asked to delete, by when, and what it said; and the
noes that it is told. `recipients_to_tell` writes the messages, in the transaction of the act, and the outbox has them
delivered as it does for recipients, as `system:NAME`.

A deletion there is over once the system itself said `deleted`, or an officer who looked, by name; an act of forgetting
is complete once each system that it asks is. A system is told what a request names, as far as it knows people by that
kind, and nothing else. It stays registered until it is ended, whoever writes and with which configuration.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from gateway.choice import identity
from gateway.delivery.deadlines import MARKETING_BUSINESS_DAYS, Calendar
from gateway.desk import outbox, recipient_holdings
from gateway.desk.office.request_law import RequestKind, clock_of
from gateway.desk.outbox import Message, State
from gateway.ledger.acts.holders import held_since, released_since
from gateway.ledger.schema import rows_of
from gateway.ledger.store import asked_of
from gateway.ledger.subjects import Subject, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.terms import Purpose

PREFIX = "system:"  # no recipient has a colon in its name
DELETE, OPT_OUT = "delete", "opt_out"
DUTY = {
    DELETE: "Delete what you have under these identifiers, keep what it takes to go on suppressing them, and answer"
    " deleted once nothing else is left.",
    OPT_OUT: "Use nothing that you have under these identifiers for these purposes.",
}
BY_HAND = "by hand: "
MARKETING = frozenset({Purpose.MARKETING_EMAIL, Purpose.MARKETING_TEXT, Purpose.MARKETING_CALL})
SYSTEMS = "SELECT name, kinds, suppressed FROM own_system ORDER BY name"
ORDERED = """
SELECT s.event, o.id, o.recipient, o.state, o.tries, o.answer, coalesce(o.received, o.at), s.last, o.taken
FROM system_order s JOIN outbox o ON o.id = s.message
"""
# Other messages may have a last moment of their own, too.
OURS = f"o.word = '{DELETE}' AND substr(o.recipient, 1, {len(PREFIX)}) = '{PREFIX}'"
OPEN = f"{ORDERED} WHERE o.state <> 'delivered' AND {OURS} ORDER BY s.last, o.recipient, o.id LIMIT ?"
OPEN_COUNTS = (
    "SELECT o.recipient, count(*) FROM system_order s JOIN outbox o ON o.id = s.message"  # noqa: S608 - ours
    f" WHERE o.state <> 'delivered' AND {OURS} GROUP BY o.recipient ORDER BY o.recipient"
)
OF_EVENTS = f"{ORDERED} WHERE s.event IN ({{marks}}) ORDER BY s.last, o.recipient, o.id"
ACTS = "SELECT request FROM detail WHERE key = ? AND seq >= ?"
IS_ACT = (
    "SELECT 1 FROM system_order WHERE event = ?1 UNION SELECT 1 FROM detail JOIN erasure USING (seq) WHERE event = ?1"
)
DONE = f"{ORDERED} WHERE o.state = 'delivered' AND {OURS} ORDER BY o.taken DESC LIMIT ?"


@dataclass(frozen=True, slots=True)
class OwnSystem:
    """`kinds`: of identifiers by which it knows people. `suppressed`: it is told of noes."""

    name: str
    kinds: frozenset[str]
    suppressed: bool = True

    @property
    def recipient(self) -> str:
        """What it is called among those who are told something."""
        return PREFIX + self.name

    def known(self, identifiers: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of some (kind, value) that say something to it."""
        return {each for each in identifiers if identity.plain_kind(each[0]) in self.kinds}


@dataclass(frozen=True, slots=True)
class SystemDeletion:
    """What one system was asked to delete for one act. `event` None: for a state's list. Times: Unix milliseconds, of
    the request, of its last moment, of the word that it is deleted.
    """

    event: bytes | None
    message: bytes
    recipient: str
    state: State
    tries: int
    answer: str
    received: int
    last: int
    taken: int | None

    @property
    def system(self) -> str:
        return self.recipient.removeprefix(PREFIX)

    @property
    def is_done(self) -> bool:
        return self.state is State.DELIVERED


class NoSuchDeletion(Exception):
    """A message that asks no system of ours for a deletion, or is over."""


def is_system(recipient: str) -> bool:
    """Whether somebody who is told something is a system of the operator's own."""
    return recipient.startswith(PREFIX)


def registered(tx: Transaction) -> list[OwnSystem]:
    """All that are told something; those of the configuration that a process has are among them from then on."""
    for row in tx.systems:
        tx.db.execute(
            "INSERT INTO own_system VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET kinds = ?2, suppressed = ?3"
            " WHERE own_system.kinds <> ?2 OR own_system.suppressed <> ?3",
            row,
        )
    return _systems(tx.asked_once(SYSTEMS))


def configured(tx: Transaction) -> list[str]:
    """The names of those that the configuration of this process has."""
    return [name for name, *_ in tx.systems]


def read_systems(db: sqlite3.Connection) -> list[OwnSystem]:
    """Those on record, by name."""
    return _systems(db.execute(SYSTEMS))


def _systems(rows: Iterable[tuple[str, str, int]]) -> list[OwnSystem]:
    return [OwnSystem(name, frozenset(kinds.split(",")), bool(suppressed)) for name, kinds, suppressed in rows]


def end_system(tx: Transaction, name: str) -> bool:
    """Whether it was told until now; what it was asked before stays open. Nothing more is said to it."""
    return bool(tx.db.execute("DELETE FROM own_system WHERE name = ?", (name,)).rowcount)


def _content(word: str, identifiers: Iterable[tuple[str, str]], at: datetime) -> dict[str, object]:
    listed = [identity.as_called(kind, value) for kind, value in sorted(identifiers)]
    return {"type": word, "identifiers": listed, "date": at.date().isoformat(), "duty": DUTY[word]}


def marketing_last(purposes: Iterable[str], received: datetime) -> datetime | None:
    """By when a no to marketing has to be complied with, where it is one of these purposes (R21)."""
    return None if MARKETING.isdisjoint(purposes) else Calendar().within(received, MARKETING_BUSINESS_DAYS)


def last_moment(place: str, received: datetime) -> datetime:
    """By when a request to delete has to be complied with that came from a place at a moment. More time that was taken
    for its answer is not the systems'.
    """
    return clock_of(RequestKind.DELETE, place, received.date()).answered_by(received, Calendar(), extended=False)


def ask_deletion(
    tx: Transaction, system: OwnSystem, identifiers: Iterable[tuple[str, str]], at: datetime, last: datetime,
    *, event: bytes | None = None, received: datetime | None = None, listed: str = "",
) -> bool:  # fmt: skip
    """Whether it is asked: it knows somebody by one of these. `listed`: the number of a state's request for which it is
    asked anyhow; where nothing can be named to it the message names nobody else, and an officer looks it up.
    """
    known = system.known(identifiers)
    if not known and not listed:
        return False
    content = _content(DELETE, known, at) | ({"request": listed} if not known else {})
    came = milliseconds(received) if received else None
    outbox.queue(tx, system.recipient, content, milliseconds(at), received=came)
    tx.db.execute("INSERT INTO system_order VALUES (?, ?, ?)", (tx.queued[-1], event, milliseconds(last)))
    return True


def suppress(
    tx: Transaction, named: Mapping[bytes, Mapping[str, str]], purposes: Iterable[str], at: datetime,
    received: datetime | None = None,
) -> None:  # fmt: skip
    """A no, told to each system that knows somebody by these; not twice before they said yes in between. `named`: what
    each key is called, by kind.
    """
    now, words, last = milliseconds(at), sorted(purposes), marketing_last(purposes, received or at)
    for system in registered(tx) if words else ():
        if not system.suppressed:
            continue
        found = {key: system.known(forms.items()) for key, forms in named.items()}
        news = [key for key, forms in found.items() if forms and _is_news(tx, system, key, words)]
        if news:
            recipient_holdings.informed(tx, system.recipient, news, words, now)
            identifiers = {each for key in news for each in found[key]}
            content = _content(OPT_OUT, identifiers, at) | {"purposes": words}
            came = milliseconds(received) if received else None
            outbox.queue(tx, system.recipient, content, now, received=came, last=last)


def _is_news(tx: Transaction, system: OwnSystem, key: bytes, words: Iterable[str]) -> bool:
    since = released_since(tx.db, key)  # whoever has the number now never said anything
    return any(recipient_holdings.is_news(tx, system.recipient, key, word, since) for word in words)


def hear_yes(tx: Transaction, keys: Iterable[bytes]) -> None:
    """Somebody said yes: their next no is news to every system."""
    if recipients := [each.recipient for each in read_systems(tx.db)]:
        sql = "DELETE FROM informed WHERE recipient = ? AND named = ?"
        tx.db.executemany(sql, [(to, key) for to in recipients for key in keys])


def _deletions(rows: Iterable[tuple[object, ...]]) -> list[SystemDeletion]:
    return [
        SystemDeletion(event, message, to, State(state), *more)  # type: ignore[arg-type] # as the table has them
        for event, message, to, state, *more in rows
    ]


def open_deletions(db: sqlite3.Connection, most: int = -1) -> list[SystemDeletion]:
    """What no system did yet, the earliest last moment first; all of it by default."""
    return _deletions(db.execute(OPEN, (most,)))


def deletions_of(db: sqlite3.Connection, events: Iterable[bytes]) -> list[SystemDeletion]:
    """What each system was asked for by these acts, done or not."""
    return _deletions(rows_of(db, OF_EVENTS, [*events]))


def deletions_about(db: sqlite3.Connection, since: Mapping[bytes, int]) -> list[SystemDeletion]:
    """What each system was asked for by acts about these people, since the entry from which on a key is theirs; of who
    was unlinked nobody knows that.
    """
    return deletions_of(db, {act for held in since.items() for (act,) in db.execute(ACTS, held)})


def still_named(tx: Transaction, since: Mapping[bytes, int]) -> dict[str, set[tuple[str, str]]]:
    """By recipient, whom it was asked to delete of these people and did not yet: an act that can name less by now, as
    they were forgotten, waits for that, too.
    """
    found = dict[str, set[tuple[str, str]]]()
    for each in deletions_about(tx.db, since):
        if not each.is_done and (body := outbox.read_body(tx, each.message)):
            named = {identity.as_kept(item) for item in json.loads(body)["identifiers"]}
            found.setdefault(each.recipient, set()).update(named)
    return found


def is_complete(db: sqlite3.Connection, event: bytes) -> bool:
    """Whether each system that an act asks said that it deleted."""
    return all(each.is_done for each in deletions_of(db, [event]))


def read_deletions(tx: Transaction, recipient: str, most: int = -1) -> list[Message]:
    """What one system has to delete still, as it is told, the oldest first; all of it by default."""
    return outbox.read_messages(tx, recipient, most=most, kind=outbox.OutboxKind.DELETES)


def deleted_by_hand(tx: Transaction, message: bytes, officer: str, now: int) -> str:
    """An officer looked, and it is deleted there. Returns in which system. Raises `NoSuchDeletion`."""
    row = tx.db.execute(
        f"SELECT o.recipient FROM outbox o JOIN system_order ON message = id WHERE id = ? AND {OURS}"  # noqa: S608 - ours
        " AND state <> 'delivered'",
        (message,),
    ).fetchone()
    if row is None:
        raise NoSuchDeletion("no system is asked for this, or it is done")
    outbox.taken(tx, message, now, BY_HAND + officer)
    return str(row[0]).removeprefix(PREFIX)


OPEN_SHOWN, DONE_SHOWN = 200, 20
LISTED = 1_000  # deletions of one file: it can be given back, and opening them holds up no opt-out


class SystemsNow(NamedTuple):
    """Who is told, what is open (the first of it, and how many in which system), what was done last."""

    known: Sequence[OwnSystem]
    open: Sequence[SystemDeletion]
    counts: Mapping[str, int]
    done: Sequence[SystemDeletion]


@dataclass(frozen=True, slots=True)
class Systems:
    """Those of one installation, for the desk's pages. Every call may raise `StoreUnavailable`."""

    writer: Writer
    clock: Callable[[], datetime]

    async def look(self) -> SystemsNow:
        known = await self.writer.commit(registered)

        def now(db: sqlite3.Connection) -> SystemsNow:
            counts = {to.removeprefix(PREFIX): count for to, count in db.execute(OPEN_COUNTS)}
            done = _deletions(db.execute(DONE, (DONE_SHOWN,)))
            return SystemsNow(known, open_deletions(db, OPEN_SHOWN), counts, done)

        return await asyncio.to_thread(asked_of, self.writer.store, now)

    async def of(self, events: Iterable[bytes]) -> list[SystemDeletion]:
        """What these acts asked for, done or not."""
        return await asyncio.to_thread(asked_of, self.writer.store, partial(deletions_of, events=events))

    async def about(self, subjects: Iterable[Subject]) -> list[SystemDeletion]:
        """What acts about these people asked for, done or not."""
        keys = {key for subject in subjects for key in subject.keys}

        def about(db: sqlite3.Connection) -> list[SystemDeletion]:
            now = milliseconds(self.clock())  # of the moment that is read
            return deletions_about(db, {key: held_since(db, key, now) for key in keys})

        return await asyncio.to_thread(asked_of, self.writer.store, about)

    async def lacks(self, event: bytes) -> str:
        """Why an act of forgetting is not complete; empty: it is, or nobody else has to do with it."""

        def job(tx: Transaction) -> str:
            if not event:
                return "no act of forgetting is named yet" if registered(tx) else ""
            waits = sorted({each.system for each in deletions_of(tx.db, [event]) if not each.is_done})
            return f"{', '.join(waits)} did not say yet that it is deleted there" if waits else ""

        return await self.writer.commit(job)

    async def is_act(self, event: bytes) -> bool:
        """Whether somebody was forgotten by an act of this event; of an unlink as far as a system was asked."""
        return await asyncio.to_thread(
            asked_of, self.writer.store, lambda db: db.execute(IS_ACT, (event,)).fetchone() is not None
        )

    async def deleted(self, message: bytes, officer: str) -> str:
        """An officer looked, and it is deleted there; in which system. Raises `NoSuchDeletion`."""
        now = milliseconds(self.clock())
        return await self.writer.commit(lambda tx: deleted_by_hand(tx, message, officer, now))

    async def all_deleted(self, messages: Iterable[bytes], officer: str) -> int:
        """The same of many; what is none, or done, is passed over. Returns how many it was said of."""
        now = milliseconds(self.clock())

        def job(tx: Transaction) -> int:
            done = 0
            for message in messages:
                with contextlib.suppress(NoSuchDeletion):
                    deleted_by_hand(tx, message, officer, now)
                    done += 1
            return done

        return await self.writer.commit(job)

    async def to_delete(self, system: str) -> list[Message]:
        """What one has to delete still, as it is told, for whoever does it there by hand: the oldest of it."""
        return await self.writer.commit(lambda tx: read_deletions(tx, PREFIX + system, LISTED))
