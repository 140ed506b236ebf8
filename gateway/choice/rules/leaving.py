"""What a class of data leaves as, and what the law says of it: a point exact or coarse, contact data as its digests.
The rules of `never` and `permission` ask, so that what is registered, announced and banned is asked of what leaves.
"""

from collections.abc import Mapping

from gateway.choice.law import LawRow, LawRule
from gateway.choice.question import Grant
from gateway.choice.rules.case import (
    CHILD,
    COARSE_GEO,
    CONSUMER_DIRECTED,
    IN_SHIFTS,
    NOT_CHOOSABLE,
    OPTED_IN,
    PRECISE_GEO,
    Case,
    parents_yes,
)
from gateway.terms import DataClass, Purpose

CONTACT = DataClass.CONTACT
HASH_OF: Mapping[DataClass, tuple[DataClass, ...]] = {CONTACT: (DataClass.EMAIL_HASH, DataClass.PHONE_HASH)}
CHANGED = frozenset({PRECISE_GEO, *HASH_OF})  # classes that may leave as another one
# Whose rows of the law bind a class: what holds for the less exact form holds for the exact one. Of an exact point's
# own row `permission.precise` asks, for what that bans may leave coarse.
BOUND_BY: Mapping[DataClass, tuple[DataClass, ...]] = {
    PRECISE_GEO: (COARSE_GEO,),
    CONTACT: (CONTACT, *HASH_OF[CONTACT]),
}
BANNED, PARENTAL = LawRule.BANNED, LawRule.PARENTAL


def leaves_as(case: Case) -> tuple[DataClass, ...]:
    """The registered classes that this would leave as; none where the recipient gets it in no form."""
    data_class, registered = case.data_class, case.recipient.data
    if data_class is PRECISE_GEO:
        return _point(case)
    if data_class in registered:
        return (data_class,)
    digests = HASH_OF.get(data_class, ())
    # Which digest it would be nobody can tell of contact data alone, so either one has to be registered.
    return digests if all(each in registered for each in digests) and not _untouched(case) else ()


def _point(case: Case) -> tuple[DataClass, ...]:
    registered = case.recipient.data
    exact = PRECISE_GEO in registered
    if _untouched(case) or exact_grant(case):
        return (PRECISE_GEO,) if exact else ()
    if COARSE_GEO in registered:
        return (COARSE_GEO,)
    return (PRECISE_GEO, COARSE_GEO) if exact else ()  # coarse, as the less of what is registered


def _untouched(case: Case) -> bool:
    """Whether it would leave as it stands, since the service itself and the law get what they are registered for; of
    what a person sends somewhere a precise point wants a yes of its own (R7).
    """
    if case.legal:
        return True
    return case.purpose in NOT_CHOOSABLE and not (case.role is CONSUMER_DIRECTED and case.data_class is PRECISE_GEO)


def exact_grant(case: Case) -> Grant | None:
    """The person's yes on which a precise point leaves exact; none where the law bans that or wants a parent's (R7)."""
    if PRECISE_GEO not in case.recipient.data or case.row(PRECISE_GEO).rule is BANNED:
        return None
    grant = case.grant(OPTED_IN, by_name=True)
    if grant is None:
        return None
    rows = (case.row(PRECISE_GEO), law_of(case, case.purpose))
    wanting = (row for row in rows if row.rule is PARENTAL and not by_a_parent(case, case.purpose, row))
    return None if any(wanting) else grant


def law_of(case: Case, purpose: Purpose) -> LawRow:
    """The stricter of a purpose's row and of those about the data itself, which an operator's own table may have."""
    row, classes = case.row(purpose), case.office.law.classes
    if not classes:
        return row
    about = BOUND_BY.get(case.data_class, (case.data_class,))
    return max((row, *(case.row(each) for each in about)), key=lambda each: each.strictness)


def by_a_parent(case: Case, purpose: Purpose, row: LawRow) -> bool:
    """Whether a parent said yes to it for somebody who is on record as one of those for whom the row wants that. From
    13 on that is good in no place that has them say yes themselves: where somebody may be in both, nobody's is.
    """
    law, on, wanted = case.office.law, case.office.on, IN_SHIFTS.get(purpose, 0)
    if case.band != CHILD and any(law.wants_own(case.places, each, on, case.band) for each in (purpose, row.subject)):
        return False
    return any(parents_yes(standing, row.reach) & wanted for standing in case.question.standings)
