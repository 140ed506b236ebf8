"""`gateway check` and `gateway history`: questions."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.check import Ask
from gateway.choice.verdict import Verdict
from gateway.cli import options
from gateway.ledger import history as of
from gateway.ledger.entry import b64


@click.command(help="Ask whether data may go to a recipient. Exit code 0: as it stands; 1: not, or not all of it.")
@click.argument("recipient")
@options.data
@options.config
@options.dev
@options.identifiers
@click.option("--purpose", help="One purpose; without it the recipient's, strictest wins.")
@click.option("--class", "classes", multiple=True, help="A data class; without it the recipient's.")
@click.option("--place", multiple=True, help="US-CA, DE; repeatable, the strictest holds.")
@options.as_json
def check(
    recipient: str, data: Path, file: Path | None, dev: bool, as_json: bool, purpose: str | None,
    classes: tuple[str, ...], place: tuple[str, ...], **values: Any,
) -> None:  # fmt: skip
    ask = Ask((recipient,), options.listed(values), purpose=purpose, data=classes or None, place=list(place) or None)
    with options.house(data, file, dev=dev) as house:
        verdict = house.consent.check(ask).verdicts[recipient]
    click.echo(_told(verdict, as_json))
    sys.exit(0 if verdict.allowed else 1)


def _told(verdict: Verdict, as_json: bool) -> str:
    if as_json:
        body = {"allowed": verdict.allowed, "partly": verdict.partly, "data": verdict.data, "reason": verdict.reason,
                "rule": verdict.rule, "place": verdict.place}  # fmt: skip
        return orjson.dumps(body).decode()
    lines = [f"{'allowed' if verdict.allowed else 'partly' if verdict.partly else 'denied'}: {verdict.reason}"]
    lines += [f"  {name}: {answer}" for name, answer in verdict.data.items()]
    return "\n".join([*lines, f"  rule: {verdict.rule}", f"  place: {verdict.place}"])


@click.command(help="Every entry about one identifier, each checked against what it commits to.")
@options.data
@options.config
@options.identifiers
@options.as_json
def history(data: Path, file: Path | None, as_json: bool, **values: Any) -> None:
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        if len(named.subjects) != 1:
            raise click.UsageError("name one usable identifier")
        subject = named.subjects[0]
        vault = house.vault()
        try:
            events = asyncio.run(of.events(data, subject.key, vault.key, (subject.kind, subject.value)))
        finally:
            vault.close()
    for event in events:
        click.echo(_line(event, as_json))
    sys.exit(0 if events else 1)


def _line(event: of.Event, as_json: bool) -> str:
    proof = {True: "proved", False: "DOES NOT OPEN", None: "details erased"}[event.proved]
    if as_json:
        body = {"seq": event.seq, "event": b64(event.event), "entry": event.body, "details": event.details,
                "proved": event.proved}  # fmt: skip
        return orjson.dumps(body).decode()
    purposes = ", ".join(event.body.get("p", []))
    source = event.body.get("m") or event.body.get("src", "")
    received = event.details.get("received")
    came = f", came {received}" if received else ""
    return f"{event.seq:>8}  {event.at:%Y-%m-%d %H:%M:%S}  {event.body['e']} {purposes} ({source}{came})  {proof}"
