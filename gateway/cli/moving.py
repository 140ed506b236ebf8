"""`gateway copy`: an installation's ledger moved between its folder and a PostgreSQL, while its service runs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import options
from gateway.cli.progress import Progress
from gateway.postgres import address
from gateway.settings import load as settings_of

if TYPE_CHECKING:
    from gateway.ledger.moving.move import MoveReport


@click.command(
    help="Move an installation's ledger and its persons' keys from its folder into a PostgreSQL, or back, while its"
    " service runs. Everything is compared; writes pause for the last step alone, and then the old place is a ledger"
    " no more: restart the service. Killed, it goes on when it is run again (gateway help postgresql)."
)
@click.option("--from", "source", required=True, metavar="FOLDER|URL", help="Where the ledger is.")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="URL|FOLDER",
    help="Where it goes. One of the two is the installation's folder, the other postgresql://… without a password.",
)
@click.option(
    "--give-up", is_flag=True, help="Take away what there is of a copy that is not to be finished; the source goes on."
)
@options.config
def copy(source: str, target: str, *, give_up: bool, file: Path | None) -> None:
    address.prove_installed("gateway copy")
    from gateway.app.moving import InstallationMove  # noqa: PLC0415 - most installations have no psycopg

    move = InstallationMove(source, target, settings_of.load_settings(file, os.environ))
    if give_up:
        move.give_up()
        click.echo("what there was of the copy is gone; the ledger goes on where it is")
        return
    with Progress("copying") as progress:

        def tell(what: str, rows: int) -> None:
            if what != progress.what:
                progress.what, progress.count = what, 0
            progress.count = (progress.count or 0) + rows

        report = move.move_all(tell)
    for line in _words(report) if report else ("the ledger is there already; nothing was to be done",):
        click.echo(line)


def _words(report: "MoveReport") -> list[str]:
    lines = ["moved; restart the service, which goes on there (gateway help postgresql)"]
    if not report.paused:
        return ["what was left of an earlier run is done", *lines]
    speed = report.copied / report.copying if report.copying else 0.0
    copied = f"{report.copied} rows copied in {report.copying:.1f} s ({speed:.0f} a second)"
    compared = f"{report.compared} rows compared in {report.comparing:.1f} s"
    return [
        f"{copied}, indexes made in {report.indexing:.1f} s",
        f"{compared}, {report.changed} that were written meanwhile copied again",
        f"the last step copied {report.rest} rows; writes paused for {report.paused:.2f} s",
        *lines,
    ]
