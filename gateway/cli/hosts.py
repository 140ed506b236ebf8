"""`gateway hosts`: whom the site's pages talk to, beside the recipients that are registered."""

import os
from pathlib import Path

import click
import orjson

from gateway import hosts as seen
from gateway import keys
from gateway import settings as settings_of
from gateway.cli import options


@click.command(
    help="List the hosts that pages were seen to talk to, with the first and the last day, and which recipient each is"
    " registered as. With [site] inventory on, the page's script tells them (gateway help script)."
)
@options.data
@options.config
@options.as_json
def hosts(data: Path, file: Path | None, as_json: bool) -> None:
    settings = settings_of.load(file, os.environ)
    keys.load(data)  # refuses a folder that is none of a gateway's: "none was seen" would not be true of it
    recipients = {name: (str(item.role), item.hosts) for name, item in settings.recipients.items()}
    rows = [(each.host, each.first, each.last, seen.registered(each.host, recipients)) for each in seen.read(data)]
    if as_json:
        named = [dict(zip(("host", "first", "last", "registered"), row, strict=True)) for row in rows]
        click.echo(orjson.dumps(named).decode())
        return
    width = max((len(host) for host, *_ in rows), default=4)
    for host, first, last, what in [("host", "first seen", "last seen", "registered as"), *rows]:
        click.echo(f"{host:{width}}  {first!s:10}  {last!s:10}  {what}")
    if not rows:
        click.echo("none was seen" if settings.site.inventory else "none was seen: [site] inventory is off")
