"""What every store owes the ledger, asked of each engine through the same writer and reader.

Capabilities decide what is asked, never an engine's name; what is not asked is skipped with its reason.
"""

import asyncio
import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import pytest
from support import inside, postgres_server
from support.lives import BEGAN, NoVault
from support.memory_store import AlwaysFresh, MemoryStore
from support.people import email, named
from support.trees import unbundle

from gateway import disk
from gateway.app.composition import publisher_of
from gateway.consent.people import People
from gateway.keys import secret_files
from gateway.ledger import log_records, tree
from gateway.ledger.acts import idempotency, records
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.audit.log_reader import LogReader
from gateway.ledger.entry import b64
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.proof import merkle, note
from gateway.ledger.proof import receipt as receipts
from gateway.ledger.proof.ed25519 import Ed25519Signer
from gateway.ledger.proof.merkle import Frontier
from gateway.ledger.proof.note import Checkpoint
from gateway.ledger.publisher import Publisher, RolledBack
from gateway.ledger.store import SqliteStore
from gateway.ledger.subjects import Choice
from gateway.ledger.watch import FileWatch
from gateway.ledger.writer import Writer
from gateway.terms import ChoiceKind, Purpose

SECRETS = secret_files.Secrets(*((letter * 32,) for letter in (b"p", b"s", b"t", b"w", b"a", b"g")))


class NoEpochs:
    """Of machines that there are not."""

    def keep_up(self, db):
        pass

    def told_elsewhere(self, db, after):
        return []


class Vault(NoVault):
    shared = NoEpochs()

    def end_run(self):
        pass

    close = end_run


@dataclass
class Ledger:
    """One store with everything that stands on it."""

    store: object
    watch: object
    publisher: Publisher
    checkpoints: object

    def __post_init__(self):
        self.writer = Writer(self.store, Vault, self.watch, self.publisher)
        self.log = LogReader(self.store, self.publisher)
        self.people = People(SECRETS, lambda: BEGAN)

    def append(self, *bodies):
        return self.writer.submit(lambda tx: [tx.append(body) for body in bodies]).result(60)

    def bodies(self):
        with contextlib.closing(self.store.open_to_read()) as db:
            return [row[0] for row in db.execute("SELECT body FROM entry ORDER BY seq")]

    def size(self):
        signed = self.log.checkpoint()
        return note.parse_checkpoint(note.text_of(signed)) if signed else None

    def subject(self, number):
        return self.people.name([named("email", email(number))]).subjects[0]

    def says(self, number, kind=ChoiceKind.OPT_OUT, request=None):
        choice = Choice(kind, (Purpose.SALE,), "api", BEGAN)
        request = request or os.urandom(16)
        return self.writer.submit(lambda tx: records.write_choice(tx, self.subject(number), choice, request)).result(60)

    def denies(self, number):
        key = self.subject(number).key
        with contextlib.closing(self.store.open_to_read()) as db:
            return FoldedPeople(db, [key]).standing(key, 0).denies(Purpose.SALE)

    def close(self):
        self.writer.close()


def memory(tmp_path):
    publisher = Publisher(tmp_path, tmp_path / "checkpoints", lambda origin: [Ed25519Signer(origin, b"g" * 32)])
    return Ledger(MemoryStore(), AlwaysFresh(), publisher, tmp_path / "checkpoints")


def sqlite(tmp_path):
    folder = inside.install(tmp_path / "data")
    watch = FileWatch(SqliteStore(folder), 1)
    watch.start()
    publisher = publisher_of(folder, inside.settings(), secret_files.load_secrets(folder))
    return Ledger(SqliteStore(folder), watch, publisher, tmp_path / "data.checkpoints")


def postgresql(tmp_path, at):
    folder = inside.install(tmp_path / "data")
    store = postgres_server.fresh_store(at, folder)
    store.migrate(1, "log.example.com/postgresql")
    publisher = publisher_of(folder, inside.settings(), secret_files.load_secrets(folder))
    return Ledger(store, AlwaysFresh(), publisher, tmp_path / "data.checkpoints")


@pytest.fixture(params=[memory, sqlite, postgresql])
def ledger(request, tmp_path):
    more = [request.getfixturevalue("postgres")] if request.param is postgresql else []
    made = request.param(tmp_path, *more)
    yield made
    made.close()
    (made.watch.stop if isinstance(made.watch, FileWatch) else made.store.close)()


def reference(bodies):
    frontier = Frontier()
    for body in bodies:
        frontier.append(merkle.leaf_hash(body))
    return frontier


def references(bodies):
    """The root of the reference tree at every size, from none on."""
    frontier = Frontier()
    yield frontier.root()
    for body in bodies:
        frontier.append(merkle.leaf_hash(body))
        yield frontier.root()


BODIES = [b"entry %d" % number for number in range(600)]


def test_an_empty_ledger_has_nothing_signed_and_nobody_denied(ledger):
    assert (ledger.bodies(), ledger.size(), ledger.denies(1)) == ([], None, False)


def test_a_batch_of_nothing_changes_nothing(ledger):
    assert ledger.append() == []
    assert ledger.bodies() == []
    assert ledger.size() in (None, Checkpoint(ledger.size().origin, 0, merkle.EMPTY_ROOT))


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 600])
def test_a_batch_is_kept_whole_in_its_order_under_the_reference_root(ledger, count):
    assert ledger.append(*BODIES[:count]) == list(range(count))
    assert ledger.bodies() == BODIES[:count]
    signed = ledger.size()
    assert (signed.size, signed.root) == (count, reference(BODIES[:count]).root())


def test_rows_about_somebody_come_in_the_order_of_the_log_also_once_the_first_was_written_again(ledger):
    for number in range(3):
        ledger.says(1, (ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.OPT_OUT)[number])
    with contextlib.closing(ledger.store.open_to_read()) as db:
        before = [row.place for row in log_records.side_rows(db, [ledger.subject(1).key])]
    again = "UPDATE side SET packed = packed WHERE place = ?"
    ledger.writer.submit(lambda tx: tx.db.execute(again, (before[0],))).result(60)
    with contextlib.closing(ledger.store.open_to_read()) as db:
        if not disk.is_file(db):  # a server may read a table as it lies, where what is written again lies behind
            for way in ("indexscan", "indexonlyscan", "bitmapscan"):
                db.execute(f"SET enable_{way} = off")
        after = [row.place for row in log_records.side_rows(db, [ledger.subject(1).key])]
    assert after == before == sorted(before)
    assert len(before) > 1


@pytest.mark.slow
def test_a_batch_of_65537_has_the_tiles_of_three_levels(ledger):
    bodies = [b"%d" % number for number in range(65_537)]
    ledger.append(*bodies)
    assert ledger.size().root == reference(bodies).root()
    with contextlib.closing(ledger.store.open_to_read()) as db:
        assert db.execute("SELECT level, count(*) FROM tile GROUP BY level ORDER BY level").fetchall() == [
            (0, 256),
            (1, 1),
            (2, 1),
        ]


@pytest.mark.slow
def test_the_head_is_the_reference_tree_at_every_size(ledger):
    done = 0
    for count in (1, 1, 2, 252, 1, 1, 100, 242):
        ledger.append(*BODIES[done : done + count])
        done += count
        assert ledger.size().root == reference(BODIES[:done]).root()
    with contextlib.closing(ledger.store.open_to_read()) as db:
        roots = [tree.root_at(db, size) for size in range(done + 1)]
    assert roots == list(references(BODIES[:done]))


@pytest.mark.slow
def test_every_entry_of_a_hundred_and_thirty_is_proved_in_every_tree(ledger):
    ledger.append(*BODIES[:130])
    leaves = [merkle.leaf_hash(body) for body in BODIES[:130]]
    with contextlib.closing(ledger.store.open_to_read()) as db:
        for size, root in enumerate(references(BODIES[:130])):
            node = cache(tree.nodes(db, size))  # each is read once
            for index in range(size):
                merkle.check_inclusion(index, size, leaves[index], merkle.inclusion(index, size, node), root)


def test_the_bytes_of_an_entry_come_back_untouched(ledger):
    odd = [b"\x00" * 3, bytes(range(256)), b"{}", "ä".encode(), b"x" * 65_535]
    ledger.append(*odd)
    assert ledger.bodies() == odd
    assert unbundle(ledger.log.tile(merkle.ENTRIES, 0, len(odd))) == odd


def test_sixty_four_at_once_leave_no_gap_and_each_has_a_number_of_its_own(ledger):
    with ThreadPoolExecutor(64) as pool:
        numbers = [each[0] for each in pool.map(lambda number: ledger.append(b"%d" % number), range(640))]
    assert sorted(numbers) == list(range(640))
    bodies = ledger.bodies()
    assert [bodies[seq] for seq in numbers] == [b"%d" % number for number in range(640)]


def test_what_was_acknowledged_is_seen_at_once_by_another_connection(ledger):
    for number in range(5):
        ledger.says(number)
        assert ledger.denies(number)
        with contextlib.closing(ledger.store.open_to_read()) as db:
            assert db.execute("SELECT size FROM head").fetchone() == (number + 1,)


def test_a_reader_within_one_moment_sees_no_later_one(ledger):
    ledger.append(b"one")
    with contextlib.closing(ledger.store.open_to_read()) as db:
        db.execute("BEGIN")
        assert db.execute("SELECT count(*) FROM entry").fetchone() == (1,)
        ledger.append(b"two")
        assert db.execute("SELECT count(*) FROM entry").fetchone() == (1,)


def test_a_job_that_is_refused_leaves_nothing_and_its_neighbours_everything(ledger):
    def refused(tx):
        tx.append(b"half")
        raise LookupError

    futures = [ledger.writer.submit(job) for job in (lambda tx: tx.append(b"a"), refused, lambda tx: tx.append(b"b"))]
    assert [futures[0].result(60), futures[2].result(60)] == [0, 1]
    with pytest.raises(LookupError):
        futures[1].result(60)
    assert ledger.bodies() == [b"a", b"b"]
    assert ledger.size().root == reference([b"a", b"b"]).root()


def test_a_broken_statement_takes_the_whole_batch_and_the_next_one_is_fine(ledger):
    with pytest.raises(StoreUnavailable):
        ledger.writer.submit(lambda tx: (tx.append(b"lost"), tx.db.execute("INSERT INTO nowhere VALUES (1)"))).result(
            60
        )
    assert ledger.append(b"kept") == [0]
    assert ledger.bodies() == [b"kept"]


def test_the_same_request_twice_is_one_entry(ledger):
    repeat = idempotency.named("key", b"body")

    def job(tx):
        return idempotency.once(tx, repeat, 0, lambda: b"%d" % tx.append(b"once"))

    first, second = (ledger.writer.submit(job).result(60) for _ in range(2))
    assert (first, second) == ((b"0", False), (b"0", True))
    assert ledger.bodies() == [b"once"]


def test_the_same_key_with_another_body_is_refused_and_writes_nothing(ledger):
    def job(body):
        repeat = idempotency.named("key", body)
        return lambda tx: idempotency.once(tx, repeat, 0, lambda: b"%d" % tx.append(body))

    ledger.writer.submit(job(b"one")).result(60)
    with pytest.raises(idempotency.Mismatch):
        ledger.writer.submit(job(b"two")).result(60)
    assert ledger.bodies() == [b"one"]


def test_two_equal_requests_at_once_are_one_entry(ledger):
    repeat = idempotency.named("key", b"body")
    job = lambda tx: idempotency.once(tx, repeat, 0, lambda: b"%d" % tx.append(b"once"))  # noqa: E731
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ledger.writer.submit(job).result(60), range(16)))
    assert {answer for answer, _ in answers} == {b"0"}
    assert sum(not replayed for _, replayed in answers) == 1


def test_a_caller_who_hangs_up_leaves_no_lock_and_no_half_entry(ledger):
    async def hangs_up():
        gate = threading.Event()

        def slow(tx):
            gate.wait(60)
            return tx.append(b"whole")

        task = asyncio.create_task(ledger.writer.commit(slow))
        await asyncio.sleep(0.01)
        task.cancel()
        gate.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(hangs_up())
    assert ledger.append(b"next") == [1]
    assert ledger.bodies() == [b"whole", b"next"]


def test_a_writer_that_was_closed_is_followed_by_another_on_the_same_ledger(ledger):
    ledger.says(1)
    ledger.writer.close()
    ledger.writer = Writer(ledger.store, Vault, ledger.watch, ledger.publisher)
    ledger.says(2)
    assert ledger.denies(1)
    assert ledger.denies(2)
    assert ledger.size().size == 2


def test_entries_are_neither_changed_nor_taken_away(ledger):
    ledger.append(*BODIES[:3])
    for harm in ("UPDATE entry SET body = x'00'", "DELETE FROM entry WHERE seq = 1"):
        with pytest.raises(StoreUnavailable):
            ledger.writer.submit(lambda tx, harm=harm: tx.db.execute(harm)).result(60)
    assert ledger.bodies() == BODIES[:3]


@pytest.mark.parametrize("harm", ["UPDATE head SET frontier = x''", "UPDATE head SET size = 2"])
def test_a_head_that_is_not_of_its_entries_is_refused(ledger, harm):
    ledger.append(*BODIES[:3])
    ledger.writer.close()
    with ledger.store.held(), contextlib.closing(ledger.store.open_to_write()) as db:
        db.execute(harm)
    with pytest.raises(LedgerRefused), ledger.store.held():
        ledger.store.open_to_write().close()


def test_a_ledger_smaller_than_the_last_signed_one_is_not_signed(ledger):
    """As after an older copy was put back: the store of checkpoints knows better."""
    ledger.append(*BODIES[:3])
    with contextlib.closing(ledger.store.open_to_read()) as db:
        kept = ledger.publisher.store(db)
        larger = replace(kept.last(), size=9, root=reference(BODIES[:9]).root())
        kept.swap(kept.last(), larger)
        with pytest.raises(RolledBack, match="signed at 9 entries"):
            ledger.publisher.prove(db)


def test_a_crash_between_the_commit_and_the_checkpoint_is_made_up_for(ledger):
    ledger.append(b"one")
    publish, ledger.publisher.publish = ledger.publisher.publish, lambda *_: (_ for _ in ()).throw(OSError)
    with pytest.raises(StoreUnavailable):
        ledger.append(b"two")
    ledger.publisher.publish = publish
    assert ledger.append(b"three") == [2]
    assert (ledger.size().size, ledger.size().root) == (3, reference([b"one", b"two", b"three"]).root())


def test_an_opt_in_after_an_opt_out_counts_and_an_opt_out_after_that_too(ledger):
    states = []
    for kind in (ChoiceKind.OPT_OUT, ChoiceKind.OPT_IN, ChoiceKind.OPT_OUT):
        ledger.says(1, kind)
        states.append(ledger.denies(1))
    assert states == [True, False, True]
    assert not ledger.denies(2)


def test_a_receipt_is_there_with_the_answer_and_still_holds_later(ledger):
    events = [ledger.says(number).event for number in range(20)]
    early = ledger.log.receipts([events[0]])[0]
    ledger.append(*BODIES[:300])
    for made in (early, *ledger.log.receipts(events)):
        signed = note.parse_checkpoint(note.text_of(made.note))
        merkle.check_inclusion(made.index, signed.size, merkle.leaf_hash(made.entry), made.proof, signed.root)
    assert ledger.log.receipts([b"x" * 16]) == [None]


def at_hand(ledger, *written):
    return ledger.log.receipts_at_hand([(b64(each.event), each.seq) for each in written])


def test_what_was_just_written_has_its_receipt_without_anything_being_read(ledger, monkeypatch):
    ledger.append(*BODIES[:254])
    written = [ledger.says(number) for number in range(5)]
    read = ledger.log.receipts([each.event for each in written], lasting=False)
    monkeypatch.setattr(type(ledger.store), "open_to_read", None)
    for each, later in zip(at_hand(ledger, *written), read, strict=True):
        signed = note.parse_checkpoint(note.text_of(each.note))
        merkle.check_inclusion(each.index, signed.size, merkle.leaf_hash(each.entry), each.proof, signed.root)
        assert signed.size == each.index + 1
        assert (each.index, each.entry) == (later.index, later.entry)
    assert at_hand(ledger, written[-1]) == [read[-1]]  # under the same checkpoint both are the same


def test_receipts_hold_where_processes_write_in_turn(ledger):
    publisher = Publisher(ledger.publisher._folder, ledger.publisher._store_folder, ledger.publisher._signing)
    other = Ledger(ledger.store, ledger.watch, publisher, ledger.checkpoints)
    for number in range(12):
        writes = (ledger, other)[number % 2]
        writes.append(*BODIES[: 40 * (number % 3)])
        written = writes.says(number)
        (each,) = at_hand(writes, written)
        assert each == writes.log.receipts([written.event], lasting=False)[0]
        assert at_hand((other, ledger)[number % 2], written) is None
    other.close()


def test_a_place_alone_gets_nobody_a_receipt_and_neither_does_a_ledger_that_nobody_may_sign(ledger):
    written, later = ledger.says(1), ledger.says(2)
    assert at_hand(ledger, replace(written, seq=later.seq)) is None
    assert at_hand(ledger, replace(written, seq=9)) is None
    assert ledger.log.receipts_at_hand([(b64(written.event), None)]) is None
    ledger.log.refuse({"auditor": "a witness has seen another log"})
    assert at_hand(ledger, written) is None


def test_an_act_that_is_taken_back_in_its_batch_leaves_nothing_in_others_receipts(ledger):
    def fails(tx):
        tx.append(b"taken back")
        raise KeyError

    begun = threading.Event()
    blocking = ledger.writer.submit(lambda _: begun.wait(30))  # so that the next ones share a batch
    first = ledger.writer.submit(lambda tx: tx.append(b"one"))
    failing = ledger.writer.submit(fails)
    choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", BEGAN)
    last = ledger.writer.submit(lambda tx: records.write_choice(tx, ledger.subject(1), choice, os.urandom(16)))
    begun.set()
    assert (blocking.result(30), first.result(30), last.result(30).seq) == (True, 0, 1)
    with pytest.raises(KeyError):
        failing.result(30)
    assert at_hand(ledger, last.result()) == ledger.log.receipts([last.result().event], lasting=False)


@pytest.mark.parametrize("most", ["AT_HAND", "BATCHES_AT_HAND"])
def test_only_so_many_receipts_stay_at_hand(ledger, monkeypatch, most):
    monkeypatch.setattr(receipts, most, 3)
    written = [ledger.says(number) for number in range(5)]
    assert [at_hand(ledger, each) is not None for each in written] == [False, False, True, True, True]


def test_receipts_of_many_entries_are_left_to_a_thread_and_nothing_is_made_where_one_is_missing(ledger, monkeypatch):
    written = [ledger.says(number) for number in range(17)]
    assert len(at_hand(ledger, *written[1:])) == 16
    assert at_hand(ledger, *written) is None
    asked = []
    monkeypatch.setattr(receipts.ReceiptsAtHand, "receipt", lambda *each: asked.append(each))
    assert at_hand(ledger, *written[1:]) is None
    assert len(asked) == 1


def test_time_that_goes_back_loses_nothing(ledger):
    for at in (BEGAN, BEGAN.replace(year=2020), BEGAN):
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", at)
        ledger.writer.submit(
            lambda tx, choice=choice: records.write_choice(tx, ledger.subject(1), choice, os.urandom(16))
        ).result(60)
    assert (ledger.denies(1), len(ledger.bodies())) == (True, 3)


def test_another_process_sees_it_and_waits_for_its_turn(ledger):
    if isinstance(ledger.store, MemoryStore):
        pytest.skip("this store is of one process alone")
    other = Writer(ledger.store, Vault, ledger.watch, replace_publisher(ledger))
    try:
        numbers = [(ledger.writer, other)[at % 2].submit(lambda tx, at=at: tx.append(b"%d" % at)) for at in range(40)]
        assert sorted(each.result(60) for each in numbers) == list(range(40))
    finally:
        other.close()
    assert ledger.size().size == 40


def replace_publisher(ledger):
    return publisher_of(ledger.store.folder, inside.settings(), secret_files.load_secrets(ledger.store.folder))
