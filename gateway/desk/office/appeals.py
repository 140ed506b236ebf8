"""Appeals against the answers of the desk's cases: that there was one, on which day it came, and what came of it. The
desk's page of an appeal writes them; they hold no identifier and are not forgotten.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.desk.office.desk_file import desk_file
from gateway.ledger.subjects import milliseconds, moment

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
