"""Whoever has what a no reaches is told of it, however and whenever it came to reach it; and by the rule that stops
their next row (11 CCR 7026(f), L38, R2, R3, R18, R27).
"""

import contextlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.people import GAID, email, gaid, named, phone

from gateway.choice import identity
from gateway.ledger.subjects import milliseconds

pytestmark = pytest.mark.anyio
PHONE, ME = named("phone", phone(1)), named("gaid", GAID)
PARTNER = """
[recipients.partner]
role = "third_party"
purposes = ["marketing_email"]
data = ["email_hash"]
contract = "C-1"
announced = 2024-06-25
fields = { email = { class = "email_hash", kind = "email" } }

[recipients.club]
role = "service_provider"
purposes = ["marketing_email"]
data = ["email_hash"]
fields = { email = { class = "email_hash", kind = "email" } }
"""


class Town:
    """The gateway. `now`: its clock."""

    def __init__(self, folder, client, now):
        self.folder, self.client, self.now = folder, client, now

    async def post(self, path, **body):
        answer = await self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer

    async def link(self, account, *identifiers):
        await self.post("/v1/links", account=account, identifiers=identifiers)

    async def opt_out(self, *identifiers, choice="opt_out", purposes=("all",)):
        await self.post("/v1/choices", identifiers=identifiers, choice=choice, purposes=purposes, place="US-CA")

    async def share(self, *identifiers, recipient="teemo", data=None):
        body = {"id": "r1", "identifiers": identifiers, "data": data or {"ad_id": GAID}, "place": "US-NY"}
        [line, *_] = (await self.post(f"/v1/shares/{recipient}", **body)).text.splitlines()
        told = json.loads(line)
        return told["reason"] if told["outcome"] == "refused" else told["outcome"]

    def rows(self, sql):
        with contextlib.closing(sqlite3.connect(f"file:{self.folder / 'ledger.sqlite3'}?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()

    def told(self):
        return self.rows("SELECT recipient, word FROM outbox ORDER BY recipient, word")


@pytest.fixture
async def town(tmp_path, folder):
    (tmp_path / "config.toml").write_text(PARTNER)
    now, settings = [datetime(2026, 11, 24, 12, 0, tzinfo=UTC)], inside.settings(tmp_path / "config.toml")
    async with (
        inside.application(folder, settings, clock=lambda: now[0]) as app,
        inside.client(app, **inside.DEV) as client,
    ):
        yield Town(folder, client, now)


# --- a no that a link carries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["shared", "opted out"])
async def test_who_has_the_ad_id_is_told_once_the_phone_that_said_no_is_the_accounts(town, first):
    await town.link("jane", ME)
    if first == "shared":
        assert await town.share(ME) == "returned"
    said = milliseconds(town.now[0])
    await town.opt_out(PHONE)
    town.now[0] += timedelta(hours=3)
    if first != "shared":
        assert await town.share(ME) == "returned"
    assert town.told() == []
    await town.link("jane", PHONE)
    assert town.told() == [("teemo", "opt_out")]
    assert town.rows("SELECT received, at FROM outbox") == [(said, milliseconds(town.now[0]))]
    await town.link("jane", PHONE, ME)
    await town.opt_out(PHONE)
    assert town.told() == [("teemo", "opt_out")], "nobody is told twice"


async def test_who_has_an_ad_id_is_told_once_it_is_the_accounts_that_said_no(town):
    await town.link("ann", ME)
    await town.share(ME)
    await town.opt_out(named("account", "jane"))
    await town.link("jane", ME)
    assert town.told() == [("teemo", "opt_out")]


async def test_who_has_the_ad_id_is_told_once_the_browser_that_said_no_signs_in(town):
    """Somebody opts out on the page signed out, and then signs in: no signal, and no further choice."""
    await town.link("jane", ME)
    await town.share(ME)
    form = {"action": "opt_out", "country": "US", "state": "CA"}
    posted = await town.client.post("/privacy-choices", data=form)
    browser = inside.kept(posted)["Cookie"].partition("=")[2].partition(";")[0]
    assert town.told() == []
    whom = [named("account", "jane"), named("browser", browser)]
    await town.post("/v1/observe", identifiers=whom, signals={}, place="US-CA")
    assert await town.share(ME) == "opted_out"
    assert town.told() == [("teemo", "opt_out")]


async def test_who_has_the_ad_id_is_told_once_two_that_said_no_together_are_linked_by_one_call(town):
    """What the one sent to the account is not what the account had denied before the other came."""
    await town.link("jane", ME)
    await town.share(ME)
    both = [PHONE, named("email", email(1))]
    await town.opt_out(*both)
    assert town.told() == []
    await town.link("jane", *both)
    assert await town.share(ME) == "opted_out"
    assert town.told() == [("teemo", "opt_out")]


async def test_nobody_is_told_of_a_link_of_whoever_said_nothing_or_took_it_back(town):
    await town.link("jane", ME)
    await town.share(ME)
    await town.link("jane", PHONE)
    await town.opt_out(named("email", email(1)), purposes=["marketing_email"])
    await town.link("jane", named("email", email(1)))
    assert town.told() == [], "of a no that does not stop it"


async def test_the_no_of_one_account_is_told_of_nothing_that_another_has(town):
    """A tablet of two: what ann said reaches the tablet and stops there (R12)."""
    theirs = named("gaid", gaid(2))
    await town.link("bob", theirs, ME)
    await town.share(theirs, data={"ad_id": theirs["value"]})
    await town.opt_out(named("account", "ann"))
    await town.link("ann", ME)
    assert await town.share(theirs, data={"ad_id": theirs["value"]}) != "opted_out"
    assert town.told() == []


async def test_who_has_the_ad_id_is_told_once_a_digest_that_said_no_is_known_to_be_the_accounts(town):
    """The account has the address by one digest, the no came by another; somebody names the address itself."""
    known = {kind: named(kind, value) for kind, value in identity.read_identifier("email", email(1)).names}
    await town.link("jane", ME, known["email_md5"])
    await town.share(ME)
    await town.opt_out(known["email_sha256"])
    assert town.told() == []
    await town.post("/v1/notices", identifiers=[named("email", email(1))], notice="privacy", outcome="sent")
    assert await town.share(ME) == "opted_out"
    assert town.told() == [("teemo", "opt_out")]


# --- the rule that stops is the rule that tells ----------------------------------------------------------------------


@pytest.mark.parametrize("purposes", [["sale"], ["all"]])
async def test_a_third_party_that_markets_for_the_operator_is_told_of_what_stops_it(town, purposes):
    mine = named("email", email(1))
    await town.link("jane", mine)
    for recipient in ("partner", "club"):
        assert await town.share(mine, recipient=recipient, data={"email": email(1)}) == "returned"
    await town.opt_out(mine, purposes=purposes)
    assert await town.share(mine, recipient="partner", data={"email": email(1)}) == "opted_out"
    assert await town.share(mine, recipient="club", data={"email": email(1)}) in {"returned", "duplicate"}
    assert town.told() == [("partner", "opt_out")], "whoever markets within the business goes on"
