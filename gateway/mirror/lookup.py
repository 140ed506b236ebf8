"""What checks look up: standings and grants by key, in process, without a queue or a thread hop; and the look-up of a
replica, on its map.

`check()` is a plain function and calls this. Who answers must be fresh: an answer from a store that may have moved
or stopped is refused with `Stale`, and the verdict is then a deny. Nothing is answered from a map but where somebody
vouches for it (`fresh`), before the reading and after it: a process that was paused in between must not answer with an
old proof.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.mirror.memory_map import Head, MapRefused, MemoryMap
from gateway.mirror.row import MirrorRow, NotARow, standing, unpack
from gateway.terms import Purpose


class LookupRefused(Exception):
    """No answer that may be trusted. The verdict is deny."""


class Stale(LookupRefused):
    """Nobody has proved lately that the store is the one that is being written."""


class OnlyTheGateway(LookupRefused):
    """A replica does not know that."""


class RowUnreadable(LookupRefused):
    """The store cannot be read."""


class Reached(NamedTuple):
    """How far a store had come when something was read. Of two generations nobody knows which is the later."""

    generation: str
    position: int


def earliest(several: Collection[Reached | None]) -> Reached | None:
    """The one by which nothing is overlooked that came after any of them. None: there is none."""
    known = [each for each in several if each is not None]
    return min(known) if len(known) == len(several) and len({each.generation for each in known}) == 1 else None


@dataclass(frozen=True, slots=True)
class Seen:
    """`position`: how many entries the ledger held; `reached`: by what to ask whether anything changed since."""

    position: int
    standings: tuple[Standing, ...]
    reached: Reached | None


class Lookup(Protocol):
    """Keys are 16 bytes (gateway.keys.secret_files). Each call raises `LookupRefused` rather than answer from doubt."""

    def seen(self, keys: Sequence[bytes], *, numbered: bool = False) -> Seen:
        """The standings that exist, in no order, as of one position; an unknown key has none. `numbered`: each
        with the entry of the last no that it has, which costs more.
        """

    def proof(self) -> float | None:
        """The newest proof that answers may be trusted now; None: there is none. Another one comes twice a second."""

    def version(self) -> object:
        """What is another one after any change of what can be looked up, by whichever process, and after each proof.
        Equal versions: whatever was answered before would be answered again.
        """

    def changed_since(self, keys: Sequence[bytes], reached: Reached) -> bool:
        """Whether any of the standings may have changed since."""

    def tied(self, account: bytes, identifier: bytes) -> bool:
        """Whether an account has an identifier now, by more than an app's word."""

    def links_of(self, key: bytes) -> list[tuple[bytes, bool, bool]]:
        """(account, whether only an app's word ties them, whether it has it now) of all that have or had an identifier,
        by any of its names.
        """

    def words_of(self, key: bytes) -> list[str]:
        """How old installations of apps said that somebody is, whether it counts or not."""

    def alone(self, mark: str, device: bytes, keys: Sequence[bytes]) -> frozenset[Purpose]:
        """What an installation came back from: the purposes that it opted in to, where each no that stands on any of
        the keys is its own (`ledger.installation`).
        """

    def grants(self, keys: Sequence[bytes]) -> list[Grant]:
        """What these keys allowed one recipient or programme and is not over, the newest first."""

    def log(self) -> str:
        """The name of the log that positions are of: another one once an older copy was put back."""

    def voided(self, ui: str) -> bool:
        """Whether consents that were given on a screen count for nothing."""

    def event(self, seq: int) -> str | None:
        """The event id (base64url) of an entry about somebody; None for other entries."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class RowSource(Protocol):
    """Who has the map. `map` is None while there is none; `current` opens it anew and raises `MapRefused`."""

    @property
    def map(self) -> MemoryMap | None: ...
    def current(self) -> MemoryMap: ...


class MirrorLookup:
    """A `Lookup` of a replica. `peppers`: under how many the caller's keys are."""

    def __init__(
        self,
        source: RowSource,
        fresh: Callable[[], bool],
        clock: Callable[[], datetime],
        peppers: int,
    ) -> None:
        self._source = source
        self._fresh = fresh
        self._clock = clock
        self._peppers = peppers

    def seen(self, keys: Sequence[bytes], *, numbered: bool = False) -> Seen:  # noqa: ARG002 - a row has its number
        head, rows = self._read(keys)
        reached = Reached(head.log, head.size)
        if not rows:
            return Seen(head.size, (), reached)
        now = self._now()
        try:
            return Seen(head.size, tuple(standing(row, now) for row in rows), reached)
        except NotARow as error:
            raise RowUnreadable(str(error)) from error

    def proof(self) -> float | None:
        """None by name: it is asked each time."""
        return None

    def version(self) -> object:
        return self._read(())[0].revision

    def changed_since(self, keys: Sequence[bytes], reached: Reached) -> bool:
        head, rows = self._unpacked(keys)
        return head.log != reached.generation or any(row.changed >= reached.position for row in rows)

    def grants(self, keys: Sequence[bytes]) -> list[Grant]:
        now = self._now()
        found = [grant for row in self._unpacked(keys)[1] for grant in row.grants(now)]
        return sorted(found, key=lambda grant: grant.seq or 0, reverse=True)

    def log(self) -> str:
        return self._read(())[0].log

    def _unknown(self, *_: Any, **__: Any) -> Any:
        raise OnlyTheGateway

    tied = links_of = words_of = alone = voided = event = _unknown

    def _unpacked(self, keys: Sequence[bytes]) -> tuple[Head, list[MirrorRow]]:
        head, rows = self._read(keys)
        try:
            return head, [unpack(row) for row in rows]
        except NotARow as error:
            raise RowUnreadable(str(error)) from error

    def _read(self, keys: Sequence[bytes]) -> tuple[Head, list[bytes]]:
        if not self._fresh():
            raise Stale
        head, rows = self._packed(keys)
        if head.peppers != self._peppers:
            raise Stale
        if not self._fresh():
            raise Stale
        return head, rows

    def _packed(self, keys: Sequence[bytes]) -> tuple[Head, list[bytes]]:
        found = self._source.map
        if found is None:
            raise Stale
        try:
            return found.read(keys)
        except MapRefused:  # replaced, perhaps by another process
            try:
                return self._source.current().read(keys)
            except MapRefused as refused:
                raise Stale(str(refused)) from refused

    def _now(self) -> int:
        return (self._clock() - EPOCH) // MILLISECOND
