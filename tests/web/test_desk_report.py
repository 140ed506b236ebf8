"""The year's report at the desk: a week of letters, calls, mails and agents with known days, and every number of it."""

import csv
import io
import re
import statistics
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import time_machine
from support.at_the_desk import comes_in, desk, lines
from support.days import today
from support.people import phone
from web.test_desk_requests import acts, takes_in

from gateway.desk.office.officers import DeskRole
from gateway.records.year_report import TITLES

pytestmark = pytest.mark.anyio
REPORT = "/desk/report"
YEAR = today().year + 1
# What is asked for, how it comes and from where, how many days before its answer, and why it is denied.
WEEK = [
    ("opt_out", "letter", "US-CA", 14, ""),
    ("opt_out", "phone", "US-CO", 1, ""),
    ("opt_out", "agent", "US-CA", 3, "no_permission"),
    ("opt_out", "letter", "US-CA", 5, "fraud"),
    ("limit", "email", "US-CA", 2, ""),
    ("limit", "letter", "CA-QC", 9, ""),
    ("know", "letter", "US-CO", 6, ""),
    ("know", "letter", "CA-ON", 7, "not_verified"),
    ("know", "phone", "US-CA", 31, "excessive"),
    ("know", "phone", "US-CA", 30, "not_ours"),
    ("delete", "email", "US-CO", 4, "exempt"),
    ("correct", "letter", "US-CA", 8, ""),
    ("correct", "agent", "US-CA", 2, "not_verified"),
]
HEADINGS = {"know": "access", "delete": "deletion", "correct": "correction"}


@pytest.fixture
def clock():
    """Noon of a day at the end of a January to come, so that letters of the year before come in too."""
    with time_machine.travel(datetime(YEAR, 1, 25, 12, tzinfo=UTC), tick=False) as travelled:
        yield travelled


async def a_week(folder, client, clock):
    """Each request is taken in and answered within these days; of each heading, by year, what was sent."""
    sent = {}
    for number, (kind, manner, place, days, denied) in enumerate(WEEK):
        clock.shift(timedelta(days=number % 2))
        cookie = await comes_in(folder, f"ada{number}")  # nobody's session outlives the night
        came = datetime.now(UTC) - timedelta(days=days)
        found = await takes_in(
            client, cookie, kind=kind, manner=manner, place=place, identifiers=phone(number), agent="Somebody",
            received=came.date().isoformat(),
        )  # fmt: skip
        done = {"action": "deny", "reason": denied} if denied else {"action": "comply"}
        assert (await acts(client, cookie, found.headers["location"], **done)).status_code == 303
        kept = denied if kind not in {"opt_out", "limit"} else ""  # a no that was entered holds, whatever is answered
        sent.setdefault((came.year, HEADINGS.get(kind, kind)), []).append((place, days, kept))
    return sent


def expected(sent, year, place=""):
    """The first cells of each line: received, complied with, denied, the median, and why."""
    found = {}
    for (of, heading), each in sent.items():
        here = [(days, why) for at, days, why in each if not place or place in {at, at.partition("-")[0]}]
        if of == year and here:
            why = [word for _, word in here if word]
            reasons = "; ".join(f"{word} {why.count(word)}" for word in sorted(set(why)))
            middle = round(statistics.median(days for days, _ in here), 2)
            numbers = len(here), len(here) - len(why), len(why), middle
            found[TITLES[heading]] = [*(f"{each:g}" for each in numbers), reasons]
    return found


def shown(page):
    """The same, as a page has it; of what nobody asked for, nothing."""
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page.text)
    cells = {name: [unescape(each) for each in re.findall(r"<td>(.*?)</td>", row)][:5] for name, row in rows}
    return {name: row for name, row in cells.items() if row[0] != "0"}


async def test_every_number_of_the_report_is_what_came_in_at_the_desk(folder, clock):
    async with desk(folder) as client:
        sent, cookie = await a_week(folder, client, clock), await comes_in(folder)
        assert {year for year, _ in sent} == {YEAR, YEAR - 1}
        for year in (YEAR, YEAR - 1):
            for place in ("", "US-CA", "US-CO", "CA"):
                asked = f"{REPORT}?year={year}&place={place}"
                page = await client.get(asked, headers=cookie)
                assert shown(page) == expected(sent, year, place), (year, place)
                alone = await client.get(f"{asked}&file=html", headers=cookie)
                assert shown(alone) == shown(page)
                told = (await client.get(f"{asked}&file=json", headers=cookie)).json()
                rows = csv.DictReader(io.StringIO((await client.get(f"{asked}&file=csv", headers=cookie)).text))
                for row in rows:
                    if row["request"] != "imported":
                        assert row["received"] == str(told[row["request"]]["received"])
                        assert expected(sent, year, place).get(TITLES[row["request"]], ["0"])[0] == row["received"]
        assert len(expected(sent, YEAR)) == 5
        assert "This year is not over" in (await client.get(REPORT, headers=cookie)).text
        assert "This year is not over" not in (await client.get(f"{REPORT}?year={YEAR - 1}", headers=cookie)).text
    assert "looked at the year's report" in {line["what"] for line in await lines(folder)}


async def test_a_file_of_the_report_is_saved_under_its_year_and_place_and_a_reader_may_have_it(folder):
    cookie = await comes_in(folder, "ron", DeskRole.READER)
    year = today().year
    async with desk(folder) as client:
        found = await client.get(f"{REPORT}?year={year}&place=US-CO&file=csv", headers=cookie)
    assert found.headers["content-disposition"] == f'attachment; filename="privacy-requests-{year}-US-CO.csv"'
    assert found.text.startswith("year,place,request,received")


async def test_a_year_of_which_nothing_was_counted_has_no_numbers(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        page = await client.get(f"{REPORT}?year=2018", headers=cookie)
    assert "Nothing of this year was counted" in page.text
    assert "<td>" not in page.text


@pytest.mark.parametrize(
    "asked", ["year=2017", "year=9999", "year=%D9%A2", "year=", "place=XX", "file=xml", "year=2e3"]
)
async def test_a_report_that_is_none_is_said_to_be_none(folder, asked):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        assert (await client.get(f"{REPORT}?{asked}", headers=cookie)).status_code == 404
