"""Made-up people, each for one way: in ranges that nobody has, with an account, two phones, a browser and a mailbox.

Never a real person: example.com, +1 415 555 01xx and the same numbers under other area codes, random ids.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from gateway import credentials
from gateway.rehearsal.stage import PLACE, Stage
from gateway.terms import DataClass, Purpose

AREAS = (415, 212, 312, 512, 206, 305)  # in each of them 555-0100 to 555-0199 are for fiction
SIGNED_IN = 3600  # seconds: longer than a rehearsal
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds
HOST = "rehearsal.example.com"


class NotTaken(Exception):
    """A door answered otherwise than to somebody whose wish it took. The text names the door and its status."""


@dataclass(slots=True)
class Person:
    """`cookie`: the sealed cookie of the browser, empty where the site remembers none."""

    number: int
    gaid: str = field(default_factory=lambda: str(uuid.uuid4()))
    other: str = field(default_factory=lambda: str(uuid.uuid4()))  # the ad id of another phone of the same account
    cookie: str = ""

    @property
    def account(self) -> str:
        return f"rehearsal-{self.number}"

    @property
    def email(self) -> str:
        return f"rehearsal-{self.number}@example.com"

    @property
    def phone(self) -> str:
        area, last = divmod(self.number, 100)
        return f"+1{AREAS[area % len(AREAS)]}5550{100 + last}"

    def named(self, *kinds: str) -> list[dict[str, str]]:
        """Identifiers of a call: `gaid`, `other`, `account`, `email`, `phone`, `browser`."""
        kept = {"other": "gaid", "cookie": "browser"}
        return [{"type": kept.get(kind, kind), "value": self._value(kind)} for kind in kinds if self._value(kind)]

    def _value(self, kind: str) -> str:
        return self.cookie if kind == "browser" else str(getattr(self, kind))


def taken(answer: httpx2.Response, *expected: int) -> httpx2.Response:
    """The answer of a door that took what it was told. Raises `NotTaken`."""
    if answer.status_code not in (expected or (200, 201)):
        raise NotTaken(f"{answer.request.method} {_door(answer)} answered {answer.status_code}")
    return answer


async def patiently(send: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """As callers do (api.md): whoever is told 503 asks again. A machine that is busy is not a gateway that fails."""
    for pause in PAUSES:
        answer = await send()
        if answer.status_code != 503:  # noqa: PLR2004
            return answer
        await asyncio.sleep(pause)
    return await send()


def _door(answer: httpx2.Response) -> str:
    """The path, without what may be sealed in it."""
    return "/".join(part for part in answer.request.url.path.split("/") if len(part) < 40)  # noqa: PLR2004


class Cast:
    """Makes people, and says what they need before anything can be allowed."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._numbers = itertools.count(0)
        self._notices: Mapping[str, str] = {}

    async def person(self) -> Person:
        """With two phones, a mailbox, a number and a browser that are known to be one account's."""
        person = Person(next(self._numbers))
        if self._stage.settings.browser.remember_gpc == "id":
            body = {"identifiers": [{"type": "browser", "value": "new", "host": HOST}]}
            answer = taken(await self.call("/v1/observe", body), 200, 201)
            person.cookie = answer.json()["cookie"]["value"]
        tied = {"account": person.account, "identifiers": person.named("gaid", "other", "email", "phone", "browser")}
        taken(await self.call("/v1/links", tied))
        return person

    async def opts_in(self, person: Person, purpose: Purpose, recipient: str = "") -> bool:
        """In two acts, for each of their identifiers, as the desk that has looked at who asks. Whether that is possible
        in this configuration.
        """
        notices = await self._shown()
        act: dict[str, Any] = {"proof": {"kind": "desk", "note": "rehearsal"}, "notice": {"sha256": notices["opt-in"]}}
        act |= {"recipient": recipient, "data": [DataClass.PRECISE_GEO]} if recipient else {}
        asked = {"identifiers": person.named("account", "gaid", "other", "email", "phone", "browser"), "place": PLACE}
        first = await self.call("/v1/choices", {"choice": "opt_in", "purposes": [purpose], **asked, **act})
        if first.status_code != 202:  # noqa: PLR2004
            return False
        act = {"proof": act["proof"], "notice": {"sha256": notices["confirm"]}, "confirm": first.json()["confirm"]}
        return (await self.call("/v1/choices", {"choice": "confirm", **act})).is_success

    async def call(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """A call with a key: the desk's, or another one."""
        sent = dict(headers or self._stage.desk)
        return await patiently(lambda: self._stage.internal.post(path, json=body, headers=sent))

    async def lines(self, path: str, bodies: Sequence[bytes], headers: Mapping[str, str]) -> httpx2.Response:
        """NDJSON."""
        sent = {**self._stage.desk, "Content-Type": "application/x-ndjson", **headers}
        return await patiently(lambda: self._stage.internal.post(path, content=b"\n".join(bodies), headers=sent))

    def signed_in(self, person: Person) -> dict[str, str]:
        """What a site's own server says of who is signed in; nothing where it may not say it by header."""
        if not self._stage.settings.account.header:
            return {}
        until = int(time.time()) + SIGNED_IN
        return {"Gateway-Account": credentials.assert_account(self._stage.secrets.accounts[-1], person.account, until)}

    async def _shown(self) -> Mapping[str, str]:
        if not self._notices:
            told = taken(await self._stage.internal.get("/v1/self", headers=dict(self._stage.desk))).json()["notices"]
            self._notices = {item["kind"]: item["sha256"] for item in told if item["language"] == "en"}
        return self._notices
