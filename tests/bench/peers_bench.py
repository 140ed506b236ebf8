"""What an opt-out and a check cost here and at two others who keep a record of them, each in times of a bare
application's request in the same run. Run by hand, it fetches the others into a folder that goes with it, or into the
one that is named, where the next run finds them:

    PYTHONPATH=tests:. python tests/bench/peers_bench.py [FOLDER]       TURNS=1 for a look

c15t's backend (Node) and dpdpkit (Python, FastAPI) run as their manuals say, with SQLite that is on the disk before the
answer, as ours is; without logs. What counts is processor time of the whole process that answers, in turns, as in
`bars.py`. It is not the same question that they answer: the table says what each answer means, and each is looked at
once before it is measured. Who answers otherwise has no figure, but what he said.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))
import bars
import check_bench
from bench import baselines
from processor import spent
from support import node
from support.people import gaid, named
from support.ports import free_port
from support.service import service

from gateway.keys.api_keys import add_api_key

HERE = Path(__file__).parent
OF_NPM = ("@c15t/backend@2.2.1", "@hono/node-server@2.1.9", "better-sqlite3@12.11.1", "kysely@0.28.19")
OF_PYPI = ("dpdpkit-core==0.1.0a1", "dpdpkit-fastapi==0.1.0a1")
SAME = tuple(f"{name}=={version(name)}" for name in ("uvicorn", "httptools"))  # what the bare application runs on
CALLERS, RECORDED, ASKED, INSIDE = 16, 150, 800, 500
STRANGER = 10**6  # the first number of those who never said anything
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ON_ONE_CORE = ("taskset", "-c", "0")

Answer = tuple[int, bytes]


class Peer(NamedTuple):
    """One who answers. `opt_out` and `check` are requests by a person's number; `kept`, `of_whoever_did` and
    `of_a_stranger` say whether an answer is what it is taken for.
    """

    name: str
    pid: int
    port: int
    opt_out: Callable[[int], bytes]
    check: Callable[[int], bytes]
    kept: Callable[[int, Any], bool]
    of_whoever_did: Callable[[Any], bool]
    of_a_stranger: Callable[[Any], bool]
    keeps: str
    answers: str


class Figure(NamedTuple):
    """A row. `times`: of a bare request; None where `refused` says why there is none: no price of what was not done."""

    peer: str
    asked: str
    times: float | None
    means: str
    refused: str = ""

    def told(self) -> str:
        figure = "refused" if self.times is None else f"{self.times:.1f}"
        return f"| {self.peer}: {self.asked} | {figure}{self.refused and f' ({self.refused})'} | {self.means} |"


def request(verb: str, path: str, body: dict | None = None, **more: str) -> bytes:
    text = b"" if body is None else json.dumps(body).encode()
    head = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(text))}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {**head, **more}.items()]
    return "\r\n".join([f"{verb} {path} HTTP/1.1", *lines, "", ""]).encode() + text


class Caller:
    """One connection that is kept, and opened anew once who answers closed it."""

    def __init__(self, port: int) -> None:
        self._port, self._closes = port, True

    async def ask(self, asked: bytes) -> Answer:
        """Status 0: it was cut off without an answer, on a connection of its own too."""
        for _ in range(2):  # one that is kept may have been closed since
            try:
                if self._closes:
                    self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                return await self._answer(asked)
            except (ConnectionError, asyncio.IncompleteReadError):
                self._closes = True
        return 0, b""

    async def _answer(self, asked: bytes) -> Answer:
        self._writer.write(asked)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        self._closes = b"connection: close" in head
        return int(head.split()[1]), body

    async def ask_all(self, requests: list[bytes]) -> list[Answer]:
        """One after the other."""
        found = [await self.ask(each) for each in requests]
        self._writer.close()
        return found


async def _answers(port: int, requests: list[bytes], callers: int) -> list[Answer]:
    lots = [Caller(port).ask_all(requests[number::callers]) for number in range(callers)]
    return [each for some in await asyncio.gather(*lots) for each in some]


def answers(port: int, requests: Iterable[bytes], callers: int = 1) -> list[Answer]:
    return asyncio.run(_answers(port, list(requests), callers))


class Counted:
    """What was refused while it was measured, by the way that was asked."""

    def __init__(self) -> None:
        self.asked, self.refused = Counter[str](), dict[str, Counter[int]]()

    def cost(self, way: str, one: tuple[int, int], requests: list[bytes], callers: int) -> float:
        """Microseconds of the answering process for each."""
        pid, port = one
        before = spent(pid)
        found = answers(port, requests, callers)
        took = (spent(pid) - before) / len(requests) * 1e6
        self.asked[way] += len(requests)
        self.refused.setdefault(way, Counter()).update(status for status, _ in found if status not in {200, 201})
        return took

    def told(self, way: str) -> str:
        refused = self.refused.get(way, Counter())
        kinds = ", ".join(map(str, sorted(refused)))
        return f"{refused.total():,} of {self.asked[way]:,} were answered {kinds}" if refused else ""


def why_not(peer: Peer) -> str:
    """Empty if an opt-out and the checks after it are answered as they are taken to be."""
    looked: list[tuple[bytes, Callable[[Any], bool]]] = [
        (peer.opt_out(0), lambda body: peer.kept(0, body)),
        (peer.check(0), peer.of_whoever_did),
        (peer.check(STRANGER), peer.of_a_stranger),
    ]
    for asked, is_right in looked:
        ((status, body),) = answers(peer.port, [asked])
        if status not in {200, 201} or not is_right(json.loads(body)):
            return f"{asked.split(b' HTTP')[0].decode()}: {status} {body[:200].decode()}"
    return ""


def listening(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, f"{process.args} ended"
        time.sleep(0.1)
    raise TimeoutError(f"{process.args} does not listen")


def started(stack: ExitStack, data: Path, *command: str | Path, port: int) -> int:
    """The number of its process, which ends with the stack. What it complains of stands in `data`."""
    log = stack.enter_context((data / "log").open("wb"))
    quiet = {**os.environ, "NODE_ENV": "production"}
    process = subprocess.Popen([*ON_ONE_CORE, *map(str, command)], stdout=subprocess.DEVNULL, stderr=log, env=quiet)
    stack.callback(lambda: (process.terminate(), process.wait()))
    listening(port, process)
    return process.pid


def fetched(folder: Path) -> Path:
    """With what the others are made of: c15t's packages, and an environment for dpdpkit."""
    done = folder / "fetched"
    if not done.exists():
        packages = [word for word in node.INSTALL if word != "--ignore-scripts"]  # SQLite's has to be built
        subprocess.run([*packages, "--loglevel=error", "--prefix", str(folder), *OF_NPM], check=True, stdout=sys.stderr)
        venv.create(folder / "python", with_pip=True)
        pip = [folder / "python" / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *OF_PYPI, *SAME], check=True, stdout=sys.stderr)
        done.touch()
    return folder


def c15t(stack: ExitStack, found: Path, data: Path) -> Peer:
    server, port = shutil.copy(HERE / "c15t_server.mjs", found), free_port()  # beside what it imports
    pid = started(stack, data, "node", server, str(port), data / "c15t.sqlite3", port=port)

    def opt_out(number: int) -> bytes:
        said = {"necessary": True, "measurement": False, "marketing": False}
        told = {"type": "cookie_banner", "subjectId": subject(number), "externalSubjectId": f"p{number}"}
        more = {"domain": "www.example.com", "preferences": said, "givenAt": time.time_ns() // 10**6}
        return request("POST", "/subjects", told | more)

    def submitted(body: Any) -> bool:
        return body["results"]["cookie_banner"]["hasConsent"]

    return Peer(
        "c15t", pid, port, opt_out,
        lambda number: request("GET", f"/consents/check?externalId=p{number}&type=cookie_banner"),
        lambda number, body: body["subjectId"] == subject(number) and body["appliedPreferences"]["marketing"] is False,
        submitted, lambda body: not submitted(body),
        "a row of a banner's answer, durable; no chain, no receipt",
        "has this person ever submitted a banner: `hasConsent` is true after an opt-out; no law, no signals",
    )  # fmt: skip


def subject(number: int) -> str:
    """c15t's form of an id."""
    made = ""
    while number or not made:
        number, digit = divmod(number, len(BASE58))
        made += BASE58[digit]
    return f"sub_{made}"


def dpdpkit(stack: ExitStack, found: Path, data: Path) -> Peer:
    python, port = found / "python" / "bin" / "python", free_port()
    pid = started(stack, data, python, HERE / "dpdpkit_server.py", str(port), data / "dpdpkit.sqlite3", port=port)

    def says(granted: bool, who: str) -> bytes:
        return request(
            "POST", "/dpdp/consents", {"decisions": [{"purpose": "marketing", "granted": granted}]}, x_person=who
        )

    (_, allowed) = answers(port, [says(True, "willing"), request("GET", "/check/willing")])
    assert allowed == (200, b'{"allowed":true}'), allowed  # a check that could say nothing but no would be none
    return Peer(
        "dpdpkit", pid, port, lambda number: says(False, f"p{number}"),
        lambda number: request("GET", f"/check/p{number}"),
        lambda _, body: [each["status"] for each in body["consents"]] == ["denied"],
        lambda body: body == {"allowed": False},
        lambda body: body == {"allowed": False},
        "an entry of a hash chain of its one tenant, durable; a receipt is asked for by itself",
        "does this person's last entry of this purpose grant it (India: silence is a no); no places, no signals",
    )  # fmt: skip


def ours(stack: ExitStack, _: Path, data: Path) -> Peer:
    running = stack.enter_context(service(data, "--config", str(check_bench.configured(data)), prefix=ON_ONE_CORE))
    bearer = f"Bearer {add_api_key(running.data, 'site', ['check', 'choose'], publishable=False)}"
    time.sleep(1.5)  # a key is known half a second later

    def posted(path: str, number: int, more: dict) -> bytes:
        body = {"identifiers": [named("gaid", gaid(number))], "place": "US-CA", **more}
        return request("POST", path, body, Authorization=bearer)

    return Peer(
        "this gateway", running.process.pid, running.port,
        lambda number: posted("/v1/choices", number, {"choice": "opt_out"}),
        lambda number: posted("/v1/check", number, {"recipient": "bidder0", "age": "adult"}),
        lambda _, body: bool(body["receipt"]),
        lambda body: (body["allowed"], body["reason"]) == (False, "opted_out"),
        lambda body: (body["allowed"], body["reason"]) == (True, "no_choice"),
        "an entry of a signed tree, durable, its receipt in the answer",
        "may this recipient have this data now: the law of the place, the age, what stands; on record where it goes",
    )  # fmt: skip


def measured(peer: Peer, bare: tuple[int, int]) -> list[Figure]:
    """Its rows, or one of what it said instead."""
    if refused := why_not(peer):
        return [Figure(peer.name, "an opt-out and a check", None, "", refused)]
    counted, new, strangers, one = Counted(), count(1), count(STRANGER + 1), (peer.pid, peer.port)

    def records(way: str, callers: int) -> float:
        return counted.cost(way, one, [peer.opt_out(next(new)) for _ in range(RECORDED)], callers)

    def checks(way: str) -> float:
        last = RECORDED  # all of these are on record since the first turn
        asked = [peer.check(number // 2 % last + 1 if number % 2 else next(strangers)) for number in range(ASKED)]
        return counted.cost(way, one, asked, CALLERS)

    def plain(callers: int) -> Callable[[], float]:
        return lambda: counted.cost("bare", bare, [request("GET", "/bare")] * ASKED, callers)

    alone, together, check = "an opt-out, one caller", f"an opt-out, {CALLERS} callers at once", "a check"
    _, took = bars.in_turns(plain(1), {alone: lambda: records(alone, 1)})
    _, more = bars.in_turns(
        plain(CALLERS), {together: lambda: records(together, CALLERS), check: lambda: checks(check)}
    )
    means = {alone: peer.keeps, together: peer.keeps, check: peer.answers}
    return [
        Figure(peer.name, way, None if counted.told(way) else times, means[way], counted.told(way))
        for way, times in (took | more).items()
    ]


def of_dpdpkit_inside(peer: Peer, bare: tuple[int, int]) -> Figure:
    """`consent.check` in its own process, from its table: one request of many checks, divided."""
    counted, first = Counted(), count(1, INSIDE)

    def inside() -> float:
        path = f"/checks/{next(first)}/{INSIDE}"
        return counted.cost("inside", (peer.pid, peer.port), [request("GET", path)], 1) / INSIDE

    _, took = bars.in_turns(
        lambda: counted.cost("bare", bare, [request("GET", "/bare")] * ASKED, CALLERS), {"inside": inside}
    )
    return Figure(peer.name, "a check in process", took["inside"], peer.answers, counted.told("inside"))


def of_ours_inside(base: float) -> Figure:
    """`gateway.client` over a replica in the ad server's process. `base`: microseconds of a bare request."""

    async def found() -> float:
        with tempfile.TemporaryDirectory() as name:
            async with check_bench.opened(Path(name)) as ways:
                return dict(check_bench.in_turns({"client": ways.beside(1, ["bidder0"])}))["client"]

    return Figure(
        "this gateway", "a check in process", asyncio.run(found()) / base, "the same question, beside the ad server"
    )


def tell(figures: list[Figure]) -> list[Figure]:
    """As soon as they are there."""
    print(*(each.told() for each in figures), sep="\n", file=sys.stderr, flush=True)
    return figures


def main(folder: Path) -> None:
    found = fetched(folder)
    cores = os.sched_getaffinity(0)
    figures: list[Figure] = []
    with ExitStack() as stack:
        port, pid = baselines(stack)
        os.sched_setaffinity(0, {max(cores)})
        for make in (ours, c15t, dpdpkit):
            with ExitStack() as running, tempfile.TemporaryDirectory() as data:
                peer = make(running, found, Path(data))
                figures += tell(measured(peer, (pid, port)))
                if make is dpdpkit:
                    figures += tell([of_dpdpkit_inside(peer, (pid, port))])
        base = statistics.median(
            Counted().cost("bare", (pid, port), [request("GET", "/bare")] * ASKED, CALLERS) for _ in range(bars.TURNS)
        )
        figures += tell([of_ours_inside(base)])
    at = f"{time.strftime('%d %B %Y, %H:%M')}: load {os.getloadavg()[0]:.0f} on {bars.machine()}"
    head = "| | times of a bare request | what its answer means |\n|---|---|---|"
    print(f"{at}; a bare request takes {base:.0f} us\n", head, *(each.told() for each in figures), sep="\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="gateway-peers-") as goes:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else goes))
