"""`python tests/bench/workers_bench.py`: what a check costs through HTTP with one worker and with two, in turns, on all
cores. Processor time of all processes of the service, so that a busy machine tells the same.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from processor import spent
from support.people import gaid, named
from support.service import Service, service
from support.together import until, workers

ROUNDS, CONNECTIONS, CHECKS = 9, 16, 250  # checks of each connection in a round
MOST = 1.1  # times the processor time of one worker


def request(number: int) -> bytes:
    """About another person each time."""
    body = json.dumps({"recipient": "advertisers", "identifiers": [named("gaid", gaid(number))], "place": "US-NY"})
    head = "POST /v1/check HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer dev.dev\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def ask(port: int, requests: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for each in requests:
        writer.write(each)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
    writer.close()


async def ask_all(port: int) -> None:
    lots = [[request(lot * CHECKS + number) for number in range(CHECKS)] for lot in range(CONNECTIONS)]
    await asyncio.gather(*(ask(port, lot) for lot in lots))


def measured(running: Service) -> float:
    """Microseconds of the processor for each check, of all processes."""
    assert running.process
    processes = [running.process.pid, *workers(running)]
    before = sum(map(spent, processes))
    asyncio.run(ask_all(running.port))
    return (sum(map(spent, processes)) - before) / (CONNECTIONS * CHECKS) * 1e6


def in_turns() -> dict[str, list[float]]:
    """Microseconds a check of each round."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways: dict[str, Service] = {}
        for name, more in (("one worker", ()), ("two workers", ("--workers", "2"))):
            (folder / name[:3]).mkdir()
            ways[name] = stack.enter_context(service(folder / name[:3], *more, prefix=("env",)))
        until(lambda: len(workers(ways["two workers"])) == 2, "there were never two")
        for each in ways.values():
            measured(each)  # what is compiled and remembered at first
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, each in ways.items():
                took[name].append(measured(each))
    return took


def times_of(took: dict[str, list[float]]) -> float:
    """How many times as much it takes with two workers."""
    return statistics.median(b / a for a, b in zip(*took.values(), strict=True))


def main() -> None:
    took = in_turns()
    print(time.strftime("%d %B %Y, %H:%M"), f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for name, rounds in took.items():
        print(f"{name:12} {statistics.median(rounds):7.1f} us of processor time a check")
    times = times_of(took)
    print(f"two against one: {times:.2f} times the processor time a check; at most {MOST}")
    sys.exit(times > MOST)


if __name__ == "__main__":
    main()
