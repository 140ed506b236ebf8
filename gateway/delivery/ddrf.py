"""A deletion by the IAB Tech Lab's Data Deletion Request Framework 1.0: the recipient's dsrdelete.json is read, a
request posted, and its acknowledgement verified. `consent.telling` sends deletions so to recipients that take it.

    idJWT   the first party says whose data is to be deleted; signed by us
    rqJWT   holds the idJWT; goes to the recipient; signed by us too, for we are the requester
    acJWT   holds the rqJWT, and what became of it; signed by the recipient

The specification leaves open what an attacker would ask first, so it is decided here: which algorithms, one key by its
`kid`, no key out of a header, bounds of size, `iat` near the clock, `exp` and `aud` where they are said, and an
acknowledgement that is of our own request to the letter. `sub` is an object, as the specification's examples have it.
https alone, but for loopback; no redirects, no private networks (guard.py).
"""

import base64
import hashlib
import hmac
import json
import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from gateway.delivery.guard import may_send_to
from gateway.delivery.webhook import Courier, Parcel, PostOutcome, Tried
from gateway.keys.secret_files import Secrets

VERSION = "1.0"
ALGORITHMS = ("ES256", "ES384", "RS256")  # none, HMAC and what has no use here are not on it
OURS = "ES256"
LABEL = b"ddrf/1"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
MAX_TOKEN = 16 * 1024  # characters; an acJWT holds two more tokens of about 700
MAX_ID = 256
FAR = 1e12  # seconds; JSON has integers of any length, and some are no float
SKEW = timedelta(minutes=5)
RSA_LEAST = 2048  # bits
OK = 0
RESULTS = {
    0: "successful", 1: "malformed request", 2: "invalid signature", 3: "invalid token",
    4: "unsupported identifier type", 5: "incorrect identifier format", 6: "invalid timestamp",
}  # fmt: skip
FOR_GOOD = frozenset({1, 4, 5})  # asking again would be answered so again


class Untrusted(Exception):
    """A token that proves nothing. The text says why, in words of ours."""


@dataclass(frozen=True, slots=True)
class DeletionAcknowledged:
    """What a recipient says of a request."""

    result: int
    jti: str


@dataclass(frozen=True, slots=True)
class DeletionSigner:
    """Signs our requests. `issuer`: the domain whose /dsrdelete.json has the public key."""

    issuer: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as it is published; its id is the RFC 7638 thumbprint."""
        plain: dict[str, Any] = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        members = {name: plain[name] for name in ("crv", "kty", "x", "y")}
        return {**members, "use": "sig", "alg": OURS, "kid": _thumbprint(members)}

    def request(self, name: str, jti: str, sub: Mapping[str, str], at: datetime) -> str:
        """Makes the rqJWT. `name`: the request's own id, the same at every try; `jti`: of this try."""
        said = {"version": VERSION, "iss": self.issuer, "sub": dict(sub), "iat": int(at.timestamp())}
        first = self._sign({**said, "jti": name})
        return self._sign({**said, "jti": jti, "idJWT": first})

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self.key, OURS, {"kid": self.jwk["kid"]})


def _thumbprint(members: Mapping[str, Any]) -> str:
    """The thumbprint of a key (RFC 7638)."""
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def signers(secrets: Secrets, issuer: str) -> list[DeletionSigner]:
    """The installation's own keys for this, made from its keys `tokens`, the newest first: that one signs, and the
    public halves of all are published, for a recipient may look at a request days after it was signed.
    """
    made = []
    for token in reversed(secrets.tokens):
        raw = hmac.digest(token, LABEL, "sha512")  # twice the order's width: no bias to speak of
        key = ec.derive_private_key(int.from_bytes(raw) % (P256_ORDER - 1) + 1, ec.SECP256R1())
        made.append(DeletionSigner(issuer, key))
    return made


def acknowledged(
    token: str, request: str, issuer: str, ours: str, keys: Sequence[Mapping[str, Any]], now: datetime
) -> DeletionAcknowledged:
    """The acJWT of the recipient `issuer`, about our `request`. `keys`: the JWKs that it has. Raises `Untrusted`."""
    claims = _read(token, keys)
    if claims.get("version") != VERSION:
        raise Untrusted("another version")
    if claims.get("iss") != issuer:
        raise Untrusted("another issuer")
    if not isinstance(claims.get("rqJWT"), str) or not hmac.compare_digest(claims["rqJWT"], request):
        raise Untrusted("not about this request")
    _in_time(claims, now)
    if "aud" in claims and ours not in (claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]):
        raise Untrusted("for somebody else")
    jti, result = claims.get("jti"), claims.get("raResultCode")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_ID:
        raise Untrusted("without an id")
    if isinstance(result, str) and result.isascii() and result.isdigit():
        result = int(result[:3])  # tables of the specification say number, implementations send text
    if not isinstance(result, int) or isinstance(result, bool) or result not in RESULTS:
        raise Untrusted("without a result")
    return DeletionAcknowledged(result, jti)


def _read(token: str, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if len(token) > MAX_TOKEN:
        raise Untrusted("too long")
    try:
        header = jwt.get_unverified_header(token)
        key = _key(header, keys)
        # The times are judged by our own clock, and sub may be an object.
        options: Any = {f"verify_{name}": False for name in ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")}
        return jwt.decode(token, key.key, algorithms=[header["alg"]], options=options)
    except Untrusted:
        raise
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise Untrusted(f"not verified: {type(error).__name__}") from error


def _key(header: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]) -> jwt.PyJWK:
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise Untrusted("an algorithm that is not taken")
    found = [key for key in keys if key.get("kid") == kid] if isinstance(kid, str) else []
    if len(found) != 1:
        raise Untrusted("no key of that id")
    stated = found[0]
    if stated.get("alg", algorithm) != algorithm or stated.get("use", "sig") != "sig":
        raise Untrusted("a key for another use")
    public = {name: value for name, value in stated.items() if name in {"kty", "crv", "x", "y", "n", "e"}}
    made = jwt.PyJWK(public, algorithm)
    if algorithm == "RS256" and made.key.key_size < RSA_LEAST:
        raise Untrusted("a key that is too short")
    return made


def _in_time(claims: Mapping[str, Any], now: datetime) -> None:
    """The acknowledgement was made about now; it answers a request that was made a moment ago."""
    second, skew = now.timestamp(), SKEW.total_seconds()
    if not abs(_number(claims.get("iat")) - second) <= skew:  # so turned, not a number is no time
        raise Untrusted("made at another time")
    if "exp" in claims and not _number(claims["exp"]) >= second - skew:
        raise Untrusted("expired")


def _number(value: object) -> float:
    """Raises `Untrusted` for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > FAR:
        raise Untrusted("made at another time")
    return value


@dataclass(frozen=True, slots=True)
class Vendor:
    """A recipient's /dsrdelete.json, as far as it is used. `accepts`: (type, format) pairs."""

    endpoint: str
    accepts: tuple[tuple[str, str], ...]
    keys: tuple[Mapping[str, Any], ...] = field(repr=False)

    def knows(self, kid: str) -> bool:
        return any(key.get("kid") == kid for key in self.keys)


MOST_LISTED = 100


def vendor(content: bytes) -> Vendor:
    """Reads a discovery file. Raises `Untrusted` for what is none."""
    try:
        stated = json.loads(content)
        listed, keys = stated["identifiers"], stated["publicKey"]
        accepts = tuple((str(item["type"]).lower(), str(item["format"]).lower()) for item in listed[:MOST_LISTED])
        if not isinstance(stated["endpoint"], str) or not all(isinstance(key, dict) for key in keys):
            raise Untrusted("its dsrdelete.json is not as the framework says")
        return Vendor(stated["endpoint"], accepts, tuple(keys[:MOST_LISTED]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Untrusted("its dsrdelete.json is not as the framework says") from error


# What our kinds are called: the framework leaves the words to the recipients, these are those that are in use.
PLAIN = ("plaintext", "plain", "raw", "string", "uuid")
TYPES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "gaid": (("gaid", "aaid", "adid", "maid", "idfa_aaid"), PLAIN),
    "idfa": (("idfa", "maid", "idfa_aaid"), PLAIN),
    "oaid": (("oaid", "maid"), PLAIN),
    "idfv": (("idfv", "ifv"), PLAIN),
    "account": (("ppuid", "account"), PLAIN),
    "email": (("email",), PLAIN),
    "phone": (("phone",), PLAIN),
    "ad_id_sha256": (("gaid", "idfa", "maid", "adid"), ("sha256", "sha-256", "hash")),
    "email_sha256": (("email", "hem"), ("sha256", "sha-256", "hash")),
    "email_sha1": (("email", "hem"), ("sha1", "sha-1")),
    "email_md5": (("email", "hem"), ("md5",)),
    "phone_sha256": (("phone",), ("sha256", "sha-256", "hash")),
}


def subject(kind: str, value: str, accepts: Sequence[tuple[str, str]]) -> dict[str, str] | None:
    """The `sub` of a request as the recipient wants it; None: it takes no such identifier."""
    types, formats = TYPES.get(kind, ((), ()))
    for stated, form in accepts:
        if stated in types and form in formats:
            return {"identifierValue": value, "identifierType": stated, "identifierFormat": form}
    return None


PATH = "/dsrdelete.json"
KEPT = timedelta(hours=1)  # how long a recipient's file is believed; a key that is not in it is looked for once
AGAIN = timedelta(minutes=5)


class Ddrf:
    """Carries one identifier's deletion. `endpoint` of a parcel: the recipient's domain."""

    def __init__(self, courier: Courier, signer: DeletionSigner) -> None:
        self._courier = courier
        self._signer = signer
        self._known: dict[str, tuple[Vendor, datetime]] = {}  # each file, and when it was read

    async def carry(self, parcel: Parcel, at: datetime) -> Tried:
        try:
            vendor = await self._vendor(parcel.endpoint, at, KEPT)
            [identifier] = json.loads(parcel.body)["identifiers"]
            return await self._ask(parcel, identifier, vendor, at)
        except Untrusted as untrusted:
            return Tried(PostOutcome.FAILED, str(untrusted))

    async def _ask(self, parcel: Parcel, identifier: Mapping[str, str], vendor: Vendor, at: datetime) -> Tried:
        sub = subject(identifier["type"], identifier["value"], vendor.accepts)
        if sub is None:
            return Tried(PostOutcome.REFUSED, "takes no such identifier")
        request = self._signer.request(parcel.name, random.token_urlsafe(16), sub, at)
        headers = {"Content-Type": "application/jwt", "Accept": "application/jwt"}
        tried = await self._courier.send("POST", vendor.endpoint, at, headers=headers, body=request.encode())
        if not tried.body or tried.outcome in {PostOutcome.GONE, PostOutcome.FORBIDDEN}:
            return tried if not tried.taken else Tried(PostOutcome.FAILED, "no acknowledgement")
        return await self._acknowledged(parcel, request, tried, at)

    async def _acknowledged(self, parcel: Parcel, request: str, tried: Tried, at: datetime) -> Tried:
        """202 and 400 both come with an acknowledgement; without one that holds, nothing was acknowledged."""
        token = tried.body.decode("ascii", "replace").strip()
        vendor = await self._vendor(parcel.endpoint, at, KEPT)
        if not vendor.knows(_kid(token)):
            vendor = await self._vendor(parcel.endpoint, at, AGAIN)
        host = issuer_of(parcel.endpoint)
        try:
            said = acknowledged(token, request, host, self._signer.issuer, vendor.keys, at)
        except Untrusted as untrusted:
            return Tried(
                PostOutcome.FAILED, f"acknowledgement {untrusted}" if tried.taken else tried.answer, tried.wait
            )
        answer = f"{tried.answer}, {RESULTS[said.result]}"
        if said.result == OK and tried.taken:
            return Tried(PostOutcome.TAKEN, answer, proof=token, proof_name=said.jti)
        outcome = PostOutcome.REFUSED if said.result in FOR_GOOD else PostOutcome.FAILED
        return Tried(outcome, answer, tried.wait, proof=token, proof_name=said.jti)

    async def _vendor(self, domain: str, at: datetime, believed: timedelta) -> Vendor:
        known = self._known.get(domain)
        if known and at - known[1] < believed:
            return known[0]
        tried = await self._courier.send("GET", discovery(domain), at)
        if not tried.taken:
            raise Untrusted(f"its dsrdelete.json: {tried.answer}")
        found = vendor(tried.body)
        if not may_send_to(found.endpoint):
            raise Untrusted("its endpoint is not https")
        self._known[domain] = found, at
        return found

    async def close(self) -> None:
        await self._courier.close()


def discovery(domain: str) -> str:
    """Where a recipient's file is: at the root of its domain; a whole origin is for development."""
    return (domain if "://" in domain else f"https://{domain}") + PATH


def issuer_of(domain: str) -> str:
    """What its acknowledgements are issued by."""
    return (urlsplit(domain).hostname or "") if "://" in domain else domain


def published(signers: Sequence[DeletionSigner], endpoint: str) -> dict[str, Any]:
    """Our own /dsrdelete.json: the keys of our requests. We take none by it, so no identifier is listed."""
    keys = [signer.jwk for signer in signers]
    return {"endpoint": endpoint, "identifiers": [], "publicKey": keys, "vendorScriptRequirement": False}


def _kid(token: str) -> str:
    try:
        return str(jwt.get_unverified_header(token[:MAX_TOKEN]).get("kid"))
    except (jwt.PyJWTError, ValueError, RecursionError):
        return ""
