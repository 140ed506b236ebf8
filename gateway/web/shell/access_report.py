"""The access report as JSON, for the API, the page and the command line. Every member is always there, so that nobody
sees from the shape whether anything was known (V25).
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any

from msgspec import UNSET, Struct, UnsetType, field

from gateway.consent.check import said_by
from gateway.consent.verbs import Consent
from gateway.desk.access import Entry, Linked, Received
from gateway.desk.answered_requests import HowItCame
from gateway.desk.documents import Document
from gateway.keys import seals
from gateway.ledger.entry import b64
from gateway.ledger.subjects import Subject
from gateway.terms import CHOOSABLE
from gateway.web.shell import wire


class ProvedBody(Struct):
    """One of what was proved, without its value."""

    type: str


class StandingOfProved(Struct):
    """What holds for it; `unknown` what rested, on an earlier day, on somebody who was forgotten since, or was of
    whoever had the number or mailbox then.
    """

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
    purposes: tuple[str, ...]
    data: tuple[str, ...]
    day: date
    first: wire.Time
    last: wire.Time
    count: int
    outcome: Annotated[str, wire.one_of(("sent", "unknown", "possible"))]


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


async def report_of(
    consent: Consent,
    proved: Sequence[Subject],
    came: HowItCame | None = None,
    *,
    themselves: bool = False,
    until: datetime | None = None,
) -> AccessReportBody:
    """What is held about whoever proved these identifiers; all as in `Consent.access`. `until`: as it stood then.
    Raises `StoreUnavailable`.
    """
    found = await consent.access(proved, came, themselves=themselves)
    found = found.as_of(until) if until else found
    return AccessReportBody(
        as_of=wire.stamp(until or consent.clock()),
        proved=[ProvedBody(subject.kind) for subject in proved],
        standing=[await _standing(consent, subject, until) for subject in proved],
        age_band=found.age_band,
        linked=[_linked(each) for each in found.linked],
        entries=[_entry(entry) for entry in found.entries],
        sources=found.sources,
        texts=[_text(document) for document in found.texts.values()],
        disclosures=[_received(consent, each) for each in found.received],
    )


async def _standing(consent: Consent, subject: Subject, until: datetime | None) -> StandingOfProved:
    if until:
        rebuilt = await consent.standings_at([subject], until, holders=True)
        return StandingOfProved(subject.kind, said_by(rebuilt.standings, CHOOSABLE, rebuilt.forgotten.purposes))
    return StandingOfProved(subject.kind, consent.checks.read_back([subject], CHOOSABLE))


def _entry(entry: Entry) -> EntryShown:
    leaf = entry.leaf
    return EntryShown(
        type=entry.kind,
        event=b64(entry.event),
        seq=entry.seq,
        at=wire.stamp(entry.at),
        what=leaf.get("e"),
        purposes=leaf.get("p", []),
        source=leaf.get("src"),
        manner=leaf.get("m"),
        place=leaf.get("j"),
        recipient=leaf.get("to"),
        data=leaf.get("c", []),
        screen=leaf.get("ui"),
        notice=seals.unb64(leaf["n"]).hex() if "n" in leaf else None,
        told=NoticeTold(leaf["k"], leaf.get("day"), entry.details.get("outcome")) if "k" in leaf else None,
        details=dict(entry.details),
    )


def _linked(each: Linked) -> LinkShown:
    return LinkShown(each.kind or "unknown", wire.stamp(each.start), wire.stamp(each.until) if each.until else None)


def _text(document: Document) -> TextShown:
    text = document.body.decode(errors="replace")
    return TextShown(document.sha256.hex(), document.kind, document.version, document.language, text)


def _received(consent: Consent, each: Received) -> ReceivedBody:
    known = consent.recipients.get(each.recipient)
    return ReceivedBody(
        each.recipient,
        (known and known.company) or None,
        each.purposes,
        each.classes,
        each.first.date(),
        wire.stamp(each.first),
        wire.stamp(each.last),
        each.count,
        each.outcome,
    )
