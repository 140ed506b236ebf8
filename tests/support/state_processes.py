"""Processes on one state: one that reads it as fast as it can, and one that folds and is killed on the way.

Where it dies is counted, not timed: behind so many calls into LMDB, or before or behind so many commits of it.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections import Counter

import lmdb

from gateway.fold.reading import standing_of
from gateway.state import upkeep
from gateway.state.environment import StateRefused
from gateway.state.packed_rows import HEAD_KEY
from gateway.state.transactions import StateWrite
from gateway.state.upkeep import HostState
from support.states import ListedLog, as_dict, key_rows

SPAWN = multiprocessing.get_context("spawn")
FEW = 5  # records of one transaction, so that many are cut off
NOW = 10**13


def between():
    """What the planted fault does after its rows and before its position."""


def finish_apart(self, root, position, entries):
    """The planted fault: the position is written in another transaction than the rows."""
    self.head = self.head._replace(position=position, entries=entries)
    self._put_places()
    self._txn.commit()
    between()
    with self._held.begin_writing() as txn:
        txn.put(HEAD_KEY, self.head._replace(root=root).pack())


class Told:
    """A process that does what it is told by a pipe."""

    def __init__(self, serve, *arguments):
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    def __call__(self, *asked):
        self.pipe.send(asked)
        return self.pipe.recv()

    def end(self):
        self.pipe.close()
        self.process.join(120)
        self.process.close()


def reads(pipe, folder, logs):
    """Reads on and on, what it was told of or not; asked, it reads once more, and tells how often it read, which
    positions it saw, how often it was refused, and how many moments were not what the fold makes of the log there.
    """
    stands = {each: {} for each in range(len(logs))}
    roots = {root: (number, at) for number, log in enumerate(logs) for at, root in enumerate(log._roots)}
    for number, log in enumerate(logs):
        state = {}
        for at in range(len(log.records) + 1):
            state = as_dict(log.records[at - 1 : at] if at else (), dict(state))
            stands[number][at] = state
    state, tally, seen = HostState(folder), Counter(), set()
    with contextlib.suppress(EOFError):
        while True:
            if asked := pipe.poll():
                pipe.recv()
            try:
                with state.moment() as moment:
                    number, at = roots[moment.head.root]
                    wanted = stands[number][at]
                    keys = key_rows(stands[number][len(logs[number].records)])
                    wrong = [key for key in keys if moment.standing(key, NOW) != _wanted(wanted, key)]
                    tally["wrong"] += at != moment.head.position or bool(wrong) or moment.latest > at
                    tally["read"] += 1
                    seen.add((number, at))
            except StateRefused:
                tally["refused"] += 1
            if asked:
                pipe.send((dict(tally), seen))
    state.close()


def answers(pipe, folder):
    """Tells each time that it is asked up to which position it would answer; None: it denies."""
    state = HostState(folder)
    with contextlib.suppress(EOFError):
        while True:
            pipe.recv()
            try:
                with state.moment() as moment:
                    pipe.send(moment.head.position)
            except StateRefused:
                pipe.send(None)
    state.close()


def _wanted(wanted, key):
    return standing_of(key, wanted.get, NOW) if key in wanted else None


def folds(pipe, records, planted):
    """Folds in a child of its own each time it is asked, which is killed at a point; how the child ended."""
    upkeep.SLICE = FEW
    if planted:
        StateWrite.finish = finish_apart
    with contextlib.suppress(EOFError):
        while True:
            folder, where, count = pipe.recv()
            child = os.fork()
            if not child:
                _fold_and_die(folder, records, where, count)
            pipe.send(os.waitpid(child, 0)[1])


def _fold_and_die(folder, records, where, count):
    left = count

    def profile(_, event, called):
        nonlocal left
        of = getattr(called, "__self__", None)
        if not isinstance(of, lmdb.Transaction | lmdb.Environment):
            return
        if (where == "call" and event == "c_call") or (where == "commit" and called.__name__ == "commit"):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        state = HostState(folder)
        sys.setprofile(profile)
        state.catch_up(ListedLog(records))
        sys.setprofile(None)
        os._exit(0)
    finally:
        os._exit(1)
