"""Settings of apps: which recipients' code runs inside them, and by whose signature their accounts are believed. Part
of `gateway.settings`, which reads them.
"""

from collections.abc import Collection
from pathlib import Path

import msgspec

from gateway import assertions
from gateway.assertions import Assertions


class Apps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sdks: tuple[str, ...]
    assertion_keys: str
    assertion_audience: str

    def wrong(self, recipients: Collection[str]) -> str:
        """What the shapes cannot say is wrong with it, or nothing."""
        strange = set(self.sdks) - set(recipients)
        if strange:
            return f"apps.sdks: {min(strange)} is no configured recipient"
        if bool(self.assertion_keys) != bool(self.assertion_audience):
            return "apps.assertion_keys, apps.assertion_audience: both or neither"
        try:
            assertions.keys_of(Path(self.assertion_keys)) if self.assertion_keys else None
        except assertions.KeysUnreadable as error:
            return f"apps.assertion_keys: {error}"
        return ""

    def assertions(self) -> Assertions:
        """By whose signature it is believed who is signed in in an app."""
        file = Path(self.assertion_keys) if self.assertion_keys else None
        return Assertions(file, self.assertion_audience)
