"""Why am I still out: each no that holds for whoever proved who they are, and the proof that would end it (R4, R12).
For the answers to opting in, `POST /v1/standing` and our own pages.

Read inside the writer's transaction. Tells of what was proved alone: of whatever else a no came from, that it came and
by which proof it ends, never whose, when or by which value (R6, R16).
"""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from gateway.consent import tokens
from gateway.consent.choice_result import Refused, may_ask_from
from gateway.consent.people import OF_A_PHONE
from gateway.consent.site import Word, said_of
from gateway.fold.kin import has, mates
from gateway.fold.reading import Kin, NoPlace, ReadNo, read_noes, states_of
from gateway.fold.state import NO_RECORD, Slate
from gateway.ledger.acts.device_states import last_said_no
from gateway.ledger.acts.folded_people import StandingPeople, people_of
from gateway.ledger.acts.holders import kind_of, last_outs_at, last_said
from gateway.ledger.subjects import Subject, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import SIGNAL_PURPOSES, Purpose

PROOFS = {"account": "account", "browser": "browser", "email": "code", "phone": "code", "device": "device"}
UNDER_SALE = Purpose.THIRD_PARTY_MARKETING  # a no to a sale is one to this as well (R21)
AT = "SELECT at FROM detail WHERE seq = ?"


class Where(StrEnum):
    """Where a no that still holds was said, as seen from what was proved."""

    THIS = "this"  # on the very thing that was proved
    ACCOUNT = "account"  # on the account that was proved
    LINKED = "linked"  # on something that belongs together with it
    SIGNAL = "signal"  # in this request, for as long as it says so
    DEVICE_STATE = "device_state"  # a setting of the device, or a consent tool on the page
    MAILBOX = "mailbox"  # on another spelling of the same mailbox


@dataclass(frozen=True, slots=True)
class Still:
    """One no that holds. `ends_by`: the kind of proof whose opt-in ends it; None: no proof does, only who says it.
    `source`: the kind of what said it, which whoever proved the account it belongs to may read, and no API tells.
    """

    purpose: Purpose
    where: Where
    ends_by: str | None
    source: str = ""


def still_out(tx: Transaction, subjects: Sequence[Subject], purposes: Iterable[Purpose]) -> list[Still]:
    """All of them, each once, in the order of `purposes`. `subjects` are proved."""
    slate = _folded(tx, subjects).slate()
    found = dict.fromkeys(still for subject in subjects for still in _of(tx, slate, subject))
    found |= dict.fromkeys(replace(still, purpose=UNDER_SALE) for still in found if still.purpose in SIGNAL_PURPOSES)
    order = {purpose: place for place, purpose in enumerate(purposes)}
    return sorted((still for still in found if still.purpose in order), key=lambda still: order[still.purpose])


def _folded(tx: Transaction, subjects: Iterable[Subject]) -> StandingPeople:
    return people_of(tx, [subject.key for subject in subjects])


def noes_that_hold(stills: Iterable[Still]) -> list[dict[str, str | None]]:
    """The member `still_out` of an answer."""
    shown = dict.fromkeys((still.purpose.value, still.where.value, still.ends_by) for still in stills)
    return [{"purpose": purpose, "where": where, "ends_by": ends_by} for purpose, where, ends_by in shown]


def _of(tx: Transaction, slate: Slate, subject: Subject) -> Iterator[Still]:
    box = subject.mailbox or subject.key  # by which an address that nobody named yet is known
    spellings = {box, *mates(slate, box)} if subject.kind == "email" else frozenset[bytes]()
    for no in read_noes(slate, subject.key):
        if no.holds(slate.voids):
            yield _still(tx, slate, subject, no, spellings)
    for *_, purpose in states_of(Kin(slate, subject.key)):
        yield Still(purpose, Where.DEVICE_STATE, None)
    for purpose in SIGNAL_PURPOSES if subject.unwritten else ():  # what its token says itself
        yield Still(purpose, Where.THIS, proof_of(subject.kind))


def _still(tx: Transaction, slate: Slate, subject: Subject, no: ReadNo, spellings: Container[bytes]) -> Still:
    """An account's own yes lifts what came through it, so its proof is enough there; what came to a number, an address
    or a device over its account is lifted by that account, and what stayed of one that has it no more by its own yes.
    """
    if no.place is NoPlace.OWN:
        where = Where.ACCOUNT if subject.is_account else Where.THIS
        return Still(no.purpose, where, proof_of(subject.kind))
    if subject.is_account:
        return Still(no.purpose, Where.LINKED, "account", kind_of(tx.db, no.bit.who))
    if no.place is NoPlace.DOWN and not (no.via and has(slate, no.via, no.root)):
        return Still(no.purpose, Where.LINKED, proof_of(subject.kind))
    if no.via is not None and no.place is not NoPlace.KEPT:
        return Still(no.purpose, Where.LINKED, "account")
    if no.bit.who in spellings:
        return Still(no.purpose, Where.MAILBOX, "code")
    return Still(no.purpose, Where.LINKED, "desk")  # said by another of its names, such as a digest that somebody sent


def proof_of(kind: str) -> str:
    """The kind of proof that is needed to opt an identifier of a kind in again."""
    plain = kind.partition(":")[0]
    if plain in PROOFS:
        return PROOFS[plain]
    return "attestation" if plain in OF_A_PHONE else "desk"


def last_out(tx: Transaction, subjects: Iterable[Subject]) -> dict[Purpose, int]:
    """When each purpose was last opted out by any of the subjects, in Unix milliseconds; of a mailbox by any of its
    spellings. Who had the number before is somebody else's history (R5).
    """
    subjects = list(subjects)
    slate = _folded(tx, subjects).slate()
    keys = [key for subject in subjects for key in (subject.key, *sorted(mates(slate, subject.key)))]
    latest = last_outs_at(tx.db, people_of(tx, keys), keys)
    for subject in subjects:
        for purpose, at in _said_by(tx, subject).items():
            latest[purpose] = max(at, latest.get(purpose, 0))
    return latest


def _said_by(tx: Transaction, subject: Subject, since: int = 0) -> dict[Purpose, int]:
    """When an installation of an app last said no, whatever it named."""
    if subject.kind != "device" or not subject.value:
        return {}
    return last_said_no(tx.db, tokens.mark_of(subject.value), since)


def superseded(tx: Transaction, subjects: Sequence[Subject], purpose: Purpose, position: int) -> bool:
    """Whether any of the subjects was opted out of a purpose, by itself or from afar, or said no itself, in an entry
    from a position on: an opt-in that was asked for before it is superseded. A void of a screen may have brought any of
    them back.
    """
    slate = _folded(tx, subjects).slate()
    return (
        max(slate.voids.values(), default=-1) >= position
        or any(last_said(no.bit) >= position for no in _holding(slate, subjects, purpose))
        or any(purpose in _said_by(tx, subject, position) for subject in subjects)
    )


@dataclass(frozen=True, slots=True)
class YesRests:
    """What a yes rests on that was looked up before it is written. `had`: ids that nothing but an account's proof
    shows, which has them, each with the account's key; `beneath`: accounts while whose no nobody opts in;
    `made`: when the second act was made, which may have waited on its way; `accounts`: keys of those that its proofs
    name, whose own claims stay.
    """

    had: Mapping[bytes, bytes] = field(default_factory=dict)
    beneath: Sequence[Subject] = ()
    made: datetime | None = None
    accounts: Collection[bytes] = ()


def raise_where_overtaken(
    tx: Transaction, asked: tokens.OptInAsked, rests: YesRests, now: int, *, waits: bool = False
) -> None:
    """Raises `Refused` for a yes that the log overtook since its first act, or since its proof was read: something that
    it names is another's by now, or a no stands that came later, or `waits` to be entered.
    """
    above, own = ([key for each in of for key in each.keys] for of in (rests.beneath, asked.subjects))
    people = people_of(tx, [*own, *above])
    slate = people.slate()
    if any(not slate.edge(account, key).carries(now) for key, account in rests.had.items()):
        raise Refused("proof_required", "the account has not every identifier any more that is named")
    if any(slate.row(subject.key).since > asked.position for subject in asked.subjects):
        raise Refused(
            "proof_required", "a number or mailbox went back, and is another's since the opt-in was asked for"
        )
    standings = [people.standing(key, now) for key in above]
    denied = said_of(standings, asked.purpose) is Word.OPTED_OUT
    later = rests.made and out_after(tx, asked.subjects, asked.purpose, milliseconds(rests.made))
    if waits or denied or later or superseded(tx, asked.subjects, asked.purpose, asked.position):
        raise Refused("superseded", "an opt-out of this purpose came later than the opt-in was asked for")


def out_after(tx: Transaction, subjects: Sequence[Subject], purpose: Purpose, at: int) -> bool:
    """Whether any of the subjects was opted out of a purpose since a moment, by itself or from afar."""
    slate = _folded(tx, subjects).slate()
    own = [bit for subject in subjects for each, bit in slate.row(subject.key).noes() if each is purpose]
    said = {bit.dated for bit in own} | {last_said(no.bit) for no in _holding(slate, subjects, purpose)}
    times = (tx.db.execute(AT, (seq,)).fetchone() for seq in said if seq > NO_RECORD)
    return any(row and row[0] >= at for row in times) or any(
        _said_by(tx, subject).get(purpose, -1) >= at for subject in subjects
    )


def by_reading_alone(tx: Transaction, subjects: Sequence[Subject], purposes: Iterable[Purpose]) -> set[Purpose]:
    """Of what holds, that which only was said of a number that may be this one too: it keeps nobody from asking."""
    slate, found = _folded(tx, subjects).slate(), set[Purpose]()
    stated = {purpose for subject in subjects for *_, purpose in states_of(Kin(slate, subject.key))}
    for purpose in purposes:
        bits = [no.bit for no in _holding(slate, subjects, purpose)]
        known = purpose in stated or any(bit.dated > NO_RECORD or bit.seq == NO_RECORD for bit in bits)
        if bits and not known:
            found.add(purpose)
    return found


def _holding(slate: Slate, subjects: Iterable[Subject], purpose: Purpose) -> Iterator[ReadNo]:
    """Each no to a purpose that holds for any of the subjects."""
    for subject in subjects:
        for no in read_noes(slate, subject.key):
            if no.purpose is purpose and no.holds(slate.voids):
                yield no


DENIES = {"opted_out", "unknown"}


def silence(
    standing: Mapping[str, str], out_at: Mapping[Purpose, int], purposes: Sequence[Purpose], now: int
) -> dict[str, str | None]:
    """From when each purpose may be asked about again; None: never opted out. A no that came from afar keeps its day to
    itself: while it holds, it is as if it were of `now`.
    """
    held = {purpose: now for purpose in purposes if standing.get(purpose.value) in DENIES}
    sold = [out_at[purpose] for purpose in SIGNAL_PURPOSES if purpose in out_at]
    if Purpose.THIRD_PARTY_MARKETING in held and sold:  # a no to a sale is one to it, of that day (R21)
        held[Purpose.THIRD_PARTY_MARKETING] = max(sold)
    return {purpose.value: may_ask_from((held | {**out_at}).get(purpose)) for purpose in purposes}
