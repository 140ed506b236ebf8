"""Every route of the desk with every role, on every listener; and forms that nobody's browser sends."""

import re

import pytest
from support import inside
from support.at_the_desk import FORM, OURS, Sitting, comes_in, desk, with_desk

from gateway.desk.office.officers import DeskRole
from gateway.web.shell.edge import DESK, INTERNAL, METRICS, PUBLIC

pytestmark = pytest.mark.anyio
NOBODY = "nobody"
READER, OFFICER, ADMIN = DeskRole
LEAST = {
    ("GET", "/desk"): READER,
    ("GET", "/desk/deliveries"): READER,
    ("POST", "/desk/deliveries"): OFFICER,
    ("GET", "/desk/requests"): READER,
    ("GET", "/desk/requests/new"): OFFICER,
    ("POST", "/desk/requests/new"): OFFICER,
    ("GET", "/desk/requests/{number}"): READER,
    ("POST", "/desk/requests/{number}"): OFFICER,
    ("GET", "/desk/mail/{number}"): READER,
    ("POST", "/desk/mail/{number}"): OFFICER,
    ("GET", "/desk/mail/{number}/original"): OFFICER,
    ("GET", "/desk/appeals/{number}"): READER,
    ("POST", "/desk/appeals/{number}"): OFFICER,
    ("GET", "/desk/numbers"): READER,
    ("GET", "/desk/report"): READER,
    ("GET", "/desk/systems"): READER,
    ("POST", "/desk/systems"): OFFICER,
    ("GET", "/desk/rehearsal"): READER,
    ("GET", "/desk/person"): READER,
    ("POST", "/desk/person"): READER,  # to look; its acts are the officer's
    ("GET", "/desk/people"): ADMIN,
    ("POST", "/desk/people"): ADMIN,
    ("POST", "/desk/sign-out"): READER,
}
BEFORE = {
    ("GET", "/desk/desk.css"), ("GET", "/desk/desk.js"), ("GET", "/desk/sign-in"), ("POST", "/desk/sign-in/proxy"),
    ("POST", "/desk/sign-in/options"), ("POST", "/desk/sign-in/passkey"), ("GET", "/desk/sign-in/company"),
    ("GET", "/desk/sign-in/back"), ("GET", "/desk/invitation"), ("POST", "/desk/invitation"),
    ("POST", "/desk/invitation/options"), ("POST", "/desk/invitation/passkey"),
}  # fmt: skip


def of_the_desk(app):
    return {
        (method, route.path)
        for route in inside.routes(app)
        if route.path.split("/")[1] == "desk"
        for method in route.methods - {"HEAD"}
    }


async def let_in(client, method, path, cookie):
    """Whether somebody gets past the sign-in and past their role; what is sent would do nothing there."""
    sent = {"content": "form=made-up"} if method == "POST" else {}
    headers = {**cookie, **OURS, **FORM} if method == "POST" else cookie
    found = await client.request(method, path.replace("{number}", "1"), headers=headers, **sent)
    outside = found.status_code == 401 or found.headers.get("location") == "/desk/sign-in"
    return not outside and "This is for the role" not in found.text


async def open_doors(folder):
    """(rows, those that a role opens and should not, or the other way round)"""
    cookies = {NOBODY: {"Cookie": "__Host-desk=made-up"}}
    cookies |= {role: await comes_in(folder, str(role), role) for role in DeskRole}
    wrong, rows = [], 0
    async with desk(folder) as client:
        for (method, path), least in LEAST.items():
            for who, cookie in cookies.items():
                due = who != NOBODY and DeskRole(who).may(least)
                rows += 1
                if await let_in(client, method, path, cookie) is not due:
                    wrong.append((method, path, who))
    return rows, wrong


async def test_a_role_opens_its_own_doors_of_the_desk_and_no_other(folder, figure):
    rows, wrong = await open_doors(folder)
    figure("routes and roles of the desk", f"{rows} rows, {len(wrong)} open")
    assert wrong == []


async def test_the_control_a_door_of_the_desk_that_asks_for_no_role_is_seen(folder, monkeypatch):
    sees = DeskRole.may
    monkeypatch.setattr(DeskRole, "may", lambda _, least: sees(READER, READER))
    cookie = await comes_in(folder, "aud", READER)
    async with desk(folder) as client:
        assert await let_in(client, "GET", "/desk/people", cookie)


async def test_a_role_that_is_taken_away_is_gone_from_the_session_that_is_open(folder):
    cookie = await comes_in(folder, "ada", ADMIN)
    async with desk(folder) as client:
        assert await let_in(client, "GET", "/desk/people", cookie)
        await Sitting(folder).invite("ada", READER)
        assert not await let_in(client, "GET", "/desk/people", cookie)
        assert await let_in(client, "GET", "/desk", cookie)


@pytest.mark.parametrize("listener", [PUBLIC, INTERNAL, METRICS, DESK])
async def test_the_desks_doors_are_on_its_listener_alone_and_no_other_ones_are_there(folder, listener, figure):
    wrong, rows = [], 0
    async with with_desk(folder, served=frozenset({listener})) as app, inside.client(app) as client:
        assert of_the_desk(app) == set(LEAST) | BEFORE
        for route in inside.routes(app):
            path = re.sub(r"\{(\w+)(:\w+)?\}", "1", route.path)
            for method in ("GET", "POST"):
                found = await client.request(method, path)
                absent = found.status_code == 404 and b"not on this address" in found.content
                rows += 1
                if listener == DESK or path.startswith("/desk"):
                    here = listener == DESK and path.startswith("/desk")
                    wrong += [(method, path, found.status_code)] if absent is here else []
        for path in ("/desk/", "//desk", "/DESK", "/desk%2Fsign-in", "/%64esk/sign-in", "/x/../desk/sign-in"):
            shown = b"privacy desk" in (await client.get(path)).content
            assert not shown or listener == DESK, path
    figure(f"routes of the {listener} listener beside the desk's", f"{rows} rows, {len(wrong)} open")
    assert wrong == []
