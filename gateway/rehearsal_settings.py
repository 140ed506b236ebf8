"""Settings of the rehearsal. Part of `gateway.settings`, which reads them."""

from typing import Annotated

import msgspec

from gateway.addresses import may_send_to

Hours = Annotated[int, msgspec.Meta(ge=0, le=8784)]  # a leap year's


class Rehearsal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    every_hours: Hours
    alarm_after_hours: Hours
    pages: tuple[str, ...]

    def wrong(self) -> str:
        """What the shapes cannot say is wrong with it, or nothing."""
        if self.every_hours and self.alarm_after_hours <= self.every_hours:
            return "rehearsal.alarm_after_hours: more than every_hours, or each run would be late"
        for page in self.pages:
            if not may_send_to(page):
                return f"rehearsal.pages: {page} is neither https nor http on loopback"
        return ""
