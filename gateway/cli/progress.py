"""What a long command says of itself while it works: on a terminal's stderr, and gone before the result.

One line that is written over, from the second second on: what is done, how much of it where that is counted, and since
when. Where stderr is a file or a pipe nothing is said: who reads it there wants errors and no more.
"""

import sys
import threading
import time
from typing import Self

import click

PERIOD = 1.0  # seconds; what is over before the first says nothing


class Progress:
    """Around the work of a command, `what` in the words of a person, which may change. `count`: how much is done; None
    where that is not counted.
    """

    def __init__(self, what: str) -> None:
        self.count: int | None = None
        self.what = what
        self._width = 0
        self._began = time.monotonic()
        self._over, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._clear()

    def tell(self, line: str) -> None:
        """A line that stays, on stderr."""
        with self._lock:
            self._clear()
            click.echo(line, err=True)

    def _run(self) -> None:
        while not self._over.wait(PERIOD):
            counted = "" if self.count is None else f" {self.count}"
            text = f"{self.what}{counted}, {time.monotonic() - self._began:.0f} s"
            with self._lock:
                click.echo(f"\r{text:<{self._width}}", nl=False, err=True)
                self._width = len(text)

    def _clear(self) -> None:
        if self._width:
            click.echo(f"\r{'':<{self._width}}\r", nl=False, err=True)
        self._width = 0
