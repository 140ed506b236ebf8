"""A gateway under load whose ledger is moved from its folder into a PostgreSQL and back: it is restarted on the new place
each time, and whoever was told that their no was kept is denied. SOAK=1: more often.
"""

import contextlib
import random
import threading
import time
import urllib.error
import urllib.request

import pytest
from support import example, moving, postgres_server
from support.examples import SOAK
from support.people import gaid, named
from support.ports import free_port
from support.service import Service, command
from support.wire import ad_id_asked, answered

pytestmark = pytest.mark.slow
CONFIG = '[recipients.teemo]\nunlinked = "allow"\n'
ROUNDS, CALLERS, PAUSE = (3, 6, 0.0) if SOAK else (1, 3, 0.05)  # seconds between two calls of one


def is_allowed(port, number):
    return ad_id_asked(port, number)["allowed"]


class Crowd:
    """People who say no one after the other, and somebody who asks about those who were told that it is in effect."""

    def __init__(self, port):
        self.kept, self.effective, self.allowed, self.refused = [], [], [], 0
        self._port, self._stop = port, threading.Event()
        self._threads = [threading.Thread(target=self._says, args=(100_000 * each,)) for each in range(1, CALLERS + 1)]
        self._threads.append(threading.Thread(target=self._asks))

    def _says(self, first):
        for number in range(first, first + 100_000):
            if self._stop.wait(PAUSE):
                return
            try:
                body = {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"}
                answer = answered(self._port, "/v1/choices", body)
            except (OSError, urllib.error.URLError, ValueError):  # not acknowledged: down, or restarted meanwhile
                self.refused += 1
                time.sleep(0.05)
                continue
            self.kept.append(number)
            if answer["effective_at"]:
                self.effective.append(number)

    def _asks(self):
        luck = random.Random(1)
        while not self._stop.wait(PAUSE / 5):
            with contextlib.suppress(OSError, urllib.error.URLError, ValueError, IndexError):
                number = luck.choice(self.effective[-50:])
                if is_allowed(self._port, number):
                    self.allowed.append(number)

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for each in self._threads:
            each.join(60)

    def grows(self, by):
        before, deadline = len(self.kept), time.monotonic() + 120
        while len(self.kept) < before + by:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_nobody_who_was_told_that_their_no_was_kept_is_lost_or_allowed(postgres, tmp_path):
    where, config = postgres_server.fresh_url(postgres), tmp_path / "config.toml"
    config.write_text(example.over(CONFIG))
    service = Service(free_port(), tmp_path / "data", tmp_path / "log", ("--config", str(config))).start()
    data = service.data
    try:
        with Crowd(service.port) as crowd:
            for _ in range(ROUNDS):
                for ends in ((data, where), (where, data)):
                    crowd.grows(20)
                    code, said = command("copy", "--from", ends[0], "--to", ends[1])
                    assert (code, "writes paused for" in said) == (0, True), said
                    crowd.grows(2)  # kept beside
                    service.stop()
                    if ends[0] == data:
                        moving.delete_what_was_moved(data)
                    else:
                        where = postgres_server.fresh_url(postgres)
                    service.start()
            crowd.grows(20)
        assert crowd.allowed == []
        assert len(crowd.kept) > len(crowd.effective) > 0
        assert [number for number in crowd.kept if is_allowed(service.port, number)] == []
        assert is_allowed(service.port, 5), "whoever said nothing may go"
    finally:
        service.stop()
    code, said = command("verify", "--vault", "--data", data, "--config", config)
    assert (code, "passed" in said) == (0, True), said
