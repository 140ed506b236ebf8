"""People with an account, a phone and a mailbox choose and are asked about, all at once, through every door and process
of one installation, while processes are stopped and killed at any point, the feed is cut and clocks are moved: what
everybody was answered has an order, for each person, in which it can have happened one after another; and no check that
began after a no was effective allows.

What a replica answers is some moment's, so that of it only the second is asked. A check that denies in doubt (`stale`)
is right at any time and says nothing. SOAK=1 goes on for three seeds and longer.
"""

from collections import Counter

import pytest
from support import crowd
from support.crowd import Plan
from support.examples import SOAK
from support.fleet import Fleet
from support.households import Relation, Signals, Wavering, too_late
from support.kinship import Person, Seen, step
from support.linearizable import MOST, NEVER, without_order
from support.nemesis import Nemesis
from support.wire import call

pytestmark = pytest.mark.slow
SEEDS = range(1, 4) if SOAK else [1]
SUBJECTS, OPERATIONS, CHECKS = (80, 3200, 5200) if SOAK else (40, 1600, 2600)
WORKERS = {1: 2, 2: 4, 3: 2, 4: 4, 5: 2}  # by seed


def plan(fleet, seed, subjects, member=Relation, acts=11):
    notices = {item["kind"]: item["sha256"] for item in call(f"{fleet.served[0].url}/v1/self")[1]["notices"]}
    ports = tuple(one.port for one in fleet.served)
    return Plan(seed, ports, notices, subjects, member=member, shown=str(fleet.turns), acts=acts)


def searched(history, most=MOST):
    return without_order(history, Person(), step, most)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_every_process_answered_has_an_order_and_none_allows_after_a_no_is_effective(tmp_path, seed, figure):
    with Fleet(tmp_path, WORKERS[seed]) as fleet, Nemesis(fleet, seed).at_work() as nemesis:
        history = crowd.run(plan(fleet, seed, SUBJECTS))
    inside, copied = fleet.checks("inside"), fleet.checks("replica")
    history += inside
    seen = [one for one in history if isinstance(one.act, Seen)]
    lost, late = searched(history), too_late(history, seen) + too_late(history, copied, waiting=False)
    figure(f"recorded histories, seed {seed}", told(history, inside, copied, nemesis.done, WORKERS[seed]))
    figure(f"recorded histories, seed {seed}", f"{len(lost)} without an order, {len(late)} after it was effective")
    assert len(history) >= OPERATIONS
    assert len(seen) + len(copied) >= CHECKS
    assert all(sum(one.act.word != "out" for one in where) > FEW for where in (seen, inside, copied))
    assert nemesis.done["stops"]
    assert sum(count for name, count in nemesis.done.items() if "kill" in name)
    assert lost == {}, shown(lost)
    assert late == []


def shown(lost):
    """One act a line, in the order of their calls."""
    return "\n".join(f"{one}" for operations in lost.values() for one in operations)


def told(history, inside, copied, done, workers):
    kinds = Counter(type(one.act).__name__ for one in history)
    unknown = sum(one.answered == NEVER for one in history)
    what = ", ".join(f"{count} {name}" for name, count in sorted(done.items()))
    return (
        f"{workers} workers, {len(history)} operations ({dict(kinds)}, {len(inside)} of the checks in a site's process),"
        f" {unknown} with no answer, {len(copied)} checks of a replica; {what}"
    )


FEW, MANY, LIVES = 12, 30, 16  # people of a control, acts of each member on each, and lives at most
STEPS = 10_000  # of a control's search: nothing is to be found there
CONTROLS = {
    "faulty.folds_before_durable": ("kills_folded_and_not_durable", Wavering, ("inside",)),
    "folds_too_late": ("rests", Relation, ("inside",)),
    "faulty.news_of_the_undurable": ("kills_before_it_is_durable", Signals, ()),
    "faulty.takes_any_root": ("puts_another_root", Relation, ()),
}


@pytest.mark.parametrize("fault", CONTROLS)
def test_the_control_a_gateway_with_a_planted_fault_is_found(tmp_path, fault, figure):
    harm, member, ways = CONTROLS[fault]
    for life in range(1, LIVES + 1):
        folder = tmp_path / str(life)
        folder.mkdir()
        with Fleet(folder, 2, f"support.{fault}", ways) as fleet, Nemesis(fleet, life, harm).at_work(0.2) as nemesis:
            history = crowd.run(plan(fleet, life, FEW, member, MANY))
        history += fleet.checks("inside") if ways else []
        found, late = searched(history, STEPS), too_late(history, [one for one in history if isinstance(one.act, Seen)])
        if found:
            break
    what = f"{len(history)} operations about {FEW} people, {dict(nemesis.done)}, life {life}"
    figure(
        f"recorded histories, control {fault}", f"{what}: {len(found)} without an order, {len(late)} allowed too late"
    )
    assert found
