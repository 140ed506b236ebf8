"""The law of where somebody said that they are holds wherever they are met (R13): Oregon bans what New York lets go."""

import asyncio
import contextlib
import sqlite3

import pytest
from support import inside
from support.people import email, gaid, named

from gateway.app.composition import migrate, verify_ledger
from gateway.keys.api_keys import add_api_key
from gateway.ledger import schema
from gateway.ledger.side import read_side, records_within

pytestmark = pytest.mark.anyio
ME, ANN = named("gaid", gaid(1)), named("account", "ann")
OREGON, YORK = "US-OR", "US-NY"


async def grants(keyed, place, identifier=ME):
    """Both steps of a yes for teemo to a precise point."""
    proof, told = {"kind": "account", "assertion": "dev"}, (await keyed.get("/v1/self")).json()["notices"]
    [first], [second] = (
        [{"sha256": each["sha256"]} for each in told if each["kind"] == kind and each["language"] == "en"]
        for kind in ("opt-in", "confirm")
    )
    yes = {"choice": "opt_in", "purposes": ["sale"], "recipient": "teemo", "data": ["precise_geo"], "place": place}
    asked = await keyed.post("/v1/choices", json=yes | {"identifiers": [identifier], "proof": proof, "notice": first})
    act = {"choice": "confirm", "confirm": asked.json()["confirm"], "proof": proof, "notice": second}
    assert (await keyed.post("/v1/choices", json=act)).status_code == 201


async def limits(keyed, place, *whom):
    """A choice that denies none of what is asked for here."""
    body = {"identifiers": [*whom], "choice": "opt_out", "purposes": ["profiling"], "place": place}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201


async def point(keyed, place=YORK):
    ask = {"identifiers": [ME], "recipient": "teemo", "place": place, "data": ["precise_geo"]}
    answer = await keyed.post("/v1/check", json=ask)
    assert OREGON in place or OREGON not in answer.text, "nobody is told where somebody lives"
    return answer.json()["data"]["precise_geo"]


async def test_a_point_of_somebody_from_oregon_does_not_go_from_new_york(keyed):
    await grants(keyed, OREGON)
    assert await point(keyed) != "allow"


async def test_the_control_of_somebody_from_new_york_it_goes(keyed):
    await grants(keyed, YORK)
    assert await point(keyed) == "allow"


async def test_a_place_that_is_said_later_loosens_nothing(keyed):
    await grants(keyed, YORK)
    await limits(keyed, OREGON, ME)
    await limits(keyed, YORK, ME)
    assert await point(keyed) != "allow"


async def test_where_an_account_lives_everything_is_that_it_has(keyed):
    await grants(keyed, YORK)
    await limits(keyed, OREGON, ANN)
    assert await point(keyed) == "allow"
    link = {"account": "ann", "identifiers": [ME]}
    assert (await keyed.post("/v1/links", json=link)).status_code == 201
    assert await point(keyed) != "allow"


async def test_a_signal_says_where_its_request_came_from_and_not_where_anybody_lives(keyed):
    await grants(keyed, YORK)
    heard = {"identifiers": [ME], "place": OREGON, "signals": {"us_privacy": "1YNN"}}
    assert (await keyed.post("/v1/observe", json=heard)).status_code < 300
    told = {"identifiers": [ME], "choice": "opt_out", "purposes": ["profiling"], "place": OREGON, "source": "gpc"}
    assert (await keyed.post("/v1/choices", json=told)).status_code == 201
    assert await point(keyed) == "allow"


async def test_each_of_several_places_that_a_choice_names_holds(keyed):
    await grants(keyed, YORK)
    await limits(keyed, [YORK, OREGON], ME)
    assert await point(keyed) != "allow"


async def test_with_an_apps_key_nobody_says_where_somebody_lives(keyed, folder):
    key = await asyncio.to_thread(add_api_key, folder, "phones", ["choose"], publishable=True)
    await grants(keyed, YORK)
    body = {"identifiers": [ME], "choice": "opt_out", "purposes": ["profiling"], "place": OREGON}
    answer = await keyed.post("/v1/choices", json=body, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 201
    assert await point(keyed) == "allow"


@pytest.mark.parametrize(("stated", "place"), [({"state": "OR"}, OREGON), ({"country": "DE"}, "DE")])
async def test_a_form_says_it_of_its_browser_and_of_nobody_who_is_named_in_it(app, keyed, folder, stated, place):
    form = {"phone": "+1 415 555 0123", "email": email(1), "ad_id": gaid(1), "action": "opt_out"}
    async with inside.client(app) as visitor:
        assert (await visitor.post("/privacy-choices", data=form | stated)).status_code in {200, 303}
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        told = db.execute("SELECT d.kind, s.seq, s.packed FROM side s JOIN detail d ON d.seq = s.seq").fetchall()
    said = [(kind, each.said) for kind, seq, packed in told for each in records_within(seq, read_side(packed))]
    assert {kind for kind, each in said if getattr(each, "place", "") == place} == {"browser"}
    assert {"phone", "email", "gaid"} <= {kind for kind, _ in said}


async def test_a_yes_that_an_app_asks_for_says_where_its_law_was_asked_and_not_where_anybody_lives(keyed, folder):
    key = await asyncio.to_thread(add_api_key, folder, "phones", ["choose"], publishable=True)
    keyed.headers["Authorization"], server = f"Bearer {key}", keyed.headers["Authorization"]
    await grants(keyed, OREGON)
    keyed.headers["Authorization"] = server
    assert await point(keyed) == "allow"


@pytest.fixture
def lived(tmp_path):
    """The folder of somebody from Oregon, with a point that does not go."""
    folder = inside.install(tmp_path / "lived")

    async def lives():
        async with inside.application(folder) as app, inside.client(app, **inside.DEV) as keyed:
            await grants(keyed, OREGON)
            assert await point(keyed) != "allow"

    asyncio.run(lives())
    return folder


def test_a_ledger_is_taken_back_without_the_places_and_its_choices_hold(lived):
    def told():
        with contextlib.closing(sqlite3.connect(lived / schema.FILE)) as db:
            return [OREGON.encode() in packed for (packed,) in db.execute("SELECT packed FROM side WHERE entered")]

    assert any(told())
    assert schema.take_back(lived, schema.PLACES - 1) == schema.PLACES - 1
    assert not any(told())
    migrate(lived)


def test_verify_finds_that_a_place_was_taken_out_or_put_in(lived):
    assert verify_ledger(lived, inside.settings(), boxes=True)[0].different == []
    with contextlib.closing(sqlite3.connect(lived / schema.FILE, isolation_level=None)) as db:
        schema.leave_places_out(db)
    found = verify_ledger(lived, inside.settings(), boxes=True)[0].different
    assert any("do not open to what it commits to" in each for each in found)
