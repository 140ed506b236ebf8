"""`gateway unsubscribe-link`: a link that ends marketing, for a sender of e-mail that is a script."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from gateway import keys as secrets_of
from gateway import settings as settings_of
from gateway.cli import options
from gateway.people import People
from gateway.terms import Purpose
from gateway.web import unsubscribe_link


@click.command(
    "unsubscribe-link",
    help="Print a link that ends marketing for whoever is named, and the header fields of RFC 8058 for the message.",
)
@options.data
@options.config
@options.identifiers
@click.option(
    "--purpose", default=Purpose.MARKETING_EMAIL.value, show_default=True, help="The channel that ends.",
    type=click.Choice([channel.value for channel in unsubscribe_link.CHANNELS]),
)  # fmt: skip
@options.as_json
def unsubscribe(data: Path, file: Path | None, purpose: str, as_json: bool, **values: Any) -> None:
    settings, secrets = settings_of.load(file, os.environ), secrets_of.load(data)
    if not settings.site.url:
        raise click.UsageError("[site] url is not configured: where would the link lead?")
    people = People(
        secrets,
        lambda: datetime.now(UTC),
        settings.identifiers.declared,
        settings.phone.country,
        settings.phone.countries,
    )
    named = people.name(options.listed(values))
    try:
        link = unsubscribe_link.of(Purpose(purpose), named.subjects)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if named.ignored:
        raise click.UsageError("an identifier cannot be read")
    made = unsubscribe_link.answer(settings.site.url, unsubscribe_link.seal(secrets.seals, link))
    lines = [made["url"], *(f"{name}: {value}" for name, value in made["headers"].items())]
    click.echo(orjson.dumps(made).decode() if as_json else "\n".join(lines))
