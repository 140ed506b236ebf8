"""Account assertions and attestations: the operator's backend says, signed, who is signed in in an app, or which ids
are those of a phone that it has looked at (I8). `web.shell.proof` calls it.

A JWS (RFC 7515) with the claims of RFC 7519: `aud` the configured audience, `sub` the account, `iat` and `exp` ten
minutes apart at most, `jti` for one call. An attestation has the `typ` attestation+jwt (RFC 8725 section 3.11), so that
neither is ever taken for the other, `ids` and perhaps a `sub`, and keys of its own. Signed with EdDSA, ES256 or RS256
by a key of the operator's JWKS file (RFC 7517), which is read again when it changes. Who used a `jti` before is the
ledger's to say.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt

from gateway.keys.secret_files import Stamp, stamp_of

ALGORITHMS = ("EdDSA", "ES256", "RS256")  # RFC 8725 section 3.1: a closed list; no shared secrets, no "none"
LIFE = 600  # seconds between iat and exp at most
SKEW = 300  # seconds that the backend's clock may be off (I8)
RELOAD = 0.5  # seconds
MAX_TEXT = 4096  # characters
MAX_CLAIM = 256  # characters of sub and jti
MAX_IDS = 8  # of one phone
CLAIMS = ("aud", "exp", "iat", "jti")
ATTESTED = "attestation+jwt"
RSA_BITS = 2048  # NIST SP 800-57 part 1: below this a signature shows nothing


class KeysUnreadable(Exception):
    """The text names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """Who is signed in. `until`: Unix seconds after which it is worth nothing."""

    account: str = field(repr=False)
    jti: str = field(repr=False)
    until: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """Which ids a phone has: objects with `type` and `value`. `account`: whose phone it is, or nothing."""

    ids: tuple[Mapping[str, object], ...] = field(repr=False)
    account: str = field(repr=False)
    jti: str = field(repr=False)


class Assertions:
    """Verifies assertions and attestations. Without a file or an audience it believes nobody."""

    def __init__(self, file: Path | None, audience: str) -> None:
        self._file = file
        self._audience = audience
        self._looked = 0.0
        self._stamp: Stamp | None = None
        self._keys: list[jwt.PyJWK] = []

    def read(self, text: object, now: int) -> Assertion | None:
        """The assertion, where it is one and not over at `now` (Unix seconds); else None."""
        claims = self._claims(text, now, attestation=False)
        account = claims.get("sub") if claims else None
        if not claims or not _is_short(account):
            return None
        return Assertion(str(account), claims["jti"], int(claims["exp"]) + SKEW)

    def attestation(self, text: object, now: int) -> Attestation | None:
        """Verifies an attestation: which ids are a phone's."""
        claims = self._claims(text, now, attestation=True)
        ids, account = (claims.get("ids"), claims.get("sub", "")) if claims else (None, "")
        if not claims or not isinstance(ids, list) or not 0 < len(ids) <= MAX_IDS:
            return None
        if not all(isinstance(each, dict) for each in ids) or not (account == "" or _is_short(account)):
            return None
        return Attestation(tuple(ids), account, claims["jti"])

    def _claims(self, text: object, now: int, *, attestation: bool) -> dict[str, Any] | None:
        if not (isinstance(text, str) and self._audience and len(text) <= MAX_TEXT):
            return None
        try:
            header = jwt.get_unverified_header(text)
        except jwt.PyJWTError:
            return None
        typed, named = str(header.get("typ", "")).lower().removeprefix("application/"), header.get("kid")
        if (typed == ATTESTED) is not attestation:
            return None
        keys = self._all()
        tried = [key for key in keys if key.key_id == named] if named else keys
        return next((found for key in tried if (found := self._under(key, text, now))), None)

    def _under(self, key: jwt.PyJWK, text: str, now: int) -> dict[str, Any] | None:
        try:
            claims = jwt.decode(
                text,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                options={"require": [*CLAIMS], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        return claims if _in_time(claims, now) else None

    def _all(self) -> list[jwt.PyJWK]:
        now = time.monotonic()
        if self._file and (not self._looked or now - self._looked > RELOAD):
            self._looked = now
            self._reload(self._file)
        return self._keys

    def _reload(self, file: Path) -> None:
        """A file that is gone or broken while we run leaves nobody believed: what opens fails closed."""
        try:
            stamp = stamp_of(file)
            if stamp != self._stamp:
                self._keys, self._stamp = keys_of(file), stamp
        except (OSError, KeysUnreadable):
            self._keys, self._stamp = [], None


def keys_of(file: Path) -> list[jwt.PyJWK]:
    """The signing keys of a JWKS file. Raises `KeysUnreadable`."""
    try:
        if not file.is_file():  # a device never ends
            raise FileNotFoundError
        stated = json.loads(file.read_text(encoding="utf-8"))
        keys = [jwt.PyJWK(each) for each in stated["keys"] if each.get("use", "sig") == "sig"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, jwt.PyJWTError) as error:
        raise KeysUnreadable(f"no JWKS (RFC 7517): {type(error).__name__}") from None
    for key in keys:
        if key.algorithm_name not in ALGORITHMS:
            raise KeysUnreadable(f"a key for {key.algorithm_name}; taken are {', '.join(ALGORITHMS)}")
        if getattr(key.key, "key_size", RSA_BITS) < RSA_BITS and key.key_type == "RSA":
            raise KeysUnreadable(f"an RSA key has {RSA_BITS} bits at least")
        if hasattr(key.key, "private_bytes"):
            raise KeysUnreadable("holds a private key; it belongs to the backend alone")
    return keys


def _is_short(claim: object) -> bool:
    return isinstance(claim, str) and 0 < len(claim) <= MAX_CLAIM


def _in_time(claims: dict[str, Any], now: int) -> bool:
    """Made not long ago, for not long, and not over; `nbf` counts where it is there."""
    made, until, begins = claims["iat"], claims["exp"], claims.get("nbf", claims["iat"])
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (made, until, begins)):
        return False
    in_time = 0 < until - made <= LIFE and made - SKEW <= now <= until + SKEW and begins - SKEW <= now
    return in_time and _is_short(claims["jti"])
