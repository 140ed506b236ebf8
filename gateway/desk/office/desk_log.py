"""What was looked at and done at the desk, by whom: sealed, each line chained to the one before it, kept 24 months. The
desk's pages write it before they show anything; the daily evidence takes its head into the ledger; `gateway desk log`
reads it.

The head after a line is SHA-256 of the head before it and the sealed line; before the first it is 32 zero bytes. An
entry of the day holds the number of lines and the head then, so a line that was changed, or taken out, is found by
whoever makes the chain again. A line that is older than 24 months loses what it says and keeps its head. It
is old as seen from the last line that another one confirms a day later and none behind it refutes by an earlier time: a
clock that is ahead for hours, however often, forgets nothing.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from gateway.desk.office.desk_file import DESK_FILE, desk_file
from gateway.keys import seals
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import milliseconds, moment

LABEL = b"desk-log/1"
BEGINNING = bytes(32)
KEPT = timedelta(days=732)  # 24 months, and not a day less (11 CCR 7101)
CONFIRMS = timedelta(days=1)  # nobody sits a day at a desk whose clock is wrong
MILLISECOND = timedelta(milliseconds=1)
STEP = timedelta(hours=1)  # by which a clock that is set right may go back
CONFIRMED = """
SELECT coalesce(max(at), 0) FROM (SELECT at, min(at) OVER (ORDER BY number DESC) AS behind FROM looked) told
 WHERE at <= ? AND behind >= at - ?
"""  # what an earlier time was written behind came of a clock that was ahead
FORGET = """
UPDATE looked SET sealed = NULL WHERE sealed IS NOT NULL
 AND number < (SELECT number FROM looked WHERE at >= :late ORDER BY number LIMIT 1)
"""  # from the first line on, so that one that is gone behind one that is kept was taken out


class DeskLogBroken(Exception):
    """A line is not what it was when it was written."""


@dataclass(frozen=True, slots=True)
class DeskLine:
    """One line. `said`: who, in which role, what, and about what; empty once it is too old."""

    number: int
    at: datetime
    said: Mapping[str, str]


class DeskLog:
    """The log of one installation. `keys`: those of the desk's own file, the newest last."""

    def __init__(self, folder: Path, keys: Sequence[bytes]) -> None:
        self._folder = folder
        self._keys = keys

    def note(self, at: datetime, said: Mapping[str, str]) -> None:
        """One more line; what has become too old is forgotten on the way. Raises `StoreUnavailable`."""
        with desk_file(self._folder) as db:
            _, head = _last(db)
            body = json.dumps({"at": at.isoformat(), **said}, separators=(",", ":")).encode()
            sealed = seals.seal_box(self._keys[-1], LABEL, body)
            row = (milliseconds(at), sealed, sha256(head + sealed).digest())
            db.execute("INSERT INTO looked (at, sealed, head) VALUES (?, ?, ?)", row)
            db.execute(FORGET, {"late": kept_from(db, at)})

    def lines(self, start: datetime, end: datetime) -> Iterator[DeskLine]:
        """Those of before `end`, from `start` on, each proved by the chain. Raises `DeskLogBroken`,
        `StoreUnavailable`.
        """
        with desk_file(self._folder) as db:
            rows = db.execute("SELECT number, at, sealed, head FROM looked ORDER BY number").fetchall()
        before, kept = BEGINNING, False
        # What a later line refuted may have been the reason to forget when it was written: it counts here.
        newest = max((at for _, at, _, _ in rows), default=0) - CONFIRMS // MILLISECOND
        late = max((at for _, at, _, _ in rows if at <= newest), default=0) - KEPT // MILLISECOND
        for number, (stated, at, sealed, head) in enumerate(rows, 1):
            kept = kept or sealed is not None
            gone_early = sealed is None and (kept or at >= late)
            if stated != number or gone_early or (sealed is not None and sha256(before + sealed).digest() != head):
                raise DeskLogBroken(f"line {number} of the desk's log is not what was written")
            before, said = head, self._opened(number, sealed)
            if said and milliseconds(datetime.fromisoformat(said["at"])) != at:
                raise DeskLogBroken(f"line {number} of the desk's log was written on another day")
            if milliseconds(start) <= at < milliseconds(end):
                yield DeskLine(number, moment(at), said)

    def head_of_line(self, number: int) -> str:
        """The head after a line, in hex; empty where there is no such line. Raises `StoreUnavailable`."""
        with desk_file(self._folder) as db:
            row = db.execute("SELECT head FROM looked WHERE number = ?", (number,)).fetchone()
        return row[0].hex() if row else ""

    def first_kept(self) -> int:
        """The first line that still says something; all before it are forgotten. Raises `StoreUnavailable`."""
        with desk_file(self._folder) as db:
            row = db.execute("SELECT min(number) FROM looked WHERE sealed IS NOT NULL").fetchone()
            return int(row[0]) if row[0] else _last(db)[0] + 1

    def _opened(self, number: int, sealed: bytes | None) -> dict[str, str]:
        if sealed is None:
            return {}
        try:
            said: dict[str, str] = json.loads(seals.open_seal(self._keys, LABEL, sealed))
        except seals.OpeningFailed:
            raise DeskLogBroken(f"line {number} of the desk's log opens with none of our keys") from None
        return said


def kept_from(db: sqlite3.Connection, at: datetime) -> int:
    """From when on, in Unix milliseconds, the desk still keeps what it has, at a moment of a clock."""
    [confirmed] = db.execute(CONFIRMED, (milliseconds(at - CONFIRMS), STEP // MILLISECOND)).fetchone()
    return int(confirmed) - KEPT // MILLISECOND


def desk_head(folder: Path) -> tuple[int, str] | None:
    """(how many lines, the last one's head in hex); None where nobody ever sat at the desk, or the file cannot be read
    now: the next entry of evidence tells.
    """
    if not (folder / DESK_FILE).exists():
        return None
    with contextlib.suppress(StoreUnavailable), desk_file(folder) as db:
        number, head = _last(db)
        return (number, head.hex()) if number else None
    return None


def _last(db: sqlite3.Connection) -> tuple[int, bytes]:
    row = db.execute("SELECT number, head FROM looked ORDER BY number DESC LIMIT 1").fetchone()
    return (row[0], row[1]) if row else (0, BEGINNING)
