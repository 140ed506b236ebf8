"""A sharing job of any length against a real service, while people opt out; and what the receiver then has."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from support.people import gaid, named
from support.wire import call

HEADERS = {"Authorization": "Bearer dev.dev", "Content-Type": "application/x-ndjson", "Prefer": "return=minimal"}
BLOCK = 500  # rows of one write


def link_all(url: str, people: int) -> None:
    for start in range(0, people, 5000):
        numbers = range(start, min(start + 5000, people))
        lines = [json.dumps({"account": f"a{n}", "identifiers": [named("gaid", gaid(n))]}).encode() for n in numbers]
        status, _ = call(f"{url}/v1/links", b"\n".join(lines), kind="application/x-ndjson", timeout=300)
        assert status == 200


def row(number: int, people: int) -> bytes:
    who = gaid(number % people)
    return (
        f'{{"id":"row-{number}","identifiers":[{{"type":"gaid","value":"{who}"}}],"place":"US-NY",'
        f'"data":{{"lat":40.7128,"lon":-74.006,"ad_id":"{who}"}}}}\n'
    ).encode()


def blocks(rows: range, people: int):
    for start in range(rows.start, rows.stop, BLOCK):
        yield b"".join(row(number, people) for number in range(start, min(start + BLOCK, rows.stop)))


def post(port: int, rows: range, people: int, beside: "OptingOut | None" = None, **headers: str) -> tuple[dict, float]:
    """Writes all of it before it reads a byte; `beside` people who opt out, as fast as the half of them does. (the
    summary, seconds)
    """
    written = blocks(rows, people) if beside is None else beside.paced(blocks(rows, people), -(-len(rows) // BLOCK))
    began = time.monotonic()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=3600)) as connection:
        connection.request("POST", "/v1/shares/teemo", written, HEADERS | headers, encode_chunked=True)
        answer = connection.getresponse()
        body = answer.read()
    assert answer.status == 200, body
    (last,) = [json.loads(line) for line in body.splitlines()]
    assert last["complete"] is True
    assert answer.headers["Preference-Applied"] == "return=minimal"
    return last["summary"], time.monotonic() - began


@dataclass
class OptingOut:
    """People who opt out one after the other, and from when on that holds."""

    url: str
    people: range
    pause: float
    effective: dict[int, float] = field(default_factory=dict)
    thread: threading.Thread | None = None
    stopped: bool = False

    def start(self) -> "OptingOut":
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def _run(self) -> None:
        for person in self.people:
            if self.stopped:
                return
            body = {"identifiers": [named("account", f"a{person}")], "choice": "opt_out"}
            while (done := call(f"{self.url}/v1/choices", body, timeout=60))[0] != 201:
                assert done[0] in {202, 503}, done  # a busy moment: to be said again
                time.sleep(0.2)
            self.effective[person] = datetime.fromisoformat(done[1]["effective_at"]).timestamp()
            time.sleep(self.pause)

    def paced(self, blocks: Iterable[bytes], count: int) -> Iterator[bytes]:
        """Each block once its share of half of the people have opted out, for a slow disk holds them up the most."""
        for number, block in enumerate(blocks):
            while len(self.effective) < len(self.people) * number / count / 2 and self.thread.is_alive():
                time.sleep(0.01)
            yield block

    def stop(self) -> None:
        self.stopped = True
        self.thread.join()


def person_of(got: dict) -> int:
    """Whom a row is of, which a receiver knows by the ad id alone."""
    return int(got["ad_id"][-12:], 16)


def too_late(rows: list[dict], effective: dict[int, float]) -> list[str]:
    """The rows whose sending began after their person's opt-out was effective."""
    found = []
    for got in rows:
        person = person_of(got)
        if person in effective and got["began"] > effective[person]:
            found.append(got["row"])
    return found


def most_memory(pid: int) -> float:
    """MiB that a process had at most."""
    from pathlib import Path

    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
