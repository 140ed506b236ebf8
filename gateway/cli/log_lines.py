"""The service's log as lines on its standard output: those of one turn of the event loop are written at once, behind
it, since each write lets another thread go first. `serve` hands it to structlog.
"""

import asyncio
import atexit
import contextlib
import json
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, TextIO

import orjson


class LogLines:
    """Makes itself the logger of whoever asks structlog for one. Lines of other threads, and of no loop, go at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._waiting = deque[str]()
        self._writing = threading.Lock()
        self._called: asyncio.AbstractEventLoop | None = None
        atexit.register(self.write)

    def __call__(self, *_: object) -> "LogLines":
        return self

    def msg(self, line: str) -> None:
        """One line, rendered."""
        self._waiting.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write()
            return
        if self._called is not loop:
            self._called = loop
            loop.call_soon(self.write)

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = msg

    def write(self) -> None:
        """All that waits, in its order."""
        self._called = None
        with self._writing:
            lines = list[str]()
            with contextlib.suppress(IndexError):
                while True:
                    lines.append(self._waiting.popleft())
            if lines:
                self._file.write("\n".join(lines) + "\n")
                self._file.flush()


def as_json(event: Mapping[str, Any], **_: object) -> str:
    """A line's members as JSON in ASCII."""
    with contextlib.suppress(orjson.JSONEncodeError):
        line = orjson.dumps(event, repr).decode()
        if line.isascii():
            return line
    return json.dumps(event, default=repr)
