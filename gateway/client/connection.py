"""Connections to one gateway, for `Client`: kept alive, one answer in a given time whatever the other side does.

Sockets and httptools, not httpx2: its times are of single reads, so that a peer which sends a byte every 20 ms holds a
bid for as long as it likes, and it takes 0.4 to 0.7 ms longer a check.
"""

import contextlib
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httptools

IDLE = 55.0  # seconds; the gateway keeps a connection for 75, callers 60 or less
READ = 65_536
OK = 200
FAULTS = (OSError, httptools.HttpParserError)  # of the network or of the other side; a TimeoutError is an OSError
LONGEST = 16 * 2**20  # bytes of an answer: 10,000 verdicts have 5


Heard = dict[str, str]  # the headers of an answer, their names in lower case


class NoAnswer(Exception):
    """Nothing that may be believed came in time. The text is one word for a counter, never a person's."""


class Broken(Exception):
    """The connection ended before an answer did; asking once more is harmless."""


class Response(NamedTuple):
    """One HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# Seconds by which it is counted how long an answer is good: also those for which the machine is suspended, which Linux
# counts by this clock and others by the monotonic one, if by any.
boot_seconds = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

Itself = Callable[[Response, float], None]  # what /v1/self answered, and when (`boot_seconds`), before it was asked


class _Reading:
    """What httptools calls while it reads one answer."""

    def __init__(self, headers: Heard | None = None) -> None:
        self.headers: Heard = {} if headers is None else headers
        self.body = bytearray()
        self.begun = self.complete = False

    def on_headers_complete(self) -> None:
        self.begun = True

    def on_message_begin(self) -> None:
        if self.complete:
            raise NoAnswer("two_answers")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self.body += part
        if len(self.body) > LONGEST:
            raise NoAnswer("too_long")

    def on_message_complete(self) -> None:
        self.complete = True


class Connections:
    """`url` is http or https with a host and perhaps a port; `unix` a socket's path instead. Safe for threads."""

    def __init__(self, url: str = "", unix: str = "", headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url or "http://localhost")
        if parts.scheme not in {"http", "https"} or not parts.hostname or bool(url) == bool(unix):
            raise ValueError("one of url, http(s)://host[:port], and unix, the path of a socket")
        self._host, self._unix = parts.hostname, unix
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._head = "".join(
            f"{name}: {value}\r\n" for name, value in {"Host": parts.netloc, **(headers or {})}.items()
        )
        self._idle: deque[tuple[socket.socket, float]] = deque()
        self._address: tuple[int, Any] | None = (socket.AF_UNIX, unix) if unix else None

    def resolve(self) -> None:
        """Looks the host up, which nothing bounds: never while a bid waits. A failure keeps what is known."""
        if not self._unix:
            with contextlib.suppress(OSError):
                family, _, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
                self._address = (family, address)

    def ask(self, method: str, path: str, body: bytes, kind: str, seconds: float) -> Response:
        """One request; over a connection that broke it is repeated once. Raises `NoAnswer`."""
        until = time.monotonic() + seconds
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\nContent-Type: {kind}\r\n\r\n"
        message = head.encode("latin-1") + body
        for again in (False, True):
            try:
                return self._once(message, until, fresh=again)  # the second time never over a kept connection
            except Broken:
                self.close()  # whatever broke one has broken the others of its age
            except FAULTS as error:
                raise NoAnswer(_why(error)) from None
        raise NoAnswer("broken")

    def lines(
        self, path: str, body: bytes, headers: Mapping[str, str], seconds: float, heard: Heard, itself: Itself
    ) -> Iterator[bytes]:
        """The lines of a 200 as they come, over a connection of its own; each wait takes so many seconds at most. Ends
        where the answer does, and where it is cut off. `heard`: gets the headers, before the first line. `itself`: is
        told what /v1/self answered over the same connection before, for where connections are balanced the machine
        behind this one is no other's. Raises `NoAnswer`.
        """
        stated = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n{stated}\r\n"
        reading = _Reading(heard)
        parser = httptools.HttpResponseParser(reading)
        try:
            with contextlib.closing(self._introduced(itself, seconds)) as connection:
                connection.settimeout(seconds)
                connection.sendall(head.encode("latin-1") + body)
                for part in _parts(connection, reading):
                    parser.feed_data(part)
                    if reading.begun and parser.get_status_code() != OK:
                        raise NoAnswer(f"status_{parser.get_status_code()}")
                    *whole, rest = reading.body.split(b"\n")
                    reading.body = bytearray(rest)
                    yield from map(bytes, whole)
        except (*FAULTS, Broken) as error:
            raise NoAnswer(_why(error)) from None

    def _introduced(self, itself: Itself, seconds: float) -> socket.socket:
        until = time.monotonic() + seconds
        connection = self._connect(until)
        try:
            asked = boot_seconds()
            head = f"GET /v1/self HTTP/1.1\r\n{self._head}\r\n"
            answer, keep = _exchange(connection, head.encode("latin-1"), until)
        except BaseException:
            connection.close()
            raise
        itself(answer, asked)
        if keep:
            return connection
        connection.close()
        return self._connect(until)

    def close(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop()[0].close()

    def forked(self) -> None:
        """Of a connection that two processes share, each would read the other's answers."""
        self.close()

    def _once(self, message: bytes, until: float, *, fresh: bool) -> Response:
        connection = None if fresh else self._kept()
        if connection is None:
            connection = self._connect(until)
        try:
            answer, keep = _exchange(connection, message, until)
        except BaseException:
            connection.close()
            raise
        if keep:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()
        return answer

    def _kept(self) -> socket.socket | None:
        with contextlib.suppress(IndexError):
            while True:
                connection, since = self._idle.pop()
                if time.monotonic() - since < IDLE and _is_quiet(connection):
                    return connection
                connection.close()
        return None

    def _connect(self, until: float) -> socket.socket:
        if self._address is None:
            self.resolve()
        if self._address is None:
            raise OSError("no address")
        family, address = self._address
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(until))
            connection.connect(address)
            if family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._tls.wrap_socket(connection, server_hostname=self._host) if self._tls else connection
        except BaseException:
            connection.close()
            raise


def _exchange(connection: socket.socket, message: bytes, until: float) -> tuple[Response, bool]:
    """The answer, and whether the connection may be used again. Each wait is for what is left of the time."""
    reading = _Reading()
    parser = httptools.HttpResponseParser(reading)
    try:
        connection.settimeout(_left(until))
        connection.sendall(message)
        while not reading.complete:
            connection.settimeout(_left(until))
            part = connection.recv(READ)
            if not part:
                raise Broken
            parser.feed_data(part)
    except (ConnectionError, ssl.SSLError):
        raise Broken from None
    except httptools.HttpParserCallbackError as error:
        raise NoAnswer("unreadable") from error
    # The parser itself says no to everything once an answer is complete: each question made a connection of its own.
    keep = parser.get_http_version() == "1.1" and "close" not in reading.headers.get("connection", "").lower()
    return Response(parser.get_status_code(), reading.headers, bytes(reading.body)), keep


def _why(error: Exception) -> str:
    """The reason in a word, for counting failures."""
    if isinstance(error, Broken):
        return "broken"
    if isinstance(error, TimeoutError):
        return "time_out"
    return "unreachable" if isinstance(error, OSError) else "unreadable"


def _parts(connection: socket.socket, reading: _Reading) -> Iterator[bytes]:
    """What comes, until the answer is complete or nothing more does."""
    while not reading.complete:
        part = connection.recv(READ)
        if not part:
            return
        yield part


def _is_quiet(connection: socket.socket) -> bool:
    """Nothing came that nobody asked for: it would be read as the answer to what is asked next."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return not waiting.poll(0)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
