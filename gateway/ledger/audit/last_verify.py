"""What the last `gateway verify --keep` found, a small file in the folder: for the alarm of a service whose ledger is
read again each night (`gateway recipe backup` and `kubernetes` do), and for the desk. Without it none is missed.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from gateway.disk import write_durably

FILE = "verified.json"
LATE = timedelta(hours=50)  # two nights, and as long as it takes


class LastVerify(msgspec.Struct, frozen=True):
    """When it ended, and whether all was as it should be."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    passed: bool

    def keep(self, folder: Path) -> None:
        """In the place of the one before. Raises `OSError`."""
        write_durably(folder / FILE, msgspec.json.encode(self))


def read_last_verify(folder: Path) -> LastVerify | None:
    """None: none was ever kept. Raises `OSError`, and `msgspec.DecodeError` for what is none."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=LastVerify)
    except FileNotFoundError:
        return None


class NightlyVerify:
    """The alarm of one folder."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._clock = clock

    def alarms(self) -> list[str]:
        """What somebody has to look at; empty where the last one passed, or none was ever kept."""
        try:
            last = read_last_verify(self._folder)
        except (OSError, msgspec.DecodeError) as error:
            return [f"{self._folder / FILE} cannot be read ({error}); make it anew: gateway verify --keep"]
        if last is None:
            return []
        day = f"{last.at.astimezone(UTC):%Y-%m-%d %H:%M} (UTC)"
        if not last.passed:
            return [
                f"the ledger was found different, or unreadable, at {day}; see gateway verify; gateway help restore"
            ]
        if abs(self._clock() - last.at) > LATE:  # kept while a clock was ahead it is no word of tonight
            return [
                f"nobody has verified the ledger since {day}: the nightly backup fails or is gone; gateway help backup"
            ]
        return []
