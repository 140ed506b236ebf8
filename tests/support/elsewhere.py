"""Another company's host: one port for each way that a page has to it, and what arrived there.

Counts TCP connections, requests on them, and UDP packets; answers everything, to anybody.
"""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from functools import partial

TYPES = {"js": "text/javascript", "css": "text/css", "gif": "image/gif", "html": "text/html", "vtt": "text/vtt",
         "txt": "text/plain", "json": "application/json"}  # fmt: skip
ASKS = "<script>setInterval(() => fetch('a.txt'), 100)</script>"  # a frame that goes on


class Elsewhere:
    """`first`: of the ports. Whatever arrives is counted by the port's number from there."""

    def __init__(self, count: int) -> None:
        self.connections, self.requests, self.packets = Counter(), Counter(), Counter()
        self._count = count
        self._sockets: list[socket.socket] = []
        self._open: list[asyncio.Server | asyncio.DatagramTransport] = []
        self._loop = asyncio.new_event_loop()
        self.first = self._bind()

    def _bind(self) -> int:
        """As many neighbouring ports as there are ways, TCP and UDP."""
        for first in range(11_000, 19_000, self._count):  # below those that the system gives to whoever connects
            opened = []
            try:
                for at in range(self._count):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        made = socket.socket(socket.AF_INET, kind)
                        opened.append(made)
                        if kind == socket.SOCK_STREAM:
                            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        made.bind(("127.0.0.1", first + at))
                        made.setblocking(False)
            except OSError:
                for made in opened:
                    made.close()
                continue
            self._sockets = opened
            return first
        raise RuntimeError("no free ports")

    def arrived(self) -> dict[int, tuple[int, int, int]]:
        """(connections, requests, packets) by way, where anything arrived at all."""
        return {
            at: (self.connections[at], self.requests[at], self.packets[at])
            for at in range(self._count)
            if self.connections[at] or self.packets[at]
        }

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            at = each.getsockname()[1] - self.first
            if each.type == socket.SOCK_STREAM:
                self._open.append(await asyncio.start_server(partial(self._answer, at), sock=each))
            else:
                made = await loop.create_datagram_endpoint(partial(Packets, self.packets, at), sock=each)
                self._open.append(made[0])

    async def _close(self) -> None:
        for each in self._open:
            each.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _answer(self, at: int, reader, writer) -> None:
        self.connections[at] += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests[at] += 1
            path = head.split(b" ")[1].decode("latin-1").partition("?")[0]
            kind = TYPES.get(path.rpartition(".")[2], "application/octet-stream")
            body = ASKS if path == "/asks.html" else ""
            more = f"Content-Length: {len(body)}\r\nConnection: close\r\nAccess-Control-Allow-Origin: *"
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{more}\r\n\r\n{body}".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # it was counted
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(60)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()


class Packets(asyncio.DatagramProtocol):
    """Counts what arrives on one UDP port."""

    def __init__(self, counted: Counter, at: int) -> None:
        self._counted, self._at = counted, at

    def datagram_received(self, data, address):
        self._counted[self._at] += 1
