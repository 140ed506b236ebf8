"""What the acts of a batch write is what they write one after the other, where nothing is at hand: records, links and
their dates, and whose name is kept. Some raise at their end and are done again, as jobs that are refused are.
"""

import contextlib
import os
import random
from collections import Counter

import pytest
from support.acts import InMemory, Play, Refused
from support.examples import SOAK
from support.folding import FoldOfLedger, stood_before
from support.universes import acts_of

from gateway.desk.forgetting import erasure
from gateway.fold.record import KeptNo
from gateway.ledger.acts import links, records
from gateway.ledger.log_records import LedgerLog, records_of
from gateway.ledger.transaction import Transaction
from gateway.terms import Erasing

LENGTH = 60  # acts
MOST = 8  # of one batch
SEEDS = range(20 if SOAK else 3)
MANY = range(40)  # within which a fault is found
LINKS = "SELECT seq, account, identifier, start, until, claimed, released, at FROM link_event ORDER BY turn"
DATES = "SELECT l.seq, l.account, l.identifier, d.until FROM dated_link d JOIN link_event l USING (turn) ORDER BY turn"


class Raised(Exception):
    pass


class Batched(InMemory):
    """A transaction a batch, which ends where somebody reads what is committed. `accounts`: that it asks for at once."""

    def __init__(self, seed):
        super().__init__()
        self.rng, self.accounts, self.left = random.Random(seed), set(), 0
        self.begin()

    def begin(self):
        db, persons = self.tx._engine, self.tx.persons
        self.tx.finish()
        state = dict(FoldOfLedger().caught_up(db).state)
        stood = stood_before(state, LedgerLog(db).head)
        self.tx, self.left = Transaction(db, persons, stood, {records.NAMED: self.accounts}), self.rng.randint(2, MOST)
        self.db = self.tx.db

    def commit(self, job):
        if self.rng.random() < 0.25:
            with contextlib.suppress(Raised), self.tx.savepoint():
                job(self.tx)
                raise Raised
        with self.tx.savepoint():
            return job(self.tx)

    @contextlib.contextmanager
    def reading(self):
        self.begin()
        yield self.tx._engine


class Planless(Play):
    """Whoever is erased is looked for in the batch itself."""

    def erase(self, said, mode=None):
        order = erasure.ErasureOrder(mode or Erasing(said["mode"]), self.all_of(said["who"]), self.clock())
        self.commit(lambda tx: erasure.erase(tx, order, os.urandom(16), None))


def written(play):
    """All but what is drawn by lot: as who a no stays that is left of somebody unlinked."""
    db, known = play.ledger.tx._engine, {*play.keys.values()}

    def shown(said):
        return said._replace(origin=b"", via=b"") if isinstance(said, KeptNo) and said.origin not in known else said

    return (
        [each._replace(said=shown(each.said)) for each in records_of(db)],
        db.execute(LINKS).fetchall(),
        db.execute(DATES).fetchall(),
        sorted(db.execute("SELECT key FROM account_name").fetchall()),
    )


def difference(seed):
    """The number of the act behind which the two differ."""
    who, acts = acts_of(seed, LENGTH, Counter())
    batched, one_by_one = (Planless(who, ledger) for ledger in (Batched(seed), InMemory()))
    for number, act in enumerate(acts):
        outcomes = []
        for play in (batched, one_by_one):
            try:
                play.act(act)
                outcomes.append("")
            except Refused as refused:
                outcomes.append(str(refused))
        assert outcomes[0] == outcomes[1], (number, act)
        ledger = batched.ledger
        ledger.accounts = {each.key for each in batched.who.values() if each.is_account}
        ledger.left -= 1
        if ledger.left <= 0 or act["act"] == "new_pepper":
            ledger.begin()
            if written(batched) != written(one_by_one):
                return number
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_writes_what_its_acts_write_one_by_one(seed):
    assert difference(seed) is None


@pytest.mark.parametrize("where", [links, records])
def test_the_control_where_everybody_is_taken_for_unknown_it_does_not(monkeypatch, where):
    monkeypatch.setattr(where, "is_without_row", lambda tx, key: tx.stands is not None)
    assert any(difference(seed) is not None for seed in MANY)


def test_the_control_where_what_a_refused_job_named_is_taken_for_kept_a_name_is_lost(monkeypatch):
    class Remembers(set):
        def clear(self):
            pass

    honest = Transaction.__init__

    def begin(self, *given):
        honest(self, *given)
        self.named = Remembers()

    monkeypatch.setattr(Transaction, "__init__", begin)
    assert any(difference(seed) is not None for seed in MANY)
