"""`PYTHONPATH=tests:. python tests/bench/hosts_bench.py`: what a record costs the machines of one PostgreSQL: the one
that wrote it and each that only folds it, with one machine, two and three, in times of a bare application's request in
the same run. The figures of `gateway help sizing`.

Processor time of whole processes, for each opt-out of somebody new that the first machine answered, at 64 connections
and at one, without what each takes when nobody writes, for it proves twice a second that it may answer. Medians of
turns, in turn with the bare application.
"""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))
import psycopg
from bench import baselines
from opt_out_bench import LOAD
from processor import spent
from support import postgres_server
from support.ports import free_port
from support.service import Service
from support.several_hosts import joined

from gateway.app.composition import migrate

SECONDS, TURNS, IDLE = 4, 3, 2.0
HOSTS, CONNECTIONS = (1, 2, 3), (64, 1)
BAR = 0.3  # bare requests that a record may cost a machine that folds it
SIZE = "SELECT size FROM gateway_ledger.head"
GET = 'wrk.method = "GET"'


class Turn(NamedTuple):
    """In bare requests for each record: of who wrote it, of the dearest of those who fold it with what it takes when
    nobody writes, and without. `records` a second; `middle`: milliseconds of an answer.
    """

    writes: float
    folds: float
    folds_alone: float
    records: float
    middle: float


def wrk(url: str, script: str, connections: int, seed: int) -> tuple[int, float]:
    """How many were answered, and milliseconds of the middle one."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{SECONDS}s",
            "--latency",
            "-s",
            file.name,
            url,
            "--",
            str(seed),
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    middle, unit = re.search(r"^ +50% +([\d.]+)(us|ms|s)", said, re.MULTILINE).groups()
    return int(said.split(" requests in")[0].split()[-1]), float(middle) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def of_bare(port: int, pid: int) -> float:
    """Seconds of a bare request."""
    before = spent(pid)
    answered, _ = wrk(f"http://127.0.0.1:{port}/bare", GET, 16, 0)
    return (spent(pid) - before) / answered


def taken(machines: list[Service]) -> list[float]:
    return [spent(each.process.pid) for each in machines]


def turned(url: str, machines: list[Service], bare: float, connections: int, seed: int) -> Turn:
    rest, began = taken(machines), time.monotonic()
    time.sleep(IDLE)
    rest = [(after - before) / (time.monotonic() - began) for before, after in zip(rest, taken(machines), strict=True)]
    with psycopg.connect(url, autocommit=True) as db:
        before, size, began = taken(machines), db.execute(SIZE).fetchone()[0], time.monotonic()
        _, middle = wrk(f"{machines[0].url}/v1/choices", LOAD, connections, seed)
        records, took = db.execute(SIZE).fetchone()[0] - size, time.monotonic() - began
    time.sleep(0.5)  # what was behind is folded
    spent_each = [after - each for each, after in zip(before, taken(machines), strict=True)]
    own, *alone = [each - idle * (took + 0.5) for each, idle in zip(spent_each, rest, strict=True)]
    figures = (own, max(spent_each[1:], default=0.0), max(alone, default=0.0))
    return Turn(*(each / records / bare for each in figures), records / took, middle)


@contextlib.contextmanager
def machines_of(at: dict, folder: Path, number: int) -> Iterator[tuple[str, list[Service]]]:
    """So many that serve, and the address of what they share."""
    url, served = postgres_server.fresh_url(at), list[Service]()
    with ExitStack() as stack:
        for each in range(number):
            data = folder / f"{number}-{each}" / "data"
            data.parent.mkdir()
            migrate(data, url=url) if not each else joined(served[0].data, url, data)
            made = Service(free_port(), data, data.parent / "log")
            stack.callback(made.stop)
            served.append(made.start())
        yield url, served


def measured(stack: ExitStack, folder: Path, number: int, bare: tuple[int, int]) -> dict[int, Turn]:
    at = stack.enter_context(postgres_server.running(postgres_server.programs()))
    found: dict[int, list[Turn]] = {each: [] for each in CONNECTIONS}
    with machines_of(at, folder, number) as (url, machines):
        for turn in range(TURNS + 1):
            for each, turns in found.items():
                turns.append(turned(url, machines, of_bare(*bare), each, 100 * turn + each))
    return {each: Turn(*map(statistics.median, zip(*turns[1:], strict=True))) for each, turns in found.items()}


def main() -> None:
    print(time.strftime("%d %B %Y, %H:%M"), f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(f"{'':30}  records/s     p50  writes it  folds it  (and what idles)     in bare requests")
    dearest, writes = 0.0, list[float]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        bare = baselines(stack)
        for number in HOSTS:
            with ExitStack() as inner:
                found = measured(inner, folder, number, bare)
            for connections, turn in found.items():
                if connections == CONNECTIONS[0]:
                    dearest, writes = max(dearest, turn.folds_alone), [*writes, turn.writes]
                print(
                    f"{number} machines, {connections:2} connections {turn.records:12,.0f} {turn.middle:5.1f} ms"
                    f" {turn.writes:9.2f} {turn.folds_alone:9.2f}  ({turn.folds:.2f})",
                    flush=True,
                )
    grown = " : ".join(f"{each / writes[0]:.2f}" for each in writes)
    print(f"who wrote it paid, with one machine, two and three, at {CONNECTIONS[0]} connections {grown}")
    print(f"a record costs a machine that folds it {dearest:.2f} bare requests at 64 connections; at most {BAR}")
    sys.exit(dearest > BAR)


if __name__ == "__main__":
    main()
