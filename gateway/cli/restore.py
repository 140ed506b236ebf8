"""`gateway backup` and `gateway restore`."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from gateway import restoring
from gateway import settings as settings_of
from gateway.cli import options
from gateway.ledger.checkpoint import Checkpoint

PLACE = click.Path(path_type=Path)
THERE = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command(
    help="Copy the ledger into the new folder DEST, while the service runs. The persons' keys and the secrets go to"
    " places of their own: whoever has two of the three can read what one of them keeps closed."
)
@click.argument("dest", type=PLACE, required=False)
@options.data
@options.config
@click.option("--keys", "keys_dest", type=PLACE, help="Folder for a dated copy of the persons' keys.")
@click.option("--secrets", "secrets_dest", type=PLACE, help="Folder for secrets.json.")
@click.option("--prune", is_flag=True, help="With --keys: delete copies older than [retention] keys_backup_days.")
def backup(
    dest: Path | None, data: Path, file: Path | None, keys_dest: Path | None, secrets_dest: Path | None, prune: bool
) -> None:
    if not (dest or keys_dest or secrets_dest):
        raise click.UsageError("name DEST, --keys or --secrets")
    if prune and not keys_dest:
        raise click.UsageError("--prune is of the copies in --keys")
    _refuse_together(data, [each for each in (dest, keys_dest, secrets_dest) if each])
    if keys_dest:  # first: a key without an entry is harmless, an entry without its key cannot be opened
        click.echo(f"{restoring.back_up_keys(data, keys_dest)}: the persons' keys, wrapped")
    if secrets_dest:
        click.echo(f"{restoring.back_up_secrets(data, secrets_dest)}: the secrets")
    if dest:
        click.echo(f"{dest}: the ledger\n{_told(restoring.back_up(data, dest))}")
    if prune and keys_dest:
        days = settings_of.load(file, os.environ).retention.keys_backup_days
        for gone in restoring.prune(keys_dest, days):
            click.echo(f"{gone}: deleted, older than {days} days")


@click.command(
    help="Put the ledger of BACKUP in place, with the service stopped; the one that was there is laid aside. With"
    " --new-log: go on from what is there as a new log, when the newer one is lost for good (gateway help restore)."
)
@click.argument("backup", type=THERE, required=False)
@options.data
@options.config
@click.option(
    "--keys", "vault", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A copy of the persons' keys (vault-DATE.sqlite3), for a folder that has none.",
)  # fmt: skip
@click.option("--secrets", type=THERE, help="Folder with secrets.json, for a folder that has none.")
@click.option("--new-log", is_flag=True)
def restore(
    backup: Path | None, data: Path, file: Path | None, vault: Path | None, secrets: Path | None, new_log: bool
) -> None:
    if not (backup or new_log):
        raise click.UsageError("name BACKUP, or --new-log")
    settings = settings_of.load(file, os.environ)
    if backup:
        done = restoring.put_back(data, settings, backup, vault, secrets)
        click.echo(f"{data}: put back\n{_told(done.checkpoint)}")
        if done.aside:
            click.echo(f"{done.aside}: what was there before")
        if not done.keys:
            click.echo("the persons' keys are not there: no detail can be opened (--keys); opt-outs hold", err=True)
        if done.why and not new_log:
            click.echo(f"nothing is signed on it yet: {done.why}", err=True)
            return
        if not done.why:
            return
    begun = restoring.go_on(data, settings)
    click.echo(f"{data}: goes on as {begun.origin} from {begun.size} entries")
    if begun.last is None:
        click.echo("what was signed last is not known: its store is lost", err=True)
    else:
        missing = max(0, begun.last.size - begun.size)
        click.echo(f"the old log was signed at {begun.last.size} entries; {missing} are lost", err=True)


def _refuse_together(data: Path, places: Sequence[Path]) -> None:
    """Whoever reads two of the three reads what one keeps closed; and what lies in the folder is lost with it."""
    whole = [place.resolve() for place in places]
    if len(set(whole)) < len(whole):
        raise click.UsageError("the ledger, the persons' keys and the secrets go to places of their own")
    if any(data.resolve() in (place, *place.parents) for place in whole):
        raise click.UsageError(f"a copy in {data} is lost with it; name another place")


def _told(checkpoint: Checkpoint) -> str:
    return f"checkpoint of {checkpoint.size} entries:\n{checkpoint.text()}"
