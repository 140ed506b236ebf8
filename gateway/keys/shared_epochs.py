"""Epochs of the records' keys (keys/epochs.py) where several machines write one ledger: what one begins the others have
before anybody uses it, and nothing of it outlives the epoch. The vault calls it, on a connection to the ledger.

The key of a new epoch stands in the ledger's database, sealed by that of the epoch before, which every machine has;
from the next transaction on every writer takes its keys from the new one, for each looks within, behind the row that
all writers wait for. What the server, its log or a backup keeps of such a row opens only by the key of the epoch
before, which dies first. A machine that was away for longer than an epoch lives has to be joined anew.

Who was forgotten stands there likewise for the states of the others, sealed by the epoch in force, until all have it.
"""

import secrets
import sqlite3
from collections.abc import Collection, Sequence

from gateway.disk import whole
from gateway.keys import seals
from gateway.keys.epochs import Epochs
from gateway.terms import Unusable

LABEL, FORGOTTEN = b"shared-epoch/1", b"forgotten-elsewhere/1"
KEY = 16  # bytes of a key that names somebody
ALONE = (
    "this machine's epochs.json is not there, or behind those of the ledger's other machines: stop its service, copy"
    " another one's over it (gateway help postgresql)"
)


class EpochsMissed(Unusable):
    """What other machines write cannot be opened here, so nothing must be written. The text says what to do."""


class SharedEpochs:
    """`epochs`: this machine's. Callers hold its writers' lock."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs

    def keep_up(self, db: sqlite3.Connection) -> None:
        """Takes what others began. Raises `EpochsMissed`."""
        (newest,) = db.execute("SELECT max(number) FROM shared_epoch").fetchone()
        if self.has(newest):
            return
        self._epochs.refresh()
        own = self._epochs.newest
        sql = "SELECT number, begun, dies, box FROM shared_epoch WHERE number > ? ORDER BY number"
        for number, begun, dies, box in db.execute(sql, (own.number if own else 0,)).fetchall():
            self._epochs.begin(number, begun, dies, self._opened(number, box))

    def has(self, newest: int | None) -> bool:
        """Whether this machine has all epochs up to one; None: there is none."""
        own = self._epochs.newest
        return newest is None or (own is not None and own.number >= newest)

    def _opened(self, number: int, box: bytes) -> bytes:
        before = self._epochs.key(number - 1)
        try:
            return seals.open_seal([before] if before else [], _label(number), box)
        except seals.OpeningFailed:
            raise EpochsMissed(ALONE) from None

    def _in_force(self) -> tuple[bytes, int]:
        newest = self._epochs.newest
        key = self._epochs.key(newest.number) if newest else None
        if newest is None or key is None:
            raise EpochsMissed(ALONE)
        return key, newest.number

    def begin(self, db: sqlite3.Connection, number: int, at: int, dies: int) -> None:
        """A new epoch, for all machines, unless another one began one meanwhile. Raises `EpochsMissed`."""
        with whole(db):
            self.keep_up(db)
            before, newest = self._in_force()
            if newest + 1 != number:
                return
            key = secrets.token_bytes(32)
            box = seals.seal_box(before, _label(number), key)
            db.execute("INSERT INTO shared_epoch VALUES (?, ?, ?, ?)", (number, at, dies, box))
            db.execute("DELETE FROM shared_epoch WHERE number <= ?", (self._epochs.all[0].number,))
        self._epochs.begin(number, at, dies, key)

    def tell_elsewhere(self, db: sqlite3.Connection, place: int, keys: Collection[bytes]) -> None:
        """Who was forgotten by what is told at a place of the log."""
        key, _ = self._in_force()
        box = seals.seal_box(key, FORGOTTEN + place.to_bytes(8), b"".join(keys))
        db.execute("DELETE FROM forgotten_elsewhere WHERE place < (SELECT min(applied) FROM host) / 1048576")
        db.execute("INSERT INTO forgotten_elsewhere VALUES (?, ?)", (place, box))

    def told_elsewhere(self, db: sqlite3.Connection, after: int) -> Sequence[tuple[int, list[bytes]]]:
        """The same, from a place on; what cannot be opened is left out, and whoever needs it begins anew."""
        opens = [key for each in self._epochs.all if (key := self._epochs.key(each.number))]
        found = list[tuple[int, list[bytes]]]()
        for place, box in db.execute(
            "SELECT place, box FROM forgotten_elsewhere WHERE place >= ?", (after,)
        ).fetchall():
            try:
                text = seals.open_seal(opens, FORGOTTEN + place.to_bytes(8), box)
            except seals.OpeningFailed:
                continue
            found.append((place, [text[at : at + KEY] for at in range(0, len(text), KEY)]))
        return found


def _label(number: int) -> bytes:
    return LABEL + number.to_bytes(8)
