"""The index of the log, made by its reader: whatever the log is read in, it finds the same records, events and proofs."""

import contextlib
import os
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import Tree

from gateway.fold.record import LinkSaid, NamesLearnt, Record, SaidOut
from gateway.ledger.engine.log import NumberedRecord
from gateway.ledger.engine.log_index import FILE, LogIndex
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.proof import entry, merkle
from gateway.ledger.proof.merkle import WIDTH, inclusion
from gateway.ledger.side import pack_side
from gateway.ledger.tree import TreeBroken
from gateway.terms import Purpose

LOG = b"this very log..."
PEOPLE = 7
SIZE = 2 * WIDTH + 80


def key(number):
    return b"%016d" % number


def event(seq):
    return b"event %010d" % seq


def record(seq):
    """An opt-out of one of a few people, whose name is learnt with it; each tenth is about nobody."""
    if seq % 10 == 9:
        return NumberedRecord(seq, entry.canonical({"e": "document"}), pack_side([], seq, 1), b"", b"")
    said = [
        Record(seq, seq, key(seq % PEOPLE), each) for each in (NamesLearnt((key(99),)), SaidOut((Purpose.SALE,), "api"))
    ]
    if seq % 10 == 3:
        said.append(Record(seq, seq, key(50), LinkSaid(key(seq % PEOPLE), 0)))
    leaf = entry.canonical({"e": "opt_out", "i": entry.b64(event(seq))})
    return NumberedRecord(seq, leaf, pack_side(said, seq, 1), b"", b"")


RECORDS = [record(seq) for seq in range(SIZE)]
TREE = Tree(len(RECORDS), [each.leaf for each in RECORDS])


@pytest.fixture
def index(tmp_path):
    with contextlib.closing(LogIndex(tmp_path, LOG)) as made:
        yield made


def followed(index, size=SIZE):
    index.follow(RECORDS[index.position : size])
    return index


@given(st.lists(st.integers(1, 300), max_size=8), st.integers(0, 10**6))
def test_it_finds_the_same_in_whatever_pieces_the_log_is_read(tmp_path_factory, pieces, chosen):
    with contextlib.closing(LogIndex(tmp_path_factory.mktemp("index"), LOG)) as index:
        for piece in pieces:
            index.follow(RECORDS[index.position : index.position + piece])
        size = index.position
        assert size == min(sum(pieces), len(RECORDS))
        for number in range(PEOPLE):
            about = [seq for seq in range(size) if seq % PEOPLE == number and seq % 10 != 9]
            assert index.records_about([key(number)]) == about
        if size:
            seq = chosen % size
            assert index.record_of(event(seq)) == (None if seq % 10 == 9 else seq)
            assert inclusion(seq, size, index.nodes(size)) == inclusion(seq, size, TREE.node)


def test_several_are_found_at_once_and_each_record_once(index):
    followed(index, 100)
    both = index.records_about([key(1), key(2), key(50), key(1000)])
    assert both == sorted({seq for seq in range(100) if (seq % PEOPLE in {1, 2} and seq % 10 != 9) or seq % 10 == 3})
    assert index.records_about([]) == index.records_about([key(99)]) == []
    assert index.records_about([key(1), *(os.urandom(16) for _ in range(1200))]) == index.records_about([key(1)])


def test_a_proof_of_any_earlier_size_is_that_of_the_tree(index):
    followed(index)
    for size in (1, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH, len(RECORDS)):
        for seq in {0, size // 2, size - 1}:
            assert inclusion(seq, size, index.nodes(size)) == inclusion(seq, size, TREE.node)
    with pytest.raises(TreeBroken):
        index.read_tile(0, 2, 81)
    assert index.read_tile(1, 0, 2) == TREE.tile(1, 0, 2)


def test_what_it_has_is_passed_over_and_what_it_lacks_is_not(index):
    followed(index, 20)
    index.follow(RECORDS[5:30])
    assert index.position == 30
    with pytest.raises(ValueError, match="record 31 does not follow 30"):
        index.follow(RECORDS[31:40])
    assert index.position == 30


def test_it_goes_on_where_it_was_and_two_processes_take_turns(tmp_path):
    with contextlib.closing(LogIndex(tmp_path, LOG)) as one, contextlib.closing(LogIndex(tmp_path, LOG)) as other:
        for turn, until in enumerate(range(50, len(RECORDS), 50)):
            followed((one, other)[turn % 2], until)
            assert one.position == other.position == until
    with contextlib.closing(LogIndex(tmp_path, LOG)) as later:
        assert followed(later).records_about([key(1)])[:2] == [1, 8]
        assert inclusion(400, later.position, later.nodes(later.position)) == inclusion(400, len(RECORDS), TREE.node)


def test_a_piece_that_cannot_be_read_to_its_end_was_not_followed(index):
    followed(index, 300)
    side = RECORDS[310].side[:-1]
    with pytest.raises(ValueError, match="not the side of a record"):
        index.follow([*RECORDS[300:310], RECORDS[310]._replace(side=side)])
    assert index.position == 300
    assert index.records_about([key(300 % PEOPLE)])[-1] < 300
    assert followed(index).position == len(RECORDS)
    assert inclusion(511, len(RECORDS), index.nodes(len(RECORDS))) == inclusion(511, len(RECORDS), TREE.node)


def spoil(folder, how):
    if isinstance(how, bytes):
        (folder / FILE).write_bytes(how)
        for beside in folder.glob(f"{FILE}-*"):
            beside.unlink()
        return
    with contextlib.closing(sqlite3.connect(folder / FILE, isolation_level=None)) as db:
        db.execute(how)


@pytest.mark.parametrize(
    "how",
    [
        "PRAGMA user_version = 99",
        "DROP TABLE about",
        "UPDATE head SET log = x'00'",
        "DELETE FROM head",
        b"no database" * 500,
    ],
)
def test_one_that_is_damaged_or_of_another_form_or_log_is_made_anew(tmp_path, how):
    with contextlib.closing(LogIndex(tmp_path, LOG)) as index:
        followed(index)
    spoil(tmp_path, how)
    with contextlib.closing(LogIndex(tmp_path, LOG)) as index:
        assert index.position == 0
        assert followed(index).records_about([key(1)])[:2] == [1, 8]


def test_one_that_another_process_made_meanwhile_is_gone_on_with(tmp_path, monkeypatch):
    """Two that start at once: what the first has followed already, its tree in memory no longer has."""
    honest = LogIndex._make

    def late(index, db):
        monkeypatch.setattr(LogIndex, "_make", honest)
        with contextlib.closing(LogIndex(tmp_path, LOG)) as other:
            followed(other, 300)
        honest(index, db)

    monkeypatch.setattr(LogIndex, "_make", late)
    with contextlib.closing(LogIndex(tmp_path, LOG)) as index:
        assert index.position == 300


def test_one_whose_pages_turn_out_to_be_damaged_is_made_anew_by_whoever_opens_it_next(tmp_path):
    with contextlib.closing(LogIndex(tmp_path, LOG)) as index:
        followed(index)
    whole = bytearray((tmp_path / FILE).read_bytes())
    whole[2 * 4096 :] = bytes(len(whole) - 2 * 4096)  # of the head nothing
    (tmp_path / FILE).write_bytes(whole)
    with contextlib.closing(LogIndex(tmp_path, LOG)) as index:
        assert index.position == SIZE
        with pytest.raises(StoreUnavailable, match="malformed"):
            index.records_about([key(1)])
    with contextlib.closing(LogIndex(tmp_path, LOG)) as index:
        assert followed(index).records_about([key(1)])[:2] == [1, 8]


def test_one_that_cannot_be_written_says_so_and_goes_on_later(index, tmp_path):
    followed(index, 10)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        index._db.execute("PRAGMA busy_timeout = 1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="index of the log"):
            followed(index, 20)
        other.execute("ROLLBACK")
    assert followed(index, 20).position == 20


def test_leaves_that_name_no_event_are_followed_all_the_same(index):
    leaves = [b"not JSON", b"[]", b"{}", b'{"i": 7}', b'{"i": "not base64url!"}', b"\xff"]
    index.follow([NumberedRecord(seq, leaf, pack_side([], 0, 1), b"", b"") for seq, leaf in enumerate(leaves)])
    assert index.position == len(leaves)
    assert index.read_tile(0, 0, 1) == merkle.leaf_hash(leaves[0])
