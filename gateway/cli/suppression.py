"""`gateway suppression`: the file of people whom a recipient must not sell, share or target any more."""

import os
from pathlib import Path

import click

from gateway import settings as settings_of
from gateway.cli import options
from gateway.exports import suppression_file
from gateway.ledger import suppressed
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES
from gateway.wal import write_durably


@click.command(
    help="Write the digests of those who opted out, of the people that RECIPIENT got from us and of nobody else, in the"
    " recipient's own digest ([recipients.X] digest). --since POSITION: only what may have changed since an earlier"
    " file, whose position was printed with it (gateway help delivery)."
)
@click.argument("recipient")
@options.data
@options.config
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--format", "form", type=click.Choice(["csv", "uid2"]), default="csv", show_default=True)
@click.option("--since", type=click.IntRange(min=0), default=0, help="An earlier file's position.")
def suppression(recipient: str, data: Path, file: Path | None, out: Path, form: str, since: int) -> None:
    configured = settings_of.load(file, os.environ)
    with options.house(data, file) as house:
        known = house.consent.recipients.get(recipient)
        if known is None:
            raise click.UsageError(f"no recipient {recipient!r} is configured")
        algorithm = configured.recipients[recipient].digest
        if form == "uid2" and algorithm != "sha256":
            raise click.UsageError("a uid2 file holds sha256 digests")
        purposes = {*SIGNAL_PURPOSES, *known.purposes} & set(CHOOSABLE)
        found = house.writer.submit(
            lambda tx: suppressed.of(tx, recipient, algorithm, purposes, since)
        ).result()  # fmt: skip
        if since > found.position:  # of another log, or of one that was lost: "none" would be taken for nobody
            raise click.UsageError(f"the log has {found.position} entries; take a whole file, without --since")
        end = int(house.consent.clock().timestamp())
    content = suppression_file.as_csv(found.listed) if form == "csv" else suppression_file.as_uid2(found.listed, 0, end)
    write_durably(out, content)
    written = len(found.listed) if form == "csv" else suppression_file.of_uid2(found.listed)
    click.echo(f"{written} digests; the next file: --since {found.position}")
    if written < len(found.listed):
        click.echo(f"{len(found.listed) - written} more are of kinds that {form} has no place for", err=True)
    if found.unnamed:
        click.echo(f"{found.unnamed} more have no {algorithm} digest that {recipient} could know", err=True)
