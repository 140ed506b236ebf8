"""The stage of a rehearsal: an installation of its own with the operator's configuration, opened as the service opens
it, and its cast.

What would reach somebody outside is taken out of the configuration first. Two made-up recipients stand beside the
operator's own, to whom everything may go that can be chosen about: by them each way shows that it ends something, also
where the operator has written in no contract yet.

Made-up people, each for one way, with an account, two phones, a browser and a mailbox, in ranges that nobody has:
example.com, +1 415 555 01xx and the same numbers under other area codes, random ids.
"""

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from gateway.app import composition, service
from gateway.choice.recipient import Recipient
from gateway.keys import api_keys, secret_files
from gateway.keys.secret_files import Secrets
from gateway.settings.load import Settings
from gateway.settings.recipients import RecipientCredential, RecipientSettings
from gateway.settings.sections import ShadowSettings
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, DataClass, Purpose, Role
from gateway.web.shell.edge import INTERNAL, PUBLIC, Addresses

NOWHERE = "http://127.0.0.1:0"  # a port that nobody can listen on: a row that should have stopped reaches nobody
HOST = "http://127.0.0.1:"
PUBLIC_PORT, INTERNAL_PORT = 8080, 8081  # of no socket: the stage's two addresses are told apart by them
PLACE = "US-CA"  # the place of everybody made up: a site that does not know where a visitor is may do nothing anyway
LONG_AGO = date(2000, 1, 1)
OUTSIDE, OWN = "rehearsal", "rehearsal_own"  # the made-up recipients
FIELDS = {
    "ad_id": DataClass.AD_ID, "lat": DataClass.PRECISE_GEO, "lon": DataClass.PRECISE_GEO, "email": DataClass.EMAIL_HASH,
    "region": DataClass.COARSE_GEO,
}  # fmt: skip
OF_ITS_OWN = tuple(p for p in CHOOSABLE if p not in SIGNAL_PURPOSES)  # what a service provider may do for the operator


@dataclass(frozen=True, slots=True)
class Stage:
    """`public` and `internal`: clients of the two addresses, without a key. `desk`, `app`: headers with a secret key of
    every scope that is used, and with a publishable one.
    """

    settings: Settings
    recipients: Mapping[str, Recipient]
    public: httpx2.AsyncClient
    internal: httpx2.AsyncClient
    desk: Mapping[str, str]
    app: Mapping[str, str]
    secrets: Secrets


def quiet(settings: Settings, *, dev: bool = False) -> Settings:
    """The configuration without anybody whom it reaches outside, and without a place of this installation's own. `dev`:
    what an operator has to vouch for is filled in, as `gateway serve --dev` does.
    """
    change = msgspec.structs.replace
    return change(
        settings,
        recipients={name: _quiet(item, dev=dev) for name, item in settings.recipients.items()} | made_up(settings),
        listen=change(settings.listen, level_answers=False),  # no stranger asks here
        mail=change(settings.mail, server=""),
        texts=change(settings.texts, endpoint=""),
        erasure=change(settings.erasure, account_backend=""),
        delivery=change(settings.delivery, ddrf_domain="", networks=(*settings.delivery.networks, "127.0.0.1")),
        rehearsal=change(settings.rehearsal, every_hours=0, pages=()),
        notice=change(
            settings.notice, told_everyone=max(settings.notice.told_everyone, LONG_AGO)
        ),  # of the made-up ones
        ledger=change(settings.ledger, checkpoint_store=""),
        witnesses={},
        systems={},
        shadow=ShadowSettings(),  # what is rehearsed is what enforcement does
    )


def _quiet(item: RecipientSettings, *, dev: bool) -> RecipientSettings:
    nowhere = NOWHERE if item.mode == "forward" else ""
    vouched = {
        "contract": item.contract or "dev",
        "transfer_basis": item.transfer_basis or "within",
        "announced": item.announced or LONG_AGO,
    }
    return msgspec.structs.replace(
        item, endpoint=nowhere, sandbox_endpoint=nowhere, deliveries="", ddrf="", upload=(),
        credential=RecipientCredential(), sandbox_credential=RecipientCredential(), **(vouched if dev else {}),
    )  # fmt: skip


def made_up(settings: Settings) -> dict[str, RecipientSettings]:
    """The two recipients; where the operator has one of that name, ours is called otherwise."""
    outside = RecipientSettings(
        Role.THIRD_PARTY,
        SIGNAL_PURPOSES,
        tuple(dict.fromkeys(FIELDS.values())),
        contract="rehearsal",
        fields={**FIELDS},
        announced=LONG_AGO,
        transfer_basis="within",
        mode="return",
    )
    own = RecipientSettings(
        Role.SERVICE_PROVIDER,
        OF_ITS_OWN,
        (DataClass.CONTACT, DataClass.CPNI),
        contract="rehearsal",
        transfer_basis="within",
    )
    return {name_of(OUTSIDE, settings): outside, name_of(OWN, settings): own}


def name_of(wanted: str, settings: Settings) -> str:
    """A made-up recipient's name."""
    while wanted in settings.recipients:
        wanted += "_"
    return wanted


@contextlib.asynccontextmanager
async def opened(folder: Path, settings: Settings) -> AsyncIterator[Stage]:
    """Makes an installation in `folder`, which is not there yet, and serves it in this process: no socket, and the
    application's own way from the request to the answer. `settings` are quiet ones.
    """
    desk, in_apps = await asyncio.to_thread(_built, folder)
    addresses = Addresses({PUBLIC_PORT: frozenset({PUBLIC}), INTERNAL_PORT: frozenset({INTERNAL})})
    app = service.build(folder, settings, addresses, place=lambda _: PLACE)
    secrets = await asyncio.to_thread(secret_files.load_secrets, folder)
    async with _living(app), _client(app, PUBLIC_PORT) as public, _client(app, INTERNAL_PORT) as internal:
        yield Stage(settings, settings.registry(), public, internal, _bearer(desk), _bearer(in_apps), secrets)


def _built(folder: Path) -> tuple[str, str]:
    """The keys of its callers: one of every scope that is used, and a publishable one."""
    composition.migrate(folder)
    desk = api_keys.add_api_key(folder, "rehearsal", ("check", "choose", "share", "desk"), publishable=False)
    return desk, api_keys.add_api_key(folder, "rehearsal-app", ("choose",), publishable=True)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _client(app: Any, port: int) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False), base_url=f"{HOST}{port}"
    )


@contextlib.asynccontextmanager
async def _living(app: Any) -> AsyncIterator[None]:
    """ASGI's lifespan, as a server speaks it."""
    to_app, from_app = asyncio.Queue[MutableMapping[str, Any]](), asyncio.Queue[MutableMapping[str, Any]]()
    living = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))

    async def turn(word: str) -> None:
        await to_app.put({"type": f"lifespan.{word}"})
        told = asyncio.ensure_future(from_app.get())
        await asyncio.wait({told, living}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            told.cancel()
            await living  # raises what it ended with
        if told.result()["type"] != f"lifespan.{word}.complete":
            raise RuntimeError(told.result().get("message", "the stage did not open"))

    try:
        await turn("startup")
        yield
        await turn("shutdown")
    finally:
        living.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await living


def ends(
    recipient: Recipient, purpose: Purpose, said: frozenset[Purpose], *, recorded: bool = True
) -> frozenset[DataClass]:
    """Which data classes of a pair are denied once `said` was opted out of; none where the pair has nothing to do with
    it. Written from the rules and not from the verdict (R3, R21, R25): to somebody outside a no to one of sale, sharing
    and targeted ads is a no to whatever can be chosen about, on record it is one to all three; a limit ends precise
    points; what is of nobody goes on.
    """
    if purpose not in CHOOSABLE:
        return frozenset()
    personal = frozenset(recipient.data) - {DataClass.AGGREGATE, DataClass.DEIDENTIFIED}
    sold = not said.isdisjoint(SIGNAL_PURPOSES)
    if purpose in said or (sold and (recipient.third or (recorded and purpose in SIGNAL_PURPOSES))):
        return personal
    found = {DataClass.PRECISE_GEO} if Purpose.SENSITIVE in said else set()
    found |= {DataClass.CPNI} if Purpose.CPNI_DISCLOSURE in said else set()
    return personal & found


AREAS = (415, 212, 312, 512, 206, 305)  # in each of them 555-0100 to 555-0199 are for fiction
SIGNED_IN = 3600  # seconds: longer than a rehearsal
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds
PEOPLE_HOST = "rehearsal.example.com"


class NotTaken(Exception):
    """A door answered otherwise than to somebody whose wish it took. The text names the door and its status."""


@dataclass(slots=True)
class Person:
    """`cookie`: the sealed cookie of the browser, empty where the site remembers none. `token`: what its site was
    handed, where it is named by that.
    """

    number: int
    gaid: str = field(default_factory=lambda: str(uuid.uuid4()))
    other: str = field(default_factory=lambda: str(uuid.uuid4()))  # the ad id of another phone of the same account
    cookie: str = ""
    token: str = ""

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
        return self.token or self.cookie if kind == "browser" else str(getattr(self, kind))


def taken(answer: httpx2.Response, *expected: int) -> httpx2.Response:
    """The answer of a door that took what it was told. Raises `NotTaken`."""
    if answer.status_code not in (expected or (200, 201)):
        raise NotTaken(f"{answer.request.method} {_door(answer)} answered {answer.status_code}")
    return answer


async def patiently(
    send: Callable[[], Awaitable[httpx2.Response]],
    is_busy: Callable[[httpx2.Response], bool] = lambda answer: answer.status_code == 503,  # noqa: PLR2004
) -> httpx2.Response:
    """As callers do: whoever is told 503 asks again. A machine that is busy is not a gateway that fails. What stays so
    is taken as it is.
    """
    for pause in PAUSES:
        answer = await send()
        if not is_busy(answer):
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
            body = {"identifiers": [{"type": "browser", "value": "new", "host": PEOPLE_HOST}]}
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
        """Posts bodies as NDJSON."""
        sent = {**self._stage.desk, "Content-Type": "application/x-ndjson", **headers}
        return await patiently(lambda: self._stage.internal.post(path, content=b"\n".join(bodies), headers=sent))

    def signed_in(self, person: Person) -> dict[str, str]:
        """What a site's own server says of who is signed in; nothing where it may not say it by header."""
        if not self._stage.settings.account.header:
            return {}
        until = int(time.time()) + SIGNED_IN
        return {"Gateway-Account": api_keys.assert_account(self._stage.secrets.accounts[-1], person.account, until)}

    async def _shown(self) -> Mapping[str, str]:
        if not self._notices:
            told = taken(await self._stage.internal.get("/v1/self", headers=dict(self._stage.desk))).json()["notices"]
            self._notices = {item["kind"]: item["sha256"] for item in told if item["language"] == "en"}
        return self._notices
