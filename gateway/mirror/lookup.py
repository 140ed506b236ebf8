"""The look-up interface: standings and grants by key, in process, without a queue or a thread hop.

`check()` is a plain function and calls this. Who answers must be fresh: an answer from a store that may have moved
or stopped is refused with `Stale`, and the verdict is then a deny.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.terms import Purpose


class LookupRefused(Exception):
    """No answer that may be trusted. The verdict is deny."""


class Stale(LookupRefused):
    """Nobody has proved lately that the store is the one that is being written."""


class RowUnreadable(LookupRefused):
    """The store cannot be read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`position`: how many entries the ledger held."""

    position: int
    standings: tuple[Standing, ...]


class Lookup(Protocol):
    """Keys are 16 bytes (gateway.keys.secret_files). Each call raises `LookupRefused` rather than answer from doubt."""

    def seen(self, keys: Sequence[bytes]) -> Seen:
        """The standings that exist, in no order, as of one position; an unknown key has none."""

    def proof(self) -> float | None:
        """The newest proof that answers may be trusted now; None: there is none. Another one comes twice a second."""

    def version(self) -> object:
        """What is another one after any change of what can be looked up, by whichever process, and after each proof.
        Equal versions: whatever was answered before would be answered again.
        """

    def changed_since(self, keys: Sequence[bytes], position: int) -> bool:
        """Whether any of the standings was written at or after a position."""

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
