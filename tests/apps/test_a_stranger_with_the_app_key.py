"""Whoever has an app's key, which is in every copy of the app, tries all calls that it may make, on people of whom
different things stand on record; and learns nothing that differs (R6).

Of an id that no account has or had anybody may know what holds, so that an app without accounts starts its SDKs: there
who was silent differs from who said no. Who said no, who is somebody's and who is somebody's that said no are alike.
"""

import asyncio
import contextlib
import hashlib
import json
import re

import httpx2
import pytest
from support import inside, proxies
from support.people import ZERO, email, gaid, named, phone
from support.phones import AUDIENCE, Backend

from gateway.keys import api_keys
from gateway.web.api.apps import Apps
from gateway.web.shell import page

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # five hundred calls each
SHOWN, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))
CONFIGURED = {
    "recipients__advertisers__contract": "C-1", "recipients__flurry__contract": "C-2",
    "recipients__payments__contract": "C-3", "recipients__payments__announced": "2024-06-25",
    "recipients__flurry__contextual": "true", "apps__sdks": "advertisers,flurry,payments",
    "notice__told_everyone": "2026-01-01",
}  # fmt: skip
OF_A_CALL = {"device", "confirm", "expires_at", "accepted_at", "effective_at", "event", "seq", "receipt", "instance"}
BY_AN_APP = "named by an app beside an account"
WORLDS = ("silent", "said no", "linked", "linked, said no", "linked, its account said no", "linked and young",
          "linked once", "released", BY_AN_APP, "linked, came back")  # fmt: skip
ALIKE = WORLDS[1:]
MARKETING = "refused marketing"  # and nothing else: who may not know that is told what the silent are
TYPED = {
    "email": lambda number: named("email", email(number)),
    "phone": lambda number: named("phone", phone(number)),
    "account": lambda number: named("account", f"b{number}"),
    "email_sha256": lambda number: named("email_sha256", hashlib.sha256(email(number).encode()).hexdigest()),
}
# Of these anybody may know what holds while no account has them.
NOBODYS = {
    "gaid": lambda number: named("gaid", gaid(number)),
    "ad_id_sha256": lambda number: named("ad_id_sha256", hashlib.sha256(gaid(number).encode()).hexdigest()),
    "ad_id_md5": lambda number: named("ad_id_md5", hashlib.md5(gaid(number).encode()).hexdigest()),
    "eid": lambda number: named("eid", f"e-{number}-of-a-partner") | {"source": "partner.example"},
    "cookie": lambda number: named("cookie", f"c-{number}-of-a-site") | {"source": "uid"},
    "id:partner": lambda number: named("id:partner", f"d-{number}-of-a-partner"),
}


class Stranger:
    """Their calls, each with what came back of it: status and members, without what is of the one call."""

    def __init__(self, calling, key, secret):
        self.calling, self.key, self.secret, self.learnt, self.token = calling, key, secret, [], None

    async def asks_with(self, backend, *ids):
        """With the assertion of an account of their own; the installation is given the ids first, or is not."""
        proof = {"proof": backend.proof("mallory")}
        for device in ({}, {"device": None}):
            await self.post("/v1/standing", {"identifiers": [*ids], "place": "US-CA"} | device | proof)
            proof = {"proof": backend.proof("mallory")}
        await self.post("/v1/observe", {"identifiers": [*ids], "signals": {}})
        for again in (ids, ()):  # what the token remembers is as little to be told
            body = {"identifiers": [*again], "place": "US-CA", "device": self.token}
            await self.post("/v1/standing", body | {"proof": backend.proof("mallory")})

    async def post(self, path, body, *, key=None, quiet=False, **headers):
        sent = {"Authorization": f"Bearer {key or self.key}"} | {
            name.replace("_", "-"): v for name, v in headers.items()
        }
        answer = await self.calling.post(path, json=body, headers=sent)
        told = answer.json()
        if not quiet:
            self.learnt.append((path, answer.status_code, *plain(told), len(told.get("device") or "")))
        self.token = told.get("device", self.token)
        return told

    async def tries(self, *ids, fresh):
        """Everything. `fresh`: an id of their own that nobody ever named."""
        body = {"identifiers": [*ids], "place": "US-CA"}
        say = {"signals": {}}
        for more in ({}, {"gpc": "1"}, {"att": 2}, {"att": 3}, {"age_bracket": 12}):
            await self.post("/v1/observe", body | {"signals": more})
        await self.post("/v1/observe", body | say | {"device": self.token})
        await self.post("/v1/standing", body | {"device": self.token})
        await self.opts_in(body)
        await self.post("/v1/observe", body | say | {"device": self.token, "age": 5, "place": "US"})
        await self.post("/v1/observe", body | {"identifiers": [*ids, fresh]} | say | {"device": None})
        await self.post("/v1/observe", body | {"identifiers": [fresh]} | say | {"device": None})
        for choice in ("opt_out", "limit", "withdraw"):
            for purposes in (["marketing_email"], ["sale"], ["all"]):
                act = body | {"choice": choice, "purposes": purposes, "device": self.token}
                for _ in range(2):
                    await self.post("/v1/choices", act, Idempotency_Key=f"{choice} {purposes} {json.dumps(ids)}")
        await self.post("/v1/standing", body | {"device": self.token})
        await self.opts_in(body)
        for path, more in REFUSED:
            await self.post(path, body | more)

    async def opts_in(self, body):
        proof = {"kind": "device", "token": self.token}
        act = body | {"choice": "opt_in", "purposes": ["sale"], "notice": SHOWN, "proof": proof}
        asked = await self.post("/v1/choices", act)
        if "confirm" in asked:
            done = {"choice": "confirm", "confirm": asked["confirm"], "notice": SECOND, "proof": proof}
            await self.post("/v1/choices", done)


REFUSED = [
    ("/v1/choices", {"choice": "opt_in", "purposes": ["sale"], "notice": SHOWN}),
    ("/v1/choices", {"choice": "direct", "recipient": "advertisers"}),
    ("/v1/choices", {"choice": "keep_programme"}),
    ("/v1/standing", {}),
    ("/v1/access", {}),
    ("/v1/erasures", {"mode": "unlink"}),
    ("/v1/check", {"recipient": "payments"}),
    ("/v1/links", {"account": "a1"}),
    ("/v1/notices", {"notice": "privacy", "outcome": "sent", "on": "2026-01-01"}),
]


def plain(told):
    """Members and values; a day to come is as long away as it is."""
    kept = {name: value for name, value in told.items() if name not in OF_A_CALL}
    kept["events"] = len(told.get("events", ()))
    return sorted(told), re.sub(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "DAY", json.dumps(kept, sort_keys=True))


async def prepare(desk, word, number, *ids, app=None, backend=None):
    """What stands on record of somebody before the stranger comes."""
    account = named("account", f"c{number}")
    out = {"choice": "opt_out", "purposes": ["all"]}
    if word == BY_AN_APP:
        proof = backend.proof(account["value"])
        await desk("/v1/observe", {"identifiers": [*ids], "signals": {}, "proof": proof}, key=app, quiet=True)
    if "linked" in word or word == "released":
        more = {"until": "2030-01-01T00:00:00Z"} if word == "linked once" else {}
        await desk("/v1/links", {"account": account["value"], "identifiers": [*ids], **more}, quiet=True)
    if word == "linked once":
        over = {"account": account["value"], "identifiers": [*ids], "until": "2026-01-01T00:00:00Z"}
        await desk("/v1/links", over, quiet=True)
    if word == "released":
        await desk("/v1/links", {"identifiers": [*ids], "event": "number_released"}, quiet=True)
    if word == "linked and young":
        await desk("/v1/links", {"account": account["value"], "identifiers": [*ids], "age": 12}, quiet=True)
    if word == MARKETING:
        await desk("/v1/choices", {"identifiers": [*ids], **out, "purposes": ["marketing_email"]}, quiet=True)
        await desk("/v1/choices", {"identifiers": [*ids], **out, "purposes": ["cpni_marketing"]}, quiet=True)
    if "said no" in word or word == "linked, came back":
        of = [account] if "its account" in word else ids
        await desk("/v1/choices", {"identifiers": [*of], **out}, quiet=True)
    if word == "linked, came back":
        proof = {"kind": "desk", "note": "seen"}
        act = {"identifiers": [*ids], "choice": "opt_in", "purposes": ["sale"], "notice": SHOWN, "proof": proof}
        token = (await desk("/v1/choices", act, quiet=True))["confirm"]
        await desk("/v1/choices", {"choice": "confirm", "confirm": token, "notice": SECOND, "proof": proof}, quiet=True)


async def learns(calling, app, desk, backend, make, worlds=WORLDS, *, owning=False, first=1):
    """World: everything that a stranger saw of it. All at once, for a running gateway lets answers wait. `owning`: one
    with an account of their own, who asks for a standing alone. `first`: the number of the first person.
    """

    async def one(number, word):
        ids = [make(number)] if callable(make) else [each(number) for each in make]
        await prepare(Stranger(calling, desk, desk).post, word, number, *ids, app=app, backend=backend)
        stranger = Stranger(calling, app, desk)
        if owning:
            await stranger.asks_with(backend, *ids)
        else:
            await stranger.tries(*ids, fresh=named("gaid", gaid(1000 + number)))
        return stranger.learnt

    learnt = await asyncio.gather(*(one(number, word) for number, word in enumerate(worlds, first)))
    return dict(zip(worlds, learnt, strict=True))


def differences(learnt, alike):
    """Calls of which two people that ought to be alike were told something else."""
    first, *others = [word for word in alike if word in learnt]
    return [
        (word, at, mine, theirs)
        for word in others
        for at, (mine, theirs) in enumerate(zip(learnt[first], learnt[word], strict=True))
        if mine != theirs
    ]


@contextlib.asynccontextmanager
async def in_process(folder, **more):
    backend = Backend()
    configured = inside.settings(**CONFIGURED, **believing(backend, folder), **more)
    async with inside.application(folder / "data", configured, dev=False) as app, inside.client(app) as calling:
        yield calling, *await keys(folder / "data"), backend


def believing(backend, folder):
    file = str(backend.publish(folder / "backend.jwks"))
    return {"apps__assertion_keys": file, "apps__attestation": file, "apps__assertion_audience": AUDIENCE}


async def keys(data):
    return [
        await asyncio.to_thread(api_keys.add_api_key, data, name, scopes, publishable=public)
        for name, scopes, public in (("app", ["choose"], True), ("desk", ["choose", "desk"], False))
    ]


@pytest.mark.parametrize("kind", TYPED)
async def test_of_whatever_somebody_may_type_every_answer_is_the_same(tmp_path, kind):
    async with in_process(tmp_path) as (calling, app, desk, backend):
        worlds = [word for word in WORLDS if kind != "account" or word in {"silent", "said no"}]
        learnt = await learns(calling, app, desk, backend, TYPED[kind], worlds)
        assert differences(learnt, worlds) == []


@pytest.mark.parametrize("kind", NOBODYS)
async def test_of_an_ad_id_who_said_no_and_who_is_somebodys_are_told_the_same(tmp_path, kind):
    async with in_process(tmp_path, identifiers__declared="partner") as (calling, app, desk, backend):
        learnt = await learns(calling, app, desk, backend, NOBODYS[kind], (*WORLDS, MARKETING))
    by_an_app = () if kind == "gaid" else (BY_AN_APP,)  # whose word ties ids of phones alone
    assert differences(learnt, [word for word in ALIKE if word not in by_an_app]) == []
    assert differences(learnt, ("silent", MARKETING, *by_an_app)) == []
    assert differences(learnt, ("silent", "said no")), "control: of an id that nobody has it is told what holds"
    assert '"advertisers": "start"' in learnt["silent"][0][3]
    assert '"advertisers": "stop", "flurry": "limited", "payments": "start"' in learnt["linked"][0][3]


@pytest.mark.parametrize("kind", NOBODYS)
async def test_an_account_of_ones_own_shows_nobody_elses_ad_id(tmp_path, kind):
    async with in_process(tmp_path, identifiers__declared="partner") as (calling, app, desk, backend):
        learnt = await learns(calling, app, desk, backend, NOBODYS[kind], (*WORLDS, MARKETING), owning=True)
    by_an_app = () if kind == "gaid" else (BY_AN_APP,)
    alike = [word for word in ALIKE if word not in by_an_app]
    assert differences(learnt, alike) == []
    of_linked = [word for word in alike if word != "said no"]
    assert {call[1] for word in of_linked for call in learnt[word]} == {200}


BESIDE = {
    "unreadable": named("gaid", "no id at all"),
    "of no declared kind": named("id:nobodys", "x"),
    "withheld": named("gaid", ZERO),
    "of a kind spelled otherwise": named("G-A-I-D", gaid(99)),
    "of a type that is none": {"type": 5, "value": gaid(99)},
}


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
async def test_what_cannot_be_used_beside_an_ad_id_is_answered_the_same_whosever_that_is(tmp_path, beside):
    async with in_process(tmp_path) as (calling, app, desk, backend):
        learnt = {}
        for number, word in enumerate(ALIKE, 1):
            theirs, stranger = named("gaid", gaid(number)), Stranger(calling, app, desk)
            await prepare(Stranger(calling, desk, desk).post, word, number, theirs, app=app, backend=backend)
            body = {"identifiers": [theirs, beside], "place": "US-CA"}
            await stranger.post("/v1/observe", body | {"signals": {}})
            await stranger.post("/v1/standing", body | {"device": stranger.token})
            await stranger.opts_in(body)
            act = {"choice": "opt_out", "purposes": ["marketing_email"], "device": stranger.token}
            await stranger.post("/v1/choices", body | act)
            learnt[word] = stranger.learnt
    assert differences(learnt, ALIKE) == []


async def test_a_revoked_key_learns_as_little(tmp_path):
    async with in_process(tmp_path) as (calling, app, desk, backend):
        await asyncio.to_thread(api_keys.revoke, tmp_path / "data", "app")
        await asyncio.sleep(api_keys.RELOAD + 0.1)
        worlds = [word for word in WORLDS if "app" not in word]  # which takes a key that is believed
        for make, alike in ((TYPED["phone"], worlds), (lambda number: named("gaid", gaid(number)), ALIKE)):
            learnt = await learns(calling, app, desk, backend, make, worlds)
            assert differences(learnt, alike) == []
            assert "/v1/choices" in {call[0] for call in learnt["linked"] if call[1] in {200, 201}}  # it opts out still


async def test_a_gateway_that_answers_what_stands_on_record_is_caught(tmp_path, monkeypatch):
    """Control."""
    monkeypatch.setattr(Apps, "_settled", lambda self, app, reading: app)
    async with in_process(tmp_path) as (calling, app, desk, backend):
        for make, alike in ((TYPED["phone"], WORLDS), (lambda number: named("gaid", gaid(number)), ALIKE)):
            assert differences(await learns(calling, app, desk, backend, make), alike)


async def test_a_running_gateway_tells_as_little(tmp_path):
    backend = Backend()
    with proxies.gateway(tmp_path, **CONFIGURED, **believing(backend, tmp_path)) as running:
        app, desk = await keys(tmp_path / "data")
        async with httpx2.AsyncClient(base_url=f"http://{running.internal}", timeout=60) as calling:
            typed, ids = await asyncio.gather(  # of people of their own
                learns(calling, app, desk, backend, TYPED["phone"]),
                learns(calling, app, desk, backend, NOBODYS["gaid"], first=101),
            )
    assert differences(typed, WORLDS) == []
    assert differences(ids, ALIKE) == []
