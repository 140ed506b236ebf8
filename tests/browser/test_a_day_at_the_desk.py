"""A day at the desk in a real Chromium, with and without script; and eight tasks of an officer, done by a reader of
accessible names alone, who knows the words of the task and what the officer would type, and nothing of us.
"""

import inspect
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from browser.test_desk_in_chromium import PAGES as OTHERS
from support import inside
from support.accessible import looked_through
from support.at_the_desk import desk_service, is_read_by_everybody, signed_in, tabs_to
from support.names_alone import Lost, NamesAlone
from support.people import GAID, gaid, named, phone
from support.wire import call, link, post_form

from gateway.app import desk_routes
from gateway.app.composition import open_house
from gateway.desk.evidence import DAILY, Period, Rehearsal, note_period, note_rehearsal
from gateway.desk.office.cases import Cases
from gateway.desk.office.mailbox import Mailbox
from gateway.desk.office.officers import DeskRole
from gateway.desk.office.request_law import RequestKind
from gateway.keys import secret_files
from gateway.rehearsal.judging import RehearsalOutcome, matrix_of_rehearsal

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NOW = datetime.now(UTC)
MAILS = 12  # each a case; behind them come a letter, and what was answered
ANSWERED = MAILS + 2
RECIPIENTS = ("advertisers", "flurry", "matching", "page", "teemo")
WAYS = ("Sec-GPC on a page (nginx)", "app, ad id", "desk, letter", "form, email (en)", "form, phone (en)", "text, STOP")


def lived_in(folder):
    """An installation of thirty days, with a rehearsal on record that found something."""
    inside.install(folder)
    outcomes = {way: RehearsalOutcome({(each, "sale") for each in RECIPIENTS}, milliseconds=9) for way in WAYS}
    outcomes["text, STOP"].failed.append(("teemo", "sale", "check", "said: ip allowed, no_objection"))
    outcomes["app, ad id"] = RehearsalOutcome({("teemo", "sale")}, {("flurry", "sharing"): "no_contract"})
    told = {"passed": False, "failures": 1, "failed": [], "closed": {"desk, call": "[desk] no call"}}
    rehearsal = Rehearsal(b"r" * 16, NOW, NOW, {**told, **matrix_of_rehearsal(outcomes)})
    with open_house(folder, inside.settings(), dev=True) as house:
        for back in range(1, 31):
            start = NOW - timedelta(days=back)
            counts = {
                "signals": {"web gpc": 900 + 20 * (back % 7), "web usprivacy": 90, "check gpp": 40, "sms": 3},
                "decisions": {"teemo false opted_out": 700 + back, "advertisers false no_contract": 44},
            }
            period = Period(back.to_bytes(16), "run", DAILY, start, start + timedelta(hours=1), counts)
            house.writer.submit(lambda tx, period=period: note_period(tx, period, [], NOW)).result(60)
        house.writer.submit(lambda tx: note_rehearsal(tx, rehearsal, [], NOW)).result(60)


def mail(text: str, number: int) -> bytes:
    made = EmailMessage()
    made["From"], made["Subject"], made["Message-ID"] = "Jo <jo@example.com>", "My data", f"<{number}@example.com>"
    made.set_content(text)
    made.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="letter.pdf")
    return made.as_bytes()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("day")
    lived_in(folder / "data")
    with desk_service(folder, GATEWAY_SYSTEMS__WAREHOUSE__IDENTIFIERS="phone") as started:
        cases = Cases(started.data, secret_files.load_secrets(started.data).desk, lambda: datetime.now(UTC))
        for number in range(MAILS):  # each test has mails and cases that nobody else touches
            Mailbox(cases).take(mail("Please do not sell my data. Jo", number))
        cases.open_case(NOW - timedelta(days=90), RequestKind.KNOW, "US-CA", "letter", {"lines": "", "unread": []})
        answered = cases.open_case(NOW, RequestKind.KNOW, "US-CO", "letter", {"lines": "", "unread": []})
        cases.answer_case(answered, "denied", "exempt")
        assert answered == ANSWERED  # whose pages are looked at below
        link(started.url, "a1", named("phone", phone(1)), named("gaid", GAID))
        row = {"id": "r1", "identifiers": [named("gaid", GAID)], "data": {"ad_id": GAID}, "place": "US-CA"}
        assert call(f"{started.url}/v1/shares/teemo", row)[0] == 200
        assert post_form(started.url, action="opt_out", phone=phone(1))[0] == 303
        link(started.url, "a2", named("gaid", gaid(7)))
        late = {"identifiers": [named("gaid", gaid(7))], "data": {"ad_id": gaid(7)}, "place": "US-CA", "id": "r2"}
        assert call(f"{started.url}/v1/shares/teemo", late)[0] == 200
        no = {"choice": "opt_out", "identifiers": [named("gaid", gaid(7))], "place": "US-CA", "manner": "letter"}
        came = (NOW - timedelta(days=60)).isoformat(timespec="seconds")
        assert call(f"{started.url}/v1/choices", {**no, "received_at": came})[0] == 201
        started.cookie = {**signed_in(started), "secure": True, "httpOnly": True, "sameSite": "Strict"}
        started.reader = {
            **signed_in(started, "ron", DeskRole.READER),
            "secure": True,
            "httpOnly": True,
            "sameSite": "Strict",
        }
        yield started


@pytest.fixture
def opened(chromium, running):
    """A page of the desk in a new browser, with the options of Playwright's."""
    contexts = []

    def open_page(path="/desk", cookie=None, **options):
        context = chromium.new_context(accept_downloads=True, **options)
        context.set_default_timeout(60_000)
        context.add_cookies([cookie or running.cookie])
        contexts.append(context)
        page = context.new_page()
        page.goto(running.desk + path)
        return page

    yield open_page
    for each in contexts:
        each.close()


def takes_in(page, manner, lines, kind="opt_out", days=0, agent="", signed=b""):
    """A request comes in, and its case is opened."""
    page.get_by_role("link", name="Requests", exact=True).click()
    page.get_by_role("link", name="A request came in").click()
    page.get_by_label("How it came").select_option(manner)
    page.get_by_label("asked for").select_option(kind)
    page.get_by_label("The day it came").fill((NOW - timedelta(days=days)).date().isoformat())
    page.get_by_label("Who it is about").fill(lines)
    page.get_by_label("Where the person lives").fill("US-CA")
    page.get_by_label("The agent’s name").fill(agent)
    if signed:
        file = {"name": "signed.pdf", "mimeType": "application/pdf", "buffer": signed}
        page.get_by_label("The signed permission").set_input_files(file)
    page.get_by_role("button", name="Take it in").click()
    page.get_by_role("heading", level=1, name=re.compile(r"Case \d+")).wait_for()


def reason_of(running, number):
    """The reason that the gateway gives an ad server that asks about somebody's number."""
    asked = {"identifiers": [named("phone", number)], "recipient": "teemo", "purpose": "sale", "place": "US-CA"}
    status, answer, *_ = call(f"{running.url}/v1/check", {**asked, "data": ["ad_id"]})
    assert status == 200
    return answer["reason"]


@pytest.mark.parametrize("script", [True, False])
def test_a_day_at_the_desk(running, opened, script, tmp_path):
    page = opened(java_script_enabled=script)
    assert page.get_by_text("past due", exact=True).first.is_visible()  # the letter of ninety days ago
    page.get_by_role("link", name="Read the mail of case").first.click()  # a mail
    assert page.get_by_text("letter.pdf (application/pdf, 8 bytes)").is_visible()
    page.get_by_label("They want to").select_option("opt_out")
    page.get_by_role("button", name="Go on with the case").click()
    page.get_by_role("button", name="Enter these").click()
    assert page.get_by_text("The no is kept and holds").is_visible()
    page.get_by_role("button", name="It was complied with").click()

    takes_in(page, "letter", "jo2@example.com", days=14)  # a letter of two weeks ago
    assert page.get_by_text("The no is kept and holds").is_visible()
    takes_in(page, "phone", phone(20))  # a call
    assert page.get_by_text("The no is kept and holds").is_visible()
    takes_in(page, "agent", phone(21), agent="Permission Slip", signed=b"%PDF-1.7 signed")
    assert page.get_by_text("The signed permission is kept sealed").is_visible()
    takes_in(page, "agent", phone(22), agent="Somebody")  # without one: it holds, and is denied
    assert page.get_by_text("No signed permission came with it").is_visible()
    assert page.get_by_text("The no is kept and holds").is_visible()
    page.get_by_role("button", name="Deny it").click()
    assert page.get_by_text("denied", exact=True).is_visible()
    page.get_by_role("link", name="An appeal against the answer").click()  # they do not put up with it
    page.get_by_role("button", name="An appeal came").click()
    page.get_by_role("button", name="It was granted").click()
    assert page.get_by_text("granted", exact=True).is_visible()
    takes_in(page, "letter", phone(23))  # a fraud, which is denied, and takes no no away
    page.get_by_label("Because").select_option("fraud")
    page.get_by_role("button", name="Deny it").click()
    assert page.get_by_text("denied", exact=True).is_visible()
    assert [reason_of(running, phone(number)) for number in (20, 21, 22, 23)] == ["opted_out"] * 4
    assert reason_of(running, phone(24)) == "no_choice"  # of whoever said nothing

    page.get_by_role("link", name="A person", exact=True).click()
    page.get_by_label("Their email address").fill(phone(1))
    page.get_by_role("button", name="Look up").click()
    page.get_by_label("I looked at who asks").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Evidence pack").click()
    download.value.save_as(tmp_path / "pack.zip")
    with zipfile.ZipFile(tmp_path / "pack.zip") as pack:
        assert {"README.txt", "SHA256SUMS", "log.vkey", "report.json"} <= set(pack.namelist())

    page.get_by_label("Their email address").fill(phone(20))  # an erasure
    page.get_by_role("button", name="Look up").click()
    page.get_by_label("I looked at who asks").check()
    page.get_by_role("button", name="Forget the details").click()
    assert page.get_by_role("status").inner_text().startswith("Done")

    page.get_by_role("link", name="Today").click()  # an own system that does not answer
    page.get_by_role("link", name="Have warehouse do 1 deletion").first.click()
    page.get_by_label("I looked in warehouse").first.check()
    page.get_by_role("button", name="It is deleted in warehouse").first.click()
    assert page.get_by_text("by hand: ada").first.is_visible()

    page.get_by_role("link", name="Today").click()  # a delivery that is overdue
    overdue = page.get_by_role("listitem").filter(has_text="Tell teemo of").filter(has_text="past due")
    overdue.first.get_by_role("link").click()
    page.get_by_role("button", name="Try teemo again now").click()
    assert page.get_by_role("status").is_visible()
    page.get_by_role("link", name="Numbers").click()
    assert (
        page.get_by_role("cell", name="opted out")
        .or_(page.get_by_role("rowheader", name="opted out"))
        .first.is_visible()
    )
    page.get_by_role("link", name="The year’s report").click()
    page.get_by_label("Where the people live").select_option("US-CA")
    page.get_by_role("button", name="Show the report").click()
    row = page.get_by_role("row").filter(has_text="Requests to opt out of sale and sharing")
    with page.expect_download() as download:
        page.get_by_role("link", name="As JSON").click()
    download.value.save_as(tmp_path / "year.json")
    told = json.loads((tmp_path / "year.json").read_text())["opt_out"]
    assert row.get_by_role("cell").first.inner_text() == str(told["received"])
    assert told["received"] >= 6
    assert told["appeals"]["granted"] >= 1
    page.get_by_role("link", name="Rehearsal").click()
    page.get_by_role("link", name="text, STOP").click()
    assert page.get_by_text("said: ip allowed, no_objection").is_visible()


def test_a_request_its_appeal_the_report_and_a_person_are_done_by_keyboard_alone(opened):
    page = opened(java_script_enabled=False)

    def types(name, text):
        tabs_to(page, name)
        page.keyboard.type(text)

    def presses(name):
        tabs_to(page, name)
        with page.expect_navigation():
            page.keyboard.press("Enter")

    presses("Requests")
    presses("A request came in")
    for name, typed in (
        ("How it came", "letter"), ("What is asked for", "know"), ("Who it is about", "jo3@example.com"),
        ("Where the person lives", "US-CO"),
    ):  # fmt: skip
        types(name, typed)
    presses("Take it in")
    page.get_by_role("heading", level=1, name=re.compile(r"Case \d+: know what is held")).wait_for()
    types("Because", "we hold nothing")
    presses("Deny it")
    page.get_by_text("(not_ours)").wait_for()
    presses("An appeal against the answer")
    presses("An appeal came")
    page.get_by_text("An appeal came on").wait_for()
    presses("It was refused")
    page.get_by_text("refused", exact=True).wait_for()
    presses("Numbers")
    presses("The year’s report")
    types("The year", str(NOW.year - 1))
    presses("Show the report")
    page.get_by_role("heading", name=f"received in {NOW.year - 1}").wait_for()
    presses("A person")
    types("Their email address", "jo3@example.com")
    presses("Look up")
    page.get_by_role("heading", name="What holds now").wait_for()
    presses("No marketing any more")
    page.get_by_role("status").filter(has_text="No marketing any more").wait_for()


def test_an_auditor_asks_what_stood_two_years_back_and_can_change_nothing(running, opened):
    page = opened("/desk/person", running.reader)
    page.get_by_label("Their email address").fill(phone(1))
    page.get_by_label("As of the end of a day").fill((NOW - timedelta(days=730)).date().isoformat())
    page.get_by_role("button", name="Look up").click()
    assert page.get_by_text("nothing was chosen").is_visible()
    found = looked_through(page)
    assert not found.response["violations"], found.generate_report()
    assert page.get_by_role("button").count() == 2  # to look up, and to sign out


@dataclass(frozen=True)
class OfficersTask:
    """One task. `words`: as an officer would put it. `types`: what they know, by what they call it. `presses`: how many
    controls they use, what they type among them. `done`: whether it is, by what the page says.
    """

    words: str
    presses: int
    done: Callable[..., bool]
    types: tuple[tuple[str, str], ...] = ()


def says(text: str) -> Callable[..., bool]:
    return lambda page: page.get_by_text(text).first.is_visible()


def headed(text: str) -> Callable[..., bool]:
    return lambda page: page.get_by_role("heading", name=text).first.is_visible()


TASKS = [
    OfficersTask("read the mail of a case that came in", 1, headed("The mail of case")),
    OfficersTask(
        "take in the request that came", 4, says("The no is kept and holds"),
        (("who it is about", "jo9@example.com"),),
    ),
    OfficersTask("look up a person", 3, headed("What holds now"), (("email address", phone(1)),)),
    OfficersTask(
        "tell teemo again now, try the deliveries again", 2, lambda page: page.get_by_role("status").is_visible(),
    ),
    OfficersTask("numbers of the last 90 days", 2, headed("Numbers of the last 90 days")),
    OfficersTask("the numbers: opt-outs by source and day, the table", 2, lambda page: page.get_by_role("table", name="Opt-outs by source and day").is_visible()),
    OfficersTask("what the rehearsal found of the way text STOP", 2, headed("text, STOP")),
    OfficersTask(
        "acknowledged: the receipt of the case know what is held", 2,
        lambda page: "/requests/" in page.url and page.get_by_role("button", name="acknowledged").count() == 0,
    ),
]  # fmt: skip


def solve(opened, task: OfficersTask, planted: str = "") -> int:
    """How many controls were used, from the first page on."""
    page = opened(viewport={"width": 360, "height": 700})
    return NamesAlone(page, task.words, dict(task.types), planted).until(lambda: task.done(page), task.presses)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.words)
def test_what_an_officer_has_to_do_is_found_by_accessible_names_alone(opened, task):
    assert solve(opened, task) == task.presses  # counted: a page that asks for more, or less, is told


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.words)
def test_with_names_that_say_nothing_no_task_of_an_officer_is_found(opened, task):
    """The control: the reader finds its way by names and by nothing else."""
    nameless = """document.querySelectorAll('a, button, summary, input, select, textarea').forEach(
        each => each.setAttribute('aria-label', 'Click here'))"""
    with pytest.raises(Lost):
        solve(opened, task, nameless)


PAGES = {"numbers": "/desk/numbers", "numbers-90": "/desk/numbers?days=90", "rehearsal": "/desk/rehearsal",
         "way": "/desk/rehearsal?way=6", "mail": f"/desk/mail/{MAILS - 1}", "today": "/desk", "appeal": f"/desk/appeals/{ANSWERED}",
         "answered": f"/desk/requests/{ANSWERED}"}  # fmt: skip
NO_PAGES = {"/desk/mail/{number}/original"}  # files to be saved


def test_no_page_of_the_desk_is_left_out_of_those_that_are_looked_at():
    source = inspect.getsource(desk_routes)
    paths = {f"/desk{path}" for path in re.findall(r'\("(/[^"]*|)", GET', source)} - NO_PAGES
    looked_at = {re.sub(r"\d+", "{number}", path.partition("?")[0]) for path in [*PAGES.values(), *OTHERS.values()]}
    assert paths <= looked_at
    assert len(paths) > 10


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_of_the_day_are_read_by_everybody_at_every_width(opened, name):
    page = opened(PAGES[name])
    page.get_by_role("heading", level=1).wait_for()
    is_read_by_everybody(page, f"day-{name}")


def test_a_table_that_is_wider_than_the_screen_shows_that_it_goes_on(opened):
    page = opened("/desk/rehearsal", viewport={"width": 360, "height": 800})
    table = page.get_by_role("region", name="Ways by recipient, the table")
    table.evaluate("each => { each.firstElementChild.style.opacity = 0 }")  # words and lines differ from edge to edge
    box = table.evaluate("each => { each.scrollIntoView(); return each.getBoundingClientRect().toJSON() }")
    edges = {"left": box["x"], "right": box["x"] + box["width"] - 4}

    def looks(edge):
        return page.screenshot(clip={"x": edges[edge], "y": box["y"] + 8, "width": 4, "height": 60})

    at_start = {edge: looks(edge) for edge in edges}
    table.evaluate("each => { each.scrollLeft = each.scrollWidth }")
    assert table.evaluate("each => each.scrollLeft") > 0
    at_end = {edge: looks(edge) for edge in edges}
    table.evaluate("each => { each.style.background = 'none' }")
    plain = looks("left")
    assert at_start["right"] != plain != at_end["left"]  # it goes on there
    assert at_start["left"] == plain == at_end["right"]  # and ends there
