"""Never: the rules of what no consent of anybody unlocks, which the verdict asks first.

Who the recipient is, what was agreed with it and announced of it, and what the law bans. What the person said is not
looked at, but for the one act without which nothing is sent at a person's wish.
"""

import itertools
from collections.abc import Iterable
from datetime import date, timedelta

from gateway.choice.law import AGES, YOUNGEST, LawRule
from gateway.choice.place import is_named, may_be_european
from gateway.choice.question import Office, Ruling
from gateway.choice.rules.case import (
    CALL_LOCATION,
    COARSE_GEO,
    CONSUMER_DIRECTED,
    CONTENT,
    CPNI,
    KEYWORDS,
    NOT_CHOOSABLE,
    NOT_PERSONAL,
    POINTS,
    PRECISE_GEO,
    SERVICE,
    SERVICE_PROVIDER,
    SIGNALS,
    TRANSFER,
    Case,
    deny,
)
from gateway.choice.rules.leaving import CHANGED, law_of, leaves_as
from gateway.choice.standing import NOT_ASKED
from gateway.terms import DataClass, GrantKind, Purpose, Reason, Role

IDENTIFYING = frozenset(
    {DataClass.CONTACT, DataClass.ACCOUNT, DataClass.EMAIL_HASH, DataClass.PHONE_HASH, DataClass.PRECISE_GEO}
)  # what keywords never stand beside
LOWEST = dict(zip(AGES, (0, 13, 16, 18), strict=True))  # the youngest in each band
CPNI_PURPOSES = frozenset({Purpose.CPNI_MARKETING, Purpose.CPNI_DISCLOSURE, Purpose.CALL_LOCATION})
PLACES = frozenset({PRECISE_GEO, COARSE_GEO})
SUCCESSOR = Role.SUCCESSOR
BANNED, DIRECTED = LawRule.BANNED, GrantKind.DIRECTED


def content(case: Case) -> Ruling | None:
    """Message content is never shared, with anybody but the law."""
    if case.data_class is CONTENT and not case.legal:
        return deny(Reason.CONTENT, "policy 3: content is never shared")
    return None


def purpose_registered(case: Case) -> Ruling | None:
    """The recipient's registered purposes. Only a service provider, or who is sent something at the person's wish,
    serves; only a successor takes over; the law is given what the law wants, and is sold nothing.
    """
    purpose, recipient = case.purpose, case.recipient
    serves = not case.third or (case.role is CONSUMER_DIRECTED and purpose is SERVICE)
    misplaced = purpose in NOT_CHOOSABLE and not serves
    misplaced = misplaced or (purpose is TRANSFER and case.role is not SUCCESSOR)
    misplaced = misplaced or (case.legal and purpose not in NOT_CHOOSABLE)
    if purpose not in recipient.purposes or misplaced:
        return deny(Reason.PURPOSE_NOT_REGISTERED, f"recipients.{recipient.name}.purposes")
    return None


def class_registered(case: Case) -> Ruling | None:
    """The recipient's registered data classes, for the one that this would leave as."""
    if leaves_as(case) if case.data_class in CHANGED else case.data_class in case.recipient.data:
        return None
    return deny(Reason.CLASS_NOT_REGISTERED, f"recipients.{case.recipient.name}.data")


def not_a_service(case: Case) -> Ruling | None:
    """A service provider cannot do cross-context advertising; whoever does is a third party (L41)."""
    if case.role is SERVICE_PROVIDER and case.purpose in SIGNALS:
        return deny(Reason.NOT_A_SERVICE, "11 CCR 7050(b)")
    return None


def keywords_alone(case: Case) -> Ruling | None:
    if case.data_class is KEYWORDS and not IDENTIFYING.isdisjoint(case.question.data):
        return deny(Reason.KEYWORDS_BESIDE, "policy 3: never in connection with personal information (R20)")
    return None


def truly_deidentified(case: Case) -> Ruling | None:
    """Beside anything personal nothing is deidentified, and a small number tells of somebody (R28, S24)."""
    if case.personal:
        return None
    if not NOT_PERSONAL.issuperset(case.question.data):
        return deny(Reason.NOT_DEIDENTIFIED, "beside anything personal nothing is deidentified (R28)")
    if case.third and (case.question.count or 0) < case.office.least_count:
        return deny(Reason.SMALL_COUNT, f"policy 3: of at least {case.office.least_count} people, and said so")
    return None


def contracted(case: Case) -> Ruling | None:
    if case.legal or case.recipient.contracted(case.office.on):
        return None
    return deny(Reason.NO_CONTRACT, "11 CCR 7050(e), 7053")


def announced(case: Case) -> Ruling | None:
    """Nothing goes outside, in the form in which it leaves, that the notice did not name which this person was last
    shown or sent, nor for the days after it in which it may still come back (R15). Of several records the one that was
    told least, or last.
    """
    if not case.third or case.role is CONSUMER_DIRECTED:
        return None
    named, everyone = _named_on(case), case.office.notices.told_everyone
    if named is not None and named <= everyone and named <= case.office.on:
        return None  # nobody was told less
    asked = [standing.told for standing in case.question.standings if standing.told != NOT_ASKED]  # of the person's own
    days = [max(told or everyone, everyone) for told in asked]
    if named is None or named > min([*days, case.office.on]) or not days or _may_come_back(days, case):
        return deny(Reason.NOT_NOTIFIED, "policy 3: you will be notified (R15)")
    return None


def _named_on(case: Case) -> date | None:
    """The day of the notice that named the recipient with this purpose and every class that this may leave as."""
    recipient, purpose = case.recipient, case.purpose
    if case.data_class not in CHANGED:
        return recipient.announced_on(purpose, case.data_class)
    forms = leaves_as(case) or (case.data_class,)
    days = [day for each in forms if (day := recipient.announced_on(purpose, each)) is not None]
    return max(days, default=None)


def _may_come_back(days: list[date], case: Case) -> bool:
    """Whether one of these people's notices is younger than the wait."""
    latest = max((day for day in days if day != NOT_ASKED), default=date.min)
    return latest > case.office.on - timedelta(days=case.office.notices.wait)


def may_cross_the_sea(case: Case) -> Ruling | None:
    """Data of people in the EEA, the United Kingdom and Switzerland leaves on a stated basis only (R28)."""
    if case.legal or not case.personal or case.recipient.transfer_basis:
        return None
    if may_be_european(case.places):
        return deny(Reason.NO_TRANSFER_BASIS, "GDPR Art. 44-46")
    return None


def at_the_persons_wish(case: Case) -> Ruling | None:
    """What is sent because the person asked for it is sent on that act: one act, one transfer, ten minutes (R28)."""
    if case.role is not CONSUMER_DIRECTED or case.grant(DIRECTED):
        return None
    return deny(Reason.NO_ACT, "Cal. Civ. Code 1798.140(ad)(2)(A)")


def sensitive_place(case: Case) -> Ruling | None:
    """Whoever was at a clinic, a shelter or a house of worship is not told of outside, exactly or coarsely (L70)."""
    if case.question.sensitive and case.third and case.data_class in PLACES:
        return deny(Reason.SENSITIVE_PLACE, "FTC Act s. 5: X-Mode, Gravy Analytics, Kochava (L70)")
    return None


def cpni_module(case: Case) -> Ruling | None:
    """Without the module nothing of it goes to anybody but service providers and the law (R27)."""
    if case.office.cpni or case.legal or case.role is SERVICE_PROVIDER:
        return None
    taken = case.question.during_call and case.data_class in POINTS
    if taken or case.data_class is CPNI or case.purpose in CPNI_PURPOSES:
        return deny(Reason.CPNI_OFF, "47 USC 222: the module is off (R27)")
    return None


def old_enough(case: Case) -> Ruling | None:
    """The operator's floor (R14): a band that may hold somebody below it; below it only service and the law go on."""
    if not case.third and (case.legal or case.purpose in NOT_CHOOSABLE):
        return None
    if below_floor(case.band, case.office):
        return deny(Reason.AGE, f"policy 1: no one under {case.office.age_floor}")
    return None


def below_floor(band: str, office: Office) -> bool:
    """Whether a band may hold somebody for whom the operator has no sharing, and so no opt-in either (R14)."""
    return LOWEST[band] < office.age_floor


def parents_reach(places: Iterable[str], purposes: Iterable[Purpose], office: Office) -> int:
    """The oldest band, by its place in `AGES`, of which a yes is a parent's to say, for whoever writes one: under 13,
    and up to where the law of a place that is named wants a parent's. What else may hold where none is named is the
    verdict's to say: the strictest of all laws is nobody's own.
    """
    named = [frozenset({place}) for place in places if is_named(place)]
    asked = itertools.product(enumerate(AGES), named, purposes)
    wanted = (rank for (rank, band), place, purpose in asked if wants_parent(band, place, purpose, office))
    return max(wanted, default=YOUNGEST)


def wants_parent(band: str, places: frozenset[str], purpose: Purpose, office: Office) -> bool:
    """Whether the strictest law of these places takes a parent's yes alone for somebody of that age."""
    return office.law.strictest(places, purpose, office.on, band).rule is LawRule.PARENTAL


def not_banned(case: Case) -> Ruling | None:
    """What the law bans for this person, whatever they say: the purpose, or the data itself."""
    if not case.personal or case.legal:
        return None
    if case.purpose not in NOT_CHOOSABLE:
        row = law_of(case, case.purpose)
        if row.rule is BANNED:
            return deny(Reason.BANNED, row.text)
    elif case.role is not CONSUMER_DIRECTED:
        return None
    return _banned_beside(case) if case.data_class in POINTS else None


def _banned_beside(case: Case) -> Ruling | None:
    """What the data is whatever it is asked for, as `permission` asks for a yes to it: where a call was made from, and
    what the telephone service knows.
    """
    subjects = [CALL_LOCATION] if case.question.during_call else []
    if case.data_class is CPNI:
        subjects.append(Purpose.CPNI_DISCLOSURE if case.third else Purpose.CPNI_MARKETING)
    rows = [case.row(subject) for subject in subjects]
    return next((deny(Reason.BANNED, row.text) for row in rows if row.rule is BANNED), None)
