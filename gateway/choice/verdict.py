"""The verdict: may this data go to this recipient for this purpose now? `consent.check` asks it; standing, law and day
come in as arguments.

`ORDER` is the precedence of the rules. Every rule looks at one (purpose, class) pair, and the first one with an opinion
decides; over the pairs the strictest answer wins.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from gateway.choice.place import UNKNOWN_PLACE
from gateway.choice.question import Office, Question, Ruling, Verdict
from gateway.choice.rules import never, permission, refusals
from gateway.choice.rules.case import DENY, Case, Rule, deny
from gateway.choice.standing import Standing, unnumbered
from gateway.terms import Answer, DataClass, Purpose, Reason

STRICTNESS = {Answer.ALLOW: 0, Answer.HASH: 1, Answer.COARSEN: 2, Answer.DENY: 3}

ORDER: tuple[Rule, ...] = (
    # 1. Never, whatever anybody consents to.
    Rule("content", "Is it the content of a message?", never.content),
    Rule("purpose", "Is the recipient registered for this purpose?", never.purpose_registered),
    Rule("class", "Is the recipient registered for this data?", never.class_registered),
    Rule("service", "Would a service provider do cross-context advertising?", never.not_a_service),
    Rule("keywords", "Would keywords stand beside personal information?", never.keywords_alone),
    Rule("deidentified", "Does data that is said to be of nobody tell of somebody?", never.truly_deidentified),
    Rule("contract", "Is there a contract in force?", never.contracted),
    Rule("announced", "Does a notice that this person knows name the recipient?", never.announced),
    Rule("transfer", "May the data leave Europe to this recipient?", never.may_cross_the_sea),
    Rule("act", "Where the person's own act is needed, is there one?", never.at_the_persons_wish),
    Rule("sensitive_place", "May the point lie in a sensitive place?", never.sensitive_place),
    Rule("cpni_module", "Is it network information, and the module off?", never.cpni_module),
    Rule("age", "Is the person old enough for this operator, and to say yes at all?", never.old_enough),
    Rule("banned", "Does the law ban it for this person?", never.not_banned),
    # 2. An explicit no, from any source, on any identifier that reaches this person.
    Rule("opted_out", "Did the person opt out, on any identifier?", refusals.opted_out),
    # Whom nobody can look up, nobody can know to be free.
    Rule("undeclared", "Is an identifier of a kind that is not declared?", refusals.undeclared),
    Rule("malformed", "Is there an identifier that cannot be read?", refusals.malformed),
    Rule("no_identifier", "Is it a row about nobody?", refusals.no_identifier),
    Rule("unlinked", "Is it a row about somebody whom no account is known for?", refusals.unlinked),
    # What no choice reaches: data of nobody, the service itself, the law, the person's own wish.
    Rule("not_personal", "Is it data of nobody?", permission.not_personal),
    Rule("served", "Is it the service itself, the law, or the person's own wish?", permission.served),
    # 3. What this very request says, and 4. a consent that was given in sight of it.
    Rule("signal", "Does this request say no, and was that not answered since?", refusals.signalled),
    Rule("limited", "Is an identifier withheld?", refusals.limited),
    # 5. What needs a yes.
    Rule("collected", "Was it collected while no notice was posted?", permission.collected_with_notice),
    Rule("call_location", "Was it taken during a call, without authorisation?", permission.call_location),
    Rule("cpni", "Is it network information without approval?", permission.cpni),
    Rule("precise", "Is it a precise point, and who allowed it?", permission.precise),
    # 6. The regime of place, day and age.
    Rule("regime", "What does the law of the place say without more?", permission.regime),
)


class Step(NamedTuple):
    """One rule that was tried for one pair; `ruling` None: it had no opinion."""

    purpose: Purpose
    data_class: DataClass
    rule: Rule
    ruling: Ruling | None


@lru_cache(maxsize=4096)
def decide(question: Question, office: Office) -> Verdict:
    """The answer for every class asked for, and the reason of the strictest one, the first among equals.

    Remembered by its arguments: it is a pure function of them, and most questions of a day are about people without a
    record, so they repeat (9 us for a question of two pairs, 38 of twelve, 0.8 remembered; measured).
    """
    case = Case(question, office)
    place = ",".join(sorted(question.places)) or UNKNOWN_PLACE
    chosen: Ruling | None = None
    data: dict[str, Answer] = {}
    for data_class in question.data:
        ruling = _of_class(case, data_class)
        data[data_class.value] = ruling.answer
        if chosen is None or STRICTNESS[ruling.answer] > STRICTNESS[chosen.answer]:
            chosen = ruling
    if chosen is None:
        return deny_all((), Reason.MALFORMED, "no data class asked for", place)
    return Verdict(data, chosen.reason, chosen.rule, place, chosen.seq, chosen.by)


def numbered(verdict: Verdict, asked: Sequence[Standing], standings: Sequence[Standing]) -> Verdict:
    """The verdict with the number of the entry that decided. `asked`: the question's standings, which are those of
    `standings` as they are on record, each word once (`choice.standing.alike`): of several the first one's.
    """
    if verdict.by is None:
        return verdict
    return verdict._replace(seq=next((each.seq for each in standings if unnumbered(each) == asked[verdict.by]), None))


def explain(question: Question, office: Office) -> list[Step]:
    """Every rule that was tried, pair by pair, in the order in which they were; the last of a pair decides it."""
    case = Case(question, office)
    steps: list[Step] = []
    for data_class in question.data:
        for purpose in question.purposes:
            case.turn_to(purpose, data_class)
            for rule in ORDER:
                steps.append(Step(purpose, data_class, rule, rule.apply(case)))
                if steps[-1].ruling is not None:
                    break
    return steps


def deny_all(data: Iterable[str], reason: Reason, rule: str = "", place: str = UNKNOWN_PLACE) -> Verdict:
    """A verdict that needs no rules: the store is away, the recipient is unknown, the body is unreadable."""
    return Verdict({str(name): Answer.DENY for name in data}, reason, rule, place)


def _of_class(case: Case, data_class: DataClass) -> Ruling:
    """The strictest ruling over the purposes. Nothing is stricter than a deny, so the first one ends the search."""
    strictest = NO_PURPOSE
    for purpose in case.question.purposes:
        case.turn_to(purpose, data_class)
        ruling = _of_pair(case)
        if ruling.answer is DENY:
            return ruling
        if strictest is NO_PURPOSE or STRICTNESS[ruling.answer] > STRICTNESS[strictest.answer]:
            strictest = ruling
    return strictest


def _of_pair(case: Case) -> Ruling:
    for rule in ORDER:
        ruling = rule.apply(case)
        if ruling is not None:
            return ruling
    raise AssertionError("the last rule always has an opinion")  # pragma: no cover


NO_PURPOSE = deny(Reason.UNKNOWN_PURPOSE, "no purpose is registered")
