"""`gateway config`: reading a configuration without starting anything."""

import os
from pathlib import Path

import click

from gateway import settings as settings_of
from gateway.app import law_table, now, prove
from gateway.in_force import in_force

NO_PLACE = (  # R13: the strictest regime; whoever mounts the gateway wonders why no page may show an ad
    "  visitors: without [places] database their place is unknown, unless the site's code tells it: nothing may be done"
    " for them on pages until they allow it"
)


@click.group(help="The configuration.")
def config() -> None:
    pass


@config.command(help="Read a file (over the shipped one, under the environment) and say what is wrong, or what holds.")
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check(file: Path | None) -> None:
    settings = settings_of.load(file, os.environ)
    law_table()
    prove(settings, now().date())
    in_force(settings)
    click.echo("the configuration can be used")
    for name, recipient in settings.registry().items():
        what = recipient.contract or ("needs none" if recipient.role == "legal" else "NO CONTRACT: nothing goes")
        click.echo(f"  {name}: {recipient.role}, {', '.join(recipient.purposes)}; contract: {what}")
    if not settings.places.database:
        click.echo(NO_PLACE)


@config.command(help="Print the shipped configuration, every option with its default.")
def show() -> None:
    click.echo(settings_of.shipped(), nl=False)
