"""Settings of apps: which recipients' code runs inside them, and by whose signature their accounts and phones are
believed. Part of `gateway.settings`, which reads them.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import msgspec

from gateway import assertions
from gateway.assertions import Assertions


class Apps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sdks: tuple[str, ...]
    assertion_keys: str
    assertion_audience: str
    attestation: str
    strict_alarm: Annotated[float, msgspec.Meta(gt=0, le=1)]

    def wrong(self, recipients: Collection[str]) -> str:
        """What the shapes cannot say is wrong with it, or nothing."""
        strange = set(self.sdks) - set(recipients)
        if strange:
            return f"apps.sdks: {min(strange)} is no configured recipient"
        if bool(self.assertion_keys) != bool(self.assertion_audience):
            return "apps.assertion_keys, apps.assertion_audience: both or neither"
        if self.attestation and not self.assertion_audience:
            return "apps.attestation: wants assertion_audience and assertion_keys too"
        for name, path in (("assertion_keys", self.assertion_keys), ("attestation", self.attestation)):
            try:
                assertions.keys_of(Path(path)) if path else None
            except assertions.KeysUnreadable as error:
                return f"apps.{name}: {error}"
        return ""

    def assertions(self) -> Assertions:
        """By whose signature it is believed who is signed in in an app."""
        file = Path(self.assertion_keys) if self.assertion_keys else None
        return Assertions(file, self.assertion_audience)

    def attestations(self) -> Assertions:
        """By whose signature it is believed which ids a phone has."""
        return Assertions(Path(self.attestation) if self.attestation else None, self.assertion_audience)
