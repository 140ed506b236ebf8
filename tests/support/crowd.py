"""Many clients in several processes, each with several threads, who choose and check about the same people at the same
time, through any of several services. Keeps what each was answered and when, by CLOCK_MONOTONIC, which all processes
of a machine share.

Threads of one number form a crew: one of each process, and all turn to the same subject at the same time, so that a few
operations overlap on it and never many.
"""

import contextlib
import http.client
import json
import math
import random
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import count
from threading import BrokenBarrierError

from support import forked
from support.linearizable import NEVER, Asked, Check, No, Operation, Yes
from support.people import gaid, named

PATIENCE = 60.0  # seconds that a crew waits for its last member
PROOF = {"kind": "account", "assertion": "dev"}
WORDS = {"opted_out": "out", "opted_in": "in", "no_choice": "none"}
NO_ANSWER = {"stale", "store_unavailable"}  # a deny for want of an answer says nothing of what is on record
HANGS_UP, TRIES_AGAIN = 0.03, 0.5


@dataclass(frozen=True)
class Plan:
    """`ports` of services on one folder; `notices` as /v1/self lists them; `acts` of each member on each subject.
    `patience`: seconds that a crew waits for its last member; `seconds`: after which none turns to another subject.
    """

    seed: int
    ports: tuple[int, ...]
    notices: dict[str, str]
    subjects: int
    processes: int = 4
    crews: int = 4
    acts: int = 11
    member: type | None = None  # another one than `Member`
    patience: float = PATIENCE
    seconds: float = math.inf
    shown: str = ""  # the file that says to whom each crew turned last


class Lost(Exception):
    """The call was sent, and no answer came."""


BARRIERS, OVER = [], []  # of a client process: one a crew; whether it is over is said once for all of its members


def run(plan):
    """The whole history."""
    begun, ends = forked.context(), time.monotonic() + plan.seconds
    over = [begun.Value("b", 0, lock=False) for _ in range(plan.crews)]
    barriers = [begun.Barrier(plan.processes, partial(_look, each, ends)) for each in over]
    with ProcessPoolExecutor(plan.processes, begun, _meet_at, (barriers, over)) as pool:
        return _together([pool.submit(_process, plan, number) for number in range(plan.processes)])


def _together(members):
    """What they all did; else why one of them failed, which is not that another one waited for it in vain."""
    failures = [failure for each in members if (failure := each.exception()) is not None]
    if failures:
        raise next((each for each in failures if not isinstance(each, BrokenBarrierError)), failures[0])
    return [operation for each in members for operation in each.result()]


def _look(over, ends):
    over.value = time.monotonic() > ends


def _meet_at(barriers, over):
    BARRIERS.extend(barriers)
    OVER.extend(over)


def _process(plan, number):
    with ThreadPoolExecutor(plan.crews) as pool:
        return _together([pool.submit((plan.member or Member)(plan, number, crew).live) for crew in range(plan.crews)])


class Member:
    """One thread. Its acts are those of its seed; what they meet is not."""

    def __init__(self, plan, process, crew):
        self.plan, self.crew = plan, crew
        self.random = random.Random(f"{plan.seed}/{process}/{crew}")
        self.numbers = ((process, crew, number) for number in count())
        self.lines, self.asked = {}, 0
        self.history, self.again = [], False

    def live(self):
        try:
            self.turn_to_each()
        except BaseException:
            BARRIERS[self.crew].abort()  # nobody waits for who failed
            raise
        return self.history

    def turn_to_each(self):
        for subject in range(self.crew, self.plan.subjects, self.plan.crews):
            BARRIERS[self.crew].wait(self.plan.patience)
            if OVER[self.crew].value:
                break
            for _ in range(self.plan.acts):
                act = self.random.choices([self.check, self.say_no, self.opt_in], [7, 2, 2])[0]
                act(subject)
        for line in self.lines.values():
            line.close()

    def check(self, subject):
        call = time.monotonic_ns()
        body = {**about(subject), "recipient": "teemo", "purpose": "sale", "data": ["ad_id"], "place": "US-NY"}
        with contextlib.suppress(Lost):
            _, answer = self.post("check", body)
            if answer["reason"] in NO_ANSWER:
                assert not answer["allowed"], answer
                return
            word, event = WORDS[answer["reason"]], answer["because"]["event"]
            assert answer["allowed"] == (word != "out"), answer
            self.keep(subject, call, Check(word, event))

    def say_no(self, subject):
        number, call = next(self.numbers), time.monotonic_ns()
        try:
            status, answer = self.insist({**about(subject), "choice": "opt_out", "purposes": ["sale"]}, number)
        except Lost:
            self.keep(subject, call, No(number, None), NEVER)
        else:
            assert status in {200, 201}, answer
            self.keep(subject, call, No(number, answer["event"]))

    def opt_in(self, subject):
        number, call = next(self.numbers), time.monotonic_ns()
        yes = {**about(subject), "choice": "opt_in", "purposes": ["sale"], "proof": PROOF}
        try:
            status, asked = self.post("choices", yes | {"notice": {"sha256": self.plan.notices["opt-in"]}})
        except Lost:
            return
        assert status == 202, asked
        self.keep(subject, call, Asked(number))
        if self.random.random() < 0.5:
            self.check(subject)
        self.confirm(subject, number, asked["confirm"])

    def confirm(self, subject, token, confirm):
        number, call = next(self.numbers), time.monotonic_ns()
        body = {"choice": "confirm", "confirm": confirm, "proof": PROOF}
        try:
            status, answer = self.insist(body | {"notice": {"sha256": self.plan.notices["confirm"]}}, number)
        except Lost:
            self.keep(subject, call, Yes(number, token, None), NEVER)
        else:
            assert status in {200, 201} or answer["type"].endswith("superseded"), answer
            self.keep(subject, call, Yes(number, token, status in {200, 201}))
            if self.again and status not in {
                200,
                201,
            }:  # the first call may be under way still, and a refusal is not kept
                self.keep(subject, call, Yes((*number, "first"), token, None), NEVER)

    def keep(self, subject, call, act, answered=None):
        self.history.append(Operation(subject, call, answered or time.monotonic_ns(), act))

    def insist(self, body, number):
        """One choice under an Idempotency-Key. Now and then the client hangs up; and of those that were not answered
        half ask again, perhaps another service: all of that is one operation.
        """
        key = ".".join(map(str, number))
        self.again, hangs_up = False, self.random.random() < HANGS_UP
        try:
            return self.post("choices", body, key, hangs_up=hangs_up)
        except Lost:
            if self.random.random() > TRIES_AGAIN:
                raise
            self.again = True
            return self.post("choices", body, key)

    def post(self, door, body, key="", *, hangs_up=False):
        """(status, answer) of any service that can be reached, from then on the one that was `asked`. Raises `Lost`."""
        ports = self.random.sample(self.plan.ports, len(self.plan.ports))
        line = next(filter(None, map(self.line, ports)), None)
        if line is None:
            raise Lost
        self.asked = line.port
        headers = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}
        try:
            line.request("POST", f"/v1/{door}", json.dumps(body), headers | ({"Idempotency-Key": key} if key else {}))
            if hangs_up:
                raise http.client.HTTPException
            response = line.getresponse()
            said = response.read()
        except (OSError, http.client.HTTPException):
            line.close()
            raise Lost from None
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Lost
        try:
            return response.status, json.loads(said)
        except ValueError:
            raise AssertionError(f"{response.status} {response.getheaders()}: {said!r}") from None

    def line(self, port):
        """A connection that stands, or None where nobody listens."""
        line = self.lines.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=30))
        if line.sock is None:
            try:
                line.connect()
            except OSError:
                return None
        return line


def about(subject):
    return {"identifiers": [named("gaid", gaid(subject))]}
