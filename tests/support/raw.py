"""Bytes on a socket, as no client would send them."""

import contextlib
import re
import socket
import threading
import time
from dataclasses import dataclass

import uvicorn


@dataclass(frozen=True)
class Heard:
    """What came back until the server closed, or fell silent."""

    text: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        """Of every answer on the connection."""
        return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.text)]

    @property
    def body(self) -> bytes:
        return self.text.partition(b"\r\n\r\n")[2]


def ask(port: int, *parts: bytes, silence: float = 2.0, answers: int | None = None) -> Heard:
    """Sends the parts and reads until the end, or until nothing came for `silence` seconds; once so many answers came,
    for a fifth of that.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=silence) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        return listen(connection, answers)


def listen(connection: socket.socket, answers: int | None = None) -> Heard:
    text, silence = b"", connection.gettimeout()
    try:
        while part := connection.recv(65536):
            text += part
            if answers and len(Heard(text, False).statuses) >= answers:
                connection.settimeout(silence / 5)
    except TimeoutError:
        return Heard(text, False)
    except ConnectionError:
        pass
    return Heard(text, True)


async def echo(scope, receive, send):
    """Answers with the headers and the body that it was given."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body, more = body + message["body"], message["more_body"]
    text = repr([scope["method"], scope["path"], scope["headers"], body]).encode()
    length = (b"content-length", str(len(text)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": text})


@contextlib.contextmanager
def served(app, protocol, **options):
    """An ASGI application on uvicorn in a thread of this process. Yields its port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=protocol, lifespan="off", access_log=False, log_level="critical", **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)
