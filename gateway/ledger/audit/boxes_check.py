"""The sealed boxes of entries: that they open with their person's keys, and hold what the entry commits to.

Checks the commitment to the details whole. The commitment to the subject needs the identifier itself, which the ledger
does not have: of that opening only is known that it is there and opens. What was forgotten is passed over; a key that
was not destroyed and is not there, or that nothing opens, is told. Reads only.
"""

import binascii
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import compress
from typing import Protocol

import orjson

from gateway.fold import record as told
from gateway.fold.record import Said
from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys
from gateway.ledger.audit.reading import URL, Entry
from gateway.ledger.audit.side_check import Sides
from gateway.ledger.proof import entry, openings
from gateway.ledger.proof.openings import SALT, Opened
from gateway.ledger.subjects import moment

OPENS = b'{"d":"'  # a leaf with details; then what it commits to
D = slice(len(OPENS), len(OPENS) + 43)  # base64url of 32 bytes

OFFICERS = """
SELECT v.seq, e.body, v.event, v.person, v.at, v.sealed FROM void_act v JOIN entry e ON e.seq = v.seq
WHERE v.sealed IS NOT NULL AND v.seq >= (SELECT pruned FROM head)
"""


OUTCOME = "SELECT outcome FROM told_event WHERE seq = ?"
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
        self._said = dict[int, Said]()  # by the entries at hand
        self._db = db

    def add(self, rows: Sequence[Entry], sides: Sides) -> None:
        """`sides`: what is told beside them."""
        boxed = [row for row in rows if row[2] is not None and row[1] is not None and (row[6] or row[7])]
        self._said = {seq: each.said for seq, side in sides.items() for each in side.own()}
        for seq, body, _, at, event, person, sealed, opening, _ in self._plain(boxed):
            self._open(person, seq, entry.original(body), at, event, sealed, opening)

    def _plain(self, rows: Sequence[Entry]) -> Sequence[Entry]:
        """Most entries have both boxes, and their details are a time. Returns those that have not, or all where one of
        these does not hold what its entry commits to, for `_open`, which tells which.
        """
        keys = self._vault.both_keys_of(row[5] for row in rows)
        whole, left = list[Entry](), list[Entry]()
        for row in rows:
            both = (
                row[6]
                and row[7]
                and row[5] in keys
                and all(ABSENT.get(name) == value for name, value in _of_details(self._said.get(row[0])))
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
            self._open(person, seq, body, at, event, sealed, None)

    def _open(
        self, person: bytes, seq: int, body: bytes, at: int, event: bytes, sealed: bytes | None, opening: bytes | None
    ) -> None:
        keys = self._vault.keys(person)
        shut = (sealed and not keys.details) or (opening and not keys.openings)
        if shut and self._vault.is_lost(person):
            self.found.append(f"the keys of entry {seq} are lost")
        opened = openings.open_boxes(keys, event, sealed, opening)
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
        said = orjson.loads(opened.details)
        return self._as_sealed(seq, said) and all(
            said.get(name, ABSENT.get(name)) == value for name, value in _of_details(self._said.get(seq))
        )

    def _as_sealed(self, seq: int, said: Mapping[str, object]) -> bool:
        """What is told of an entry beside its own words; and that those of a link are there, unless it is forgotten."""
        if "outcome" in said and self._db.execute(OUTCOME, (seq,)).fetchone() != (said["outcome"],):
            return False
        return "start" not in said or seq in self._said or self._db.execute(UNLINKED, (seq,)).fetchone() is not None


ABSENT = {"device": "", "informed": False, "parental": False}  # what a side says where details have no such member


def _of_details(said: Said | None) -> list[tuple[str, object]]:
    """What the side of an entry says that its sealed details say too, by their members."""
    match said:
        case told.LinkSaid():
            return [("start", said.start), ("until", said.until)]
        case told.AgeTold():
            return [("band", said.band), ("device", said.mark)]
        case told.SaidIn():
            return [("informed", said.informed), ("parental", said.parental)]
        case told.SaidOut() | told.StateSaid():
            return [("device", said.mark)]
    return []


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
