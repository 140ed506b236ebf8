"""Checks from copies of a million standings: in an ad server's own process, at a sidecar."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from support import inside
from support.people import gaid, named
from support.service import Service
from support.sidecar import Sidecar

from gateway.app.replica import Replica
from gateway.consent import decisions
from gateway.consent.asked import Ask
from gateway.keys import seals, secret_files

Measured = tuple[str, float, str, float]  # as share_bench.Figure
NUMBER = 3000


def enrolled(data: Path, name: str) -> tuple[Path, str]:
    """As `gateway replica enrol` makes it; the key is the development one."""
    secrets = secret_files.load_secrets(data)
    made = seals.Enrolment(name, "dev.dev", secrets.peppers, decisions.keys_of_replica(secrets, "dev")[-1])
    text, secret = seals.seal_enrolment(made)
    path = data.parent / f"{name}.enrolment"
    path.write_text(text)
    return path, secret


def rows(
    running: Service, wrk: Callable[..., tuple[float, str, float]], body: dict, key: dict[str, str]
) -> list[Measured]:
    """A running gateway, and how to ask a URL; the gateway is stopped at the end."""
    found: list[Measured] = []
    file, secret = enrolled(running.data, "bench")
    with contextlib.ExitStack() as stack:
        sidecar = Sidecar(running.url, running.data.parent / "beside", (file, secret), prefix=("taskset", "-c", "0"))
        stack.callback(sidecar.stop)
        began = time.perf_counter()
        sidecar.start()
        found.append(("replica, a million people copied", time.perf_counter() - began, "s", 0))
        found.append(("replica, sidecar /v1/check", *wrk(sidecar.process.pid, f"{sidecar.url}/v1/check", body, key)))
        sidecar.stop()
        opened = seals.open_enrolment(file.read_text(), secret)
        made = stack.enter_context(Replica(running.url, sidecar.folder / "copy", opened, inside.settings(), dev=True))
        while not made.follower.fresh():
            time.sleep(0.01)
        found += in_process(made)
    running.stop()
    return found


def in_process(made: Replica) -> list[Measured]:
    lookup, ask = made.checks._lookup, Ask(("advertisers",), [named("gaid", gaid(2))], place="US-CA")
    known = made.checks._people.name(ask.identifiers).keys
    return [
        _measured("replica in process, a look-up", lambda: lookup.seen(known)),
        _measured("replica in process, a whole check", lambda: made.checks.check(ask)),
        _measured("replica in process, a whole check on record", lambda: made.check(ask)),
    ]


def _measured(name: str, run: Callable[[], object]) -> Measured:
    began = time.thread_time()
    for _ in range(NUMBER):
        run()
    took = (time.thread_time() - began) / NUMBER * 1e6
    return name, 1e6 / took, "a second", took
