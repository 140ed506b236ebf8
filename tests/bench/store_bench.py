"""`PYTHONPATH=tests:. python tests/bench/store_bench.py`: what an opt-out costs in the folder and on a PostgreSQL, beside
a bare application in the same run: over HTTP at 64 connections and at one, in the writer alone, and beside the same
bytes by a bare COPY; what of it stays on disk. The figures of `gateway help sizing`.

The gateway has one core, wrk and the server share the other. Each figure is the median of turns, taken in turn.
"""

import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from operator import attrgetter
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parent.parent))
from bench import baselines
from opt_out_bench import LOAD
from processor import spent
from support import inside, postgres_server
from support.people import gaid, named
from support.service import Service, service

from gateway.app.composition import migrate, now, open_house
from gateway.ledger.acts import records
from gateway.ledger.subjects import Choice
from gateway.settings import load
from gateway.terms import ALL_PURPOSES, ChoiceKind

SECONDS, TURNS = 4, 3
BATCHES, TOGETHER = 80, 64
WAYS = ((64, "64 connections"), (1, "one connection"))
ASK = 'wrk.method = "GET"'


class Turn:
    """Of one load: requests a second, the middle one's milliseconds, and microseconds of the processor for each."""

    def __init__(self, pid: int, url: str, script: str, connections: int, seed: int) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
            file.write(script)
            file.flush()
            command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency"]
            before = spent(pid)
            said = subprocess.run(
                [*command, "-s", file.name, url, "--", str(seed)], capture_output=True, text=True, check=True
            ).stdout
        assert "Non-2xx" not in said, said
        self.a_second = float(said.split("Requests/sec:")[1].split()[0])
        self.processor = (spent(pid) - before) / int(said.split(" requests in")[0].split()[-1]) * 1e6
        self.middle = re.search(r"^ +50% +(\S+)", said, re.MULTILINE).group(1)


A_SECOND, PROCESSOR = (attrgetter(name) for name in ("a_second", "processor"))


def over_http(places: dict[str, Service], bare: tuple[int, int]) -> None:
    for connections, name in WAYS:
        turns = defaultdict[str, list[Turn]](list)
        for number in range(TURNS):
            port, pid = bare
            turns["bare"].append(Turn(pid, f"http://127.0.0.1:{port}/bare", ASK, connections, 0))
            for place, running in places.items():
                seed = 1000 * connections + number
                turns[place].append(Turn(running.process.pid, f"{running.url}/v1/choices", LOAD, connections, seed))
        rate, took = (statistics.median(kind(turn) for turn in turns["bare"]) for kind in (A_SECOND, PROCESSOR))
        for place, taken in turns.items():
            here, spent_here = (statistics.median(kind(turn) for turn in taken) for kind in (A_SECOND, PROCESSOR))
            print(
                f"{name:16} {place:8} {here:9,.0f} a second, {here / rate:.3f} of bare; {spent_here:8,.0f} us of the"
                f" processor, {spent_here / took:.1f} bare requests; p50 {taken[TURNS // 2].middle}"
            )


def in_the_writer(data: Path) -> float:
    """Opt-outs a second, 64 handed over at a time, in this process."""
    with open_house(data, load.load_settings(load.example_file(), {}), dev=True) as house:
        choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "api", now())
        names = [named("gaid", gaid(7 * 10**9 + number)) for number in range(BATCHES * TOGETHER)]
        subjects = [house.consent.people.name([name]).subjects[0] for name in names]
        began = time.perf_counter()
        for batch in range(0, len(subjects), TOGETHER):
            some = enumerate(subjects[batch : batch + TOGETHER], batch)
            futures = [
                house.writer.submit(
                    lambda tx, s=subject, n=n: records.write_choice(tx, s, choice, n.to_bytes(16, "big"))
                )
                for n, subject in some
            ]
            for future in futures:
                future.result()
        return len(subjects) / (time.perf_counter() - began)


def by_copy(url: str, size: int) -> float:
    """Rows of so many bytes a second by COPY, 64 a commit: what the server itself takes at most."""
    with psycopg.connect(url) as db:
        db.execute("CREATE TABLE bare (at bigint PRIMARY KEY, said bytea)")
        db.commit()
        began = time.perf_counter()
        for batch in range(BATCHES):
            with db.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
                for at in range(TOGETHER):
                    copy.write_row((batch * TOGETHER + at, bytes(size)))
            db.commit()
        return BATCHES * TOGETHER / (time.perf_counter() - began)


def size_of(data: Path) -> int:
    """Of the folder and what stands beside it."""
    return sum(file.stat().st_blocks * 512 for file in data.parent.rglob("*") if file.is_file())


@contextlib.contextmanager
def counted(url: str, kept: dict[str, float]) -> Iterator[None]:
    """What the server's files and its log grew by."""
    ask = "SELECT pg_database_size(current_database()), pg_current_wal_lsn() - '0/0'::pg_lsn"
    with psycopg.connect(url, autocommit=True) as db:
        before = db.execute(ask).fetchone()
        yield
        after = db.execute(ask).fetchone()
    kept["data"], kept["wal"] = (float(end - start) for start, end in zip(before, after, strict=True))


def tell_sizes(folder: Path, url: str) -> None:
    number = BATCHES * TOGETHER
    grown: dict[str, float] = {}
    with counted(url, grown):
        on_server = in_the_writer(folder / "server" / "data")
    size = grown["data"] / number
    rows = by_copy(url, round(size))
    before = size_of(folder / "folder" / "data")
    in_folder = in_the_writer(folder / "folder" / "data")
    kept = (size_of(folder / "folder" / "data") - before) / number
    print(f"writer alone, {TOGETHER} at a time: folder {in_folder:,.0f} a second, {kept:,.0f} bytes each")
    print(f"    server {on_server:,.0f} a second, {size:,.0f} bytes each and {grown['wal'] / number:,.0f} of its log")
    print(f"    the same bytes by COPY: {rows:,.0f} a second, {on_server / rows:.3f} of it")


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        at = stack.enter_context(postgres_server.running(postgres_server.programs(), fsync=True))
        url = postgres_server.fresh_url(at)
        for name in ("folder", "server"):
            (folder / name).mkdir()
        inside.install(folder / "folder" / "data")
        migrate(folder / "server" / "data", url=url)
        places = {
            name: stack.enter_context(service(folder / name, prefix=("taskset", "-c", "0")))
            for name in ("folder", "server")
        }
        over_http(places, baselines(stack))
        for running in places.values():
            running.stop()
        tell_sizes(folder, url)


if __name__ == "__main__":
    main()
