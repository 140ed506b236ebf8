"""Links: which identifiers an account has, as entries. Made by authenticated callers only; each has a start and an end,
and carries nothing across its end (R2, R5). A *claimed* one rests on the word of an app that somebody is signed in to:
the account's no goes along it, nothing comes back. Every change is an entry about the identifier; the accounts stand in
keyed rows alone. What follows from it is the fold's (`gateway.fold.links`).

Denials cross from the earlier of a link's start and its entry until its end is on record: a clock that was ahead stops
none. Reports begin at the later of the two (desk/access.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from gateway.choice.identity import kinds
from gateway.fold import record as told
from gateway.fold.kin import all_names, edges_of
from gateway.fold.record import Record
from gateway.fold.state import NO_EDGE, NO_RECORD, LinkEdge
from gateway.keys import seals
from gateway.ledger.acts import records
from gateway.ledger.acts.folded_people import denies_nothing, is_unknown, is_without_row, people_of
from gateway.ledger.subjects import Choice, Subject, Written, moment
from gateway.ledger.transaction import Transaction
from gateway.terms import ChoiceKind

EVENT = (
    "INSERT INTO link_event (seq, account, identifier, start, until, claimed, released, at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


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


class LinksTold(NamedTuple):
    """What became of links that a backend or the desk told. `unclear`: keys of what nobody can say which identifier it
    is, of which nothing was written.
    """

    changed: int
    unclear: frozenset[bytes]


def tell_links(
    tx: Transaction, account: Subject | None, identifiers: Sequence[Subject], span: Span, now: int
) -> LinksTold:
    """Ties identifiers to an account; without one they go back to the pool. `consent.verbs` calls it."""
    unclear = _unclear(tx, identifiers)
    clear = [each for each in identifiers if each.key not in unclear]
    if account is not None:
        return LinksTold(link_identifiers(tx, account, clear, span, now), unclear)
    for identifier in clear:
        release(tx, identifier, now)
    return LinksTold(len(clear), unclear)


def _unclear(tx: Transaction, identifiers: Iterable[Subject]) -> frozenset[bytes]:
    return frozenset(each.key for each in identifiers if each.further or _is_shared_form(tx, each))


def _is_shared_form(tx: Transaction, identifier: Subject) -> bool:
    """Whether it is known as a looser form of something alone, which somebody else's value may share."""
    if identifier.kind not in kinds.DIGESTS or is_without_row(tx, identifier.key):
        return False
    row = people_of(tx, [identifier.key]).slate().row(identifier.key)
    return bool(row.owners) and not row.targets


def link_identifiers(
    tx: Transaction, account: Subject, identifiers: Sequence[Subject], span: Span, now: int, *, claimed: bool = False
) -> int:
    """Ties identifiers to an account, all at once; returns how many links changed. A link that is live already is left
    as it is, so that a nightly import never sends a lifted choice again; an `until` ends it.
    """
    request, changed, began = seals.new_event(moment(now)), 0, list[Subject]()
    tx.begun[request] = True
    once = {each.key: each for each in identifiers}
    strangers = all(is_unknown(tx, each) for each in once.values())
    is_quiet = strangers and denies_nothing(tx, account)
    fresh = strangers or all(is_without_row(tx, key) for key in once)
    names = _know(tx, account, identifiers, now)
    slate = None if fresh else people_of(tx, once).slate()
    for identifier in once.values():
        edge = slate.edge(account.key, identifier.key) if slate else NO_EDGE
        outcome = link_outcome(edge, span, now, claimed=claimed)
        if outcome is not LinkOutcome.SAME:
            _write(tx, account.key, identifier, span, outcome, request, now, claimed=claimed, names=names)
            names, changed = None, changed + 1
            began += [identifier] if outcome is LinkOutcome.BEGAN else []
    if names:
        tx.say([names], now)
    if began and not is_quiet:
        tx.join(began, account, now)
    return changed


def _know(tx: Transaction, account: Subject, identifiers: Sequence[Subject], now: int) -> Record | None:
    """Says what all of them go by; but of one alone that is left to be said with its own entry, and returned."""
    *others, last = account, *identifiers
    for subject in others:
        records.know_names(tx, subject, now)
    names = records.names_learnt(tx, last, now)
    if names and len(identifiers) != 1:
        tx.say([names], now)
        return None
    return names


def tie(tx: Transaction, account: Subject | None, subjects: Sequence[Subject], now: int) -> None:
    """An account, where there is one, has the others from now on, but for what is unclear; none of them where another
    account is among these, for nobody said whose they are (R12).
    """
    others = [subject for subject in subjects if account is None or subject.key != account.key]
    if account is not None and not any(other.is_account for other in others):
        unclear = _unclear(tx, others)
        link_identifiers(tx, account, [each for each in others if each.key not in unclear], Span(now), now)


def link_outcome(edge: LinkEdge, span: Span, now: int, *, claimed: bool) -> LinkOutcome:
    """What becomes of one link that is told. A whole one that goes on never becomes claimed; a claimed one becomes
    whole anew; an end that came by its date alone is news, and so is a link that a clock ended which was ahead.
    """
    old = Span(edge.start, edge.until) if edge.begun != NO_RECORD else None
    goes_on = old is not None and edge.lives() and not old.over(now)
    told_before = old == span and edge.lives() != span.over(now)
    if (goes_on and claimed and not edge.claimed) or (told_before and claimed == edge.claimed):
        return LinkOutcome.SAME
    if old is not None and goes_on and claimed == edge.claimed:
        return LinkOutcome.SAME if old.told_again(span, now) == old else LinkOutcome.DATED
    return LinkOutcome.DATED if span.over(now) else LinkOutcome.BEGAN


def disclaim(tx: Transaction, identifier: Subject, accounts: Iterable[bytes], now: int) -> None:
    """Whoever shows that an id is theirs, by more than an app's word, has to do with the accounts no more that apps of
    others tied to it. What had come from these stays, and each yes lifts its own purpose of it. `accounts`: their own.
    """
    mine, request, slate = set(accounts), seals.new_event(moment(now)), people_of(tx, [identifier.key]).slate()
    for account, _, edge in sorted(edges_of(slate, [identifier.key]), key=lambda each: each[0]):
        if edge.lives() and edge.claimed and account not in mine:
            span = Span(edge.start, now)
            outcome = link_outcome(edge, span, now, claimed=True)
            _write(tx, account, identifier, span, outcome, request, now, claimed=True)


def release(tx: Transaction, identifier: Subject, now: int) -> Written:
    """A number or mailbox goes back to the pool, with all spellings of it: its links end now, and what was chosen on it
    before stays with it and travels to nobody who gets it later (R5).
    """
    records.know_names(tx, identifier, now)
    slate = people_of(tx, [identifier.key]).slate()
    names = all_names(slate, identifier.key)
    choice = Choice(ChoiceKind.NUMBER_RELEASED, (), "", moment(now))
    written = records.append(tx, identifier, choice, seals.new_event(moment(now)), told.Released())
    for account, name, edge in sorted(edges_of(slate, names), key=lambda each: (each[1], each[0])):
        if edge.lives():
            span = Span(edge.start, now if edge.until is None else min(edge.until, now))
            _keep_event(tx, written.seq, account, name, span, now, claimed=edge.claimed, released=True)
    return written


def _write(
    tx: Transaction,
    account: bytes,
    identifier: Subject,
    span: Span,
    outcome: LinkOutcome,
    request: bytes,
    now: int,
    *,
    claimed: bool,
    names: Record | None = None,
) -> None:
    begins = outcome is LinkOutcome.BEGAN or span.until is None or span.start > now
    kind = ChoiceKind.LINKED if begins else ChoiceKind.UNLINKED
    choice = Choice(kind, (), "", moment(now), details={"start": span.start, "until": span.until})
    said = told.LinkSaid(account, span.start, span.until, claimed)
    written = records.append(tx, identifier, choice, request, said, names=names)
    _keep_event(tx, written.seq, account, identifier.key, span, now, claimed=claimed, released=False)


def _keep_event(
    tx: Transaction, seq: int, account: bytes, identifier: bytes, span: Span, now: int, *, claimed: bool, released: bool
) -> None:
    tx.unwritten.add(EVENT, (seq, account, identifier, span.start, span.until, claimed, released, now))
    if span.until is not None and span.until > now and not released:
        tx.due = span.until if tx.due is None else min(tx.due, span.until)
