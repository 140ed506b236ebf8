"""`make bench`: one table, what asking costs and the bar that it is held to, each row in times of a bare ASGI
application's request in the same run. Written as Markdown and as a picture, to the folder that is named:

    python tests/bench/bars.py [FOLDER]             IDENTIFIERS=10000 for a look on a machine that does much else

What counts is processor time of the whole process that answers, all its threads, in turns with the bare application's,
and of each turn the ratio, of which the median stands in the table: whatever else the machine does slows both. The
server has one core and this process the other. Latencies are of requests that are due at fixed moments, whether those
before were answered or not, and count from when each was due.

Asked are 200 questions about people of whom every second one opted out; one in ten is named by a digest, one request in
five has signals. Not in it: people in accounts.
"""

import asyncio
import contextlib
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))
import check_bench as check
import many
import middleware_bench as middleware
import share_bench as share
import signals_bench as signals
import workers_bench as workers
from bench import baselines
from processor import spent
from speed_picture import drawn
from support import endless, example
from support.people import gaid, named
from support.ports import free_port
from support.receiver import Receiver
from support.service import Service, service
from support.wire import call

from gateway.keys import secret_files
from gateway.keys.api_keys import add_api_key

TURNS = int(os.environ.get("TURNS", "5"))
CONNECTIONS, ASKED, PEOPLE, ROWS = 16, 1600, 20_000, 2_000
RATE, RATED = 100, 4.0  # requests a second that are due, for so many seconds
IDLE = 10.0  # seconds
GPP = "DBABLA~CVVVkkkkkpFY.YA"
PLACES = (
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY", "LA", "ME",
    "MD", "MA", "MI", "MN", "MS", "MO",
)  # fmt: skip
PLANS = [*itertools.product(PLACES, ("16_17", "adult"), (None, "targeted_ads"), (1, 5))]  # 200


class Row(NamedTuple):
    """`figure` in the unit of `bar`; None: not measured in this run."""

    work: str
    figure: float | None
    bar: float
    unit: str = "bare requests"

    @property
    def is_met(self) -> bool:
        return self.figure is not None and self.figure <= self.bar


Latency = tuple[str, float, float]  # of what, and milliseconds: 50 %, 99 %


def question(number: int) -> dict:
    """Of one recipient, about another person each time."""
    place, age, purpose, count = PLANS[number % len(PLANS)]
    who = gaid(number % PEOPLE)
    one = named("ad_id_sha256", sha256(who.encode()).hexdigest()) if number % 10 == 7 else named("gaid", who)
    more = {"signals": {"gpc": "1"}} if number % 5 == 3 else {}
    told = {"purpose": purpose} if purpose else {}
    return (
        {"identifiers": [one], "recipient": "bidder0", "place": f"US-{place}", "age": age, "count": count} | told | more
    )


def wide(number: int) -> dict:
    """Of all bidders, with all that a page has."""
    place, age, _, count = PLANS[number % len(PLANS)]
    ids = [named("gaid", gaid(number % PEOPLE)), named("email", f"person{number % PEOPLE}@example.com")]
    heard = {"gpp": GPP, "cookies": middleware.jar().decode()}
    all_ = [f"bidder{n}" for n in range(check.BIDDERS)]
    return {
        "identifiers": ids,
        "recipients": all_,
        "place": f"US-{place}",
        "age": age,
        "count": count,
        "signals": heard,
    }


def posted(path: str, body: bytes, bearer: str, kind: str = "application/json") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {bearer}\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def got(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


class Asker:
    """One connection that is kept."""

    async def open(self, port: int) -> "Asker":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def ask(self, request: bytes) -> None:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith((b"http/1.1 200", b"http/1.1 201", b"http/1.1 202")), head
        if b"chunked" in head:
            while await self._reader.readuntil(b"\r\n") != b"0\r\n":
                pass
            await self._reader.readuntil(b"\r\n")
        else:
            await self._reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))


async def _all(port: int, requests: list[bytes]) -> None:
    askers = [await Asker().open(port) for _ in range(CONNECTIONS)]

    async def lot(number: int) -> None:
        for each in requests[number::CONNECTIONS]:
            await askers[number].ask(each)

    await asyncio.gather(*map(lot, range(CONNECTIONS)))


def cost(pid: int, port: int, requests: list[bytes]) -> float:
    """Microseconds of the answering process for each."""
    before = spent(pid)
    asyncio.run(_all(port, requests))
    return (spent(pid) - before) / len(requests) * 1e6


async def waits(
    port: int, requests: Iterator[bytes], a_second: float = RATE, seconds: float = RATED, connections: int = CONNECTIONS
) -> list[float]:
    """Seconds from the moment that each of so many a second was due to its answer, whatever became of those before."""
    loop, took, free = asyncio.get_running_loop(), list[float](), asyncio.Queue[Asker]()
    for _ in range(connections):
        free.put_nowait(await Asker().open(port))
    began = loop.time() + 0.1

    async def one(due: float, request: bytes) -> None:
        asker = await free.get()
        await asker.ask(request)
        took.append(loop.time() - due)
        free.put_nowait(asker)

    tasks = []
    for number in range(int(a_second * seconds)):
        due = began + number / a_second
        await asyncio.sleep(max(0.0, due - loop.time()))
        tasks.append(asyncio.create_task(one(due, next(requests))))
    await asyncio.gather(*tasks)
    return took


def latency(name: str, port: int, requests: Iterator[bytes]) -> Latency:
    took = statistics.quantiles(asyncio.run(waits(port, requests)), n=100)
    return name, took[49] * 1e3, took[98] * 1e3


Ways = dict[str, Callable[[], float]]


def in_turns(bare: Callable[[], float], ways: Ways) -> tuple[float, dict[str, float]]:
    """Microseconds of a bare request, and each way in times of the bare request beside it."""
    for each in (bare, *ways.values()):
        each()  # what is compiled and remembered at first
    bares, found = list[float](), {name: list[float]() for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            bares.append(bare())
            found[name].append(way() / bares[-1])
    return statistics.median(bares), {name: statistics.median(ratios) for name, ratios in found.items()}


def through_http(stack: ExitStack, folder: Path) -> tuple[float, list[Row], list[Latency]]:
    """The doors, and how long a service that nobody asks takes."""
    port, bare = baselines(stack)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    stack.callback(os.sched_setaffinity, 0, cores)
    running = stack.enter_context(filled(folder))
    bearer, pid = add_api_key(running.data, "ads", ["check"], publishable=False), running.process.pid
    time.sleep(1.5)  # a key is known half a second later
    numbers = itertools.count()

    def asks(about: Callable[[int], dict], path: str = "/v1/check") -> Iterator[bytes]:
        return (posted(path, json.dumps(about(number)).encode(), bearer) for number in numbers)

    def checks() -> list[bytes]:
        lines = b"\n".join(json.dumps(question(next(numbers))).encode() for _ in range(1000))
        return [posted("/v1/checks", lines, bearer, "application/x-ndjson")]

    def some(about: Callable[[int], dict], number: int) -> list[bytes]:
        return [*itertools.islice(asks(about), number)]

    base, took = in_turns(
        lambda: cost(bare, port, [got("/bare")] * ASKED),
        {
            "one": lambda: cost(pid, running.port, some(question, ASKED)),
            "wide": lambda: cost(pid, running.port, some(wide, ASKED // 4)),
            "many": lambda: cost(pid, running.port, checks()) / 1000,
        },
    )
    latencies = [
        latency("bare", port, itertools.repeat(got("/bare"))),
        latency("/v1/check", running.port, asks(question)),
    ]
    time.sleep(3.0)  # what was answered is on record by then
    before = spent(pid)
    time.sleep(IDLE)
    idle = (spent(pid) - before) / IDLE * 100
    rows = [
        Row("1. `/v1/check`, one identifier, one recipient", took["one"], 1 / 0.45),
        Row("2. the same, 15 recipients, GPP, 1.5 kB of cookies, two identifiers", took["wide"], 1 / 0.25),
        Row("3. `/v1/checks` of 1,000, a decision", took["many"], 0.5),
        Row("11. a service that nobody asks", idle, 0.5, "% of a core"),
    ]
    return base, rows, latencies


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[Service]:
    """A service where every second one who is asked about opted out, among many."""
    with service(folder, "--config", str(check.configured(folder)), prefix=("taskset", "-c", "0")) as running:
        running.stop()
        people = check.people_of(secret_files.load_secrets(running.data))
        ours = check.people_who_opted_out(people, range(0, PEOPLE, 2))
        many.into_state(running.data, sorted([*ours, *many.keys(many.MANY)]))
        running.start()
        yield running


def of_shares(stack: ExitStack, folder: Path) -> list[Row]:
    """Rows that are decided, recorded and sent, every second one of somebody who opted out."""
    port, bare = baselines(stack)
    receiver = Receiver(free_port(), folder / "rows.ndjson").start()
    stack.callback(receiver.kill)
    file, people = folder / "share.toml", 500
    file.write_text(
        example.over(
            '[delivery]\nnetworks = ["127.0.0.1"]\n'
            f'[recipients.teemo]\nendpoint = "http://127.0.0.1:{receiver.port}/rows"\n'
        )
    )
    running = stack.enter_context(service(folder, "--config", str(file), prefix=("taskset", "-c", "0")))
    endless.link_all(running.url, people)
    out = {"identifiers": [named("gaid", gaid(number)) for number in range(0, people, 2)], "choice": "opt_out"}
    assert call(f"{running.url}/v1/choices", out, timeout=300)[0] == 201
    pid, numbers = running.process.pid, itertools.count()

    def some() -> float:
        before, first = spent(pid), ROWS * next(numbers)
        endless.post(running.port, range(first, first + ROWS), people)
        return (spent(pid) - before) / ROWS * 1e6

    _, took = in_turns(lambda: cost(bare, port, [got("/bare")] * ASKED), {"row": some})
    return [Row("6. an NDJSON row of a share, every second one denied", took["row"], 1.2)]


def in_process(base: float) -> list[Row]:
    """Without a socket. `base`: microseconds of a bare request."""

    async def found() -> list[tuple[str, float]]:
        with tempfile.TemporaryDirectory() as name:
            async with check.opened(Path(name)) as ways:
                all_ = [f"bidder{n}" for n in range(check.BIDDERS)]
                asked = {"client": ways.beside(1, all_[:1]), "one": ways.bid(bid_of, all_[:1])}
                return check.in_turns({**asked, "all": ways.bid(bid_of, all_)})

    client, one, all_ = [took / base for _, took in asyncio.run(found())]
    pages, heard = dict(middleware.rows()), dict(signals.rows())
    plain = pages[middleware.BASELINE]
    return [
        Row("4. a whole check in process, on record", client, 0.6),
        Row("5. a bid of 2 kB in process: one bidder", one, 2.5),
        Row("5. the same: 15 bidders", all_, 6),
        Row("7. middleware, no signal", pages["no Cookie header"] - plain, 4, "us"),
        Row("7. middleware, known browser with GPC", pages["GPC, known browser"] - plain, 15, "us"),
        Row(
            "8. reading a request, 1.5 kB of cookies, OneTrust, another browser each time",
            heard[signals.AS_READ],
            40,
            "us",
        ),
        Row(
            "8. its signals with nothing remembered of others who said the same", heard[signals.UNREMEMBERED], 40, "us"
        ),
        Row("8. a usnat string", heard["usnat, whole GPP string"], 10, "us"),
    ]


def bid_of(person: int) -> dict:
    request = share.bid()
    request["device"]["ifa"] = gaid(person)
    return request


def growth() -> Row:
    few, lots = [took for _, took in check.among()]
    return Row(f"9. a replica's check among {many.MANY:,} people against {many.FEW:,}", lots / few, 1.5, "times")


def of_workers() -> Row:
    return Row("10. a check with two workers against one", workers.times_of(workers.in_turns()), 1.1, "times")


def machine() -> str:
    with contextlib.suppress(OSError):
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        return f"{len(names)} cores of {names[0].partition(':')[2].strip()}"
    return platform.machine()


def markdown(rows: list[Row], base: float, latencies: list[Latency]) -> str:
    """The table, bar beside figure."""
    at = time.strftime("%d %B %Y, %H:%M")
    load = f"load {os.getloadavg()[0]:.0f} on {machine()}, {many.MANY:,} people; a bare request takes {base:.0f} us"
    lines = [f"{at}: {load}.", "", "| work | measured | bar | |", "|---|---|---|---|"]
    for row in rows:
        told = "not measured" if row.figure is None else f"{row.figure:.2f} {row.unit}"
        lines.append(f"| {row.work} | {told} | {row.bar:.2f} | {'met' if row.is_met else ''} |")
    lines += ["", f"| {RATE} requests a second, whenever they are answered | 50 % | 99 % |", "|---|---|---|"]
    lines += [f"| {name} | {half:.1f} ms | {most:.1f} ms |" for name, half, most in latencies]
    return "\n".join(lines) + "\n"


def tell(rows: list[Row]) -> list[Row]:
    """As soon as they are there: all of it takes long."""
    for row in rows:
        print(f"{row.work:75} {row.figure:8.2f} {row.unit}, bar {row.bar:.2f}", file=sys.stderr, flush=True)
    return rows


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        base, rows, latencies = through_http(stack, Path(name))
    tell(rows)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        rows += tell(of_shares(stack, Path(name)))
    for part in (lambda: in_process(base), lambda: [growth()], lambda: [of_workers()]):
        rows += tell(part())
    rows.sort(key=lambda row: int(row.work.partition(".")[0]))
    told = markdown(rows, base, latencies)
    print(told)
    (folder / "speed-table.md").write_text(told)
    (folder / "speed.svg").write_text(drawn([(row.work, row.figure, row.bar, row.unit) for row in rows]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="gateway-bench-")))
