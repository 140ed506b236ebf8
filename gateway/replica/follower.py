"""Follows the feed into a replica's own state, and holds the lease that makes it fresh. `app.replica` starts it.

Two threads: one applies what comes, one asks for the lease, at once after each piece and three times a term; a third,
now and then, copies the state without who was forgotten. A lease counts from before it was asked for; without one
everybody is told `stale`. None is taken while this machine's wall clock is far from the gateway's. Whatever cannot be
told makes it begin anew with an empty state. It knows no value of anybody, no pepper and no law.
"""

import contextlib
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import lmdb

from gateway.choice.standing import Vouching
from gateway.delivery.background import Every
from gateway.disk import locked, make_folder
from gateway.keys.secret_files import SECRETS
from gateway.ledger.audit.clock_proof import BEHIND
from gateway.replica.feed import Applied, Feed, FeedRefused, Gone, LeaseAnswer, Piece
from gateway.state import environment
from gateway.state.environment import StateMap, StateRefused
from gateway.state.fronts import crowd_key
from gateway.state.lookup import StateMoment, prove_made_here
from gateway.state.packed_rows import KEY_BYTES, NotAState, StateHead
from gateway.state.transactions import read_head, write_copied
from gateway.terms import Unusable

TERM = 2.0  # seconds: the longest term that a gateway can have, whatever one says
LATE = 0.5  # seconds that a gateway grants beyond it to one that is a piece behind (consent/leases.py)
A_TERM = 3  # renewals
RATE = 0.99  # of a lease: two clocks may differ by a hundredth in how fast they run
PAUSE = 0.2  # seconds before a stream that was cut is opened again
TIDY_SHARE = 0.05  # of the time at most goes into taking out what was replaced
MOST_WAITING = 200_000  # places, some 60 MB; one that is so far behind begins anew
TRIES_AGAIN = 60.0  # seconds, where the disk has no room for that
APART = BEHIND  # its wall clock and the gateway's, at most: by it contracts end here, and laws begin
HOUR = timedelta(hours=1)
LOCK = "replica.lock"  # in a replica's folder, and in no other


class ReplicaRefused(Unusable):
    """The replica cannot be started as it is. The text says what helps."""


class TidyCopy:
    """A state's copy without who was forgotten, made in a thread of its own while its follower goes on applying to the
    state: of many millions that takes longer than a lease lasts. The thread ends with the process, and within
    milliseconds: no environment may be closed while it reads there.
    """

    def __init__(self, folder: Path, source: StateMap, clock: Callable[[], float]) -> None:
        self._folder, self._source, self._clock = folder, source, clock
        self._meanwhile: dict[bytes, bytes | None] = {}  # what may have been applied after the moment that is copied
        self._made: StateMap | None = None
        self._wrong: Exception | None = None
        self._gives_up = threading.Event()
        self.seconds = 0.0  # that it took
        self._thread = threading.Thread(target=self._make, name="replica-tidy", daemon=False)
        self._thread.start()

    def _make(self) -> None:
        began = self._clock()
        try:
            self._made = environment.make_compact(self._folder, self._source, self._is_given_up)
        except Exception as error:  # noqa: BLE001 - raised where the copy is taken, in the thread that applies
            self._wrong = error.with_traceback(None)  # which would keep the source open
        self.seconds = self._clock() - began

    def _is_given_up(self) -> bool:
        return self._gives_up.is_set() or not threading.main_thread().is_alive()

    def add(self, places: dict[bytes, bytes | None]) -> None:
        """What was applied to the state since it began."""
        self._meanwhile |= places  # whole values: what was copied already may be written again
        if len(self._meanwhile) > MOST_WAITING:
            self._gives_up.set()
        if self._gives_up.is_set():
            self._meanwhile = {}

    def is_made(self) -> bool:
        """Or will not be."""
        return not self._thread.is_alive()

    def taken(self, head: StateHead) -> StateMap:
        """The copy, with all that the state has. Raises `StateRefused`: there is none."""
        if self._gives_up.is_set():
            self.give_up()
            raise StateRefused("more came meanwhile than is kept")
        if self._wrong is not None:
            raise StateRefused(f"{type(self._wrong).__name__}: {self._wrong}") from self._wrong
        assert self._made is not None
        try:
            write_copied(self._made, self._meanwhile, head)
        except StateRefused:
            self.give_up()
            raise
        return self._made

    def give_up(self) -> None:
        """Its thread has ended then, for whoever makes the next folder sweeps away its own."""
        self._gives_up.set()
        self._thread.join()
        if self._made is not None:
            environment.discard(self._made)


class Follower(Vouching):
    """Keeps one replica's copy, and vouches for it to the look-up. `peppers`: how many wrap its keys; `clock`: seconds
    of CLOCK_BOOTTIME; `wall`: the clock by which what it has is judged; `tell` is told each new reason for being
    stale, once.
    """

    def __init__(
        self,
        folder: Path,
        feed: Feed,
        peppers: int,
        clock: Callable[[], float],
        wall: Callable[[], datetime],
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(clock)
        self._wall, self._apart = wall, timedelta(0)  # from the gateway's clock, as it was said last
        self._folder, self._feed, self._peppers, self._tell = folder, feed, peppers, tell
        self._holder = secrets.token_hex(16)
        self.state: StateMap | None = None
        self._making: StateMap | None = None
        self._changing = threading.Lock()  # of what follows together: the state, how far it is, until when it is good
        self._turn = 0  # how often it began anew
        self._applied = Applied()
        self._waiting: dict[bytes, bytes | None] = {}  # of pieces that are of one moment together, until all are there
        self._term = TERM
        self._moved = (-1, 0.0)  # how far it was at an asking, and since when it is no further
        self._tidies_at = 0.0
        self._tidying: TidyCopy | None = None
        self._anew = threading.Event()
        self._held = contextlib.ExitStack()
        self._child = False
        self.why = "it has not begun"
        self._following = Every("replica-feed", PAUSE, self._follow, first=0, last=self._let_go)
        self._leasing = Every("replica-lease", TERM / A_TERM, self._keep_lease)

    def start(self) -> None:
        """Goes on from the state that it left, if that is whole and of these peppers. Raises `ReplicaRefused`."""
        if (self._folder / SECRETS).exists():
            raise ReplicaRefused(
                f"{self._folder} is the gateway's: a replica has a folder of its own, name it (--data)"
            )
        make_folder(self._folder)
        try:
            self._held.enter_context(locked(self._folder / LOCK, wait=False))
        except BlockingIOError:
            raise ReplicaRefused(f"another process keeps {self._folder}: a replica has a folder of its own") from None
        with contextlib.suppress(StateRefused, NotAState, lmdb.Error):
            self._resume()
        self._following.start()
        self._leasing.start()

    def forked(self) -> None:
        """In the child of a fork there are no threads: what is here is followed no more, and the lease is the parent's,
        who alone may give it up.
        """
        self.fresh_until, self._changing, self._child = 0.0, threading.Lock(), True
        self._held.close()  # a copy of the parent's, which would hold the folder after the parent's end
        self.why = "the process was forked: a replica is one process's, open it in each worker"

    def stop(self) -> None:
        """Answers nobody from here on, and says so, so that nobody waits for it."""
        if self._child:
            return
        with self._changing:
            self._turn, self.fresh_until = self._turn + 1, 0.0
        self._following.end()
        self._leasing.stop(2 * TERM)
        self._following.stop(2 * TERM)
        with contextlib.suppress(FeedRefused, Gone):
            self._feed.leave(self._holder, TERM)

    def _let_go(self) -> None:
        """In the thread that applies, behind all that it does, however long that takes: whoever was let into the folder
        before would be put out of force by what it puts in force, and a mark would say of pages that are written still
        that they are whole.
        """
        held, self.state, self._making = self.state, None, None
        self._give_up_tidying()
        with contextlib.suppress(lmdb.Error, OSError):
            if held is not None:
                held.sync()  # so that it is gone on with after a boot
        self._held.close()

    def left(self) -> float:
        """For how many seconds more it may answer."""
        return max(0.0, self.fresh_until - self._clock())

    def moment(self) -> StateMoment:
        """For one check. Raises `StateRefused`."""
        held = self.state
        if held is None:
            raise StateRefused("there is none yet")
        return StateMoment(held, self._peppers)

    def _resume(self) -> None:
        found = StateMap(environment.folder_in_force(self._folder))
        head, _ = read_head(found)
        prove_made_here(head, self._peppers)
        self.state, self._applied = found, applied(head)

    def _follow(self) -> None:
        try:
            self._follow_one()
        except (Gone, StateRefused):
            self._begin_anew()
        except FeedRefused as refused:
            self._say(f"the feed is cut: {refused}")
        except Exception as error:  # noqa: BLE001 - whatever it was, without a feed the lease ends, and nobody is answered
            self._say(f"the feed cannot be applied: {type(error).__name__}")
            self._begin_anew()

    def _follow_one(self) -> None:
        """One stream, to its end."""
        self._waiting = {}
        if self.state is None and self._making is None:
            self._begin_anew()
        for piece in self._feed.pieces(self._applied.position, self._applied.root):
            if self._following.ends:
                return
            self._apply(piece)

    def _begin_anew(self) -> None:
        """Nothing that is here counts; nobody is answered until all of it is here again."""
        with self._changing:
            self._turn += 1
            self.state, self._making, self.fresh_until, self._applied = None, None, 0.0, Applied()
            self._anew.clear()
        self._give_up_tidying()
        self._making = environment.make_generation(self._folder)

    def _apply(self, piece: Piece) -> None:
        if self._anew.is_set() or self._is_torn() or self._applied.log not in {"", piece.head.log}:
            raise Gone
        try:
            prove_made_here(piece.head, self._peppers)
        except StateRefused as refused:
            raise FeedRefused(f"{refused}: enrol it again, or bring both to one version") from refused
        # Beside an account's row or edges comes what lies there of its crowd; where none comes, there is none any more
        self._waiting |= {crowd_key(place[:KEY_BYTES]): None for place in piece.places} | piece.places
        if self._making is None and piece.more:
            if len(self._waiting) > MOST_WAITING:
                raise Gone
            return  # rows and edges are read together: nobody is answered from a part of one moment
        target, places, self._waiting = self._making or self.state, self._waiting, {}
        assert target is not None
        write_copied(target, places, piece.head)
        with self._changing:
            self._applied = applied(piece.head) if not piece.more else Applied(piece.head.position, piece.head.log)
        if self._making is None:
            self._tidy(target, places, piece.head)
        elif not piece.more:  # whole: only now may it be answered from
            self._put_in_force(target)
        if places:
            self._leasing.wake()

    def _put_in_force(self, made: StateMap) -> None:
        environment.put_in_force(made)
        self.state, self._making = made, None
        environment.tidy_up(made.folder.parent)

    def _tidy(self, target: StateMap, places: dict[bytes, bytes | None], head: StateHead) -> None:
        """Who was forgotten goes from its pages too: after each whole piece, and each beat is one. `places`: what was
        just applied.
        """
        if self._tidying is not None:
            self._tidying.add(places)
            if self._tidying.is_made():
                self._take_tidied(self._tidying, head)
        elif read_head(target)[1] and self._clock() >= self._tidies_at:
            try:
                self._tidying = TidyCopy(self._folder, target, self._clock)
            except RuntimeError as error:  # no more threads
                self._tidy_later(error)

    def _take_tidied(self, tidied: TidyCopy, head: StateHead) -> None:
        began, self._tidying = self._clock(), None
        try:
            self._put_in_force(tidied.taken(head))
            self._tidies_at = self._clock() + (self._clock() - began + tidied.seconds) / TIDY_SHARE
        except (StateRefused, OSError, lmdb.Error) as error:
            self._tidy_later(error)

    def _tidy_later(self, error: Exception) -> None:
        """What is there is as good as before."""
        self._tidies_at = self._clock() + TRIES_AGAIN
        self._tell(f"who was forgotten lies in the copy's pages still: {error}")

    def _give_up_tidying(self) -> None:
        """Of a state that is not answered from any more."""
        tidying, self._tidying = self._tidying, None
        if tidying is not None:
            tidying.give_up()

    def _keep_lease(self) -> float:
        """Seconds until it asks again: a gateway that commits all the time waits for one that was refused for `LATE`
        only, and gives it a lease if it asks within that, for whoever asks later is behind again. It waits for nobody
        who comes no further, so such a one asks no oftener than one that has a lease.
        """
        try:
            if self.state is not None:
                self._ask()
                return (LATE if self._is_waited_for() else self._term) / A_TERM
        except Gone:
            self._anew.set()
            self._say("a page of the copy is torn" if self._is_torn() else "the gateway's ledger is another one")
        except FeedRefused as refused:
            self._say(f"no lease: {refused}")
        return self._term / A_TERM

    def _is_waited_for(self) -> bool:
        now, at = self._clock(), self._applied.position
        if at != self._moved[0]:
            self._moved = at, now
        return not self.fresh() and now - self._moved[1] < LATE

    def _is_torn(self) -> bool:
        state = self.state
        return state is not None and state.mark.is_torn

    def _ask(self) -> None:
        if self._is_torn():
            raise Gone
        with self._changing:
            turn, has = self._turn, self._applied
        sent = self._clock()
        told = self._feed.renew(self._holder, has, self._term)
        wrong = self._clock_wrong(told)
        with self._changing:
            if turn != self._turn:
                return  # it began again meanwhile: this lease is of a state that is gone
            self._term = min(told.term, TERM)
            if wrong:
                self.fresh_until = 0.0
            elif told.seconds > 0:
                self.fresh_until = sent + min(told.seconds, TERM + LATE) * RATE
        if wrong:
            self._say(wrong)
        elif not self.fresh():
            self._say(f"it has {has.position} of {told.seq}")
        else:
            self.why = ""

    def _clock_wrong(self, told: LeaseAnswer) -> str:
        """What is wrong with the wall clock, by the gateway's; empty where nothing is."""
        if told.time is None or abs(apart := self._wall() - told.time) <= APART:
            self._apart = timedelta(0)
            return ""
        if abs(apart - self._apart) >= HOUR:  # no news with each renewal
            self._apart = apart
        hours = round(abs(self._apart) / HOUR)
        where = "ahead of" if apart > timedelta(0) else "behind"
        return f"this machine's clock is {hours} hours {where} the gateway's: set whichever is wrong"

    def _say(self, why: str) -> None:
        news, self.why = why != self.why, why
        if news:
            self._tell(why)


def applied(head: StateHead) -> Applied:
    """What a state with such a head has."""
    return Applied(head.position, head.log, head.root)
