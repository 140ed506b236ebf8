"""The file of one run of the service: what would be lost with the process, so that the next start can tell it.

One a run, in `running/` of the data folder; locked while its process lives. Holds counts and times, never a person.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway import seals
from gateway.ledger.entry import b64
from gateway.ledger.evidence import Period, Spell

FOLDER = "running"


class Running:
    """The file of the run that is on. `run` is its random name."""

    def __init__(self, folder: Path) -> None:
        self.run = secrets.token_hex(8)
        self._path = folder / FOLDER / f"{self.run}.json"
        self._descriptor: int | None = None

    def keep(self, periods: Sequence[Period]) -> None:
        """Replaces the file: whoever reads it finds the older or the newer one, whole and locked. Raises OSError."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        beside = self._path.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps([_plain(period) for period in periods]).encode())
            os.fsync(descriptor)
            beside.replace(self._path)
        except OSError:
            os.close(descriptor)
            raise
        self.let_go()
        self._descriptor = descriptor

    def let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def end(self) -> None:
        """Everything was told: nothing is left to tell."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self.let_go()


def left_behind(folder: Path) -> list[tuple[Path, list[Period]]]:
    """What runs that are no more had still to tell; forget each file once it is told. One that cannot be read has
    nothing to tell.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held: that run is alive
            found.append((path, [_period(item) for item in json.loads(file.read())]))
    return found


def _plain(period: Period) -> dict[str, Any]:
    spells = [[item.what, item.start.isoformat(), item.end.isoformat() if item.end else None] for item in period.spells]
    return {
        "event": b64(period.event), "run": period.run, "kind": period.kind, "start": period.start.isoformat(),
        "until": period.until.isoformat(), "counts": period.counts, "spells": spells,
    }  # fmt: skip


def _period(plain: dict[str, Any]) -> Period:
    moment = datetime.fromisoformat
    spells = tuple(Spell(what, moment(start), moment(end) if end else None) for what, start, end in plain["spells"])
    return Period(
        seals.unb64(plain["event"]), plain["run"], plain["kind"], moment(plain["start"]), moment(plain["until"]),
        plain["counts"], spells,
    )  # fmt: skip
