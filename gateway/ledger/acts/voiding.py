"""Words that count for nothing: consents on a screen that turned out to be no fair question (11 CCR 7004(b), L51), and
choices that are believed to be forged (R34, 11 CCR 7026(e)). `gateway void` calls it.

Of a screen: the fold knows on which one each yes was said, and what that covers; whatever such yeses had lifted denies
again, wherever it would be by now, and what was granted on it is over. Nobody's fair choice is touched, and the entry
is about no person.

Of forged choices: two officers name each entry; no rule and no rate does. They are left out when what stands is folded:
what the person said elsewhere, or says again, stands. Nothing is deleted: the entries stay, a look at an earlier day
still counts them, and the void is an entry of its own.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

from gateway.fold.kin import Alike, alike
from gateway.fold.record import Record, ScreenVoided
from gateway.fold.state import Place
from gateway.ledger.acts import idempotency
from gateway.ledger.acts.folded_people import StandingPeople, folded_from
from gateway.ledger.acts.reach import Relations, connected_people, with_looser
from gateway.ledger.log_records import NOBODY
from gateway.ledger.proof import entry
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Job, Transaction
from gateway.terms import CALLERS_CHOICES, ChoiceKind

# As the index entry_screen says it, word for word.
SCREEN = """
CASE WHEN json_valid(CAST(e.body AS TEXT)) THEN coalesce(
  json_extract(CAST(e.body AS TEXT), '$.ui'), json_extract(json_extract(CAST(e.body AS TEXT), '$.was'), '$.ui')) END
"""
# Of pruned entries by those that hold them whole.
CONSENTED = f"""
SELECT d.seq, d.key FROM entry e CROSS JOIN detail d ON d.seq = e.seq WHERE {SCREEN} = ?1
UNION SELECT d.seq, d.key FROM entry e CROSS JOIN restated x ON x.seq = e.seq CROSS JOIN detail d ON d.seq = x.of
WHERE {SCREEN} = ?1
"""  # noqa: S608 - ours


def void_consents(tx: Transaction, ui: str, reason_sha256: bytes, at: datetime) -> bool:
    """One entry, the first time; whether it is that. What it takes does not depend on how many consented there."""
    if is_void(tx, ui):
        return False
    body = entry.voided(event=os.urandom(16), ui=ui, reason=reason_sha256, at=at)
    now = milliseconds(at)
    seq = tx.append(body, [Record(tx.size, now, NOBODY, ScreenVoided(ui))], now)
    tx.db.execute("INSERT INTO voided_ui VALUES (?, ?, ?)", (ui, seq, now))
    return True


def consents_of(db: sqlite3.Connection, ui: str) -> int:
    """How many consents were given on a screen, as far as their entries are kept: also those that a later choice had
    replaced, and those to one recipient or programme. For whoever voided it: nobody waits for this one.
    """
    return int(db.execute(f"SELECT count(*) FROM ({CONSENTED}) AS given", (ui,)).fetchone()[0])  # noqa: S608 - ours


def is_void(tx: Transaction, ui: str) -> bool:
    """Whether consents of a screen count for nothing."""
    return bool(ui) and tx.db.execute("SELECT 1 FROM voided_ui WHERE ui = ?", (ui,)).fetchone() is not None


CHOICES = 10  # of one entry: to fold whoever has a dozen names takes two milliseconds, and opt-outs wait behind it
OFFICERS = 2
DENYING = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.WITHDRAW})  # no yes among what was said
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
    """`entries`: choices that were voided now; `keys`: whose they are; `changed`: of whom something else stands now, of
    purposes or of what is granted.
    """

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
    """The void in parts, each a job of the writer and an entry of its own, once all of it was checked; each is done
    before the next is asked for. Each raises `NotVoided`.

    What opened goes first: a forged yes may have lifted a no that somebody said, and only a forged no still deny there.
    Whoever is cut off between two parts opens nobody whom all of them would not.
    """
    belief.check()
    listed = sorted(set(seqs))
    if not listed:
        raise NotVoided("no entry is named")
    denying = set[int]()
    yield from (partial(_checked, seqs=part, denying=denying) for part in _parts(listed))
    for some in ([seq for seq in listed if seq not in denying], sorted(denying)):
        yield from (partial(_part, seqs=part, belief=belief, at=at, rehearse=rehearse) for part in _parts(some))


def _parts(seqs: Sequence[int]) -> list[Sequence[int]]:
    return [seqs[start : start + CHOICES] for start in range(0, len(seqs), CHOICES)]


def _checked(tx: Transaction, seqs: Sequence[int], denying: set[int]) -> Voided:
    denying |= {seq for seq, (_, kind) in check_choices(tx, seqs).items() if kind in DENYING}
    return Voided()


def check_choices(tx: Transaction, seqs: Iterable[int]) -> dict[int, tuple[bytes, str]]:
    """Whose the entries are, and the kind of each. Raises `NotVoided` for what is no choice of a person, and for what
    was pruned: of an entry that was restated nobody knows any more what else would hold without it.
    """
    found: dict[int, tuple[bytes, str]] = {}
    for seq in seqs:
        row = tx.db.execute(FOUND, (seq,)).fetchone()
        if row is None or row[2] not in CALLERS_CHOICES or row[3]:
            raise NotVoided(f"entry {seq} is no choice of a person, or is not kept any more")
        found[seq] = row[1], row[2]
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
    whose = {seq: key for seq, (key, _) in check_choices(tx, seqs).items()}
    new = [seq for seq in whose if not tx.db.execute("SELECT 1 FROM voided_choice WHERE seq = ?", (seq,)).fetchone()]
    done = Voided(len(new), set(whose.values()))
    if new:
        now, people = milliseconds(at), {whose[seq] for seq in new}
        told = Relations(tx.db)
        touched = with_looser(tx.db, connected_people(tx.db, people, told), told)
        everybody = connected_people(tx.db, touched, told)
        rows = told.about()
        before = _what_stands(folded_from(tx.db, rows, everybody), touched, now)
        by = _write(tx, new, belief, at)
        tx.db.executemany("INSERT INTO voided_choice VALUES (?, ?, ?)", [(seq, by, now) for seq in new])
        tx.tell_anew(new)
        for seq in new:
            idempotency.forget_answers(
                tx, tx.db.execute("SELECT event, at FROM detail WHERE seq = ?", (seq,)).fetchall()
            )
        after = _what_stands(folded_from(tx.db, rows, everybody), touched, now)
        done.changed = {key for key in touched if after[key] != before[key]}
    return done


def _what_stands(folded: Mapping[Place, Any], keys: set[bytes], now: int) -> dict[bytes, Any]:
    """Of each key what is compared. Of the names of one identifier it is read once."""
    people = StandingPeople(folded.get)
    slate, found = people.slate(), dict[Alike | bytes, Any]()
    read_as = {key: alike(slate.row(key)) or key for key in keys}
    for key, those in read_as.items():
        if those not in found:
            found[those] = people.standing(key, now), people.grants(key, now)
    return {key: found[those] for key, those in read_as.items()}


def _write(tx: Transaction, seqs: Sequence[int], belief: Belief, at: datetime) -> int:
    event, rd, person = os.urandom(16), os.urandom(32), tx.persons.new_person()
    members = {"officers": list(belief.officers), "at": at.isoformat(timespec="milliseconds")}
    details = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    commitment = entry.details_commitment(rd, details)
    body = entry.void_of_choices(event=event, ranges=ranges(seqs), belief=belief.sha256, details=commitment, at=at)
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
