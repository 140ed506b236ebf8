"""`gateway erase` and `gateway deliveries`: what is forgotten of a person, and what recipients are to be told."""

import asyncio
import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli import options
from gateway.ledger.entry import b64
from gateway.ledger.erasure import Order
from gateway.ledger.outbox import Message
from gateway.ledger.records import moment
from gateway.telling import name_of
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


@click.command(
    help="List what recipients are still to be told. --take NAME prints the messages of one, a line each, and marks"
    " them as taken; --secret NAME prints what a recipient checks signatures with."
)
@options.data
@options.config
@click.option("--take", "recipient", help="Print and mark one recipient's messages.")
@click.option("--secret", "signs_for", help="Print one recipient's secret.")
def deliveries(data: Path, file: Path | None, recipient: str | None, signs_for: str | None) -> None:
    with options.house(data, file) as house:
        if signs_for:
            click.echo(house.telling.secret(signs_for))
        elif recipient:
            asyncio.run(house.telling.take(recipient, _hand))
        else:
            for each in asyncio.run(house.telling.waiting()):
                click.echo(f"{each.recipient}  {each.count}  oldest {moment(each.oldest):%Y-%m-%d %H:%M}")


def _hand(message: Message) -> None:
    """Written out before it is marked: rather twice than never."""
    click.echo(f"{name_of(message)} {(message.body or b'(its key is gone)').decode()}")
    sys.stdout.flush()
