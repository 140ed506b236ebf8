"""The sealed boxes of entries: that they open with their person's keys, and hold what the entry commits to.

Checks the commitment to the details whole. The commitment to the subject needs the identifier itself, which the ledger
does not have: of that opening only is known that it is there and opens. What was forgotten is passed over. Reads only.
"""

import sqlite3
from collections.abc import Iterable
from functools import lru_cache

import orjson

from gateway.ledger import entry, openings
from gateway.ledger.openings import Opened
from gateway.ledger.reading import Entry
from gateway.ledger.records import moment
from gateway.ledger.writer import Persons

PERSONS = 10_000  # whose keys are kept at hand
OFFICERS = """
SELECT v.seq, e.body, v.event, v.person, v.at, v.sealed FROM void_act v JOIN entry e ON e.seq = v.seq
WHERE v.sealed IS NOT NULL AND v.seq >= (SELECT pruned FROM head)
"""


# Members of details, and the side row that says the same, from which a standing is made again.
SIDES = (
    (("start", "until"), "SELECT start, until FROM link_event WHERE seq = ? AND at IS NOT NULL AND NOT released"),
    (("band",), "SELECT band FROM age_event WHERE seq = ?"),
    (("outcome",), "SELECT outcome FROM told_event WHERE seq = ?"),
)
UNLINKED = "SELECT 1 FROM erasure WHERE mode = 'unlink' AND seq > ? LIMIT 1"


class BoxesCheck:
    """Takes entries with their side rows, in any order. `opened`: boxes that hold what they should."""

    def __init__(self, db: sqlite3.Connection, vault: Persons) -> None:
        self.found: list[str] = []
        self.opened = 0
        self._keys = lru_cache(PERSONS)(vault.keys)
        self._given = {seq: flags for seq, *flags in db.execute("SELECT seq, informed, parental FROM given")}
        self._db = db

    def add(self, rows: Iterable[Entry]) -> None:
        for seq, body, key, at, event, person, sealed, opening in rows:
            if key is not None and body is not None and (sealed or opening):
                self._open(seq, entry.original(body), at, openings.open_(self._keys(person), event, sealed, opening))

    def finish(self) -> None:
        """Who decided on voids: a box without an opening."""
        for seq, body, event, person, at, sealed in self._db.execute(OFFICERS):
            self._open(seq, body, at, openings.open_(self._keys(person), event, sealed, None))

    def _open(self, seq: int, body: bytes, at: int, opened: Opened) -> None:
        if opened.broken or not self._holds(seq, body, at, opened):
            self.found.append(f"the boxes of entry {seq} do not open to what it commits to")
        else:
            self.opened += (opened.rs is not None) + (opened.details is not None)

    def _holds(self, seq: int, body: bytes, at: int, opened: Opened) -> bool:
        if opened.rs is not None and len(opened.rs) != openings.SALT:
            return False
        if opened.details is None or opened.rd is None:
            return True
        commitment = entry.b64(entry.details_commitment(opened.rd, opened.details))
        said = f'"at":"{_second(at // 1000)}.{at % 1000:03d}+00:00"'
        if f'"d":"{commitment}"'.encode() not in body or said.encode() not in opened.details:
            return False
        flags = [int(f'"{word}":true'.encode() in opened.details) for word in ("informed", "parental")]
        return flags == self._given.get(seq, [0, 0]) and all(
            self._alike(seq, opened.details, members, sql) for members, sql in SIDES
        )

    def _alike(self, seq: int, details: bytes, members: tuple[str, ...], sql: str) -> bool:
        if f'"{members[0]}":'.encode() not in details:
            return True
        said, row = orjson.loads(details), self._db.execute(sql, (seq,)).fetchone()
        if row is None:  # the account of a link may be forgotten since, and its rows with it
            return members[0] == "start" and self._db.execute(UNLINKED, (seq,)).fetchone() is not None
        return bool(row == tuple(said.get(name) for name in members))


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    """A time as details tell it, without its milliseconds."""
    return moment(seconds * 1000).isoformat(timespec="seconds").removesuffix("+00:00")
