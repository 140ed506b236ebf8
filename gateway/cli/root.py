"""The group, the options that every command has, and the errors that carry their own cure."""

import io
import os
import sys
from collections.abc import Sequence
from importlib import resources

import click

from gateway import __version__
from gateway.cli.access import access
from gateway.cli.ask import check, history
from gateway.cli.config import config
from gateway.cli.deliveries import deliveries
from gateway.cli.disclosures import disclosures
from gateway.cli.erase import erase
from gateway.cli.explain import explain
from gateway.cli.hosts import hosts
from gateway.cli.keys import keys, rekey
from gateway.cli.law import law
from gateway.cli.marketing import unsubscribe
from gateway.cli.officer import appeal, evidence, export, record
from gateway.cli.old_list import import_
from gateway.cli.receipt import ledger, receipt
from gateway.cli.recipe import recipe
from gateway.cli.record import age, notice, told, void_consents
from gateway.cli.rehearse import rehearse
from gateway.cli.replica import replica
from gateway.cli.report import report
from gateway.cli.restore import backup, restore
from gateway.cli.serve import migrate, serve
from gateway.cli.signals import decode, encode
from gateway.cli.suppression import suppression
from gateway.cli.tell import choose, link
from gateway.cli.verify import prune, verify
from gateway.cli.void import void
from gateway.cli.witness import witness
from gateway.terms import Unusable

EXIT_UNUSABLE = 3


@click.group(help="The consent gateway. `gateway help` lists longer texts.")
@click.version_option(__version__, prog_name="gateway")
def group() -> None:
    pass


@click.command("help", help="Print a longer text; without a name, list them.")
@click.argument("name", required=False)
def manual(name: str | None) -> None:
    folder = resources.files("gateway") / "manual"
    names = sorted(item.name.removesuffix(".md") for item in folder.iterdir() if item.name.endswith(".md"))
    if name is None:
        click.echo("\n".join(names))
    elif name in names:
        click.echo((folder / f"{name}.md").read_text(encoding="utf-8"))
    else:
        raise click.UsageError(f"no text {name!r}; there are {', '.join(names)}")


COMMANDS = (
    access,
    age,
    appeal,
    backup,
    check,
    choose,
    config,
    decode,
    deliveries,
    disclosures,
    encode,
    erase,
    evidence,
    explain,
    export,
    history,
    hosts,
    import_,
    keys,
    law,
    ledger,
    link,
    manual,
    migrate,
    notice,
    prune,
    receipt,
    recipe,
    record,
    rehearse,
    rekey,
    replica,
    report,
    restore,
    serve,
    suppression,
    told,
    unsubscribe,
    verify,
    void,
    void_consents,
    witness,
)
for command in COMMANDS:
    group.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; an error that carries its cure is printed as it is."""
    _speak()
    try:
        group.main(list(arguments) if arguments is not None else None, standalone_mode=True)
    except Unusable as refused:
        click.echo(f"gateway: {refused}", err=True)
        sys.exit(EXIT_UNUSABLE)
    except OSError as error:  # a full disk, a folder that is not there or may not be written to
        if error.errno is None:
            raise  # none of the system's: a fault of ours
        click.echo(f"gateway: {_cure(error)}", err=True)
        sys.exit(EXIT_UNUSABLE)


def _speak() -> None:
    """What is written into a file or a pipe is UTF-8, whatever the locale, for receipts are compared to the byte; a
    terminal that has no such letter gets another one instead of half an answer.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")


def _cure(error: OSError) -> str:
    """What the system refused, of which file, and what helps. Not what it was to be: that is the caller's."""
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    what = error.strerror or type(error).__name__
    return f"{where}{what}. Make room, or put right what is named; then do the same again"
