"""The access report as JSON, for the API, the page and the command line. Every member is always there, so that nobody
sees from the shape whether anything was known (V25).
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.ledger.access import AccessReport, Entry, Linked, Received
from gateway.ledger.documents import Document
from gateway.ledger.entry import b64
from gateway.ledger.subjects import Subject
from gateway.terms import CHOOSABLE
from gateway.web.shell import wire


class ProvedBody(Struct):
    """One of what was proved, without its value."""

    type: str


class StandingOfProved(Struct):
    """What holds for it."""

    type: str
    purposes: dict[str, str]


class LinkShown(Struct):
    """Something that a proved account has or had."""

    type: str
    start: wire.Time = field(name="from")
    until: wire.Time | None


class NoticeTold(Struct):
    """Which notice somebody was shown or sent, and what became of it."""

    notice: str
    day: int | str | None
    outcome: str | None


class EntryShown(Struct, kw_only=True):
    """An entry in words that are not the leaf's own. `notice`: the hash of what was shown with it."""

    type: str
    event: str | None
    seq: int
    at: wire.Time
    what: str | None
    purposes: list[str]
    source: str | None
    manner: str | None
    place: str | None
    recipient: str | None
    data: list[str]
    screen: str | None
    notice: str | None
    told: NoticeTold | None
    details: dict[str, Any]


class TextShown(Struct):
    """A text that an entry names."""

    sha256: str
    kind: str
    version: str
    language: str
    text: str


class ReceivedBody(Struct):
    """What one recipient got on one day (UTC). `outcome`: unknown where nobody can tell whether it arrived; possible:
    it was allowed, and nobody said whether it was sent. `company`: its legal name; null where that is not said.
    """

    recipient: str
    company: str | None
    purposes: list[str]
    data: list[str]
    day: wire.Day
    first: wire.Time
    last: wire.Time
    count: int
    outcome: Literal["sent", "unknown", "possible"]


class AccessReportBody(Struct):
    """What is held about whoever proved it: the same members whether anything is known or not. `ignored`: of a call."""

    as_of: wire.Time
    proved: list[ProvedBody]
    standing: list[StandingOfProved]
    age_band: str | None
    linked: list[LinkShown]
    entries: list[EntryShown]
    sources: list[str]
    texts: list[TextShown]
    disclosures: list[ReceivedBody]
    ignored: list[wire.IgnoredMember] | UnsetType = UNSET


async def report_of(consent: Consent, proved: Sequence[Subject]) -> dict[str, Any]:
    """What is held about whoever proved these identifiers. Raises `StoreUnavailable`."""
    found = await consent.access(proved)
    return {
        "as_of": wire.stamp(consent.clock()),
        "proved": [{"type": subject.kind} for subject in proved],
        "standing": [_standing(consent, subject) for subject in proved],
        "age_band": found.age_band,
        "linked": [_linked(each) for each in found.linked],
        "entries": [_entry(entry) for entry in found.entries],
        "sources": found.sources,
        "texts": _texts(found),
        "disclosures": [_received(consent, each) for each in found.received],
    }


def _standing(consent: Consent, subject: Subject) -> dict[str, Any]:
    return {"type": subject.kind, "purposes": consent.checks.read_back([subject], CHOOSABLE)}


def _entry(entry: Entry) -> dict[str, Any]:
    """An entry in words that are not the leaf's own. `notice`: the hash of what was shown with it."""
    leaf = entry.leaf
    told = (
        {"notice": leaf["k"], "day": leaf.get("day"), "outcome": entry.details.get("outcome")} if "k" in leaf else None
    )
    return {
        "type": entry.kind, "event": b64(entry.event), "seq": entry.seq, "at": wire.stamp(entry.at),
        "what": leaf.get("e"), "purposes": leaf.get("p", []), "source": leaf.get("src"), "manner": leaf.get("m"),
        "place": leaf.get("j"), "recipient": leaf.get("to"), "data": leaf.get("c", []), "screen": leaf.get("ui"),
        "notice": seals.unb64(leaf["n"]).hex() if "n" in leaf else None, "told": told, "details": dict(entry.details),
    }  # fmt: skip


def _linked(each: Linked) -> dict[str, Any]:
    until = wire.stamp(each.until) if each.until else None
    return {"type": each.kind or "unknown", "from": wire.stamp(each.start), "until": until}


def _texts(found: AccessReport) -> list[dict[str, Any]]:
    return [_text(document) for document in found.texts.values()]


def _text(document: Document) -> dict[str, Any]:
    return {
        "sha256": document.sha256.hex(), "kind": document.kind, "version": document.version,
        "language": document.language, "text": document.body.decode(errors="replace"),
    }  # fmt: skip


def _received(consent: Consent, each: Received) -> dict[str, Any]:
    """`company`: whose legal name it is; null where the operator has not said."""
    known = consent.recipients.get(each.recipient)
    return {
        "recipient": each.recipient, "company": (known and known.company) or None, "purposes": each.purposes,
        "data": each.classes, "day": each.first.date().isoformat(), "first": wire.stamp(each.first),
        "last": wire.stamp(each.last), "count": each.count, "outcome": each.outcome,
    }  # fmt: skip
