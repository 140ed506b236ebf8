"""Erases a person and is killed before or after one step of it, as a process of its own.

    python -m support.erases DATA WHEN STEP MODE

WHEN is `before` or `after`; STEP one of `gateway.ledger.erasure_steps`, or `transaction`: the one with the deletions.
It prints `acknowledged` once the erasure was, and exits with 9 where it was killed.
"""

import asyncio
import os
import sys
from pathlib import Path

from gateway.app.composition import open_house
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger import erasure_steps
from gateway.terms import Erasing
from support import inside
from support.people import email, named

STEPS = ("destroy_keys", "cut_ledger", "mark_done")


def die_at(when: str, step: str) -> None:
    where = erasure if step == "erase" else erasure_steps
    real = getattr(where, step)

    def dies(*arguments):
        if when == "before":
            os._exit(9)
        real(*arguments)
        os._exit(9)

    setattr(where, step, dies)


def main(data: Path, when: str, step: str, mode: str) -> None:
    die_at(when, step)
    with open_house(data, inside.settings(), dev=True) as house:
        subjects = house.consent.people.name([named("email", email(1))]).subjects
        asyncio.run(house.consent.erase(ErasureOrder(Erasing(mode), subjects, house.consent.clock())))
        print("acknowledged", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
