import pytest
from support import inside

from gateway.ledger import publisher
from gateway.ledger.note import Checkpoint
from gateway.ledger.publisher import CheckpointStore, Overtaken, StoreBroken

ONE, TWO = (Checkpoint("log.example.com", size, bytes([size]) * 32) for size in (1, 2))


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "store", b"l" * 16)


def test_nothing_was_signed_before_the_first_time(store):
    assert store.last() is None


def test_the_last_checkpoint_is_there_for_the_next_process(store):
    store.swap(None, ONE)
    store.swap(ONE, TWO)
    assert CheckpointStore(store.path.parent, b"l" * 16).last() == TWO


def test_whoever_did_not_see_the_last_one_replaces_nothing(store):
    store.swap(None, ONE)
    for old in (None, TWO):
        with pytest.raises(Overtaken):
            store.swap(old, TWO)
    assert store.last() == ONE


def test_two_ledgers_may_share_a_store(store):
    other = CheckpointStore(store.path.parent, b"m" * 16)
    store.swap(None, ONE)
    other.swap(None, TWO)
    assert (store.last(), other.last()) == (ONE, TWO)


@pytest.mark.parametrize("content", [b"", b"log.example.com\n1\n", b"\xff\xfe", b"log\n-1\nAAAA\n"])
def test_a_store_that_cannot_be_read_is_not_an_empty_one(store, content):
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    with pytest.raises(StoreBroken, match=r"cannot be read"):
        store.last()
    with pytest.raises(StoreBroken):
        store.swap(None, ONE)


def test_a_store_that_cannot_be_written_says_so(store):
    store.path.parent.write_text("a file where the folder should be")
    with pytest.raises(StoreBroken):
        store.swap(None, ONE)


def test_it_lies_beside_the_data_folder_and_not_in_it(tmp_path):
    folder = inside.install(tmp_path / "data")
    assert publisher.store_beside(folder) == tmp_path / "data.checkpoints"
