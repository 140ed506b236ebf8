"""A TCP relay on loopback that can be cut: for all, or for the feed alone while everything else goes through."""

import contextlib
import socket
import threading
import time

FEED = b"GET /v1/changes"


class Cuttable:
    """Between a replica and `port`. While it is cut nothing gets through and nobody is told; what waits comes later."""

    def __init__(self, port):
        self.to, self.all, self.feed, self.closed = port, False, False, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        with contextlib.suppress(OSError), near:
            first = near.recv(65536)
            self.wait(feed=False)
            with socket.create_connection(("127.0.0.1", self.to)) as far:
                far.sendall(first)
                feed = first.startswith(FEED)
                threading.Thread(target=self.relay, args=(far, near, feed), daemon=True).start()
                self.relay(near, far, feed)

    def relay(self, one, other, feed):
        with contextlib.suppress(OSError):
            while piece := one.recv(65536):
                self.wait(feed=feed)
                other.sendall(piece)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def wait(self, *, feed):
        while (self.all or (self.feed and feed)) and not self.closed:
            time.sleep(0.002)

    def close(self):
        self.closed = True
        self.listener.close()
