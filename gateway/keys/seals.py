"""Sealed boxes and signed tokens that only this installation opens, and what a replica is given once. Whoever hands
something out that must come back unread and unchanged calls it.

AES-256-GCM boxes: the browser cookie, the browser token that goes to the site, the details of an entry, and more. Each
has a label that is authenticated with it, so that one can never be taken for another. `Sealed` is the one way in which
values go out as text and come back; `Tokens` signs forms, where a signature is enough.

`Enrolment` is what a replica is given once: the peppers that keys are made with, its API key, and what it seals the ids
of its answers with (`gateway.consent.decisions`). No call of the gateway gives it: it is a file, made where the
installation's secrets lie, and opens with a secret of 256 random bits that is shown once and travels another way. It
never holds seals of cookies, so a replica cannot tell browsers apart or make one.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
import struct
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from itsdangerous import BadData, URLSafeTimedSerializer

from gateway.choice.standing import MASK, SHIFT, out_bits
from gateway.terms import ALL_PURPOSES, CHOOSABLE, SIGNAL_PURPOSES, Purpose, Unusable

NONCE = 12
COOKIE = b"cookie/1"
TOKEN = b"browser/1"
# version, day since 1970, purposes opted out as standing bits, browser id (zeros: a flag without an id). Whoever reads
# the bits takes each that is not 0 for a no, as every version did: both of a purpose say that no record need hold it.
COOKIE_FORM = struct.Struct(">BHQ16s")
TOKEN_FORM = struct.Struct(">BQ16s")
VERSION = 1
SAYS_NO = 2  # a token's version where its browser's no to what GPC denies may be on no record
UNWRITTEN = sum(MASK << SHIFT[purpose] for purpose in SIGNAL_PURPOSES)
NO_ID = bytes(16)
# A sealed cookie in base64url: whatever else stands under its name was never ours.
SHAPE = re.compile(f"[A-Za-z0-9_-]{{{-(-(NONCE + COOKIE_FORM.size + 16) * 4 // 3)}}}")


class OpeningFailed(Exception):
    """What was handed in is not one of our seals, or not for this use."""


_cipher = lru_cache(maxsize=64)(AESGCM)  # making one takes longer than sealing a cookie; an installation has few keys


def seal_box(key: bytes, label: bytes, content: bytes) -> bytes:
    """A sealed box: nonce, then ciphertext and tag. The label is authenticated, not stored."""
    nonce = os.urandom(NONCE)
    return nonce + _cipher(key).encrypt(nonce, content, label)


def open_seal(keys: Sequence[bytes], label: bytes, box: bytes) -> bytes:
    """The content under any of the keys, the newest tried first. Raises `OpeningFailed`."""
    for key in reversed(keys):
        try:
            return _cipher(key).decrypt(box[:NONCE], box[NONCE:], label)
        except (InvalidTag, ValueError):
            continue
    raise OpeningFailed(label.hex())


def open_many(key: bytes, boxes: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """The contents of many, each label and box, under one key. Raises `OpeningFailed` where one does not open."""
    opens = AESGCM(key).decrypt
    try:
        return [opens(box[:NONCE], box[NONCE:], label) for label, box in boxes]
    except (InvalidTag, ValueError):
        raise OpeningFailed("one of many") from None


def open_each(boxes: Iterable[tuple[bytes, bytes, bytes]]) -> list[bytes]:
    """The same with a key of its own for each, which comes first; no cipher is kept."""
    try:
        return [AESGCM(key).decrypt(box[:NONCE], box[NONCE:], label) for key, label, box in boxes]
    except (InvalidTag, ValueError):
        raise OpeningFailed("one of many") from None


def _text(box: bytes) -> str:
    return base64.urlsafe_b64encode(box).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Reads base64url without padding. Raises `OpeningFailed` for anything else."""
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raise OpeningFailed("base64url") from None
    if _text(raw) != text:  # one text a value: what is used once must not have a second spelling
        raise OpeningFailed("base64url")
    return raw


def seal_text(keys: Sequence[bytes], label: bytes, content: bytes) -> str:
    """A box under the newest key, in base64url."""
    return _text(seal_box(keys[-1], label, content))


def open_text(keys: Sequence[bytes], label: bytes, text: str) -> bytes:
    """What `seal_text` sealed under any of the keys. Raises `OpeningFailed`."""
    return open_seal(keys, label, unb64(text))


def open_form(keys: Sequence[bytes], label: bytes, text: str, form: struct.Struct) -> tuple[Any, ...]:
    """The same where what was sealed has one form. Raises `OpeningFailed`."""
    try:
        return form.unpack(open_text(keys, label, text))
    except struct.error:
        raise OpeningFailed(label.decode()) from None


Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class Sealed(Generic[Content]):
    """One kind of token: a value of a shape, as JSON, sealed under a label of its own."""

    label: bytes
    shape: type[Content]

    def seal(self, keys: Sequence[bytes], content: Content) -> str:
        """The token. No two are alike."""
        return seal_text(keys, self.label, msgspec.json.encode(content))

    def open(self, keys: Sequence[bytes], text: str) -> Content:
        """Raises `OpeningFailed` for what is not ours, or not of this shape."""
        try:
            return msgspec.json.decode(open_text(keys, self.label, text), type=self.shape)
        except ValueError:
            raise OpeningFailed(self.label.decode()) from None


@dataclass(frozen=True, slots=True)
class BrowserCookie:
    """What `__Host-gateway` holds. It can only tighten: `denied` holds even while the ledger is away. `lost`: it could
    not be opened, so that nobody knows what it said. `unwritten`: its no to what GPC denies may be on no record
    (`[signals] record_gpc`), so that whoever is asked about this browser by it has to read it here.
    """

    browser: bytes
    day: int
    denied: frozenset[Purpose]
    lost: bool = False
    unwritten: bool = False

    @property
    def value(self) -> str:
        """The browser identifier's value, empty for a flag without an id."""
        return "" if self.browser == NO_ID else self.browser.hex()


def new_event(at: datetime) -> bytes:
    """The id of a request or an entry that was said at a moment. It begins with the minute, which the entry shows
    anyway, so that an index of them grows at its end; nobody can guess the rest.
    """
    return (int(at.timestamp()) // 60 & 0xFFFF_FFFF).to_bytes(4, "big") + new_browser()[4:]


def new_browser() -> bytes:
    """An id that nobody can guess."""
    try:
        return _drawn.popleft()
    except IndexError:
        drawn = os.urandom(ID_BYTES * DRAWN)
        _drawn.extend(drawn[at : at + ID_BYTES] for at in range(ID_BYTES, len(drawn), ID_BYTES))
        return drawn[:ID_BYTES]


ID_BYTES = 16
DRAWN = 64  # together: to ask the kernel lets the writer's thread go first, a millisecond for each opt-out
_drawn = deque[bytes]()
os.register_at_fork(after_in_child=_drawn.clear)  # a site's server may fork: no two processes hand out the same one


def seal_cookie(keys: Sequence[bytes], cookie: BrowserCookie) -> str:
    bits = out_bits(cookie.denied) | (UNWRITTEN if cookie.unwritten else 0)
    content = COOKIE_FORM.pack(VERSION, cookie.day, bits, cookie.browser)
    return seal_text(keys, COOKIE, content)


def open_cookie(keys: Sequence[bytes], text: str) -> BrowserCookie:
    version, day, bits, browser = open_form(keys, COOKIE, text, COOKIE_FORM)
    if version != VERSION:
        raise OpeningFailed(f"cookie version {version}")
    denied = frozenset(p for index, p in enumerate(CHOOSABLE) if bits >> 2 * index & 3)
    return BrowserCookie(browser, day, denied, unwritten=bits & UNWRITTEN == UNWRITTEN)


LOST = BrowserCookie(NO_ID, 0, frozenset(ALL_PURPOSES), lost=True)


def read_cookie(keys: Sequence[bytes], text: str) -> BrowserCookie | None:
    """A cookie of ours; `LOST`, which says no to everything, for one that cannot be opened; None for what never had
    the shape of one.
    """
    try:
        return open_cookie(keys, text)
    except OpeningFailed:
        return LOST if SHAPE.fullmatch(text) else None


class NamedBrowser(NamedTuple):
    """What a token says: the browser identifier's value, and whether it says no to what GPC denies itself."""

    value: str
    unwritten: bool


def seal_browser(keys: Sequence[bytes], browser: bytes, expires: int, *, unwritten: bool = False) -> str:
    """A fresh token for one browser, good until `expires` (Unix seconds); no two are alike (R9). `unwritten`: see
    `BrowserCookie`; its size tells nobody which it is, and a version that cannot read it knows no such browser.
    """
    return seal_text(keys, TOKEN, TOKEN_FORM.pack(SAYS_NO if unwritten else VERSION, expires, browser))


def open_browser(keys: Sequence[bytes], text: str, now: int) -> NamedBrowser:
    """What a token says, or the cookie as it stands. Raises `OpeningFailed`."""
    try:
        version, expires, browser = open_form(keys, TOKEN, text, TOKEN_FORM)
    except OpeningFailed:
        cookie = open_cookie(keys, text)
        if not cookie.value:
            raise
        return NamedBrowser(cookie.value, cookie.unwritten)
    if version not in {VERSION, SAYS_NO} or now > expires:
        raise OpeningFailed("browser token is over")
    return NamedBrowser(browser.hex(), version == SAYS_NO)


class Tokens:
    """Signed, timed tokens whose payload is readable: never personal data in them. One salt a use."""

    def __init__(self, keys: Sequence[bytes], salt: str) -> None:
        # itsdangerous signs with SHA-1 unless told otherwise, and reads its list of keys oldest first.
        self._serializer = URLSafeTimedSerializer(
            list(keys), salt=salt, signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )

    def make(self, payload: Any) -> str:
        made = self._serializer.dumps(payload)
        return made if isinstance(made, str) else made.decode()

    def read(self, token: str, max_age: int) -> Any | None:
        """The payload, or None where the token is not ours, is for another use or older than `max_age` seconds."""
        try:
            return self._serializer.loads(token, max_age=max_age)
        except BadData:
            return None


LABEL = b"replica/1"


class EnrolmentRefused(Unusable):
    """The text says what is wrong and what helps."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """`key`: an API key with scope replica, `<id>.<secret>`."""

    name: str
    key: str = field(repr=False)
    peppers: tuple[bytes, ...] = field(repr=False)
    decisions: bytes = field(repr=False)

    @property
    def maker(self) -> str:
        """Whose answers they are: the id of the API key."""
        return self.key.partition(".")[0]


def seal_enrolment(enrolment: Enrolment) -> tuple[str, str]:
    """The file's text, and the secret that opens it."""
    secret = secrets.token_urlsafe(32)
    content = {
        "key": enrolment.key,
        "peppers": [pepper.hex() for pepper in enrolment.peppers],
        "decisions": enrolment.decisions.hex(),
    }
    box = seal_box(_key(secret), LABEL, json.dumps(content).encode())
    return json.dumps({"replica": enrolment.name, "box": b64encode(box).decode()}, indent=1) + "\n", secret


def open_enrolment(text: str, secret: str) -> Enrolment:
    """Raises `EnrolmentRefused`."""
    try:
        stated = json.loads(text)
        content = json.loads(open_seal([_key(secret.strip())], LABEL, b64decode(stated["box"])))
        peppers = tuple(bytes.fromhex(each) for each in content["peppers"])
        return Enrolment(str(stated["replica"]), content["key"], peppers, bytes.fromhex(content["decisions"]))
    except OpeningFailed:
        raise EnrolmentRefused(
            "this secret does not open that enrolment; make a new one: gateway replica enrol"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise EnrolmentRefused("the enrolment cannot be read; make a new one: gateway replica enrol") from error


def _key(secret: str) -> bytes:
    """The secret is 256 random bits already: no slow hash is needed."""
    return hmac.digest(secret.encode(), LABEL, "sha256")
