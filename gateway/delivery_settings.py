"""Settings of telling recipients and the system of accounts. Part of `gateway.settings`, which reads them. Never sends
anything.
"""

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Literal

import msgspec

from gateway.delivery.deadlines import Calendar
from gateway.delivery.guard import LOOPBACK, Network
from gateway.shapes import CalendarDay, HouseNetwork, OptionalDomain, OptionalUrl, Wrong

MOST_HOLIDAYS = 30  # further ones in a year; each moves the last day by which a recipient has to be told


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Erasure(Strict, frozen=True):
    account_backend: OptionalUrl


class Delivery(Strict, frozen=True):
    holidays: Literal["us_federal", "none"]
    more_holidays: tuple[CalendarDay, ...]
    ddrf_domain: OptionalDomain
    networks: tuple[HouseNetwork, ...]

    def calendar(self) -> Calendar:
        """The days that business days are counted by."""
        return Calendar(self.holidays == "us_federal", frozenset(self.more_holidays))

    def allowed(self, *, dev: bool = False) -> tuple[Network, ...]:
        """Networks beside the public internet that messages may go to."""
        return (*map(ip_network, self.networks), *(LOOPBACK if dev else ()))

    def wrong(self) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        for year, days in Counter(day.year for day in self.more_holidays).items():
            if days > MOST_HOLIDAYS:
                why = f"{year} has {days}: the last day to tell somebody would never come"
                yield Wrong(("delivery", "more_holidays"), why, f"{MOST_HOLIDAYS} a year at most")
