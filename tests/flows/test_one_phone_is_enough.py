"""A person posts the form from a strange browser with one phone, or one e-mail, alone: everything that belongs to
their account is opted out, and comes back only by the account's own two acts (R2, R4, R12)."""

import hashlib
import subprocess

import pytest
from support.people import GAID, IDFV, ZERO, email, gaid, named, phone
from support.service import service
from support.wire import call, check, denied, link, opt_in

pytestmark = pytest.mark.slow
MINE = [("phone", phone(1)), ("phone", phone(2)), ("email", email(1)), ("gaid", GAID), ("idfv", IDFV)]
SHA256 = ("email_sha256", hashlib.sha256(email(1).encode()).hexdigest())
EVERYTHING = [*MINE, ("account", "a1"), SHA256]
PURPOSES = ("sale", "sharing", "targeted_ads", "profiling", "sensitive")


@pytest.fixture
def url(tmp_path):
    with service(tmp_path) as running:
        link(running.url, "a1", *(named(kind, value) for kind, value in MINE))
        assert not any(denied(running.url, kind, value) for kind, value in EVERYTHING)
        yield running.url


def curl(tool, url: str, *fields: str) -> str:
    data = [part for field in fields for part in ("--data-urlencode", field)]
    command = [tool("curl"), "-s", "-o", "/dev/null", "-w", "%{http_code}", *data, f"{url}/privacy-choices"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def share(url: str, ad_id: str) -> dict:
    row = {
        "id": f"row {ad_id}",
        "identifiers": [named("gaid", ad_id)],
        "place": "US-NY",
        "data": {"lat": 40.71, "lon": -74.0, "ad_id": ad_id},
    }
    return call(f"{url}/v1/shares/teemo", row)[1][0]


@pytest.mark.parametrize("field", [f"phone={phone(1)}", f"email={email(1).upper()}"])
def test_one_field_alone_reaches_everything_of_the_account(url, tool, field):
    assert curl(tool, url, "action=opt_out", field) == "303"
    for kind, value in EVERYTHING:
        for recipient in ("teemo", "advertisers", "matching"):
            assert denied(url, kind, value, recipient), (kind, recipient)
    answer = share(url, GAID)
    assert (answer["outcome"], answer["reason"]) == ("refused", "opted_out")


def test_the_account_opts_in_again_and_only_what_travelled_is_lifted(url, tool):
    assert curl(tool, url, "action=opt_out", f"phone={phone(1)}") == "303"
    for purpose in PURPOSES:
        opt_in(url, [named("account", "a1")], purpose)
    for kind, value in EVERYTHING:
        assert denied(url, kind, value) == ((kind, value) == MINE[0]), kind
    assert share(url, GAID)["outcome"] == "returned"


def test_one_act_of_opting_in_changes_nothing(url, tool):
    curl(tool, url, "action=opt_out", f"phone={phone(1)}")
    notice = next(n for n in call(f"{url}/v1/self")[1]["notices"] if n["kind"] == "opt-in")
    body = {
        "identifiers": [named("account", "a1")],
        "choice": "opt_in",
        "purposes": ["sale"],
        "notice": {"sha256": notice["sha256"]},
    }
    assert call(f"{url}/v1/choices", body)[0] == 403
    assert call(f"{url}/v1/choices", {**body, "proof": {"kind": "account", "assertion": "dev"}})[0] == 202
    assert denied(url, "account", "a1")


def test_a_strangers_phone_is_opted_out_and_linked_to_nobody(url, tool):
    assert curl(tool, url, "action=opt_out", f"phone={phone(50)}", f"email={email(50)}") == "303"
    assert denied(url, "phone", phone(50))
    assert denied(url, "email", email(50))
    assert not any(denied(url, kind, value) for kind, value in EVERYTHING)
    row = {"id": "r", "identifiers": [named("phone", phone(50))], "place": "US-NY", "data": {"ad_id": gaid(9)}}
    assert call(f"{url}/v1/shares/teemo", row)[1][0]["outcome"] == "refused"
    row["identifiers"] = [named("gaid", gaid(9))]
    assert call(f"{url}/v1/shares/teemo", row)[1][0]["reason"] == "unlinked"


def test_an_app_opts_out_by_ad_id_in_any_case_and_a_bad_neighbour_costs_nothing(url):
    body = {
        "identifiers": [named("gaid", gaid(7)), named("email", "not an address"), named("phone", phone(7))],
        "choice": "opt_out",
    }
    status, answer = call(f"{url}/v1/choices", body)
    assert status == 201
    assert answer["ignored"] == [{"pointer": "/identifiers/1", "reason": "malformed"}]
    assert denied(url, "gaid", gaid(7).upper())
    assert denied(url, "gaid", gaid(7).lower())
    assert denied(url, "phone", phone(7))
    assert check(url, named("gaid", ZERO), place="US-NY")["reason"] == "limited"
