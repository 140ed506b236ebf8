"""People, not keys: any lives of three people with browsers, phones, mailboxes, a family tablet and numbers that are
given back and given out again, against what each of them may expect:

- nobody's opt-out is lost: what was said no to on something stays denied there, on the account that it belongs to and
on whatever that account has, until the same is opted in again; - no report or erasure touches another person: what
somebody is shown of their own number or mailbox holds nothing that a holder before them said (R5); - who lifts every
choice of their own is allowed again, where nobody else's choice stands.

SOAK=1 runs three hundred lives.
"""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.examples import lives
from support.lives import PEOPLE, Ledger
from support.people import GAID, email, named, phone

from gateway.desk import history
from gateway.fold import noes
from gateway.terms import ChoiceKind, Purpose

pytestmark = pytest.mark.slow  # seconds; `make check` is the quick loop

PURPOSES = (Purpose.SALE, Purpose.SENSITIVE)
PERSONS = ("ann", "bob", "cat")
NUMBERS = ("phone1", "phone2", "mail")  # what passes to other people
TABLET = "tablet"
THINGS = {
    "phone1": named("phone", phone(1)),
    "phone2": named("phone", phone(2)),
    "mail": named("email", email(1)),
    TABLET: named("gaid", GAID),
}
SUBJECTS = {
    **{person: PEOPLE.name([named("account", person)]).subjects[0] for person in PERSONS},
    **{name: PEOPLE.name([said]).subjects[0] for name, said in THINGS.items()},
    **{f"browser of {person}": PEOPLE.browser(person.ljust(16, ".")) for person in PERSONS},
}


class Lives(RuleBasedStateMachine):
    person = st.sampled_from(PERSONS)
    purpose = st.sampled_from(PURPOSES)

    def __init__(self):
        super().__init__()
        self.ledger = Ledger(SUBJECTS)
        self.has = {person: set() for person in PERSONS}
        self.said = []  # (seq, person, where)
        self.no = {}  # (where, purpose): the accounts that it reached through, at that time
        for person in PERSONS:
            self.gets(person, f"browser of {person}")

    def teardown(self):
        self.ledger.db.close()

    def gets(self, person, thing):
        self.ledger.link(person, thing)
        self.has[person].add(thing)

    def holders(self, thing):
        return {person for person in PERSONS if thing in self.has[person]}

    def places_of(self, person):
        return [person, *sorted(self.has[person])]

    @rule(person=person, thing=st.sampled_from([*NUMBERS, TABLET]))
    def somebody_gets(self, person, thing):
        if thing == TABLET or not self.holders(thing):
            self.gets(person, thing)

    @rule(person=person, purpose=purpose, data=st.data())
    def says_no(self, person, purpose, data):
        where = data.draw(st.sampled_from(self.places_of(person)))
        written = self.ledger.choose(ChoiceKind.OPT_OUT, where, purpose)
        self.said.append((written.seq, person, where))
        self.no[where, purpose] = {where} & {*PERSONS} or self.holders(where)

    @rule(person=person, purpose=purpose, data=st.data())
    def comes_back(self, person, purpose, data):
        self.opts_in(person, data.draw(st.sampled_from(self.places_of(person))), purpose)

    def opts_in(self, person, where, purpose):
        written = self.ledger.choose(ChoiceKind.OPT_IN, where, purpose)
        self.said.append((written.seq, person, where))
        self.no.pop((where, purpose), None)
        if where in PERSONS:  # and lifts what had come through the account
            for through in self.no.values():
                through.discard(where)

    @precondition(lambda self: any(self.holders(number) for number in NUMBERS))
    @rule(data=st.data())
    def gives_a_number_back(self, data):
        number = data.draw(st.sampled_from([number for number in NUMBERS if self.holders(number)]))
        self.ledger.release(number)
        for person in PERSONS:
            self.leaves(person, number)

    @rule(person=person, thing=st.sampled_from([*NUMBERS, TABLET]))
    def has_something_no_longer(self, person, thing):
        """Of a number nobody says that it was given back."""
        if thing in self.has[person]:
            self.ledger.unlink(person, thing)
            self.leaves(person, thing)

    def leaves(self, person, thing):
        self.has[person].discard(thing)
        for purpose in PURPOSES:
            self.no.get((thing, purpose), set()).discard(person)

    @rule(person=person)
    def lifts_every_choice_of_their_own(self, person):
        for where in self.places_of(person):
            for purpose in PURPOSES:
                self.opts_in(person, where, purpose)
        for purpose in PURPOSES:
            assert not self.ledger.denies(person, purpose)
            for thing in self.has[person]:
                others = self.holders(thing) - {person}
                assert others or not self.ledger.denies(thing, purpose), (thing, purpose)

    @invariant()
    def nobodys_opt_out_is_lost(self):
        for (where, purpose), through in self.no.items():
            assert self.ledger.denies(where, purpose), (where, purpose)
            for account in through:
                for reached in self.places_of(account):
                    if (reached, purpose) in self.no or account in {reached, where}:
                        assert self.ledger.denies(reached, purpose), (where, purpose, reached)

    @invariant()
    def no_report_shows_what_another_person_said(self):
        for person in PERSONS:
            for where in self.places_of(person):
                if where == TABLET:
                    continue  # whoever holds a family's tablet controls what was said on it
                theirs = {seq for seq, who, place in self.said if (who, place) == (person, where)}
                assert self.report(where) <= theirs, where

    def report(self, where):
        """The choices that somebody is shown who proves control of an identifier: what an erasure would reach too."""
        return {*history.shown_to_holder(self.ledger.db, SUBJECTS[where].key, self.ledger.at)} & {
            seq for seq, *_ in self.said
        }


Lives.TestCase.settings = lives(40, 300, steps=30)
TestNobodyLosesWhatTheySaid = Lives.TestCase


def test_a_ledger_that_forgets_accounts_does_not_pass(monkeypatch):
    """The control: a choice that stays where it was said."""
    monkeypatch.setattr(noes, "roads", lambda slate, keys, at=None: set())
    lives = Lives()
    lives.gets("ann", "phone1")
    lives.ledger.choose(ChoiceKind.OPT_OUT, "phone1", Purpose.SALE)
    lives.no["phone1", Purpose.SALE] = {"ann"}
    with pytest.raises(AssertionError):
        lives.nobodys_opt_out_is_lost()


@pytest.mark.parametrize("passes", [Ledger.release, lambda ledger, number: ledger.unlink("ann", number)])
def test_a_report_that_forgets_the_release_does_not_pass(monkeypatch, passes):
    lives = Lives()
    lives.gets("ann", "phone1")
    written = lives.ledger.choose(ChoiceKind.OPT_OUT, "phone1", Purpose.SALE)
    lives.said.append((written.seq, "ann", "phone1"))
    passes(lives.ledger, "phone1")
    lives.leaves("ann", "phone1")
    lives.gets("bob", "phone1")
    lives.no_report_shows_what_another_person_said()
    monkeypatch.setattr(history, "shown_since", lambda db, key, now: 0)
    with pytest.raises(AssertionError):
        lives.no_report_shows_what_another_person_said()
