"""The writer keeps a state behind each commit and before its answer, from the records of today's ledger: it reads on
from where it was, others' records first. That it is what all entries make is looked at behind every test of this
folder.
"""

from datetime import timedelta

import pytest
from support.people import email, phone

from gateway.ledger import log_records
from gateway.ledger.errors import NothingKept
from gateway.ledger.log_records import PLACES, LedgerLog
from gateway.ledger.reach import SKEW
from gateway.state.environment import StateRefused
from gateway.terms import Purpose


@pytest.fixture
def beside(house, state_beside):
    """What the house's writer keeps."""
    (kept,) = state_beside.values()
    return kept


@pytest.fixture
def read_since(monkeypatch):
    """From which entries on records were read."""
    found, honest = [], log_records.records_of
    monkeypatch.setattr(
        log_records, "records_of", lambda db, **how: found.append(how.get("since")) or honest(db, **how)
    )
    return found


def denies(beside, subject):
    with beside.state.moment() as moment:
        standing = moment.standing(subject.key, 10**13)
    return standing is not None and standing.denies(Purpose.SALE)


def test_what_was_acknowledged_stands_in_the_state_already(story, who, beside):
    person = who("email", email(1))
    story.says(person)
    assert denies(beside, person)


def test_what_an_account_says_is_read_by_all_that_it_has_one_commit_later(story, who, beside):
    ann, number = who("account", "ann"), who("phone", phone(1))
    story.links(ann, number)
    story.says(ann)
    assert denies(beside, number)


def test_each_commit_reads_only_what_is_new(story, who, beside, read_since):
    for number in range(1, 6):
        story.says(who("phone", phone(number)))
    assert read_since == [0, 0, 1, 2, 3]
    assert beside.made_anew == 0


def test_what_another_process_wrote_is_folded_first(story, who, beside, house):
    mine, theirs, mine_again = (who("phone", phone(number)) for number in (1, 2, 3))
    story.says(mine)
    house.writer._state = None  # as one writes that has no state
    story.says(theirs)
    house.writer._state = beside
    assert not denies(beside, theirs)
    story.says(mine_again)
    assert denies(beside, theirs)
    assert denies(beside, mine_again)


def test_a_link_that_is_over_by_its_date_ends_in_the_state_with_a_later_commit(story, who, beside):
    ann, number = who("account", "ann"), who("phone", phone(1))
    story.links(ann, number, until=story.now + 1000)
    story.says(who("email", email(1)))
    story.at += timedelta(milliseconds=SKEW + 2000)
    story.says(who("email", email(2)))
    story.says(ann)
    assert not denies(beside, number)
    assert beside.made_anew == 0


def test_a_number_that_went_back_before_its_links_date_stands_as_the_whole_log_has_it(story, who, beside):
    number = who("phone", phone(1))
    story.links(who("account", "ann"), number, until=story.now + 1000)
    story.releases(number)
    story.says(who("email", email(1)))
    story.at += timedelta(milliseconds=SKEW + 2000)
    story.says(who("email", email(2)))
    assert beside.made_anew == 0


def test_a_commit_whose_records_could_not_be_folded_is_not_acknowledged_and_nothing_is_answered(
    story, who, beside, monkeypatch
):
    story.says(who("phone", phone(1)))
    with monkeypatch.context() as broken:
        broken.setattr(LedgerLog, "read", lambda *_: 1 / 0)
        with pytest.raises(NothingKept):
            story.says(who("phone", phone(2)))
    with pytest.raises(StateRefused):
        denies(beside, who("phone", phone(1)))
    story.says(who("phone", phone(3)))
    assert denies(beside, who("phone", phone(2))), "it was durable"


def test_a_position_is_that_of_an_entry_and_what_has_its_place(story, who, do, beside):
    story.says(who("phone", phone(1)))
    with beside.state.moment() as moment:
        position = moment.head.position

    def asked(tx):
        log = LedgerLog(tx.db)
        return [log.root(each) for each in (0, position, position + 1, position + PLACES * 5)], list(log.read(position))

    (begin, there, beyond, far), left = do(asked)
    assert begin != there
    assert None not in {begin, there}
    assert (beyond, far, left) == (None, None, [])


@pytest.mark.parametrize(
    "planted", [(log_records, "CHANGES", "SELECT origin, size FROM head"), (LedgerLog, "read", lambda *_: iter(()))]
)
def test_the_control_a_state_that_does_not_follow_is_found_at_the_end_of_a_test(
    story, who, do, beside, monkeypatch, planted
):
    person = who("phone", phone(1))
    event = story.says(person).seq
    with monkeypatch.context() as wrong:
        wrong.setattr(*planted)
        story.says(who("phone", phone(2)))
        do(lambda tx: tx.db.execute("INSERT INTO voided_choice VALUES (?, ?, ?)", (event, event, 0)))
        assert do(lambda tx: beside.wrongs(tx.db)) != []
    do(lambda tx: tx.db.execute("DELETE FROM voided_choice"))
