"""Judges one way to say no: what could go before the person said it, and what still went after it.

A pair of a recipient and a purpose is *proved* where something could go before and nothing does after; it is *not
allowed here* where nothing could go before, which proves nothing; it has *failed* where anything still goes. A made-up
recipient to whom nothing could go before has failed too: then it was the stage that said no.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.rehearsal import stage as stages
from gateway.rehearsal.asking import CHECKS, PAGE, UNSTEADY, Answers, Asker, RehearsalAsked
from gateway.rehearsal.stage import Cast, NotTaken, Person, Stage
from gateway.rehearsal.ways import Way
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass, Purpose, Reason

Pair = tuple[str, str]
WANTS_A_YES = frozenset({Reason.OPT_IN_REQUIRED, Reason.COARSENED})
LATE = 2.0  # seconds for which it is looked when a no that did not hold at once begins to hold
# Why a made-up recipient may get nothing before: no. Why one of the operator's may not: what the configuration, the
# notice or the law of the day says. Any other reason is the stage's own trouble, and fails.
BY_CONFIGURATION = frozenset({
    Reason.NO_CONTRACT, Reason.NOT_NOTIFIED, Reason.NO_TRANSFER_BASIS, Reason.PURPOSE_NOT_REGISTERED,
    Reason.CLASS_NOT_REGISTERED, Reason.NOT_A_SERVICE, Reason.CONTENT, Reason.NOT_DEIDENTIFIED, Reason.SMALL_COUNT,
    Reason.KEYWORDS_BESIDE, Reason.NO_ACT, Reason.CPNI_OFF, Reason.BANNED, Reason.OPT_IN_REQUIRED,
    Reason.NO_NOTICE_AT_COLLECTION, Reason.NOTICE_NOT_RIPE, Reason.SENSITIVE_PLACE, Reason.PLACE_UNKNOWN,
})  # fmt: skip


@dataclass(slots=True)
class RehearsalOutcome:
    """What the rehearsal of one way found. `failed`: recipient, purpose, door, why. `not_allowed`: by pair, why nothing
    could go before. `milliseconds`: from the answer to the act until the first answer that says no.
    """

    proved: set[Pair] = field(default_factory=set)
    not_allowed: dict[Pair, str] = field(default_factory=dict)
    failed: list[tuple[str, str, str, str]] = field(default_factory=list)
    milliseconds: int = 0


async def judge(way: Way, stage: Stage, cast: Cast) -> RehearsalOutcome:
    """Rehearses one way with somebody who is made for it."""
    outcome = RehearsalOutcome()
    try:
        await _Trial(way, stage, cast, outcome).run()
    except NotTaken as error:
        outcome.failed.append(("", "", way.door, str(error)))
    except Exception as error:  # noqa: BLE001 - an answer of no known shape is one way's failure and not the others' end
        outcome.failed.append(("", "", way.door, f"an answer could not be read: {type(error).__name__}"))
    return outcome


class _Trial:
    def __init__(self, way: Way, stage: Stage, cast: Cast, outcome: RehearsalOutcome) -> None:
        self._way, self._stage, self._cast, self._outcome = way, stage, cast, outcome
        self._asker = Asker(stage, cast)
        self._said = frozenset(way.purposes)
        known = stage.recipients.values()
        self._pairs = [(each, purpose) for each in known for purpose in each.purposes if self._ends(each.name, purpose)]

    async def run(self) -> None:
        way, person = self._way, await self._cast.person()
        if way.page:
            before, after = await self._asker.page(person, {}, "/page"), await self._asker.page(person, *way.page)
            self._compare(before, after)
            return
        await self._opt_in(person)
        before = await self._ask(person, {}, dry=True)
        if way.act:
            await way.act(self._stage, self._cast, person)
        await self._first(person)
        after = await self._ask(person, way.beside, dry=bool(way.beside))
        self._compare(before, after)

    async def _opt_in(self, person: Person) -> None:
        """What wants a yes gets one, so that there is something to end."""
        wanting = await self._asker.pairs(self._pairs, {"said": person.named("gaid")}, {})
        for (_, name, purpose, _), got in wanting.items():
            if got.reason == Reason.OPT_IN_REQUIRED:
                await self._cast.opts_in(person, Purpose(purpose))
            if got.data.get(DataClass.PRECISE_GEO, Answer.ALLOW) != Answer.ALLOW and got.reason in WANTS_A_YES:
                await self._cast.opts_in(person, Purpose(purpose), name)

    async def _ask(self, person: Person, signals: Mapping[str, object], *, dry: bool) -> Answers:
        """At every door, of everybody whom the way reaches. Rows are really shared once nothing of them may go."""
        way, asker = self._way, self._asker
        said = person.named(*way.of)
        sets = {"said": said, "all of them": person.named("account", "gaid", "other", "email", "phone", *way.of)}
        sets |= (
            {"the other phone": person.named("other"), "the account": person.named("account")} if way.carries else {}
        )
        found = await asker.pairs(self._pairs, {whom: listed for whom, listed in sets.items() if listed}, signals)
        found |= await asker.at_once(sets["all of them"], signals)
        phones = {"said": person.gaid} if "gaid" in way.of else {}
        phones |= {"the other phone": person.other} if way.carries else {}
        for whom, gaid in phones.items():
            found |= await asker.bids(gaid, whom, signals)
        if not way.beside:
            found |= await asker.rows(person, "all of them", sets["all of them"], dry=True)
            if not (dry or self._said.isdisjoint(SIGNAL_PURPOSES)):
                found |= await asker.rows(person, "all of them", sets["all of them"], dry=False)
            if way.of == ("browser",) and way.act:
                found |= await asker.page(person, {}, "/page")
        return found

    async def _first(self, person: Person) -> None:
        """The first question after the act was answered for: it has to be a no already."""
        accepted, listed = time.monotonic(), person.named(*self._way.of)
        if not listed:
            return
        while True:
            found = await self._asker.at_once(listed, self._way.beside)
            self._outcome.milliseconds = round((time.monotonic() - accepted) * 1000)
            late = [asked for asked, got in found.items() if got.goes(self._stopped(asked))]
            if not self._outcome.failed:
                self._outcome.failed += [(asked.recipient, "", asked.door, "at once: allowed") for asked in late]
            if not late or time.monotonic() - accepted > LATE:
                return

    def _stopped(self, asked: RehearsalAsked) -> frozenset[str]:
        """Which classes must not go any more. Without a purpose all of the recipient's are asked for: the strictest."""
        if asked.door == PAGE:
            return frozenset({PAGE} if asked.purpose in self._said else ())
        if asked.purpose:
            return self._ends(asked.recipient, asked.purpose)
        recipient = self._stage.recipients[asked.recipient]
        return frozenset().union(*(self._ends(asked.recipient, purpose) for purpose in recipient.purposes))

    def _ends(self, name: str, purpose: str) -> frozenset[str]:
        recorded = not self._way.beside
        return frozenset(stages.ends(self._stage.recipients[name], Purpose(purpose), self._said, recorded=recorded))

    def _compare(self, before: Answers, after: Answers) -> None:
        """What still goes has failed; what could go before and does not is proved; of the rest it is told why."""
        could: dict[Pair, bool] = {}
        for asked, got in after.items():
            stopped = self._stopped(asked)
            going = sorted(stopped.intersection(got.goes(stopped)))
            if going or (stopped and got.reason in UNSTEADY):
                why = f"{asked.whom}: {', '.join(going) or 'nothing'} allowed, {got.reason}"
                self._outcome.failed.append((asked.recipient, asked.purpose, asked.door, why))
            if stopped and asked in before:
                went = bool(before[asked].goes(stopped))
                if asked.purpose:
                    pair = (asked.recipient, asked.purpose)
                    could[pair] = could.get(pair, False) or went
                    self._outcome.not_allowed.setdefault(pair, before[asked].reason)
                elif not went and asked.recipient.rstrip("_") == stages.OUTSIDE:
                    self._fail_control(asked, before[asked].reason)
        for pair, went in could.items():
            self._prove(pair, went)

    def _prove(self, pair: Pair, went: bool) -> None:
        outcome, (recipient, purpose) = self._outcome, pair
        why = outcome.not_allowed[pair]
        if went:
            del outcome.not_allowed[pair]
            if not any(name == recipient and of in {"", purpose} for name, of, _, _ in outcome.failed):
                outcome.proved.add(pair)
        elif recipient and (recipient.rstrip("_") in {stages.OUTSIDE, stages.OWN} or why not in BY_CONFIGURATION):
            self._fail_control(RehearsalAsked(CHECKS, recipient, purpose, ""), why)

    def _fail_control(self, asked: RehearsalAsked, why: str) -> None:
        self._outcome.failed.append((asked.recipient, asked.purpose, asked.door, f"nothing could go before: {why}"))


PAGES = "page"
NAMED = 5  # failures that a cell of the matrix names; more are counted


def matrix_of_rehearsal(outcomes: Mapping[str, RehearsalOutcome]) -> dict[str, Any]:
    """The ways by the recipients, each cell with what it rests on; most are the same as others, so the distinct ones
    are listed once and a way names them by number. `cells`: each with `proved` (purposes), `not_allowed` (purpose:
    why), `failed` ([purpose, door, why]) and `failures`, their number; empty ones are left out. `matrix`: by way and
    recipient, which cell. The recipient `page` is the site's own page, an empty one the way itself, not taken.
    """
    numbers: dict[str, int] = {}
    matrix = {
        name: {recipient: _number(cell, numbers) for recipient, cell in sorted(_cells(outcome).items())}
        for name, outcome in outcomes.items()
    }
    return {"cells": [json.loads(cell) for cell in numbers], "matrix": matrix}


def _number(cell: Mapping[str, Any], numbers: dict[str, int]) -> int:
    return numbers.setdefault(json.dumps(cell, sort_keys=True), len(numbers))


def _cells(outcome: RehearsalOutcome) -> dict[str, dict[str, Any]]:
    cells: dict[str, dict[str, Any]] = {}
    for recipient, purpose in sorted(outcome.proved):
        cells.setdefault(recipient or PAGES, {}).setdefault("proved", []).append(str(purpose))
    for (recipient, purpose), why in sorted(outcome.not_allowed.items()):
        cells.setdefault(recipient or PAGES, {}).setdefault("not_allowed", {})[str(purpose)] = str(why)
    for recipient, purpose, door, why in dict.fromkeys(outcome.failed):
        cell = cells.setdefault(recipient or (PAGES if purpose else ""), {})
        cell["failures"] = cell.get("failures", 0) + 1
        if cell["failures"] <= NAMED:
            cell.setdefault("failed", []).append([str(purpose), door, why])
    return cells
