"""`gateway choose`, `gateway link`: writing from the desk."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.choice.identity import phone_number
from gateway.choice.law import PLACE, country_of
from gateway.cli import options
from gateway.ledger.links import Span
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.terms import ALL_PURPOSES, CHOOSABLE, ChoiceKind, Manner, Purpose, Source

ADDED = {
    "email": Source.EMAIL,
    "phone": Source.PHONE,
    "letter": Source.LETTER,
    "agent": Source.AGENT,
    "sms": Source.SMS,
}


@click.command(help="Enter a choice that came by e-mail, phone or letter: opt_out or limit.")
@click.argument("choice", type=click.Choice([ChoiceKind.OPT_OUT.value, ChoiceKind.LIMIT.value]))
@options.data
@options.config
@options.identifiers
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    type=click.Choice([purpose.value for purpose in CHOOSABLE]),
    help="Default: all.",
)
@click.option("--manner", type=click.Choice([manner.value for manner in Manner]), help="How it came.")
@click.option("--received", type=options.MOMENT, help="The day it came (UTC).")
@click.option("--place", default="", help="US-CA, DE.")
@click.option("--tie", is_flag=True, help="Link what is listed to the account that is listed.")
def choose(
    choice: str, data: Path, file: Path | None, purposes: tuple[str, ...], manner: str | None,
    received: datetime | None, place: str, tie: bool, **values: Any,
) -> None:  # fmt: skip
    at = datetime.now(UTC)
    came = received.replace(tzinfo=UTC) if received else None
    if came and came > at:
        raise click.UsageError("--received lies in the future")
    if place and not PLACE.fullmatch(place):
        raise click.UsageError("--place is an ISO 3166 code: US-CA, DE")
    kind = ChoiceKind(choice)
    named_purposes = tuple(map(Purpose, purposes)) or _default(kind)
    source = ADDED.get(manner or "", Source.API)
    said = Choice(kind, named_purposes, source, at, place, manner=manner or "", received=came)
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values), country_of(place)).for_a_no()
        if not named.subjects:
            raise click.UsageError("name at least one usable identifier")
        chosen = asyncio.run(house.consent.choose(named.subjects, said, tie=tie))
    for event in chosen.events:
        click.echo(f"kept as {event['event']}, entry {event['seq']}")
    click.echo("\n".join(f"  {name}: {word}" for name, word in chosen.standing.items()))
    for subject in named.subjects:
        if subject.further:
            click.echo(f"a number without its country code, read as {readings(subject)}")
    options.all_used(named)


def _default(kind: ChoiceKind) -> tuple[Purpose, ...]:
    return (Purpose.SENSITIVE,) if kind is ChoiceKind.LIMIT else ALL_PURPOSES


@click.command(help="Tell which identifiers an account has. --account names it, the others are linked.")
@options.data
@options.config
@options.identifiers
@click.option("--released", is_flag=True, help="The identifiers go back to the pool: their links end now.")
def link(data: Path, file: Path | None, released: bool, **values: Any) -> None:
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        accounts = [subject for subject in named.subjects if subject.is_account]
        others = [subject for subject in named.subjects if not subject.is_account]
        if len(accounts) != 1 and not released:
            raise click.UsageError("name one --account")
        account = accounts[0] if accounts else house.consent.people.account("")
        span = Span(milliseconds(datetime.now(UTC)))
        changed = asyncio.run(house.consent.link(account, others, span, released=released))
    click.echo(f"{changed} links changed")
    options.all_used(named)


def readings(subject: Subject) -> str:
    """A number by the countries that it may be of, and its last digits."""
    shown = [phone_number.shown(each.value) for each in (subject, *subject.further)]
    return " and ".join(f"one of {country} that ends in {digits}" for country, digits in shown)
