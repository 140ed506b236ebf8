"""Pruning: what is older than the retention policy goes, and no opt-out with it (R19, L82). `app.composition` calls it.

Details go after their months, the proof that somebody chose stays openable. Bodies go in whole tiles after theirs, once
everything that a standing rests on was restated in newer entries; their hashes stay, so every old receipt still
verifies. A prune is an entry itself. Each step is a transaction that may be the last one: the next run goes on from it.

What must be said again is measured by the state just before the first entry that stays: an old entry counts if that
state rests on it, or the one that there would be without the consents of a screen. So whatever is lived through after
it, today or after a void of a choice or a screen, comes out as with every entry there. Proved by the ledger's own
rules, group by group; where less is not enough, the group's old entries are all said again. What an earlier prune said
again, and this one does not reach, is lived through as well: an old word that was taken back must not stand alone.
"""

import contextlib
import os
import sqlite3
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from gateway.ledger import documents, entry, happenings, outbox, recipient_holdings, replay, standing_rows
from gateway.ledger.documents import Document
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.happenings import ENTRIES, Happening, VoidHappening
from gateway.ledger.likeness import Likenesses, LikenessReading, PeopleGroup
from gateway.ledger.merkle import WIDTH
from gateway.ledger.reading import blocks
from gateway.ledger.rows_check import BATCH, FOR_EVER, batches
from gateway.ledger.subjects import milliseconds
from gateway.ledger.suppression import keep_digests
from gateway.ledger.writer import Job, Transaction

BODY_OF = """
SELECT coalesce(e.body, r.body) FROM (SELECT ? AS seq) d LEFT JOIN entry e ON e.seq = d.seq
LEFT JOIN restated x ON x.of = d.seq LEFT JOIN entry r ON r.seq = x.seq
"""


def entries_to_restate(db: sqlite3.Connection, below: int) -> set[int]:
    """The entries below a place that something still rests on. Raises `LedgerRefused` where one cannot be read."""
    reading = LikenessReading(db, below)
    for rows in blocks(db, below):
        reading.add(rows)
    if reading.found:
        raise LedgerRefused(f"nothing is pruned: {reading.found[0]}")
    found = {row[0] for row in db.execute("SELECT seq FROM voided_ui WHERE seq < ?", (below,))}
    return found | _Needed(db, reading, below).seqs()


class _Needed:
    """Of people who are alike one is asked for: the same of their entries are needed."""

    def __init__(self, db: sqlite3.Connection, reading: LikenessReading, below: int) -> None:
        self._db, self._reading, self._below = db, reading, below
        self._again = {row[0] for row in db.execute(AGAIN, (below,))}
        self._words: dict[tuple[int, bool], bool] = {}

    def seqs(self) -> set[int]:
        found, alike, waiting = {*self._again}, Likenesses(), dict[Hashable, list[PeopleGroup]]()
        found |= {seq for key, own, seq, _ in self._reading.alone if self._of_word(key, own, seq)}
        for group in self._reading.people():
            alike.settle(group)
            group.numbers.sort()
            again = tuple(place for place, seq in enumerate(group.numbers) if seq in self._again)
            like = (group.like, again) if group.like else group.keys[0]
            waiting.setdefault(like, []).append(group)
        for batch in batches([groups[0] for groups in waiting.values()], BATCH):
            found |= self._of_keys([key for group in batch for key in group.keys])
        for first, *others in waiting.values():
            places = [place for place, seq in enumerate(first.numbers) if seq in found]
            found |= {group.numbers[place] for group in others for place in places}
        return found

    def _of_word(self, key: bytes, own: int, seq: int) -> bool:
        like = (own, seq in self._again)
        if like not in self._words:
            self._words[like] = bool(self._of_keys([key]))
        return self._words[like]

    def _of_keys(self, keys: Sequence[bytes]) -> set[int]:
        """By the rules."""
        db, below, groups = self._db, self._below, self._reading.groups
        happened = [each for each in happenings.of(db, keys, FOR_EVER) if each.seq < below]
        entries = {row[0]: row[1] for row in happenings.rows_of(db, SEQS, keys, below)}
        with contextlib.ExitStack() as opened:
            lives = [
                (
                    screens,
                    opened.enter_context(
                        contextlib.closing(replay.live_again(db, keys, _without(happened, screens), settle_last=True))
                    ),
                )
                for screens in _voidable(happened)
            ]
            supports = {seq for _, whole in lives for seq in standing_rows.entries_supporting(whole)}
            enough = {seq for seq in entries if seq in supports or seq in self._again}
            kept, wanting = _only(happened, enough, entries), set[bytes]()
            for screens, whole in lives:
                with contextlib.closing(replay.live_again(db, keys, _without(kept, screens), settle_last=True)) as less:
                    wanting |= {key for _, key in standing_rows.row_differences(whole, less, keys)}
        whose = {key for each in wanting for key in (groups[each].keys if each in groups else (each,))}
        return enough | {seq for seq, key in entries.items() if key in whose}


def _voidable(happened: Sequence[Happening]) -> list[frozenset[str]]:
    """None of the screens that people consented on and that stand, each alone, and all: what a void of it would bring
    back is kept.
    """
    voided = {each.act.ui for each in happened if isinstance(each.act, VoidHappening)}
    screens = {each.consent.screen for each in happened if each.consent} - {"", *voided}
    return [*dict.fromkeys([frozenset[str](), *(frozenset({each}) for each in sorted(screens)), frozenset(screens)])]


def _without(happened: list[Happening], screens: frozenset[str]) -> list[Happening]:
    return happenings.without_consents(happened, screens) if screens else happened


AGAIN = "SELECT of FROM restated x WHERE x.seq >= ?1 AND x.of < ?1"
SEQS = "SELECT seq, key FROM detail WHERE key IN ({marks}) AND seq < ?"


def _only(happened: Iterable[Happening], enough: set[int], entries: Iterable[int]) -> list[Happening]:
    """Without the entries that are not needed. What stands in side tables alone stays there."""
    left_out = set(entries) - enough
    return [each for each in happened if each.phase != ENTRIES or each.seq not in left_out]


def restate_entry(tx: Transaction, of: int, below: int, at: datetime) -> bool:
    """Says one old entry again, unless an entry that stays does so already. Whether it did."""
    row = tx.db.execute("SELECT seq FROM restated WHERE of = ?", (of,)).fetchone()
    if row and row[0] >= below:
        return False
    [body] = tx.db.execute(BODY_OF, (of,)).fetchone()
    if body is None:
        return False  # pruned before, when nothing rested on it
    seq = tx.append(entry.restated(event=os.urandom(16), of=of, was=entry.original(body), at=at))
    tx.db.execute("INSERT OR REPLACE INTO restated VALUES (?, ?)", (of, seq))
    return True


POLICY = "retention"  # the kind of the logged document
STEP = 2_000  # rows of one transaction: tens of milliseconds, so that no opt-out waits


class Changed(Exception):
    """Something was voided while the prune was prepared. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`below`: bodies of entries before it go. `needed`: those among them that are restated. `forget_before`: details
    of choices that were accepted before it go, Unix milliseconds. `voids`: how many choices were voided then. `held`:
    the last number of what recipients hold.
    """

    below: int
    needed: tuple[int, ...]
    forget_before: int
    bodies: int
    details: int
    voids: int
    held: int = 0


def plan(db: sqlite3.Connection, bodies_before: datetime, details_before: datetime) -> Plan:
    """What a prune would do. Reads only."""
    [pruned] = db.execute("SELECT pruned FROM head").fetchone()
    [young] = db.execute("SELECT min(seq) FROM detail WHERE at >= ?", (milliseconds(bodies_before),)).fetchone()
    [last] = db.execute("SELECT coalesce(max(seq) + 1, 0) FROM detail").fetchone()
    below = max(pruned, (last if young is None else young) // WIDTH * WIDTH)
    forget = milliseconds(details_before)
    [details] = db.execute("SELECT count(*) FROM detail WHERE at < ? AND sealed IS NOT NULL", (forget,)).fetchone()
    [bodies] = db.execute("SELECT count(*) FROM entry WHERE seq < ?", (below,)).fetchone()
    needed = sorted(entries_to_restate(db, below)) if below > pruned else []
    [last_held] = db.execute("SELECT coalesce(max(id), 0) FROM held").fetchone()
    return Plan(below, tuple(needed), forget, bodies, details, _voids(db), last_held)


def _voids(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM voided_choice").fetchone()[0])


def jobs(planned: Plan, policy: Document, at: datetime) -> Iterator[Job[int]]:
    """The steps in their order, each a job of the writer. Each returns how many rows it changed."""
    for start in range(0, len(planned.needed), STEP):
        yield partial(_restate, part=planned.needed[start : start + STEP], below=planned.below, at=at)
    yield partial(_mark, planned=planned, policy=policy, at=at)
    for start in range(0, planned.below, STEP):
        yield partial(_delete, end=min(start + STEP, planned.below))
    for start in range(0, planned.held + 1, STEP):
        yield partial(keep_digests, before=planned.forget_before, first=start, end=start + STEP)
    yield partial(_forget, before=planned.forget_before)
    yield partial(_forget_disclosures, before=planned.forget_before)


def _restate(tx: Transaction, part: Sequence[int], below: int, at: datetime) -> int:
    return sum(restate_entry(tx, of, below, at) for of in part)


def _mark(tx: Transaction, planned: Plan, policy: Document, at: datetime) -> int:
    """From here on the bodies count as gone."""
    [pruned] = tx.db.execute("SELECT pruned FROM head").fetchone()
    if planned.below <= pruned:
        return 0
    if _voids(tx.db) != planned.voids:
        raise Changed("choices were voided while this was prepared; nothing is lost: run gateway prune again")
    documents.log(tx, policy, at)
    tx.append(entry.pruned(event=os.urandom(16), below=planned.below, policy=policy.sha256, at=at))
    tx.db.execute("UPDATE head SET pruned = ?", (planned.below,))
    tx.db.execute("DELETE FROM restated WHERE seq < ?", (planned.below,))  # nothing rests on those any more
    return 1


def _delete(tx: Transaction, end: int) -> int:
    return tx.db.execute("DELETE FROM entry WHERE seq < ?", (end,)).rowcount


def _forget_disclosures(tx: Transaction, before: int) -> int:
    """Who was in a share; that there was one, of what and how much, is an entry and stays."""
    recipient_holdings.prune(tx, before)
    outbox.prune_deletion_tokens(tx, before)
    counted = tx.db.execute("DELETE FROM disclosed WHERE last < ?", (before,)).rowcount
    return counted + tx.db.execute("DELETE FROM disclosure WHERE at < ?", (before,)).rowcount


def _forget(tx: Transaction, before: int) -> int:
    """The details' boxes; what opens the proof has a box of its own, which stays."""
    tx.db.execute("UPDATE void_act SET sealed = NULL WHERE at < ? AND sealed IS NOT NULL", (before,))
    return tx.db.execute("UPDATE detail SET sealed = NULL WHERE at < ? AND sealed IS NOT NULL", (before,)).rowcount
