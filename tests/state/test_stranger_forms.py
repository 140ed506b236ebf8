"""Somebody of whom nothing was known is filled into a form: byte by byte the state is what folding makes of it."""

import contextlib
import itertools
import os
import random

import pytest
from support.examples import SOAK
from support.states import ListedLog, records_of_universe

from gateway.fold.record import LinkSaid, NamesLearnt, Record, SaidOut
from gateway.state import transactions
from gateway.state.environment import StateRefused
from gateway.state.packed_rows import AT, _placed
from gateway.state.transactions import STARTS, StrangerForms, made_of_stranger, stranger_of
from gateway.state.upkeep import HostState
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, Purpose

FIRST_SEQS = (300, 70_000)
# Universes with the number of the first entry: one of each kind, with clocks that step and without, and in a soak all.
FEW = [(0, 300), (1, 300), (2, 70_000), (3, 70_000), (4, 300), (5, 70_000)]
CASES = [*itertools.product(range(12), FIRST_SEQS)] if SOAK else FEW
SAYINGS = (
    SaidOut(tuple(SIGNAL_PURPOSES), "gpc"),
    SaidOut((Purpose.SALE,), "api"),
    SaidOut(tuple(ALL_PURPOSES), "form", dated=False),
    SaidOut((Purpose.MARKETING_MAIL,), "form", signal=True),
)


def somebody(rng, seq):
    """What a stranger's first entry says."""
    key, names, looser = os.urandom(16), rng.choice([0, 1, 3, 12]), rng.choice([0, 0, 2])
    at = rng.choice([5, rng.choice(STARTS)])
    found = [Record(seq, at, key, NamesLearnt(looser=(os.urandom(16),))) for _ in range(looser)]
    found += [Record(seq, at, key, NamesLearnt(tuple(os.urandom(16) for _ in range(names))))] if names else []
    found += [Record(seq, at, key, NamesLearnt(mailbox=os.urandom(16)))] if rng.random() < 0.2 else []
    if rng.random() < 0.4:
        return [*found, Record(seq, at, key, linked(rng, os.urandom(16)))]
    return [*found, Record(seq, at, key, rng.choice(SAYINGS), rng.random() < 0.1)]


def linked(rng, account):
    """What says that an account has somebody."""
    start = rng.choice([STARTS.start, STARTS.stop - 1, STARTS.start + 12345, 7])
    return LinkSaid(account, start, rng.choice([None, None, None, 4, 2**41]), rng.random() < 0.3)


def records(seed, first):
    """A universe's, with strangers in between, of whom some speak again and some have somebody else's name."""
    rng, seq, found, known, accounts = random.Random(seed), first, [], [], []
    for each in records_of_universe(seed, 120):
        while rng.random() < 0.5:
            found += somebody(rng, seq)
            if known and rng.random() < 0.3:
                found[-1] = found[-1]._replace(key=rng.choice(known))
            elif known and rng.random() < 0.2:
                found.insert(-1, Record(seq, 5, found[-1].key, NamesLearnt((rng.choice(known),))))
            if isinstance(said := found[-1].said, LinkSaid):
                found[-1] = found[-1]._replace(said=said._replace(account=rng.choice([said.account, *accounts[-2:]])))
                accounts.append(found[-1].said.account)
            known.append(found[-1].key)
            seq += 1
        found.append(each._replace(seq=seq))
        seq += 1
    return found


def lies_in(folder, said, turns):
    """All that lies in a state that was folded so many records at once."""
    log, state = ListedLog(), HostState(folder)
    for start in range(0, len(said), turns):
        log.extend(said[start : start + turns])
        state.catch_up(log)
    with state.moment() as moment:
        found = {bytes(key): bytes(packed) for key, packed in moment._txn.cursor()}
    state.close()
    # What changed at a position is told in no order.
    return {key: {*_placed(packed)} if key.startswith(AT) else packed for key, packed in found.items()}


@pytest.fixture
def filled(monkeypatch):
    """How often somebody was filled in, and how often they were not."""
    found, honest = [], StrangerForms.rows

    def rows(self, stranger):
        found.append(honest(self, stranger))
        return found[-1]

    monkeypatch.setattr(StrangerForms, "rows", rows)
    return found


def by_the_fold_alone(folder, monkeypatch, said, turns):
    with monkeypatch.context() as patch:
        patch.setattr(transactions, "stranger_of", lambda *run: None)
        return lies_in(folder, said, turns)


@pytest.mark.parametrize(("seed", "first"), CASES)
def test_what_is_filled_in_is_what_the_fold_makes(tmp_path, monkeypatch, filled, seed, first):
    said = records(seed, first)
    for turns in (1, 7, 400):
        wanted = by_the_fold_alone(tmp_path / f"folded {turns}", monkeypatch, said, turns)
        assert lies_in(tmp_path / f"filled {turns}", said, turns) == wanted
    assert len([rows for rows in filled if rows]) > 60
    assert None not in filled


def test_the_control_a_form_with_a_wrong_hole_is_found(tmp_path, monkeypatch):
    """Were no stand-ins tried, the state would be another one."""
    honest = transactions._with_holes

    def wrong(rows, stranger):
        form = honest(rows, stranger)
        return [
            row._replace(holes=lambda values, row=row: row.holes([values[0], *values[:1], *values[2:]])) for row in form
        ]

    monkeypatch.setattr(transactions, "FORMS", StrangerForms(made_of_stranger))
    monkeypatch.setattr(transactions, "_with_holes", wrong)
    said = records(1, 300)
    wanted = by_the_fold_alone(tmp_path / "folded", monkeypatch, said, 50)
    assert lies_in(tmp_path / "tried", said, 50) == wanted, "the trial refuses it"
    monkeypatch.setattr(transactions, "TRIALS", 0)
    monkeypatch.setattr(transactions, "FORMS", StrangerForms(made_of_stranger))
    found = None
    with contextlib.suppress(StateRefused):
        found = lies_in(tmp_path / "not tried", said, 50)
    assert found != wanted


def test_who_is_no_stranger_or_says_something_else_is_not_looked_for():
    key, name, no = b"k" * 16, b"n" * 16, SAYINGS[0]
    assert stranger_of([Record(300, 5, key, no)], [1]) is not None
    for other in (
        Record(300, 5, key, no._replace(mark="a" * 32)),
        Record(255, 5, key, no),
        Record(300, 5, key, NamesLearnt((name, name))),
        Record(300, 5, key, NamesLearnt((key,))),
        Record(300, 5, key, LinkSaid(name, STARTS.start, STARTS.stop)),
        Record(300, 5, key, LinkSaid(name, STARTS.start - 1)),
        Record(300, 5, key, LinkSaid(key, STARTS.start)),
    ):
        assert stranger_of([other], [1]) is None


def test_an_account_that_is_filled_in_denies_for_whom_it_has(tmp_path):
    """And its no, said later, reaches by the edge whoever was filled in beside it."""
    key, names, account = os.urandom(16), (os.urandom(16), os.urandom(16)), os.urandom(16)
    said = [Record(300, 5, key, NamesLearnt(names)), Record(300, 5, key, LinkSaid(account, STARTS.start))]
    assert transactions.FORMS.rows(stranger_of(said, [1, 2]))
    log = ListedLog(said)
    state = HostState(tmp_path)
    state.catch_up(log)
    log.extend([Record(301, 6, account, SAYINGS[1], account=True)])
    state.catch_up(log)
    with state.moment() as moment:
        assert moment.get((account, key)).lives()
        assert all(moment.standing(each, 9).denies(Purpose.SALE) for each in (key, *names, account))
    state.close()


def test_forms_are_kept_for_so_many_and_no_more(monkeypatch):
    monkeypatch.setattr(transactions, "MOST_FORMS", 2)
    forms = StrangerForms(made_of_stranger)
    for names in range(1, 6):
        record = Record(300, 5, b"k" * 16, NamesLearnt(tuple(os.urandom(16) for _ in range(names))))
        assert len(forms.rows(stranger_of([record], [1]))) == names + 1
        assert len(forms._forms) <= 2


def test_an_opt_out_that_is_filled_in_denies_by_each_of_its_names(tmp_path):
    key, names = os.urandom(16), tuple(os.urandom(16) for _ in range(12))
    log = ListedLog([Record(300, 5, key, NamesLearnt(names)), Record(300, 5, key, SAYINGS[1])])
    state = HostState(tmp_path)
    state.catch_up(log)
    with state.moment() as moment:
        assert all(moment.standing(each, 9).denies(Purpose.SALE) for each in (key, *names))
    state.close()
