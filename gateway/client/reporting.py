"""Saying what became of answers, beside the work: kept in a bounded queue, said each second, said again until taken.

What is lost, at a full queue or an end without `close`, stays "may have been sent" at the gateway.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping

import orjson

BATCH = 1_000
MOST = 20_000  # some 6 MB
PERIOD = 1.0  # seconds
CLOSING = 5.0  # seconds that a stop waits for the last ones


class Reporting:
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
        """Of an answer. Never waits."""
        self.tell({"decision": decision, "outcome": outcome, "at": at})

    def tell(self, line: Mapping[str, str | int]) -> None:
        """A line of POST /v1/disclosures. Never waits."""
        if len(self._waiting) >= MOST:
            self.lost += 1
            return
        self._waiting.append(orjson.dumps(line))
        if len(self._waiting) >= BATCH:
            self._wake.set()
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Says what is left, for a few seconds."""
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
