"""Every route of every listener with every kind of key: who is let in is what `/openapi.json` says, and nobody else."""

import re
from collections import Counter

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support import inside
from support.agent import listed

from gateway.app import openapi
from gateway.keys import api_keys
from gateway.web.shell.edge import FROM_AGENTS as OF_AGENTS
from gateway.web.shell.edge import INTERNAL, METRICS, PUBLIC, listeners_of

pytestmark = pytest.mark.anyio
LISTENERS = (PUBLIC, INTERNAL, METRICS)
NOBODYS = {"no key": "", "a made-up key": "nobody.nothing", "a word": "x"}
OF_A_PATH = {
    "year": "2026", "recipient": "advertisers", "job": "job-1", "event": "A" * 22, "token": "x", "path": "0/000",
    "agent": "agent-1", "request": "request-1",
}  # fmt: skip
# Agents sign, and have tokens of their own: no key opens a door of OF_AGENTS.
SIGNS_IN = ("POST", "/v1/agent/{agent}")  # where the signature is looked at
SECRET_ALONE = {"/v1/texts", "/v1/unsubscribe-links"}  # they believe their caller, so an app's key is none
METHODS = ("GET", "POST")


def described():
    """(method, path, scopes): None of a call that wants no key, empty of one that any key may make."""
    for path, calls in openapi.document()["paths"].items():
        for method, call in calls.items():
            wanted = [each["key"] for each in call["security"]] if "security" in call else None
            yield method.upper(), path, None if wanted is None else {word for each in wanted for word in each}


CALLS = [*described()]


def filled(path):
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: OF_A_PATH[found[1]], path)


@pytest.fixture
def with_agents(tmp_path):
    """Settings with an agent on the list: without any, its doors are none."""
    return inside.settings(listed(tmp_path, Ed25519PrivateKey.from_private_bytes(b"a" * 32)))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """(folder, a key of each kind by what it is called)"""
    folder = inside.install(tmp_path_factory.mktemp("keys") / "data")
    made = {scope: api_keys.add_api_key(folder, f"of-{scope}", [scope], publishable=False) for scope in api_keys.SCOPES}
    made["publishable"] = api_keys.add_api_key(folder, "in-an-app", ["choose"], publishable=True)
    made["revoked"] = api_keys.add_api_key(folder, "gone", api_keys.SCOPES, publishable=False)
    api_keys.revoke(folder, "gone")
    return folder, NOBODYS | made


def owed(kind, scopes, path="", method="POST"):
    """What a key of some kind must be told before anything is read: None where it is let in."""
    if path.startswith(OF_AGENTS):
        return 403 if (method, path) == SIGNS_IN else 401
    if scopes is None:
        return None
    if kind == "publishable" and path in SECRET_ALONE:
        return 403
    if kind in NOBODYS or kind == "revoked":
        return 401
    return None if not scopes or ("choose" if kind == "publishable" else kind) in scopes else 403


def refused(answer):
    """The status of an answer that turns its key away; None: it was let in, whatever became of it there."""
    if answer.request.url.path.startswith(OF_AGENTS):
        return answer.status_code
    lacks = answer.status_code == 403 and b"this call wants" in answer.content
    return answer.status_code if answer.status_code == 401 or lacks else None


async def asked(client, method, path, bearer):
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    body = {"content": b"{}"} if method == "POST" else {}
    if path.startswith(OF_AGENTS):
        headers["Content-Type"] = "text/plain"
    elif body:
        headers["Content-Type"] = "application/json"
    return await client.request(method, filled(path), headers=headers, **body)


async def test_a_key_opens_the_doors_that_the_description_says_and_no_other(keys, with_agents, figure):
    folder, made = keys
    wrong, rows = [], 0
    async with inside.application(folder, with_agents, dev=False) as app, inside.client(app) as client:
        for method, path, scopes in CALLS:
            for kind, bearer in made.items():
                told, due = refused(await asked(client, method, path, bearer)), owed(kind, scopes, path, method)
                rows += 1
                if told != due:
                    wrong.append((method, path, kind, told, due))
    figure("routes and keys", f"{rows} rows, {len(wrong)} open")
    assert wrong == []


async def test_what_is_not_described_gives_no_key_more_than_nobody(keys, figure):
    """The routers' own list: whatever of it is in no document asks for no key, so it must be the same for each."""
    folder, made = keys
    wrong, rows = [], 0
    async with inside.application(folder, dev=False) as app, inside.client(app) as client:
        paths = {route.path for route in inside.routes(app)} - {path for _, path, _ in CALLS}
        assert "/metrics" in paths
        for path in paths:
            told = {(await asked(client, "GET", path, bearer)).status_code for bearer in made.values()}
            rows += len(made)
            wrong += [(path, told)] if len(told) > 1 else []
    figure("undescribed routes and keys", f"{rows} rows, {len(wrong)} open")
    assert wrong == []


async def test_the_control_a_door_that_asks_for_another_scope_is_seen(keys, monkeypatch):
    from gateway.web.shell import auth

    folder, made = keys
    monkeypatch.setattr(auth, "want", lambda key, *scopes: None)
    async with inside.application(folder, dev=False) as app, inside.client(app) as client:
        answer = await asked(client, "POST", "/v1/leases", made["check"])
    assert refused(answer) != owed("check", {"replica"})


@pytest.mark.parametrize("listener", LISTENERS)
async def test_a_route_is_there_on_its_own_listeners_alone(keys, listener, figure):
    folder, made = keys
    wrong, rows = [], 0
    async with (
        inside.application(folder, dev=False, served=frozenset({listener})) as app,
        inside.client(app) as client,
    ):
        for route in inside.routes(app):
            for method in METHODS:
                answer = await asked(client, method, route.path, made["admin"])
                absent = answer.status_code == 404 and b"not on this address" in answer.content
                rows += 1
                if absent is (listener in listeners_of(filled(route.path))):
                    wrong.append((method, route.path, answer.status_code))
    figure(f"routes of the {listener} listener", f"{rows} rows, {len(wrong)} open")
    assert wrong == []


async def test_nothing_answers_a_trace_and_a_method_that_a_door_has_not_is_refused(keys):
    folder, _ = keys
    told = Counter()
    async with inside.application(folder, dev=False) as app, inside.client(app) as client:
        for route in inside.routes(app):
            if not route.path.startswith("/authz/"):  # which a proxy asks with the page's own method
                answer = await client.request("TRACE", filled(route.path), headers={"X-Mark": "echo-of-mine"})
                told[answer.status_code] += 1
                assert b"echo-of-mine" not in answer.content
    assert set(told) <= {404, 405}
