"""Requests that come to the desk by letter, phone, mail or an agent: what is entered at once, what stays open, by when."""

import asyncio
import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from support import inside
from support.at_the_desk import FORM, OURS, comes_in, desk, form_of, lines
from support.people import email, named, phone

from gateway.delivery.deadlines import Calendar
from gateway.desk.office import cases as desk_cases
from gateway.desk.office.cases import Cases
from gateway.desk.office.desk_file import desk_file
from gateway.desk.office.desk_log import DeskLog
from gateway.desk.office.mailbox import Mailbox
from gateway.desk.office.request_law import RequestKind, clock_of, reasons_of
from gateway.desk.own_systems import Systems
from gateway.keys import seals
from gateway.keys.person_keys import Vault
from gateway.ledger.entry import b64
from gateway.ledger.errors import StoreUnavailable
from gateway.records import requests
from gateway.records.year_report import yearly_report
from gateway.web.desk.requests_in import as_written

pytestmark = pytest.mark.anyio
BOUNDARY = "a-boundary"
UPLOAD = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
LETTER = {"manner": "letter", "kind": "opt_out", "place": "US-CA", "language": "en"}


def body_of(file: bytes = b"", **fields: str) -> bytes:
    """A form with a file, as a browser sends it."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="permission"; filename="p.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
    return b"".join([*parts, head.encode(), file, f"\r\n--{BOUNDARY}--\r\n".encode()])


async def takes_in(client, cookie, file=b"", **fields):
    """What the desk answers to a request that came in."""
    form = form_of(await client.get("/desk/requests", headers=cookie))
    said = {"form": form, "received": datetime.now(UTC).date().isoformat(), **LETTER, **fields}
    return await client.post("/desk/requests/new", headers={**cookie, **OURS, **UPLOAD}, content=body_of(file, **said))


async def acts(client, cookie, path, **fields):
    page = await client.get(path, headers=cookie)
    said = "&".join(f"{name}={value}" for name, value in {"form": form_of(page), **fields}.items())
    return await client.post(path, headers={**cookie, **OURS, **FORM}, content=said)


async def denied(folder, *person) -> bool:
    """What an ad server hears of somebody."""
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
        asked = {
            "identifiers": [named(*person)],
            "recipient": "advertisers",
            "purpose": "targeted_ads",
            "place": "US-CA",
        }
        return (await client.post("/v1/check", json=asked)).json()["reason"] == "opted_out"


def details_of(folder):
    """What the ledger keeps sealed of each request."""
    vault = Vault(folder, inside.secrets().wraps)
    today = datetime.now(UTC).date()
    try:
        found = requests.between(folder, today - timedelta(days=30), today + timedelta(days=1), vault.keys)
        return [(each.source, each.manner, each.days, each.details[0]) for each in found]
    finally:
        vault.close()


async def test_a_letter_of_two_weeks_ago_is_a_no_at_once_with_the_day_it_came(folder):
    cookie = await comes_in(folder)
    came = (datetime.now(UTC) - timedelta(days=14)).date()
    async with desk(folder) as client:
        found = await takes_in(client, cookie, received=came.isoformat(), identifiers=f"{email(1)}\n{phone(1)}")
        assert (found.status_code, found.headers["location"]) == (303, "/desk/requests/1")
        page = await client.get("/desk/requests/1", headers=cookie)
        assert "The no is kept and holds" in page.text
        assert f"It came by letter on {came} from US-CA" in page.text
        assert "Confirm case 1" in (await client.get("/desk", headers=cookie)).text
    assert await denied(folder, "email", email(1))
    assert await denied(folder, "phone", phone(1))
    [(source, manner, days, details)] = await asyncio.to_thread(details_of, folder)
    assert (source, manner, details["case"]) == ("letter", "letter", 1)
    assert 13 < days < 15


async def test_an_agents_permission_is_kept_sealed_and_its_hash_is_in_the_entry(folder):
    cookie, signed = await comes_in(folder), b"%PDF-1.7\r\n\x00\xff signed by Jo\n\n"
    async with desk(folder) as client:
        found = await takes_in(client, cookie, signed, manner="agent", agent="Permission Slip", identifiers=phone(2))
        page = await client.get(found.headers["location"], headers=cookie)
        assert sha256(signed).hexdigest() in page.text
    assert await denied(folder, "phone", phone(2))
    [(_, manner, _, details)] = await asyncio.to_thread(details_of, folder)
    assert manner == "agent"
    assert (details["agent"], details["permission_sha256"]) == ("Permission Slip", sha256(signed).hexdigest())
    cases = Cases(folder, inside.secrets().desk, lambda: datetime.now(UTC))
    assert await asyncio.to_thread(cases.permission, 1) == signed
    kept = await asyncio.to_thread(_everything_in, folder)
    assert not [word for word in (b"Permission Slip", b"signed by Jo", phone(2).encode()) if word in kept]


def _everything_in(folder):
    return (folder / "desk.sqlite3").read_bytes()


async def test_the_year_counts_what_the_desk_answered_of_which_no_entry_tells(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        for number, (kind, answer) in enumerate(
            [
                ("know", {"action": "comply"}),
                ("know", {"action": "deny", "reason": "not_verified"}),
                ("correct", {"action": "deny", "reason": "not_ours"}),
                ("delete", {"action": "comply"}),
            ],
            start=1,
        ):
            await takes_in(client, cookie, kind=kind, identifiers=email(number))
            found = await acts(client, cookie, f"/desk/requests/{number}", **answer)
            assert found.status_code == 303, found.text
    told = await asyncio.to_thread(yearly_report, folder, datetime.now(UTC).year)
    assert (told["access"]["received"], told["access"]["complied"], told["access"]["denied"]) == (2, 1, 1)
    assert told["access"]["denied_for"] == {"not_verified": 1}
    assert (told["correction"]["received"], told["correction"]["denied"]) == (1, 1)
    assert told["deletion"]["received"] == 0, "nobody was forgotten"


async def test_an_agent_without_permission_may_be_denied_and_the_no_holds_all_the_same(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, manner="agent", agent="Somebody", identifiers=phone(3))).headers[
            "location"
        ]
        assert "No signed permission came with it" in (await client.get(path, headers=cookie)).text
        assert (await acts(client, cookie, path, action="deny", reason="because")).status_code == 400
        assert (await acts(client, cookie, path, action="deny", reason="exempt")).status_code == 400  # of another kind
        assert (await acts(client, cookie, path, action="deny", reason="no_permission")).status_code == 303
        letter = await acts(client, cookie, path, action="letter", letter="denial", language="es")
        assert "La hemos denegado" in letter.text
        assert "the agent did not give us a permission" in letter.text
    assert await denied(folder, "phone", phone(3))


async def test_what_cannot_be_read_is_named_and_the_case_stays_open_for_it(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, identifiers=f"{email(4)}\nphone: 12x")).headers["location"]
        page = await client.get(path, headers=cookie)
        assert "12x" in page.text
        assert "The no is kept and holds" in page.text  # of what could be read
        assert "Read what was not readable" in (await client.get("/desk", headers=cookie)).text
        wrong = await acts(client, cookie, path, action="again", identifiers="12y")
        assert (wrong.status_code, await denied(folder, "phone", phone(4))) == (422, False)
        right = await acts(client, cookie, path, action="again", identifiers=phone(4).replace("+", "%2B"), read_0="yes")
        assert right.status_code == 303
        assert "Confirm case 1" in (await client.get("/desk", headers=cookie)).text  # nothing is left to be read
    assert await denied(folder, "email", email(4))
    assert await denied(folder, "phone", phone(4))


EVENT = re.compile(r"<code>([A-Za-z0-9_-]{22})</code>")


async def test_a_case_of_which_lines_are_entered_later_names_each_entry_and_so_does_its_confirmation(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, identifiers=f"{email(4)}\nphone: 12x")).headers["location"]
        [first] = EVENT.findall((await client.get(path, headers=cookie)).text)
        again = {"action": "again", "identifiers": phone(4).replace("+", "%2B"), "read_0": "yes"}
        assert (await acts(client, cookie, path, **again)).status_code == 303
        both = EVENT.findall((await client.get(path, headers=cookie)).text)
        letter = await acts(client, cookie, path, action="letter", letter="confirmation", language="en")
        await acts(client, cookie, path, action="comply")
        answered = EVENT.findall((await client.get(path, headers=cookie)).text)
    assert (both[0], len(set(both)), answered) == (first, 2, both)
    assert f"Receipt: {', '.join(both)}" in letter.text


def test_an_entry_that_a_file_of_before_names_is_not_lost_by_the_next_one(tmp_path):
    cases = Cases(tmp_path, [bytes(32)], lambda: datetime(2026, 12, 1, tzinfo=UTC))
    with desk_file(tmp_path) as db:
        db.execute("DROP TABLE earlier")
        db.execute("PRAGMA user_version = 2")
    with desk_file(tmp_path) as db:
        db.execute(
            "INSERT INTO request (received, kind, place, manner, event) VALUES (0, 'opt_out', '', 'letter', 'a')"
        )
    for event in ("z", "z", "c", "a"):
        cases.entered(1, event)
    assert cases.read_case(1).events == ["z", "c", "a"]
    cases.answer_case(1, "complied")
    cases.entered(1, "d")
    assert cases.read_case(1).events == ["z", "c", "a"]


async def test_a_no_of_which_lines_are_left_is_complied_with_only_where_the_person_is_told_which(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, identifiers=f"{email(4)}\nloyalty = 4711")).headers["location"]
        confirmation = {"action": "letter", "letter": "confirmation", "language": "en"}
        for claim in ({"action": "comply"}, confirmation):
            refused = await acts(client, cookie, path, **claim)
            assert (refused.status_code, "never entered" in refused.text) == (400, True)
        told = await acts(client, cookie, path, **confirmation, told_unread="yes")
        assert "nothing was done for it: 4711" in told.text
        assert (await acts(client, cookie, path, action="comply", told_unread="yes")).status_code == 303
        assert (await acts(client, cookie, path, **confirmation)).status_code == 400  # nor does it claim more later
    assert [line["what"] for line in await lines(folder) if "told_unread" in line] == ["case: letter", "case: comply"]


async def test_a_letter_that_would_not_be_true_is_not_written(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, kind="know", identifiers=email(5))).headers["location"]
        for letter in ("confirmation", "denial", "made-up"):
            assert (await acts(client, cookie, path, action="letter", letter=letter, language="en")).status_code == 400
        known = await acts(client, cookie, path, action="letter", letter="acknowledgement", language="fr")
        assert "Nous avons reçu votre demande" in known.text
        assert (await acts(client, cookie, path, action="acknowledge")).status_code == 303
        assert (await acts(client, cookie, path, action="comply")).status_code == 303
        confirmed = await acts(client, cookie, path, action="letter", letter="confirmation", language="en")
        assert "have processed it" in confirmed.text
        assert (await acts(client, cookie, path, action="extend")).status_code == 400  # it is answered
    assert not await denied(folder, "email", email(5))  # to ask what is held is no opt-out


@pytest.mark.parametrize(
    "wrong",
    [{"received": "2199-01-01"}, {"received": "yesterday"}, {"received": "1999-01-01"}, {"place": "Utopia"}, {"kind": "sell"},
     {"manner": "pigeon"}, {"identifiers": ""}, {"identifiers": "x" * 9000}],
)  # fmt: skip
async def test_a_form_that_is_filled_in_wrongly_is_shown_again_and_nothing_is_kept(folder, wrong):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        found = await takes_in(client, cookie, **{"identifiers": email(6), **wrong})
        assert found.status_code == 422
        assert "Nothing was kept yet" in found.text
        assert (await client.get("/desk/requests/1", headers=cookie)).status_code == 404
    assert not await denied(folder, "email", email(6))


@pytest.mark.parametrize("path", ["0", "1", "99999999999", "x", "-1", "1e3", "１"])
async def test_a_case_that_is_not_there_is_no_fault(folder, path):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        assert (await client.get(f"/desk/requests/{path}", headers=cookie)).status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"--", b"--a-boundary", b"--a-boundary\r\n\r\n\r\n--a-boundary--", b"\x00" * 100, b"x" * 1_100_000]
)
async def test_an_upload_that_cannot_be_read_is_no_fault(folder, body):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        found = await client.post("/desk/requests/new", headers={**cookie, **OURS, **UPLOAD}, content=body)
        assert found.status_code in {400, 403, 413}
        none = {**cookie, **OURS, "Content-Type": "multipart/form-data"}
        assert (await client.post("/desk/requests/new", headers=none, content=body)).status_code in {400, 413}


def test_lines_are_read_by_what_they_look_like():
    gaid = "38400000-8cf0-11bd-b23e-10b96e40000d"
    written = f" jo@example.com \n\n+1 415 555 0100\n{gaid}\naccount = 4711\nid:appsflyer: x-1"
    assert as_written(written) == [
        {"type": "email", "value": "jo@example.com"}, {"type": "phone", "value": "+1 415 555 0100"},
        {"type": "gaid", "value": gaid}, {"type": "idfa", "value": gaid}, {"type": "account", "value": "4711"},
        {"type": "id:appsflyer", "value": "x-1"},
    ]  # fmt: skip


async def test_more_lines_than_are_read_at_once_are_refused_and_none_gets_lost(folder):
    cookie, many = await comes_in(folder), "\n".join(map(email, range(101)))
    async with desk(folder) as client:
        found = await takes_in(client, cookie, identifiers=many)
        assert found.status_code == 422
        assert "100 lines" in found.text
        path = (await takes_in(client, cookie, identifiers=many.rpartition("\n")[0])).headers["location"]
        assert (await acts(client, cookie, path, action="again", identifiers=many)).status_code == 400
    assert await denied(folder, "email", email(99))


async def test_a_line_that_cannot_be_read_is_named_where_another_one_has_the_same_value(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, identifiers="loyalty = 4711\naccount = 4711")).headers["location"]
        assert "<li>4711</li>" in (await client.get(path, headers=cookie)).text


async def test_lines_that_nobody_could_read_stay_named_until_each_is_read(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, identifiers=f"{email(4)}\n12x\n13y")).headers["location"]
        for read, left in ((email(5), True), (f"{email(5)}%0A{email(6)}", False)):
            entered = await acts(client, cookie, path, action="again", identifiers=read, read_0="yes")
            assert entered.status_code == 303
            page = (await client.get(path, headers=cookie)).text
            assert ("<li>13y</li>" in page, "<li>12x</li>" in page) == (left, False)
    assert await denied(folder, "email", email(5))


async def test_a_no_is_complied_with_once_an_officer_said_of_each_line_that_it_was_entered(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, identifiers=f"{email(4)}\n12x\nloyalty = 4711")).headers["location"]
        assert "checked>" not in (await client.get(path, headers=cookie)).text
        two = {"action": "again", "identifiers": f"{email(5)}%0A{email(6)}"}  # of whoever wrote the one line
        said = await acts(client, cookie, path, **two)
        assert (said.status_code, "which of the lines" in said.text) == (400, True)
        assert (await acts(client, cookie, path, **two, read_0="yes", seen="2")).status_code == 303
        assert (await acts(client, cookie, path, action="comply")).status_code == 400
        told = await acts(
            client, cookie, path, action="letter", letter="confirmation", language="en", told_unread="yes"
        )
        assert "nothing was done for it: 4711. " in told.text
        assert 'name="read_0" value="yes" checked>' in told.text  # one is left
        last = {"action": "again", "identifiers": email(7), "read_0": "yes"}
        assert (await acts(client, cookie, path, **last, seen="2")).status_code == 400  # of the page of before
        assert (await acts(client, cookie, path, **last, seen="1")).status_code == 303
        assert (await acts(client, cookie, path, action="comply")).status_code == 303
    assert await denied(folder, "email", email(6))
    assert await denied(folder, "email", email(7))


async def test_of_a_hundred_lines_that_nobody_could_read_all_are_said_to_be_entered_at_once(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        lines = "\n".join(f"{number}x" for number in range(100))
        path = (await takes_in(client, cookie, identifiers=lines)).headers["location"]
        every = {f"read_{index}": "yes" for index in range(100)}
        said = await acts(client, cookie, path, action="again", identifiers=email(4), seen="100", **every)
        assert said.status_code == 303
        assert "Not readable" not in (await client.get(path, headers=cookie)).text


async def was_cut_off(folder, *readable):
    """A letter's no of which a last line is not readable, kept nowhere when it came."""
    secrets = await asyncio.to_thread(inside.secrets)
    cases = Cases(folder, secrets.desk, lambda: datetime.now(UTC))
    said = {"lines": "\n".join([*readable, "12x"]), "unread": ["12x"]}
    await asyncio.to_thread(cases.open_case, datetime.now(UTC), RequestKind.OPT_OUT, "US-CA", "letter", said)


async def test_of_a_no_that_was_cut_off_its_readable_lines_are_entered_without_a_tick(folder):
    cookie = await comes_in(folder)
    await was_cut_off(folder, email(9))
    async with desk(folder) as client:
        path = "/desk/requests/1"
        assert "checked>" not in (await client.get(path, headers=cookie)).text
        assert (await acts(client, cookie, path, action="again", identifiers=email(9))).status_code == 303
        assert "<li>12x</li>" in (await client.get(path, headers=cookie)).text
        assert (await acts(client, cookie, path, action="comply")).status_code == 400
    assert await denied(folder, "email", email(9))


async def test_a_request_from_before_the_laws_first_row_stops_no_page(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, received="2019-01-02", identifiers=email(8))).headers["location"]
        for page in ("/desk", "/desk/requests", path):
            assert "past due" in (await client.get(page, headers=cookie)).text.lower()
        assert (await acts(client, cookie, path, action="deny", reason="fraud")).status_code == 303


@pytest.mark.parametrize("charset", ["unicode_escape", '"unicode_escape"', "utf-16", "hex"])
async def test_a_form_is_read_in_our_own_charset_whatever_its_header_says(folder, charset):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        form = form_of(await client.get("/desk/requests", headers=cookie))
        body = body_of(form=form, received="2026-11-20", **{**LETTER, "place": "\\ud800"})
        told = {"Content-Type": f"multipart/form-data; charset={charset}; boundary={BOUNDARY}"}
        found = await client.post("/desk/requests/new", headers={**cookie, **OURS, **told}, content=body)
        assert found.status_code == 422


async def test_a_no_that_was_cut_off_before_its_entry_is_to_be_entered_and_a_denial_does_not_take_it_away(folder):
    cookie = await comes_in(folder)
    cases = Cases(folder, inside.secrets().desk, lambda: datetime.now(UTC))
    said = {"lines": email(9), "unread": [], "agent": "Somebody"}
    number = await asyncio.to_thread(cases.open_case, datetime.now(UTC), RequestKind.OPT_OUT, "US-CA", "agent", said)
    async with desk(folder) as client:
        assert f"Enter case {number}" in (await client.get("/desk", headers=cookie)).text
        path = f"/desk/requests/{number}"
        assert (await acts(client, cookie, path, action="deny", reason="no_permission")).status_code == 303
        assert "The no is kept and holds" in (await client.get(path, headers=cookie)).text
    assert await denied(folder, "email", email(9))


async def test_of_a_no_that_was_cut_off_each_line_that_can_be_read_is_entered_with_the_first(folder):
    cookie = await comes_in(folder)
    await was_cut_off(folder, email(1), email(2))
    async with desk(folder) as client:
        entered = await acts(client, cookie, "/desk/requests/1", action="again", identifiers=email(3), read_0="yes")
        assert entered.status_code == 303
        assert (await acts(client, cookie, "/desk/requests/1", action="comply")).status_code == 303
    for person in (1, 2, 3):
        assert await denied(folder, "email", email(person))


async def takes_in_while_away(client, cookie, folder, person):
    """What the desk answers to a no that came while the ledger could not be written."""
    form, ledger = form_of(await client.get("/desk/requests", headers=cookie)), folder / "ledger.sqlite3"
    ledger.rename(folder / "away")
    try:
        sent = {**cookie, **OURS, **UPLOAD}
        return await client.post("/desk/requests/new", headers=sent, content=no_of(person, form))
    finally:
        (folder / "away").rename(ledger)


async def test_a_no_that_comes_while_the_ledger_is_away_is_kept_and_entered_when_it_is_back(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        found = await takes_in_while_away(client, cookie, folder, 10)
        assert found.status_code == 303
        assert "The no is kept and holds" in (await client.get(found.headers["location"], headers=cookie)).text
    assert await denied(folder, "email", email(10))


async def test_a_no_that_can_be_kept_nowhere_is_not_acknowledged_and_its_case_waits_for_it(folder, no_emergency):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        found = await takes_in_while_away(client, cookie, folder, 11)
        assert found.status_code == 503
        assert email(11) not in found.text
        assert "Enter case 1" in (await client.get("/desk", headers=cookie)).text
        page = "/desk/requests/1"
        assert (await acts(client, cookie, page, action="comply")).status_code == 400
        assert (await acts(client, cookie, page, action="again", identifiers=email(11))).status_code == 303
    assert await denied(folder, "email", email(11))


def no_of(person: int, form: str) -> bytes:
    today = datetime.now(UTC).date().isoformat()
    return body_of(form=form, received=today, **LETTER, identifiers=email(person))


async def test_the_log_says_which_case_was_looked_at_and_that_a_letter_was_written(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, kind="know", identifiers=email(5))).headers["location"]
        await acts(client, cookie, path, action="letter", letter="acknowledgement", language="en")
    told = [(line["what"], line["case"]) for line in await lines(folder) if "case" in line]
    assert told == [("took a request in", "1"), ("looked at a case", "1"), ("case: letter", "1")]


NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)  # a Monday
BY = [
    (RequestKind.OPT_OUT, "US-CA", False, "2026-11-24"),  # fifteen business days, without Veterans Day
    (RequestKind.LIMIT, "", False, "2026-11-24"),
    (RequestKind.KNOW, "US-CA", False, "2026-12-17"),
    (RequestKind.DELETE, "US-CA", True, "2027-01-31"),
    (RequestKind.KNOW, "DE", False, "2026-12-02"),
    (RequestKind.KNOW, "DE", True, "2027-02-02"),
    (RequestKind.OPT_OUT, "FR", False, "2026-12-02"),
    (RequestKind.KNOW, "CH", False, "2026-12-17"),  # no row of its own
]


@pytest.mark.parametrize(("kind", "place", "extended", "last"), BY)
def test_by_when_a_request_has_to_be_answered_is_the_laws_of_its_place_and_kind(kind, place, extended, last):
    clock = clock_of(kind, place, NOON.date())
    assert clock.answered_by(NOON, Calendar(), extended=extended).date().isoformat() == last


def test_a_month_that_is_shorter_ends_the_span_on_its_last_day():
    asked = datetime(2026, 1, 31, 12, tzinfo=UTC)
    clock = clock_of(RequestKind.KNOW, "DE", asked.date())
    assert clock.answered_by(asked, Calendar(), extended=False).date().isoformat() == "2026-02-28"


def test_a_no_is_denied_for_fraud_or_a_missing_permission_alone():
    noes = {each.name for kind in ("opt_out", "limit") for each in reasons_of(RequestKind(kind), NOON.date())}
    assert noes == {"fraud", "no_permission"}
    others = {each.name for each in reasons_of(RequestKind.DELETE, NOON.date())}
    assert others == {"not_verified", "exempt", "not_ours", "excessive"}


def test_what_was_written_is_forgotten_24_months_after_the_answer_and_the_number_stays(tmp_path):
    now = [datetime.now(UTC) - timedelta(days=800)]
    cases = Cases(inside.install(tmp_path / "data"), inside.secrets().desk, lambda: now[0])
    first = cases.open_case(now[0], RequestKind.KNOW, "US-CA", "letter", {"lines": "jo@example.com"}, b"signed")
    still = cases.open_case(now[0], RequestKind.KNOW, "US-CA", "letter", {"lines": "al@example.com"})
    cases.answer_case(first, "complied")
    now[0] = datetime.now(UTC)
    DeskLog(tmp_path / "data", inside.secrets().desk).note(now[0] - timedelta(days=1), {"who": "ada"})
    cases.open_case(now[0], RequestKind.KNOW, "", "phone", {"lines": "x"})
    assert (cases.read_case(first).said, cases.permission(first)) == ({}, b"")
    assert cases.read_case(first).outcome == "complied"
    assert cases.read_case(still).said == {"lines": "al@example.com"}  # not answered
    with desk_file(tmp_path / "data") as db:
        assert json.dumps(db.execute("SELECT count(*) FROM request WHERE sealed IS NULL").fetchone()) == "[1]"


def test_what_is_sealed_of_a_case_opens_in_no_other_ones_place(tmp_path):
    folder = inside.install(tmp_path / "data")
    cases = Cases(folder, inside.secrets().desk, lambda: datetime.now(UTC))
    for person in (1, 2):
        said = {"lines": email(person)}
        cases.open_case(datetime.now(UTC), RequestKind.KNOW, "US-CA", "agent", said, b"signed %d" % person)
    assert [(cases.read_case(n).said["lines"], cases.permission(n)) for n in (1, 2)] == [
        (email(1), b"signed 1"), (email(2), b"signed 2"),
    ]  # fmt: skip
    with desk_file(folder) as db:
        changed = "UPDATE request SET (sealed, permission) = (SELECT sealed, permission FROM request WHERE number = {})"
        for one, other in ((1, 2), (3, 1)):  # the second's in place of the first, and the first's in a row of its own
            db.execute(
                "INSERT OR IGNORE INTO request (number, received, kind, place, manner) VALUES (3, 1, 'know', '', '')"
            )
            db.execute(f"{changed.format(other)} WHERE number = {one}")
    assert [(cases.read_case(n).said, cases.permission(n)) for n in (1, 3)] == [({}, b"")] * 2
    assert cases.read_case(2).said == {"lines": email(2)}
    assert [cases.read_case(n).shut for n in (1, 2, 3)] == [True, False, True]


async def test_an_officer_is_told_of_a_case_whose_words_do_not_open(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        paths = [(await takes_in(client, cookie, identifiers=email(n))).headers["location"] for n in (1, 2)]
        await asyncio.to_thread(_swapped, folder)
        pages = [(await client.get(path, headers=cookie)).text for path in paths]
    assert ["does not open" in page for page in pages] == [True, False]


async def test_a_no_whose_words_open_no_more_is_not_confirmed_nor_complied_with_without_a_look_at_its_letter(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        for lines in (f"{email(4)}\nloyalty = 4711", email(2)):
            await takes_in(client, cookie, identifiers=lines)
        path, confirmation = "/desk/requests/1", {"action": "letter", "letter": "confirmation", "language": "en"}
        await asyncio.to_thread(_swapped, folder)
        for claim in ({"action": "comply"}, confirmation, {**confirmation, "told_unread": "yes"}):
            assert (await acts(client, cookie, path, **claim)).status_code == 400
        assert "Each line of the letter" in (await client.get(path, headers=cookie)).text
        assert (await acts(client, cookie, path, action="comply", told_unread="yes")).status_code == 303
        assert (await acts(client, cookie, path, **confirmation)).status_code == 400


def _swapped(folder):
    with desk_file(folder) as db:
        db.execute("UPDATE request SET sealed = (SELECT sealed FROM request WHERE number = 2) WHERE number = 1")


def test_a_file_of_before_is_read_on_and_its_seals_have_places_from_then_on(tmp_path):
    folder, key = inside.install(tmp_path / "data"), inside.secrets().desk[-1]
    row = "INSERT INTO request (received, kind, place, manner, sealed, permission) VALUES (1, 'know', '', 'mail', ?, ?)"
    with desk_file(folder) as db:
        for person in (1, 2):
            said = json.dumps({"lines": email(person)}).encode()
            db.execute(row, (seals.seal_box(key, b"case/1", said), seals.seal_box(key, b"permission/1", b"signed")))
        db.execute("INSERT INTO mail VALUES (x'01', 1, ?)", (seals.seal_box(key, b"mail/1", b"From: jo"),))
        old = db.execute("SELECT sealed FROM request WHERE number = 2").fetchone()
        db.execute("DROP TABLE bound")
        db.execute("PRAGMA user_version = 0")
    cases = Cases(folder, inside.secrets().desk, lambda: datetime.now(UTC))
    assert [(cases.read_case(n).said, cases.permission(n)) for n in (1, 2)] == [
        ({"lines": email(n)}, b"signed") for n in (1, 2)
    ]
    assert Mailbox(cases).original(1) == b"From: jo"
    with desk_file(folder) as db:
        db.execute("UPDATE request SET sealed = ? WHERE number = 1", old)
    assert cases.read_case(1).said == {}


def file_of_before(folder, *people):
    """A case each, as it was sealed before seals were bound to numbers."""
    row = "INSERT INTO request (received, kind, place, manner, sealed) VALUES (1, 'know', '', 'mail', ?)"
    with desk_file(folder) as db:
        for person in people:
            said = json.dumps({"lines": email(person)}).encode()
            db.execute(row, (seals.seal_box(inside.secrets().desk[-1], b"case/1", said),))


def test_a_file_of_before_that_was_opened_with_other_secrets_is_read_with_the_right_ones(tmp_path):
    folder = inside.install(tmp_path / "data")
    file_of_before(folder, 1, 2)
    for keys, said in (((bytes(32),), {}), (inside.secrets().desk, {"lines": email(2)})):
        assert Cases(folder, keys, lambda: datetime.now(UTC)).read_case(2).said == said


def test_a_file_of_before_is_brought_over_whole_or_not_at_all(tmp_path, monkeypatch):
    folder, seal = inside.install(tmp_path / "data"), desk_cases.seal_case
    file_of_before(folder, 1, 2)

    def cut_off(key, label, number, content):
        if number > 1:
            raise sqlite3.OperationalError("cut off")
        return seal(key, label, number, content)

    cases = Cases(folder, inside.secrets().desk, lambda: datetime.now(UTC))
    with monkeypatch.context() as patched, pytest.raises(StoreUnavailable):
        patched.setattr(desk_cases, "seal_case", cut_off)
        cases.read_case(1)
    with ThreadPoolExecutor(8) as several:
        assert [each.said["lines"] for each in several.map(cases.read_case, [1, 2] * 4)] == [email(1), email(2)] * 4


def test_the_desks_file_makes_its_tables_once_and_not_at_each_call(tmp_path):
    folder, steps = inside.install(tmp_path / "data"), list[str]()
    for _ in range(2):
        steps.clear()
        with desk_file(folder) as db:
            steps += [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            db.execute("DROP TABLE IF EXISTS lookup")
    assert "request" in steps
    assert "lookup" not in steps  # nobody made it again


async def test_each_step_of_a_case_is_a_line_of_the_desks_log_without_what_was_written(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        path = (await takes_in(client, cookie, identifiers=email(7))).headers["location"]
        await acts(client, cookie, path, action="comply")
    told = [(line["what"], line.get("case")) for line in await lines(folder)]
    assert ("took a request in", "1") in told
    assert ("case: comply", "1") in told
    assert not re.search(re.escape(email(7)), json.dumps(await lines(folder)))


async def test_a_case_that_names_another_act_meanwhile_is_not_closed_by_that_of_before(folder, monkeypatch):
    cookie, lacks = await comes_in(folder), Systems.lacks
    cases = Cases(folder, inside.secrets().desk, lambda: datetime.now(UTC))
    acts_named = [b64(bytes([number] * 16)) for number in (1, 2)]
    async with desk(folder) as client:
        await takes_in(client, cookie, kind="delete", identifiers=email(1))
        await asyncio.to_thread(cases.entered, 1, acts_named[0])

        async def meanwhile(systems, event):
            await asyncio.to_thread(cases.entered, 1, acts_named[1])
            return await lacks(systems, event)

        monkeypatch.setattr(Systems, "lacks", meanwhile)
        told = await acts(client, cookie, "/desk/requests/1", action="comply")
        assert "the case is another one since" in told.text
        assert (await asyncio.to_thread(cases.read_case, 1)).answered is None
        told = await acts(client, cookie, "/desk/requests/1", action="comply")
        assert told.status_code == 303


async def test_a_denial_of_a_case_that_a_colleague_closed_meanwhile_is_said_to_close_nothing(folder, monkeypatch):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        await takes_in(client, cookie, kind="know", identifiers=email(1))
        monkeypatch.setattr(Cases, "answer_case", lambda *_, **__: False)  # as of one that is answered
        told = await acts(client, cookie, "/desk/requests/1", action="deny", reason="not_verified")
    assert (told.status_code, "did not close it" in told.text, "Nothing was done" in told.text) == (400, True, False)
