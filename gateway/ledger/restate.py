"""What must be said again before the bodies of old entries go, so that every standing can still be made from what is
kept (R19).

The measure is the state just before the first entry that stays: an old entry counts if that state rests on it, or the
one that there would be without the consents of a screen. So whatever is lived through after it, today or after a void
of a choice or a screen, comes out as with every entry there. Proved by the ledger's own rules, group by group; where
less is not enough, the group's old entries are all said again. What an earlier prune said again, and this one does not
reach, is lived through as well: an old word that was taken back must not stand alone.
"""

import contextlib
import os
import sqlite3
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime

from gateway.ledger import entry, happenings, live_rows, replay
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.happenings import ENTRIES, Happening
from gateway.ledger.likeness import Likenesses, PeopleGroup
from gateway.ledger.reading import LedgerReading, blocks
from gateway.ledger.rows_check import BATCH, FOR_EVER, batches
from gateway.ledger.writer import Transaction

BODY_OF = """
SELECT coalesce(e.body, r.body) FROM (SELECT ? AS seq) d LEFT JOIN entry e ON e.seq = d.seq
LEFT JOIN restated x ON x.of = d.seq LEFT JOIN entry r ON r.seq = x.seq
"""


def needed(db: sqlite3.Connection, below: int) -> set[int]:
    """The entries below a place that something still rests on. Raises `LedgerRefused` where one cannot be read."""
    reading = LedgerReading(db)
    for rows in blocks(db, below):
        reading.add(rows)
    if reading.found:
        raise LedgerRefused(f"nothing is pruned: {reading.found[0]}")
    found = {row[0] for row in db.execute("SELECT seq FROM voided_ui WHERE seq < ?", (below,))}
    return found | _Needed(db, reading, below).seqs()


class _Needed:
    """Of people who are alike one is asked for: the same of their entries are needed."""

    def __init__(self, db: sqlite3.Connection, reading: LedgerReading, below: int) -> None:
        self._db, self._reading, self._below = db, reading, below
        self._again = {row[0] for row in db.execute(AGAIN, (below,))}
        self._words: dict[tuple[int, bool], bool] = {}

    def seqs(self) -> set[int]:
        found, alike, waiting = {*self._again}, Likenesses(self._db), dict[Hashable, list[PeopleGroup]]()
        found |= {seq for key, (word, seq, _) in self._reading.alone.items() if self._of_word(key, word, seq)}
        for group in self._reading.people():
            alike.settle(group, self._below)
            group.entries.sort()
            again = tuple(place for place, seq in enumerate(group.entries) if seq in self._again)
            like = group.keys[0] if group.happened is None else (group.happened, again)
            waiting.setdefault(like, []).append(group)
        for batch in batches([groups[0] for groups in waiting.values()], BATCH):
            found |= self._of_keys([key for group in batch for key in group.keys])
        for first, *others in waiting.values():
            places = [place for place, seq in enumerate(first.entries) if seq in found]
            found |= {group.entries[place] for group in others for place in places}
        return found

    def _of_word(self, key: bytes, word: int, seq: int) -> bool:
        like = (word, seq in self._again)
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
                    opened.enter_context(contextlib.closing(replay.live_again(db, keys, _without(happened, screens)))),
                )
                for screens in _voidable(happened)
            ]
            supports = {seq for _, whole in lives for seq in live_rows.supports(whole)}
            enough = {seq for seq in entries if seq in supports or seq in self._again}
            kept, wanting = _only(happened, enough, entries), set[bytes]()
            for screens, whole in lives:
                with contextlib.closing(replay.live_again(db, keys, _without(kept, screens))) as less:
                    wanting |= {key for _, key in live_rows.differences(whole, less, keys)}
        whose = {key for each in wanting for key in (groups[each].keys if each in groups else (each,))}
        return enough | {seq for seq, key in entries.items() if key in whose}


def _voidable(happened: Iterable[Happening]) -> list[frozenset[str]]:
    """None of the screens that people consented on, each alone, and all: what a void of it would bring back is kept."""
    screens = {each.consent.screen for each in happened if each.consent} - {""}
    return [*{frozenset[str](): 0, **{frozenset({each}): 0 for each in sorted(screens)}, frozenset(screens): 0}]


def _without(happened: list[Happening], screens: frozenset[str]) -> list[Happening]:
    return happenings.without_consents(happened, screens) if screens else happened


AGAIN = "SELECT of FROM restated x WHERE x.seq >= ?1 AND x.of < ?1"
SEQS = "SELECT seq, key FROM detail WHERE key IN ({marks}) AND seq < ?"


def _only(happened: Iterable[Happening], enough: set[int], entries: Iterable[int]) -> list[Happening]:
    """Without the entries that are not needed. What stands in side tables alone stays there."""
    left_out = set(entries) - enough
    return [each for each in happened if each.phase != ENTRIES or each.seq not in left_out]


def restate(tx: Transaction, of: int, below: int, at: datetime) -> bool:
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
