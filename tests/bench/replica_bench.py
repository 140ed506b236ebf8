"""Checks from copies of a million standings: in an ad server's own process, at a sidecar, at a gateway with its mirror."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from support import inside
from support.people import gaid, named
from support.service import Service
from support.sidecar import Sidecar

from gateway import decisions, enrolment, keys
from gateway.check import Ask
from gateway.replica import Replica

Measured = tuple[str, float, str]
NUMBER = 3000


def enrolled(data: Path, name: str) -> tuple[Path, str]:
    """As `gateway replica enrol` makes it; the key is the development one."""
    secrets = keys.load(data)
    made = enrolment.Enrolment(name, "dev.dev", secrets.peppers, decisions.key_of_replica(secrets, "dev"))
    text, secret = enrolment.seal(made)
    path = data.parent / f"{name}.enrolment"
    path.write_text(text)
    return path, secret


def rows(running: Service, wrk: Callable[..., float], body: dict, key: dict[str, str]) -> list[Measured]:
    """A running gateway, and how to ask a URL; the gateway is stopped at the end."""
    found: list[Measured] = []
    file, secret = enrolled(running.data, "bench")
    with contextlib.ExitStack() as stack:
        sidecar = Sidecar(running.url, running.data.parent / "beside", (file, secret), prefix=("taskset", "-c", "0"))
        stack.callback(sidecar.stop)
        began = time.perf_counter()
        sidecar.start()
        found.append(("replica, a million people copied", time.perf_counter() - began, "s"))
        found.append(("replica, sidecar /v1/check", wrk(f"{sidecar.url}/v1/check", body, key), "req/s"))
        sidecar.stop()
        opened = enrolment.open_(file.read_text(), secret)
        made = stack.enter_context(Replica(running.url, sidecar.folder / "copy", opened, inside.settings(), dev=True))
        while not made.follower.fresh():
            time.sleep(0.01)
        found += in_process(made)
    running.stop()
    os.environ["GATEWAY_MIRROR__ENABLED"] = "true"
    try:
        began = time.perf_counter()
        running.start()
        found.append(("mirror, a million people copied", time.perf_counter() - began, "s"))
        found.append(("/v1/check from the mirror", wrk(f"{running.url}/v1/check", body, key), "req/s"))
    finally:
        del os.environ["GATEWAY_MIRROR__ENABLED"]
        running.stop()
    return found


def in_process(made: Replica) -> list[Measured]:
    lookup, ask = made.checks._lookup, Ask(("advertisers",), [named("gaid", gaid(2))], place="US-CA")
    known = list(made.checks._people.name(ask.identifiers).keys)
    return [
        ("replica in process, a look-up", _microseconds(lambda: lookup.seen(known)), "us"),
        ("replica in process, a whole check", _microseconds(lambda: made.checks.check(ask)), "us"),
        ("replica in process, a whole check on record", _microseconds(lambda: made.check(ask)), "us"),
    ]


def _microseconds(run: Callable[[], object]) -> float:
    """Of this thread's own processor time: a busy machine is not in it."""
    began = time.thread_time()
    for _ in range(NUMBER):
        run()
    return (time.thread_time() - began) / NUMBER * 1e6
