"""What the last `gateway verify --keep` found, a small file in the folder: for the alarm of a service whose ledger is
read again each night (`gateway recipe backup` and `kubernetes` do). Without such a file none is missed.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gateway.disk import write_durably

FILE = "verified.json"
LATE = timedelta(hours=50)  # two nights, and as long as it takes


class LastVerify(msgspec.Struct, frozen=True):
    """When it ended, and whether all was as it should be."""

    at: datetime
    passed: bool

    def keep(self, folder: Path) -> None:
        """In the place of the one before. Raises `OSError`."""
        write_durably(folder / FILE, msgspec.json.encode(self))


class NightlyVerify:
    """The alarm of one folder."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._file = folder / FILE
        self._clock = clock

    def alarms(self) -> list[str]:
        """What somebody has to look at; empty where the last one passed, or none was ever kept."""
        try:
            last = msgspec.json.decode(self._file.read_bytes(), type=LastVerify)
            overdue = abs(self._clock() - last.at) > LATE  # kept while a clock was ahead it is no word of tonight
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError, TypeError) as error:  # TypeError: a time without its zone
            return [f"{self._file} cannot be read ({error}); make it anew: gateway verify --keep"]
        day = f"{last.at.astimezone(UTC):%Y-%m-%d %H:%M} (UTC)"
        if not last.passed:
            return [
                f"the ledger was found different, or unreadable, at {day}; see gateway verify; gateway help restore"
            ]
        if overdue:
            return [
                f"nobody has verified the ledger since {day}: the nightly backup fails or is gone; gateway help backup"
            ]
        return []
