import contextlib
import shutil
import sqlite3

import pytest
from support import inside
from support.trees import unbundle

from gateway.app import composition
from gateway.app.composition import open_house
from gateway.keys import secret_files
from gateway.ledger import schema, tree
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.proof import merkle, note
from gateway.ledger.proof.merkle import Frontier
from gateway.ledger.publisher import RolledBack


def reference(bodies):
    frontier = Frontier()
    for body in bodies:
        frontier.append(merkle.leaf_hash(body))
    return frontier


def append(house, bodies):
    return house.writer.submit(lambda tx: [tx.append(body) for body in bodies]).result(60)


def opened(folder):
    return open_house(folder, inside.settings(), dev=True)


def reading(folder):
    return contextlib.closing(schema.open_to_read(folder))


BODIES = [b"entry %d" % number for number in range(600)]


@pytest.mark.slow
def test_the_head_has_the_root_of_everything_after_each_batch_and_at_every_size(folder):
    with opened(folder) as house:
        done = 0
        for count in (1, 1, 2, 3, 200, 48, 1, 1, 255, 88):
            append(house, BODIES[done : done + count])
            done += count
            with reading(folder) as db:
                size, packed = db.execute("SELECT size, frontier FROM head").fetchone()
                assert (size, packed) == (done, reference(BODIES[:done]).pack())
                tree.prove(db)
    with reading(folder) as db:
        assert all(tree.root_at(db, size) == reference(BODIES[:size]).root() for size in range(601))


@pytest.mark.slow
def test_every_entry_is_proved_in_every_later_tree_from_the_tiles(folder):
    with opened(folder) as house:
        append(house, BODIES)
    with reading(folder) as db:
        for size in (1, 2, 130, 255, 256, 257, 511, 512, 513, 600):
            node, root = tree.nodes(db, size), reference(BODIES[:size]).root()
            for index in range(0, size, 7):
                proof = merkle.inclusion(index, size, node)
                merkle.check_inclusion(index, size, merkle.leaf_hash(BODIES[index]), proof, root)


@pytest.mark.slow
def test_a_tree_of_seventy_thousand_entries_has_the_tiles_of_the_specification(folder):
    bodies = [b"%d" % number for number in range(70_000)]
    with opened(folder) as house:
        append(house, bodies)
    with reading(folder) as db:
        rows = db.execute("SELECT level, count(*), sum(length(hashes)) / 32 FROM tile GROUP BY level").fetchall()
        assert rows == [(0, 273, 273 * 256), (1, 2, 273), (2, 1, 1)]
        assert tree.root_at(db, 70_000) == reference(bodies).root()
        assert len(tree.read_tile(db, 0, 273, 112)) == 112 * 32


def test_what_a_refused_job_had_appended_is_in_no_tree(folder):
    def refused(tx):
        for body in BODIES[:300]:
            tx.append(body)
        raise LookupError

    with opened(folder) as house:
        append(house, BODIES[:5])
        with pytest.raises(LookupError):
            house.writer.submit(refused).result(60)
        append(house, BODIES[5:9])
    with reading(folder) as db:
        assert db.execute("SELECT frontier FROM head").fetchone() == (reference(BODIES[:9]).pack(),)
        assert db.execute("SELECT count(*) FROM tile").fetchone() == (0,)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE head SET frontier = zeroblob(length(frontier))",
        "UPDATE head SET frontier = x''",
        "UPDATE tile SET hashes = zeroblob(8192) WHERE level = 0 AND n = 1",
        "DELETE FROM tile WHERE level = 1",
    ],
)
def test_a_head_that_is_not_of_its_tiles_is_refused_with_what_helps(folder, harm):
    with opened(folder) as house:
        append(house, BODIES)
    with contextlib.closing(sqlite3.connect(folder / schema.FILE, isolation_level=None)) as db:
        db.execute(harm)
    if harm.startswith("UPDATE tile"):
        with reading(folder) as db:  # a full tile's root stands above it: `gateway verify` compares the two
            assert tree.read_tile(db, 0, 1, 256) == bytes(8192)
        return
    with pytest.raises(LedgerRefused, match="is damaged"), opened(folder):
        raise AssertionError("it must not open")


class TestWhatWasSigned:
    def signed(self, folder):
        with opened(folder) as house:
            return note.parse_checkpoint(note.text_of(house.consent.log_reader.checkpoint()))

    def test_the_last_checkpoint_is_of_everything_that_was_answered(self, folder):
        with opened(folder) as house:
            for size in range(1, 5):
                append(house, [BODIES[size - 1]])
                made = note.parse_checkpoint(note.text_of(house.consent.log_reader.checkpoint()))
                assert (made.size, made.root) == (size, reference(BODIES[:size]).root())

    def test_an_older_copy_that_was_put_back_takes_no_entry_and_says_what_helps(self, folder, tmp_path):
        with opened(folder) as house:
            append(house, BODIES[:3])
        shutil.copytree(folder, tmp_path / "an hour ago")
        with opened(folder) as house:
            append(house, BODIES[3:6])
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "an hour ago", folder)
        with pytest.raises(RolledBack, match="signed at 6 entries"), opened(folder):
            raise AssertionError("it must not open")
        with reading(folder) as db:
            assert db.execute("SELECT size FROM head").fetchone() == (3,)
            publisher = composition.publisher_of(folder, inside.settings(), secret_files.load_secrets(folder))
            with pytest.raises(RolledBack, match=r"signed at 6 entries .* gateway restore --new-log --data"):
                publisher.prove(db)

    def test_other_entries_in_the_same_number_are_not_signed_over(self, folder, tmp_path):
        shutil.copytree(folder, tmp_path / "another")
        with opened(folder) as house:
            append(house, BODIES[:3])
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "another", folder)
        with reading(folder) as db:
            publisher = composition.publisher_of(folder, inside.settings(), secret_files.load_secrets(folder))
            with pytest.raises(RolledBack, match="Put back the newer one"):
                publisher.prove(db)

    def test_the_folder_and_its_store_may_move_together(self, folder, tmp_path):
        with opened(folder) as house:
            append(house, BODIES[:3])
        for path in (folder, folder.with_name("data.checkpoints")):
            path.rename(tmp_path / path.name.replace("data", "moved"))
        with opened(tmp_path / "moved") as house:
            append(house, BODIES[3:4])
        assert self.signed(tmp_path / "moved").size == 4

    def test_a_checkpoint_that_cannot_be_kept_is_answered_by_nobody_and_made_up_for_later(self, folder):
        store = folder.with_name("data.checkpoints")
        with opened(folder) as house:
            append(house, BODIES[:1])
            store.rename(store.with_name("away"))
            store.write_text("in the way")
            with pytest.raises(StoreUnavailable):
                append(house, BODIES[1:2])
            store.unlink()
            store.with_name("away").rename(store)
            append(house, BODIES[2:3])
            assert self_size(house) == 3
        with reading(folder) as db:
            assert db.execute("SELECT frontier FROM head").fetchone() == (reference(BODIES[:3]).pack(),)


def self_size(house):
    return note.parse_checkpoint(note.text_of(house.consent.log_reader.checkpoint())).size


def test_the_bytes_of_a_bundle_are_those_that_were_hashed(folder):
    with opened(folder) as house:
        append(house, BODIES[:300])
        log = house.consent.log_reader
        assert unbundle(log.tile(merkle.ENTRIES, 0, 256)) == BODIES[:256]
        assert unbundle(log.tile(merkle.ENTRIES, 1, 44)) == BODIES[256:300]
        assert log.tile(0, 1, 44) == b"".join(map(merkle.leaf_hash, BODIES[256:300]))
        assert log.tile(0, 1, 10) == b"".join(map(merkle.leaf_hash, BODIES[256:266]))
        assert [
            log.tile(*place) for place in ((0, 1, 45), (0, 2, 1), (1, 0, 2), (63, 0, 1), (merkle.ENTRIES, 9, 1))
        ] == [None] * 5
        assert log.tile(1, 0, 1) == reference(BODIES[:256]).root()
