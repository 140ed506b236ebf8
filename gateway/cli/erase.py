"""`gateway erase`: what is forgotten of a person."""

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli import options
from gateway.ledger.entry import b64
from gateway.ledger.erasure import Order
from gateway.terms import Erasing


@click.command(
    help="Forget a person, of the identifiers that they proved control of. erase_details keeps the opt-out and its"
    " proof; unlink forgets that too; child_found denies everything for good first (gateway help erasure)."
)
@click.argument("mode", type=click.Choice([mode.value for mode in Erasing]))
@options.data
@options.config
@options.identifiers
@click.option(
    "--note", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What the desk wrote about it: its hash is kept, its text is not.",
)  # fmt: skip
def erase(mode: str, data: Path, file: Path | None, note: Path | None, **values: Any) -> None:
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        if named.ignored or not named.subjects:
            raise click.UsageError("name identifiers that can all be used; nothing was forgotten")
        digest = hashlib.sha256(note.read_bytes()).digest() if note else None
        order = Order(Erasing(mode), named.subjects, datetime.now(UTC), digest)
        written = asyncio.run(house.consent.erase(order))
    click.echo(f"done: {b64(written.event)}, entry {written.seq}; see who is still to be told: gateway deliveries")
