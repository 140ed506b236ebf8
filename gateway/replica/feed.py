"""What the gateway tells a replica, over HTTP: pieces of the feed, and leases, each under a tag. The replica's follower
asks here; `web.api.feed` makes the same tags.

What comes are rows and edges as they lie in the gateway's state. A piece is whole or is not there: they are handed on
at the `head` event that says up to where all was sent, and only where its tag shows that the gateway sent these, in
this order.

The feed may go over plain http inside a network, and whoever changes, drops, repeats or reorders what is on it would
make a replica allow for ever (R1). So each asking carries a challenge of its own and a tag, each answer a tag over that
challenge: HMAC-SHA256 with what the replica was enrolled with, which no request shows. What is held back only ends the
lease.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx2
import orjson

from gateway.state.packed_rows import EDGE_BYTES, KEY_BYTES, NotAState, StateHead, unpack_head

LABEL = b"feed/1\x00"
HEADER = "Gateway-Feed"  # CHALLENGE.TAG
HEAD = ("more", "seq", "position", "log", "peppers", "state")
WAITS_FOR_NOBODY = "the gateway is of an older release and waits for no replica ([replicas] leases = false): upgrade it"
TIME = "time"  # the gateway's, of its wall clock
ASKS_TIME = "t"  # begins the challenge of whoever reads that: an older gateway takes any challenge, and tells no time
GRANT = ("granted", "seconds", "leases", "term", "seq", "position", "log", "peppers")
CHALLENGE = 32  # hex digits


class Tags:
    """The tags of one replica. `key`: the enrolment's (`consent.decisions.keys_of_replica`); `peppers`: those of
    which both know, for whoever makes keys under others would find nobody in what is sent.
    """

    def __init__(self, key: bytes, peppers: Sequence[bytes]) -> None:
        later = b"".join(hmac.digest(each, LABEL, "sha256") for each in peppers[1:])
        self._key = hmac.digest(key, LABEL + later, "sha256")

    def follows(self, challenge: str, after: int) -> str:
        """Of an asking for the feed from a seq on."""
        return self._tag("follows", challenge, after)

    def piece(self, challenge: str, after: int, number: int, lines: bytes, head: Mapping[str, Any]) -> str:
        """Of the piece of that number (from 1) of a stream. `lines`: the digest of its changes (`Lines`)."""
        return self._tag("piece", challenge, after, number, lines.hex(), *(head.get(name) for name in HEAD))

    def renews(self, challenge: str, holder: str, applied: int, log: str, root: str = "", *, leave: bool) -> str:
        """Of an asking for a lease, or of giving it up."""
        return self._tag("renews", challenge, holder, applied, log, root, leave)

    def grant(self, challenge: str, told: Mapping[str, Any]) -> str:
        """Of the answer to an asking for a lease. Its time is under it where the asker reads that, so that nobody
        between takes it out; older releases know an answer without.
        """
        names = (*GRANT, TIME) if challenge.startswith(ASKS_TIME) and TIME in told else GRANT
        return self._tag("grant", challenge, *(told.get(name) for name in names))

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


SILENCE = 3.0  # seconds without a beat (there is one each second) after which a stream counts as cut
LONGEST = 2**24  # bytes of a line; a row has some hundreds, an account of thousands as many keys
MOST_BYTES = 2**27  # of a piece; 2,000 places have some hundred kilobytes
DATA = b"data: "
STREAM = "text/event-stream"
BEGIN_ANEW = 410


FORGED = "what came is not from the gateway that enrolled this replica, or was changed on the way"


class Gone(Exception):
    """What is known here is of no use: begin with after=0."""


class FeedRefused(Exception):
    """No answer, or none that can be read. The text says which."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What lies in some places, None where nothing does any more. Whoever has applied it has all up to `head`'s
    position; `more`: there is more already.
    """

    places: dict[bytes, bytes | None]
    head: StateHead
    more: bool


class Applied(NamedTuple):
    """How far a replica's copy is: a position of a log, and the log's root there; nothing at first."""

    position: int = 0
    log: str = ""
    root: bytes = b""


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """`seconds` from before the asking; 0: not granted. `time`: of the gateway's wall clock; None of an older one."""

    seconds: float
    seq: int
    term: float
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """One gateway, by its address and a key with scope replica; `tags` show that it is it."""

    client: httpx2.Client
    key: str = field(repr=False)
    tags: Tags = field(repr=False)

    def pieces(self, after: int, root: bytes) -> Iterator[Piece]:
        """As they come, until the stream ends. `root`: of the log at `after`, as far as that is known. Raises `Gone`,
        `FeedRefused`.
        """
        challenge = fresh()
        headers = {**self._headers(challenge, self.tags.follows(challenge, after)), "Accept": STREAM}
        try:
            with self.client.stream(
                "GET",
                "/v1/changes",
                params={"after": str(after), "root": root.hex()},
                headers=headers,
                timeout=SILENCE,
            ) as answer:
                _expect(answer)
                yield from self._pieces(_lines(answer.iter_raw()), challenge, after)
        except httpx2.HTTPError as error:
            raise FeedRefused(type(error).__name__) from error

    def renew(self, holder: str, applied: Applied, seconds: float) -> LeaseAnswer:
        """Raises `Gone`, `FeedRefused`."""
        challenge = ASKS_TIME + fresh()[len(ASKS_TIME) :]
        asked = {"holder": holder, "applied": applied.position, "log": applied.log, "root": applied.root.hex()}
        told = self._post(asked, challenge, seconds)
        if not isinstance(told, dict) or not holds(told.get("tag"), self.tags.grant(challenge, told)):
            raise FeedRefused(FORGED)
        if told.get("leases") is not True:
            raise FeedRefused(WAITS_FOR_NOBODY)
        try:
            granted = float(told["seconds"]) if told["granted"] else 0.0
            time = datetime.fromisoformat(told[TIME]).astimezone(UTC) if TIME in told else None
            return LeaseAnswer(granted, int(told["seq"]), float(told["term"]), time)
        except (KeyError, TypeError, ValueError) as error:
            raise FeedRefused("a lease that cannot be read") from error

    def leave(self, holder: str, seconds: float) -> None:
        self._post({"holder": holder, "applied": 0, "log": "", "leave": True}, fresh(), seconds)

    def _post(self, body: dict[str, Any], challenge: str, seconds: float) -> Any:
        leave = bool(body.get("leave"))
        said = body["holder"], body["applied"], body["log"], body.get("root", "")
        tag = self.tags.renews(challenge, *said, leave=leave)
        try:
            answer = self.client.post("/v1/leases", json=body, headers=self._headers(challenge, tag), timeout=seconds)
            _expect(answer)
            return answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise FeedRefused(type(error).__name__) from error

    def _headers(self, challenge: str, tag: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", HEADER: f"{challenge}.{tag}"}

    def _pieces(self, lines: Iterable[bytes], challenge: str, after: int) -> Iterator[Piece]:
        places = dict[bytes, bytes | None]()
        head, number, told, size = False, 1, Lines(), 0
        for line in lines:
            size += len(line)
            if size > MOST_BYTES:  # whoever is between could send for ever: its tag is looked at only at the end
                raise FeedRefused("a piece without end")
            if line == b"event: head":
                head = True
            elif line.startswith(DATA) and not head:
                told.add(line[len(DATA) :])
                place, packed = _place(_content(line))
                places[place] = packed
            elif line.startswith(DATA):
                content = _content(line)
                piece = _piece(places, content)
                expected = self.tags.piece(challenge, after, number, told.digest(), content)
                if not holds(content.get("tag"), expected):
                    raise FeedRefused(FORGED)
                yield piece
                places, head, number, told, size = {}, False, number + 1, Lines(), 0


def _expect(answer: httpx2.Response) -> None:
    if answer.status_code == BEGIN_ANEW:
        raise Gone
    if not answer.is_success:
        raise FeedRefused(f"the gateway answers {answer.status_code}")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What ends in a newline, without it. Raises `FeedRefused` for a line that no gateway writes."""
    begun = b""
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun += first
        if len(begun) > LONGEST:
            raise FeedRefused("a line without end")
        for line in others:
            yield begun
            begun = line


def _content(line: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(line[len(DATA) :])
    except ValueError as error:
        raise FeedRefused("an event that cannot be read") from error
    if not isinstance(content, dict):
        raise FeedRefused("an event that cannot be read")
    return content


def place_line(place: bytes, packed: bytes | None) -> dict[str, str | None]:
    """What lies in a place of the state, as the feed says it."""
    return {"place": b64encode(place).decode(), "row": None if packed is None else b64encode(packed).decode()}


def _place(content: dict[str, Any]) -> tuple[bytes, bytes | None]:
    try:
        place, packed = b64decode(content["place"], validate=True), content["row"]
        row = None if packed is None else b64decode(packed, validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise FeedRefused("a row that cannot be read: are gateway and replica of one version?") from error
    if not KEY_BYTES <= len(place) <= EDGE_BYTES:
        raise FeedRefused("a place of another length")
    return place, row


def _piece(places: dict[bytes, bytes | None], content: dict[str, Any]) -> Piece:
    try:
        head = unpack_head(b64decode(content["state"], validate=True))
        return Piece(places, head._replace(position=int(content["seq"])), bool(content["more"]))
    except (KeyError, TypeError, ValueError, NotAState) as error:
        raise FeedRefused("an event that cannot be read: are gateway and replica of one version?") from error
