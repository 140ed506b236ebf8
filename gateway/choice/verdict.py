"""The verdict: may this data go to this recipient for this purpose now?

The order is law.md section 7 (design decision 8): never-rules, explicit deny on any reachable identifier, in-band
signal, opt-in consents, the default of the regime. Every rule looks at one (purpose, class) pair and the first one
with an opinion decides; over the pairs the strictest answer wins. Pure: the standing, the law and the day come in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from gateway.choice.law import AGES, UNKNOWN_PLACE, UNREADABLE_PLACE, US, LawTable, Row, Rule
from gateway.choice.recipient import Recipient
from gateway.choice.standing import Standing
from gateway.signals.heard import Heard
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass, Purpose, Reason, Role, Source

STRICTNESS = {Answer.ALLOW: 0, Answer.HASH: 1, Answer.COARSEN: 2, Answer.DENY: 3}
NOT_PERSONAL = frozenset({DataClass.AGGREGATE, DataClass.DEIDENTIFIED})
IDENTIFYING = frozenset(
    {DataClass.CONTACT, DataClass.ACCOUNT, DataClass.EMAIL_HASH, DataClass.PHONE_HASH, DataClass.PRECISE_GEO}
)  # what keywords never stand beside
SIGNAL_REASONS: Mapping[str, Reason] = {
    Source.GPC: Reason.GPC,
    Source.US_PRIVACY: Reason.US_PRIVACY,
    Source.CMP_COOKIE: Reason.CMP_COOKIE,
    Source.GPP: Reason.GPP,
    Source.TCF: Reason.TCF,
    Source.ADDITIONAL_CONSENT: Reason.ADDITIONAL_CONSENT,
    Source.AD_CHOICES: Reason.AD_CHOICES,
    "malformed": Reason.MALFORMED_SIGNAL,
}
HASH_OF = {DataClass.CONTACT: (DataClass.EMAIL_HASH, DataClass.PHONE_HASH)}
LOWEST = {"under_13": 0, "13_15": 13, "16_17": 16, "adult": 18}  # the youngest in each band


NOWHERE = frozenset({UNKNOWN_PLACE, UNREADABLE_PLACE, US})  # places that say nothing of which law
NOTHING = Heard()


@dataclass(frozen=True, slots=True)
class Grant:
    """A confirmed opt-in that names a recipient and a data class."""

    recipient: str
    purpose: Purpose
    data_class: DataClass
    seq: int


@dataclass(frozen=True, slots=True)
class Question:
    """`places`: all that are known, strictest wins; empty is unknown. `age`: a band, None when nothing is known.
    `limited`: an identifier list with nothing usable, or a zero id in it.
    """

    recipient: Recipient
    purposes: tuple[Purpose, ...]
    data: tuple[DataClass, ...]
    places: frozenset[str] = frozenset()
    age: str | None = None
    heard: Heard = NOTHING
    standings: tuple[Standing, ...] = ()
    grants: tuple[Grant, ...] = ()
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one rule says of one (purpose, class) pair."""

    answer: Answer
    reason: Reason
    rule: str
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`allowed`: every class may go as it stands. `partly`: some may, or changed (R3)."""

    data: dict[str, Answer]
    reason: Reason
    rule: str
    place: str
    seq: int | None = None

    @property
    def allowed(self) -> bool:
        return bool(self.data) and all(answer is Answer.ALLOW for answer in self.data.values())

    @property
    def partly(self) -> bool:
        return not self.allowed and any(answer is not Answer.DENY for answer in self.data.values())


@dataclass(frozen=True, slots=True)
class Office:
    """What holds for every question: the law, the day, the operator's age floor (0: none)."""

    law: LawTable
    on: date
    age_floor: int = 0


def deny_all(data: Iterable[str], reason: Reason, rule: str = "", place: str = UNKNOWN_PLACE) -> Verdict:
    """A verdict that needs no rules: the store is away, the recipient is unknown, the body is unreadable."""
    return Verdict({str(name): Answer.DENY for name in data}, reason, rule, place)


@lru_cache(maxsize=4096)
def decide(question: Question, office: Office) -> Verdict:
    """The answer for every class asked for, and the reason of the strictest one.

    Remembered by its arguments: it is a pure function of them, and most questions of a day are about people without a
    record, so they repeat (100 us a time otherwise, measured). Nobody changes a verdict in place.
    """
    chosen: Ruling | None = None
    data: dict[str, Answer] = {}
    for data_class in question.data:
        ruling = _strictest(
            [NO_PURPOSE]
            if not question.purposes
            else [_rule(question, office, purpose, data_class) for purpose in question.purposes]
        )
        data[data_class.value] = ruling.answer
        chosen = ruling if chosen is None else _strictest([chosen, ruling])
    place = ",".join(sorted(question.places)) or UNKNOWN_PLACE
    if chosen is None:
        return deny_all((), Reason.MALFORMED, "no data class asked for", place)
    return Verdict(data, chosen.reason, chosen.rule, place, chosen.seq)


def _strictest(rulings: list[Ruling]) -> Ruling:
    return max(rulings, key=lambda ruling: STRICTNESS[ruling.answer])


def _rule(question: Question, office: Office, purpose: Purpose, data_class: DataClass) -> Ruling:
    for rule in ORDER:
        ruling = rule(question, office, purpose, data_class)
        if ruling is not None:
            return ruling
    raise AssertionError("the last rule always has an opinion")  # pragma: no cover


NO_PURPOSE = Ruling(Answer.DENY, Reason.UNKNOWN_PURPOSE, "no purpose is registered")


def _deny(reason: Reason, rule: str, seq: int | None = None) -> Ruling:
    return Ruling(Answer.DENY, reason, rule, seq)


def _content(question: Question, _o: Office, _p: Purpose, data_class: DataClass) -> Ruling | None:
    """Message content is never shared, with anybody but the law."""
    if data_class is DataClass.CONTENT and question.recipient.role is not Role.LEGAL:
        return _deny(Reason.CONTENT, "policy 3: content is never shared")
    return None


def _registered(question: Question, _o: Office, purpose: Purpose, data_class: DataClass) -> Ruling | None:
    recipient = question.recipient
    serves_itself = purpose in NOT_CHOOSABLE and recipient.third  # only a service provider serves
    serves_itself = serves_itself or (purpose is Purpose.TRANSFER and recipient.role is not Role.SUCCESSOR)
    if purpose not in recipient.purposes or serves_itself:
        return _deny(Reason.PURPOSE_NOT_REGISTERED, f"recipients.{recipient.name}.purposes")
    if data_class is DataClass.KEYWORDS and not IDENTIFYING.isdisjoint(question.data):
        return _deny(Reason.KEYWORDS_BESIDE, "policy 3: never in connection with personal information (R20)")
    if data_class in NOT_PERSONAL and not NOT_PERSONAL.issuperset(question.data):
        return _deny(Reason.NOT_DEIDENTIFIED, "beside anything personal nothing is deidentified")
    hashable = any(hashed in recipient.data for hashed in HASH_OF.get(data_class, ()))
    coarse = data_class is DataClass.PRECISE_GEO and DataClass.COARSE_GEO in recipient.data
    if data_class not in recipient.data and not hashable and not coarse:
        return _deny(Reason.CLASS_NOT_REGISTERED, f"recipients.{recipient.name}.data")
    return None


def _contract(question: Question, office: Office, _p: Purpose, _c: DataClass) -> Ruling | None:
    recipient = question.recipient
    if recipient.role is Role.LEGAL or recipient.contracted(office.on):
        return None
    return _deny(Reason.NO_CONTRACT, "11 CCR 7050(e), 7053")


def _age(question: Question, office: Office, _p: Purpose, _c: DataClass) -> Ruling | None:
    """The operator's floor (R14): below it only service, legal and safety go on."""
    if not question.recipient.third or not office.age_floor:
        return None
    band = youngest(question.age, question.standings)
    if LOWEST[band] < office.age_floor:  # a band that may hold somebody below the floor
        return _deny(Reason.AGE, f"policy 1: no one under {office.age_floor}")
    return None


def youngest(age: str | None, standings: Iterable[Standing]) -> str:
    """The youngest of the age on record and the one that the caller says; an adult where nothing is known (R14)."""
    bands = [band for band in (age, *(standing.age_band for standing in standings)) if band in AGES]
    return min(bands, key=AGES.index, default="adult")


def _row(question: Question, office: Office, subject: str) -> Row:
    """The strictest row in force for this person: all places, the day, the age."""
    return office.law.strictest(question.places, subject, office.on, youngest(question.age, question.standings))


def _service(question: Question, _o: Office, purpose: Purpose, _c: DataClass) -> Ruling | None:
    """A service provider's contracted purpose and the law's demands go on after an opt-out (L41)."""
    if question.recipient.role is Role.LEGAL:
        return Ruling(Answer.ALLOW, Reason.CONTRACTED, "law, fraud and safety: always recorded")
    if question.recipient.role is Role.SERVICE_PROVIDER and purpose in NOT_CHOOSABLE:
        return Ruling(Answer.ALLOW, Reason.CONTRACTED, "11 CCR 7026(f)(1), 7050")
    return None


NOT_CHOOSABLE = frozenset({Purpose.SERVICE, Purpose.SECURITY, Purpose.LEGAL, Purpose.LEGAL_NOTICE})


def _explicit(question: Question, _o: Office, purpose: Purpose, data_class: DataClass) -> Ruling | None:
    """A recorded opt-out on any identifier that was given, its own or travelled. Limit reaches precise points."""
    asked = [*_said_no_by(question.recipient, purpose)]
    if data_class is DataClass.PRECISE_GEO:
        asked.append(Purpose.SENSITIVE)
    if data_class is DataClass.CPNI:
        asked.append(Purpose.CPNI_DISCLOSURE)
    if data_class in NOT_PERSONAL or purpose in NOT_CHOOSABLE or purpose is Purpose.TRANSFER:
        return None
    for standing in question.standings:
        for each in asked:
            if standing.denies(each):
                return _deny(Reason.OPTED_OUT, "Cal. Civ. Code 1798.120(d)", standing.seq)
    return None


def _said_no_by(recipient: Recipient, purpose: Purpose) -> tuple[Purpose, ...]:
    """Whose recorded opt-out ends a purpose: its own; and whatever else a third party is registered for, giving it
    personal data is a sale or sharing underneath (R3, R21). Among sale, sharing and targeted ads the record itself
    carries a no to one over to the others, and a later yes to one takes that one back.
    """
    beside = recipient.third and purpose not in SIGNAL_PURPOSES
    return (purpose, *SIGNAL_PURPOSES) if beside else (purpose,)


def _in_band(question: Question, _o: Office, purpose: Purpose, data_class: DataClass) -> Ruling | None:
    """What this very request denies. At a third party one of sale, sharing and targeted ads is all of them (R25)."""
    if data_class in NOT_PERSONAL:
        return None
    asked = {purpose, *(SIGNAL_PURPOSES if question.recipient.third else ())}
    if data_class is DataClass.PRECISE_GEO:
        asked.add(Purpose.SENSITIVE)
    for said in question.heard.said:
        if not said.purposes.isdisjoint(asked):
            reason = SIGNAL_REASONS.get(said.source.partition(":")[0], Reason.DEVICE)
            return _deny(reason, "11 CCR 7025(c)(1)" if reason is Reason.GPC else "11 CCR 7025(b)")
    return None


def _limited(question: Question, _o: Office, _p: Purpose, data_class: DataClass) -> Ruling | None:
    if question.limited and data_class not in NOT_PERSONAL:
        return _deny(Reason.LIMITED, "a withheld identifier is a no (X-Mode order)")
    return None


def _precise(question: Question, office: Office, purpose: Purpose, data_class: DataClass) -> Ruling | None:
    """A precise point needs a law that allows it and this person's opt-in for this recipient (R7)."""
    if data_class is not DataClass.PRECISE_GEO:
        return None
    row, regime = _row(question, office, DataClass.PRECISE_GEO), _row(question, office, purpose)
    if regime.rule is Rule.BANNED:
        return None  # said below
    if row.rule is not Rule.BANNED and DataClass.PRECISE_GEO in question.recipient.data:
        for grant in question.grants:
            wanted = (question.recipient.name, purpose, data_class)
            if (grant.recipient, grant.purpose, grant.data_class) == wanted:
                return Ruling(Answer.ALLOW, Reason.OPTED_IN, str(row), grant.seq)
    if regime.rule >= Rule.OPT_IN and not _opted_in(question, purpose):
        return None  # nothing of the point may go: the regime says so below
    return Ruling(Answer.COARSEN, Reason.BANNED if row.rule is Rule.BANNED else Reason.COARSENED, str(row))


def _cpni(question: Question, _o: Office, _p: Purpose, data_class: DataClass) -> Ruling | None:
    """Network information goes outside only by opt-in (47 CFR 64.2007(b), R27, L77)."""
    if data_class is DataClass.CPNI and question.recipient.third and not _opted_in(question, Purpose.CPNI_DISCLOSURE):
        return _deny(Reason.OPT_IN_REQUIRED, "47 CFR 64.2007(b)")
    return None


def _opted_in(question: Question, purpose: Purpose) -> bool:
    return any(standing.opted_in(purpose) for standing in question.standings)


def _regime(question: Question, office: Office, purpose: Purpose, data_class: DataClass) -> Ruling | None:
    row = _row(question, office, purpose)
    if row.rule is Rule.BANNED:
        return _deny(Reason.BANNED, str(row))
    if _opted_in(question, purpose):
        return _changed(question, data_class, Ruling(Answer.ALLOW, Reason.OPTED_IN, str(row)))
    if row.rule >= Rule.OPT_IN and data_class not in NOT_PERSONAL:
        unknown = not question.places or not question.places.isdisjoint(NOWHERE)
        return _deny(Reason.PLACE_UNKNOWN if unknown else Reason.OPT_IN_REQUIRED, str(row))
    return _changed(question, data_class, Ruling(Answer.ALLOW, Reason.NO_CHOICE, str(row)))


def _changed(question: Question, data_class: DataClass, ruling: Ruling) -> Ruling:
    """Contact data goes to a hashed-e-mail recipient only as its hash."""
    if data_class in HASH_OF and data_class not in question.recipient.data:
        return Ruling(Answer.HASH, Reason.HASHED, "policy 2.4: solely in hashed form", ruling.seq)
    return ruling


OneRule = Callable[[Question, Office, Purpose, DataClass], Ruling | None]
ORDER: tuple[OneRule, ...] = (
    _content, _registered, _contract, _age,  # never-rules: no consent lifts them
    _service,  # what an opt-out does not reach
    _explicit,  # what the person said
    _in_band, _limited,  # what this very request says
    _precise, _cpni, _regime,  # consents, then the default of the regime
)  # fmt: skip
