"""Rows that are handed back and many checks, as the client reads them: when each is over, by whose clock."""

import itertools
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from gateway.client import asking
from gateway.client.asking import PART, Client, Verdicts
from gateway.client.connection import NoAnswer, Response, boot_seconds
from gateway.client.verdict import LONGEST, ROWS, ClientVerdict, Clock, HandedBack, VerdictUnreadable, read_verdict

YES = {
    "allowed": True,
    "partly": False,
    "data": {"ad_id": "allow"},
    "reason": "no_choice",
    "valid_for_ms": 250,
    "ref": "1",
}


def stamp(seconds: float) -> str:
    """A time so many seconds from now, as the gateway writes it."""
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(ahead: float = 0.0, took: float = 0.0) -> Clock:
    """Of a gateway whose clock is so many seconds ahead of ours, and that took so long to say so."""
    return Clock.of({"time": stamp(ahead)}, boot_seconds() - took)


@pytest.mark.parametrize("ahead", [-3600, 0, 3600])
def test_an_answer_holds_by_the_gateways_clock_whatever_ours_shows(ahead):
    known = clock(ahead)
    assert boot_seconds() < known.until(stamp(ahead + 0.25)) <= boot_seconds() + 0.25
    assert known.until(stamp(ahead - 0.01)) < boot_seconds()


def test_what_the_gateway_took_to_say_its_time_is_taken_off():
    assert clock(took=0.3).until(stamp(0.25)) < boot_seconds()


def test_no_clock_that_was_set_meanwhile_makes_an_answer_hold_for_long():
    assert clock().until(stamp(3600)) <= boot_seconds() + LONGEST


@pytest.mark.parametrize("stated", [None, 1, "", "soon", "2026-11-24T13:30:05", [], {}])
def test_a_time_that_cannot_be_read_is_none(stated):
    with pytest.raises(VerdictUnreadable):
        clock().until(stated)
    with pytest.raises(VerdictUnreadable):
        Clock.of({"time": stated}, 0.0)


def test_one_of_many_checks_holds_from_when_it_was_decided():
    asked = boot_seconds() - 1.0
    assert read_verdict(YES | {"valid_until": stamp(0.2)}, ["ad_id"], asked, "1", clock()).allowed
    late = read_verdict(YES | {"valid_until": stamp(-0.1)}, ["ad_id"], asked, "1", clock())
    assert (late.allowed, late.reason) == (False, "expired")
    without = read_verdict(YES | {"valid_until": stamp(0.2)}, ["ad_id"], asked, "1")
    assert (without.allowed, without.reason) == (False, "expired")


def test_an_answer_never_holds_longer_than_it_says_from_when_it_came():
    assert read_verdict(YES | {"valid_until": stamp(1.9)}, ["ad_id"], 0.0, "1", clock()).until <= boot_seconds() + 0.25


def test_a_no_that_is_over_is_still_that_no():
    no = YES | {"allowed": False, "data": {"ad_id": "deny"}, "reason": "opted_out"}
    assert read_verdict(no, ["ad_id"], boot_seconds() - 1, "1").reason == "opted_out"


def test_any_number_of_checks_is_asked_some_at_a_time_when_they_are_looked_at():
    asked = []

    def ask(start):
        asked.append(start)
        return [ClientVerdict(stated=str(start + n)) for n in range(min(PART, 120 - start))]

    found = Verdicts(120, ask)
    assert (len(found), asked) == (120, [])
    assert found[119].stated == "119"
    assert asked == [100]
    assert [each.stated for each in found] == [str(n) for n in range(120)]
    assert [each.stated for each in found[-2:]] == ["118", "119"]
    assert asked == [100, 0, 50]
    with pytest.raises(IndexError):
        found[120]


# --- rows ------------------------------------------------------------------------------------------------------------


def line(name: str, **more) -> bytes:
    stated = {
        "id": name,
        "outcome": "returned",
        "reason": "no_choice",
        "data": {"ad_id": "allow"},
        "row": {"ad_id": "x", "row": "h"},
        "valid_until": stamp(0.25),
    }
    return json.dumps(stated | more).encode()


END = json.dumps({"summary": {}, "complete": True}).encode()


def handed(*lines: bytes, rows=1, known=clock, posted=None, said=None, failures=None) -> HandedBack:
    def post(body, heard):
        heard["gateway-clock"] = "theirs"
        if posted is not None:
            posted.append(body.count(b"\n") + 1)
        yield from lines

    return HandedBack(
        "teemo",
        ({"id": f"r{n}"} for n in range(rows)),
        post,
        lambda heard: known() if heard == {"gateway-clock": "theirs"} else None,
        (said if said is not None else []).append,
        (failures if failures is not None else []).append,
    )


def test_a_row_may_be_sent_while_it_holds_and_what_became_of_it_is_said():
    said = []
    found = handed(line("r0", again=True, mark="m1"), END, said=said)
    [one] = found
    assert (one.row, one.again, one.reason, found.whole) == ({"ad_id": "x", "row": "h"}, True, "no_choice", True)
    one.sent()
    one.not_sent()
    assert [{"recipient": "teemo", "id": "r0", "mark": "m1", "outcome": word} for word in ("sent", "not_sent")] == [
        {name: value for name, value in each.items() if name != "at"} for each in said
    ]


def test_of_a_row_without_a_mark_none_is_said():
    said = []
    [one] = handed(line("r0"), END, said=said)
    one.sent()
    assert "mark" not in said[0]


@pytest.mark.parametrize(
    "late",
    [{"valid_until": stamp(-3600)}, {"valid_until": None}, {"valid_until": "soon"}, {"valid_until": 7}],
)
def test_a_row_that_is_over_or_says_no_time_is_not_to_be_sent(late):
    [one] = handed(line("r0", **late), END)
    assert (one.row, one.reason) == (None, "expired")


def test_without_the_gateways_clock_no_row_is_to_be_sent():
    [one] = handed(line("r0"), END, known=lambda: None)
    assert (one.row, one.reason) == (None, "expired")


@pytest.mark.parametrize(
    "other",
    [
        {"outcome": "refused", "reason": "opted_out"},
        {"outcome": "lent"},
        {"outcome": None},
        {"row": None},
        {"row": "h"},
    ],
)
def test_whatever_was_not_handed_back_is_not_to_be_sent(other):
    [one] = handed(line("r0", **other), END)
    assert one.row is None
    assert one.reason != "expired"


@pytest.mark.parametrize("end", [b"", b"{", b"[]", b'{"complete": 1}', b'{"problem": "store_unavailable"}'])
def test_an_answer_without_its_summary_is_not_whole_and_no_more_is_posted(end):
    posted = []
    found = handed(line("r0"), end, rows=ROWS + 1, posted=posted)
    assert [one.id for one in found] == ["r0"]
    assert (found.whole, posted) == (False, [ROWS])


def test_rows_go_some_thousands_a_call():
    posted = []
    found = handed(END, rows=ROWS + 1, posted=posted)
    assert (list(found), found.whole, posted) == ([], True, [ROWS, 1])


def test_a_gateway_that_does_not_answer_is_counted_and_raises_nothing():
    def gone(*_):
        raise NoAnswer("unreachable")

    failures = []
    found = HandedBack("teemo", iter([{"id": "r0"}]), gone, clock, print, failures.append)
    assert (list(found), found.whole, [str(each) for each in failures]) == ([], False, ["unreachable"])


class Machines:
    """In place of connections: several behind one address, each with a clock of its own, of which another one answers
    each time that it is asked for; rows and checks are answered by the last.
    """

    def __init__(self, *ahead):
        self.ahead, self.asked = ahead, itertools.count()

    def said(self, number):
        return {"gateway-clock": f"clock {number}"}

    def ask(self, method, path, body, kind, seconds):
        if path == "/v1/self":
            number = next(self.asked) % len(self.ahead)
            return Response(200, self.said(number), json.dumps({"time": stamp(self.ahead[number])}).encode())
        time.sleep(0.1)  # it was decided long before it came
        answers = [YES | {"ref": one["ref"], "valid_until": stamp(self.ahead[-1] + 0.15)} for one in json.loads(body)]
        return Response(200, self.said(len(self.ahead) - 1), json.dumps(answers).encode())

    def lines(self, path, body, headers, seconds, heard, itself):
        last = len(self.ahead) - 1
        itself(Response(200, self.said(last), json.dumps({"time": stamp(self.ahead[-1])}).encode()), boot_seconds())
        heard |= self.said(last)
        yield line("r0", valid_until=stamp(self.ahead[-1] + 0.15))
        yield END

    def close(self):
        pass

    def resolve(self):
        pass


@pytest.mark.parametrize("ahead", [(0.0, 1.5), (1.5, 0.0), (0.0, 1.5, -1.5)])
def test_of_several_machines_no_answer_is_read_by_anothers_clock(monkeypatch, ahead):
    monkeypatch.setattr(asking, "Connections", lambda *_: Machines(*ahead))
    with Client("http://gateway.example", key="k.k", timeout_ms=30_000) as client:
        for _ in range(2):  # whichever clocks are known by then
            [found] = client.checks([{"identifiers": [], "recipient": "teemo", "data": ["ad_id"]}])
            assert found.until <= boot_seconds() + 0.15
            assert found.until > boot_seconds() + 0.1  # its own clock says that it was decided just now
            [row] = client.share("teemo", [{"id": "r0"}])
            assert boot_seconds() + 0.1 < row.until <= boot_seconds() + 0.15


class Apart(Machines):
    """Of connections: the one that is kept is to the first machine, those of rows are to the last, which takes longer
    to say its time each time.
    """

    def ask(self, method, path, body, kind, seconds):
        return Response(200, self.said(0), json.dumps({"time": stamp(self.ahead[0])}).encode())

    def lines(self, path, body, headers, seconds, heard, itself):
        time.sleep(0.001 * (number := next(self.asked)))
        yield from super().lines(
            path, body, headers, seconds, heard, lambda said, at: itself(said, at - 0.001 * number)
        )


def test_a_clock_that_grows_old_is_learnt_anew_over_the_rows_own_connection(monkeypatch):
    monkeypatch.setattr(asking, "Connections", lambda *_: Apart(0.0, 1.5))
    monkeypatch.setattr(asking, "CLOCK", 0.3)
    with Client("http://gateway.example", key="k.k", timeout_ms=30_000) as client:
        for _ in range(5):
            [row] = client.share("teemo", [{"id": "r0"}])
            assert row.row
            time.sleep(0.12)
