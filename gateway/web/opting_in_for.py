"""Whose opt-in it is on our page, and what stands in its way: an account that is signed in, this browser, or a mailbox
or number that was shown by a code (R4).

A browser opens itself alone, never while the live signal or a linked account says no. Writes nothing.
"""

from dataclasses import dataclass

from gateway import seals
from gateway.check import Checks
from gateway.choice.law import AGES
from gateway.codes import Codes
from gateway.consent import Consent
from gateway.ledger.subjects import Subject
from gateway.outcome import Refused
from gateway.site import widened
from gateway.terms import Purpose
from gateway.web.language import mark
from gateway.web.visitor import Visitor

ACCOUNT, BROWSER = "account", "browser"
YOUNG = {AGES[0], AGES[1]}
FOR = {
    BROWSER: mark("this browser, until its cookies are cleared; no other browser, no app and no account"),
    ACCOUNT: mark("your account; a phone number, a browser or a device that said no by itself keeps its no"),
    "email": mark(
        "the e-mail address that you have shown to be yours, and nothing that belongs to it; what the same mailbox said"
        " in another spelling is taken back, and what an account said stays"
    ),
    "phone": mark("the phone number that you have shown to be yours, and nothing that belongs to it"),
}
SIGNAL = mark(
    "Your browser sends the Global Privacy Control signal, or another one that says no to this. While it does, that"
    " stands above anything that is chosen here, so nothing would change."
)
ACCOUNT_SAYS_NO = mark(
    "The account that you are signed in to says no to this. While it does, nothing would change on this browser."
)
TOO_YOUNG = mark("Below the age from which we take a permission, there is none to give.")
CHILD = mark("For a child under 13 only a parent can give permission. Please have a parent write to us.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One purpose, for one recipient where it is of the precise location (R4)."""

    purpose: Purpose
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Who opts in, and by what: `account`, `browser`, `email`, `phone`."""

    by: str
    subject: Subject


def offered(visitor: Visitor, codes: Codes) -> list[str]:
    """The ways to show who one is, for this visitor."""
    return [*([ACCOUNT] if visitor.account else []), BROWSER, *codes.kinds]


def known(consent: Consent, visitor: Visitor, by: str) -> Person | None:
    """The account or browser of a request. A browser without our cookie has one made up for it by the door."""
    if by == ACCOUNT and visitor.account:
        return Person(by, consent.people.account(visitor.account))
    if by == BROWSER and visitor.cookie and visitor.cookie.value:
        return Person(by, consent.people.browser(visitor.cookie.value))
    return None


def new_browser(consent: Consent) -> tuple[Person, bytes]:
    """A browser that has no cookie of ours yet, and the id for one."""
    made = seals.new_browser()
    return Person(BROWSER, consent.people.browser(made.hex())), made


def in_the_way(consent: Consent, visitor: Visitor, person: Person, wanted: Wanted) -> str:
    """Why a yes is not taken from this person now, or nothing. Raises `StoreUnavailable`."""
    live = person.by in {ACCOUNT, BROWSER} and wanted.purpose in widened(visitor.heard.denied)
    if live:
        return SIGNAL
    if person.by == BROWSER and visitor.account:
        accounts = [consent.people.account(visitor.account), *(each for each in visitor.others if each.is_account)]
        if consent.checks.read_back(accounts, [wanted.purpose])[wanted.purpose] == "opted_out":
            return ACCOUNT_SAYS_NO
    return _age(consent, person)


def _age(consent: Consent, person: Person) -> str:
    try:
        consent.may_open([person.subject], "")
    except Refused:
        return TOO_YOUNG
    return CHILD if consent.checks.band([person.subject]) == AGES[0] else ""


def is_young(checks: Checks, person: Person) -> bool:
    """Whether this person is told of the right to take it back at any time (11 CCR 7071(b), L75)."""
    return checks.band([person.subject]) in YOUNG
