"""Several processes that serve one data folder (`gateway serve --workers N`): the parent starts them, hears whether
they live, and puts another one in the place of each that died, hangs or is to be renewed (SIGHUP).

The parent binds the addresses and opens neither ledger nor state; each worker is a fresh interpreter, for what is open
in a process must not be in another one by a fork. Addresses have one queue of connections each, which all workers
share: so none is refused while one worker goes and the next one comes, and one that is stopped gets none. A worker that
was stopped is killed before anybody gives up a lock that it may hold, and one whose event loop hangs a while later; the
kernel lets go of what it held. What each counted is asked of all through the parent, which remembers what those had
that are gone.
"""

import asyncio
import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

from gateway.web.shell.metrics import Counted, join_counted, without_gauges

BEATS = 0.5  # seconds between two signs of life
STOPPED_AFTER = 4.0  # seconds without one, of a stopped one; a writer waits five for its lock (ledger/schema.py)
HANGS_AFTER = (
    30.0  # of any other: an event loop that waits for pages of a cold disk is slow, and no other one is faster
)
LOADS_WITHIN = 60.0  # seconds until the first one: an interpreter and its modules; one or two, more on a busy machine
# Seconds that a worker's end may take, of which each part has a limit of its own: who may ask once more (2), open
# requests (13), the writer (7), the threads of the emergency file and of the watch (5 each), leases (1), and room.
# systemd's file gives all of them 40.
ENDS_WITHIN = 36.0
LOOKS = 0.2  # seconds that the parent waits for news
SHORT_LIFE, LONGEST_PAUSE = 10.0, 30.0  # seconds; behind one that died so young a pause, twice as long each time
ANSWERED_WITHIN = 1.0  # seconds in which a worker tells what it counted; of one that does not the last time counts
NOT_STARTED = 3  # the exit code of a service that could not start (uvicorn's)

ALIVE, SERVES, ENDS, TELL, TOLD, ASKS, OTHERS = "alive", "serves", "ends", "tell", "told", "asks", "others"
GONE = "gone"
log = structlog.get_logger("gateway")


class Siblings:
    """A worker's line to its parent: says that it lives, tells what it counted and asks what the others did. Without a
    parent the process ends. What is sent or waited for is so in a thread, never in the event loop. `secret`: of all
    workers of a service, in memory alone.
    """

    def __init__(self, line: Connection, secret: bytes) -> None:
        self._line, self.secret = line, secret
        self._sending, self._asking = threading.Lock(), threading.Lock()
        self._turned: bool | None = None  # whether the event loop has, since the last look; None: nobody looks at it
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._counted: Callable[[], Counted] = list
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answer: Future[Sequence[Counted]] = Future()
        self._known: Sequence[Counted] = ()
        self._thread = threading.Thread(target=self._run, name="siblings", daemon=True)

    def start(self) -> None:
        """From now on the parent hears that this process lives."""
        self._thread.start()

    def tells(self, counted: Callable[[], Counted]) -> None:
        """What this process counted; asked in its event loop."""
        self._counted = counted

    async def turn(self) -> None:
        """Called by the event loop twice a second while it serves: from the first time on one that stands is silent."""
        if self._turned is None:
            self._loop = asyncio.get_running_loop()
            self._words.put(SERVES)
        self._turned = True

    async def others(self) -> Sequence[Counted]:
        """What all others counted, and those that are gone; as of the last time where the parent does not answer."""
        return await asyncio.to_thread(self._ask)

    def ends(self) -> None:
        """The event loop only finishes what it has."""
        self._turned = None
        self._words.put(ENDS)

    def close(self) -> None:
        """The last word: what was counted until the end. Blocks."""
        self._send(TOLD, (0, self._counted()))

    def _ask(self) -> Sequence[Counted]:
        with self._asking:
            self._answer = Future()
            self._send(ASKS)
            with contextlib.suppress(TimeoutError):
                self._known = self._answer.result(2 * ANSWERED_WITHIN)
            return self._known

    def _run(self) -> None:
        try:
            while True:
                if self._turned is not False:
                    self._turned = None if self._turned is None else False
                    self._send(ALIVE)
                while not self._words.empty():
                    self._send(self._words.get())
                until = time.monotonic() + BEATS
                while self._line.poll(max(0.0, until - time.monotonic())):
                    self._hear(*self._line.recv())
        except (EOFError, OSError):
            os.kill(os.getpid(), signal.SIGTERM)  # nobody would replace it, nor end it

    def _hear(self, word: str, said: Any) -> None:
        if word == OTHERS:
            if not self._answer.done():
                self._answer.set_result(said)
        elif self._loop is not None:
            done: Future[Counted] = Future()
            with contextlib.suppress(RuntimeError, TimeoutError):  # the loop is over, or hangs
                self._loop.call_soon_threadsafe(lambda: done.set_result(self._counted()))
                self._send(TOLD, (said, done.result(ANSWERED_WITHIN)))
        else:  # it does not serve yet
            self._send(TOLD, (said, []))

    def _send(self, word: str, said: Any = None) -> None:
        with self._sending, contextlib.suppress(OSError):  # without a parent the thread ends the process
            self._line.send((word, said))


@dataclass(slots=True, eq=False)
class Worker:
    """One process, as the parent knows it. `order`: what it was started with; `says`: what it is to be told, None
    behind the last; `ends`: when it must have ended, once it was told to or said so; `old`: another is to take its
    place.
    """

    process: SpawnProcess
    line: Connection
    order: object
    begun: float
    heard: float
    says: "queue.SimpleQueue[tuple[str, Any] | None]" = field(default_factory=queue.SimpleQueue)
    loads: bool = True
    serves: bool = False
    ends: float | None = None
    old: bool = False
    killed: bool = False
    counted: Counted = field(default_factory=list)

    def is_late(self, now: float) -> bool:
        """Whether it is to be killed."""
        if self.killed:
            return False
        silent, patience = now - self.heard, LOADS_WITHIN if self.loads else HANGS_AFTER
        if silent > patience or (self.ends is not None and now > self.ends):
            return True
        return silent > STOPPED_AFTER and _is_stopped(self.process.pid)


def _is_stopped(pid: int | None) -> bool:
    """Whether somebody sent it a SIGSTOP, or traces it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in {"T", "t"}


@dataclass(slots=True, eq=False)
class Asked:
    """A worker's question what the others counted, until all whom it was handed on to have answered."""

    number: int
    asker: Worker
    until: float
    waits: set[Worker]


class Supervisor:
    """The parent. `start` starts a worker's process for an order, which speaks on the other end of the line that it is
    given. `order`: what all are to serve; `read` makes it anew for a renewal, and None where it cannot be read. `say`
    is called once the first of them serves.
    """

    def __init__(
        self,
        number: int,
        order: object,
        start: Callable[[Any], tuple[SpawnProcess, Connection]],
        read: Callable[[], object | None],
        say: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._number, self._start, self._read, self._say, self._clock = number, start, read, say, clock
        self._proved = self._latest = order  # by which a worker serves; what the next one is started with
        self._workers: list[Worker] = []
        self._heard: queue.SimpleQueue[tuple[Worker, str, Any]] = queue.SimpleQueue()
        self._questions: list[Asked] = []
        self._asked = 0
        self._gone: Counted = []  # what those counted that are no more
        self._starts_at, self._pause = 0.0, 0.0
        self._ending, self._code = False, 0
        self._renewing = False  # all who are there at the next look
        self._served = False  # anybody yet: from then on there is no giving up

    def run(self) -> int:
        """Until SIGTERM or SIGINT came and all have ended; the exit code."""
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, self._signalled)
        looked = self._clock()
        while self._workers or not self._ending:
            self._hear(LOOKS)
            now = self._clock()
            if now - looked > STOPPED_AFTER / 2:  # this process was stopped itself, perhaps with all the others
                for worker in self._workers:
                    worker.heard = now
            self._look(now)
            looked = now
        return self._code

    def _signalled(self, number: int, _: FrameType | None) -> None:
        """It may come while a worker is started, who is not among the others yet."""
        if number == signal.SIGHUP:
            self._renewing = True
        else:
            self._ending = True

    def _look(self, now: float) -> None:
        for each in [worker for worker in self._workers if worker.is_late(now)]:
            log.error("worker killed", why=f"{each.process.pid} gave no sign of life, or did not end")
            each.process.kill()
            each.killed = True
        self._answer_questions(now)
        if self._renewing:
            self._renewing = False
            self._renew()
        if self._ending:
            for each in self._workers:
                self._end(each, now)
        else:
            self._keep_up(now)

    def _renew(self) -> None:
        """By what is read now and never later: all are to answer by one order."""
        order = self._read()
        if order is None:
            return
        self._latest = order
        for each in self._workers:
            each.old = True

    def _keep_up(self, now: float) -> None:
        """One begins at a time, so that the first one after a crash makes alone what all need; and before an old one
        is told to end, the one in its place serves.
        """
        staying = [worker for worker in self._workers if worker.ends is None]
        if not all(worker.serves for worker in staying):
            return
        old = [worker for worker in staying if worker.old]
        if old and len(staying) > self._number:
            self._end(old[0], now)
        elif len(staying) - len(old) < self._number and now >= self._starts_at:
            self._begin(now)

    def _begin(self, now: float) -> None:
        try:
            process, line = self._start(self._latest)
        except OSError as error:  # no memory, no more processes: those that serve go on
            log.error("worker not started", why=str(error))  # noqa: TRY400 - the stack says no more
            self._starts_at = now + LONGEST_PAUSE
            return
        worker = Worker(process, line, self._latest, now, now)
        self._workers.append(worker)
        for each in (self._listen, self._tell):
            threading.Thread(target=each, args=[worker], daemon=True).start()

    def _end(self, worker: Worker, now: float) -> None:
        if worker.ends is None:
            worker.ends = now + ENDS_WITHIN
            worker.process.terminate()

    def _tell(self, worker: Worker) -> None:
        """In a thread of its own: a worker that is stopped reads nothing, and holds up nobody."""
        with contextlib.suppress(OSError):  # it is gone, which is heard in a moment
            while (said := worker.says.get()) is not None:
                worker.line.send(said)

    def _listen(self, worker: Worker) -> None:
        """The same of one that is stopped amid a word."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._heard.put((worker, *worker.line.recv()))
        worker.process.join()
        self._heard.put((worker, GONE, None))

    def _hear(self, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._take(*self._heard.get(timeout=seconds))
            while True:
                self._take(*self._heard.get_nowait())

    def _take(self, worker: Worker, word: str, said: Any) -> None:
        now = self._clock()
        worker.heard, worker.loads = max(worker.heard, now), False
        if word == SERVES:
            self._serves(worker)
        elif word == ENDS:
            worker.ends = worker.ends or now + ENDS_WITHIN
        elif word == ASKS:
            self._ask(worker, now)
        elif word == TOLD:
            number, worker.counted = said
            for question in self._questions:
                if question.number == number:
                    question.waits.discard(worker)
            self._answer_questions(now)
        elif word == GONE:
            self._bury(worker, now)

    def _serves(self, worker: Worker) -> None:
        if not self._served:
            self._say()
        worker.serves = self._served = True
        self._proved = worker.order

    def _ask(self, asker: Worker, now: float) -> None:
        self._asked += 1
        others = {worker for worker in self._workers if worker is not asker and not worker.loads}
        self._questions.append(Asked(self._asked, asker, now + ANSWERED_WITHIN, others))
        for each in others:
            each.says.put((TELL, self._asked))
        self._answer_questions(now)

    def _answer_questions(self, now: float) -> None:
        for question in [each for each in self._questions if not each.waits or now > each.until]:
            self._questions.remove(question)
            counted = [worker.counted for worker in self._workers if worker is not question.asker]
            question.asker.says.put((OTHERS, [self._gone, *counted]))

    def _bury(self, worker: Worker, now: float) -> None:
        self._workers.remove(worker)
        worker.says.put(None)
        worker.line.close()
        self._gone = join_counted([self._gone, without_gauges(worker.counted)])
        for question in self._questions:
            question.waits.discard(worker)
        self._questions = [each for each in self._questions if each.asker is not worker]
        if worker.ends is None:
            self._replace(worker, now)

    def _replace(self, worker: Worker, now: float) -> None:
        """One that was not told to end has."""
        log.error("worker ended", why=f"{worker.process.pid} ended with {worker.process.exitcode}")
        if not worker.serves and not self._workers and not self._served:
            self._ending, self._code = True, NOT_STARTED
        if worker.process.exitcode == NOT_STARTED:  # and was not killed while it loaded
            self._give_up(worker.order)
        short = now - worker.begun < SHORT_LIFE
        self._pause = min(LONGEST_PAUSE, 2 * self._pause or 1.0) if short else 0.0
        self._starts_at = now + self._pause

    def _give_up(self, order: object) -> None:
        """What is new does not start: those that serve go on, and who takes the place of one serves as they do. Unless
        one serves by it already, or another renewal was asked for meanwhile.
        """
        if order is self._latest and order is not self._proved:
            self._latest = self._proved
            for each in self._workers:  # one renewal may have been under way when the next was asked for
                each.old = each.order is not self._latest
