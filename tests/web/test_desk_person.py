"""A person at the desk: found by what is pasted, shown without it, as of any day, and what the desk does for them."""

import asyncio
import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest
from support import inside
from support.at_the_desk import asks, carried, comes_in, desk, lines
from support.people import GAID, email, named, phone

from gateway.desk import access
from gateway.desk.office.desk_file import desk_file
from gateway.desk.office.officers import DeskRole
from gateway.web.desk import person

pytestmark = pytest.mark.anyio


@pytest.fixture
async def known(folder):
    """Somebody who said no by phone number, and whose ad id went to a recipient before."""
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
        link = {"identifiers": [named("phone", phone(1)), named("gaid", GAID)], "account": "a1"}
        assert (await client.post("/v1/links", json=link)).status_code == 201
        row = {"id": "r1", "identifiers": [named("gaid", GAID)], "data": {"ad_id": GAID}, "place": "US-CA"}
        assert (await client.post("/v1/shares/teemo", json=row)).status_code == 200
        no = {"choice": "opt_out", "identifiers": [named("phone", phone(1))], "place": "US-CA", "source": "letter"}
        assert (await client.post("/v1/choices", json=no)).status_code == 201
    return folder


async def check(folder, *who):
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
        body = {"identifiers": [named(*who)], "recipient": "advertisers", "purpose": "targeted_ads", "place": "US-CA"}
        return (await client.post("/v1/check", json=body)).json()["reason"]


async def test_a_person_is_found_by_what_is_pasted_and_it_is_shown_nowhere_again(known):
    cookie = await comes_in(known)
    async with desk(known) as client:
        page = await asks(client, cookie, identifiers=f"{phone(1)}\naccount = a1", action="look")
        assert page.status_code == 200
        assert "opted out" in page.text
        assert "<strong>teemo</strong>" in page.text
        assert "gateway receipt show" in page.text
        for raw in (phone(1), phone(1)[-7:], "a1\n", GAID):
            assert raw not in page.text
        assert phone(1) not in str(page.url)
        noted = await lines(known)
    assert [line["what"] for line in noted if "whom" in line] == ["looked somebody up"]
    assert phone(1)[-7:] not in json.dumps(noted)


async def test_an_account_is_called_what_the_operator_calls_it(known):
    cookie = await comes_in(known)
    async with desk(known) as client:
        page = await asks(client, cookie, identifiers="account = a1", action="look")
    assert "<p>Account:</p>" in page.text
    assert "%(" not in page.text


async def test_as_of_an_earlier_day_nothing_of_what_came_later_is_shown(known):
    cookie, before = await comes_in(known), (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    async with desk(known) as client:
        page = await asks(client, cookie, identifiers=phone(1), as_of=before)
        assert f"What held at the end of {before}" in page.text
        assert "opted out" not in page.text
        assert "teemo" not in page.text
        acts = re.findall(r'name="action" value="(\w+)"', page.text)
        assert acts == ["look", "pack"]  # nothing is done to somebody as they were
        said = {"person": carried(page), "sure": "yes", "action": "erase"}
        assert (await asks(client, cookie, **said)).status_code == 400
        assert "No marketing" in (await asks(client, cookie, **said | {"action": "marketing", "manner": "phone"})).text
        today = datetime.now(UTC).date().isoformat()
        assert "opted out" in (await asks(client, cookie, identifiers=phone(1), as_of=today)).text


def told_in(page) -> list[str]:
    section = page.text.partition("Who is told of what they said")[2].partition("</section>")[0]
    return re.findall(r"<strong>(\w+)</strong>: \w+", section)


async def test_whom_a_message_was_written_for_is_shown_and_not_before_its_day(known):
    cookie, before = await comes_in(known), (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    about = {"identifiers": f"{phone(1)}\naccount = a1\n{GAID}", "action": "look"}
    async with desk(known) as client:
        for day, told in (("", ["teemo"]), (before, [])):
            assert told_in(await asks(client, cookie, **about, as_of=day)) == told


async def test_who_was_told_again_since_a_day_is_missing_from_it_and_the_page_says_so(known):
    cookie, before = await comes_in(known), (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    async with desk(known) as client:
        for day, said in (("", False), (before, True)):
            page = await asks(client, cookie, identifiers=phone(1), as_of=day)
            assert ("told again since that day is not listed here" in page.text) == said


def test_whom_a_message_was_written_for_is_found_without_a_look_at_everybody_who_was_told(tmp_path):
    """Counted in steps of SQLite, which has one for each row at least."""
    db, steps = sqlite3.connect(tmp_path / "rows.db"), list[int]()
    schema = (resources.files("gateway") / "ledger" / "sql" / "ledger.sql").read_text()
    db.execute(re.search(r"CREATE TABLE informed .*?;", schema, re.DOTALL)[0])
    told = [(recipient, b"%d" % number, "opt_out", 1, 1) for recipient in ("a", "b") for number in range(2000)]
    db.executemany("INSERT INTO informed VALUES (?, ?, ?, ?, ?)", told)
    db.set_progress_handler(lambda: steps.append(1), 10)
    found = db.execute(access.INFORMED, (b"7", 1)).fetchall()
    assert [(recipient, word) for _, recipient, word, _ in found] == [("a", "opt_out"), ("b", "opt_out")]
    assert len(steps) < 30


async def test_whoever_has_a_phone_now_is_not_shown_who_was_told_of_its_last_owner(known):
    async with inside.application(known) as app, inside.client(app, **inside.DEV) as client:
        assert (await client.post("/v1/links", json={"identifiers": [named("gaid", GAID)], "account": "a2"})).is_success
    cookie = await comes_in(known)
    async with desk(known) as client:
        for account, told in (("a1", ["teemo"]), ("a2", [])):
            assert told_in(await asks(client, cookie, identifiers=f"account = {account}")) == told


async def test_whoever_is_not_known_is_shown_as_somebody_who_said_nothing(known):
    cookie = await comes_in(known)
    async with desk(known) as client:
        page = await asks(client, cookie, identifiers=email(99))
        assert page.status_code == 200
        assert "nothing was chosen" in page.text


@pytest.mark.parametrize("lines_", ["", "   ", "12x", f"{phone(1)}\n12x", "x = y", "a" * 9000, "\x00"])
async def test_what_cannot_be_read_looks_nobody_up(known, lines_):
    cookie = await comes_in(known)
    async with desk(known) as client:
        found = await asks(client, cookie, identifiers=lines_)
        assert found.status_code == 422
        assert "opted out" not in found.text
    assert [line for line in await lines(known) if "whom" in line] == []


async def test_an_officer_looks_up_so_many_people_an_hour_and_no_more(known, monkeypatch):
    monkeypatch.setattr(person, "LOOKUPS_AN_HOUR", 2)
    cookie, other = await comes_in(known), await comes_in(known, "ben")
    async with desk(known) as client:
        answers = [(await asks(client, cookie, identifiers=email(n))).status_code for n in range(3)]
        assert answers == [200, 200, 403]
        assert (await asks(client, other, identifiers=email(1))).status_code == 200
        await asyncio.to_thread(_an_hour_passes, known)
        assert (await asks(client, cookie, identifiers=email(1))).status_code == 200


async def test_each_identifier_of_a_look_up_counts_and_looks_at_once_do_not_pass_the_limit(known, monkeypatch):
    monkeypatch.setattr(person, "LOOKUPS_AN_HOUR", 3)
    cookie, other = await comes_in(known), await comes_in(known, "ben")
    async with desk(known) as client:
        many = "\n".join(map(email, range(4)))
        assert (await asks(client, cookie, identifiers=many)).status_code == 403
        answers = await asyncio.gather(*(asks(client, other, identifiers=email(n)) for n in range(8)))
        assert sorted(each.status_code for each in answers) == [200] * 3 + [403] * 5


async def test_nothing_is_done_for_somebody_who_was_not_looked_up(known):
    cookie = await comes_in(known)
    async with desk(known) as client:
        for act in ("erase", "unlink", "child", "marketing", "age"):
            said = {"action": act, "sure": "yes", "age": "13_15", "manner": "phone"}
            assert (await asks(client, cookie, identifiers=phone(1), **said)).status_code == 400
    assert await check(known, "phone", phone(1)) == "opted_out"


async def test_of_two_identifiers_of_a_kind_each_is_shown_as_it_stands(known):
    cookie = await comes_in(known)
    async with desk(known) as client:
        page = await asks(client, cookie, identifiers=f"{phone(1)}\n{phone(2)}")
        assert "opted out" in page.text.partition("What was said")[0]
        assert "nothing was chosen" in page.text
        assert "all 2 lines are theirs" in page.text


def _an_hour_passes(folder):
    with desk_file(folder) as db:
        db.execute("UPDATE lookup SET at = at - 3600001")


@pytest.mark.parametrize(("act", "left"), [("erase", "opted_out"), ("child", "age")])
async def test_what_is_done_for_a_person_is_an_entry_and_a_no_outlives_it(known, act, left):
    cookie = await comes_in(known)
    async with desk(known) as client:
        held = carried(await asks(client, cookie, identifiers=phone(1)))
        unsure = await asks(client, cookie, person=held, action=act)
        assert unsure.status_code == 400
        done = await asks(client, cookie, person=held, action=act, sure="yes")
        assert "Done: " in done.text
        assert re.search(r"Entry \d+, event [\w-]{22}", done.text)
    assert await check(known, "phone", phone(1)) == left
    assert f"person: {act}" in [line["what"] for line in await lines(known)]


async def test_an_age_and_an_end_of_marketing_are_said_at_the_desk(known):
    cookie = await comes_in(known)
    async with desk(known) as client:
        held = carried(await asks(client, cookie, identifiers=email(3)))
        assert (
            "No marketing any more"
            in (await asks(client, cookie, person=held, action="marketing", manner="phone")).text
        )
        held = carried(await asks(client, cookie, identifiers="account = a1"))
        aged = await asks(client, cookie, person=held, action="age", age="13_15", sure="yes")
        assert "that was news of 1" in aged.text
        for wrong in (
            {"action": "age", "age": "old"},
            {"action": "age", "age": ""},
            {"action": "made-up"},
            {"action": "marketing", "manner": "pigeon"},
        ):
            assert (await asks(client, cookie, person=held, sure="yes", **wrong)).status_code == 400
    assert await check(known, "account", "a1") == "age"


async def test_a_reader_looks_and_does_nothing(known):
    cookie = await comes_in(known, "aud", DeskRole.READER)
    async with desk(known) as client:
        page = await asks(client, cookie, identifiers=phone(1))
        assert "opted out" in page.text
        assert 'name="person"' not in page.text
        for act in ("erase", "unlink", "child", "marketing", "age"):
            done = await asks(client, cookie, identifiers=phone(1), action=act, sure="yes", age="13_15")
            assert done.status_code == 403


async def test_what_another_session_looked_up_is_good_in_that_one_alone(known):
    mine, other = await comes_in(known), await comes_in(known, "ben")
    async with desk(known) as client:
        held = carried(await asks(client, mine, identifiers=phone(1)))
        for made in (held, "made-up", "A" * 100):
            assert (await asks(client, other, person=made, action="erase", sure="yes")).status_code == 403
        assert (await asks(client, mine, person=held, action="erase", sure="yes")).status_code == 200
