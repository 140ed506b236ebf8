"""One standing as bytes: what the mirror keeps under a key, and what a replica is sent.

All that a verdict asks of an identifier, and nothing that says who it is: neither the person nor any value. Pure.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.choice.law import AGES
from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.terms import DataClass, GrantKind, Purpose

FORMAT = 1  # of the bytes; whoever knows another one reads nothing from them
NO_AGE, NO_DAY, NO_SEQ = 255, 0, -1
# format, own, travelled, informed, parental, age, grown, seq, linked, changed, told, cpni_told; then JSON, or nothing
FORM = struct.Struct(">BIIIIBBqQQii")
NOTHING_HELD: frozenset[str] = frozenset()

# recipient, purpose, data class or "", kind, seq, until in Unix milliseconds or null
Allowed = tuple[str, str, str, str, int, int | None]


class NotARow(ValueError):
    """Bytes of another format, or cut short. Nothing may be read from them."""


@dataclass(frozen=True, slots=True)
class MirrorRow:
    """The columns of a standing. `linked`: until when some account is known, `changed`: how many entries there were
    when it was written; `told`, `cpni_told`: proleptic Gregorian ordinals; times in Unix milliseconds.
    """

    own: int = 0
    travelled: int = 0
    age_band: str | None = None
    seq: int | None = None
    linked: int = 0
    changed: int = 0
    informed: int = 0
    parental: int = 0
    grown: bool = False
    told: int | None = None
    cpni_told: int | None = None
    held: str = ""
    allowed: tuple[Allowed, ...] = ()

    def pack(self) -> bytes:
        packed = FORM.pack(
            FORMAT,
            self.own,
            self.travelled,
            self.informed,
            self.parental,
            NO_AGE if self.age_band is None else AGES.index(self.age_band),
            self.grown,
            NO_SEQ if self.seq is None else self.seq,
            self.linked,
            self.changed,
            self.told or NO_DAY,
            self.cpni_told or NO_DAY,
        )
        if not self.held and not self.allowed:
            return packed
        return packed + json.dumps([self.held, self.allowed], separators=(",", ":")).encode()

    def grants(self, now: int) -> list[Grant]:
        """What is allowed and not over at a moment in Unix milliseconds."""
        return [
            Grant(to, Purpose(purpose), DataClass(data) if data else None, seq, GrantKind(kind))
            for to, purpose, data, kind, seq, until in self.allowed
            if until is None or until > now
        ]


def unpack(packed: bytes) -> MirrorRow:
    """Raises `NotARow`."""
    own, travelled, informed, parental, age, grown, seq, linked, changed, told, cpni = _columns(packed)
    held, allowed = _tail(packed)
    return MirrorRow(
        own,
        travelled,
        _band(age),
        None if seq == NO_SEQ else seq,
        linked,
        changed,
        informed,
        parental,
        bool(grown),
        told or None,
        cpni or None,
        held,
        allowed,
    )


def standing(packed: bytes, now: int) -> Standing:
    """As of a moment in Unix milliseconds; straight from the bytes, for every check does it. Raises `NotARow`."""
    own, travelled, informed, parental, age, grown, seq, linked, _, told, cpni = _columns(packed)
    held, granted = NOTHING_HELD, False
    if len(packed) > FORM.size:
        sources, allowed = _tail(packed)
        held, granted = frozenset(sources.split(",")) if sources else NOTHING_HELD, bool(allowed)
    return Standing(
        own,
        travelled,
        _band(age),
        None if seq == NO_SEQ else seq,
        linked > now,
        granted,
        held,
        informed,
        parental,
        bool(grown),
        _day(told),
        _day(cpni),
    )


def check(packed: bytes) -> None:
    """Raises `NotARow` for what a map must not hold."""
    _band(_columns(packed)[4])
    _tail(packed)


def _columns(packed: bytes) -> tuple[int, ...]:
    try:
        form, *columns = FORM.unpack_from(packed)
    except struct.error as error:
        raise NotARow(str(error)) from error
    if form != FORMAT:
        raise NotARow(f"format {form}, not {FORMAT}")
    return tuple(columns)


def _tail(packed: bytes) -> tuple[str, tuple[Allowed, ...]]:
    if len(packed) == FORM.size:
        return "", ()
    try:
        held, allowed = json.loads(packed[FORM.size :])
        return str(held), tuple(_allowed(each) for each in allowed)
    except (ValueError, TypeError) as error:
        raise NotARow(str(error)) from error


def _band(age: int) -> str | None:
    if age == NO_AGE:
        return None
    if age >= len(AGES):
        raise NotARow(f"age {age}")
    return AGES[age]


def _allowed(said: Sequence[Any]) -> Allowed:
    to, purpose, data, kind, seq, until = said
    return to, purpose, data, kind, seq, until


def _day(ordinal: int) -> date | None:
    return None if ordinal == NO_DAY else date.fromordinal(ordinal)
