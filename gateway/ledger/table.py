"""The rows of the standing table, by primary key: for the rules that write them, and their tests."""

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.terms import DataClass, GrantKind, Purpose

NOTHING_HELD: frozenset[str] = frozenset()
ROWS_OF = (  # the marks are question marks
    "SELECT h.size, h.peppers, s.key, s.own, s.travelled, s.age_band, s.seq, s.linked, s.granted, s.held,"
    " s.informed, s.parental, s.grown, s.told, s.cpni_told FROM head h LEFT JOIN standing s ON s.key IN ({marks})"
)

GRANTS_OF = (
    "SELECT recipient, purpose, data_class, seq, kind FROM grant_choice"
    " WHERE key IN ({marks}) AND (until IS NULL OR until > ?) ORDER BY seq DESC"
)


def standing(
    now: int,
    own: int,
    travelled: int,
    age_band: str | None,
    seq: int | None,
    linked: int,
    granted: int,
    held: str,
    informed: int,
    parental: int,
    grown: int,
    told: int | None,
    cpni_told: int | None,
) -> Standing:
    """One row of `ROWS_OF`, from its fourth column on, as of a moment in Unix milliseconds."""
    return _standing(
        own, travelled, age_band, seq, linked > now, bool(granted), held, informed, parental, grown, told, cpni_told
    )


@lru_cache(maxsize=8192)
def _standing(
    own: int,
    travelled: int,
    age_band: str | None,
    seq: int | None,
    linked: bool,
    granted: bool,
    held: str,
    informed: int,
    parental: int,
    grown: int,
    told: int | None,
    cpni_told: int | None,
) -> Standing:
    """The same columns are the same standing, whosever they are: most people's are alike but for the entry."""
    return Standing(
        own,
        travelled,
        age_band,
        seq,
        linked,
        granted,
        frozenset(held.split(",")) if held else NOTHING_HELD,
        informed,
        parental,
        bool(grown),
        _day(told),
        _day(cpni_told),
    )


def _day(ordinal: int | None) -> date | None:
    return None if ordinal is None else date.fromordinal(ordinal)


def grants(rows: Iterable[tuple[Any, ...]]) -> list[Grant]:
    """Rows of `GRANTS_OF`, the newest first."""
    return [
        Grant(to, Purpose(purpose), DataClass(data) if data else None, seq, GrantKind(kind))
        for to, purpose, data, seq, kind in rows
    ]
