"""Settings of the ledger, of who watches over it, and of the copies that checks read beside its table. Part of
`gateway.settings`, which reads them.
"""

from typing import Annotated

import msgspec

from gateway.shapes import LocalFolder, Text, Url


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Ledger(Strict, frozen=True):
    checkpoint_store: LocalFolder
    emergency_mib: Annotated[int, msgspec.Meta(ge=1, le=2**20)]
    witness_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)]
    public_entries: bool


class Witness(Strict, frozen=True):
    url: Url
    key: Text


class Retention(Strict, frozen=True):
    bodies_months: Annotated[
        int, msgspec.Meta(ge=24, le=1200)
    ]  # 11 CCR 7101: records of requests are kept 24 months at least
    details_months: Annotated[int, msgspec.Meta(ge=24, le=1200)]
    keys_backup_days: Annotated[int, msgspec.Meta(ge=1, le=366)]

    def policy(self) -> str:
        """The text that is logged when something is pruned."""
        return (
            f"Bodies of entries: {self.bodies_months} months, longer where a standing rests on them. Details of"
            f" choices: {self.details_months} months. Hashes of entries: for ever. Backups of keys:"
            f" {self.keys_backup_days} days.\n"
        )


class Mirror(Strict, frozen=True):
    enabled: bool
    map_mib: Annotated[int, msgspec.Meta(ge=1, le=2**20)]


class Replicas(Strict, frozen=True):
    leases: bool
    term_ms: Annotated[int, msgspec.Meta(ge=100, le=2000)]
    spool_mib: Annotated[int, msgspec.Meta(ge=1, le=2**20)]
    hand_over_seconds: Annotated[int, msgspec.Meta(ge=1, le=60)]
