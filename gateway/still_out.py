"""Why am I still out: each no that holds for whoever proved who they are, and the proof that would end it (R4, R12).

Read inside the writer's transaction, for the answers to opting in, `POST /v1/standing` and our own pages. Tells of what
was proved alone: of whatever else a no came from, that it came and by which proof it ends, never whose, when or by
which value (R6, R16).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.choice.standing import OUT
from gateway.ledger import reach
from gateway.ledger.subjects import Subject
from gateway.ledger.writer import Transaction
from gateway.people import OF_A_PHONE
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


def told(stills: Iterable[Still]) -> list[dict[str, str | None]]:
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
    """The kind of proof by which an identifier of a kind is opened again."""
    plain = kind.partition(":")[0]
    if plain in PROOFS:
        return PROOFS[plain]
    return "attestation" if plain in OF_A_PHONE else "desk"
