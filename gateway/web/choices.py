"""POST /v1/choices: a choice said in an app, at the desk or by a backend.

Lenient where it could lose an opt-out: opt_out and limit take what is usable and list the rest in `ignored`. Strict for
opting in: one purpose, a notice that was logged, proof of control, and two separate acts (R4).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway import seals
from gateway.choice.downstream import stores
from gateway.consent import Chosen, Consent
from gateway.credentials import ApiKey, Credentials
from gateway.ledger.entry import Notice
from gateway.ledger.records import Choice
from gateway.people import Named
from gateway.signals.heard import Heard
from gateway.terms import (
    ALL_PURPOSES,
    CALLERS_CHOICES,
    CHOOSABLE,
    SIGNAL_PURPOSES,
    ChoiceKind,
    DataClass,
    Manner,
    Purpose,
    Source,
)
from gateway.web import auth, problem, wire
from gateway.web.lenient import Body, Ignored
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem

KNOWN = frozenset(
    [
        "identifiers",
        "choice",
        "purposes",
        "place",
        "source",
        "notice",
        "made_at",
        "proof",
        "signals",
        "recipient",
        "data",
        "confirm",
        "manner",
        "received_at",
        "device",
    ]
)
ONLY_OUT = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT})
OPENS = frozenset({ChoiceKind.OPT_IN, ChoiceKind.CONFIRM})
DESK_ONLY = frozenset({"manner", "received_at"})
ACT_AGE = timedelta(minutes=10)  # an opt-in is never queued (R4)


@dataclass(frozen=True, slots=True)
class Said:
    """One choice as it came."""

    call: Body
    kind: ChoiceKind
    key: ApiKey

    @property
    def body(self) -> Mapping[str, Any]:
        return self.call.members

    @property
    def ignored(self) -> Ignored:
        return self.call.ignored

    def ignore(self, pointer: str, reason: str) -> None:
        self.call.ignore(pointer, reason)


class Choices:
    """The door. `dev` accepts the development proof."""

    def __init__(self, consent: Consent, credentials: Credentials, metrics: Metrics, *, dev: bool = False) -> None:
        self._consent = consent
        self._credentials = credentials
        self._metrics = metrics
        self._dev = dev

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "choose", revoked=True)
        lines = wire.require_json(request, lines=True)
        body = await wire.read_body(request)
        repeat = request.headers.get("idempotency-key", "")[:256]
        if lines:
            return await self._lines(key, body, repeat)
        said = self._said(wire.parse(body), key)
        status, answer = await self._take(said, f"{key.id}:{repeat}" if repeat else "", body)
        return wire.answer(answer, status)

    async def _lines(self, key: ApiKey, body: bytes, repeat: str) -> Response:
        """NDJSON, scope desk, opt_out and limit only: an import or a day's letters. A bad line costs only itself."""
        if not key.may("desk"):
            raise Problem("forbidden", "NDJSON wants scope desk")
        answers: list[object] = []
        for number, line in enumerate(wire.lines_of(body)):
            try:
                said = self._said(wire.parse(line), key, ONLY_OUT)
                name = f"{key.id}:{repeat}:{number}" if repeat else ""
                answers.append((await self._take(said, name, line))[1])
            except problem.HANDLED as error:
                answers.append(problem.line(error))
        return wire.lines_answer([*answers, {"end": True, "count": len(answers)}])

    def _said(self, body: object, key: ApiKey, kinds: Collection[ChoiceKind] = CALLERS_CHOICES) -> Said:
        if not isinstance(body, dict):
            raise Problem("malformed", "a choice is a JSON object")
        kind = _kind(body.get("choice"), kinds)
        if key.revoked and kind not in {*ONLY_OUT, ChoiceKind.WITHDRAW}:
            raise Problem("unauthorized", "this key was revoked")
        said = Said(Body(body, "choices", self._consent, self._metrics), kind, key)
        said.call.ignore_unknown(KNOWN, body)
        for name in sorted(DESK_ONLY & set(body)) if not key.may("desk") else ():
            said.ignore(f"/{name}", "wants scope desk")
        if body.get("signals") and kind in OPENS:
            said.ignore("/signals", "not read beside this choice")
        return said

    async def _take(self, said: Said, repeat: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """(status, answer) of one choice."""
        if said.kind is ChoiceKind.CONFIRM:
            return await self._confirm(said, repeat, body)
        named = said.call.named(said.call.place())
        purposes = _purposes(said)
        if said.kind is ChoiceKind.OPT_IN:
            return await self._opt_in(said, named, purposes)
        if not named.subjects:
            if named.only_limited:
                return 200, self._limited(purposes, said.body.get("place"), said.ignored)
            raise Problem("nothing_usable", "no identifier of this choice can be used", "/identifiers")
        choice = self._choice(said, purposes, await self._notice(said))
        tie = said.key.may("desk") and choice.source != Source.IMPORT
        heard = said.call.heard(said.key)
        chosen = await self._consent.choose(named.subjects, choice, key=repeat, body=body, tie=tie)
        if heard.keeps:  # on a replay too: writing it is no news then, unless the store went in between
            await self._consent.observe(named.subjects, heard, place=choice.place)
        self._metrics.choices.labels(choice.kind, choice.source).inc(len(named.subjects))
        return 200 if chosen.replayed else 201, self._answer(chosen, said, heard, limited=named.limited)

    def _answer(self, chosen: Chosen, said: Said, heard: Heard, *, limited: bool = False) -> dict[str, Any]:
        """The events, what holds now, and the keys that an app keeps on its phone (api.md)."""
        place = said.body.get("place") or chosen.place or None
        outcome = self._consent.checks.outcome(chosen.subjects, heard.denied, place, gpc=heard.gpc)
        return {**_answer(chosen, said.ignored), **stores(outcome.all_denied() if limited else outcome)}

    async def _opt_in(self, said: Said, named: Named, purposes: Sequence[Purpose]) -> tuple[int, dict[str, Any]]:
        """The first act: nothing is written."""
        if len(purposes) != 1 or said.ignored or not named.subjects:
            where = said.ignored[0]["pointer"] if said.ignored else "/purposes"
            raise Problem("one_purpose", "opting in names exactly one purpose and usable identifiers", where)
        self._prove(said)
        notice = await self._notice(said)
        if notice is None:
            raise Problem("notice_required", "opting in names a notice that was logged before", "/notice")
        made = _moment(said, "made_at")
        now = self._consent.clock()
        if made is not None and now - made > ACT_AGE:
            raise Problem("superseded", "an opt-in is never queued: the act is older than 10 minutes", "/made_at")
        recipient, data_class = self._grant(said, purposes[0])
        choice = Choice(
            ChoiceKind.OPT_IN, tuple(purposes), _source(said), now, said.call.place(), notice,
            recipient=recipient, data_class=data_class,
        )  # fmt: skip
        token, expires = self._consent.ask_to_confirm(named.subjects, choice)
        return 202, {"confirm": token, "expires_at": wire.stamp(expires), "ignored": said.ignored}

    def _grant(self, said: Said, purpose: Purpose) -> tuple[str, DataClass | None]:
        """For precise geolocation: one recipient and the class (R4). Empty for a general opt-in."""
        recipient, data = said.body.get("recipient"), said.body.get("data")
        if recipient is None and data is None:
            return "", None
        known = self._consent.recipients.get(recipient) if isinstance(recipient, str) else None
        if known is None or purpose not in known.purposes:
            raise Problem("malformed", "recipient is not one that is configured for this purpose", "/recipient")
        if data != [DataClass.PRECISE_GEO]:
            raise Problem("malformed", 'data is ["precise_geo"] beside a recipient', "/data")
        return known.name, DataClass.PRECISE_GEO

    async def _confirm(self, said: Said, repeat: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """The second act, with a proof and a notice of its own."""
        token = said.body.get("confirm")
        if not isinstance(token, str):
            raise Problem("malformed", "confirm is the token of the first act", "/confirm")
        self._prove(said)
        notice = await self._notice(said)
        if notice is None:
            raise Problem("notice_required", "confirming names a notice that was logged before", "/notice")
        chosen = await self._consent.confirm(token, notice, key=repeat, body=body)
        self._metrics.choices.labels(ChoiceKind.OPT_IN, Source.API).inc()
        return 200 if chosen.replayed else 201, self._answer(chosen, said, Heard())

    def _prove(self, said: Said) -> None:
        """Proof of control. This version verifies none but the development one; every other is refused."""
        if self._dev and said.body.get("proof") == {"kind": "account", "assertion": "dev"}:
            return
        raise Problem("proof_required", "no proof of control that can be verified", "/proof")

    async def _notice(self, said: Said) -> Notice | None:
        stated = said.body.get("notice")
        text = stated.get("sha256") if isinstance(stated, dict) else None
        if not isinstance(text, str):
            return None
        try:
            digest = bytes.fromhex(text) if len(text) == 64 else seals.unb64(text)  # noqa: PLR2004 - hex of SHA-256
        except (ValueError, seals.Opening):
            digest = b""
        found = await self._consent.notice(digest)
        if found is None:
            said.ignore("/notice", "unknown")
        return found

    def _choice(self, said: Said, purposes: Sequence[Purpose], notice: Notice | None) -> Choice:
        desk = said.key.may("desk")
        received = _moment(said, "received_at") if desk else None
        now = self._consent.clock()
        if received is not None and received > now:
            said.ignore("/received_at", "in the future")
            received = None
        details = {"made_at": said.body["made_at"]} if _moment(said, "made_at") else {}
        return Choice(
            said.kind, tuple(purposes), _source(said), now, said.call.place(), notice,
            manner=_manner(said) if desk else "", received=received, details=details,
        )  # fmt: skip

    def _limited(self, purposes: Sequence[Purpose], place: object, ignored: Ignored) -> dict[str, Any]:
        """Only withheld ids: there is no key to write under, and every check with them denies already."""
        standing = dict.fromkeys((purpose.value for purpose in purposes), "opted_out")
        kept = stores(self._consent.checks.outcome((), frozenset(SIGNAL_PURPOSES), place))
        return {"events": [], "event": None, "seq": None, "standing": standing, **kept, "ignored": ignored}


def _kind(stated: object, kinds: Collection[ChoiceKind]) -> ChoiceKind:
    if not isinstance(stated, str) or stated not in kinds:
        raise Problem("malformed", f"choice is one of {', '.join(kinds)}", "/choice")
    return ChoiceKind(stated)


def _purposes(said: Said) -> tuple[Purpose, ...]:
    """The purposes named. An opt-out whose purposes cannot be read is of all (when in doubt, yes)."""
    default = (Purpose.SENSITIVE,) if said.kind is ChoiceKind.LIMIT else ALL_PURPOSES
    named = said.body.get("purposes")
    items = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    opting_in = said.kind is ChoiceKind.OPT_IN
    found: list[Purpose] = []
    for index, item in enumerate(items):
        if item == "all" and not opting_in:
            found += default
        elif isinstance(item, str) and item in CHOOSABLE:
            found.append(Purpose(item))
        else:
            said.ignore(f"/purposes/{index}", "unknown")
    if opting_in:
        return tuple(dict.fromkeys(found))
    return tuple(dict.fromkeys(found)) or default


def _source(said: Said) -> str:
    stated = said.body.get("source")
    if stated is None:
        return Source.API
    if isinstance(stated, str) and stated in set(Source):
        return Source(stated)
    said.ignore("/source", "unknown")
    return Source.API


def _manner(said: Said) -> str:
    stated = said.body.get("manner")
    if isinstance(stated, str) and stated in set(Manner):
        return Manner(stated)
    if stated is not None:
        said.ignore("/manner", "unknown")
    return ""


def _moment(said: Said, name: str) -> datetime | None:
    stated = said.body.get(name)
    if stated is None:
        return None
    found = wire.moment(stated)
    if found is None:
        said.ignore(f"/{name}", "not an RFC 3339 time")
    return found


def _answer(chosen: Chosen, ignored: Ignored) -> dict[str, Any]:
    first = chosen.events[0]
    return {
        "events": list(chosen.events), "event": first["event"], "seq": first["seq"],
        "accepted_at": wire.stamp(chosen.accepted_at), "effective_at": wire.stamp(chosen.effective_at),
        "standing": dict(chosen.standing), "may_ask_from": dict(chosen.may_ask_from), "ignored": ignored,
    }  # fmt: skip
