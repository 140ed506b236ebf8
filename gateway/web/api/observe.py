"""What phones, pages and backends tell of somebody, and ask about them, without an act of choice: POST /v1/observe and
/v1/standing.

/v1/observe can only tighten. A choice among the signals (GPC, a GPP opt-out) is written for every identifier of the
call, a device's state for devices alone (R26); what holds for a moment is in the answer and in no record. A secret key,
which only a server has, also says which browser is whose: an account and a browser of one call are tied (I1). Nothing
else of a call is, and a key that is in everybody's app ties nothing (R12).

`{"type": "browser", "value": "new", "host": H}` asks for a browser id for a site whose server, not we, sets the cookie
(I1): behind forward auth when a person signs in, or by an app's backend before it opens the site in a WebView (I28). It
writes nothing: the id is a stranger until a signal or an account comes with it.

/v1/standing: what holds for whom the caller proves to be, and whether it may ask again. `standing`, `may_ask_from` and
`still_out` are of what is proved alone (R6, R12): the account of an assertion, what the desk looked at, the phone of a
device token with those of its ids that no account has or had; where it shows others, which only its token ties to it,
they are those of who said no. `store` and `sdks` obey all that is named, as an observation's do. Writes nothing but
that an assertion was used.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, structs
from starlette.requests import Request
from starlette.responses import Response

from gateway.consent.installations import Installations
from gateway.consent.people import Named
from gateway.consent.site import TOLD_BY_TOKEN, widened
from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.keys.seals import BrowserCookie
from gateway.ledger.errors import NothingKept
from gateway.ledger.subjects import Subject
from gateway.signals.hear import SILENT
from gateway.signals.heard import Heard
from gateway.terms import ALL_PURPOSES, CHOOSABLE, SIGNAL_PURPOSES
from gateway.web.api.apps import (
    TYPED,
    App,
    Apps,
    Body,
    DeviceTokenSaid,
    Silence,
    StandingWord,
    StillOutBody,
    ToldToApp,
)
from gateway.web.shell import auth, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.own_cookies import BROWSER_ATTRIBUTES, BROWSER_COOKIE, day
from gateway.web.shell.problem import Problem
from gateway.web.shell.proof import Proofs, ProofStated, listed

HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")  # 253: the longest name (RFC 1035 section 2.3.4)


def make_browser(
    body: Body, key: ApiKey, heard: Heard, how: str, *, known: bool = False
) -> tuple[Body, dict[str, Any]]:
    """The body with its `new` browser made, and what the answer says of it: `{"cookie": {"name", "value", "attributes",
    "host"}}`, or nothing. The cookie holds what was heard, as one of our own would; not what is on record of the
    account, which can be lifted there. `how` is `[browser] remember_gpc`, `known`: `[signals] record_gpc` is. One
    that may not be made stays `new`, which is no browser and is listed as such: a publishable key's, one without a
    host, a site that remembers no browsers, a second one of a call.
    """
    stated = body.members.get("identifiers")
    items = stated if isinstance(stated, list) else []
    asked = next((index for index, item in enumerate(items) if _is_new(item)), None)
    if asked is None or key.publishable or how != "id":
        return body, {}
    consent = body.consent
    unwritten = known and heard.is_gpc_alone
    made = BrowserCookie(seals.new_browser(), day(consent.clock()), heard.remembered, unwritten=unwritten)
    value, host = seals.seal_cookie(consent.secrets.seals, made), items[asked]["host"]
    identifiers = [*items[:asked], {"type": "browser", "value": value}, *items[asked + 1 :]]
    cookie = {"name": BROWSER_COOKIE, "value": value, "attributes": BROWSER_ATTRIBUTES, "host": host}
    return structs.replace(body, members={**body.members, "identifiers": identifiers}), {"cookie": cookie}


def _is_new(item: object) -> bool:
    if not isinstance(item, Mapping) or (item.get("type"), item.get("value")) != ("browser", "new"):
        return False
    host = item.get("host")
    return isinstance(host, str) and HOST.fullmatch(host) is not None


class ObservedIdentifier(wire.LenientIdentifier):
    """One typed value. `host`: of browser `new`, for which one is made."""

    host: str | None = None


class ObservedBody(Struct, kw_only=True):
    """Lenient: what cannot be used is listed in `ignored`."""

    identifiers: Annotated[
        list[ObservedIdentifier] | UnsetType,
        Meta(
            description="A secret key's one account and its browsers are tied. Browser `new` makes one for `host`: the"
            " answer has the `cookie` to set."
        ),
    ] = UNSET
    signals: wire.SignalsBody | None = None
    place: wire.Place = None
    source: str | None = None
    age: wire.Age = None
    device: DeviceTokenSaid = UNSET
    proof: ProofStated = None


class CookieToSet(Struct):
    """Of a browser that was made."""

    name: str
    value: str
    attributes: str
    host: str


class ObservationBody(ToldToApp, kw_only=True):
    """What holds with what was heard. `accepted_at` and `effective_at`: of what is kept and entered later."""

    standing: dict[str, StandingWord]
    cookie: CookieToSet | UnsetType = UNSET
    accepted_at: wire.Time | UnsetType = UNSET
    effective_at: wire.Time | UnsetType | None = UNSET


SIGNALS = tuple(SIGNAL_PURPOSES)
OBSERVE_MEMBERS = wire.names_in(ObservedBody)


class Observe:
    """`POST /v1/observe`, for SDKs and backends."""

    def __init__(
        self, consent: Consent, credentials: Credentials, metrics: Metrics, apps: Apps,
        *, remember_gpc: str = "id", gpc_of_known: bool = False,
    ) -> None:  # fmt: skip
        self._apps = apps
        self._consent = consent
        self._credentials = credentials
        self._metrics = metrics
        self._remember = remember_gpc
        self._gpc_of_known = gpc_of_known

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "choose", revoked=True)
        wire.require_json(request)
        members = wire.as_object(wire.parse_body(await wire.read_body(request), lenient=True), "an observation")
        most = wire.AT_ONCE if key.publishable else wire.MAX_IDENTIFIERS
        body = Body(members, "observe", self._consent, self._metrics, at_once=most)
        body.ignore_unknown(OBSERVE_MEMBERS, members)
        body.tell_of_place()
        heard = body.heard(key)
        body, cookie = make_browser(body, key, heard, self._remember, known=self._gpc_of_known)
        stated = body.named(members.get("place"), no=True)
        app = await self._apps.read(body, key, stated)
        named = app.named
        heard = self._beside_tokens(heard, named)
        later = await self._later(body, heard)
        says_no = heard.without_endings().keeps
        if stated.only_misspelt and says_no and not (later or app.known or app.account):
            raise body.unusable(unread=app.unread)
        app = structs.replace(app, beyond=later)
        try:
            await self._write(body, key, app, heard)
        except NothingKept:
            if not (named.subjects and heard.keeps):
                raise
            return await self._kept(app, heard, body, cookie)
        await self._apps.say_age(app, body, key)
        app = await self._apps.follow(app)
        self._apps.count(app, key)
        if later:
            when = {"accepted_at": wire.stamp(self._consent.clock()), "effective_at": None}
            return wire.wire_answer(self._answer(app, heard, body) | when | cookie, 202)
        return wire.wire_answer(self._answer(app, heard, body) | cookie)  # of one status: it is not told what was news

    def _beside_tokens(self, heard: Heard, named: Named) -> Heard:
        """What was heard, and what a browser's own token alone says no to, where anybody comes with it."""
        heard = heard.without_endings() if named.respelled else heard
        return heard.beside(TOLD_BY_TOKEN) if self._consent.checks.joins(named.subjects) else heard

    async def _later(self, body: Body, heard: Heard) -> bool:
        """Whether a choice was kept, to be entered behind others: that of identifiers beyond those that are taken at
        once. States are of a phone's own few ids.
        """
        beyond = body.beyond().subjects
        if beyond:
            body.ignore("/identifiers", f"states and ages are taken of {body.at_once} identifiers a call")
        return bool(beyond) and await self._consent.hear_later(beyond, heard, place=body.place())

    async def _write(self, body: Body, key: ApiKey, app: App, heard: Heard) -> None:
        """Raises `StoreUnavailable`, and then the tie, too, is to be told again."""
        named, mark = app.named, app.mark
        news = named.subjects and heard.keeps and (mark or self._is_news(named.subjects, heard))
        if news and not self._is_left(named.subjects, heard):
            place, vouched = body.place(), app.attested
            await self._consent.observe(named.subjects, heard, place=place, mark=mark, vouched=vouched)
        account, browsers = _to_tie(named) if not key.publishable else (None, [])
        if account:
            browsers = [browser for browser in browsers if not self._consent.checks.tied(account, browser)]
        if account and (browsers or self._consent.checks.unnamed(account)):
            await self._consent.tie(account, browsers)

    def _is_left(self, subjects: Sequence[Subject], heard: Heard) -> bool:
        """Whether this is GPC of a browser that nothing but its own token names, which says so already."""
        alone = self._gpc_of_known and len(subjects) == 1 and subjects[0].unwritten and heard.is_gpc_alone
        return alone and self._consent.checks.standings_of(subjects[0].keys) == ()

    def _is_news(self, subjects: Sequence[Subject], heard: Heard) -> bool:
        """Whether the writer is to look: a site's server says the same with many pages. Of a value that stands for its
        digests as well only the writer knows all rows; of an account's other forms it is known whether they are.
        """
        unnamed = self._consent.checks.unnamed
        if any(unnamed(each) if each.is_account else len(each.keys) > 1 for each in subjects):
            return True
        site = self._consent.checks.site(subjects, heard.denied)
        return site.status == "unknown" or site.learns(heard, subjects, self._consent.checks.standings_of)

    async def _kept(self, app: App, heard: Heard, body: Body, cookie: dict[str, Any]) -> Response:
        """A choice among the signals, kept durably beside a ledger that cannot be written (202). A tie is not: until
        the ledger is back everybody is denied, and the next call makes it.
        """
        subjects, app = app.named.subjects, self._apps.unsettled(app)
        chosen = await self._consent.keep_heard(subjects, heard, place=body.place())
        self._metrics.kept.labels("signal").inc(len(subjects))
        when = {"accepted_at": wire.stamp(chosen.accepted_at), "effective_at": None}
        return wire.wire_answer(self._answer(app, heard, body) | when | cookie, 202)

    def _answer(self, app: App, heard: Heard, body: Body) -> dict[str, Any]:
        """Read back from enforcement."""
        denied = frozenset(SIGNAL_PURPOSES) if app.named.limited else widened(heard.denied)
        out = {purpose.value: "opted_out" for purpose in SIGNAL_PURPOSES if purpose in denied}
        seen = self._apps.seen(app)
        standing = self._apps.standing(app, SIGNALS, seen) | out
        kept = self._apps.kept(app, heard, body.members.get("place"), seen)
        return {"standing": standing, **kept, **self._apps.told(app, body, seen), "ignored": body.ignored}


def _to_tie(named: Named) -> tuple[Subject | None, list[Subject]]:
    """The one account of a call and its browsers. Of several accounts none: nobody said whose the browser is."""
    accounts = [subject for subject in named.subjects if subject.is_account]
    browsers = [subject for subject in named.subjects if subject.kind == "browser"]
    return (accounts[0] if len(accounts) == 1 else None), browsers


class StandingRequest(Struct, kw_only=True):
    """Lenient: what cannot be used is listed in `ignored`."""

    identifiers: list[wire.LenientIdentifier] | UnsetType = UNSET
    proof: ProofStated = None
    device: DeviceTokenSaid = UNSET
    place: wire.Place = None
    age: wire.Age = None


class StandingBody(ToldToApp, kw_only=True):
    """`standing`, `may_ask_from` and `still_out` are of what was proved; the rest obeys all that was named. Of what a
    publishable key names and does not prove, all of it is that of somebody who said no.
    """

    standing: dict[Annotated[str, wire.one_of(CHOOSABLE)], StandingWord]
    may_ask_from: Silence
    still_out: Annotated[
        list[StillOutBody], Meta(description="each no that stands above a yes of what was proved; empty: none does")
    ]


STANDING_MEMBERS = wire.names_in(StandingRequest)
USE = "standing"
SHOWN_OTHERWISE = frozenset({"account", "device", "attestation"})  # proofs that are read with the call


@dataclass(frozen=True)
class StandingDoor:
    """`POST /v1/standing`."""

    consent: Consent
    credentials: Credentials
    metrics: Metrics
    proofs: Proofs
    apps: Apps
    installations: Installations

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self.credentials, "choose")
        wire.require_json(request)
        members = wire.as_object(wire.parse_body(await wire.read_body(request)), "asking for a standing")
        body = Body(members, USE, self.consent, self.metrics)
        body.ignore_unknown(STANDING_MEMBERS, members)
        body.band()
        app = await self.apps.read(body, key, body.named(members.get("place")))
        others = await self._shown_otherwise(app, key, body)
        app = self.apps.settled(structs.replace(app, shown=frozenset(each.key for each in others)))
        told = self._read_of(app) if app.account or others else app
        proved = self._proved(app, told, key, others)
        if not proved:
            raise Problem("proof_required", "no proof of control that can be verified", "/proof")
        if any(each.key not in {one.key for one in proved} for each in app.named.subjects if each.kind in TYPED):
            body.ignore("/identifiers", "not all of them are proved")
        return wire.wire_answer(await self._answer(app, told, proved, body))

    async def _shown_otherwise(self, app: App, key: ApiKey, body: Body) -> list[Subject]:
        """Whom proofs show that are not read with the call."""
        found: list[Subject] = []
        if not (key.may("desk") or app.dev):
            for stated in listed(body.members.get("proof")):
                if str(stated.get("kind")) not in SHOWN_OTHERWISE:
                    found += await self.proofs.of(stated, key, app.named.subjects, USE)
        return found

    def _read_of(self, app: App) -> App:
        """The same of those alone whose standing is read beside an account or whoever else is shown: what the token
        remembers, and what is named with a token that was brought. Of one whom nothing shows all is as of a no.
        """
        named = tuple(each for each in app.named.subjects if app.known and each.kind not in TYPED)
        return self.apps.settled(structs.replace(app, named=Named(named), instead=()))

    def _proved(self, app: App, told: App, key: ApiKey, others: Sequence[Subject]) -> list[Subject]:
        if key.may("desk") or app.dev:
            return [*app.named.subjects]
        found = {app.account.key: app.account} if app.account else {}
        if app.token and app.known:
            phone = self.installations.subject(app.token)
            mine = () if told.strict else (each for each in app.named.subjects if each.kind not in TYPED)
            found |= {each.key: each for each in (phone, *mine)}
        return [*(found | {each.key: each for each in others}).values()]

    async def _answer(self, app: App, told: App, proved: list[Subject], body: Body) -> dict[str, Any]:
        """Of an id that only the token shows the day of a no is not told, nor what else than the sale and the like was
        said of it (R6).
        """
        theirs = [each for each in proved if each.key not in app.unproved]
        standing = self.consent.checks.read_back(theirs, CHOOSABLE)
        said = await self.consent.last_out([each for each in theirs if each.kind == "device"])
        standing |= {purpose.value: "opted_out" for purpose in said if standing[purpose.value] == "none"}
        seen = self.apps.seen(app)
        if told.strict:
            standing |= self.apps.standing(told, ALL_PURPOSES, seen)
        else:
            standing |= self.consent.checks.read_back(proved, ALL_PURPOSES, app.token)
        return {
            "standing": standing,
            "may_ask_from": await self.consent.silence(theirs, CHOOSABLE, standing),
            "still_out": await self.apps.still_out(told, theirs, standing, CHOOSABLE),
            **self.apps.kept(app, SILENT, body.members.get("place"), seen),
            **self.apps.told(app, body, seen),
            "ignored": body.ignored,
        }
