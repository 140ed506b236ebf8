"""A made-up day of one operator, seeded: pages, questions of proxies, checks and rows. It is played once in shadow mode
and once under enforcement, from copies of one folder; what was denied is read from the answers alone.
"""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from gateway.app.composition import open_house
from gateway.app.service import build, in_front_of
from gateway.keys import api_keys, secret_files
from gateway.ledger.acts.links import Span
from gateway.ledger.subjects import Choice
from gateway.settings import load
from gateway.terms import ALL_PURPOSES, ChoiceKind, Source
from gateway.web.shell.edge import Addresses
from support import inside
from support.people import gaid, named

OPERATOR = """
[site]
enforce = true
ad_paths = ["/ads/"]
[places]
header = "X-Place"
[age]
floor = 13
[notice]
told_everyone = 2026-01-15
[recipients.lab]
role = "third_party"
purposes = ["sale"]
data = ["ad_id", "coarse_geo"]
contract = "C-2026-1"
announced = 2026-01-10
transfer_basis = "scc"
mode = "return"
fields = { ad_id = { class = "ad_id", kind = ["gaid"] }, region = "coarse_geo" }
[recipients.unsigned]
role = "third_party"
purposes = ["targeted_ads"]
data = ["ad_id"]
contract = ""
announced = 2026-01-10
mode = "return"
fields = { ad_id = { class = "ad_id", kind = ["gaid"] } }
"""
PEOPLE, OUT, CHILD = 40, 10, 39  # accounts with an ad id each; those that said no, the first; one that is a child
PLACES = ("US-CA", "US-TX", "US-NY", "DE", "FR", "GB", "CA-QC", "XX", "")
ROWS = 50  # of one call at most
SILENT, SAID_NO, YOUNG = "silent", "said no", "a child"
POLICY, PAGE, SHARE = b"content-security-policy", "middleware", "share"
PROXIES = {"nginx": "/authz/nginx", "forward": "/authz/forward", "envoy": "/authz/envoy"}
UNSTEADY = (b'"reason":"stale"', b'"reason":"store_unavailable"', b"status=unknown")
NDJSON, JSON = ("Content-Type", "application/x-ndjson"), ("Content-Type", "application/json")


class Got(NamedTuple):
    """One answer."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Asked(NamedTuple):
    """One request of the day, or one call with many rows. `who`: what its maker knows of the person."""

    door: str
    who: str = ""
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None


@dataclass
class Answered:
    """What came back. By door: how many were asked, and denied; of checks and rows the noes by door, recipient and
    reason; of pages how many were silenced, by door and who; how many rows were handed back; and how many were asked
    again, since nobody could tell at that moment (a busy machine).
    """

    asked: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    why: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    silenced: Counter[tuple[str, str]] = field(default_factory=Counter)
    handed_back: int = 0
    again: Counter[str] = field(default_factory=Counter)

    def take(self, door: str, *, denied: bool, recipient: str = "", reason: str = "", who: str = "") -> None:
        self.asked[door] += 1
        if denied:
            self.denied[door] += 1
            self.silenced[door, who] += bool(who)
            self.why[door, recipient, reason] += bool(recipient)


def operator(folder: Path, until: object = None) -> Path:
    """The configuration's file: in shadow mode until a day, or enforced."""
    file = folder / f"{'shadow' if until else 'enforced'}.toml"
    file.write_text(OPERATOR + (f"[shadow]\nuntil = {until}\n" if until else ""))
    return file


def settle(folder: Path, file: Path) -> str:
    """Makes the folder with its people, and returns a key for servers."""
    inside.install(folder)
    with open_house(folder, load.load_settings(file, {})) as house:
        consent, people = house.consent, house.consent.people
        for number in range(PEOPLE):
            account = people.account(f"a{number}")
            asyncio.run(consent.link(account, people.name([named("gaid", gaid(number))]).subjects, Span(1)))
            if number < OUT:
                no = Choice(ChoiceKind.OPT_OUT, tuple(ALL_PURPOSES), Source.FORM, datetime.now(UTC))
                asyncio.run(consent.choose([account], no))
        asyncio.run(consent.say_age([people.account(f"a{CHILD}")], "under_13"))
    return api_keys.add_api_key(folder, "servers", ["check", "share"], publishable=False)


def requests_of_a_day(number: int, seed: int) -> list[Asked]:
    """So many requests, each row being one. The site's own come first: it is another process."""
    chance, made = random.Random(seed), list[Asked]()
    pages, proxied, checks = int(number * 0.4), int(number * 0.25), int(number * 0.2)
    made += [_page(chance, PAGE, f"/p/{chance.randrange(1000)}") for _ in range(pages)]
    for _ in range(proxied):
        made.append(_proxied(chance))
    made += [_check(chance) for _ in range(checks)]
    made += _rows(chance, number - pages - proxied - checks)
    return made


def _page(chance: random.Random, door: str, path: str, headers: tuple[tuple[str, str], ...] = ()) -> Asked:
    place = chance.choice(PLACES)
    said = (*headers, *((("X-Place", place),) if place else ()))
    kind = chance.choices(("silent", "known", "gpc", "cookie", "out", "child"), (55, 8, 15, 10, 8, 4))[0]
    if kind == "gpc":
        return Asked(door, SAID_NO, path, (*said, ("Sec-GPC", "1")))
    if kind == "cookie":
        return Asked(door, SAID_NO, path, (*said, ("Cookie", "usprivacy=1YYN")))
    if kind == "out":
        return Asked(door, SAID_NO, path, (*said, ("Gateway-Account", f"a{chance.randrange(OUT)}")))
    if kind == "child":
        return Asked(door, YOUNG, path, (*said, ("Gateway-Account", f"a{CHILD}")))
    known = (("Gateway-Account", f"a{chance.randrange(OUT, CHILD)}"),) if kind == "known" else ()
    return Asked(door, SILENT, path, (*said, *known))


def _proxied(chance: random.Random) -> Asked:
    proxy = chance.choice([*PROXIES])
    uri = chance.choice(("/", "/news", "/ads/tag.js", "/ads//pixel.gif"))
    about = {
        "nginx": (("X-Original-Method", "GET"), ("X-Original-URI", uri)),
        "forward": (("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", uri)),
        "envoy": (),
    }
    path = PROXIES[proxy] + (uri if proxy == "envoy" else "")
    return _page(chance, f"{proxy} /ads/" if "/ads/" in uri else proxy, path, about[proxy])


def _check(chance: random.Random) -> Asked:
    place = chance.choice(PLACES)
    body: dict[str, Any] = {
        "identifiers": [named("gaid", gaid(chance.randrange(PEOPLE + 20)))],
        "recipient": chance.choice(("lab", "lab", "unsigned")),
    }
    body |= {"place": place} if place else {}
    body |= {"signals": {"gpc": "1"}} if chance.random() < 0.1 else {}
    return Asked("check", path="/v1/check", body=body)


def _rows(chance: random.Random, number: int) -> Iterator[Asked]:
    left = number
    while left:
        some = min(left, chance.randrange(1, ROWS + 1))
        recipient = chance.choice(("lab", "lab", "unsigned"))
        rows = []
        for each in range(some):
            who, place = gaid(chance.randrange(PEOPLE + 20)), chance.choice(PLACES)
            row = {"id": f"r{left - each}", "identifiers": [named("gaid", who)], "data": {"ad_id": who}}
            rows.append(row | ({"place": place} if place else {}))
        yield Asked(SHARE, path=f"/v1/shares/{recipient}", body=rows)
        left -= some


async def _told(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"  # it has no lifespan
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": dict(scope["headers"])[b"gateway-consent"]})


def played(folder: Path, file: Path, key: str, day: list[Asked]) -> Answered:
    """The day's answers: the site with the gateway before it, then the gateway alone."""
    found, secret = Answered(), secret_files.load_secrets(folder).accounts[0]
    asyncio.run(_site_played(found, in_front_of(_told, folder, config=file), secret, day))
    configured = load.load_settings(file, os.environ | {"GATEWAY_LISTEN__LEVEL_ANSWERS": "false"})
    app = build(folder, configured, Addresses({8080: inside.EVERYWHERE}))
    asyncio.run(_rest_played(found, app, secret, key, day))
    return found


async def _site_played(found: Answered, site: Any, secret: bytes, day: list[Asked]) -> None:
    async with inside.lifespan(site):
        for asked in (each for each in day if each.door == PAGE):
            _take_page(found, asked, await _steadily(found, site, asked, _signed(secret, asked.headers)))


async def _rest_played(found: Answered, app: Any, secret: bytes, key: str, day: list[Asked]) -> None:
    keyed = ("Authorization", f"Bearer {key}")
    async with inside.lifespan(app):
        for asked in (each for each in day if each.door != PAGE):
            if asked.body is None:
                _take_page(found, asked, await _steadily(found, app, asked, _signed(secret, asked.headers)))
            elif asked.door == SHARE:
                lines = "\n".join(map(json.dumps, asked.body)).encode()
                _take_rows(found, asked, await _steadily(found, app, asked, [keyed, NDJSON], lines))
            else:
                body = json.dumps(asked.body).encode()
                _take_check(found, asked, await _steadily(found, app, asked, [keyed, JSON], body))


async def _steadily(
    found: Answered, app: Any, asked: Asked, headers: list[tuple[str, str]], body: bytes | None = None
) -> Got:
    """An answer of a moment at which the ledger is trusted."""
    async with asyncio.timeout(60):
        while True:
            got = await _answer(app, asked.path, headers, body)
            told = got.body + got.headers.get(b"gateway-consent", b"")
            if got.status != 503 and not any(sign in told for sign in UNSTEADY):
                return got
            found.again[asked.door] += 1
            await asyncio.sleep(0.02)


async def _answer(app: Any, path: str, headers: list[tuple[str, str]], body: bytes | None = None) -> Got:
    """Without a client's own work, which is several times the gateway's."""
    found, status, pieces = dict[bytes, bytes](), 0, list[bytes]()
    sent = [{"type": "http.request", "body": body or b""}]

    async def receive() -> dict[str, Any]:
        return sent.pop() if sent else await asyncio.Event().wait()  # it does not hang up

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            found.update((name.lower(), value) for name, value in message["headers"])
        pieces.append(message.get("body", b""))

    named_ = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
        "method": "GET" if body is None else "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8080"), *named_], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080),
        "state": {},
    }  # fmt: skip
    await app(scope, receive, send)
    return Got(status, found, b"".join(pieces))


def _signed(secret: bytes, headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """With an assertion in the place of whoever is signed in."""
    until = int(time.time()) + 600
    return [
        (name, api_keys.assert_account(secret, value, until) if name == "Gateway-Account" else value)
        for name, value in headers
    ]


def _take_page(found: Answered, asked: Asked, answer: Got) -> None:
    assert answer.status in {200, 204, 403}, answer.body
    refused = answer.status == 403
    found.take(asked.door, denied=refused or POLICY in answer.headers, who=asked.who)


def _take_check(found: Answered, asked: Asked, answer: Got) -> None:
    told = json.loads(answer.body)
    denied = not (told["allowed"] or told["partly"])
    found.take("check", denied=denied, recipient=asked.body["recipient"], reason=told["reason"])


def _take_rows(found: Answered, asked: Asked, answer: Got) -> None:
    *told, last = [json.loads(line) for line in answer.body.splitlines()]
    assert last["complete"]
    for line in told:
        denied, recipient = line["outcome"] == "refused", asked.path.rpartition("/")[2]
        found.take(SHARE, denied=denied, recipient=recipient, reason=line["reason"])
        found.handed_back += "row" in line
