"""Eight things that people come for, done by a reader of accessible names alone: roles and names as Chromium tells them
to a screen reader, and a keyboard. It knows the words of the task and what the person would type, and nothing of us.
"""

import functools
import itertools
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from support.inside import DEV
from support.names_alone import Lost, NamesAlone
from support.people import email, named, phone
from support.service import service

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATH = "/privacy-choices"
NUMBERS = itertools.count(1)  # nobody is met twice


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("tasks")) as started:
        yield started


def called(page, path: str, body: dict | None = None, **headers: str) -> dict:
    sent = json.dumps(body).encode() if body else None
    asked = urllib.request.Request(page.url.partition(PATH)[0] + path, sent, headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.loads(answer.read())


def status(page) -> dict[str, str]:
    """What the site is told of this browser, by purpose."""
    kept = "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies())
    return called(page, f"{PATH}/status", Cookie=kept)["purposes"]


def denied(page, *person: str) -> bool:
    body = {"identifiers": [named(*person)], "recipient": "advertisers", "purpose": "targeted_ads", "place": "US-CA"}
    return called(page, "/v1/check", body, **DEV, **{"Content-Type": "application/json"})["reason"] == "opted_out"


@dataclass(frozen=True)
class ComeFor:
    """One task. `words`: as a person would put it. `types`: what they know, by what they call it. `first`: the words of
    another task that was done before. `presses`: how many controls a person may be asked to use. `done`: whether it is.
    """

    words: str
    presses: int
    done: Callable[..., bool]
    types: tuple[str, ...] = ()
    first: str = ""


OUT = "opt out of everything on this browser"
BACK = "allow targeted advertising on this browser again"
TASKS = [
    ComeFor(OUT, 1, lambda page, *_: set(status(page).values()) == {"opted_out"}),
    ComeFor(
        "opt out my email address, further than this browser", 3,
        lambda page, _, who: denied(page, "email", who["email"]), ("email",),
    ),
    ComeFor(
        "opt out my phone number further than this browser, in Canada, in the province of Ontario", 5,
        lambda page, _, who: denied(page, "phone", who["phone"]), ("phone", "country", "state province"),
    ),
    ComeFor("limit the use of my sensitive information", 1, lambda page, *_: status(page)["sensitive"] == "opted_out"),
    ComeFor(
        BACK, 7,
        lambda page, *_: status(page)["targeted_ads"] == "opted_in", first=OUT,
    ),
    ComeFor("download the receipt", 2, lambda _, saved, __: any("proof" in name for name in saved), first=OUT),
    ComeFor(
        "stop marketing by email", 4, lambda page, *_: "/done/" in page.url, ("email",),
    ),
    ComeFor("show who received my data and what you hold", 2, lambda page, *_: page.get_by_role("heading", name="Who received what").count() == 1),
]  # fmt: skip


def solve(chromium, url, task: ComeFor, planted: str = "") -> int:
    """How many controls were used, by somebody who never came before. `planted` runs on each page before it is read."""
    number = next(NUMBERS)
    who = {"email": email(number), "phone": phone(number), "country": "Canada", "state province": "Ontario"}
    context = chromium.new_context(accept_downloads=True, viewport={"width": 320, "height": 640})
    try:
        page, saved = context.new_page(), []
        page.on("download", lambda each: saved.append(each.suggested_filename))
        page.goto(url + PATH)

        def used(each: ComeFor, planted: str = "") -> int:
            reader = NamesAlone(page, each.words, {name: who[name] for name in each.types}, planted)
            return reader.until(lambda: each.done(page, saved, who), each.presses)

        if task.first:
            used(next(each for each in TASKS if each.words == task.first))
        return used(task, planted)
    finally:
        context.close()


@pytest.fixture(scope="module")
def counted(running, chromium):
    """How many controls a task takes; each is done once."""
    return functools.cache(functools.partial(solve, chromium, running.url))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.words)
def test_what_a_person_comes_for_is_found_by_accessible_names_alone(counted, task):
    assert counted(task) <= task.presses


def test_opting_out_takes_no_more_steps_than_opting_in(counted):
    """11 CCR 7004(a)(2), L28: what this reader presses from the page on, counted."""
    out, back = (counted(each) for each in TASKS if each.words in {OUT, BACK})
    assert out == 1
    assert out <= back


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.words)
def test_with_names_that_say_nothing_it_is_not_found(running, chromium, task):
    """The control: the reader finds its way by names and by nothing else."""
    nameless = """document.querySelectorAll('a, button, summary, input, select').forEach(
        each => each.setAttribute('aria-label', 'Click here'))"""
    with pytest.raises(Lost):
        solve(chromium, running.url, task, nameless)
