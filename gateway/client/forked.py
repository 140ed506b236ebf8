"""What a fork leaves to the child of a server that is loaded before its workers are made (`gunicorn --preload`): open
connections that are the parent's too, threads that are not there, names that were to be unique.
"""

import contextlib
import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    def forked(self) -> None:
        """Begins again, in the child, before anything else runs there."""


_living: WeakSet[Forked] = WeakSet()


def begins_again(one: Forked) -> None:
    """Has `one.forked()` called in every child, as long as it lives."""
    _living.add(one)


def _in_child() -> None:
    for one in list(_living):
        with contextlib.suppress(Exception):  # what one of them cannot do must not leave the others as the parent's
            one.forked()


os.register_at_fork(after_in_child=_in_child)
