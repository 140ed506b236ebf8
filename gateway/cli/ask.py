"""`gateway check` and `gateway history`: questions."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.check import Ask
from gateway.choice.question import Verdict
from gateway.cli import options
from gateway.ledger import history as of
from gateway.ledger.entry import b64
from gateway.ledger.replay import Rebuilt
from gateway.terms import CHOOSABLE


@click.command(help="Ask whether data may go to a recipient. Exit code 0: as it stands; 1: not, or not all of it.")
@click.argument("recipient")
@options.data
@options.config
@options.dev
@options.identifiers
@options.question
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


def headline(verdict: Verdict) -> str:
    return f"{'allowed' if verdict.allowed else 'partly' if verdict.partly else 'denied'}: {verdict.reason}"


def _told(verdict: Verdict, as_json: bool) -> str:
    if as_json:
        body = {"allowed": verdict.allowed, "partly": verdict.partly, "data": verdict.data, "reason": verdict.reason,
                "rule": verdict.rule, "place": verdict.place}  # fmt: skip
        return orjson.dumps(body).decode()
    lines = [headline(verdict)]
    lines += [f"  {name}: {answer}" for name, answer in verdict.data.items()]
    return "\n".join([*lines, f"  rule: {verdict.rule}", f"  place: {verdict.place}"])


@click.command(
    help="Every entry about one identifier, each checked against what it commits to. --at DATE: those until then, with"
    " the texts that were shown, and what stood on record at that moment, rebuilt from the entries."
)
@options.data
@options.config
@options.identifiers
@click.option("--at", "moment", type=options.MOMENT, help="A moment (UTC).")
@click.option("--for-person", is_flag=True, help="Only what somebody may be shown who proved control of it (R5).")
@options.as_json
def history(
    data: Path, file: Path | None, as_json: bool, moment: datetime | None, for_person: bool, **values: Any
) -> None:
    until = moment.replace(tzinfo=UTC) if moment else None
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        if len(named.subjects) != 1:
            raise click.UsageError("name one usable identifier")
        subject = named.subjects[0]
        vault = house.vault()
        read = of.since_release if for_person else of.events
        try:
            events = asyncio.run(read(data, subject.key, vault.keys, (subject.kind, subject.value), until=until))
        finally:
            vault.close()
        then = asyncio.run(house.consent.standings_at([subject], until)) if until else None
    for event in events:
        click.echo(_line(event, as_json, texts=until is not None))
    if then is not None:
        click.echo(_stood(then, as_json))
    sys.exit(0 if events else 1)


def _line(event: of.Event, as_json: bool, *, texts: bool) -> str:
    proof = {True: "proved", False: "DOES NOT OPEN", None: "details erased"}[event.proved]
    shown = event.shown
    if as_json:
        body: dict[str, Any] = {"seq": event.seq, "event": b64(event.event), "entry": event.body,
                                "details": event.details, "proved": event.proved}  # fmt: skip
        if texts and shown:
            told = {"kind": shown.kind, "version": shown.version, "language": shown.language}
            body["shown"] = told | {"text": shown.body.decode(errors="replace")}
        return orjson.dumps(body).decode()
    purposes = ", ".join(event.body.get("p", []))
    source = event.body.get("m") or event.body.get("src", "")
    received = event.details.get("received")
    came = f", came {received}" if received else ""
    how = f" ({source}{came})" if source or came else ""
    line = f"{event.seq:>8}  {event.at:%Y-%m-%d %H:%M:%S}  {event.body['e']} {purposes}".rstrip() + f"{how}  {proof}"
    if not texts or shown is None:
        return line
    text = shown.body.decode(errors="replace").strip().replace("\n", "\n          | ")
    return f"{line}\n          shown: {shown.kind} {shown.version} ({shown.language})\n          | {text}"


def _stood(then: Rebuilt, as_json: bool) -> str:
    """What held at the moment, of all the records of the identifier together: a no of any of them is a no."""
    states = dict.fromkeys((purpose.value for purpose in CHOOSABLE), "none")
    for word in ("opted_in", "opted_out"):
        for standing in then.standings:
            states |= {name: word for name, held in standing.states().items() if held == word}
    ages = [standing.age_band for standing in then.standings if standing.age_band]
    if as_json:
        body = {"position": then.position, "standing": states, "age_bands": ages}
        return orjson.dumps(body).decode()
    held = [f"{word}: {', '.join(names)}" for word in ("opted_out", "opted_in")
            if (names := [name for name, state in states.items() if state == word])]  # fmt: skip
    return f"after {then.position} entries: {'; '.join(held) or 'nothing was chosen'}"
