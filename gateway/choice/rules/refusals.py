"""Refusals: the rules of what the person decided, on whichever identifier, and of what this request says; and of how it
names them, for somebody whom nobody can look up may have said no. The verdict asks them after `never`.
"""

from collections.abc import Iterable, Mapping

from gateway.choice.question import Ruling
from gateway.choice.rules.case import (
    CALL_LOCATION,
    CHILD,
    IN_SHIFTS,
    NOT_CHOOSABLE,
    POINTS,
    PRECISE_GEO,
    SIGNALS,
    Case,
    deny,
)
from gateway.choice.standing import out_bits
from gateway.signals.heard import Said
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, DataClass, GrantKind, Purpose, Reason, Source

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
UNTOUCHED = NOT_CHOOSABLE | {Purpose.TRANSFER}
# Whose recorded opt-out ends a purpose: its own; and whatever else somebody outside is registered for, giving it
# personal data is a sale or sharing underneath (R3, R21). Among sale, sharing and targeted ads the record itself
# carries a no to one over to the others, and a later yes to one takes that one back.
ALONE: Mapping[Purpose, int] = {purpose: out_bits([purpose]) for purpose in CHOOSABLE}
UNDERNEATH = out_bits(SIGNAL_PURPOSES)
OUTSIDE: Mapping[Purpose, int] = {
    purpose: bits if purpose in SIGNAL_PURPOSES else bits | UNDERNEATH for purpose, bits in ALONE.items()
}
# What else ends one class of data: a limit ends precise points, no disclosure of CPNI the CPNI itself.
BESIDE: Mapping[DataClass, int] = {
    DataClass.PRECISE_GEO: ALONE[Purpose.SENSITIVE],
    DataClass.CPNI: ALONE[Purpose.CPNI_DISCLOSURE],
}
PRECISE = frozenset({Purpose.SENSITIVE})


def ends(purpose: Purpose, *, third: bool) -> int:
    """Whose recorded opt-out ends a purpose at somebody outside the business, or within it."""
    return 0 if purpose in UNTOUCHED else (OUTSIDE if third else ALONE)[purpose]


def ends_beside(data_class: DataClass, *, during_call: bool) -> int:
    """Whose ends one class of data, whatever it is for. `during_call`: it tells, or may tell, of a call."""
    return BESIDE.get(data_class, 0) | (ALONE[CALL_LOCATION] if during_call else 0)


def stops(said: Iterable[Purpose], purposes: Iterable[Purpose], *, third: bool) -> bool:
    """Whether an opt-out ends one of the purposes for which somebody got data; `recipients_to_tell` asks."""
    out = out_bits(said)
    return any(out & ends(purpose, third=third) for purpose in purposes)


def stops_class(said: Iterable[Purpose], classes: Iterable[DataClass]) -> bool:
    """The same of the classes of data; nobody knows any more which points were taken during a call."""
    out = out_bits(said)
    return any(out & ends_beside(each, during_call=each in POINTS) for each in classes)


def opted_out(case: Case) -> Ruling | None:
    """A recorded opt-out on any identifier that was given, its own or travelled (Cal. Civ. Code 1798.120(d))."""
    if not case.out or not case.personal or case.purpose in UNTOUCHED:
        return None
    asked = ends(case.purpose, third=case.third) | ends_beside(case.data_class, during_call=case.question.during_call)
    if not case.out & asked:
        return None
    standings = case.question.standings
    by = next(index for index, item in enumerate(standings) if (item.own | item.travelled) & asked)
    return deny(Reason.OPTED_OUT, "Cal. Civ. Code 1798.120(d)", standings[by].seq, by)


def signalled(case: Case) -> Ruling | None:
    """What this request denies. Outside the business one of sale, sharing and targeted ads is all of them (R25)."""
    if not case.question.heard.said or not case.personal or case.purpose in UNTOUCHED:
        return None
    asked = {case.purpose} | (SIGNALS if case.third else set())
    if case.data_class is PRECISE_GEO:
        asked |= PRECISE
    for said in case.question.heard.said:
        if not said.purposes.isdisjoint(asked) and not _answered(case, said):
            reason = SIGNAL_REASONS.get(said.source.partition(":")[0], Reason.DEVICE)
            return deny(reason, "11 CCR 7025(c)(1)" if reason is Reason.GPC else "11 CCR 7025(b)")
    return None


def _answered(case: Case, said: Said) -> bool:
    """Whether the signal met a decision about the signal itself, of an account that is known here: an opt-in that was
    given in its sight (7025(c)(3)), or a programme that the person was asked about and did not leave (7025(c)(4)).
    Only GPC has such an answer; an opt-out on record was looked for before, and stands above both (R3).
    """
    if said.source != Source.GPC:
        return False
    if IN_SHIFTS.get(case.purpose, 0) & case.informed:
        return True
    return case.band != CHILD and _keeps_programme(case)


def _keeps_programme(case: Case) -> bool:
    programme = case.recipient.programme
    return bool(programme) and any(
        (grant.kind, grant.recipient, grant.purpose, grant.child)
        == (GrantKind.PROGRAMME, programme, case.purpose, False)
        for grant in case.question.grants
    )


def undeclared(case: Case) -> Ruling | None:
    """A kind that the configuration does not know: its ids were never asked about (R23)."""
    if case.question.naming.undeclared:
        return deny(Reason.UNDECLARED_IDENTIFIER, "[identifiers] declares each further kind (R23)")
    return None


def malformed(case: Case) -> Ruling | None:
    """One identifier that cannot be read, beside whatever others."""
    if case.question.naming.malformed:
        return deny(Reason.MALFORMED, "an identifier that cannot be read may be one that said no")
    return None


def no_identifier(case: Case) -> Ruling | None:
    """A row of a share that names nobody; a check may ask about nobody, for an ad without a person."""
    if not (case.question.naming.row and case.question.naming.nobody):
        return None
    reason = Reason.LIMITED if case.question.limited else Reason.NO_IDENTIFIER
    return deny(reason, "a row is about somebody who can be looked up")


def unlinked(case: Case) -> Ruling | None:
    """A row about somebody of whom no account is known, for a recipient that gets no such rows (R2)."""
    if not case.question.naming.row or case.recipient.unlinked != "deny":
        return None
    if any(standing.linked for standing in case.question.standings):
        return None
    return deny(Reason.UNLINKED, f"recipients.{case.recipient.name}.unlinked (R2)")


def limited(case: Case) -> Ruling | None:
    """An identifier that its platform withholds."""
    if case.question.limited and case.personal:
        return deny(Reason.LIMITED, "a withheld identifier is a no (X-Mode order)")
    return None
