"""What was asked for by the first act of opting in, sealed for the second to bring back: R4, L48.

The seal is the whole memory of a first act: nothing is written, so one act alone changes nothing. Sealed, since it
holds identifiers. Never decides whether the second act may follow.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway import seals
from gateway.keys import Secrets, wrap
from gateway.ledger.entry import b64
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.outcome import Refused
from gateway.terms import DataClass, Purpose

LABEL = b"confirm/1"


@dataclass(frozen=True, slots=True)
class Asked:
    """`at`: Unix milliseconds; `notice`: SHA-256 in hex of what was shown then. `position` and `log`: how far which log
    went; None where an earlier version did not tell.
    """

    subjects: tuple[Subject, ...]
    purpose: Purpose
    recipient: str
    data_class: DataClass | None
    notice: str
    at: int
    position: int
    log: str | None
    place: str
    source: str
    manner: str
    ui: str
    informed: bool
    parental: bool


def seal(secrets: Secrets, subjects: Sequence[Subject], choice: Choice, position: int, log: str) -> str:
    """The token of the first act."""
    content = json.dumps(
        {
            "subjects": [[s.kind, s.value, [key.hex() for key in s.keys], *_mailbox(s)] for s in subjects],
            "purpose": choice.purposes[0], "recipient": choice.recipient, "data": choice.data_class,
            "notice": choice.notice.sha256.hex() if choice.notice else "", "at": milliseconds(choice.at),
            "position": position, "log": log, "place": choice.place, "source": choice.source, "manner": choice.manner,
            "ui": choice.ui, "informed": choice.informed, "parental": choice.parental,
            "peppers": len(secrets.peppers),
        }
    )  # fmt: skip
    return b64(seals.seal(secrets.seals[-1], LABEL, content.encode()))


def _mailbox(subject: Subject) -> list[str]:
    """A yes to an address takes back what its mailbox said in another spelling, so the second act has to know of it."""
    return [subject.mailbox.hex()] if subject.mailbox is not None else []


def unseal(secrets: Secrets, token: str) -> Asked:
    """Raises `Refused` for what is not ours."""
    try:
        asked: dict[str, Any] = json.loads(seals.open_seal(secrets.seals, LABEL, seals.unb64(token)))
    except (seals.Opening, ValueError):
        raise Refused("confirm_unknown", "this confirm token is not one of ours") from None
    fresh = secrets.peppers[asked.get("peppers", len(secrets.peppers)) :]  # since the first act

    def own(text: str) -> bytes:
        return wrap(bytes.fromhex(text), fresh)

    subjects = tuple(
        Subject(kind, value, tuple(map(own, keys)), mailbox=own(box[0]) if box else None)
        for kind, value, keys, *box in asked["subjects"]
    )
    return Asked(
        subjects, Purpose(asked["purpose"]), asked["recipient"], DataClass(asked["data"]) if asked["data"] else None,
        asked["notice"], asked["at"], asked["position"], asked.get("log"), asked["place"], asked["source"],
        asked.get("manner", ""), asked.get("ui", ""), asked.get("informed", False), asked.get("parental", False),
    )  # fmt: skip
