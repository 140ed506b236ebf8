"""Requests that came to the desk by letter, phone, mail or an agent: a case each, with the day it came, what was
written in it, by when it has to be answered, and what became of it. The desk's pages open and answer them.

What was written, an agent's name and the signed permission are sealed, and are forgotten 24 months after the answer;
the number, kind, place, days and outcome stay. A case is not an opt-out: that is an entry of the ledger, whose event
the case names. Each seal is bound to the case's number: what was written in one is never read as another's, whoever
changes places in the file.

An appeal against an answer is on record by that there was one, its day and what came of it: it holds no identifier and
is not forgotten.
"""

import contextlib
import hmac
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.desk.office.desk_file import desk_file
from gateway.desk.office.desk_log import kept_from
from gateway.desk.office.request_law import RequestKind
from gateway.keys import seals
from gateway.ledger.subjects import milliseconds, moment

COMPLIED, DENIED = "complied", "denied"
COLUMNS = "number, received, kind, place, manner, acknowledged, extended, answered, outcome, reason, event, sealed"
EARLIER = "SELECT event FROM earlier WHERE number = request.number ORDER BY rowid"
COLUMNS += f", (SELECT group_concat(event, ' ') FROM ({EARLIER}))"  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class DeskCase:
    """One request. `said`: identifiers as written (`lines`), those nobody could read (`unread`), agent, language and
    note; empty once it is forgotten. `shut`: it is there and does not open. `reason`: why it was denied. `event`: of
    the last entry that was made of it; `earlier`: of those before.
    """

    number: int
    received: datetime
    kind: RequestKind
    place: str
    manner: str
    acknowledged: datetime | None
    extended: bool
    answered: datetime | None
    outcome: str
    reason: str
    event: str
    said: Mapping[str, Any] = field(repr=False)
    shut: bool = False
    earlier: Sequence[str] = ()

    @property
    def events(self) -> Sequence[str]:
        """Of all its entries, the last one at the end."""
        before = [each for each in self.earlier if each != self.event]
        return [*before, self.event] if self.event else before

    @property
    def unread(self) -> Sequence[str]:
        found: Sequence[str] = self.said.get("unread", ())
        return found


@dataclass(frozen=True, slots=True)
class Cases:
    """Those of one installation. `keys`: those of the desk's own file, the newest last. Every call may raise
    `StoreUnavailable`.
    """

    folder: Path
    keys: Sequence[bytes] = field(repr=False)
    clock: Callable[[], datetime]

    @contextlib.contextmanager
    def file(self) -> Iterator[sqlite3.Connection]:
        """The desk's file, where every seal is bound to its case; the block is one transaction."""
        with desk_file(self.folder) as db:
            bind_case_seals(db, self.keys)
            yield db

    def open_case(
        self,
        received: datetime,
        kind: RequestKind,
        place: str,
        manner: str,
        said: Mapping[str, Any],
        permission: bytes = b"",
        *,
        within: sqlite3.Connection | None = None,
    ) -> int:
        """A new case; its number. `within`: a transaction of `file` that holds more."""
        with contextlib.nullcontext(within) if within else self.file() as db:
            self._forget(db)
            made = db.execute(
                "INSERT INTO request (received, kind, place, manner) VALUES (?, ?, ?, ?)",
                (milliseconds(received), kind, place, manner),
            )
            number = int(made.lastrowid or 0)
            signed = seal_case(self.keys[-1], PERMISSION, number, permission) if permission else None
            sealed = self._sealed(number, said)
            db.execute("UPDATE request SET sealed = ?, permission = ? WHERE number = ?", (sealed, signed, number))
            return number

    def read_case(self, number: int) -> DeskCase | None:
        with self.file() as db:
            row = db.execute(f"SELECT {COLUMNS} FROM request WHERE number = ?", (number,)).fetchone()  # noqa: S608 - ours
        return self._case(row) if row else None

    def permission(self, number: int) -> bytes:
        """The permission that an agent handed in; empty where there is none, or it was forgotten."""
        with self.file() as db:
            row = db.execute("SELECT permission FROM request WHERE number = ?", (number,)).fetchone()
        with contextlib.suppress(seals.OpeningFailed):
            return open_case_seal(self.keys, PERMISSION, number, row[0]) if row and row[0] else b""
        return b""

    def open_cases(self) -> list[DeskCase]:
        """Those that are not answered, the oldest first."""
        return list(self._listed("answered IS NULL ORDER BY received, number"))

    def last_answered(self, most: int = 50) -> list[DeskCase]:
        """The last ones that were, the newest first."""
        return list(self._listed("answered IS NOT NULL ORDER BY answered DESC LIMIT ?", most))

    def acknowledge(self, number: int) -> None:
        self._note(number, "acknowledged = coalesce(acknowledged, ?)", milliseconds(self.clock()))

    def extend(self, number: int) -> None:
        self._note(number, "extended = ?", 1)

    def answer_case(self, number: int, outcome: str, reason: str = "", *, event: str | None = None) -> bool:
        """The last word on it. `event`: the entry that it had when that was decided on; False: another one by now."""
        said = (milliseconds(self.clock()), outcome, reason)
        sql = "UPDATE request SET answered = ?, outcome = ?, reason = ? WHERE number = ? AND answered IS NULL"
        with self.file() as db:
            return db.execute(f"{sql} AND event = coalesce(?, event)", (*said, number, event)).rowcount > 0

    def answer_as_read(self, case: DeskCase, said: Mapping[str, Any], outcome: str) -> bool:
        """The last word on one that says what it said when that was decided on, and what it says from now on; False: it
        is another one by now.
        """
        with self.file() as db:
            row = db.execute(f"SELECT {COLUMNS} FROM request WHERE number = ?", (case.number,)).fetchone()  # noqa: S608 - ours
            now = self._case(row) if row else None
            if now is None or now.answered or (now.said, now.event, now.kind) != (case.said, case.event, case.kind):
                return False
            values = milliseconds(self.clock()), outcome, self._sealed(case.number, said), case.number
            db.execute("UPDATE request SET answered = ?, outcome = ?, sealed = ? WHERE number = ?", values)
            return True

    def entered(self, number: int, event: str) -> None:
        """Which entry of the ledger it became, also when lines of it became others before: those stay beside it."""
        with self.file() as db:
            db.execute(
                "INSERT OR IGNORE INTO earlier SELECT number, event FROM request"
                " WHERE number = ? AND answered IS NULL AND event NOT IN ('', ?)",
                (number, event),
            )
            db.execute("UPDATE request SET event = ? WHERE number = ? AND answered IS NULL", (event, number))

    def reread(self, number: int, said: Mapping[str, Any]) -> None:
        """What was written in it, as it is read now."""
        self._note(number, "sealed = ?", self._sealed(number, said))

    def _sealed(self, number: int, said: Mapping[str, Any]) -> bytes:
        return seal_case(self.keys[-1], SAID, number, json.dumps(dict(said)).encode())

    def _note(self, number: int, what: str, *values: object) -> None:
        with self.file() as db:
            sql = f"UPDATE request SET {what} WHERE number = ? AND answered IS NULL"  # noqa: S608 - ours
            db.execute(sql, (*values, number))

    def _listed(self, which: str, *values: object) -> Iterator[DeskCase]:
        with self.file() as db:
            self._forget(db)
            rows = db.execute(f"SELECT {COLUMNS} FROM request WHERE {which}", values).fetchall()  # noqa: S608 - ours
        return map(self._case, rows)

    def _forget(self, db: sqlite3.Connection) -> None:
        """What was said in cases that are over, and the mails that they came by: whenever somebody lists cases, as the
        desk's first page does, since nothing is over before somebody was at the desk.
        """
        late = kept_from(db, self.clock())
        db.execute(
            "UPDATE request SET sealed = NULL, permission = NULL WHERE answered < ? AND sealed IS NOT NULL", (late,)
        )
        db.execute(
            "UPDATE mail SET original = NULL"
            " WHERE original IS NOT NULL AND number IN (SELECT number FROM request WHERE sealed IS NULL)"
        )

    def _case(self, row: Sequence[Any]) -> DeskCase:
        *row, sealed, earlier = row
        number, received, kind, place, manner, acknowledged, extended, answered, outcome, reason, event = row
        said: dict[str, Any] = {}
        with contextlib.suppress(seals.OpeningFailed):  # another case's, or of a key that was retired: as forgotten
            said = json.loads(open_case_seal(self.keys, SAID, number, sealed)) if sealed else {}
        return DeskCase(
            number, moment(received), RequestKind(kind), place, manner,
            moment(acknowledged) if acknowledged else None, bool(extended), moment(answered) if answered else None,
            outcome, reason, event, said, shut=sealed is not None and not said,
            earlier=(earlier or "").split(),
        )  # fmt: skip


SAID, PERMISSION, ORIGINAL = b"case/2", b"permission/2", b"mail/2"
MARK = b"case seals are bound"
# What was sealed before without a number: the label now and then, table, column.
BEFORE = (
    (SAID, b"case/1", "request", "sealed"),
    (PERMISSION, b"permission/1", "request", "permission"),
    (ORIGINAL, b"mail/1", "mail", "original"),
)


def seal_case(key: bytes, label: bytes, number: int, content: bytes) -> bytes:
    """What a case of this number holds under a label."""
    return seals.seal_box(key, _bound(label, number), content)


def open_case_seal(keys: Sequence[bytes], label: bytes, number: int, box: bytes) -> bytes:
    """The content under any of the keys. Raises `OpeningFailed` for another case's, and for a key that was retired."""
    return seals.open_seal(keys, _bound(label, number), box)


def bind_case_seals(db: sqlite3.Connection, keys: Sequence[bytes]) -> None:
    """Seals anew, once, what a file of before holds without numbers; afterwards that opens nowhere. Whoever came with
    other secrets opened nothing and shut nothing: with the right ones it is done.
    """
    mark = int.from_bytes(hmac.digest(keys[-1], MARK, "sha256")[:6])
    if db.execute("SELECT 1 FROM bound WHERE one = ?", (mark,)).fetchone():
        return
    for label, before, table, column in BEFORE:
        found = db.execute(f"SELECT rowid, number FROM {table} WHERE {column} IS NOT NULL").fetchall()  # noqa: S608 - ours
        for row, number in found:  # of the seals one at a time, for mails are large
            (box,) = db.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()  # noqa: S608 - ours
            with contextlib.suppress(seals.OpeningFailed):  # bound already, or not by these secrets
                fresh = seal_case(keys[-1], label, number, seals.open_seal(keys, before, box))
                db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (fresh, row))  # noqa: S608 - ours
    db.execute("INSERT INTO bound VALUES (?)", (mark,))


def _bound(label: bytes, number: int) -> bytes:
    return label + b"\x00" + number.to_bytes(8, signed=True)


FIELDS = "number, received, answered, outcome"


@dataclass(frozen=True, slots=True)
class CaseAppeal:
    """That of a case, by the case's number. `outcome`: empty while it is open."""

    number: int
    received: datetime
    answered: datetime | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Appeals:
    """Those of one installation. Every call may raise `StoreUnavailable`."""

    folder: Path
    clock: Callable[[], datetime]

    def take_appeal(self, number: int, received: datetime) -> None:
        """One came against the answer to a case; of a second one the first stays."""
        with desk_file(self.folder) as db:
            row = (number, milliseconds(received))
            db.execute("INSERT INTO appeal (number, received) VALUES (?, ?) ON CONFLICT DO NOTHING", row)

    def answer_appeal(self, number: int, outcome: str) -> None:
        """The last word on it."""
        with desk_file(self.folder) as db:
            sql = "UPDATE appeal SET answered = ?, outcome = ? WHERE number = ? AND answered IS NULL"
            db.execute(sql, (milliseconds(self.clock()), outcome, number))

    def read_appeal(self, number: int) -> CaseAppeal | None:
        with desk_file(self.folder) as db:
            row = db.execute(f"SELECT {FIELDS} FROM appeal WHERE number = ?", (number,)).fetchone()  # noqa: S608 - ours
        return _appeal(row) if row else None

    def open_appeals(self) -> list[CaseAppeal]:
        """Those that are not answered, the oldest first."""
        with desk_file(self.folder) as db:
            sql = f"SELECT {FIELDS} FROM appeal WHERE answered IS NULL ORDER BY received, number"  # noqa: S608 - ours
            return [_appeal(row) for row in db.execute(sql)]


def _appeal(row: tuple[Any, ...]) -> CaseAppeal:
    number, received, answered, outcome = row
    return CaseAppeal(number, moment(received), moment(answered) if answered else None, outcome)
