"""Where a machine can die in the commit of an act, and what its disk holds then: a copy of all files as they are at
that point. Within the commit itself each 512-byte sector that was not synced yet is there or is not.
"""

import contextlib
import os
import random
import shutil
from dataclasses import dataclass
from unittest import mock

from gateway.keys.person_keys import Vault
from gateway.ledger import erasure_steps, publisher, schema
from gateway.ledger.publisher import CheckpointStore, Publisher

SECTOR = 512
WITHIN = "within the commit"
UNKEPT = ("before a key is taken", "between the key and the commit")
KEPT = (
    "between the commit and the checkpoint",
    "between a checkpoint's slot and its mark",
    "between the checkpoint and the answer",
    "after the answer",
)
POINTS = (*UNKEPT, WITHIN, *KEPT)
ERASING = ("destroy_keys", "cut_ledger", "mark_done")  # the steps that follow an erasure's commit


@dataclass(frozen=True)
class Cut:
    """`forgets_index`: without the file that SQLite makes anew after a power cut. `synced`: how many of the sectors in
    question had got to the disk, of ten; `dice` decides which.
    """

    point: str
    forgets_index: bool = True
    synced: int = 5
    dice: int = 0

    @contextlib.contextmanager
    def during(self, folder, fresh):
        """What is done within meets the cut; its files are in `fresh` then. An act that writes nothing meets it at its
        end.
        """
        disk = _Disk(folder, fresh)
        with contextlib.ExitStack() as hooks:
            for owner, name, before, step in self._hooks(disk):
                hooks.enter_context(_hooked(owner, name, before=before, step=step))
            yield
        disk.copy()
        if self.point == WITHIN:
            disk.tear(self.synced / 10, random.Random(self.dice))
        for index in fresh.glob("*-shm") if self.forgets_index else ():
            index.unlink()

    def _hooks(self, disk):
        key_taken, before_publish = (Vault, "new_person", False, disk.copy), (Publisher, "publish", True, disk.copy)
        return {
            "before a key is taken": [(Vault, "new_person", True, disk.copy)],
            "between the key and the commit": [key_taken],
            WITHIN: [key_taken, (Publisher, "publish", True, disk.look)],
            "between the commit and the checkpoint": [before_publish],
            "between a checkpoint's slot and its mark": [(publisher, "_mark_slot", True, disk.copy)],
            "between the checkpoint and the answer": [(Publisher, "publish", False, disk.copy)],
            "after the answer": [],
            "between the new log's entry and its checkpoint": [(CheckpointStore, "swap", True, disk.copy)],
            **{step: [(erasure_steps, step, True, disk.copy)] for step in ERASING},
        }[self.point]


class _Disk:
    def __init__(self, folder, fresh):
        self.folder, self.fresh = folder, fresh
        self.log = None

    def copy(self):
        """The first time; what happens later never got to this disk. The original is of no use from then on: reading
        its files here has dropped the locks that its connections hold.
        """
        if self.fresh.exists():
            return
        copy_of_living(self.folder, self.fresh)
        store = publisher.checkpoints_beside(self.folder)
        if store.exists():
            copy_of_living(store, publisher.checkpoints_beside(self.fresh))

    def look(self):
        """What the commit wrote."""
        if self.log is None:
            self.log = self._log(self.folder).read_bytes()

    def tear(self, synced, dice):
        """Of what the commit wrote only some sectors are there."""
        path = self._log(self.fresh)
        held = bytearray(path.read_bytes() if path.exists() else b"")
        written = self.log or b""
        for start in range(0, len(written), SECTOR):
            piece = written[start : start + SECTOR]
            if held[start : start + SECTOR] != piece and dice.random() < synced:
                held.extend(bytes(max(0, start + len(piece) - len(held))))
                held[start : start + len(piece)] = piece
        path.write_bytes(held)

    def _log(self, folder):
        return folder / f"{schema.FILE}-wal"


def copy_of_living(folder, fresh):
    """Of a folder in which other threads work: what one of them takes away meanwhile is not there."""
    try:
        shutil.copytree(folder, fresh)
    except shutil.Error as error:
        if [source for source, *_ in error.args[0] if os.path.lexists(source)]:
            raise


def _hooked(owner, name, *, before, step):
    honest = getattr(owner, name)

    def hooked(*arguments, **more):
        if before:
            step()
        result = honest(*arguments, **more)
        if not before:
            step()
        return result

    return mock.patch.object(owner, name, hooked)
