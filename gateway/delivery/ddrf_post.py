"""A deletion by the IAB's Data Deletion Request Framework: the recipient's dsrdelete.json is read, a request posted,
and its acknowledgement verified. https alone, but for loopback; no redirects, no private networks (guard.py).
"""

import json
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt

from gateway.addresses import may_send_to
from gateway.delivery import ddrf
from gateway.delivery.carrier import Parcel
from gateway.delivery.ddrf import Signer, Untrusted, Vendor
from gateway.delivery.post import Courier, Outcome, Tried

PATH = "/dsrdelete.json"
KEPT = timedelta(hours=1)  # how long a recipient's file is believed; a key that is not in it is looked for once
AGAIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Known:
    """A recipient's file, and when it was read."""

    vendor: Vendor
    at: datetime


class Ddrf:
    """Carries one identifier's deletion. `endpoint` of a parcel: the recipient's domain."""

    def __init__(self, courier: Courier, signer: Signer) -> None:
        self._courier = courier
        self._signer = signer
        self._known: dict[str, Known] = {}

    async def carry(self, parcel: Parcel, at: datetime) -> Tried:
        try:
            known = await self._vendor(parcel.endpoint, at, KEPT)
            [identifier] = json.loads(parcel.body)["identifiers"]
            return await self._ask(parcel, identifier, known.vendor, at)
        except Untrusted as untrusted:
            return Tried(Outcome.FAILED, str(untrusted))

    async def _ask(self, parcel: Parcel, identifier: Mapping[str, str], vendor: Vendor, at: datetime) -> Tried:
        sub = ddrf.subject(identifier["type"], identifier["value"], vendor.accepts)
        if sub is None:
            return Tried(Outcome.REFUSED, "takes no such identifier")
        request = self._signer.request(parcel.name, random.token_urlsafe(16), sub, at)
        headers = {"Content-Type": "application/jwt", "Accept": "application/jwt"}
        tried = await self._courier.send("POST", vendor.endpoint, at, headers=headers, body=request.encode())
        if not tried.body or tried.outcome in {Outcome.GONE, Outcome.FORBIDDEN}:
            return tried if not tried.taken else Tried(Outcome.FAILED, "no acknowledgement")
        return await self._acknowledged(parcel, request, tried, at)

    async def _acknowledged(self, parcel: Parcel, request: str, tried: Tried, at: datetime) -> Tried:
        """202 and 400 both come with an acknowledgement; without one that holds, nothing was acknowledged."""
        token = tried.body.decode("ascii", "replace").strip()
        known = await self._vendor(parcel.endpoint, at, KEPT)
        if not known.vendor.knows(_kid(token)):
            known = await self._vendor(parcel.endpoint, at, AGAIN)
        host = issuer_of(parcel.endpoint)
        try:
            said = ddrf.acknowledged(token, request, host, self._signer.issuer, known.vendor.keys, at)
        except Untrusted as untrusted:
            return Tried(Outcome.FAILED, f"acknowledgement {untrusted}" if tried.taken else tried.answer, tried.wait)
        answer = f"{tried.answer}, {ddrf.RESULTS[said.result]}"
        if said.result == ddrf.OK and tried.taken:
            return Tried(Outcome.TAKEN, answer, proof=token, proof_name=said.jti)
        outcome = Outcome.REFUSED if said.result in ddrf.FOR_GOOD else Outcome.FAILED
        return Tried(outcome, answer, tried.wait, proof=token, proof_name=said.jti)

    async def _vendor(self, domain: str, at: datetime, believed: timedelta) -> Known:
        known = self._known.get(domain)
        if known is None or at - known.at >= believed:
            tried = await self._courier.send("GET", discovery(domain), at)
            if not tried.taken:
                raise Untrusted(f"its dsrdelete.json: {tried.answer}")
            found = ddrf.vendor(tried.body)
            if not _may_send_to(found.endpoint):
                raise Untrusted("its endpoint is not https")
            known = self._known[domain] = Known(found, at)
        return known

    async def close(self) -> None:
        await self._courier.close()


def _may_send_to(endpoint: str) -> bool:
    """The endpoint is a stranger's text: it may be no address at all."""
    try:
        return may_send_to(endpoint)
    except ValueError:
        return False


def discovery(domain: str) -> str:
    """Where a recipient's file is: at the root of its domain; a whole origin is for development."""
    return (domain if "://" in domain else f"https://{domain}") + PATH


def issuer_of(domain: str) -> str:
    """What its acknowledgements are issued by."""
    return (urlsplit(domain).hostname or "") if "://" in domain else domain


def published(signer: Signer, endpoint: str) -> dict[str, Any]:
    """Our own /dsrdelete.json: the keys of our requests. We take none by it, so no identifier is listed."""
    return {"endpoint": endpoint, "identifiers": [], "publicKey": [signer.jwk], "vendorScriptRequirement": False}


def _kid(token: str) -> str:
    try:
        return str(jwt.get_unverified_header(token[: ddrf.MAX_TOKEN]).get("kid"))
    except (jwt.PyJWTError, ValueError, RecursionError):
        return ""
