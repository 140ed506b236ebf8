"""A person who is signed in on a site behind a proxy says GPC in one browser (R10)."""

import hashlib

import pytest
from support import proxies
from support.people import email, gaid, named, phone
from support.promises_of_proxies import ALL_NO, ALL_YES, GPC, signed_in
from support.wire import call
from support.wordpress import until_key_answers

from gateway.keys import api_keys

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """One with a contract with Teemo: nothing else denies."""
    folder = tmp_path_factory.mktemp("gateway")
    with proxies.gateway(folder, recipients__teemo__contract="c1", recipients__teemo__transfer_basis="scc") as running:
        yield running


@pytest.fixture(scope="module")
def key(gateway):
    made = api_keys.add_api_key(gateway.folder / "data", "tests", ["check", "desk", "choose"], publishable=False)
    until_key_answers(f"http://{gateway.internal}", made, 200)
    return made


@pytest.fixture(scope="module", params=["nginx", "caddy", "envoy", "haproxy", "traefik"])
def proxied(request, started):
    return started(request.param)


@pytest.fixture
def number(proxied, request) -> int:
    """A person of this proxy's own: all of them share one ledger."""
    return ["nginx", "caddy", "envoy", "haproxy", "traefik"].index(request.node.callspec.params["proxied"])


def reason(at, key, identifier) -> str:
    body = {"identifiers": [identifier], "recipient": "teemo", "place": "US-NY", "data": ["ad_id"]}
    return call(f"http://{at.gateway.internal}/v1/check", body, key=key)[1]["reason"]


def test_a_signed_in_person_who_says_gpc_in_one_browser_is_out_with_all_that_the_account_has(proxied, key, number):
    account = f"a{number}"
    has = [named("phone", phone(number)), named("email", email(number)), named("gaid", gaid(number))]
    hashed = named("email_sha256", hashlib.sha256(email(number).encode()).hexdigest())
    linking = {"account": account, "identifiers": has}
    assert call(f"http://{proxied.gateway.internal}/v1/links", linking, key=key)[0] == 201
    person = [named("account", account), *has, hashed]
    assert {reason(proxied, key, each) for each in person}.isdisjoint({"opted_out"})
    assert proxied.ask("/page", signed_in(proxied, account)).consent == f"{ALL_YES}, status=none"
    proxied.ask("/page", signed_in(proxied, account), GPC)
    assert [reason(proxied, key, each) for each in person] == ["opted_out"] * 5
    elsewhere = proxied.ask("/page", signed_in(proxied, account))
    assert elsewhere.consent == f"{ALL_NO}, status=honored"


def test_a_person_whom_nobody_says_is_signed_in_reaches_no_account(proxied, key, number):
    account = f"b{number}"
    name, value = signed_in(proxied, account)
    proxied.ask("/page", (name, value[:-1] + ("0" if value[-1] != "0" else "1")), GPC)
    assert reason(proxied, key, named("account", account)) != "opted_out"
    assert proxied.ask("/page", (name, value)).consent == f"{ALL_YES}, status=none"
