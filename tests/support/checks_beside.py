"""A process with the gateway or a replica in it, which checks all the time about whom a crowd turned to last, and
writes down when and what.

python -m support.checks_beside inside FOLDER TURNS OUT
python -m support.checks_beside replica FOLDER TURNS OUT URL ENROLMENT SECRET
"""

import contextlib
import os
import random
import sys
import time
from pathlib import Path

from gateway.app.composition import open_house
from gateway.app.replica import Replica
from gateway.consent.asked import Ask
from gateway.keys import seals
from support import inside, under_nemesis
from support.crowd import NO_ANSWER
from support.households import CREWS, WORDS, Turns, about
from support.kinship import KEYS

PAUSE = 0.002


def ask(subject, key, *, numbered):
    who = (about(subject, key),)
    return Ask(("teemo",), who, purpose="sale", data=("ad_id",), place="US-NY", numbered=numbered)


@contextlib.contextmanager
def of_the_house(folder):
    """The check of a site's own process; with it goes which event decided."""
    clock = under_nemesis.install(Path(folder))
    with open_house(Path(folder) / "data", inside.settings(), dev=True, clock=clock, patient=True) as house:
        checks = house.consent.checks

        def check(subject, key):
            found = house.consent.checks.check(ask(subject, key, numbered=True)).verdicts["teemo"]
            return found, (checks.event(found.seq) if found.seq is not None else None) or ""

        yield check


@contextlib.contextmanager
def of_a_replica(folder, url, enrolment, secret):
    opened = seals.open_enrolment(Path(enrolment).read_text(), Path(secret).read_text())
    with Replica(url, Path(folder), opened, inside.settings(), dev=True) as made:
        yield lambda subject, key: (made.check(ask(subject, key, numbered=False)).verdicts["teemo"], "")


def go_on(check, turns, out):
    """Until it is killed. Each line is written whole."""
    while True:
        subject, key, call = turns[random.randrange(CREWS)], random.choice(KEYS), time.monotonic_ns()
        verdict, event = check(subject, key)
        if str(verdict.reason) not in NO_ANSWER:
            answered, word = time.monotonic_ns(), WORDS[str(verdict.reason)]
            assert verdict.allowed == (word != "out"), verdict
            os.write(out, f"{subject}\t{key}\t{call}\t{answered}\t{word}\t{event}\n".encode())
        time.sleep(PAUSE)


def main(kind, folder, turns, out, *more):
    with {"inside": of_the_house, "replica": of_a_replica}[kind](folder, *more) as check:
        go_on(check, Turns(turns), os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND))


if __name__ == "__main__":
    main(*sys.argv[1:])
