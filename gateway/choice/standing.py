"""Standing: the current answer for one identifier, two bits a purpose for its own choices and two for what has
travelled to it. Verdicts read it; the ledger makes it.

Deny travels, allow does not; so a travelled state is only ever nothing or `OUT`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import lru_cache
from operator import attrgetter
from typing import Any

from gateway.terms import CHOOSABLE, Purpose

NONE, OUT, IN = 0, 1, 2
MASK = 3
SHIFT: dict[Purpose, int] = {purpose: 2 * index for index, purpose in enumerate(CHOOSABLE)}


OUT_BITS = sum(OUT << shift for shift in SHIFT.values())
# Of somebody else's record beside the person's: it denies, and says nothing of what they were told
NOT_ASKED = date.max
IN_BITS = sum(IN << shift for shift in SHIFT.values())


def state(bits: int, purpose: Purpose) -> int:
    """`NONE`, `OUT` or `IN` for one purpose."""
    return bits >> SHIFT[purpose] & MASK


def with_state(bits: int, purpose: Purpose, value: int) -> int:
    shift = SHIFT[purpose]
    return bits & ~(MASK << shift) | value << shift


def out_bits(purposes: Iterable[Purpose]) -> int:
    """The bits that say `OUT` for each of the purposes."""
    return _out_bits(frozenset(purposes))


@lru_cache(maxsize=1024)
def _out_bits(purposes: frozenset[Purpose]) -> int:
    return sum(OUT << SHIFT[purpose] for purpose in purposes)


class LookupRefused(Exception):
    """No answer that may be trusted. The verdict is deny."""


class Stale(LookupRefused):
    """Nobody has proved lately that what is read is what is being written."""


class Vouching:
    """Who says until when what is read may be answered: by proofs that it is what is being written (`ledger.watch`), or
    by a lease (`replica.follower`). Look-ups ask. `clock`, `fresh_until`: seconds of CLOCK_BOOTTIME. `reaches`: how
    far what is read went at the newest proof, or when others were told so: what is not as far is not what was proved.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.fresh_until = 0.0
        self.reaches = 0

    def fresh(self) -> bool:
        return self.proof() is not None

    def proof(self) -> float | None:
        """Until when the newest proof is good, and by that its name; None: it is over."""
        until = self.fresh_until
        return until if self._clock() < until else None

    def stands(self, proof: float) -> bool:
        """Whether a proof of before is good still; a later one says nothing of what was read under it."""
        return proof <= self.fresh_until and self._clock() < proof


class RowUnreadable(LookupRefused):
    """The ledger cannot be read."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One identifier's row. `linked`: some account is known for it (or it is one). `granted`: it has opt-ins that
    name a recipient. `held`: sources of a device's or a tool's state that is part of what `travelled` says. `seq` is
    the last entry that touched it.

    `informed` and `parental` are bits of `own`: opt-ins of an account that were given with a live signal in sight
    (11 CCR 7025(c)(3)), and opt-ins that a parent gave, good for a child alone (`rules.case.yes_bits`). `grown`: a
    younger age was on record before this one (R14).
    `told`, `cpni_told`: the day of the privacy notice and of the CPNI notice that the person was last shown or sent.
    `places`: where they said that they are, with a choice, and where their accounts did (R13).
    """

    own: int = 0
    travelled: int = 0
    age_band: str | None = None
    seq: int | None = None
    linked: bool = False
    granted: bool = False
    held: frozenset[str] = frozenset()
    informed: int = 0
    parental: int = 0
    grown: bool = False
    told: date | None = None
    cpni_told: date | None = None
    places: frozenset[str] = frozenset()

    def __hash__(self) -> int:
        """Of the few members that tell most standings apart: it is looked up by at every request. The days and the
        homes are among them: most people chose nothing, were told on any of a thousand days and live in one of fifty
        states, and among a thousand alike of one hash remembering an answer took 0.7 ms, against 2 us.
        """
        told = self.told, self.cpni_told
        return hash((self.own, self.travelled, self.seq, *told, self.age_band, self.places))

    def denies(self, purpose: Purpose) -> bool:
        """Its own opt-out or one that travelled. False for a purpose that nobody can choose about."""
        return self.own_denies(purpose) or (purpose in SHIFT and state(self.travelled, purpose) == OUT)

    def own_denies(self, purpose: Purpose) -> bool:
        return purpose in SHIFT and state(self.own, purpose) == OUT

    def opted_in(self, purpose: Purpose) -> bool:
        return purpose in SHIFT and state(self.own, purpose) == IN

    def denies_only(self) -> "Standing":
        """The same with every opt-in left out, and with no opinion on what this person was told."""
        return Standing(
            self.own & OUT_BITS,
            self.travelled,
            self.age_band,
            self.seq,
            grown=self.grown,
            told=NOT_ASKED,
            cpni_told=NOT_ASKED,
            places=self.places,
        )

    def opted_in_as(self, other: "Standing") -> "Standing":
        """The same with those opt-ins alone that the other has too."""
        yes = other.own & IN_BITS
        own, informed, parental = self.own & (OUT_BITS | yes), self.informed & yes, self.parental & yes
        return replace(self, own=own, informed=informed, parental=parental)

    def without_noes(self, purposes: Iterable[Purpose]) -> "Standing":
        """The same with no opt-out of these: what an installation of an app said itself and came back from."""
        keep = ~out_bits(purposes)
        return replace(self, own=self.own & keep, travelled=self.travelled & keep)

    def says_no(self) -> bool:
        """Whether it denies anything."""
        return bool(self.own & OUT_BITS | self.travelled)

    def states(self) -> dict[str, str]:
        """What a person is shown: every purpose as opted_out, opted_in or none."""
        return {purpose.value: self._word(purpose) for purpose in CHOOSABLE}

    def _word(self, purpose: Purpose) -> str:
        if self.denies(purpose):
            return "opted_out"
        return "opted_in" if self.opted_in(purpose) else "none"


def unnumbered(standing: Standing) -> Standing:
    """The same without the number of its entry, as one object for all that are alike: by it answers are remembered, for
    every person who opted out has an entry of their own.
    """
    return _alike(*COLUMNS(standing))


def alike(standings: Iterable[Standing]) -> tuple[Standing, ...]:
    """What several standings say, each word once and without numbers: the names of one identifier mostly say the same.
    Answers are remembered by it.
    """
    apart = {id(each): each for each in standings}.values()  # mostly one object already
    plain = [each if each.seq is None else unnumbered(each) for each in apart]
    return tuple(plain if len(plain) == 1 else dict.fromkeys(plain))


COLUMNS = attrgetter(*(each.name for each in fields(Standing) if each.name != "seq"))


@lru_cache(maxsize=8192)
def _alike(own: int, travelled: int, age_band: str | None, *columns: Any) -> Standing:
    return Standing(own, travelled, age_band, None, *columns)
