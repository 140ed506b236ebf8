"""What a row's own data, a check's point and a bid say of the same person is heard at every door alike."""

import contextlib
import json
from datetime import UTC, datetime

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from support import inside
from support.people import gaid, named
from web.test_check import ask, grant
from web.test_share import NDJSON, linked, row, share

from gateway.delivery.forwarding import Forwarder, ForwardOutcome

pytestmark = pytest.mark.anyio
__all__ = ["linked"]
POINTS = {
    "Roanoke": (37.27097, -79.94143),
    "Hartford": (41.76371, -72.68509),
    "Seattle": (47.60621, -122.33207),
    "Las Vegas": (36.16994, -115.13983),
    "Baltimore": (39.29038, -76.61219),
    "Portland": (45.51523, -122.67838),
}
NEW_YORK = (40.71277, -74.00597)


@pytest.mark.parametrize("city", POINTS)
async def test_a_point_in_a_state_that_bans_it_leaves_exactly_from_no_door(linked, city):
    """Whatever place the caller names, and whoever opted in."""
    await grant(linked, named("gaid", gaid(1)))
    latitude, longitude = POINTS[city]
    data = {"lat": latitude, "lon": longitude, "ad_id": gaid(1)}
    _, (told,), _ = await share(linked, row(data=data, place="US-NY"))
    assert (told["data"]["precise_geo"], told["reason"]) == ("coarsen", "banned")
    assert told["row"]["lat"] == round(latitude, 1)
    asked = {"identifiers": [named("gaid", gaid(1))], "place": "US-NY", "geo": {"lat": latitude, "lon": longitude}}
    assert (await ask(linked, **asked))["data"]["precise_geo"] == "coarsen"


async def test_a_point_in_new_york_does_with_the_same_opt_in(linked):
    """The control."""
    await grant(linked, named("gaid", gaid(1)))
    data = {"lat": NEW_YORK[0], "lon": NEW_YORK[1], "ad_id": gaid(1)}
    _, (told,), _ = await share(linked, row(data=data, place="US-NY"))
    assert told["row"]["lat"] == NEW_YORK[0]


# --- what a row's data says of age, place and address --------------------------------------------------------------

FIELDS = (
    'fields = { ad_id = { class = "ad_id", kind = "gaid" }, age_range = "demographics", yob = "demographics", '
    'gender = "demographics", region = "coarse_geo", country = "coarse_geo", ip = "ip", '
    'sales_region = { class = "coarse_geo", values = ["Midwest"] }, time_zone = "coarse_geo", state_fips = "coarse_geo", birth_month = "demographics", '
    'age_group = { class = "demographics", values = ["senior", "teens"] } }'
)
BERLIN, TEXAN = "198.51.100.7", "203.0.113.7"
BORN = datetime.now(UTC).year - 11


@contextlib.asynccontextmanager
async def gateway(tmp_path, mode):
    """A gateway whose recipient takes all of these, with a database that knows Berlin and Texas; people 0 to 5."""
    made = MMDBWriter(ip_version=6, ipv4_compatible=True)
    made.insert_network(
        IPSet(["198.51.100.0/24"]), {"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "BE"}]}
    )
    made.insert_network(
        IPSet(["203.0.113.0/24"]), {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "TX"}]}
    )
    made.to_db_file(str(tmp_path / "places.mmdb"))
    file = tmp_path / "config.toml"
    endpoint = 'endpoint = "https://teemo.example/rows"' if mode == "forward" else ""
    file.write_text(
        f'[places]\ndatabase = "{tmp_path / "places.mmdb"}"\n[recipients.teemo]\nmode = "{mode}"\n{endpoint}\n{FIELDS}\n'
        'data = ["ad_id", "demographics", "coarse_geo", "ip"]\n'
    )
    async with (
        inside.application(tmp_path / "data", inside.settings(file)) as app,
        inside.client(app, **inside.DEV) as client,
    ):
        for number in range(6):
            link = {"account": f"a{number}", "identifiers": [named("gaid", gaid(number))]}
            assert (await client.post("/v1/links", json=link)).status_code == 201
        yield client


@pytest.fixture
async def returning(tmp_path):
    async with gateway(tmp_path, "return") as client:
        yield client


def said(number=1, place="US-TX", **data):
    return row(number, data={"ad_id": gaid(number), **data}, place=place)


def one_that_goes_and_four_that_stay():
    heard = [said(1, age_range="8-12"), said(2, region="DE-BE"), said(3, ip=BERLIN), said(4) | {"age": 9}]
    return [said(0, age_range="25-34"), *heard]


CHILDREN = [
    {"age_range": "under_13"}, {"age_range": "8-12"}, {"age_range": "13-15"}, {"age_range": "13_15"}, {"age_range": 9}, {"yob": BORN},
    {"yob": str(BORN)}, {"age_range": "teens"}, {"age_range": "25-34", "yob": BORN}, {"age": 9}, {"age_group": "teens"},
]  # fmt: skip
ABROAD = [
    {"region": "DE-BE"}, {"region": "CA-QC"}, {"region": "FRA"}, {"country": "DEU"}, {"ip": BERLIN},
    {"ip": f"{BERLIN}:443"}, {"region": "CA"},
]  # fmt: skip
GROWN = [
    {"age_range": "25-34"}, {"age_range": "25_34"}, {"age_range": 34}, {"yob": 1988}, {"gender": "female"}, {"age_range": "65+"}, {"age_range": "unknown"}, {"age_group": "senior"},
    {"gender": 2}, {"birth_month": 7}, {"age_range": "NA"}, {"yob": "Jun 1, 1985"},
]  # fmt: skip
AT_HOME = [
    {"region": "TX"}, {"region": "US-TX"}, {"region": "Texas"}, {"country": "USA"}, {"country": "USA", "region": "TX"}, {"ip": TEXAN}, {"region": "501"},
    {"sales_region": "Midwest"}, {"time_zone": "America/Chicago"}, {"country": 840}, {"country": "U.S."}, {"state_fips": 48},
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        *((each, "age") for each in CHILDREN),
        *((each, "opt_in_required") for each in ABROAD),
        ({"region": "Bavaria"}, "place_unknown"),
        ({"country": 276}, "place_unknown"),
        ({"country": "276"}, "place_unknown"),
        ({"state_fips": "03"}, "place_unknown"),
    ],
    ids=repr,
)
async def test_what_the_data_says_of_age_and_place_is_heard(returning, data, reason):
    _, (told,), _ = await share(returning, said(**data))
    assert (told["outcome"], told["reason"]) == ("refused", reason)


@pytest.mark.parametrize("data", [*GROWN, *AT_HOME], ids=repr)
async def test_a_grown_ups_row_from_home_goes_on_as_before(returning, data):
    _, (told,), _ = await share(returning, said(**data))
    assert (told["outcome"], told["reason"], told["row"]["ad_id"]) == ("returned", "no_choice", gaid(1))


async def test_a_row_may_say_an_age_as_a_check_does(returning):
    for age, outcome in (
        (9, "refused"),
        ("13_15", "refused"),
        (34, "returned"),
        ("adult", "returned"),
        (None, "returned"),
    ):
        _, (told,), _ = await share(returning, said(1) | {"id": f"of {age}", "age": age})
        assert told["outcome"] == outcome, age
    _, (told,), _ = await share(returning, said(1, age_range="8-12") | {"id": "both", "age": 34})
    assert told["reason"] == "age"
    for wrong in (-1, 151, "young", 3.5):
        _, (told,), _ = await share(returning, said(1) | {"age": wrong})
        assert told["reason"] == "malformed", wrong


async def test_a_row_of_a_marylander_has_the_law_of_maryland(returning):
    """Which allows what Texas does to grown-ups, and is the place that is told."""
    _, (told,), _ = await share(returning, said(region="Maryland") | {"age": "16_17"})
    assert (told["outcome"], told["reason"]) == ("refused", "banned")


async def test_what_waits_to_be_a_file_and_what_is_in_it_hears_the_same(tmp_path):
    async with gateway(tmp_path, "files") as client:
        rows = one_that_goes_and_four_that_stay()
        _, told, _ = await share(client, *rows, **{"Gateway-Job": "night-1"})
        assert [line["outcome"] for line in told] == ["spooled", *["refused"] * 4]
        sealed = (await client.post("/v1/shares/teemo/jobs/night-1/seal")).json()
        assert sealed["rows"] == 1


async def test_rows_that_are_forwarded_without_end_hear_the_same(tmp_path, monkeypatch):
    left = []

    async def send(self, endpoint, key, rows, deadline, *, to):
        left.extend(each["ad_id"] for each in rows)
        return ForwardOutcome.SENT

    monkeypatch.setattr(Forwarder, "send", send)
    async with gateway(tmp_path, "forward") as client:
        rows = one_that_goes_and_four_that_stay()
        body = b"\n".join(json.dumps(each).encode() for each in rows)
        answer = await client.post("/v1/shares/teemo", content=body, headers=NDJSON | {"Prefer": "return=minimal"})
        assert answer.json()["summary"]["refused"] == {"age": 2, "opt_in_required": 2}
    assert left == [gaid(0)]
