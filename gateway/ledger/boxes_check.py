"""The sealed boxes of entries: that they open with their person's keys, and hold what the entry commits to.

Checks the commitment to the details whole. The commitment to the subject needs the identifier itself, which the ledger
does not have: of that opening only is known that it is there and opens. What was forgotten is passed over; a key that
was not destroyed and is not there, or that nothing opens, is told. Reads only.
"""

import binascii
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress
from typing import Protocol

import orjson

from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys
from gateway.ledger import entry, openings
from gateway.ledger.openings import SALT, Opened
from gateway.ledger.reading import URL, Entry
from gateway.ledger.subjects import moment

OPENS = b'{"d":"'  # a leaf with details; then what it commits to
D = slice(len(OPENS), len(OPENS) + 43)  # base64url of 32 bytes

OFFICERS = """
SELECT v.seq, e.body, v.event, v.person, v.at, v.sealed FROM void_act v JOIN entry e ON e.seq = v.seq
WHERE v.sealed IS NOT NULL AND v.seq >= (SELECT pruned FROM head)
"""


# Members of details, and the side row that says the same, from which a standing is made again.
SIDES = (
    (("start", "until"), "SELECT start, until FROM link_event WHERE seq = ? AND NOT released"),
    (("band",), "SELECT band FROM age_event WHERE seq = ?"),
    (("outcome",), "SELECT outcome FROM told_event WHERE seq = ?"),
)
UNLINKED = "SELECT 1 FROM erasure WHERE mode = 'unlink' AND seq > ? LIMIT 1"


class BoxKeys(Protocol):
    """What the vault offers to whoever opens boxes."""

    def keys(self, person: bytes) -> PersonKeys: ...
    def is_lost(self, person: bytes) -> bool: ...
    def both_keys_of(self, persons: Iterable[bytes]) -> dict[bytes, tuple[bytes, bytes]]: ...


class BoxesCheck:
    """Takes entries with their side rows, in any order. `opened`: boxes that hold what they should."""

    def __init__(self, db: sqlite3.Connection, vault: BoxKeys) -> None:
        self.found: list[str] = []
        self.opened = 0
        self._vault = vault
        self._given = {seq: flags for seq, *flags in db.execute("SELECT seq, informed, parental FROM given")}
        self._acted = dict(db.execute("SELECT seq, mark FROM acted").fetchall())
        self._db = db

    def add(self, rows: Sequence[Entry]) -> None:
        boxed = [row for row in rows if row[2] is not None and row[1] is not None and (row[6] or row[7])]
        for seq, body, _, at, event, person, sealed, opening, _ in self._plain(boxed):
            keys = self._vault.keys(person)
            shut = (sealed and not keys.details) or (opening and not keys.openings)
            if shut and self._vault.is_lost(person):
                self.found.append(f"the keys of entry {seq} are lost")
            self._open(seq, entry.original(body), at, openings.open_(keys, event, sealed, opening))

    def _plain(self, rows: Sequence[Entry]) -> Sequence[Entry]:
        """Most entries have both boxes, and their details are a time. Returns those that have not, or all where one of
        these does not hold what its entry commits to, for `_open`, which tells which.
        """
        keys, given = self._vault.both_keys_of(row[5] for row in rows), self._given
        whole, left = list[Entry](), list[Entry]()
        for row in rows:
            both = (
                row[6]
                and row[7]
                and row[5] in keys
                and row[0] not in given
                and row[0] not in self._acted
                and row[1].startswith(OPENS)
            )
            (whole if both else left).append(row)
        try:
            openings_, details = openings.both([(keys[row[5]], row[4], row[6], row[7]) for row in whole])
        except seals.OpeningFailed:
            return rows
        if {*map(len, openings_)} - {SALT}:
            return rows
        only = [said[SALT:] == _only_a_time(row[3]) for row, said in zip(whole, details, strict=True)]
        if not _same([row[1][D] for row in compress(whole, only)], entry.details_commitments(compress(details, only))):
            return rows
        self.opened += 2 * sum(only)
        return left + [row for row, plain in zip(whole, only, strict=True) if not plain]

    def finish(self) -> None:
        """Who decided on voids: a box without an opening."""
        for seq, body, event, person, at, sealed in self._db.execute(OFFICERS):
            self._open(seq, body, at, openings.open_(self._vault.keys(person), event, sealed, None))

    def _open(self, seq: int, body: bytes, at: int, opened: Opened) -> None:
        if opened.broken or not self._holds(seq, body, at, opened):
            self.found.append(f"the boxes of entry {seq} do not open to what it commits to")
        else:
            self.opened += (opened.rs is not None) + (opened.details is not None)

    def _holds(self, seq: int, body: bytes, at: int, opened: Opened) -> bool:
        if opened.rs is not None and len(opened.rs) != SALT:
            return False
        if opened.details is None or opened.rd is None:
            return True
        commitment = entry.b64(entry.details_commitment(opened.rd, opened.details))
        if f'"d":"{commitment}"'.encode() not in body or _only_a_time(at)[1:-1] not in opened.details:
            return False
        mark = self._acted.get(seq)
        if mark and f'"device":"{mark}"'.encode() not in opened.details:
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


def _only_a_time(at: int) -> bytes:
    """Details that say nothing but when."""
    return b"%b%03d%b" % (_second(at // 1000), at % 1000, b'+00:00"}')


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    """A time as details tell it, up to its milliseconds."""
    return b'{"at":"%b.' % moment(seconds * 1000).isoformat(timespec="seconds").removesuffix("+00:00").encode()


def _same(said: Sequence[bytes], made: Sequence[bytes]) -> bool:
    """Whether each is base64url of the other: all at once. A zero byte makes 32 into 33, which are 44 letters."""
    joined = binascii.b2a_base64(b"".join([each + b"\x00" for each in made]), newline=False)
    return joined.translate(URL) == b"".join([each + b"A" for each in said])
