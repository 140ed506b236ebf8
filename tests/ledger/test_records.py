import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.faulty import uses_a_key_twice
from support.people import GAID, email, phone
from support.promises import named_keys

from gateway.consent import still_out
from gateway.keys import seals
from gateway.keys.person_keys import Vault
from gateway.ledger import entry, subjects
from gateway.ledger.acts import links, records
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ChoiceKind, DataClass, Purpose

AT = datetime(2026, 11, 24, 12, 34, 56, 789_000, UTC)
OUT = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE, Purpose.SHARING), "form", AT, "US-CA", manner="web")


@pytest.fixture
def write(do):
    return lambda subject, choice=OUT, request=None: do(
        lambda tx: records.write_choice(tx, subject, choice, request or os.urandom(16))
    )


def rows(do, sql, *values):
    return do(lambda tx: tx.db.execute(sql, values).fetchall())


def test_a_choice_is_an_entry_that_its_owner_can_open(do, who, write):
    written = write(who("email", email(1)))
    [(body,)] = rows(do, "SELECT body FROM entry WHERE seq = ?", written.seq)
    members = json.loads(body)
    assert members["s"] == entry.b64(entry.subject_commitment(written.opening, "email", email(1)))
    assert (members["e"], members["p"], members["src"], members["m"], members["j"]) == (
        "opt_out",
        ["sale", "sharing"],
        "form",
        "web",
        "US-CA",
    )
    assert members["i"] == entry.b64(written.event)


def test_the_exact_time_and_the_details_are_sealed_with_the_persons_key_alone(house, do, who, write):
    received = datetime(2026, 11, 20, tzinfo=UTC)
    written = write(who("email", email(1)), replace(OUT, received=received, details={"made_at": "x"}))
    [(person, sealed, at, got)] = rows(do, "SELECT person, sealed, at, received FROM detail")
    [(opening,)] = rows(do, "SELECT opening FROM detail")
    person = do(lambda tx: tx.persons.keys(person))
    opened = subjects.open_boxes(person, written.event, sealed, opening)
    assert opened.rs == written.opening
    assert json.loads(opened.details) == {
        "at": "2026-11-24T12:34:56.789+00:00",
        "made_at": "x",
        "received": "2026-11-20T00:00:00+00:00",
    }
    assert (at, got) == (milliseconds(AT), milliseconds(received))
    with pytest.raises((seals.OpeningFailed, ValueError)):
        seals.open_seal([os.urandom(32)], written.event, sealed)


def test_no_table_holds_the_value_of_an_identifier(folder, do, who, write):
    for kind, value in (("email", email(1)), ("phone", phone(1)), ("gaid", GAID), ("account", "customer-4711")):
        write(who(kind, value))
    dump = do(lambda tx: "\n".join(tx.db.iterdump())).lower()
    files = b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()).lower()
    for value in (email(1), phone(1), phone(1)[1:], GAID, "customer-4711"):
        assert value not in dump
        assert value.encode() not in files


def test_entries_of_one_person_share_no_opening(who, write):
    first, second = write(who("email", email(1))), write(who("email", email(1)))
    assert first.opening != second.opening
    assert first.event != second.event


def test_one_request_finds_everything_that_was_said_in_it(do, who, write):
    request = os.urandom(16)
    first, second = write(who("email", email(1)), request=request), write(who("phone", phone(1)), request=request)
    assert first.event == request
    assert second.event != request
    assert rows(do, "SELECT count(*) FROM detail WHERE request = ?", request) == [(2,)]


def test_a_request_always_writes_even_if_nothing_changes(do, who, write):
    assert [write(who("email", email(1))).seq for _ in range(3)] == [0, 1, 2]


class TestASignal:
    @pytest.fixture
    def hear(self, do):
        return lambda subject, choice=OUT: do(lambda tx: records.hear_signal(tx, subject, choice, os.urandom(16)))

    def test_is_written_once_however_often_it_is_heard(self, do, who, hear):
        assert hear(who("gaid", GAID)) is not None
        assert [hear(who("gaid", GAID)) for _ in range(10)] == [None] * 10
        assert rows(do, "SELECT size FROM head") == [(1,)]

    def test_is_written_again_when_it_says_more(self, who, hear):
        hear(who("gaid", GAID))
        assert hear(who("gaid", GAID), replace(OUT, purposes=(Purpose.SENSITIVE,))) is not None

    def test_says_all_three_with_one_and_its_entry_keeps_what_was_said(self, do, who, hear):
        """R3, R25: underneath they are one thing; so a second signal of the other two is no news."""
        assert hear(who("gaid", GAID), replace(OUT, purposes=(Purpose.TARGETED_ADS,))) is not None
        assert hear(who("gaid", GAID)) is None
        [(body,)] = rows(do, "SELECT body FROM entry")
        assert json.loads(body)["p"] == ["targeted_ads"]

    def test_is_not_written_where_the_person_said_as_much(self, who, write, hear):
        write(who("gaid", GAID))
        assert hear(who("gaid", GAID), replace(OUT, purposes=(Purpose.SALE,))) is None

    def test_is_written_after_the_person_came_back(self, who, write, hear):
        hear(who("gaid", GAID))
        write(who("gaid", GAID), Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", AT))
        assert hear(who("gaid", GAID)) is not None

    def test_of_another_purpose_takes_back_what_the_person_came_back_for(self, house, who, write, hear):
        subject = who("gaid", GAID)
        write(subject, Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", AT))
        assert hear(subject, replace(OUT, purposes=(Purpose.TARGETED_ADS,))) is not None
        assert house.consent.checks.read_back([subject], [Purpose.SALE]) == {"sale": "opted_out"}


def test_an_opt_in_for_one_recipient_opens_nothing_else(house, who, write):
    written = write(
        who("gaid", GAID),
        Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", AT, recipient="teemo", data_class=DataClass.PRECISE_GEO),
    )
    lookup = house.consent.checks._lookup
    [standing] = lookup.seen([written.key]).standings
    assert (standing.own, standing.granted) == (0, True)
    [grant] = lookup.grants([written.key])
    assert (grant.recipient, grant.data_class) == ("teemo", DataClass.PRECISE_GEO)


def several(who, write):
    for subject in (who("email", email(1)), who("email", email(1)), who("account", "a1"), who("account", "a1")):
        write(subject)


def test_every_record_has_keys_of_its_own_and_what_an_account_is_called_too(do, who, write):
    several(who, write)
    named = do(lambda tx: named_keys(tx.db))
    assert len(named) == len(set(named)) == 5, "four entries and a name"


def test_the_control_a_vault_that_hands_out_a_key_twice_is_found(do, who, write, monkeypatch):
    monkeypatch.setattr(Vault, "new_person", uses_a_key_twice.new_person)
    several(who, write)
    named = do(lambda tx: named_keys(tx.db))
    assert len(named) > len(set(named))


def test_an_opt_out_at_or_after_the_position_of_asking_supersedes_the_opt_in(do, who, write):
    subject = who("email", email(1))
    seq = write(subject).seq

    def since(position, purpose=Purpose.SALE):
        return do(lambda tx: still_out.superseded(tx, [subject], purpose, position))

    assert since(seq)
    assert not since(seq + 1)
    assert not since(seq, Purpose.MARKETING_EMAIL)
    write(subject, Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", AT + timedelta(seconds=1)))
    assert not since(seq)


def test_an_opt_out_that_came_from_afar_supersedes_the_opt_in(do, who, write):
    account, number = who("account", "a1"), who("phone", phone(1))
    do(lambda tx: links.link_identifiers(tx, account, [number], links.Span(0), milliseconds(AT)))
    seq = write(number).seq
    assert do(lambda tx: still_out.superseded(tx, [account], Purpose.SALE, seq))
    assert not do(lambda tx: still_out.superseded(tx, [account], Purpose.SALE, seq + 1))


def test_a_subject_and_what_was_written_hide_the_person_in_a_traceback(who, write):
    subject = who("email", email(1))
    written = write(subject)
    assert email(1) not in repr(subject)
    assert repr(written.opening) not in repr(written)
