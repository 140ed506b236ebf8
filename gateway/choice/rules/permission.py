"""Permission: the rules of what needs a yes, which yes is good for it, and what holds where nobody said anything. The
verdict asks them last: that nobody said no was asked before.
"""

from datetime import date, timedelta

from gateway.choice.law import LawRow, LawRule
from gateway.choice.question import Ruling
from gateway.choice.rules.case import (
    ALLOW,
    CHILD,
    COARSEN,
    CONSUMER_DIRECTED,
    CPNI,
    DENY,
    NOT_CHOOSABLE,
    OPTED_IN,
    POINTS,
    PRECISE_GEO,
    TRANSFER,
    Case,
    deny,
)
from gateway.choice.rules.leaving import HASH_OF, by_a_parent, exact_grant, law_of
from gateway.choice.standing import NOT_ASKED
from gateway.terms import SIGNAL_PURPOSES, Answer, GrantKind, Purpose, Reason

APART = frozenset({PRECISE_GEO, CPNI})
NEEDS_NOTICE = frozenset({*SIGNAL_PURPOSES, Purpose.SENSITIVE})  # sale, sharing, use of sensitive data (L55)
NO_CHOICE, YES = Reason.NO_CHOICE, Reason.OPTED_IN
BANNED, OPT_IN, PARENTAL = LawRule.BANNED, LawRule.OPT_IN, LawRule.PARENTAL


def not_personal(case: Case) -> Ruling | None:
    """What tells of nobody (S24). That it does was asked before."""
    if case.personal:
        return None
    return Ruling(ALLOW, Reason.NOT_PERSONAL, "policy 3: no longer personally identifiable")


def served(case: Case) -> Ruling | None:
    """A service provider's contracted purpose and the law's demands go on after an opt-out (L41, L65)."""
    if case.legal:
        return Ruling(ALLOW, Reason.CONTRACTED, "law, fraud and safety: always recorded")
    if case.purpose not in NOT_CHOOSABLE:
        return None
    if case.role is CONSUMER_DIRECTED:
        if case.data_class in APART or (case.question.during_call and case.data_class in POINTS):
            return None  # these want a yes of their own (R7, R27)
        act = case.grant(GrantKind.DIRECTED)
        return Ruling(ALLOW, Reason.DIRECTED, "Cal. Civ. Code 1798.140(ad)(2)(A)", act.seq if act else None)
    return Ruling(ALLOW, Reason.CONTRACTED, "11 CCR 7026(f)(1), 7050")


def collected_with_notice(case: Case) -> Ruling | None:
    """Data of days on which no notice was posted where it was collected needs a consent (11 CCR 7013(h), 7014(h)). Data
    of which nobody knows the day may be of any day.
    """
    if not case.office.notices.gaps or not (case.third or case.purpose in NEEDS_NOTICE):
        return None
    if case.opted_in(case.purpose) or case.grant(OPTED_IN):
        return None
    surface, day = case.recipient.surface, case.question.collected
    for gap in case.office.notices.gaps:
        here = not gap.surface or not surface or gap.surface == surface
        if here and (day is None or gap.start <= day <= gap.until):
            return deny(Reason.NO_NOTICE_AT_COLLECTION, "11 CCR 7013(h)")
    return None


def call_location(case: Case) -> Ruling | None:
    """Where a call was made from needs an authorisation of its own (47 USC 222(f), R27)."""
    if not case.question.during_call or case.data_class not in POINTS or _has_yes(case, Purpose.CALL_LOCATION):
        return None
    return deny(Reason.OPT_IN_REQUIRED, "47 USC 222(f)")


def cpni(case: Case) -> Ruling | None:
    """Network information goes outside by opt-in only; the business itself may use it for marketing with the approval
    of the marketing (47 CFR 64.2007(b), L76, L77).
    """
    if case.data_class is not CPNI:
        return None
    if case.third:
        if _has_yes(case, Purpose.CPNI_DISCLOSURE):
            return None
        return deny(Reason.OPT_IN_REQUIRED, "47 CFR 64.2007(b)")
    approval = by_default(case, Purpose.CPNI_MARKETING)
    return approval if approval.answer is DENY else None


def precise(case: Case) -> Ruling | None:
    """A precise point needs a law that allows it and this person's opt-in for this recipient (R7); without one it is
    coarsened, where the purpose itself may be done.
    """
    if case.data_class is not PRECISE_GEO:
        return None
    row, grant = case.row(PRECISE_GEO), exact_grant(case)
    if grant is not None:
        return Ruling(ALLOW, YES, row.text, grant.seq)
    regime = by_default(case, case.purpose)
    if regime.answer is DENY:
        return regime
    return Ruling(COARSEN, Reason.BANNED if row.rule is BANNED else Reason.COARSENED, row.text)


def regime(case: Case) -> Ruling:
    """The person's yes to the purpose, the request's own where the law takes it, or what holds without one."""
    ruling = by_default(case, case.purpose)
    if ruling.answer is ALLOW and case.data_class in HASH_OF and case.data_class not in case.recipient.data:
        return Ruling(Answer.HASH, Reason.HASHED, "policy 2.4: solely in hashed form", ruling.seq)
    return ruling


def by_default(case: Case, purpose: Purpose) -> Ruling:
    """One purpose by the law of the place, the day and the age; of the data too, where a table says something of it."""
    if purpose is TRANSFER:  # nobody can choose about it; that it is a successor with a contract was asked before
        return Ruling(ALLOW, Reason.CONTRACTED, "a merger is no sale: Cal. Civ. Code 1798.140(ad)(2)(D)")
    row = law_of(case, purpose)
    if _is_said(case, purpose, row):
        return Ruling(ALLOW, YES, row.text)
    if case.grown and case.third:
        return deny(Reason.OPT_IN_REQUIRED, "a birthday opens nothing (R14)")
    if row.rule >= OPT_IN:
        if row.in_band and case.recipient.tcf_vendor in case.question.heard.vendors:
            return Ruling(ALLOW, Reason.IN_BAND_CONSENT, row.text)
        return deny(Reason.OPT_IN_REQUIRED if case.somewhere else Reason.PLACE_UNKNOWN, row.text)
    if row.notice_days:
        return _by_silence(case, row)
    return Ruling(ALLOW, NO_CHOICE, row.text)


def _has_yes(case: Case, purpose: Purpose) -> bool:
    return _is_said(case, purpose, case.row(purpose))


def _is_said(case: Case, purpose: Purpose, row: LawRow) -> bool:
    """Whether there is a yes of whom the row takes it from; a child's are a parent's, whatever the row."""
    return by_a_parent(case, purpose, row) if row.rule is PARENTAL and case.band != CHILD else case.opted_in(purpose)


def _by_silence(case: Case, row: LawRow) -> Ruling:
    """Silence approves the business's own use some days after a notice, for some years, and never without one (L78). Of
    several records the one that was told last counts, and one that was not told at all is not approved.
    """
    if case.third:
        return deny(Reason.OPT_IN_REQUIRED, "47 CFR 64.2007(b)")
    days = [standing.cpni_told for standing in case.question.standings if standing.cpni_told != NOT_ASKED]
    told = [day for day in days if day is not None]
    if not told or len(told) < len(days):
        return deny(Reason.OPT_IN_REQUIRED, row.text)
    ripe, ends = max(told) + timedelta(days=row.notice_days), _years_after(min(told), row.notice_years)
    if ripe < case.office.on <= ends:  # told in the last hour of a day: on the thirtieth day they are not over yet
        return Ruling(ALLOW, Reason.APPROVED_BY_SILENCE, row.text)
    return deny(Reason.NOTICE_NOT_RIPE, row.text)


def _years_after(day: date, years: int) -> date:
    """The same day some years later; 29 February ends with February."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)
