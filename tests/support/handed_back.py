"""A caller of rows that are handed back, over a connection of its own: it posts all of a job, reads so many lines, and
is cut off; and what the gateway has on record of that.
"""

import contextlib
import http.client
import json
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from support.people import gaid, named
from support.wire import call

JOB = "night-1"
BUSY = 100  # times that a gateway may say that it has not written yet
HEADERS = {"Authorization": "Bearer dev.dev", "Content-Type": "application/x-ndjson", "Gateway-Job": JOB}


@dataclass
class Job:
    """`port`: of the gateway, or of what stands before it; `got`: rows that came, by how often."""

    port: int
    rows: int
    people: int
    got: Counter = field(default_factory=Counter)
    out: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def body(self) -> bytes:
        return b"\n".join(
            json.dumps(
                {
                    "id": f"row-{n}",
                    "identifiers": [named("gaid", gaid(n % self.people))],
                    "place": "US-NY",
                    "data": {"ad_id": gaid(n % self.people)},
                }
            ).encode()
            for n in range(self.rows)
        )

    def post(self, cut: int | None = None) -> list[dict]:
        """Writes all, then reads so many lines and closes, or all of them; again where it is told to post them again."""
        told = []
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as caller:
            for _ in range(BUSY):
                caller.request("POST", "/v1/shares/teemo", self.body(), HEADERS)
                answer = caller.getresponse()
                if answer.status != 503:
                    break
                answer.read()
                time.sleep(0.2)
            assert answer.status == 200, answer.read()
            while (cut is None or len(told) < cut) and (line := answer.readline()):
                told.append(json.loads(line))
        self._note(told)
        return told

    def _note(self, told: list[dict]) -> None:
        came = [line["id"] for line in told if line.get("outcome") == "returned"]
        self.wrong += [name for name in came if int(name[4:]) % self.people in self.out]
        self.got.update(came)

    def opt_out(self, url: str, person: int) -> None:
        body = {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"}
        while (done := call(f"{url}/v1/choices", body, timeout=60))[0] != 201:
            assert done[0] in {202, 503}, done
            time.sleep(0.2)
        self.out.add(person)

    @property
    def kept(self) -> set[str]:
        """The rows of everybody who has not opted out."""
        return {f"row-{n}" for n in range(self.rows) if n % self.people not in self.out}

    def on_record(self, data: Path) -> dict[str, Counter]:
        """The outcomes of each row, once nothing is on its way."""
        ids = {sha256(f"row-{n}".encode()).digest()[:16]: f"row-{n}" for n in range(self.rows)}
        deadline = time.monotonic() + 30
        while True:
            found: dict[str, Counter] = {name: Counter() for name in ids.values()}
            with contextlib.closing(sqlite3.connect(data / "ledger.sqlite3")) as db:
                for row, outcome in db.execute("SELECT row, outcome FROM disclosure"):
                    found[ids[row]][outcome] += 1
            on_its_way = sum(each["intended"] for each in found.values())
            if not on_its_way or time.monotonic() > deadline:
                return found
            time.sleep(0.05)


def acknowledge(url: str, **more) -> dict:
    status, answers = call(f"{url}/v1/disclosures", {"job": JOB, "outcome": "sent"} | more, timeout=120)
    assert status == 200, answers
    return answers[0]
