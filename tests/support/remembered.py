"""What somebody outside remembers of one installation's log, and holds it to: every entry as it was first seen, every
checkpoint that was signed, every receipt that was handed out. Knows nothing of what the entries mean.
"""

import dataclasses
import re

from gateway.ledger.proof import merkle, note, receipt
from support.installation import Installation


@dataclasses.dataclass
class Handed:
    """A receipt with its openings and with those who signed at that time."""

    event: str
    receipt: receipt.Receipt
    openings: tuple
    verifiers: list


@dataclasses.dataclass
class Remembered:
    """`bodies` of entries that are not pruned; `checkpoints` and receipts `handed` out of the present log and of what
    it goes on from; `ever`: all receipts, also those of a log that is over, beyond the copy from which another went on.
    """

    here: Installation
    size: int = 0
    bodies: dict = dataclasses.field(default_factory=dict)
    checkpoints: list = dataclasses.field(default_factory=list)
    handed: list = dataclasses.field(default_factory=list)
    ever: list = dataclasses.field(default_factory=list)

    def news(self):
        """The entries since the last time, after a look whether everything is still as it was."""
        log = self.here.log()
        assert {entry.seq: entry.body for entry in log if entry.seq < self.size} == self.bodies
        new = [entry for entry in log if entry.seq >= self.size]
        assert [entry.seq for entry in new] == list(range(self.size, self.size + len(new)))
        self.size += len(new)
        self.bodies |= {entry.seq: entry.body for entry in new}
        self._see_checkpoint()
        return new

    def grew(self):
        """Whether there are more entries than it has seen."""
        return any(entry.seq >= self.size for entry in self.here.log())

    @property
    def signed(self):
        """How many entries were signed at last."""
        return self.checkpoints[-1].size if self.checkpoints else 0

    def pruned(self, below):
        self.bodies = {seq: body for seq, body in self.bodies.items() if seq >= below}

    def hand_out(self, chosen):
        event = chosen.events[0]["event"]
        made = Handed(event, self.here.receipt(event), chosen.openings, self.here.verifiers())
        self.handed.append(made)
        self.ever.append(made)

    def copied(self):
        """What is remembered at the moment of a backup."""
        return self.size, dict(self.bodies), list(self.checkpoints), list(self.handed)

    def goes_on_from(self, copied):
        """A copy was put back, and perhaps went on as a new log."""
        size, bodies, checkpoints, handed = copied
        self.size, self.bodies, self.checkpoints, self.handed = size, dict(bodies), list(checkpoints), list(handed)

    def holds(self):
        """Everything that was ever signed or handed out."""
        for old in self.checkpoints:
            self._grown_out_of(old)
        for one in self.handed:
            self._grown_out_of(receipt.verify_receipt(one.receipt, one.verifiers))
            assert one.receipt.entry == self.bodies.get(one.receipt.index, one.receipt.entry)
            assert self.here.receipt(one.event) is not None
        for one in self.ever:
            receipt.verify_receipt(one.receipt, one.verifiers)
            assert all(receipt.is_about(one.receipt, opening) for opening in one.openings)

    def _see_checkpoint(self):
        """The newest one, which must have grown out of the one before."""
        text = self.here.signed()
        newest = note.parse_checkpoint(text) if text else None
        if self.checkpoints:
            self._grown_out_of(self.checkpoints[-1])
        if newest and newest not in self.checkpoints:
            assert newest.size <= self.size  # less: the machine died between the commit and the checkpoint
            self.checkpoints.append(newest)

    def _grown_out_of(self, old):
        """The log as it is signed now has grown out of an earlier checkpoint."""
        if old.size:
            new = note.parse_checkpoint(self.here.signed())
            proof = self.here.consent.log_reader.consistency(old.size, new.size)
            assert _named(new) == _named(old)
            merkle.check_consistency(old.size, new.size, proof, old.root, new.root)


def _named(one):
    """The log's name without the number that it has since it went on from a copy."""
    return re.sub(r"\.[0-9]+$", "", one.origin)
