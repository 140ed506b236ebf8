"""A copy that nobody finishes: its notes name people who are erased later, and so does what it has made in the folder.
The service's writer gives it up a day after it was begun, unless it is under way; that is before any date that an
erased person is told (`EpochTurn.forgotten_by` is two days away at the least).
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gateway import disk
from gateway.keys import person_keys
from gateway.ledger import schema
from gateway.ledger.moving import changed_rows
from gateway.ledger.subjects import moment
from gateway.ledger.writer import KeyTurns

LOCK = "copy.lock"  # whoever has it is copying
ARRIVING = "arriving"  # behind a name, until what has it is whole
TERM = timedelta(days=1)
FIRST_LOOK, LOOKS_EVERY = 60.0, 3600.0  # seconds from the start: no command is there for so long
SAID = (
    "a gateway copy that was begun on %s and not finished is given up: nothing is noted for it any more. What it made"
    " in a PostgreSQL is yours to take away, with what it has of people who are erased: gateway copy --give-up"
)


@dataclass(slots=True)
class ForsakenCopies:
    """Asked by the writer as it asks for `turns`, which it passes on."""

    turns: KeyTurns
    folder: Path
    clock: Callable[[], datetime]
    tell: Callable[[str], None]
    _next: float = field(default_factory=lambda: time.monotonic() + FIRST_LOOK)

    def is_due(self) -> bool:
        return time.monotonic() >= self._next or self.turns.is_due()

    def step(self, db: Any, vault: Any) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOKS_EVERY
            self._look(db, vault)
        if self.turns.is_due():
            self.turns.step(db, vault)

    def _look(self, db: Any, vault: Any) -> None:
        noted = changed_rows.copy_noted(vault.db) or changed_rows.copy_noted(db)
        if noted is not None and self._is_over(noted.begun):
            with contextlib.suppress(BlockingIOError), disk.locked(self.folder / LOCK, wait=False):
                self._give_up(db, vault)
                self.tell(SAID % moment(noted.begun).date())

    def _is_over(self, begun: int) -> bool:
        """One that begins in a day was begun by a clock that was ahead."""
        return abs(self.clock() - moment(begun)) >= TERM

    def _give_up(self, db: Any, vault: Any) -> None:
        drop_arriving_files(self.folder)
        changed_rows.end_notes(vault.db)
        changed_rows.end_notes(db)


def drop_arriving_files(folder: Path) -> None:
    """What a copy has made in a folder so far."""
    for name in (schema.FILE, person_keys.FILE):
        for each in with_logs(folder / f"{name}.{ARRIVING}"):
            each.unlink(missing_ok=True)
    disk.sync_folder(folder)


def with_logs(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}{ending}") for ending in ("", "-wal", "-shm")]
