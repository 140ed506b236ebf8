"""Requests as the law wants them kept and counted: every field, the year that they came in, and nobody's name."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from support.people import email, gaid, named, phone

from gateway.records import requests

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
