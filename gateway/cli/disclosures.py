"""`gateway disclosures`: who got what."""

import asyncio
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.app.composition import House
from gateway.cli import options
from gateway.desk.access import Received
from gateway.records import who_got_what as sums
from gateway.terms import DataClass

QUESTIONS = ("received", "direct_marketing", "network_information", "sent_after_opt_out")
YEAR = timedelta(days=366)  # the longest


@click.command(
    help="Answer who got what."
    " received: who got data of one person (name them; you have looked at who asks). direct_marketing: categories"
    " and recipients of a calendar year (Cal. Civ. Code 1798.83). network_information: the year's log (47 CFR 64.2009)."
    " sent_after_opt_out: must be empty; exit code 1 where it is not."
)
@click.argument("question", type=click.Choice(QUESTIONS))
@options.data
@options.config
@options.identifiers
@click.option(
    "--class",
    "classes",
    multiple=True,
    type=click.Choice([name.value for name in DataClass]),
    metavar="CLASS",
    help="Of received: only these data classes.",
)
@click.option("--year", type=click.IntRange(2018, 9997), help="Of direct_marketing; without it last year.")
@click.option("--from", "since", type=options.DAY, help="Of network_information; without it a year ago.")
@options.as_json
def disclosures(
    question: str,
    data: Path,
    file: Path | None,
    classes: tuple[str, ...],
    year: int | None,
    since: datetime | None,
    as_json: bool,
    **values: Any,
) -> None:
    identifiers, today = options.listed(values), datetime.now(UTC).date()
    if question != "received" and (identifiers or classes):
        raise click.UsageError(f"{question} is of everybody: only `received` is of a person or of data classes")
    with options.house(data, file) as house:
        found = _found(
            house,
            data,
            question,
            identifiers,
            classes,
            year or today.year - 1,
            since.date() if since else today - YEAR,
            today,
        )
    if as_json:
        click.echo(orjson.dumps(found))
    else:
        click.echo("\n".join(map(_line, found)) or "none")
    sys.exit(1 if found and question == "sent_after_opt_out" else 0)


def _found(
    house: House,
    data: Path,
    question: str,
    identifiers: list[dict[str, object]],
    classes: tuple[str, ...],
    year: int,
    since: date,
    today: date,
) -> list[dict[str, Any]]:
    if question == "direct_marketing":
        return sums.direct_marketing(data, year, house.consent.recipients)
    if question == "network_information":
        return sums.network_information(data, since, today + timedelta(days=1))
    if question == "sent_after_opt_out":
        return sums.after_an_opt_out(data)
    named = house.consent.people.name(identifiers)
    if not named.subjects:
        raise click.UsageError("name whom it is about")
    report = asyncio.run(house.consent.access(named.subjects))
    return [_received(each) for each in report.received if not classes or not set(classes).isdisjoint(each.classes)]


def _received(each: Received) -> dict[str, Any]:
    return {
        "recipient": each.recipient,
        "day": each.first.date().isoformat(),
        "purposes": each.purposes,
        "data": each.classes,
        "outcome": each.outcome,
        "count": each.count,
    }


def _line(found: dict[str, Any]) -> str:
    words = {name: ",".join(value) if isinstance(value, list | tuple) else value for name, value in found.items()}
    return "  ".join(f"{name} {value}" for name, value in words.items() if value is not None)
