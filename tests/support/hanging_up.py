"""Clients that hang up at any point of a request or its answer, with a FIN or a reset."""

import contextlib
import json
import random
import socket
import struct
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from support.people import email, gaid, named

KEY = "Authorization: Bearer dev.dev\r\nContent-Type: application/json\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


@dataclass(slots=True)
class Call:
    """One call that is broken off. `whole`: all of it was sent; `status`: of an answer that was read to its end."""

    person: int
    way: str
    raw: bytes
    identifiers: tuple[Mapping[str, str], ...]
    whole: bool = False
    status: int | None = None


def _request(path: str, headers: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def call_of(person: int, chance: random.Random) -> Call:
    """A choice of three identifiers, a form, a signal of three devices, or a link."""
    way = chance.choice(("choice", "choice", "form", "signal", "link"))
    three = (named("gaid", gaid(person)), named("email", email(person)), named("idfv", gaid(person + 2**40)))
    if way == "form":
        body = urllib.parse.urlencode({"action": "opt_out", "email": email(person)}).encode()
        return Call(person, way, _request("/privacy-choices", FORM, body), three[1:2])
    if way == "signal":
        said: dict[str, object] = {"identifiers": three, "signals": {"gpc": "1"}}
        return Call(person, way, _request("/v1/observe", KEY, json.dumps(said).encode()), three)
    if way == "link":
        said = {"account": f"account{person}", "identifiers": three}
        return Call(person, way, _request("/v1/links", KEY, json.dumps(said).encode()), ())
    said = {"identifiers": three, "choice": "opt_out"}
    headers = KEY + (f"Idempotency-Key: key{person}\r\n" if chance.random() < 0.5 else "")
    return Call(person, way, _request("/v1/choices", headers, json.dumps(said).encode()), three)


def hang_up(port: int, call: Call, chance: random.Random) -> None:
    """Sends as much as chance has it, waits, reads a part of the answer, and is gone."""
    call.whole = chance.random() < 0.6
    length = len(call.raw) if call.whole else chance.randrange(1, len(call.raw))
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(call.raw[:length])
            time.sleep(chance.choice((0, 0, 0.002, 0.02)))
            if call.whole and chance.random() < 0.5:
                call.status = _read(connection, chance)
        if chance.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close is a reset


def _read(connection: socket.socket, chance: random.Random) -> int | None:
    """A part of the answer, or all of it: then its status."""
    wanted, raw = chance.choice((1, 40, 300, 2**20)), b""
    while len(raw) < wanted:
        part = connection.recv(min(4096, wanted - len(raw)))
        raw += part
        head, gap, body = raw.partition(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if not part or (gap and length and len(body) >= int(length[0].partition(b":")[2])):
            return int(raw.split(b" ", 2)[1]) if part else None
    return None
