"""How long something takes, told so that neither what else the machine does nor how fast it is decides about a test."""

import threading
import time
from functools import cache
from typing import Self

TRIES = 3  # Python may tidy up in the middle of one
WRITTEN_ON = 0.008  # seconds that `_work` takes on the machine that the limits were written on


def quickest(act, tries=TRIES) -> float:
    """Seconds of this thread's own processor time that `act()` takes on the machine that the limits were written on, as
    far as a fixed piece of work tells; of the quickest of some tries.
    """
    return min(_timed(act)[0] for _ in range(tries)) / _slower()


def within(seconds: float, act):
    """What `act()` answers; fails if no try of three stays within `seconds`, which are counted as by `quickest`."""
    took = []
    for _ in range(TRIES):
        spent, answer = _timed(act)
        took.append(spent / _slower())
        if took[-1] < seconds:
            return answer
    raise AssertionError(f"{seconds} s are not enough: {took}")


def _timed(act):
    began = time.thread_time()
    answer = act()
    return time.thread_time() - began, answer


@cache
def _slower() -> float:
    """How many times slower this machine is; 1 for a faster one."""
    return max(1.0, min(_timed(_work)[0] for _ in range(20)) / WRITTEN_ON)


def _work() -> int:
    """Of what readers do: numbers, pieces of text, a dictionary."""
    seen: dict[str, int] = {}
    for number in range(20_000):
        seen[f"{number % 500:x}"] = number * 31 & 0xFFFF
    return len(seen)


class Lateness:
    """How much too late a thread that sleeps was woken at most, while this goes on: so long the machine did something
    else, and nobody can keep a time on it. `longest` in seconds.
    """

    def __init__(self) -> None:
        self.longest, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self._over.wait(0.01)
            self.longest = max(self.longest, time.monotonic() - began - 0.01)
