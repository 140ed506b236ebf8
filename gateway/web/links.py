"""POST /v1/links: which phones, e-mails and devices an account has. The backend tells it (scope desk; R2, R5); an app
shows it: the account, and each identifier by a proof of its own, or an id of the phone by its word (R12).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.consent import Consent
from gateway.credentials import ApiKey, Credentials
from gateway.ledger.links import Span
from gateway.ledger.subjects import Subject, milliseconds
from gateway.people import OF_A_PHONE, Named
from gateway.web import auth, desk_call, wire
from gateway.web.problem import Problem
from gateway.web.proof import Proofs

KNOWN = frozenset({"account", "identifiers", "from", "until", "event", "place", "age"})
PROVED = frozenset({"account", "identifiers", "place", "proof"})  # when, and how old, is the desk's to say
USE = "link"
RELEASED = "number_released"
AHEAD = timedelta(minutes=5)  # clocks differ; a link that starts later than that cannot carry a choice yet


class Links:
    """The door."""

    def __init__(self, consent: Consent, credentials: Credentials, proofs: Proofs) -> None:
        self._consent = consent
        self._credentials = credentials
        self._proofs = proofs

    async def post(self, request: Request) -> Response:
        """One object, or from the desk NDJSON with an answer a line."""
        key = auth.anybody(request, self._credentials)
        if key.may("desk"):
            return await desk_call.answer(request, self._credentials, self._take, "linked")
        auth.want(key, "choose")
        wire.require_json(request)
        return wire.answer(await self._take_proved(key, wire.parse(await wire.read_body(request))), 201)

    async def _take_proved(self, key: ApiKey, stated: object) -> dict[str, Any]:
        """From now on, of what is proved; of a phone's ids as a claim. Raises `Problem`, also where the account is not
        proved.
        """
        body = desk_call.members(stated, PROVED, "a link with proof")
        named, ignored = desk_call.named(self._consent, body)
        account, others = self._account(body, released=False), _without_accounts(named)
        shown = {each.key for each in await self._proofs.of(body.get("proof"), key, [account, *others], USE)}
        if account.key not in shown:
            raise Problem("proof_required", "the proof is not of the account", "/proof")
        mine = [each for each in others if each.key in shown or each.kind in OF_A_PHONE]
        if len(mine) < len(others):
            ignored.append({"pointer": "/identifiers", "reason": "not all of them are proved"})
        changed = await self._proofs.tie(mine, account, shown)
        return {"linked": len(mine), "changed": changed, "ignored": ignored}

    async def _take(self, stated: object) -> dict[str, Any]:
        body = desk_call.members(stated, KNOWN, "a link")
        released = body.get("event") == RELEASED
        if body.get("event") is not None and not released:
            raise Problem("malformed", f"event is {RELEASED}", "/event")
        named, ignored = desk_call.named(self._consent, body)
        others = _without_accounts(named)
        account, band = self._account(body, released), wire.band(body.get("age"))
        changed = await self._consent.link(account, others, self._span(body), released=released)
        if band and not released:
            await self._consent.say_age([account], band, may_rise=True)
        return {"linked": 0 if released else len(others), "changed": changed, "ignored": ignored}

    def _account(self, body: Mapping[str, Any], released: bool) -> Any:
        stated = body.get("account")
        if released and stated is None:
            return self._consent.people.account("")
        named = self._consent.people.name([{"type": "account", "value": stated}])
        if not named.subjects:
            raise Problem("malformed", "account is the account's id", "/account")
        return named.subjects[0]

    def _span(self, body: Mapping[str, Any]) -> Span:
        now = self._consent.clock()
        start = _moment(body, "from") or now
        until = _moment(body, "until")
        if start > now + AHEAD:
            raise Problem("malformed", "from lies in the future", "/from")
        return Span(milliseconds(min(start, now)), milliseconds(until) if until else None)


def _without_accounts(named: Named) -> list[Subject]:
    """Raises `Problem` where one of them is an account."""
    others = [subject for subject in named.subjects if not subject.is_account]
    if len(others) < len(named.subjects):
        raise Problem("malformed", "an account is not linked to an account", "/identifiers")
    return others


def _moment(body: Mapping[str, Any], name: str) -> datetime | None:
    stated = body.get(name)
    if stated is None:
        return None
    found = wire.moment(stated)
    if found is None:
        raise Problem("malformed", f"{name} is an RFC 3339 time", f"/{name}")
    return found
