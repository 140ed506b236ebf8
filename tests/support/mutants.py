"""Mutants of the fold: each with one small change, played through the histories by hand and some universes of the
oracle; one that nobody finds is printed. `python -m support.mutants [number] [seed]` in the folder of the tests, for
whoever changes the fold or the histories.

What the rules say is worked out once; a mutant only folds. It lives in a process of its own, made by forking.
"""

import ast
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from gateway.ledger import log_records, standing_rows
from gateway.ledger.subjects import milliseconds
from support.acts import Play, Refused, joined, shown, wrongs
from support.blind import Blind, is_blind
from support.mended import KNOWN, mended
from support.oracle import Difference
from support.universes import acts_of

ROOMS = ("state", "kin", "noes", "reading", "facts", "links", "__init__")  # in the order of their imports
HERE = Path(__file__).parent.parent.parent / "gateway" / "fold"
UNIVERSES = 6
LONGEST = 60  # seconds: a mutant that does not end is found
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Sub: ast.BitOr, ast.Add: ast.Sub,
}  # fmt: skip
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """`number`: which change of the room it is."""

    room: str
    line: int
    what: str
    number: int


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, str, Any]]:
    """Each place, a word for the change, and what makes it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            yield node, f"{type(node.ops[0]).__name__} turned", lambda n: n.ops.__setitem__(0, SWAPS[type(n.ops[0])]())
        elif isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPS:
            yield node, f"{type(node.op).__name__} turned", lambda n: setattr(n, "op", SWAPS[type(n.op)]())
        if isinstance(node, ast.BoolOp):
            for place in range(len(node.values)):
                yield node, f"without operand {place}", lambda n, place=place: n.values.pop(place)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield (
                node,
                "without not",
                lambda n: setattr(n, "op", ast.UAdd()) or setattr(n, "operand", _truth(n.operand)),
            )
        if isinstance(node, ast.If | ast.IfExp):
            yield node, "if always", lambda n: setattr(n, "test", ast.Constant(True))
            yield node, "if never", lambda n: setattr(n, "test", ast.Constant(False))
        if isinstance(node, ast.comprehension):
            for place in range(len(node.ifs)):
                yield node, f"without filter {place}", lambda n, place=place: n.ifs.pop(place)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            yield node, f"{node.func.id} turned", lambda n: setattr(n.func, "id", CALLS[n.func.id])
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int):
            other = not node.value if isinstance(node.value, bool) else node.value + 1
            yield node, f"{node.value} becomes {other}", lambda n, other=other: setattr(n, "value", other)
        if isinstance(node, ast.FunctionDef | ast.If | ast.For):
            for place, each in enumerate(node.body):
                if isinstance(each, ast.Expr) and isinstance(each.value, ast.Call):
                    yield each, "call left out", lambda n: setattr(n, "value", ast.Constant(None))
                if isinstance(each, ast.Continue):
                    yield node, "continue left out", lambda n, place=place: n.body.__setitem__(place, ast.Pass())


def _truth(operand: ast.expr) -> ast.expr:
    """As a number, which a sign can stand before."""
    return ast.Call(ast.Name("bool", ast.Load()), [operand], [])


def mutants() -> Iterator[Mutant]:
    for room in ROOMS:
        tree = ast.parse((HERE / f"{room}.py").read_text())
        for number, (node, what, _) in enumerate(changes(tree)):
            line = getattr(node, "lineno", getattr(getattr(node, "target", None), "lineno", 0))
            yield Mutant(room, line, what, number)


def mutated(mutant: Mutant) -> ast.Module:
    tree = ast.parse((HERE / f"{mutant.room}.py").read_text())
    node, _, change = list(changes(tree))[mutant.number]
    change(node)
    return ast.fix_missing_locations(tree)


@dataclass
class Step:
    """What stands behind one act: records from `start` on, and what there was before unless it was changed."""

    start: int
    records: list[Any]
    now: int
    keys: dict[str, bytes]
    rows: dict[str, dict[str, Any]]
    then: dict[str, Any]
    acts: tuple[Any, ...]


@dataclass
class Case:
    play: Play
    steps: list[Step] = field(default_factory=list)

    def finds(self) -> bool:
        """Whether what is folded now is not what should stand."""
        from gateway.fold import fold, reading

        state: dict[Any, Any] = {}
        for step in self.steps:
            if step.start == 0:
                state.clear()
            for record in step.records:
                state.update(fold(record, state.get))
            row = partial(_row, reading, state.get, step.now)
            then = {what: expected for what, expected in step.then.items() if what}
            if then and wrongs(then, partial(_of, step.then[""], row)):
                return True
            exact = {key for subject in step.then[""].values() for key in subject.keys}
            for name, rules in step.rows.items():
                key = step.keys[name]
                if differs(name, rules, row(key), self.play.said, step.acts, looser=key not in exact):
                    return True
        return False


@dataclass
class BlindCase:
    """Acts that are told to the fold alone; `rows`: what the rules say behind some of them."""

    who: dict[str, Any]
    acts: list[Any]
    rows: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def finds(self) -> bool:
        from gateway.fold import fold

        play = Blind(self.who, fold)
        for number, act in enumerate(self.acts, 1):
            play.act(act)
            if wrongs(act.get("then", {}), play.standing_of):
                return True
            exact = {key for subject in play.who.values() for key in subject.keys}
            for name, rules in self.rows.get(number, {}).items():
                key, acts = play.keys[name], tuple(self.acts[:number])
                if differs(name, rules, play.row_of(key), self.who, acts, looser=key not in exact):
                    return True
        return False


def prepared(who: dict[str, Any], acts: list[Any], every: int) -> Case:
    """What the rules say behind these acts; without rows where a history says itself what stands (`every` is 0)."""
    case, before = Case(Play(who)), []
    play = case.play
    for number, act in enumerate(acts, 1):
        try:
            play.act(act)
        except Refused:
            assert "kind of act" in act
        if not act.get("then") and (not every or number % every):
            continue
        now = milliseconds(play.at)
        keys = {name: key for name, key in play.keys.items() if name in play.who or name.endswith("1")}
        if every:
            play.commit(lambda tx, keys=keys, now=now: standing_rows.recompute(tx, keys.values(), now))
        records = log_records.records_of(play.ledger.db)
        start = len(before) if records[: len(before)] == before else 0
        rows = play.rows(keys) if every else {}
        subjects = dict(play.who)
        case.steps.append(
            Step(start, records[start:], now, keys, rows, {**act.get("then", {}), "": subjects}, tuple(acts[:number]))
        )
        before = records
    return case


def _row(reading: Any, get: Any, now: int, key: bytes) -> dict[str, Any]:
    return shown(reading.standing_of(key, get, now), reading.grants_of(key, get, now))


def _of(subjects: Any, row: Any, name: str) -> dict[str, Any]:
    subject = subjects[name]
    return joined([row(key) for key in subject.keys], [row(key) for key in subject.looser], row(subject.key))


def differs(name: str, rules: Any, other: Any, who: Any, acts: tuple[Any, ...], *, looser: bool) -> bool:
    """In what is not known already."""
    if rules == other:
        return False
    wrong = tuple(each for each in rules if rules[each] != other[each])
    found = Difference(0, name, wrong, rules, other, who, acts, looser)
    return not {*wrong} <= set().union(*(of(found) for of in KNOWN.values()))


def told_blindly(who: dict[str, Any], acts: list[Any]) -> BlindCase:
    """What the rules say behind every second act of a universe."""
    case, play = BlindCase(who, []), Play(who)
    for act in acts:
        with contextlib.suppress(Refused):
            play.act(act)
        if len(play.done) % 2 == 0 and len(play.done) > len(case.acts):
            now = milliseconds(play.at)
            keys = {name: key for name, key in play.keys.items() if name in play.who or name.endswith("1")}
            play.commit(lambda tx, keys=keys, now=now: standing_rows.recompute(tx, keys.values(), now))
            case.rows[len(play.done)] = play.rows(keys)
        case.acts = list(play.done)
    return case


def cases(histories: list[dict[str, Any]], seeds: range, length: int = 200) -> list[Any]:
    found: list[Any] = [BlindCase(each["who"], each["acts"]) for each in histories if is_blind(each)]
    found += [prepared(each["who"], each["acts"], 0) for each in histories if "door" not in each and not is_blind(each)]
    with mended():
        found += [prepared(*acts_of(seed, length), every=2) for seed in seeds]
        found += [told_blindly(*acts_of(seed, length, without=("unlink",))) for seed in seeds]
    return found


def is_found(mutant: Mutant, among: list[Any]) -> bool:
    """In a process of its own: it may do anything but end."""
    child = os.fork()
    if child == 0:
        found = 1
        try:
            signal.alarm(LONGEST)
            _become(mutant)
            found = int(any(case.finds() for case in among))
        finally:
            os._exit(found)
    return os.waitpid(child, 0)[1] != 0


def _become(mutant: Mutant) -> None:
    """The rooms anew in their order, one of them as the mutant is."""
    for room in ROOMS:
        module = import_module("gateway.fold" if room == "__init__" else f"gateway.fold.{room}")
        source = mutated(mutant) if room == mutant.room else ast.parse((HERE / f"{room}.py").read_text())
        exec(compile(source, f"{room}.py", "exec"), module.__dict__)


def by_hand() -> list[dict[str, Any]]:
    """The histories that the fold's rows tell, as they are."""
    vectors = Path(__file__).parent.parent / "vectors" / "histories.json"
    histories = json.loads(vectors.read_text(encoding="utf-8"))["histories"]
    return [each for each in histories if each["name"] != "the other kind of one digest"]


def main(number: int, seed: int) -> None:
    among = cases(by_hand(), range(UNIVERSES))
    among = [case for case in among if not case.finds()]  # where the fold differs already a mutant shows nothing
    every = list(mutants())
    chosen = random.Random(seed).sample(every, min(number, len(every)))
    left = 0
    for done, mutant in enumerate(chosen, 1):
        if not is_found(mutant, among):
            left += 1
            print(f"not found: gateway/fold/{mutant.room}.py:{mutant.line}, {mutant.what}", flush=True)
        if done % 50 == 0:
            print(f"{done - left} of {done} found", flush=True)
    print(f"{len(chosen) - left} of {len(chosen)} mutants found ({len(every)} there are)")


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], "10000", "1"][:2]))
