"""The confirmation: "received" until no send on an older answer may start any more, "honored" from then on (R17)."""

from datetime import timedelta

import pytest
import time_machine
from support import inside

from gateway.choice.law import STATES
from gateway.web import confirmation
from gateway.web.states import STATE_NAMES

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"


@pytest.mark.parametrize(("waits", "title"), [(1.0, "Opt-Out Request Honored"), (0.0, "Your request was received")])
async def test_a_person_reads_honored_only_once_it_is_effective(client, monkeypatch, waits, title):
    monkeypatch.setattr(confirmation, "MOST_WAITING", timedelta(seconds=waits))
    with time_machine.travel(1_790_000_000, tick=False):  # the send window of a quarter of a second does not pass
        answer = await client.post(PATH, data={"action": "opt_out"})
        shown = await client.get(answer.headers["location"])
    assert f"<h1>{title}</h1>" in shown.text
    assert "<strong>Opted out</strong>" in shown.text  # it denies from the first moment on


async def test_a_confirmation_that_is_opened_later_waits_for_nothing(client, monkeypatch):
    monkeypatch.setattr(confirmation, "MOST_WAITING", timedelta(0))
    with time_machine.travel(1_790_000_000, tick=False) as clock:
        answer = await client.post(PATH, data={"action": "opt_out"})
        clock.shift(1)
        shown = await client.get(answer.headers["location"])
    assert "<h1>Opt-Out Request Honored</h1>" in shown.text


async def test_what_cannot_be_read_back_denies_and_is_not_called_honored(client, monkeypatch):
    answer = await client.post(PATH, data={"action": "opt_out"})
    unread = lambda _, subjects, purposes: dict.fromkeys(purposes, "unknown")  # noqa: E731
    monkeypatch.setattr("gateway.check.Checks.read_back", unread)
    shown = await client.get(answer.headers["location"])
    assert "<h1>Your request was received</h1>" in shown.text
    assert "<strong>Opted out</strong>" in shown.text


async def test_the_longest_send_window_that_may_be_set_keeps_nobody_waiting_two_seconds(tmp_path):
    configured = inside.settings(share__send_window_ms="2000")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        answer = await client.post(PATH, data={"action": "opt_out"})
        shown = await client.get(answer.headers["location"])
    assert "<h1>Your request was received</h1>" in shown.text


def test_every_state_has_its_name():
    assert set(STATE_NAMES) == STATES
    assert len(set(STATE_NAMES.values())) == len(STATES)
