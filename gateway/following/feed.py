"""What the gateway tells a replica: pieces of the feed, and leases. HTTP only; keeps nothing.

A piece is whole or is not there: rows are handed on at the `head` event that says up to where all was sent, and only
where its tag shows that the gateway sent these, in this order (tags.py).
"""

from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson

from gateway.following import tags
from gateway.following.tags import Lines, Tags
from gateway.mirror.memory_map import KEY_BYTES
from gateway.mirror.row import NotARow, check

SILENCE = 3.0  # seconds without a beat (there is one each second) after which a stream counts as cut
LONGEST = 2**20  # bytes of a line; a row has some hundreds
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
    """Rows as a map keeps them. Whoever has applied it has all up to `seq`; `more`: there is more already."""

    rows: dict[bytes, bytes]
    seq: int
    position: int
    log: str
    peppers: int
    more: bool


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """`seconds` from before the asking; 0: not granted. `leases` False: good for `term` once `seq` is applied."""

    seconds: float
    seq: int
    term: float
    leases: bool


@dataclass(frozen=True, slots=True)
class Feed:
    """One gateway, by its address and a key with scope replica; `tags` show that it is it."""

    client: httpx2.Client
    key: str = field(repr=False)
    tags: Tags = field(repr=False)

    def pieces(self, after: int) -> Iterator[Piece]:
        """As they come, until the stream ends. Raises `Gone`, `FeedRefused`."""
        challenge = tags.fresh()
        headers = {**self._headers(challenge, self.tags.follows(challenge, after)), "Accept": STREAM}
        try:
            with self.client.stream(
                "GET", "/v1/changes", params={"after": str(after)}, headers=headers, timeout=SILENCE
            ) as answer:
                _expect(answer)
                yield from self._pieces(_lines(answer.iter_raw()), challenge, after)
        except httpx2.HTTPError as error:
            raise FeedRefused(type(error).__name__) from error

    def renew(self, holder: str, applied: int, log: str, seconds: float) -> LeaseAnswer:
        """Raises `Gone`, `FeedRefused`."""
        challenge = tags.fresh()
        told = self._post({"holder": holder, "applied": applied, "log": log}, challenge, seconds)
        if not isinstance(told, dict) or not tags.holds(told.get("tag"), self.tags.grant(challenge, told)):
            raise FeedRefused(FORGED)
        try:
            granted = float(told["seconds"]) if told["granted"] else 0.0
            return LeaseAnswer(granted, int(told["seq"]), float(told["term"]), bool(told["leases"]))
        except (KeyError, TypeError, ValueError) as error:
            raise FeedRefused("a lease that cannot be read") from error

    def leave(self, holder: str, seconds: float) -> None:
        self._post({"holder": holder, "applied": 0, "log": "", "leave": True}, tags.fresh(), seconds)

    def _post(self, body: dict[str, Any], challenge: str, seconds: float) -> Any:
        leave = bool(body.get("leave"))
        tag = self.tags.renews(challenge, body["holder"], body["applied"], body["log"], leave=leave)
        try:
            answer = self.client.post("/v1/leases", json=body, headers=self._headers(challenge, tag), timeout=seconds)
            _expect(answer)
            return answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise FeedRefused(type(error).__name__) from error

    def _headers(self, challenge: str, tag: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", tags.HEADER: f"{challenge}.{tag}"}

    def _pieces(self, lines: Iterable[bytes], challenge: str, after: int) -> Iterator[Piece]:
        rows: dict[bytes, bytes] = {}
        head, number, told = False, 1, Lines()
        for line in lines:
            if line == b"event: head":
                head = True
            elif line.startswith(DATA) and not head:
                told.add(line[len(DATA) :])
                key, row = _row(_content(line))
                rows[key] = row
            elif line.startswith(DATA):
                content = _content(line)
                piece = _piece(rows, content)
                expected = self.tags.piece(challenge, after, number, told.digest(), content)
                if not tags.holds(content.get("tag"), expected):
                    raise FeedRefused(FORGED)
                yield piece
                rows, head, number, told = {}, False, number + 1, Lines()


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


def _row(content: dict[str, Any]) -> tuple[bytes, bytes]:
    try:
        key, row = b64decode(content["key"], validate=True), b64decode(content["standing"], validate=True)
        check(row)
    except (KeyError, TypeError, ValueError, NotARow) as error:
        raise FeedRefused("a row that cannot be read: are gateway and replica of one version?") from error
    if len(key) != KEY_BYTES:
        raise FeedRefused("a key of another length")
    return key, row


def _piece(rows: dict[bytes, bytes], head: dict[str, Any]) -> Piece:
    try:
        return Piece(
            rows, int(head["seq"]), int(head["position"]), str(head["log"]), int(head["peppers"]), bool(head["more"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FeedRefused("an event that cannot be read") from error
