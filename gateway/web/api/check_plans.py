"""A check's strict body as a question, and *plans*: questions without their person, each understood once, with the
answers that were given to it. The doors of checks read bodies by it; `check_answer` asks the plans.

A plan is found by the bytes of what is asked; of whom, and whatever was said of that person alone (signals, point,
address), is no part of it and is never kept. Its answers are those that the rules gave to the first of each likeness
(`gateway.consent.asked.Likeness`): no rule is written a second time. All plans go when the law, the day, the
configuration or the recipients do; a caller who may see entries has plans of their own. What is kept is bounded by its
bytes: what nobody asked for any more goes first, so whoever asks something new each time costs the others nothing but
that.
"""

import sys
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from gateway.choice.question import Office
from gateway.consent.asked import Around, Ask, InForce, Likeness
from gateway.consent.check import Checks
from gateway.signals.hear import AGE
from gateway.web.shell import wire
from gateway.web.shell.problem import Problem

MOST_BYTES = 32 * 2**20  # of all answers that are kept, in two halves of which the older one goes
LONGEST = 4096  # bytes of a question; a longer one is asked about anew each time
MOST_OF_ONE = 2 * 2**20  # bytes of the answers to one question: some thousand likenesses
OF_A_PLAN, OF_A_VENDOR = 1024, 64  # bytes, about
ENCODED = msgspec.json.Encoder().encode
Identifiers = list[dict[str, object]]


def to_ask(body: wire.Check, *, numbered: bool = False) -> Ask:
    """A strict body as a question; `numbered`: see `Ask`. Raises `Problem` for both or neither of recipient and
    recipients.
    """
    ask = _without_person(body, numbered=numbered)
    return ask._replace(identifiers=identifiers_of(body), **_said_of(body))


def _without_person(body: wire.Check, *, numbered: bool) -> Ask:
    if (body.recipient is None) == (body.recipients is None):
        raise Problem("malformed", "one of recipient and recipients", "/recipient")
    shared = body.shared if isinstance(body, wire.Joined) else None
    return Ask(
        recipients=tuple(body.recipients or ()) if body.recipient is None else (body.recipient,),
        purpose=body.purpose,
        data=tuple(body.data) if body.data is not None else None,
        place=_both(shared.place, body.place) if shared else body.place,
        age=wire.youngest(_age_asked(body), _age_asked(shared)) if shared else _age_asked(body),
        count=body.count,
        collected=wire.day(body.collected, "/collected"),
        during_call=body.during_call or (shared is not None and shared.during_call),
        numbered=numbered,
    )


def identifiers_of(body: wire.Check) -> Identifiers:
    """Whom it is about. Raises `Problem`: what is said in two places may be too many together."""
    if not isinstance(body, wire.Joined):
        return wire.plain(body.identifiers)
    if len(body.shared.identifiers) + len(body.identifiers) > wire.MAX_ASKED:
        raise Problem(
            "malformed", f"a check has at most {wire.MAX_ASKED} identifiers, defaults and all", "/identifiers"
        )
    return wire.plain([*body.shared.identifiers, *body.identifiers])


def _said_of(body: wire.Check) -> dict[str, Any]:
    """What else is said of that person, as members of `Ask`: where it is said in a second place, all of it counts.
    Raises `Problem`.
    """
    geo, signals = wire.known_geo(body.geo), wire.known_signals(body.signals)
    if not isinstance(body, wire.Joined):
        return {"geo": geo, "ip": body.ip, "signals": signals}
    shared = body.shared
    also = wire.known_signals(shared.signals)
    return {
        "geo": tuple(each for each in (wire.known_geo(shared.geo), geo) if each is not None) or None,
        "ip": tuple(each for each in (shared.ip, body.ip) if each is not None) or None,
        "signals": signals,
        "also": (also,) if also else (),
    }


def _says_more(body: wire.Check) -> bool:
    """Whether anything else is said of the person."""
    if body.signals or body.geo is not None or body.ip is not None:
        return True
    return isinstance(body, wire.Joined) and _says_more(body.shared)


def _age_asked(body: wire.Check) -> str | None:
    """What is said of the person, and what the operating system tells of its owner: the younger. Raises `Problem`."""
    return wire.youngest(wire.band(body.age), wire.band((body.signals or {}).get(AGE)))


def _both(one: object, other: object) -> object:
    """Two places, or lists of them, as one; a list of more than may be read is read as one with a foreign place."""
    if one is None or other is None or one == other:
        return other if one is None else one
    return [*(one if isinstance(one, list) else [one]), *(other if isinstance(other, list) else [other])]


def _asked(body: wire.Check, *, numbered: bool) -> bytes:
    """All that a question is but for its person. An age that a phone tells is as good as one that is stated."""
    told = (
        numbered,
        body.recipient,
        body.recipients,
        body.purpose,
        body.data,
        body.place,
        body.age,
        body.count,
        body.collected,
        body.during_call,
        body.dry_run,
        body.signals.get(AGE) if body.signals else None,
    )
    return ENCODED(told) + _asked(body.shared, numbered=False) if isinstance(body, wire.Joined) else ENCODED(told)


Answer = TypeVar("Answer")
Like = tuple[Likeness, Around]


class CheckPlan(Generic[Answer]):
    """`ask`: the question, of nobody; `around`: what it says where nothing more is said of anybody; `answers`: what was
    answered to it; `is_kept`: whether it is not too long for that.
    """

    __slots__ = ("answers", "around", "ask", "is_kept", "office", "size")

    def __init__(self, ask: Ask, around: Around, office: Office, *, is_kept: bool = True) -> None:
        self.ask, self.around, self.office, self.is_kept = ask, around, office, is_kept
        self.answers: dict[Like, Answer] = {}
        self.size = OF_A_PLAN

    def around_of(self, body: wire.Check, checks: Checks) -> Around:
        """What this body says beside whom it is about. Raises `Problem`."""
        return checks.around(self.ask._replace(**_said_of(body))) if _says_more(body) else self.around


class _Kept(NamedTuple, Generic[Answer]):
    """The plans of what is in force, in two generations: whoever is asked for moves into the younger one, and when that
    is full the older one goes. One object for each that is in force, so that nobody who was held up in between puts an
    answer of yesterday among those of today.
    """

    in_force: InForce
    generations: list[dict[bytes, CheckPlan[Answer]]]
    sizes: list[int]


class CheckPlans(Generic[Answer]):
    """The plans of one process, in whichever of its threads they are asked for. `most`: bytes of their answers."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: _Kept[Answer] | None = None

    def of(self, body: wire.Check, checks: Checks, *, numbered: bool) -> CheckPlan[Answer]:
        """Raises `Problem`."""
        in_force, kept = checks.in_force(), self._kept
        if kept is None or kept.in_force != in_force:
            kept = self._kept = _Kept(in_force, [{}, {}], [0])
        asked = _asked(body, numbered=numbered)
        young, old = kept.generations
        plan = young.get(asked)
        if plan is None:
            plan = old.get(asked)
            if plan is None:
                ask = _without_person(body, numbered=numbered)
                plan = CheckPlan(ask, checks.around(ask), in_force.office, is_kept=len(asked) <= LONGEST)
            if plan.is_kept:
                young[asked] = plan
                self._grow(kept, plan.size)
        return plan

    def keep(self, plan: CheckPlan[Answer], like: Like, answer: Answer, size: int) -> None:
        """What was answered to somebody is the answer to everybody of one likeness. `size`: its bytes, about."""
        kept = self._kept
        if kept is None or not plan.is_kept:
            return
        vendors = like[1].heard.vendors
        size += sys.getsizeof(vendors) + OF_A_VENDOR * len(vendors or ())
        gone = 0
        if plan.size + size > MOST_OF_ONE:  # its own are asked for again; those of other questions stay
            gone = plan.size - OF_A_PLAN
            plan.answers.clear()
        plan.answers[like] = answer
        plan.size += size - gone
        self._grow(kept, size - gone)

    def _grow(self, kept: _Kept[Answer], size: int) -> None:
        kept.sizes[0] += size
        if kept.sizes[0] > self._most // 2:
            kept.generations[:] = [{}, kept.generations[0]]
            kept.sizes[0] = 0
