"""The doors of the operator's desk: links, erasures, yearly reports, and who was told of a notice.

POST /v1/erasures: a person is forgotten, of the identifiers that they proved, to the desk (scope desk) or in the call,
which forgets the details and keeps the opt-out (R14, R19). The answer is the same whether anything was known or not.

POST /v1/links: which phones, e-mails and devices an account has. The backend tells it (scope desk; R2, R5); an app
shows it: the account, and each identifier by a proof of its own, or an id of the phone by its word (R12).

GET /v1/reports/{year}: the numbers that 11 CCR 7102 wants published (scope export), of one place by `place`; it tells
of nobody.

GET /v1/notices/due: who must be told of something new (scope export or desk). POST /v1/notices: the operator's sender
tells who was shown or sent a notice (scope desk; R15, 47 CFR 64.2008). Until a person was told, nothing goes to a
recipient that a later notice named; silence approves nothing. What came back undelivered is recorded and tells nobody.
"""

import asyncio
import re
from collections.abc import Collection, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.place import PLACE, country_of
from gateway.consent.codes import ERASURE
from gateway.consent.people import OF_A_PHONE, Named
from gateway.consent.verbs import Consent
from gateway.desk.answered_requests import HowItCame
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.notices import NoticeDue, Notifying
from gateway.keys import seals
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.ledger.acts.links import Span
from gateway.ledger.entry import b64
from gateway.ledger.store import ledger_needed
from gateway.ledger.subjects import Subject, milliseconds
from gateway.records import year_report
from gateway.terms import ACCOUNT_BACKEND, CLOCKS_APART, Erasing, Manner, NoticeKind, Told
from gateway.web.shell import auth, desk_call, wire
from gateway.web.shell.problem import Problem
from gateway.web.shell.proof import ProofStated, ProvedDoor

SHA256_HEX = re.compile("[0-9a-f]{64}")
QUEUED = "queued_if_received"  # who really got something is not for an answer to tell (R6)


class ErasureBody(wire.StrictShape, frozen=True, kw_only=True):
    """Whom to forget, all of them or nobody, and how much of them."""

    identifiers: wire.Identifiers
    mode: Erasing
    note_sha256: Annotated[str, wire.described_as(Annotated[str, Meta(pattern=f"^{SHA256_HEX.pattern}$")])] | None = (
        None
    )
    proof: Annotated[ProofStated, Meta(description="without scope desk: what proves all of them")] = None
    place: wire.OneCountry = None
    received_at: Annotated[wire.Time | None, Meta(description="scope desk: when the request came")] = None
    manner: Annotated[Manner | None, Meta(description="scope desk: how it came")] = None


class ErasedBody(Struct):
    """What was done. `told`: each recipient, by name."""

    event: str
    seq: int
    receipt: Annotated[str, Meta(description="where to ask for it")]
    done_at: wire.Time
    gone_by: Annotated[
        wire.Time, Meta(description="when what a file or a backup may still hold of the destroyed keys dies")
    ]
    told: dict[str, Annotated[str, wire.one_of((QUEUED, "queued"))]]


class Erasures(ProvedDoor):
    """`POST /v1/erasures`."""

    async def post(self, request: Request) -> Response:
        """200 once it is done: keys destroyed; `gone_by` says when the last trace of them is."""
        key = auth.anybody(request, self._credentials)
        body = await desk_call.one_object(request, ErasureBody, "an erasure")
        order = self._order(body, desk_call.how_it_came(body, self._consent, desk=key.may("desk")))
        if not key.may("desk"):
            await self._prove(body.get("proof"), key, order)
        written = await self._consent.erase(order)
        event, told = b64(written.event), dict.fromkeys(sorted(self._consent.recipients), QUEUED)
        if order.mode is Erasing.CHILD:
            told[ACCOUNT_BACKEND] = "queued"
        done_at, gone_by = wire.stamp(self._consent.clock()), wire.stamp(await self._consent.forgotten_by())
        return wire.wire_answer(ErasedBody(event, written.seq, f"/v1/receipts/{event}", done_at, gone_by, told))

    async def _prove(self, stated: object, key: ApiKey, order: ErasureOrder) -> None:
        """A person alone may have the details forgotten; the other ways are the desk's, which looks at who asks."""
        if order.mode is not Erasing.DETAILS:
            raise Problem("forbidden", f"{order.mode} wants scope desk", "/mode")
        await self._proofs.all(stated, key, order.subjects, ERASURE)

    def _order(self, body: Any, came: HowItCame) -> ErasureOrder:
        """All of the identifiers, or none: what is left out would be taken for forgotten."""
        mode, note = Erasing(wire.word_of(body.get("mode"), "mode", Erasing)), body.get("note_sha256")
        if note is not None and not (isinstance(note, str) and SHA256_HEX.fullmatch(note)):
            raise Problem("malformed", "note_sha256 is 64 lower-case hex digits", "/note_sha256")
        named, ignored = desk_call.named(self._consent, body)
        if ignored:
            raise Problem("nothing_usable", f"an identifier is {ignored[0].reason}", ignored[0].pointer)
        digest = bytes.fromhex(note) if note else None
        return ErasureOrder(mode, named.subjects, self._consent.clock(), digest, came)


USE = "link"
RELEASED = "number_released"
UNCLEAR = "may be several people's: a number with its country code, or a digest of it as it is written then"
AHEAD = CLOCKS_APART  # clocks differ; a link that starts later than that cannot carry a choice yet
MaybeTime = wire.Time | None


class ProvedLink(wire.StrictShape, frozen=True, kw_only=True):
    """What an app shows that an account has. When, and how old, is the desk's to say."""

    identifiers: wire.Identifiers
    account: str | int
    place: wire.OneCountry = None
    proof: ProofStated = None


class LinkBody(wire.StrictShape, frozen=True, kw_only=True):
    """What the operator says that an account has; or, with `event`, that a number or mailbox is nobody's any more."""

    identifiers: wire.Identifiers
    account: str | int | None = None
    start: MaybeTime = field(name="from", default=None)
    until: MaybeTime = None
    event: Literal["number_released"] | None = None
    place: wire.OneCountry = None
    age: Annotated[wire.Age, Meta(description="of the account's person: years or a band")] = None


class LinkedBody(Struct):
    """How many the account has by this, and how many rows that changed."""

    linked: int
    changed: int
    ignored: list[wire.IgnoredMember]


class Links(ProvedDoor):
    """`POST /v1/links`."""

    async def post(self, request: Request) -> Response:
        """One object, or from the desk NDJSON with an answer a line."""
        key = auth.anybody(request, self._credentials)
        if key.may("desk"):
            return await desk_call.desk_answer(request, self._credentials, self._take, "linked")
        auth.want(key, "choose")
        wire.require_json(request)
        return wire.wire_answer(await self._take_proved(key, wire.parse_body(await wire.read_body(request))), 201)

    async def _take_proved(self, key: ApiKey, stated: object) -> LinkedBody:
        """From now on, of what is proved; of a phone's ids as a claim. Raises `Problem`, also where the account is not
        proved.
        """
        body = desk_call.members(stated, ProvedLink, "a link with proof")
        named, ignored = desk_call.named(self._consent, body)
        account, others = self._account(body, released=False), _without_accounts(named)
        shown = {each.key for each in await self._proofs.of(body.get("proof"), key, [account, *others], USE)}
        if account.key not in shown:
            raise Problem("proof_required", "the proof is not of the account", "/proof")
        mine = [each for each in others if each.key in shown or each.kind in OF_A_PHONE]
        if len(mine) < len(others):
            ignored.append(wire.IgnoredMember("/identifiers", "not all of them are proved"))
        await self._consent.bring([account, *mine])
        changed = await self._proofs.tie(mine, account, shown)
        return LinkedBody(len(mine), changed, ignored)

    async def _take(self, stated: object) -> LinkedBody:
        body = desk_call.members(stated, LinkBody, "a link")
        released = body.get("event") == RELEASED
        if body.get("event") is not None and not released:
            raise Problem("malformed", f"event is {RELEASED}", "/event")
        named, ignored = desk_call.named(self._consent, body)
        others = _without_accounts(named)
        account, band = self._account(body, released), wire.band(body.get("age"))
        told = await self._consent.link(account, others, self._span(body), released=released)
        if band and not released:
            await self._consent.say_age([account], band, may_rise=True)
        ignored += self._unclear(body, told.unclear)
        return LinkedBody(0 if released else len(others) - len(told.unclear), told.changed, ignored)

    def _unclear(self, body: Mapping[str, Any], keys: Collection[bytes]) -> list[wire.IgnoredMember]:
        """Nothing is tied or let go by what may be somebody else's."""
        name, country = self._consent.people.name, country_of(body.get("place"))
        each = enumerate(body["identifiers"] if keys else ())
        places = [place for place, item in each if any(one.key in keys for one in name([item], country).subjects)]
        return [wire.IgnoredMember(f"/identifiers/{place}", UNCLEAR) for place in places]

    def _account(self, body: Mapping[str, Any], released: bool) -> Any:
        stated = body.get("account")
        if released and stated is None:
            return None
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


class YearHeading(Struct):
    """How many requests, and the median of days that answering them took. `denied_for`: why; `appeals`: what came of
    them; either where there are any.
    """

    received: int
    complied: int
    denied: int
    median_days: float | None
    denied_for: dict[str, int] | UnsetType = UNSET
    appeals: dict[str, int] | UnsetType = UNSET


class ListedYear(Struct):
    """How many requests of a state's deletion list, by the answer that stands, and the median of days until it."""

    received: int
    exempted: int
    deleted: int
    opted_out: int
    not_found: int
    open: int
    taken_back: int
    median_days: float | None


class YearBody(Struct, kw_only=True):
    """A calendar year. A heading that nobody counted is absent; `counted_from`: since which day of the year each is.
    `imported`: opt-outs of a list of before. `drop`: requests of a state's deletion list. `bodies_gone`: entries
    of it that can no more be counted.
    """

    year: int
    place: str | UnsetType = UNSET
    bodies_gone: int | UnsetType = UNSET
    imported: int | UnsetType = UNSET
    drop: ListedYear | UnsetType = UNSET
    counted_from: dict[str, date] | UnsetType = UNSET
    opt_out: YearHeading | UnsetType = UNSET
    limit: YearHeading | UnsetType = UNSET
    deletion: YearHeading | UnsetType = UNSET
    access: YearHeading | UnsetType = UNSET
    correction: YearHeading | UnsetType = UNSET
    opt_out_signals: YearHeading | UnsetType = UNSET


FIRST, LAST = 2018, 9998  # the statute's own year; the calendar's last whole one


class Reports:
    """`GET /v1/reports/{year}`."""

    def __init__(self, folder: Path, credentials: Credentials) -> None:
        self._folder = folder
        self._credentials = credentials

    async def get(self, request: Request) -> Response:
        auth.caller(request, self._credentials, "export")
        stated = request.path_params["year"]
        if not (
            stated.isascii() and stated.isdigit() and len(stated) == len(str(FIRST)) and FIRST <= int(stated) <= LAST
        ):
            raise Problem("not_found", "a report is of a calendar year")
        wire.refuse_others(request.query_params, {"place"}, "the parameter is place")
        place = request.query_params.get("place", "")
        if place and not PLACE.fullmatch(place):
            raise Problem("malformed", "place is an ISO 3166 code: US-CO, CA", "/place")
        with ledger_needed():
            return wire.wire_answer(
                await asyncio.to_thread(year_report.yearly_report, self._folder, int(stated), place)
            )


PAGE, MOST = 100, 1_000  # accounts of one page


class ReportBody(wire.StrictShape, frozen=True, kw_only=True):
    """What became of a notice to somebody."""

    identifiers: wire.Identifiers
    notice: NoticeKind
    outcome: Told
    on: Annotated[wire.TimeOrDay | None, Meta(description="an RFC 3339 time or date; without it today")] = None
    place: wire.OneCountry = None


class ReportTaken(Struct):
    """Of how many identifiers it is on record."""

    recorded: int
    ignored: list[wire.IgnoredMember]


class OwedNotice(Struct):
    """Of what somebody must be told."""

    recipient: str
    what: Annotated[str | None, Meta(description="a purpose or a data class; null: the recipient")]
    on: date


class AccountDue(Struct):
    """Who must be told, when they were told last, and when that came back."""

    account: str
    told: date | None
    bounced: date | None
    owed: list[OwedNotice]


class DueBody(Struct):
    """Some accounts, in a fixed order."""

    due: list[AccountDue]
    next: Annotated[str | None, Meta(description="the next page's `after`; null: this was the last")]


class ToldDoor:
    """`GET /v1/notices/due` and `POST /v1/notices`."""

    def __init__(self, consent: Consent, credentials: Credentials, notifying: Notifying) -> None:
        self._consent = consent
        self._credentials = credentials
        self._notifying = notifying

    async def due(self, request: Request) -> Response:
        """A page of those who must be told, and of what; `next` is the following page's `after`. Whoever is reported as
        told is on no later page.
        """
        auth.caller(request, self._credentials, "export", "desk")
        wire.refuse_others(request.query_params, {"after", "limit"}, "the parameters are after and limit")
        try:
            found, following = await self._notifying.page(request.query_params.get("after", ""), _limit(request))
        except seals.OpeningFailed:
            raise Problem("malformed", "after is what an earlier page gave as next", "/after") from None
        body = DueBody([_owed(item) for item in found.due], following)
        return wire.wire_answer(body, headers={"Cache-Control": "no-store"})

    async def post(self, request: Request) -> Response:
        """One object, or NDJSON with an answer a line."""
        return await desk_call.desk_answer(request, self._credentials, self._take, "recorded")

    async def _take(self, stated: object) -> ReportTaken:
        body = desk_call.members(stated, ReportBody, "a report")
        notice = NoticeKind(wire.word_of(body.get("notice"), "notice", NoticeKind))
        outcome = Told(wire.word_of(body.get("outcome"), "outcome", Told))
        today = self._consent.clock().date()
        on = wire.day(body.get("on"), "/on") or today
        if on > today:
            raise Problem("malformed", "on lies in the future", "/on")
        named, ignored = desk_call.named(self._consent, body)
        await self._consent.tell(named.subjects, notice, on, outcome)
        return ReportTaken(len(named.subjects), ignored)


def _limit(request: Request) -> int:
    stated = request.query_params.get("limit", str(PAGE))
    if not (stated.isascii() and stated.isdigit() and len(stated) <= wire.DIGITS and 1 <= int(stated) <= MOST):
        raise Problem("malformed", f"limit is a number from 1 to {MOST}", "/limit")
    return int(stated)


def _owed(item: NoticeDue) -> AccountDue:
    owed = [OwedNotice(each.recipient, each.what or None, each.on) for each in item.owed]
    return AccountDue(item.account, item.told, item.bounced, owed)
