"""What a replica answered waits in files: whole batches in their order, nothing lost without a trace."""

import json
import os
from pathlib import Path

import pytest

from gateway.replica import recording
from gateway.replica.recording import ENDED, ReplicaSpool

BOOT, OTHER = b"\x01" * 16, b"\x02" * 16
PLACE = (41, "log.example.com/1")
RECIPIENTS = ["adco", "teemo"]
NAMES = len(json.dumps({"recipients": RECIPIENTS})) + 1


@pytest.fixture
def made(tmp_path):
    def make(size=2**20, boot=BOOT):
        found = ReplicaSpool(tmp_path, size, boot, RECIPIENTS[::-1])
        found.start()
        return found

    return make


def put(to, *lines):
    return to.append([f'"{line}"\n'.encode() for line in lines], lambda: PLACE)


def read(batch):
    head, *lines = map(json.loads, batch[1].splitlines())
    if lines:
        assert lines.pop(0) == {"recipients": RECIPIENTS}, "whom the answers may be about"
    return head, lines


def all_of(of):
    """Hands everything over: heads, and lines."""
    heads, lines = [], []
    while batch := of.oldest():
        head, found = read(batch)
        heads.append(head)
        lines.append(found)
        of.done(batch[0])
    return heads, lines


def test_what_was_answered_is_handed_over_in_its_order_and_once(made):
    here = made()
    assert here.oldest() is None
    put(here, "a", "b")
    put(here, "c")
    [head], [lines] = all_of(here)
    assert (head["number"], head["position"], head["log"]) == (1, *PLACE)
    assert lines == ["a", "b", "c"]
    put(here, "d")
    [head], [lines] = all_of(here)
    assert (head["number"], lines) == (2, ["d"])
    assert here.oldest() is None
    assert here.waiting == 0


def test_what_is_answered_while_a_batch_is_let_go_counts_as_waiting_too(made, monkeypatch):
    """Never less than nothing: an alarm reads it."""
    here, look = made(), Path.stat
    put(here, "a", "b", "c")
    batch = here.oldest()

    def looked_at(path, **how):
        if path == batch[0]:
            put(here, "d")
        return look(path, **how)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", looked_at)
        here.done(batch[0])
    assert here.waiting == sum(path.stat().st_size for path in here._folder.rglob("0*") if path.is_file()) > 0
    assert all_of(here)[1] == [["d"]]
    assert here.waiting == 0


def test_a_batch_stays_until_it_was_taken(made):
    here = made()
    put(here, "a")
    first = here.oldest()
    put(here, "b")
    assert here.oldest() == first
    here.done(first[0])
    assert read(here.oldest())[1] == ["b"]


def test_a_batch_has_no_more_lines_than_an_entry_may(made, monkeypatch):
    monkeypatch.setattr(recording, "LINES", 3)
    here = made()
    for number in range(7):
        put(here, str(number))
    heads, lines = all_of(here)
    assert lines == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert [head["number"] for head in heads] == [1, 2, 3]


def test_whoever_is_killed_finds_all_of_it_at_the_next_start(made):
    """Nothing is closed or synced: the lines are in the kernel's hands."""
    put(made(), "a", "b")
    again = made()
    put(again, "c")
    heads, lines = all_of(again)
    assert lines == [["a", "b"], ["c"]]
    assert len({head["spool"] for head in heads}) == 2
    assert not any("doubtful" in head for head in heads)
    assert len(list(again._folder.iterdir())) == 1


@pytest.mark.parametrize(("ends", "doubtful"), [(False, True), (True, False)])
def test_a_machine_that_stopped_leaves_a_doubt_unless_the_replica_had_stopped_before(made, ends, doubtful):
    first = made()
    put(first, "a")
    if ends:
        first.end()
    heads, _ = all_of(made(boot=OTHER))
    assert any(head.get("doubtful", False) for head in heads) is doubtful
    heads, _ = all_of(made(boot=OTHER))
    assert heads == []  # it is told once


def test_what_was_cut_off_is_left_out_and_what_cannot_be_read_at_all_leaves_a_gap(made, tmp_path):
    here = made()
    put(here, "a")
    first = here.oldest()[0]
    put(here, "b")
    with first.open("ab") as file:
        file.write(b'"half')
    heads, lines = all_of(made())
    assert (heads[0]["number"], lines[0]) == (1, ["a"])
    torn = made()
    put(torn, "c")
    path = torn.oldest()[0]
    put(torn, "d")
    path.write_bytes(bytes(path.stat().st_size))
    heads, lines = all_of(torn)
    assert ([head["number"] for head in heads], lines) == ([2], [["d"]])


def test_what_finds_no_room_is_refused_and_counted_in_the_batch_that_is_open(made):
    here = made(size=recording.HEAD + NAMES + 8)
    assert put(here, "abc")  # six bytes
    assert not put(here, "d")
    assert not put(here, "e", "f")
    assert here.lost == 3
    [head], [lines] = all_of(here)
    assert (head["lost"], lines) == (3, ["abc"])
    assert put(here, "g")
    assert "lost" not in read(here.oldest())[0]


def test_a_loss_outlives_a_kill(made):
    here = made(size=1)
    assert not put(here, "a")
    [head], [lines] = all_of(made())
    assert (head["lost"], lines) == (1, [])


def test_a_disk_that_is_full_keeps_all_of_a_line_or_nothing(made, monkeypatch):
    here = made()
    put(here, "a")
    whole = os.pwrite

    def half(descriptor, content, at):
        return whole(descriptor, content[: len(content) // 2], at)

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", half)
        assert not put(here, "b", "c")
    put(here, "d")
    assert all_of(here)[1] == [["a", "d"]]


def test_a_disk_that_takes_not_even_a_head_is_told_of_later(made, monkeypatch):
    here = made()

    def nothing(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", nothing)
        assert not put(here, "a")
    put(here, "b")
    [head], [lines] = all_of(here)
    assert (head["lost"], lines) == (1, ["b"])


def test_what_was_handed_over_before_the_end_leaves_nothing_behind(made, tmp_path):
    here = made()
    put(here, "a")
    all_of(here)
    here.end()
    assert list(here._folder.iterdir()) == []
    other = made()
    put(other, "b")
    other.end()
    assert any(path.name == ENDED for path in other._folder.rglob("*"))
    assert all_of(made())[1] == [["b"]]


def test_synced_files_are_let_go_and_still_handed_over(made):
    here = made()
    put(here, "a")
    here.sync()
    first = here.oldest()
    here.sync()
    assert all(segment.descriptor < 0 for segment in here._closed)
    here.done(first[0])
    assert here.oldest() is None
