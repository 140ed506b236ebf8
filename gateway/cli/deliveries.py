"""`gateway deliveries`: what recipients are to be told, what became of it, and the officer's part in it."""

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path

import click

from gateway.app.composition import House
from gateway.cli import options
from gateway.consent.telling import Open, name_of
from gateway.delivery.letters import NAME as TEXTS
from gateway.desk.agent_requests import recipient_of
from gateway.desk.outbox import Listed, Message, State
from gateway.desk.recipients_to_tell import ACCOUNT_BACKEND
from gateway.keys import seals
from gateway.ledger.subjects import moment

SHOWN = 1_000  # messages of one list
OVERDUE = "overdue"
MESSAGE = "msg_"  # what the name of a message begins with


@click.command(
    help="List what recipients are still to be told, and send it again."
    " --state lists messages, not what they say. --retry NAME tries again at once what"
    " is open of a recipient, or one message (msg_...). --take NAME prints the messages of one, a line each, and marks"
    " them as taken; --secret NAME prints what a recipient checks signatures with, --new-secret NAME a new one, beside"
    " which the one before it signs for 14 days (gateway help delivery)."
)
@options.data
@options.config
@click.option("--state", type=click.Choice([*(state.value for state in State), OVERDUE]), help="List these messages.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--retry", help="A recipient's name, or a message's.")
@click.option("--take", "recipient", help="Print and mark one recipient's messages.")
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
    signs_for: str | None,
    renewed: str | None,
) -> None:
    if sum(map(bool, (state, retry, recipient, signs_for, renewed))) > 1:
        raise click.UsageError("one of --state, --retry, --take, --secret and --new-secret at a time")
    with options.house(data, file) as house:
        _refuse_unknown(house, retry or recipient or signs_for or renewed or "")
        if signs_for or renewed:
            click.echo(_secret(house, renewed or signs_for or "", renew=bool(renewed)))
        elif recipient:
            asyncio.run(house.telling.take(recipient, _hand))
        elif retry:
            click.echo(f"{_again(house, retry)} are tried again")
        elif state:
            for each, deadline in _listed(house, state):
                click.echo(json.dumps(_members(each, deadline)) if as_json else _line(each, deadline))
        else:
            for found in asyncio.run(house.telling.open()):
                click.echo(json.dumps(_open_members(found)) if as_json else _open_line(found))


def _refuse_unknown(house: House, name: str) -> None:
    """A misspelt name has no messages and must not get a secret. One that was taken out of the configuration may have
    messages still.
    """
    if not name or name.startswith(MESSAGE):
        return
    waiting = [found.recipient for found in asyncio.run(house.telling.open())]
    agents = map(recipient_of, house.agents.known)
    known = sorted({*house.consent.recipients, *waiting, *agents, ACCOUNT_BACKEND, TEXTS})
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
    try:
        return asyncio.run(house.telling.again(name=seals.unb64(what.removeprefix(MESSAGE))))
    except seals.OpeningFailed:
        raise click.UsageError(f"{what} is no message's name") from None


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


def _open_members(found: Open) -> dict[str, object]:
    return {
        "recipient": found.recipient,
        "pending": found.pending,
        "failed": found.failed,
        "overdue": found.overdue,
        "oldest": found.oldest.isoformat(timespec="seconds"),
        "gone": found.gone,
    }


def _open_line(found: Open) -> str:
    gone = "  gave its endpoint up" if found.gone else ""
    return (
        f"{found.recipient}  pending {found.pending}  failed {found.failed}  overdue {found.overdue}  oldest"
        f" {options.time_in_utc(found.oldest)}{gone}"
    )
