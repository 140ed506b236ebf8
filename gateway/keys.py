"""Secrets of one installation, and the keys that pseudonyms are made with.

One file in the data folder, `secrets.json`, mode 0600, made once. Losing it loses every person's link to their
standing: back it up apart from the ledger. API keys lie beside it in `api_keys.json`, their secrets hashed.

A person's key is HMAC-SHA256(pepper, kind, 0x00, value), 16 bytes. A new pepper wraps the stored keys,
key2 = HMAC(pepper2, key1): one pass rewrites every row and needs no raw value (R19), so nobody who never comes back
is lost.
"""

import contextlib
import errno
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from gateway.choice.identity import Name

KEY_BYTES = 16
SECRETS = "secrets.json"
PRIVATE = 0o600
MARK = b"whose ledger"


class SecretsMissing(Exception):
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
        return wrap(f"{name[0]}\x00{name[1]}".encode(), self.peppers)

    def keys(self, names: Iterable[Name]) -> tuple[bytes, ...]:
        return tuple([self.key(name) for name in names])

    @property
    def mark(self) -> int:
        """31 bits of the first pepper, which every later one wraps: by it a ledger is told from that of other secrets.
        Never 0.
        """
        return int.from_bytes(hmac.digest(self.peppers[0], MARK, "sha256")[:4]) & 0x7FFFFFFF or 1


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """What seals the details of a person's entries, and what seals that which opens them. None: destroyed."""

    person: bytes
    details: bytes | None = field(repr=False)
    openings: bytes | None = field(repr=False)


def wrap(key: bytes, peppers: Iterable[bytes]) -> bytes:
    """A stored key under further peppers, in their order."""
    for pepper in peppers:
        made = _begun(pepper).copy()
        made.update(key)
        key = made.digest()[:KEY_BYTES]
    return key


@lru_cache(maxsize=64)
def _begun(pepper: bytes) -> hmac.HMAC:
    """HMAC-SHA256 with the pepper taken in, to be copied: a key takes a sixth less than by `hmac.digest`, and every
    check makes several. An installation has few peppers.
    """
    return hmac.new(pepper, digestmod="sha256")


FIELDS = tuple(Secrets.__dataclass_fields__)


def load(folder: Path) -> Secrets:
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
    if isinstance(stored, dict) and "signing" not in stored:
        raise SecretsMissing(f"{folder / SECRETS} is of an earlier version. Run: gateway migrate --data {folder}")
    try:
        return _read(stored)
    except (KeyError, TypeError, ValueError) as error:
        raise SecretsMissing(f"{folder / SECRETS} is incomplete ({error}). Put back its last backup.") from error


def _read(stored: Mapping[str, list[str]]) -> Secrets:
    return Secrets(**{name: tuple(bytes.fromhex(text) for text in stored[name]) for name in FIELDS})


def complete(folder: Path) -> None:
    """Adds what secrets of an earlier version do not have: the log had no signing key."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stored = json.loads((folder / SECRETS).read_text(encoding="utf-8"))
        if "signing" not in stored:
            store(folder, _read({**stored, "signing": [secrets.token_hex(32)]}))


def create(folder: Path) -> Secrets:
    """New secrets, durable before they are used. Never overwrites."""
    made = Secrets(*((secrets.token_bytes(32),) for _ in FIELDS))
    store(folder, made, exclusive=True)
    return made


def add_pepper(folder: Path) -> Secrets:
    """One more pepper at the end. The rows are rewritten by `gateway rekey pepper`, which calls this first; a
    crash between the two is finished by running it again, since the ledger's head tells how many are applied.
    """
    old = load(folder)
    new = replace(old, peppers=(*old.peppers, secrets.token_bytes(32)))
    store(folder, new)
    return new


def store(folder: Path, value: Secrets, *, exclusive: bool = False) -> None:
    """Durable when this returns."""
    text = {name: [item.hex() for item in getattr(value, name)] for name in FIELDS}
    write_durably(folder / SECRETS, json.dumps(text, indent=1).encode(), exclusive=exclusive)


def write_durably(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """A small private file: written beside, synced, renamed. `exclusive`: FileExistsError where there is one. What root
    writes belongs to the folder's owner: the service runs as somebody else, and must go on reading its own files.
    """
    if exclusive and path.exists():
        raise FileExistsError(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write(beside, content)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)  # a disk that stays full would fill up with them
        raise
    sync_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    descriptor = _new(path)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))  # half a file must not take its place
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    owner = path.parent.stat()
    if os.geteuid() == 0 != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def reserve(path: Path) -> None:
    """An empty file of ours where there is none, which nobody else may read whatever the umask and the folder say.
    SQLite would make a database as the umask has it; its log and index have the database's own mode.
    """
    with contextlib.suppress(FileExistsError):
        os.close(_new(path))


def close_to_others(folder: Path) -> None:
    """Takes from everybody else what an older version, a copy or an unpacked archive gave them of the files in a data
    folder. Folders stay as they are: a socket that others are to reach may lie in one.
    """
    for path in [found for found in folder.rglob("*") if found.is_file() and not found.is_symlink()]:
        with contextlib.suppress(OSError):  # another user's, who then sees to it; or gone meanwhile
            mode = path.stat().st_mode
            if mode & 0o077:
                path.chmod(mode & 0o700)


def make_folder(path: Path) -> None:
    """A private folder and what is missing above it, whose names outlive a power cut: a name is kept once the folder
    that it stands in was synced.
    """
    if not path.parent.exists():
        make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_folder(path.parent)  # also where it is there already: whoever made it may have been stopped before this


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(secret: str) -> str:
    """How the secret of an API key is stored: 256 random bits need no slow hash (ledger.md 6.1)."""
    return hashlib.sha256(secret.encode()).hexdigest()
