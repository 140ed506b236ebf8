"""Somebody who opted out leaves by no door under another name: an id in a field of other ids, another id in its field.

Asked through the whole application as an operator runs it, without `--dev`, at the doors that let something go.
"""

import base64
import contextlib
import hashlib
import itertools
import json
import os
import subprocess
import sys
import time
import uuid
from urllib.parse import quote

import pytest
from support import example, inside
from support.people import GAID, IDFV, email, gaid, named, phone
from support.ports import free_port
from support.wire import call

from gateway.keys import api_keys

pytestmark = pytest.mark.anyio
APPSET, OAID = "aa92078a-8246-4ba4-ae5b-76104861e701", "bb92078a-8246-4ba4-ae5b-76104861e702"
IMEI, UDID = "490154203237518", "00008030-001a2b3c4d5e6f70"
SCOPES = ("check", "share", "choose", "desk")
CONFIG = """
[identifiers]
declared = ["openrtb_user", "openrtb_buyer", "openrtb_dpidmd5", "openrtb_dpidsha1", "openrtb_didmd5", "openrtb_didsha1"]
[recipients.matching]
contract = "c1"
transfer_basis = "scc"
[recipients.advertisers]
contract = "c2"
transfer_basis = "scc"
"""


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


def key(folder):
    return {"Authorization": f"Bearer {api_keys.add_api_key(folder, 'all', SCOPES, publishable=False)}"}


@pytest.fixture
def installed(tmp_path):
    """(its folder, its settings, the header with a key)"""
    (tmp_path / "config.toml").write_text(example.over(CONFIG))
    folder = inside.install(tmp_path / "data")
    return folder, inside.settings(tmp_path / "config.toml"), key(folder)


@pytest.fixture
async def door(installed):
    """As in production: no development key, the recipients' contracts written in."""
    folder, configured, headers = installed
    async with inside.application(folder, configured, dev=False) as app, inside.client(app, **headers) as calling:
        linked = {"account": "a1", "identifiers": [named("gaid", gaid(1))]}
        assert (await calling.post("/v1/links", json=linked)).status_code in {200, 201}
        yield calling


def digest(algorithm, text):
    return hashlib.new(algorithm, text.encode()).hexdigest()


def b64(hexadecimal):
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


MAIL = email(7)
OUT = {  # who opted out, and by which values they may come back
    "an ad id": (
        named("gaid", gaid(2)),
        [gaid(2), gaid(2).upper(), gaid(2).replace("-", ""), digest("sha256", gaid(2))],
    ),
    "an idfa": (named("idfa", GAID), [GAID, "{" + GAID + "}"]),
    "an oaid": (named("oaid", OAID), [OAID]),
    "an idfv": (named("idfv", IDFV), [IDFV, IDFV.upper(), IDFV.replace("-", "")]),
    "an app set id": (named("appset", APPSET), [APPSET]),
    "an e-mail address": (
        named("email", MAIL),
        [
            MAIL,
            *(digest(each, MAIL) for each in ("sha256", "sha1", "md5")),
            b64(digest("sha256", MAIL)),
            digest("md5", MAIL).upper(),
        ],
    ),
    "a phone number": (named("phone", phone(7)), [phone(7), phone(7)[1:], digest("sha256", phone(7))]),
    "an IMEI": (named("imei", IMEI), [IMEI, int(IMEI)]),
    "a UDID": (named("udid", UDID), [UDID, UDID.replace("-", "")]),
}


async def opts_out(calling, identifier):
    answer = await calling.post("/v1/choices", json={"identifiers": [identifier], "choice": "opt_out"})
    assert answer.status_code == 201, answer.text


async def share(calling, data, recipient="matching"):
    """A row of somebody who is linked and said nothing, with the value in its data."""
    row = {
        "id": hashlib.sha256(json.dumps(data).encode()).hexdigest(),
        "data": data,
        "place": "US-NY",
        "identifiers": [named("gaid", gaid(1))],
    }
    answer = await calling.post(f"/v1/shares/{recipient}", json=row)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text.splitlines()[0])


@pytest.mark.parametrize("field", ["device_id", "ad_id", "email"])
@pytest.mark.parametrize("who", OUT)
async def test_a_row_with_an_id_of_somebody_who_is_out_leaves_in_no_field(door, who, field):
    await opts_out(door, OUT[who][0])
    for value in OUT[who][1]:
        told = await share(door, {field: value})
        assert (told["outcome"], told.get("row")) == ("refused", None), value
    assert (await share(door, {"ad_id": gaid(1)}))["outcome"] == "returned"


OWN = """
[recipients.measuring]
role = "third_party"
purposes = ["targeted_ads"]
data = ["device_id", "coarse_geo"]
contract = "c3"
transfer_basis = "scc"
announced = 2024-06-25
[recipients.measuring.fields]
device_id = { class = "device_id", kind = "id:appsflyer" }
city = { class = "coarse_geo", values = ["Portland"] }
"""


async def test_a_partners_own_id_leaves_as_that_alone(tmp_path):
    """Declared by the operator: opted out by it, and by whatever a value in its place is an id of."""
    (tmp_path / "config.toml").write_text(CONFIG.replace("declared = [", 'declared = ["appsflyer", ') + OWN)
    configured = inside.settings(tmp_path / "config.toml")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app, **inside.DEV) as calling:
        await calling.post("/v1/links", json={"account": "a1", "identifiers": [named("gaid", gaid(1))]})
        theirs, another = "1600000000000-7654321", "1600000000000-1234567"
        sent = await share(calling, {"device_id": another, "city": "portland"}, "measuring")
        assert sent["row"].pop("row")
        assert sent["row"] == {"device_id": another, "city": "Portland"}
        members = [named("account", "member-2002"), named("account", str(uuid.UUID(int=7)))]
        for identifier in (named("id:appsflyer", theirs), named("gaid", gaid(2)), named("email", MAIL), *members):
            await opts_out(calling, identifier)
        coded = [
            base64.b64encode(each).decode() for each in (uuid.UUID(gaid(2)).bytes, gaid(2).encode(), MAIL.encode())
        ]
        written = [
            *coded,
            *(each.rstrip("=").translate(str.maketrans("+/", "-_")) for each in coded),
            str(uuid.UUID(digest("md5", MAIL))),
            MAIL.replace("@", "(at)"),
            MAIL.replace("@", " at ").replace(".", " dot "),
            *(each["value"] for each in members),
        ]
        for value in (theirs, gaid(2), digest("sha256", MAIL), MAIL, phone(7), "40.7128,-74.0060", *written):
            told = await share(calling, {"device_id": value, "city": "Salem"}, "measuring")
            assert told["outcome"] == "refused", value


NO_ID = [
    MAIL,
    phone(7),
    "(415) 555-0107 ext. 7",
    "40.7128,-74.0060",
    "203.0.113.7",
    "Jane Roe, 7 Main St",
    "https://example.com/?u=7",
    digest("sha1", MAIL),
    digest("sha512", MAIL),
    40.7128,
    4155550107,
]


@pytest.mark.parametrize("field", ["device_id", "ad_id"])
async def test_what_is_no_id_of_the_fields_kind_does_not_leave_whoever_it_is(door, field):
    for value in NO_ID:
        told = await share(door, {field: value})
        assert (told["outcome"], told["reason"]) == ("refused", "malformed"), value


TEXTS = [
    "Jane Roe",
    "jane@example.com",
    phone(7),
    "40.7128,-74.0060",
    GAID,
    "seen at 7 Main St",
    {"a": 1},
    ["CA"],
    4155550107,
]


@pytest.mark.parametrize("field", ["metro", "gender"])
async def test_free_text_does_not_leave_in_a_field_of_metros_or_genders(door, field):
    for value in TEXTS:
        told = await share(door, {field: value, "ad_id": gaid(1)}, "advertisers")
        assert told["row"]["ad_id"] == gaid(1)
        assert field not in told["row"], value


@pytest.mark.parametrize(("field", "reason"), [("region", "place_unknown"), ("age_range", "age")])
async def test_with_free_text_for_a_region_or_an_age_nothing_leaves(door, field, reason):
    """It may be said of a child, or of somebody abroad."""
    for value in TEXTS:
        told = await share(door, {field: value, "ad_id": gaid(1)}, "advertisers")
        assert (told["outcome"], told["reason"]) == ("refused", reason), value


KNOWN = [
    ("region", "US-NY"),
    ("region", "NY"),
    ("region", "New York"),
    ("metro", 501),
    ("metro", "501"),
    ("age_range", "25-34"),
    ("age_range", "65+"),
    ("age_range", "adult"),
    ("gender", "F"),
    ("gender", "female"),
    ("gender", "non-binary"),
]


async def test_a_region_an_age_or_a_gender_that_is_a_known_value_leaves(door):
    for field, value in KNOWN:
        assert (await share(door, {field: value, "ad_id": gaid(1)}, "advertisers"))["row"][field] == value


# --- bid requests ---

LINKED = {"os": "Android", "ifa": gaid(1)}
BIDS = {
    "device.ifa": lambda value: {"device": {"os": "Android", "ifa": value}},
    "device.ifa of iOS": lambda value: {"device": {"os": "iOS", "ifa": value}},
    "device.ifa of a television": lambda value: {"device": {"os": "Roku", "ifa": value}},
    "device.ext.ifv": lambda value: {"device": {**LINKED, "ext": {"ifv": value}}},
    "user.id": lambda value: {"device": LINKED, "user": {"id": value}},
    "user.buyeruid": lambda value: {"device": LINKED, "user": {"buyeruid": value}},
    "user.eids": lambda value: {"device": LINKED, "user": {"eids": [{"source": "a.example", "uids": [{"id": value}]}]}},
    "user.ext.eids": lambda value: {
        "device": LINKED,
        "user": {"ext": {"eids": [{"source": "a.example", "uids": [{"id": value}]}]}},
    },
    "imp.ext.data": lambda value: {"device": LINKED, "imp": [{"id": "1", "ext": {"data": {"u": value}}}]},
    "a bidder's parameter": lambda value: {
        "device": LINKED,
        "imp": [{"id": "1", "ext": {"prebid": {"bidder": {"ix": {"siteId": value}}}}}],
    },
    "a bidder's list": lambda value: {
        "device": LINKED,
        "imp": [{"id": "1", "ext": {"prebid": {"bidder": {"rubicon": {"visitor": {"u": [value]}}}}}}],
    },
    "user.ext.data": lambda value: {"device": LINKED, "user": {"ext": {"data": {"u": {"deep": value}}}}},
}
IN_AN_ADDRESS = {
    "site.page": lambda value: {"device": LINKED, "site": {"page": f"https://example.com/a?x=1&uid={value}&y=2"}},
    "site.ref": lambda value: {"device": LINKED, "site": {"ref": f"https://example.com/{value}/a"}},
    "site.content.url": lambda value: {"device": LINKED, "site": {"content": {"url": f"https://example.com/#{value}"}}},
    "app.storeurl": lambda value: {"device": LINKED, "app": {"storeurl": f"https://example.com/a?r={quote(value)}"}},
    "site.search": lambda value: {"device": LINKED, "site": {"search": f"news for {value} please"}},
    "site.keywords": lambda value: {"device": LINKED, "site": {"keywords": f"news,{value}"}},
    "imp.tagid": lambda value: {"device": LINKED, "imp": [{"id": "1", "tagid": f"/slot/{value}"}]},
    "imp.native.request": lambda value: {
        "device": LINKED,
        "imp": [{"id": "1", "native": {"request": json.dumps({"x": value})}}],
    },
}
HASHED = {f"device.{name}": name for name in ("didmd5", "didsha1", "dpidmd5", "dpidsha1")}
IN_A_BAG = {"imp.ext.data", "a bidder's parameter", "a bidder's list", "user.ext.data"}


async def bid(calling, more, recipient="advertisers"):
    whole = {
        "id": "1",
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}],
        "site": {"page": "https://example.com/news"},
        **more,
    }
    answer = await calling.post(f"/v1/openrtb?recipient={recipient}&place=US-NY", json=whole)
    assert answer.status_code == 200, answer.text
    return answer


def is_told_apart(place, value):
    """In a bag of anybody's a number or a short word is no id: only what has the form of one is looked up."""
    return place not in IN_A_BAG or (isinstance(value, str) and (len(value) >= 32 or "@" in value or value[0] == "+"))


@pytest.mark.parametrize("who", OUT)
async def test_a_bid_request_with_an_id_of_somebody_who_is_out_keeps_it_nowhere(door, who):
    await opts_out(door, OUT[who][0])
    asked = [(place, value) for place in BIDS for value in OUT[who][1] if is_told_apart(place, value)]
    assert len(asked) >= len(BIDS) - len(IN_A_BAG)
    for place, value in asked:
        answer = await bid(door, BIDS[place](value))
        assert answer.headers["gateway-verdict"] in {"contextual", "block"}, (place, value)
        # a placement's id may look like anything: it is the person's id elsewhere that goes
        assert place == "a bidder's parameter" or str(value) not in answer.text
        assert gaid(1) not in answer.text


@pytest.mark.parametrize("who", ["an ad id", "an idfv", "an e-mail address", "a phone number"])
async def test_an_address_of_a_page_in_which_somebody_is_named_who_is_out_is_not_sent_with_it(door, who):
    await opts_out(door, OUT[who][0])
    for place, made in IN_AN_ADDRESS.items():
        assert (await bid(door, made(gaid(5)))).headers["gateway-verdict"] == "allow", place
        for value in (OUT[who][1][0], OUT[who][1][-1]):
            if value[-1] == "=" or (len(value) < 36 and "@" not in value and "+" not in value):
                continue  # without hyphens it is any digest, in base64 any word
            answer = await bid(door, made(value))
            assert answer.headers["gateway-verdict"] == "contextual", (place, value)
            assert value not in answer.text


async def test_a_hashed_device_id_that_is_an_opted_out_persons_digest_does_not_leave(door):
    await opts_out(door, OUT["an e-mail address"][0])
    for place, value in [(place, digest(each, MAIL)) for place in HASHED for each in ("md5", "sha1", "sha256")]:
        answer = await bid(door, {"device": {**LINKED, HASHED[place]: value}})
        assert answer.headers["gateway-verdict"] == "contextual"
        assert value not in answer.text


async def test_an_address_or_a_point_in_place_of_an_id_takes_everybody_out_of_the_request(door):
    places = ("device.ifa", "user.id", "user.buyeruid", "user.eids", "user.ext.eids")
    values = (MAIL, phone(7), "40.7128,-74.0060", "203.0.113.7", "https://example.com/?u=7")
    for place, value in itertools.product(places, values):
        answer = await bid(door, BIDS[place](value))
        assert (answer.headers["gateway-verdict"], answer.headers["gateway-reason"]) == ("contextual", "malformed")
        assert value not in answer.text


async def test_an_id_of_nobody_who_said_anything_goes(door):
    """The control."""
    for place, made in BIDS.items():
        answer = await bid(door, made(gaid(5)))
        assert answer.headers["gateway-verdict"] == "allow", place
        assert gaid(5) in answer.text


async def test_the_answer_says_whether_somebody_is_still_in_it(door):
    """A point that nobody opted in to goes, the ad id stays: that is no contextual request."""
    more = {"device": {**LINKED, "geo": {"lat": 40.7128, "lon": -74.006, "country": "USA", "region": "NY"}}}
    answer = await bid(door, more)
    assert answer.headers["gateway-verdict"] == "reduced"
    assert answer.json()["device"]["ifa"] == gaid(1)
    assert answer.json()["device"]["geo"]["lat"] == 40.7
    await opts_out(door, named("gaid", gaid(1)))
    answer = await bid(door, {**more, "user": {"id": "u-1"}})
    assert answer.headers["gateway-verdict"] == "contextual"
    assert "user" not in answer.json()


PERSONAL = {"lat": 40.7, "lon": -74.0, "yob": 1980, "keywords": [{"key": "k", "value": ["jane"]}]}


async def test_a_bidders_bag_is_cut_to_its_own_scalars_and_an_unknown_bidder_is_blocked(door):
    await opts_out(door, named("gaid", gaid(1)))
    bag = {
        "pubmatic": {"publisherId": "p1", "adSlot": "s", **PERSONAL},
        "appnexus": {"placementId": 7, "user": {"id": "jane"}},
    }
    answer = await bid(door, {"device": LINKED, "imp": [{"id": "1", "ext": {"prebid": {"bidder": bag}}}]})
    assert answer.headers["gateway-verdict"] == "contextual"
    kept = {"pubmatic": {"publisherId": "p1", "adSlot": "s"}, "appnexus": {"placementId": 7}}
    assert answer.json()["imp"][0]["ext"]["prebid"]["bidder"] == kept
    unknown = {"device": LINKED, "imp": [{"id": "1", "ext": {"prebid": {"bidder": {"newcomer": PERSONAL}}}}]}
    answer = await bid(door, unknown)
    assert (answer.headers["gateway-verdict"], answer.json()) == ("block", {})
    patched = await door.post("/v1/openrtb?recipient=advertisers&recipient=matching", json={"id": "1", **unknown})
    assert {each["verdict"] for each in patched.json().values()} == {"block"}


@pytest.mark.slow
def test_a_running_gateway_holds_it_as_well(tmp_path, installed):
    """A process of its own, on three addresses, with a key that it knows from its folder."""
    folder, _, headers = installed
    bearer = headers["Authorization"].removeprefix("Bearer ")
    public, internal, metrics = free_port(), free_port(), free_port()
    listen = {"PUBLIC": public, "INTERNAL": internal, "METRICS": metrics}
    environment = {f"GATEWAY_LISTEN__{name}": f"127.0.0.1:{port}" for name, port in listen.items()}
    command = [
        sys.executable,
        "-m",
        "gateway",
        "serve",
        "--data",
        str(folder),
        "--config",
        str(tmp_path / "config.toml"),
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)
    url = f"http://127.0.0.1:{internal}"
    try:
        for _ in range(1200):
            with contextlib.suppress(OSError):
                if call(f"{url}/readyz", key="")[0] == 200:
                    break
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.05)
        call(f"{url}/v1/links", {"account": "a1", "identifiers": [named("gaid", gaid(1))]}, key=bearer)
        assert (
            call(f"{url}/v1/choices", {"identifiers": [named("idfv", IDFV)], "choice": "opt_out"}, key=bearer)[0] == 201
        )
        row = {"id": "r1", "identifiers": [named("gaid", gaid(1))], "place": "US-NY", "data": {"ad_id": IDFV}}
        _, told = call(f"{url}/v1/shares/matching", row, key=bearer)
        assert (told[0]["outcome"], told[0]["reason"]) == ("refused", "opted_out")
        request = {"id": "1", "imp": [{"id": "1"}], "device": {"os": "iOS", "ifa": IDFV}}
        status, out = call(f"{url}/v1/openrtb?recipient=advertisers&place=US-NY", request, key=bearer)
        assert status == 200
        assert "ifa" not in out["device"]
        control = request | {"device": LINKED}
        assert call(f"{url}/v1/openrtb?recipient=advertisers&place=US-NY", control, key=bearer)[1]["device"][
            "ifa"
        ] == gaid(1)
    finally:
        process.terminate()
        process.wait(timeout=60)
