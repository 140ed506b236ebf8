"""The matrix of the youngest rehearsal on record, ways by recipients, read back for the desk."""

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.desk.evidence import LAST_REHEARSAL, REHEARSAL
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.store import Store
from gateway.ledger.subjects import moment

HELD, FAILED, NOT_HERE = "held", "FAILED", "not allowed here"


@dataclass(frozen=True, slots=True)
class RehearsedCell:
    """What a way proved of a recipient: purposes; those that could not go before, and why; what failed (purpose, door,
    why), of all `failures`.
    """

    proved: tuple[str, ...] = ()
    not_allowed: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str, str], ...] = ()
    failures: int = 0

    @property
    def word(self) -> str:
        """One word for all: a failure outweighs whatever was proved."""
        return FAILED if self.failures else HELD if self.proved else NOT_HERE


@dataclass(frozen=True, slots=True)
class RehearsedMatrix:
    """`ways`: by name and recipient. `closed`: ways that are not open, and why. `milliseconds`: by way, after how long
    the no held.
    """

    seq: int
    event: str
    until: datetime
    passed: bool
    recipients: tuple[str, ...]
    ways: Mapping[str, Mapping[str, RehearsedCell]]
    milliseconds: Mapping[str, int]
    closed: Mapping[str, str]


def last_matrix(store: Store) -> RehearsedMatrix | None:
    """None where no rehearsal is on record. One of before the matrix was entered has no ways in it. Raises
    `StoreUnavailable`.
    """
    try:
        with contextlib.closing(store.open_to_read()) as db:
            row = db.execute(LAST_REHEARSAL, (REHEARSAL,)).fetchone()
    except (sqlite3.Error, LedgerRefused) as error:
        raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error
    if row is None:
        return None
    seq, until, body, more = row
    leaf = {**json.loads(body), **json.loads(more or b"{}")}
    told = leaf["told"]
    cells = [_cell(each) for each in told.get("cells", [])]
    ways = {name: {recipient: cells[at] for recipient, at in of.items()} for name, of in told.get("matrix", {}).items()}
    return RehearsedMatrix(
        seq,
        leaf["i"],
        moment(until),
        bool(told.get("passed")),
        tuple(sorted({recipient for of in ways.values() for recipient in of if recipient})),
        ways,
        {name: counts[-1] for name, counts in told.get("ways", {}).items()},
        told.get("closed", {}),
    )


def _cell(plain: Mapping[str, Any]) -> RehearsedCell:
    failed = tuple((purpose, door, why) for purpose, door, why in plain.get("failed", []))
    return RehearsedCell(
        tuple(plain.get("proved", ())), tuple(plain.get("not_allowed", {}).items()), failed, plain.get("failures", 0)
    )
