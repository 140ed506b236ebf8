"""`gateway check`, `history`, `access` and `explain`: questions, on the operator's own machine.

`access`: what is held about somebody and who received it, for the desk (R5, R12, R22). `explain`: why a verdict is what
it is, rule by rule; today, or at another moment.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import msgspec
import orjson

from gateway.choice.law import AGES
from gateway.choice.question import Verdict
from gateway.choice.verdict import Step
from gateway.cli import options
from gateway.consent import decision_log
from gateway.consent.asked import Explained, Then
from gateway.consent.check import said_by
from gateway.desk import history as of
from gateway.desk.history import Rebuilt
from gateway.ledger.entry import b64
from gateway.signals.hear import KNOWN
from gateway.terms import CHOOSABLE
from gateway.web.shell import access_report
from gateway.web.shell.access_report import AccessReportBody, EntryShown, ReceivedBody


@click.command(help="Ask whether data may go to a recipient. Exit code 0: as it stands; 1: not, or not all of it.")
@click.argument("recipient")
@options.installation
@options.dev
@options.identifiers
@options.question
@options.as_json
def check(
    recipient: str,
    data: Path,
    file: Path | None,
    dev: bool,
    as_json: bool,
    **values: Any,
) -> None:
    ask = options.asked(recipient, values)
    with options.house(data, file, dev=dev) as house:
        verdict = house.consent.checks.check(ask).verdicts[recipient]
    click.echo(_told(verdict, as_json))
    sys.exit(0 if verdict.allowed else 1)


def headline(verdict: Verdict) -> str:
    return f"{'allowed' if verdict.allowed else 'partly' if verdict.partly else 'denied'}: {verdict.reason}"


def _told(verdict: Verdict, as_json: bool) -> str:
    if as_json:
        return orjson.dumps(verdict.shown()).decode()
    lines = [headline(verdict)]
    lines += [f"  {name}: {answer}" for name, answer in verdict.data.items()]
    return "\n".join([*lines, f"  rule: {verdict.rule}", f"  place: {verdict.place}"])


@click.command(
    help="Every entry about one identifier, each checked against what the log has of it: its number, when, its event"
    " (by which `gateway receipt show`, `record` and `appeal` take it), what was said, and whether it is as logged."
    " --at DATE: those until then, with the texts that were shown, and what stood on record at that moment, rebuilt"
    " from the entries."
)
@options.installation
@options.identifiers
@click.option("--at", "until", type=options.MOMENT, help=f"A moment ({options.AT}).")
@click.option("--for-person", is_flag=True, help="Only what somebody may be shown who proved control of it (R5).")
@options.as_json
def history(
    data: Path, file: Path | None, as_json: bool, until: datetime | None, for_person: bool, **values: Any
) -> None:
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        if len(named.subjects) != 1:
            raise click.UsageError("name one usable identifier")
        subject, now = named.subjects[0], house.consent.clock()
        with contextlib.closing(house.vault()) as vault:
            whose = (data, subject.key, vault.keys, (subject.kind, subject.value))
            events = asyncio.run(of.events(*whose, until=until, now=now if for_person else None))
        then = asyncio.run(house.consent.standings_at([subject], until, holders=for_person)) if until else None
    for event in events:
        click.echo(_line(event, as_json, texts=until is not None))
    if then is not None:
        click.echo(_stood(then, as_json))
    sys.exit(0 if events else 1)


def _line(event: of.Event, as_json: bool, *, texts: bool) -> str:
    proof = {True: "as logged", False: "NOT AS LOGGED", None: "details erased"}[event.proved]
    shown = event.shown
    if as_json:
        body: dict[str, Any] = {
            "seq": event.seq,
            "event": b64(event.event),
            "entry": event.body,
            "details": event.details,
            "proved": event.proved,
        }
        if texts and shown:
            told = {"kind": shown.kind, "version": shown.version, "language": shown.language}
            body["shown"] = told | {"text": shown.body.decode(errors="replace")}
        return orjson.dumps(body).decode()
    purposes = ", ".join(event.body.get("p", []))
    source = event.body.get("m") or event.body.get("src", "")
    received = event.details.get("received")
    came = f", came {received}" if received else ""
    how = f" ({source}{came})" if source or came else ""
    head = f"{event.seq:>8}  {options.time_in_utc(event.at)}  {b64(event.event)}  {event.body['e']} {purposes}".rstrip()
    line = f"{head}{how}  {proof}"
    if not texts or shown is None:
        return line
    text = shown.body.decode(errors="replace").strip().replace("\n", "\n          | ")
    return f"{line}\n          shown: {shown.kind} {shown.version} ({shown.language})\n          | {text}"


NOT_KNOWN = "not known: it rested on somebody who was forgotten since, or was another holder's"
FORGOTTEN = f"{NOT_KNOWN}, and is neither a yes nor a no"


def _stood(then: Rebuilt, as_json: bool) -> str:
    """What held at the moment, of all the records of the identifier together: a no of any of them is a no."""
    states, lost = said_by(then.standings, CHOOSABLE, then.forgotten.purposes), then.forgotten
    ages = [standing.age_band for standing in then.standings if standing.age_band]
    places = sorted({place for standing in then.standings for place in standing.places})
    if as_json:
        body = {"position": then.position, "standing": states, "age_bands": ages, "places": places}
        body |= {"age_bands": None} if lost.age else {}
        body |= {"forgotten": True} if lost.purposes or lost.age else {}
        return orjson.dumps(body).decode()
    held = [*(_chosen(states) or ["nothing was chosen"]), *([f"how old they were: {NOT_KNOWN}"] if lost.age else [])]
    held += [f"said to be in {', '.join(places)}"] if places else []
    return f"after {then.position} entries: {'; '.join(held)}"


def _chosen(states: Mapping[str, str]) -> list[str]:
    """What was said to which purposes, and of which nobody knows it any more."""
    named = {word: ", ".join(name for name, state in states.items() if state == word) for word in states.values()}
    told = [f"{word}: {named[word]}" for word in ("opted_out", "opted_in") if word in named]
    return [*told, *([f"{named['unknown']}: {FORGOTTEN}"] if "unknown" in named else [])]


OUTCOMES = {"sent": "sent", "possible": "may have been sent", "unknown": "nobody can tell whether it arrived"}


@click.command(
    help="What is held about whoever has these identifiers, and who received what and when. Only after you made sure"
    " that they are theirs: it shows nothing of who had a number before. It counts as a request in the year's report."
)
@options.installation
@options.identifiers
@options.came
@options.as_json
def access(data: Path, file: Path | None, as_json: bool, **values: Any) -> None:
    came = options.how_it_came(values)
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        if not named.subjects or named.ignored:
            raise click.UsageError("name identifiers that can be used, and no others")
        found = asyncio.run(access_report.report_of(house.consent, named.subjects, came))
    click.echo(
        orjson.dumps(found, msgspec.to_builtins, orjson.OPT_INDENT_2).decode()
        if as_json
        else "\n".join(_access_told(found))
    )


def _access_told(found: AccessReportBody) -> Iterator[str]:
    for each in found.standing:
        stands = {purpose: word for purpose, word in each.purposes.items() if word != "none"}
        listed = ", ".join(f"{purpose} {word}" for purpose, word in stands.items())
        yield f"{each.type}: {listed or 'nothing was chosen'}"
    yield from _part("Said and kept", [_entry(each) for each in found.entries])
    yield from _part("Who received what", [_received(each) for each in found.disclosures])


def _part(title: str, lines: list[str]) -> Iterator[str]:
    yield from ("", title, *(f"  {line}" for line in lines or ["nothing"]))


def _entry(each: EntryShown) -> str:
    if each.what is None:
        return f"{_minute(each.at)}  {each.type}: an entry whose body went by retention"
    return f"{_minute(each.at)}  {each.type}: {each.what} {', '.join(each.purposes)} ({each.source or '-'})"


def _minute(at: str) -> str:
    return f"{at[:10]} {at[11:16]} UTC"


def _received(each: ReceivedBody) -> str:
    what, why = ", ".join(each.data), ", ".join(each.purposes)
    times = "once" if each.count == 1 else f"{each.count} times"
    span = f"{each.first[11:19]} to {each.last[11:19]}"
    return f"{each.day}  {each.recipient}: {what} ({why}), {OUTCOMES[each.outcome]}, {times}, {span} UTC"


@click.command(
    help="Show every rule that was tried for a verdict, and which one decided. --at DATE: what stood on record then,"
    " rebuilt from the ledger's entries, with the recipients, settings and law tables that were in force then, from the"
    " ledger too; where it rested on somebody forgotten since, that is said, and the exit code is 1. Else as of"
    " `gateway check`."
)
@click.argument("recipient", required=False)
@options.installation
@options.dev
@options.identifiers
@options.question
@click.option("--age", type=click.Choice(AGES), help="An age band.")
@click.option(
    "--signal", "signals", multiple=True, help="NAME=VALUE as in a check: gpc=1, us_privacy=1YYN; repeatable."
)
@click.option("--request", help="What was decided in a request, by its Gateway-Request.")
@click.option("--at", type=options.MOMENT, help=f"A moment ({options.AT}).")
@options.as_json
def explain(
    recipient: str | None,
    data: Path,
    file: Path | None,
    dev: bool,
    as_json: bool,
    age: str | None,
    signals: tuple[str, ...],
    at: datetime | None,
    request: str | None,
    **values: Any,
) -> None:
    if request:
        sys.exit(_show(data, request, as_json))
    if recipient is None:
        raise click.UsageError("name a recipient, or --request ID")
    ask = options.asked(recipient, values, age=age, signals=dict(map(_signal, signals)))
    with options.house(data, file, dev=dev) as house:
        if at and at > house.consent.clock():
            raise click.UsageError("--at lies in the future")
        found, then = asyncio.run(house.consent.explain(ask, at))
    explained = found[recipient]
    click.echo(orjson.dumps(_as_json(explained, then)) if as_json else "\n".join(_explanation(explained, then)))
    sys.exit(0 if explained.verdict.allowed and not _is_lost(explained, then) else 1)


def _show(data: Path, request: str, as_json: bool) -> int:
    """Prints what the decision log has of a request; the exit code."""
    found = list(decision_log.find_decision(options.answered_from(data), request))
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


def _explanation(explained: Explained, then: Then | None) -> list[str]:
    verdict = explained.verdict
    lines = [headline(verdict), f"  rule: {verdict.rule}", f"  place: {verdict.place}"]
    lines = [FORGOTTEN, "of what is left:", *lines] if _is_lost(explained, then) else lines
    if verdict.seq is not None:
        lines.append(f"  decided by entry {verdict.seq}")
    if then is not None:
        lines.append(f"  as of {then.on}, after {then.position} entries; {_in_force(then)}")
    for (purpose, data_class), steps in groupby(explained.steps, key=lambda step: (step.purpose, step.data_class)):
        lines += ["", f"{purpose}, {data_class}", *(_rule_line(number, step) for number, step in enumerate(steps, 1))]
    return lines


def _is_lost(explained: Explained, then: Then | None) -> bool:
    return then is not None and then.leaves_open(explained)


def _in_force(then: Then) -> str:
    if then.held:
        return f"recipients, settings and law tables as entry {then.held.by} names them"
    return "recipients and settings as they are configured now: those of then are not on record"


def _rule_line(number: int, step: Step) -> str:
    if step.ruling is None:
        return f"  {number:>2}. {step.rule.asks:<74} go on"
    told = f"{step.ruling.answer} ({step.ruling.reason}): {step.ruling.rule}"
    return f"  {number:>2}. {step.rule.asks}\n      -> {told}"


def _as_json(explained: Explained, then: Then | None) -> dict[str, Any]:
    verdict = explained.verdict
    tried = [
        {
            "purpose": step.purpose,
            "class": step.data_class,
            "rule": step.rule.name,
            "asks": step.rule.asks,
            "ruling": step.ruling._asdict() if step.ruling else None,
        }
        for step in explained.steps
    ]
    told = {"allowed": verdict.allowed, "partly": verdict.partly, **verdict._asdict(), "tried": tried}
    return told | ({"allowed": None, "partly": None, "forgotten": True} if _is_lost(explained, then) else {})
