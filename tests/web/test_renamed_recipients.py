"""Answers about a recipient whose name was in another registry: what is said of one later is on record by that name."""

import asyncio
import contextlib
import sqlite3
import time

import msgspec
import pytest
from support import inside
from support.handed import made as sealed_id
from support.people import GAID
from web.test_disclosures import _seen as seen  # noqa: F401 - a fixture
from web.test_disclosures import batch, check, opt_out, quick, received, report, said  # noqa: F401 - a fixture

from gateway.consent.decisions import Decision, Decisions, Stands

pytestmark = pytest.mark.anyio
OLD, NEW = "advertisers", "advertisers_inc"


@contextlib.asynccontextmanager
async def gateway(folder, *, renamed=False):
    """One whose registry calls a recipient by its old name, or by its new one."""
    settings = inside.settings()
    if renamed:
        others = {name: item for name, item in settings.recipients.items() if name != OLD}
        settings = msgspec.structs.replace(settings, recipients=others | {NEW: settings.recipients[OLD]})
    async with inside.application(folder, settings) as app, inside.client(app, **inside.DEV) as keyed:
        yield keyed


def told(folder) -> list[str]:
    """Whom a message waits for."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return [recipient for (recipient,) in db.execute("SELECT recipient FROM outbox")]


@pytest.mark.parametrize("members", [{}, {"will_send": True}])
@pytest.mark.parametrize("outcome", ["sent", "unknown"])
async def test_a_report_about_a_recipient_that_was_renamed_since_is_on_record_and_it_hears_of_an_opt_out(
    tmp_path, members, outcome
):
    folder = tmp_path / "data"
    async with gateway(folder) as keyed:
        decision = (await check(keyed, **members))["decision"]
        await batch()
    async with gateway(folder, renamed=True) as keyed:
        assert await report(keyed, said(decision, outcome)) == ["recorded"]
        assert await received(keyed) == {(OLD, outcome): 1}
        await opt_out(keyed)
    assert await asyncio.to_thread(told, folder) == [OLD]


async def test_a_report_about_a_renamed_recipient_says_that_it_was_not_sent(tmp_path):
    folder = tmp_path / "data"
    async with gateway(folder) as keyed:
        plain, announced = [(await check(keyed, will_send=send))["decision"] for send in (False, True)]
        await batch()
    async with gateway(folder, renamed=True) as keyed:
        lines = [said(each, "not_sent") for each in (plain, announced)]
        assert await report(keyed, *lines) == ["recorded"] * 2
        assert await received(keyed) == {}


async def test_what_was_sent_despite_a_no_to_a_renamed_recipient_is_on_record_by_its_name(tmp_path):
    folder = tmp_path / "data"
    async with gateway(folder) as keyed:
        await opt_out(keyed)
        decision = (await check(keyed))["decision"]
    async with gateway(folder, renamed=True) as keyed:
        assert await report(keyed, said(decision)) == ["denied"]
        assert await received(keyed) == {(OLD, "sent"): 1}


async def test_what_no_registry_ever_named_is_unknown_and_never_recorded(tmp_path):
    folder = tmp_path / "data"
    async with gateway(folder) as keyed:
        secrets = await asyncio.to_thread(inside.secrets)
        key, at = secrets.key(("gaid", GAID)), int(time.time())
        made = Decision(key, "gone", ("sale",), ("ad_id",), at, Stands.POSSIBLE, denied=False)
        decision = sealed_id(Decisions(secrets, ("gone",)), made)
        assert await report(keyed, said(decision), said(decision, "not_sent")) == ["unknown"] * 2
        assert await received(keyed) == {}
