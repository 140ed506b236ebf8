"""`PYTHONPATH=tests:. python tests/bench/writing_bench.py [ROW ...]`: what writing costs and the bar that each row is held
to, one table, beside a bare application in the same run. The figures of `gateway help speed`.

    rate  opt-outs and links over HTTP at 64 connections, lines of NDJSON, one caller beside this disk's own sync
    beside  checks that are due at fixed moments, while opt-outs come at half of the most that they can: answered by the
            process that writes, and by another one of the same folder
    held  how long one turn of the event loop takes while 64 opt out
    kept  bytes of files, and of the write-ahead log, 64 a batch
    account  of 300 browsers: one more, and its unlink

`IDENTIFIERS` people are on record before. The gateway has one core, whoever asks the other; figures are medians of turns.
"""

import asyncio
import gc
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from asyncio.events import Handle
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import bars
import many
from bars import Asker, Row, got, posted
from bench import baselines
from opt_out_bench import LOAD, TURNS, load
from rare_work_bench import choice, name
from support import inside
from support.people import gaid, named
from support.ports import free_port
from support.service import Service, service

from gateway import disk
from gateway.app.composition import House, now, open_house
from gateway.cli.serve import GARBAGE
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.keys import person_keys
from gateway.ledger.acts import links, records
from gateway.ledger.acts.links import Span
from gateway.ledger.subjects import milliseconds
from gateway.terms import Erasing

LINK = LOAD.replace(
    """'{"identifiers": [{"type": "gaid", "value": "' .. id .. '"}],'
    .. ' "choice": "opt_out", "place": "US-CO"}'""",
    """'{"account": "a' .. id .. '", "identifiers": [{"type": "gaid", "value": "' .. id .. '"}]}'""",
)
LINES, SYNCS, ALONE, AT_ONCE, TOGETHER, BATCHES, BROWSERS = 1000, 200, 300, 64, 64, 1563, 300
SECONDS, CHECKS_A_SECOND = 8.0, 100
PEOPLE = int(os.environ.get("IDENTIFIERS", "0"))
numbers = itertools.count(10**9)


def no(place: str = "US-CO") -> dict:
    return {"identifiers": [named("gaid", gaid(next(numbers)))], "choice": "opt_out", "place": place}


def one_no() -> bytes:
    return posted("/v1/choices", json.dumps(no()).encode(), "dev.dev")


def filled(folder: Path, stack: ExitStack) -> Service:
    running = stack.enter_context(service(folder, prefix=("taskset", "-c", "0")))
    if PEOPLE:
        running.stop()
        many.fill(running.data, PEOPLE)
        running.start()
    return running


def of_this_disk(folder: Path) -> float:
    """Milliseconds of one fdatasync behind four pages, the middle one."""
    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(SYNCS):
            file.write(bytes(4 * 4096))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


async def _alone(port: int) -> float:
    asker, took = await Asker().open(port), []
    for _ in range(ALONE):
        request, began = one_no(), time.perf_counter()
        await asker.ask(request)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


def rates(folder: Path, stack: ExitStack, running: Service, bare: tuple[int, int]) -> list[Row]:
    port, pid = bare
    assert LINK != LOAD
    turns = []
    (opts := folder / "choices.lua").write_text(LOAD)
    (link := folder / "links.lua").write_text(LINK)
    for turn in range(TURNS + 1):
        of_bare = load(pid, f"http://127.0.0.1:{port}/bare", opts, turn)
        of_no = load(running.process.pid, f"{running.url}/v1/choices", opts, turn)
        of_link = load(running.process.pid, f"{running.url}/v1/links", link, turn)
        lines = b"\n".join(json.dumps(no()).encode() for _ in range(LINES))
        request = posted("/v1/choices", lines, "dev.dev", "application/x-ndjson")
        of_line = bars.cost(running.process.pid, running.port, [request]) / LINES
        turns.append((of_no[1] / of_bare[1], of_no[0] / of_bare[0], of_link[1] / of_bare[1], of_line / of_bare[1]))
    dear, share, linked, line = (statistics.median(each) for each in zip(*turns[1:], strict=True))
    alone, sync = asyncio.run(_alone(running.port)), of_this_disk(folder)
    return [
        Row("an opt-out over HTTP, 64 connections", dear, 5),
        Row("bare requests in the time of one such opt-out", 1 / share, 5, "times"),
        Row("a link over HTTP, 64 connections", linked, 2.5),
        Row("a line of NDJSON, an opt-out", line, 1.5),
        Row(f"one caller, half of the opt-outs ({alone:.1f} ms; a sync takes {sync:.2f} ms)", alone / sync, 5, "syncs"),
    ]


async def _most(port: int, seconds: float = 4.0) -> float:
    """Opt-outs a second at 64 connections."""
    ends, done = time.perf_counter() + seconds, 0

    async def one() -> None:
        nonlocal done
        asker = await Asker().open(port)
        while time.perf_counter() < ends:
            await asker.ask(one_no())
            done += 1

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return done / seconds


def _checks() -> Iterator[bytes]:
    return (posted("/v1/check", json.dumps(bars.question(n)).encode(), "dev.dev") for n in itertools.count())


async def _beside(writes: int, asked: int, a_second: float) -> tuple[float, float]:
    """The 99th percentile of checks and of opt-outs, in milliseconds."""
    said = (one_no() for _ in itertools.count())
    noes = bars.waits(writes, said, a_second, SECONDS, AT_ONCE)
    return tuple(map(_longest, await asyncio.gather(_asked(asked), noes)))


def _asked(port: int) -> Coroutine[None, None, list[float]]:
    return bars.waits(port, _checks(), CHECKS_A_SECOND, SECONDS, AT_ONCE)


def _longest(waited: list[float]) -> float:
    """Of 99 of 100, in milliseconds."""
    return statistics.quantiles(waited, n=100)[98] * 1e3


def beside(stack: ExitStack, running: Service) -> list[Row]:
    other = Service(free_port(), running.data, running.data.parent / "other.log", running.arguments)
    stack.callback(other.stop)
    other.start()
    quiet = _longest(asyncio.run(_asked(other.port)))
    half = asyncio.run(_most(running.port)) / 2
    here, _ = asyncio.run(_beside(running.port, running.port, half))
    there, noes = asyncio.run(_beside(running.port, other.port, half))
    return [
        Row(f"99 % of checks beside {half:.0f} opt-outs a second, in their process", here, 15, "ms"),
        Row(
            f"the same in another process ({quiet:.1f} ms without opt-outs; theirs {noes:.0f})",
            there / quiet,
            2,
            "times",
        ),
    ]


class Turns:
    """Milliseconds of each callback of an event loop: by the clock, and of the loop's thread's processor time."""

    def __init__(self) -> None:
        self.took, before = list[tuple[float, float]](), Handle._run

        def run(handle: Handle) -> None:
            began, spent = time.perf_counter(), time.thread_time()
            before(handle)
            self.took.append(((time.perf_counter() - began) * 1e3, (time.thread_time() - spent) * 1e3))

        Handle._run = run  # type: ignore[method-assign]


def held(folder: Path) -> list[Row]:
    async def all_() -> list[tuple[float, float]]:
        async with inside.application(folder / "inside") as app, inside.client(app, **inside.DEV) as client:

            async def one() -> None:
                for _ in range(40):
                    assert (await client.post("/v1/choices", json=no())).status_code == 201

            await one()
            gc.collect()  # as the service does once it is started
            gc.freeze()
            gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])
            await asyncio.sleep(0)
            turns.took.clear()
            await asyncio.gather(*(one() for _ in range(AT_ONCE)))
            return sorted(turns.took)

    turns = Turns()
    took = asyncio.run(all_())
    (longest, busy), (usual, _) = took[-1], took[-len(took) // 1000]
    more = f"{busy:.1f} of it the processor's; one of 1,000 {usual:.1f}"
    return [Row(f"longest turn of the event loop ({more})", longest, 10, "ms")]


def kept(folder: Path) -> list[Row]:
    """The log is brought over only at the end, so that what a commit writes is all there; then to the files."""
    data = inside.install(folder / "kept")

    def size(*files: str) -> int:
        return sum(path.stat().st_size for file in files for path in data.glob(file))

    brought, disk.bring_over = disk.bring_over, lambda db, **_: (False, 0)
    try:
        with open_house(data, inside.settings(), dev=True) as house:
            _write(house, 128)  # a table has its first pages
            before, logged = size("*.sqlite3", "*-wal"), size("ledger.sqlite3-wal")
            _write(house, BATCHES)
            number = BATCHES * TOGETHER
            wal = (size("ledger.sqlite3-wal") - logged) / number
    finally:
        disk.bring_over = brought
    print(f"{before:,} bytes in files before", file=sys.stderr)
    with open_house(data, inside.settings(), dev=True) as house:
        _write(house, 1)
    entries = (128 + BATCHES + 1) * TOGETHER
    grown = size("ledger.sqlite3", person_keys.FILE) / entries
    return [
        Row(f"bytes of the ledger and its keys, of {entries:,} opt-outs", grown, 1200, "bytes"),
        Row("of the write-ahead log, 64 a batch", wal, 3000, "bytes"),
    ]


def _write(house: House, batches: int) -> None:
    for _ in range(batches):
        subjects = [name(house, "gaid", gaid(next(numbers))) for _ in range(TOGETHER)]
        jobs = [lambda tx, s=s: records.write_choice(tx, s, choice(), os.urandom(16)) for s in subjects]
        for future in [house.writer.submit(job) for job in jobs]:
            future.result()


def account(folder: Path) -> list[Row]:
    with open_house(inside.install(folder / "account"), inside.settings(), dev=True) as house:
        at = milliseconds(datetime.now(UTC))
        whose = house.consent.people
        took, gone = [], []
        for turn in range(TURNS):
            who = name(house, "account", f"account-{turn}")
            for number in range(BROWSERS):
                its = whose.browser(f"{turn:016x}{number:016x}")
                began = time.perf_counter()
                house.writer.submit(
                    lambda tx, who=who, its=its: links.link_identifiers(tx, who, [its], Span(at), at)
                ).result()
                took.append((number, time.perf_counter() - began))
            began = time.perf_counter()
            asyncio.run(house.consent.erase(ErasureOrder(Erasing.UNLINK, [who], now())))
            gone.append((time.perf_counter() - began) * 1e3)
    first = statistics.median(each for number, each in took if number < BROWSERS // 10)
    last = statistics.median(each for number, each in took if number >= BROWSERS - BROWSERS // 10)
    return [
        Row(f"an account's {BROWSERS}th browser against its first", last / first, 1.3, "times"),
        Row(f"unlinking an account of {BROWSERS} browsers", statistics.median(gone), 50, "ms"),
    ]


def main(asked: list[str]) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
        bare = baselines(stack)
        base = bars.cost(bare[1], bare[0], [got("/bare")] * bars.ASKED)
        running = filled(folder, stack) if {"rate", "beside"} & {*asked} else None
        ways = {
            "rate": lambda: rates(folder, stack, running, bare), "beside": lambda: beside(stack, running),
            "held": lambda: held(folder), "kept": lambda: kept(folder), "account": lambda: account(folder),
        }  # fmt: skip
        rows = [row for each in asked for row in bars.tell(ways[each]())]
    print(bars.markdown(rows, base, []))


if __name__ == "__main__":
    main(sys.argv[1:] or ["rate", "beside", "held", "kept", "account"])
