"""`gateway evidence`, `record`, `export`, `appeal`, `suppression` and `disclosures`, for a privacy officer and an
auditor: a day's evidence, one record in a standard's form, the requests of a time, network information, the numbers of
a year, the word on an appeal, the file of people whom a recipient must not sell, share or target any more, and who got
what.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
import orjson

from gateway.app.composition import House
from gateway.cli import options
from gateway.cli.progress import Progress
from gateway.cli.rehearse import lines as lines_of_rehearsal
from gateway.desk.answered_requests import REASONS, STOPS, AnsweredRequest
from gateway.desk.evidence import REHEARSAL
from gateway.desk.suppression import NoPosition, got_anything, suppression_of
from gateway.disk import make_folder, write_durably
from gateway.records import consent_records, requests, who_got_what, year_report
from gateway.records import day as days
from gateway.records.who_got_what import QUESTIONS
from gateway.settings.load import Settings
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, DataClass, Purpose

AN_EVENT = "EVENT is an event id as answers and receipts have it"


def _days(start: date, end: date) -> tuple[date, date]:
    """The first day, and the day after the last one. A span the wrong way round holds nothing, which nobody means."""
    if end < start:
        raise click.UsageError("--to lies before --from")
    return start, end + timedelta(days=1)


def _tell_gone(gone: int) -> None:
    """Ends with 1 where not everything is there: who reads too small a number for the whole would be misled."""
    if gone:
        click.echo(f"{gone} entries of that time have no body any more, by retention: not in it, if requests", err=True)
        sys.exit(1)


@click.command(
    help="What was counted on a day (UTC), what failed from when until when, and the documents in force, with each"
    " change in the day. Each entry has its receipt: with --receipts FOLDER they are written there, to be checked by"
    " `gateway receipt verify`; with --documents FOLDER the documents themselves, to be checked by `sha256sum -c`. Exit"
    " code 1: nothing tells of that day, or a document is not there."
)
@options.installation
@click.option("--on", type=options.DAY, required=True, help="The day.")
@click.option("--receipts", type=click.Path(path_type=Path, file_okay=False), help="A folder for the receipts.")
@click.option("--documents", type=click.Path(path_type=Path, file_okay=False), help="A folder for the documents.")
@options.as_json
def evidence(
    data: Path, file: Path | None, on: date, receipts: Path | None, documents: Path | None, as_json: bool
) -> None:
    with options.house(data, file) as house:
        found = days.told_that_day(data, house.consent.log_reader, on)
    for item in found if receipts else ():
        _write_receipt(receipts, item)
    whole = _write_documents(documents, days.texts(data, found)) if documents else True
    if as_json:
        entries = [{"seq": item.seq, **item.content, "receipt": item.receipt} for item in found]
        click.echo(json.dumps({"day": on.isoformat(), "entries": entries}))
    else:
        click.echo("\n".join(_lines(found, on)) or f"nothing is on record for {on}")
    told = [item for item in found if item.of(on)]
    sys.exit(0 if whole and told and not any(item.content.get("gone") for item in told) else 1)


def _write_receipt(folder: Path | None, item: days.DayTold) -> None:
    if folder and item.receipt:
        make_folder(folder)
        write_durably(folder / f"{item.seq}.receipt", item.receipt.encode())


def _write_documents(folder: Path, texts: Mapping[days.DayNamed, bytes | None]) -> bool:
    """Each by its kind and hash, and SHA256SUMS beside them; whether all of them were there."""
    make_folder(folder)
    sums = []
    for named, body in texts.items():
        if body is None:
            click.echo(f"not in the ledger, or not what its hash says: {' '.join(named)}", err=True)
            continue
        name = f"{named.kind}-{named.sha256}"
        write_durably(folder / name, body)
        sums.append(f"{named.sha256}  {name}\n")
    write_durably(folder / "SHA256SUMS", "".join(sums).encode())
    return len(sums) == len(texts)


def _lines(found: list[days.DayTold], on: date) -> Iterator[str]:
    """The entries of the day, then what they name as in force, and what changed in it."""
    for item in (each for each in found if each.of(on)):
        content = item.content
        if content.get("gone"):
            span = f"{content['from']} to {content['until']}"
            yield f"entry {item.seq}  {content['k']}  {span}  its body went by retention"
            continue
        if content["k"] == REHEARSAL:
            yield from lines_of_rehearsal({"from": content["from"], "seq": item.seq, **content["told"]})
            continue
        yield f"entry {item.seq}  {content['k']}  {content['from']} to {content['until']}  run {content['run']}"
        for table, cells in content.get("counts", {}).items():
            yield f"  {table}"
            yield from (f"    {count:>12}  {name}" for name, count in cells.items())
        for what, start, end in content.get("spells", []):
            yield f"  {what} from {start} " + (f"to {end}" if end else "and it went on")
        if content["k"] == "cut_off":
            yield f"  no stop is on record: it ran until {content['until']} or up to a minute longer"
        yield from (
            "  desk's log: {} lines, the head after them {}".format(*each) for each in [content.get("desk")] if each
        )
        yield from (f"  changed: {kind}" for kind in content.get("changed", []))
        yield f"  receipt: {'yes' if item.receipt else 'not now'}, event {content['i']}"
    if found and not any(item.of(on) for item in found):
        yield f"nothing tells of {on}; the last entry before it was {found[-1].content['k']}, and named"
    yield from _in_force(found)


def _in_force(found: list[days.DayTold]) -> Iterator[str]:
    """What the first entry names (it may be the last one before the day), then what is another in each later one."""
    before: tuple[days.DayNamed, ...] | None = None
    for item in found:
        now = item.in_force
        if now is None or now == before:
            continue
        if before is None:
            yield f"in force, as entry {item.seq} of {item.content['until']} names them (SHA-256)"
            yield from (f"  {_document(each)}" for each in now)
        else:
            yield f"then, by entry {item.seq}, from {item.content['from']} to {item.content['until']}"
            yield from (f"- {_document(each)}" for each in before if each not in now)
            yield from (f"+ {_document(each)}" for each in now if each not in before)
        before = now


def _document(named: days.DayNamed) -> str:
    return f"{named.sha256}  {named.kind} {named.version} {named.language}".rstrip()


@click.command(
    context_settings=options.TAKES_EVENT,
    help="One choice as a record in a standard's form: ISO/IEC TS 27560:2023 (DPV JSON-LD) or a Kantara consent receipt"
    " 1.1. The person is named by the entry's commitment. Mandatory fields that nobody told are listed in `missing`;"
    " exit code 1 where there are any.",
)
@click.argument("event")
@options.installation
@click.option("--format", "form", type=click.Choice(["27560", "kantara"]), required=True)
def record(event: str, data: Path, file: Path | None, form: str) -> None:
    settings = options.stated_settings(file)
    controller: dict[str, Any] = msgspec.to_builtins(settings.controller)
    with options.house(data, file) as house, contextlib.closing(house.vault()) as vault:
        try:
            policy = "" if settings.sites else settings.site.policy_url  # with several, nobody kept which it was
            known = consent_records.read_material(data, options.id_of(event, AN_EVENT), vault.keys, controller, policy)
        except consent_records.NoBody as gone:
            raise click.ClickException(str(gone)) from None
    if known is None or known.kind not in consent_records.CHOICES:
        raise click.UsageError("no choice of a person has this event")
    try:
        told = consent_records.render_iso_27560(known) if form == "27560" else consent_records.render_kantara(known)
    except consent_records.NoConsent as refused:
        raise click.UsageError(str(refused)) from None
    click.echo(json.dumps(told, indent=1))
    sys.exit(1 if told["missing"] else 0)


@click.group(help="Take records out: requests for an auditor or a successor.")
def export() -> None:
    pass


@export.command(
    "requests",
    help="The requests received from a day to another (both included, UTC), a JSON line each: date, nature, manner,"
    " answer and its date, basis of a denial, appeal. No identifier is in it. --details adds what was said beside it.",
)
@options.installation
@options.days
@click.option("--details", is_flag=True, help="Open the sealed details, for the desk.")
def requests_(data: Path, file: Path | None, start: date, end: date, details: bool) -> None:
    first, after = _days(start, end)
    with options.house(data, file) as house, contextlib.closing(house.vault()) as vault:
        for request in requests.between(data, first, after, vault.keys if details else None):
            click.echo(json.dumps(request.to_json()))
    _tell_gone(requests.gone(data, first, after))


@export.command(
    "network-information",
    help="What the officer's yearly certificate rests on (47 CFR 64.2009(e)), from a day to another (both included,"
    " UTC): notices, approvals and refusals, campaigns and disclosures, the texts, and when nobody could opt out."
    " JSON, of counts and days; nobody is named.",
)
@options.data
@options.days
def network(data: Path, start: date, end: date) -> None:
    click.echo(json.dumps(who_got_what.network_information_told(data, *_days(start, end)), indent=1))


@export.command(
    "report",
    help="The numbers of a calendar year (11 CCR 7102), as GET /v1/reports/{year} gives them; what nobody counted is"
    " not there.",
)
@options.data
@click.argument("year", type=click.IntRange(2018, 9998))
@click.option("--place", default="", help="Only what came from there: US-CO, or CA with its provinces.")
@click.option("--format", "form", type=click.Choice(["json", *year_report.FORMS]), default="json", show_default=True)
def report(data: Path, year: int, place: str, form: str) -> None:
    options.check_place(place)
    told = year_report.yearly_report(data, year, place)
    write = year_report.FORMS.get(form)
    click.echo(write(told) if write else json.dumps(told, indent=1), nl=write is None)
    _tell_gone(told.get("bodies_gone", 0))


@click.command(
    help="Count a request that was answered elsewhere, or denied: of which nothing else here is written. An opt-out, a"
    " limit, an erasure or access that the gateway carries out counts by itself. No person is named."
)
@click.argument("nature", type=click.Choice(sorted(REASONS)))
@options.installation
@options.came
@click.option("--on", type=options.DAY, help="The day (UTC) of the answer; without it today.")
@click.option(
    "--denied", type=click.Choice(sorted({each for some in REASONS.values() for each in some})), help="Why, if it was."
)
def answered(nature: str, data: Path, file: Path | None, on: date | None, denied: str | None, **values: Any) -> None:
    came, today = options.how_it_came(values), datetime.now(UTC).date()
    on = on or today
    received = came.received.date() if came.received else on
    if not received <= on <= today:
        raise click.UsageError("an answer comes after its request, and not after today")
    if denied is None and nature in STOPS:
        raise click.UsageError(f"{nature} that is complied with is entered: gateway choose")
    if denied is not None and denied not in REASONS[nature]:
        raise click.UsageError(f"{nature} is denied for {' or '.join(REASONS[nature])}")
    asked = AnsweredRequest(nature, received, on, manner=came.manner, place=came.place, denied=denied or "")
    with options.house(data, file) as house:
        asyncio.run(house.consent.note_answered(asked))
    click.echo(f"{nature} of {received}: {f'denied, {denied}' if denied else 'complied with'} on {on}, counted")


@click.command(
    context_settings=options.TAKES_EVENT,
    help="Record that somebody appealed against the answer to a request, and later what came of it.",
)
@click.argument("event")
@options.installation
@click.option("--outcome", type=click.Choice(requests.APPEAL_OUTCOMES), required=True)
def appeal(event: str, data: Path, file: Path | None, outcome: str) -> None:
    wanted, at = options.id_of(event, AN_EVENT), datetime.now(UTC)
    with options.house(data, file) as house:
        seq = house.writer.submit(lambda tx: requests.note_appeal(tx, wanted, outcome, at)).result()
    if seq is None:
        raise click.UsageError("no request has this event")
    click.echo(f"{outcome}: entry {seq}")


@click.command(
    help="Write the digests of those who opted out, of the people that RECIPIENT got from us and of nobody else, in the"
    " recipient's own digest ([recipients.X] digest). --since LOG:POSITION: only what may have changed, or was sent"
    " to it, since an earlier file, whose position was printed with it (gateway help delivery)."
)
@click.argument("recipient")
@options.installation
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--format", "form", type=click.Choice(["csv", "uid2"]), default="csv", show_default=True)
@click.option("--since", metavar="LOG:POSITION", default=None, help="An earlier file's position, as it was printed.")
def suppression(recipient: str, data: Path, file: Path | None, out: Path, form: str, since: str | None) -> None:
    configured = options.stated_settings(file)
    with options.house(data, file) as house:
        algorithm, purposes = _file_of(house, configured, recipient)
        if form == "uid2" and algorithm != "sha256":
            raise click.UsageError("a uid2 file holds sha256 digests")
        try:
            with Progress("looking for who opted out"):
                found = house.writer.submit(
                    lambda tx: suppression_of(tx, recipient, algorithm, purposes, since or "")
                ).result()
        except NoPosition as refused:
            raise click.UsageError(str(refused)) from None
        end = int(house.consent.clock().timestamp())
    content = who_got_what.as_csv(found.listed) if form == "csv" else who_got_what.as_uid2(found.listed, 0, end)
    write_durably(out, content)
    written = len(found.listed) if form == "csv" else who_got_what.of_uid2(found.listed)
    click.echo(f"{written} digests; the next file: --since {found.position}")
    if written < len(found.listed):
        click.echo(f"{len(found.listed) - written} more are of kinds that {form} has no place for", err=True)
    if found.unnamed:
        click.echo(f"{found.unnamed} more have no {algorithm} digest that {recipient} could know", err=True)


def _file_of(house: House, configured: Settings, recipient: str) -> tuple[str, set[Purpose]]:
    """In which digest its file is, and a no to what is on it. Of one that has another name by now, or is gone, as of
    somebody of whom nothing is known: what it got it has.
    """
    known = house.consent.recipients.get(recipient)
    if known is not None:
        return configured.recipients[recipient].digest, {*SIGNAL_PURPOSES, *known.purposes} & set(CHOOSABLE)
    if house.writer.submit(lambda tx: got_anything(tx, recipient)).result():
        return "sha256", set(CHOOSABLE)  # as without a digest of its own
    raise click.UsageError(f"no recipient {recipient!r} is configured")


YEAR = timedelta(days=366)  # the longest


@click.command(
    help="Answer who got what."
    " received: who got data of one person (name them; you have looked at who asks). direct_marketing: categories"
    " and recipients of a calendar year (Cal. Civ. Code 1798.83). network_information: the year's log (47 CFR 64.2009)."
    " sent_after_opt_out: must be empty; exit code 1 where it is not."
)
@click.argument("question", type=click.Choice(QUESTIONS))
@options.installation
@options.identifiers
@click.option(
    "--class",
    "classes",
    multiple=True,
    type=click.Choice([name.value for name in DataClass]),
    metavar="CLASS",
    help="Of received: only these data classes.",
)
@click.option("--year", type=click.IntRange(2018, 9997), help="Of direct_marketing; without it last year.")
@click.option("--from", "since", type=options.DAY, help="Of network_information; without it a year ago.")
@options.as_json
def disclosures(
    question: str,
    data: Path,
    file: Path | None,
    classes: tuple[str, ...],
    year: int | None,
    since: date | None,
    as_json: bool,
    **values: Any,
) -> None:
    identifiers, today = options.listed(values), datetime.now(UTC).date()
    if question != "received" and (identifiers or classes):
        raise click.UsageError(f"{question} is of everybody: only `received` is of a person or of data classes")
    first, year = since or today - YEAR, year or today.year - 1
    with options.house(data, file) as house:
        found = {
            "received": lambda: list(_received(house, identifiers, {*classes})),
            "direct_marketing": lambda: who_got_what.direct_marketing(data, year, house.consent.recipients),
            "network_information": lambda: who_got_what.network_information(data, first, today + timedelta(days=1)),
            "sent_after_opt_out": lambda: who_got_what.after_an_opt_out(data),
        }[question]()
    if as_json:
        click.echo(orjson.dumps(found))
    else:
        click.echo("\n".join(map(_disclosed, found)) or "none")
    sys.exit(1 if found and question == "sent_after_opt_out" else 0)


def _received(house: House, identifiers: list[dict[str, object]], classes: set[str]) -> Iterator[dict[str, Any]]:
    named = house.consent.people.name(identifiers)
    if not named.subjects:
        raise click.UsageError("name whom it is about")
    for each in asyncio.run(house.consent.access(named.subjects)).received:
        if not classes or not classes.isdisjoint(each.classes):
            yield {
                "recipient": each.recipient,
                "day": each.first.date().isoformat(),
                "purposes": each.purposes,
                "data": each.classes,
                "outcome": each.outcome,
                "count": each.count,
            }


def _disclosed(found: dict[str, Any]) -> str:
    words = {name: ",".join(value) if isinstance(value, list | tuple) else value for name, value in found.items()}
    return "  ".join(f"{name} {value}" for name, value in words.items() if value is not None)
