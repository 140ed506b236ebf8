"""`Client`: check, checks, openrtb, disclosure, share. Ad servers and backends import it from `gateway.client`. No call
raises because of the gateway; without an answer it is no.

What became of answers is reported beside the work: kept in a bounded queue, said each second, said again until taken.
What is lost, at a full queue or an end without `close`, stays "may have been sent" at the gateway.

A server that is loaded before its workers are made (`gunicorn --preload`) forks the client: open connections are the
parent's too, threads are not there, names were to be unique. `begins_again` makes those anew in the child.
"""

import contextlib
import itertools
import os
import re
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, overload
from urllib.parse import urlencode
from weakref import WeakSet

import orjson

from gateway.client import verdict as reading
from gateway.client.connection import OK, Connections, Heard, NoAnswer, Response, boot_seconds
from gateway.client.verdict import (
    DENIED,
    EXPIRED,
    NO_ANSWER,
    ClientDisclosure,
    ClientVerdict,
    Clock,
    HandedBack,
    ToldInside,
    VerdictUnreadable,
)


class Forked(Protocol):
    def forked(self) -> None:
        """Begins again, in the child, before anything else runs there."""


_living: WeakSet[Forked] = WeakSet()


def begins_again(one: Forked) -> None:
    """Has `one.forked()` called in every child, as long as it lives."""
    _living.add(one)


def _in_child() -> None:
    for one in list(_living):
        with contextlib.suppress(Exception):  # what one of them cannot do must not leave the others as the parent's
            one.forked()


os.register_at_fork(after_in_child=_in_child)


BATCH = 1_000
MOST = 20_000  # some 6 MB
PERIOD = 1.0  # seconds
CLOSING = 5.0  # seconds that a stop waits for the last ones


class ClientReporting:
    """`post` takes lines and says whether they were taken; `every` is done each period beside it."""

    def __init__(self, post: Callable[[bytes], bool], beside: Callable[[], None]) -> None:
        self._post = post
        self._beside = beside
        self.forked()

    def forked(self) -> None:
        """As at the beginning: the child of a fork has no thread, and what waited is the parent's to say."""
        self._waiting: deque[bytes] = deque()
        self._wake, self._idle = threading.Event(), threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self.lost = 0

    def say(self, decision: str, outcome: str, at: int) -> None:
        """Reports what became of an answer. Never waits."""
        self.tell({"decision": decision, "outcome": outcome, "at": at})

    def tell(self, line: Mapping[str, str | int]) -> None:
        """Puts a line of POST /v1/disclosures into the queue. Never waits."""
        if len(self._waiting) >= MOST:
            self.lost += 1
            return
        self._waiting.append(orjson.dumps(line))
        if len(self._waiting) >= BATCH:
            self._wake.set()
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Reports what is left in the queue, for a few seconds."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(CLOSING)
        self.lost += len(self._waiting)
        self._waiting.clear()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gateway-reports", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(PERIOD)
            self._wake.clear()
            self._beside()
            while self._waiting and self._said():
                pass
        while self._waiting and self._said():
            pass

    def _said(self) -> bool:
        lines = list[bytes]()
        with contextlib.suppress(IndexError):
            while len(lines) < BATCH:
                lines.append(self._waiting.popleft())
        if self._post(b"\n".join(lines)):
            return True
        self._waiting.extendleft(reversed(lines))
        self._wake.clear()
        return False


JSON, NDJSON = "application/json", "application/x-ndjson"
REPORTING = 10.0  # seconds that the gateway may take to put reports on record
BLOCK = "block"
BID_VERDICTS = frozenset({"allow", "reduced", "contextual", BLOCK})
NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # a job
PART = 50  # checks of one call: some 10 ms of the gateway's, and no more than a reader is soon through with
OF_CLOCK = "gateway-clock"  # by which clock the times of an answer are
CLOCK = 60.0  # seconds until a gateway's clock is asked for again: two clocks part by some milliseconds in them
TRIES, QUICK = 3, 0.005  # times that it is asked for, and seconds of an answer that is good enough
SHARE_MS = 30_000  # between two lines of an answer: the gateway may try a chunk for 20 s
TIMEOUT_MS = 25  # in the zone; 10 on the host (I34)
RESOLVE = 60  # periods of reporting between two look-ups of the gateway's name


class NotReady(Exception):
    """The gateway is not configured as this caller needs it. The text says what is different (I21)."""


class Checker(Protocol):
    """Answers in the service's own process, with the bodies and answers of the HTTP calls."""

    def answer(self, path: str, body: bytes) -> Response: ...
    def told(self, body: Mapping[str, Any]) -> ToldInside | None:
        """The answer to one check; None: it is to be asked for as JSON."""


@dataclass(frozen=True, slots=True)
class BidAnswer:
    """`verdict`: allow; reduced, something was taken and it still tells of a person; contextual, nobody is in it;
    block, as any other word is read; or no_answer. `bid` is what may be sent, None for the last two: then nothing of
    this request may.
    """

    verdict: str = NO_ANSWER
    reason: str = NO_ANSWER
    stated: Mapping[str, Any] | None = field(default=None, repr=False)
    decision: str = field(default="", repr=False)
    until: float = float("-inf")

    @property
    def bid(self) -> Mapping[str, Any] | None:
        return self.stated if boot_seconds() < self.until else None


class Verdicts(Sequence[ClientVerdict]):
    """The answers to many checks, each part asked when it is first looked at: go through them as you send."""

    def __init__(self, count: int, ask: Callable[[int], list[ClientVerdict]]) -> None:
        self._count = count
        self._ask = ask
        self._parts: dict[int, list[ClientVerdict]] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ClientVerdict: ...
    @overload
    def __getitem__(self, index: slice) -> list[ClientVerdict]: ...
    def __getitem__(self, index: int | slice) -> ClientVerdict | list[ClientVerdict]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._count))]
        start, place = divmod(range(self._count)[index], PART)
        if start not in self._parts:
            self._parts[start] = self._ask(start * PART)
        return self._parts[start][place]


class Client:
    """`url` or `unix` of the gateway, `key` with scope check, `timeout_ms` for a whole answer. Safe for threads, and
    for a fork after it was made; close it, or use it in a `with`, so that the last reports are said. `failures` counts
    answers that did not come, by why.
    """

    def __init__(
        self,
        url: str = "",
        *,
        unix: str = "",
        key: str = "",
        timeout_ms: int = TIMEOUT_MS,
        checker: Checker | None = None,
    ) -> None:
        self._seconds = timeout_ms / 1000
        self._checker = checker
        self._connections: Connections | None = None
        if checker is None:
            self._connections = Connections(url, unix, {"Authorization": f"Bearer {key}", "Connection": "keep-alive"})
            self._connections.resolve()
        self._reporting = ClientReporting(self._report, self._look_up)
        self._looked, self._name, self._numbers = 0, secrets.token_hex(4), itertools.count()
        self._clocks = dict[str, Clock]()  # of each machine that answers, by its word
        self.failures: Counter[str] = Counter()
        begins_again(self)

    @classmethod
    def over(cls, checker: Checker) -> "Client":
        """The same in the service's own process. Close it in another thread than the event loop's, which takes the last
        reports.
        """
        return cls(checker=checker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reporting.close()
        if self._connections:
            self._connections.close()

    def forked(self) -> None:
        """In the child of a fork: connections, marks and reports of its own."""
        self._name = secrets.token_hex(4)
        self._reporting.forked()
        if self._connections:
            self._connections.forked()

    @property
    def unreported(self) -> int:
        """How many reports were lost; those sends stay "may have been sent"."""
        return self._reporting.lost

    # --- the questions ---

    def check(
        self,
        *,
        recipient: str,
        identifiers: Sequence[Mapping[str, Any]] = (),
        data: Collection[str] | None = None,
        **more: Any,
    ) -> ClientVerdict:
        """May this go now? `more`: the other members of POST /v1/check."""
        body = {"recipient": recipient, "identifiers": list(identifiers), **more}
        if data is not None:
            body["data"] = list(data)
        began = boot_seconds()
        try:
            found = self._told(body, began) if self._checker else None
            if found is None:
                body["ref"] = self._ref()
                found = reading.read_verdict(
                    _parsed(self._ask("/v1/check", _encoded(body))), body.get("data"), began, body["ref"]
                )
        except (NoAnswer, VerdictUnreadable) as error:
            return self._failed(error)
        return found if found.fresh else self._over(found)

    def checks(self, asked: Sequence[Mapping[str, Any]], *, timeout_ms: int | None = None) -> Verdicts:
        """Any number, each with one `recipient`; an answer each, in order. They are asked some at a time, when the
        first of them is looked at, each time within `timeout_ms`; one that is looked at too late is `expired`.
        """
        seconds = timeout_ms / 1000 if timeout_ms else self._seconds
        return Verdicts(len(asked), lambda start: self._part(asked[start : start + PART], seconds))

    def openrtb(self, bid: Mapping[str, Any], *, recipient: str, **parameters: str) -> BidAnswer:
        """What may be sent of a bid request. `parameters`: those of POST /v1/openrtb."""
        began, path = boot_seconds(), f"/v1/openrtb?{urlencode({'recipient': recipient, **parameters})}"
        try:
            return _bid_answer(self._ask(path, _encoded(bid)), bid, began)
        except (NoAnswer, VerdictUnreadable) as error:
            return BidAnswer(reason=self._failed(error).reason)

    def disclosure(
        self,
        *,
        recipient: str,
        identifiers: Sequence[Mapping[str, Any]] = (),
        data: Mapping[str, Any] | Collection[str] = (),
        **more: Any,
    ) -> ClientDisclosure:
        """Asking and sending as one block; `data`: classes, or values by class. See `Disclosure`."""
        classes = list(data) or None
        return ClientDisclosure(
            lambda: self.check(recipient=recipient, identifiers=identifiers, data=classes, **more),
            self._reporting.say,
            data,
        )

    def share(
        self, recipient: str, rows: Iterable[Mapping[str, Any]], *, job: str = "", timeout_ms: int = SHARE_MS
    ) -> HandedBack:
        """Rows for a recipient with mode `return`, some thousand of them a call, with a key of scope share; each answer
        as it comes: see `HandedBack`. `timeout_ms`: between two answers.
        """
        if job and not NAMED.fullmatch(job):
            raise ValueError("a job's name has at most 64 letters, digits, dots, dashes and underscores")
        seconds, headers = timeout_ms / 1000, {"Content-Type": NDJSON} | ({"Gateway-Job": job} if job else {})

        def post(lines: bytes, heard: Heard) -> Iterable[bytes]:
            if self._connections is None:
                raise NoAnswer("checker")
            return self._connections.lines(f"/v1/shares/{recipient}", lines, headers, seconds, heard, self._learn)

        def clock(heard: Heard) -> Clock | None:
            return self._known_clock(max(seconds, self._seconds), heard)

        return HandedBack(recipient, rows, post, clock, self._reporting.tell, self._failed)

    def say(self, decision: str, outcome: str) -> None:
        """What became of an answer that was obeyed without a `disclosure`: sent, not_sent, unknown. Never waits."""
        self._reporting.say(decision, outcome, time.time_ns() // 1_000_000)

    def ready(
        self,
        recipients: Mapping[str, Mapping[str, Collection[str]]] | Collection[str] = (),
        *,
        environment: str | None = None,
        timeout_ms: int = 2000,
    ) -> Mapping[str, Any]:
        """What GET /v1/self says. `recipients`: names, or by name the `purposes` and `data` that this caller will ask
        about. Raises `NotReady` where anything is not there, before the first bid is lost to it (I21).
        """
        try:
            stated = _parsed(self._ask("/v1/self", b"", timeout_ms / 1000, "GET"))
        except (NoAnswer, VerdictUnreadable) as error:
            raise NotReady(f"no answer from /v1/self: {error or 'unreadable'}") from None
        wanted = recipients if isinstance(recipients, Mapping) else {name: {} for name in recipients}
        wrong = list(_differences(stated, wanted, environment))
        if wrong:
            raise NotReady("; ".join(wrong))
        return stated if isinstance(stated, dict) else {}

    # --- how ---

    def _ref(self) -> str:
        return f"{self._name}-{next(self._numbers)}"

    def _part(self, asked: Sequence[Mapping[str, Any]], seconds: float) -> list[ClientVerdict]:
        began = boot_seconds()
        marked = [{**one, "ref": self._ref()} for one in asked]
        try:
            response = self._ask("/v1/checks", _encoded(marked), seconds)
            stated = _parsed(response)
        except (NoAnswer, VerdictUnreadable) as error:
            self._failed(error)
            return [DENIED] * len(asked)
        clock = self._known_clock(seconds, response.headers)
        answers = stated if isinstance(stated, list) and len(stated) == len(asked) else [None] * len(asked)
        return [self._one(found, one, began, clock) for found, one in zip(answers, marked, strict=True)]

    def _one(self, stated: object, asked: Mapping[str, Any], began: float, clock: Clock | None) -> ClientVerdict:
        try:
            found = reading.read_verdict(stated, asked.get("data"), began, asked["ref"], clock)
        except VerdictUnreadable as error:
            return self._failed(error)
        return self._over(found) if found.reason == EXPIRED else found

    def _over(self, found: ClientVerdict) -> ClientVerdict:
        """An answer that was over when it came."""
        self.failures[EXPIRED] += 1
        return found

    def _known_clock(self, seconds: float, heard: Mapping[str, str]) -> Clock | None:
        """That of the machine whose answer had these headers. None where it did not say: then an answer holds from
        before the question.
        """
        word, now = heard.get(OF_CLOCK, ""), boot_seconds()
        self._clocks = {each: clock for each, clock in [*self._clocks.items()] if now - clock.asked <= CLOCK}
        if word not in self._clocks:
            for _ in range(TRIES):
                asked = boot_seconds()
                try:
                    self._learn(self._ask("/v1/self", b"", seconds, "GET"), asked)
                except NoAnswer as error:
                    self._failed(error)
                    break
                known = self._clocks.get(word)  # a balancer may ask another one each time
                if known and known.took < QUICK:
                    break
        return self._clocks.get(word)

    def _learn(self, itself: Response, asked: float) -> None:
        """The clock of whoever answered /v1/self; none of what is no answer to that."""
        try:
            found = Clock.of(_parsed(itself), asked)
        except VerdictUnreadable as error:
            self._failed(error)
            return
        word = itself.headers.get(OF_CLOCK, "")
        known = self._clocks.get(word)
        if known is None or found.took < known.took or asked - known.asked > CLOCK / 2:
            self._clocks[word] = found

    def _failed(self, error: Exception) -> ClientVerdict:
        self.failures[str(error) or "unreadable"] += 1
        return DENIED

    def _ask(self, path: str, body: bytes, seconds: float | None = None, method: str = "POST") -> Response:
        """Asks, and returns the answer where its status is 200. Raises `NoAnswer`."""
        seconds = self._seconds if seconds is None else seconds
        if self._connections is None:
            response = self._inside(path, body)
        else:
            response = self._connections.ask(method, path, body, JSON, seconds)
        if response.status != OK:
            raise NoAnswer(f"status_{response.status}")
        return response

    def _told(self, body: Mapping[str, Any], began: float) -> ClientVerdict | None:
        """The answer of this very process. Raises `NoAnswer`, `VerdictUnreadable`."""
        assert self._checker is not None
        try:
            told = self._checker.told(body)
        except Exception as error:
            raise NoAnswer("checker") from error
        return told and told.read(body.get("data"), began)

    def _inside(self, path: str, body: bytes) -> Response:
        """Whatever goes wrong over there is no answer here."""
        assert self._checker is not None
        try:
            return self._checker.answer(path, body)
        except Exception as error:
            raise NoAnswer("checker") from error

    def _report(self, lines: bytes) -> bool:
        """Whether they were taken, each of them by the gateway's own word: what stands between may answer 200 to
        anything.
        """
        path = "/v1/disclosures"
        try:
            if self._connections is None:
                return self._inside(path, lines).status == OK
            response = self._connections.ask("POST", path, lines, NDJSON, REPORTING)
        except NoAnswer:
            return False
        if response.status != OK:
            self.failures[f"reports_status_{response.status}"] += 1
            return False
        if not _ends(response.body, lines.count(b"\n") + 1):
            self.failures["reports_unreadable"] += 1
            return False
        return True

    def _look_up(self) -> None:
        self._looked += 1
        if self._connections and self._looked % RESOLVE == 0:
            self._connections.resolve()


def _ends(body: bytes, count: int) -> bool:
    """Whether an answer of a line a report ends as one of so many does."""
    try:
        return bool(orjson.loads(body.rstrip().rpartition(b"\n")[2]) == {"end": True, "count": count})
    except orjson.JSONDecodeError:
        return False


def _encoded(body: object) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        raise NoAnswer("question_unreadable") from None


def _bid_answer(response: Response, bid: Mapping[str, Any], began: float) -> BidAnswer:
    """Raises `Unreadable`, also for the answer to another request."""
    headers, stated = response.headers, _parsed(response)
    word, lasts = headers.get("gateway-verdict"), headers.get("gateway-valid-for-ms", "")
    if word is None or not isinstance(stated, dict) or not lasts.isdecimal():
        raise VerdictUnreadable
    if word not in BID_VERDICTS:
        word = BLOCK
    if word != BLOCK and stated.get("id") != bid.get("id"):
        raise VerdictUnreadable
    until = began + reading.seconds_of(int(lasts))
    sent = stated if word != BLOCK else None
    return BidAnswer(word, headers.get("gateway-reason", ""), sent, headers.get("gateway-decision", ""), until)


def _parsed(response: Response) -> object:
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        raise VerdictUnreadable from None


def _differences(
    stated: object, wanted: Mapping[str, Mapping[str, Collection[str]]], environment: str | None
) -> Sequence[str]:
    """What a caller would stumble over, in words."""
    if not isinstance(stated, dict):
        return ["/v1/self is not an object"]
    key, known = stated.get("key"), stated.get("recipients")
    if not isinstance(key, dict) or not isinstance(known, dict) or not str(stated.get("api", "")).startswith("1."):
        return ["/v1/self is not of version 1 of the contract"]
    wrong = [] if "check" in key.get("scopes", ()) else [f"key {key.get('name')} has no scope check"]
    if environment is not None and stated.get("environment") != environment:
        wrong.append(f"environment is {stated.get('environment')}, not {environment}")
    for name, wants in wanted.items():
        there = known.get(name)
        if there is None:
            wrong.append(f"recipient {name} is not configured")
            continue
        for what in ("purposes", "data"):
            missing = sorted(set(wants.get(what, ())) - set(there.get(what, ())))
            wrong += [f"recipient {name} has no {what} {', '.join(missing)}"] if missing else []
    return wrong
