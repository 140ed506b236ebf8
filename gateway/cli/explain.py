"""`gateway explain`: why a verdict is what it is, rule by rule; today, or at another moment."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import orjson

from gateway import decision_log
from gateway.check import Ask
from gateway.choice.law import AGES
from gateway.choice.verdict import Step
from gateway.cli import options
from gateway.cli.ask import headline
from gateway.known import Explained, Then
from gateway.signals.hear import KNOWN


@click.command(
    help="Show every rule that was tried for a verdict, and which one decided. --at DATE: what stood on record then,"
    " rebuilt from the ledger's entries, with the recipients, settings and law tables that were in force then, from the"
    " ledger too. Exit codes as `gateway check`."
)
@click.argument("recipient", required=False)
@options.data
@options.config
@options.dev
@options.identifiers
@options.question
@click.option("--age", type=click.Choice(AGES), help="An age band.")
@click.option(
    "--signal", "signals", multiple=True, help="NAME=VALUE as in a check: gpc=1, us_privacy=1YYN; repeatable."
)
@click.option("--request", help="What was decided in a request, by its Gateway-Request.")
@click.option("--at", "moment", type=options.MOMENT, help="A moment (UTC).")
@options.as_json
def explain(
    recipient: str | None, data: Path, file: Path | None, dev: bool, as_json: bool, purpose: str | None,
    classes: tuple[str, ...], place: tuple[str, ...], age: str | None, signals: tuple[str, ...],
    moment: datetime | None, request: str | None, **values: Any,
) -> None:  # fmt: skip
    if request:
        sys.exit(_show(data, request, as_json))
    if recipient is None:
        raise click.UsageError("name a recipient, or --request ID")
    ask = Ask(
        (recipient,), options.listed(values), purpose=purpose, data=classes or None, place=list(place) or None, age=age,
        signals=dict(map(_signal, signals)),
    )  # fmt: skip
    with options.house(data, file, dev=dev) as house:
        at = moment.replace(tzinfo=UTC) if moment else None
        if at and at > house.consent.clock():
            raise click.UsageError("--at lies in the future")
        found, then = asyncio.run(house.consent.explain(ask, at))
    explained = found[recipient]
    click.echo(orjson.dumps(_as_json(explained)) if as_json else "\n".join(_told(explained, then)))
    sys.exit(0 if explained.verdict.allowed else 1)


def _show(data: Path, request: str, as_json: bool) -> int:
    """Prints what the decision log has of a request; the exit code."""
    found = list(decision_log.find(options.answered_from(data), request))
    for told in found:
        line = "{at}  {door}  {recipient}: {verdict}, {reason}; rule: {rule}; place: {place}; {mode}"
        click.echo(json.dumps(told) if as_json else line.format(**told))
    if not found:
        click.echo("nothing is logged of it: one yes in a hundred is, each no for some weeks", err=True)
    return 0 if found else 1


def _signal(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    if name not in KNOWN:
        raise click.UsageError(f"--signal {name}: there are {', '.join(sorted(KNOWN))}")
    return name, value


def _told(explained: Explained, then: Then | None) -> list[str]:
    verdict = explained.verdict
    lines = [headline(verdict), f"  rule: {verdict.rule}", f"  place: {verdict.place}"]
    if verdict.seq is not None:
        lines.append(f"  decided by entry {verdict.seq}")
    if then is not None:
        lines.append(f"  as of {then.on}, after {then.position} entries; {_in_force(then)}")
    for (purpose, data_class), steps in groupby(explained.steps, key=lambda step: (step.purpose, step.data_class)):
        lines += ["", f"{purpose}, {data_class}", *(_line(number, step) for number, step in enumerate(steps, 1))]
    return lines


def _in_force(then: Then) -> str:
    if then.held:
        return f"recipients, settings and law tables as entry {then.held.by} names them"
    return "recipients and settings as they are configured now: those of then are not on record"


def _line(number: int, step: Step) -> str:
    if step.ruling is None:
        return f"  {number:>2}. {step.rule.asks:<74} go on"
    told = f"{step.ruling.answer} ({step.ruling.reason}): {step.ruling.rule}"
    return f"  {number:>2}. {step.rule.asks}\n      -> {told}"


def _as_json(explained: Explained) -> dict[str, Any]:
    verdict = explained.verdict
    tried = [
        {"purpose": step.purpose, "class": step.data_class, "rule": step.rule.name, "asks": step.rule.asks,
         "ruling": step.ruling._asdict() if step.ruling else None}
        for step in explained.steps
    ]  # fmt: skip
    return {"allowed": verdict.allowed, "partly": verdict.partly, **verdict._asdict(), "tried": tried}
