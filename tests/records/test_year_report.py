"""A year's numbers (11 CCR 7102) are those of what was asked for: in the year it came, each request once, by whatever
way, and of what nobody counted there is no number.
"""

import contextlib
import csv
import io
import os
import sqlite3
from datetime import UTC, date, datetime, timedelta

import pytest
from support import inside
from support.people import email, gaid, named, phone

from gateway.app.composition import open_house
from gateway.desk import answered_requests
from gateway.desk.answered_requests import AnsweredRequest, count_answered
from gateway.desk.forgetting.erasure import ErasureOrder, erase
from gateway.ledger import schema
from gateway.ledger.subjects import milliseconds, moment
from gateway.records import requests, year_report
from gateway.records.year_report import yearly_report
from gateway.terms import Erasing, Purpose

AT = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
LATER = date(2030, 1, 1)  # when somebody looks: every year of these tests has been
YEAR = date(2026, 1, 1), date(2027, 1, 1)


@pytest.fixture
def who(house):
    return lambda *given: house.consent.people.name([named(kind, value) for kind, value in given]).subjects


@pytest.fixture
def counts(house):
    """The office counts a request that nothing else tells of."""
    return lambda *asked, **how: house.writer.submit(
        lambda tx: count_answered(tx.db, AnsweredRequest(*asked, **how))
    ).result(60)


@pytest.fixture
def told(folder):
    return lambda year=2026, place="": yearly_report(folder, year, place, LATER)


def test_a_letter_counts_in_the_year_in_which_it_came(told, says, who):
    new_year = datetime(2027, 1, 2, 12, tzinfo=UTC)
    says(who(("phone", phone(1))), at=new_year, received=new_year - timedelta(days=4))
    says(who(("phone", phone(2))), at=new_year)
    counted = [told(year)["opt_out"] for year in (2026, 2027)]
    assert [heading["received"] for heading in counted] == [1, 1]
    assert [heading["median_days"] for heading in counted] == [4, 0]


def test_a_year_counts_requests_and_not_identifiers_and_signals_by_themselves(told, says, who):
    for days in (0, 2, 5):
        says(who(("phone", phone(days)), ("email", email(days))), at=AT, received=AT - timedelta(days=days))
    says(who(("phone", phone(9))), "limit", Purpose.SENSITIVE, at=AT)
    says(who(("gaid", gaid(1))), at=AT, source="gpc")
    found = told()
    assert found["opt_out"] == {"received": 3, "complied": 3, "denied": 0, "median_days": 2}
    assert found["limit"]["received"] == 1
    assert found["opt_out_signals"]["received"] == 1
    assert found["deletion"] == {"received": 0, "complied": 0, "denied": 0, "median_days": None}


def test_a_denied_request_is_counted_as_denied_with_its_basis(told, counts, folder):
    counts("opt_out", date(2026, 3, 3), date(2026, 3, 4), manner="letter", denied="fraud")
    assert told()["opt_out"] == {
        "received": 1,
        "complied": 0,
        "denied": 1,
        "median_days": 1,
        "denied_for": {"fraud": 1},
    }
    (listed,) = requests.between(folder, *YEAR)
    row = listed.to_json()
    assert (row["event"], row["count"], row["manner"], row["received"]) == (None, 1, "letter", "2026-03-03T00:00:00Z")
    assert (row["answer"], row["denial_basis"]) == ("denied", "fraud")


def test_an_old_list_is_no_request_of_the_year(told, says, who):
    says(who(("phone", phone(1))), at=AT, source="import")
    says(who(("phone", phone(2))), at=AT)
    assert (told()["imported"], told()["opt_out"]["received"]) == (1, 1)


def test_what_nobody_counted_is_absent(told, says, who, folder):
    says(who(("phone", phone(1))), at=AT)
    assert set(told(2025)) == {"year"}, "before the first entry"
    assert set(yearly_report(folder, 2031, today=LATER)) == {"year"}, "a year to come"
    assert "correction" not in told(), "the office entered none, and nobody else could"
    assert told()["counted_from"]["opt_out"] == "2026-03-03"


def test_a_correction_is_there_once_one_was_entered(told, counts):
    counts("correction", date(2026, 3, 3), date(2026, 3, 23))
    assert told()["correction"] == {"received": 1, "complied": 1, "denied": 0, "median_days": 20}


def test_a_place_has_numbers_of_its_own_and_a_country_those_of_its_provinces(told, says, who, counts):
    for number, place in enumerate(["US-CO", "US-CA", "CA-QC", "CA", ""]):
        says(who(("phone", phone(number))), at=AT, place=place)
    counts("access", date(2026, 3, 3), date(2026, 3, 3), place="US-CO")
    asked = [(told(place=place)["opt_out"]["received"]) for place in ("US-CO", "CA", "US")]
    assert asked == [1, 2, 2]
    assert told(place="US-CO")["access"]["received"] == 1
    assert told(place="US-CO")["place"] == "US-CO"


def test_an_appeal_is_told_with_what_came_of_it(house, told, says, who):
    (written,) = says(who(("phone", phone(7))), at=AT)
    for word in (requests.APPEAL_MADE, requests.APPEAL_REFUSED):
        house.writer.submit(lambda tx, word=word: requests.note_appeal(tx, written.event, word, AT)).result(60)
    assert told()["opt_out"]["appeals"] == {"made": 1, "refused": 1}


def test_who_was_unlinked_since_still_counts_once_with_the_day_and_is_named_nowhere(house, folder, told, says, who):
    both, other = who(("phone", phone(1)), ("email", email(1))), who(("phone", phone(2)))
    says(both, at=AT, received=AT - timedelta(days=6), source="letter", manner="letter", place="US-CA")
    says((*both, *other), "limit", Purpose.SENSITIVE, at=AT)
    before = told()
    for number, some in enumerate([both, other]):
        order = ErasureOrder(Erasing.UNLINK, some, AT)
        house.writer.submit(lambda tx, order=order, name=bytes([number]) * 16: erase(tx, order, name)).result(60)
        after = told()
        assert (after["opt_out"], after["limit"]) == (before["opt_out"], before["limit"])
        assert after["deletion"]["received"] == number + 1
    assert [r.received for r in requests.between(folder, *YEAR) if r.nature == "opt_out"] == [
        milliseconds(datetime(2026, 2, 25, tzinfo=UTC))
    ]
    assert not any(r.event for r in requests.between(folder, *YEAR))


def test_the_table_and_the_page_tell_the_same_numbers(told, says, who, counts):
    says(who(("phone", phone(1))), at=AT)
    counts("deletion", date(2026, 3, 3), date(2026, 3, 23), denied="not_verified")
    found = told()
    rows = {row["request"]: row for row in csv.DictReader(io.StringIO(year_report.report_as_csv(found)))}
    assert set(rows) == {"opt_out", "limit", "deletion", "opt_out_signals", "imported"} | (set(found) & {"access"})
    for name in set(rows) - {"imported"}:
        told_in = [rows[name][each] for each in ("received", "complied", "denied")]
        assert told_in == [str(found[name][each]) for each in ("received", "complied", "denied")]
    assert rows["deletion"]["denied_for"] == "not_verified 1"
    page = year_report.report_as_page(found)
    assert '<tr><th scope="row">Requests to delete</th><td>1</td><td>0</td><td>1</td><td>20</td>' in page
    assert "Requests to correct" not in page


def test_access_is_absent_of_a_year_before_it_was_counted(house, told, folder):
    began = moment(milliseconds(datetime.now(UTC)))
    assert "access" not in yearly_report(folder, began.year - 1)
    assert "access" in yearly_report(folder, began.year)


def versioned(folder, number):
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        db.execute(f"PRAGMA user_version = {number}")


def unlinks(folder, number):
    """So many people are unlinked, each by a call of their own."""
    with open_house(folder, inside.settings(), dev=True) as house:
        for each in range(number):
            subjects = house.consent.people.name([named("phone", phone(each))]).subjects
            order = ErasureOrder(Erasing.UNLINK, subjects, datetime.now(UTC))
            house.writer.submit(lambda tx, order=order: erase(tx, order, os.urandom(16))).result(60)


def test_what_is_counted_outlives_the_way_back_and_what_an_older_gateway_unlinked_counts_once(folder, monkeypatch):
    """The version before knows no counts; its erasures stand on record without their person."""
    year = datetime.now(UTC).year
    [own] = [number for number, sql in schema.migrations() if "answered_request" in sql]

    def older(number):
        schema.take_back(folder, own - 1)
        versioned(folder, own)
        schema.migrate(folder, 1)  # what this version writes by, and no counts
        with monkeypatch.context() as without:
            without.setattr(answered_requests, "count_answered", lambda *_: None)
            unlinks(folder, number)
        schema.take_back(folder, own)
        versioned(folder, own - 1)
        schema.migrate(folder, 1)
        return yearly_report(folder, year)["deletion"]["received"]

    found = [older(each) for each in (0, 2, 0)]
    unlinks(folder, 3)
    assert [*found, *(older(each) for each in (0, 1))] == [0, 2, 2, 5, 6]
