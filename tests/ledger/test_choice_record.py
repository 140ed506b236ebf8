"""What a choice becomes in the ledger tells the fold of it, names nobody, and opens to its owner alone."""

import contextlib
import json
import os
from dataclasses import replace
from datetime import timedelta

import pytest
from support.lives import BEGAN, PEOPLE, Ledger
from support.people import GAID, email, named, phone

from gateway.fold.record import NamesLearnt
from gateway.keys.secret_files import PersonKeys
from gateway.ledger import subjects
from gateway.ledger.acts import records
from gateway.ledger.entry import Notice, b64, details_commitment, subject_commitment
from gateway.ledger.log_records import records_of
from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, DataClass, Purpose, Source

WHO = {
    "ad id": named("gaid", GAID), "account": named("account", "ann"), "phone": named("phone", phone(1)),
    "mail": named("email", "Jane.Doe@gmail.com"), "app": named("idfv", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"), "plain mail": named("email", email(1)),
}  # fmt: skip
SALE, SHARING = Purpose.SALE, Purpose.SHARING
NOTICE = Notice(b"n" * 32, "7", "en")
NO = Choice(ChoiceKind.OPT_OUT, (SHARING, SALE), Source.API, BEGAN, "US-CO", details={"device": "app one"})
YES = Choice(ChoiceKind.OPT_IN, (SALE,), Source.FORM, BEGAN, notice=NOTICE, ui="ui-3", informed=True, parental=True)
CHOICES = {
    "no": NO,
    "limit": replace(NO, kind=ChoiceKind.LIMIT, purposes=(Purpose.SENSITIVE,), details={}, manner="letter",
                     received=BEGAN - timedelta(days=3)),
    "withdraw": replace(NO, kind=ChoiceKind.WITHDRAW),
    "yes": YES,
    "yes on no screen": replace(YES, ui="", informed=False),
    "grant": replace(YES, recipient="bank", data_class=DataClass.PRECISE_GEO),
    "act": replace(YES, kind=ChoiceKind.DIRECT, purposes=(Purpose.SERVICE,), recipient="bank", ui=""),
    "programme": replace(YES, kind=ChoiceKind.KEEP_PROGRAMME, recipient="club", purposes=(SALE, SHARING)),
    "not ASCII": replace(NO, details={"note": "Zoë"}),
}  # fmt: skip


def subject(name):
    return PEOPLE.name([WHO[name]]).subjects[0]


class Entered:
    """A choice as it lies in a ledger of its own."""

    def __init__(self, who, choice):
        ledger = Ledger({})
        with contextlib.closing(ledger.db):
            records.write_choice(ledger.tx, who, choice, os.urandom(16))
            self.said, self.person = records_of(ledger.db), ledger.tx.persons
            self.all = [
                value
                for table in ("entry", "side", "detail")
                for row in ledger.db.execute(f"SELECT * FROM {table}")
                for value in row
            ]
            [(self.body,)] = ledger.db.execute("SELECT body FROM entry").fetchall()
            [(self.event, person, *self.boxes)] = ledger.db.execute(
                "SELECT event, person, sealed, opening FROM detail"
            ).fetchall()
        self.leaf, self.keys = json.loads(self.body), self.person.made[person]


@pytest.mark.parametrize("name", WHO)
@pytest.mark.parametrize("choice", CHOICES)
def test_the_fold_is_told_of_the_very_purposes_once(name, choice):
    who, said = subject(name), CHOICES[choice]
    told = Entered(who, said).said
    assert told[-1].key == who.key
    assert told[-1].account == who.is_account
    assert {*told[-1].said.purposes} == {*said.purposes}
    assert [type(each.said) for each in told[:-1]] in ([], [NamesLearnt])


def test_a_further_reading_of_a_number_is_told_as_one():
    [*_, record] = Entered(replace(subject("phone"), reading=True), NO).said
    assert (record.said.source, record.said.dated) == (Source.READING, False)


def test_its_owner_opens_it_and_nobody_elses_key_does():
    who = subject("mail")
    entered = Entered(who, CHOICES["limit"])
    found = subjects.open_boxes(entered.keys, entered.event, *entered.boxes)
    assert entered.leaf["s"] == b64(subject_commitment(found.rs, who.kind, who.value))
    assert entered.leaf["d"] == b64(details_commitment(found.rd, found.details))
    assert json.loads(found.details)["received"] == (BEGAN - timedelta(days=3)).isoformat()
    other = PersonKeys(entered.keys.person, os.urandom(32), os.urandom(32))
    assert subjects.open_boxes(other, entered.event, *entered.boxes).broken
    without = PersonKeys(entered.keys.person, None, entered.keys.openings)  # the details were forgotten
    assert subjects.open_boxes(without, entered.event, *entered.boxes) == subjects.Opened(rs=found.rs)


def test_nothing_of_it_names_anybody():
    for name in WHO:
        who = subject(name)
        for told in Entered(who, NO).all:
            assert who.value not in str(told)
            assert not isinstance(told, bytes) or who.value.encode() not in told


def test_two_entries_of_one_act_have_nothing_in_common_that_is_shown():
    who = subject("ad id")
    one, other = (Entered(who, NO).leaf for _ in range(2))
    assert {name for name in "isd" if one[name] == other[name]} == set()
