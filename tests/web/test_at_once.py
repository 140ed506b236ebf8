"""The middleware remembers answers for a moment. What a person decides holds in the very next request all the same."""

import subprocess
import sys

import pytest
from support import inside
from support.door import Door

from gateway.app.composition import open_house
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, ChoiceKind
from gateway.web.shell import header_names

pytestmark = pytest.mark.anyio
ALL_NO = f"{', '.join(f'{purpose}=?0' for purpose in SIGNAL_PURPOSES)}, status=honored"
ALL_YES = f"{', '.join(f'{purpose}=?1' for purpose in SIGNAL_PURPOSES)}, status=none"


async def opt_out(door, browser):
    choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", door.house.consent.clock())
    return await door.house.consent.choose([door.house.consent.people.browser(browser.hex())], choice)


async def warmed(door, browser):
    """A browser that is known and has opted out of nothing, asked about until the answer is remembered."""
    cookie = door.sealed(denied=frozenset(), browser=browser)
    for _ in range(3):
        await door.get(cookie=cookie)
        assert door.site.consent == ALL_YES
    return cookie


async def holds_at_once(house, browsers):
    """Each opts out after it was just asked about, and is out in its next request."""
    door = Door(house)
    for number in range(browsers):
        browser = bytes([number + 1]) * 16
        cookie = await warmed(door, browser)
        await opt_out(door, browser)
        await door.get(cookie=cookie)
        assert door.site.consent == ALL_NO


async def test_an_acknowledged_opt_out_holds_in_the_next_request_of_a_browser_that_was_just_asked_about(house):
    await holds_at_once(house, 20)


async def test_a_memory_that_nothing_puts_out_of_date_would_break_that_promise(house):
    """Control: without the mark of what was written the test above fails."""
    door, browser = Door(house), bytes([7]) * 16
    door.visits._version = lambda: "the same for ever"
    cookie = await warmed(door, browser)
    await opt_out(door, browser)
    await door.get(cookie=cookie)
    assert door.site.consent == ALL_YES


@pytest.mark.slow
async def test_an_opt_out_that_another_process_wrote_holds_in_the_next_request_too(house, folder):
    door, browser = Door(house), bytes([9]) * 16
    cookie = await warmed(door, browser)
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom gateway.app.composition import open_house\n"
        "from gateway.settings.load import example_file, load_settings\n"
        "from gateway.ledger.subjects import Choice\nfrom gateway.terms import ALL_PURPOSES, ChoiceKind\n"
        "async def main(consent):\n"
        "    choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, 'form', consent.clock())\n"
        "    await consent.choose([consent.people.browser(sys.argv[2])], choice)\n"
        "with open_house(Path(sys.argv[1]), load_settings(example_file(), {}), dev=True) as house:\n"
        "    asyncio.run(main(house.consent))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder), browser.hex()], check=True, timeout=60)
    await door.get(cookie=cookie)
    assert door.site.consent == ALL_NO


async def test_a_signed_in_person_who_opted_out_elsewhere_is_out_in_the_next_request(house):
    door = Door(house, account=lambda _: "a1")
    for _ in range(3):
        await door.get()
    assert door.site.consent == ALL_YES
    choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", house.consent.clock())
    await house.consent.choose([house.consent.people.account("a1")], choice)
    await door.get()
    assert door.site.consent == ALL_NO


async def test_what_is_remembered_of_one_visitor_is_never_told_another(house):
    door = Door(house)
    out, said_nothing = door.sealed(), door.sealed(denied=frozenset())
    for _ in range(3):
        for cookie, consent in ((out, ALL_NO), (said_nothing, ALL_YES), ("usprivacy=1YYN", ALL_NO), ("a=b", ALL_YES)):
            await door.get(cookie=cookie)
            assert door.site.consent == consent, cookie


async def test_two_visitors_who_say_nothing_in_two_places_get_two_answers(house):
    where = iter(["US-CA", None, "US-CA", ["US-CA", "DE"], "DE", None, {"no": "place"}])
    door = Door(house)
    door.visits._visitors._place = lambda _: next(where)
    told = []
    for _ in range(7):
        await door.get()
        told.append((*door.site.got("gateway-place"), door.site.consent.rpartition("=")[2], "?1" in door.site.consent))
    assert told[0] == told[2] == ("US-CA", "none", True)
    assert told[1] == told[5] == ("unknown", "none", False)
    assert [place for place, *_ in told[3:5]] == ["DE,US-CA", "DE"]
    assert not any(may for *_, may in told[3:])


async def test_the_law_of_the_day_reaches_visitors_who_say_nothing_within_half_a_second(house):
    """The answer to nobody is kept until the next proof that the ledger may be trusted."""
    door = Door(house)
    await door.get()
    assert door.visits._nobodys
    kept = dict(door.visits._nobodys)
    door.visits._prove = lambda: -1.0  # another proof
    await door.get()
    assert not {id(visit) for _, visit in kept.values()} & {id(visit) for _, visit in door.visits._nobodys.values()}


def test_no_header_that_means_something_is_taken_for_an_ordinary_one():
    for names in (header_names.ORDINARY_REQUEST, header_names.ORDINARY_ANSWER):
        assert not [name for name in names if header_names.is_ours(name)]
        assert all(name == name.lower() for name in names)
    assert not header_names.ORDINARY_REQUEST & header_names.READ


async def test_headers_that_are_not_ordinary_pass_as_they_came(house):
    door = Door(house)
    await door.send([("X-Own", "1"), ("Gatewayish", "2"), ("Accept", "text/html")])
    assert (door.site.got("x-own"), door.site.got("gatewayish")) == (["1"], ["2"])


@pytest.mark.parametrize("cookie", ["__Host-gateway-code=x", "__Host-gateway-proof=y"])
async def test_no_sealed_cookie_of_ours_reaches_the_site(house, cookie):
    door = Door(house)
    await door.get(cookie=f"a=1; {cookie}; b=2")
    assert door.site.got("cookie") == ["a=1; b=2"]


async def test_the_same_holds_where_another_process_keeps_the_state_too(folder):
    with open_house(folder, inside.settings(), dev=True) as house, open_house(folder, inside.settings(), dev=True):
        await holds_at_once(house, 5)
