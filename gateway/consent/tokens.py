"""Sealed tokens that come back to us: the first act of opting in, an app installation's memory, a link that ends
marketing. The doors make and open them; nothing of them is stored.

The first act of opting in is sealed for the second to bring back (R4, L48). The seal is its whole memory: one act alone
changes nothing. It is sealed since it holds identifiers.

The device token is the memory of one installation of an app, kept by the app (I8, R26): a random id and the keys of the
ids that the installation told us of, so that a new ad id is known to belong to the device of the old one. Made anew
with every answer, good as long as its sealing key is. It never says who somebody is.

Whoever holds a link that ends marketing may say no for the people sealed in it, and nothing else. Sealed, so that
nobody reads an address out of a URL, a mail server's log or a browser's history. A link of years ago still works, until
the sealing key that made it is retired. That waits 400 days (gateway.app.maintenance); 15 USC 7704(a)(3)(A)(ii) asks
for 30.
"""

import hashlib
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

from gateway.consent.choice_result import Refused
from gateway.keys import seals
from gateway.keys.seals import OpeningFailed, Sealed
from gateway.keys.secret_files import KEY_BYTES, Secrets, wrap
from gateway.ledger.entry import Notice
from gateway.ledger.subjects import RESIDES, Choice, Subject, milliseconds, moment, residing
from gateway.terms import ChoiceKind, DataClass, Purpose

FIRST_ACT = Sealed(b"confirm/1", dict[str, Any])


@dataclass(frozen=True, slots=True)
class OptInAsked:
    """`choice`: the opt-in as the first act said it, but for its notice: `notice` is the SHA-256 in hex of what was
    shown then. `position` and `log`: how far which log went.
    """

    subjects: tuple[Subject, ...]
    choice: Choice
    notice: str
    position: int
    log: str

    @property
    def purpose(self) -> Purpose:
        return self.choice.purposes[0]


def seal_first_act(secrets: Secrets, subjects: Sequence[Subject], choice: Choice, position: int, log: str) -> str:
    """The token of the first act."""
    content = {
        "subjects": [[s.kind, s.value, [key.hex() for key in s.keys], *_mailbox(s)] for s in subjects],
        "purpose": choice.purposes[0],
        "recipient": choice.recipient,
        "data": choice.data_class,
        "notice": choice.notice.sha256.hex() if choice.notice else "",
        "at": milliseconds(choice.at),
        "position": position,
        "log": log,
        "place": choice.place,
        "lives": RESIDES in choice.details,
        "source": choice.source,
        "manner": choice.manner,
        "ui": choice.ui,
        "informed": choice.informed,
        "parental": choice.parental,
        "peppers": len(secrets.peppers),
        "mark": secrets.marks[-1],
    }
    return FIRST_ACT.seal(secrets.seals, content)


def _mailbox(subject: Subject) -> list[str]:
    """A yes to an address takes back what its mailbox said in another spelling, so the second act has to know of it."""
    return [subject.mailbox.hex()] if subject.mailbox is not None else []


def open_first_act(secrets: Secrets, token: str) -> OptInAsked:
    """Raises `Refused` for what is not ours."""
    try:
        asked = FIRST_ACT.open(secrets.seals, token)
    except OpeningFailed:
        raise Refused("confirm_unknown", "this confirm token is not one of ours") from None
    under, fresh = asked["peppers"], secrets.peppers[asked["peppers"] :]  # since the first act
    if asked.get("mark") not in {None, *secrets.marks[under - 1 : under]}:
        raise Refused("confirm_unknown", "this confirm token is of keys that other peppers wrap")

    def own(text: str) -> bytes:
        return wrap(bytes.fromhex(text), fresh)

    subjects = tuple(
        Subject(kind, value, tuple(map(own, keys)), mailbox=own(box[0]) if box else None)
        for kind, value, keys, *box in asked["subjects"]
    )
    choice = Choice(
        ChoiceKind.OPT_IN,
        (Purpose(asked["purpose"]),),
        asked["source"],
        moment(asked["at"]),
        asked["place"],
        manner=asked["manner"],
        recipient=asked["recipient"],
        data_class=DataClass(asked["data"]) if asked["data"] else None,
        ui=asked["ui"],
        informed=asked["informed"],
        parental=asked["parental"],
        details=residing(asked["place"]) if asked.get("lives") else {},
    )
    return OptInAsked(subjects, choice, asked["notice"], asked["position"], asked["log"])


DEVICE_LABEL = b"device/1"
VERSION = 2
HEAD = struct.Struct(">BB16s")  # version, how many peppers the keys are wrapped with, device id
REPORTED = struct.Struct(f">?H{KEY_BYTES}s")  # attested, the day since 1970 on which it was first told, the key
MOST_IDS = 12  # ids of one installation: IDFV, app-set id, and ten ad ids one after the other
NEW, WITHIN = 4, 30  # ids that nobody proved, and days in which no more of them are taken in


class Id(NamedTuple):
    """One id. `attested`: the operator's backend vouched for it with this installation; `day`: since 1970."""

    key: bytes
    attested: bool = False
    day: int = 0


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """The memory of one installation. `reported`: the oldest first."""

    device: bytes
    reported: tuple[Id, ...] = ()

    @property
    def value(self) -> str:
        """The device as an identifier's value."""
        return self.device.hex()

    @property
    def mark(self) -> str:
        """The mark under which an entry remembers the installation that made it."""
        return mark_of(self.value)

    @property
    def keys(self) -> tuple[bytes, ...]:
        return tuple(each.key for each in self.reported)

    @property
    def attested(self) -> frozenset[bytes]:
        return frozenset(each.key for each in self.reported if each.attested)

    def taken(self, keys: Iterable[bytes], proved: Collection[bytes], day: int) -> list[bytes]:
        """Those of some keys that it takes in: what it knows, what is proved, and a few more in thirty days."""
        known, lately = set(self.keys), sum(each.day > day - WITHIN and not each.attested for each in self.reported)
        taken = []
        for key in keys:
            free = key in known or key in proved
            if free or lately < NEW:
                taken.append(key)
                lately += not free
        return taken

    def with_reported(self, keys: Iterable[bytes], attested: Collection[bytes], day: int) -> "DeviceToken":
        """The same with ids that were told now, the last of all; the oldest are forgotten."""
        kept = {each.key: each for each in self.reported}
        told = [kept.get(key, Id(key, day=day)) for key in dict.fromkeys(keys)]
        newer = [each._replace(attested=each.attested or each.key in attested) for each in told]
        names = {each.key for each in newer}
        older = [each for each in self.reported if each.key not in names]
        return replace(self, reported=tuple([*older, *newer][-MOST_IDS:]))

    def others(self, keys: Collection[bytes]) -> list[bytes]:
        """The ids that it knows beside these."""
        return [key for key in self.keys if key not in keys]


def mark_of(value: str) -> str:
    """The mark of a device by its value."""
    return hashlib.sha256(b"device\x00" + bytes.fromhex(value)).hexdigest()[:32]


def new() -> DeviceToken:
    return DeviceToken(seals.new_browser())


def seal_device_token(secrets: Secrets, token: DeviceToken) -> str:
    """About 80 to 380 characters of base64url; no two are alike."""
    content = HEAD.pack(VERSION, len(secrets.peppers), token.device)
    content += b"".join(REPORTED.pack(each.attested, each.day, each.key) for each in token.reported)
    return seals.seal_text(secrets.seals, DEVICE_LABEL, content)


def open_device_token(secrets: Secrets, text: str) -> DeviceToken:
    """Under any of the sealing keys, its keys under every pepper of now. Raises `OpeningFailed` for what is
    not ours.
    """
    content = seals.open_text(secrets.seals, DEVICE_LABEL, text)
    if len(content) < HEAD.size:
        raise OpeningFailed("device token")
    version, peppers, device = HEAD.unpack_from(content)
    if version != VERSION or (len(content) - HEAD.size) % REPORTED.size:
        raise OpeningFailed(f"device token version {version}")
    fresh, rows = secrets.peppers[peppers:], REPORTED.iter_unpack(content[HEAD.size :])
    return DeviceToken(device, tuple(Id(wrap(key, fresh), attested, day) for attested, day, key in rows))


UNSUBSCRIBE = Sealed(b"unsubscribe/1", tuple[Purpose, tuple[tuple[str, str], ...]])
PATH = "/privacy-choices/unsubscribe/"
CHANNELS = (Purpose.MARKETING_EMAIL, Purpose.MARKETING_MAIL, Purpose.MARKETING_TEXT, Purpose.MARKETING_CALL)
KINDS = frozenset({"email", "phone", "account"})
MOST_NAMED = 4  # people are known by an address, a number and an account; a URL has to fit into a header's line
ONE_CLICK = "List-Unsubscribe=One-Click"  # RFC 8058, 3.1


class UnsubscribeLinkBody(Struct):
    """The link, and the header fields that a mail program reads it from."""

    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class UnsubscribeLink:
    """Which channel ends, and for which (kind, value), as a caller named them and we read them."""

    channel: Purpose
    people: tuple[tuple[str, str], ...] = field(repr=False)

    def named(self) -> list[dict[str, str]]:
        """The people as the inner rooms take them."""
        return [{"type": kind, "value": value} for kind, value in self.people]


def unsubscribe_link_of(channel: Purpose, subjects: Sequence[Subject]) -> UnsubscribeLink:
    """Raises ValueError for people who cannot stand in a link: nobody, too many, or of another kind."""
    if not 0 < len(subjects) <= MOST_NAMED or any(subject.kind not in KINDS for subject in subjects):
        raise ValueError(f"a link is of 1 to {MOST_NAMED} e-mail addresses, phone numbers and accounts")
    return UnsubscribeLink(channel, tuple((subject.kind, subject.value) for subject in subjects))


def seal_unsubscribe(keys: Sequence[bytes], link: UnsubscribeLink) -> str:
    """The token of a link. No two are alike, so that nobody can tell whether two letters went to one person."""
    return UNSUBSCRIBE.seal(keys, (link.channel, link.people))


def open_unsubscribe(keys: Sequence[bytes], token: str) -> UnsubscribeLink:
    """Raises `OpeningFailed` for what is none of ours."""
    return UnsubscribeLink(*UNSUBSCRIBE.open(keys, token))


def unsubscribe_answer(base: str, token: str) -> UnsubscribeLinkBody:
    """The link and the two header fields of RFC 8058. `base` is the public origin."""
    url = f"{base}{PATH}{token}"
    return UnsubscribeLinkBody(url, {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": ONE_CLICK})


def confirm_asked(asked: OptInAsked, notice: Notice, now: datetime, method: str = "") -> Choice:
    """The opt-in that a second act makes of a first one. `method`: by which the parent is known whose yes it is (16
    CFR 312.5(b)), kept sealed with it. Raises `Refused`.
    """
    said = asked.choice
    if said.parental and not method:
        raise Refused("proof_required", "a parent asked, and a parent confirms")
    how = {"method": method} if said.parental else {}
    details = {**said.details, **how, "asked": milliseconds(said.at), "asked_notice": asked.notice}
    return replace(said, at=now, notice=notice, details=details)
