"""What a recorded service told its callers: the HTTP answers among the bytes that it sent, and what each promised."""

import email.parser
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """`at`: how many events there were when its last byte was out. `port`: the caller's; `turn`: which answer on that
    connection it was, from 0.
    """

    at: int
    port: int
    turn: int
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if "json" in self.headers.get("content-type", "") else None


@dataclass(slots=True)
class Connection:
    port: int
    raw: bytearray = field(default_factory=bytearray)
    turn: int = 0

    def answers(self, at: int) -> Iterator[Answer]:
        """The complete ones; what is left is the beginning of the next."""
        while (found := _first(bytes(self.raw))) is not None:
            status, headers, body, length = found
            del self.raw[:length]
            yield Answer(at, self.port, self.turn, status, headers, body)
            self.turn += 1


def answers(log: Iterable[Any]) -> list[Answer]:
    """From recorded events (support.recording.Event), in the order in which they were complete."""
    connections, found = dict[int, Connection](), list[Answer]()
    for at, event in enumerate(log, 1):
        if event.op == "A":
            connection = connections.setdefault(event.handle, Connection(event.number))
            connection.raw += event.data
            found += connection.answers(at)
    return found


def _first(raw: bytes) -> tuple[int, Any, bytes, int] | None:
    """(status, headers, body, bytes of it all) of the answer at the beginning. Every one of ours says its length."""
    head, gap, rest = raw.partition(b"\r\n\r\n")
    if not gap:
        return None
    first, _, lines = head.decode("latin-1").partition("\r\n")
    status, headers = int(first.split(" ")[1]), email.parser.HeaderParser().parsestr(lines)
    length = 0 if status in {204, 304} else int(headers["content-length"])
    return (status, headers, rest[:length], len(head) + 4 + length) if len(rest) >= length else None
