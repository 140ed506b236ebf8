"""What named unlinked people leaves the mirror's map: LMDB keeps it in pages that it may never use again, so the next
process that writes makes the map anew.
"""

import asyncio
import contextlib
import time

import pytest
from support import inside
from support.people import gaid, named

from gateway.app.composition import open_house
from gateway.ledger import changes, schema
from gateway.ledger.erasure import ErasureOrder
from gateway.ledger.subjects import Choice
from gateway.mirror import memory_map
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Erasing

ON = {"mirror__enabled": "true", "mirror__map_mib": "4"}


def opened(folder):
    return open_house(folder, inside.settings(**ON), dev=True)


def person(house, number):
    return house.consent.people.name([named("gaid", gaid(number))]).subjects


def opts_out(house, numbers):
    choice = Choice(ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, "api", house.consent.clock())
    asyncio.run(house.consent.choose([subject for number in numbers for subject in person(house, number)], choice))


def unlinks(house, numbers):
    subjects = [subject for number in numbers for subject in person(house, number)]
    asyncio.run(house.consent.erase(ErasureOrder(Erasing.UNLINK, subjects, house.consent.clock())))
    return [subject.key for subject in subjects]


def lie_there(folder, keys):
    """How many of the keys are found in any of the map's files."""
    files = (folder / memory_map.FOLDER).glob(f"*/{memory_map.FILE}")
    content = b"".join(each.read_bytes() for each in files if not each.parent.is_symlink())
    return sum(key in content for key in keys)


def in_force(house):
    return house.writer._mirrored.current().folder


def table(folder):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        return dict(changes.everything(db))


@pytest.mark.slow
def test_digests_of_unlinked_people_leave_the_map_with_the_next_process_that_begins(folder):
    with opened(folder) as house:
        opts_out(house, range(300))
        keys = unlinks(house, range(0, 300, 2))
        first = in_force(house)
        opts_out(house, [301])
        assert in_force(house) == first, "not in between: nothing is written meanwhile"
        assert lie_there(folder, keys) > 0, "control: they do lie there"
    with opened(folder) as house:
        ends = time.monotonic() + 60
        while lie_there(folder, keys) and time.monotonic() < ends:
            time.sleep(0.02)
        assert lie_there(folder, keys) == 0
        assert in_force(house) != first
        rows = table(folder)
        assert not rows.keys() & {*keys}
        assert house.writer._mirrored.current().rows(rows) == rows
        second = in_force(house)
    with opened(folder) as house:
        opts_out(house, [302])
        assert in_force(house) == second, "once"
