"""What runs beside the service: a thread that takes its turns, is woken, rests, and is done when it is told to stop."""

import threading

import pytest

from gateway.delivery.background import Every

LONG = 3600.0  # seconds that no test waits for


class Turns:
    """Counts its turns; `done` once there were as many as are waited for."""

    def __init__(self, wanted=1):
        self.count, self.ended, self.wanted, self.done = 0, 0, wanted, threading.Event()

    def __call__(self):
        self.count += 1
        if self.count >= self.wanted:
            self.done.set()

    def end(self):
        self.ended += 1


def test_it_takes_a_turn_every_so_many_seconds_and_none_after_it_was_stopped():
    turns = Turns(3)
    thread = Every("test", 0.01, turns, last=turns.end)
    thread.start()
    assert turns.done.wait(60)
    thread.stop()
    seen = turns.count
    assert (turns.ended, thread.is_on) == (1, False)
    thread.wake()
    assert turns.count == seen


def test_whoever_is_woken_does_not_wait_for_its_time():
    turns = Turns()
    thread = Every("test", LONG, turns)
    thread.start()
    thread.wake()
    assert turns.done.wait(60)
    thread.stop()


@pytest.mark.parametrize(("seconds", "first"), [(LONG, 0.0), (LONG, 0.01)])
def test_the_first_turn_may_be_earlier_and_a_turn_may_say_when_the_next_one_is(seconds, first):
    turns = Turns(2)
    thread = Every("test", seconds, lambda: turns() or 0.01, first=first)
    thread.start()
    assert turns.done.wait(60)
    thread.stop()


def test_one_that_is_stopped_before_its_first_turn_does_what_is_left_and_no_turn():
    turns = Turns()
    thread = Every("test", LONG, turns, last=turns.end)
    thread.start()
    thread.stop()
    assert (turns.count, turns.ended) == (0, 1)


def test_work_that_takes_long_sees_that_it_is_to_end_and_whoever_stops_waits_for_it():
    began, seen = threading.Event(), []

    def work():
        began.set()
        while not thread.ends:
            pass
        seen.append("gave up")

    thread = Every("test", LONG, work, first=0)
    thread.start()
    assert began.wait(60)
    thread.stop()
    assert seen == ["gave up"]


def test_one_that_was_stopped_starts_again():
    turns = Turns()
    thread = Every("test", LONG, turns, first=0)
    for _ in range(2):
        turns.done.clear()
        thread.start()
        assert turns.done.wait(60)
        thread.stop()
