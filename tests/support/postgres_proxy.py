"""Between a gateway and its PostgreSQL: a relay on loopback that loses what it is told to lose, of a COMMIT to the byte,
or of everything.
"""

import contextlib
import re
import select
import socket
import threading
from dataclasses import dataclass, field

LEDGER, COMMIT = b"search_path=gateway_ledger", b"COMMIT\x00"
PREPARED = re.compile(rb"(_pg3_\d+\x00)COMMIT\x00")  # under which name a connection that is in use says it from then on
LISTENS = b"LISTEN gateway_ledger"
RENEWS = b"SET renewals"  # on a connection of its own: leases are not what is cut
BEFORE = 8  # bytes of the message that the word stands in, before it


@dataclass
class Cut:
    """What becomes of the next COMMIT of the ledger. `request`: so many of its bytes arrive; `reply`: it arrives, and
    so many bytes of the answer come back. `silent`: nobody is told; else the connection ends.
    """

    request: int | None = None
    reply: int | None = None
    silent: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    missed: bool = False  # there were fewer bytes than that


class PostgresProxy:
    """`url`: what leads through it. `away`: nobody is let through and all are cut off; `frozen`: all are accepted, and
    nothing is said any more; `still`: of these alone, as a relay that lost where they led; `listeners`: who listens.
    """

    def __init__(self, url):
        host, port = re.search(r"@([^:/]+):(\d+)/", url).groups()
        self.to, self.cut, self.open = (host, int(port)), None, []
        self.away = self.frozen = self.closed = False
        self.still, self.listeners = set(), set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.url = url.replace(f"@{host}:{port}", f"@127.0.0.1:{self.listener.getsockname()[1]}")
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                if self.away:
                    near.close()
                else:
                    threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        with contextlib.suppress(OSError), near, socket.create_connection(self.to) as far:
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open.append((near, far))
            self._relay(near, far)

    def _relay(self, near, far):
        cut, ledger, renews, words = [], False, False, [COMMIT]

        def back():
            with contextlib.suppress(OSError):
                while piece := far.recv(65536):
                    self._hold(near)
                    if cut and cut[0].reply is not None:
                        self._answer(cut[0], piece, near, far)
                        return
                    near.sendall(piece)
            self._end(near, far)

        threading.Thread(target=back, daemon=True).start()
        with contextlib.suppress(OSError):
            while piece := near.recv(65536):
                if LISTENS in piece:
                    self.listeners.add(near)
                self._hold(near)
                ledger, renews = ledger or LEDGER in piece, renews or RENEWS in piece
                words += PREPARED.findall(piece)
                word = next((each for each in words if each in piece), None)
                if self.cut and ledger and not renews and word:
                    cut.append(self.cut)
                    self.cut = None
                    if cut[0].request is not None:
                        self._ask(cut[0], piece, word, near, far)
                        return
                far.sendall(piece)
        self._end(near, far)

    def _ask(self, cut, piece, word, near, far):
        at = max(piece.index(word) - BEFORE, 0) + cut.request
        cut.missed = at > len(piece)
        far.sendall(piece[:at])
        self._lose(cut, near, far)

    def _answer(self, cut, piece, near, far):
        while len(piece) < cut.reply and select.select([far], [], [], 0.3)[0] and (more := far.recv(65536)):
            piece += more
        cut.missed = len(piece) < cut.reply
        near.sendall(piece[: cut.reply])
        self._lose(cut, near, far)

    def _lose(self, cut, near, far):
        cut.done.set()
        if cut.silent:
            with contextlib.suppress(OSError):
                while near.recv(65536):
                    pass
        self._end(near, far)

    def _hold(self, near):
        while (self.frozen or near in self.still) and not self.closed:
            threading.Event().wait(0.01)

    def _end(self, *ends):
        for each in ends:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def go_away(self):
        """As a server that is killed: whoever is connected is cut off, and nobody comes through."""
        self.away = True
        for ends in self.open:
            self._end(*ends)

    def close(self):
        self.closed = True
        self.go_away()
        self.listener.close()
