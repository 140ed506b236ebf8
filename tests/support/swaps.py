"""Lives of a checkpoint store, run under tests/faults/recorder.c: `python -m support.swaps ROOT FIRST LAST HOW`.

ROOT/store has the store; what is about to be signed and what was is written to ROOT/told, a line each: "try 7", "told 7".
HOW: "on" to its end; the name of a call ("pwrite", "fdatasync", "sync_folder", "mark") in whose place it dies while
LAST is signed; or "fails": each second one cannot be synced at first. FAULT in the environment plants one.
"""

import contextlib
import os
import sys
from pathlib import Path

from gateway import disk
from gateway.ledger import publisher
from gateway.ledger.proof.note import Checkpoint
from gateway.ledger.publisher import CheckpointStore, SlotRead, StoreBroken

LEDGER = b"l" * 16


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint("log.example.com", size, bytes([size]) * 32)


def store_in(root: Path) -> CheckpointStore:
    return CheckpointStore(root / "store", LEDGER)


class Swaps:
    """One process that signs one checkpoint after the other."""

    def __init__(self, root: Path) -> None:
        self.store = store_in(root)
        self.told = os.open(root / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.fails = Path(f"{os.environ['RECORDER_LOG']}.fails")

    def tell(self, what: str, size: int) -> None:
        os.write(self.told, f"{what} {size}\n".encode())

    def sign(self, size: int) -> None:
        self.tell("try", size)
        self.store.swap(self.store.last(), checkpoint(size))
        self.tell("told", size)

    def sign_on_a_failing_disk(self, size: int) -> None:
        """Its sync fails at first."""
        self.fails.write_text(".checkpoint")
        with contextlib.suppress(StoreBroken):
            self.sign(size)
        self.fails.unlink()


def die_in(call: str) -> None:
    """From now on the process dies in the place of a call; the folder is there."""
    publisher.make_folder = lambda _: None
    owner, name = {"sync_folder": (disk, call), "mark": (publisher, "_mark_slot")}.get(call, (os, call))
    for each in {owner, publisher} if name == "sync_folder" else {owner}:
        setattr(each, name, lambda *_: os._exit(0))


def trusts_what_is_shown() -> None:
    """The newer slot counts although no sync has returned for it."""
    honest = publisher._read_slots

    def read(file: int) -> SlotRead:
        content = os.pread(file, publisher.WHOLE, 0)
        slots = [slot for begins in publisher.SLOTS if (slot := publisher.read_slot(content, begins))]
        return SlotRead(max(slots, key=lambda slot: slot.counter), sure=True) if slots else honest(file)

    publisher._read_slots = read


def signs_before_the_sync() -> None:
    def keep(file: int, slot: publisher.CheckpointSlot) -> None:
        block = slot.block()
        os.pwrite(file, block, slot.begins)
        publisher._mark_slot(file, block)

    publisher._keep_slot = keep


def forgets_the_folder() -> None:
    publisher.sync_folder = lambda _: None


def writes_over_the_newer() -> None:
    publisher.CheckpointSlot.begins = property(lambda _: 0)


def main(root: Path, first: int, last: int, how: str) -> None:
    if fault := os.environ.get("FAULT"):
        globals()[fault]()
    life = Swaps(root)
    disk.make_folder(life.store.path.parent)
    for size in range(first, last + 1):
        if size == last and how not in {"on", "fails"}:
            die_in(how)
        if how == "fails" and size % 2:
            life.sign_on_a_failing_disk(size)
        else:
            life.sign(size)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
