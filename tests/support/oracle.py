"""Universes that are made up, in which any implementation of what stands is compared with the fold of the whole log
after every act, now and at earlier moments; and the smallest history of a difference.

An implementation reads the ledger's entries (`caught_up`) and says what stands for one key (`standing_of`) in the words
of `support.acts.NOBODY`. What is compared, how often each pair of kinds of acts came together, and what differs is
counted in a `Tally`.
"""

import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from gateway.fold import fold
from gateway.fold.record import Record
from gateway.ledger.side import pack_side, read_side, records_within
from gateway.ledger.subjects import milliseconds
from support.acts import NOBODY, Play, Refused, shown
from support.folding import FoldOfLedger
from support.universes import KINDS, NEVER_BEHIND, Act, acts_of

FORGETS = {"unlink", "prune", "erase_details", "child_found", "clock", "new_pepper"}  # of earlier moments less is known
EVERY = 40  # acts: so often a moment is kept to look back at
SHOWN = 5  # pairs that were met least
FEW = 3  # keys that are looked at beside the named ones, and back at


class Implementation(Protocol):
    """Of what stands. `now`: Unix milliseconds by a clock that is right."""

    def caught_up(self, play: Play, now: int) -> None: ...
    def as_of(self, play: Play, moment: int) -> "Implementation": ...
    def standing_of(self, key: bytes, now: int) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Difference:
    """One key of one universe where the two do not say the same, behind which acts."""

    seed: int
    key: str
    fields: tuple[str, ...]
    whole: dict[str, Any]
    other: dict[str, Any]
    who: dict[str, Any] = field(repr=False)
    acts: tuple[Act, ...] = field(repr=False)

    def __str__(self) -> str:
        said = "; ".join(f"{each}: {_few(self.whole[each])}, not {_few(self.other[each])}" for each in self.fields)
        return f"universe {self.seed}, act {len(self.acts)}, {self.key}: {said}"


def _few(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


@dataclass
class Tally:
    """What a run looked at."""

    universes: int = 0
    acts: int = 0
    compared: int = 0
    earlier: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: list[Difference] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """What another run looked at too."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, each.name, mine + theirs)

    def __str__(self) -> str:
        wanted = [(one, other) for one in KINDS for other in KINDS if (one, other) not in NEVER_BEHIND]
        least = sorted(wanted, key=self.pairs.__getitem__)
        met = [self.pairs[pair] for pair in least]
        often = sum(count >= 500 for count in met)
        few = ", ".join(f"{one} and {other} {self.pairs[one, other]}" for one, other in least[:SHOWN])
        return (
            f"{self.universes} universes, {self.acts} acts of {len(KINDS)} kinds ({sum(self.refused.values())} refused), "
            f"{self.compared} keys compared, {self.earlier} more at earlier moments; {sum(map(bool, met))} of"
            f" {len(wanted)} pairs of kinds met, half of them at least {met[len(met) // 2]} times, {often} at least 500"
            f" times, the least met {few}; {len(self.found)} differences"
        )


def through_its_side(record: Record) -> Record:
    """As whoever folds a log reads it."""
    (read,) = records_within(record.seq, read_side(pack_side([record], record.at, 1)))
    assert read == record
    return read


class Folded(FoldOfLedger):
    """What stands by the fold, told what the sides of records say."""

    def __init__(self, fold: Callable[[Record, Any], dict[Any, Any]] = fold) -> None:
        super().__init__(lambda record, get: fold(through_its_side(record), get))

    def caught_up(self, play: Play, now: int) -> None:
        super().caught_up(play.ledger.db)

    def as_of(self, play: Play, moment: int) -> "Folded":
        then = Folded(self.fold)
        FoldOfLedger.caught_up(then, play.ledger.db, moment)
        return then

    def standing_of(self, key: bytes, now: int) -> dict[str, Any]:
        return shown(self.standing(key, now), self.grants(key, now))


class Universe:
    """One universe while its acts are done and what stands is compared. `every`: after how many acts all keys are; the
    named ones and a few others are after each, or after every so many (`compare_every`).
    """

    def __init__(
        self,
        seed: int,
        who: dict[str, Any],
        other: Implementation,
        tally: Tally,
        *,
        every: int = 10,
        compare_every: int = 1,
        moments: bool = True,
    ) -> None:
        self.seed, self.play, self.other, self.tally = seed, Play(who), other, tally
        self.every, self.compare_every, self.acts = every, compare_every, list[Act]()
        self.rng, self.stepped = random.Random(seed), not moments
        self.moments: list[tuple[int, int, dict[str, dict[str, Any]]]] = []

    def tell(self, acts: Iterable[Act]) -> Difference | None:
        """Does these acts; the first difference, if there is one."""
        for act in acts:
            self.do(act)
            found = None if len(self.acts) % self.compare_every else self.compared()
            if found:
                return found
        return self.compared(whole=True) or self.looked_back()

    def do(self, act: Act) -> None:
        kind = act.get("kind of act", act["act"])
        self.acts.append(act)
        self.tally.acts += 1
        self.tally.kinds[kind] += 1
        try:
            self.play.act(act)
        except Refused as refused:
            self.tally.refused[str(refused)] += 1
        self.stepped = self.stepped or "clock" in act
        if kind in FORGETS or self.stepped:
            self.moments.clear()
        elif len(self.acts) % EVERY == 0:
            rows = self.play.rows()
            names = self.rng.sample(sorted(rows), min(FEW, len(rows)))
            self.moments.append((len(self.acts), milliseconds(self.play.at), {name: rows[name] for name in names}))

    def compared(self, *, whole: bool = False) -> Difference | None:
        now, keys = milliseconds(self.play.at), self.play.keys
        self.other.caught_up(self.play, now)
        if not whole and len(self.acts) % self.every:
            others = sorted(keys.keys() - self.play.who.keys())
            names = [name for name in keys if name in self.play.who]
            keys = {name: keys[name] for name in (*names, *self.rng.sample(others, min(FEW, len(others))))}
        for name, ours in self.play.rows(keys).items():
            self.tally.compared += 1
            theirs = self.other.standing_of(keys[name], now)
            if ours != theirs:
                return self.differs(name, ours, theirs)
        return None

    def differs(self, name: str, whole: dict[str, Any], other: dict[str, Any]) -> Difference:
        wrong = tuple(each for each in NOBODY if whole[each] != other[each])
        found = Difference(self.seed, name, wrong, whole, other, self.play.said, tuple(self.acts))
        self.tally.found.append(found)
        return found

    def looked_back(self) -> Difference | None:
        """What stood at moments that are over, as it is made again now."""
        for number, at, rows in self.moments:
            then = self.other.as_of(self.play, at)
            for name, ours in rows.items():
                theirs = then.standing_of(self.play.keys[name], at)
                self.tally.earlier += 1
                if ours != theirs:
                    return self.differs(f"{name} at act {number}", ours, theirs)
        return None


def lived(seed: int, length: int, other: Implementation, tally: Tally, **how: Any) -> Difference | None:
    """One universe that is made up; the first difference, if there is one."""
    who, acts = acts_of(seed, length, tally.pairs)
    tally.universes += 1
    return Universe(seed, who, other, tally, **how).tell(acts)


def run(seeds: Iterable[int], length: int, make: Callable[[], Implementation], **how: Any) -> Tally:
    """Universes one after the other, each with an implementation of its own."""
    tally = Tally()
    for seed in seeds:
        lived(seed, length, make(), tally, **how)
    return tally


def smallest(found: Difference, make: Callable[[], Implementation], *, tries: int = 600, **how: Any) -> Difference:
    """The fewest acts behind which the same of somebody still differs."""

    def differs(some: list[Act]) -> Difference | None:
        with contextlib.suppress(KeyError):  # an act that needs another one, which was left out
            again = Universe(found.seed, found.who, make(), Tally(), every=1, **how).tell(some)
            if again and found.fields[0] in again.fields:
                return again
        return None

    last = differs(list(found.acts)) or found
    step = max(len(last.acts) // 2, 1)
    while step and tries > 0:
        before = len(last.acts)
        for start in reversed(range(0, before, step)):
            fewer, tries = [*last.acts[:start], *last.acts[start + step :]], tries - 1
            again = differs(fewer) if fewer and tries > 0 and start < len(last.acts) else None
            last = again or last
        step = step // 2 if step > 1 or len(last.acts) == before else 1
    return last


def told(found: Difference) -> str:
    """For people to read, and to be copied into a history."""
    acts = [{name: value for name, value in act.items() if name != "kind of act"} for act in found.acts]
    named = [name for name in found.who if f'"{name}"' in json.dumps(acts) or name == found.key]
    return "\n".join([str(found), json.dumps({name: found.who[name] for name in named}), *map(json.dumps, acts)])
