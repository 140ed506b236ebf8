"""How the state follows the log: opened, folded on, made anew, copied, stopped. Called by whoever writes, under the
writers' lock, after each durable commit and at its start; other processes only read.

It is gone on with where its mark says that it is whole, the rules and the peppers are ours, and the log's root at its
position is its own. Else it is made anew, from the last copy that passes the same test and the rest, or from the
beginning. From a failure until it has caught up it is marked as behind, and all checks of the host deny.
"""

import contextlib
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import lmdb

from gateway.fold.record import Record
from gateway.state import environment
from gateway.state.environment import FIRST_SIZE, MOST, StateForeign, StateMap, StateRefused
from gateway.state.packed_rows import NotAState, StateHead
from gateway.state.transactions import StateMoment, StateWrite, prove_made_here, write_first_head

SLICE = 4096  # records of one transaction


class FollowedLog(Protocol):
    """The log, as far as a state follows it."""

    @property
    def name(self) -> str:
        """Another one for another log."""

    def root(self, position: int) -> bytes | None:
        """Of all up to a position, 32 bytes: another one where anything of it is another. None: it is not as long."""

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        """The records behind a position, in their order, each with the position behind it. 0 is before the first."""


class HostState:
    """One installation's state in this process. `epoch`: of the peppers that the caller's keys are wrapped by. `size`:
    address space of one that is made, in bytes; it grows to `most`.
    """

    def __init__(self, data: Path, epoch: int = 0, *, size: int = FIRST_SIZE, most: int = MOST) -> None:
        self._data, self._epoch = data, epoch
        self._size, self._most = size, most
        self._held: StateMap | None = None
        self._replaced: list[StateMap] = []
        self._opening = threading.Lock()

    def moment(self) -> StateMoment:
        """For one check: `with state.moment() as moment`. Raises `StateRefused` where none is in force."""
        return StateMoment(self._current(), self._epoch)

    def catch_up(self, log: FollowedLog) -> int:
        """Folds what the log has more, and makes anew what does not follow it; its position then. Raises what the log
        raises, and `StateRefused`; the state is marked as behind until this came to its end.
        """
        try:
            held = self._current()
            self._fold_on(held, log)
        except (StateRefused, NotAState):
            held = self._make_anew(log)
        except BaseException:
            self._deny()
            raise
        held.mark.set_behind(behind=False)
        with self.moment() as moment:
            return moment.head.position

    def copy(self) -> None:
        """For a start after a power cut; under the writers' lock too. Raises `StateRefused`."""
        try:
            environment.make_copy(self._data, self._current())
        except (lmdb.Error, OSError) as error:
            raise StateRefused(f"no copy was made: {error}") from error

    def stop(self) -> None:
        """A clean end of the process that writes: the next start goes on from here, also after a boot. Raises
        `StateRefused`.
        """
        try:
            self._current().sync()
        except (lmdb.Error, OSError) as error:
            raise StateRefused(f"it could not be synced: {error}") from error

    def check_readers(self) -> int:
        """Every second: what readers that were killed had left goes. How many."""
        return self._current().check_readers()

    def used(self) -> float:
        """How much of its address space is taken, 0 to 1."""
        return self._current().used()

    def close(self) -> None:
        """After the last check of this process."""
        for each in (*self._replaced, self._held):
            if each is not None:
                each.close()
        self._held, self._replaced = None, []

    def _current(self) -> StateMap:
        held = self._held
        if held is not None and not held.mark.retired:
            return held
        with self._opening:
            if self._held is not None and self._held.mark.retired:
                self._replaced.append(self._held)  # somebody may be reading in it
                self._held = None
            if self._held is None:
                self._held = environment.open_current(self._data)
            return self._held

    def _deny(self) -> None:
        with contextlib.suppress(StateRefused):
            self._current().mark.set_behind(behind=True)

    def _fold_on(self, held: StateMap, log: FollowedLog) -> None:
        """Raises `StateRefused`, `NotAState`, what the log raises."""
        try:
            while self._fold_slice(held, log) == SLICE:
                pass
        except lmdb.Error as error:
            raise StateRefused(f"{type(error).__name__}: {error}") from error

    def _fold_slice(self, held: StateMap, log: FollowedLog) -> int:
        while True:
            try:
                return fold_slice(held, log, self._epoch)
            except lmdb.MapFullError:
                held.grow(self._most)

    def _make_anew(self, log: FollowedLog) -> StateMap:
        """Nobody is answered from the one before meanwhile."""
        self._deny()
        made = self._from_copy(log) or self._from_nothing(log)
        before = None
        with contextlib.suppress(StateRefused):
            before = self._current()
        with self._opening:
            environment.put_in_force(made, before)
            self._replaced += [each for each in (before,) if each is not None]
            self._held = made
        return made

    def _from_copy(self, log: FollowedLog) -> StateMap | None:
        try:
            made = environment.make_from_copy(self._data)
            self._fold_made(made, log)
        except (StateRefused, NotAState):
            environment.drop_copy(self._data)
            return None
        return made

    def _from_nothing(self, log: FollowedLog) -> StateMap:
        made = environment.make_generation(self._data, self._size)
        root = log.root(0)
        assert root is not None
        write_first_head(made, StateHead(log.name, 0, root, self._epoch))
        self._fold_made(made, log)
        return made

    def _fold_made(self, made: StateMap, log: FollowedLog) -> None:
        try:
            self._fold_on(made, log)
        except BaseException:
            made.close()
            raise


def fold_slice(held: StateMap, log: FollowedLog, epoch: int) -> int:
    """Folds some records from the state's own position on, in one transaction; how many. Raises `StateForeign` for a
    state that does not follow this log, and lmdb.Error, by which nothing was written.
    """
    with StateWrite(held) as write:
        _prove_follows(write.head, log, epoch)
        folded = 0
        for position, record in islice(log.read(write.head.position), SLICE):
            write.fold(record, position)
            folded += 1
        if folded:
            root = log.root(write.head.position)
            assert root is not None
            write.finish(root)
        return folded


def _prove_follows(head: StateHead, log: FollowedLog, epoch: int) -> None:
    prove_made_here(head, epoch)
    if head.log != log.name or log.root(head.position) != head.root:
        raise StateForeign("the log has another root at its position")
