"""Identifiers: what a verdict refuses because of how it names whom it is about (`gateway.choice.verdict`).

Somebody whom nobody can look up may have said no. An opt-out that was found all the same is told first; these rules
stand before what no choice reaches, for a row that cannot be read is no row of anybody's service either.
"""

from gateway.choice.question import Ruling
from gateway.choice.rules.case import Case, deny
from gateway.terms import Reason


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
