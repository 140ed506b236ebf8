"""Words that count for nothing: consents on a screen that turned out to be no fair question (11 CCR 7004(b), L51), and
choices that are believed to be forged (R34, 11 CCR 7026(e)). `gateway void` calls it.

Of a screen: what stands is what would stand had nobody consented on it, made again from the log without its opt-ins
(replay.py). So whatever they had lifted comes back, wherever it would be by now, and what was granted on it is over.
Nobody's fair choice is touched, and the entry is about no person.

Of forged choices: two officers name each entry; no rule and no rate does. Their standings are made again by a replay of
what is not voided: what the person said elsewhere, or says again, stands. Nothing is deleted: the entries stay, a look
at an earlier day still counts them, and the void is an entry of its own.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise

from gateway.choice.standing import OUT
from gateway.ledger import entry, idempotency, replay, standing_rows
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Job, Transaction
from gateway.terms import CALLERS_CHOICES

PEOPLE = 250  # of one replay: so many lives are in memory at once
# As the index entry_screen says it, word for word. Older entries name no screen: the notice's version stands for it.
SCREEN = """
CASE WHEN json_valid(CAST(e.body AS TEXT)) THEN CASE json_extract(CAST(e.body AS TEXT), '$.e')
  WHEN 'opt_in' THEN
    coalesce(json_extract(CAST(e.body AS TEXT), '$.ui'), json_extract(CAST(e.body AS TEXT), '$.nv'))
  WHEN 'keep_programme' THEN json_extract(CAST(e.body AS TEXT), '$.ui')
  WHEN 'restated' THEN coalesce(
    json_extract(json_extract(CAST(e.body AS TEXT), '$.was'), '$.ui'),
    json_extract(json_extract(CAST(e.body AS TEXT), '$.was'), '$.nv'))
END END
"""
CONSENTED = f"SELECT DISTINCT d.key FROM entry e CROSS JOIN detail d ON d.seq = e.seq WHERE {SCREEN} = ?1"  # noqa: S608
SAID_AGAIN = f"""
SELECT DISTINCT d.key FROM entry e CROSS JOIN restated x ON x.seq = e.seq CROSS JOIN detail d ON d.seq = x.of
WHERE {SCREEN} = ?1
"""  # noqa: S608 - ours; of pruned entries, by those that hold them whole
ENDED = "SELECT DISTINCT key FROM kept_end WHERE ui = ?1 AND ui <> ''"  # by somebody who is forgotten


def void_consents(tx: Transaction, ui: str, reason_sha256: bytes, at: datetime) -> int:
    """One entry, the first time. Returns how many opt-ins went back."""
    if is_void(tx, ui):
        return 0
    seq = tx.append(entry.voided(event=os.urandom(16), ui=ui, reason=reason_sha256, at=at))
    [count] = tx.db.execute(
        "SELECT count(*) FROM own_choice WHERE ui = ? AND ui <> '' AND state <> ?", (ui, OUT)
    ).fetchone()
    tx.db.execute("INSERT INTO voided_ui VALUES (?, ?, ?)", (ui, seq, milliseconds(at)))
    stand_without(tx, [ui])
    return int(count)


def is_void(tx: Transaction, ui: str) -> bool:
    """Whether consents of a screen count for nothing."""
    return bool(ui) and tx.db.execute("SELECT 1 FROM voided_ui WHERE ui = ?", (ui,)).fetchone() is not None


def stand_without(tx: Transaction, screens: Iterable[str]) -> None:
    """Makes the rows again of whoever consented on screens that are voided, and of whomever that reached."""
    keys = {key for ui in screens for key in _consented(tx.db, ui)}
    for chunk in standing_rows.key_chunks(sorted(keys), PEOPLE):
        replay.stand_again(tx, chunk)


def _consented(db: sqlite3.Connection, ui: str) -> set[bytes]:
    return {key for sql in (CONSENTED, SAID_AGAIN, ENDED) for (key,) in db.execute(sql, (ui,))}


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


def void_jobs(seqs: Iterable[int], belief: Belief, at: datetime, *, rehearse: bool = False) -> Iterator[Job[Voided]]:
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
    check_choices(tx, seqs)
    return Voided()


def check_choices(tx: Transaction, seqs: Iterable[int]) -> dict[int, bytes]:
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
    voided = void_choices(tx, seqs, belief, at)
    if rehearse:
        raise Rehearsed(voided)
    return voided


def void_choices(tx: Transaction, seqs: Iterable[int], belief: Belief, at: datetime) -> Voided:
    """One entry for those that were not voided before; a request that was answered with one is a new one when it comes
    again. Raises `NotVoided`.
    """
    belief.check()
    whose = check_choices(tx, seqs)
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
