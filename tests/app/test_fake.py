"""The fake that callers test against: fixed answers, the real doors' shapes, and misbehaviour that was asked for."""

import contextlib
import subprocess
import sys
import time

import pytest
import schemathesis
from click.testing import CliRunner
from schemathesis.specs.openapi.checks import response_schema_conformance
from support import inside
from support.people import GAID, named
from support.ports import free_port

from gateway.app import fake, openapi
from gateway.app.from_settings import credentials_of
from gateway.cli.root import group
from gateway.client import Client
from gateway.keys import api_keys
from gateway.settings.load import SettingsRefused

pytestmark = pytest.mark.anyio
ASK = {"recipient": "teemo", "place": "US-CA", "data": ["ad_id"]}
DESCRIBED = schemathesis.openapi.from_dict(openapi.document())


@pytest.fixture(autouse=True)
def no_file(monkeypatch):
    """A fake that is given no file is nobody's."""
    monkeypatch.delenv("GATEWAY_CONFIG")


@pytest.fixture
def made(tmp_path):
    return fake.application(inside.settings(), tmp_path / "none", production=False)


@pytest.fixture
async def faked(made):
    async with inside.lifespan(made), inside.client(made, **inside.DEV) as calling:
        yield calling
    assert not made._folder.exists(), "nothing is kept"


def account(name):
    return [named("account", name)]


@pytest.mark.parametrize(
    ("who", "allowed", "reason"),
    [(["test-allow"], True, "no_choice"), (["test-deny"], False, "opted_out"), (["test-minor"], False, "age"),
     (["test-allow", "test-minor"], False, "age"), (["test-minor", "test-deny"], False, "opted_out")],
)  # fmt: skip
async def test_three_accounts_have_the_answer_that_they_are_named_for_whatever_the_place(faked, who, allowed, reason):
    for place in ("US-CA", "DE", None):
        ids = [named("account", name) for name in who]
        found = (await faked.post("/v1/check", json=ASK | {"identifiers": ids, "place": place})).json()
        assert (found["allowed"], found["reason"]) == (allowed, reason)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"signals": {"gpc": "1"}}, "gpc"),
        ({"signals": {"us_privacy": "1YYN"}}, "us_privacy"),
        ({"signals": {"gpp": "x"}}, "malformed_signal"),
        ({"signals": {"lmt": 1}}, "device"),
        ({"age": 12}, "age"),
        ({"data": ["content"]}, "content_never_shared"),
        ({"purpose": "sharing"}, "purpose_not_registered"),
        ({"data": ["precise_geo"], "place": "US-MD"}, "banned"),
        (
            {"identifiers": [*([{"type": "account", "value": "test-allow"}]), named("id:x", "1")]},
            "undeclared_identifier",
        ),
    ],
)
async def test_who_may_go_may_not_where_a_signal_or_a_rule_says_no(faked, more, reason):
    found = (await faked.post("/v1/check", json=ASK | {"identifiers": account("test-allow")} | more)).json()
    assert (found["allowed"], found["reason"]) == (False, reason)


async def test_who_may_go_may_go_with_a_precise_point_too(faked):
    asked = ASK | {"identifiers": account("test-allow"), "data": ["precise_geo", "ad_id"], "place": "US-NY"}
    assert (await faked.post("/v1/check", json=asked)).json()["allowed"]


async def test_everybody_else_is_answered_by_the_real_rules(faked):
    person = {"identifiers": [named("gaid", GAID)]}
    assert (await faked.post("/v1/check", json=ASK | person)).json()["allowed"]
    assert (await faked.post("/v1/check", json=ASK | person | {"signals": {"gpc": "1"}})).json()["reason"] == "gpc"
    assert (await faked.post("/v1/check", json=ASK | person | {"recipient": "x"})).json()[
        "reason"
    ] == "unknown_recipient"
    assert (await faked.post("/v1/check", json=ASK | person | {"signalz": {}})).status_code == 400


PROOF = {"kind": "account", "assertion": "dev"}
ROW = {"id": "r1", "identifiers": [named("gaid", GAID)], "data": {"ad_id": GAID}, "place": "US-CA"}
ME = {"identifiers": [named("gaid", GAID)]}


async def test_its_answers_have_the_shapes_that_are_described(faked):
    bid = {"id": "1", "device": {"ifa": GAID, "os": "Android"}}
    calls = [
        ("/v1/check", ASK | {"identifiers": account("test-deny")}),
        ("/v1/checks", [ASK | {"identifiers": []}]),
        ("/v1/openrtb?recipient=teemo", bid),
        ("/v1/check", {}),
        ("/v1/choices", ME | {"choice": "opt_out"}),
        ("/v1/choices", {}),
        ("/v1/observe", ME | {"signals": {"gpc": "1"}}),
        ("/v1/standing", ME | {"proof": PROOF}),
        ("/v1/links", ME | {"account": "a1"}),
        ("/v1/shares/{recipient}", ROW),
        ("/v1/access", ME),
        ("/v1/erasures", ME | {"mode": "erase_details"}),
    ]
    for path, body in calls:
        answer = await faked.post(path.replace("{recipient}", "teemo"), json=body)
        assert answer.status_code < 500
        operation = DESCRIBED[path.partition("?")[0]]["POST"]
        case = operation.Case(body=body, media_type="application/json", path_parameters={"recipient": "teemo"})
        case.validate_response(
            schemathesis.Response.from_httpx(answer, verify=False), checks=[response_schema_conformance]
        )
    assert (await faked.get("/v1/self")).json()["environment"] == "fake"
    assert (await faked.get("/openapi.json")).json() == openapi.document()


async def test_a_choice_is_obeyed_by_every_door_until_the_fake_ends(faked):
    person = {"identifiers": [named("gaid", GAID)]}
    shown = (await faked.post("/v1/observe", json=person | {"device": None})).json()
    assert shown["standing"]["sale"] == "none"
    chosen = await faked.post("/v1/choices", json=person | {"choice": "opt_out"})
    assert chosen.status_code == 201
    assert chosen.json()["receipt"].startswith("c2sp.org/tlog-proof@v1")
    assert (await faked.post("/v1/check", json=ASK | person)).json()["reason"] == "opted_out"
    assert (await faked.post("/v1/standing", json=person | {"proof": PROOF})).json()["standing"]["sale"] == "opted_out"
    assert "refused" in (await faked.post("/v1/shares/teemo", json=ROW)).text.splitlines()[0]


async def test_of_the_three_accounts_every_door_says_what_a_check_says(faked):
    async def told(name):
        answer = await faked.post("/v1/observe", json={"identifiers": account(name), "place": "US-CA"})
        return answer.json()["standing"]["sale"], answer.json()["store"]["gad_rdp"]

    assert await told("test-deny") == ("opted_out", 1)
    assert await told("test-allow") == ("none", None)
    assert (
        await faked.post("/v1/choices", json={"identifiers": account("test-allow"), "choice": "opt_out"})
    ).status_code == 201
    found = (await faked.post("/v1/check", json=ASK | {"identifiers": account("test-allow")})).json()
    assert (found["allowed"], found["reason"]) == (False, "opted_out"), "an opt-out is obeyed in a fake, too"


async def test_whatever_is_configured_nobody_is_reached(tmp_path):
    (tmp_path / "c.toml").write_text(
        '[environment]\nname = "staging"\n[recipients.teemo]\nendpoint = "http://127.0.0.1:9/real"\nmode = "forward"\n'
        'sandbox_endpoint = "http://127.0.0.1:9/x"\ndeliveries = "http://127.0.0.1:9/people"\nupload = ["false"]\n'
        'credential = { bearer_file = "/nowhere/token" }\nsandbox_credential = { bearer_file = "/nowhere/token" }\n'
        '[recipients.teemo.fields]\nad_id = { class = "ad_id", kind = "gaid" }\n[erasure]\naccount_backend = "http://127.0.0.1:9/a"\n'
    )
    stripped = fake._harmless(inside.settings(tmp_path / "c.toml"))
    assert stripped.deliveries() == {}
    assert {(each.endpoint, each.upload) for each in stripped.registry(dev=True).values()} == {("", ())}
    assert stripped.registry(dev=True)["teemo"].mode == "return"
    assert credentials_of(stripped) == {}, "nor are secrets read"
    assert (stripped.witnesses, stripped.mail.server, stripped.texts.endpoint) == ({}, "", "")


async def test_a_report_is_answered_as_the_gateway_would(faked):
    async def said(who, outcome):
        found = (await faked.post("/v1/check", json=ASK | {"identifiers": account(who)})).json()
        answer = await faked.post("/v1/disclosures", json={"decision": found["decision"], "outcome": outcome})
        again = await faked.post("/v1/disclosures", json={"decision": found["decision"], "outcome": outcome})
        return [each.text.splitlines()[0].rpartition('"result":"')[2].partition('"')[0] for each in (answer, again)]

    assert await said("test-allow", "sent") == ["recorded", "repeated"]
    assert await said("test-deny", "sent") == ["denied", "repeated"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("status=503", 503),
        ("status=401", 401),
        ("status=200", 200),
        ("x", 400),
        (f"status={'9' * 5000}", 400),
        ("status=418", 400),
        ("Status=503", 400),
        ("delay_ms=x", 400),
        ("delay_ms=0, status=503", 503),
    ],
)
async def test_it_refuses_as_it_is_asked_to(faked, asked, status):
    answer = await faked.post("/v1/check", json=ASK | {"identifiers": []}, headers={"Gateway-Fake": asked})
    assert answer.status_code == status


async def test_it_is_as_slow_as_it_is_asked_to_be(faked):
    began = time.monotonic()
    headers = {"Gateway-Fake": "delay_ms=200, status=503"}
    assert (await faked.post("/v1/check", json=ASK, headers=headers)).status_code == 503
    assert time.monotonic() - began >= 0.2


async def test_a_key_is_wanted_as_everywhere(faked):
    assert (await faked.post("/v1/check", json=ASK, headers={"Authorization": ""})).status_code == 401


def test_it_takes_no_production_configuration_and_no_installation(tmp_path):
    (tmp_path / "c.toml").write_text('[environment]\nname = "production"\n')
    refused = CliRunner().invoke(group, ["serve", "--fake", "--config", str(tmp_path / "c.toml")])
    assert (refused.exit_code, "a fake takes no production configuration" in refused.output) == (3, True), (
        refused.output
    )
    folder = inside.install(tmp_path / "data")
    with pytest.raises(SettingsRefused, match="is an installation"):
        fake.application(inside.settings(), folder, production=False)


def test_outside_production_nothing_reaches_a_real_receiver(tmp_path):
    (tmp_path / "c.toml").write_text(
        '[recipients.teemo]\nendpoint = "https://teemo.example/real"\nsandbox_endpoint = "https://teemo.example/sandbox"\n'
        'deliveries = "https://teemo.example/people"\nupload = ["true"]\n'
    )
    real = inside.settings(tmp_path / "c.toml")
    staged = inside.settings(tmp_path / "c.toml", environment__name="staging")
    assert (real.registry()["teemo"].endpoint, real.registry()["teemo"].upload) == (
        "https://teemo.example/real",
        ("true",),
    )
    assert real.deliveries() == {"teemo": "https://teemo.example/people"}
    assert (staged.registry()["teemo"].endpoint, staged.registry()["teemo"].upload) == (
        "https://teemo.example/sandbox",
        (),
    )
    assert staged.deliveries() == {}
    assert {each.endpoint for name, each in staged.registry().items() if name != "teemo"} == {""}


@pytest.mark.slow
def test_the_real_program_answers_delays_and_cuts_off(tmp_path):
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gateway",
        "serve",
        "--fake",
        "--port",
        str(port),
        "--data",
        str(tmp_path / "none"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Client(f"http://127.0.0.1:{port}", key="dev.dev", timeout_ms=30_000) as client:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with contextlib.suppress(Exception):
                    client.ready(["teemo"], environment="fake")
                    break
                time.sleep(0.1)  # it starts, and needs the processor for that
            found = client.check(identifiers=account("test-allow"), **ASK)
            assert found.allowed, (found.reason, client.failures)
            assert client.check(identifiers=account("test-minor"), **ASK).reason == "age"
            with client.disclosure(identifiers=account("test-allow"), **ASK) as allowed:
                assert allowed.data
        cutting = Client(f"http://127.0.0.1:{port}", key="dev.dev\r\nGateway-Fake: reset", timeout_ms=30_000)
        assert cutting.check(identifiers=account("test-allow"), **ASK).reason == "no_answer"
        assert cutting.failures == {"broken": 1}
    finally:
        process.terminate()
        process.wait(60)


def test_a_key_of_staging_is_seen_to_be_one(tmp_path):
    folder = inside.install(tmp_path / "data")
    (tmp_path / "c.toml").write_text('[environment]\nname = "staging"\n')
    command = ["keys", "add", "--data", str(folder), "--scope", "check", "--name"]
    staged = CliRunner().invoke(group, [*command, "one", "--config", str(tmp_path / "c.toml")]).output
    assert staged.startswith("test_")
    assert api_keys.Credentials(folder).find(staged.strip()).name == "one"
    assert not CliRunner().invoke(group, [*command, "two"]).output.startswith("test_")
