"""Settings of the rehearsal. Part of `gateway.settings`, which reads them."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from gateway.shapes import Url, Wrong

Hours = Annotated[int, msgspec.Meta(ge=0, le=8784)]  # a leap year's


class Rehearsal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    every_hours: Hours
    alarm_after_hours: Hours
    pages: tuple[Url, ...]

    def wrong(self) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        if self.every_hours and self.alarm_after_hours <= self.every_hours:
            why = "more than every_hours, or each run would be late"
            yield Wrong(("rehearsal", "alarm_after_hours"), why, f"{self.every_hours + 1} or more")
