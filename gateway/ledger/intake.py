"""Taking in what waits in the emergency file, once the ledger can be written again, and what is to be entered later.

Each request is entered once, with the time at which it was accepted: its id tells whether it was there before a crash.
The file is emptied after the entries are durable. Until then the watch lets no check be answered, so that nobody is
allowed whom a waiting line says no for. What is entered later was acknowledged as kept and not as in effect; it goes
in a request at a time and never takes more than half of the writer's time, however much of it there is.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial

from gateway.ledger.emergency import Emergency
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.kept_request import KeptRequest
from gateway.ledger.watch import PERIOD, FileWatch
from gateway.ledger.writer import Transaction, Writer

AT_ONCE = 256  # requests of one transaction
WAITS = "requests wait in the emergency file; they are entered as soon as the ledger can be written"


def waits(emergency: Emergency) -> str:
    """Why no answer is fresh, for the watch; empty where nothing waits."""
    return WAITS if emergency.waiting() else ""


class Intake:
    """Looks twice a second, in a thread of its own. `later` is the file of what is entered behind everything else."""

    def __init__(self, emergency: Emergency, writer: Writer, watch: FileWatch, later: Emergency) -> None:
        self._emergency = emergency
        self._later = later
        self._writer = writer
        self._watch = watch
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="emergency-intake", daemon=True)
        self.entered = 0

    def start(self) -> None:
        """What waits is taken in before anybody is answered, where that can be done."""
        self.once()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def once(self) -> bool:
        """Whether nothing waits afterwards."""
        if not self._emergency.waiting():
            return True
        try:
            read = self._emergency.read()
            refused = list(self._enter(read.requests))
            done = self._emergency.clear(read, refused)
        except (StoreUnavailable, OSError):
            return False
        if done:
            self._watch.prove()
        return done

    def _enter(self, requests: Sequence[tuple[bytes, KeptRequest]]) -> Iterator[bytes]:
        """Enters them all; the lines of those that the ledger refuses, which somebody has to look at."""
        for start in range(0, len(requests), AT_ONCE):
            chunk = requests[start : start + AT_ONCE]
            news = self._writer.submit(partial(enter, requests=[kept for _, kept in chunk])).result()
            self.entered += sum(bool(new) for new in news)
            yield from (line for (line, _), new in zip(chunk, news, strict=True) if new is None)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            if self.once():
                self.enter_later()

    def enter_later(self) -> bool:
        """Whether nothing is left of what is entered behind others."""
        if not self._later.waiting():
            return True
        try:
            read = self._later.read()
            refused = [line for line, kept in read.requests if not self._entered(kept)]
            return not self._stop.is_set() and self._later.clear(read, refused)
        except (StoreUnavailable, OSError):
            return False

    def _entered(self, kept: KeptRequest) -> bool:
        """Enters one, unless the service stops meanwhile; False where the ledger refuses it."""
        if self._stop.is_set() or not self.once():  # what waits in the emergency file goes first
            raise StoreUnavailable("entered at another time")
        began = time.monotonic()
        (new,) = self._writer.submit(partial(enter, requests=[kept])).result()
        self.entered += bool(new)
        self._stop.wait(time.monotonic() - began)
        return new is not None


def enter(tx: Transaction, requests: Sequence[KeptRequest]) -> list[bool | None]:
    """Of each request whether it was news; None: the ledger refuses it."""
    return [_enter_one(tx, request) for request in requests]


def _enter_one(tx: Transaction, request: KeptRequest) -> bool | None:
    try:
        with tx.savepoint():
            return request.enter_once(tx)
    except sqlite3.Error:
        raise
    except Exception:  # noqa: BLE001 - one that cannot be entered must not keep the others out
        return None
