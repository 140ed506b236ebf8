"""`gateway import`: a list of old opt-outs, as the system before this one left it, for an officer. Each line of it is
counted once, and whatever of a no cannot be read makes it wider, never narrower.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self, cast

import click
from phonenumbers import SUPPORTED_REGIONS

from gateway.app.composition import House
from gateway.choice.place import PLACE, country_of
from gateway.cli import options
from gateway.cli.progress import Progress
from gateway.cli.say import readings
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice, Subject, every_reading, residing
from gateway.signals import lines
from gateway.signals.lines import Columns, Empty, ListRow, NoHeader, RefusedLine
from gateway.terms import ALL_PURPOSES, CHOOSABLE, ChoiceKind, Purpose, Source
from gateway.web.shell import wire

BATCH = 100  # lines that wait for one another, as of a call of the desk
TRIES, PAUSE = 20, 1.0  # of a row whose ledger is busy: a try waits ten seconds (writer.WRITE_SECONDS), then this long
COLUMNS = Columns(("type", "value", "purposes", "made_at", "place", "country"), ("type", "value"))
KEPT, DOUBT, REFUSED, EMPTY = "kept", "kept in doubt", "refused", "empty"
# What a spreadsheet makes of a long number, and of what it cannot show: 1.41556E+10, #N/A, #####.
SPREADSHEET = re.compile(r"[0-9]+([.,][0-9]*)?E\+[0-9]+|#+|#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)", re.IGNORECASE)
SHORTENED = "value is a number or an error as a spreadsheet shows it, its digits are gone: format the column as text"
UNREAD = {
    "limited": "limited: an id that its platform withholds is nobody's, and denied everywhere",
    "undeclared": "undeclared: type is a kind of identifier (gateway help identifiers), or one of [identifiers]",
    "malformed": "malformed: value is none of its type",
}
LISTED = re.compile(r"[;,|]")
IN_PARTS = "value may be several: opted out as it stands, and each part of it"
ALL = "all"
STDIN = "-"
NOBODY = "malformed: value is empty"
EVERYTHING = "opted out of everything"
NO_PLACE = "place is an ISO 3166 code: US-CA, DE; kept without"
NO_COUNTRY = "country is an ISO 3166-1 code with numbers of its own: US, MX; the number was read without"
NO_MOMENT = "made_at is a time that was: 2026-11-20, 2026-11-20T08:00Z; kept without"
CHANGED = "the file changed while it was read: import it again"
STOPPED = "stopped before the end of the file: import it again, what was kept is kept once"


class ListOutcome(NamedTuple):
    """What became of one line. `why`: what an officer is told of it; `before`: the same was kept by an earlier run or
    line.
    """

    number: int
    word: str
    why: tuple[str, ...] = ()
    before: bool = False


@click.command(
    "import",
    help="Take in existing opt-outs from a CSV in UTF-8 with a header: type,value[,purposes,made_at,place,country]; -"
    " reads standard input. Purposes are separated by blanks; empty means all. Numbers without a country code are read"
    " in the line's country, else in that of its place, else in --country, and in each of [phone] countries where they"
    " are valid; lines that may be numbers of several are listed. A row is one line. Each line is counted once: kept,"
    " kept in doubt, refused or empty. What is in doubt opts out of everything. Lines in doubt and refused are listed"
    " by number, and then the exit code is 1 (gateway help lists). Running it again changes nothing for 35 days,"
    " also where a run was ended in the middle.",
)
@click.argument("csv_file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@options.installation
@click.option("--country", default="", help="Of numbers without a country code: US, MX. Default: [phone] country.")
def import_(csv_file: Path, data: Path, file: Path | None, country: str) -> None:
    if country and country.upper() not in SUPPORTED_REGIONS:
        raise click.UsageError("--country is an ISO 3166-1 code with numbers of its own: US, MX")
    tally = ListTally()
    with options.house(data, file) as house, click.open_file(str(csv_file), "rb") as file_opened:
        opened = cast("BinaryIO", file_opened)
        size = None if str(csv_file) == STDIN else os.fstat(opened.fileno()).st_size
        try:
            rows = COLUMNS.rows(lines.of_text(opened))
        except NoHeader as refused:
            raise click.UsageError(str(refused)) from None
        with tally.told():
            asyncio.run(_import(house, rows, country, tally))
        changed = size is not None and opened.tell() != size
    if changed:
        click.echo(CHANGED, err=True)
    sys.exit(0 if tally.whole and not changed else 1)


@dataclass(slots=True)
class ListTally:
    """What became of the lines behind a header. Each comes out of the import as one `Outcome`, whatever it was, so that
    the sums are those of the file.
    """

    counts: Counter[str] = field(default_factory=Counter)
    before: int = 0

    def add(self, outcomes: Iterable[ListOutcome], tell: Callable[[str], None]) -> None:
        for outcome in outcomes:
            self.counts[outcome.word] += 1
            self.before += outcome.before
            for why in outcome.why:
                tell(f"  line {outcome.number}: {why}")

    @property
    def whole(self) -> bool:
        """Every row was kept as it stands."""
        return not self.counts[DOUBT] and not self.counts[REFUSED]

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Says the sum and its parts, also of a run that is stopped."""
        try:
            yield
        except BaseException:
            click.echo(STOPPED, err=True)
            raise
        finally:
            parts = ", ".join(f"{self.counts[word]} {word}" for word in (KEPT, DOUBT, REFUSED, EMPTY))
            again = f"; {self.before} were there before" if self.before else ""
            click.echo(f"{self.counts.total()} lines: {parts}{again}")


async def _import(house: House, rows: Iterator[ListRow | RefusedLine | Empty], country: str, tally: ListTally) -> None:
    """Some rows at a time, each durable before it is counted."""
    with Progress("lines entered:") as progress:
        while part := list(islice(rows, BATCH)):
            tally.add(await asyncio.gather(*(_outcome(house, row, country) for row in part)), progress.tell)
            progress.count = tally.counts.total()


async def _outcome(house: House, row: ListRow | RefusedLine | Empty, country: str) -> ListOutcome:
    """The entry and its Idempotency-Key, which is the row and whom it was read as, are one transaction: whenever a run
    is ended, the next one does what is left, and nothing twice. A row that is read as somebody else is another one.
    """
    if isinstance(row, Empty):
        return ListOutcome(row.number, EMPTY)
    if isinstance(row, RefusedLine):
        return ListOutcome(row.number, REFUSED, (row.why,))
    kind, value = row.cells["type"].strip(), row.cells["value"]
    if not value.strip() or SPREADSHEET.fullmatch(value.strip()):
        return ListOutcome(row.number, REFUSED, (SHORTENED if value.strip() else NOBODY,))
    said = OldNo.of(row, datetime.now(UTC))
    named = house.consent.people.name([{"type": kind, "value": value}], said.country or country).for_a_no()
    parts = _parts(named.subjects, value)
    if parts:
        each = house.consent.people.name([{"type": kind, "value": part} for part in parts]).for_a_no()
        named = named.beside(each.subjects)
    if not named.subjects:
        return ListOutcome(row.number, REFUSED, (UNREAD[named.ignored[0][1]],))
    whom = [(each.kind, each.value) for each in every_reading(named.subjects)]
    content = said.content + repr((country, whom)).encode()
    key = f"import:{house.consent.secrets.row_key(content)}"
    before = await _entered(house, named.subjects, said.choice, key, content)
    several = (subject for subject in named.subjects if subject.further)
    read = tuple(f"a number without its country code, read as {readings(subject)}" for subject in several)
    doubts = (*said.doubts, *((IN_PARTS,) if parts else ()))
    return ListOutcome(row.number, DOUBT if doubts else KEPT, (*doubts, *read), before)


def _parts(subjects: Sequence[Subject], value: str) -> list[str]:
    """What a value may be a list of whose form is its owner's, so that nobody can tell whether it is one: the value as
    it stands and each part of it are opted out.
    """
    if not any(each.is_account or each.kind.startswith("id:") for each in subjects):
        return []
    parts = [part.strip() for part in LISTED.split(value)]
    return [part for part in parts if part] if len(parts) > 1 else []


async def _entered(house: House, subjects: Sequence[Subject], said: Choice, key: str, content: bytes) -> bool:
    """Whether it was entered before this run. A list of an hour is not given up for a busy minute: the same key makes
    one entry of all tries. Raises `StoreUnavailable`.
    """
    for tried in range(TRIES - 1):
        with contextlib.suppress(StoreUnavailable):
            done = await house.consent.choose(subjects, said, key=key, body=content)
            return done.replayed and not tried  # of a second try that may be the first one's own
        await asyncio.sleep(PAUSE)
    await house.consent.choose(subjects, said, key=key, body=content)
    return False


@dataclass(frozen=True, slots=True)
class OldNo:
    """What a row says beside whom it is about. `doubts`: what of it could not be read, and what was done; `content`:
    what makes it the same row as another.
    """

    choice: Choice
    country: str
    doubts: tuple[str, ...]
    content: bytes

    @classmethod
    def of(cls, row: ListRow, now: datetime) -> Self:
        """A no is taken whatever stands beside it."""
        cells = {name: row.cells.get(name, "").strip() for name in COLUMNS.known}
        purposes, doubt = _purposes(cells["purposes"], unsure="purposes" in row.unsure)
        place, country, made = cells["place"].upper(), cells["country"].upper(), cells["made_at"]
        moment = wire.moment(made)
        doubts = [*row.why, *doubt]
        if place and not PLACE.fullmatch(place):
            place, doubts = "", [*doubts, NO_PLACE]
        if country and country not in SUPPORTED_REGIONS:
            country, doubts = "", [*doubts, NO_COUNTRY]
        if made and not (moment and moment <= now):
            made, doubts = "", [*doubts, NO_MOMENT]
        details = {"made_at": made} if made else {}
        lives = {**details, **residing(place)}
        choice = Choice(ChoiceKind.OPT_OUT, purposes, Source.IMPORT, now, place, details=lives)
        # Beside the words, what was made of them where earlier versions made less: their key must not stand for it.
        more = [*purposes] if doubt or ALL in cells["purposes"].split() else ""
        content = f"{sorted(row.cells.items())!r}{more}"
        return cls(choice, country or country_of(place), tuple(doubts), content.encode())


def _purposes(stated: str, *, unsure: bool) -> tuple[tuple[Purpose, ...], tuple[str, ...]]:
    """What a cell turns off, and what of it is in doubt: a word that is no purpose may have meant any of them."""
    words = stated.split()
    strange = [number for number, word in enumerate(words, 1) if word not in {ALL, *CHOOSABLE}]
    if strange:
        return CHOOSABLE, (f"word {strange[0]} of purposes is none of {', '.join(CHOOSABLE)}: {EVERYTHING}",)
    if unsure:
        return CHOOSABLE, (EVERYTHING,)
    named = tuple(Purpose(word) for word in words if word != ALL)
    return tuple(dict.fromkeys((*(ALL_PURPOSES if ALL in words or not words else ()), *named))), ()
