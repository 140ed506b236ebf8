"""Hands a replica's batches over to its gateway, the oldest first, each until it is taken. A thread of its own: nothing
that answers waits for it. Knows the door and no line.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2

from gateway.following.spool import Spool

DOOR = "/v1/disclosures/batches"
LONGEST_PAUSE = 30.0  # seconds between two tries
ANSWER = 10.0  # seconds that the gateway may take: a commit's time
ENDING = 5.0  # seconds that a stop waits


@dataclass(eq=False)
class HandingOver:
    """One replica's. `key`: an API key with scope replica. `tell` is told each new reason why nothing is taken."""

    spool: Spool
    client: httpx2.Client
    key: str = field(repr=False)
    tell: Callable[[str], None]
    period: float = 1.0  # seconds between two times
    why: str = ""
    _ends: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self.spool.start()
        self._thread = threading.Thread(target=self._run, name="replica-disclosures", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hands over what is left, if that is possible within seconds; what is not waits for the next start."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(ENDING)
        self.spool.end()

    def _run(self) -> None:
        pause = self.period
        while not self._ends.wait(pause):
            pause = self.period if self._once() else min(2 * pause, LONGEST_PAUSE)
        self._once()

    def _once(self) -> bool:
        """Everything that waits. Whether all of it was taken."""
        try:
            self.spool.sync()
            while batch := self.spool.oldest():
                path, content = batch
                if not self._taken(content):
                    return False
                self.spool.done(path)
        except OSError as error:
            self._say(f"the spool cannot be read or written: {error.strerror}")
            return False
        self.why = ""
        return True

    def _taken(self, content: bytes) -> bool:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/x-ndjson"}
        try:
            answer = self.client.post(DOOR, content=content, headers=headers, timeout=ANSWER)
        except httpx2.HTTPError as error:
            self._say(f"disclosures are not handed over: {type(error).__name__}")
            return False
        if not answer.is_success:
            self._say(f"disclosures are not handed over: the gateway answers {answer.status_code}")
        return answer.is_success

    def _say(self, why: str) -> None:
        news, self.why = why != self.why, why
        if news:
            self.tell(why)
