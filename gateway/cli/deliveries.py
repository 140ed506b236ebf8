"""`gateway deliveries` and `gateway systems`: what recipients are to be told and the operator's own systems to delete,
what became of it, and the officer's part in it.
"""

import asyncio
import contextlib
import getpass
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from gateway.app.composition import House
from gateway.cli import options
from gateway.consent.telling import Open, name_of
from gateway.desk import outbox, own_systems
from gateway.desk.agent_requests import recipient_of
from gateway.desk.office.desk_log import DeskLog
from gateway.desk.outbox import Listed, Message, State
from gateway.desk.own_systems import NoSuchDeletion, OwnSystem, SystemDeletion
from gateway.ledger.entry import b64
from gateway.ledger.folder_store import store_in
from gateway.ledger.subjects import milliseconds, moment
from gateway.terms import ACCOUNT_BACKEND, TEXTS

SHOWN = 1_000  # messages of one list
OVERDUE = "overdue"
MESSAGE = "msg_"  # what the name of a message begins with


@click.command(
    help="List what recipients are still to be told, and send it again."
    " --state lists messages, not what they say. --retry NAME tries again at once what"
    " is open of a recipient, or one message (msg_...). --take NAME prints the messages of one, a line each, and marks"
    " them as taken; --proof NAME prints what a recipient signed about one deletion; --secret NAME prints what a"
    " recipient checks signatures with, --new-secret NAME a new one, beside which the one before it signs for 14 days"
    " (gateway help delivery)."
)
@options.installation
@click.option("--state", type=click.Choice([*(state.value for state in State), OVERDUE]), help="List these messages.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--retry", help="A recipient's name, or a message's.")
@click.option("--take", "recipient", help="Print and mark one recipient's messages.")
@click.option("--proof", "message", help="Print the signed acknowledgements of one message.")
@click.option("--secret", "signs_for", help="Print one recipient's secret.")
@click.option("--new-secret", "renewed", help="Make and print a new one.")
def deliveries(
    data: Path,
    file: Path | None,
    state: str | None,
    *,
    as_json: bool,
    retry: str | None,
    recipient: str | None,
    message: str | None,
    signs_for: str | None,
    renewed: str | None,
) -> None:
    if sum(map(bool, (state, retry, recipient, message, signs_for, renewed))) > 1:
        raise click.UsageError("one of --state, --retry, --take, --proof, --secret and --new-secret at a time")
    with options.house(data, file) as house:
        _refuse_unknown(house, retry or recipient or signs_for or renewed or "")
        if signs_for or renewed:
            click.echo(_secret(house, renewed or signs_for or "", renew=bool(renewed)))
        elif recipient:
            asyncio.run(house.telling.take(recipient, _hand))
        elif message:
            click.echo(_proof(house, message))
        elif retry:
            click.echo(f"{_again(house, retry)} are tried again")
        else:
            for line in _lines(house, state, as_json=as_json):
                click.echo(line)


def _refuse_unknown(house: House, name: str) -> None:
    """A misspelt name has no messages and must not get a secret. One that was taken out of the configuration may have
    messages still.
    """
    if not name or name.startswith(MESSAGE):
        return
    waiting = [found.recipient for found in asyncio.run(house.telling.open())]
    agents = map(recipient_of, house.agents.known)
    systems = [each.recipient for each in house.writer.submit(own_systems.registered).result()]
    known = sorted({*house.consent.recipients, *waiting, *agents, *systems, ACCOUNT_BACKEND, TEXTS})
    if name not in known:
        raise click.UsageError(f"no recipient {name!r} is configured; there are {', '.join(known)}")


def _secret(house: House, name: str, *, renew: bool) -> str:
    if renew and name == TEXTS:
        raise click.UsageError("the sender of texts has one secret, which changes with: gateway rekey tokens")
    return asyncio.run(house.telling.secret(name, renew=renew))


def _hand(message: Message) -> None:
    """Written out before it is marked: rather twice than never."""
    click.echo(f"{name_of(message.id)} {(message.body or b'(its key is gone)').decode()}")
    sys.stdout.flush()


def _again(house: House, what: str) -> int:
    if not what.startswith(MESSAGE):
        return asyncio.run(house.telling.again(recipient=what))
    return asyncio.run(house.telling.again(name=_message_id(what)))


def _message_id(what: str) -> bytes:
    return options.id_of(what.removeprefix(MESSAGE), f"{what} is no message's name")


def _proof(house: House, message: str) -> str:
    """Each token of a message on a line of its own, oldest first: it holds the request, and in it the identifier."""
    name = _message_id(message)
    found = house.writer.submit(lambda tx: outbox.deletion_tokens(tx, name)).result()
    if not found:
        raise click.ClickException(f"nothing that a recipient signed about {message} is kept, or can be read any more")
    return "\n".join(found)


def _lines(house: House, state: str | None, *, as_json: bool) -> Iterator[str]:
    if not state:
        for found in asyncio.run(house.telling.open()):
            told = asdict(found) | {"oldest": found.oldest.isoformat(timespec="seconds")}
            yield json.dumps(told) if as_json else _open_line(found)
        return
    for each, deadline in _listed(house, state):
        yield json.dumps(_members(each, deadline)) if as_json else _line(each, deadline)


def _listed(house: House, state: str) -> list[tuple[Listed, datetime]]:
    if state != OVERDUE:
        return asyncio.run(house.telling.listed(State(state), SHOWN))
    now = house.consent.clock()
    found = [asyncio.run(house.telling.listed(each, SHOWN)) for each in (State.PENDING, State.FAILED)]
    return [(each, deadline) for listed in found for each, deadline in listed if deadline < now]


def _members(each: Listed, deadline: datetime) -> dict[str, object]:
    times = {"at": each.at, "received": each.received, "due": each.due, "tried": each.tried, "taken": each.taken}
    return {
        "id": name_of(each.id),
        "recipient": each.recipient,
        "type": each.word,
        "state": each.state,
        "tries": each.tries,
        "answer": each.answer,
        "deadline": deadline.date().isoformat(),
        **{name: moment(value).isoformat(timespec="seconds") if value else None for name, value in times.items()},
    }


def _line(each: Listed, deadline: datetime) -> str:
    last = f"{each.tries} tries, {each.answer}" if each.answer else "not tried"
    due = f", next {options.time_in_utc(moment(each.due))}" if each.state is State.PENDING else ""
    return (
        f"{name_of(each.id)}  {each.recipient}  {each.word}  {each.state}  {last}{due}, received"
        f" {moment(each.received):%Y-%m-%d}, by {deadline:%Y-%m-%d}"
    )


def _open_line(found: Open) -> str:
    gone = "  gave its endpoint up" if found.gone else ""
    return (
        f"{found.recipient}  pending {found.pending}  failed {found.failed}  overdue {found.overdue}  oldest"
        f" {options.time_in_utc(found.oldest)}{gone}"
    )


BY_LIST = "a state's list"


@click.group(
    help="What the operator's own systems are asked to delete, by when, what they said (gateway help systems)."
)
def systems() -> None:
    pass


@systems.command(
    "list",
    help="Which systems are told, and each deletion that none of them did yet: message, system, act, by when, the last"
    " try. --event: those of one act, done or not. Exit code 1: one is late, or of the act one is open.",
)
@options.installation
@options.as_json
@click.option("--event", help="Of an erasure, as its answer named it.")
def list_(data: Path, file: Path | None, *, as_json: bool, event: str | None) -> None:
    stated = options.stated_settings(file).systems
    events = [options.id_of(event, f"{event} is no event's name")] if event else []
    with contextlib.closing(store_in(data).open_to_read()) as db:
        known = own_systems.read_systems(db)
        found = own_systems.deletions_of(db, events) if event else own_systems.open_deletions(db)
    now = milliseconds(datetime.now(UTC))
    for system in known if not (event or as_json) else ():
        click.echo(_system_line(system, by_hand=system.name not in stated or not stated[system.name].endpoint))
    for each in found:
        click.echo(json.dumps(deletion_members(each)) if as_json else _deletion_line(each, now))
    sys.exit(1 if any(not each.is_done and (event or each.last < now) for each in found) else 0)


@systems.command(
    help="Print what SYSTEM has to delete still, a line each with the identifiers, for whoever does it there by hand."
)
@click.argument("system")
@options.installation
def show(system: str, data: Path, file: Path | None) -> None:
    with options.house(data, file) as house:
        _refuse_stranger(house, data, system)
        recipient = own_systems.PREFIX + system
        for message in house.writer.submit(lambda tx: own_systems.read_deletions(tx, recipient)).result():
            _hand(message)


@systems.command(
    help="Record that you looked, and that what each MESSAGE (msg_…) asks for is deleted in its system. --by: who did;"
    " it stands beside the deletion and in the desk's log."
)
@click.argument("messages", metavar="MESSAGE...", nargs=-1, required=True)
@options.installation
@click.option("--by", "officer", default=getpass.getuser, show_default="your user name", help="Who looked.")
def deleted(messages: tuple[str, ...], data: Path, file: Path | None, officer: str) -> None:
    named = {message: _message_id(message) for message in messages}
    with options.house(data, file) as house:
        now, log = house.consent.clock(), DeskLog(data, house.secrets.desk)
        for message, name in named.items():
            said = {"who": officer, "role": "command line", "what": "said that a system deleted", "message": message}
            log.note(now, said)
            try:
                job = partial(own_systems.deleted_by_hand, message=name, officer=officer, now=milliseconds(now))
                click.echo(f"deleted in {house.writer.submit(job).result()}, by {officer}")
            except NoSuchDeletion as none:
                raise click.UsageError(f"{message}: {none}") from None


@systems.command(
    help="Say nothing more to SYSTEM, which the configuration does not name any more. What it was asked before stays"
    " open until somebody says that it is deleted there."
)
@click.argument("system")
@options.installation
def end(system: str, data: Path, file: Path | None) -> None:
    with options.house(data, file) as house:
        if system in house.writer.submit(own_systems.configured).result():
            raise click.UsageError(f"the configuration still has [systems.{system}]: take it out first")
        if not house.writer.submit(lambda tx: own_systems.end_system(tx, system)).result():
            raise click.UsageError(f"no system is called {system!r}")
        click.echo(f"{system} is told nothing more")


def _refuse_stranger(house: House, data: Path, system: str) -> None:
    with contextlib.closing(store_in(data).open_to_read()) as db:
        asked = {each.system for each in own_systems.open_deletions(db)}
    known = asked | {each.name for each in house.writer.submit(own_systems.registered).result()}
    if system not in known:
        raise click.UsageError(f"no system is called {system!r}; there are {', '.join(sorted(known)) or 'none'}")


def _system_line(system: OwnSystem, *, by_hand: bool) -> str:
    noes, how = ", and noes" if system.suppressed else "", ", by hand: it has no endpoint" if by_hand else ""
    return f"{system.name}  is told deletions{noes}, by {', '.join(sorted(system.kinds))}{how}"


def deletion_members(each: SystemDeletion) -> dict[str, object]:
    """One deletion as a JSON object has it."""
    return {
        "id": name_of(each.message),
        "system": each.system,
        "event": b64(each.event) if each.event else None,
        "state": "deleted" if each.is_done else each.state.value,
        "tries": each.tries,
        "answer": each.answer,
        "received": moment(each.received).date().isoformat(),
        "deadline": moment(each.last).date().isoformat(),
        "deleted": moment(each.taken).isoformat(timespec="seconds") if each.taken else None,
    }


def _deletion_line(each: SystemDeletion, now: int) -> str:
    of = f"event {b64(each.event)}" if each.event else BY_LIST
    last = f"{each.tries} tries, {each.answer}" if each.answer else "not tried"
    state = "deleted" if each.is_done else "LATE" if each.last < now else each.state.value
    return f"{name_of(each.message)}  {each.system}  {of}  {state}  {last}, by {moment(each.last):%Y-%m-%d}"
