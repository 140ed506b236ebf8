"""Signing in with the company's own account: OpenID Connect's code flow with PKCE. The desk's sign-in calls it.

Authlib has the parts that are easy to get wrong: the request with its challenge, how a client shows itself at the token
endpoint, and the rules of an ID token (issuer, audience, nonce, azp, at_hash), over joserfc's signatures. Requests go
out by our own client, which follows no redirect and bounds what it reads.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.delivery.guard import EVERYWHERE
from gateway.delivery.outgoing import NoHttpAnswer, Outgoing
from gateway.web.shell.problem import Problem

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
SECONDS = 10.0  # for one answer of the provider
KNOWN_FOR = 300.0  # seconds that its addresses and keys are believed
LEEWAY = 60  # seconds that its clock may differ
MOST = 256 * 1024  # bytes of an answer
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
GRANT = "authorization_code"


@dataclass
class Company:
    """The provider that the configuration names. `back`: our address that it leads back to."""

    issuer: str
    client: str
    secret_file: str
    back: str
    _known: dict[str, Any] = field(default_factory=dict, repr=False)
    _read: float = 0.0

    async def begin(self) -> tuple[str, dict[str, str]]:
        """(where the browser goes, what has to be remembered until it comes back). Raises `Problem`."""
        known, step = (
            await self._provider(),
            {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")},
        )
        flow = OAuth2Client(None, self.client, redirect_uri=self.back, scope="openid", code_challenge_method="S256")
        url, _ = flow.create_authorization_url(
            known["authorization_endpoint"], step["state"], step["verifier"], nonce=step["nonce"]
        )
        return str(url), step

    async def subject(self, step: Mapping[str, str], query: Mapping[str, str]) -> str:
        """Who signed in there, by the provider's own id of them. Raises `Problem`."""
        if not step.get("state") or not secrets.compare_digest(step["state"].encode(), query.get("state", "").encode()):
            raise Problem("forbidden", "This sign-in was not begun in this browser, or took too long. Begin again.")
        if not query.get("code"):
            raise Problem("forbidden", "Your company's sign-in did not let you in.")
        known = await self._provider()
        token = await self._token(known, query["code"], step["verifier"])
        try:
            signed = jwt.decode(str(token["id_token"]), KeySet.import_key_set(known["keys"]), algorithms=ALGORITHMS)
            wanted = {"iss": self.issuer, "aud": self.client}
            options = {name: {"essential": True, "value": value} for name, value in wanted.items()}
            params = {"nonce": step["nonce"], "client_id": self.client, "access_token": token.get("access_token")}
            claims = CodeIDToken(signed.claims, signed.header, options, params)
            claims.validate(now=int(time.time()), leeway=LEEWAY)
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise Problem(
                "forbidden", f"Your company's sign-in said what cannot be believed ({type(error).__name__})."
            ) from error
        return str(claims["sub"])

    async def _token(self, known: Mapping[str, Any], code: str, verifier: str) -> dict[str, Any]:
        secret = await asyncio.to_thread(self._secret)
        supported = known.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = (
            "none"
            if not secret
            else next(
                (each for each in ("client_secret_basic", "client_secret_post") if each in supported),
                "client_secret_basic",
            )
        )
        body = prepare_token_request(GRANT, redirect_uri=self.back, code=code, code_verifier=verifier)
        shows = ClientAuth(self.client, secret, method)
        url, headers, body = shows.prepare("POST", known["token_endpoint"], dict(FORM), body)
        return await _asked("POST", url, headers, body.encode())

    def _secret(self) -> str:
        return Path(self.secret_file).read_text(encoding="utf-8").strip() if self.secret_file else ""

    async def _provider(self) -> dict[str, Any]:
        """Its addresses and keys, as it publishes them."""
        if not self._known or time.monotonic() - self._read > KNOWN_FOR:
            found = await _asked("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self.issuer:
                raise Problem("forbidden", "Your company's sign-in calls itself otherwise than [desk] oidc_issuer.")
            if not all(
                isinstance(found.get(name), str) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
            ):
                raise Problem("forbidden", "Your company's sign-in does not say where it is asked.")
            self._known = {**found, "keys": await _asked("GET", found["jwks_uri"])}
            self._read = time.monotonic()
        return self._known


async def _asked(method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> dict[str, Any]:
    """A JSON object that the provider answers. Raises `Problem`."""
    outgoing = Outgoing(EVERYWHERE)
    try:
        answer = await outgoing.ask(method, url, headers=headers, body=body, seconds=SECONDS, most=MOST)
        said = orjson.loads(answer.body) if answer.is_success and answer.whole else None
    except (NoHttpAnswer, orjson.JSONDecodeError):
        said = None
    finally:
        await outgoing.close()
    if not isinstance(said, dict):
        raise Problem(
            "store_unavailable", "Your company's sign-in does not answer as it should. Try again, or use a passkey."
        )
    return said
