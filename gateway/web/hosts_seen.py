"""POST /privacy-choices/hosts: which hosts a page of this site talked to, as its own script saw it (R1).

JSON `{"hosts": ["cdn.example.net"]}`, same-origin, no key. Names and nothing else are taken, no path, no query, no
page. Whoever sends it is not looked at. Served only with `[site] inventory`.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.hosts import Inventory
from gateway.web import cross_site, wire
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem

PATH = "/privacy-choices/hosts"
MAX_BODY = 16 * 1024
MOST = 64  # hosts of one page; more are counted and not read


class HostsSeen:
    """The door."""

    def __init__(self, inventory: Inventory, metrics: Metrics, origins: Collection[str]) -> None:
        self._inventory = inventory
        self._metrics = metrics
        self._origins = origins
        self._own = {urlsplit(origin).hostname or "" for origin in origins}

    async def post(self, request: Request) -> Response:
        """204 whatever became of the names: nobody learns what is on the list."""
        wire.require_json(request)
        if not cross_site.is_own(request.headers, self._origins):
            raise Problem("cross_site", "only this site's own pages tell whom they talk to")
        said = wire.parse(await wire.read_body(request, MAX_BODY))
        hosts = said.get("hosts") if isinstance(said, dict) else None
        if not isinstance(hosts, list):
            raise Problem("malformed", 'send {"hosts": ["cdn.example.net"]}')
        here = request.headers.get("host", "").partition(":")[0].lower()
        words, news = self._inventory.note(hosts[:MOST], {*self._own, here})
        for word in words:
            self._metrics.hosts.labels(word).inc()
        self._metrics.hosts.labels("too_many").inc(max(0, len(hosts) - MOST))
        if news:
            await self._save()
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._inventory.save)
        except OSError:
            self._metrics.hosts.labels("not_saved").inc()  # it is tried again with the next page


def routes(
    folder: Path, clock: Callable[[], datetime], metrics: Metrics, origins: Collection[str], *, on: bool
) -> list[Route]:
    """The door, where the operator has switched it on."""
    if not on:
        return []
    return [Route(PATH, HostsSeen(Inventory(folder, clock), metrics, origins).post, methods=["POST"])]
