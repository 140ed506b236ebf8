"""Consents that count for nothing: a screen turned out to be no fair question (11 CCR 7004(b), L51).

Each opt-in and grant that was given on it goes back to never-consented: to the opt-out that there was before, or to
nothing; and what the opt-in had lifted comes back. Nobody's fair choice is touched, and the entry is about no person.
"""

import os
from dataclasses import dataclass
from datetime import datetime

from gateway.choice.standing import OUT
from gateway.ledger import entry, grants, travel
from gateway.ledger.reach import (
    ReachThen,
    group,
    is_account,
    looser,
    mailbox,
    own_names,
    reach,
    released,
    targets_of,
    whole_of,
    with_looser,
    with_mailbox,
)
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import Purpose


@dataclass(frozen=True, slots=True)
class VoidedConsent:
    """One opt-in that is taken back. `out_at`: when it had been opted out of before, None for never."""

    key: bytes
    purpose: Purpose
    seq: int
    out_at: int | None
    at: int


def void(tx: Transaction, ui: str, reason_sha256: bytes, at: datetime) -> int:
    """One entry, the first time. Returns how many opt-ins went back."""
    if is_void(tx, ui):
        return 0
    seq = tx.append(entry.voided(event=os.urandom(16), ui=ui, reason=reason_sha256, at=at))
    return apply(tx, ui, seq, milliseconds(at))


def is_void(tx: Transaction, ui: str) -> bool:
    """Whether consents of a screen count for nothing."""
    return bool(ui) and tx.db.execute("SELECT 1 FROM voided_ui WHERE ui = ?", (ui,)).fetchone() is not None


def apply(tx: Transaction, ui: str, seq: int, now: int) -> int:
    """What the entry changes, once it is there."""
    tx.db.execute("INSERT INTO voided_ui VALUES (?, ?, ?)", (ui, seq, now))
    rows = tx.db.execute(
        "SELECT key, purpose, seq, out_at, coalesce(in_at, ?) FROM own_choice WHERE ui = ? AND ui <> '' AND state <> ?"
        " ORDER BY key, purpose",  # an opt-in that a release ended was one all the same
        (now, ui, OUT),
    ).fetchall()
    consents = [VoidedConsent(key, Purpose(purpose), *more) for key, purpose, *more in rows]
    for each in consents:
        _forget(tx, each, seq)
    for each in consents:
        _send_again(tx, each, seq, now)
    recompute(tx, grants.void(tx, ui) | {each.key for each in consents}, now)
    return len(consents)


def _before_release(tx: Transaction, each: VoidedConsent) -> bool:
    """Whether it was an earlier holder's, who has the number no more (R5)."""
    return each.seq < released(tx, each.key)


def _forget(tx: Transaction, each: VoidedConsent, seq: int) -> None:
    """The choice that there was before. An earlier holder's stays older than the release."""
    if each.out_at is None:
        tx.db.execute("DELETE FROM own_choice WHERE key = ? AND purpose = ?", (each.key, each.purpose))
        return
    tx.db.execute(
        "UPDATE own_choice SET state = ?, seq = ?, in_at = NULL, ui = '', informed = 0, parental = 0"
        " WHERE key = ? AND purpose = ?",
        (OUT, each.seq if _before_release(tx, each) else seq, each.key, each.purpose),
    )


def _send_again(tx: Transaction, each: VoidedConsent, seq: int, now: int) -> None:
    """An opt-out goes where it had gone when it was lifted, and where it would have gone since."""
    account, earlier = is_account(tx, each.key), _before_release(tx, each)
    if each.out_at is not None:
        for then in [ReachThen(each.seq, each.at)] if earlier else [ReachThen(each.seq, each.at), None]:
            reached = reach(tx, each.key, now, account=account, then=then)
            reached[each.key] |= looser(tx, each.key, seq)
            travel.send(tx, each.key, [each.purpose], each.seq if earlier else seq, reached, now)
    if account:
        _give_back_to_account(tx, each, now)
    else:
        _give_back_from_ended_links(tx, each, now)


def _give_back_to_account(tx: Transaction, each: VoidedConsent, now: int) -> None:
    """What its identifiers had said goes to it and to all that it has, as when a link begins; also what one had said
    that it had let go before.
    """
    has, had = targets_of(tx, each.key, now), targets_of(tx, each.key, now, then=ReachThen(each.seq, each.at))
    reached = has | had
    up = whole_of(tx, each.key, now) | whole_of(tx, each.key, now, then=ReachThen(each.seq, each.at))
    mates = {mate for name in up for mate in mailbox(tx, name)} - up  # from what an app's word ties to it nothing comes
    for name in sorted((up | mates) - {each.key}):
        denies = _denies(tx, name, each.purpose, after=released(tx, name) if name in has | mates else -1)
        if name not in has | mates:  # what it said once it was gone is another's
            denies = [deny for deny in denies if deny[2] < each.seq]
        if denies:
            same = with_mailbox(tx, name)
            travel.carry(tx, with_looser(tx, reached - same), denies, each.key)
    for name, end in _let_go(tx, each):
        theirs = max(released(tx, name), 0)  # what it said again since may have been said before; a next holder's not
        denies = [deny for deny in _denies(tx, name, each.purpose) if deny[2] < end or theirs < end]
        travel.carry(tx, with_looser(tx, reached - with_mailbox(tx, name)), denies, each.key)
    recompute(tx, with_looser(tx, reached), now)


def _let_go(tx: Transaction, each: VoidedConsent) -> list[tuple[bytes, int]]:
    """The names of what an account had had and let go before its yes, each with the entry of the end."""
    rows = tx.db.execute(
        "SELECT identifier, coalesce(ended, ?1) FROM link WHERE account = ?2 AND NOT claimed AND seq <= ?1"
        " AND (ended <= ?1 OR until <= ?3)",
        (each.seq, each.key, each.at),
    ).fetchall()
    return sorted({(name, end) for identifier, end in rows for name in group(tx, identifier)})


def _give_back_from_ended_links(tx: Transaction, each: VoidedConsent, now: int) -> None:
    """What had come to an identifier over links that have ended was its own by then, and was lifted with it."""
    names = own_names(tx, each.key)
    forms = with_looser(tx, names)
    for name in sorted(names):
        for account, until, last in tx.db.execute(
            "SELECT account, until, seq FROM link WHERE identifier = ? AND seq <= ? AND until <= ? AND NOT claimed",
            (name, each.seq, now),
        ).fetchall():
            then = ReachThen(max(last, each.seq), until - 1)
            for origin in sorted(whole_of(tx, account, now, then=then) - names):
                if _said_no_until(tx, origin, each.purpose, until):
                    travel.carry(tx, forms, [(origin, each.purpose, last)], account)
    recompute(tx, forms, now)


def _said_no_until(tx: Transaction, key: bytes, purpose: Purpose, until: int) -> bool:
    """Whether somebody's no may have stood at a moment. Of several the last one alone is known: where it stands still
    the first may have been in time.
    """
    row = tx.db.execute(
        "SELECT out_at, state, in_at FROM own_choice WHERE key = ? AND purpose = ? AND out_at > ?",
        (key, purpose, travel.NO_DAY),
    ).fetchone()
    return row is not None and (row[1] == OUT or (row[0] < until and (row[2] or 0) >= until))


def _denies(tx: Transaction, key: bytes, purpose: Purpose, after: int = -1) -> list[travel.Deny]:
    return [deny for deny in travel.own_denies(tx, key, after=after) if deny[1] is purpose]
