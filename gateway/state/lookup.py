"""The look-up on the state of this host: standings and grants by key, in process, without a queue or a thread hop.
Checks call it.

Nothing is answered but where somebody vouches that the state follows the log which is being written, and by a proof
that was there before the reading and still stands behind it: a process may have been paused in between.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.mirror.lookup import EPOCH, MILLISECOND, Reached, Seen, Stale
from gateway.state.environment import StateRefused
from gateway.state.transactions import StateMoment
from gateway.terms import Purpose


class Vouches(Protocol):
    """Who proves twice a second that the log followed is the one that is written (`ledger.watch`)."""

    @property
    def fresh_until(self) -> float: ...
    def proof(self) -> float | None: ...
    def stands(self, proof: float) -> bool: ...


class EntryFacts(Protocol):
    """What only the log's entries tell (`ledger.table`). Raises `LookupRefused`."""

    def event(self, seq: int) -> str | None: ...
    def began(self, key: bytes) -> int | None:
        """The last entry by which a device's or a tool's state began that a key has."""


class StateLookup:
    """A `Lookup` (`gateway.mirror.lookup`). `opened`: the state at the moment of asking, or `StateRefused`."""

    def __init__(
        self,
        opened: Callable[[], StateMoment],
        vouches: Vouches,
        clock: Callable[[], datetime],
        facts: EntryFacts,
    ) -> None:
        self._opened, self._vouches, self._clock, self._facts = opened, vouches, clock, facts

    def seen(self, keys: Sequence[bytes], *, numbered: bool = False) -> Seen:
        with self._moment() as moment:
            found = moment.standings(keys, self._now)
            entries, reached = moment.head.entries, moment.reached
            if numbered:
                found = [(key, replace(standing, seq=moment.last_no(key))) for key, standing in found]
        standings = [self._named(key, each) if numbered and each.seq is None else each for key, each in found]
        return Seen(entries, tuple(standings), reached)

    def proof(self) -> float | None:
        return self._vouches.proof()

    def version(self) -> object:
        with self._moment() as moment:
            return self._vouches.fresh_until, *moment.reached

    def changed_since(self, keys: Sequence[bytes], reached: Reached) -> bool:
        with self._moment() as moment:
            return moment.moved(keys, reached)

    def tied(self, account: bytes, identifier: bytes) -> bool:
        with self._moment() as moment:
            edge, now = moment.get((account, identifier)), self._now()
            return edge is not None and edge.lifts(now) and not edge.claimed

    def links_of(self, key: bytes) -> list[tuple[bytes, bool, bool]]:
        with self._moment() as moment:
            now = self._now()
            return [(tie.account, tie.edge.claimed, tie.holds(now)) for tie in moment.ties(key)]

    def words_of(self, key: bytes) -> list[str]:
        with self._moment() as moment:
            return moment.words(key)

    def alone(self, mark: str, device: bytes, keys: Sequence[bytes]) -> frozenset[Purpose]:
        with self._moment() as moment:
            return moment.came_back(mark, device, keys)

    def grants(self, keys: Sequence[bytes]) -> list[Grant]:
        with self._moment() as moment:
            return moment.grants(keys, self._now())

    def log(self) -> str:
        with self._moment() as moment:
            return moment.head.log.partition(" ")[0]

    def voided(self, ui: str) -> bool:
        with self._moment() as moment:
            return ui in moment.head.voids

    def event(self, seq: int) -> str | None:
        return self._facts.event(seq)

    def _named(self, key: bytes, standing: Standing) -> Standing:
        """By its state, of whose beginning the state of a host keeps no number."""
        return replace(standing, seq=self._facts.began(key)) if standing.held else standing

    @contextlib.contextmanager
    def _moment(self) -> Iterator[StateMoment]:
        proof = self._vouches.proof()
        if proof is None:
            raise Stale
        try:
            with self._opened() as moment:
                yield moment
        except StateRefused as refused:
            raise Stale(str(refused)) from refused
        if not self._vouches.stands(proof):
            raise Stale

    def _now(self) -> int:
        return (self._clock() - EPOCH) // MILLISECOND
