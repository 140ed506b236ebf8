"""Answers to strangers leave at ticks, whatever they are: counted by a clock of the test's own, and not timed."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import inside
from support.people import email, named

from gateway.keys import api_keys
from gateway.web.shell import ticks
from gateway.web.shell.ticks import LEAST, MARGIN, MOST, SECONDS, TICK, Ticks

pytestmark = pytest.mark.anyio
FORM = {"action": "opt_out", "email": email(1)}


def is_tick(moment: float) -> bool:
    return math.isclose(moment / TICK, round(moment / TICK), abs_tol=1e-6)


@given(st.floats(0, 1e6), st.lists(st.floats(0, 0.099 / MARGIN), min_size=2, max_size=9))
def test_whatever_was_done_in_time_leaves_at_one_moment(began, took):
    made = Ticks()
    (due,) = {round(made.due(began, began + each), 6) for each in took}
    assert is_tick(due)
    assert began + LEAST - 1e-5 <= due < began + LEAST + TICK + 1e-5


@given(st.lists(st.floats(0, 3), min_size=1, max_size=50))
def test_an_answer_leaves_at_a_tick_and_never_before_it_is_done(took):
    made, now = Ticks(), 1000.0
    for each in took:
        due = made.due(now, now + each)
        assert is_tick(due)
        assert due >= max(now + LEAST, now + each) - 1e-5
        now += 1


def test_while_answers_take_longer_all_of_them_leave_later_and_not_those_alone():
    made = Ticks()
    slow, quick = made.due(100.0, 100.18), made.due(100.0, 100.02)
    assert slow == quick  # else a tick more would tell which of the two took longer
    later = 100.0 + SECONDS + 1
    assert made.due(later, later + 0.02) == pytest.approx(later + LEAST)  # it is forgotten


def test_what_is_slow_for_everybody_makes_nobody_wait_for_ever():
    made = Ticks()
    made.due(100.0, 160.0)
    assert made.due(160.0, 160.01) <= 160.0 + MOST * MARGIN + TICK


async def test_without_the_setting_nothing_waits():
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    await Ticks(0, sleep=sleep).leave(0.0)
    await Ticks(clock=lambda: 7.02, sleep=sleep).leave(7.0)
    assert slept == [pytest.approx(0.08)]  # control


@pytest.fixture
async def levelled(tmp_path, monkeypatch):
    """(client, client with an app's key, what left at a tick)"""
    left = []

    async def leave(self, began):
        left.append(began)

    monkeypatch.setattr(Ticks, "leave", leave)
    async with inside.application(tmp_path / "data") as app, inside.client(app) as client, inside.client(app) as public:
        key = await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", "app", ["choose"], publishable=True)
        public.headers["Authorization"] = f"Bearer {key}"
        yield client, public, left


ASKED = [
    ("POST", "/privacy-choices", FORM, 303), ("POST", "/privacy-choices", {"action": "opt_in"}, 403),
    ("POST", "/privacy-choices/", FORM, 303), ("POST", "/privacy-choices", {"a": "x" * 20_000}, 303),
    ("POST", "/privacy-choices/code", {"a": "x" * 20_000}, 413),
    ("POST", "/privacy-choices/marketing", FORM, 303), ("POST", "/privacy-choices/code", FORM, 200),
    ("POST", "/privacy-choices/code", {"action": "send", "use": "access", "email": email(1)}, 303),
    ("POST", "/privacy-choices/observe", None, 200), ("POST", "/privacy-choices/data", FORM, None),
    ("POST", "/privacy-choices/unsubscribe/x", FORM, None), ("GET", "/privacy-choices/unsubscribe/x", None, None),
    ("GET", "/privacy-choices/receipt/AAAA", None, 404), ("GET", "/privacy-choices/done/AAAA", None, None),
    ("POST", "/privacy-choices/erase", FORM, None), ("GET", "/privacy-choices/data", None, 200),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "form", "status"), ASKED)
async def test_whatever_a_stranger_may_ask_of_somebody_leaves_at_a_tick_and_its_errors_alike(
    levelled, method, path, form, status
):
    client, _, left = levelled
    body = {"data": form} if form else {"json": {}} if method == "POST" else {}
    answer = await client.request(method, path, **body)
    assert status is None or answer.status_code == status
    assert len(left) == 1


async def test_a_browsers_own_page_and_its_state_are_not_held_back(levelled):
    client, _, left = levelled
    for path in (
        "/privacy-choices",
        "/privacy-choices/status",
        "/privacy-choices/choices.css",
        "/.well-known/gpc.json",
    ):
        assert (await client.get(path)).status_code == 200
    assert left == []


@pytest.mark.parametrize("path", ["choices", "observe", "standing", "links", "codes", "access", "erasures"])
async def test_an_answer_to_a_key_that_anybody_may_hold_leaves_at_a_tick(levelled, path):
    client, public, left = levelled
    body = {"identifiers": [named("email", email(1))], "choice": "opt_out", "account": "a1", "signals": {"gpc": "1"}}
    await public.post(f"/v1/{path}", json=body)
    await public.post(f"/v1/{path}", content=b"{", headers={"Content-Type": "application/json"})
    assert len(left) == 2
    await client.post(f"/v1/{path}", json=body, headers={"Authorization": "Bearer nobody.else"})
    assert len(left) == 3
    await client.post(f"/v1/{path}", json=body, headers=inside.DEV)
    assert len(left) == 3  # a server's own key


async def test_an_answer_is_measured_from_the_turn_that_a_request_was_given():
    scope = {"state": {ticks.BEGAN: -1.0}}
    ticks.begin_tick(scope)
    assert scope["state"][ticks.BEGAN] > 0
    nobodys = {"state": {}}
    ticks.begin_tick(nobodys)
    assert nobodys == {"state": {}}


async def test_the_real_default_is_on(tmp_path):
    async with inside.application(tmp_path / "data", inside.settings(listen__level_answers="true")) as app:
        loop = asyncio.get_running_loop()
        async with inside.client(app) as client:
            began = loop.time()
            assert (await client.post("/privacy-choices", data=FORM)).status_code == 303
            assert loop.time() - began >= LEAST
