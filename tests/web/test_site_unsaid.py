"""What a site and a form do for an operator who has said nothing yet."""

import pytest
from support import inside
from support.people import named

from gateway.app.composition import open_house
from gateway.consent.site import what_may
from gateway.settings.load import load_settings

pytestmark = pytest.mark.anyio
TOLD = "[notice]\ntold_everyone = 2026-01-02\n"


def settings(tmp_path, more=""):
    (file := tmp_path / "config.toml").write_text(f'[site]\nname = "Example Shop"\n[age]\nfloor = 0\n{more}')
    return load_settings(file, {"GATEWAY_LISTEN__LEVEL_ANSWERS": "false"})


@pytest.mark.parametrize(("more", "may"), [("", False), (TOLD, True)])
def test_a_site_may_do_nothing_that_needs_a_notice_before_anybody_was_told(tmp_path, more, may):
    with open_house(inside.install(tmp_path / "data"), settings(tmp_path, more)) as house:
        office = house.consent.checks._office()
    allowed, _ = what_may(frozenset({"US-TX"}), frozenset(), (), None, office)
    assert set(allowed.values()) == {may}


@pytest.mark.parametrize("said", [{"state": "CA"}, {"country": "US"}])
async def test_a_number_on_the_form_is_read_in_the_country_or_state_that_stands_beside_it(tmp_path, said):
    async with inside.application(tmp_path / "data", settings(tmp_path)) as app, inside.client(app) as client:
        typed = {"action": "opt_out", "phone": "415-555-0101", **said}
        assert (await client.post("/privacy-choices", data=typed)).status_code == 303
        who = {"identifiers": [named("phone", "+14155550101")]}
        answer = await client.post("/v1/standing", json=who, headers=inside.DEV)
        assert answer.json()["standing"]["sale"] == "opted_out", answer.text


async def test_who_stops_everything_stops_what_is_not_offered_yet(tmp_path):
    async with inside.application(tmp_path / "data", settings(tmp_path)) as app, inside.client(app) as client:
        typed = {"action": "opt_out", "email": "me@example.com"}
        assert (await client.post("/privacy-choices/marketing", data=typed)).status_code == 303
        who = {"identifiers": [named("email", "me@example.com")]}
        answer = await client.post("/v1/standing", json=who, headers=inside.DEV)
    held = answer.json()["standing"]
    assert (held["cpni_marketing"], held["cpni_disclosure"]) == ("opted_out", "opted_out")
