"""Settings of apps: which recipients' code runs inside them, and by whose signature their accounts and phones are
believed. Part of `gateway.settings`, which reads them.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from gateway import assertions
from gateway.assertions import Assertions
from gateway.shapes import Label, LocalFile, PartOfOne, Stated, Wrong


class Apps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sdks: tuple[Label, ...]
    assertion_keys: LocalFile
    assertion_audience: Stated
    attestation: LocalFile
    strict_alarm: PartOfOne

    def wrong(self, recipients: Collection[str]) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        for number, name in enumerate(self.sdks):
            if name not in recipients:
                yield Wrong(("apps", "sdks", number), "is no configured recipient", f"one of {', '.join(recipients)}")
        if bool(self.assertion_keys) != bool(self.assertion_audience):
            option = "assertion_audience" if self.assertion_keys else "assertion_keys"
            yield Wrong(("apps", option), "is empty: assertion_keys and assertion_audience, both or neither", "both")
        if self.attestation and not self.assertion_audience:
            why = "wants assertion_audience and assertion_keys too"
            yield Wrong(("apps", "attestation"), why, "all three")
        for name, path in (("assertion_keys", self.assertion_keys), ("attestation", self.attestation)):
            try:
                assertions.keys_of(Path(path)) if path else None
            except assertions.KeysUnreadable as error:
                why = f"the file: {error}"
                yield Wrong(("apps", name), why, "the path of a JWKS file with public keys")

    def assertions(self) -> Assertions:
        """By whose signature it is believed who is signed in in an app."""
        file = Path(self.assertion_keys) if self.assertion_keys else None
        return Assertions(file, self.assertion_audience)

    def attestations(self) -> Assertions:
        """By whose signature it is believed which ids a phone has."""
        return Assertions(Path(self.attestation) if self.attestation else None, self.assertion_audience)
