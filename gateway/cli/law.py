"""`gateway law`: what holds in a place on a day, what is about to change there, and whether the tables are in order.

`gateway law check` finds rows that cannot be read, rows that can never matter, and days without a rule.
"""

import sys
import tomllib
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from datetime import date, timedelta
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

import click
import orjson

from gateway.app.composition import now
from gateway.app.law_tables import law_table, own_tables, shipped_tables
from gateway.choice.law import ABOUT_DATA, AGES, UNIVERSAL_OPT_OUT, LawRow, LawTable, entries, read_law
from gateway.choice.place import UNKNOWN_PLACE, US, is_named
from gateway.cli import options
from gateway.terms import CHOOSABLE, DataClass, Purpose

UNCERTAIN = frozenset({"B", "?"})  # what takes the stricter reading, and has to say which one that is
ONE_DAY = timedelta(days=1)


class Placed(NamedTuple):
    """A row, and where it stands: the file and the row's number in it; `own`: in a file of the operator's."""

    where: str
    row: LawRow
    own: bool = False

    def __str__(self) -> str:
        return f"{self.where} ({self.row.place} {self.row.subject})"


Finding = tuple[Placed, str]


def findings(tables: Mapping[str, Mapping[str, object]], own: Container[str] = ()) -> list[str]:
    """A sentence for each thing that is wrong, naming file and row; empty when nothing is. Of those in `own`, which are
    the operator's, none makes a row of ours wrong.
    """
    placed: list[Placed] = []
    unreadable: list[str] = []
    for name, table in tables.items():
        _read(name, table, placed, unreadable, own=name in own)
    law = LawTable(item.row for item in placed)
    told: dict[tuple[str, str, str], str] = {}  # a row of thirty states is told once, not thirty times
    between = chain(
        _unexplained(placed), _shadowed(placed), _doubled(placed), _ended(placed, law), _silent(placed, law)
    )
    for item, what in between:
        told.setdefault((item.where, item.row.subject, what), f"{item}: {what}")
    return [*unreadable, *told.values()]


def _read(name: str, table: Mapping[str, object], placed: list[Placed], unreadable: list[str], *, own: bool) -> None:
    where = name
    try:
        for path, entry in entries(table):
            where = " ".join([name, *(str(step + 1) if isinstance(step, int) else step for step in path)])
            try:
                placed += [Placed(where, row, own) for row in read_law(entry)]
            except ValueError as error:
                unreadable.append(f"{where}: {error}")
    except ValueError as error:
        unreadable.append(f"{name}: {error}")


def _unexplained(placed: list[Placed]) -> Iterator[Finding]:
    for item in placed:
        if item.row.confidence in UNCERTAIN and not item.row.note:
            yield item, f"confidence {item.row.confidence} wants a note that says how it was read"


def _shadowed(placed: list[Placed]) -> Iterator[Finding]:
    """Of two rows of one place and subject: the one that, while both hold, is the strictest for nobody."""
    for first, second in _pairs(placed):
        since, until = max(first.row.start, second.row.start), min(_end(first.row), _end(second.row))
        for strong, weak in ((first, second), (second, first)):
            covered = strong.row.strictness >= weak.row.strictness and strong.row.reach >= weak.row.reach
            if since <= until and covered and not (strong.own and not weak.own):
                yield (
                    weak,
                    f"can never matter from {since}: {strong.where} is {strong.row.rule.name.lower()} for the same",
                )
                break


def _doubled(placed: list[Placed]) -> Iterator[Finding]:
    """The same law twice, where one row over both spells would say it."""
    for first, second in _pairs(placed):
        earlier, later = sorted((first, second), key=lambda item: item.row.start)
        if earlier.own and not later.own:
            continue
        told = [(row.rule, row.in_band, row.reach, row.citation) for row in (first.row, second.row)]
        if earlier.row.until and earlier.row.until + ONE_DAY == later.row.start and told[0] == told[1]:
            yield later, f"says what {earlier.where} says, by the same citation"


def _pairs(placed: list[Placed]) -> Iterator[tuple[Placed, Placed]]:
    groups: defaultdict[tuple[str, str], list[Placed]] = defaultdict(list)
    for item in placed:
        groups[item.row.place, item.row.subject].append(item)
    for group in groups.values():
        yield from combinations(group, 2)


def _end(row: LawRow) -> date:
    return row.until or date.max


def _ended(placed: list[Placed], law: LawTable) -> Iterator[Finding]:
    """A row that ends, and the day after nothing is said for the people it was for."""
    for item in placed:
        row = item.row
        if row.until and not law.on_file(row.place, row.subject, row.until + ONE_DAY, AGES[row.reach]):
            yield item, f"ends on {row.until}, and nothing follows"


def _silent(placed: list[Placed], law: LawTable) -> Iterator[Finding]:
    """A general law (it has a rule for the sale of an adult's data) that leaves a purpose of people's choice out."""
    last = max(law.days(), default=date.min)
    for item in placed:
        if item.row.subject == Purpose.SALE and item.row.for_everybody:
            for purpose in CHOOSABLE:
                if not law.on_file(item.row.place, purpose, last):
                    yield item, f"a law for {item.row.place} without a rule for {purpose}"


ASKED = (*CHOOSABLE, DataClass.PRECISE_GEO)  # what a verdict asks the law for, beside data of `LawTable.classes`
LINE = "{mark} {subject:<21} {rule:<8} {in_band:<8} {from:<10} {until:<10} {confidence:<1} {citation}"
HEADING = {"mark": " ", "subject": "subject", "rule": "rule", "in_band": "in-band", "from": "from", "until": "until",
           "confidence": " ", "citation": "citation"}  # fmt: skip


@click.group(help="The law, as the dated tables have it. `gateway help law` explains them.")
def law() -> None:
    pass


@law.command(help="Show every rule for a place on a day, the strictest marked, and what changes there later.")
@click.option("--place", "places", multiple=True, required=True, help="US-CT, DE; repeatable, the strictest holds.")
@click.option("--on", type=options.DAY, help="A day, as 2026-10-01; without it today.")
@click.option("--age", type=click.Choice(AGES), help="An age band; without it an adult.")
@options.as_json
@options.config
def show(places: tuple[str, ...], on: date | None, age: str | None, as_json: bool, file: Path | None) -> None:
    settings = options.stated_settings(file)
    on, table = on or now().date(), law_table(settings)
    asked = [_place(place) for place in places]
    found = {
        "places": asked,
        "on": on,
        "age": age or AGES[-1],
        "own_tables": [each.name for each in own_tables(settings)],
        "rows": list(_rows(table, asked, on, age)),
        "signal_duty": [_shown(row) for place in asked for row in table.on_file(place, UNIVERSAL_OPT_OUT, on)],
        "changes": list(_changes(table, asked, on, age)),
    }
    click.echo(orjson.dumps(found) if as_json else "\n".join(_told(found)))


@law.command(
    help="Look for overlaps, gaps and missing citations, in the shipped tables and [law] tables. A FILE stands in for"
    " the one of its name."
)
@click.argument("files", nargs=-1, type=options.FILE)
@options.config
def check(files: tuple[Path, ...], file: Path | None) -> None:
    shipped = {f"{each.name}.toml": each.body for each in shipped_tables()}
    own = {each.path: each.body for each in own_tables(options.stated_settings(file))}
    for each in files:
        path = next((path for path in own if Path(path).resolve() == each.resolve()), "")
        if not path and each.name in shipped:
            shipped[each.name] = each.read_bytes()
        else:
            own[path or next((path for path in own if Path(path).name == each.name), str(each))] = each.read_bytes()
    texts = shipped | own
    tables: dict[str, Mapping[str, object]] = {}
    wrong: list[str] = []
    for name, text in sorted(texts.items()):
        try:
            tables[name] = tomllib.loads(text.decode())
        except ValueError as error:  # no TOML, or no text at all
            wrong.append(f"{name}: {error}")
    wrong += findings(tables, own)
    click.echo("\n".join(wrong or [f"{len(tables)} tables are in order"]))
    sys.exit(1 if wrong else 0)


def _place(text: str) -> str:
    """As the law knows it; what names no place is read as unknown, as everywhere."""
    place = text.strip().upper()
    return place if place == US or is_named(place) else UNKNOWN_PLACE


def _rows(table: LawTable, places: list[str], on: date, age: str | None) -> Iterator[dict[str, Any]]:
    """Every row that speaks for one of the places; for "anywhere" the strictest alone, for all the others do too."""
    for subject in _asked(table):
        strictest = table.strictest(frozenset(places), subject, on, age)
        speaking = [table.applying(place, subject, on, age)[: None if is_named(place) else 1] for place in places]
        for row in dict.fromkeys(chain.from_iterable(speaking)):  # a federal row speaks for two states, and stands once
            if subject not in ABOUT_DATA or row.start != date.min:  # without a row of its own the purpose's holds alone
                yield {**_shown(row), "strictest": row == strictest}


def _asked(table: LawTable) -> tuple[str, ...]:
    return (*ASKED, *sorted(table.classes))


def _shown(row: LawRow) -> dict[str, Any]:
    return {
        "subject": row.subject,
        "place": row.place,
        "rule": row.rule.name.lower(),
        "in_band": row.in_band,
        "from": None if row.start == date.min else row.start,
        "until": row.until,
        "confidence": row.confidence,
        "citation": row.citation,
        "ages": row.ages,
        "note": row.note,
    }


def _changes(table: LawTable, places: list[str], on: date, age: str | None) -> Iterator[dict[str, Any]]:
    """On each later day of the tables: every subject that another row holds for than the day before."""
    for day in table.days():
        for subject in (*_asked(table), UNIVERSAL_OPT_OUT) if day > on else ():
            was = table.strictest(frozenset(places), subject, day - timedelta(days=1), age)
            row = table.strictest(frozenset(places), subject, day, age)
            if row != was:
                yield {**_shown(row), "on": day, "was": was.rule.name.lower(), "instead_of": str(was)}


def _told(found: Mapping[str, Any]) -> Iterator[str]:
    """The same for a person to read."""
    yield f"{', '.join(found['places'])} on {found['on']}, {found['age']}; * is the strictest, and holds"
    if found["own_tables"]:
        yield f"with tables of your own: {', '.join(found['own_tables'])}"
    yield LINE.format_map(HEADING)
    yield from (_line(row) for row in found["rows"])
    duties = [f"{row['place']} since {row['from']}, {row['citation']}" for row in found["signal_duty"]]
    yield f"duty to hear a universal opt-out signal: {'; '.join(duties) or 'none on file'} (heard here in any case)"
    yield "next changes:" if found["changes"] else "next changes: none on file"
    for row in found["changes"]:
        yield f"  {row['on']} {row['subject']}: {row['rule']} ({_named(row)}); was {row['was']} ({row['instead_of']})"
    notes = dict.fromkeys(f"  {_named(row)}: {row['note']}" for row in found["rows"] if row["note"])
    yield from ("notes:", *notes) if notes else ()


def _line(row: Mapping[str, Any]) -> str:
    shown = {key: "" if value is None else value for key, value in row.items()}
    shown |= {"mark": "*" if row["strictest"] else " ", "in_band": "yes" if row["in_band"] else ""}
    # a day has a format of its own, which knows no widths
    shown |= {"from": str(shown["from"]), "until": str(shown["until"]), "citation": _named(row)}
    return LINE.format_map(shown)


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['place']} {row['citation']}"
