"""POST /v1/observe: what an app's phone or a site's page says by itself, without a person's act.

It can only tighten. A choice among the signals (GPC, a GPP opt-out) is written for every identifier of the call, a
device's state for devices alone (R26); what holds for a moment is in the answer and in no record. A secret key, which
only a server has, also says which browser is whose: an account and a browser of one call are tied (I1). Nothing else
of a call is, and a key that is in everybody's app ties nothing (R12).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.downstream import stores
from gateway.consent import Consent
from gateway.credentials import ApiKey, Credentials
from gateway.ledger.errors import NothingKept
from gateway.ledger.subjects import Subject
from gateway.people import Named
from gateway.signals.heard import Heard
from gateway.site import widened
from gateway.terms import SIGNAL_PURPOSES
from gateway.web import auth, new_browser, wire
from gateway.web.apps import App, Apps
from gateway.web.lenient import Body
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem

KNOWN = frozenset({"identifiers", "signals", "place", "source", "age", "device", "proof"})


class Observe:
    """The door for SDKs and backends."""

    def __init__(
        self, consent: Consent, credentials: Credentials, metrics: Metrics, apps: Apps, *, remember_gpc: str = "id"
    ) -> None:
        self._apps = apps
        self._consent = consent
        self._credentials = credentials
        self._metrics = metrics
        self._remember = remember_gpc

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "choose", revoked=True)
        wire.require_json(request)
        members = wire.parse(await wire.read_body(request), lenient=True)
        if not isinstance(members, dict):
            raise Problem("malformed", "an observation is a JSON object")
        most = wire.AT_ONCE if key.publishable else wire.MAX_IDENTIFIERS
        body = Body(members, "observe", self._consent, self._metrics, at_once=most)
        body.ignore_unknown(KNOWN, members)
        body.tell_of_place()
        heard = body.heard(key)
        body, cookie = new_browser.make(body, key, heard, self._remember)
        app = await self._apps.read(body, key, body.named(members.get("place"), no=True))
        named = app.named
        heard = heard.without_endings() if named.respelled else heard
        later = await self._later(body, heard)
        app = replace(app, beyond=later)
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
            return wire.answer(self._answer(app, heard, body) | when | cookie, 202)
        return wire.answer(self._answer(app, heard, body) | cookie)  # of one status: it is not told what was news

    async def _later(self, body: Body, heard: Heard) -> bool:
        """Whether a choice was kept, to be entered behind others: that of identifiers beyond those that are taken at
        once. States are of a phone's own few ids.
        """
        beyond = body.beyond(body.members.get("place")).subjects
        if beyond:
            body.ignore("/identifiers", f"states and ages are taken of {body.at_once} identifiers a call")
        return bool(beyond) and await self._consent.hear_later(beyond, heard, place=body.place())

    async def _write(self, body: Body, key: ApiKey, app: App, heard: Heard) -> None:
        """Raises `StoreUnavailable`, and then the tie, too, is to be told again."""
        named, mark = app.named, app.mark
        if named.subjects and heard.keeps and (mark or self._is_news(named.subjects, heard)):
            place, vouched = body.place(), app.attested
            await self._consent.observe(named.subjects, heard, place=place, mark=mark, vouched=vouched)
        account, browsers = _to_tie(named) if not key.publishable else (None, [])
        if account:
            browsers = [browser for browser in browsers if not self._consent.checks.tied(account, browser)]
        if account and browsers:
            await self._consent.tie(account, browsers)

    def _is_news(self, subjects: Sequence[Subject], heard: Heard) -> bool:
        """Whether the writer is to look: a site's server says the same with many pages. Of a value that stands for its
        digests as well only the writer knows all rows.
        """
        if any(len(subject.keys) > 1 for subject in subjects):
            return True
        site = self._consent.checks.site(subjects, heard.denied)
        return site.status == "unknown" or site.learns(heard, subjects)

    async def _kept(self, app: App, heard: Heard, body: Body, cookie: dict[str, Any]) -> Response:
        """A choice among the signals, kept durably beside a ledger that cannot be written (api.md: 202). A tie is not:
        until the ledger is back everybody is denied, and the next call makes it.
        """
        subjects, app = app.named.subjects, self._apps.unsettled(app)
        chosen = await self._consent.keep_heard(subjects, heard, place=body.place())
        self._metrics.kept.labels("signal").inc(len(subjects))
        when = {"accepted_at": wire.stamp(chosen.accepted_at), "effective_at": None}
        return wire.answer(self._answer(app, heard, body) | when | cookie, 202)

    def _answer(self, app: App, heard: Heard, body: Body) -> dict[str, Any]:
        """Read back from enforcement."""
        denied = frozenset(SIGNAL_PURPOSES) if app.named.limited else widened(heard.denied)
        out = {purpose.value: "opted_out" for purpose in SIGNAL_PURPOSES if purpose in denied}
        standing = self._apps.standing(app, tuple(SIGNAL_PURPOSES)) | out
        strings = stores(self._apps.outcome(app, heard, body.members.get("place")))
        return {"standing": standing, **strings, **self._apps.told(app, body), "ignored": body.ignored}


def _to_tie(named: Named) -> tuple[Subject | None, list[Subject]]:
    """The one account of a call and its browsers. Of several accounts none: nobody said whose the browser is."""
    accounts = [subject for subject in named.subjects if subject.is_account]
    browsers = [subject for subject in named.subjects if subject.kind == "browser"]
    return (accounts[0] if len(accounts) == 1 else None), browsers
