"""Tags: by which a replica and its gateway know each other's words on the feed, whoever stands between them.

The feed may go over plain http inside a network, and whoever changes, drops, repeats or reorders what is on it would
make a replica allow for ever (R1). So each asking carries a challenge of its own and a tag, each answer a tag
over that challenge: HMAC-SHA256 with what the replica was enrolled with, which no request shows. What is held back only
ends the lease. Used by `gateway.following.feed` on the one side and `gateway.web.changes` on the other.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

LABEL = b"feed/1\x00"
HEADER = "Gateway-Feed"  # CHALLENGE.TAG
HEAD = ("more", "seq", "position", "log", "peppers")
GRANT = ("granted", "seconds", "leases", "term", "seq", "position", "log", "peppers")
CHALLENGE = 32  # hex digits


class Tags:
    """Those of one replica. `key`: the enrolment's (`gateway.decisions.key_of_replica`)."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, LABEL, "sha256")

    def follows(self, challenge: str, after: int) -> str:
        """Of an asking for the feed from a revision on."""
        return self._tag("follows", challenge, after)

    def piece(self, challenge: str, after: int, number: int, lines: bytes, head: Mapping[str, Any]) -> str:
        """Of the piece of that number (from 1) of a stream. `lines`: the digest of its changes (`Lines`)."""
        return self._tag("piece", challenge, after, number, lines.hex(), *(head[name] for name in HEAD))

    def renews(self, challenge: str, holder: str, applied: int, log: str, *, leave: bool) -> str:
        """Of an asking for a lease, or of giving it up."""
        return self._tag("renews", challenge, holder, applied, log, leave)

    def grant(self, challenge: str, told: Mapping[str, Any]) -> str:
        """Of the answer to an asking for a lease."""
        return self._tag("grant", challenge, *(told.get(name) for name in GRANT))

    def _tag(self, *said: object) -> str:
        return hmac.digest(self._key, orjson.dumps(said), "sha256").hex()


class Lines:
    """The digest of a piece's changes, in their order."""

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self._hashed = hashlib.sha256()
        for line in lines:
            self.add(line)

    def add(self, line: bytes) -> None:
        """One change as it is sent, without the field's name and without a newline."""
        self._hashed.update(line + b"\n")

    def digest(self) -> bytes:
        return self._hashed.digest()


def fresh() -> str:
    """A challenge that nobody saw before."""
    return secrets.token_hex(CHALLENGE // 2)


def asker(text: str, known: Iterable[Tags], tag: Callable[[Tags, str], str]) -> tuple[Tags, str] | None:
    """Whose an asking is, and its challenge, by the header; None where nobody known has made it. `tag`: what each of
    them would have written there.
    """
    challenge, _, stated = text.partition(".")
    if len(challenge) != CHALLENGE or not stated.isascii():
        return None
    return next(((each, challenge) for each in known if holds(stated, tag(each, challenge))), None)


def holds(stated: object, expected: str) -> bool:
    return isinstance(stated, str) and stated.isascii() and hmac.compare_digest(stated, expected)
