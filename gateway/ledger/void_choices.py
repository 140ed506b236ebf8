"""Choices that are believed to be forged count for nothing from now on (R34, 11 CCR 7026(e)).

Two officers name each entry; no rule and no rate does. Their standings are made again by a replay of what is not
voided: what the person said elsewhere, or says again, stands. Nothing is deleted: the entries stay, a look at an
earlier day still counts them, and the void is an entry of its own.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise

from gateway.ledger import entry, idempotency, replay
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Job, Transaction
from gateway.terms import CALLERS_CHOICES

CHOICES = 250  # of one entry: a family's life takes about a millisecond an entry, and opt-outs wait behind it
OFFICERS = 2
FOUND = f"""
SELECT d.seq, d.key, json_extract(CAST({BODY} AS TEXT), '$.e'), d.seq < (SELECT pruned FROM head)
FROM detail d {JOINED} WHERE d.seq = ?
"""  # noqa: S608 - the pieces are ours


class NotVoided(Exception):
    """Nothing was voided. The text says why."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Who believes what. `sha256` of the written belief; the officers' names are sealed, and only committed to."""

    sha256: bytes
    officers: tuple[str, ...]

    def check(self) -> None:
        """Raises `NotVoided` unless two different people stand for it."""
        names = {" ".join(name.split()).casefold() for name in self.officers} - {""}
        if len(names) < OFFICERS:
            raise NotVoided("two different officers decide on a void (R34)")


@dataclass(slots=True)
class Voided:
    """`entries`: choices that were voided now; `keys`: whose they are; `changed`: whose standings are others now."""

    entries: int = 0
    keys: set[bytes] = field(default_factory=set)
    changed: set[bytes] = field(default_factory=set)

    def add(self, other: "Voided") -> None:
        self.entries += other.entries
        self.keys |= other.keys
        self.changed |= other.changed


class Rehearsed(Exception):
    """Raised at the end of a rehearsal, so that its transaction is undone."""

    def __init__(self, voided: Voided) -> None:
        super().__init__()
        self.voided = voided


def jobs(seqs: Iterable[int], belief: Belief, at: datetime, *, rehearse: bool = False) -> Iterator[Job[Voided]]:
    """The void in parts, each a job of the writer and an entry of its own, once all of it was checked. Each raises
    `NotVoided`.
    """
    belief.check()
    listed = sorted(set(seqs))
    if not listed:
        raise NotVoided("no entry is named")
    parts = [listed[start : start + CHOICES] for start in range(0, len(listed), CHOICES)]
    yield from (partial(_checked, seqs=part) for part in parts)
    yield from (partial(_part, seqs=part, belief=belief, at=at, rehearse=rehearse) for part in parts)


def _checked(tx: Transaction, seqs: Sequence[int]) -> Voided:
    check(tx, seqs)
    return Voided()


def check(tx: Transaction, seqs: Iterable[int]) -> dict[int, bytes]:
    """Whose the entries are. Raises `NotVoided` for what is no choice of a person, and for what was pruned: of an entry
    that was restated nobody knows any more what else would hold without it.
    """
    found: dict[int, bytes] = {}
    for seq in seqs:
        row = tx.db.execute(FOUND, (seq,)).fetchone()
        if row is None or row[2] not in CALLERS_CHOICES or row[3]:
            raise NotVoided(f"entry {seq} is no choice of a person, or is not kept any more")
        found[seq] = row[1]
    return found


def _part(tx: Transaction, seqs: Sequence[int], belief: Belief, at: datetime, *, rehearse: bool) -> Voided:
    voided = void(tx, seqs, belief, at)
    if rehearse:
        raise Rehearsed(voided)
    return voided


def void(tx: Transaction, seqs: Iterable[int], belief: Belief, at: datetime) -> Voided:
    """One entry for those that were not voided before; a request that was answered with one is a new one when it comes
    again. Raises `NotVoided`.
    """
    belief.check()
    whose = check(tx, seqs)
    new = [seq for seq in whose if not tx.db.execute("SELECT 1 FROM voided_choice WHERE seq = ?", (seq,)).fetchone()]
    done = Voided(len(new), set(whose.values()))
    if new:
        by, now = _write(tx, new, belief, at), milliseconds(at)
        tx.db.executemany("INSERT INTO voided_choice VALUES (?, ?, ?)", [(seq, by, now) for seq in new])
        for seq in new:
            idempotency.forget(tx, tx.db.execute("SELECT event, at FROM detail WHERE seq = ?", (seq,)).fetchall())
        done.changed = replay.stand_again(tx, {whose[seq] for seq in new})
    return done


def _write(tx: Transaction, seqs: Sequence[int], belief: Belief, at: datetime) -> int:
    event, rd, person = os.urandom(16), os.urandom(32), tx.persons.new_person()
    members = {"officers": list(belief.officers), "at": at.isoformat(timespec="milliseconds")}
    details = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    commitment = entry.details_commitment(rd, details)
    body = entry.void(event=event, ranges=ranges(seqs), belief=belief.sha256, details=commitment, at=at)
    seq = tx.append(body)
    sealed = person.seal(event, rd + details)
    tx.db.execute("INSERT INTO void_act VALUES (?, ?, ?, ?, ?)", (seq, event, person.person, milliseconds(at), sealed))
    return seq


def ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers in order as spans, both ends included."""
    listed = sorted(set(seqs))
    ends = [one for one, other in pairwise([*listed, -1]) if other != one + 1]
    starts = [other for one, other in pairwise([-2, *listed]) if other != one + 1]
    return list(zip(starts, ends, strict=True))
