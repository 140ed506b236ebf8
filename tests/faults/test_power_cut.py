"""The power is cut at any moment, and the disk keeps what it must and as little else as it likes: whatever anybody was
told is kept is kept, the log goes on as the same log, and the state that every check reads is what the fold makes of it.

The real service is recorded under load, over two lives; of each moment an image is made of what its disk may hold then,
and the real start-up opens it. `make soak`: twenty recordings and 2000 images.
"""

from functools import partial

import pytest
from support import power_cut, recording
from support.examples import SOAK
from support.workload import Promises, at_once, crowd

from gateway.fold import fold
from gateway.keys.epochs import FILE as EPOCHS
from gateway.state import transactions

pytestmark = pytest.mark.slow
RECORDINGS, ACTS_OF_EACH = (3, 300) if SOAK else (1, 200)
IMAGES = 70 if SOAK else 50  # a fault is seen in one of the first ten
FEWER = 40 if SOAK else 15  # of a recording that looks for one thing more
CONTROL_IMAGES = 30 if SOAK else 20
SOME = 10
LIVES = 5  # of a control, at most
FAILS = 23  # every so-manieth sync
FAILED = 5  # so many at least
TURNS = 10  # of the epochs, so many at least
ACTS = 50  # further ones, until so many have
PAUSE = 0.03  # seconds between two acts of one person: the load lasts over several checkpoints of the database


def fewer(people, acts: int) -> bool:
    return sum(each.done for each in people) < acts


def lived(
    recorder, world, *, acts: int, seed: int = 0, module: str = "gateway", fails: int = 0, lives: int = 2, enough=None
) -> power_cut.Recording:
    """Two lives of a service: the first is killed while nobody calls, so that the second finds an open log. More is
    done until it is `enough`.
    """
    promises: Promises = {}
    with recording.recorded(recorder, world, module=module, fails=fails) as running:
        people = crowd(running.port, promises, seed)
        if lives == 2:
            at_once(people, partial(fewer, people, acts * 3 // 4), PAUSE)
            settled = (
                running.checkpointed if not fails else lambda: True
            )  # after a sync that failed nothing is brought over
            recording.until_quiet(world, settled)  # nothing is under way that the recorder could miss
            running.kill()
            running.start()
        at_once(people, partial(fewer, people, acts), PAUSE)
        assert not fewer(people, acts), "the service does not answer as it should"
        while enough and not enough(world):
            acts += ACTS
            at_once(people, partial(fewer, people, acts), PAUSE)
            assert not fewer(people, acts), "the service answers no more"
    return power_cut.read(world, promises)


def failed_often(world) -> bool:
    """On a slow disk many acts are one sync."""
    return recording.happened(world, "F", "") > FAILED


def turned_often(world) -> bool:
    return turns(recording.events(world)) > TURNS


def turns(log) -> int:
    """Changes of the epochs."""
    return sum(event.op == "O" and f".{EPOCHS}." in event.path for event in log)


@pytest.mark.parametrize("seed", range(RECORDINGS))
def test_after_a_power_cut_every_acknowledged_opt_out_denies_and_the_log_goes_on(tmp_path, recorder, seed, figure):
    recorded = lived(recorder, tmp_path / "world", acts=ACTS_OF_EACH, seed=seed)
    found = power_cut.cut(recorded, IMAGES, seed)
    figure(
        f"power cut, recording {seed + 1}",
        f"{found.images} images of {len(recorded.log)} calls, {recorded.acknowledged} acknowledged entries,"
        f" {len(found.broken)} images with anything lost (seed {seed})",
    )
    assert recorded.acknowledged > ACTS_OF_EACH * 0.6
    assert found.images == IMAGES
    assert found.broken == {}


def test_a_power_cut_while_keys_are_wrapped_anew_and_an_epoch_dies_loses_no_key(tmp_path, recorder, figure):
    acts = 200 if SOAK else 100
    recorded = lived(
        recorder, tmp_path / "world", acts=acts, seed=1, module="support.short_epochs", enough=turned_often
    )
    found, turned = power_cut.cut(recorded, FEWER, 1), turns(recorded.log)
    figure(
        "power cut, epochs", f"{turned} changes of the epochs, {found.images} images, {len(found.broken)} with a loss"
    )
    assert turned > TURNS
    assert found.broken == {}


LOSES = "lost an acknowledged entry"
CONTROLS = {
    "faulty.syncs_seldom": LOSES,
    "answers_too_early": LOSES,
    "faulty.publishes_too_early": "the start-up refuses it",
    "faulty.signs_too_early": "a checkpoint was shown that is ahead",
    "faulty.signs_before_the_slot": "a checkpoint was shown that its store has lost",
    "faulty.forgets_the_folder": "the start-up refuses it",
    "faulty.forgets_the_vault": "lost the key of an entry",
    "faulty.uses_a_key_twice": "two records have one key",
    "faulty.buries_too_early": "lost the key of an entry",
}


@pytest.mark.parametrize("fault", CONTROLS)
def test_the_control_a_gateway_with_a_planted_fault_breaks_its_promises(tmp_path, recorder, fault, figure):
    lives = 2 if SOAK else 1  # none is of a start behind a kill
    breaks(figure, fault, CONTROLS[fault], recorder, tmp_path, acts=120, lives=lives)


def breaks(figure, fault, promise, recorder, folder, **how):
    """Lives of a gateway with a fault, until an image of one shows it: which ones may depends on what went on at
    once."""
    for life in range(1, LIVES + 1):
        world = folder / str(life) / "world"
        world.parent.mkdir()
        recorded = lived(recorder, world, seed=life, module=f"support.{fault}", **how)
        found = power_cut.cut(recorded, CONTROL_IMAGES, life, until=promise)
        if found.kinds()[promise]:
            break
    told = f"one of {found.images} images of life {life}: {promise}"
    figure(f"power cut, control {fault}", told)
    assert found.kinds()[promise]


def overlooks(record, get):
    return {} if record.seq % 11 == 10 else fold(record, get)


def test_the_control_a_state_that_lacks_a_record_is_found_after_a_power_cut(tmp_path, recorder, monkeypatch):
    recorded = lived(recorder, tmp_path / "world", acts=60)
    monkeypatch.setattr(transactions, "fold", overlooks)
    found = power_cut.cut(recorded, SOME, 1)
    assert found.kinds()["the state is not the fold of the log"] > SOME / 2


def test_a_disk_whose_syncs_fail_now_and_then_and_for_good_loses_nothing_acknowledged(tmp_path, recorder, figure):
    """What a failed sync should have written may be gone although later ones succeed: the page cache forgets it."""
    acts = 300 if SOAK else 200
    recorded = lived(recorder, tmp_path / "world", acts=acts, fails=FAILS, enough=failed_often)
    found = power_cut.cut(recorded, FEWER, 1)
    failed = sum(event.op == "F" for event in recorded.log)
    figure("power cut, failing syncs", f"{failed} failed syncs, {found.images} images, {len(found.broken)} with a loss")
    assert failed > FAILED
    assert found.broken == {}


def test_the_control_a_writer_that_shrugs_at_failed_syncs_loses_opt_outs(tmp_path, recorder, figure):
    breaks(figure, "faulty.shrugs_at_errors", LOSES, recorder, tmp_path, acts=200, fails=FAILS, enough=failed_often)
