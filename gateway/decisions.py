"""Decisions: the id of an answered check, by which its caller says later what became of it (R22).

The id is the whole memory of the answer, sealed: nothing is written for it, and nobody else can make one. It holds a
person's key, so it is sealed, not signed. A replica seals with a key of its own, which the gateway finds again by the
name before the id's dot: what it knows does not open the gateway's ids, nor another replica's. Never decides anything,
and knows no clock.
"""

import hmac
import os
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from gateway import seals
from gateway.enrolment import Enrolment
from gateway.keys import KEY_BYTES, Secrets, wrap
from gateway.ledger.entry import b64
from gateway.terms import DataClass, Purpose

LABEL, BESIDE = b"decision/1", b"beside a decision/1"
MAKER = re.compile(r"[a-z0-9_]{1,32}")  # the id of a replica's API key
FORMED = re.compile(rf"({MAKER.pattern}\.)?[A-Za-z0-9_-]{{64}}")
# key, recipient's hash, purposes and flags, classes, Unix seconds, random: 32 bytes, 48 sealed (RFC 5297), 64 as text
FORM = struct.Struct(f">{KEY_BYTES}s4sIHI2s")
SEALED = FORM.size + 16
SHORTEST = 17  # bytes of a box: RFC 5297 adds 16 to what is inside
PURPOSES, CLASSES = tuple(Purpose), tuple(DataClass)  # their order is the order of the bits: both grow at the end only
PURPOSE_BIT: dict[str, int] = {word: 1 << index for index, word in enumerate(PURPOSES)}
CLASS_BIT: dict[str, int] = {word: 1 << index for index, word in enumerate(CLASSES)}
STANDS_AT, DENIED_BIT, RANDOM_BITS = len(PURPOSES), 1 << (len(PURPOSES) + 2), len(PURPOSES) + 3
NOBODY = bytes(KEY_BYTES)


class Stands(IntEnum):
    """As what the answer is on record until its caller says more."""

    NOTHING = 0  # nothing may go, nobody was named, or it was a dry run
    POSSIBLE = 1  # it may be sent
    SENT = 2  # a bid request was handed out
    INTENDED = 3  # a row of its own says that it is about to be sent


class NotOurs(Exception):
    """Not a decision of this installation."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`key`: the person's, `NOBODY` where none was named. `recipient`: empty where it is not configured. `classes`:
    what may go, or of a denied one what was asked for. `at`: Unix seconds.
    """

    key: bytes = field(repr=False)
    recipient: str
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    at: int
    stands: Stands
    denied: bool


class Decisions:
    """Makes and reads the ids of one installation; `of_replica`: of one replica of it."""

    def __init__(self, secrets: Secrets, recipients: Iterable[str]) -> None:
        self._peppers = secrets.peppers
        self._bases: Sequence[bytes] = [hmac.digest(key, LABEL, "sha256") for key in secrets.seals]
        self._prefix = ""
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

    def make(self, decision: Decision) -> str:
        """64 characters of base64url, a replica's after its name and a dot; no two alike."""
        random = os.urandom(4)
        purposes, classes = _bits(decision.purposes, decision.classes)
        bits = purposes | decision.stands << STANDS_AT | (DENIED_BIT if decision.denied else 0)
        bits |= int.from_bytes(random[:2], "big") << RANDOM_BITS & 0xFFFFFFFF
        recipient = self._hashed.get(decision.recipient, b"\x00" * 4)
        content = FORM.pack(decision.key, recipient, bits, classes, decision.at, random[2:])
        return self._prefix + b64(self._sealing[-1].encrypt(content, _about(LABEL, len(self._peppers))))

    def read(self, text: str) -> Decision:
        """Raises `NotOurs`."""
        content, peppers = self._open(text, text, LABEL)
        if len(content) != FORM.size:
            raise NotOurs
        key, recipient, bits, classes, at, _ = FORM.unpack(content)
        return Decision(
            key if key == NOBODY else wrap(key, self._peppers[peppers:]), self._named.get(recipient, ""),
            tuple(word for word, bit in PURPOSE_BIT.items() if bits & bit),
            tuple(word for word, bit in CLASS_BIT.items() if classes & bit),
            at, Stands(bits >> STANDS_AT & 3), bool(bits & DENIED_BIT),
        )  # fmt: skip

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
        except seals.Opening:
            raise NotOurs from None
        if len(box) < SHORTEST or (label is LABEL and len(box) != SEALED):
            raise NotOurs
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


def key_of_replica(secrets: Secrets, maker: str) -> bytes:
    """What a replica seals its decisions with. `maker`: the id of its API key."""
    return keys_of_replica(secrets, maker)[-1]


def keys_of_replica(secrets: Secrets, maker: str) -> list[bytes]:
    """Those that it may have been enrolled with, the newest last."""
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
