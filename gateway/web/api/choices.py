"""POST /v1/choices: a choice said in an app, at the desk or by a backend.

Lenient where it could lose an opt-out: opt_out and limit take what is usable and list the rest in `ignored`. Strict for
opting in (`gateway.web.api.opting_in`) and for what is sent or kept at a person's own wish.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Annotated, Any

import orjson
from msgspec import UNSET, Meta, Struct, UnsetType, structs
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.downstream import stores
from gateway.choice.identity import phone_number
from gateway.consent.choice_result import Chosen
from gateway.consent.people import Named
from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.ledger.entry import Notice
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice, Subject
from gateway.signals.hear import SILENT
from gateway.signals.heard import Heard
from gateway.state.lookup import Seen
from gateway.terms import CALLERS_CHOICES, SIGNAL_PURPOSES, ChoiceKind, Purpose, Role, Source
from gateway.web.api.apps import App, Apps, Silence, StandingWord, StillOutBody, ToldToApp
from gateway.web.api.choice_body import ChoiceBody, ChoiceSaid
from gateway.web.api.opting_in import OptingIn
from gateway.web.shell import auth, desk_call, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.problem import Problem
from gateway.web.shell.proof import Proofs

KNOWN = wire.names_in(ChoiceBody)
Receipt = Annotated[
    str | None,
    Meta(description="a C2SP tlog-proof, which names nobody; null: the log cannot be read just now, ask /v1/receipts"),
]


class EventWritten(Struct):
    """An entry. `seq` null: it is kept, and entered later."""

    event: str
    seq: int | None
    receipt: Receipt | UnsetType = UNSET


class NumberRead(Struct):
    """One country's reading of a number, without the number."""

    country: str
    ends: str


class ChosenBody(ToldToApp, kw_only=True):
    """One entry for each identifier; `event`, `seq` and `receipt` are the first one's."""

    events: list[EventWritten]
    event: str | None
    seq: int | None
    receipt: Receipt | UnsetType = UNSET
    accepted_at: wire.Time | UnsetType = UNSET
    effective_at: wire.Time | UnsetType | None = UNSET
    standing: dict[str, StandingWord]
    may_ask_from: Silence | UnsetType = UNSET
    still_out: Annotated[
        list[StillOutBody] | UnsetType, Meta(description="of confirm; empty: no no stands above the yes")
    ] = UNSET
    readings: Annotated[
        list[list[NumberRead]] | UnsetType,
        Meta(
            description="Each number that came without a country code and may be of several countries, with all that"
            " it was read as. The first is the number; the others deny and nothing else."
        ),
    ] = UNSET
    continuing_right: Annotated[str | UnsetType, Meta(description="of confirm: to be told to a young person")] = UNSET


class ToConfirm(Struct, kw_only=True):
    """The first act of opting in was taken."""

    confirm: Annotated[str, Meta(description="goes back with the second act, choice confirm")]
    expires_at: wire.Time
    sdks: dict[str, str]
    device: str | UnsetType = UNSET
    ignored: list[wire.IgnoredMember]


ONLY_OUT = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT})
TOWARDS_ONE = frozenset({ChoiceKind.DIRECT, ChoiceKind.KEEP_PROGRAMME})
OPENS = frozenset({ChoiceKind.OPT_IN, ChoiceKind.CONFIRM, *TOWARDS_ONE})
DESK_ONLY = frozenset({"manner", "received_at"})


class Choices:
    """`POST /v1/choices`."""

    def __init__(
        self, consent: Consent, credentials: Credentials, metrics: Metrics, proofs: Proofs, apps: Apps
    ) -> None:
        self._consent = consent
        self._credentials = credentials
        self._metrics = metrics
        self._apps = apps
        self._proofs = proofs
        self._opting_in = OptingIn(consent, proofs)

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "choose", revoked=True)
        lines = wire.require_json(request, lines=True)
        body = await wire.read_body(request)
        repeat = request.headers.get("idempotency-key", "")[:256]
        if lines:
            return await self._lines(key, body, repeat)
        said = self._said(
            wire.parse_body(body, lenient=True), key, act=f"{repeat}\x00".encode() + body if repeat else b""
        )
        status, answer = await self._take(said, _request_name(said, repeat), body)
        await self._add_receipts(answer)
        return wire.wire_answer(answer, status)

    async def _add_receipts(self, answer: dict[str, Any]) -> None:
        """The proof of each entry is there already: the tree changed in the entry's own transaction. A choice that is
        kept is answered for without it where the log cannot be read just now; the receipt can be had later.
        """
        events = [
            each for each in answer.get("events") or [] if each["seq"] is not None
        ]  # kept beside, it has none yet
        with contextlib.suppress(StoreUnavailable):
            log = self._consent.log_reader
            receipts = log.receipts_at_hand([(each["event"], each["seq"]) for each in events])
            if receipts is None:
                wanted = [seals.unb64(each["event"]) for each in events]
                receipts = await asyncio.to_thread(log.receipts, wanted, lasting=False)
            for each, receipt in zip(events, receipts, strict=True):
                each["receipt"] = receipt.text() if receipt else None
            if events:
                answer["receipt"] = events[0]["receipt"]

    async def _lines(self, key: ApiKey, body: bytes, repeat: str) -> Response:
        """NDJSON, scope desk, opt_out and limit only: an import or a day's letters. A bad line costs only itself."""
        if not key.may("desk"):
            raise Problem("forbidden", "NDJSON wants scope desk")

        async def one(place: int, line: bytes) -> dict[str, Any]:
            said = self._said(wire.parse_body(line, lenient=True), key, ONLY_OUT)
            name = f"{key.id}:{repeat}:{place}" if repeat else ""
            return (await self._take(said, name, line))[1]

        return await desk_call.each(wire.lines_of(body), one, {})

    def _said(
        self, body: object, key: ApiKey, kinds: Collection[ChoiceKind] = CALLERS_CHOICES, act: bytes = b""
    ) -> ChoiceSaid:
        body = wire.as_object(body, "a choice")
        kind = _kind(body.get("choice"), kinds)
        if key.revoked and kind not in {*ONLY_OUT, ChoiceKind.WITHDRAW}:
            raise Problem("unauthorized", "this key was revoked")
        most = wire.AT_ONCE if key.publishable else wire.MAX_IDENTIFIERS
        said = ChoiceSaid(body, "choices", self._consent, self._metrics, at_once=most, kind=kind, key=key, act=act)
        said.ignore_unknown(KNOWN, body)
        said.tell_of_place()
        for name in sorted(DESK_ONLY & set(body)) if not key.may("desk") else ():
            said.ignore(f"/{name}", "wants scope desk")
        if body.get("signals") and kind in OPENS:
            said.ignore("/signals", "not read beside this choice")
        return said

    async def _take(self, said: ChoiceSaid, repeat: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """(status, answer) of one choice."""
        if said.kind is ChoiceKind.CONFIRM:
            chosen, more = await self._opting_in.confirm(said, repeat, body)
            self._metrics.chosen(ChoiceKind.OPT_IN, Source.API)
            app = self._apps.opening(said, said.key, Named(chosen.subjects), chosen.subjects)
            # What older ids of the phone had said no longer holds it back.
            app = await self._apps.follow(structs.replace(app, own=False))
            seen, purposes = self._apps.seen(app), tuple(Purpose(word) for word in chosen.standing)
            chosen = replace(chosen, standing=self._apps.standing(app, purposes, seen))
            more |= await self._still_out(chosen, app, purposes)
            return 200 if chosen.replayed else 201, self._answer(chosen, said, SILENT, app, seen) | more
        named = said.named(said.place(), no=said.kind not in OPENS)
        if said.kind is ChoiceKind.OPT_IN:
            answer, whose = await self._opting_in.ask(said, named, said.purposes())
            app = await self._apps.follow(self._apps.opening(said, said.key, named, whose))
            return 202, answer | self._apps.told(app, said, self._apps.seen(app))
        if said.kind in TOWARDS_ONE:
            return await self._towards_one(said, named, repeat, body)
        app = await self._apps.read(said, said.key, named, said.act)
        said = structs.replace(said, details=app.details) if app.token else said
        return await self._out(said, app, repeat, body, misspelt=named.only_misspelt)

    async def _still_out(self, chosen: Chosen, app: App, purposes: Sequence[Purpose]) -> dict[str, Any]:
        """Which no stands above a yes that was taken; left out where it cannot be read, for the yes is on record."""
        with contextlib.suppress(StoreUnavailable):
            return {"still_out": await self._apps.still_out(app, chosen.subjects, chosen.standing, purposes)}
        return {}

    async def _out(
        self, said: ChoiceSaid, app: App, repeat: str, body: bytes, *, misspelt: bool
    ) -> tuple[int, dict[str, Any]]:
        """A no, of whatever is usable; of more identifiers than a publishable key has entered at once, the others are
        kept first: what was entered and answered for is never the reason that they are lost.
        """
        beyond = said.beyond().subjects
        if not beyond:
            if misspelt and not (app.known or app.account):
                # Entered for a new installation alone it would be called done, and the phone's ids go on being shared.
                raise said.unusable(unread=app.unread)
            return await self._at_once(said, app, repeat, body)
        choice = self._choice(said, said.purposes(), await self._notice(said))
        later = await self._consent.choose_later(beyond, choice, key=repeat, body=body)
        if said.members.get("signals"):
            await self._consent.hear_later(beyond, said.heard(said.key), place=choice.place)
        app = structs.replace(app, beyond=True)
        if app.named.subjects:
            _, answer = await self._at_once(said, app, repeat, body)
        else:
            answer = self._limited(choice.purposes, said, self._apps.unsettled(app)) | {
                "accepted_at": wire.stamp(choice.at)
            }
        self._metrics.kept.labels(said.kind).inc(len(beyond))
        return 202, {**answer, "events": [*answer["events"], *later], "effective_at": None}

    async def _at_once(self, said: ChoiceSaid, app: App, repeat: str, body: bytes) -> tuple[int, dict[str, Any]]:
        purposes, named = said.purposes(), app.named
        if not named.subjects:
            if named.only_limited:
                return 200, self._limited(purposes, said, app)
            raise said.unusable()
        choice = self._choice(said, purposes, await self._notice(said))
        tie = said.key.may("desk") and choice.source != Source.IMPORT
        if tie and sum(each.is_account for each in named.subjects) > 1:
            said.ignore("/identifiers", "of several accounts: none is tied to anything")
        elif tie and any(each.is_account for each in named.subjects) and any(each.further for each in named.subjects):
            said.ignore("/identifiers", "a number that may be of several countries is not tied to the account")
        heard = said.heard(said.key)
        heard = heard.without_endings() if named.respelled else heard
        chosen = await self._consent.choose(named.subjects, choice, key=repeat, body=body, tie=tie, settle=True)
        if chosen.replayed and app.made:
            await self._consent.choose(app.made, choice, settle=True)
        if chosen.waits:
            return await self._kept(chosen, said, app, heard)
        written = 0
        if heard.keeps:  # on a replay too: writing it is no news then, unless the store went in between
            mark, vouched = app.mark, app.attested
            written = await self._consent.observe(named.subjects, heard, place=choice.place, mark=mark, vouched=vouched)
        written += await self._apps.say_age(app, said, said.key)
        app = await self._apps.follow(app)
        seen = self._apps.seen(app) if written or app.token else chosen.seen
        self._metrics.chosen(choice.kind, choice.source, choice.manner, len(named.subjects))
        return 200 if chosen.replayed else 201, self._answer(chosen, said, heard, app, seen)

    async def _notice(self, said: ChoiceSaid) -> Notice | None:
        """What was shown with a no, which is taken without it too."""
        if "notice" not in said.members:
            return None
        try:
            return await self._opting_in.notice(said)
        except StoreUnavailable:
            said.ignore("/notice", "cannot be looked up at this moment")
            return None

    async def _kept(self, chosen: Chosen, said: ChoiceSaid, app: App, heard: Heard) -> tuple[int, dict[str, Any]]:
        """Kept durably beside the ledger, with the choice that its signals told of: entered when that can be written,
        and everybody counts as opted out until then.
        """
        subjects, app = app.named.subjects, self._apps.unsettled(app)
        if heard.to_remember():
            await self._consent.keep_heard(subjects, heard, place=chosen.place)
        if said.band():
            said.ignore("/age", "cannot be kept at this moment")
        self._metrics.kept.labels(said.kind).inc(len(subjects))
        return 202, self._answer(chosen, said, heard, app, self._apps.seen(app))

    async def _towards_one(
        self, said: ChoiceSaid, named: Named, repeat: str, body: bytes
    ) -> tuple[int, dict[str, Any]]:
        """One transfer at the person's wish, or a programme that they were asked about and did not leave. One act, with
        proof of control, of one identifier; nothing else follows from it.
        """
        subject = _one_of(said, named)
        await self._proofs.all(said.members.get("proof"), said.key, [subject], said.kind, said.act)
        at = self._opting_in.fresh(said)
        ui, place = "", said.places()
        if said.kind is ChoiceKind.DIRECT:
            (recipient, purposes), notice = self._directed(said), await self._opting_in.notice(said)
        else:
            recipient, purposes = self._programme(said)
            shown = await self._opting_in.shown(said)
            notice, ui = shown.notice, shown.ui
        lives = said.resides(place)
        choice = Choice(
            said.kind, purposes, said.source(), at, place, notice, recipient=recipient, ui=ui, details=lives
        )
        if said.kind is ChoiceKind.DIRECT:
            chosen = await self._consent.choose([subject], choice, key=repeat, body=body)
        else:
            made = said.moment("made_at")
            chosen = await self._consent.keep_programme(subject, choice, made, key=repeat, body=body)
        self._metrics.chosen(choice.kind, choice.source, choice.manner)
        app = await self._apps.follow(self._apps.opening(said, said.key, named, (subject,)))
        return 200 if chosen.replayed else 201, self._answer(chosen, said, SILENT, app, self._apps.seen(app))

    def _directed(self, said: ChoiceSaid) -> tuple[str, tuple[Purpose, ...]]:
        known = self._consent.recipients.get(str(said.members.get("recipient")))
        if known is None or known.role is not Role.CONSUMER_DIRECTED:
            raise Problem("malformed", "recipient is one to whom people have their data sent", "/recipient")
        return known.name, (Purpose.SERVICE,)

    def _programme(self, said: ChoiceSaid) -> tuple[str, tuple[Purpose, ...]]:
        """The programme, and what those who are part of it are registered for."""
        name = said.members.get("programme")
        members = [item for item in self._consent.recipients.values() if name and item.programme == name]
        if not isinstance(name, str) or not members:
            raise Problem("malformed", "programme is one that a configured recipient is part of", "/programme")
        return name, tuple(dict.fromkeys(p for item in members for p in item.purposes if p in SIGNAL_PURPOSES))

    def _answer(self, chosen: Chosen, said: ChoiceSaid, heard: Heard, app: App, seen: Seen | None) -> dict[str, Any]:
        """The events, what holds now, and the keys that an app keeps on its phone. `seen`: of `app`."""
        if app.strict:
            no = dict.fromkeys(chosen.standing, "opted_out") if said.kind not in OPENS else {}
            standing = self._apps.standing(app, tuple(Purpose(word) for word in chosen.standing), None) | no
            chosen = replace(chosen, standing=standing, may_ask_from=self._apps.silence(tuple(chosen.may_ask_from)))
        kept = self._apps.kept(app, heard, said.members.get("place") or chosen.place or None, seen)
        return {**_answer(chosen, said), **kept, **self._apps.told(app, said, seen)}

    def _choice(self, said: ChoiceSaid, purposes: tuple[Purpose, ...], notice: Notice | None) -> Choice:
        desk = said.key.may("desk")
        received = said.moment("received_at") if desk else None
        now = self._consent.clock()
        if received is not None and received > now:
            said.ignore("/received_at", "in the future")
            received = None
        details = {**said.details, "made_at": said.members["made_at"]} if said.moment("made_at") else said.details
        place = said.places()
        return Choice(
            said.kind,
            purposes,
            said.source(),
            now,
            place,
            notice,
            manner=said.manner() if desk else "",
            received=received,
            details={**details, **said.resides(place)},
        )

    def _limited(self, purposes: tuple[Purpose, ...], said: ChoiceSaid, app: App) -> dict[str, Any]:
        """Only withheld ids: there is no key to write under, and every check with them denies already."""
        standing = dict.fromkeys((purpose.value for purpose in purposes), "opted_out")
        kept = stores(self._consent.checks.outcome((), SILENT, said.members.get("place")).all_denied())
        told = self._apps.told(app, said, self._apps.seen(app))
        return {"events": [], "event": None, "seq": None, "standing": standing, **kept, **told, "ignored": said.ignored}


def _one_of(said: ChoiceSaid, named: Named) -> Subject:
    """Whose act it is: the account among what was listed. A programme knows people by their account alone (11 CCR
    7025(c)(4)); a transfer may be asked for by any one identifier.
    """
    account = next((subject for subject in named.subjects if subject.is_account), None)
    if account is None and said.kind is ChoiceKind.KEEP_PROGRAMME:
        raise Problem("nothing_usable", "a programme is kept by an account", "/identifiers")
    if account is None and not named.subjects:
        raise Problem("nothing_usable", "no identifier of this choice can be used", "/identifiers")
    if len(named.subjects) > 1:
        said.ignore("/identifiers", "one act is of one identifier: the account, else the first")
    return account or named.subjects[0]


def _request_name(said: ChoiceSaid, repeat: str) -> str:
    """What an Idempotency-Key is remembered as. All phones have one publishable key: there it is that of the phone, by
    its token, or of whom it names. So nobody takes another phone's name, nor is told what became of it.
    """
    if not (repeat and said.key.publishable):
        return f"{said.key.id}:{repeat}" if repeat else ""
    whose = said.members.get("device") or [said.members.get(name) for name in ("identifiers", "confirm")]
    mark = hashlib.sha256(orjson.dumps(whose, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f"{said.key.id}:{repeat}:{mark}"


def _kind(stated: object, kinds: Collection[ChoiceKind]) -> ChoiceKind:
    """Of several that are stated (web/shell/wire.py) a no is taken: it is one in doubt. Raises `Problem`."""
    if isinstance(stated, list):
        stated = next((kind for kind in (ChoiceKind.OPT_OUT, ChoiceKind.LIMIT) if kind in stated), None)
    return ChoiceKind(wire.word_of(stated, "choice", sorted(kinds)))


def _answer(chosen: Chosen, said: ChoiceSaid) -> dict[str, Any]:
    first = chosen.events[0] if chosen.events else {"event": None, "seq": None}
    effective = wire.stamp(chosen.effective_at) if chosen.effective_at else None
    named = len([each for each in chosen.subjects if not each.reading])  # a number's further readings stand behind
    return {
        "events": list(chosen.events[:named]),
        "event": first["event"],
        "seq": first["seq"],
        "accepted_at": wire.stamp(chosen.accepted_at),
        "effective_at": effective,
        "standing": dict(chosen.standing),
        "may_ask_from": dict(chosen.may_ask_from),
        "ignored": said.ignored,
        **_readings(chosen.subjects),
    }


def _readings(subjects: Sequence[Subject]) -> dict[str, list[list[dict[str, str]]]]:
    """Numbers without a country code that may be of several countries: each with all that it was read as."""
    several = [[each, *each.further] for each in subjects if each.further]
    shown = [[phone_number.shown(each.value) for each in readings] for readings in several]
    read = [[{"country": country, "ends": digits} for country, digits in each] for each in shown]
    return {"readings": read} if read else {}
