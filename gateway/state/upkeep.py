"""How the state follows the log: opened, folded on, made anew, copied, stopped. Called by whoever writes, after each
durable commit and at its start; other processes only read.

It is gone on with where its mark says that it is whole, the rules and the peppers are ours, and the log's root at its
position is its own. Else it is made anew beside it, from the last copy that passes the same test and the rest, or from
the beginning; that may take minutes, so nobody waits for it with the writers' lock (`prepare`), and what came meanwhile
is folded under it (`follow`). Whose older records are others is folded again with all who hang together with them. From
a failure until it has caught up it is marked as behind, and all checks of the host deny.
"""

import contextlib
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, Protocol

import lmdb

from gateway.fold import fold
from gateway.fold.record import Record
from gateway.fold.state import HEAD, Get, KeyRow, Place
from gateway.state import environment
from gateway.state.environment import MOST, StateBusy, StateForeign, StateMap, StateRefused, StateUnmarked
from gateway.state.lookup import StateMoment, is_torn_page, prove_made_here
from gateway.state.packed_rows import NotAState, StateHead
from gateway.state.transactions import StateWrite, forget_before, read_head, write_copied

SLICE = 4096  # records of one transaction
TURNS = 3  # in which what came while a state was made is folded before anybody waits for it
FEW = 20  # people whom one that is put in force may have to fold again first: opt-outs wait for it, 2 ms each
PATIENCE = 10  # times that one with more is held back for that


class FollowedLog(Protocol):
    """The log, as far as a state follows it."""

    @property
    def name(self) -> str:
        """Another one for another log."""

    @property
    def head(self) -> int:
        """The position behind everything."""

    def root(self, position: int) -> bytes | None:
        """Of all up to a position, 32 bytes: another one where anything of it is another. None: it is not as long."""

    def entries(self, position: int) -> int:
        """How many it has there, as whoever asks counts them."""

    def kinds(self, keys: Collection[bytes]) -> Collection[tuple[bytes, str]]:
        """Of which kind of identifier each of these is, of those of whom that is known."""

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        """The records behind a position, in their order, each with the position behind it. 0 is before the first."""

    def changed(self, after: int) -> frozenset[bytes] | None:
        """Of which keys something is told otherwise now than before a position. None: nobody knows."""

    def records_about(self, keys: Collection[bytes]) -> Sequence[Record]:
        """All about some keys, in their order, and voids of screens."""


LogNow = Callable[[], contextlib.AbstractContextManager[FollowedLog]]


class Making(StrEnum):
    """What is to be made beside the state in force."""

    ANEW = "anew"  # none follows the log
    COMPACT = "compact"  # it does, and its pages may hold what was replaced


class HostState:
    """One installation's state in this process. `epoch`: of the peppers that the caller's keys are wrapped by. `most`:
    bytes that it may have.
    """

    def __init__(self, data: Path, epoch: int = 0, *, most: int = MOST) -> None:
        self._data, self.epoch, self._most = data, epoch, most
        self._held: StateMap | None = None
        self._followed: StateMap | None = None  # from which all others were taken out of force
        self._made: StateMap | None = None  # not in force yet
        self._making = contextlib.ExitStack()
        self._opening = threading.Lock()
        self.given_up: Callable[[], bool] = lambda: False  # asked while what stands is copied
        self._left = False
        self._held_back = 0  # times
        # One may lie there that another one took the place of: who put one in force may have ended before the sweep.
        self.unswept = True

    def moment(self) -> StateMoment:
        """For one check: `with state.moment() as moment`. Raises `StateRefused` where none is in force."""
        return StateMoment(self._current(), self.epoch)

    def catch_up(self, log: FollowedLog) -> int:
        """Folds what the log has more, and makes anew what does not follow it, all of it under the writers' lock; its
        position then. Raises what the log raises, and `StateRefused`; the state is marked as behind until this came to
        its end.
        """
        try:
            position = self.follow(log)
        except (StateRefused, NotAState):
            if self.wanted(log) is Making.ANEW:
                self.prepare(log, Making.ANEW)
            position = self.follow(log)
        self.sweep()
        return position

    def wanted(self, log: FollowedLog) -> Making | None:
        """What there is to `prepare`. Under the writers' lock: else what another process has committed, or folded,
        between a look at the log and one at the state would be taken for another log's.
        """
        try:
            held = self._current(proved=True)
            head, left = read_head(held)
            prove_follows(head, log, self.epoch)
            sound = not held.mark.is_torn and (not head.position or log.changed(head.position) is not None)
        except (StateRefused, NotAState, lmdb.Error):
            sound, left = False, 0
        return (Making.COMPACT if left else None) if sound else Making.ANEW

    def prepare(self, log: FollowedLog, making: Making, since: LogNow | None = None) -> None:
        """Without the writers' lock: makes one beside what there is; `follow` puts it in force. The log is one of one
        moment; `since`: of a later one, so that little of what came while it was made is left to `follow`. Raises what
        the log raises, and `StateRefused`.
        """
        if self._made is not None:
            return
        if making is Making.ANEW:
            with contextlib.suppress(StateUnmarked):  # what cannot be shown now is found out by whoever reads there
                self.deny()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(environment.making(self._data))
            except BlockingIOError:
                raise StateBusy("another process makes it") from None
            made = self._compacted() if making is Making.COMPACT else self._from_copy(log) or self._from_nothing(log)
            if since is not None:
                self._go_on(made, since)
            self._making = stack.pop_all()  # held until it is in force, or given up
            self._made = made

    def hold_back(self, log: FollowedLog) -> Callable[[LogNow], None] | None:
        """Under the writers' lock, before `follow`: where the one that waits lacks a void, or a prune, of more people
        than others may wait for, it does not wait any more; what folds that beside, until it does again. Raises
        `NotAState`, lmdb.Error.
        """
        made = self._made
        if made is None or self._held_back >= PATIENCE or len(log.changed(read_head(made)[0].position) or ()) <= FEW:
            return None
        self._held_back += 1
        self._made = None
        return partial(self._wait_again, made)

    def _wait_again(self, made: StateMap, since: LogNow) -> None:
        try:
            self._go_on(made, since)
        except BaseException:
            self._making.close()
            raise
        self._made = made

    def follow(self, log: FollowedLog, slices: int | None = None) -> int:
        """Under the writers' lock: folds what the log has more, at most so many slices; its position then. Raises as
        `catch_up` does, and `StateRefused` where one has to be made anew first, or there is more.
        """
        try:
            if self._made is not None:
                self._put_in_force(log)
            held = self._current(proved=True)
            _prove_sound(held)
            if held is not self._followed:
                environment.retire_others(held)
                self._followed = held
            self._fold_on(held, log, slices=slices)
        except BaseException:
            self.deny()
            raise
        held.mark.set_behind(behind=False)
        return log.head

    def sweep(self) -> None:
        """Away with those that another one took the place of; without any lock, for of many millions it takes tenths of
        a second. Where one is being made just now, it does it.
        """
        with contextlib.suppress(BlockingIOError, OSError), environment.making(self._data):
            environment.tidy_up(self._data / environment.STATE)
            self.unswept = False

    def forget_gone(self) -> None:
        """Under the writers' lock, before pages are made anew without who went: nothing tells of them any more either.
        Raises `StateRefused`, lmdb.Error.
        """
        forget_before(self._current(proved=True))

    def copy(self) -> None:
        """For a start after a power cut; without any lock. Raises `StateRefused`, BlockingIOError where another process
        makes one.
        """
        with environment.making(self._data):
            try:
                folder = environment.make_copy(self._data, self._current(), self.given_up)
                with contextlib.closing(StateMap(folder)) as copied:
                    forgotten = read_head(copied)[1]
                environment.put_copy_in_force(folder)
                # Whoever was forgotten meanwhile lies in it. Who is from now on takes it away (`_fold_slice`).
                if forgotten != read_head(self._current())[1]:
                    environment.drop_copy(self._data)
            except (lmdb.Error, NotAState, OSError) as error:
                raise StateRefused(getattr(error, "strerror", None) or str(error)) from error

    def stop(self) -> None:
        """A clean end of the process that writes: the next start goes on from here, also after a boot. Raises
        `StateRefused`.
        """
        try:
            self._current(proved=True).sync()
        except (lmdb.Error, OSError) as error:
            raise StateRefused(f"it could not be synced: {error}") from error

    def check_readers(self) -> int:
        """Every second: what readers that were killed had left goes. How many."""
        return self._current().check_readers()

    @property
    def waits(self) -> bool:
        """Whether one is made that `follow` puts in force."""
        return self._made is not None

    def denies(self) -> bool:
        """Whether nobody is answered from it, whichever process says so. Raises `StateRefused` where there is none."""
        return self._current().mark.denies

    def position(self) -> int:
        """How far it has folded the log. Raises `StateRefused`, `NotAState`, lmdb.Error."""
        return read_head(self._current())[0].position

    def lacks_from(self) -> int:
        """From which position on the one lacks the log that is followed next: one that was made, or the one in force.
        Raises as `position` does.
        """
        made = self._made
        return self.position() if made is None else read_head(made)[0].position

    def left(self) -> bool:
        """Whether its pages may hold what was replaced. Raises as `position` does."""
        return bool(read_head(self._current())[1])

    def copied(self) -> int:
        """How far the last copy has; 0: there is none."""
        try:
            with contextlib.closing(StateMap(environment.folder_in_force(self._data, environment.COPY))) as copied:
                return read_head(copied)[0].position
        except (StateRefused, NotAState, lmdb.Error):
            return 0

    def used(self) -> float:
        """How much it has of what there is room for, 0 to 1. Raises `StateRefused`, OSError."""
        taken = self._current().taken()
        return taken / min(self._most, taken + shutil.disk_usage(self._data).free)

    def close(self) -> None:
        """After the last check of this process."""
        if self._left:
            return
        for each in (self._held, self._made):
            if each is not None:
                each.close()
        self._held = self._followed = self._made = None
        self._making.close()

    def leave(self) -> None:
        """A thread that does not end may be in it: whoever closed it would take its pages from under that."""
        self._left = True

    def _current(self, *, proved: bool = False) -> StateMap:
        """The one in force; where its mark denies another one may be by now. `proved`: by the path itself, which is
        certain under the writers' lock.
        """
        held = self._held
        if held is not None and not proved and not held.mark.denies:
            return held
        with self._opening:
            folder = environment.folder_in_force(self._data)
            if self._held is None or self._held.folder != folder:
                self._held = None  # whoever reads in it goes on, and the last one closes it
                self._held = StateMap(folder, self._most)
            return self._held

    def deny(self) -> None:
        """From now on nobody on this host is answered, whichever process has it open. Raises `StateUnmarked`."""
        if self._held is not None:
            self._held.mark.set_behind(behind=True)
        environment.set_behind(self._data)

    def _fold_on(self, held: StateMap, log: FollowedLog, *, anew: bool = False, slices: int | None = None) -> None:
        """`anew`: from nothing, by what is told now. Raises `StateRefused`, `NotAState`, what the log raises."""
        try:
            for turn in count(1):
                if self._fold_slice(held, log, anew=anew):
                    break
                if turn == slices:
                    raise StateRefused("it is behind the log, and goes on in a moment")
        except lmdb.MapFullError as error:
            raise StateRefused(f"the state is full: it may have {self._most} bytes") from error
        except (lmdb.Error, NotAState) as error:
            if is_torn_page(error):
                held.mark.set_torn()
            raise StateRefused(f"{type(error).__name__}: {error}") from error

    def _fold_slice(self, held: StateMap, log: FollowedLog, *, anew: bool) -> bool:
        again = fold_slice(held, log, self.epoch, anew=anew)
        if again:  # who was forgotten lies in it
            environment.drop_copy(self._data)
            if held is not self._held:  # who came and went since it was begun never lay in it
                forget_before(held, anew=True)
        return again is not None

    def _put_in_force(self, log: FollowedLog) -> None:
        """The one that was made, once it has what came meanwhile. Where that cannot be folded any more it is given up:
        whether the one before can be gone on with shows then.
        """
        made, self._made = self._made, None
        assert made is not None
        with self._making:
            try:
                self._fold_made(made, log)
            except (StateRefused, NotAState):
                return
            try:
                environment.put_in_force(made)
                with self._opening:  # never while the disk is waited for: a check may wait here, in the loop
                    self._held = self._followed = made
                self._held_back, self.unswept = 0, True
            except BaseException:
                made.close()  # and it stays: it may be in force
                raise

    def _compacted(self) -> StateMap:
        try:
            environment.drop_copy(self._data)
            return environment.make_compact(self._data, self._current(), self.given_up)
        except (OSError, lmdb.Error) as error:
            raise StateRefused(f"what was replaced in it cannot be taken out: {error}") from error

    def _from_copy(self, log: FollowedLog) -> StateMap | None:
        """None: there is none that may be begun with. What lay on a torn page lies in a copy that was made since."""
        if self._held is not None and self._held.mark.is_torn:
            environment.drop_copy(self._data)
            return None
        try:
            made = environment.make_from_copy(self._data)
            self._fold_made(made, log)
        except (StateRefused, NotAState):
            environment.drop_copy(self._data)
            return None
        return made

    def _from_nothing(self, log: FollowedLog) -> StateMap:
        made = environment.make_generation(self._data, self._most)
        root = log.root(0)
        assert root is not None
        write_copied(made, {}, StateHead(log.name, 0, root, self.epoch, alone=frozenset()))
        self._fold_made(made, log, anew=True)
        forget_before(made, anew=True)
        return made

    def _go_on(self, made: StateMap, since: LogNow) -> None:
        """Each turn has what came during the one before. Who was forgotten meanwhile only whoever writes can tell: then
        `follow` does it.
        """
        try:
            for _ in range(TURNS):
                with since() as log, contextlib.suppress(StateRefused, NotAState):
                    self._fold_on(made, log)
        except BaseException:
            environment.discard(made)
            raise

    def _fold_made(self, made: StateMap, log: FollowedLog, *, anew: bool = False) -> None:
        try:
            self._fold_on(made, log, anew=anew)
        except BaseException:
            environment.discard(made)
            raise


def fold_slice(held: StateMap, log: FollowedLog, epoch: int, *, anew: bool = False) -> frozenset[bytes] | None:
    """Folds some records from the state's own position on, in one transaction. None: there may be more; else the keys
    that were folded again, which is done with the last of them. `anew`: from nothing, by what is told now. Raises
    `StateForeign` for a state that does not follow this log, and lmdb.Error, by which nothing was written.
    """
    with StateWrite(held) as write:
        prove_follows(write.head, log, epoch)
        after, folded = write.head.position, 0
        if after == log.head:
            return frozenset()
        again = frozenset[bytes]() if anew or not after else log.changed(after)
        if again is None:
            raise StateForeign("somebody was forgotten in it, and nobody knows any more who")
        # With those all is one transaction: a position between would have passed over them.
        together, theirs = component_of(again, write.get), list[Record]()
        for position, record in log.read(after) if again else islice(log.read(after), SLICE):
            if record.key in together:
                theirs.append(record)  # folded once, with all that was said of them
            else:
                write.fold(record, position)
                folded += 1
        done = bool(again) or folded < SLICE
        if again:
            write.settle()
            if folded:  # others may hang together with these now
                together = component_of(again, write.get)
            write.replace(fold_again(together, write.get, log.records_about), log.head)
            for record in theirs:
                write.hear_of(record)
        position = log.head if done else write.head.position
        root = log.root(position)
        assert root is not None
        write.heed(log.kinds)
        write.finish(root, position, log.entries(position))
        return again if done else None


def _prove_sound(held: StateMap) -> None:
    if held.mark.is_torn:
        raise StateRefused("a page of it does not hold what was written")


def prove_follows(head: StateHead, log: FollowedLog, epoch: int) -> None:
    """Raises `StateForeign` for a head of other rules, peppers or another log than this one."""
    prove_made_here(head, epoch)
    if head.log != log.name or log.root(head.position) != head.root:
        raise StateForeign("the log has another root at its position")


def fold_again(
    whole: set[bytes], get: Get, records_about: Callable[[Collection[bytes]], Iterable[Record]]
) -> dict[Place, Any]:
    """Of people whose older records are others now, and all who hang together with them (`component_of`): what is
    different then, by place; None where nothing is any more. `get`: the state with every record folded, but for those
    about these.
    """
    while True:
        made: dict[Place, Any] = {}
        for record in records_about(whole):
            made.update(fold(record, made.get))
        named = {place for place in made if isinstance(place, bytes) and place != HEAD}
        if named <= whole:
            break
        whole = whole | component_of(named, get)
    made.pop(HEAD, None)  # voids of screens are nobody's
    return {place: made.get(place) for place in made.keys() | _places(whole, get) if made.get(place) != get(place)}


def component_of(keys: Iterable[bytes], get: Get) -> set[bytes]:
    """All who hang together with some keys. Whom a row hears, and who hears it, stands in it for ever, so a walk over
    rows finds all whom anything that was told of a key can have reached.
    """
    found, waiting = set[bytes](), [*keys]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += _neighbours(get(key) or KeyRow())
    return found


def _neighbours(row: KeyRow) -> set[bytes]:
    found = {*row.targets, *row.names, *row.owners, *row.looser, *row.spellings, *row.accounts, *row.members}
    found.update(place[1] for place in row.kept)
    found.update(place[2] for place in row.kept)
    return found if row.box is None else {*found, row.box}


def _places(keys: Iterable[bytes], get: Get) -> set[Place]:
    """Where something lies of these."""
    found = set[Place]()
    for key in keys:
        row = get(key)
        if row is not None:
            found |= {key, *((key, member) for member in row.members)}
    return found
