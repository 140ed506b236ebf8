"""Mutants of the fold: each with one small change, played through the histories by hand and some universes of the
oracle; one that nobody finds is printed. `python -m support.mutants [number] [seed] [room,room] [file]` in the folder
of the tests, for whoever changes the fold or the histories: so many of them, of these rooms, all of them without it.
Into the file goes a line a mutant as it is tried; told the same file again, a run goes on from where it was broken off.

What the log tells and the fold as it is says is worked out once; a mutant only folds, where its line is come by, in a process of
its own, made by forking. `mutants_left.json` lists those that nobody can find, each with the reason.
"""

import ast
import contextlib
import gc
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any

from gateway.fold import reading
from gateway.fold.record import Record
from gateway.ledger import log_records
from gateway.ledger.subjects import Subject, milliseconds
from support.acts import Play, Refused, joined, shown, wrongs
from support.blind import Blind, is_blind
from support.universes import KINDS, acts_of

ROOMS = ("state", "kin", "reading", "noes", "facts", "links", "__init__")  # in the order of their imports
HERE = Path(__file__).parent.parent.parent / "gateway" / "fold"
LEFT = Path(__file__).parent / "mutants_left.json"
SEEDS = range(6)
SHORT = 6  # acts, and names: there all are asked together
SELDOM = frozenset(KINDS) - {
    "opt_out", "limit", "withdraw", "signal", "opt_in", "opt_in_dark", "grant", "programme", "link", "link_until",
    "link_again", "link_end", "claim", "claim_whole", "disclaim", "release", "named", "void_screen", "wait", "sweep",
}  # fmt: skip
LONGEST = 20  # seconds of the processor: a mutant that does not end is found
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Sub: ast.BitOr, ast.Add: ast.Sub,
}  # fmt: skip
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


Lines = frozenset[tuple[str, int]]  # of the fold: room and line


@dataclass(frozen=True)
class Mutant:
    """`number`: which change of the room it is. `place`: the function and what stands there, by which it is listed."""

    room: str
    lines: range
    what: str
    number: int
    place: str

    @property
    def listed(self) -> tuple[str, str, str]:
        return self.room, self.place, self.what

    def __str__(self) -> str:
        return f"gateway/fold/{self.room}.py:{self.lines[0]}: {self.place}: {self.what}"


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, str, Any]]:
    """Each place, a word for the change, and what makes it."""
    types = {id(part) for node in ast.walk(tree) for part in of_types(node)}
    for node in (each for each in ast.walk(tree) if id(each) not in types):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            yield node, f"{type(node.ops[0]).__name__} turned", lambda n: n.ops.__setitem__(0, SWAPS[type(n.ops[0])]())
        elif isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPS:
            yield node, f"{type(node.op).__name__} turned", lambda n: setattr(n, "op", SWAPS[type(n.op)]())
        if isinstance(node, ast.BoolOp):
            for place in range(len(node.values)):
                # another one stands twice, for one alone is no operation
                yield node, f"without operand {place}", lambda n, at=place: n.values.__setitem__(at, n.values[at - 1])
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


def of_types(node: ast.AST) -> Iterator[ast.AST]:
    """What tells types alone, and decides nothing."""
    for told in (getattr(node, "annotation", None), getattr(node, "returns", None)):
        yield from ast.walk(told) if told else ()


def _truth(operand: ast.expr) -> ast.expr:
    """As a number, which a sign can stand before."""
    return ast.Call(ast.Name("bool", ast.Load()), [operand], [])


def mutants() -> Iterator[Mutant]:
    for room in ROOMS:
        tree = ast.parse((HERE / f"{room}.py").read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        lines = {id(part): each for each in ast.walk(tree) if isinstance(each, ast.stmt) for part in ast.walk(each)}
        for number, (node, what, _) in enumerate(changes(tree)):
            at = node.target if isinstance(node, ast.comprehension) else node
            last = node.ifs[-1].end_lineno if isinstance(node, ast.comprehension) else at.end_lineno
            # of a branch its question alone: what stands below it may be come by or not
            last = node.test.end_lineno if isinstance(node, ast.If) and what.startswith("if ") else last
            inside = [each for each in functions if each.lineno <= at.lineno <= (each.end_lineno or 0)]
            shown = lines[id(node)] if isinstance(node, ast.Constant) else node  # a number says little by itself
            place = f"{inside[-1].name if inside else '-'}: {ast.unparse(shown).splitlines()[0][:110]}"
            yield Mutant(room, range(at.lineno, (last or at.lineno) + 1), what, number, place)


def mutated(mutant: Mutant) -> ast.Module:
    tree = ast.parse((HERE / f"{mutant.room}.py").read_text())
    node, _, change = list(changes(tree))[mutant.number]
    change(node)
    return ast.fix_missing_locations(tree)


@dataclass
class Step:
    """What stands behind one act: records from `start` on, where 0 begins anew; what the fold as it is says of
    some keys, and what a history says that there is.
    """

    start: int
    records: list[Record]
    now: int
    keys: dict[str, bytes]
    rows: dict[str, dict[str, Any]]
    then: dict[str, Any]
    subjects: dict[str, Subject]
    acts: tuple[Any, ...]
    alone: dict[tuple[str, str], tuple[Any, Any]] = field(
        default_factory=dict
    )  # (installation, name): as `_alone` says
    state: dict[Any, Any] = field(default_factory=dict)  # of the fold as it is, and what it says
    read: dict[Any, Lines] = field(default_factory=dict)  # by a name, or as `alone` has it: which lines read it


@dataclass
class Case:
    """One history or universe. `come_by`: the lines of the fold that are run in it."""

    name: str
    who: dict[str, Any]
    steps: list[Step] = field(default_factory=list)
    come_by: Lines = frozenset()

    def finds(self, lines: Lines | None = None) -> bool:
        """Whether what is folded now is not what should stand. `lines`: those that are others now; none: any may be."""
        return any(True for _ in self.wrong(lines))

    def wrong(self, lines: Lines | None = None) -> Iterator[str]:
        from gateway.fold import fold, reading

        state: dict[Any, Any] = {}
        for step in self.steps:
            if step.start == 0:
                state.clear()
            for record in step.records:
                state.update(fold(record, state.get))
            reads = [*step.rows, *step.alone]
            if lines is not None and state == step.state:
                reads = [each for each in reads if lines & step.read[each]]
                if not reads:
                    continue
            row = partial(_row, reading, state.get, step.now)
            if step.then:
                yield from wrongs(step.then, partial(_of, step.subjects, row))
            for each in reads:
                if isinstance(each, str):
                    if (said := row(step.keys[each])) != step.rows[each]:
                        yield f"{each}: {said}, where the fold says {step.rows[each]}"
                elif (
                    _alone(reading, state.get, each[0], *(step.subjects[name] for name in each[1:])) != step.alone[each]
                ):
                    yield f"{each}: comes back otherwise, or is asked at another time"

    def learn(self) -> "Case":
        """Which lines of the fold say what it says as it is."""
        from gateway.fold import fold, reading

        state, found = dict[Any, Any](), set[tuple[str, int]]()
        for step in self.steps:
            if step.start == 0:
                state.clear()
            with come_by(found):
                for record in step.records:
                    state.update(fold(record, state.get))
            step.state = dict(state)
            for name in step.rows:
                with come_by(lines := set()):
                    _row(reading, state.get, step.now, step.keys[name])
                step.read[name] = frozenset(lines)
                found |= lines
            for each in step.alone:
                with come_by(lines := set()):
                    _alone(reading, state.get, each[0], *(step.subjects[name] for name in each[1:]))
                step.read[each] = frozenset(lines)
                found |= lines
        self.come_by = frozenset(found)
        return self


@contextlib.contextmanager
def come_by(found: set[tuple[str, int]]) -> Iterator[None]:
    """Notes the lines of the fold that are run meanwhile."""
    rooms = {str(HERE / f"{room}.py"): room for room in ROOMS}

    def called(frame: Any, event: str, arg: Any) -> Any:
        room = rooms.get(frame.f_code.co_filename)
        if room is None:
            return None

        def line(frame: Any, event: str, arg: Any) -> Any:
            found.add((room, frame.f_lineno))
            return line

        return line(frame, event, arg)

    sys.settrace(called)
    try:
        yield
    finally:
        sys.settrace(None)


def prepared(name: str, who: dict[str, Any], acts: list[Any], every: int = 1) -> Case:
    """What the log and the fold as it is say behind these acts."""
    case, play, before = Case(name, who), Play(who), list[Record]()
    for number, act in enumerate(acts, 1):
        try:
            play.act(act)
        except Refused:
            assert "kind of act" in act
        if act.get("then") or number % every == 0:
            records = log_records.records_of(play.ledger.db)
            start = len(before) if records[: len(before)] == before else 0
            case.steps.append(_step(play, acts[:number], records[start:], start))
            before = records
    return case.learn()


def told_blindly(name: str, who: dict[str, Any], acts: list[Any], every: int = 1) -> Case:
    """The same for the fold alone, which is told of every act."""
    case, play, blind, before = Case(name, who), Play(who), Blind(who, lambda record, get: {}), list[Record]()
    for number, act in enumerate(acts, 1):
        with contextlib.suppress(Refused):
            play.act(act)
        for done in play.done[blind.told :]:
            blind.act(done)
            blind.told += 1
        if act.get("then") or number % every == 0:
            records = list(blind.records)
            start = len(before) if records[: len(before)] == before else 0
            step = _step(play, acts[:number], records[start:], start)
            step.keys, step.subjects = dict(blind.keys), dict(blind.who)  # by the first pepper
            case.steps.append(step)
            before = records
    return case.learn()


def _step(play: Play, acts: list[Any], records: list[Record], start: int) -> Step:
    now = milliseconds(play.at)
    keys = {name: key for name, key in play.keys.items() if name in play.who or name.endswith("1")}
    step = Step(start, records, now, keys, play.rows(keys), acts[-1].get("then", {}), dict(play.who), tuple(acts))
    if len(acts) % 4 == 0 or len(acts) < SHORT:
        step.alone = dict(_alone_by_the_fold(play, {play.mark(act)["device"] for act in acts if "token" in act}))
    return step


def _alone_by_the_fold(play: Play, marks: set[str]) -> Iterator[tuple[tuple[str, str, str], Any]]:
    """What installations come back from, and what is not asked again, where somebody said yes."""
    get = play.state().get
    for name, subject in play.who.items():
        said_yes = bool(play.row_of(subject.key)["yes"])
        for mark in marks if said_yes else ():
            for other in play.who if len(play.who) < SHORT else (name,):
                yield (mark, name, other), _alone(reading, get, mark, subject, play.who[other])
        yield ("", name, name), _alone(reading, get, "", subject, subject)


def _alone(reading: Any, get: Any, mark: str, device: Subject, other: Subject) -> tuple[Any, Any]:
    """What an installation comes back from by its own yes, and the purposes that the holder is not asked again."""
    keys = (*device.keys, *other.keys)
    return reading.come_back(mark, device.key, keys, get), frozenset(reading.last_outs(device.key, get))


def _row(reading: Any, get: Any, now: int, key: bytes) -> dict[str, Any]:
    """As a check reads it, which looks at grants only where the standing says that there are any."""
    standing = reading.standing_of(key, get, now)
    return shown(standing, reading.grants_of(key, get, now) if standing.granted else ())


def _of(subjects: Any, row: Any, name: str) -> dict[str, Any]:
    subject = subjects[name]
    return joined([row(key) for key in subject.keys], [row(key) for key in subject.looser], row(subject.key))


def of_histories(histories: list[dict[str, Any]]) -> list[Case]:
    found = []
    for each in histories:
        found += [prepared(each["name"], each["who"], each["acts"])] if "door" not in each else []
        found += [told_blindly(f"{each['name']}, blindly", each["who"], each["acts"])] if is_blind(each) else []
    return agreeing(found)


def of_universes(seeds: range, length: int = 200, every: int = 4) -> list[Case]:
    """Whole ones; and such as are told to the fold blindly, of links and what is allowed and taken back alone."""
    found = []
    for seed in seeds:
        found.append(prepared(f"universe {seed}", *acts_of(seed, length), every=every))
        blind = acts_of(seed, length, without=("unlink",) if seed % 2 else SELDOM)
        found.append(told_blindly(f"universe {seed}, blindly", *blind, every=every))
    return agreeing(found)


def agreeing(those: list[Case]) -> list[Case]:
    """Where a fold that is told blindly says otherwise it is what a history says itself that counts, and nothing else."""
    for case in those:
        if case.finds():
            for step in case.steps:
                step.rows = {}
    return [case for case in those if not case.finds()]


def is_found(mutant: Mutant, among: list[Case]) -> bool:
    """In a process of its own: it may do anything but end."""
    everywhere = mutant.place.startswith("-")  # it is run when the room is opened
    lines = None if everywhere else frozenset((mutant.room, line) for line in mutant.lines)
    those = [case for case in among if lines is None or case.come_by & lines]
    if not those:
        return False

    code = compile(mutated(mutant), f"{mutant.room}.py", "exec")  # here, so that one that is no program is not found

    def finds() -> int:
        become(mutant.room, code)
        return int(any(case.finds(lines) for case in those))

    return exit_code(finds, LONGEST) != 0


def exit_code(work: Callable[[], int], seconds: int) -> int:
    """What work comes to in a process of its own: 1 where it raises, below 0 where it does not end in that much of the
    processor's time.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.setitimer(signal.ITIMER_PROF, seconds)  # a busy machine ends nobody
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def become(changed: str, code: CodeType) -> None:
    """The rooms anew in their order, one of them changed."""
    for room in ROOMS:
        module = import_module("gateway.fold" if room == "__init__" else f"gateway.fold.{room}")
        exec(code if room == changed else as_it_is(room), module.__dict__)


@cache
def as_it_is(room: str) -> CodeType:
    return compile((HERE / f"{room}.py").read_text(), f"{room}.py", "exec")


def by_hand() -> list[dict[str, Any]]:
    """The histories that the fold's rows tell, as they are."""
    vectors = Path(__file__).parent.parent / "vectors" / "histories.json"
    histories = json.loads(vectors.read_text(encoding="utf-8"))["histories"]
    return [each for each in histories if each["name"] != "the other kind of one digest"]


def left() -> dict[tuple[str, str, str], str]:
    """Those that nobody can find, each with the reason."""
    listed = json.loads(LEFT.read_text(encoding="utf-8"))
    return {(each["room"], each["place"], each["what"]): each["reason"] for each in listed}


class Tried:
    """What is known of each mutant so far: by what it is found. `file`: where it is noted, and read from at first."""

    def __init__(self, file: Path | None) -> None:
        self.file, self.by = file, dict[str, list[str]]()
        for line in file.read_text(encoding="utf-8").splitlines() if file and file.exists() else ():
            mutant, *by = line.split("\t")
            self.by.setdefault(mutant, []).extend(by)

    def finds(self, mutant: Mutant, what: str, among: list[Case]) -> bool:
        """Looked for once."""
        noted = self.by.setdefault(f"{mutant.number} {mutant}", [])
        if not {what, f"not {what}"} & {*noted}:
            noted.append(what if is_found(mutant, among) else f"not {what}")
            if self.file:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(f"{mutant.number} {mutant}\t{noted[-1]}\n")
        return what in noted


def main(number: int, seed: int, rooms: str = ",".join(ROOMS), file: str = "") -> None:
    began, known, every = time.process_time(), left(), [each for each in mutants() if each.room in rooms.split(",")]
    for room in ROOMS:
        as_it_is(room)  # once, and not in each child
    those, tried = random.Random(seed).sample(every, min(number, len(every))), Tried(Path(file) if file else None)
    those.sort(key=lambda mutant: (ROOMS.index(mutant.room), mutant.number))
    survive = those
    for what, make in (("histories", partial(of_histories, by_hand())), ("universes", partial(of_universes, SEEDS))):
        among, tell = make(), survive
        gc.freeze()  # else each child looks through all of it for garbage, and has its own copy then
        survive = []
        for mutant in tell:
            if not tried.finds(mutant, what, among):
                survive.append(mutant)
                print(f"{what} do not find {mutant} ({known.get(mutant.listed, 'NOT LISTED')})", flush=True)
        spent = time.process_time() - began + sum(os.times()[2:4])
        print(f"{len(among)} {what}: {len(those) - len(survive)} of {len(those)} found, {spent:.0f} s", flush=True)
    listed = sum(mutant.listed in known for mutant in survive)
    print(
        f"{len(those) - len(survive)} of {len(those)} found ({len(every)} there are); {listed} of the others are listed"
    )


if __name__ == "__main__":
    NUMBERS = [*sys.argv[1:3], *("10000", "1")[len(sys.argv) - 1 :]]
    main(*map(int, NUMBERS), *sys.argv[3:])
