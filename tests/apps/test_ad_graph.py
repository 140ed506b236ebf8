"""Every kind of identifier that leaves here, in the recipients' rows, in bid requests and in a site's cookies, can be
opted out and is found by an opt-out (R23, L22). A new field, member or kind that nobody placed fails here.
"""

import hashlib
import json

import pytest
from support import inside
from support.people import GAID, IDFV, email, named, phone

from gateway.choice.identity import kinds
from gateway.choice.openrtb import reading
from gateway.choice.openrtb.members import HASHED_DEVICE_IDS
from gateway.terms import DataClass

pytestmark = pytest.mark.anyio
IDENTIFYING = {DataClass.AD_ID, DataClass.DEVICE_ID, DataClass.EMAIL_HASH, DataClass.PHONE_HASH, DataClass.ACCOUNT,
               DataClass.CONTACT}  # fmt: skip
SHA = hashlib.sha256(GAID.encode()).hexdigest()
# A value of every kind of the contract.
VALUES = {
    "account": "a1", "email": email(1), "phone": phone(1), **dict.fromkeys(kinds.UUIDS, GAID), "idfv": IDFV,
    "imei": "490154203237518", "serial": "R58N12ABCDE", "udid": "00008030-001a2b3c4d5e6f70",
    "ad_id_sha256": SHA, "email_sha256": SHA, "phone_sha256": SHA, "email_sha1": SHA[:40], "email_md5": SHA[:32],
    "ad_id_sha1": SHA[:40], "ad_id_md5": SHA[:32], "phone_sha1": SHA[:40], "phone_md5": SHA[:32],
    "cookie": "a-site-id-7", "eid": "an-ad-id-7",
}  # fmt: skip
SOURCES = {"cookie": "_pubcid", "eid": "pubcid.org"}
# Which kinds stand in a field of a recipient's row.
WIRE = {
    "ad_id": (*kinds.AD_IDS, *kinds.AD_ID_DIGESTS),
    "device_id": ("idfv", "appset", "imei", "serial", "udid"),
    "email": ("email", "email_sha256", "email_sha1", "email_md5"),
}
DECLARED = ["openrtb_user", "openrtb_buyer", *(f"openrtb_{name}" for name in HASHED_DEVICE_IDS)]
BID = {  # each of them alone in a request
    "idfa": {"device": {"os": "iOS", "ifa": GAID}},
    "gaid": {"device": {"os": "Android", "ifa": GAID}},
    "oaid": {"device": {"os": "HarmonyOS", "ifa": GAID}},
    "another system's": {"device": {"os": "Roku", "ifa": GAID}},
    "idfv": {"device": {"os": "iOS", "ext": {"ifv": IDFV}}},
    "app set id": {"device": {"os": "Android", "ext": {"app_set_id": GAID}}},
    **{name: {"device": {name: SHA[:40]}} for name in HASHED_DEVICE_IDS},
    "user": {"user": {"id": "user-of-a-site-7"}},
    "buyer": {"user": {"buyeruid": "user-of-a-bidder-7"}},
    "eid": {"user": {"eids": [{"source": "uidapi.com", "uids": [{"id": "an-advertising-token-7"}]}]}},
    "eid of 2.5": {"user": {"ext": {"eids": [{"source": "id5-sync.com", "uids": [{"id": "an-id5-7"}]}]}}},
}


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def declared(tmp_path):
    configured = inside.settings(identifiers__declared=",".join(DECLARED), browser__site_ids="_pubcid,_ga")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app, **inside.DEV) as calling:
        yield calling


def identifier(kind):
    source = {"source": SOURCES[kind]} if kind in SOURCES else {}
    return named(kind, VALUES[kind]) | source


async def opts_out(calling, *identifiers):
    answer = await calling.post("/v1/choices", json={"identifiers": list(identifiers), "choice": "opt_out"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["ignored"] == []


async def reason(calling, *identifiers):
    body = {"identifiers": list(identifiers), "recipient": "teemo", "data": ["ad_id"], "place": "US-TX"}
    return (await calling.post("/v1/check", json=body)).json()["reason"]


def test_every_kind_of_the_contract_has_a_value_here():
    assert set(VALUES) == set(kinds.KINDS) - {"browser"}


@pytest.mark.parametrize("kind", sorted(VALUES))
async def test_a_person_is_out_by_each_kind(declared, kind):
    assert await reason(declared, identifier(kind)) == "no_choice"
    await opts_out(declared, identifier(kind))
    assert await reason(declared, identifier(kind)) == "opted_out"


def test_every_identifying_field_of_every_recipients_rows_has_its_kinds():
    recipients = inside.settings().recipients
    fields = {name for item in recipients.values() for name, each in item.classes().items() if each in IDENTIFYING}
    assert fields == set(WIRE)
    assert {kind for each in WIRE.values() for kind in each} <= set(kinds.KINDS)


@pytest.mark.parametrize(("field", "kind"), [(field, kind) for field in WIRE for kind in WIRE[field]])
async def test_a_row_that_carries_an_id_of_somebody_who_is_out_does_not_leave(declared, field, kind):
    await declared.post("/v1/links", json={"account": "a7", "identifiers": [identifier(kind)]})
    await opts_out(declared, identifier(kind))
    recipient = "matching" if field in {"email", "device_id"} else "teemo"
    row = {"id": "r1", "identifiers": [identifier(kind)], "data": {field: VALUES[kind]}, "place": "US-TX"}
    answer = await declared.post(f"/v1/shares/{recipient}", json=row)
    told = json.loads(answer.text.splitlines()[0])
    assert (told["outcome"], told["reason"]) == ("refused", "opted_out")
    assert VALUES[kind] not in answer.text


def request_of(name):
    return {
        "id": "1",
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}],
        "site": {"page": "https://example.com"},
        "regs": {},
        **BID[name],
    }


async def bids(calling, name):
    return await calling.post("/v1/openrtb?recipient=advertisers&place=US-TX", json=request_of(name))


@pytest.mark.parametrize("name", BID)
async def test_a_bid_request_with_an_id_of_somebody_who_is_out_loses_it(declared, name):
    found = list(reading.said_in_bid(request_of(name)).identifiers)
    assert found
    assert (await bids(declared, name)).headers["gateway-verdict"] == "allow"
    await opts_out(declared, found[-1])
    answer = await bids(declared, name)
    assert (answer.headers["gateway-verdict"], answer.headers["gateway-reason"]) == ("contextual", "opted_out")
    assert str(found[0]["value"]) not in answer.text


@pytest.mark.parametrize("name", BID)
async def test_an_id_of_a_kind_that_nobody_declared_denies(keyed, name):
    own = any(str(each["type"]).startswith("id:") for each in reading.said_in_bid(request_of(name)).identifiers)
    verdict = (await bids(keyed, name)).headers["gateway-verdict"]
    assert verdict == ("contextual" if own else "allow")


def test_every_kind_that_a_bid_request_can_name_is_one_of_ours_or_to_be_declared():
    found = {each["type"] for name in BID for each in reading.said_in_bid(request_of(name)).identifiers}
    assert found == {*kinds.AD_IDS, "idfv", "appset", "eid", *(f"id:{name}" for name in DECLARED)}


@pytest.mark.parametrize("cookie", ["_pubcid", "_ga"])
async def test_the_ids_that_a_site_has_in_its_cookies_are_out_with_the_browser(declared, cookie):
    headers = {"Cookie": f"{cookie}=a-site-id-7", "Sec-Fetch-Site": "same-origin"}
    done = await declared.post("/privacy-choices", data={"action": "opt_out"}, headers=headers)
    assert done.status_code == 303
    assert await reason(declared, named("cookie", "a-site-id-7") | {"source": cookie}) == "opted_out"
    assert await reason(declared, named("cookie", "a-site-id-7") | {"source": "another"}) == "no_choice"


async def test_the_demo_sites_own_cookie_is_out_as_it_stands(keyed):
    page = await keyed.get("/demo", headers={"Sec-GPC": "1", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"})
    cookies = [line.partition(";")[0].partition("=") for line in page.headers.get_list("set-cookie")]
    assert [name for name, _, _ in cookies] == ["__Host-gateway"]
    value = cookies[0][2]
    await keyed.get("/demo", headers={"Sec-GPC": "1", "Cookie": f"__Host-gateway={value}"})
    assert await reason(keyed, named("browser", value)) == "opted_out"
