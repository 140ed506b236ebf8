"""What another machine wrote is read by one statement where nothing of it is out of the ordinary: the same as step by
step, and where it is another thing, that is seen.
"""

import asyncio
import contextlib

import pytest
from postgres.test_hosts import AT, folders, opened, opt_out, people, word  # noqa: F401 - a fixture among them

from gateway.app.state_keeper import StateKeeper
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.log_records import GrownLog, LedgerLog
from gateway.ledger.writer import Writer
from gateway.terms import Erasing

ODD = {
    "voided": "INSERT INTO voided_choice (seq, by, at) VALUES (?, 99, 0)",
    "taken back by its list": "INSERT INTO deletion_row (id, seq, key, gone, gone_at) VALUES ('1', ?, x'00', 99, 0)",
    "told otherwise": "INSERT INTO side (place, seq, entered, packed, anew)"
    " SELECT max(place) + 1, ?, 0, x'', x'' FROM side",
}


@contextlib.contextmanager
def looking(folder):
    with contextlib.closing(store_in(folder).open_to_write()) as db:
        yield db


def same(look, log, position):
    records = [*log.read(position)]
    keys = {record.key for _, record in records}
    return (
        ([*look.read(position)], look.kinds(keys), look.name, look.head, look.peppers)
        == (records, log.kinds(keys), log.name, log.head, log.peppers)
        and all(look.root(at) == log.root(at) is not None for at in (position, look.head))
        and look.entries(look.head) == log.entries(log.head)
    )


def test_it_shows_what_step_by_step_does(folders, monkeypatch):  # noqa: F811
    said, honest = [], StateKeeper.grown
    monkeypatch.setattr(StateKeeper, "grown", lambda own, db, f=None: said.append(f) or honest(own, db, f))
    with opened(folders[:1]) as (first,), looking(folders[1]) as db:
        position = LedgerLog(db).head
        for number in range(3):
            opt_out(first, number)
        look, log = GrownLog(db, position), LedgerLog(db)
        assert look.is_plain
        assert look.has_more
        assert len([*look.read(position)]) > 3
        assert same(look, log, position)
        fresh = next(each for each in said if each is not None and each.place > position // 2**20)
        assert fresh.end < log.head, "what others wrote behind it"
        mixed = GrownLog(db, position, fresh)
        assert mixed.is_plain
        assert same(mixed, log, position)
        end = GrownLog(db, log.head)
        assert (end.is_plain, end.has_more, same(end, log, log.head)) == (True, False, True)
        assert not GrownLog(db, position + 1).is_plain, "amid what one row tells"
        for tells in (end.read, end.changed):  # a state of before, put in force since
            with pytest.raises(LedgerRefused):
                list(tells(position))


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_is_told_otherwise_is_seen(folders, odd):  # noqa: F811
    with opened(folders[:1]) as (first,), looking(folders[1]) as db:
        opt_out(first, 0)
        position = LedgerLog(db).head
        opt_out(first, 1)
        db.execute("BEGIN IMMEDIATE")
        assert GrownLog(db, position).is_plain
        (seq,) = db.execute("SELECT max(seq) FROM detail").fetchone()
        db.execute(odd, (seq,))
        assert not GrownLog(db, position).is_plain
        db.execute("ROLLBACK")


def test_no_more_is_taken_for_all_than_was_read(folders, monkeypatch):  # noqa: F811
    with opened(folders[:1]) as (first,), looking(folders[1]) as db:
        opt_out(first, 3)
        position = LedgerLog(db).head
        for number in range(3):
            opt_out(first, number)
        rows = (LedgerLog(db).head - position) // 2**20
        for chunk, plain in ((rows, True), (rows - 1, False)):
            monkeypatch.setattr("gateway.ledger.log_records.CHUNK", chunk)
            assert GrownLog(db, position).is_plain is plain


def test_step_by_step_is_for_what_was_told_otherwise_and_nobody_waits_for_that(folders, monkeypatch):  # noqa: F811
    steps, kept, catches_up, keeps = [], [], Writer._catch_up, StateKeeper.keep

    def keep(own, db, fresh=None, log=None):
        kept.append((log is None, bool(db._sending)))  # a transaction that writes
        keeps(own, db, fresh, log)

    with opened(folders) as (first, second):
        opt_out(first, 1)
        assert word(second, 1) == "opted_out"
        monkeypatch.setattr(Writer, "_follow", lambda _: None)
        monkeypatch.setattr(StateKeeper, "wants", lambda *_: False)
        monkeypatch.setattr(Writer, "_catch_up", lambda own, *given: steps.append(own) or catches_up(own, *given))
        monkeypatch.setattr(StateKeeper, "keep", keep)
        opt_out(first, 2)
        second.writer.submit(lambda tx: tx.size).result(60)
        assert word(second, 2) == "opted_out"
        assert (steps, {by_steps for by_steps, _ in kept}) == ([], {False})
        asyncio.run(first.consent.erase(ErasureOrder(Erasing.UNLINK, people(first, 1), AT)))
        second.writer.submit(lambda tx: tx.size).result(60)
        assert second.writer in steps
        assert (True, False) in kept
        assert (True, True) not in kept, "it is folded while all machines wait"
        assert word(second, 1) == word(first, 1)
