"""Shadow mode: what enforcement would deny is counted; nobody who said no is left alone, no answer is another one, and no
row leaves.
"""

import asyncio
import json
import time as clock
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
import time_machine
from choice import test_law
from click.testing import CliRunner
from support import inside
from support.days import today
from support.people import gaid, named
from web.test_share import PATH, disclosed, linked, opt_out, row, share  # noqa: F401 - a fixture

from gateway.app.composition import open_house
from gateway.choice.standing import Standing, out_bits
from gateway.cli.root import group
from gateway.consent import shadow, site
from gateway.consent.shadow import Shadow
from gateway.keys import api_keys
from gateway.rehearsal import stage
from gateway.settings import load
from gateway.settings.load import SettingsRefused
from gateway.signals.heard import Heard
from gateway.terms import Purpose, Reason
from gateway.web.site import visit

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("noon")]
POLICY = "content-security-policy"
GPC = {"Sec-GPC": "1"}
GERMANY, NEW_YORK, NOWHERE = {"X-Place": "DE"}, {"X-Place": "US-NY"}, {}
UNREADABLE = f"__Host-gateway={'A' * 74}"  # has our shape, and nobody knows what it said
NAVIGATE = {"Sec-Fetch-Mode": "navigate"}
OF_THE_PERSON = {
    Reason.OPTED_OUT, Reason.GPC, Reason.US_PRIVACY, Reason.GPP, Reason.TCF, Reason.ADDITIONAL_CONSENT,
    Reason.AD_CHOICES, Reason.CMP_COOKIE, Reason.DEVICE, Reason.MALFORMED_SIGNAL, Reason.LIMITED,
}  # fmt: skip


def shadowed(until=None, **more):
    until = until or today() + timedelta(days=1)
    return inside.settings(site__enforce="true", places__header="X-Place", shadow__until=str(until), **more)


def asked_by_nginx(client, uri="/page", **headers):
    return client.get("/authz/nginx", headers={"X-Original-URI": uri} | headers)


@pytest.fixture
async def visitors(folder):
    """Browsers before a proxy that asks a gateway in shadow mode."""
    configured = shadowed(site__ad_paths="/ads/")
    async with inside.application(folder, configured, dev=False) as app, inside.client(app) as client:
        yield client


@pytest.fixture
def fresh(folder, tmp_path):
    """A gateway in shadow mode whose operator told nobody of anything; with a child's account."""
    file = tmp_path / "new.toml"
    until = today() + timedelta(days=1)
    file.write_text(f'site.enforce = true\nplaces.header = "X-Place"\nshadow.until = {until}\n')
    configured = load.load_settings(file, {})
    with open_house(inside.install(folder), configured) as opened:
        asyncio.run(opened.consent.say_age([opened.consent.people.account("child")], "under_13"))
    return configured


def reported(folder, *more) -> str:
    said = CliRunner().invoke(group, ["report", "shadow", "--data", str(folder), *more])
    assert said.exit_code == 0, said.output
    return said.output


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [GERMANY, NOWHERE], ids=["opt-in", "unknown"])
async def test_the_page_of_somebody_who_said_nothing_is_left_as_it_is_and_the_site_is_told_the_truth(visitors, place):
    answer = await asked_by_nginx(visitors, **place)
    assert (answer.status_code, POLICY in answer.headers) == (204, False)
    assert answer.headers["gateway-consent"] == "sale=?0, sharing=?0, targeted_ads=?0, status=none"
    assert (await asked_by_nginx(visitors, "/ads/tag.js", **place)).status_code == 204


@pytest.mark.parametrize("said", [GPC, {"Cookie": "usprivacy=1YYN"}, {"Cookie": UNREADABLE}])
@pytest.mark.parametrize("place", [GERMANY, NEW_YORK, NOWHERE])
async def test_somebody_who_said_no_has_a_silent_page_wherever_they_are(visitors, said, place):
    assert POLICY in (await asked_by_nginx(visitors, **said, **place)).headers
    assert (await asked_by_nginx(visitors, "/ads/tag.js", **said, **place)).status_code == 403
    enforced = (await visitors.get("/privacy-choices/status", headers=said | place)).json()["enforced"]
    assert enforced["now"]


async def test_the_control_a_shadow_mode_that_leaves_whoever_said_no_is_caught(visitors, monkeypatch):
    monkeypatch.setattr(visit, "is_held", lambda _: False)
    assert POLICY not in (await asked_by_nginx(visitors, **GPC, **GERMANY)).headers


async def test_a_browser_that_said_no_before_stays_silenced_without_the_signal(visitors):
    first = await asked_by_nginx(visitors, **GPC, **NAVIGATE, **GERMANY)
    again = await asked_by_nginx(visitors, **inside.kept(first), **GERMANY)
    assert POLICY in again.headers


async def test_the_form_of_somebody_in_germany_ends_their_trackers_at_once(visitors):
    browser = {"Origin": "http://127.0.0.1:8080", **GERMANY}
    assert POLICY not in (await asked_by_nginx(visitors, **GERMANY)).headers
    posted = await visitors.post("/privacy-choices", data={"action": "opt_out"}, headers=browser)
    assert posted.status_code == 303
    assert POLICY in (await asked_by_nginx(visitors, **inside.kept(posted), **GERMANY)).headers


async def test_the_script_leaves_an_open_page_of_somebody_who_said_nothing(visitors):
    status = (await visitors.get("/privacy-choices/status", headers=GERMANY)).json()
    assert (status["status"], status["enforced"]["now"]) == ("not_opted_out", False)


async def test_a_no_stands_above_a_notice_that_nobody_was_given(folder, fresh):
    """A verdict names the missing notice first; for a page the no comes first."""
    async with inside.application(folder, fresh, dev=False) as app, inside.client(app) as client:
        assert POLICY not in (await asked_by_nginx(client, **NEW_YORK)).headers
        assert POLICY in (await asked_by_nginx(client, **NEW_YORK, **GPC)).headers
    why = {
        each["reason"]: each["held"] for each in json.loads(await asyncio.to_thread(reported, folder, "--json"))["why"]
    }
    assert why == {"not_notified": False, "gpc": True}


async def test_while_the_ledger_is_away_everybody_is_enforced_for(visitors, folder, monkeypatch):
    ledger = folder / "ledger.sqlite3"
    await asyncio.to_thread(ledger.rename, ledger.with_suffix(".away"))
    try:
        with time_machine.travel(datetime.now(UTC)):
            async with asyncio.timeout(60):
                while POLICY not in (await asked_by_nginx(visitors, **NEW_YORK)).headers:
                    await asyncio.sleep(0.05)
            assert POLICY in (await asked_by_nginx(visitors, **GERMANY)).headers
    finally:
        await asyncio.to_thread(ledger.with_suffix(".away").rename, ledger)


@pytest.mark.parametrize(("days", "left"), [(0, True), (-1, False)], ids=["its last day", "over"])
async def test_its_last_day_is_its_last(folder, days, left):
    configured = shadowed(today() + timedelta(days=days))
    async with inside.application(folder, configured, dev=False) as app, inside.client(app) as client:
        assert (POLICY not in (await asked_by_nginx(client, **GERMANY)).headers) is left
        alarms = (await client.get("/readyz?strict")).json()["alarms"]
        assert any("shadow mode until" in alarm for alarm in alarms) is left
        assert f"gateway_shadow {float(left)}" in (await client.get("/metrics")).text


async def test_a_process_that_runs_over_its_last_day_enforces_from_midnight_on(folder):
    with time_machine.travel(datetime.combine(today(), time(23, 59), UTC), tick=True) as clock:
        async with inside.application(folder, shadowed(today()), dev=False) as app, inside.client(app) as client:
            assert POLICY not in (await asked_by_nginx(client, **GERMANY)).headers
            clock.shift(timedelta(minutes=2))
            async with asyncio.timeout(60):  # what was answered before stands for half a second
                while POLICY not in (await asked_by_nginx(client, **GERMANY)).headers:
                    await asyncio.sleep(0.05)


def test_a_deny_of_a_person_an_age_a_ban_and_what_nobody_knows_hold_and_each_other_deny_is_for_want_of_something():
    held = OF_THE_PERSON | {Reason.AGE, Reason.BANNED, Reason.STALE, Reason.STORE_UNAVAILABLE}
    first_allow = [*Reason].index(Reason.NO_CHOICE)
    assert {*Reason} - shadow.WANTING == held | {*[*Reason][first_allow:]}
    assert all(map(shadow.is_held, held))
    assert shadow.is_held("a reason of a later version")


def test_a_no_to_anything_holds_a_page_that_is_denied_for_something_else(house):
    """Somebody in Germany who said no to marketing alone: sale is denied for want of a yes, and the page is held."""
    checks = house.consent.checks
    office = checks.in_force().office
    silent = checks.site([], frozenset(), "DE")
    assert site.why_restricted(silent, Heard(), office) is Reason.OPT_IN_REQUIRED
    said_no = replace(silent, standings=(Standing(out_bits([Purpose.MARKETING_EMAIL])),))
    assert site.why_restricted(said_no, Heard(), office) is Reason.OPTED_OUT


YOUNG = [Standing(age_band="under_13"), Standing(age_band="16_17"), Standing(grown=True)]


@pytest.mark.parametrize("known", YOUNG, ids=["a child", "a minor", "grown up since"])
@pytest.mark.parametrize("place", ["US-NY", "DE", None])
@pytest.mark.parametrize("told", [date(2026, 1, 15), date.min], ids=["told", "nobody was told"])
def test_an_age_holds_a_page_whatever_the_verdict_names_first(house, known, place, told):
    """A missing notice stands above an age there, and of a minor in New York it says that a yes is wanted."""
    checks = house.consent.checks
    office = checks.in_force().office
    office = replace(office, notices=replace(office.notices, told_everyone=told))
    allowed, _ = site.what_may(checks.places.of(place), frozenset(), (known,), None, office)
    visitor = replace(checks.site([], frozenset(), place), allowed=allowed, standings=(known,))
    assert visitor.restricted
    assert site.why_restricted(visitor, Heard(), office) is Reason.AGE


def test_a_ban_holds_a_page_of_which_a_verdict_names_a_missing_notice_first(house):
    checks = house.consent.checks
    office = checks.in_force().office
    banned = test_law.parse({"place": "US-NY", "rule": "banned"})
    office = replace(office, notices=replace(office.notices, told_everyone=date.min), law=banned)
    allowed, _ = site.what_may(checks.places.of("US-NY"), frozenset(), (), None, office)
    visitor = replace(checks.site([], frozenset(), "US-NY"), allowed=allowed)
    assert site.why_restricted(visitor, Heard(), office) is Reason.BANNED


async def test_the_page_of_a_child_is_silent_though_nobody_was_told_of_anything(folder, fresh):
    secret = (await asyncio.to_thread(inside.secrets)).accounts[-1]
    child = {"Gateway-Account": api_keys.assert_account(secret, "child", int(clock.time()) + 600)}
    async with inside.application(folder, fresh, dev=False) as app, inside.client(app) as client:
        for place in (NEW_YORK, GERMANY, NOWHERE):
            assert POLICY not in (await asked_by_nginx(client, **place)).headers
            assert POLICY in (await asked_by_nginx(client, **child, **place)).headers


# --- checks and rows ------------------------------------------------------------------------------------------------

VOLATILE = ("decision", "valid_until", "position", "because")


async def test_a_check_is_answered_the_same_in_shadow_mode(tmp_path):
    """Whoever said no is denied, and nothing in the answer says that it is shadow mode."""
    told = []
    for name, configured in (("plain", inside.settings()), ("shadow", shadowed())):
        async with inside.application(tmp_path / name, configured) as app, inside.client(app, **inside.DEV) as keyed:
            await opt_out(keyed, named("gaid", gaid(1)))
            for number in (1, 2):
                for place in ("US-NY", "DE"):
                    body = {"identifiers": [named("gaid", gaid(number))], "recipient": "advertisers", "place": place}
                    answer = (await keyed.post("/v1/check", json=body)).json()
                    told.append({each: value for each, value in answer.items() if each not in VOLATILE})
    assert told[:4] == told[4:]
    assert [each["allowed"] for each in told[:4]] == [False, False, True, False]
    assert told[0]["reason"] == told[1]["reason"] == "opted_out"


@pytest.fixture
async def sharing(tmp_path):
    """The development key of a gateway in shadow mode."""
    async with inside.application(tmp_path / "data", shadowed()) as app, inside.client(app, **inside.DEV) as keyed:
        yield keyed


async def test_no_row_leaves_in_shadow_mode_nor_is_said_to_and_what_would_be_refused_is_counted(sharing, tmp_path):
    folder = tmp_path / "data"
    content = json.dumps({"account": "a1", "identifiers": [named("gaid", gaid(1))]})
    await sharing.post("/v1/links", content=content, headers={"Content-Type": "application/x-ndjson"})
    rows = [row(1), row(2), b"not json"]
    minimal, asked_for = {"Prefer": "return=minimal"}, f"{PATH}?dry_run=1"
    for path, headers, word in ((PATH, {}, "shadow"), (PATH, minimal, "shadow"), (asked_for, {}, "returned")):
        _, lines, last = await share(sharing, *rows, path=path, **headers)
        assert all(line["dry_run"] and "row" not in line for line in lines)
        assert [line["outcome"] for line in lines] in ([], [word, "refused", "refused"])
        summary = last["summary"]
        assert summary["dry_run"]
        assert {each: summary[each] for each in ("returned", "sent", "shadow") if summary.get(each)} == {word: 1}
        assert last["summary"]["refused"] == {"unlinked": 1, "malformed": 1}
    assert await asyncio.to_thread(disclosed, folder) == []
    text = (await sharing.get("/metrics")).text
    line = 'gateway_shadow_answers_total{door="share",reason="unlinked",recipient="teemo",verdict="denied"}'
    assert f"{line} 2.0" in text  # not of the dry run that somebody asked for


# --- how it is said -------------------------------------------------------------------------------------------------


async def test_the_report_is_a_page_that_an_owner_can_decide_by(folder):
    async with inside.application(folder, shadowed(), dev=False) as app, inside.client(app) as client:
        for headers in (GERMANY, GERMANY, GERMANY, NEW_YORK, GPC | GERMANY, NOWHERE):
            await asked_by_nginx(client, **headers)
    page = await asyncio.to_thread(reported, folder)
    assert "3 (50.0 %)  nginx  anybody  opt_in_required\n               in DE 3\n" in page
    assert "1 (16.7 %)  nginx  anybody  place_unknown" in page
    assert "[places] header" in page
    denied = page[page.rindex("denied already:") :]
    assert "1 (16.7 %)  nginx  anybody  gpc" in denied
    assert "opt_in_required" not in denied


def test_config_check_says_until_when_and_what_a_wrong_one_wants(tmp_path):
    def said(text):
        file = tmp_path / "one.toml"
        file.write_text(text)
        return CliRunner().invoke(group, ["config", "check", str(file)])

    on = f"site.enforce = true\nshadow.until = {today() + timedelta(days=90)}\n"
    assert f"shadow mode until {today() + timedelta(days=90)}" in said(on).output
    assert (
        "shadow mode ended with 2026-01-01: everything is enforced"
        in said("site.enforce = true\nshadow.until = 2026-01-01\n").output
    )
    for text in (
        f"site.enforce = true\nshadow.until = {today() + timedelta(days=91)}\n",
        f"shadow.until = {today() + timedelta(days=1)}\n",
    ):
        refused = said(text).exception
        assert isinstance(refused, SettingsRefused)
        assert "[shadow] until" in str(refused)


def test_a_rehearsal_tries_what_enforcement_does():
    assert stage.quiet(shadowed()).shadow.until is None


def test_without_a_day_there_is_no_shadow():
    assert not Shadow().on()
    assert Shadow().alarms() == []
