"""What every answer of ours tells browsers not to do (ASVS 5.0.0 V3.4; ledger.md V9, V10).

A door that says something itself is not overruled. The site behind us is the operator's: its answers are left alone.
"""

from collections.abc import Iterable, MutableMapping, Sequence
from functools import lru_cache
from typing import Any

from gateway.web.peer import Peers

Headers = list[tuple[bytes, bytes]]
# Nothing of ours is a page by default, so none of it may load, frame or post anything; pages say what they may.
ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
RESOURCES = b"cross-origin-resource-policy"
# Read on purpose by other sites' pages, and the same for everybody: the log, the statement, the ad tools' endpoints,
# and the files of a choices page that stands on another of the operator's hosts.
Scope = MutableMapping[str, Any]
PUBLIC = ("/ledger/", "/.well-known/", "/adchoices", "/privacy-choices/consent.js", "/privacy-choices/choices.css")
SAME_SITE = (b"SameSite=Lax", b"SameSite=Strict")
EVERYWHERE = b"SameSite=None; Partitioned"  # CHIPS: a cookie jar for each site that the page is framed by
FRAMED = b"frame-ancestors 'self'"  # what a page says that may be framed at all
SENT_HERE = (b"vary", b"Sec-Fetch-Site, Origin")  # what decides whether a form is ours (cross_site)


class Shield:
    """`transport` is the Strict-Transport-Security of answers that went out encrypted (RFC 6797, 7.2: on no others);
    empty: none, as in development, where a browser would refuse this machine's plain loopback for a year. `framed_by`:
    exact origins of the operator that may show the choices page in a frame; its cookies go with it there.
    """

    def __init__(self, peers: Peers, transport: str = "", framed_by: Sequence[str] = ()) -> None:
        self._peers = peers
        self._transport = transport.encode()
        self._framed_by = " ".join([FRAMED.decode(), *framed_by]).encode() if framed_by else b""

    def over(self, scope: Scope, said: Iterable[tuple[bytes, bytes]]) -> Headers:
        """The headers of an answer, completed."""
        headers = [self._framed(*pair) for pair in said] if self._framed_by else list(said)
        path = scope["path"]
        headers += _missing(frozenset([name for name, _ in headers]), path.startswith(PUBLIC))
        if scope["method"] == "POST" and path.startswith("/privacy-choices"):
            headers.append(SENT_HERE)
        if self._transport and self._peers.https(scope):
            headers.append((b"strict-transport-security", self._transport))
        return headers

    def _framed(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        """A header as it has to be where a page of ours stands in a frame of another site."""
        if name == b"content-security-policy":
            return name, value.replace(FRAMED, self._framed_by)
        if name == b"set-cookie":
            for words in SAME_SITE:
                value = value.replace(words, EVERYWHERE)
        return name, value


@lru_cache(maxsize=256)  # a door's answers have few sets of headers; asked once more for each check
def _missing(names: frozenset[bytes], public: bool) -> tuple[tuple[bytes, bytes], ...]:
    """What an answer with these headers does not say by itself."""
    resources = (RESOURCES, b"cross-origin" if public else b"same-origin")
    return tuple(pair for pair in (*ALWAYS, resources) if pair[0] not in names)
