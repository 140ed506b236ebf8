"""The law's tables of an installation: those that are shipped, and the operator's own beside them (`[law] tables`).

All rows of all of them count and the strictest holds, so a table of one's own adds a place or tightens one; beside a
stricter row of ours one of its rows says nothing. What does loosen, where no row of ours speaks, is told.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import cache, lru_cache
from importlib import resources
from itertools import product
from pathlib import Path
from typing import NamedTuple

import structlog

from gateway.choice.law import AGES, UNIVERSAL_OPT_OUT, LawPath, LawRow, LawTable, entries, read_law
from gateway.choice.place import STATES, US, country_of, is_assigned
from gateway.settings.load import LONGEST_FILE, Settings
from gateway.settings.option_tree import OptionSource, SettingsRefused
from gateway.settings.shapes import Wrong

log = structlog.get_logger("gateway")
AS_HELP_HAS_IT = "it as `gateway help law` has it"


class TableText(NamedTuple):
    """A table as it lies: its name without the ending, its path where it is the operator's, and its bytes."""

    name: str
    path: str
    body: bytes


class OwnRow(NamedTuple):
    """A row of the operator's own tables, and where it stands."""

    source: OptionSource
    path: LawPath
    row: LawRow


def shipped_tables() -> tuple[TableText, ...]:
    """The law's."""
    return tables_in("gateway.choice", "tables")


@cache
def tables_in(room: str, inside: str = "") -> tuple[TableText, ...]:
    """Those of a room, in the order of their names: part of the program, so read once."""
    folder = resources.files(room) / inside
    found = sorted((item for item in folder.iterdir() if item.name.endswith(".toml")), key=lambda item: item.name)
    return tuple(TableText(item.name.removesuffix(".toml"), "", item.read_bytes()) for item in found)


def own_tables(settings: Settings) -> tuple[TableText, ...]:
    """The operator's, read once for these settings: what is logged is what decides. Raises `SettingsRefused`."""
    known: tuple[TableText, ...] | None = settings.__dict__.get("own_tables")
    if known is None:
        known = tuple(_read(settings, number, Path(path)) for number, path in enumerate(settings.law.tables))
        settings.__dict__["own_tables"] = known
    return known


def law_table(settings: Settings) -> LawTable:
    """What holds on this installation. Raises `SettingsRefused` with file and line of a row that cannot be read."""
    return _whole(own_tables(settings))


def told_of_own(settings: Settings) -> Iterator[str]:
    """Of the operator's own rows: each that opens what was closed without it, and each that says nothing, because
    another row is stricter wherever it holds.
    """
    own = own_tables(settings)
    ours, whole = _whole(()), _whole(own)
    days: dict[tuple[str, str], list[date]] = {}
    for source, path, row in _own_rows(own):
        if row.subject == UNIVERSAL_OPT_OUT:  # only told
            continue
        about = country_of(row.place), row.subject
        if about not in days:
            near = (each for each in whole.rows if (country_of(each.place), each.subject) == about)
            days[about] = LawTable(near).days()
        cases = [*_cases(row, days[about])]
        before, after = ([law.strictest(*case) for case in cases] for law in (ours, whole))
        rule = f"{row.place} {row.subject} {row.rule.name.lower()}"
        opened = next((old for new, old in zip(after, before, strict=True) if _loosens(new, old)), None)
        if opened:
            yield source.told(path, f"{rule} opens what was {opened.rule.name.lower()} without it ({opened})")
        elif all(_loosens(row, new) for new in after):
            yield source.told(path, f"{rule} says nothing: {after[0]} is stricter, {after[0].rule.name.lower()}")


def log_own_rows(settings: Settings) -> None:
    """What `told_of_own` tells, for whoever serves: the gateway, mounted or not, and each replica."""
    for said in told_of_own(settings):
        log.warning("a law table of your own", why=said)


def _cases(row: LawRow, days: Iterable[date]) -> Iterator[tuple[frozenset[str], str, date, str]]:
    """Whatever a row may be asked about, once for each day on which another row may make a difference."""
    during = [row.start, *(day for day in days if row.start < day <= (row.until or day))]
    places = sorted(f"{US}-{state}" for state in STATES) if row.place == US else [row.place]
    for day, age, place in product(during, AGES[: row.reach + 1], places):
        yield frozenset({place}), row.subject, day, age


def _loosens(row: LawRow, beside: LawRow) -> bool:
    return row.strictness < beside.strictness


@lru_cache(maxsize=8)
def _whole(own: tuple[TableText, ...]) -> LawTable:
    ours = [row for table in shipped_tables() for _, entry in entries(_parsed(table)) for row in read_law(entry)]
    return LawTable([*ours, *(each.row for each in _own_rows(own))])


def _own_rows(own: tuple[TableText, ...]) -> Iterator[OwnRow]:
    """Raises `SettingsRefused`."""
    for table in own:
        source = OptionSource(Path(table.path), table.body.decode())
        path: LawPath = ()
        try:
            for path, entry in _entries(table):
                rows = [OwnRow(source, path, row) for row in read_law(entry)]
                _prove_countries(rows)
                yield from rows
        except ValueError as error:
            raise source.refused(Wrong(path or ("law",), str(error), AS_HELP_HAS_IT)) from None


def _prove_countries(rows: Iterable[OwnRow]) -> None:
    """A row for a country that there is not would be nobody's. Raises ValueError."""
    strange = [row.place for _, _, row in rows if not is_assigned(row.place)]
    if strange:
        said = " (the United Kingdom is GB)" if strange[0].startswith("UK") else ""
        raise ValueError(f"wants ISO 3166 places; no country is {strange[0]}{said}")


def _entries(table: TableText) -> list[tuple[LawPath, Mapping[str, object]]]:
    """At least one. Raises ValueError."""
    found = list(entries(_parsed(table)))
    if not found:
        raise ValueError("there is no row in it")
    return found


def _parsed(table: TableText) -> Mapping[str, object]:
    return tomllib.loads(table.body.decode())


def _read(settings: Settings, number: int, path: Path) -> TableText:
    def refused(why: str) -> SettingsRefused:
        return settings.refused("law", "tables", number, why=why, write="the path of a law table (gateway help law)")

    if not path.is_file():
        raise refused("there is no such file")
    try:
        body = path.read_bytes()
        tomllib.loads(body.decode())
    except OSError as error:
        raise refused(f"the file: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise refused(f"the file is no TOML: {str(error).partition(chr(10))[0]}") from None
    if len(body) > LONGEST_FILE:
        raise refused("the file is larger than 1 MiB")
    return TableText(path.name.removesuffix(".toml"), str(path), body)
