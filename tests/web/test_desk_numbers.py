"""The desk's numbers: each plot draws what is on record, with its table, and draws nothing that is not."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.at_the_desk import comes_in, desk
from support.people import named, phone

from gateway.app.composition import open_house
from gateway.desk.evidence import DAILY, Period, note_period
from gateway.desk.office.cases import COMPLIED, Cases
from gateway.desk.office.desk_file import desk_file
from gateway.desk.office.request_law import RequestKind

pytestmark = pytest.mark.anyio
NUMBERS = "/desk/numbers"
NOW = datetime.now(UTC)
YESTERDAY = datetime.combine((NOW - timedelta(days=1)).date(), datetime.min.time(), UTC)


def counts(folder, *periods):
    """Enters what stretches of time counted."""
    with open_house(folder, inside.settings(), dev=True) as house:
        for event, kind, start, counted in periods:
            period = Period(event * 16, "run", kind, start, start + timedelta(hours=1), counted)
            house.writer.submit(lambda tx, period=period: note_period(tx, period, [], NOW)).result(60)


async def numbers(folder, query=""):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        return await client.get(NUMBERS + query, headers=cookie)


def rows(page, heading) -> dict[str, str]:
    """What the tables below a heading say, the first number by its row."""
    section = re.search(rf"<h2[^>]*>{heading}</h2>(.*?)</section>", page.text, re.DOTALL)[1]
    return dict(re.findall(r'<th scope="row">([^<]*)</th><td class="number">([^<]*)</td>', section))


async def test_signals_and_denies_of_the_days_are_added_up_and_dry_runs_are_not_denies(folder):
    decisions = {"teemo false opted_out": 30, "teemo true allowed": 99, "criteo false opted_out dry_run": 44,
                 "criteo false no_contract": 12, "an ad server false no_contract": 11}  # fmt: skip
    said = (b"1", DAILY, YESTERDAY, {"signals": {"web gpc": 60, "check gpc": 15}, "decisions": decisions})
    more = (b"2", DAILY, YESTERDAY - timedelta(days=1), {"signals": {"web usprivacy": 25}})
    old = (b"4", DAILY, YESTERDAY - timedelta(days=31), {"signals": {"web gpc": 700}})
    await asyncio.to_thread(counts, folder, said, more, old)
    page = await numbers(folder)
    assert sorted(rows(page, "Signals by kind").values()) == ["25", "75"]
    assert rows(page, "Denies by recipient") == {"teemo": "30", "criteo": "12", "an ad server": "11"}
    assert sorted(rows(page, "Denies by reason").values()) == ["23", "30"]
    shares = rows(page, "Share of Global Privacy Control")
    assert shares[YESTERDAY.date().isoformat()] == "100 %"
    assert shares[(YESTERDAY - timedelta(days=1)).date().isoformat()] == "0 %"
    assert shares[(YESTERDAY - timedelta(days=2)).date().isoformat()] == "–"  # nothing was heard: no share of it
    longer = await numbers(folder, "?days=90")
    assert sorted(rows(longer, "Signals by kind").values()) == ["25", "775"]


async def test_fewer_than_ten_are_told_without_a_number_and_never_as_none(folder):
    await asyncio.to_thread(counts, folder, (b"1", DAILY, YESTERDAY, {"signals": {"web gpc": 60, "web usprivacy": 3}}))
    page = await numbers(folder)
    assert list(rows(page, "Signals by kind").values()) == ["60"]
    assert page.text.count("fewer than ten more were counted") == 1


async def test_opt_outs_are_counted_by_source_and_day_a_letter_too(folder):
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
        for at, source in enumerate(("letter", "letter", "phone")):
            no = {"choice": "opt_out", "identifiers": [named("phone", phone(at))], "place": "US-CA", "source": source}
            assert (await client.post("/v1/choices", json=no)).status_code == 201
    page = await numbers(folder)
    section = re.search(r"<h2[^>]*>Opt-outs by source and day</h2>(.*?)</section>", page.text, re.DOTALL)[1]
    heads = re.findall(r'<th scope="col">([^<]*)</th>', section)[1:]
    (today,) = re.findall(rf"{datetime.now(UTC).date()}</th>(.*?)</tr>", section)
    assert dict(zip(heads, re.findall(r">([^<]+)</td>", today), strict=True)) == {"letter": "2", "phone call": "1"}
    assert len(re.findall(r"<rect", section)) == 2
    assert "opt-outs with those of today" in page.text


async def test_an_answer_in_time_one_too_late_and_one_that_is_past_due_are_told_apart(folder):
    def cases():
        kept = Cases(folder, inside.secrets().desk, lambda: datetime.now(UTC))
        for back, outcome in ((3, COMPLIED), (200, COMPLIED), (200, ""), (2, "")):
            number = kept.open_case(NOW - timedelta(days=back), RequestKind.DELETE, "US-CA", "letter", {})
            if outcome:
                kept.answer_case(number, outcome)
        gone = kept.open_case(NOW - timedelta(days=400), RequestKind.DELETE, "US-CA", "letter", {})
        kept.answer_case(gone, COMPLIED)
        with desk_file(folder) as db:  # answered before the days that are shown
            db.execute("UPDATE request SET answered = answered - 35 * 86400000 WHERE number = ?", (gone,))

    await asyncio.to_thread(cases)
    found = rows(await numbers(folder), "Deadlines kept")
    assert found == {"answered in time": "1", "answered late": "1", "open and past due": "1"}


async def test_what_is_not_on_record_is_said_to_be_absent_and_a_strange_span_is_the_usual_one(folder):
    page = await numbers(folder, "?days=99999999999999")
    assert page.status_code == 200
    assert "Numbers of the last 30 days" in page.text
    assert "<rect" not in page.text
    assert "there is no entry with counts" in page.text
