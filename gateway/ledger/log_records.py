"""The records of today's log as the fold reads them (`gateway.fold.record`), from the entries and their side tables.

The one place where the two meet: it reads what `happenings` reads, and never the live standings or what they are made
from. What was voided by a moment is left out; of what was pruned only that something was said is known.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from gateway.fold import record as told
from gateway.fold.record import Record, Said
from gateway.ledger.grants import ACT
from gateway.ledger.happenings import ENTRIES, LINKS, MAILBOXES, NAMES, OLD_LINKS, USED
from gateway.ledger.reach import SKEW
from gateway.ledger.records import ACTS
from gateway.ledger.rows_check import FOR_EVER
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.unlinked_remains import End
from gateway.terms import ChoiceKind, DataClass, GrantKind, NoticeKind, Purpose, Source, Told

NOBODY = b""  # the key of a record about no one

LEARNT = "SELECT seq, at, turn, canonical, alias FROM name WHERE at <= ? ORDER BY turn"
LOOSER = "SELECT seq, canonical, alias FROM looser_name"
SPELT = "SELECT seq, at, turn, spelling, mailbox FROM mailbox_name WHERE at <= ?"
OLD = (
    "SELECT seq, turn, account, identifier, start, until,"
    " coalesce((SELECT at FROM detail d WHERE d.seq < l.seq ORDER BY d.seq DESC LIMIT 1), 0),"
    " (SELECT min(seq) FROM detail d WHERE d.seq >= l.seq AND d.at >= l.until)"
    " FROM link_event l WHERE at IS NULL AND start <= ?"
)
SPENT = "SELECT seq, at, turn, key, recipient FROM act_used WHERE at <= ?"
VOIDED = "SELECT ui, seq, at FROM voided_ui WHERE at <= ?"
KEPT_ENDS = "SELECT seq, at, key, purpose, what, ui FROM kept_end WHERE at <= ?"
KEPT_REVOKED = "SELECT seq, at, key, recipient, purpose, data_class, kind FROM kept_revoked WHERE at <= ?"
KEPT_NOES = "SELECT seq, at, key, purpose, origin, via FROM kept_deny WHERE at <= ? ORDER BY key <> via"
KEPT_NOTICES = "SELECT seq, at, key, notice, day FROM kept_told WHERE at <= ?"
KEPT_AGES = "SELECT seq, at, key, band, youngest, fixed FROM kept_age WHERE at <= ?"
ENTERED = (
    f"SELECT d.seq, d.at, d.key, d.kind, {BODY}, g.informed, g.parental, l.account, l.start, l.until, l.claimed,"  # noqa: S608
    f" t.day, t.outcome, a.band, a.may_rise, m.mark FROM detail d{JOINED} LEFT JOIN given g ON g.seq = d.seq"
    " LEFT JOIN link_event l ON l.seq = d.seq AND l.at IS NOT NULL AND NOT l.released"
    " LEFT JOIN told_event t ON t.seq = d.seq LEFT JOIN age_event a ON a.seq = d.seq"
    f" LEFT JOIN acted m ON m.seq = d.seq WHERE d.at <= ?1"
    " AND NOT EXISTS (SELECT 1 FROM voided_choice v WHERE v.seq = d.seq AND v.at <= ?1)"
)


class PlacedRecord(NamedTuple):
    """A record with its place among what has one number."""

    phase: int
    turn: int
    record: Record


def records_of(db: sqlite3.Connection, now: int = FOR_EVER) -> list[Record]:
    """Everything until a moment in Unix milliseconds, in the order of the log."""
    found = [*_names(db, now), *_old_links(db, now), *_used(db, now), *_entries(db, now)]
    found += [*_mailboxes(db, now), *_screens(db, now), *_kept(db, now)]
    found.sort(key=lambda each: (each.record.seq, each.phase, each.record.at, each.turn))
    return list(_with_ends(each.record for each in found))


def _names(db: sqlite3.Connection, now: int) -> Iterator[PlacedRecord]:
    """What one call learnt is learnt at once. Of looser forms no time is known: they are there before all else."""
    for seq, key, alias in db.execute(LOOSER):
        yield PlacedRecord(NAMES, -1, Record(seq, 0, key, told.NamesLearnt(looser=(alias,))))
    for (seq, at, key), learnt in groupby(db.execute(LEARNT, (now,)), key=itemgetter(0, 1, 3)):
        rows = list(learnt)
        yield PlacedRecord(NAMES, rows[0][2], Record(seq, at, key, told.NamesLearnt(tuple(row[4] for row in rows))))


def _mailboxes(db: sqlite3.Connection, now: int) -> Iterator[PlacedRecord]:
    for seq, at, turn, spelling, mailbox in db.execute(SPELT, (now,)):
        yield PlacedRecord(MAILBOXES, turn, Record(seq, at, spelling, told.NamesLearnt(mailbox=mailbox)))


def _old_links(db: sqlite3.Connection, now: int) -> Iterator[PlacedRecord]:
    """Links and releases from before they were entries, as of the last state that is known of each."""
    for seq, turn, account, identifier, start, until, before, over in db.execute(OLD, (now,)):
        if account is None:
            yield PlacedRecord(OLD_LINKS, turn, Record(seq, before, identifier, told.Released(ends_links=False)))
            continue
        at = max(start, before)
        yield PlacedRecord(OLD_LINKS, turn, Record(seq, at, identifier, told.LinkSaid(account, start, until)))
        if over is not None:
            yield PlacedRecord(OLD_LINKS, turn, Record(over, until, identifier, told.LinkSaid(account, start, until)))


def _used(db: sqlite3.Connection, now: int) -> Iterator[PlacedRecord]:
    for seq, at, turn, key, recipient in db.execute(SPENT, (now,)):
        yield PlacedRecord(USED, turn, Record(seq, at, key, told.ActUsed(recipient)))


def _screens(db: sqlite3.Connection, now: int) -> Iterator[PlacedRecord]:
    for ui, seq, at in db.execute(VOIDED, (now,)):
        yield PlacedRecord(ENTRIES, 0, Record(seq, at, NOBODY, told.ScreenVoided(ui)))


def _kept(db: sqlite3.Connection, now: int) -> Iterator[PlacedRecord]:
    """What stayed with others of a person who is unlinked. What ended is over before what stayed is there."""
    for sql, kept in (
        (KEPT_ENDS, _end),
        (KEPT_REVOKED, _revoked),
        (KEPT_NOES, _no),
        (KEPT_NOTICES, _notice),
        (KEPT_AGES, _age),
    ):
        for seq, at, key, *row in db.execute(sql, (now,)):
            yield PlacedRecord(ENTRIES, 0, Record(seq, at, key, kept(*row)))


def _end(purpose: str, what: str, ui: str) -> told.KeptEnd:
    return told.KeptEnd(Purpose(purpose), no=what == End.BOTH, back=what == End.BACK, screen=ui)


def _revoked(recipient: str, purpose: str, data_class: str, kind: str) -> told.KeptRevoked:
    of = DataClass(data_class) if data_class else None
    return told.KeptRevoked(told.GrantName(recipient, Purpose(purpose), of, GrantKind(kind)))


def _no(purpose: str, origin: bytes, via: bytes) -> told.KeptNo:
    return told.KeptNo(Purpose(purpose), origin, via)


def _notice(notice: str, day: int) -> told.KeptNotice:
    return told.KeptNotice(NoticeKind(notice), day)


def _age(band: str, youngest: str, fixed: int) -> told.KeptAge:
    return told.KeptAge(told.KeyAge(band, youngest, bool(fixed)))


class Entered(NamedTuple):
    """A row of `ENTERED`, its leaf read."""

    seq: int
    at: int
    key: bytes
    kind: str
    leaf: dict[str, Any]
    informed: int | None
    parental: int | None
    account: bytes | None
    start: int
    until: int | None
    claimed: int | None
    day: int | None
    outcome: str | None
    band: str | None
    may_rise: int | None
    mark: str | None


def _entries(db: sqlite3.Connection, now: int) -> Iterator[PlacedRecord]:
    for row in db.execute(ENTERED, (now,)):
        entered = Entered._make((*row[:4], json.loads(row[4] or "{}"), *row[5:]))
        known = entered.leaf.get("e")
        said = _said(ChoiceKind(known), entered) if known else told.SaidPruned(entered.mark or "")
        if said is not None:
            yield PlacedRecord(
                ENTRIES, 0, Record(entered.seq, entered.at, entered.key, said, entered.kind == "account")
            )


def _said(word: ChoiceKind, entered: Entered) -> Said | None:
    """None: it forgets what is sealed, told nobody anything, or links somebody who is unlinked."""
    if word in LINKS:
        return _linked(entered)
    if word is ChoiceKind.NUMBER_RELEASED:
        return told.Released()
    if word is ChoiceKind.TOLD:
        reached = entered.outcome != Told.BOUNCED and entered.day is not None
        return told.NoticeGiven(NoticeKind(entered.leaf["k"]), entered.day or 0) if reached else None
    if word is ChoiceKind.CHILD_FOUND:
        return told.ChildFound()
    if word is ChoiceKind.AGE:
        return told.AgeTold(entered.band or "", bool(entered.may_rise), entered.mark or "")
    return None if word in {ChoiceKind.ERASED, ChoiceKind.UNLINKED_PERSON} else _chose(word, entered)


def _linked(entered: Entered) -> told.LinkSaid | None:
    if entered.account is None:
        return None
    return told.LinkSaid(entered.account, entered.start, entered.until, bool(entered.claimed))


def _chose(word: ChoiceKind, entered: Entered) -> Said:
    leaf, source = entered.leaf, entered.leaf.get("src", "")
    purposes = tuple(each for each in Purpose if each in leaf.get("p", ()))
    if word in {ChoiceKind.STATE_BEGAN, ChoiceKind.STATE_ENDED}:
        return told.StateSaid(word is ChoiceKind.STATE_BEGAN, purposes, source, entered.mark or "")
    recipient, classes, screen = leaf.get("to", ""), leaf.get("c", ()), leaf.get("ui", "")
    if word in ACTS:
        until = entered.at + ACT if ACTS[word] is GrantKind.DIRECTED else None
        return told.GrantSaid(
            recipient, purposes, DataClass(classes[0]) if classes else None, ACTS[word], screen, until
        )
    if word is not ChoiceKind.OPT_IN:
        return told.SaidOut(purposes, source, entered.mark or "", dated=source != Source.READING)
    screen = leaf.get("ui", leaf.get("nv", ""))  # older ones name no screen: the notice's version stands for it
    if recipient:  # and no class, for there was no other
        data_class = DataClass(classes[0]) if classes else DataClass.PRECISE_GEO
        return told.GrantSaid(recipient, purposes, data_class, GrantKind.OPTED_IN, screen)
    return told.SaidIn(purposes, screen, bool(entered.informed), bool(entered.parental))


def _with_ends(records: Iterable[Record]) -> Iterator[Record]:
    """With the ends of links by their date, which are no entries yet: denials cross a link until a clock is as far past
    it as one may be wrong (`reach.SKEW`).
    """
    dated: dict[tuple[bytes, bytes], told.LinkSaid] = {}
    for record in records:
        for account, key in [link for link, said in dated.items() if (said.until or 0) <= record.at - SKEW]:
            said = dated.pop((account, key))
            yield Record(record.seq, said.until or 0, key, said)
        yield record
        if isinstance(record.said, told.LinkSaid):
            dated.pop(link := (record.said.account, record.key), None)
            if record.said.until is not None:
                dated[link] = record.said
