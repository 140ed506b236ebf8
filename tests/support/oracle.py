"""The oracle: any implementation of what stands, compared with the ledger's own rows after every act of made-up
universes, now and at earlier moments; and the smallest history of a difference.

An implementation reads the ledger's entries (`caught_up`) and says what stands for one key (`standing_of`) in the words
of `support.acts.NOBODY`. `Replayed` is one: the entries made again by the replay. What is compared, how often each pair
of kinds of acts came together, and what differs is counted in a `Tally`.
"""

import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.ledger import component, happenings, replay
from gateway.ledger.happenings import Happening
from gateway.ledger.rows_check import FOR_EVER
from gateway.ledger.subjects import milliseconds
from support.acts import NOBODY, Play, Refused, row_of, row_then
from support.universes import KINDS, Act, acts_of

FORGETS = {"unlink", "prune", "erase_details", "child_found", "clock", "new_pepper"}  # of earlier moments less is known
EVERY = 40  # acts: so often a moment is kept to look back at
LOOKED_BACK = 6  # keys at such a moment


class Implementation(Protocol):
    """Of what stands. `now`: Unix milliseconds by a clock that is right."""

    def caught_up(self, play: Play, now: int) -> None: ...
    def standing_of(self, key: bytes, now: int) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Difference:
    """One key of one universe where the two do not say the same, and behind which act."""

    seed: int
    act: int
    key: str
    fields: tuple[str, ...]
    rules: dict[str, Any]
    other: dict[str, Any]

    def __str__(self) -> str:
        said = "; ".join(f"{each}: {_few(self.rules[each])}, not {_few(self.other[each])}" for each in self.fields)
        return f"universe {self.seed}, act {self.act}, {self.key}: {said}"


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

    def __str__(self) -> str:
        wanted = [(one, other) for one in KINDS for other in KINDS]
        met = sorted(self.pairs[pair] for pair in wanted)
        often = sum(count >= 500 for count in met)
        return (
            f"{self.universes} universes, {self.acts} acts of {len(KINDS)} kinds ({sum(self.refused.values())} refused), "
            f"{self.compared} keys compared, {self.earlier} more at earlier moments; {sum(map(bool, met))} of"
            f" {len(wanted)} pairs of kinds met, half of them at least {met[len(met) // 2]} times, {often} at least 500"
            f" times; {len(self.found)} differences"
        )


class Replayed:
    """What stands by the replay of all entries. `leaves_out`: a rule that is dropped, for controls."""

    def __init__(self, leaves_out: Callable[[Happening], bool] = lambda each: False) -> None:
        self.leaves_out, self.life = leaves_out, None

    def caught_up(self, play: Play, now: int) -> None:
        db = play.ledger.db
        everybody = component.of(db, play.keys.values())
        happened = [each for each in happenings.of(db, everybody, FOR_EVER) if not self.leaves_out(each)]
        if self.life:
            self.life.close()
        self.life = replay.live_again(db, everybody, happened)

    def standing_of(self, key: bytes, now: int) -> dict[str, Any]:
        return row_of(self.life, key, now)


def lived(
    seed: int, length: int, other: Implementation, tally: Tally, *, every: int = 1, moments: bool = True
) -> Difference | None:  # fmt: skip
    """One universe; the first difference, if there is one. `every`: after how many acts the two are compared."""
    who, acts = acts_of(seed, length, tally.pairs)
    tally.universes += 1
    return told(seed, who, acts, other, tally, every=every, moments=moments)


def told(
    seed: int, who: dict[str, Any], acts: Iterable[Act], other: Implementation, tally: Tally, *, every: int = 1,
    moments: bool = False,
) -> Difference | None:  # fmt: skip
    """These acts, whoever made them up."""
    play, kept, number = Play(who), Kept(seed), 0
    for number, act in enumerate(acts, 1):
        done(play, act, tally)
        if number % every == 0:
            found = compared(seed, number, play, other, tally)
            if found:
                return found
        if moments and number % EVERY == 0:
            kept.keep(play, number)
        if act.get("kind of act") in FORGETS:
            kept.forget()
    return (compared(seed, number, play, other, tally) if number % every else None) or kept.looked_back(play, tally)


def done(play: Play, act: Act, tally: Tally) -> None:
    kind = act.get("kind of act", act["act"])
    tally.acts += 1
    tally.kinds[kind] += 1
    try:
        play.act(act)
    except Refused as refused:
        tally.refused[str(refused)] += 1


def compared(seed: int, number: int, play: Play, other: Implementation, tally: Tally) -> Difference | None:
    now = milliseconds(play.at)
    other.caught_up(play, now)
    for name, ours in play.rows().items():
        theirs = {**NOBODY, **other.standing_of(play.keys[name], now)}
        tally.compared += 1
        if ours != theirs:
            wrong = tuple(each for each in NOBODY if ours[each] != theirs[each])
            tally.found.append(Difference(seed, number, name, wrong, ours, theirs))
            return tally.found[-1]
    return None


class Kept:
    """Moments that are over, and what stood then."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, random.Random(seed)
        self.moments: list[tuple[int, int, dict[str, dict[str, Any]]]] = []

    def keep(self, play: Play, number: int) -> None:
        rows = play.rows()
        names = self.rng.sample(sorted(rows), min(LOOKED_BACK, len(rows)))
        self.moments.append((number, milliseconds(play.at), {name: rows[name] for name in names}))

    def forget(self) -> None:
        self.moments.clear()

    def looked_back(self, play: Play, tally: Tally) -> Difference | None:
        """What stood then, made again now."""
        for number, at, rows in self.moments:
            for name, then in rows.items():
                again = row_then(play.ledger.db, play.keys[name], at)
                tally.earlier += 1
                if then != again:
                    wrong = tuple(each for each in NOBODY if then[each] != again[each])
                    tally.found.append(Difference(self.seed, number, f"{name}, looked back at", wrong, then, again))
                    return tally.found[-1]
        return None


def smallest(
    found: Difference, who: dict[str, Any], acts: list[Act], make: Callable[[], Implementation], tries: int = 400
) -> tuple[list[Act], Difference]:  # fmt: skip
    """The fewest acts behind which the same fields of some key still differ."""

    def differs(some: list[Act]) -> Difference | None:
        with contextlib.suppress(KeyError):  # an act that needs another one, which was left out
            again = told(found.seed, who, some, make(), Tally())
            if again and set(again.fields) & set(found.fields):
                return again
        return None

    left, last, step = acts[: found.act], found, max(found.act // 2, 1)
    while step and tries > 0:
        for start in reversed(range(0, len(left), step)):
            fewer, tries = left[:start] + left[start + step :], tries - 1
            again = differs(fewer) if fewer and tries > 0 else None
            if again:
                left, last = fewer[: again.act], again
        step //= 2
    return left, last


def run(seeds: Iterable[int], length: int, make: Callable[[], Implementation], **how: Any) -> Tally:
    """Universes one after the other, each with an implementation of its own."""
    tally = Tally()
    for seed in seeds:
        lived(seed, length, make(), tally, **how)
    return tally


def written(acts: Iterable[Act]) -> Iterator[str]:
    """Acts as lines for people to read, and to be copied into a history."""
    for act in acts:
        yield json.dumps({name: value for name, value in act.items() if name != "kind of act"})
