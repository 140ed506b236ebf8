"""`gateway void`: choices that two officers believe to be forged (R34)."""

import contextlib
import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway import lines
from gateway.app import House
from gateway.cli import options
from gateway.ledger import schema, void_choices
from gateway.ledger.entry import minute
from gateway.ledger.leaves import BODY, JOINED
from gateway.ledger.subjects import milliseconds, moment
from gateway.ledger.void_choices import Belief, NotVoided, Rehearsed, Voided
from gateway.people import Named
from gateway.terms import CALLERS_CHOICES, Source

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
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
@options.data
@options.config
@click.option("--seqs", type=FILE, help="The entries, a line each: its number first, the rest of a line is not read.")
@click.option("--belief", type=FILE, help="The documented belief: its hash goes into the ledger, its text does not.")
@click.option("--officer", "officers", multiple=True, help="Who decided; two different people.")
@click.option("--who", type=FILE, help='Identifiers, a line each, {"type", "value"}: prints whose choices were voided.')
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
@click.option("--list", "listing", is_flag=True, help="Print candidates; voids nothing.")
@click.option("--source", type=click.Choice([name.value for name in Source]), metavar="SOURCE",
              help="With --list: of this source.")  # fmt: skip
@click.option(
    "--between", nargs=2, type=options.MOMENT, help="With --list: accepted from then until before then (UTC)."
)
def void(
    data: Path, file: Path | None, seqs: Path | None, belief: Path | None, officers: tuple[str, ...],
    who: Path | None, dry_run: bool, listing: bool, source: str | None, between: tuple[datetime, datetime] | None,
) -> None:  # fmt: skip
    if listing:
        if not source or not between:
            raise click.UsageError("--list needs --source and --between")
        if between[1] <= between[0]:
            raise click.UsageError("--between: the second moment is not after the first")
        click.echo("\n".join(_candidates(data, source, between)))
        return
    if not seqs or not belief:
        raise click.UsageError("name the entries (--seqs) and the documented belief (--belief)")
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
        for job in void_choices.jobs(seqs, belief, datetime.now(UTC), rehearse=rehearse):
            try:
                total.add(house.writer.submit(job).result())
            except Rehearsed as rehearsed:
                total.add(rehearsed.voided)
    except NotVoided as refused:
        raise click.UsageError(str(refused)) from None
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


def _candidates(data: Path, source: str, between: tuple[datetime, datetime]) -> Iterator[str]:
    start, end = (milliseconds(each.replace(tzinfo=UTC)) for each in between)
    with contextlib.closing(schema.open_to_read(data)) as db:
        for seq, at, kind, body in db.execute(CANDIDATES, (start, end)):
            leaf = json.loads(body)
            if leaf["e"] in CALLERS_CHOICES and leaf.get("src") == source:
                yield f"{seq}  {minute(moment(at))}  {leaf['e']} {','.join(leaf.get('p', []))}  {kind}"
