"""Whoever writes reads what stood when the transaction began, with what it said since: that is what a fold of all that
was said says, behind any acts, and where jobs raise in between.
"""

import random
from collections import Counter

import pytest
from support.acts import InMemory, Play, accepted
from support.examples import SOAK
from support.folding import FoldOfLedger, stood_before
from support.universes import acts_of

from gateway.fold import reading
from gateway.ledger.acts.folded_people import FoldedPeople, PeopleOnward, people_of
from gateway.ledger.log_records import LedgerLog
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Transaction

LENGTH = 80  # acts


class Raised(Exception):
    pass


class InBatches(InMemory):
    """Several jobs are of one transaction, as the writer's are; of some a first try raises at its end."""

    def __init__(self, seed):
        super().__init__()
        self.rng = random.Random(seed)
        self.begin()

    def begin(self):
        state = dict(FoldOfLedger().caught_up(self.db).state)
        self.tx.write_head()
        self.tx = Transaction(self.db, self.tx.persons, stood_before(state, LedgerLog(self.db).head))

    def commit(self, job):
        if self.rng.random() < 0.2:
            with pytest.raises(Raised), self.tx.savepoint():
                job(self.tx)
                raise Raised
        return super().commit(job)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20 if SOAK else 1))
def test_who_writes_reads_what_stood_before_and_what_was_said_since(seed):
    who, acts = acts_of(seed, LENGTH, Counter())
    ledger = InBatches(seed)
    play, onward = Play(who, ledger), 0
    for number in accepted(play, acts):
        now, db = milliseconds(play.at), ledger.db
        keys = [*play.keys.items()]
        for name, key in keys if SOAK else keys[number % 2 :: 2]:
            people, alone = people_of(ledger.tx, [key]), FoldedPeople(db, [key])
            onward += isinstance(people, PeopleOnward)
            assert people.standing(key, now) == alone.standing(key, now), (number, name)
            assert people.grants(key, now) == alone.grants(key, now), (number, name)
            assert reading.last_outs(key, people.get) == reading.last_outs(key, alone.get), (number, name)
        if ledger.rng.random() < 0.3:
            ledger.begin()
    assert onward > 100
