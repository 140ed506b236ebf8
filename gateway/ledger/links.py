"""Links: which identifiers an account has. Made by authenticated callers only; each has a start and an end, and carries
nothing across its end (R2, R5). A *claimed* one rests on the word of an app that somebody is signed in to: the
account's no goes along it, nothing comes back. Every change is an entry about the identifier; the accounts stand in
keyed rows alone.

Denials cross from the earlier of a link's start and its entry until its end is on record: a clock that was ahead stops
none. Reports begin at the later of the two (ledger/access.py).
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.choice.standing import IN, NONE
from gateway.ledger import ages, grants, notices, records, travel
from gateway.ledger.reach import group, spellings
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import Choice, Subject, Written, moment
from gateway.ledger.writer import Transaction
from gateway.terms import ChoiceKind


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when, in Unix milliseconds; `until` None: still."""

    start: int
    until: int | None = None

    def live(self, now: int) -> bool:
        return self.start <= now and not self.over(now)

    def over(self, now: int) -> bool:
        return self.until is not None and self.until <= now

    def told_again(self, other: "Span", now: int) -> "Span":
        """A link that goes on, after another span was told: a start that has come stays, an end is the last word."""
        return Span(min(self.start, other.start) if self.start > now else self.start, other.until)


class LinkOutcome(Enum):
    """What became of one link."""

    SAME = 0
    DATED = 1  # its end was set or moved, or it lies in the past
    BEGAN = 2


EARLIER = (
    "SELECT start, until, ended, claimed, EXISTS (SELECT 1 FROM release r WHERE r.identifier = l.identifier"
    " AND r.seq >= l.ended) FROM link l WHERE account = ? AND identifier = ?"
)
Changed = tuple[bytes, Span, LinkOutcome]  # identifier and what became of its link


def link(
    tx: Transaction, account: Subject, identifiers: Sequence[Subject], span: Span, now: int, *, claimed: bool = False
) -> int:
    """Ties identifiers to an account, all at once; returns how many links changed. A link that is live already is left
    as it is, so that a nightly import never sends a lifted choice again; an `until` ends it.
    """
    for subject in (account, *identifiers):
        records.know(tx, subject, now)
    request, changed = os.urandom(16), list[Changed]()
    for identifier in identifiers:
        outcome = put(tx, account.key, identifier.key, span, now, claimed=claimed)
        if outcome is not LinkOutcome.SAME:
            _write(tx, account, identifier, span, outcome, request, now)
            changed.append((identifier.key, span, outcome))
    carry(tx, account.key, changed, now)
    return len(changed)


def tie(
    tx: Transaction, account: Subject | None, subjects: Sequence[Subject], now: int, *, claimed: bool = False
) -> None:
    """An account, where there is one, has the others from now on."""
    if account is not None:
        others = [subject for subject in subjects if subject.key != account.key]
        link(tx, account, others, Span(now), now, claimed=claimed)


def put(
    tx: Transaction, account: bytes, identifier: bytes, span: Span, now: int, *, claimed: bool = False
) -> LinkOutcome:
    """The row of one link. A whole one that goes on never becomes claimed; a claimed one becomes whole anew. What had
    stayed of an earlier one, whole or ended by a release, is no claim's to take back.
    """
    row = tx.db.execute(EARLIER, (account, identifier)).fetchone()
    old, ended, was_claimed = (Span(*row[:2]), row[2] is not None, bool(row[3])) if row else (None, False, False)
    goes_on = old is not None and not ended and not old.over(now)
    told_before = old == span and (ended or not span.over(now))  # an end that came by its date alone is news
    if (goes_on and claimed and not was_claimed) or (told_before and claimed == was_claimed):
        return LinkOutcome.SAME
    if old is not None and goes_on and claimed == was_claimed:
        told = old.told_again(span, now)
        tx.db.execute(
            "UPDATE link SET start = ?, until = ?, ended = ? WHERE account = ? AND identifier = ?",
            (told.start, told.until, tx.size if told.over(now) else None, account, identifier),
        )
        return LinkOutcome.SAME if told == old else LinkOutcome.DATED
    if row and claimed and (not was_claimed or row[4]):
        travel.make_own(tx, account, identifier)
    tx.db.execute(
        "INSERT INTO link (account, identifier, start, until, seq, ended, claimed) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET start = excluded.start, until = excluded.until, seq = excluded.seq,"
        " ended = excluded.ended, claimed = excluded.claimed",
        (account, identifier, span.start, span.until, tx.size, tx.size if span.over(now) else None, claimed),
    )
    return LinkOutcome.DATED if span.over(now) else LinkOutcome.BEGAN


def carry(tx: Transaction, account: bytes, changed: Sequence[Changed], now: int) -> None:
    """What beginning links pass on in both directions, and the age that stays where one ends; of a claimed one nothing
    stays. The entries are there.
    """
    names = {key: group(tx, key) for key, _, _ in changed}
    for key, span, _ in changed:
        if span.until is not None and _is_claimed(tx, account, key):
            travel.take_back(tx, account, key)
        elif span.until is not None:
            ages.keep(tx, account, [key], tx.size - 1)
    began = {name for key, _, outcome in changed if outcome is LinkOutcome.BEGAN for name in names[key]}
    if began:
        travel.carry_both_ways(tx, account, began, now)
    if names:
        recompute(tx, {account}.union(*names.values()), now)


def disclaim(tx: Transaction, identifier: Subject, accounts: Iterable[bytes], now: int) -> None:
    """Whoever shows that an id is theirs, by more than an app's word, is rid of what apps of others tied to it."""
    mine, request = set(accounts), os.urandom(16)
    rows = tx.db.execute(
        "SELECT account, start FROM link WHERE identifier = ? AND claimed AND ended IS NULL ORDER BY account",
        (identifier.key,),
    ).fetchall()
    for account, start in rows:
        if account not in mine:
            span = Span(start, now)
            outcome = put(tx, account, identifier.key, span, now, claimed=True)
            _write(tx, Subject("account", "", (account,)), identifier, span, outcome, request, now)
            carry(tx, account, [(identifier.key, span, outcome)], now)


def _is_claimed(tx: Transaction, account: bytes, identifier: bytes) -> bool:
    sql = "SELECT 1 FROM link WHERE account = ? AND identifier = ? AND claimed"
    return tx.db.execute(sql, (account, identifier)).fetchone() is not None


def release(tx: Transaction, identifier: Subject, now: int) -> Written:
    """A number or mailbox goes back to the pool: its links end now, and what was chosen on it before stays with it
    and travels to nobody who gets it later (R5).
    """
    records.know(tx, identifier, now)
    choice = Choice(ChoiceKind.NUMBER_RELEASED, (), "", moment(now))
    written = records.append(tx, identifier, choice, os.urandom(16))
    for account, name, span, claimed in let_go(tx, identifier.key, now):
        _keep_event(tx, written.seq, account, name, span, now, claimed=claimed, released=True)
    return written


def let_go(tx: Transaction, key: bytes, now: int) -> list[tuple[bytes, bytes, Span, bool]]:
    """What a release changes, once its entry is there: of its own choices only the denies stay, for a yes was somebody
    else's (R5). With a mailbox go all of its spellings. Returns (account, name, span, claimed) of every link that it
    ended.
    """
    names, ended = group(tx, key), list[tuple[bytes, bytes, Span, bool]]()
    for other in spellings(tx, key):
        names |= group(tx, other)
    for name in sorted(names):
        rows: Iterable[tuple[bytes, int, int | None, int]] = tx.db.execute(
            "SELECT account, start, until, claimed FROM link WHERE identifier = ? AND ended IS NULL ORDER BY account",
            (name,),
        ).fetchall()
        ended += [
            (account, name, Span(start, now if until is None else min(until, now)), bool(claimed))
            for account, start, until, claimed in rows
        ]
        tx.db.execute(
            "UPDATE link SET until = min(coalesce(until, ?1), ?1), ended = ?3 WHERE identifier = ?2 AND ended IS NULL",
            (now, name, tx.size),
        )
        tx.db.execute("INSERT INTO release VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq", (name, tx.size))
    for account, name, *_ in ended:
        ages.keep(tx, account, [name], tx.size - 1)
    notices.forget_told(tx, names)
    forget_yes(tx, names)
    recompute(tx, names, now)
    return ended


def forget_yes(tx: Transaction, names: Iterable[bytes]) -> None:
    """A yes on a number that was given back was its holder's, and so was what they allowed a recipient (R5)."""
    names = list(names)
    grants.forget(tx, names)
    tx.db.executemany(
        "UPDATE own_choice SET state = ? WHERE key = ? AND state = ?", [(NONE, name, IN) for name in names]
    )


def _write(
    tx: Transaction, account: Subject, identifier: Subject, span: Span, outcome: LinkOutcome, request: bytes, now: int
) -> None:
    begins = outcome is LinkOutcome.BEGAN or span.until is None or span.start > now
    kind = ChoiceKind.LINKED if begins else ChoiceKind.UNLINKED
    choice = Choice(kind, (), "", moment(now), details={"start": span.start, "until": span.until})
    written = records.append(tx, identifier, choice, request)
    [claimed] = tx.db.execute(
        "SELECT claimed FROM link WHERE account = ? AND identifier = ?", (account.key, identifier.key)
    ).fetchone()
    _keep_event(tx, written.seq, account.key, identifier.key, span, now, claimed=bool(claimed), released=False)


def _keep_event(
    tx: Transaction, seq: int, account: bytes, identifier: bytes, span: Span, now: int, *, claimed: bool, released: bool
) -> None:
    tx.db.execute(
        "INSERT INTO link_event (seq, account, identifier, start, until, claimed, released, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (seq, account, identifier, span.start, span.until, claimed, released, now),
    )
