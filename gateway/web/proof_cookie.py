"""`__Host-gateway-proof`: a confirmation's openings on their way to the one who typed the values, and to nobody else.

What was typed is stored nowhere, so the openings travel sealed, in the browser that posted, for `SECONDS`. Two things
are needed to read them: this cookie, and a ticket that stands only in the first showing of the confirmation. Whoever
comes to the same computer later has no ticket (R16, R35), and the cookie goes with the download or the next visit to
the form. Never in a path, a query or a log.
"""

import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import orjson

from gateway import seals
from gateway.ledger import receipt
from gateway.ledger.entry import b64
from gateway.ledger.receipt import Opening

COOKIE = "__Host-gateway-proof"
LABEL = b"proof/1"
SECONDS = 15 * 60  # as long as a confirm token; nobody needs longer to press a button
MOST = 3800  # bytes: browsers drop a cookie whose name, value and attributes pass 4,096 (RFC 6265bis)
GONE = f"{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the cookie holds. `events`: of one submission, an opening each; the first is the confirmation's name.
    `ticket`: empty until the confirmation was shown. `until`: Unix seconds.
    """

    events: tuple[str, ...]
    openings: tuple[Opening, ...] = field(repr=False)
    until: int
    ticket: str = field(default="", repr=False)

    def shown(self) -> "Kept":
        """The same with the ticket of its one showing."""
        return replace(self, ticket=b64(os.urandom(16)))

    def opens_with(self, event: str, ticket: str) -> bool:
        """Whether a download with this ticket comes from the confirmation of this event."""
        whole = self.ticket and self.events[0] == event
        return bool(whole) and hmac.compare_digest(self.ticket.encode(), ticket.encode())


def set_cookie(keys: Sequence[bytes], kept: Kept, now: int) -> str | None:
    """The value of Set-Cookie; None where it would be longer than browsers keep."""
    opened = [opening.to_json() for opening in kept.openings]
    content = orjson.dumps([kept.events, opened, kept.until, kept.ticket])
    value = b64(seals.seal(keys[-1], LABEL, content))
    if len(value) > MOST:
        return None
    return f"{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={max(0, kept.until - now)}"


def read(keys: Sequence[bytes], jar: Iterable[tuple[str, str]], now: int) -> Kept | None:
    """What a request's cookies hold; None where there is nothing, or nothing that is ours and in time."""
    for name, value in jar:
        if name == COOKIE:
            try:
                events, opened, until, ticket = orjson.loads(seals.open_seal(keys, LABEL, seals.unb64(value)))
                kept = Kept(tuple(events), tuple(receipt.opening(each) for each in opened), until, ticket)
            except (seals.Opening, ValueError):
                continue
            return kept if kept.until >= now else None
    return None


def first_showing(keys: Sequence[bytes], jar: Iterable[tuple[str, str]], now: int, event: str) -> Kept | None:
    """With its ticket, where the confirmation of this event is shown for the first time in the browser that posted."""
    kept = read(keys, jar, now)
    fresh = kept is not None and not kept.ticket and kept.events[0] == event
    return kept.shown() if kept and fresh else None
