"""Requests as the law wants them kept and counted: every field, the year that they came in, and nobody's name."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from support.people import email, gaid, named, phone

from gateway.records import requests
from gateway.records.requests import yearly_report
from gateway.terms import DAY_MS, Purpose

AT = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)


@pytest.fixture
def who(house):
    return lambda *given: house.consent.people.name([named(kind, value) for kind, value in given]).subjects


def listed(folder, start=date(2026, 1, 1), end=date(2027, 1, 1), **more):
    return [item.to_json() for item in requests.between(folder, start, end, **more)]


def test_a_request_has_every_field_that_the_law_wants_kept(folder, says, who, notice):
    me = who(("phone", phone(7)), ("email", email(7)))
    says(me, at=AT, source="letter", manner="letter", received=AT - timedelta(days=3), place="US-CO", notice=notice)
    (row,) = listed(folder)
    assert {name: row[name] for name in row if name not in {"event", "notice"}} == {
        "nature": "opt_out",
        "purposes": ["sale"],
        "manner": "letter",
        "source": "letter",
        "place": "US-CO",
        "identifier_kinds": ["email", "phone"],
        "received": "2026-02-28T09:30:00Z",
        "answered": "2026-03-03T09:30:00Z",
        "answer": "complied",
        "denial_basis": None,
        "appeal": {"made": False, "outcome": None},
    }
    assert len(row["event"]) == 22
    assert row["notice"]


def test_nobody_is_named_in_what_a_successor_gets(folder, says, who):
    for number in range(5):
        says(who(("phone", phone(number)), ("email", email(number)), ("gaid", gaid(number))), at=AT)
    text = json.dumps(listed(folder))
    keys = [key.hex() for number in range(5) for subject in who(("phone", phone(number))) for key in subject.keys]
    assert len(listed(folder)) == 5
    assert not any(value in text for number in range(5) for value in (phone(number), email(number), gaid(number)))
    assert not any(key in text for key in keys)


def test_an_appeal_and_what_came_of_it_stand_with_the_request(house, folder, says, who):
    (written,) = says(who(("phone", phone(7))), at=AT)
    for outcome in (requests.APPEAL_MADE, requests.APPEAL_GRANTED):
        assert house.writer.submit(lambda tx, word=outcome: requests.note_appeal(tx, written.event, word, AT)).result(
            60
        )
    assert listed(folder)[0]["appeal"] == {"made": True, "outcome": "granted"}
    assert (
        house.writer.submit(lambda tx: requests.note_appeal(tx, b"0" * 16, requests.APPEAL_MADE, AT)).result(60) is None
    )


def test_details_are_opened_only_where_they_are_asked_for(house, folder, says, who):
    says(who(("phone", phone(7))), at=AT, details={"made_at": "2026-03-02"})
    assert "details" not in listed(folder)[0]
    vault = house.vault()
    assert listed(folder, keys_of=vault.keys)[0]["details"][0]["made_at"] == "2026-03-02"
    vault.close()


def test_a_letter_counts_in_the_year_in_which_it_came(folder, says, who):
    new_year = datetime(2027, 1, 2, 12, tzinfo=UTC)
    says(who(("phone", phone(1))), at=new_year, received=new_year - timedelta(days=4))
    says(who(("phone", phone(2))), at=new_year)
    counted = [yearly_report(number, requests.year(folder, number))["opt_out"] for number in (2026, 2027)]
    assert [heading["received"] for heading in counted] == [1, 1]
    assert [heading["median_days"] for heading in counted] == [4, 0]


def test_a_year_counts_requests_and_not_identifiers_and_signals_by_themselves(folder, says, who, house):
    for days in (0, 2, 5):
        says(who(("phone", phone(days)), ("email", email(days))), at=AT, received=AT - timedelta(days=days))
    says(who(("phone", phone(9))), "limit", Purpose.SENSITIVE, at=AT)
    says(who(("gaid", gaid(1))), at=AT, source="gpc")
    told = yearly_report(2026, requests.year(folder, 2026))
    assert told["opt_out"] == {"received": 3, "complied": 3, "denied": 0, "median_days": 2}
    assert told["limit"]["received"] == 1
    assert told["opt_out_signals"]["received"] == 1
    assert told["deletion"] == {"received": 0, "complied": 0, "denied": 0, "median_days": None}


def test_a_denied_request_is_counted_as_denied_with_its_basis():
    asked = requests.Request(b"e", "opt_out", (), "web", "form", "", (), 0, DAY_MS, "fraud", "", None)
    told = yearly_report(2026, [asked])["opt_out"]
    assert told == {"received": 1, "complied": 0, "denied": 1, "median_days": 1}
    assert (asked.to_json()["answer"], asked.to_json()["denial_basis"]) == ("denied", "fraud")
