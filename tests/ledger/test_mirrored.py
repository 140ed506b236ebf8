"""The mirror is never more permissive than the table, and never answers while anybody doubts it."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from support import inside
from support.people import gaid, named

from gateway.app.composition import open_house
from gateway.ledger import changes, links, mirrored, records, schema
from gateway.ledger.errors import NothingKept
from gateway.ledger.mirrored import Mirrored
from gateway.ledger.publisher import Publisher
from gateway.ledger.subjects import Choice, milliseconds
from gateway.mirror import memory_map
from gateway.mirror.lookup import LookupRefused, MirrorLookup, Stale
from gateway.mirror.memory_map import MapRefused
from gateway.mirror.row import unpack
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, DataClass, Purpose

ON = {"mirror__enabled": "true", "mirror__map_mib": "4"}


@contextlib.contextmanager
def opened(folder):
    with open_house(folder, inside.settings(**ON), dev=True) as house:
        yield house


@pytest.fixture
def house(folder):
    with opened(folder) as made:
        yield made


def person(house, number):
    return house.consent.people.name([named("gaid", gaid(number))]).subjects[0]


def choice(house, kind=ChoiceKind.OPT_OUT, purpose=Purpose.SALE, **more):
    return Choice(kind, (purpose,), "api", house.consent.clock(), **more)


def says(house, number, *kind, **more):
    made, who = choice(house, *kind, **more), person(house, number)
    return house.writer.submit(lambda tx: records.write(tx, who, made, os.urandom(16)))


def hears(house, number):
    made, who = choice(house), person(house, number)
    return house.writer.submit(lambda tx: records.hear(tx, who, made, os.urandom(16)))


def mirror(house):
    return house.writer._mirrored


def lookup(house):
    found = house.consent.checks._lookup
    assert isinstance(found, MirrorLookup)
    return found


def denies(house, number):
    """True too where there is no answer: then every check denies."""
    try:
        standings = lookup(house).seen([person(house, number).key]).standings
    except LookupRefused:
        return True
    return any(standing.denies(Purpose.SALE) for standing in standings)


def until(holds, seconds=60.0):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


def table(folder):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        return dict(changes.everything(db))


def same(house, folder):
    rows = table(folder)
    return mirror(house).map.rows(rows) == rows and mirror(house).map.head().revision > 0


def test_all_that_people_do_reads_from_the_mirror_as_from_the_table(house, folder):
    says(house, 1).result(60)
    says(house, 1, ChoiceKind.OPT_IN).result(60)
    says(house, 2, ChoiceKind.OPT_IN, recipient="teemo", data_class=DataClass.PRECISE_GEO).result(60)
    account, now = house.consent.people.account("a1"), milliseconds(house.consent.clock())
    span = links.Span(now - 10, None)
    house.writer.submit(lambda tx: links.link(tx, account, [person(house, 2), person(house, 3)], span, now)).result(60)
    hears(house, 3).result(60)
    assert same(house, folder)
    rest = lookup(house)._beside
    for number in (1, 2, 3, 4):
        keys = list(person(house, number).keys)
        assert set(lookup(house).seen(keys).standings) == set(rest.seen(keys).standings)
        assert lookup(house).seen(keys).position == rest.seen(keys).position
        assert lookup(house).grants(keys) == rest.grants(keys)
        for position in range(6):
            assert lookup(house).changed_since(keys, position) == rest.changed_since(keys, position)


def test_an_opt_out_that_fails_after_its_commit_is_acknowledged_only_once_checks_deny(house, folder, monkeypatch):
    def fails(*_):
        raise OSError("no store")

    with monkeypatch.context() as broken:
        broken.setattr(Publisher, "publish", fails)
        with pytest.raises(NothingKept):
            says(house, 1).result(60)
        assert unpack(table(folder)[person(house, 1).key]).own  # it was committed
        assert denies(house, 1)
    hears(house, 1).result(60)  # "already out": nothing is written, and yet
    assert denies(house, 1)
    until(lambda: same(house, folder))


def test_nobody_is_told_that_they_are_out_already_while_the_mirror_would_allow(house):
    says(house, 1).result(60)
    mirror(house).map.write({person(house, 1).key: None})  # whatever made it lose the row
    assert not denies(house, 1)
    assert hears(house, 1).result(60) is None
    assert denies(house, 1)


def test_without_its_first_step_a_batch_is_not_kept(house, folder, monkeypatch):
    honest = memory_map.MemoryMap.write
    monkeypatch.setattr(memory_map.MemoryMap, "write", lambda *a, **k: (_ for _ in ()).throw(MapRefused("it fails")))
    with pytest.raises(NothingKept):
        says(house, 1).result(60)
    assert person(house, 1).key not in table(folder)
    monkeypatch.setattr(memory_map.MemoryMap, "write", honest)
    says(house, 1).result(60)
    assert denies(house, 1)


def test_a_commit_that_fails_leaves_the_person_as_the_table_has_them(house, folder, monkeypatch):
    says(house, 1, ChoiceKind.OPT_IN).result(60)
    before = table(folder)
    seen = []

    def fails(vault):
        seen.append(denies(house, 1))
        raise OSError("no vault")

    with monkeypatch.context() as broken:
        broken.setattr("gateway.keys.person_keys.Vault.commit", fails)
        with pytest.raises(NothingKept):
            says(house, 1).result(60)
    assert seen[0]  # denied before anybody knew whether it would be kept
    until(lambda: same(house, folder))
    assert table(folder) == before
    until(lambda: not denies(house, 1))


def at_the_commit(house, monkeypatch):
    """What a check says once the table has the no, before anybody was told."""
    seen, honest = [], Publisher.publish
    monkeypatch.setattr(Publisher, "publish", lambda *a: (seen.append(denies(house, 1)), honest(*a)))
    says(house, 1).result(60)
    return seen[0]


def test_from_the_moment_that_the_table_has_a_no_the_mirror_has_it(house, monkeypatch):
    assert at_the_commit(house, monkeypatch)


def test_the_control_the_order_turned_round_is_found(house, monkeypatch):
    monkeypatch.setattr(
        Mirrored,
        "tighten",
        lambda self, touched: setattr(self, "_keys", changes.keys_after(touched.db, self.map.head().revision)),
    )
    assert not at_the_commit(house, monkeypatch)


def test_what_opens_reaches_the_mirror_after_it_is_signed(house, monkeypatch):
    says(house, 1).result(60)
    seen, honest = [], Publisher.publish
    monkeypatch.setattr(Publisher, "publish", lambda *a: (seen.append(denies(house, 1)), honest(*a)))
    says(house, 1, ChoiceKind.OPT_IN).result(60)
    assert seen == [True]
    until(lambda: not denies(house, 1))


def test_a_process_that_died_in_a_batch_leaves_nobody_stricter_for_ever(house, folder):
    says(house, 1, ChoiceKind.OPT_IN).result(60)
    key = person(house, 1).key
    strict = unpack(mirror(house).map.rows([key])[key])
    denied = strict.tightened(None).pack()
    mirror(house).map.write({key: denied}, pending=[key])  # as far as it had got
    until(lambda: same(house, folder))
    assert mirror(house).map.pending() == []


READER = """
import os, pathlib, sys, time
from gateway.mirror import memory_map
found = memory_map.open_current(pathlib.Path(sys.argv[1]))
txn = found.env.begin()
txn.get(memory_map.HEAD)
print("in", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_reader_that_is_killed_in_a_transaction_is_cleared_away(house, folder):
    reader = subprocess.Popen([sys.executable, "-c", READER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert reader.stdout.readline() == "in\n"
    assert mirror(house).map.check_readers() == 0  # alive: its pages are its own
    reader.send_signal(signal.SIGKILL)
    reader.wait()
    reader.stdout.close()
    until(lambda: mirror(house).map.env.info()["num_readers"] == 0 or mirror(house).map.check_readers() == 0)
    used = []
    for number in range(60):
        says(house, 1 + number % 3).result(60)
        used.append(mirror(house).map.used())
    assert used[-1] == used[20]  # pages are given back


@pytest.mark.slow
@pytest.mark.parametrize("grow_at", [mirrored.GROW_AT, 2.0], ids=["in time", "once it is full"])
def test_a_map_that_fills_up_is_made_anew_and_no_opt_out_that_was_acknowledged_is_lost(
    folder, monkeypatch, figure, grow_at
):
    monkeypatch.setattr(mirrored, "GROW_AT", grow_at)
    honest, sizes = memory_map.make, [2**17]
    monkeypatch.setattr(memory_map, "make", lambda folder, size: honest(folder, sizes.pop() if sizes else size))
    with opened(folder) as house:
        first = mirror(house).map.size
        assert first == 2**17
        kept, failed = [], 0
        for start in range(0, 1500, 100):
            futures = {number: says(house, number) for number in range(start, start + 100)}
            for number, future in futures.items():
                try:
                    future.result(60)
                    kept.append(number)
                except NothingKept:
                    failed += 1
        assert mirror(house).map.size > first
        assert all(denies(house, number) for number in kept)
        assert len(kept) > 1000
        says(house, 5000).result(60)
        until(lambda: same(house, folder))
        figure(
            "mirror", f"{len(kept)} kept, {failed} refused while it grew, map {first} -> {mirror(house).map.size} bytes"
        )


def test_a_map_that_is_cut_short_is_not_opened_and_made_anew(folder):
    with opened(folder) as house:
        says(house, 1).result(60)
        path = mirror(house).map.folder
    os.truncate(path / memory_map.FILE, 3 * 4096)
    with pytest.raises(MapRefused, match="cut short"):
        memory_map.open_current(folder)
    with opened(folder) as house:
        assert denies(house, 1)
        assert mirror(house).map.folder != path


def test_after_a_boot_the_map_is_made_anew(folder, tmp_path, monkeypatch):
    with opened(folder) as house:
        says(house, 1).result(60)
        with mirror(house).map.env.begin(write=True) as txn:
            txn.delete(person(house, 1).key)  # what a power cut may have left of it
        path = mirror(house).map.folder
    with opened(folder) as house:
        assert mirror(house).map.folder == path  # the same boot: it is taken as it is
    boot = tmp_path / "boot_id"
    boot.write_text("0" * 32)
    monkeypatch.setattr(memory_map, "BOOT", boot)
    with opened(folder) as house:
        assert mirror(house).map.folder != path
        assert denies(house, 1)


def test_a_map_that_is_taken_from_under_us_is_answered_with_no_until_it_is_made_anew(house, folder):
    says(house, 1).result(60)
    shutil.rmtree(folder / memory_map.FOLDER)
    until(lambda: lookup_refused(house), 3)
    says(house, 2).result(60)
    until(lambda: not lookup_refused(house))
    assert denies(house, 1)
    assert denies(house, 2)
    assert same(house, folder)


def lookup_refused(house):
    try:
        lookup(house).seen([])
    except Stale:
        return True
    return False


def test_a_writer_without_a_mirror_takes_away_the_one_that_others_read(house, folder):
    """`gateway rekey`, or a process that was started with other settings."""
    says(house, 1).result(60)
    old = mirror(house).map
    with open_house(folder, inside.settings(), dev=True) as other:
        other.writer.submit(lambda tx: records.write(tx, person(house, 2), choice(house), os.urandom(16))).result(60)
    with pytest.raises(MapRefused, match="replaced"):
        old.read([])
    assert denies(house, 2)  # it gives no answer, or the new one
    until(lambda: not lookup_refused(house))
    assert same(house, folder)


def test_two_processes_read_what_either_writes(house, folder):
    with opened(folder) as other:
        says(other, 1).result(60)
        assert denies(house, 1)
        says(house, 2).result(60)
        assert denies(other, 2)


def test_a_row_that_goes_from_the_table_goes_from_the_mirror(house, folder):
    says(house, 1).result(60)
    key = person(house, 1).key
    house.writer.submit(lambda tx: tx.db.execute("DELETE FROM standing WHERE key = ?", (key,))).result(60)
    assert mirror(house).map.rows([key]) == {}
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert changes.floor(db) == changes.revision(db)
        assert db.execute("SELECT count(*) FROM change WHERE key = ?", (key,)).fetchone() == (0,)


def test_a_mirror_that_stays_behind_the_table_is_not_answered_from(house, folder, monkeypatch):
    monkeypatch.setattr(mirrored, "CATCHES_UP", 0.05)
    monkeypatch.setattr(Mirrored, "wants", lambda _: False)
    says(house, 1, ChoiceKind.OPT_IN).result(60)
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:  # a hand that knows nothing of mirrors
        db.execute("UPDATE standing SET own = 1")
        db.commit()
    until(lambda: lookup_refused(house), 3)
    says(house, 2).result(60)  # the next batch brings it up to date
    until(lambda: not lookup_refused(house))
    assert denies(house, 1)


def test_the_bits_that_are_tightened_are_the_denies_of_both():
    out = sum(1 << 2 * n for n in range(len(SIGNAL_PURPOSES)))
    from gateway.mirror.row import MirrorRow

    before = MirrorRow(own=out, age_band="adult", linked=9, allowed=(("teemo", "sale", "", "opted_in", 1, None),))
    after = MirrorRow(own=out << 1, age_band="13_15", linked=5, changed=7, told=8)
    both = after.tightened(before)
    assert (both.own, both.age_band, both.linked, both.changed, both.told) == (out, "13_15", 5, 7, None)
    assert both.allowed == ()
    assert after.tightened(None).own == 0
    assert unpack(both.pack()) == both


def test_an_early_deny_is_named_by_the_entry_that_already_said_it_or_by_none():
    """A number that is not committed may become another person's, and the last entry of a row may be a yes."""
    out = sum(1 << 2 * n for n in range(len(SIGNAL_PURPOSES)))
    from gateway.mirror.row import MirrorRow

    no = MirrorRow(own=out, seq=7)
    assert no.tightened(None).seq is None
    assert no.tightened(MirrorRow(own=out, seq=3)).seq == 3
    in_for_one = MirrorRow(own=(out & ~1) | 2, seq=5)
    assert no.tightened(in_for_one).seq is None
    assert MirrorRow(own=out << 1, seq=9).tightened(no).seq == 7
    assert MirrorRow(own=2, seq=9).tightened(MirrorRow(own=2, seq=5)).seq == 9
