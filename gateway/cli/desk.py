"""`gateway desk`: who sits at the desk (invite, list, take off), its log, read and compared with the ledger's entries,
and the privacy mailbox, of which each mail becomes a case. Whoever runs the gateway calls it; the first officer comes
in by no other way.
"""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path

import click

from gateway.app.composition import now
from gateway.cli import options
from gateway.desk.evidence import desk_heads
from gateway.desk.office.cases import Cases
from gateway.desk.office.desk_log import KEPT, DeskLog, DeskLogBroken
from gateway.desk.office.mailbox import MOST_BYTES, Mailbox, mails_in
from gateway.desk.office.officers import DeskRole, Officers
from gateway.keys import secret_files
from gateway.ledger.folder_store import store_in
from gateway.ledger.subjects import moment

TOO_LARGE, TRY_AGAIN = 1, 75  # EX_TEMPFAIL: a mail server keeps the mail and comes again


@click.group(help="Who sits at the desk, what was looked at there, and its mailbox (gateway help desk).")
def desk() -> None:
    pass


@desk.command(
    help="Invite NAME to the desk, or give them one more passkey: prints a link that is good once, for three days. Send"
    " it to them alone."
)
@options.installation
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in DeskRole]),
    required=True,
    help="What they may do: read, act, or invite.",
)
def invite(data: Path, file: Path | None, name: str, role: str) -> None:
    url = options.stated_settings(file).desk.url
    if not url:
        raise click.UsageError("[desk] url says where officers open the desk: write it first")
    try:
        was = _officers(data).role_of(name.lower())
        _note(data, "invited", name, made=role, was=was)
        code = _officers(data).invite(name.lower(), DeskRole(role))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{url}/desk/invitation#{code}")


@desk.command("people", help="Who sits at the desk, in which role, by what they sign in.")
@options.data
def people_(data: Path) -> None:
    for each in _officers(data).people():
        ways = f"{each.passkeys} passkeys" + (", company account" if each.company else "")
        used = f", here until {options.time_in_utc(moment(each.used))}" if each.used else ""
        click.echo(f"{each.name}  {each.role}  {ways}{used}")


@desk.command("end", help="Take NAME off the desk, at once: sessions, passkeys and invitations end.")
@options.data
@click.argument("name")
def end_(data: Path, name: str) -> None:
    if not _officers(data).end_person(name.lower()):
        raise click.UsageError(f"nobody called {name} sits at the desk")
    _note(data, "took off the desk", name)


def _note(data: Path, what: str, name: str, **more: str) -> None:
    """A line in the desk's log: whoever can read the installation's folder did it."""
    said = {"who": "gateway desk", "what": what, "whom": name.lower(), **more}
    DeskLog(data, secret_files.load_secrets(data).desk).note(now(), said)


@desk.command(
    "log",
    help="What was looked at and done at the desk, from a day to another (both included, UTC), a JSON line each. Its"
    " lines are compared with what the daily evidence took into the ledger. Exit code 1: one of them was changed or"
    " taken out.",
)
@options.data
@options.days
def log_(data: Path, start: date, end: date) -> None:
    log = DeskLog(data, secret_files.load_secrets(data).desk)
    try:
        since, until = (datetime.combine(each, time.min, UTC) for each in (start, end + timedelta(days=1)))
        for line in log.lines(since, until):
            said = line.said or {"at": line.at.isoformat(), "gone": "older than 24 months"}
            click.echo(json.dumps({"line": line.number, **said}))
    except DeskLogBroken as broken:
        click.echo(f"DIFFERENT: {broken}", err=True)
        sys.exit(1)
    different = list(_different(data, log))
    click.echo("\n".join(different), err=True) if different else None
    sys.exit(1 if different else 0)


def _different(data: Path, log: DeskLog) -> Iterator[str]:
    """What the ledger's entries say of the log and it does not."""
    kept, late = log.first_kept(), now() - KEPT
    for each in desk_heads(store_in(data)):
        if log.head_of_line(each.lines) != each.head:
            yield f"DIFFERENT: entry {each.seq} holds another head after line {each.lines} of the desk's log"
        if each.until > late and kept > each.lines + 1:  # the line after those is younger than the entry
            yield f"DIFFERENT: line {each.lines + 1} of the desk's log is younger than entry {each.seq}, and is gone"


@desk.command(
    "mail",
    help="Make a case of one mail from the input, or of each in a Maildir, with the day it came. The same mail is one"
    " case, however often it comes. Nothing is answered, and nobody is opted out before an officer read it at the desk."
    " Exit code 75: one was not taken, try again later; 1: a mail is too large to be taken.",
)
@options.data
@click.option("--maildir", type=options.FOLDER, help="A Maildir; what is new in it counts as seen afterwards.")
def mail_(data: Path, maildir: Path | None) -> None:
    mailbox = Mailbox(Cases(data, secret_files.load_secrets(data).desk, now))
    if maildir is None:
        sys.exit(_exit_code(lambda: _take(mailbox, sys.stdin.buffer.read(MOST_BYTES + 1), "the mail"), "the mail"))
    try:
        paths = list(mails_in(maildir))
    except OSError as error:
        click.echo(f"not taken, try again: {type(error).__name__}", err=True)
        sys.exit(TRY_AGAIN)
    codes = [_exit_code(partial(_take_from, mailbox, maildir, path), path.name) for path in paths]
    sys.exit(max(codes, default=0))


def _exit_code(take: Callable[[], bool], name: str) -> int:
    """Of one mail: no other one waits for it, whatever it does."""
    try:
        return 0 if take() else TOO_LARGE
    except Exception as error:  # noqa: BLE001 - kept where it is and tried again, which no fault of ours may prevent
        click.echo(f"{name} was not taken, try again: {type(error).__name__}", err=True)
        return TRY_AGAIN


def _take_from(mailbox: Mailbox, maildir: Path, path: Path) -> bool:
    with path.open("rb") as file:
        taken = _take(mailbox, file.read(MOST_BYTES + 1), path.name)
    if taken and path.parent.name == "new":
        path.rename(maildir / "cur" / f"{path.name}:2,S")
    return taken


def _take(mailbox: Mailbox, raw: bytes, name: str) -> bool:
    """Whether it is a case now; says its number, and nothing of what is in it."""
    if not raw.strip():
        click.echo(f"{name} is empty", err=True)
        return True
    if len(raw) > MOST_BYTES:
        click.echo(f"{name} has more than {MOST_BYTES // 1_000_000} MB and was not taken", err=True)
        return False
    number, fresh = mailbox.take(raw)
    click.echo(f"case {number}" if fresh else f"case {number}, as before")
    return True


def _officers(data: Path) -> Officers:
    secret_files.load_secrets(data)  # a folder that is no gateway's has no desk
    return Officers(data, now)
