"""A small HTTP server of a test's own, on loopback, for as long as the test wants it."""

import contextlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOOKS = 0.02  # seconds between two looks whether it is to end: the library's half a second is waited for by each test


class Quiet(BaseHTTPRequestHandler):
    """A handler that logs nothing; a test's own says what it does with a POST."""

    def do_POST(self):
        self.posted()

    def do_GET(self):
        self.asked()

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"]))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """Whoever calls may drop a connection that it kept, as browsers and proxies do when they end."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def listening(handler):
    """Its address, without a path."""
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(LOOKS,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
