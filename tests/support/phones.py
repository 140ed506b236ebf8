"""A phone with an app on it: its ids, the device token that it keeps, and the backend that signs who is signed in."""

import asyncio
import contextlib
import json
import time
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.keys import api_keys
from support import inside
from support.people import gaid, named

AUDIENCE = "https://privacy.example.com"
KINDS = {
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "RS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
}


def idfv(number: int) -> str:
    return f"6d92078a-8246-4ba4-ae5b-{number:012x}"


class Backend:
    """The operator's system of accounts: one key, of which the gateway has the public half."""

    def __init__(self, algorithm="EdDSA", kid="k1"):
        make, self._as_jwk = KINDS[algorithm]
        self.key, self.algorithm, self.kid = make(), algorithm, kid

    @property
    def jwk(self) -> dict:
        made = json.loads(self._as_jwk.to_jwk(self.key.public_key()))
        return made | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def publish(self, file, *others):
        file.write_text(json.dumps({"keys": [self.jwk, *(each.jwk for each in others)]}))
        return file

    def asserts(self, account="a1", *, headers=None, algorithm=None, key=None, **claims) -> str:
        now = int(time.time())
        stated = {"aud": AUDIENCE, "sub": account, "iat": now, "exp": now + 300, "jti": uuid.uuid4().hex} | claims
        stated = {name: value for name, value in stated.items() if value is not None}
        named = {"kid": self.kid} | (headers or {})
        named = {name: value for name, value in named.items() if value}
        return jwt.encode(stated, key or self.key, algorithm or self.algorithm, headers=named)

    def proof(self, account="a1", **claims) -> dict:
        return {"kind": "account", "assertion": self.asserts(account, **claims)}

    def attests(self, *ids, account=None, headers=None, **claims) -> dict:
        """What it signs once Play Integrity or App Attest has vouched for the phone."""
        typed = {"typ": "attestation+jwt"} | (headers or {})
        token = self.asserts(account, headers=typed, **{"ids": list(ids)} | claims)
        return {"kind": "attestation", "token": token}


class Phone:
    """One installation. It keeps what every answer gives it, as an app does."""

    def __init__(self, calling, *ids, token=None):
        self.calling, self.ids, self.token, self.last = calling, list(ids), token, {}

    def resets(self, number: int):
        """A new ad id; everything else stays."""
        self.ids = [named("gaid", gaid(number)), *(each for each in self.ids if each["type"] != "gaid")]

    def body(self, **members) -> dict:
        shown = {"device": self.token} if self.token else {}
        return {"identifiers": self.ids, "place": "US-CA", **shown, **members}

    async def post(self, path, *, headers=None, **members):
        answer = await self.calling.post(path, json=self.body(**members), headers=headers)
        if answer.headers["content-type"] == "application/json":
            self.last = answer.json()
            self.token = self.last.get("device", self.token)
        return answer

    async def observes(self, **members):
        return await self.post("/v1/observe", signals=members.pop("signals", {}), **members)

    async def chooses(self, choice="opt_out", **members):
        return await self.post("/v1/choices", choice=choice, **members)


class Place:
    """A gateway with its operator: keys of an app, of the backend and of an ad server."""

    def __init__(self, app, folder, backend, calls):
        self.app, self.folder, self.backend, self.in_app, self.desk, self.ads, self.server = (
            app,
            folder,
            backend,
            *calls,
        )

    def phone(self, *ids, **more) -> Phone:
        return Phone(self.in_app, *(ids or (named("gaid", gaid(1)), named("idfv", idfv(1)))), **more)

    async def reason(self, *identifiers, recipient="teemo"):
        body = {"identifiers": list(identifiers), "recipient": recipient, "place": "US-CA", "data": ["ad_id"]}
        for _ in range(100):  # a busy machine's state may be behind for a moment: then everybody is denied
            found = (await self.ads.post("/v1/check", json=body)).json()["reason"]
            if found != "stale":
                break
            await asyncio.sleep(0.1)
        return found

    async def links(self, account, *identifiers):
        body = {"account": account, "identifiers": list(identifiers)}
        assert (await self.desk.post("/v1/links", json=body)).status_code == 201


@contextlib.asynccontextmanager
async def standing(folder, *, clock=None, dev=True, **environment):
    """`dev` fills in contracts, so that silence is an allow and a no can be told from it."""
    folder.mkdir(exist_ok=True)
    backend, data = Backend(), folder / "data"
    file = backend.publish(folder / "backend.jwks")
    apps = {
        "apps__assertion_keys": str(file),
        "apps__attestation": str(file),
        "apps__assertion_audience": AUDIENCE,
        "apps__sdks": "teemo",
    }
    configured = inside.settings(**{**apps, "age__floor": "0", **environment})
    more = {"clock": clock} if clock else {}
    async with inside.application(data, configured, dev=dev, **more) as app, contextlib.AsyncExitStack() as stack:
        made = [
            ("app", ["choose"], True),
            ("desk", ["choose", "desk"], False),
            ("ads", ["check"], False),
            ("server", ["choose"], False),
        ]
        calls = []
        for name, scopes, publishable in made:
            key = await asyncio.to_thread(api_keys.add_api_key, data, name, scopes, publishable=publishable)
            calls.append(await stack.enter_async_context(inside.client(app, Authorization=f"Bearer {key}")))
        place = Place(app, data, backend, calls)
        place.jwks = file
        yield place


def ignored(answer) -> dict:
    return {item["pointer"]: item["reason"] for item in answer.json()["ignored"]}


def kind(answer) -> str:
    return answer.json()["type"].rpartition(":")[2]
