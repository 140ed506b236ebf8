"""A ledger with somebody of every sort in it, and with more entries than one tile holds."""

import os
from datetime import UTC, datetime

from gateway.ledger.acts import links, records
from gateway.ledger.acts.links import Span
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Purpose, Source
from support.people import GAID, email, named, phone

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def story(house):
    people = house.consent.people

    def do(job):
        return house.writer.submit(job).result(60)

    def who(kind, value):
        return people.name([named(kind, value)]).subjects[0]

    def says(subject, kind=ChoiceKind.OPT_OUT, *purposes, source="form"):
        choice = Choice(kind, purposes or SIGNAL_PURPOSES, source, AT)
        do(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16)))

    for number in range(10):
        says(people.browser(f"{number:032x}"), source=Source.GPC)
    says(who("email", email(1)))
    says(who("email", email(1)), ChoiceKind.OPT_IN, Purpose.SALE)
    link(house, "ann", ("phone", phone(1)), ("gaid", GAID))
    says(who("phone", phone(1)))


def link(house, account, *things):
    """Of an account to what it is said to have, by kind and value."""
    owner, *had = (
        house.consent.people.name([named(kind, value)]).subjects[0] for kind, value in (("account", account), *things)
    )
    now = milliseconds(AT)
    house.writer.submit(lambda tx: links.link_identifiers(tx, owner, had, Span(now), now)).result(60)


def fill(house, entries, first=0):
    """That many browsers with GPC."""
    choice = Choice(ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, Source.GPC, AT)

    def job(tx):
        for number in range(first, first + entries):
            records.hear_signal(tx, house.consent.people.browser(f"{number:032x}"), choice, os.urandom(16))

    house.writer.submit(job).result(30)


def says_no(house, kind, value, at=AT):
    """One person, by one identifier."""
    subject, request = house.consent.people.name([named(kind, value)]).subjects[0], os.urandom(16)
    choice = Choice(ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, "form", at)
    return house.writer.submit(lambda tx: records.write_choice(tx, subject, choice, request)).result(30)
