"""Asks what may go, at every door that answers it, for `judging`: one check, many, a bid request, rows of a share, the
page.

An answer is seen as what each data class gets, so that doors of different shapes are held to one rule.
"""

import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import httpx2
import orjson

from gateway.choice.recipient import Recipient
from gateway.rehearsal import acts
from gateway.rehearsal.stage import PLACE, Cast, Person, Stage, patiently, taken
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass, Purpose, Reason

CHECK, CHECKS, OPENRTB, DRY, SHARE, PAGE = "check", "checks", "openrtb", "share, dry run", "share", "page"
UNSTEADY = frozenset({Reason.STALE, Reason.STORE_UNAVAILABLE})
MOST = 64  # recipients of one check
IN_A_BID = frozenset({"gpc", "gpp", "gpp_sid", "us_privacy", "gdpr", "tc", "ac", "adchoices", "lmt", "dnt", "att"})
# What reads as a kind of hardware id, and is nobody's: 3GPP's own example, and made-up ones.
HARDWARE = {"imei": "490154203237518", "serial": "REHEARSAL00", "udid": "00008030-001a2b3c4d5e6f70"}
LAT, LON = 37.77493, -122.41942


class RehearsalAsked(NamedTuple):
    """One question. `whom`: the identifiers that it names, as a word; `purpose` empty: all of the recipient's."""

    door: str
    recipient: str
    purpose: str
    whom: str


@dataclass(frozen=True, slots=True)
class RehearsalGot:
    """What each data class gets, and the reason."""

    data: Mapping[str, str]
    reason: str = ""

    def goes(self, classes: Iterable[str]) -> list[str]:
        """Those of the classes that are not denied."""
        return [one for one in classes if self.data.get(one, Answer.DENY) != Answer.DENY]


Answers = dict[RehearsalAsked, RehearsalGot]


@dataclass(slots=True)
class Asker:
    """Asks about people of one stage."""

    stage: Stage
    cast: Cast
    _rows: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def pairs(
        self,
        pairs: Sequence[tuple[Recipient, Purpose]],
        sets: Mapping[str, list[dict[str, str]]],
        signals: Mapping[str, object],
    ) -> Answers:
        """Recipients with purposes, each for each set of identifiers: many checks in one call."""
        asked, bodies = list[RehearsalAsked](), list[dict[str, Any]]()
        for (whom, listed), (recipient, purpose) in itertools.product(sets.items(), pairs):
            for data in _apart(recipient):
                asked.append(RehearsalAsked(CHECKS, recipient.name, purpose, whom))
                bodies.append(
                    {
                        "identifiers": listed,
                        "recipient": recipient.name,
                        "purpose": purpose,
                        "data": data,
                        **asking_of(signals),
                    }
                )
        told = await _steadily(lambda: self.cast.call("/v1/checks", bodies))
        return _together(asked, (RehearsalGot(one["data"], one["reason"]) for one in told.json()))

    async def at_once(self, listed: Sequence[Mapping[str, str]], signals: Mapping[str, object]) -> Answers:
        """All recipients, strictest purpose: one check."""
        found: Answers = {}
        names = [name for name, recipient in self.stage.recipients.items() if recipient.purposes and recipient.data]
        for start in range(0, len(names), MOST):
            body = {"identifiers": listed, "recipients": names[start : start + MOST], **asking_of(signals)}
            told = await _steadily(partial(self.cast.call, "/v1/check", body))
            found |= {
                RehearsalAsked(CHECK, name, "", "said"): RehearsalGot(one["data"], one["reason"])
                for name, one in told.json()["verdicts"].items()
            }
        return found

    async def bids(self, gaid: str, whom: str, signals: Mapping[str, object]) -> Answers:
        """A bid request of a phone, to each recipient that may have its ad id."""
        found: Answers = {}
        for name, recipient in self.stage.recipients.items():
            if DataClass.AD_ID in recipient.data and IN_A_BID.issuperset(signals):
                found[RehearsalAsked(OPENRTB, name, "", whom)] = await self._bid(name, gaid, signals)
        return found

    async def _bid(self, name: str, gaid: str, signals: Mapping[str, object]) -> RehearsalGot:
        path = f"/v1/openrtb?recipient={name}&place={PLACE}&dry_run=1"
        answer = await _steadily(lambda: self.cast.call(path, _bid(gaid, signals)))
        left, reason = answer.json().get("device", {}), answer.headers["gateway-reason"]
        exact = left.get("geo", {}).get("lat") == LAT or left.get("geo", {}).get("lon") == LON
        goes = {DataClass.AD_ID: left.get("ifa") == gaid, DataClass.PRECISE_GEO: exact}
        return RehearsalGot({one: Answer.ALLOW if out else Answer.DENY for one, out in goes.items()}, reason)

    async def rows(self, person: Person, whom: str, listed: list[dict[str, str]], *, dry: bool) -> Answers:
        """A row to each recipient that gets rows, tried out or really shared."""
        found: Answers = {}
        for name, recipient in self.stage.recipients.items():
            if not recipient.fields:
                continue
            number = f"{person.number}-{next(self._rows)}"
            row = {
                "id": f"rehearsal-{number}",
                "identifiers": listed,
                "data": _row(recipient, person),
                "place": PLACE,
                "at": datetime.now(UTC).isoformat(),
            }
            job = {"Gateway-Job": f"rehearsal-{number}"} if recipient.mode == "files" else {}
            path = f"/v1/shares/{name}" + ("?dry_run=1" if dry else "")
            answer = taken(await self.cast.lines(path, [orjson.dumps(row)], job), 200)
            found[RehearsalAsked(DRY if dry else SHARE, name, "", whom)] = _shared(answer)
        return found

    async def page(self, person: Person, headers: Mapping[str, str], uri: str) -> Answers:
        """What the site is told that it may do."""
        answer = await acts.ask_page(self.stage, person, headers, uri)
        said = dict(part.strip().split("=", 1) for part in answer.headers["gateway-consent"].split(","))
        may = {purpose: Answer.ALLOW if said[purpose] == "?1" else Answer.DENY for purpose in SIGNAL_PURPOSES}
        return {
            RehearsalAsked(PAGE, "", purpose, "said"): RehearsalGot({PAGE: word}, said["status"])
            for purpose, word in may.items()
        }


async def _steadily(send: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """An answer of a stage that trusts its ledger then; on a busy machine one that does not is asked again."""
    return taken(await patiently(send, _is_unsteady), 200)


def _is_unsteady(answer: httpx2.Response) -> bool:
    told = answer.headers.get("gateway-reason", "") in UNSTEADY
    told = told or any(b'"reason":"%s"' % one.encode() in answer.content for one in UNSTEADY)
    return told and answer.is_success


def _bid(gaid: str, signals: Mapping[str, object]) -> dict[str, Any]:
    """A bid request of version 2.6 from a phone, with what it says of the signals."""
    geo = {"lat": LAT, "lon": LON, "country": "USA", "region": "CA"}
    device: dict[str, Any] = {"os": "android", "ifa": gaid, "geo": geo}
    device |= {flag: signals[flag] for flag in ("lmt", "dnt") if flag in signals}
    device |= {"ext": {"atts": signals["att"]}} if "att" in signals else {}
    regs = {flag: signals[flag] for flag in ("gpc", "gpp", "gpp_sid", "us_privacy", "gdpr") if flag in signals}
    regs |= {"ext": {"adchoices": signals["adchoices"]}} if "adchoices" in signals else {}
    user: dict[str, Any] = {"consent": signals["tc"]} if "tc" in signals else {}
    user |= {"ext": {"ConsentedProvidersSettings": {"consented_providers": signals["ac"]}}} if "ac" in signals else {}
    imp = {"id": "1", "banner": {"w": 320, "h": 50}}
    return {"id": "1", "imp": [imp], "device": device, "regs": regs, "user": user}


def asking_of(signals: Mapping[str, object]) -> dict[str, Any]:
    """What every question has in common: a dry run, of today, of somebody in California."""
    today = datetime.now(UTC).isoformat()
    return {"place": PLACE, "collected": today, "dry_run": True} | ({"signals": signals} if signals else {})


def _apart(recipient: Recipient) -> list[list[str]]:
    """A recipient's classes in questions that do not spoil each other: keywords stand beside nothing, and what is of
    nobody beside nothing personal.
    """
    alone = {DataClass.KEYWORDS, DataClass.DEIDENTIFIED, DataClass.AGGREGATE}
    groups = [[one for one in recipient.data if one not in alone], *([one] for one in recipient.data if one in alone)]
    return [[str(one) for one in group] for group in groups if group]


def _together(asked: Sequence[RehearsalAsked], got: Iterable[RehearsalGot]) -> Answers:
    """Answers to the questions of one pair as one; its reason is the first that says no."""
    found: Answers = {}
    for question, answer in zip(asked, got, strict=True):
        before = found.get(question, RehearsalGot({}))
        found[question] = RehearsalGot({**before.data, **answer.data}, before.reason or answer.reason)
    return found


def _shared(answer: httpx2.Response) -> RehearsalGot:
    """What became of the one row of a call. A row of which nobody knows whether it left counts as one that did."""
    line = orjson.loads(answer.content.split(b"\n")[0])
    if line["outcome"] == "refused":
        return RehearsalGot({}, line["reason"])
    left = {one: word for one, word in line["data"].items() if word != Answer.DENY}
    return RehearsalGot(left or dict.fromkeys(DataClass, Answer.ALLOW), line["outcome"])


def _row(recipient: Recipient, person: Person) -> dict[str, object]:
    """A value for each field that is mapped, but for keywords, which stand beside nothing."""
    values: Mapping[DataClass, object] = {
        DataClass.AD_ID: person.gaid,
        DataClass.DEVICE_ID: person.gaid,
        DataClass.EMAIL_HASH: person.email,
        DataClass.PHONE_HASH: person.phone,
        DataClass.CONTACT: person.email,
        DataClass.ACCOUNT: person.account,
        DataClass.COARSE_GEO: "CA",
        DataClass.IP: "192.0.2.7",
        DataClass.DEMOGRAPHICS: "25-34",
    }
    row = {name: values[one] for name, one in recipient.fields.items() if one in values}
    row |= {name: HARDWARE[kind] for name, holds in recipient.held.items() for kind in holds.kinds if kind in HARDWARE}
    points = {"lat": LAT, "lon": LON, "latitude": LAT, "longitude": LON}
    precise = {name for name, one in recipient.fields.items() if one is DataClass.PRECISE_GEO}
    return row | {name: value for name, value in points.items() if name in precise}
