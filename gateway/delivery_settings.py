"""Settings of telling recipients and the system of accounts. Part of `gateway.settings`, which reads them. Never sends
anything.
"""

from datetime import date
from ipaddress import ip_network
from typing import Annotated, Literal

import msgspec

from gateway.delivery.deadlines import Calendar
from gateway.delivery.guard import LOOPBACK, Network


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Erasure(Strict, frozen=True):
    account_backend: str


class Delivery(Strict, frozen=True):
    holidays: Literal["us_federal", "none"]
    more_holidays: tuple[date, ...]
    ddrf_domain: Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)+)?\Z", description="a domain")]
    networks: tuple[str, ...]

    def calendar(self) -> Calendar:
        """The days that business days are counted by."""
        return Calendar(self.holidays == "us_federal", frozenset(self.more_holidays))

    def allowed(self, *, dev: bool = False) -> tuple[Network, ...]:
        """Networks beside the public internet that messages may go to. Raises ValueError for what is none."""
        return (*map(ip_network, self.networks), *(LOOPBACK if dev else ()))

    def wrong(self) -> str:
        """What the shapes cannot say is wrong with it, or nothing."""
        try:
            self.allowed()
        except ValueError as error:
            return f"delivery.networks: {error}"
        return ""
