"""Every way to ask in one table, every figure beside its baseline of the same run: `python tests/bench/bench.py`.

Requests a second through uvicorn on loopback, driven by wrk with 16 connections; the server has one core, wrk the
other. A figure is the median of three runs. Ratios are what counts: absolute figures are this machine's.
"""

import asyncio
import contextlib
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import check_bench as check
import many
import middleware_bench as middleware
import replica_bench as replica
import share_bench as share
import signals_bench as signals
import verdict_bench as verdict
from processor import spent
from share_bench import Figure
from support.people import gaid, named
from support.ports import free_port
from support.service import Service, service
from support.wire import call

SECONDS, RUNS, PEOPLE = 3, 3, 1_000_000
BASELINE, PAGE = "bare ASGI app", "demo page behind middleware"
HERE = Path(__file__).parent


def wrk(
    pid: int, url: str, body: dict | None = None, headers: dict[str, str] | None = None
) -> tuple[float, str, float]:
    """Requests a second, and microseconds of the server's processor for each; any answer but a 2xx or 3xx ends the
    bench.
    """
    lines = [f'wrk.headers["{name}"] = {json.dumps(value)}' for name, value in (headers or {}).items()]
    if body is not None:
        lines += ['wrk.method = "POST"', f"wrk.body = {json.dumps(json.dumps(body))}"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join(lines))
        script.flush()
        results, took = [], []
        for _ in range(RUNS):
            command = ["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{SECONDS}s", "-s", script.name, url]
            before = spent(pid)
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert "Non-2xx" not in out, out
            results.append(float(out.split("Requests/sec:")[1].split()[0]))
            took.append((spent(pid) - before) / int(out.split(" requests in")[0].split()[-1]) * 1e6)
    return statistics.median(results), "req/s", statistics.median(took)


def baselines(stack: ExitStack) -> tuple[int, int]:
    """Port and number of a process with a bare ASGI app at /bare and a Starlette route at /route."""
    port = free_port()
    command = ["taskset", "-c", "0", sys.executable, str(HERE / "baseline.py"), str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    stack.callback(lambda: (process.terminate(), process.wait()))
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return port, process.pid
        time.sleep(0.1)
    raise TimeoutError("the bare application does not listen")


def opt_outs(url: str, workers: int, number: int) -> float:
    """Durable opt-outs a second, each a person of its own."""

    def one(person: int) -> None:
        body = {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"}
        assert call(f"{url}/v1/choices", body)[0] == 201

    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, range(workers * 10**6, workers * 10**6 + number)))
    return number / (time.perf_counter() - began)


def in_the_writer(data: Path) -> float:
    """Opt-outs a second with no HTTP before them: what the writer itself keeps, 256 at most a commit."""
    from gateway.app.composition import now, open_house
    from gateway.ledger.acts import records
    from gateway.ledger.subjects import Choice
    from gateway.settings import load
    from gateway.terms import ALL_PURPOSES, ChoiceKind

    with open_house(data, load.load_settings(load.example_file(), {}), dev=True) as house:
        choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "api", now())
        subjects = [house.consent.people.name([named("gaid", gaid(7 * 10**9 + n))]).subjects[0] for n in range(5000)]
        began = time.perf_counter()
        futures = [
            house.writer.submit(lambda tx, s=subject, n=n: records.write_choice(tx, s, choice, n.to_bytes(16, "big")))
            for n, subject in enumerate(subjects)
        ]
        for future in futures:
            future.result()
        return len(subjects) / (time.perf_counter() - began)


def of_the_doors() -> list[Figure]:
    """What callers get through uvicorn, and how fast opt-outs become durable."""
    key = {"Content-Type": "application/json", "Authorization": "Bearer dev.dev"}
    found: list[Figure] = []
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        port, bare = baselines(stack)
        found.append((BASELINE, *wrk(bare, f"http://127.0.0.1:{port}/bare")))
        found.append(("Starlette route", *wrk(bare, f"http://127.0.0.1:{port}/route")))
        configuration = check.configured(Path(folder))
        with service(Path(folder), "--config", str(configuration), prefix=("taskset", "-c", "0")) as running:
            call(f"{running.url}/v1/choices", {"identifiers": [named("gaid", gaid(1))], "choice": "opt_out"})
            running.stop()
            many.fill(
                running.data, PEOPLE
            )  # nobody who is asked about, so that look-ups go through a tree of real depth
            running.start()
            found += of_a_service(running, key)
            one = {"identifiers": [named("gaid", gaid(2))], "recipient": "advertisers", "place": "US-CA"}
            found += replica.rows(running, wrk, one, key)
            found.append(("durable opt-outs, writer alone", in_the_writer(running.data), "opt-outs/s", 0))
    return found


def of_a_service(running: Service, key: dict[str, str]) -> list[Figure]:
    url, pid = running.url, running.process.pid
    one = {"identifiers": [named("gaid", gaid(1))], "recipient": "advertisers", "place": "US-CA"}
    two = {**one, "identifiers": [named("gaid", gaid(2))]}
    many = {name: value for name, value in two.items() if name != "recipient"}
    many["recipients"] = [f"bidder{number}" for number in range(check.BIDDERS)]
    return [
        ("/v1/check, denied", *wrk(pid, f"{url}/v1/check", one, key)),
        ("/v1/check, allowed", *wrk(pid, f"{url}/v1/check", two, key)),
        ("/v1/check, 15 recipients", *wrk(pid, f"{url}/v1/check", many, key)),
        (PAGE, *wrk(pid, f"{url}/demo")),
        ("the same with GPC", *wrk(pid, f"{url}/demo", None, {"Sec-GPC": "1"})),
        ("durable opt-outs, 1 caller", opt_outs(url, 1, 300), "opt-outs/s", 0),
        ("durable opt-outs, 16 callers", opt_outs(url, 16, 2000), "opt-outs/s", 0),
    ]


def main() -> None:
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is needed: apt-get install wrk util-linux")
    doors = of_the_doors()
    inside = [(name, 1e6 / took, "a second", took) for name, took in [*asyncio.run(check.rows()), *check.among()]]
    bids = [(name, 1e6 / took, "a second", took) for name, took in share.rows()[1:]]
    base = doors[0][1]
    print(f"\n{'':44}{'':>12}  {'':12}{'processor':>13}   of {BASELINE}")
    for figure in [*doors, *inside, *bids, *share.figures()]:
        print(share.line(figure) + (f"{figure[1] / base:.2f}" if figure[2] == "req/s" else ""))
    print("\n" + "\n".join(middleware.table(middleware.rows())))
    print("\n" + "\n".join(signals.table(signals.rows())))
    print("\n" + "\n".join(signals.table(verdict.rows())))
    middle = next(value for name, value, *_ in doors if name == PAGE)
    print(f"\nmiddleware, page and edge together: {1e6 / middle - 1e6 / base:.0f} us a request over the bare app")


if __name__ == "__main__":
    main()
