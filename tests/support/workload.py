"""People who use the service at once, and what each answer promised them: opt-outs in every way, signals, links.

Every client has one connection; the port it calls from and the turn of an answer on it find the promise again in what
the service was recorded to have sent.
"""

import http.client
import json
import random
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from support.people import email, gaid, named

HEADERS = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DONE = frozenset({200, 201, 202, 303})  # 202: kept beside the ledger, to be entered later


@dataclass(frozen=True, slots=True)
class Promise:
    """What holds once its answer is out: these identifiers are denied, and these are the account's."""

    denied: tuple[Mapping[str, str], ...] = ()
    linked: tuple[Mapping[str, str], Mapping[str, str]] | None = None


Promises = dict[tuple[int, int], Promise]


@dataclass(slots=True)
class Client:
    """One person after the other, on one connection. `number` sets its people apart from those of others."""

    port: int
    number: int
    promises: Promises
    chance: random.Random
    done: int = 0
    people: int = 0
    turn: int = 0
    connection: http.client.HTTPConnection | None = None

    def act(self) -> None:
        """Something that a person, an app or a backend does."""
        ways = (self.opt_out, self.fill_form, self.observe, self.account_opts_out, self.repeat, self.read_checkpoint)
        self.chance.choices(ways, weights=(12, 3, 3, 2, 1, 2))[0]()

    def opt_out(self) -> None:
        person = self.person()
        several = [named("gaid", gaid(person)), named("email", email(person)), named("idfv", gaid(person + 2**40))]
        whose = several[: self.chance.randint(1, 3)]
        self.ask("/v1/choices", {"identifiers": whose, "choice": "opt_out"}, Promise(tuple(whose)))

    def fill_form(self) -> None:
        typed = email(self.person())
        body = urllib.parse.urlencode({"action": "opt_out", "email": typed}).encode()
        self.call("POST", "/privacy-choices", body, FORM, Promise((named("email", typed),)))

    def observe(self) -> None:
        whose = named("gaid", gaid(self.person()))
        self.ask("/v1/observe", {"identifiers": [whose], "signals": {"gpc": "1"}}, Promise((whose,)))

    def account_opts_out(self) -> None:
        person = self.person()
        account, phone = named("account", f"account{person}"), named("gaid", gaid(person))
        link = {"account": account["value"], "identifiers": [phone]}
        tied = self.ask("/v1/links", link, Promise(linked=(account, phone)))
        reaches = (account, phone) if tied else (account,)
        self.ask("/v1/choices", {"identifiers": [account], "choice": "opt_out"}, Promise(reaches))

    def repeat(self) -> None:
        person = self.person()
        whose, body = (named("gaid", gaid(person)),), {"choice": "opt_out"}
        for _ in range(2):
            headers = {**HEADERS, "Idempotency-Key": f"key{person}"}
            self.call(
                "POST", "/v1/choices", json.dumps({**body, "identifiers": whose}).encode(), headers, Promise(whose)
            )

    def read_checkpoint(self) -> None:
        self.call("GET", "/ledger/checkpoint", None, {}, Promise())

    def person(self) -> int:
        """A number that nobody else has."""
        self.people += 1
        return self.number * 1_000_000 + self.people

    def ask(self, path: str, body: object, promise: Promise) -> bool:
        return self.call("POST", path, json.dumps(body).encode(), HEADERS, promise)

    def call(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], promise: Promise) -> bool:
        """Whether it was done. The promise is noted before: a killed service may have answered unheard."""
        if self.connection is None:
            self.connection, self.turn = self.connect(), 0
        self.promises[self.connection.sock.getsockname()[1], self.turn] = promise
        self.turn += 1
        self.connection.request(method, path, body, dict(headers))
        answer = self.connection.getresponse()
        answer.read()
        self.done += answer.status in DONE
        return answer.status in DONE

    def hang_up(self) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None

    def connect(self) -> http.client.HTTPConnection:
        """From a port that nobody called from before."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.connect()
            if (connection.sock.getsockname()[1], 0) not in self.promises:
                return connection
            connection.close()


@dataclass(slots=True)
class Watcher(Client):
    """Asks for the checkpoint again and again, as whoever watches the log does."""

    def act(self) -> None:
        self.read_checkpoint()


def at_once(clients: Sequence[Client], goes_on: Callable[[], bool], pause: float = 0.0) -> None:
    """Each client acts in a thread of its own for as long as `goes_on`, or until the service is gone."""

    def live(client: Client) -> None:
        with suppress(OSError, http.client.HTTPException):
            while goes_on():
                client.act()
                time.sleep(client.chance.random() * 2 * pause)
        client.hang_up()

    threads = [threading.Thread(target=live, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def crowd(port: int, promises: Promises, seed: int) -> list[Client]:
    """Six people and a watcher."""
    people = [Client(port, number, promises, random.Random(seed * 100 + number)) for number in range(1, 7)]
    return [*people, Watcher(port, 7, promises, random.Random(seed))]
