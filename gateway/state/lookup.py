"""The look-up on the state of this host: standings and grants by key, in process, without a queue or a thread hop.
Checks call it.

Nothing is answered but where somebody vouches that the state follows the log which is being written, and by a proof
that was there before the reading and still stands behind it: a process may have been paused in between.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypeVar

from gateway.choice.question import Grant
from gateway.choice.standing import Stale, Standing, Vouching, alike
from gateway.state.environment import StateRefused
from gateway.state.packed_rows import ANY_DIGEST, StateHead
from gateway.state.transactions import Reached, StateMoment
from gateway.terms import Purpose

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
T = TypeVar("T")


class Seen(NamedTuple):
    """`position`: how many entries the ledger held; `reached`: by what to ask whether anything changed since. `alike`:
    what the standings say, each word once (`choice.standing.alike`). `alone`: the kinds of which digests
    of ad ids were named without the id; of each other digest stands what does of the first. `beside`: what stands of
    those that were asked about beside them; None: none were.
    """

    position: int
    standings: tuple[Standing, ...]
    reached: Reached | None
    alike: tuple[Standing, ...] = ()
    alone: frozenset[str] = ANY_DIGEST
    beside: tuple[Standing, ...] | None = None


def earliest(several: Collection[Reached | None]) -> Reached | None:
    """The one by which nothing is overlooked that came after any of them. None: there is none."""
    known = [each for each in several if each is not None]
    return min(known) if len(known) == len(several) and len({each.generation for each in known}) == 1 else None


class EntryFacts(Protocol):
    """What only the log's entries tell (`desk.history`). Raises `LookupRefused`."""

    def event(self, seq: int) -> str | None: ...
    def began(self, names: Collection[bytes], sources: Collection[str]) -> int | None:
        """The last entry by which a state of one of these sources began that any of these names told."""


class StateLookup:
    """What checks look up. Keys are 16 bytes (`gateway.keys.secret_files`). Each call raises `LookupRefused` rather
    than answer from doubt. `opened`: the state at the moment of asking, or `StateRefused`.
    """

    def __init__(
        self,
        opened: Callable[[], StateMoment],
        vouches: Vouching,
        clock: Callable[[], datetime],
        facts: EntryFacts,
    ) -> None:
        self._opened, self._vouches, self._clock, self._facts = opened, vouches, clock, facts
        self.named_alone = ANY_DIGEST  # as of the last look; what counts is what is `seen`

    def seen(self, keys: Sequence[bytes], *, numbered: bool = False, beside: Sequence[bytes] = ()) -> Seen:
        """The standings that exist, in no order, as of one position; an unknown key has none. `numbered`: each
        with the entry of the last no that it has, which costs more, and nothing beside them. `beside`: keys that are
        told apart.
        """
        if numbered:
            return self._numbered(keys)

        def read(moment: StateMoment) -> tuple[list[tuple[bytes, Standing]], Any, StateHead, Reached]:
            others = moment.standings(beside, self._now) if beside else None
            return moment.standings(keys, self._now), others, moment.head, moment.reached

        found, others, head, reached = self._at(read)
        standings = tuple([standing for _, standing in found])
        told_apart = None if others is None else tuple([standing for _, standing in others])
        self.named_alone = head.alone
        like = alike(standings) if standings else ()
        return Seen(head.entries, standings, reached, like, head.alone, told_apart)

    def _numbered(self, keys: Sequence[bytes]) -> Seen:
        def read(moment: StateMoment) -> tuple[list[tuple[Standing, set[bytes]]], int, Reached]:
            found = [
                (replace(standing, seq=moment.last_no(key)), moment.names(key) if standing.held else set[bytes]())
                for key, standing in moment.standings(keys, self._now)
            ]
            return found, moment.head.entries, moment.reached

        found, entries, reached = self._at(read)
        standings = tuple(
            [
                replace(each, seq=self._facts.began(names, each.held)) if each.seq is None and names else each
                for each, names in found
            ]
        )
        return Seen(entries, standings, reached, alike(standings))

    def proof(self) -> float | None:
        """The newest proof that answers may be trusted now; None: there is none. Another one comes twice a second."""
        return self._vouches.proof()

    def version(self) -> object:
        """What is another one after any change of what can be looked up, by whichever process, and after each proof.
        Equal versions: whatever was answered before would be answered again.
        """
        return self._at(lambda moment: (self._vouches.fresh_until, *moment.reached))

    def changed_since(self, keys: Sequence[bytes], reached: Reached) -> bool:
        """Whether any of the standings may have changed since."""
        return self._at(lambda moment: moment.moved(keys, reached))

    def tied(self, account: bytes, identifier: bytes) -> bool:
        """Whether an account has an identifier now, by more than an app's word."""
        edge = self._at(lambda moment: moment.get((account, identifier)))
        return edge is not None and edge.lifts(self._now()) and not edge.claimed

    def unnamed(self, account: bytes, forms: Sequence[bytes]) -> bool:
        """Whether anything stands of other forms of an account's name that are not known to be its own."""

        def read(moment: StateMoment) -> bool:
            names = moment.names(account)
            return any(each not in names and moment.get(each) is not None for each in forms)

        return self._at(read)

    def links_of(self, key: bytes) -> list[tuple[bytes, bool, bool]]:
        """(account, whether only an app's word ties them, whether it has it now) of all that have or had an identifier,
        by any of its names.
        """
        ties, now = self._at(lambda moment: moment.ties(key)), self._now()
        return [(tie.account, tie.edge.claimed, tie.holds(now)) for tie in ties]

    def words_of(self, key: bytes) -> list[str]:
        """How old installations of apps said that somebody is, whether it counts or not."""
        return self._at(lambda moment: moment.words(key))

    def alone(self, mark: str, device: bytes, keys: Sequence[bytes]) -> frozenset[Purpose]:
        """What an installation came back from: the purposes that it opted in to, where each no that stands on any of
        the keys is its own (`fold.reading.come_back`).
        """
        return self._at(lambda moment: moment.came_back(mark, device, keys))

    def grants(self, keys: Sequence[bytes]) -> list[Grant]:
        """What these keys allowed one recipient or programme and is not over, the newest first."""
        return self._at(lambda moment: moment.grants(keys, self._now()))

    def log(self) -> str:
        """The name of the log that positions are of: another one once an older copy was put back."""
        return self._at(lambda moment: moment.head.log).partition(" ")[0]

    def voided(self, ui: str) -> bool:
        """Whether consents that were given on a screen count for nothing."""
        return ui in self._at(lambda moment: moment.head.voids)

    def event(self, seq: int) -> str | None:
        """The event id (base64url) of an entry about somebody; None for other entries."""
        return self._facts.event(seq)

    def _at(self, read: Callable[[StateMoment], T]) -> T:
        """What is read of one moment that is proved before and after."""
        proof = self._vouches.proof()
        if proof is None:
            raise Stale
        try:
            with self._opened() as moment:
                found = read(moment)
        except StateRefused as refused:
            raise Stale(str(refused)) from refused
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # rows that are whole and make no sense
            raise Stale(type(error).__name__) from error
        if not self._vouches.stands(proof):
            raise Stale
        return found

    def _now(self) -> int:
        return (self._clock() - EPOCH) // MILLISECOND
