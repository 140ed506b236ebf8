"""Follows the feed into the replica's own memory map, and holds the lease that makes it fresh. `app.replica` starts it.

Two threads: one applies what comes, one asks for the lease, at once after each piece and three times a term. A lease
counts from before it was asked for; without one everybody is told `stale`. Whatever cannot be told makes it begin anew
with an empty map. It knows no value of anybody, no pepper and no law.
"""

import contextlib
import fcntl
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from gateway.disk import make_folder
from gateway.keys.secret_files import SECRETS
from gateway.mirror import memory_map
from gateway.mirror.memory_map import Head, MapFull, MapRefused, MemoryMap
from gateway.replica.feed import Feed, FeedRefused, Gone, LeaseAnswer, Piece
from gateway.terms import Unusable

TERM = 2.0  # seconds: the longest term that a gateway can have, whatever one says
LATE = 0.5  # seconds that a gateway grants beyond it to one that is a piece behind (ledger/leases.py)
A_TERM = 3  # renewals
RATE = 0.99  # of a lease: two clocks may differ by a hundredth in how fast they run
PAUSE = 0.2  # seconds before a stream that was cut is opened again
LOCK = "replica.lock"  # in a replica's folder, and in no other
NOBODYS = bytes(16)  # a replica's map is of no ledger's file


class ReplicaRefused(Unusable):
    """The replica cannot be started as it is. The text says what helps."""


class Follower:
    """Keeps one replica's copy. `clock`: seconds of CLOCK_BOOTTIME; `tell` is told each new reason for being stale,
    once.
    """

    def __init__(
        self,
        folder: Path,
        feed: Feed,
        peppers: int,
        clock: Callable[[], float],
        *,
        size: int = 2**30,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder, self._feed, self._peppers, self._clock, self._size = folder, feed, peppers, clock, size
        self._tell = tell
        self._boot = memory_map.boot_id()
        self._holder = secrets.token_hex(16)
        self.map: MemoryMap | None = None
        self._making: MemoryMap | None = None
        self._opened: list[MemoryMap] = []
        self._changing = threading.Lock()  # of what follows together: the map, how far it is, until when it is good
        self._turn = 0  # how often it began anew
        self._applied = 0
        self._log = ""
        self._until = 0.0
        self._asked: list[tuple[float, int]] = []  # without leases: when, and what had to be there
        self._term = TERM
        self._stopping, self._news, self._anew = threading.Event(), threading.Event(), threading.Event()
        self._lock: int | None = None
        self._child = False
        self.why = "it has not begun"
        self._threads = [
            threading.Thread(target=run, name=f"replica-{name}", daemon=True)
            for name, run in (("feed", self._follow), ("lease", self._keep_lease))
        ]

    def start(self) -> None:
        """Goes on from the map that it left, if that is of this boot and these peppers. Raises `ReplicaRefused`."""
        if (self._folder / SECRETS).exists():
            raise ReplicaRefused(
                f"{self._folder} is the gateway's: a replica has a folder of its own, name it (--data)"
            )
        make_folder(self._folder)
        self._lock = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReplicaRefused(f"another process keeps {self._folder}: a replica has a folder of its own") from None
        with contextlib.suppress(MapRefused):
            self._resume()
        for thread in self._threads:
            thread.start()

    def forked(self) -> None:
        """In the child of a fork there are no threads: what is here is followed no more, and the lease is the parent's,
        who alone may give it up.
        """
        self._until, self._changing, self._child = 0.0, threading.Lock(), True
        if self._lock is not None:  # a copy of the parent's, which would hold the folder after the parent's end
            os.close(self._lock)
            self._lock = None
        self.why = "the process was forked: a replica is one process's, open it in each worker"

    def stop(self) -> None:
        """Answers nobody from here on, and says so, so that nobody waits for it."""
        if self._child:
            return
        with self._changing:
            self._turn, self._until = self._turn + 1, 0.0
        self._stopping.set()
        self._news.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2 * TERM)
        with contextlib.suppress(FeedRefused, Gone):
            self._feed.leave(self._holder, TERM)
        self.map = None
        while self._opened:
            self._opened.pop().close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def fresh(self) -> bool:
        return self._clock() < self._until

    def left(self) -> float:
        """For how many seconds more it may answer."""
        return max(0.0, self._until - self._clock())

    def current(self) -> MemoryMap:
        """The map, as `mirror.answers.Source` has it. Raises `MapRefused`: nobody else replaces it."""
        if self.map is None:
            raise MapRefused("there is none yet")
        return self.map

    def _resume(self) -> None:
        found = self._hold(memory_map.open_current(self._folder))
        head = found.head()
        if head.boot == self._boot and head.peppers == self._peppers:
            self.map, self._applied, self._log = found, head.revision, head.log

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow_one()
            except MapFull:
                self._size *= 2
                self._begin_anew()
            except (Gone, MapRefused):
                self._begin_anew()
            except FeedRefused as refused:
                self._say(f"the feed is cut: {refused}")
            except Exception as error:  # noqa: BLE001 - whatever it was, without a feed the lease ends, and nobody is answered
                self._say(f"the feed cannot be applied: {type(error).__name__}")
                self._begin_anew()
            self._stopping.wait(PAUSE)

    def _follow_one(self) -> None:
        """One stream, to its end."""
        if self.map is None and self._making is None:
            self._begin_anew()
        for piece in self._feed.pieces(self._applied):
            if self._stopping.is_set():
                return
            self._apply(piece)

    def _begin_anew(self) -> None:
        """Nothing that is here counts; nobody is answered until all of it is here again."""
        with self._changing:
            self._turn += 1
            self.map, self._making, self._until, self._applied, self._log = None, None, 0.0, 0, ""
            self._asked.clear()
            self._anew.clear()
        self._making = self._hold(memory_map.make(self._folder, self._size))

    def _apply(self, piece: Piece) -> None:
        if self._anew.is_set() or (self._log and piece.log != self._log):
            raise Gone
        if piece.peppers != self._peppers:
            raise FeedRefused(f"keys are under {piece.peppers} peppers there, {self._peppers} here: enrol it again")
        target = self._making or self.current()
        target.write(dict(piece.rows), self._head(piece))
        with self._changing:
            self._applied, self._log = piece.seq, piece.log
        if self._making is not None and not piece.more:  # whole: only now may it be answered from
            memory_map.put_in_force(target, None)
            self.map, self._making = target, None
        self._settle_asked()
        if piece.rows:
            self._news.set()

    def _head(self, piece: Piece) -> Head:
        return Head(self._boot, NOBODYS, 0, 0, piece.peppers, piece.position, piece.seq, piece.log)

    def _keep_lease(self) -> None:
        while not self._stopping.is_set():
            self._news.wait(self._term / A_TERM)
            self._news.clear()
            if self.map is None or self._stopping.is_set():
                continue
            try:
                self._ask()
            except Gone:
                self._anew.set()
                self._say("the gateway's ledger is another one")
            except FeedRefused as refused:
                self._say(f"no lease: {refused}")

    def _ask(self) -> None:
        with self._changing:
            turn, applied, log = self._turn, self._applied, self._log
        sent = self._clock()
        told = self._feed.renew(self._holder, applied, log, self._term)
        with self._changing:
            if turn != self._turn:
                return  # it began again meanwhile: this lease is of a map that is gone
            self._term = min(told.term, TERM)
            self._take(told, sent, applied)
        if not self.fresh():
            self._say(f"it has {applied} of {told.seq} changes")
        else:
            self.why = ""

    def _take(self, told: LeaseAnswer, sent: float, applied: int) -> None:
        if told.leases:
            if told.seconds > 0:
                self._until = sent + min(told.seconds, TERM + LATE) * RATE
        elif applied >= told.seq:
            self._until = max(self._until, sent + self._term * RATE)
        else:
            self._asked.append((sent, told.seq))

    def _settle_asked(self) -> None:
        with self._changing:
            good = [sent for sent, seq in self._asked if seq <= self._applied]
            if good and self.map is not None:
                self._until = max(self._until, max(good) + self._term * RATE)
            self._asked = [each for each in self._asked if each[1] > self._applied]

    def _say(self, why: str) -> None:
        news, self.why = why != self.why, why
        if news:
            self._tell(why)

    def _hold(self, opened: MemoryMap) -> MemoryMap:
        self._opened.append(opened)
        return opened
