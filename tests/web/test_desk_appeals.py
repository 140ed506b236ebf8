"""Appeals at the desk: on record with what came of them, on the first page while they are open, and no date that is not
known."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest
from support.at_the_desk import comes_in, desk, lines
from support.days import today
from support.people import email
from web.test_desk_requests import acts, takes_in

from gateway.choice.place import STATES
from gateway.delivery.deadlines import Calendar
from gateway.desk.office import request_law
from gateway.desk.office.cases import Appeals
from gateway.desk.office.request_law import TABLE, appeal_law_of
from gateway.ledger.errors import StoreUnavailable
from gateway.records.year_report import yearly_report
from gateway.web.desk.appeal_page import LETTERS

pytestmark = pytest.mark.anyio
APPEAL = "/desk/appeals/1"
ROWS = {
    "appeal": [
        {"place": "US-XA", "from": date(2020, 1, 1), "citation": "X 1", "answer": {"days": 45}},
        {"place": "US-XA", "from": date(2025, 1, 1), "citation": "X 2", "answer": {"days": 60}},
        {"place": "US", "from": date(2020, 1, 1), "citation": "U 1"},
    ]
}


async def denied_case(client, cookie, **fields):
    said = {"kind": "know", "place": "US-CO", "identifiers": email(1), **fields}
    path = (await takes_in(client, cookie, **said)).headers["location"]
    reason = "fraud" if said["kind"] == "opt_out" else "not_ours"
    assert (await acts(client, cookie, path, action="deny", reason=reason)).status_code == 303
    return path


@pytest.mark.parametrize(("outcome", "place"), [("granted", "US-CO"), ("refused", "US-VA"), ("refused", "")])
async def test_an_appeal_is_on_the_first_page_until_it_is_answered_and_no_day_is_made_up_for_it(folder, outcome, place):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = await denied_case(client, cookie, place=place)
        assert APPEAL in (await client.get(path, headers=cookie)).text
        assert "not known here" in (await client.get(APPEAL, headers=cookie)).text
        assert (await acts(client, cookie, APPEAL, action="made", received=str(today()))).status_code == 303
        first = (await client.get("/desk", headers=cookie)).text
        assert "Answer the appeal of case 1" in first
        assert f"came {today()}, by when is not known here" in first
        assert (await acts(client, cookie, APPEAL, action=outcome)).status_code == 303
        page = (await client.get(APPEAL, headers=cookie)).text
        assert f"was answered on {today()}: <strong>{outcome}</strong>" in page
        letters = LETTERS[outcome].values()
        assert [text.format(received=today(), answered=today(), number=1) in unescape(page) for text in letters] == [
            True
        ] * 3
        assert "Answer the appeal" not in (await client.get("/desk", headers=cookie)).text
    told = [(line["what"], line.get("case")) for line in await lines(folder)]
    assert [each for each in told if each[0].startswith("appeal:")] == [
        ("appeal: made", "1"),
        (f"appeal: {outcome}", "1"),
    ]
    assert ("looked at an appeal", "1") in told
    assert ("looked at an appeal", None) not in told


async def test_where_the_law_is_known_an_appeal_has_its_day(folder, monkeypatch):
    monkeypatch.setitem(TABLE, "appeal", [{**ROWS["appeal"][1], "place": "US-CO", "authority": "Office X"}])
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        await denied_case(client, cookie)
        await acts(client, cookie, APPEAL, action="made", received=str(today()))
        page, first = [(await client.get(path, headers=cookie)).text for path in (APPEAL, "/desk")]
    last = request_law.last_of(request_law.appeal_law_of("US-CO", today()).answer, datetime.now(UTC), Calendar()).date()
    assert f"has to be answered by {last}" in page
    assert "not known here" not in page
    assert f"the law’s {last}" in first


async def test_of_a_case_with_an_entry_the_years_report_counts_the_appeal(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        await denied_case(client, cookie, kind="opt_out")
        for action in ("made", "granted"):
            assert (await acts(client, cookie, APPEAL, action=action, received=str(today()))).status_code == 303
    report = await asyncio.to_thread(yearly_report, folder, today().year)
    assert report["opt_out"]["appeals"] == {"made": 1, "granted": 1}


async def test_of_two_officers_who_answer_at_once_the_desk_and_the_report_have_the_same_one(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        await denied_case(client, cookie, kind="opt_out")
        for words in (("made", "made"), ("granted", "refused", "granted", "refused")):
            await asyncio.gather(*[acts(client, cookie, APPEAL, action=each, received=str(today())) for each in words])
        page = (await client.get(APPEAL, headers=cookie)).text
    report = await asyncio.to_thread(yearly_report, folder, today().year)
    (outcome,) = set(report["opt_out"]["appeals"]) - {"made"}
    assert f"was answered on {today()}: <strong>{outcome}</strong>" in page


async def test_a_word_on_an_appeal_that_was_cut_off_between_its_entry_and_the_desk_is_entered_once(folder, monkeypatch):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        await denied_case(client, cookie, kind="opt_out")
        await acts(client, cookie, APPEAL, action="made", received=str(today()))
        with monkeypatch.context() as patched:
            patched.setattr(Appeals, "answer_appeal", _cut_off)
            assert (await acts(client, cookie, APPEAL, action="granted")).status_code == 503
        assert (await acts(client, cookie, APPEAL, action="refused")).status_code == 303
        page = (await client.get(APPEAL, headers=cookie)).text
    report = await asyncio.to_thread(yearly_report, folder, today().year)
    assert report["opt_out"]["appeals"] == {"made": 1, "granted": 1}
    assert f"was answered on {today()}: <strong>granted</strong>" in page


def _cut_off(*_):
    raise StoreUnavailable("cut off")


async def test_what_is_no_appeal_is_refused_and_changes_nothing(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, kind="know", identifiers=email(1))).headers["location"]
        assert (await client.get(APPEAL, headers=cookie)).status_code == 400  # it is not answered
        assert (await client.get("/desk/appeals/2", headers=cookie)).status_code == 404
        await acts(client, cookie, path, action="deny", reason="exempt")
        early = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
        for wrong in (
            {"action": "granted"}, {"action": "made", "received": early}, {"action": "made", "received": "2199-01-01"},
            {"action": "made", "received": "x"}, {"action": "made", "received": "0001-01-01"}, {"action": "made-up"},
        ):  # fmt: skip
            assert (await acts(client, cookie, APPEAL, **wrong)).status_code == 400
        assert "No appeal came" in (await client.get(APPEAL, headers=cookie)).text
        await acts(client, cookie, APPEAL, action="made", received=str(today()))
        assert (await acts(client, cookie, path, action="letter")).status_code == 400
        assert "No appeal came" not in (await client.get(APPEAL, headers=cookie)).text


@pytest.mark.parametrize(
    ("place", "outcome", "said"),
    [
        ("US-IA", "refused", True), ("US-IA", "granted", False), ("US-OR", "refused", False), ("US-VA", "refused", False),
    ],
)  # fmt: skip
async def test_the_letter_of_a_refusal_names_whom_the_person_may_turn_to_where_that_is_known(
    folder, place, outcome, said
):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        await denied_case(client, cookie, place=place)
        await acts(client, cookie, APPEAL, action="made", received=str(today()))
        before = (await client.get(APPEAL, headers=cookie)).text
        await acts(client, cookie, APPEAL, action=outcome)
        page = (await client.get(APPEAL, headers=cookie)).text
    known = place == "US-IA"
    assert ("is <strong>not known here</strong>" in before) is not known
    assert ("may complain to the Iowa Attorney General" in before) is known
    for words in LETTERS["complain"].values():
        assert (words.format(authority="Iowa Attorney General") in unescape(page)) is said
    assert ("whom the person may turn to where they live" in page) is (outcome == "refused" and not known)


# what was read: (from, days, by when one of noon on 2 March 2026 is answered, whom the person may turn to)
READ = {
    "US-OR": (date(2024, 7, 1), 45, date(2026, 4, 16), ""),
    "US-IA": (date(2025, 1, 1), 60, date(2026, 5, 1), "Iowa Attorney General"),
    "US-NE": (date(2025, 1, 1), 60, date(2026, 5, 1), "Nebraska Attorney General"),
    "US-KY": (date(2026, 1, 1), 60, date(2026, 5, 1), "Kentucky Attorney General"),
}


@pytest.mark.parametrize("place", READ)
def test_the_states_whose_law_was_read_have_its_span_from_its_day(place):
    since, days, last, authority = READ[place]
    law = appeal_law_of(place, since)
    assert appeal_law_of(place, since - timedelta(days=1)) is None
    assert (dict(law.answer), law.authority) == ({"days": days}, authority)
    assert request_law.last_of(law.answer, datetime(2026, 3, 2, 13, tzinfo=UTC), Calendar()).date() == last


def test_of_every_other_place_no_span_is_known():
    others = {f"US-{state}" for state in STATES} | {"", "US", "DE", "CA-QC"}
    known = {place for place in others if (law := appeal_law_of(place, date(2026, 11, 29))) and law.answer}
    assert known == set(READ)
    assert {row["place"] for row in TABLE["appeal"]} == {*READ, "US-CO"}


@pytest.mark.parametrize(
    ("place", "on", "found"),
    [
        ("US-XA", date(2024, 12, 31), "X 1"), ("US-XA", date(2025, 1, 1), "X 2"), ("US-XA", date(2019, 1, 1), None),
        ("US-XB", date(2025, 1, 1), "U 1"), ("DE", date(2025, 1, 1), None), ("", date(2025, 1, 1), None),
    ],
)  # fmt: skip
def test_the_law_of_appeals_is_that_of_the_narrowest_place_on_its_day(place, on, found):
    law = appeal_law_of(place, on, ROWS)
    assert (law and law.citation) == found
    came = datetime(2025, 3, 1, 12, tzinfo=UTC)
    days = {"X 1": 45, "X 2": 60}.get(found)
    if law:
        last = request_law.last_of(law.answer, came, Calendar())
        assert (last and last.date()) == (days and (came + timedelta(days=days)).date())
