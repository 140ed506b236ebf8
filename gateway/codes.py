"""Codes by e-mail or text message: whoever reads one out to us shows that the mailbox or number is theirs today.

Eight digits, good once, for ten minutes, for five tries, for one use and in the browser (or app) that asked: that one
holds the ticket. Sent whether the address is known here or not (V25). It shows nothing about the time before the
address passed to its present holder (R5). Knows no HTTP; never writes to the log.
"""

import hmac
import os
import secrets as random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.delivery.letter import Letter
from gateway.keys import Secrets
from gateway.ledger import codes
from gateway.ledger.entry import b64
from gateway.ledger.records import Subject, milliseconds
from gateway.ledger.writer import Writer
from gateway.outcome import Refused

DIGITS = 8
SECONDS = codes.GOOD_FOR * 60
AN_HOUR = codes.AN_ADDRESS
LABEL = b"codes/1\x00"


class WrongCode(Refused):
    """Not the code that was sent; `left` tries remain."""

    def __init__(self, left: int) -> None:
        super().__init__("proof_required", f"that is not the code that was sent; {left} tries are left")
        self.left = left


class CodeOver(Refused):
    """Used, too old, tried too often, or of another browser, address or use: ask for a new one."""

    def __init__(self) -> None:
        super().__init__("proof_required", "this code is over, or not for this; ask for a new one")


class TooManyCodes(Refused):
    """To this address, or to everybody."""

    def __init__(self) -> None:
        super().__init__("too_many_codes", f"{AN_HOUR} codes an hour go to one address; try again in an hour")


class NotSent(Refused):
    """The mail server or the sender of texts did not take it. Nothing was used up."""

    def __init__(self) -> None:
        super().__init__("code_not_sent", "the code could not be sent; try again")


class Carrier(Protocol):
    """What brings a letter to an address of one kind: mail, text messages."""

    async def send(self, to: str, letter: Letter) -> bool: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """What a code is good for: of whom it is, and the one use, `data` or `opt_in:sale`."""

    subject: Subject
    use: str


class Codes:
    """`carriers` by the kind of identifier; a kind without one is not offered. `an_hour`: codes to everybody."""

    def __init__(
        self, writer: Writer, secrets: Secrets, clock: Callable[[], datetime], carriers: Mapping[str, Carrier],
        an_hour: int,
    ) -> None:  # fmt: skip
        self._writer = writer
        self._secret = hmac.digest(secrets.tokens[0], LABEL, "sha256")
        self._clock = clock
        self._carriers = dict(carriers)
        self._an_hour = an_hour

    @property
    def kinds(self) -> tuple[str, ...]:
        """What a code can be sent to."""
        return tuple(self._carriers)

    async def send(self, bound: Bound, word: Callable[[str], Letter]) -> str:
        """The ticket of whoever asked; only with it the code is good. `word` writes the letter around the code.
        Raises `TooManyCodes`, `NotSent`, `StoreUnavailable`.
        """
        carrier = self._carriers.get(bound.subject.kind)
        if carrier is None:
            raise NotSent
        ticket, code = b64(os.urandom(16)), f"{random.randbelow(10**DIGITS):0{DIGITS}d}"
        hashed, now = self._hashed(ticket, bound, code), milliseconds(self._clock())
        if not await self._writer.commit(lambda tx: codes.keep(tx, hashed, now, self._an_hour)):
            raise TooManyCodes
        if not await carrier.send(bound.subject.value, word(spaced(code))):
            await self._writer.commit(lambda tx: codes.take_back(tx, hashed.ticket))
            raise NotSent
        return ticket

    async def enter(self, ticket: str, bound: Bound, code: str) -> None:
        """Returns where it is the one that was sent, which is then used up. Raises `WrongCode`, `CodeOver`,
        `StoreUnavailable`.
        """
        hashed, now = self._hashed(ticket, bound, digits(code)), milliseconds(self._clock())
        left = await self._writer.commit(lambda tx: codes.enter(tx, hashed, now))
        if left is not None:
            raise WrongCode(left) if left else CodeOver()

    async def close(self) -> None:
        for carrier in self._carriers.values():
            await carrier.close()

    def _hashed(self, ticket: str, bound: Bound, code: str) -> codes.Hashed:
        address = f"{bound.subject.kind}\x00{bound.subject.value}"
        said = f"{ticket}\x00{address}\x00{bound.use}\x00{code}"
        return codes.Hashed(
            self._digest("ticket", ticket), self._digest("address", address), self._digest("code", said)
        )

    def _digest(self, what: str, text: str) -> bytes:
        return hmac.digest(self._secret, f"{what}\x00{text}".encode(), "sha256")


def spaced(code: str) -> str:
    """In two halves, as people read numbers out."""
    return f"{code[: DIGITS // 2]} {code[DIGITS // 2 :]}"


def digits(typed: str) -> str:
    """What was typed or pasted, without blanks and dashes; digits of other scripts count (WCAG 3.3.8: paste works)."""
    return "".join(str(int(each)) for each in typed[:64] if each.isdecimal())
