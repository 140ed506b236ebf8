"""What a choice becomes in the log is what the ledger's tables tell the fold of it, and opens to its owner alone."""

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
from gateway.ledger.acts import records
from gateway.ledger.engine.choice_record import as_written, choice_record, fresh_secrets, split_boxes
from gateway.ledger.log_records import records_of
from gateway.ledger.proof import openings
from gateway.ledger.proof.entry import Notice, b64, details_commitment, subject_commitment
from gateway.ledger.side import records_of_side
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


def recorded(who, choice, **how):
    """Its record, with what was drawn for it."""
    secrets, keys = fresh_secrets(), PersonKeys(os.urandom(16), os.urandom(32), os.urandom(32))
    return choice_record(who, as_written(who, choice), secrets, keys, 1, **how), secrets, keys


def names(records):
    """All that they say somebody is called."""
    learnt = [each.said for each in records if isinstance(each.said, NamesLearnt)]
    same, looser = (
        {name for each in learnt for name in column(each)} for column in (lambda it: it.same, lambda it: it.looser)
    )
    return same, looser, {each.mailbox for each in learnt} - {None}


@pytest.mark.parametrize("name", WHO)
@pytest.mark.parametrize("choice", CHOICES)
def test_the_fold_is_told_what_the_ledgers_tables_tell_it(name, choice):
    who, ledger = subject(name), Ledger({})
    with contextlib.closing(ledger.db):
        records.write_choice(ledger.tx, who, CHOICES[choice], os.urandom(16))
        tables, (body,) = records_of(ledger.db), ledger.db.execute("SELECT body FROM entry").fetchone()
    record, _, _ = recorded(who, CHOICES[choice])
    side = records_of_side(0, record.side)
    assert side[-1] == tables[-1]
    assert names(side) == names(tables)
    assert len(side) == 1 + any(names(side))
    drawn = dict.fromkeys("isd")
    assert json.loads(record.leaf) | drawn == json.loads(body) | drawn


def test_a_state_that_began_or_ended_is_told_as_it_is():
    name = "ad id"
    for kind, act in ((ChoiceKind.STATE_BEGAN, "begin"), (ChoiceKind.STATE_ENDED, "end")):
        ledger = Ledger({name: subject(name)})
        with contextlib.closing(ledger.db):
            ledger.begin(name, SALE, "device")
            if act == "end":
                ledger.end(name, (SALE,), "device")
            tables = records_of(ledger.db)
        record, _, _ = recorded(subject(name), Choice(kind, (SALE,), "device", BEGAN))
        assert records_of_side(tables[-1].seq, record.side)[-1].said == tables[-1].said


def test_a_further_reading_of_a_number_is_told_as_one_and_a_signal_as_heard():
    number = subject("phone")
    record, _, _ = recorded(replace(number, reading=True), NO)
    said = records_of_side(0, record.side)[-1].said
    assert (said.source, said.dated, said.signal) == (Source.READING, False, False)
    heard, _, _ = recorded(number, NO, signal=True)
    assert records_of_side(0, heard.side)[-1].said.signal


def test_its_owner_opens_it_and_nobody_elses_key_does():
    who = subject("mail")
    record, secrets, keys = recorded(who, CHOICES["limit"])
    leaf, boxes = json.loads(record.leaf), split_boxes(record.boxes)
    found = openings.open_boxes(keys, secrets.event, *boxes)
    assert (found.rs, found.rd) == (secrets.rs, secrets.rd)
    assert leaf["s"] == b64(subject_commitment(found.rs, who.kind, who.value))
    assert leaf["d"] == b64(details_commitment(found.rd, found.details))
    assert json.loads(found.details)["received"] == (BEGAN - timedelta(days=3)).isoformat()
    assert record.key == keys.person
    other = PersonKeys(keys.person, os.urandom(32), os.urandom(32))
    assert openings.open_boxes(other, secrets.event, *boxes).broken
    without = PersonKeys(keys.person, None, keys.openings)  # the details were forgotten, and the proof stays
    assert openings.open_boxes(without, secrets.event, *boxes) == openings.Opened(rs=secrets.rs)


def test_nothing_of_a_record_but_its_boxes_is_about_anybody_by_name():
    for name in WHO:
        who = subject(name)
        record, _, _ = recorded(who, NO)
        for told in (record.leaf, record.side, record.boxes):
            assert who.value.encode() not in told


def test_two_records_of_one_act_have_nothing_in_common_that_is_shown():
    who = subject("ad id")
    one, other = (json.loads(recorded(who, NO)[0].leaf) for _ in range(2))
    assert {name for name in "isd" if one[name] == other[name]} == set()
