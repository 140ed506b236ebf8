"""Requests that came to the desk by letter, phone, mail or an agent: a case each, with the day it came, what was
written in it, by when it has to be answered, and what became of it. The desk's pages open and answer them.

What was written, an agent's name and the signed permission are sealed, and are forgotten 24 months after the answer;
the number, kind, place, days and outcome stay. A case is not an opt-out: that is an entry of the ledger, whose event
the case names.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.desk.office.case_seals import PERMISSION, SAID, bind_case_seals, open_case_seal, seal_case
from gateway.desk.office.desk_file import desk_file
from gateway.desk.office.desk_log import kept_from
from gateway.desk.office.request_law import RequestKind
from gateway.keys import seals
from gateway.ledger.subjects import milliseconds, moment

COMPLIED, DENIED = "complied", "denied"
COLUMNS = "number, received, kind, place, manner, acknowledged, extended, answered, outcome, reason, event, sealed"


@dataclass(frozen=True, slots=True)
class DeskCase:
    """One request. `said`: identifiers as written (`lines`), those nobody could read (`unread`), agent, language and
    note; empty once it is forgotten. `shut`: it is there and does not open. `reason`: why it was denied.
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

    def entered(self, number: int, event: str) -> None:
        """Which entry of the ledger it became."""
        self._note(number, "event = ?", event)

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
        late = kept_from(db, self.clock())
        db.execute(
            "UPDATE request SET sealed = NULL, permission = NULL WHERE answered < ? AND sealed IS NOT NULL", (late,)
        )

    def _case(self, row: tuple[Any, ...]) -> DeskCase:
        number, received, kind, place, manner, acknowledged, extended, answered, outcome, reason, event, sealed = row
        said: dict[str, Any] = {}
        with contextlib.suppress(seals.OpeningFailed):  # another case's, or of a key that was retired: as forgotten
            said = json.loads(open_case_seal(self.keys, SAID, number, sealed)) if sealed else {}
        return DeskCase(
            number, moment(received), RequestKind(kind), place, manner,
            moment(acknowledged) if acknowledged else None, bool(extended), moment(answered) if answered else None,
            outcome, reason, event, said, shut=sealed is not None and not said,
        )  # fmt: skip
