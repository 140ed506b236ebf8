"""One whole check by the way it comes in, in microseconds of processor time: a replica in the ad server's own process,
the client over it (beside), the client in the gateway's own process, and the HTTP door, called
without a socket.

Every call is about another person, so that nothing is faster here than it is among many. Ways take turns, and a figure
is the tenth percentile of the runs: whatever else the machine does only adds.
"""

import asyncio
import contextlib
import gc
import heapq
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count, product
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))
import many as many_of
import orjson
from many import FEW, MANY
from signals_bench import BASELINE, table
from support import example, inside
from support.people import gaid, named

from gateway.app.replica import Replica
from gateway.app.service import in_front_of
from gateway.client import Client
from gateway.consent.asked import Ask
from gateway.consent.people import People
from gateway.keys import secret_files
from gateway.keys.api_keys import add_api_key
from gateway.keys.seals import Enrolment
from gateway.ledger.log_records import PLACES
from gateway.settings import load
from gateway.state import environment
from gateway.state.environment import StateMap
from gateway.state.packed_rows import StateHead
from gateway.state.transactions import write_copied
from gateway.web.api.inside import InProcessChecker

PEOPLE, AT_ONCE, RUNS, BIDDERS = 40_000, 20, 60, 15
A_DAY = 86_400.0  # seconds
NAMED = (1, 3, 6)  # identifiers of a call
HEADERS = [(b"host", b"127.0.0.1:8080"), (b"content-type", b"application/json")]


def identifiers(person: int, many: int) -> list[dict[str, str]]:
    """Of a made-up person, as an ad server has them: the phone's ids first."""
    return [
        named("gaid", gaid(person)),
        named("email", f"person{person}@example.com"),
        named("account", f"a{person}"),
        named("idfv", gaid(person + 10**9)),
        named("phone", f"+1415555{100 + person % 100:04d}"),
        {**named("eid", f"u{person}"), "source": "uid.example"},
    ][:many]


def people_of(secrets: secret_files.Secrets) -> People:
    return People(secrets, lambda: datetime.now(UTC))


def people_who_opted_out(people: People, numbers: range) -> Iterator[bytes]:
    """The phone's ad id of each."""
    for number in numbers:
        (subject,) = people.name(identifiers(number, 1)).subjects
        yield subject.key


def configured(folder: Path) -> Path:
    """Fifteen bidders beside the example's."""
    bidder = (
        'role = "third_party"\npurposes = ["targeted_ads"]\ndata = ["ad_id", "coarse_geo"]\n'
        'contract = "B-1"\nannounced = 2024-01-01\ntransfer_basis = "scc"\n'
    )
    folder.mkdir(exist_ok=True)
    path = folder / "config.toml"
    path.write_text(example.over("".join(f"[recipients.bidder{number}]\n{bidder}" for number in range(BIDDERS))))
    return path


def copy(folder: Path, opted_out: Iterator[bytes], *, entries: int, peppers: int) -> StateMap:
    """A state as a follower leaves it, filled without a feed. `opted_out` in the order of their keys."""
    made = environment.make_generation(folder)
    write_copied(made, {}, StateHead("bench", PLACES, bytes(32), peppers, entries=entries, alone=frozenset()))
    many_of.put_noes(made, opted_out, spread=2 * entries)
    return made


def replica(folder: Path, configured: load.Settings, peppers: tuple[bytes, ...], made: StateMap) -> Replica:
    """One that has this state and a lease of a day; what it lets go stands in its spool."""
    enrolled = Enrolment("bench", "bench.none", peppers, bytes(32))
    found = Replica("http://127.0.0.1:1", folder, enrolled, configured, dev=True)
    found.follower.state, found.follower.fresh_until = made, found.follower._clock() + A_DAY
    found.spool.start()
    return found


class Way(NamedTuple):
    """`question` of a person, made before the clock runs; `ask` is what is measured."""

    question: Callable[[int], Any]
    ask: Callable[[Any], object]


def in_turns(ways: dict[str, Way]) -> list[tuple[str, float]]:
    """(name, microseconds of this thread)."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    people = count()
    gc.disable()
    for _ in range(RUNS):
        for name, way in ways.items():
            questions = [way.question(next(people) % PEOPLE) for _ in range(AT_ONCE)]
            began = time.thread_time()
            for question in questions:
                way.ask(question)
            found[name].append((time.thread_time() - began) / AT_ONCE * 1e6)
        gc.collect(0)
    gc.enable()
    return [(name, statistics.quantiles(times, n=10)[0]) for name, times in found.items()]


class Ways:
    """A question in each way that it may come: by number of a person, with so many identifiers, to these recipients."""

    def __init__(self, copied: Replica, client: Client | None, door: Any, bearer: str) -> None:
        self._copied, self._client, self._door, self._bearer = copied, client, door, bearer

    def replica(self, many: int, to: Sequence[str]) -> Way:
        return Way(lambda person: Ask(tuple(to), identifiers(person, many), place="US-CA"), self._copied.check)

    def beside(self, many: int, to: Sequence[str]) -> Way:
        """The client over the replica."""
        return self._asking(Client.over(self._copied.checker), many, to)

    def bid(self, make: Callable[[int], dict[str, Any]], to: Sequence[str]) -> Way:
        """A bid request at the replica, in process, read and answered as JSON."""
        path, checker = "/v1/openrtb?" + "&".join(f"recipient={name}" for name in to), self._copied.checker
        return Way(lambda person: orjson.dumps(make(person)), lambda body: checker.answer(path, body))

    def client(self, many: int, to: Sequence[str]) -> Way:
        assert self._client
        return self._asking(self._client, many, to)

    @staticmethod
    def _asking(client: Client, many: int, to: Sequence[str]) -> Way:
        (one,) = to
        return Way(
            lambda person: identifiers(person, many),
            lambda named: client.check(recipient=one, identifiers=named, place="US-CA"),
        )

    def door(self, many: int, to: Sequence[str]) -> Way:
        to_whom = {"recipient": to[0]} if len(to) == 1 else {"recipients": list(to)}
        return Way(
            lambda person: json.dumps({"identifiers": identifiers(person, many), "place": "US-CA", **to_whom}).encode(),
            lambda body: called(self._door, body, self._bearer),
        )


def called(app: Any, body: bytes, bearer: str) -> bytes:
    """One call of /v1/check, driven to its end as a server's loop does; what waits for real would fail here."""
    own = [(b"authorization", f"Bearer {bearer}".encode()), (b"content-length", str(len(body)).encode())]
    answer: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/check",
        "raw_path": b"/v1/check",
        "query_string": b"",
        "root_path": "",
        "headers": [*HEADERS, *own],
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    try:
        app(scope, receive, send).send(None)
    except StopIteration:
        assert answer[0]["status"] == 200, answer
        return bytes(answer[1]["body"])
    raise AssertionError("a check waits for nobody")


@contextlib.asynccontextmanager
async def opened(folder: Path) -> Any:
    """The three ways, over standings of the same people: even ones opted out, odd ones said nothing."""
    configuration = configured(folder)
    stated = inside.settings(configuration)
    data, other = inside.install(folder / "data"), inside.install(folder / "other")
    bearer = add_api_key(data, "ads", ["check"], publishable=False)  # whoever may see entries is told more
    secrets = secret_files.load_secrets(data)
    opted_out = sorted(people_who_opted_out(people_of(secrets), range(0, 2 * PEOPLE, 2)))
    for each in (data, other):
        many_of.into_state(each, opted_out)
    made = copy(folder / "copy", iter(opted_out), entries=2 * PEOPLE, peppers=len(secrets.peppers))
    checker: list[InProcessChecker] = []

    async def site(scope: Any, receive: Any, send: Any) -> None:
        checker.append(scope["state"]["gateway_checker"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with (
        inside.application(data, stated) as door,
        inside.lifespan(front := in_front_of(site, other, config=configuration)),
    ):
        async with inside.client(front) as browser:
            await browser.get("/")
        yield Ways(replica(folder / "beside", stated, secrets.peppers, made), Client.over(checker[0]), door, bearer)


def cases(ways: Ways) -> dict[str, Way]:
    found: dict[str, Way] = {}
    one, all_ = ["bidder0"], [f"bidder{number}" for number in range(BIDDERS)]
    for word, odd in (("allowed", 1), ("denied", 0)):
        for way, many in product(("replica", "beside", "client", "door"), NAMED):
            question, ask = getattr(ways, way)(many, one)
            found[f"{way}, {many} identifiers, {word}"] = Way(
                lambda person, question=question, odd=odd: question(2 * person + odd), ask
            )
    for way, many in product(("replica", "door"), NAMED):
        found[f"{way}, {many} identifiers, {BIDDERS} recipients"] = getattr(ways, way)(many, all_)
    return found


def among() -> list[tuple[str, float]]:
    """A replica's check of three identifiers among few people and among many, half of whom opted out."""
    with tempfile.TemporaryDirectory() as name:
        folder, secrets = Path(name), secret_files.load_secrets(inside.install(Path(name) / "data"))
        stated = inside.settings(configured(folder))
        ours = sorted(people_who_opted_out(people_of(secrets), range(0, 2 * PEOPLE, 2)))
        ways = {}
        for number in (FEW, MANY):
            merged = heapq.merge(many_of.keys(number), ours)
            made = copy(folder / f"copy {number}", merged, entries=number, peppers=len(secrets.peppers))
            one = Ways(replica(folder / f"beside {number}", stated, secrets.peppers, made), None, None, "")
            ways[f"replica, 3 identifiers, among {number:,}"] = one.replica(3, ["bidder0"])
        return in_turns(ways)


async def rows() -> list[tuple[str, float]]:
    """(name, microseconds), the baseline first."""
    text = orjson.dumps({"text": "x" * 560, "numbers": list(range(120))})
    with tempfile.TemporaryDirectory() as name:
        async with opened(Path(name)) as ways:
            _are_answered(ways)
            return in_turns({f"{BASELINE} ({len(text)} B)": Way(lambda _: text, orjson.loads), **cases(ways)})


def _are_answered(ways: Ways) -> None:
    """What is measured are answers, not refusals."""

    def of(way: Way, person: int) -> Any:
        return way.ask(way.question(person))

    for many, (person, reason) in product(NAMED, ((0, "opted_out"), (1, "no_choice"))):
        assert of(ways.replica(many, ["bidder0"]), person).verdicts["bidder0"].reason == reason
        assert of(ways.client(many, ["bidder0"]), person).reason == reason
        assert of(ways.beside(many, ["bidder0"]), person).reason == reason
        assert json.loads(of(ways.door(many, ["bidder0"]), person))["reason"] == reason


if __name__ == "__main__":
    print("\n".join(table(asyncio.run(rows()))))
