"""Which checks were decided how, for whoever has to explain it: every no and one yes in a hundred by the request's id
(I26), and all counted by day, door, recipient, reason and place (I23). The check doors fill it; in shadow mode those of
the site and of shares too, which count and write no line. `gateway explain` and `gateway report` read it. Never a
person, an identifier, an address or a key.

Files in `decisions/` of the data folder, written beside the work: nothing waits for them, and what cannot be written is
lost and counted. One set a run, so that several processes of a folder do not disturb each other.
"""

import contextlib
import json
import os
import re
import secrets
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from gateway.choice.question import Verdict
from gateway.consent.asked import Checked
from gateway.consent.shadow import Shadow
from gateway.delivery.background import Every

FOLDER = "decisions"
SAMPLED = 100  # one yes in so many is logged; each is counted
MOST_LINES = 20_000  # that wait: a second of a busy day
MOST_CELLS = 20_000  # of one day's counts; beyond, what is new is counted without its place
MOST_BYTES = 64 * 2**20  # of one run's log, in two halves of which the older one goes
LOG_DAYS, COUNT_DAYS = 35, 400
DAY = 86_400  # seconds
NO_SHADOW = Shadow()
PERIOD = 1.0  # seconds
COUNT_EVERY = 10  # periods
PLACE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
OTHER, LONGEST_PLACE = "other", 40
LIVE, DRY_RUN, SHADOW = "live", "dry_run", "shadow"
ALLOWED, PARTLY, DENIED = "allowed", "partly", "denied"


class Cell(NamedTuple):
    """The key under which answers are counted together. `mode`: live, dry_run or shadow. `door`: where it was asked;
    of ads' own paths on the site the configured beginning too. Counts of an older version have none.
    """

    recipient: str
    verdict: str
    reason: str
    place: str
    mode: str
    door: str = ""


def cell_in_shadow(recipient: str, verdict: str, reason: str, place: str, door: str = "") -> Cell:
    """What one page or row is counted as. `place`: as a verdict has it."""
    return Cell(recipient, verdict, reason, _place(place), SHADOW, door)


class Logged(NamedTuple):
    """One recipient's verdict as it is counted and logged, whoever it is about. `allowed`: all that was asked for."""

    cell: Cell
    allowed: bool
    rule: str


Noted = tuple[datetime, str, str, Logged, int | None]  # when, in which request at which door, and as of which position


class DecisionLog:
    """The log of one run. `known`: the configured recipients; any other name may be anything and is not written.
    `lost` is told of each line that could not be kept, `shadowed` of each answer in shadow mode.
    """

    def __init__(
        self,
        folder: Path,
        known: Collection[str],
        clock: Callable[[], datetime],
        lost: Callable[[], None],
        shadow: Shadow = NO_SHADOW,
        shadowed: Callable[[Cell], None] | None = None,
    ) -> None:
        self.shadow = shadow
        self._shadowed = shadowed
        self._folder = folder / FOLDER
        self._known = frozenset(known)
        self._clock = clock
        self._run_name = secrets.token_hex(8)
        self._lines: deque[Noted] = deque()
        self._counts: dict[date, Counter[Cell]] = {}
        self._allowed = 0
        self._lost = lost
        self._turns = 0
        self._thread = Every("decision-log", PERIOD, self._turn, last=self._end)

    def logged(self, checked: Checked, mode: str, door: str) -> tuple[Logged, ...]:
        """What `note` wants to know of an answer: the same of all that are alike."""
        mode = SHADOW if mode == LIVE and self.shadow.on() else mode
        return tuple(self._logged(name, verdict, mode, door) for name, verdict in checked.verdicts.items())

    def _logged(self, name: str, verdict: Verdict, mode: str, door: str) -> Logged:
        recipient, allowed = name if name in self._known else "unknown", verdict.allowed
        word = ALLOWED if allowed else PARTLY if verdict.partly else DENIED
        return Logged(Cell(recipient, word, verdict.reason, _place(verdict.place), mode, door), allowed, verdict.rule)

    def note(self, request: str, door: str, verdicts: Sequence[Logged], position: int | None, now: datetime) -> None:
        """One answer of `now`. `request`: its Gateway-Request. Nothing is made a line of here."""
        today = self._on(now.date())
        for told in verdicts:
            cell = self._counted(told.cell, today)
            if cell is not told.cell:
                told = told._replace(cell=cell)  # noqa: PLW2901
            self._allowed += told.allowed
            if told.allowed and self._allowed % SAMPLED != 1:
                continue
            if len(self._lines) < MOST_LINES:
                self._lines.append((now, request, door, told, position))
            else:
                self._lost()

    def count(self, cell: Cell) -> None:
        """One page, or one row, in shadow mode."""
        self._counted(cell, self._on(self._clock().date()))

    def _on(self, day: date) -> Counter[Cell]:
        counts = self._counts.get(day)
        if counts is None:
            counts = self._counts[day] = Counter()
        return counts

    def _counted(self, cell: Cell, today: Counter[Cell]) -> Cell:
        """As what it was counted: on a day with too many kinds of answers without its place."""
        if cell not in today and len(today) >= MOST_CELLS:
            cell = cell._replace(place=OTHER)
        today[cell] += 1
        if self._shadowed and cell.mode == SHADOW:
            self._shadowed(cell)
        return cell

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Writes while the context is open."""
        return self._thread.running()

    def _turn(self) -> None:
        if not self._turns:
            with contextlib.suppress(OSError):
                _forget(self._folder, self._clock())
        self._turns += 1
        self._write_lines()
        if self._turns % COUNT_EVERY == 0:
            self._write_counts()

    def _end(self) -> None:
        self._write_lines()
        self._write_counts()

    def _write_lines(self) -> None:
        lines = list[bytes]()
        with contextlib.suppress(IndexError):
            while True:
                lines.append(_line_of(self._lines.popleft()))
        if not lines:
            return
        path = self._folder / f"log-{self._run_name}.jsonl"
        try:
            with _opened(path, os.O_APPEND) as file:
                file.write(b"".join(lines))
                file.flush()
                full = os.fstat(file.fileno()).st_size > MOST_BYTES / 2
            if full:
                path.replace(path.with_name(f"log-{self._run_name}.before.jsonl"))
        except OSError:
            for _ in lines:
                self._lost()

    def _write_counts(self) -> None:
        """Whole, beside, renamed: a reader finds the older or the newer one. What could not be written is in the next;
        a day that is over goes from memory once it was.
        """
        for day, counts in list(self._counts.items()):
            path = self._folder / f"counts-{day}-{self._run_name}.json"
            rows = [[*cell, number] for cell, number in list(counts.items())]
            with contextlib.suppress(OSError):
                beside = path.with_suffix(".new")
                with _opened(beside, os.O_TRUNC) as file:
                    file.write(json.dumps(rows).encode())
                beside.replace(path)
                if day < self._clock().date():
                    self._counts.pop(day)


def _line_of(noted: Noted) -> bytes:
    at, request, door, told, position = noted
    line = {
        "at": at.isoformat(timespec="milliseconds"),
        "request": request,
        "door": door,
        "recipient": told.cell.recipient,
        "verdict": told.cell.verdict,
        "reason": told.cell.reason,
        "rule": told.rule,
        "place": told.cell.place,
        "position": position,
        "mode": told.cell.mode,
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def find_decision(folder: Path, request: str) -> Iterator[dict[str, Any]]:
    """What was decided in a request, by its Gateway-Request. Lines that cannot be read are passed over."""
    wanted = request.encode()
    for path in sorted((folder / FOLDER).glob("log-*.jsonl")):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            for line in file:
                if wanted in line:
                    with contextlib.suppress(ValueError):
                        told = json.loads(line)
                        if told.get("request") == request:
                            yield told


def counted(folder: Path, since: date) -> Counter[Cell]:
    """Every run's counts of the days from then on."""
    found: Counter[Cell] = Counter()
    for path in (folder / FOLDER).glob("counts-*.json"):
        if _day(path) >= since:
            with contextlib.suppress(OSError, ValueError, TypeError):
                for *cell, number in json.loads(path.read_bytes()):
                    found[Cell(*cell)] += number
    return found


def _day(path: Path) -> date:
    try:
        return date.fromisoformat(path.name[7:17])
    except ValueError:
        return date.min


def _forget(folder: Path, now: datetime) -> None:
    """Deletes what is older than it is kept, back from the newest of a day ago: a clock that is ahead takes nothing."""
    written = {path: path.stat().st_mtime for path in folder.glob("*")}
    confirmed = max((at for at in written.values() if at <= now.timestamp() - DAY), default=0.0)
    for pattern, days in (("log-*", LOG_DAYS), ("counts-*", COUNT_DAYS)):
        for path in folder.glob(pattern):
            if written.get(path, confirmed) < confirmed - days * DAY:
                path.unlink(missing_ok=True)


def _opened(path: Path, flag: int) -> BinaryIO:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600), "wb")


@lru_cache(maxsize=1024)
def _place(stated: str) -> str:
    """A verdict's place is a code, or several; what a caller made up is not."""
    known = stated == "unknown" or (len(stated) <= LONGEST_PLACE and all(map(PLACE.fullmatch, stated.split(","))))
    return stated if known else OTHER
