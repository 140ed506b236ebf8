"""A week of an office: requests of every kind, with known days, by page, call and command. Every number of the year's
report is that of what was sent, in each of its forms.
"""

import asyncio
import contextlib
import csv
import io
import json
import statistics
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from click.testing import CliRunner
from support import inside
from support.days import today
from support.people import email, gaid, named, phone

from gateway.cli.root import group
from gateway.keys import api_keys, secret_files

pytestmark = pytest.mark.anyio
DATA, ERASE = "/privacy-choices/data", "/privacy-choices/erase"
NUMBERS = ("received", "complied", "denied", "median_days")


@pytest.fixture
def never_blocked():
    """Commands run here beside the service, each in a loop of its own that may wait for the disk."""


class Week:
    """Sends, and notes of each request what the report has to say: how many days it took, and why it was denied."""

    def __init__(self, folder, secret, keyed, client):
        self.folder, self.keyed, self.client = folder, keyed, client
        self.sent = defaultdict(list)
        self.imported = self.people = 0
        self.signed_in = lambda account: {
            "Gateway-Account": api_keys.assert_account(secret, account, int(time.time()) + 600)
        }

    def note(self, heading, days=0, denied="", year=None):
        at = datetime.now(UTC) - timedelta(days=days)
        self.sent[year or at.year, heading].append((days, denied))

    def somebody(self):
        self.people += 1
        return self.people

    async def run(self, *words, expected=0):
        done = await asyncio.to_thread(CliRunner().invoke, group, [*map(str, words), "--data", str(self.folder)])
        assert done.exit_code == expected, (words, done.output, done.exception)
        return done.output

    async def call(self, path, **body):
        answer = await self.keyed.post(path, json=body)
        assert answer.status_code in {200, 201}, answer.text
        return answer

    async def page(self, path, account="", /, **data):
        headers = {"Sec-Fetch-Site": "same-origin"} | (self.signed_in(account) if account else {})
        answer = await self.client.post(path, data=data, headers=headers)
        assert answer.status_code in {200, 303}, answer.text
        return answer

    # --- one request each, by its way ---

    async def form_opt_out(self):
        await self.page("/privacy-choices", action="opt_out", phone=phone(self.somebody()))
        self.note("opt_out")

    async def call_choice(self, choice, days):
        who = [named("phone", phone(self.somebody())), named("email", email(self.people))]
        await self.call("/v1/choices", identifiers=who, choice=choice, manner="letter", received_at=_ago(days))
        self.note(choice, days)

    async def command_choice(self, choice, days):
        await self.run(
            "choose", choice, "--email", email(self.somebody()), "--received", _ago(days)[:10], "--manner", "email"
        )
        self.note(choice, days + 0.5)  # a day is said without its hour, and it is noon

    async def signal(self):
        await self.call("/v1/observe", identifiers=[named("gaid", gaid(self.somebody()))], signals={"gpc": "1"})
        self.note("opt_out_signals")

    async def old_list(self):
        self.people += 2
        path = self.folder.parent / f"old{self.people}.csv"
        path.write_text(f"type,value\nphone,{phone(self.people - 1)}\nphone,{phone(self.people)}\n")
        await self.run("import", path)
        self.imported += 2

    async def call_erasure(self, mode, days):
        who = [named("email", email(self.somebody())), named("phone", phone(self.people))]
        await self.call("/v1/erasures", identifiers=who, mode=mode, manner="phone", received_at=_ago(days))
        self.note("deletion", days)

    async def command_erasure(self, mode, days):
        await self.run("erase", mode, "--email", email(self.somebody()), "--received", _ago(days)[:10])
        self.note("deletion", days + 0.5)

    async def page_erasure(self):
        await self.page(ERASE, f"account{self.somebody()}", action="erase", account="yes")
        self.note("deletion")

    async def call_access(self, days):
        who = [named("email", email(self.somebody()))]
        await self.call("/v1/access", identifiers=who, manner="agent", received_at=_ago(days))
        self.note("access", days)

    async def command_access(self, days):
        await self.run("access", "--email", email(self.somebody()), "--received", _ago(days)[:10], "--place", "US-CO")
        self.note("access", days)

    async def page_access(self):
        """Looked at, and then downloaded from what was shown: asked for once."""
        account = f"account{self.somebody()}"
        shown = await self.page(DATA, account, action="show")
        assert 'name="shown" value="yes"' in shown.text
        await self.page(DATA, account, action="download", shown="yes")
        self.note("access")

    async def office(self, heading, days, denied=""):
        words = ["--denied", denied] if denied else []
        await self.run("answered", heading, "--received", _ago(days)[:10], "--manner", "letter", *words)
        self.note(heading, days, denied)

    async def told(self, year):
        answer = await self.keyed.get(f"/v1/reports/{year}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def expected(self, year):
        """The numbers of each heading that anything was sent of."""
        return {
            heading: {
                "received": len(found),
                "complied": sum(not denied for _, denied in found),
                "denied": sum(bool(denied) for _, denied in found),
                "median_days": round(statistics.median(days for days, _ in found), 2),
            }
            for (of, heading), found in self.sent.items()
            if of == year
        }

    def why(self, year, heading):
        words = [denied for _, denied in self.sent[year, heading] if denied]
        return {word: words.count(word) for word in set(words)}


def _ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def clock():
    """Noon of the first day of a week of a January to come, so that letters of the year before come in too."""
    with time_machine.travel(datetime(today().year + 1, 1, 11, 12, tzinfo=UTC), tick=False) as travelled:
        yield travelled


@contextlib.asynccontextmanager
async def office(folder):
    async with (
        inside.application(folder) as app,
        inside.client(app, **inside.DEV) as keyed,
        inside.client(app) as other,
    ):
        secret = (await asyncio.to_thread(secret_files.load_secrets, folder)).accounts[-1]
        yield Week(folder, secret, keyed, other)


async def seven_days(week, clock):
    for number in range(7):
        clock.shift(timedelta(days=bool(number)))
        await week.form_opt_out()
        await week.signal()
        await week.call_choice("opt_out", number)
        await week.command_choice("limit", 2 * number)
        await week.call_access(3 * number)
        await week.page_access()
        await week.office("correction", number, "exempt" if number == 3 else "")
    await week.old_list()
    await week.command_choice("opt_out", 30)  # of December
    await week.call_choice("limit", 25)
    for mode in ("erase_details", "unlink", "child_found"):
        await week.call_erasure(mode, 4)
        await week.command_erasure(mode, 9)
    await week.page_erasure()
    await week.command_access(40)
    await week.office("access", 5, "not_verified")
    await week.office("access", 6, "excessive")
    await week.office("deletion", 2, "not_ours")
    await week.office("deletion", 45)
    await week.office("opt_out", 1, "fraud")
    await week.office("opt_out", 8, "no_permission")
    await week.office("limit", 3, "fraud")


async def test_every_number_of_the_report_is_what_was_sent_in_a_week(folder, clock):
    async with office(folder) as week:
        await seven_days(week, clock)
        year = today().year
        for of in (year, year - 1):
            told, expected = await week.told(of), week.expected(of)
            for heading, numbers in expected.items():
                assert {name: told[heading][name] for name in NUMBERS} == numbers, (of, heading)
                assert told[heading].get("denied_for", {}) == week.why(of, heading)
        assert set(week.expected(year)) == {
            "opt_out", "limit", "deletion", "access", "correction", "opt_out_signals"
        }  # fmt: skip
        assert set(week.expected(year - 1)) == {"opt_out", "limit", "access", "deletion"}
        told = await week.told(year)
        assert told["imported"] == week.imported == 2
        assert json.loads(await week.run("export", "report", year)) == told
        rows = csv.DictReader(io.StringIO(await week.run("export", "report", year, "--format", "csv")))
        told_in = {row["request"]: row["received"] for row in rows}
        assert told_in == {
            **{heading: str(numbers["received"]) for heading, numbers in week.expected(year).items()},
            "imported": "2",
        }
        lines = await week.run("export", "requests", "--from", f"{year}-01-01", "--to", f"{year}-12-31")
        listed = [json.loads(line) for line in lines.splitlines()]
        assert (
            sum(row.get("count", 1) for row in listed)
            == sum(len(found) for (of, _), found in week.sent.items() if of == year) + week.imported
        )


ONE_MORE = [
    ("opt_out", lambda week: week.form_opt_out()),
    ("opt_out", lambda week: week.call_choice("opt_out", 1)),
    ("limit", lambda week: week.command_choice("limit", 1)),
    ("opt_out_signals", lambda week: week.signal()),
    ("deletion", lambda week: week.call_erasure("unlink", 1)),
    ("deletion", lambda week: week.command_erasure("erase_details", 1)),
    ("deletion", lambda week: week.page_erasure()),
    ("access", lambda week: week.call_access(1)),
    ("access", lambda week: week.command_access(1)),
    ("access", lambda week: week.page_access()),
    ("correction", lambda week: week.office("correction", 1)),
    ("opt_out", lambda week: week.office("opt_out", 1, "fraud")),
]


@pytest.mark.usefixtures("clock")
async def test_the_control_one_request_more_by_any_way_is_seen(folder):
    async with office(folder) as week:
        year = today().year
        for heading, send in ONE_MORE:
            before = await week.told(year)
            await send(week)
            after = await week.told(year)
            grown = {
                name: after[name]["received"] - before.get(name, {"received": 0})["received"]
                for name in after
                if isinstance(after[name], dict) and "received" in after[name]
            }
            assert {name: more for name, more in grown.items() if more} == {heading: 1}


@pytest.mark.usefixtures("clock")
async def test_an_officer_who_looks_a_person_up_is_no_request_of_theirs(folder):
    """Who got what of somebody is asked by support too; a report that names nobody as proved is of nobody."""
    async with office(folder) as week:
        year = today().year
        who = [named("email", email(1))]
        await week.call("/v1/disclosures/query", question="received", identifiers=who)
        await week.page(DATA, action="show")
        assert (await week.told(year)).get("access", {"received": 0})["received"] == 0


@pytest.mark.parametrize("path", ["/v1/access", "/v1/erasures"])
@pytest.mark.parametrize(
    ("stated", "status"),
    [
        ({"received_at": "2999-01-01T00:00:00Z"}, 400),
        ({"received_at": 7}, 400),
        ({"received_at": "0001-01-01T00:00:00+14:00"}, 400),
        ({"received_at": "2017-12-31T23:59:59Z"}, 400),
        ({"manner": "pigeon"}, 400),
        ({"manner": []}, 400),
    ],
)
async def test_a_day_or_manner_that_is_none_is_refused_and_nothing_is_done(keyed, path, stated, status):
    mode = {"mode": "erase_details"} if path.endswith("erasures") else {}
    body = {"identifiers": [named("email", email(1))], **mode, **stated}
    answer = await keyed.post(path, json=body)
    assert answer.status_code == status, answer.text
    now = datetime.now(UTC).year
    assert (await keyed.get(f"/v1/reports/{now}")).json()["deletion"]["received"] == 0


@pytest.mark.parametrize("path", ["/v1/access", "/v1/erasures"])
@pytest.mark.parametrize("stated", [{"received_at": "2026-01-03T00:00:00Z"}, {"manner": "letter"}])
async def test_who_is_no_desk_says_neither_the_day_nor_the_manner(app, folder, path, stated):
    """Of their own request, which is made now: a day that they could say would be a day in somebody's numbers."""
    bearer = await asyncio.to_thread(api_keys.add_api_key, folder, "site", ["choose"], publishable=False)
    mode = {"mode": "erase_details"} if path.endswith("erasures") else {}
    async with inside.client(app, Authorization=f"Bearer {bearer}") as site:
        answer = await site.post(path, json={"identifiers": [named("email", email(1))], **mode, **stated})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (403, f"/{min(stated)}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["opt_out"], "gateway choose"),
        (["opt_out", "--denied", "exempt"], "fraud or no_permission"),
        (["access", "--denied", "fraud"], "not_verified"),
        (["correction", "--received", "2999-01-01"], "future"),
        (["correction", "--received", "0026-01-03"], "2018"),
        (["correction", "--received", "2026-01-03", "--on", "2026-01-02"], "after its request"),
        (["correction", "--on", "2999-01-01"], "after today"),
        (["correction", "--place", "Colorado"], "ISO 3166"),
    ],
)
def test_what_cannot_be_an_answer_is_not_counted(folder, words, says):
    done = CliRunner().invoke(group, ["answered", *words, "--data", str(folder)])
    assert (done.exit_code, says in done.output) == (2, True), done.output
