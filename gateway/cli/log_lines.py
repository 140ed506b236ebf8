"""The service's log as lines on its standard output. Whoever logs leaves what it says as it is; a thread makes lines of
it and writes those of a moment at once, for each write lets another thread go first. `serve` hands it to structlog.
"""

import atexit
import contextlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog
from structlog.processors import add_log_level

STACKS = logging.Formatter()
TOGETHER = 0.02  # seconds in which lines wait for each other
Event = MutableMapping[str, Any]


def noted(_: Any, level: str, event: Event) -> tuple[tuple[float, str, Event], dict[str, Any]]:
    """The one step of structlog's that whoever logs waits for."""
    return (time.time(), level, event), {}


class LogLines:
    """Makes itself the logger of whoever asks structlog for one. `render`: structlog's last steps."""

    def __init__(self, file: TextIO, render: Callable[[Event], str]) -> None:
        self._file = file
        self._render = render
        self._waiting = deque[tuple[float, str, Event]]()
        self._writing = threading.Lock()
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        atexit.register(self.write)

    def __call__(self, *_: object) -> "LogLines":
        return self

    def msg(self, *said: Any) -> None:
        """What `noted` made. What warns is written at once: the process may be about to end."""
        self._waiting.append(said)
        if said[1] != "info":
            self.write()
            return
        if not self._due.is_set():
            self._due.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
            self._thread.start()

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = msg

    def _run(self) -> None:
        while self._due.wait():
            time.sleep(TOGETHER)
            self._due.clear()  # first: what is said from here on is due again
            self.write()

    def write(self) -> None:
        """All that waits, in its order. Where nobody reads it any more it is lost."""
        with self._writing:
            lines = list[str]()
            with contextlib.suppress(IndexError):
                while True:
                    lines.append(self._line(*self._waiting.popleft()))
            with contextlib.suppress(OSError, ValueError):
                if lines:
                    self._file.write("\n".join(lines) + "\n")
                    self._file.flush()

    def _line(self, moment: float, level: str, event: Event) -> str:
        add_log_level(None, level, event)
        event["timestamp"] = datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
        return self._render(event)


class OthersWords(logging.Handler):
    """What libraries say, and rooms of ours that know no structlog, as lines of the one kind."""

    def emit(self, record: logging.LogRecord) -> None:
        more = {"exception": STACKS.formatException(record.exc_info)} if record.exc_info else {}
        structlog.get_logger("gateway").log(record.levelno, record.getMessage(), logger=record.name, **more)


def as_json(event: Mapping[str, Any], **_: object) -> str:
    """A line's members as JSON in ASCII."""
    with contextlib.suppress(orjson.JSONEncodeError):
        line = orjson.dumps(event, repr).decode()
        if line.isascii():
            return line
    return json.dumps(event, default=repr)
