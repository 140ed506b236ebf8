"""Codes by e-mail or text message, for the doors that ask for proof: whoever reads one out to us shows that the mailbox
or number is theirs today.

Eight digits, good once, for ten minutes, for one use and in a browser (or app) that asked: that one holds a ticket, for
five tries. Sent whether the address is known here or not (V25). Who asks often is refused, by what they asked
themselves; what others asked for an address keeps nobody out and shows in nothing. A code shows nothing about the time
before the address passed to its present holder (R5).

A code is no choice, so no entry ever tells of one. Codes under way and who asked for them are kept in a table of the
ledger's file, not in memory, because a site may run several processes: the one that reads a code need not be the one
that sent it, what may be asked for is the same however many there are, and a restart loses nobody's. Never an address,
a number or a code, only keyed hashes, and those for an hour.
"""

import asyncio
import hmac
import os
import secrets as random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Protocol

from gateway.consent.choice_result import Refused
from gateway.delivery.letters import Letter
from gateway.keys.secret_files import Secrets
from gateway.ledger.entry import b64
from gateway.ledger.store import asked_or
from gateway.ledger.subjects import Subject, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.terms import CLOCKS_APART_MS, Purpose

MINUTE = 60_000  # milliseconds
GOOD_FOR = 10  # minutes: long enough for slow mail, short for a guess
AN_ENTRY_HOUR = 60  # minutes over which sends are counted
TRIES = 5  # of 10**8 codes: a guess succeeds once in twenty million
AN_ADDRESS = 3  # codes an hour to one mailbox or number for one use; then only where none that it has is good any more
AHEAD = CLOCKS_APART_MS  # of whichever machine sent a code: a later one is good for nothing
STAYS_GOOD = 8  # minutes: an older code than that has too little of its ten left to stand in for a new one
NONE_OF_ITS_OWN = b""


@dataclass(frozen=True, slots=True)
class Hashed:
    """One code as it is kept: whose browser asked (`ticket`), whom it went to and for which use (`address`), and what
    it says.
    """

    ticket: bytes
    address: bytes
    digest: bytes


class CodeKept(Enum):
    """What is to be done for whoever asked."""

    SEND = "send"
    ASKED = "asked"  # this sender asked for enough
    OLDER = "older"  # enough were sent to this address, and one of them is good: with this ticket, too
    FULL = "full"  # enough were sent to everybody


def keep_code(tx: Transaction, code: Hashed, now: int, everybody: int, asker: bytes = b"") -> CodeKept:
    """`asker`: whoever asks, empty for the operator's own servers, whom nobody counts. Who asks when an address was
    sent enough gets a ticket all the same, and enters a code that lies there: strangers who ask for somebody's codes
    keep nobody out, fill no mailbox, and see no difference.
    """
    hour = AN_ENTRY_HOUR * MINUTE
    tx.db.execute("DELETE FROM code WHERE at < ? OR at > ?", (now - hour, now + hour))  # or of a clock that was ahead
    if asker:
        sql = "SELECT count(*), count(CASE WHEN address = ? THEN 1 END) FROM code WHERE asker = ?"
        in_all, of_it = tx.db.execute(sql, (code.address, asker)).fetchone()
        if in_all >= ASKED_IN_ALL or of_it >= AN_HOUR:
            return CodeKept.ASKED
    if tx.db.execute("SELECT count(*) FROM code").fetchone()[0] >= everybody:
        return CodeKept.FULL
    sql = (
        "SELECT count(*), max(CASE WHEN digest IS NOT NULL AND at <= ? THEN at ELSE 0 END) FROM code"
        " WHERE address = ? AND digest IS NOT ?"
    )
    sent, newest = tx.db.execute(sql, (now + AHEAD, code.address, NONE_OF_ITS_OWN)).fetchone()
    older = sent >= AN_ADDRESS and newest >= now - STAYS_GOOD * MINUTE
    row = (code.ticket, code.address, now, NONE_OF_ITS_OWN if older else code.digest, asker or None)
    tx.db.execute("INSERT INTO code (ticket, address, at, digest, asker) VALUES (?, ?, ?, ?, ?)", row)
    return CodeKept.OLDER if older else CodeKept.SEND


def take_back_code(tx: Transaction, ticket: bytes) -> None:
    """It could not be sent, so it counts for nothing."""
    tx.db.execute("DELETE FROM code WHERE ticket = ?", (ticket,))


def enter_code(tx: Transaction, code: Hashed, now: int) -> int | None:
    """None for a code that was sent to this address for this use and was not used, whoever had asked for it, which is
    used up with it; otherwise how many tries are left with this ticket, 0 where it is over.
    """
    row = tx.db.execute("SELECT address, digest, tries, at FROM code WHERE ticket = ?", (code.ticket,)).fetchone()
    since, until = now - GOOD_FOR * MINUTE, now + AHEAD
    if row is None or row[1] is None or row[0] != code.address or not since <= row[3] <= until:
        return 0
    sql = "SELECT ticket, digest FROM code WHERE address = ? AND at BETWEEN ? AND ? AND digest <> ?"
    there = tx.db.execute(sql, (code.address, since, until, NONE_OF_ITS_OWN)).fetchall()
    right = [ticket for ticket, digest in there if hmac.compare_digest(digest, code.digest)]
    if right:
        used = [(ticket,) for ticket in {code.ticket, *right}]
        tx.db.executemany("UPDATE code SET digest = NULL WHERE ticket = ?", used)
        return None
    tries: int = row[2] + 1
    left = TRIES - tries
    tx.db.execute(
        "UPDATE code SET tries = ?, digest = CASE WHEN ? > 0 THEN digest END WHERE ticket = ?",
        (tries, left, code.ticket),
    )
    return left


def is_ticket(tx: Transaction, code: Hashed) -> bool:
    """Whether its ticket was given out, under the key that it is hashed with."""
    return tx.db.execute("SELECT 1 FROM code WHERE ticket = ?", (code.ticket,)).fetchone() is not None


ACCESS, ERASURE = "access", "erasure"  # what a code is good for, beside opting in

DIGITS = 8
SECONDS = GOOD_FOR * 60
AN_HOUR, ASKED_IN_ALL = 3, 30  # codes that one sender may ask for in an hour: for one address; for all, many being one
LASTS = 32  # sends whose time stands in for that of one that was not needed
LABEL = b"codes/1\x00"


class WrongCode(Refused):
    """Not the code that was sent; `left` tries remain."""

    def __init__(self, left: int) -> None:
        super().__init__("proof_required", f"that is not the code that was sent; {left} tries are left")
        self.left = left


class CodeOver(Refused):
    """Used, too old, tried too often, or of another browser, address or use: ask for a new one."""


class TooManyCodes(Refused):
    """Asked for by this sender, or by everybody together."""


class NotSent(Refused):
    """The mail server or the sender of texts did not take it. Nothing was used up."""


class CodeCarrier(Protocol):
    """What brings a letter to an address of one kind: mail, text messages."""

    async def send(self, to: str, letter: Letter) -> bool: ...
    def alarms(self) -> list[str]: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """What a code is bound to: whose it is, and the one use, `data` or `opt_in:sale`."""

    subject: Subject
    use: str


class TextSpending:
    """What texts with codes cost, of what they may cost on a day; counted in the ledger's file by all processes."""

    def __init__(self, writer: Writer, a_day: int) -> None:
        self._writer = writer
        self.a_day = a_day

    async def spend(self, day: date, price: int) -> bool:
        """Whether one more text may be sent; then it is counted, else that it was not. Raises `StoreUnavailable`."""
        named = day.isoformat()

        def job(tx: Transaction) -> bool:
            tx.db.execute("DELETE FROM text_cost WHERE day <> ?", (named,))
            tx.db.execute("INSERT INTO text_cost VALUES (?, 0, 0) ON CONFLICT DO NOTHING", (named,))
            sql = "UPDATE text_cost SET spent = spent + ? WHERE day = ? AND spent + ? <= ?"
            may = tx.db.execute(sql, (price, named, price, self.a_day)).rowcount > 0
            if not may:
                tx.db.execute("UPDATE text_cost SET refused = refused + 1 WHERE day = ?", (named,))
            return may

        return await self._writer.commit(job)

    def spent(self, day: date) -> tuple[int, int]:
        """What they cost so far, and how many were not sent; where that cannot be read somebody else has an alarm."""
        sql, named = "SELECT spent, refused FROM text_cost WHERE day = ?", day.isoformat()
        row = asked_or(self._writer.store, lambda db: db.execute(sql, (named,)).fetchone(), None)
        return row or (0, 0)


class Codes:
    """`carriers` by the kind of identifier; a kind without one is not offered. `an_hour`: codes to everybody."""

    def __init__(
        self,
        writer: Writer,
        secrets: Secrets,
        clock: Callable[[], datetime],
        carriers: Mapping[str, CodeCarrier],
        an_hour: int,
    ) -> None:
        self._writer = writer
        self._secrets = [hmac.digest(key, LABEL, "sha256") for key in reversed(secrets.tokens)]  # the newest makes
        self._clock = clock
        self._carriers = dict(carriers)
        self._an_hour = an_hour
        self._lasted: dict[str, deque[tuple[float, bool]]] = {kind: deque(maxlen=LASTS) for kind in carriers}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of identifier that a code can be sent to."""
        return tuple(self._carriers)

    def alarms(self) -> list[str]:
        """The alarms that somebody has to look at."""
        return [alarm for carrier in self._carriers.values() for alarm in carrier.alarms()]

    async def send(self, bound: Bound, word: Callable[[str], Letter], asker: bytes = b"") -> str:
        """The ticket of whoever asked; only with one a code is good. `word` writes the letter around the code. `asker`:
        the sender's name of the day, empty for the operator's own servers. Raises `TooManyCodes`, `NotSent`,
        `StoreUnavailable`.
        """
        carrier, failed = self._carriers.get(bound.subject.kind), "the code could not be sent; try again"
        if carrier is None:
            raise NotSent("code_not_sent", failed)
        ticket, code = b64(os.urandom(16)), f"{random.randbelow(10**DIGITS):0{DIGITS}d}"
        hashed, now = self._hashed(self._secrets[0], ticket, bound, code), milliseconds(self._clock())
        kept = await self._writer.commit(lambda tx: keep_code(tx, hashed, now, self._an_hour, asker))
        if kept in {CodeKept.ASKED, CodeKept.FULL}:
            raise TooManyCodes("too_many_codes", f"{AN_HOUR} codes an hour may be asked for; try again in an hour")
        # `OLDER`: codes enough lie with this address. None is sent, and the answer takes as long as if one were.
        sending = carrier.send(bound.subject.value, word(spaced(code))) if kept is CodeKept.SEND else None
        if not await (self._timed(bound.subject.kind, sending) if sending else self._as_others(bound.subject.kind)):
            await self._writer.commit(lambda tx: take_back_code(tx, hashed.ticket))
            raise NotSent("code_not_sent", failed)
        return ticket

    async def _timed(self, kind: str, sending: Awaitable[bool]) -> bool:
        began = time.monotonic()
        taken = await sending
        self._lasted[kind].append((time.monotonic() - began, taken))
        return taken

    async def _as_others(self, kind: str) -> bool:
        """As long as a send took just now, and as well as the last one went: who asks does not see that none was
        needed.
        """
        lasted = self._lasted[kind]
        if lasted:
            await asyncio.sleep(lasted[random.randbelow(len(lasted))][0])
        return not lasted or lasted[-1][1]

    async def enter(self, ticket: str, bound: Bound, code: str) -> None:
        """Returns where it is the one that was sent, which is then used up. Raises `WrongCode`, `CodeOver`,
        `StoreUnavailable`.
        """
        forms = [self._hashed(secret, ticket, bound, digits(code)) for secret in self._secrets]
        now = milliseconds(self._clock())

        def job(tx: Transaction) -> int | None:
            return enter_code(tx, next((form for form in forms if is_ticket(tx, form)), forms[0]), now)

        left = await self._writer.commit(job)
        if left is not None:
            over = CodeOver("proof_required", "this code is over, or not for this; ask for a new one")
            raise WrongCode(left) if left else over

    async def close(self) -> None:
        for carrier in self._carriers.values():
            await carrier.close()

    def _hashed(self, secret: bytes, ticket: str, bound: Bound, code: str) -> Hashed:
        address = f"{bound.subject.kind}\x00{bound.subject.value}\x00{bound.use}"
        said = {"ticket": ticket, "address": address, "code": f"{address}\x00{code}"}
        return Hashed(*(hmac.digest(secret, f"{what}\x00{text}".encode(), "sha256") for what, text in said.items()))


def spaced(code: str) -> str:
    """In two halves, as people read numbers out."""
    return f"{code[: DIGITS // 2]} {code[DIGITS // 2 :]}"


def digits(typed: str) -> str:
    """What was typed or pasted, without blanks and dashes; digits of other scripts count (WCAG 3.3.8: paste works)."""
    return "".join(str(int(each)) for each in typed[:64] if each.isdecimal())


def opting_in(purpose: Purpose, recipient: str = "") -> str:
    """The use of a code for opting in: to one purpose, and where one is named for one recipient."""
    return f"opt_in:{purpose}:{recipient}" if recipient else f"opt_in:{purpose}"


def is_opting_in(use: str) -> bool:
    return use.startswith("opt_in:")


def opted_into(use: str) -> tuple[str, str]:
    """(purpose, recipient or nothing) of such a use."""
    purpose, _, recipient = use.removeprefix("opt_in:").partition(":")
    return purpose, recipient
