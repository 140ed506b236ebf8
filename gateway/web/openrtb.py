"""POST /v1/openrtb: a bid request in, what may be sent of it out, for one bidder or for many.

The answer for one recipient is the request itself, in the version that it came in; for several, or where the caller
takes patches, what to remove and replace. A "no" is a 200: a contextual request is left. What cannot be read is a 400,
and then nothing may be sent.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from gateway.check import Ask, Checked
from gateway.choice import openrtb
from gateway.choice.downstream import Outcome, strings
from gateway.choice.keywords import Vocabulary
from gateway.choice.law import AGES
from gateway.credentials import ApiKey, Credentials
from gateway.decisions import Stands
from gateway.terms import Reason
from gateway.web import auth, wire
from gateway.web.answering import Answering
from gateway.web.problem import Problem

PATCH = "application/json-patch+json"
PARAMETERS = frozenset({"recipient", "place", "age", "purpose"})
# Nothing at all may be sent: nobody of that name, no contract, or a person under the floor (I27).
BLOCKED = frozenset({Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_PURPOSE, Reason.NO_CONTRACT})
CONFIGURATION = frozenset({Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_PURPOSE, Reason.UNDECLARED_IDENTIFIER})
YEARS = re.compile(r"[0-9]{1,3}", re.ASCII)
REMOVED_BYTES = 2048  # of `Gateway-Removed`: 40 paths can pass a proxy's buffer of 4 kB, a 502 (I27)
YOUNGEST = AGES[0]


@dataclass(frozen=True, slots=True)
class OpenRtbOptions:
    """`words`: the vocabulary of keywords; `extensions`: by recipient, the paths of `ext` members that may stand."""

    words: Vocabulary
    extensions: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Asked(NamedTuple):
    """Who asks: the key, the answer's Gateway-Request, whether patches are wanted, and whether a send can be announced
    here.
    """

    key: ApiKey
    request: str
    patches: bool = False
    announces: bool = True


Cut = dict[Hashable, openrtb.Difference]


class Bids:
    """What is answered to bid requests, however they are asked."""

    def __init__(self, answering: Answering, options: OpenRtbOptions) -> None:
        self._answering = answering
        self._consent = answering.consent
        self._options = options

    async def answer(self, query: QueryParams, body: bytes, asked: Asked) -> Response:
        """The bid request that may be sent, or patches. Raises `Problem`, and `StoreUnavailable` where an announced
        send cannot be put on record.
        """
        names, flags = _recipients(query), wire.flags_of(query, "dry_run", "will_send", others=PARAMETERS)
        bid = _bid(body)
        ask, dry_run = self._ask(query, bid, names), flags["dry_run"]
        if flags["will_send"] and asked.announces and not dry_run:
            checked, decisions, _ = await self._answering.announce("openrtb", ask, asked.request, _is_blocked)
        else:
            checked, decisions = self._answering.decide(
                "openrtb", ask, asked.request, Stands.SENT, dry_run=dry_run, blocked=_is_blocked
            )
        warnings = sorted({verdict.reason for verdict in checked.verdicts.values()} & CONFIGURATION)
        if warnings:
            self._answering.metrics.misconfigured.labels(asked.key.name).inc()
        headers = {"Gateway-Warning": ", ".join(warnings)} if warnings else {}
        if dry_run:
            headers["Gateway-Dry-Run"] = "1"
        if len(names) > 1 or asked.patches:
            cut: Cut = {}
            patches = {
                name: self._patch(name, bid, checked, cut) | {"decision": decisions[name]} for name in checked.verdicts
            }
            return wire.answer(patches, headers=headers)
        return self._whole(names[0], bid, checked, headers | self._answered(decisions[names[0]]))

    def _answered(self, decision: str) -> dict[str, str]:
        lasts = int(self._consent.send_window.total_seconds() * 1000)
        return {"Gateway-Decision": decision, "Gateway-Valid-For-Ms": str(lasts)}

    def _ask(self, query: QueryParams, bid: Mapping[str, Any], names: tuple[str, ...]) -> Ask:
        said = openrtb.said(bid)
        years = [self._consent.clock().year - said.born - 1] if said.born is not None else []
        ages = [wire.band(int(each) if YEARS.fullmatch(each) else each) for each in query.getlist("age") if each]
        ages += [said.age]
        ages += [wire.band(max(0, each)) for each in years]  # whose birthday is still to come
        return Ask(
            recipients=names, identifiers=said.identifiers, purpose=_purpose(query),
            data=tuple(one.value for one in openrtb.classes_in(bid)), place=query.getlist("place") or None,
            geo=said.geo, ip=said.ip, age=_youngest(ages), signals=said.signals[0] if said.signals else {},
            also=said.signals[1:],
        )  # fmt: skip

    def _leave(self, name: str, checked: Checked) -> openrtb.Leave | None:
        """What may be sent; None: nothing at all."""
        if _is_blocked(name, checked):
            return None
        verdict, outcome = checked.verdicts[name], checked.outcome_for(name)
        return openrtb.Leave(
            verdict.data, strings(outcome), outcome.gpc, self._options.words,
            self._options.extensions.get(name, frozenset()), young=verdict.reason is Reason.AGE,
        )  # fmt: skip

    def _patch(self, name: str, bid: Mapping[str, Any], checked: Checked, cut: Cut) -> dict[str, Any]:
        """`cut`: what was taken out for others of this call; bidders who may have the same get the same."""
        leave = self._leave(name, checked)
        told: dict[str, Any] = {"verdict": _word(name, checked, leave), "reason": checked.verdicts[name].reason}
        if leave is None:
            return told
        same = _alike(leave, checked.outcome_for(name))
        found = cut.get(same)
        if found is None:
            found = cut[same] = openrtb.difference(bid, openrtb.lawful(bid, leave))
        return told | {"remove": found.remove, "replace": found.replace}

    def _whole(self, name: str, bid: Mapping[str, Any], checked: Checked, headers: dict[str, str]) -> Response:
        leave = self._leave(name, checked)
        out = openrtb.lawful(bid, leave) if leave else {}
        removed = openrtb.difference(bid, out).remove if leave else []
        told = {
            "Gateway-Verdict": _word(name, checked, leave),
            "Gateway-Reason": checked.verdicts[name].reason,
            "Gateway-Removed": _told(removed),
        }
        return Response(orjson.dumps(out), 200, {"Cache-Control": "no-store", **headers, **told}, wire.JSON)


class OpenRtb:
    """The door for ad servers that hold a bid request."""

    def __init__(self, bids: Bids, credentials: Credentials) -> None:
        self._bids = bids
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "check")
        wire.require_json(request)
        asked = Asked(key, auth.request_id(request), patches=PATCH in request.headers.get("accept", ""))
        return await self._bids.answer(request.query_params, await wire.read_body(request), asked)


def _word(name: str, checked: Checked, leave: openrtb.Leave | None) -> str:
    if leave is None:
        return "block"
    return "allow" if checked.verdicts[name].allowed else "contextual"


def _alike(leave: openrtb.Leave, outcome: Outcome) -> Hashable:
    """All that tells what two recipients of one call may have apart; the words are one operator's."""
    return frozenset(leave.answers.items()), outcome, leave.extensions, leave.young


def _is_blocked(name: str, checked: Checked) -> bool:
    return checked.verdicts[name].reason in BLOCKED or checked.age == YOUNGEST


def _recipients(query: QueryParams) -> tuple[str, ...]:
    """Raises `Problem` for none and for too many."""
    names = tuple(dict.fromkeys(query.getlist("recipient")))
    if not 0 < len(names) <= wire.MAX_RECIPIENTS:
        raise Problem("malformed", f"?recipient= names one to {wire.MAX_RECIPIENTS} recipients")
    return names


def _purpose(query: QueryParams) -> str | None:
    """Raises `Problem` for two: the verdict would be about one of them."""
    named = query.getlist("purpose")
    if len(named) > 1:
        raise Problem("malformed", "one purpose, or none for all that the recipient has")
    return named[0] if named else None


def _bid(body: bytes) -> Mapping[str, Any]:
    bid = wire.parse(body)
    if not isinstance(bid, dict):
        raise Problem("malformed", "a bid request is a JSON object")
    try:
        openrtb.check_depth(bid)
    except openrtb.TooDeep as error:
        raise Problem("malformed", str(error)) from None
    return bid


def _youngest(bands: list[str | None]) -> str | None:
    known = [AGES.index(band) for band in bands if band is not None]
    return AGES[min(known)] if known else None


def _told(pointers: list[str]) -> str:
    """Pointers, comma separated, at most so many bytes, then `truncated`. A name may hold what no header can."""
    text = ", ".join(
        pointer.encode("ascii", "backslashreplace").decode().replace("\n", " ").replace("\r", " ")
        for pointer in pointers
    )
    if len(text) <= REMOVED_BYTES:
        return text
    return text[: REMOVED_BYTES - len(", truncated")].rpartition(",")[0] + ", truncated"
