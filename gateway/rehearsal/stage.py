"""The stage: an installation of its own with the operator's configuration, opened as the service opens it.

What would reach somebody outside is taken out of the configuration first. Two made-up recipients stand beside the
operator's own, to whom everything may go that can be chosen about: by them each way shows that it ends something, also
where the operator has written in no contract yet.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from gateway import app as composition
from gateway import credentials, keys, service
from gateway.choice.recipient import Recipient
from gateway.keys import Secrets
from gateway.recipient_settings import RecipientSettings
from gateway.settings import Settings
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, DataClass, Purpose, Role
from gateway.web.edge import INTERNAL, PUBLIC, Addresses

NOWHERE = "http://127.0.0.1:0"  # a port that nobody can listen on: a row that should have stopped reaches nobody
HOST = "http://127.0.0.1:"
PUBLIC_PORT, INTERNAL_PORT = 8080, 8081  # of no socket: the stage's two addresses are told apart by them
PLACE = "US-CA"  # where everybody made up lives: a site that does not know where a visitor is may do nothing anyway
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
        ledger=change(settings.ledger, checkpoint_store=""),
        witnesses={},
    )


def _quiet(item: RecipientSettings, *, dev: bool) -> RecipientSettings:
    nowhere = NOWHERE if item.mode == "forward" else ""
    vouched = {
        "contract": item.contract or "dev", "transfer_basis": item.transfer_basis or "within",
        "announced": item.announced or LONG_AGO,
    }  # fmt: skip
    return msgspec.structs.replace(
        item, endpoint=nowhere, sandbox_endpoint=nowhere, deliveries="", ddrf="", upload=(), **(vouched if dev else {})
    )


def made_up(settings: Settings) -> dict[str, RecipientSettings]:
    """The two recipients; where the operator has one of that name, ours is called otherwise."""
    outside = RecipientSettings(
        Role.THIRD_PARTY, SIGNAL_PURPOSES, tuple(dict.fromkeys(FIELDS.values())), contract="rehearsal",
        fields={**FIELDS}, announced=LONG_AGO, transfer_basis="within", mode="return",
    )  # fmt: skip
    own = RecipientSettings(
        Role.SERVICE_PROVIDER, OF_ITS_OWN, (DataClass.CONTACT, DataClass.CPNI), contract="rehearsal",
        transfer_basis="within",
    )  # fmt: skip
    return {name_of(OUTSIDE, settings): outside, name_of(OWN, settings): own}


def name_of(wanted: str, settings: Settings) -> str:
    """A made-up recipient's name."""
    while wanted in settings.recipients:
        wanted += "_"
    return wanted


@dataclass(frozen=True, slots=True)
class Built:
    """An installation that was made for a rehearsal, and the keys of its callers."""

    folder: Path
    secret: str
    in_apps: str


def build(folder: Path) -> Built:
    """Makes it in `folder`, which is not there yet."""
    composition.migrate(folder)
    secret = credentials.add(folder, "rehearsal", ("check", "choose", "share", "desk"), publishable=False)
    return Built(folder, secret, credentials.add(folder, "rehearsal-app", ("choose",), publishable=True))


@contextlib.asynccontextmanager
async def opened(built: Built, settings: Settings) -> AsyncIterator[Stage]:
    """Serves it in this process: no socket, and the application's own way from the request to the answer. `settings`
    are quiet ones.
    """
    addresses = Addresses({PUBLIC_PORT: frozenset({PUBLIC}), INTERNAL_PORT: frozenset({INTERNAL})})
    app = service.build(built.folder, settings, addresses, place=lambda _: PLACE)
    secrets = await asyncio.to_thread(keys.load, built.folder)
    async with _living(app), _client(app, PUBLIC_PORT) as public, _client(app, INTERNAL_PORT) as internal:
        desk, in_apps = _bearer(built.secret), _bearer(built.in_apps)
        yield Stage(settings, settings.registry(), public, internal, desk, in_apps, secrets)


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
) -> frozenset[DataClass]:  # fmt: skip
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
