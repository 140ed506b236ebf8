"""`gateway choose`, `link`, `told`, `age`, `notice`, `void-consents`, `void` and `unsubscribe-link`: writing
from the desk.

What the operator's office says of people and of its own texts: who was told, how old somebody is, which notices and
screens there are, which screens were no fair question, and which choices two officers believe to be forged (R34).
`unsubscribe-link` makes a link that ends marketing, for a sender of e-mail that is a script.
"""

import asyncio
import contextlib
import hashlib
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.app.composition import House, now
from gateway.app.from_settings import people_of
from gateway.choice.identity import phone_number
from gateway.choice.law import AGES
from gateway.choice.place import country_of
from gateway.cli import options
from gateway.consent import tokens
from gateway.consent.people import Named
from gateway.desk import own_systems
from gateway.desk.documents import DESPITE_SIGNAL, NOTICE, SCREEN, Document
from gateway.desk.recipients_to_tell import void_passed_on
from gateway.keys import secret_files as secrets_of
from gateway.ledger.acts import office_acts
from gateway.ledger.acts.links import Span
from gateway.ledger.acts.office_acts import Belief, NotVoided, Rehearsed, Voided
from gateway.ledger.entry import minute
from gateway.ledger.folder_store import store_in
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.subjects import Choice, Subject, milliseconds, moment, residing
from gateway.signals import lines
from gateway.terms import (
    ALL_PURPOSES,
    CALLERS_CHOICES,
    CHOOSABLE,
    ChoiceKind,
    Manner,
    NoticeKind,
    Purpose,
    Source,
    Told,
)

ADDED = {
    "email": Source.EMAIL,
    "phone": Source.PHONE,
    "letter": Source.LETTER,
    "agent": Source.AGENT,
    "sms": Source.SMS,
}
DESK = ("case", "agent", "permission")  # what an officer notes of a letter


@click.command(help="Enter a choice that came by e-mail, phone or letter: opt_out or limit.")
@click.argument("choice", type=click.Choice([ChoiceKind.OPT_OUT.value, ChoiceKind.LIMIT.value]))
@options.installation
@options.identifiers
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    type=click.Choice([purpose.value for purpose in CHOOSABLE]),
    help="Without it all; of limit, sensitive.",
)
@click.option("--manner", type=click.Choice([manner.value for manner in Manner]), help="How it came.")
@click.option("--received", type=options.MOMENT, help=f"The day it came ({options.AT}).")
@click.option("--place", default="", help="US-CA, DE.")
@click.option("--case", default="", help="Your case number; it and the next two are sealed beside the entry.")
@click.option("--agent", default="", help="Who asked for them.")
@click.option("--permission", default="", help="Where the signed permission of the agent lies.")
@click.option(
    "--tie",
    is_flag=True,
    help="Link what is listed to the account that is listed; where several are, nothing is linked.",
)
def choose(
    choice: str,
    data: Path,
    file: Path | None,
    purposes: tuple[str, ...],
    manner: str | None,
    received: datetime | None,
    place: str,
    tie: bool,
    **values: Any,
) -> None:
    # Of a byte that is no UTF-8 a shell makes half a letter, with which the sealed box could not be read any more.
    details = {name: text.encode(errors="replace").decode() for name in DESK if (text := values.pop(name))}
    at = datetime.now(UTC)
    if received and received > at:
        raise click.UsageError("--received lies in the future")
    options.check_place(place)
    kind = ChoiceKind(choice)
    default = (Purpose.SENSITIVE,) if kind is ChoiceKind.LIMIT else ALL_PURPOSES
    named_purposes = tuple(map(Purpose, purposes)) or default
    source = ADDED.get(manner or "", Source.API)
    details |= residing(place)
    said = Choice(kind, named_purposes, source, at, place, manner=manner or "", received=received, details=details)
    with options.house(data, file) as house:
        stated = options.listed(values)
        named = house.consent.people.name(stated, country_of(place)).for_a_no()
        _subjects(named, stated)
        chosen = asyncio.run(house.consent.choose(named.subjects, said, tie=tie))
    for event in chosen.events:
        click.echo(f"kept as {event['event']}, entry {event['seq']}")
    click.echo("\n".join(f"  {name}: {word}" for name, word in chosen.standing.items()))
    for subject in named.subjects:
        if subject.further:
            click.echo(f"a number without its country code, read as {readings(subject)}; tied to no account")
    if tie and sum(subject.is_account for subject in named.subjects) > 1:
        click.echo("of several accounts none is tied to anything", err=True)
    of_marketing = own_systems.marketing_last(named_purposes, received) if received else None
    if received and (last := of_marketing or house.telling.calendar.deadline(choice, received)) < at:
        click.echo(f"late: its last day was {last:%Y-%m-%d}; note why with the case", err=True)
    options.all_used(named, stated)


@click.command(help="Tell which identifiers an account has. --account names it, the others are linked.")
@options.installation
@options.identifiers
@click.option("--released", is_flag=True, help="The identifiers go back to the pool: their links end now.")
def link(data: Path, file: Path | None, released: bool, **values: Any) -> None:
    with options.house(data, file) as house:
        stated = options.listed(values)
        named = house.consent.people.name(stated)
        accounts = [subject for subject in named.subjects if subject.is_account]
        others = [subject for subject in named.subjects if not subject.is_account]
        if len(accounts) != 1 and not released:
            raise click.UsageError("name one --account")
        account = accounts[0] if accounts else None
        span = Span(milliseconds(datetime.now(UTC)))
        told = asyncio.run(house.consent.link(account, others, span, released=released))
    click.echo(f"{told.changed} links changed")
    if told.unclear:
        click.echo(f"{len(told.unclear)} passed over: they may be several people's", err=True)
    options.all_used(named, stated)


def readings(subject: Subject) -> str:
    """A number by the countries that it may be of, and its last digits."""
    shown = [phone_number.shown(each.value) for each in (subject, *subject.further)]
    return " and ".join(f"one of {country} that ends in {digits}" for country, digits in shown)


OLDEST_FIRST = tuple(reversed(AGES))


@click.command(help="Record that people were shown or sent a notice, or that it came back (bounced).")
@click.argument("notice", type=click.Choice([kind.value for kind in NoticeKind]))
@options.installation
@options.identifiers
@click.option("--outcome", type=click.Choice([word.value for word in Told]), default=Told.SENT.value, show_default=True)
@click.option("--on", type=options.DAY, help="The day (UTC); without it today.")
def told(notice: str, data: Path, file: Path | None, outcome: str, on: date | None, **values: Any) -> None:
    today = now().date()
    on = on or today
    if on > today:
        raise click.UsageError("--on lies in the future")
    with options.house(data, file) as house:
        stated = options.listed(values)
        named = house.consent.people.name(stated)
        subjects = _subjects(named, stated)
        asyncio.run(house.consent.tell(subjects, NoticeKind(notice), on, Told(outcome)))
    click.echo(f"{outcome} on {on}: recorded for {len(subjects)}")
    options.all_used(named, stated)


@click.command(
    help="Record how old somebody is. The youngest that was ever on record has to opt in again to come back."
)
@click.argument("band", type=click.Choice(OLDEST_FIRST))
@options.installation
@options.identifiers
def age(band: str, data: Path, file: Path | None, **values: Any) -> None:
    with options.house(data, file) as house:
        stated = options.listed(values)
        named = house.consent.people.name(stated)
        subjects = _subjects(named, stated)
        changed = asyncio.run(house.consent.say_age(subjects, band, may_rise=True))
    click.echo(f"{changed} of {len(subjects)} changed")
    options.all_used(named, stated)


@click.command(help="Log a text that people are shown, once; prints the hash that a choice names it by.")
@click.argument("text", type=options.FILE)
@options.installation
@click.option("--name", "version", required=True, help="Its version; of a screen its name, the `ui` of a choice.")
@click.option("--language", default="en", show_default=True, help="The language of the text (BCP 47).")
@click.option(
    "--screen", is_flag=True, help="It is the copy of a screen that asks, with a refusal as plain as the yes."
)
@click.option(
    "--despite-signal", is_flag=True, help="It says that a signal (GPC) is on and what opting in means for it."
)
def notice(
    text: Path, data: Path, file: Path | None, version: str, language: str, screen: bool, despite_signal: bool
) -> None:
    kind = SCREEN if screen else DESPITE_SIGNAL if despite_signal else NOTICE
    document = Document(kind, version, language, text.read_bytes())
    with options.house(data, file) as house:
        asyncio.run(house.consent.log([document]))
    click.echo(document.sha256.hex())


@click.command(
    "void-consents",
    help="Take back every opt-in that one screen asked for (11 CCR 7004(b)), and tell how many were given, also those"
    " that a later choice had replaced. REASON is a file with the documented reason: its hash goes into the ledger, its"
    " text does not.",
)
@click.argument("reason", type=options.FILE)
@options.installation
@click.option("--name", "ui", required=True, help="The screen's name, the `ui` of a choice.")
def void_consents(reason: Path, data: Path, file: Path | None, ui: str) -> None:
    with options.house(data, file) as house:
        voided = asyncio.run(house.consent.void_consents(ui, hashlib.sha256(reason.read_bytes()).digest()))
    click.echo(f"{voided} opt-ins voided")
    if not voided:
        click.echo(f"no opt-in was asked for on a screen of the name {ui!r}, or they were voided before", err=True)
        sys.exit(1)


def _subjects(named: Named, stated: Sequence[Mapping[str, object]]) -> tuple[Subject, ...]:
    if not named.subjects:
        raise click.UsageError(f"name at least one usable identifier; {options.unused(named, stated)}")
    return named.subjects


@click.command(
    "unsubscribe-link",
    help="Print a link that ends marketing for whoever is named, and the header fields of RFC 8058 for the message.",
)
@options.installation
@options.identifiers
@click.option(
    "--purpose",
    default=Purpose.MARKETING_EMAIL.value,
    show_default=True,
    help="The channel that ends.",
    type=click.Choice([channel.value for channel in tokens.CHANNELS]),
)
@options.as_json
def unsubscribe(data: Path, file: Path | None, purpose: str, as_json: bool, **values: Any) -> None:
    settings, secrets = options.stated_settings(file), secrets_of.load_secrets(data)
    if not settings.site.url:
        raise click.UsageError("[site] url is not configured: where would the link lead?")
    named = people_of(settings, secrets, now).name(options.listed(values))
    try:
        link = tokens.unsubscribe_link_of(Purpose(purpose), named.subjects)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if named.ignored:
        raise click.UsageError("an identifier cannot be read")
    made = tokens.unsubscribe_answer(settings.site.url, tokens.seal_unsubscribe(secrets.seals, link))
    lines = [made.url, *(f"{name}: {value}" for name, value in made.headers.items())]
    click.echo(msgspec.json.encode(made).decode() if as_json else "\n".join(lines))


CANDIDATES = f"""
SELECT d.seq, d.at, d.kind, {BODY} FROM detail d {JOINED}
WHERE d.at >= ? AND d.at < ? AND {BODY} IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM voided_choice v WHERE v.seq = d.seq) ORDER BY d.seq
"""  # noqa: S608 - the pieces are ours


@click.command(
    help="Void choices that are believed to be forged, in good faith and in writing (11 CCR 7026(e)). Each entry is"
    " named in a file; --list prints those of a source and a time, to be read before they are named. Nothing is"
    " deleted. `gateway help void` says whom to tell, and how."
)
@options.installation
@click.option(
    "--seqs", type=options.FILE, help="The entries, a line each: its number first, the rest of a line is not read."
)
@click.option(
    "--note",
    "belief",
    type=options.FILE,
    help="The documented belief: its hash goes into the ledger, its text does not.",
)
@click.option("--officer", "officers", multiple=True, help="Who decided; two different people.")
@click.option(
    "--who", type=options.FILE, help='Identifiers, a line each, {"type", "value"}: prints whose choices were voided.'
)
@click.option("--dry-run", is_flag=True, help="Only tell what would change, each part of 10 choices by itself.")
@click.option("--list", "listing", is_flag=True, help="Print candidates; voids nothing.")
@click.option(
    "--source",
    type=click.Choice([name.value for name in Source]),
    metavar="SOURCE",
    help="With --list: of this source.",
)
@click.option("--from", "start", type=options.MOMENT, help=f"With --list: accepted from then on ({options.AT}).")
@click.option("--to", "end", type=options.MOMENT, help=f"With --list: accepted before then ({options.AT}).")
def void(
    data: Path,
    file: Path | None,
    seqs: Path | None,
    belief: Path | None,
    officers: tuple[str, ...],
    who: Path | None,
    dry_run: bool,
    listing: bool,
    source: str | None,
    start: datetime | None,
    end: datetime | None,
) -> None:
    if listing:
        if not source or not start or not end:
            raise click.UsageError("--list needs --source, --from and --to")
        if end <= start:
            raise click.UsageError("--to is not after --from")
        click.echo("\n".join(_candidates(data, source, start, end)))
        return
    if not seqs or not belief:
        raise click.UsageError("name the entries (--seqs) and the documented belief (--note)")
    held = Belief(hashlib.sha256(belief.read_bytes()).digest(), officers)
    with options.house(data, file) as house:
        deque(_named(house, who), maxlen=0)  # all of it can be read, before anything is voided
        voided = _void(house, _numbers(seqs), held, rehearse=dry_run)
        verb = "would be voided" if dry_run else "were voided"
        click.echo(f"{voided.entries} choices {verb}; {len(voided.changed)} standings change")
        for line, whom in _named(house, who):
            if (voided.keys | voided.changed).intersection(whom.keys):
                click.echo(line)


def _void(house: House, seqs: Iterable[int], belief: Belief, *, rehearse: bool) -> Voided:
    total = Voided()
    try:
        for job in office_acts.void_jobs(seqs, belief, datetime.now(UTC), rehearse=rehearse):
            try:
                total.add(house.writer.submit(job).result())
            except Rehearsed as rehearsed:
                total.add(rehearsed.voided)
        for tell in void_passed_on(sorted(total.keys), datetime.now(UTC)) if not rehearse else ():
            house.writer.submit(tell).result()
    except NotVoided as refused:  # parts of it may stand
        raise click.UsageError(str(refused)) from None
    finally:
        if not rehearse:
            asyncio.run(house.consent.leases.all_of_now())
    return total


def _numbers(file: Path) -> list[int]:
    """All of them, or none: a list that was read in part would void in part."""
    found = list[int]()
    for number, text in _said(file):
        word = text.split()[0]
        if text.startswith("#"):
            continue
        if not (word.isascii() and word.isdecimal()):
            raise click.UsageError(f"{file}: line {number}: its first word is not the number of an entry")
        found.append(int(word))
    return found


def _said(file: Path) -> Iterator[tuple[int, str]]:
    """The lines with something on them, by number; of one that cannot be read, an error that names it."""
    with file.open("rb") as opened:
        for line in lines.of_text(opened):
            try:
                text = lines.words_of(line)
            except ValueError as error:
                raise click.UsageError(f"{file}: line {line.number}: {error}") from None
            if text.strip():
                yield line.number, text


def _named(house: House, file: Path | None) -> Iterator[tuple[str, Named]]:
    """Each line of somebody's, and whom it names; an error where one cannot be read, for they would not be told."""
    for number, text in _said(file) if file else ():
        try:
            named = house.consent.people.name([json.loads(text)]).for_a_no()
        except (ValueError, RecursionError):
            named = Named()
        if not named.subjects:
            raise click.UsageError(
                f'{file}: line {number} is no usable {{"type", "value"}}: put it right or take it out'
            )
        yield text, named


def _candidates(data: Path, source: str, *span: datetime) -> Iterator[str]:
    with contextlib.closing(store_in(data).open_to_read()) as db:
        for seq, at, kind, body in db.execute(CANDIDATES, tuple(map(milliseconds, span))):
            leaf = json.loads(body)
            if leaf["e"] in CALLERS_CHOICES and leaf.get("src") == source:
                yield f"{seq}  {minute(moment(at))}  {leaf['e']} {','.join(leaf.get('p', []))}  {kind}"
