"""The desk in a real Chromium: an officer registers a passkey and comes in by it, and reads the desk with script and
without, by keyboard, at two widths, by day and by night.
"""

import pytest
from support.accessible import looked_through, picture
from support.at_the_desk import (
    desk_service,
    invitation,
    is_read_by_everybody,
    signed_in,
    tabs_to,
    taken_in,
    with_passkey_device,
)  # fmt: skip
from support.people import GAID, email, named, phone
from support.wire import call, link, post_form

from gateway.desk.office.officers import DeskRole

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with desk_service(tmp_path_factory.mktemp("desk"), GATEWAY_SYSTEMS__WAREHOUSE__IDENTIFIERS="email") as started:
        forgotten = {"identifiers": [named("email", email(1))], "mode": "erase_details"}
        assert call(f"{started.url}/v1/erasures", forgotten)[0] == 200
        link(started.url, "a1", named("phone", phone(1)), named("gaid", GAID))
        row = {"id": "r1", "identifiers": [named("gaid", GAID)], "data": {"ad_id": GAID}, "place": "US-CA"}
        assert call(f"{started.url}/v1/shares/teemo", row)[0] == 200
        assert post_form(started.url, action="opt_out", phone=phone(1))[0] == 303
        # Made before the browser's loop runs, in which nothing may read a file.
        started.cookies = {role: signed_in(started, role, role) for role in DeskRole}
        started.invitations = {name: invitation(started, name, DeskRole.OFFICER) for name in ("grace", "guest")}
        assert taken_in(started, "Permission Slip", "jo@example.com\nphone: 12x") == 1
        yield started


@pytest.fixture
def opened(chromium):
    """A page of a new browser, with the options of Playwright's."""
    contexts = []

    def open_page(cookie=None, **options):
        context = chromium.new_context(**options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        if cookie:
            context.add_cookies([{**cookie, "secure": True, "httpOnly": True, "sameSite": "Strict"}])
        return context.new_page()

    yield open_page
    for each in contexts:
        each.close()


def test_an_officer_registers_a_passkey_by_an_invitation_and_comes_in_by_it(running, opened):
    page = opened()
    with_passkey_device(page)
    page.goto(running.invitations["grace"])
    assert "#" not in page.url  # the code stands in no address any more
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Make a passkey").click()
    page.get_by_role("heading", name="Today").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    page.goto(f"{running.desk}/desk")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("heading", name="Today").wait_for()
    assert page.get_by_text("grace, officer").is_visible()


def test_whoever_is_taken_off_the_desk_is_out_at_once_and_their_passkey_with_them(running, opened):
    page = opened()
    with_passkey_device(page)
    page.goto(running.invitations["guest"])
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Make a passkey").click()
    page.get_by_role("heading", name="Today").wait_for()
    admin = opened(running.cookies[DeskRole.ADMIN])
    admin.goto(f"{running.desk}/desk/people")
    admin.get_by_role("button", name="Take guest off the desk").click()
    page.goto(f"{running.desk}/desk")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_text("does not let you in").wait_for()


@pytest.mark.parametrize("script", [True, False])
def test_an_officer_sees_what_waits_and_tries_it_again(running, opened, script):
    page = opened(running.cookies[DeskRole.OFFICER], java_script_enabled=script)
    page.goto(f"{running.desk}/desk")
    page.get_by_role("link", name="Tell teemo of 1 no").click()
    page.get_by_role("button", name="Try teemo again now").click()
    assert page.get_by_role("status").inner_text() == "1 are tried again."


@pytest.mark.parametrize("script", [True, False])
def test_an_officer_takes_a_letter_in_enters_what_was_not_readable_and_writes_the_answer(running, opened, script):
    page = opened(running.cookies[DeskRole.OFFICER], java_script_enabled=script)
    page.goto(f"{running.desk}/desk")
    page.get_by_role("link", name="Requests").click()
    page.get_by_role("link", name="A request came in").click()
    page.get_by_label("How it came").select_option("agent")
    page.get_by_label("Who it is about").fill("jo@example.com\nphone: 12x")
    page.get_by_label("Where the person lives").fill("US-CA")
    page.get_by_label("The agent’s name").fill("Permission Slip")
    signed = {"name": "signed.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 signed"}
    page.get_by_label("The signed permission").set_input_files(signed)
    page.get_by_role("button", name="Take it in").click()
    assert page.get_by_text("The no is kept and holds").is_visible()
    assert page.get_by_role("listitem").filter(has_text="12x").is_visible()
    page.get_by_label("As it has to be read").fill(phone(9))
    page.get_by_role("button", name="Enter these").click()
    page.get_by_label("Which").select_option("confirmation")
    page.get_by_label("In", exact=True).select_option("es")
    page.get_by_role("button", name="Write it").click()
    assert "la hemos procesado" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="It was complied with").click()
    assert page.get_by_text("complied", exact=True).is_visible()


@pytest.mark.parametrize("script", [True, False])
def test_an_officer_looks_a_person_up_by_keyboard_alone_and_has_them_forgotten(running, opened, script):
    page = opened(running.cookies[DeskRole.OFFICER], java_script_enabled=script, viewport={"width": 360, "height": 800})
    page.goto(f"{running.desk}/desk/person")
    tabs_to(page, "Their email address")
    page.keyboard.type(phone(1))
    tabs_to(page, "Look up")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="What holds now").wait_for()
    if script:
        found = looked_through(page)
        assert not found.response["violations"], found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    picture(page, f"desk-found-{script}", full_page=True)
    assert phone(1)[-7:] not in page.content()
    tabs_to(page, "I looked at who asks")
    page.keyboard.press("Space")
    tabs_to(page, "Forget the details")
    page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text="Done: Forget the details").wait_for()


PAGES = {"today": "/desk", "deliveries": "/desk/deliveries", "people": "/desk/people", "requests": "/desk/requests",
         "request-new": "/desk/requests/new", "request": "/desk/requests/1", "person": "/desk/person",
         "numbers": "/desk/numbers", "report": "/desk/report", "systems": "/desk/systems",
         "rehearsal": "/desk/rehearsal"}  # fmt: skip
BEFORE = {"sign-in": "/desk/sign-in", "invitation": "/desk/invitation"}


@pytest.mark.parametrize("name", [*PAGES, *BEFORE])
def test_every_page_of_the_desk_is_read_by_everybody_at_every_width(running, opened, name):
    page = opened(running.cookies[DeskRole.ADMIN] if name in PAGES else None)
    page.goto(running.desk + {**PAGES, **BEFORE}[name])
    page.get_by_role("heading", level=1).wait_for()
    is_read_by_everybody(page, f"desk-{name}")
