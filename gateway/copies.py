"""What checks read beside the ledger's own table, as it is configured: the mirror of this host, leases of replicas."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.leases import Leases, Terms
from gateway.ledger.mirrored import Mirrored
from gateway.ledger.store import Store
from gateway.ledger.table import StandingTable
from gateway.ledger.watch import FileWatch, boot_seconds
from gateway.ledger.writer import Writer
from gateway.mirror.answers import MirrorLookup
from gateway.mirror.lookup import Lookup
from gateway.settings import Settings


def mirrored(folder: Path, settings: Settings) -> contextlib.closing[Mirrored]:
    size = settings.mirror.map_mib * 2**20
    return contextlib.closing(Mirrored(folder, enabled=settings.mirror.enabled, size=size))


def leases(store: Store, settings: Settings) -> contextlib.closing[Leases]:
    terms = Terms(settings.replicas.term_ms / 1000, settings.replicas.leases)
    return contextlib.closing(Leases(store, terms, boot_seconds))


def looked_up(
    table: StandingTable, mirrored: Mirrored, watch: FileWatch, writer: Writer, clock: Callable[[], datetime]
) -> Lookup:
    """What checks read: the mirror where it is on, which the writer's first batch has made; else the table."""
    if not mirrored.enabled:
        return table
    with contextlib.suppress(StoreUnavailable):
        writer.submit(lambda _: None).result()
    return MirrorLookup(mirrored, watch.fresh, clock, watch.peppers, beside=table)
