"""How long answers to an app's key take, by what stands on record of whom it names and does not prove: what a stranger
with a clock could learn. Pairs of people in random order; 0.5 is a clock that tells nothing.

    python tests/bench/app_key_bench.py [CALLS]

A running gateway of its own; 3,000 calls each are what a judgement wants, and take some minutes on an idle machine.
"""

import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support import example
from support.people import gaid, named, phone
from support.service import service

from gateway.keys import api_keys

CONFIGURED = '[apps]\nsdks = ["advertisers", "payments"]\n[recipients.advertisers]\ncontract = "C-1"\n'
WORLDS = ("said no", "linked", "linked, said no", "linked, its account said no")
DOORS = {
    "observe": ("/v1/observe", {"signals": {}}),
    "observe with GPC": ("/v1/observe", {"signals": {"gpc": "1"}}),
    "opt out": ("/v1/choices", {"choice": "opt_out"}),
}
KINDS = {"ad id": lambda number: named("gaid", gaid(number)), "phone": lambda number: named("phone", phone(number))}


def area(mine: list[float], theirs: list[float]) -> float:
    """How often one of theirs took longer than one of mine."""
    ranked = sorted([(each, 0) for each in mine] + [(each, 1) for each in theirs])
    above = seen = 0
    for _, whose in ranked:
        above, seen = (above + seen, seen) if whose else (above, seen + 1)
    return above / (len(mine) * len(theirs))


class Calls:
    """Of one gateway, with one key."""

    def __init__(self, address: str, key: str) -> None:
        self._address, self._key = f"http://{address}", key

    def post(self, path: str, body: dict) -> float:
        """Milliseconds."""
        sent = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, json.dumps(body).encode(), sent)
        began = time.perf_counter()
        urllib.request.urlopen(request, timeout=60).read()
        return (time.perf_counter() - began) * 1000


def prepare(desk: Calls, world: str, number: int, item: dict) -> None:
    if "linked" in world:
        desk.post(
            "/v1/links", {"account": f"a{number}", "identifiers": [item, named("gaid", gaid(90_000_000 + number))]}
        )
    if "said no" in world:
        who = named("account", f"a{number}") if "its account" in world else item
        desk.post("/v1/choices", {"identifiers": [who], "choice": "opt_out"})


def configured(folder: str) -> Path:
    (file := Path(folder) / "config.toml").write_text(example.over(CONFIGURED))
    return file


def measure(calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder, service(Path(folder), "--config", str(configured(folder))) as running:
        data = running.data
        app, desk = (
            Calls(f"127.0.0.1:{running.port}", api_keys.add_api_key(data, name, scopes, publishable=public))
            for name, scopes, public in (("app", ["choose"], True), ("desk", ["choose", "desk"], False))
        )
        time.sleep(1.5)  # a key is known half a second later
        numbers = itertools.count(1)
        for (kind, make), (door, (path, members)) in itertools.product(KINDS.items(), DOORS.items()):
            took: dict[str, list[float]] = {world: [] for world in WORLDS}
            asked = [(world, next(numbers)) for world in WORLDS for _ in range(calls)]
            random.shuffle(asked)
            for (
                world,
                number,
            ) in asked:  # all of them first: what was just done for one would be in the time of its call
                prepare(desk, world, number, make(number))
            random.shuffle(asked)
            for world, number in asked:
                took[world].append(app.post(path, {"identifiers": [make(number)], "place": "US-CA", **members}))
            for mine, theirs in itertools.combinations(WORLDS, 2):
                middle = f"{statistics.median(took[mine]):6.2f} {statistics.median(took[theirs]):6.2f} ms"
                print(f"{kind:8}{door:18}{mine:18}{theirs:30}{middle}  AUC {area(took[mine], took[theirs]):.3f}")


if __name__ == "__main__":
    os.environ["GATEWAY_LISTEN__LEVEL_ANSWERS"] = "true"  # as shipped; "false" is the control, which tells nearly all
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
