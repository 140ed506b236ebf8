"""Secrets of one installation, and the keys that pseudonyms are made with. The composition root opens them.

One file in the data folder, `secrets.json`, mode 0600, made once. Losing it loses every person's link to their
standing: back it up apart from the ledger. API keys lie beside it in `api_keys.json`, their secrets hashed. Beside each
secret stands the day on which it was made; a version that knows of no days leaves them out.

A person's key is HMAC-SHA256(pepper, kind, 0x00, value), 16 bytes. A new pepper wraps the stored keys, key2 =
HMAC(pepper2, key1): one pass rewrites every row and needs no raw value (R19), so nobody who never comes back is lost.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate, zip_longest
from pathlib import Path

from gateway.choice.identity import Name
from gateway.disk import write_durably
from gateway.keys import seals
from gateway.terms import Unusable

KEY_BYTES = 16
SECRETS = "secrets.json"
MARK = b"whose ledger"
LISTED = b"row of a list\x00"
DESK = b"the desk's own file"
BESIDE = b"what is kept beside"
BLOCK = 64  # bytes of SHA-256's, FIPS 180-4
INNER, OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))  # RFC 2104 2


class SecretsMissing(Unusable):
    """The data folder has no secrets file. The text carries the command that makes one."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Each list is oldest first; the newest makes, all open. 32 random bytes each. Never printed."""

    peppers: tuple[bytes, ...] = field(repr=False)
    seals: tuple[bytes, ...] = field(repr=False)
    tokens: tuple[bytes, ...] = field(repr=False)
    wraps: tuple[bytes, ...] = field(repr=False)
    accounts: tuple[bytes, ...] = field(repr=False)
    signing: tuple[bytes, ...] = field(repr=False)  # Ed25519 seeds of the log; while two are there, both sign

    def key(self, name: Name) -> bytes:
        """The 16-byte key of a name under all peppers."""
        return self.keys([name])[0]

    def keys(self, names: Iterable[Name]) -> tuple[bytes, ...]:
        """Of each: an identifier has up to a dozen names."""
        return _wrapped([f"{kind}\x00{value}".encode() for kind, value in names], self.peppers)

    @property
    def marks(self) -> tuple[int, ...]:
        """31 bits of the first pepper, of the first two, and so on to all of them: by these a ledger is told from one
        whose keys other peppers wrap, be they as many. None is 0.
        """
        chain = accumulate(self.peppers, lambda made, pepper: hmac.digest(pepper, made, "sha256"), initial=MARK)
        return tuple(int.from_bytes(each[:4]) & 0x7FFFFFFF or 1 for each in chain)[1:]

    @property
    def desk(self) -> tuple[bytes, ...]:
        """What the desk's own file is sealed with, whatever seals and peppers come later."""
        return (hmac.digest(self.peppers[0], DESK, "sha256"),)

    @property
    def beside(self) -> bytes:
        """What opt-outs that wait beside the ledger are sealed with, whatever seals come and go meanwhile."""
        return hmac.digest(self.peppers[0], BESIDE, "sha256")

    def row_key(self, row: bytes) -> str:
        """What a row of a list is known by, whatever peppers come later: nobody who guesses a row finds what came of it
        without the secrets.
        """
        return hmac.digest(self.peppers[0], LISTED + row, "sha256").hex()


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """What seals the details of a person's entries, and what seals that which opens them. None: destroyed."""

    person: bytes
    details: bytes | None = field(repr=False)
    openings: bytes | None = field(repr=False)

    def seal(self, label: bytes, content: bytes) -> bytes:
        """A box under the key of details, which is forgotten with that key alone."""
        assert self.details
        return seals.seal_box(self.details, label, content)

    def open(self, label: bytes, box: bytes | None) -> bytes | None:
        """What it holds; None where it or its key is gone, or it was sealed otherwise."""
        try:
            return seals.open_seal([self.details], label, box) if self.details and box else None
        except seals.OpeningFailed:
            return None


def wrap(key: bytes, peppers: Iterable[bytes]) -> bytes:
    """A stored key under further peppers, in their order."""
    return _wrapped([key], peppers)[0]


def _wrapped(keys: Sequence[bytes], peppers: Iterable[bytes]) -> tuple[bytes, ...]:
    """Each by HMAC-SHA256 (RFC 2104) under the peppers, one after the other."""
    for pepper in peppers:
        inner, outer = _begun(pepper)
        made = []
        for key in keys:
            own, whole = inner.copy(), outer.copy()
            own.update(key)
            whole.update(own.digest())
            made.append(whole.digest()[:KEY_BYTES])
        keys = made
    return tuple(keys)


@lru_cache(maxsize=64)
def _begun(pepper: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """The inner and the outer hash with the pepper taken in, to be copied: a key takes half of what it takes by
    `hmac`, and every call makes a dozen. An installation has few peppers.
    """
    block = (pepper if len(pepper) <= BLOCK else hashlib.sha256(pepper).digest()).ljust(BLOCK, b"\x00")
    return hashlib.sha256(block.translate(INNER)), hashlib.sha256(block.translate(OUTER))


FIELDS = tuple(Secrets.__dataclass_fields__)


def load_secrets(folder: Path) -> Secrets:
    """Raises `SecretsMissing` where there are none."""
    try:
        stored = json.loads((folder / SECRETS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{folder} has no {SECRETS}. Make a new installation with: gateway migrate --data {folder}"
        raise SecretsMissing(msg) from None
    except OSError as error:  # no reason to put an older one in its place
        helps = "Run this as the user that the service runs as, and look at the disk."
        raise SecretsMissing(f"{folder / SECRETS} cannot be read ({error.strerror}). {helps}") from error
    except ValueError as error:
        raise SecretsMissing(f"{folder / SECRETS} is damaged ({error}). Put back its last backup.") from error
    try:
        return _read(stored)
    except (KeyError, TypeError, ValueError) as error:
        raise SecretsMissing(f"{folder / SECRETS} is incomplete ({error}). Put back its last backup.") from error


def read_days(folder: Path) -> dict[str, list[str | None]]:
    """The days (UTC) on which the secrets were made, as they stand in each field, the oldest first. None: not noted."""
    known, held = _days(folder), load_secrets(folder)
    return {name: [known.get(item.hex()) for item in getattr(held, name)] for name in FIELDS}


def _days(folder: Path) -> dict[str, str | None]:
    """By each secret that is there; of a file that cannot be read, nothing."""
    try:
        stored = json.loads((folder / SECRETS).read_text(encoding="utf-8"))
        noted = stored.get("days", {})
        both = [zip_longest(stored[name], noted.get(name, ())) for name in FIELDS]
        return {text: day for pairs in both for text, day in pairs if text}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _read(stored: Mapping[str, list[str]]) -> Secrets:
    return Secrets(**{name: tuple(bytes.fromhex(text) for text in stored[name]) for name in FIELDS})


def create(folder: Path) -> Secrets:
    """New secrets, durable before they are used. Never overwrites."""
    made = Secrets(*((secrets.token_bytes(32),) for _ in FIELDS))
    store(folder, made, exclusive=True)
    return made


def add_pepper(folder: Path) -> Secrets:
    """One more pepper at the end. `gateway rekey pepper` calls this once the ledger is locked for it, before it
    rewrites the rows; a crash between the two is finished by running it again, since the ledger has their number.
    """
    old = load_secrets(folder)
    new = replace(old, peppers=(*old.peppers, secrets.token_bytes(32)))
    store(folder, new)
    return new


def store(folder: Path, value: Secrets, *, exclusive: bool = False) -> None:
    """Writes the secrets; durable when this returns. Those that are not there yet were made today."""
    text = {name: [item.hex() for item in getattr(value, name)] for name in FIELDS}
    known, today = _days(folder), datetime.now(UTC).date().isoformat()
    days = {name: [known.get(item, today) for item in items] for name, items in text.items()}
    write_durably(folder / SECRETS, json.dumps({**text, "days": days}, indent=1).encode(), exclusive=exclusive)


Stamp = tuple[int, int, int]  # what changes with a file that is read again


def stamp_of(path: Path) -> Stamp | None:
    """None where there is no such file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def digest(secret: str) -> str:
    """How the secret of an API key is stored: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
