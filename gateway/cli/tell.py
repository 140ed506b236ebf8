"""`gateway choose`, `gateway link`, `gateway import`: writing from the desk."""

import asyncio
import csv
import hashlib
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from phonenumbers import SUPPORTED_REGIONS

from gateway.app import House
from gateway.choice.identity import phone_number
from gateway.choice.law import PLACE, country_of
from gateway.cli import options
from gateway.ledger.links import Span
from gateway.ledger.records import Choice, Subject, milliseconds
from gateway.terms import ALL_PURPOSES, CHOOSABLE, ChoiceKind, Manner, Purpose, Source

BATCH = 500  # lines of an import between two progress steps
Imported = tuple[int, list[tuple[int, str]], list[tuple[int, str]]]  # lines taken, not readable, of several countries
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
            click.echo(f"a number without its country code, read as {_readings(subject)}")
    if named.ignored:
        click.echo(f"not usable: {len(named.ignored)} of the identifiers", err=True)
        sys.exit(1)


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


@click.command(
    "import",
    help="Take in existing opt-outs from a CSV with a header: type,value[,purposes,made_at,place,country]."
    " Purposes are separated by spaces; empty means all. Numbers without a country code are read in the line's country,"
    " else in that of its place, else in --country, and in each of [phone] countries where they are valid; lines that"
    " may be numbers of several are listed. Running it again changes nothing.",
)
@click.argument("csv_file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.data
@options.config
@click.option("--country", default="", help="Of numbers without a country code: US, MX. Default: [phone] country.")
def import_(csv_file: Path, data: Path, file: Path | None, country: str) -> None:
    if country and country.upper() not in SUPPORTED_REGIONS:
        raise click.UsageError("--country is an ISO 3166-1 code with numbers of its own: US, MX")
    with options.house(data, file) as house, csv_file.open(newline="", encoding="utf-8-sig") as opened:
        reader = csv.DictReader(opened)
        try:
            if not {"type", "value"} <= set(reader.fieldnames or ()):
                raise click.UsageError("the header has at least type,value")
            taken, bad, several = asyncio.run(_import(house, enumerate(reader, 2), country))
        except (UnicodeDecodeError, csv.Error) as error:
            raise click.UsageError(f"{csv_file} is not CSV in UTF-8: {error}; run it again once it is") from None
    click.echo(f"{taken} lines hold, {len(bad)} could not be read")
    for number, why in bad[:20]:
        click.echo(f"  line {number}: {why}", err=True)
    for number, read in several:
        click.echo(f"  line {number}: a number without its country code, read as {read}", err=True)
    sys.exit(1 if bad else 0)


def _readings(subject: Subject) -> str:
    """A number by the countries that it may be of, and its last digits."""
    shown = [phone_number.shown(each.value) for each in (subject, *subject.further)]
    return " and ".join(f"one of {country} that ends in {digits}" for country, digits in shown)


async def _import(house: House, lines: Iterator[tuple[int, Mapping[str, str]]], country: str) -> Imported:
    """A line's Idempotency-Key is its content, so that the same file twice is one import."""
    taken, bad, several = 0, list[tuple[int, str]](), list[tuple[int, str]]()
    waiting: list[Any] = []
    for number, line in lines:
        stated = (line.get("country") or "").strip() or country_of((line.get("place") or "").strip().upper()) or country
        listed = [{"type": (line["type"] or "").strip(), "value": line["value"]}]
        named = house.consent.people.name(listed, stated).for_a_no()
        if not named.subjects:
            bad.append((number, named.ignored[0][1] if named.ignored else "empty"))
            continue
        several += [(number, _readings(subject)) for subject in named.subjects if subject.further]
        content = repr(sorted((k, v) for k, v in line.items() if k)).encode() + country.encode()
        key = "import:" + hashlib.sha256(content).hexdigest()
        waiting.append(house.consent.choose(named.subjects, _imported(line), key=key, body=content))
        taken += 1
        if len(waiting) >= BATCH:
            await asyncio.gather(*waiting)
            waiting = []
            click.echo(f"\r{taken}", nl=False, err=True)
    await asyncio.gather(*waiting)
    click.echo(f"\r{taken}", err=True)
    return taken, bad, several


def _imported(line: Mapping[str, str]) -> Choice:
    stated = (line.get("purposes") or "").split()
    purposes = tuple(Purpose(item) for item in stated if item in CHOOSABLE) or ALL_PURPOSES
    place = (line.get("place") or "").strip().upper()
    details = {"made_at": line["made_at"]} if line.get("made_at") else {}
    return Choice(
        ChoiceKind.OPT_OUT, purposes, Source.IMPORT, datetime.now(UTC), place if PLACE.fullmatch(place) else "",
        details=details,
    )  # fmt: skip
