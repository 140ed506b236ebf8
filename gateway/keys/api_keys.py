"""API keys of callers, `<id>.<secret>`, shown once, stored hashed, with scopes; and the signed assertion of who is
signed in on the site. The doors and `gateway keys` call it.

Secret keys are for servers. Publishable ones go into apps: they may opt out, limit and observe, and prove nothing. A
revoked publishable key still opts out. The file is read again when it changes, so a revocation holds within half a
second without a restart.
"""

import hmac
import json
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from gateway.disk import locked, write_durably
from gateway.keys.secret_files import Stamp, digest, stamp_of

FILE, LOCK = "api_keys.json", ".api_keys.lock"
DAYS = "api_key_days.json"  # when each was made; apart, for an older version reads no key with a member more
SCOPES = ("check", "choose", "share", "desk", "export", "replica", "admin")
EXPIRY = re.compile(r"[0-9]{1,12}")
TEST = "test_"  # what keys of an installation begin with that is not in production (I24)
RELOAD = 0.5  # seconds
UNREAD = (-1, -1, -1)  # the stamp of no file
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: str
    name: str
    hashed: str
    scopes: tuple[str, ...]
    publishable: bool = False
    revoked: bool = False

    def may(self, scope: str) -> bool:
        return scope in self.scopes and not self.revoked


DEV = ApiKey("dev", "dev", digest("dev"), SCOPES)


class Credentials:
    """The keys of one installation. `dev` adds the key `dev.dev` for every scope."""

    def __init__(self, folder: Path, *, dev: bool = False) -> None:
        self._path = folder / FILE
        self._dev = dev
        self._looked = 0.0
        self._stamp: Stamp | None = UNREAD
        self._keys: dict[str, ApiKey] = {}
        self._shown: dict[str | bytes, ApiKey] = {}  # by what showed them, until the keys change

    def find(self, bearer: str) -> ApiKey | None:
        """The key, revoked or not, or None where the id or the secret is wrong."""
        self._renew()
        return self._shown.get(bearer) or self._read(bearer)

    def shown(self, authorization: bytes) -> ApiKey | None:
        """The same by the value of a header field, where it showed one before."""
        self._renew()
        return self._shown.get(authorization)

    def _renew(self) -> None:
        now = time.monotonic()
        if not self._keys or now - self._looked > RELOAD:
            self._looked = now
            self._reload()

    def _read(self, bearer: str) -> ApiKey | None:
        name, _, secret = bearer.partition(".")
        shown, key = self._shown, self._keys.get(name)  # in this order: none of before is shown among those of now
        hashed = digest(secret)
        if not hmac.compare_digest(hashed, key.hashed if key else digest("")) or not secret:
            return None
        if key:
            shown[bearer] = shown[b"Bearer %b" % bearer.encode()] = key
        return key

    def _reload(self) -> None:
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            keys = {key.id: key for key in read_api_keys(self._path.parent)}
            self._keys = keys | ({DEV.id: DEV} if self._dev else {})
            self._stamp, self._shown = stamp, {}


def read_api_keys(folder: Path) -> list[ApiKey]:
    try:
        stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [ApiKey(**{**item, "scopes": tuple(item["scopes"])}) for item in stored]


def add_api_key(folder: Path, name: str, scopes: Iterable[str], *, publishable: bool, mark: str = "") -> str:
    """Makes a key and returns it, the only time it is seen; it begins with the `mark`. Raises ValueError for a bad name
    or scope.
    """
    scopes = tuple(scopes)
    unknown = set(scopes) - set(SCOPES)
    if unknown or not scopes:
        raise ValueError(f"scopes are {', '.join(SCOPES)}; not {', '.join(sorted(unknown)) or 'none'}")
    if publishable and set(scopes) != {"choose"}:
        raise ValueError("a publishable key may only have scope choose: it is in everybody's hands")
    made, secret = mark + secrets.token_hex(6), secrets.token_urlsafe(32)
    with locked(folder / LOCK):  # else a key that is revoked meanwhile would be written back
        keys = read_api_keys(folder)
        if not NAME.fullmatch(name) or any(key.name == name and not key.revoked for key in keys):
            raise ValueError(f"{name!r}: a name has lower-case letters, digits, - and _, and is used once")
        noted = {**read_key_days(folder), made: datetime.now(UTC).date().isoformat()}
        write_durably(folder / DAYS, json.dumps(noted, indent=1).encode())  # first: a key that is there has been shown
        _write(folder, [*keys, ApiKey(made, name, digest(secret), scopes, publishable)])
    return f"{made}.{secret}"


def read_key_days(folder: Path) -> dict[str, str]:
    """On which day (UTC) a key was made, by its id; nothing of those that are older than this file, or were restored
    without it.
    """
    try:
        noted = json.loads((folder / DAYS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def revoke(folder: Path, name: str) -> bool:
    """Ends a key. False where there is none that is in use."""
    with locked(folder / LOCK):
        keys = read_api_keys(folder)
        hit = any(key.name == name and not key.revoked for key in keys)
        _write(folder, [ApiKey(**{**asdict(k), "revoked": k.revoked or k.name == name}) for k in keys])
    return hit


def _write(folder: Path, keys: Sequence[ApiKey]) -> None:
    write_durably(folder / FILE, json.dumps([asdict(key) for key in keys], indent=1).encode())


def assert_account(secret: bytes, account: str, expires: int) -> str:
    """`v1.<account>.<expiry>.<HMAC>`, the value of Gateway-Account: the site says who is signed in until `expires`
    (Unix seconds). The HMAC is SHA-256 in hex over everything before its dot.
    """
    body = f"v1.{account}.{expires}"
    return f"{body}.{hmac.digest(secret, body.encode(), 'sha256').hex()}"


class SignedAccount(NamedTuple):
    """What a site's server said: who is signed in, until when (Unix seconds)."""

    account: str
    until: int


def read_account(site_keys: Iterable[bytes], text: str) -> SignedAccount | None:
    """An assertion that is ours, whether it is over or not; else None."""
    body, _, signature = text.rpartition(".")
    head, _, expires = body.rpartition(".")
    version, _, account = head.partition(".")
    if version != "v1" or not account or not EXPIRY.fullmatch(expires):
        return None
    stated = signature.encode()
    good = any(
        hmac.compare_digest(hmac.digest(key, body.encode(), "sha256").hex().encode(), stated) for key in site_keys
    )
    return SignedAccount(account, int(expires)) if good else None
