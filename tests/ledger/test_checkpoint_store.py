"""The last checkpoint's two slots: whatever tears, fails or is written meanwhile, what was signed is read."""

import contextlib
import hashlib
import itertools
import os
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from support import inside
from support.disk import SECTOR

from gateway import disk
from gateway.ledger import publisher
from gateway.ledger.proof.note import Checkpoint
from gateway.ledger.publisher import BLOCK, MARK, SLOTS, WHOLE, CheckpointStore, Overtaken, StoreBroken

LEDGER = b"l" * 16


def of(size):
    return Checkpoint("log.example.com", size, bytes([size % 256]) * 32)


ONE, TWO, THREE, FOUR = map(of, (1, 2, 3, 4))


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "store", LEDGER)


@pytest.fixture
def written(store):
    """Three were signed: the second and the third are in the slots."""
    for old, new in ((None, ONE), (ONE, TWO), (TWO, THREE)):
        store.swap(old, new)
    return store


@pytest.fixture
def another_boot(monkeypatch):
    monkeypatch.setattr(publisher, "_this_boot", lambda: b"the next boot ..")


def overwrite(store, begins, content):
    with store.path.open("r+b") as file:
        file.seek(begins)
        file.write(content)


def slot_of(store, last):
    """Where the slot with a checkpoint begins."""
    content = store.path.read_bytes()
    [found] = [begins for begins in SLOTS if publisher.read_slot(content, begins).last == last]
    return found


def test_nothing_was_signed_before_the_first_time(store):
    assert store.last() is None


def test_the_last_checkpoint_is_there_for_the_next_process(written):
    assert CheckpointStore(written.path.parent, LEDGER).last() == THREE


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


@pytest.mark.parametrize("content", [b"", ONE.text().encode(), b"\xff\xfe", bytes(WHOLE)])
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


def test_a_kernel_that_names_no_boot_is_no_store_in_which_nothing_was_signed(written, monkeypatch):
    publisher._this_boot.cache_clear()
    monkeypatch.setattr(disk, "BOOT", written.path.with_name("nothing"))
    with pytest.raises(StoreBroken, match="names no boot"):
        written.last()


def test_a_log_whose_name_takes_more_than_a_slot_is_not_signed(written):
    with pytest.raises(StoreBroken, match="name is too long"):
        written.swap(THREE, Checkpoint("x" * BLOCK, 4, bytes(32)))
    assert written.last() == THREE


def test_it_lies_beside_the_data_folder_and_not_in_it(tmp_path):
    folder = inside.install(tmp_path / "data")
    assert publisher.checkpoints_beside(folder) == tmp_path / "data.checkpoints"


def test_its_file_never_takes_more_room_and_nobody_else_may_read_it(store):
    for last in map(of, range(1, 20)):
        store.swap(store.last(), last)
        assert store.path.stat().st_size == WHOLE
        assert store.path.stat().st_blocks * 512 >= WHOLE
    assert store.path.stat().st_mode & 0o077 == 0


class TestASlotThatIsTorn:
    """After a power cut: the mark is of an earlier boot."""

    @pytest.fixture(autouse=True)
    def cut(self, another_boot):
        pass

    @pytest.mark.parametrize("border", range(SECTOR, BLOCK, SECTOR))
    @pytest.mark.parametrize("behind", [False, True], ids=["before the border", "behind it"])
    def test_at_any_border_the_other_one_is_read_and_signing_goes_on(self, written, border, behind):
        """Of the slot that FOUR was to be written to, the part before the border is there, or the part behind it."""
        place, before = slot_of(written, TWO), written.path.read_bytes()
        written.swap(THREE, FOUR)
        new = written.path.read_bytes()[place : place + BLOCK]
        overwrite(written, 0, before)
        overwrite(written, place + border * behind, new[border:] if behind else new[:border])
        assert written.last() == THREE or written.path.read_bytes()[place : place + BLOCK] == new
        last = written.last()
        written.swap(last, FOUR)
        assert CheckpointStore(written.path.parent, LEDGER).last() == FOUR

    @pytest.mark.parametrize("which", [TWO, THREE], ids=["the older slot", "the newer slot"])
    def test_with_any_other_byte_a_slot_does_not_count(self, written, which):
        chance, place, sound = random.Random(1), slot_of(written, which), written.path.read_bytes()
        for at in [*range(80), *(chance.randrange(BLOCK) for _ in range(200)), *range(BLOCK - 32, BLOCK)]:
            overwrite(written, 0, sound)
            overwrite(written, place + at, bytes([sound[place + at] ^ chance.randrange(1, 256)]))
            assert written.last() == (THREE if which == TWO else TWO)

    def test_bytes_of_something_else_in_a_slot_do_not_count(self, written):
        chance, place = random.Random(2), slot_of(written, THREE)
        for length in (1, SECTOR, BLOCK):
            for _ in range(20):
                overwrite(written, place + chance.randrange(BLOCK - length + 1), chance.randbytes(length))
                assert written.last() == TWO

    def test_zeros_in_a_slot_do_not_count_and_in_both_they_are_damage(self, written):
        overwrite(written, slot_of(written, THREE), bytes(BLOCK))
        assert written.last() == TWO
        for begins in SLOTS:
            overwrite(written, begins, bytes(BLOCK))
        with pytest.raises(StoreBroken):
            written.last()

    def test_both_torn_are_a_broken_store_which_names_the_command_and_nothing_is_signed_over_it(self, written):
        for begins in SLOTS:
            overwrite(written, begins + 100, b"torn")
        for old in (None, TWO, THREE):
            with pytest.raises(StoreBroken, match=r"both of its slots are damaged.*gateway restore --new-log"):
                written.swap(old, FOUR)

    @pytest.mark.parametrize("length", [0, BLOCK, WHOLE - 1, WHOLE + 1])
    def test_a_file_of_another_length_is_broken(self, written, length):
        os.truncate(written.path, length)
        with pytest.raises(StoreBroken):
            written.last()

    def test_a_slot_of_another_format_does_not_count(self, written):
        place = slot_of(written, THREE)
        held = written.path.read_bytes()[place : place + BLOCK - 32].replace(b"gateway slot 1", b"gateway slot 2")
        overwrite(written, place, held + hashlib.sha256(held).digest())
        assert written.last() == TWO

    def test_slots_that_changed_places_do_not_count(self, written):
        content = written.path.read_bytes()
        for begins, other in (SLOTS, reversed(SLOTS)):
            overwrite(written, begins, content[other : other + BLOCK])
        with pytest.raises(StoreBroken):
            written.last()

    @pytest.mark.parametrize("mark", [bytes(32), b"\xff" * 32, bytes(BLOCK)])
    def test_a_torn_mark_hides_nothing(self, written, mark):
        overwrite(written, MARK, mark)
        assert written.last() == THREE


class Died(BaseException):
    """The process, at that call."""


class Disk:
    """Notes what is done to the file, and does instead what it was told to at a call."""

    def __init__(self, monkeypatch):
        self.calls, self.instead = [], {}
        for name in ("pwrite", "fdatasync"):
            monkeypatch.setattr(os, name, self._noting(name, getattr(os, name)))
        monkeypatch.setattr(publisher, "sync_folder", self._noting("folder", publisher.sync_folder))

    def _noting(self, name, real):
        def call(*arguments):
            called = f"{name} {arguments[2]}" if name == "pwrite" else name
            self.calls.append(called)
            wrong = self.instead.pop(called, None)
            if isinstance(wrong, BaseException):
                raise wrong
            return wrong(real, *arguments) if wrong else real(*arguments)

        return call


@pytest.fixture
def noted(written, monkeypatch):
    return Disk(monkeypatch)


class TestWhatIsSigned:
    def test_a_swap_is_one_write_and_one_sync_and_its_mark(self, written, noted):
        written.swap(THREE, FOUR)
        assert noted.calls == [f"pwrite {slot_of(written, FOUR)}", "fdatasync", f"pwrite {MARK}"]

    def test_the_slot_of_what_was_signed_last_is_never_written_over(self, store, monkeypatch):
        store.swap(None, ONE)
        noted = Disk(monkeypatch)
        for last in map(of, range(2, 9)):
            kept = slot_of(store, store.last())
            store.swap(store.last(), last)
            assert f"pwrite {kept}" not in noted.calls
            noted.calls.clear()

    def test_a_swap_for_the_same_costs_no_sync(self, written, noted):
        written.swap(THREE, THREE)
        assert noted.calls == []

    def test_nobody_reads_what_no_sync_has_returned_for(self, written, noted):
        seen = []

        def look(real, file):
            seen.append(CheckpointStore(written.path.parent, LEDGER).last())
            real(file)
            seen.append(CheckpointStore(written.path.parent, LEDGER).last())

        noted.instead["fdatasync"] = look
        written.swap(THREE, FOUR)
        assert seen == [THREE, THREE]
        assert written.last() == FOUR

    @pytest.mark.parametrize("at", [f"pwrite {SLOTS[0]}", "fdatasync", f"pwrite {MARK}"])
    @pytest.mark.parametrize("number", [5, 28], ids=["EIO", "ENOSPC"])
    def test_after_a_failure_it_is_not_read_and_the_next_swap_writes_and_syncs_it_anew(
        self, store, monkeypatch, at, number
    ):
        store.swap(None, ONE)  # the second slot, so that the next is the first
        noted = Disk(monkeypatch)

        def fails(real, *arguments):
            if at == "fdatasync":  # done or not, nobody knows
                real(*arguments)
            raise OSError(number, os.strerror(number))

        noted.instead[at] = fails
        with pytest.raises(StoreBroken, match="cannot be written"):
            store.swap(ONE, TWO)
        assert CheckpointStore(store.path.parent, LEDGER).last() == ONE
        noted.calls.clear()
        store.swap(ONE, THREE)
        assert noted.calls == [f"pwrite {SLOTS[0]}", "fdatasync", f"pwrite {MARK}"]
        assert store.last() == THREE

    def test_a_write_that_comes_short_is_a_failure(self, written, noted):
        place = slot_of(written, TWO)
        noted.instead[f"pwrite {place}"] = lambda real, file, content, begins: real(file, content[:SECTOR], begins)
        with pytest.raises(StoreBroken):
            written.swap(THREE, FOUR)
        assert (noted.calls, written.last()) == ([f"pwrite {place}"], THREE)

    @pytest.mark.parametrize("at", [f"pwrite {SLOTS[0]}", "fdatasync", f"pwrite {MARK}"])
    def test_a_process_that_dies_on_the_way_leaves_what_was_signed_and_the_next_goes_on(self, store, monkeypatch, at):
        store.swap(None, ONE)
        Disk(monkeypatch).instead[at] = Died()
        with pytest.raises(Died):
            store.swap(ONE, TWO)
        after = CheckpointStore(store.path.parent, LEDGER)
        assert after.last() == ONE
        after.swap(ONE, TWO)
        assert store.last() == TWO


class TestWhatNoMarkIsOf:
    """What another boot or a copy left is written once more before the other slot is written over."""

    def _first_swap(self, store, noted):
        newest = slot_of(store, THREE)
        with contextlib.suppress(Died):
            store.swap(THREE, FOUR)
        other = SLOTS[SLOTS.index(newest) - 1]
        return noted.calls, ["folder", f"pwrite {newest}", "fdatasync", f"pwrite {MARK}", f"pwrite {other}"]

    def test_of_another_boot(self, written, noted, another_boot):
        assert written.last() == THREE
        calls, expected = self._first_swap(written, noted)
        assert calls == [*expected, "fdatasync", f"pwrite {MARK}"]

    def test_of_a_copy_that_was_put_back(self, written, noted):
        shutil.copy(written.path, written.path.with_name("copy"))
        written.path.with_name("copy").replace(written.path)
        calls, expected = self._first_swap(written, noted)
        assert calls == [*expected, "fdatasync", f"pwrite {MARK}"]

    def test_also_where_nothing_newer_is_to_be_signed(self, written, noted, another_boot):
        written.swap(THREE, THREE)
        assert noted.calls == ["folder", f"pwrite {slot_of(written, THREE)}", "fdatasync", f"pwrite {MARK}"]

    def test_where_that_fails_nothing_is_signed_and_it_is_done_again(self, written, noted, another_boot):
        noted.instead["fdatasync"] = OSError(5, "Input/output error")
        with pytest.raises(StoreBroken):
            written.swap(THREE, FOUR)
        assert noted.calls == ["folder", f"pwrite {slot_of(written, THREE)}", "fdatasync"]
        assert written.last() == THREE
        noted.calls.clear()
        calls, expected = self._first_swap(written, noted)
        assert calls[: len(expected)] == expected


class TestWhoeverReadsMeanwhile:
    def test_what_is_read_at_different_moments_of_several_swaps_was_signed_and_no_earlier_than_that(
        self, store, monkeypatch
    ):
        """Each block of the first read is of another moment, a half written one too; then everything stands still."""
        moments = states_of_swaps(store, monkeypatch)
        file = os.open(store.path, os.O_RDONLY)
        found = 0
        for first, second, third in itertools.combinations_with_replacement(range(len(moments)), 3):
            mixed = b"".join(
                moments[at].content[begins : begins + BLOCK]
                for at, begins in ((first, 0), (second, BLOCK), (third, 2 * BLOCK))
            )
            reads = iter([mixed])
            monkeypatch.setattr(os, "pread", lambda *_, last=moments[third], reads=reads: next(reads, last.content))
            read = publisher._read_slots(file).slot.last.size
            assert moments[first].signed <= read <= moments[third].synced
            found += 1
        os.close(file)
        assert found > 3000

    def test_by_many_at_once_nothing_earlier_is_read_again(self, store, monkeypatch):
        """No sync takes time here, so that reads meet writes."""
        monkeypatch.setattr(os, "fdatasync", lambda _: None)
        store.swap(None, ONE)
        signed, over, wrong, reads = [1], threading.Event(), [], set()

        def read():
            mine, seen = CheckpointStore(store.path.parent, LEDGER), 0
            while not over.is_set():
                least, now = signed[-1], mine.last().size
                if not max(seen, least) <= now <= signed[-1] + 1:
                    wrong.append((seen, least, now, signed[-1]))
                reads.add(seen := now)

        with ThreadPoolExecutor(3) as several:
            readers = [several.submit(read) for _ in range(3)]
            for size in range(2, 2000):
                store.swap(of(size - 1), of(size))
                signed.append(size)
            over.set()
        assert [reader.result() for reader in readers] == [None] * 3
        assert wrong == []
        assert len(reads) > 10

    def test_a_file_that_never_stands_still_is_said_to_be_so(self, written, monkeypatch):
        monkeypatch.setattr(os, "pread", lambda *_: os.urandom(WHOLE))
        with pytest.raises(StoreBroken, match="written all the time"):
            written.last()


@dataclass(frozen=True)
class Moment:
    """`signed`: what the last swap that has returned made the last one; `synced`: what the last sync did."""

    content: bytes
    signed: int
    synced: int


def states_of_swaps(store, monkeypatch):
    """The file behind each call of five swaps, the third of which fails in its sync; a write also when half is there."""
    store.swap(None, ONE)
    moments, noted = [Moment(store.path.read_bytes(), 1, 1)], Disk(monkeypatch)

    def keep(**changed):
        moments.append(replace(moments[-1], content=store.path.read_bytes(), **changed))

    def write(real, file, content, begins):
        for part in (content[: len(content) // 2], content):
            done = real(file, part, begins)
            keep()
        return done

    for size, fails in ((2, False), (3, False), (4, True), (5, False), (6, False)):
        for begins in (*SLOTS, MARK):
            noted.instead[f"pwrite {begins}"] = write
        noted.instead["fdatasync"] = (
            OSError(5, "Input/output error") if fails else lambda _, file, size=size: keep(synced=size)
        )
        with contextlib.suppress(StoreBroken):
            store.swap(of(moments[-1].signed), of(size))
            keep(signed=size)
    return moments
