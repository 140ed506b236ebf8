"""The hosts of bidders: whatever name a browser asks for over TLS, this answers, and keeps what came."""

import contextlib
import http.server
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from support.certificates import self_signed
from support.listening import LOOKS


@dataclass(frozen=True)
class Asked:
    """One request: to which host, what stood in its address and body, and the host's own cookies that came along."""

    host: str
    text: str
    cookies: str


def certificate(folder: Path) -> Path:
    """A key and a certificate that nobody vouches for, in one file."""
    file = folder / "bidders.pem"
    file.write_bytes(b"".join(self_signed("bidders")))
    return file


@contextlib.contextmanager
def bidders(folder: Path):
    """(port, what was asked so far)"""
    asked: list[Asked] = []

    class Bidder(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.command != "OPTIONS":
                asked.append(
                    Asked(self.headers["host"], f"{self.path} {body.decode()}", self.headers.get("cookie", ""))
                )
            self.send_response(204)
            self.send_header("Access-Control-Allow-Origin", self.headers.get("origin", "*"))
            self.send_header("Access-Control-Allow-Credentials", "true")
            self.send_header("Access-Control-Allow-Headers", self.headers.get("access-control-request-headers", "*"))
            self.end_headers()

        do_GET = do_POST = do_OPTIONS = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_) -> None:
            """Quiet."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bidder)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a browser that goes away
    thread = threading.Thread(target=server.serve_forever, args=(LOOKS,), daemon=True)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()
