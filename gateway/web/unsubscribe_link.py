"""Links that end marketing by themselves: whoever holds one may say no for the people sealed in it, and nothing else.

Sealed, so that nobody reads an address out of a URL, a mail server's log or a browser's history. They have no end: a
link of years ago still works, until the sealing key that made it is retired. That waits 400 days (gateway.rekey);
15 USC 7704(a)(3)(A)(ii) asks for 30.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import orjson

from gateway import seals
from gateway.ledger.entry import b64
from gateway.ledger.subjects import Subject
from gateway.terms import Purpose

LABEL = b"unsubscribe/1"
PATH = "/privacy-choices/unsubscribe/"
CHANNELS = (Purpose.MARKETING_EMAIL, Purpose.MARKETING_MAIL, Purpose.MARKETING_TEXT, Purpose.MARKETING_CALL)
KINDS = frozenset({"email", "phone", "account"})
MOST = 4  # people are known by an address, a number and an account; a URL has to fit into a header's line
ONE_CLICK = "List-Unsubscribe=One-Click"  # RFC 8058, 3.1


class Made(TypedDict):
    """What a sender of e-mail is given."""

    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Link:
    """Which channel ends, and for which (kind, value), as a caller named them and we read them."""

    channel: Purpose
    people: tuple[tuple[str, str], ...] = field(repr=False)

    def named(self) -> list[dict[str, str]]:
        """The people as the inner rooms take them."""
        return [{"type": kind, "value": value} for kind, value in self.people]


def of(channel: Purpose, subjects: Sequence[Subject]) -> Link:
    """Raises ValueError for people who cannot stand in a link: nobody, too many, or of another kind."""
    if not 0 < len(subjects) <= MOST or any(subject.kind not in KINDS for subject in subjects):
        raise ValueError(f"a link is of 1 to {MOST} e-mail addresses, phone numbers and accounts")
    return Link(channel, tuple((subject.kind, subject.value) for subject in subjects))


def seal(keys: Sequence[bytes], link: Link) -> str:
    """The token of a link. No two are alike, so that nobody can tell whether two letters went to one person."""
    return b64(seals.seal(keys[-1], LABEL, orjson.dumps([link.channel, link.people])))


def read(keys: Sequence[bytes], token: str) -> Link:
    """Raises `seals.Opening` for what is none of ours."""
    channel, people = orjson.loads(seals.open_seal(keys, LABEL, seals.unb64(token)))
    return Link(Purpose(channel), tuple((kind, value) for kind, value in people))


def answer(base: str, token: str) -> Made:
    """The link and the two header fields of RFC 8058. `base` is the public origin."""
    url = f"{base}{PATH}{token}"
    return {"url": url, "headers": {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": ONE_CLICK}}
