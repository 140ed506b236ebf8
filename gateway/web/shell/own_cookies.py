"""The gateway's own cookies, set and read for the pages and the site: what a browser remembers for us, a code that was
entered, a confirmation's proof. Never in a path, a query or a log.

`__Host-gateway` remembers a browser's opt-out (R9). `__Host-gateway-said` says the same for an hour behind a form: the
answer to a page that was asked for before it may come behind it, and put the cookie of a new browser in its place.

`__Host-gateway-code`: a code under way, and then what it proved, in the one browser that asked for it. Sealed: it holds
the address that the code went to, so that nobody need type it twice and we need not store it. It is good for one use,
with its ticket alone, and goes with what it was for, or with its time.

`__Host-gateway-proof`: a confirmation's openings on their way to the one who typed the values, and to nobody else. What
was typed is stored nowhere, so the openings travel sealed, in the browser that posted, for `SECONDS`. Two things are
needed to read them: this cookie, and a ticket that stands only in the first showing of the confirmation. Whoever comes
to the same computer later has no ticket (R16, R35), and the cookie goes with the download or the next visit to the
form.
"""

import contextlib
import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from starlette.responses import Response

from gateway.consent.choice_result import Chosen
from gateway.keys import seals
from gateway.keys.seals import BrowserCookie, Content, Sealed
from gateway.ledger.entry import b64
from gateway.ledger.proof import receipt
from gateway.ledger.proof.receipt import Opening
from gateway.signals.heard import Heard
from gateway.terms import Purpose

Jar = Iterable[tuple[str, str]]  # the names and values of a request's cookies
BROWSER_COOKIES = BROWSER_COOKIE, SAID_COOKIE = "__Host-gateway", "__Host-gateway-said"
DAYS = 400  # the longest that browsers keep a cookie (RFC 6265bis); an opt-out itself has no end
RENEW_DAYS = 30  # not at each navigation: that would end caching (R9)
EPOCH = date(1970, 1, 1).toordinal()
LASTING = "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="  # `__Host-`: Secure, Path=/, no Domain
BROWSER_ATTRIBUTES = f"{LASTING}{DAYS * 86_400}"
SAID_SECONDS = 3600  # no page's answer is on its way for longer
SAID_COOKIE_GONE = f"{SAID_COOKIE}=; {LASTING}0"


def day(now: datetime) -> int:
    """A moment in days since 1970."""
    return now.date().toordinal() - EPOCH


def is_due(old: BrowserCookie | None, heard: Heard, how: str, today: int) -> bool:
    """Whether there is anything to remember that the browser's cookie does not say, or will soon not say any more."""
    if old is None:
        return how != "off" and (bool(heard.remembered) or (how == "id" and heard.has_states))
    return old.lost or today - old.day >= RENEW_DAYS or not _learnt(heard, how) <= old.denied


def _learnt(heard: Heard, how: str) -> frozenset[Purpose]:
    """What a request adds to a cookie, for both. `off` stops that alone: a no that a cookie says already stays."""
    return frozenset() if how == "off" else heard.remembered


def remembering(
    keys: Sequence[bytes], old: BrowserCookie | None, heard: Heard, how: str, today: int, *, unwritten: bool = False
) -> str | None:
    """The Set-Cookie that remembers what was heard; None where there is nothing new. `how` is `[browser] remember_gpc`.
    A cookie that is `RENEW_DAYS` old is made again, with a new nonce; one that cannot be opened is replaced by one that
    says no to everything, of a browser that nobody knew before. A state needs an id to be kept under; it is not written
    into the cookie, which can only tighten, because a state can end. `unwritten`: what was heard may be on no record
    where the id is a new one, so that whatever ever names this browser says it; an older id may be known without it,
    and a flag names nobody.
    """
    if not is_due(old, heard, how, today):
        return None
    fresh = seals.NO_ID if how == "flag" else seals.new_browser()
    denied = (old.denied if old else frozenset()) | _learnt(heard, how)
    known = old and not (old.lost and old.browser == seals.NO_ID)
    if old and known:
        return set_browser_cookie(keys, replace(old, day=today, denied=denied, lost=False))
    return set_browser_cookie(keys, BrowserCookie(fresh, today, denied, unwritten=unwritten and how == "id"))


def set_browser_cookie(keys: Sequence[bytes], cookie: BrowserCookie) -> str:
    """The value of Set-Cookie."""
    return f"{BROWSER_COOKIE}={seals.seal_cookie(keys, cookie)}; {BROWSER_ATTRIBUTES}"


def remember_said(response: Response, keys: Sequence[bytes], cookie: BrowserCookie) -> None:
    """Has the answer to a form bring the browser's cookie along, and what says it once more where a page takes it."""
    said = f"{SAID_COOKIE}={seals.seal_cookie(keys, replace(cookie, day=0))}; {LASTING}{SAID_SECONDS}"
    for each in (set_browser_cookie(keys, cookie), said):
        response.headers.append("set-cookie", each)


CODE_COOKIE = "__Host-gateway-code"
CODE = Sealed(b"code/1", tuple[str, str, str, int, str])
CARRIED = "Path=/; Secure; HttpOnly; SameSite=Strict"  # from one page of ours to the next
PROOF_SECONDS = 15 * 60  # as long as a confirm token; nobody needs longer to read two pages, or to press a button
CODE_COOKIE_GONE = f"{CODE_COOKIE}=; {CARRIED}; Max-Age=0"


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


def set_code_cookie(keys: Sequence[bytes], coded: Coded, now: int) -> str:
    """The value of Set-Cookie."""
    sealed = CODE.seal(keys, (coded.use, coded.kind, coded.value, coded.until, coded.ticket))
    return f"{CODE_COOKIE}={sealed}; {CARRIED}; Max-Age={max(0, coded.until - now)}"


def read_code_cookie(keys: Sequence[bytes], jar: Jar, now: int) -> Coded | None:
    """What a request's cookies hold; None where there is nothing, or nothing that is ours and in time."""
    found = _first_of_ours(CODE, keys, jar, CODE_COOKIE)
    coded = Coded(*found) if found else None
    return coded if coded and coded.until >= now else None


def _first_of_ours(kind: Sealed[Content], keys: Sequence[bytes], jar: Jar, name: str) -> Content | None:
    """What the first cookie of this name holds that is one of ours."""
    for each, value in jar:
        if each == name:
            with contextlib.suppress(seals.OpeningFailed):
                return kind.open(keys, value)
    return None


PROOF_COOKIE = "__Host-gateway-proof"
PROOF = Sealed(b"proof/1", tuple[tuple[str, ...], tuple[dict[str, str], ...], int, str])
MOST = 3800  # bytes: browsers drop a cookie whose name, value and attributes pass 4,096 (RFC 6265bis)
PROOF_COOKIE_GONE = f"{PROOF_COOKIE}=; {CARRIED}; Max-Age=0"


@dataclass(frozen=True, slots=True)
class ProofsKept:
    """What the cookie holds. `events`: of one submission, an opening each; the first is the confirmation's name.
    `ticket`: empty until the confirmation was shown. `until`: Unix seconds.
    """

    events: tuple[str, ...]
    openings: tuple[Opening, ...] = field(repr=False)
    until: int
    ticket: str = field(default="", repr=False)

    def shown(self) -> "ProofsKept":
        """The same with the ticket of its one showing."""
        return replace(self, ticket=b64(os.urandom(16)))

    def opens_with(self, event: str, ticket: str) -> bool:
        """Whether a download with this ticket comes from the confirmation of this event."""
        whole = self.ticket and self.events[0] == event
        return bool(whole) and hmac.compare_digest(self.ticket.encode(), ticket.encode())


def set_proof_cookie(keys: Sequence[bytes], kept: ProofsKept, now: int) -> str | None:
    """The value of Set-Cookie; None where it would be longer than browsers keep."""
    opened = tuple(opening.to_json() for opening in kept.openings)
    value = PROOF.seal(keys, (kept.events, opened, kept.until, kept.ticket))
    if len(value) > MOST:
        return None
    return f"{PROOF_COOKIE}={value}; {CARRIED}; Max-Age={max(0, kept.until - now)}"


def read_proof_cookie(keys: Sequence[bytes], jar: Jar, now: int) -> ProofsKept | None:
    """What a request's cookies hold; None where there is nothing, or nothing that is ours and in time."""
    found = _first_of_ours(PROOF, keys, jar, PROOF_COOKIE)
    if found is None or found[2] < now:
        return None
    events, opened, until, ticket = found
    return ProofsKept(events, tuple(receipt.opening(each) for each in opened), until, ticket)


def first_showing(keys: Sequence[bytes], jar: Jar, now: int, event: str) -> ProofsKept | None:
    """With its ticket, where the confirmation of this event is shown for the first time in the browser that posted."""
    kept = read_proof_cookie(keys, jar, now)
    fresh = kept is not None and not kept.ticket and kept.events[0] == event
    return kept.shown() if kept and fresh else None


def was_said_here(keys: Sequence[bytes], jar: Jar, now: int, event: str) -> bool:
    """Whether it was in this browser, and no while ago, that what the confirmation of this event is of was said."""
    kept = read_proof_cookie(keys, jar, now)
    return kept is not None and kept.events[0] == event


def keep_proofs(response: Response, keys: Sequence[bytes], kept: ProofsKept | None, now: int) -> None:
    """Has an answer bring them along, where there are any that browsers keep."""
    made = set_proof_cookie(keys, kept, now) if kept else None
    if made:
        response.headers.append("set-cookie", made)


def hand_out_proofs(response: Response, keys: Sequence[bytes], chosen: Chosen, now: int) -> None:
    """The same of what was just written, for the confirmation that the answer leads to."""
    events = tuple(str(each["event"]) for each in chosen.events)
    keep_proofs(response, keys, ProofsKept(events, chosen.openings, now + PROOF_SECONDS), now)
