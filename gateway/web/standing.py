"""POST /v1/standing: an app, or a backend, asks what holds for whom it proves to be, and whether it may ask again.

`standing`, `may_ask_from` and `still_out` are of what is proved alone (R6, R12): the account of an assertion, what the
desk looked at, the phone of a device token with those of its ids that no account has or had; where it shows others,
which only its token ties to it, they are those of who said no. `store` and `sdks` obey all that is named, as an
observation's do. Writes nothing but that an assertion was used.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.downstream import stores
from gateway.consent import Consent
from gateway.credentials import ApiKey, Credentials
from gateway.installations import Installations
from gateway.ledger.subjects import Subject
from gateway.signals.heard import Heard
from gateway.terms import ALL_PURPOSES, CHOOSABLE
from gateway.web import auth, wire
from gateway.web.apps import TYPED, App, Apps
from gateway.web.lenient import Body
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem
from gateway.web.proof import Proofs, listed

KNOWN = frozenset({"identifiers", "proof", "device", "place", "age"})
USE = "standing"
SHOWN_OTHERWISE = frozenset({"account", "device", "attestation"})  # proofs that are read with the call


class StandingDoor:
    """The door."""

    def __init__(
        self, consent: Consent, credentials: Credentials, metrics: Metrics, proofs: Proofs, apps: Apps,
        known: Installations,
    ) -> None:  # fmt: skip
        self._consent = consent
        self._credentials = credentials
        self._metrics = metrics
        self._proofs = proofs
        self._apps = apps
        self._installations = known

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "choose")
        wire.require_json(request)
        members = wire.parse(await wire.read_body(request))
        if not isinstance(members, dict):
            raise Problem("malformed", "asking for a standing is a JSON object")
        body = Body(members, USE, self._consent, self._metrics)
        body.ignore_unknown(KNOWN, members)
        body.band()
        app = await self._apps.read(body, key, body.named(members.get("place")))
        others = await self._shown_otherwise(app, key, body)
        app = self._apps.settled(replace(app, shown=frozenset(each.key for each in others)))
        proved = self._proved(app, key, others)
        if not proved:
            raise Problem("proof_required", "no proof of control that can be verified", "/proof")
        if any(each.key not in {one.key for one in proved} for each in app.named.subjects if each.kind in TYPED):
            body.ignore("/identifiers", "not all of them are proved")
        return wire.answer(await self._answer(app, proved, body))

    async def _shown_otherwise(self, app: App, key: ApiKey, body: Body) -> list[Subject]:
        """Whom proofs show that are not read with the call."""
        found: list[Subject] = []
        if not (key.may("desk") or app.dev):
            for stated in listed(body.members.get("proof")):
                if stated.get("kind") not in SHOWN_OTHERWISE:
                    found += await self._proofs.of(stated, key, app.named.subjects, USE)
        return found

    def _proved(self, app: App, key: ApiKey, others: Sequence[Subject]) -> list[Subject]:
        if key.may("desk") or app.dev:
            return [*app.named.subjects]
        found = {app.account.key: app.account} if app.account else {}
        if app.token and app.known:
            phone = self._installations.subject(app.token)
            mine = () if app.strict else (each for each in app.named.subjects if each.kind not in TYPED)
            found |= {each.key: each for each in (phone, *mine)}
        return [*(found | {each.key: each for each in others}).values()]

    async def _answer(self, app: App, proved: list[Subject], body: Body) -> dict[str, Any]:
        """Of an id that only the token shows the day of a no is not told, nor what else than the sale and the like was
        said of it (R6).
        """
        theirs = [each for each in proved if each.key not in app.unproved]
        standing = self._consent.checks.read_back(theirs, CHOOSABLE)
        said = await self._consent.last_out([each for each in theirs if each.kind == "device"])
        standing |= {purpose.value: "opted_out" for purpose in said if standing[purpose.value] == "none"}
        told = app if all(each.kind == "device" for each in proved) else replace(app, instead=())
        if told.strict:
            standing |= self._apps.standing(app, ALL_PURPOSES)
        else:
            standing |= self._consent.checks.read_back(proved, ALL_PURPOSES, app.token)
        return {
            "standing": standing, "may_ask_from": await self._consent.silence(theirs, CHOOSABLE, standing),
            "still_out": await self._apps.still_out(told, theirs, standing, CHOOSABLE),
            **stores(self._apps.outcome(app, Heard(), body.members.get("place"))),
            **self._apps.told(app, body), "ignored": body.ignored,
        }  # fmt: skip
