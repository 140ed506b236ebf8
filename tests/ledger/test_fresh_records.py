"""What a transaction says is handed to the fold as it was said: it is what the log gives when it is read back."""

import random
from collections import Counter

import pytest
from support.acts import InMemory, Play, accepted
from support.examples import SOAK
from support.folding import FoldOfLedger, stood_before
from support.universes import acts_of

from gateway.fold import fold, record
from gateway.ledger.log_records import FreshRecords, LedgerLog, all_sides
from gateway.ledger.transaction import Transaction

LENGTH = 160  # acts
WORDS = [record.SaidOut, record.SaidIn, record.GrantSaid, record.LinkSaid, record.NamesLearnt, record.StateSaid]


class Raised(Exception):
    pass


class ReadBack(InMemory):
    """Each job is a transaction's own, or one behind others; some are tried, and raise at their end, before."""

    def __init__(self, seed):
        super().__init__()
        self.rng, self.whole, self.read = random.Random(seed), 0, 0
        self.begin()

    def begin(self):
        self.state = dict(FoldOfLedger().caught_up(self.db).state)
        self.began = LedgerLog(self.db).head
        self.tx = Transaction(self.db, self.tx.persons, stood_before(self.state, self.began))

    def commit(self, job):
        if self.rng.random() < 0.2:
            with pytest.raises(Raised), self.tx.savepoint():
                job(self.tx)
                raise Raised
        done = super().commit(job)
        self.compare()
        if self.rng.random() < 0.5:
            self.begin()
        return done

    def compare(self):
        log = LedgerLog(self.db)
        self.read += log.head != self.began
        if log.head == self.began or not self.tx.fresh.has(self.began, log.head):
            return
        said, told = self.tx.fresh.after(self.began), [*log.read(self.began)]
        positions = [position for position, _ in said]
        assert positions == sorted(set(positions))
        assert self.began < min(positions, default=self.began + 1) <= max(positions, default=0) < log.head or not said
        assert {each for _, each in said} == {each for _, each in told}
        assert self.folded(said) == self.folded(told)
        self.whole += 1

    def folded(self, records):
        state = dict(self.state)
        for _, each in records:
            state.update(fold(each, state.get))
        return state


def lived(seed):
    who, acts = acts_of(seed, LENGTH, Counter())
    ledger = ReadBack(seed)
    return ledger, sum(1 for _ in accepted(Play(who, ledger), acts))


@pytest.mark.parametrize("seed", range(12 if SOAK else 6))
def test_what_is_said_is_what_is_read_back(seed):
    ledger, done = lived(seed)
    assert done > LENGTH / 2
    assert ledger.whole > ledger.read * 0.6, (ledger.whole, ledger.read)


@pytest.mark.parametrize("word", WORDS, ids=lambda each: each.__name__)
def test_the_control_who_does_not_say_it_is_found(monkeypatch, word):
    honest = FreshRecords.say

    def forgets(self, records):
        return honest(self, [each for each in records if not isinstance(each.said, word)])

    monkeypatch.setattr(FreshRecords, "say", forgets)
    with pytest.raises(AssertionError):
        lived(0)


def test_names_that_the_ledger_has_and_the_state_does_not_stop_nobodys_opt_out():
    who, _ = acts_of(0, 1, Counter())
    ledger = InMemory()
    play = Play(who, ledger)
    out = {"act": "choose", "kind": "opt_out", "who": ["phone"], "purposes": ["sale"]}
    play.act(out)
    ledger.tx = Transaction(ledger.db, ledger.tx.persons, stood_before({}, LedgerLog(ledger.db).head))
    play.act(out)
    assert ledger.db.execute("SELECT count(*) FROM detail").fetchone() == (2,)


def test_a_date_that_a_job_took_away_and_was_undone_ends_its_link_all_the_same():
    who, _ = acts_of(0, 1, Counter())
    ledger = InMemory()
    play = Play(who, ledger)
    play.act({"act": "link", "account": "ann", "identifiers": ["phone"], "until": {"hours": 1}})
    play.act({"act": "wait", "hours": 26})
    out = {"act": "choose", "kind": "opt_out", "who": ["phone"], "purposes": ["sale"]}
    for _ in range(2):  # the second entry confirms the first one's time
        play.act(out)
        play.act({"act": "wait", "hours": 1})
    ledger.tx = tx = Transaction(ledger.db, ledger.tx.persons)
    with pytest.raises(Raised), tx.savepoint():
        tx.db.execute("DELETE FROM link_event")
        raise Raised
    play.act(out)
    assert [
        each.said.account
        for row in all_sides(ledger.db)
        if not row.entered
        for each in row.records(words={record.LinkSaid})
    ]
