"""Why am I still out: each no that holds for whoever proved who they are, and the proof that would end it (R4, R12).
For the answers to opting in, `POST /v1/standing` and our own pages.

Read inside the writer's transaction. Tells of what was proved alone: of whatever else a no came from, that it came and
by which proof it ends, never whose, when or by which value (R6, R16).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.choice.standing import OUT
from gateway.consent import tokens
from gateway.consent.choice_result import silent_until
from gateway.consent.people import OF_A_PHONE
from gateway.ledger import device_states, reach, records, travel
from gateway.ledger.subjects import Subject
from gateway.ledger.writer import Transaction
from gateway.terms import SIGNAL_PURPOSES, Purpose

PROOFS = {"account": "account", "browser": "browser", "email": "code", "phone": "code", "device": "device"}
UNDER_SALE = Purpose.THIRD_PARTY_MARKETING  # a no to a sale is one to this as well (R21)
OWN = "SELECT purpose FROM own_choice WHERE key = ? AND state = ?"
CAME = """
SELECT DISTINCT t.purpose, t.origin, EXISTS (SELECT 1 FROM link WHERE account = t.via),
coalesce((SELECT d.kind FROM detail d WHERE d.key = t.origin LIMIT 1), '') FROM travelled_choice t WHERE t.key = ?
"""
HELD = "SELECT DISTINCT purpose FROM device_state WHERE key = ?"


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
    found = dict.fromkeys(still for subject in subjects for still in _of(tx, subject))
    found |= dict.fromkeys(replace(still, purpose=UNDER_SALE) for still in found if still.purpose in SIGNAL_PURPOSES)
    order = {purpose: place for place, purpose in enumerate(purposes)}
    return sorted((still for still in found if still.purpose in order), key=lambda still: order[still.purpose])


def noes_that_hold(stills: Iterable[Still]) -> list[dict[str, str | None]]:
    """The member `still_out` of an answer."""
    shown = dict.fromkeys((still.purpose.value, still.where.value, still.ends_by) for still in stills)
    return [{"purpose": purpose, "where": where, "ends_by": ends_by} for purpose, where, ends_by in shown]


def _of(tx: Transaction, subject: Subject) -> list[Still]:
    proof, key = proof_of(subject.kind), subject.key
    where = Where.ACCOUNT if subject.is_account else Where.THIS
    stills = [Still(Purpose(purpose), where, proof) for (purpose,) in tx.db.execute(OWN, (key, OUT))]
    box = subject.mailbox or key  # by which an address that nobody named yet is known
    spellings = {box, *reach.spellings(tx, box)} if subject.kind == "email" else frozenset[bytes]()
    for purpose, origin, through_account, kind in tx.db.execute(CAME, (key,)).fetchall():
        if subject.is_account or through_account or origin not in spellings:
            stills.append(_came(subject, Purpose(purpose), kind, through_account=bool(through_account)))
        else:
            stills.append(Still(Purpose(purpose), Where.MAILBOX, "code"))
    held = tx.db.execute(HELD, (key,)).fetchall()
    return [*stills, *(Still(Purpose(purpose), Where.DEVICE_STATE, None) for (purpose,) in held)]


def _came(subject: Subject, purpose: Purpose, kind: str, *, through_account: bool) -> Still:
    """A no from elsewhere. An account's own yes lifts what came through it, so its proof is enough there; what came to
    a number, an address or a device over its account is lifted by that account.
    """
    if subject.is_account or through_account:
        return Still(purpose, Where.LINKED, "account", kind if subject.is_account else "")
    return Still(purpose, Where.LINKED, "desk")  # said by another of its names, such as a digest that somebody sent


def proof_of(kind: str) -> str:
    """The kind of proof that is needed to opt an identifier of a kind in again."""
    plain = kind.partition(":")[0]
    if plain in PROOFS:
        return PROOFS[plain]
    return "attestation" if plain in OF_A_PHONE else "desk"


DENIES = {"opted_out", "unknown"}
LATER = (
    "SELECT EXISTS (SELECT 1 FROM own_choice o LEFT JOIN detail d ON d.seq = o.seq AND o.state = 1"
    " WHERE o.key = ?1 AND o.purpose = ?2 AND (o.out_at >= ?3 OR d.at >= ?3))"
    " OR EXISTS (SELECT 1 FROM travelled_choice t JOIN detail d ON d.seq = t.seq"
    " WHERE t.key = ?1 AND t.purpose = ?2 AND d.at >= ?3)"
)
# Of what holds for a key: whether some of it is of a person who is known to have said it, and whether some is not.
HOLDS = (
    "SELECT max(out_at > 0), max(out_at = 0) FROM (SELECT out_at FROM own_choice WHERE key = ?1 AND purpose = ?2"
    " AND state = 1 UNION ALL SELECT coalesce(o.out_at, 1) FROM travelled_choice t LEFT JOIN own_choice o"
    " ON o.key = t.origin AND o.purpose = t.purpose WHERE t.key = ?1 AND t.purpose = ?2"
    " UNION ALL SELECT 1 FROM device_state WHERE key = ?1 AND purpose = ?2)"
)


def last_out(tx: Transaction, subjects: Iterable[Subject]) -> dict[Purpose, int]:
    """When each purpose was last opted out by any of the subjects, in Unix milliseconds; of a mailbox by any of its
    spellings.
    """
    latest: dict[Purpose, int] = {}
    subjects = list(subjects)
    for key in [key for subject in subjects for key in (subject.key, *sorted(reach.spellings(tx, subject.key)))]:
        since = reach.released(tx, key)  # who had the number before is somebody else's history (R5)
        for purpose, at in travel.last_out_at(tx, key, since).items():
            latest[purpose] = max(at, latest.get(purpose, 0))
    for subject in subjects:
        for purpose, at in _said_by(tx, subject).items():
            latest[purpose] = max(at, latest.get(purpose, 0))
    return latest


def _said_by(tx: Transaction, subject: Subject, since: int = 0) -> dict[Purpose, int]:
    """When an installation of an app last said no, whatever it named."""
    if subject.kind != "device" or not subject.value:
        return {}
    return device_states.last_out(tx.db.execute, tokens.mark_of(subject.value), since)


def superseded(tx: Transaction, subjects: Iterable[Subject], purpose: Purpose, position: int) -> bool:
    """Whether any of the subjects was opted out of a purpose, or said no itself, in an entry from a position on."""
    return any(
        records.out_since(tx, subject, purpose, position) or purpose in _said_by(tx, subject, position)
        for subject in subjects
    )


def out_after(tx: Transaction, subjects: Iterable[Subject], purpose: Purpose, at: int) -> bool:
    """Whether any of the subjects was opted out of a purpose since a moment, by itself or from afar."""
    return any(
        tx.db.execute(LATER, (subject.key, purpose, at)).fetchone()[0] or _said_by(tx, subject).get(purpose, -1) >= at
        for subject in subjects
    )


def by_reading_alone(tx: Transaction, subjects: Iterable[Subject], purposes: Iterable[Purpose]) -> set[Purpose]:
    """Of what holds, that which only was said of a number that may be this one too: it keeps nobody from asking."""
    keys = [subject.key for subject in subjects]
    found = set()
    for purpose in purposes:
        rows = [tx.db.execute(HOLDS, (key, purpose)).fetchone() for key in keys]
        if any(row[1] for row in rows) and not any(row[0] for row in rows):
            found.add(purpose)
    return found


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
    return {purpose.value: silent_until((held | {**out_at}).get(purpose)) for purpose in purposes}
