"""What the operator's office says of people and of its own texts: who was told, how old somebody is, which notices and
screens there are, and which screens were no fair question.
"""

import asyncio
import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.choice.law import AGES
from gateway.cli import options
from gateway.ledger.documents import DESPITE_SIGNAL, NOTICE, SCREEN, Document
from gateway.ledger.subjects import Subject
from gateway.terms import NoticeKind, Told

OLDEST_FIRST = tuple(reversed(AGES))


@click.command(help="Record that people were shown or sent a notice, or that it came back (bounced).")
@click.argument("notice", type=click.Choice([kind.value for kind in NoticeKind]))
@options.data
@options.config
@options.identifiers
@click.option("--outcome", type=click.Choice([word.value for word in Told]), default=Told.SENT.value, show_default=True)
@click.option("--on", "day", type=options.DAY, help="The day (UTC); without it today.")
def told(notice: str, data: Path, file: Path | None, outcome: str, day: datetime | None, **values: Any) -> None:
    now = datetime.now(UTC).date()
    on = day.date() if day else now
    if on > now:
        raise click.UsageError("--on lies in the future")
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        subjects = _subjects(named.subjects)
        asyncio.run(house.consent.tell(subjects, NoticeKind(notice), on, Told(outcome)))
    click.echo(f"{outcome} on {on}: recorded for {len(subjects)}")
    options.all_used(named)


@click.command(
    help="Record how old somebody is. The youngest that was ever on record has to opt in again to come back."
)
@click.argument("band", type=click.Choice(OLDEST_FIRST))
@options.data
@options.config
@options.identifiers
def age(band: str, data: Path, file: Path | None, **values: Any) -> None:
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        subjects = _subjects(named.subjects)
        changed = asyncio.run(house.consent.say_age(subjects, band, may_rise=True))
    click.echo(f"{changed} of {len(subjects)} changed")
    options.all_used(named)


@click.command(help="Log a text that people are shown, once; prints the hash that a choice names it by.")
@click.argument("text", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.data
@options.config
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
    help="Take back every opt-in that one screen asked for (11 CCR 7004(b)). REASON is a file with the documented"
    " reason: its hash goes into the ledger, its text does not.",
)
@click.argument("reason", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.data
@options.config
@click.option("--ui", required=True, help="The screen's name, as choices gave it.")
def void_consents(reason: Path, data: Path, file: Path | None, ui: str) -> None:
    with options.house(data, file) as house:
        voided = asyncio.run(house.consent.void_consents(ui, hashlib.sha256(reason.read_bytes()).digest()))
    click.echo(f"{voided} opt-ins voided")
    if not voided:
        click.echo(f"no opt-in that holds was asked for on a screen of the name {ui!r}", err=True)
        sys.exit(1)


def _subjects(subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
    if not subjects:
        raise click.UsageError("name at least one usable identifier")
    return subjects
