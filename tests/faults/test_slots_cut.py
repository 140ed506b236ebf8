"""The power is cut at any call of any swap of the last checkpoint, over several lives of which some were killed on the
way, on a disk whose syncs fail now and then: what is read afterwards is what was signed last, or what was about to be.

Every call of the recording is a moment, and each has images in every style: all of them, not some.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from support import recording, swaps
from support.disk import STYLES, Disk, written
from support.examples import SOAK

from gateway.ledger.publisher import StoreBroken

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parent.parent
TIMES = 2 if SOAK else 1  # images of a moment and two styles
LIVES = (  # from, to, how: see `swaps`
    (1, 1, "sync_folder"),
    (1, 5, "fdatasync"),
    (5, 8, "mark"),
    (8, 17, "fails"),
    (18, 20, "pwrite"),
    (20, 24, "on"),
)
LATER = (1, 6, "on"), (7, 9, "fdatasync"), (9, 19, "fails"), (20, 24, "on")  # without a death while it is laid out


def lived(recorder, folder, lives, fault=""):
    """The recording of a store's lives, whole."""
    root = folder / "root"
    root.mkdir()
    names = {"RECORDER_ROOT": str(root), "RECORDER_LOG": str(recording.log_of(root)), "FAULT": fault}
    environment = {**os.environ, "LD_PRELOAD": str(recorder), "PYTHONPATH": str(TESTS), **names}
    for first, last, how in lives:
        command = [sys.executable, "-m", "support.swaps", str(root), str(first), str(last), how]
        subprocess.run(command, env=environment, check=True, timeout=120)
    log = recording.events(root)
    disk = Disk()
    for event in log:
        disk.apply(event)
    real = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert disk.seen_by_the_process() == real, "the recorder did not see every write"
    return log


def cut(log, folder, times=TIMES):
    """(images, what is wrong with some of them)."""
    images, wrong, chance = 0, [], random.Random(1)
    disk, signed, tried, told = Disk(), 0, 0, 0
    for at, event in enumerate(log):
        disk.apply(event)
        if event.op == "O" and event.path == "told":
            told = event.handle
        if event.op == "W" and event.handle == told:
            what, size = event.data.split()
            tried = max(tried, int(size))
            signed = int(size) if what == b"told" else signed
        for style, names in [(style, names) for style in STYLES for names in STYLES for _ in range(times)]:
            images += 1
            image = disk.image(style, names, chance)
            if found := _wrong(image, folder / str(images), signed, tried):
                wrong.append(f"cut {at}, bytes {style}, names {names}: {found}")
    return images, wrong


def _wrong(image, folder, signed, tried) -> str:
    """And the next one is signed there."""
    store = swaps.store_in(written(image, folder))
    try:
        last = store.last()
        store.swap(last, swaps.checkpoint(tried + 1))
    except StoreBroken as broken:
        return str(broken)
    size = last.size if last else 0
    if not signed <= size <= tried or store.last() != swaps.checkpoint(tried + 1):
        return f"{size} is read, {signed} was signed, {tried} tried"
    return ""


@pytest.fixture
def in_memory(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.mark.parametrize("lives", [LIVES, LATER], ids=["killed while it is laid out", "killed later"])
def test_whenever_the_power_is_cut_what_was_signed_last_is_read(tmp_path, in_memory, recorder, lives, figure):
    log = lived(recorder, tmp_path, lives)
    images, wrong = cut(log, in_memory)
    failed = sum(event.op == "F" for event in log)
    figure("slots, power cut", f"{images} images of {len(log)} calls, {failed} failed syncs, {len(wrong)} wrong")
    assert wrong == []
    assert failed >= 5
    assert images >= 2000


FAULTS = {
    "trusts_what_is_shown": LATER,
    "signs_before_the_sync": LATER,
    "forgets_the_folder": LIVES,
    "writes_over_the_newer": LATER,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_control_a_store_with_a_planted_fault_loses_what_was_signed(tmp_path, in_memory, recorder, fault, figure):
    images, wrong = cut(lived(recorder, tmp_path, FAULTS[fault], fault), in_memory)
    figure(f"slots, control {fault}", f"{len(wrong)} of {images} images are wrong")
    assert wrong
