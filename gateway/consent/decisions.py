"""Decisions: every answer to a check gets an id, by which the caller says later what became of it (R22). The check
doors call it; `Deciding` is the gateway's in `disclosing` and a replica's in `replica.recording`.

The id is the whole memory of the answer, sealed: nothing is written for it, and nobody else can make one. It holds a
person's key, so it is sealed, not signed. A replica seals with a key of its own, which the gateway finds again by the
name before the id's dot: what a replica knows opens neither the gateway's ids nor another replica's.

An announced send is on record before it is answered, and is checked again after that.
"""

import hmac
import os
import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from gateway.choice.rules.leaving import HASH_OF
from gateway.consent.asked import Ask, Checked
from gateway.consent.check import Checks
from gateway.desk.disclosures import POSSIBLE, SENT
from gateway.keys import seals
from gateway.keys.seals import Enrolment
from gateway.keys.secret_files import KEY_BYTES, Secrets, wrap
from gateway.ledger.entry import b64
from gateway.ledger.errors import StoreUnavailable
from gateway.terms import Answer, DataClass, Purpose

LABEL, BESIDE = b"decision/1", b"beside a decision/1"
MAKER = re.compile(r"[a-z0-9_]{1,32}")  # the id of a replica's API key
FORMED = re.compile(rf"({MAKER.pattern}\.)?[A-Za-z0-9_-]{{64}}")
# key, recipient's hash, purposes and flags, classes, Unix seconds, random: 32 bytes, 48 sealed (RFC 5297), 64 as text
FORM = struct.Struct(f">{KEY_BYTES}s4sIHIH")
SEALED = FORM.size + 16
SEALED_TEXT = SEALED // 3 * 4
RANDOM = struct.Struct("=HH")  # what the bits have room for, and the last member
SHORTEST = 17  # bytes of a box: RFC 5297 adds 16 to what is inside
PURPOSES, CLASSES = tuple(Purpose), tuple(DataClass)  # their order is the order of the bits: both grow at the end only
PURPOSE_BIT: dict[str, int] = {word: 1 << index for index, word in enumerate(PURPOSES)}
CLASS_BIT: dict[str, int] = {word: 1 << index for index, word in enumerate(CLASSES)}
STANDS_AT, DENIED_BIT, RANDOM_BITS = len(PURPOSES), 1 << (len(PURPOSES) + 2), len(PURPOSES) + 3
NOBODY = bytes(KEY_BYTES)
NOT_CONFIGURED = bytes(4)  # in place of a recipient's hash


class Stands(IntEnum):
    """As what the answer is on record until its caller says more."""

    NOTHING = 0  # nothing may go, nobody was named, or it was a dry run
    POSSIBLE = 1  # it may be sent
    SENT = 2  # a bid request was handed out
    INTENDED = 3  # a row of its own says that it is about to be sent


class NotOurs(Exception):
    """Not a decision of this installation, or of a recipient whose name nobody can tell."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`key`: the person's, `NOBODY` where none was named. `recipient`: empty where none of the name asked for was
    configured when it was made. `classes`: what may go, or of a denied one what was asked for. `at`: Unix seconds.
    """

    key: bytes = field(repr=False)
    recipient: str
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    at: int
    stands: Stands
    denied: bool


class Draft(NamedTuple):
    """A decision but for its person and its time: what all answers share that are alike. `hashed` and the bits: as it
    is sealed.
    """

    recipient: str
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    stands: Stands
    denied: bool
    hashed: bytes
    bits: int
    class_bits: int

    def of(self, key: bytes, at: int) -> Decision:
        """The whole of it."""
        return Decision(key, self.recipient, self.purposes, self.classes, at, self.stands, self.denied)


class Decisions:
    """Makes and reads the ids of one installation; `of_replica`: of one replica of it."""

    def __init__(self, secrets: Secrets, recipients: Iterable[str]) -> None:
        self._peppers = secrets.peppers
        self._bases: Sequence[bytes] = [hmac.digest(key, LABEL, "sha256") for key in secrets.seals]
        self._prefix, self._about = "", _about(LABEL, len(secrets.peppers))
        self._sealing = [AESSIV(base) for base in self._bases]
        self._replicas = lru_cache(maxsize=256)(lambda maker: [AESSIV(_of_maker(base, maker)) for base in self._bases])
        self._hashed = {name: _hash(name) for name in recipients}
        self._named = {hashed: name for name, hashed in self._hashed.items()}

    @classmethod
    def of_replica(cls, enrolled: Enrolment, recipients: Iterable[str]) -> "Decisions":
        """Those that a replica makes, and reads again."""
        made = cls(Secrets(enrolled.peppers, (), (), (), (), ()), recipients)
        made._prefix = f"{enrolled.maker}."
        made._sealing = [AESSIV(enrolled.decisions)]
        return made

    def draft(self, decision: Decision) -> Draft:
        """What many share, of one of them."""
        purposes, classes = _bits(decision.purposes, decision.classes)
        bits = purposes | decision.stands << STANDS_AT | (DENIED_BIT if decision.denied else 0)
        hashed = self._hashed.get(decision.recipient, NOT_CONFIGURED)
        told = decision.recipient, decision.purposes, decision.classes, decision.stands, decision.denied
        return Draft(*told, hashed, bits, classes)

    def seal_all(self, drafts: Sequence[Draft], key: bytes, at: int) -> list[str]:
        """64 characters of base64url of each of several answers about one person, a replica's after its name and a dot;
        no two alike. The system is asked for random numbers once, of all of them.
        """
        # AES-SIV needs no nonce: these tell two equal answers of one second apart, whatever its host does with `random`
        random = RANDOM.iter_unpack(os.urandom(RANDOM.size * len(drafts)))
        encrypt, about, boxes = self._sealing[-1].encrypt, self._about, list[bytes]()
        for draft, (high, low) in zip(drafts, random, strict=True):
            bits = draft.bits | high << RANDOM_BITS & 0xFFFFFFFF
            boxes.append(encrypt(FORM.pack(key, draft.hashed, bits, draft.class_bits, at, low), about))
        text, prefix = b64(b"".join(boxes)), self._prefix  # of whole threes of bytes: no two boxes share a character
        return [prefix + text[start : start + SEALED_TEXT] for start in range(0, len(text), SEALED_TEXT)]

    def read(self, text: str, others: Iterable[str] = ()) -> Decision:
        """`others`: names of recipients that are not configured here, looked at where they are needed. Raises
        `NotOurs`.
        """
        content, peppers = self._open(text, text, LABEL)
        if len(content) != FORM.size:
            raise NotOurs
        key, recipient, bits, classes, at, _ = FORM.unpack(content)
        return Decision(
            key if key == NOBODY else wrap(key, self._peppers[peppers:]),
            self._name(recipient, others),
            tuple(word for word, bit in PURPOSE_BIT.items() if bits & bit),
            tuple(word for word, bit in CLASS_BIT.items() if classes & bit),
            at,
            Stands(bits >> STANDS_AT & 3),
            bool(bits & DENIED_BIT),
        )

    def _name(self, hashed: bytes, others: Iterable[str]) -> str:
        if hashed == NOT_CONFIGURED:
            return ""
        known = self._named.get(hashed) or next((name for name in others if _hash(name) == hashed), None)
        if known is None:
            raise NotOurs
        return known

    def box(self, decision: str, content: bytes) -> str:
        """What goes with an id and is for the gateway alone; opens beside this very id."""
        about = [*_about(BESIDE, len(self._peppers)), decision.encode()]
        return self._prefix + b64(self._sealing[-1].encrypt(content, about))

    def unbox(self, decision: str, box: str) -> tuple[bytes, tuple[bytes, ...]]:
        """The content, and the peppers that keys in it are not under yet. Raises `NotOurs`."""
        content, peppers = self._open(decision, box, BESIDE, decision.encode())
        return content, self._peppers[peppers:]

    def _open(self, decision: str, text: str, label: bytes, *more: bytes) -> tuple[bytes, int]:
        """What is inside, and how many peppers the keys in it are under."""
        maker = decision.rpartition(".")[0]
        try:
            box = seals.unb64(text.removeprefix(f"{maker}.") if maker else text)
        except seals.OpeningFailed:
            raise NotOurs from None
        if len(box) < SHORTEST or (label is LABEL and len(box) != SEALED):
            raise NotOurs
        # Newest key first; then how many peppers the keys in it were under when it was made, which is authenticated.
        for sealing in reversed(self._sealings(maker)):
            for peppers in range(len(self._peppers), 0, -1):
                try:
                    return sealing.decrypt(box, [*_about(label, peppers), *more]), peppers
                except InvalidTag:
                    continue
        raise NotOurs

    def _sealings(self, maker: str) -> Sequence[AESSIV]:
        if f"{maker}." == self._prefix or not maker:
            return self._sealing if bool(maker) == bool(self._prefix) else ()
        return self._replicas(maker) if self._bases and MAKER.fullmatch(maker) else ()


def keys_of_replica(secrets: Secrets, maker: str) -> list[bytes]:
    """What a replica may have been enrolled with to seal its decisions, the newest last. `maker`: the id of its key."""
    return [_of_maker(hmac.digest(key, LABEL, "sha256"), maker) for key in secrets.seals]


def _of_maker(base: bytes, maker: str) -> bytes:
    return hmac.digest(base, b"replica\x00" + maker.encode(), "sha256")


@lru_cache(maxsize=16)
def _about(label: bytes, peppers: int) -> list[bytes]:
    return [label, bytes([peppers])]


def name_of(text: str) -> bytes:
    """How a decision is remembered: by its hash."""
    return sha256(text.encode()).digest()[:16]


def _hash(name: str) -> bytes:
    return sha256(name.encode()).digest()[:4]


@lru_cache(maxsize=4096)
def _bits(purposes: tuple[str, ...], classes: tuple[str, ...]) -> tuple[int, int]:
    """Few are asked for, again and again."""
    return sum(PURPOSE_BIT.get(word, 0) for word in purposes), sum(CLASS_BIT.get(word, 0) for word in classes)


def in_order(purposes: frozenset[str], classes: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Purposes and classes as a row has them."""
    return tuple(word for word in PURPOSES if word in purposes), tuple(word for word in CLASSES if word in classes)


ATTEMPTS = 3  # checks of one announced send
IMPERSONAL = frozenset({DataClass.AGGREGATE, DataClass.DEIDENTIFIED})
COUNTED_AS = {Stands.POSSIBLE: POSSIBLE, Stands.SENT: SENT}

Blocked = Callable[[str, Checked], bool]  # whether nothing goes to a recipient whatever the verdict
Made = tuple[str, Decision]  # an id, and what it says
Issued = tuple[str, Draft]  # the same of one of many that are alike


class Deciding(ABC):
    """Records every answer to a check and gives it an id. Subclasses say where: in the ledger, or in a replica's spool.
    Verdicts are made in choice/verdict.py, not here.
    """

    def __init__(self, checks: Checks, decisions: Decisions, clock: Callable[[], datetime]) -> None:
        self._checks = checks
        self._decisions = decisions
        self._clock = clock

    @abstractmethod
    def _note(self, issued: Sequence[Issued], key: bytes, at: datetime, position: int | None) -> None:
        """Counts what may go. Never waits."""

    @abstractmethod
    async def _intend(self, ask: Ask, checked: Checked, going: Sequence[Made]) -> None:
        """What is about to go is on record once this returns. Raises `StoreUnavailable`."""

    @abstractmethod
    async def _withdraw(self, going: Sequence[Made]) -> None:
        """Takes back what was intended: it does not go after all."""

    def decide(self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None = None) -> dict[str, str]:
        """The id of each answer, by recipient; what may go is counted as it `stands`. `blocked`: nothing goes there
        whatever the verdict.
        """
        drafts = self.drafts(ask, checked, stands, blocked)
        texts = self.issue([*drafts.values()], _key_of(checked), checked.position, self._clock())
        return dict(zip(drafts, texts, strict=True))

    def drafts(self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None = None) -> dict[str, Draft]:
        """What `decide` would say of each recipient, of whoever is answered alike."""
        key, draft = _key_of(checked), self._decisions.draft
        return {name: draft(self._decision(name, ask, checked, key, stands, blocked)) for name in checked.verdicts}

    def issue(self, drafts: Sequence[Draft], key: bytes, position: int | None, at: datetime) -> list[str]:
        """The id of each, of one person as of a moment, counted as it stands."""
        texts = self._decisions.seal_all(drafts, key, int(at.timestamp()))
        issued = [each for each in zip(texts, drafts, strict=True) if each[1].stands in COUNTED_AS]
        if issued:
            self._note(issued, key, at, position)
        return texts

    def record(self, ask: Ask, checked: Checked, stands: Stands) -> None:
        """As `decide`, for a caller that is told no ids: of what cannot go none is made."""
        drafts = self.drafts(ask, checked, stands).values()
        self.issue(
            [each for each in drafts if each.stands in COUNTED_AS], _key_of(checked), checked.position, self._clock()
        )

    async def announce(self, ask: Ask, blocked: Blocked | None = None) -> tuple[Checked, dict[str, str], datetime]:
        """Checks, and as `decide`, for a caller that will send at once: what may go is on record as intended before it
        returns, and is checked again after that unless it may rest; from when its answer is good. Raises
        `StoreUnavailable`; then nothing may be sent.
        """
        basis, checked = self._checks.basis(), self._checks.check(ask)
        for _ in range(ATTEMPTS):
            made = self._make(ask, checked, Stands.INTENDED, blocked)
            going = [each for each in made.values() if each[1].stands is Stands.INTENDED]
            texts = {name: text for name, (text, _) in made.items()}
            await self._intend(ask, checked, going)
            at = self._clock()
            if not going or self._checks.may_rest([basis], checked.keys, [checked.reached]):
                return checked, texts, at
            basis, again = self._checks.basis(), self._checks.check(ask)
            if all(again.verdicts[name].data == verdict.data for name, verdict in checked.verdicts.items()):
                return again, texts, at
            await self._withdraw(going)
            checked = again
        raise StoreUnavailable("the person's choices change faster than this can be answered")

    def _make(self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None) -> dict[str, Made]:
        key, at = _key_of(checked), int(self._clock().timestamp())
        drafts = self.drafts(ask, checked, stands, blocked)
        texts = self._decisions.seal_all([*drafts.values()], key, at)
        return {name: (text, each.of(key, at)) for (name, each), text in zip(drafts.items(), texts, strict=True)}

    def _decision(
        self, name: str, ask: Ask, checked: Checked, key: bytes, stands: Stands, blocked: Blocked | None
    ) -> Decision:
        """As of no time."""
        recipient = self._checks.recipients.get(name)
        stated = (ask.purpose,) if ask.purpose else recipient.purposes if recipient else ()
        sends = recipient is not None and not (blocked and blocked(name, checked))
        told = _told(stated, tuple(checked.verdicts[name].data.items()), sends=sends)
        if not told.personal or key == NOBODY:
            stands = Stands.NOTHING
        return Decision(key, name if recipient else "", told.purposes, told.classes, 0, stands, told.denied)


def _key_of(checked: Checked) -> bytes:
    return checked.own[0] if checked.own else NOBODY


class DecisionTold(NamedTuple):
    """What an id says of a verdict. `personal`: something goes that tells of the person."""

    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    personal: bool
    denied: bool


def _going(word: str, answer: Answer) -> Collection[str]:
    """What goes of a class: of what goes in hashed form alone the hashes, so that nobody is told of more than that."""
    if answer is Answer.HASH:
        return next((hashes for data_class, hashes in HASH_OF.items() if data_class == word), (word,))
    return () if answer is Answer.DENY else (word,)


@lru_cache(maxsize=4096)
def _told(stated: tuple[str, ...], data: tuple[tuple[str, Answer], ...], *, sends: bool) -> DecisionTold:
    """Remembered: few purposes and classes are asked for, again and again. `sends`: False where nothing goes whatever
    the verdict.
    """
    going: frozenset[str] = frozenset(each for word, answer in data if sends for each in _going(word, answer))
    personal = going - IMPERSONAL
    purposes, classes = in_order(frozenset(stated), personal or going or frozenset(word for word, _ in data))
    return DecisionTold(purposes, classes, bool(personal), not going)
