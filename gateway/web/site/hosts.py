"""Hosts that the site's pages were seen to talk to, by day, and which recipient each is registered as (R1, L43).
`gateway hosts` reads them.

POST /privacy-choices/hosts takes JSON `{"hosts": ["cdn.example.net"]}` of the page's own script, on the operator's
other origins too, no key, only with `[site] inventory`. It is said by browsers, so by anybody: names only, no path,
query or page, bounded in number and in how fast they grow, and a label that may be somebody's id is left out; whoever
sends it is not looked at. A host that is not registered is a third party whether or not it was ever seen.
"""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from gateway.disk import locked, write_durably
from gateway.web.shell import cross_site, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.problem import Problem

FILE, LOCK = "hosts.json", ".hosts.lock"
MOST = 1000  # hosts in the table; pages that are full of ads have some two hundred
MOST_NEW_AN_HOUR = 60  # that a process takes on: a flood of made-up names leaves room for real ones
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")  # `_`: no host's name has it by the book, and some do
TOP = re.compile(r"[a-z][a-z0-9-]{1,62}")  # the last label is never a number, so no address passes
HEX = re.compile(r"[0-9a-f]{12,}")
MOST_DIGITS, LONGEST_WORD = 5, 32  # in a label; names made up for one visitor have more
LONGEST = 253  # characters of a name (RFC 1035)
Word = Literal["known", "new", "unreadable", "too_many"]
UNREGISTERED = "unregistered: third party: blocked under enforce"


@dataclass(frozen=True, slots=True)
class HostSeen:
    """One host, or `*.` and what is common to many; the first and the last day that a page named it."""

    host: str
    first: date
    last: date


def readable(text: object) -> str | None:
    """A host's name as it is kept, in lower case: without a port, and `*` for labels that may be an id. None: no name
    of a host on the internet, or an address, which may be a person's.
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    labels = text.lower().removesuffix(".").split(".")
    if len(labels) < 2 or not TOP.fullmatch(labels[-1]) or not all(map(LABEL.fullmatch, labels)):  # noqa: PLR2004 - a domain has two
        return None
    telling = [number for number, label in enumerate(labels[:-1]) if _may_be_an_id(label)]
    if not telling:
        return ".".join(labels)
    rest = labels[telling[-1] + 1 :]
    return ".".join(["*", *rest]) if len(rest) > 1 else None


def _may_be_an_id(label: str) -> bool:
    digits = sum(letter.isdigit() for letter in label)
    return digits > MOST_DIGITS or len(label) > LONGEST_WORD or bool(HEX.fullmatch(label))


class Inventory:
    """What this process has heard and not saved yet, over the table that all processes of the folder share."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, HostSeen] = {}
        self._waiting: set[str] = set()
        self._loaded = False
        self._new = (0, 0)  # the hour, and how many hosts it brought

    def note(self, hosts: Iterable[object], own: Iterable[str] = ()) -> tuple[list[Word], bool]:
        """What became of each, and whether there is something to save. `own`: the site itself, which is passed over."""
        today, words, ours = self._clock().date(), list[Word](), frozenset(own)
        for text in hosts:
            host = readable(text)
            if host is None:
                words.append("unreadable")
            elif host not in ours:
                words.append(self._noted(host, today))
        return words, bool(self._waiting)

    def _noted(self, host: str, today: date) -> Word:
        with self._lock:
            seen = self._known.get(host)
            if seen is None and not self._has_room():
                return "too_many"
            if seen is None or seen.last < today:
                self._known[host] = HostSeen(host, seen.first if seen else today, today)
                self._waiting.add(host)
            return "known" if seen else "new"

    def _has_room(self) -> bool:
        hour = int(self._clock().timestamp()) // 3600
        number = self._new[1] if self._new[0] == hour else 0
        if number >= MOST_NEW_AN_HOUR or len(self._known) >= 2 * MOST:
            return False
        self._new = (hour, number + 1)
        return True

    def save(self) -> None:
        """Writes what is new into the shared table. Blocks on the disk; an OSError leaves it for the next time."""
        with locked(self._folder / LOCK):
            with self._lock:  # never while the disk is waited for: whoever tells of hosts waits here, in the loop
                waiting = {host: self._known[host] for host in self._waiting}
            if not waiting and self._loaded:
                return
            kept = _merged(self._folder, waiting)
            with self._lock:
                later = {host: self._known[host] for host in self._waiting if self._known[host] != waiting.get(host)}
                self._known = {seen.host: seen for seen in kept} | later
                self._waiting = {*later}
                self._loaded = True


def _merged(folder: Path, waiting: Mapping[str, HostSeen]) -> list[HostSeen]:
    """The table with these, as it is written. Raises OSError."""
    table = {seen.host: seen for seen in read_hosts(folder)}
    for host, seen in waiting.items():
        old = table.get(host)
        table[host] = HostSeen(host, min(old.first, seen.first), max(old.last, seen.last)) if old else seen
    kept = _bounded(table.values(), waiting.keys())
    if waiting:
        text = {seen.host: [seen.first.isoformat(), seen.last.isoformat()] for seen in kept}
        write_durably(folder / FILE, json.dumps(text, indent=1).encode())
    return kept


def _bounded(table: Iterable[HostSeen], fresh: Collection[str]) -> list[HostSeen]:
    """Where there are too many, those that were seen on one day alone go first, the oldest of them before others."""
    worth = sorted(table, key=lambda seen: (seen.last > seen.first, seen.last, seen.host in fresh), reverse=True)
    return sorted(worth[:MOST], key=lambda seen: seen.host)


def read_hosts(folder: Path) -> list[HostSeen]:
    """The table by name; empty where nothing was seen, or where the file is none of ours."""
    try:
        stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return [HostSeen(host, *map(date.fromisoformat, days)) for host, days in sorted(stored.items())]
    except (OSError, ValueError, TypeError, AttributeError):
        return []


def registered(host: str, recipients: Mapping[str, tuple[str, Sequence[str]]]) -> str:
    """What a host is registered as. `recipients`: role and hosts by name; hosts as Content-Security-Policy has them,
    `*.example.com` and all. Under `enforce` pages of opted-out people reach service providers alone (R1).
    """
    found = [(name, role) for name, (role, hosts) in recipients.items() if any(_covers(each, host) for each in hosts)]
    for name, role in found:
        if role == "service_provider":
            return f"{name}: {role}"
    return f"{found[0][0]}: {found[0][1]}: blocked under enforce" if found else UNREGISTERED


def _covers(source: str, host: str) -> bool:
    name = source.lower().rpartition("://")[2].partition("/")[0].partition(":")[0]
    return name == host or (name.startswith("*.") and host.removeprefix("*").endswith(name[1:]) and host != name[2:])


PATH = "/privacy-choices/hosts"
MAX_BODY = 16 * 1024
MOST_SEEN = 64  # hosts of one page; more are counted and not read


class HostsSeen:
    """`POST /privacy-choices/hosts`."""

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
        said = wire.parse_body(await wire.read_body(request, MAX_BODY))
        hosts = said.get("hosts") if isinstance(said, dict) else None
        if not isinstance(hosts, list):
            raise Problem("malformed", 'send {"hosts": ["cdn.example.net"]}')
        here = request.headers.get("host", "").partition(":")[0].lower()
        words, news = self._inventory.note(hosts[:MOST_SEEN], {*self._own, here})
        for word in words:
            self._metrics.hosts.labels(word).inc()
        self._metrics.hosts.labels("too_many").inc(max(0, len(hosts) - MOST_SEEN))
        if news:
            await self._save()
        leave = cross_site.leave(request.headers, self._origins)  # nothing is in it, but a browser calls it an error
        return Response(status_code=204, headers={"Cache-Control": "no-store", **leave})

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._inventory.save)
        except OSError:
            self._metrics.hosts.labels("not_saved").inc()  # it is tried again with the next page
