"""POST /v1/openrtb, for ad servers: a bid request in, what may be sent of it out, for one bidder or for many.

The answer for one recipient is the request itself, in the version that it came in; for several, or where the caller
takes patches, what to remove and replace. A "no" is a 200: a request without a person is left, or nothing (`block`).
What cannot be read is a 400, and then nothing may be sent.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.downstream import strings
from gateway.choice.keywords import Vocabulary
from gateway.choice.law import AGES
from gateway.choice.openrtb import filtering, members, reading, traces
from gateway.choice.question import Verdict
from gateway.consent.asked import Ask, Checked
from gateway.consent.decisions import Stands
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.terms import Reason
from gateway.web.api.check_answer import Answering
from gateway.web.shell import auth, wire
from gateway.web.shell.problem import Problem

PATCH = "application/json-patch+json"
PARAMETERS = frozenset({"recipient", "place", "age", "purpose"})
# Nothing at all may be sent: nobody of that name, no contract, or a person under the floor (I27).
BLOCKED = frozenset({Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_PURPOSE, Reason.NO_CONTRACT})
CONFIGURATION = frozenset({Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_PURPOSE, Reason.UNDECLARED_IDENTIFIER})
YEARS = re.compile(r"[0-9]{1,3}", re.ASCII)
REMOVED_BYTES = 2048  # of `Gateway-Removed`: 40 paths can pass a proxy's buffer of 4 kB, a 502 (I27)
YOUNGEST = AGES[0]
MOST_SUSPECTS = 100  # words that look like ids and are looked up; more are taken for somebody's


class BidQuestion(NamedTuple):
    """Who asks: the key, the answer's Gateway-Request, whether patches are wanted, and whether a send can be announced
    here.
    """

    key: ApiKey
    request: str
    patches: bool = False
    announces: bool = True


Bid = Mapping[str, Any]
Extensions = Mapping[str, frozenset[str]]
OnRecord = Callable[[Sequence[Mapping[str, object]]], bool | None]


class CutBid(NamedTuple):
    """What all recipients get who may have the same. `word`: what they are told, allow, reduced, contextual or block;
    `request`: what may be sent of it, nothing at all with `block`; `removed`: what has to be done for it to be that.
    """

    word: str
    request: Mapping[str, object]
    removed: reading.Difference | None


NOTHING_GOES = CutBid(filtering.BLOCKED, {}, None)


class Cuts:
    """What may be sent of one bid request, made once for all recipients who may have the same. `words`: the vocabulary
    of keywords; `extensions`: by recipient, the paths of `ext` members that may stand. `on_record`: whether anything
    stands of one of some identifiers; None where nobody can tell.
    """

    def __init__(self, bid: Bid, words: Vocabulary, extensions: Extensions, on_record: OnRecord) -> None:
        self._bid, self._words, self._extensions = bid, words, extensions
        self._on_record = on_record
        self._known: dict[str, bool | None] = {}
        self._of: Checked | None = None
        self._made: dict[Hashable, CutBid] = {}

    def of(self, name: str, checked: Checked) -> CutBid:
        """What one recipient gets; whoever is checked anew is cut anew."""
        if checked is not self._of:
            self._of, self._made = checked, {}
        verdict = checked.verdicts[name]
        if verdict.reason in BLOCKED or checked.age == YOUNGEST:
            return NOTHING_GOES
        extensions, young = self._extensions.get(name, frozenset[str]()), verdict.reason is Reason.AGE
        alike = _alike(name, verdict, extensions)
        made = self._made.get(alike)
        if made is None:
            outcome = checked.outcome_for(name)
            leave = filtering.Leave(
                verdict.data, strings(outcome), outcome.gpc, self._words, extensions, young=young, name=name
            )
            made = self._made[alike] = self._cut(leave)
        return made

    def is_blocked(self, name: str, checked: Checked) -> bool:
        return self.of(name, checked) is NOTHING_GOES

    @cached_property
    def _ids(self) -> reading.Ids:
        return reading.persons_ids(self._bid)

    def _cut(self, leave: filtering.Leave) -> CutBid:
        word, found = leave.word, filtering.lawful(self._bid, leave, self._ids)
        if found is None:
            return NOTHING_GOES
        out = found.request if word == filtering.ALLOWED else self._without_known(found, leave)
        return NOTHING_GOES if out is None else CutBid(word, out, reading.difference(self._bid, out))

    def _without_known(self, out: filtering.LawfulBid, leave: filtering.Leave) -> dict[str, object] | None:
        """Without what looks like an id, stands in no person's place, and is somebody's on record. While nobody can
        tell, all that looks like one goes, but for the auction's own ids: an ad without a person still can be sold.
        """
        found = filtering.suspects(out, leave, self._ids)
        if found is None:
            return None
        if not found:
            return out.request
        for word, could_be in found.items():
            if word not in self._known:
                self._known[word] = len(self._known) >= MOST_SUSPECTS or self._on_record(could_be)
        own = traces.ids_of_auction(self._bid)
        known = [word for word in found if self._known[word] or (self._known[word] is None and word not in own)]
        if not known:
            return out.request
        return traces.without(out.request, out.texts, traces.Traces(known), leave.name)


def _alike(name: str, verdict: Verdict, extensions: frozenset[str]) -> Hashable:
    """All that tells what two recipients of one call may have apart: what each is told follows from its verdict, the
    words are one operator's. A bidder's name counts where parameters stand without one.
    """
    own = name.lower() if name.lower() in members.BIDDERS else ""
    return tuple(verdict.data.items()), verdict.reason is Reason.AGE, extensions, own


class Bids:
    """What is answered to bid requests, however they are asked. `words` and `extensions`: see `Cuts`."""

    def __init__(self, answering: Answering, words: Vocabulary, extensions: Extensions) -> None:
        self._answering = answering
        self._consent = answering.consent
        self._words, self._extensions = words, extensions

    async def answer(self, query: QueryParams, body: bytes, asked: BidQuestion) -> Response:
        """The bid request that may be sent, or patches. Raises `Problem`, and `StoreUnavailable` where an announced
        send cannot be put on record.
        """
        names, flags = _recipients(query), wire.flags_of(query, "dry_run", "will_send", others=PARAMETERS)
        bid = _bid(body)
        ask, dry_run = self._ask(query, bid, names), flags["dry_run"]
        on_record = partial(self._consent.checks.on_record, place=ask.place)
        cuts = Cuts(bid, self._words, self._extensions, on_record)
        if flags["will_send"] and asked.announces and not dry_run:
            checked, decisions, _ = await self._answering.announce("openrtb", ask, asked.request, cuts.is_blocked)
        else:
            checked, decisions = self._answering.decide(
                "openrtb", ask, asked.request, Stands.SENT, dry_run=dry_run, blocked=cuts.is_blocked
            )
        warnings = sorted({verdict.reason for verdict in checked.verdicts.values()} & CONFIGURATION)
        if warnings:
            self._answering.metrics.misconfigured.labels(asked.key.name).inc()
        headers = {"Gateway-Warning": ", ".join(warnings)} if warnings else {}
        if dry_run:
            headers["Gateway-Dry-Run"] = "1"
        if len(names) > 1 or asked.patches:
            patches = {name: _patch(name, checked, cuts) | {"decision": decisions[name]} for name in checked.verdicts}
            return wire.wire_answer(patches, headers=headers)
        return _whole(names[0], checked, cuts, headers | self._answered(decisions[names[0]]))

    def _answered(self, decision: str) -> dict[str, str]:
        lasts = int(self._consent.send_window.total_seconds() * 1000)
        return {"Gateway-Decision": decision, "Gateway-Valid-For-Ms": str(lasts)}

    def _ask(self, query: QueryParams, bid: Bid, names: tuple[str, ...]) -> Ask:
        said = reading.said_in_bid(bid)
        year = self._consent.clock().year
        years = [year - said.born - 1] if said.born is not None else []
        ages = [wire.band(int(each) if YEARS.fullmatch(each) else each) for each in query.getlist("age") if each]
        ages += [said.age, said.words.youngest(year)]
        ages += [wire.band(max(0, each)) for each in years]  # whose birthday is still to come
        return Ask(
            recipients=names,
            identifiers=said.identifiers,
            purpose=_purpose(query),
            data=tuple(one.value for one in members.classes_in(bid, said.words.classes)),
            place=query.getlist("place") or None,
            geo=said.geo,
            ip=said.ip,
            age=wire.youngest(*ages),
            signals=said.signals[0] if said.signals else {},
            also=said.signals[1:],
            beside=said.beside,
            names=said.names,
            seen_to_leave=True,
        )


class OpenRtb:
    """The door for ad servers that hold a bid request."""

    def __init__(self, bids: Bids, credentials: Credentials) -> None:
        self._bids = bids
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "check")
        wire.require_json(request)
        asked = BidQuestion(key, auth.request_id(request), patches=PATCH in request.headers.get("accept", ""))
        return await self._bids.answer(request.query_params, await wire.read_body(request), asked)


def _patch(name: str, checked: Checked, cuts: Cuts) -> dict[str, Any]:
    word, _, found = cuts.of(name, checked)
    told = {"verdict": word, "reason": checked.verdicts[name].reason}
    return told if found is None else told | {"remove": found.remove, "replace": found.replace}


def _whole(name: str, checked: Checked, cuts: Cuts, headers: Mapping[str, str]) -> Response:
    word, request, found = cuts.of(name, checked)
    told = {
        "Gateway-Verdict": word,
        "Gateway-Reason": checked.verdicts[name].reason,
        "Gateway-Removed": _told(found.remove if found else []),
    }
    return Response(orjson.dumps(request), 200, {"Cache-Control": "no-store", **headers, **told}, wire.JSON)


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


def _bid(body: bytes) -> Bid:
    bid = wire.as_object(wire.parse_body(body), "a bid request")
    try:
        reading.check_depth(bid)
    except reading.BidTooDeep as error:
        raise Problem("malformed", str(error)) from None
    return bid


def _told(pointers: list[str]) -> str:
    """Pointers, comma separated, at most so many bytes, then `truncated`. A name may hold what no header can."""
    text = ", ".join(
        pointer.encode("ascii", "backslashreplace").decode().replace("\n", " ").replace("\r", " ")
        for pointer in pointers
    )
    if len(text) <= REMOVED_BYTES:
        return text
    return text[: REMOVED_BYTES - len(", truncated")].rpartition(",")[0] + ", truncated"
