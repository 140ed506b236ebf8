"""A machine that was cloned by the block, so with its number, its inodes and all that is in its files: of the original
and the clone one answers, and never both. Opened in one process, each with a boot of its own.
"""

import contextlib
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from postgres.test_hosts import AT, SETTINGS, opened, opt_out, word
from support import inside, postgres_server
from support.together import until

from gateway.app import maintenance
from gateway.app.composition import migrate, open_house
from gateway.ledger import postgres_store
from gateway.ledger.errors import LedgerRefused, NothingKept
from gateway.ledger.folder_store import store_in
from gateway.postgres import address
from gateway.postgres.address import BOOTS
from gateway.postgres.connection import COUNTS, AnotherBoot, PostgresConnection

FIRST, CLONES, NEXT = BOOTS + 1, BOOTS + 2, 2 * BOOTS - 1
LONG = 60.0  # seconds that nobody waits for here
NOES = range(1, 7)


def cloned(folder, to):
    """Its files are others here, and were the same there."""
    shutil.copytree(folder, to)
    number = address.host_in(folder)
    (to / address.HOST_FILE).write_text(f"{number} {(to / address.URL_FILE).stat().st_ino}")
    assert address.host_in(to) == number
    return to


@pytest.fixture
def boots(monkeypatch):
    """By folder; who is not in it has the first one's."""
    told = {}
    monkeypatch.setattr(address, "boot_in", lambda folder: told.get(folder.name, FIRST))
    return told


@pytest.fixture
def original(postgres, tmp_path, boots):
    return postgres_server.installed(postgres, tmp_path / "original")


@pytest.fixture
def clone(original, tmp_path, boots):
    boots["clone"] = CLONES
    return cloned(original, tmp_path / "clone")


@contextlib.contextmanager
def serving(folder):
    """As the service opens it, whatever is wrong."""
    with open_house(folder, SETTINGS, dev=True, clock=lambda: AT, patient=True) as house:
        yield house


def test_a_clone_answers_nobody_and_writes_nothing_beside_its_original(original, clone):
    with opened([original]) as (first,), serving(clone) as second:
        for number in NOES:
            opt_out(first, number)
            assert word(first, number) == "opted_out"
            assert not second.fresh()
        assert "a clone of this machine runs" in second.writer._watch.why
        with pytest.raises(NothingKept):
            second.writer.submit(lambda tx: tx.size).result(60)
        assert first.fresh()
        for use in (store_in(clone).open_to_read, lambda: migrate(clone)):
            with pytest.raises(LedgerRefused, match="a clone of this machine runs"):
                use()


def test_whichever_of_the_two_stands_still_for_long_the_other_goes_on_and_never_both_do(original, clone):
    with serving(original) as first:
        until(first.fresh, "it answers nobody")
        with serving(clone) as second:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(first.writer._watch, "prove", lambda: None)  # a machine that is stopped
                until(second.fresh, "the clone does not go on")
                assert not first.fresh()
            until(lambda: "a clone" in first.writer._watch.why, "it is not told")
            assert (first.fresh(), second.fresh()) == (False, True)
        until(first.fresh, "it does not come back")


def test_a_clone_becomes_a_machine_of_its_own_or_the_only_one(original, clone, boots):
    with serving(original) as first:
        until(first.fresh, "it answers nobody")
        with pytest.raises(LedgerRefused, match="a clone of this machine runs"):
            maintenance.join(clone, inside.settings())
        (clone / address.HOST_FILE).unlink()
        maintenance.join(clone, inside.settings())
        with opened([clone]) as (second,):
            opt_out(second, 1)
            assert [word(each, 1) for each in (first, second)] == ["opted_out"] * 2
    again, boots["again"] = cloned(original, original.with_name("again")), NEXT
    with serving(original) as first:
        until(first.fresh, "it answers nobody")
        maintenance.take_over(again, inside.settings())
        until(lambda: "another machine's" in first.writer._watch.why, "it is not told")
        assert not first.fresh()
        time.sleep(postgres_store.STANDS_BY + 1.0)
        assert "another machine's" in first.writer._watch.why, "it took it back"


def test_a_machine_that_boots_anew_comes_back_by_itself_and_a_restart_in_one_boot_waits_for_nothing(
    original, boots, monkeypatch
):
    with opened([original]) as (house,):
        opt_out(house, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_store, "STANDS_BY", LONG)
        began = time.monotonic()
        with opened([original]) as (house,):
            assert word(house, 1) == "opted_out"
        assert time.monotonic() - began < LONG
    boots["original"] = NEXT
    waited = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", lambda seconds, sleep=time.sleep: (waited.append(seconds), sleep(seconds))[1])
        began = time.monotonic()
        store_in(original).open_to_read().close()
        assert time.monotonic() - began >= postgres_store.STANDS_BY
        store_in(original).open_to_read().close()
    with opened([original]) as (house,):
        assert word(house, 1) == "opted_out"
        opt_out(house, 2)
        assert word(house, 2) == "opted_out"


def test_a_row_of_another_boot_is_neither_renewed_nor_acknowledged_and_is_taken_once_it_stood_still(original):
    url, number = address.url_in(original), address.host_in(original)

    def connected(boot):
        return contextlib.closing(PostgresConnection(url, postgres_store.SCHEMA, number, writes=True, boot=boot))

    with connected(FIRST) as first, connected(CLONES) as other:
        first.take_row(LONG)  # nobody renewed it before, or this boot did
        first.renew(5, "SELECT 1")
        for does in (other.prove_host, lambda: other.renew(9, "SELECT 1"), lambda: other.execute("BEGIN IMMEDIATE")):
            with pytest.raises(AnotherBoot):
                does()
        assert other.acknowledge(9) is None
        assert first.acknowledge(6) is not None
        row = f"SELECT renewals / {COUNTS}, renewals % {COUNTS}, applied FROM host"
        assert first.execute(row).fetchall() == [(FIRST, 1, 6)]
        other.take_row(0.0)
        other.renew(7, "SELECT 1")
        assert first.execute(row).fetchall() == [(CLONES, 1, 7)]
        with pytest.raises(AnotherBoot):
            first.execute("BEGIN IMMEDIATE")
        assert first.acknowledge(8) is None


def test_a_row_that_an_older_release_counted_up_is_taken_at_once_and_its_count_begins_anew_in_its_time(original):
    with contextlib.closing(
        PostgresConnection(
            address.url_in(original), postgres_store.SCHEMA, address.host_in(original), writes=True, boot=FIRST
        )
    ) as db:
        for before, behind in ((123_456_789, 1), (FIRST * COUNTS + COUNTS - 1, 0)):
            db.execute("UPDATE host SET renewals = ?", (before,))
            db.take_row(LONG)
            db.renew(0, "SELECT 1")
            assert db.execute("SELECT renewals FROM host").fetchall() == [(FIRST * COUNTS + behind,)]


def test_the_boots_number_is_one_of_a_boot_and_a_disk_and_fits_its_place(original, monkeypatch):
    monkeypatch.undo()
    number = address.boot_in(original)
    assert number == address.boot_in(original)
    assert BOOTS <= number < 2 * BOOTS
    assert 2 * BOOTS * COUNTS == 2**63
    with monkeypatch.context() as patch:
        patch.setattr(address, "boot_id", lambda: b"the next boot ..")
        assert address.boot_in(original) != number
    monkeypatch.setattr(
        Path, "stat", lambda _: SimpleNamespace(st_dev=12345)
    )  # a container's, on a snapshot of the volume
    assert address.boot_in(original) != number
