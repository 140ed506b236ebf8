"""`__Host-gateway-code`: a code under way, and then what it proved, in the one browser that asked for it.

Sealed: it holds the address that the code went to, so that nobody need type it twice and we need not store it. It is
good for one use; another browser has no such cookie, and a code is good with its ticket alone. Never in a path, a query
or a log. It goes with what it was for, or with its time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from gateway import seals
from gateway.codes import SECONDS
from gateway.ledger.entry import b64

COOKIE = "__Host-gateway-code"
LABEL = b"code/1"
PROVED_SECONDS = 15 * 60  # as long as a confirm token; nobody needs longer to read two pages
ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"
GONE = f"{COOKIE}=; {ATTRIBUTES}; Max-Age=0"


@dataclass(frozen=True, slots=True)
class Coded:
    """`ticket`: of the code that was sent; empty once it was read out. `until`: Unix seconds."""

    use: str
    kind: str
    value: str = field(repr=False)
    until: int
    ticket: str = field(default="", repr=False)

    @property
    def proved(self) -> bool:
        return not self.ticket

    @property
    def identifier(self) -> dict[str, str]:
        return {"type": self.kind, "value": self.value}


def waiting(use: str, kind: str, value: str, ticket: str, now: int) -> Coded:
    """A code was sent and is waited for."""
    return Coded(use, kind, value, now + SECONDS, ticket)


def proved(coded: Coded, now: int) -> Coded:
    """It was read out."""
    return Coded(coded.use, coded.kind, coded.value, now + PROVED_SECONDS)


def set_cookie(keys: Sequence[bytes], coded: Coded, now: int) -> str:
    """The value of Set-Cookie."""
    content = orjson.dumps([coded.use, coded.kind, coded.value, coded.until, coded.ticket])
    sealed = b64(seals.seal(keys[-1], LABEL, content))
    return f"{COOKIE}={sealed}; {ATTRIBUTES}; Max-Age={max(0, coded.until - now)}"


def read(keys: Sequence[bytes], jar: Iterable[tuple[str, str]], now: int) -> Coded | None:
    """What a request's cookies hold; None where there is nothing, or nothing that is ours and in time."""
    for name, value in jar:
        if name == COOKIE:
            try:
                coded = Coded(*orjson.loads(seals.open_seal(keys, LABEL, seals.unb64(value))))
            except (seals.Opening, ValueError, TypeError):
                continue
            if coded.until >= now:
                return coded
    return None
