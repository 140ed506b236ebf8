"""An opt-out reaches the recipients that have the person's data from us, and nobody else (R18, L38, 11 CCR 7026(f)).

Real receivers on loopback check each message with the specification's own library; the service is the whole
application.
"""

import contextlib
import json
import sqlite3
from datetime import UTC, datetime

import anyio
import pytest
from delivery.test_post import listener
from standardwebhooks import Webhook
from support import inside
from support.people import GAID, email, gaid, named, phone

from gateway.choice import identity
from gateway.delivery import webhook
from gateway.desk import recipients_to_tell
from gateway.keys.secret_files import load_secrets
from gateway.ledger.transaction import Transaction

pytestmark = pytest.mark.anyio
SHARED = {"data": {"ad_id": GAID, "lat": 37.77493, "lon": -122.41942}, "place": "US-CA"}
WORDS = ("gpc", "form", "desk", "phone", "jane", "US-CA", "source", "reason", "place")


DECLARED = """[identifiers]
declared = ["openrtb_buyer", "openrtb_macsha1", "crm", "othernet", "partner"]
"""
OUTSIDE = """role = "third_party"
purposes = ["targeted_ads"]
data = ["ad_id"]
contract = "C-1"
announced = 2024-06-25
"""
MORE = {
    "exchange": OUTSIDE,
    "partner": OUTSIDE + 'fields = { ad_id = { class = "ad_id", kind = ["gaid", "id:partner"] } }\n',
}


class Town:
    """The gateway, and two recipients that listen."""

    def __init__(self, folder, secrets, client, arrived):
        self.folder, self.secrets, self.client, self.arrived = folder, secrets, client, arrived

    async def link(self, account, *identifiers):
        body = {"account": account, "identifiers": list(identifiers)}
        assert (await self.client.post("/v1/links", json=body)).status_code == 201

    async def post(self, path, body):
        answer = await self.client.post(path, json=body)
        assert answer.is_success, answer.text

    async def share(self, recipient, *identifiers, row="r1", **members):
        body = {"id": row, "identifiers": list(identifiers), **SHARED, **members}
        answer = await self.client.post(f"/v1/shares/{recipient}", json=body)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text.splitlines()[0])["outcome"]

    async def choose(self, *identifiers, choice="opt_out", purposes=("all",)):
        body = {"identifiers": list(identifiers), "choice": choice, "purposes": list(purposes), "place": "US-CA"}
        answer = await self.client.post("/v1/choices", json=body)
        assert answer.status_code == 201, answer.text

    async def told(self, recipient, count=1):
        """What a recipient got, each message checked with its secret."""
        with anyio.fail_after(60):
            while len(self.arrived[recipient]) < count:
                await anyio.sleep(0.05)
        hook = Webhook(webhook.secret_of(self.secrets, recipient))
        return [hook.verify(body, headers) for headers, body in self.arrived[recipient]]

    async def nothing_waits(self):
        """Every message was taken."""
        with anyio.fail_after(60):
            while "gateway_deliveries{" in (await self.client.get("/metrics")).text:
                await anyio.sleep(0.05)


@pytest.fixture
def secrets(folder):
    return load_secrets(folder)


@pytest.fixture
async def town(tmp_path, folder, secrets, monkeypatch):
    monkeypatch.setattr("gateway.consent.telling.PERIOD", 0.05)
    arrived, config = {}, [DECLARED]
    with contextlib.ExitStack() as stack:
        for name in ("teemo", "matching", "advertisers", "exchange", "partner"):
            url, arrived[name] = stack.enter_context(listener())
            config.append(f'[recipients.{name}]\ndeliveries = "{url}"\n{MORE.get(name, "")}')
        matching = "[recipients.matching]\n"
        digests = 'data = ["email_hash", "phone_hash", "device_id", "ad_id", "ip"]\n'
        (tmp_path / "config.toml").write_text("".join(config).replace(matching, matching + digests))
        async with (
            inside.application(folder, inside.settings(tmp_path / "config.toml")) as app,
            inside.client(app, **inside.DEV) as client,
        ):
            yield Town(folder, secrets, client, arrived)


async def test_whoever_got_the_ad_id_is_told_of_the_ad_id_and_nobody_else_is(town):
    await town.link("jane", named("gaid", GAID))
    assert await town.share("teemo", named("gaid", GAID)) == "returned"
    await town.choose(named("gaid", GAID))
    [message] = await town.told("teemo")
    assert message == {
        "type": "opt_out",
        "identifiers": [named("gaid", GAID)],
        "date": datetime.now(UTC).date().isoformat(),
        "duty": recipients_to_tell.DUTY["opt_out"],
    }
    await town.nothing_waits()
    assert town.arrived["matching"] == town.arrived["advertisers"] == []


async def test_one_phone_is_enough_a_recipient_is_told_by_the_name_that_it_knows(town):
    """The form has the phone, the recipient the ad id: the account has both."""
    await town.link("jane", named("gaid", GAID), named("phone", phone(1)))
    await town.share("teemo", named("gaid", GAID))
    form = {"action": "opt_out", "phone": phone(1), "country": "US", "state": "CA"}
    assert (await town.client.post("/privacy-choices", data=form)).status_code in {200, 303}
    [message] = await town.told("teemo")
    assert message["identifiers"] == [named("gaid", GAID)]
    body = town.arrived["teemo"][0][1].decode()
    assert phone(1) not in body
    assert not any(f'"{word}"' in body for word in WORDS), "no source, place or reason"
    await town.nothing_waits()
    assert town.arrived["matching"] == []


async def test_a_hashed_address_is_named_by_that_hash_and_no_other_form(town):
    await town.link("jane", named("email", email(1)))
    await town.share("matching", named("email", email(1)), data={"email": email(1)})
    await town.choose(named("account", "jane"))
    [message] = await town.told("matching")
    digest = dict(identity.read_identifier("email", email(1)).names)["email_sha256"]
    assert message["identifiers"] == [named("email_sha256", digest)]


async def test_a_row_that_was_kept_by_the_account_is_named_by_what_left(town):
    await town.link("jane", named("gaid", GAID))
    await town.share("teemo", named("account", "jane"), named("gaid", GAID))
    await town.choose(named("account", "jane"))
    [message] = await town.told("teemo")
    assert message["identifiers"] == [named("gaid", GAID)]


async def test_gpc_of_a_signed_in_person_is_passed_on_too(town):
    await town.link("jane", named("gaid", GAID))
    await town.share("teemo", named("gaid", GAID))
    body = {"identifiers": [named("gaid", GAID)], "signals": {"gpc": "1"}}
    assert (await town.client.post("/v1/observe", json=body)).status_code == 200
    [message] = await town.told("teemo")
    assert message["type"] == "opt_out"


@pytest.mark.slow
async def test_nobody_is_told_twice_unless_data_left_in_between(town):
    await town.link("jane", named("gaid", GAID))
    await town.share("teemo", named("gaid", GAID))
    for _ in range(3):
        await town.choose(named("gaid", GAID))
        await town.choose(named("gaid", GAID), choice="withdraw", purposes=["sale"])
    await town.nothing_waits()
    assert len(await town.told("teemo")) == 1


async def test_all_of_several_ids_are_named(town):
    ids = [named("gaid", gaid(number)) for number in (1, 2, 3)]
    await town.link("jane", *ids)
    for number, each in enumerate(ids):
        await town.share("teemo", each, row=f"r{number}", data={"ad_id": each["value"]})
    await town.choose(named("account", "jane"))
    [message] = await town.told("teemo")
    assert message["identifiers"] == ids


async def test_a_choice_of_marketing_alone_tells_no_one_who_sells(town):
    await town.link("jane", named("gaid", GAID))
    await town.share("teemo", named("gaid", GAID))
    await town.choose(named("gaid", GAID), purposes=["marketing_email"])
    await town.nothing_waits()
    assert town.arrived["teemo"] == []


async def test_a_deletion_is_passed_on_to_whom_the_account_was_sold(town):
    await town.link("jane", named("gaid", GAID))
    await town.share("teemo", named("account", "jane"), named("gaid", GAID))
    body = {"identifiers": [named("account", "jane")], "mode": "erase_details"}
    assert (await town.client.post("/v1/erasures", json=body)).status_code == 200
    [message] = await town.told("teemo")
    assert (message["type"], message["identifiers"]) == ("delete", [named("gaid", GAID)])


async def test_the_control_without_the_log_everybody_learns_who_objects(town, monkeypatch):
    """What the first test asserts fails once the log of disclosures is not asked."""

    def of_everybody(tx, names, own):
        return [
            recipients_to_tell.Identified(
                recipients_to_tell.Got(name, frozenset(), frozenset({"sale"}), 0), known, key, key
            )
            for key, known in names.items()
            for name in ("teemo", "matching", "advertisers")
        ]

    monkeypatch.setattr(recipients_to_tell, "identified", of_everybody)

    def of_all(tx, sql, keys):
        return set(keys) if sql == recipients_to_tell.LEFT else found_among(tx, sql, keys)

    found_among = Transaction.found_among
    monkeypatch.setattr(Transaction, "found_among", of_all)
    await town.choose(named("gaid", GAID))
    assert await town.told("matching"), "a recipient that never had it"


async def test_no_file_holds_what_left_as_it_left(town):
    await town.link("jane", named("gaid", GAID))
    await town.share("teemo", named("gaid", GAID))
    await town.choose(named("gaid", GAID))
    await town.nothing_waits()

    def holding():
        files = [path for path in town.folder.rglob("*") if path.is_file()]
        return [path for path in files if GAID.encode() in path.read_bytes()], len(files)

    found, files = await anyio.to_thread.run_sync(holding)
    assert found == []
    assert files > 3


async def announced(town, recipient):
    """An ad server asks and says that it sends at once; the id of the answer."""
    body = {
        "identifiers": [named("gaid", GAID)],
        "recipient": recipient,
        "data": ["ad_id"],
        "place": "US-CA",
        "will_send": True,
    }
    answer = await town.client.post("/v1/check", json=body)
    assert answer.json()["allowed"], answer.text
    return answer.json()["decision"]


async def test_whoever_got_it_with_an_ad_call_is_told_too_and_whoever_did_not_after_all_is_not(town):
    await town.link("jane", named("gaid", GAID), named("phone", phone(1)))
    await announced(town, "teemo")
    line = json.dumps({"decision": await announced(town, "advertisers"), "outcome": "not_sent"})
    kind = {"Content-Type": "application/x-ndjson"}
    assert (await town.client.post("/v1/disclosures", content=line, headers=kind)).status_code == 200
    await town.choose(named("phone", phone(1)))
    [message] = await town.told("teemo")
    assert message["identifiers"] == [named("gaid", GAID)]
    await town.nothing_waits()
    assert town.arrived["advertisers"] == []


@pytest.mark.parametrize("data", ["email_hash", "contact"])
async def test_whoever_got_only_a_hash_of_an_address_is_not_told_the_address(town, data):
    """The ad server names the address, and the answer lets a hash of it go."""
    body = {
        "identifiers": [named("email", email(1))],
        "recipient": "matching",
        "data": [data],
        "place": "US-CA",
        "will_send": True,
    }
    answer = (await town.client.post("/v1/check", json=body)).json()
    assert answer["data"] == {data: "hash" if data == "contact" else "allow"}, answer
    await town.choose(named("email", email(1)))
    [message] = await town.told("matching")
    digest = dict(identity.read_identifier("email", email(1)).names)["email_sha256"]
    assert named("email_sha256", digest) in message["identifiers"]
    assert email(1) not in json.dumps(message)


EID = {"type": "eid", "source": "ids.example", "value": "Xyz-1234567890"}
COOKIE = {"type": "cookie", "source": "_ga", "value": "GA1.2.1234567890.1700000000"}
BUYER, MAC = named("id:openrtb_buyer", "buyer-1234567890"), "ab" * 20


CRM, OTHERNET = named("id:crm", "crm-1234567890"), named("id:othernet", "net-1234567890")


async def checked(town, *identifiers, recipient="advertisers", **members):
    body = {"identifiers": identifiers, "recipient": recipient, "data": ["ad_id"], "place": "US-CA", **members}
    answer = (await town.client.post("/v1/check", json=body)).json()
    assert answer["allowed"], answer
    return answer["decision"]


async def sent(town, decision):
    kind = {"Content-Type": "application/x-ndjson"}
    line = json.dumps({"decision": decision, "outcome": "sent"})
    answer = await town.client.post("/v1/disclosures", content=line, headers=kind)
    assert json.loads(answer.text.splitlines()[0])["result"] == "recorded", answer.text


@pytest.mark.parametrize("by", [EID, named("phone", phone(1))], ids=["itself", "the phone"])
async def test_whoever_got_a_networks_id_with_an_ad_call_is_told_it_as_it_was_named(town, by):
    """R18, R23: by the id itself, and by the phone of the account that has it. Its map says nothing of ad ids."""
    await town.link("jane", EID, named("phone", phone(1)))
    await checked(town, EID, COOKIE, recipient="exchange", will_send=True)
    await town.choose(by)
    assert (await town.told("exchange"))[0]["identifiers"] == [EID]


@pytest.mark.parametrize("word", ["opt_out", "delete"])
async def test_whoever_got_an_ad_id_with_an_ad_call_learns_no_other_id_that_its_caller_named(town, word):
    """R18: the operator's own and another network's, of which it never had one. Its own kind is what its map says."""
    me, own = named("gaid", GAID), named("id:partner", "own-1234567890")
    await checked(town, me, CRM, OTHERNET, EID, COOKIE, own, recipient="partner", will_send=True)
    body = {"identifiers": [me], "mode": "erase_details"}
    await (town.choose(me) if word == "opt_out" else town.post("/v1/erasures", body))
    [message] = await town.told("partner")
    assert (message["type"], message["identifiers"]) == (word, [me, own])


async def test_a_deletion_of_what_nobody_knows_to_have_left_names_it_to_nobody_and_leaves_the_row(town):
    """It was only counted, and a caller names more than it sends."""
    await sent(town, await checked(town, COOKIE))
    await town.post("/v1/erasures", {"identifiers": [COOKIE], "mode": "erase_details"})
    await town.nothing_waits()
    assert town.arrived["advertisers"] == []
    with contextlib.closing(sqlite3.connect(f"file:{town.folder / 'ledger.sqlite3'}?mode=ro", uri=True)) as db:
        assert db.execute("SELECT DISTINCT recipient FROM disclosed").fetchall() == [("advertisers",)]


async def test_whoever_got_the_ids_of_a_bid_request_is_told_them(town):
    bid = {
        "id": "1",
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}],
        "site": {"page": "https://example.com/news"},
        "device": {"geo": {"country": "USA", "region": "CA"}, "macsha1": MAC},
        "user": {
            "buyeruid": BUYER["value"],
            "eids": [{"source": EID["source"], "uids": [{"id": EID["value"], "atype": 1}]}],
        },
    }
    await town.link("jane", EID, named("phone", phone(1)))
    answer = await town.client.post("/v1/openrtb?recipient=advertisers&will_send=1", json=bid)
    assert (answer.status_code, answer.headers["gateway-verdict"]) == (200, "allow"), answer.headers
    assert BUYER["value"] in answer.text
    assert EID["value"] in answer.text
    await town.choose(named("phone", phone(1)))
    [message] = await town.told("advertisers")
    assert message["identifiers"] == [EID, BUYER, named("id:openrtb_macsha1", MAC)]


@pytest.mark.parametrize("one", [EID, named("id:partner", "own-1234567890")], ids=["eid", "id"])
async def test_a_deletion_names_an_id_whose_form_is_its_owners_to_whoever_got_it_with_an_answer(town, one):
    """Cal. Civ. Code 1798.105(c): it was only counted, and the deletion itself names it."""
    to = "exchange" if one is EID else "partner"
    await sent(town, await checked(town, one, recipient=to))
    await town.post("/v1/erasures", {"identifiers": [one], "mode": "erase_details"})
    [message] = await town.told(to)
    assert (message["type"], message["identifiers"]) == ("delete", [one])
