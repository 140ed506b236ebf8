"""The log as a state follows it: each record once and none from behind the moment of the view, and of the tree no more
in memory than the index lacks.
"""

import contextlib

import pytest
from support.trees import root_of

from gateway.fold.record import Record, SaidOut
from gateway.ledger.engine.log import LogHead, NumberedRecord
from gateway.ledger.engine.log_index import LogIndex
from gateway.ledger.engine.log_view import LogTree, LogView
from gateway.ledger.proof import merkle
from gateway.ledger.proof.merkle import WIDTH
from gateway.ledger.side import pack_side
from gateway.terms import Purpose

LOG, KEY, SIZE = b"this very log...", b"k" * 16, 5 * WIDTH + 40


def record(seq):
    side = pack_side([Record(seq, seq, KEY, SaidOut((Purpose.SALE,), "api"))], seq, 1)
    return NumberedRecord(seq, b'{"n":%d}' % seq, side, b"", b"")


RECORDS = [record(seq) for seq in range(SIZE)]
LEAVES = [merkle.leaf_hash(each.leaf) for each in RECORDS]
ROOTS = {0: merkle.EMPTY_ROOT} | {size: root_of(LEAVES[:size]) for size in range(1, SIZE)}


@pytest.fixture
def index(tmp_path):
    with contextlib.closing(LogIndex(tmp_path, LOG)) as made:
        yield made


def view_of(index, size, kept=0):
    """Of a log that went on behind the view, and was pruned."""
    tree = LogTree(index)
    tree.grow([each.leaf for each in RECORDS[tree.size : size]])
    read = lambda after, limit: RECORDS[max(after, kept) :][:limit]  # noqa: E731 - as an engine reads
    return LogView(LogHead(LOG, size, kept, 1), tree, index, [], read)


def test_an_index_that_never_catches_up_leaves_no_more_in_memory_than_it_lacks(index):
    tree = LogTree(index)
    for size in range(0, SIZE, 40):
        tree.grow([each.leaf for each in RECORDS[tree.size : size]])
        index.follow(RECORDS[index.position : max(size - WIDTH, 0)])  # always a tile behind
        assert tree.size - tree.end.base <= 4 * WIDTH
        assert tree.root() == tree.root_at(size) == ROOTS[size]
        assert [tree.root_at(each) for each in range(0, size, 37)] == [ROOTS[each] for each in range(0, size, 37)]


def test_what_the_index_has_from_behind_the_view_is_not_in_it(index):
    view = view_of(index, 100)
    index.follow(RECORDS[:120])  # another process, meanwhile
    assert [each.seq for each in view.records_about([KEY])] == list(range(100))


def test_what_the_index_learns_while_it_is_asked_is_not_told_twice(index, monkeypatch):
    view, honest = view_of(index, 100), index.records_about
    index.follow(RECORDS[:50])
    monkeypatch.setattr(index, "records_about", lambda keys: (index.follow(RECORDS[50:70]), honest(keys))[1])
    assert [each.seq for each in view.records_about([KEY])] == list(range(100))


def test_what_was_pruned_is_passed_over_and_nothing_else_comes_in_its_place(index):
    index.follow(RECORDS[:50])
    view = view_of(index, 100, kept=20)
    assert [each.seq for each in view.records_about([KEY])] == list(range(20, 100))
    assert [each.seq for _, each in view.read(0)] == list(range(20, 100))
