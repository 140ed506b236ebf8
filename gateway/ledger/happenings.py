"""What happened to some keys, read from the log and its side tables, each thing with its place and as an act that a
transaction can replay. Reads only, and never the live standings or what they are made from.
"""

import json
import sqlite3
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from gateway.ledger import ages, device_states, grants, links, notices, records, unlinked_remains
from gateway.ledger.reach import looser
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import Choice, Subject, moment
from gateway.ledger.unlinked_remains import End
from gateway.ledger.writer import Transaction
from gateway.terms import ChoiceKind, DataClass, Purpose

CHUNK = 500  # keys of one statement; SQLite's own limit is 32,766
LINKS = frozenset({ChoiceKind.LINKED, ChoiceKind.UNLINKED})
NAMES, MAILBOXES, OLD_LINKS, USED, ENTRIES = range(5)  # the order of what has one place in the log

LEARNT = "SELECT seq, at, canonical, turn, alias FROM name WHERE canonical IN ({marks}) AND at <= ?"
SPELT = "SELECT seq, at, turn, spelling, mailbox FROM mailbox_name WHERE spelling IN ({marks}) AND at <= ?"
SEEDED = (
    "SELECT seq, turn, account, identifier, start, until FROM link_event"
    " WHERE identifier IN ({marks}) AND at IS NULL AND start <= ?"
)
OVER = "SELECT min(seq) FROM detail WHERE seq >= ? AND at >= ?"  # of a link that has no end no time is
SPENT = "SELECT seq, at, turn, key, recipient FROM act_used WHERE key IN ({marks}) AND at <= ?"
KEPT_DENIES = "SELECT seq, at, key, purpose, origin, via FROM kept_deny WHERE key IN ({marks}) AND at <= ?"
KEPT_ENDS = "SELECT seq, at, key, purpose, what, ui FROM kept_end WHERE key IN ({marks}) AND at <= ?"
KEPT_REVOKED = (
    "SELECT seq, at, key, recipient, purpose, data_class, kind FROM kept_revoked WHERE key IN ({marks}) AND at <= ?"
)
KEPT_NOTICES = "SELECT seq, at, key, notice, day FROM kept_told WHERE key IN ({marks}) AND at <= ?"
KEPT_AGES = "SELECT seq, at, key, band, youngest, fixed FROM kept_age WHERE key IN ({marks}) AND at <= ?"
VOIDED = "SELECT ui, seq, at FROM voided_ui WHERE at <= ?"
# What an entry says, with what stands beside it; but for what was voided by a moment.
ENTERED = (
    f"{BODY}, g.informed, g.parental, l.account, l.start, l.until, l.claimed, t.day, t.outcome,"  # noqa: S608 - ours
    f" a.band, a.may_rise, m.mark FROM detail d {JOINED} LEFT JOIN given g ON g.seq = d.seq"
    " LEFT JOIN link_event l ON l.seq = d.seq AND l.at IS NOT NULL AND NOT l.released"
    " LEFT JOIN told_event t ON t.seq = d.seq LEFT JOIN age_event a ON a.seq = d.seq"
    " LEFT JOIN acted m ON m.seq = d.seq WHERE d.key IN ({marks}) AND d.at <= ?"
    " AND NOT EXISTS (SELECT 1 FROM voided_choice v WHERE v.seq = d.seq AND v.at <= ?)"
)
SAID = f"SELECT d.seq, d.at, d.request, d.key, d.kind, {ENTERED} AND {BODY} IS NOT NULL"


@dataclass(frozen=True, slots=True)
class LinkHappening:
    """What one entry says of a link. Links of one call begin together."""

    request: bytes
    account: bytes
    identifier: bytes
    span: links.Span
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class VoidHappening:
    """From here on no consent counts that was given on a screen."""

    ui: str


class GivenConsent(NamedTuple):
    """An opt-in, by whom it was given and on which screen: were that voided, it is as if there had been none."""

    by: bytes
    purposes: tuple[Purpose, ...]
    screen: str


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that changed somebody: `seq` entries there were before it (of an entry its own number)."""

    seq: int
    phase: int
    at: int
    turn: int
    act: Callable[[Transaction], Any] | LinkHappening | VoidHappening
    consent: GivenConsent | None = None


def of(db: sqlite3.Connection, keys: Iterable[bytes], now: int) -> list[Happening]:
    """Everything until a moment in Unix milliseconds, in the order of the log."""
    keys = set(keys)
    found = [*_names(db, keys, now), *_old_links(db, keys, now), *_used(db, keys, now), *_entries(db, keys, now)]
    found += [*_mailboxes(db, keys, now), *_voided(db, now), *_kept(db, keys, now)]
    return sorted(found, key=lambda each: (each.seq, each.phase, each.at, each.turn))


def without_consents(happened: Iterable[Happening], screens: Container[str]) -> list[Happening]:
    """Had nobody said yes on these screens, and had none been voided. Such a yes took the place of what the same one
    had said yes to before: that does not count either.
    """
    found, gone = list[Happening](), set[tuple[bytes, Purpose]]()
    for each in reversed([*happened]):
        said = each.consent
        its = {(said.by, purpose) for purpose in said.purposes} if said else set()
        gone |= its if said and said.screen in screens else set()
        if gone.isdisjoint(its) and not isinstance(each.act, VoidHappening):
            found.append(each)
    return found[::-1]


def rows_of(
    db: sqlite3.Connection, sql: str, keys: Iterable[bytes] | Iterable[int], *more: int
) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement that has `{marks}` for keys or entries, however many there are."""
    listed = sorted(keys)
    for start in range(0, len(listed), CHUNK):
        chunk = listed[start : start + CHUNK]
        yield from db.execute(sql.format(marks=",".join("?" * len(chunk))), [*chunk, *more])


def _names(db: sqlite3.Connection, keys: set[bytes], now: int) -> Iterator[Happening]:
    """What one call learnt is learnt at once."""
    rows = sorted(rows_of(db, LEARNT, keys, now), key=itemgetter(3))
    for (seq, at, canonical), learnt in groupby(rows, key=itemgetter(0, 1, 2)):
        names = list(learnt)
        subject = Subject("", "", (canonical, *(row[4] for row in names)))
        yield Happening(seq, NAMES, at, names[0][3], partial(records.know, subject=subject, now=at))


def _mailboxes(db: sqlite3.Connection, keys: set[bytes], now: int) -> Iterator[Happening]:
    for seq, at, turn, spelling, mailbox in rows_of(db, SPELT, keys, now):
        act = partial(records.know_mailbox, spelling=spelling, mailbox=mailbox, now=at)
        yield Happening(seq, MAILBOXES, at, turn, act)


def _old_links(db: sqlite3.Connection, keys: set[bytes], now: int) -> Iterator[Happening]:
    """Links and releases from before they were entries, as of the last state that is known of each."""
    for seq, turn, account, identifier, start, until in rows_of(db, SEEDED, keys, now):
        if account is None:
            act = partial(_released, name=identifier, seq=seq, at=_time_before(db, seq))
        else:
            at = max(start, _time_before(db, seq))
            act = partial(_linked, account=account, identifier=identifier, span=links.Span(start, until), at=at)
            over = db.execute(OVER, (seq, until)).fetchone()[0]
            if over is not None:
                yield Happening(over, OLD_LINKS, 1, turn, partial(_ended, account=account, identifier=identifier))
        yield Happening(seq, OLD_LINKS, 0, turn, act)


def _released(tx: Transaction, name: bytes, seq: int, at: int) -> None:
    tx.db.execute("INSERT OR REPLACE INTO release VALUES (?, ?)", (name, seq))
    links.forget_yes(tx, [name])
    recompute(tx, [name], at)


def _linked(tx: Transaction, account: bytes, identifier: bytes, span: links.Span, at: int) -> None:
    outcome = links.put(tx, account, identifier, span, at)
    links.carry(tx, account, [(identifier, span, outcome)], at)


def _ended(tx: Transaction, account: bytes, identifier: bytes) -> None:
    tx.db.execute("UPDATE link SET ended = ? WHERE account = ? AND identifier = ?", (tx.size, account, identifier))


def _time_before(db: sqlite3.Connection, seq: int) -> int:
    """When the last entry before a place in the log was accepted."""
    row = db.execute("SELECT at FROM detail WHERE seq < ? ORDER BY seq DESC LIMIT 1", (seq,)).fetchone()
    return row[0] if row else 0


def _used(db: sqlite3.Connection, keys: set[bytes], now: int) -> Iterator[Happening]:
    for seq, at, turn, key, recipient in rows_of(db, SPENT, keys, now):
        yield Happening(seq, USED, at, turn, partial(grants.use_one, key=key, recipient=recipient, now=at))


def _voided(db: sqlite3.Connection, now: int) -> Iterator[Happening]:
    for ui, seq, at in db.execute(VOIDED, (now,)):
        yield Happening(seq, ENTRIES, at, 0, VoidHappening(ui))


def _kept(db: sqlite3.Connection, keys: set[bytes], now: int) -> Iterator[Happening]:
    """What stayed with somebody of a person who is unlinked. What ended is over before what stayed is there."""
    for seq, at, *ended in rows_of(db, KEPT_ENDS, keys, now):
        key, purpose, what, ui = ended
        consent = GivenConsent(b"whoever is forgotten to " + key, (Purpose(purpose),), ui) if what == End.BOTH else None
        act = partial(unlinked_remains.end_again, ended=ended, seq=seq, now=at)
        yield Happening(seq, ENTRIES, at, 0, act, consent)
    for seq, at, *grant in rows_of(db, KEPT_REVOKED, keys, now):
        yield Happening(seq, ENTRIES, at, 0, partial(unlinked_remains.revoke_again, grant=grant, now=at))
    for seq, at, *deny in rows_of(db, KEPT_DENIES, keys, now):
        yield Happening(seq, ENTRIES, at, 0, partial(unlinked_remains.deny_again, deny=deny, seq=seq, now=at))
    for seq, at, *notice in rows_of(db, KEPT_NOTICES, keys, now):
        yield Happening(seq, ENTRIES, at, 0, partial(unlinked_remains.told_again, notice=notice, seq=seq, now=at))
    for seq, at, key, *age in rows_of(db, KEPT_AGES, keys, now):
        yield Happening(seq, ENTRIES, at, 0, partial(unlinked_remains.young_again, key=key, age=age, seq=seq, now=at))


def _entries(db: sqlite3.Connection, keys: set[bytes], now: int) -> Iterator[Happening]:
    for seq, at, request, key, kind, body, informed, parental, *more in rows_of(db, SAID, keys, now, now):
        leaf = json.loads(body)
        account, start, until, claimed, day, outcome, band, may_rise, mark = more
        word, subject = ChoiceKind(leaf["e"]), Subject(kind, "", (key,))
        act: Callable[[Transaction], Any] | LinkHappening
        consent = None
        if word is ChoiceKind.ERASED or (word in LINKS and account is None):
            continue  # forgets what is sealed; a link to somebody who is unlinked: what stayed of it is in `_kept`
        if word in LINKS:
            act = LinkHappening(request, account, key, links.Span(start, until), bool(claimed))
        elif word is ChoiceKind.NUMBER_RELEASED:
            act = partial(links.let_go, key=key, now=at)
        elif word is ChoiceKind.TOLD:
            act = partial(
                notices.apply_told, subject=subject, notice=leaf["k"], day=day, outcome=outcome, seq=seq, now=at
            )
        elif word is ChoiceKind.CHILD_FOUND:
            act = partial(_child, subject=subject, seq=seq, now=at)
        elif word is ChoiceKind.AGE:
            said = ages.AgeSaid(band, bool(may_rise), mark or "")
            act = partial(ages.apply, subject=subject, said=said, seq=seq, now=at)
        else:
            choice = _choice(word, leaf, at, informed=bool(informed), parental=bool(parental), mark=mark)
            act = partial(_chose, subject=subject, choice=choice, seq=seq)
            consent = _given(key, choice)
        yield Happening(seq, ENTRIES, at, 0, act, consent)


def _given(key: bytes, choice: Choice) -> GivenConsent | None:
    asked = choice.kind is ChoiceKind.OPT_IN and not choice.recipient  # what is for one recipient is a grant
    return GivenConsent(key, choice.purposes, choice.ui) if asked else None


def _child(tx: Transaction, subject: Subject, seq: int, now: int) -> None:
    known = Subject(subject.kind, "", subject.keys, tuple(looser(tx, subject.key, seq)))
    ages.deny_child(tx, known, seq, now)


def _chose(tx: Transaction, subject: Subject, choice: Choice, seq: int) -> None:
    if choice.kind is ChoiceKind.STATE_BEGAN:
        device_states.apply_began(tx, subject.key, choice, seq)
    elif choice.kind is ChoiceKind.STATE_ENDED:
        device_states.apply_ended(tx, subject.key, choice)
    else:
        known = Subject(subject.kind, "", subject.keys, tuple(looser(tx, subject.key, seq)))
        records.apply(tx, known, choice, seq)


def _screen(kind: ChoiceKind, leaf: dict[str, Any]) -> str:
    """Older entries name no screen: then the notice's version stands for it, as in an opt-in that names none."""
    shown = leaf.get("nv", "") if kind is ChoiceKind.OPT_IN else ""
    return str(leaf.get("ui", shown))


def _choice(
    kind: ChoiceKind, leaf: dict[str, Any], at: int, *, informed: bool, parental: bool, mark: str | None
) -> Choice:
    said, recipient, classes = leaf.get("p", []), leaf.get("to", ""), leaf.get("c", [])
    if kind is ChoiceKind.OPT_IN and recipient and not classes:
        classes = [DataClass.PRECISE_GEO]  # older entries do not name it: there was no other
    return Choice(
        kind,
        tuple(purpose for purpose in Purpose if purpose in said),
        leaf.get("src", ""),
        moment(at),
        recipient=recipient,
        data_class=DataClass(classes[0]) if classes else None,
        ui=_screen(kind, leaf),
        informed=informed,
        parental=parental,
        details={"device": mark} if mark else {},
    )
