"""`gateway migrate`, `copy`, `erase`, `backup`, `restore`, `verify` and `prune`: the folder itself, where its ledger
is, forgetting a person, copies of the ledger, whether it is what it says, and what retention no longer keeps.
"""

import asyncio
import hashlib
import sqlite3
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from gateway.app import composition, maintenance
from gateway.cli import options
from gateway.cli.progress import Progress
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger import folder_store, schema
from gateway.ledger.audit import clock_proof
from gateway.ledger.audit.verify import LastVerify, VerifyReport
from gateway.ledger.entry import b64
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.proof.note import Checkpoint
from gateway.ledger.tree import OLDER, UNSIGNED
from gateway.postgres import address
from gateway.terms import Erasing, Unusable

if TYPE_CHECKING:
    from gateway.ledger.moving.move import MoveReport


@click.command(
    help="Forget a person, of the identifiers that they proved control of. erase_details keeps the opt-out and its"
    " proof; unlink forgets that too; child_found denies everything for good first (gateway help erasure)."
)
@click.argument("mode", type=click.Choice([mode.value for mode in Erasing]))
@options.installation
@options.identifiers
@options.came
@click.option("--note", type=options.FILE, help="What the desk wrote about it: its hash is kept, its text is not.")
def erase(mode: str, data: Path, file: Path | None, note: Path | None, **values: Any) -> None:
    came = options.how_it_came(values)
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        if named.ignored or not named.subjects:
            raise click.UsageError("name identifiers that can all be used; nothing was forgotten")
        digest = hashlib.sha256(note.read_bytes()).digest() if note else None
        order = ErasureOrder(Erasing(mode), named.subjects, datetime.now(UTC), digest, came)
        written = asyncio.run(house.consent.erase(order))
        gone_by = asyncio.run(house.consent.forgotten_by())
    click.echo(f"done: {b64(written.event)}, entry {written.seq}")
    click.echo("see who is still to be told, and to delete: gateway deliveries, gateway systems list")
    click.echo(f"what files and backups may still hold of it opens until {gone_by:%Y-%m-%d} (UTC) at the latest")


@click.command(
    help="Make the installation's folder, or bring an older one up to date. With --back-to: with the service stopped,"
    " take it back to what an older release opens, with every opt-out made since (gateway help upgrade)."
)
@options.installation
@click.option(
    "--origin",
    default="",
    help="The log's name for ever, without a scheme: consent.example.com/log/2026. Outside production the name of the"
    " [environment] is put behind it.",
)
@click.option(
    "--back-to", "to", type=int, help="The ledger's version that the older release knows: it names it when it refuses."
)
@click.option(
    "--take-over",
    "takes_over",
    is_flag=True,
    help="Go on here with a ledger in a PostgreSQL that other machines wrote, which then answer nobody any more.",
)
@click.option(
    "--join", "joins", is_flag=True, help="Write and answer here too, on a ledger in a PostgreSQL where others do."
)
def migrate(data: Path, file: Path | None, origin: str, to: int | None, takes_over: bool, joins: bool) -> None:
    if to is not None:
        click.echo(f"{data}: ledger version {maintenance.take_back(data, to)}")
        return
    settings = options.stated_settings(file)
    if takes_over:
        maintenance.take_over(data, settings)
    elif joins:
        maintenance.join(data, settings)
    origin, stands = settings.environment.log_name(origin), settings.store
    made = composition.migrate(data, origin, stands.url, stands.owner, composition.store_of(data, settings))
    click.echo(f"{data}: ledger version {made}")


@click.command(
    help="Copy the ledger into the new folder DEST, while the service runs. The persons' keys and the secrets go to"
    " places of their own: whoever has two of the three can read what one of them keeps closed."
)
@click.argument("dest", type=options.PATH, required=False)
@options.installation
@click.option("--keys", "keys_dest", type=options.PATH, help="Folder for a dated copy of the persons' keys.")
@click.option(
    "--secrets",
    "secrets_dest",
    type=options.PATH,
    help="Folder for secrets.json, and for epochs.json: of that the newest alone, unless the copy there holds keys that"
    " the folder lost.",
)
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
        click.echo(f"{maintenance.back_up_keys(data, keys_dest)}: the persons' keys, wrapped")
    if secrets_dest:
        click.echo(f"{maintenance.back_up_secrets(data, secrets_dest)}: the secrets")
    _warn_of_epochs(data, keys_dest)
    if dest:
        with Progress("copying the ledger, and reading the copy"):
            copied = maintenance.back_up(data, dest)
        click.echo(f"{dest}: the ledger\n{_told(copied)}")
    if prune and keys_dest:
        days = options.stated_settings(file).retention.keys_backup_days
        for gone in maintenance.prune_ledger_of(keys_dest, days):
            click.echo(f"{gone}: deleted, older than {days} days")


@click.command(
    help="Put the ledger of BACKUP in place, with the service stopped; the one that was there is laid aside. With"
    " --new-log: go on from what is there as a new log, when the newer one is lost for good (gateway help restore)."
)
@click.argument("backup", type=options.FOLDER, required=False)
@options.installation
@click.option(
    "--keys",
    "vault",
    type=options.FILE,
    help="A copy of the persons' keys (vault-DATE.sqlite3), for a folder that has none.",
)
@click.option("--secrets", type=options.FOLDER, help="Folder with secrets.json, for a folder that has none.")
@click.option("--new-log", is_flag=True)
def restore(
    backup: Path | None, data: Path, file: Path | None, vault: Path | None, secrets: Path | None, new_log: bool
) -> None:
    if not (backup or new_log):
        raise click.UsageError("name BACKUP, or --new-log")
    settings = options.stated_settings(file)
    if backup:
        with Progress("putting back, and reading all of it"):
            done = maintenance.put_back(data, settings, backup, vault, secrets)
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
    with Progress("looking through the ledger"):
        begun = maintenance.go_on(data, settings)
    click.echo(f"{data}: goes on as {begun.origin} from {begun.size} entries")
    if begun.last is None:
        click.echo("what was signed last is not known: its store is lost", err=True)
    else:
        missing = max(0, begun.last.size - begun.size)
        click.echo(f"the old log was signed at {begun.last.size} entries; {missing} are lost", err=True)


def _warn_of_epochs(data: Path, keys: Path | None) -> None:
    if keys and not maintenance.epochs_are_copied(data):
        click.echo(
            "what wraps the persons' keys this week is not backed up, and without it they open nothing: gateway backup"
            " --secrets FOLDER, with each copy of the keys",
            err=True,
        )


def _refuse_together(data: Path, places: Sequence[Path]) -> None:
    """Whoever reads two of the three reads what one keeps closed; and what lies in the folder is lost with it."""
    whole = [place.resolve() for place in places]
    if len(set(whole)) < len(whole):
        raise click.UsageError("the ledger, the persons' keys and the secrets go to places of their own")
    if any(data.resolve() in (place, *place.parents) for place in whole):
        raise click.UsageError(f"a copy in {data} is lost with it; name another place")


def _told(checkpoint: Checkpoint) -> str:
    return f"checkpoint of {checkpoint.size} entries:\n{checkpoint.text()}"


SHOWN = 20  # differences in words; --json has them all
PUT_BACK = (
    "expected right after a restore, as in a drill: every entry is as it was, but what was signed last is not here;"
    " after `gateway restore --new-log` it passes (gateway help backup)"
)


@click.command(
    help="Read the whole ledger: the tree made again from the bytes of every entry, and what checks of this host are"
    " answered from compared with what the entries fold to. Exit code 0: all is as it should be; 1: something differs."
    " `gateway help verify` says what that proves."
)
@options.installation
@click.option("--vault", "boxes", is_flag=True, help="Open the sealed boxes of every entry too.")
@click.option(
    "--keep", is_flag=True, help="Keep the result in the folder, for the alarm of whoever has this run nightly."
)
@options.as_json
def verify(data: Path, file: Path | None, boxes: bool, keep: bool, as_json: bool) -> None:
    settings = options.stated_settings(file)
    try:
        with Progress("reading the whole ledger"):
            report, keys = composition.verify_ledger(data, settings, boxes=boxes)
    except (Unusable, sqlite3.Error) as error:  # what cannot be read to its end did not pass
        if keep and store_in(data).exists():
            LastVerify(datetime.now(UTC), passed=False).keep(data)
        if isinstance(error, sqlite3.Error):
            raise LedgerRefused(schema.damaged(store_in(data).name, error)) from error
        raise
    click.echo(_json(report, keys) if as_json else "\n".join(_words(report, keys)))
    if keep:
        LastVerify(datetime.now(UTC), report.passed).keep(data)
    if said := folder_store.role_warning(store_in(data)):
        click.echo(f"beside that: {said}", err=True)
    sys.exit(0 if report.passed else 1)


def _json(report: VerifyReport, keys: tuple[str, ...]) -> str:
    last = report.checkpoint
    signed = {"origin": last.origin, "size": last.size, "root": last.root.hex()} if last else None
    body = {
        "passed": report.passed,
        "entries": report.entries,
        "pruned": report.pruned,
        "checkpoint": signed,
        "keys": keys,
        "state": {"compared": report.compared, "why": report.uncompared},
        "boxes": report.opened,
        "different": report.different,
    }
    return orjson.dumps(body).decode()


def _words(report: VerifyReport, keys: tuple[str, ...]) -> list[str]:
    last = report.checkpoint
    pruned = f", the first {report.pruned} of them by their hashes" if report.pruned else ""
    lines = [f"{report.entries} entries{pruned}"]
    lines.append(f"last checkpoint: {last.size} entries of {last.origin}" if last else "there is no last checkpoint")
    lines += [f"signed by: {key}" for key in keys]
    if report.compared is None:
        lines.append(f"state of this host: {report.uncompared}")
    else:
        lines.append(f"state of this host: {report.compared} rows and edges compared with what the log folds to")
    if report.opened is not None:
        lines.append(f"boxes opened: {report.opened}")
    lines += [f"DIFFERENT: {text}" for text in report.different[:SHOWN]]
    if len(report.different) > SHOWN:
        lines.append(f"and {len(report.different) - SHOWN} more (--json)")
    if len(report.different) == 1 and (report.different[0] == UNSIGNED or report.different[0].endswith(OLDER)):
        lines.append(PUT_BACK)
    return [*lines, "passed" if report.passed else "NOT PASSED"]


@click.command(
    help="Take away what [retention] no longer keeps: details, then bodies of entries. What a standing rests on is"
    " restated first; hashes stay, old receipts still verify, and the ledger verifies before and after."
)
@options.installation
@click.option("--dry-run", is_flag=True, help="Only tell what that would be.")
def prune(data: Path, file: Path | None, dry_run: bool) -> None:
    settings = options.stated_settings(file)
    clock_proof.prove_not_ahead(data, composition.now)
    with Progress("reading the whole ledger, before and after"):
        plan, verb = composition.prune_ledger(data, settings, dry_run=dry_run), "would go" if dry_run else "went"
    click.echo(f"{plan.bodies} bodies below entry {plan.below} {verb}, {len(plan.needed)} of them restated")
    click.echo(f"details of {plan.details} entries {verb}")


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

    move = InstallationMove(source, target, options.stated_settings(file))
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
    for line in _moved_words(report) if report else ("the ledger is there already; nothing was to be done",):
        click.echo(line)


def _moved_words(report: "MoveReport") -> list[str]:
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
