"""Two machines on one PostgreSQL, opened in one process, so that what one does falls between two steps of the other."""

import asyncio
import contextlib
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from support import inside, postgres_server
from support.people import email, named
from support.postgres_proxy import PostgresProxy
from support.several_hosts import joined
from support.together import until

from gateway.app import composition, maintenance
from gateway.app.composition import open_house, store_of, verify_ledger
from gateway.consent import leases as leases_of
from gateway.consent.leases import LATE, LONGEST, HeldLeases, Leases
from gateway.consent.witnesses import SIZE_TYPE, KnownWitness, Witnessing
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.keys import secret_files
from gateway.keys.epochs import Epochs
from gateway.keys.shared_epochs import SharedEpochs
from gateway.ledger import erasure_steps, schema
from gateway.ledger.audit.witness import Witness as Signing
from gateway.ledger.audit.witness import WitnessSeen
from gateway.ledger.errors import LedgerRefused, NothingKept
from gateway.ledger.folder_store import store_in
from gateway.ledger.proof.ed25519 import CosignatureVerifier, Cosigner, Ed25519Signer, Ed25519Verifier
from gateway.ledger.publisher import CheckpointStore
from gateway.ledger.subjects import Choice, milliseconds
from gateway.postgres import address
from gateway.state.upkeep import HostState
from gateway.terms import ALL_PURPOSES, ChoiceKind, Erasing

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7, seconds=1)
SETTINGS = inside.settings()
WITNESS = Cosigner("witness.example.com/w1", b"w" * 32, lambda: 1_700_000_000)
ADDRESS = KnownWitness("https://witness.example.com/w1", CosignatureVerifier(WITNESS.name, WITNESS.public))


def longest(leases, position):
    return asyncio.run(leases.latest(position))


@pytest.fixture
def folders(postgres, tmp_path):
    first = postgres_server.installed(postgres, tmp_path / "first")
    return first, joined(first, address.url_in(first), tmp_path / "second")


@contextlib.contextmanager
def opened(folders, at=AT):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(open_house(each, SETTINGS, dev=True, clock=lambda: at)) for each in folders]


def people(house, number):
    return house.consent.people.name([named("email", email(number))]).subjects


def opt_out(house, number):
    choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", house.consent.clock(), details={"page": "settings"})
    return asyncio.run(house.consent.choose(people(house, number), choice, settle=True))


def word(house, number):
    """Once it answers: on a busy machine a lease may be over."""

    def answered():
        found = house.consent.checks.read_back(people(house, number), ALL_PURPOSES)["sale"]
        return found if found != "unknown" else None

    return until(answered, "it answers nobody")


def epochs(folder):
    return Epochs(folder, secret_files.load_secrets(folder).wraps)


def signed(folder):
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        (ledger,) = db.execute("SELECT ledger FROM head").fetchone()
    last = CheckpointStore(store_of(folder, SETTINGS), ledger).last()
    return last.size if last else 0


def test_each_takes_its_turn_and_neither_signs_what_does_not_grow_out_of_what_the_other_made(folders):
    with opened(folders) as houses:
        for number in range(6):
            told = opt_out(houses[number % 2], number)
            assert (told.events[0]["seq"], [word(each, number) for each in houses]) == (number, ["opted_out"] * 2)
        until(lambda: [signed(each) for each in folders] == [6, 6], "what the other made was not taken over")
    with psycopg.connect(address.url_in(folders[0]), autocommit=True) as db:
        db.execute("SET search_path = gateway_ledger")
        before = db.execute("SELECT size, frontier FROM head").fetchone()
    with opened(folders[:1]) as (first,):
        opt_out(first, 7)
        size = first.writer.submit(lambda tx: tx.size).result(60)
    with opened(folders[1:]):
        until(lambda: signed(folders[1]) == size, "what came while it was away was not taken over")
    with psycopg.connect(
        postgres_server.office_url(folders[0]), autocommit=True
    ) as db:  # as a server that was put back
        db.execute("SET search_path = gateway_ledger")
        db.execute("SET session_replication_role = replica")  # no trigger keeps it
        db.execute("UPDATE head SET size = %s, frontier = %s", before)
        db.execute("DELETE FROM entry WHERE seq >= %s", before[:1])
    for each in folders:
        with pytest.raises(LedgerRefused, match="was signed at"), opened([each]):
            pass


def witnessing(house, folder, signing):
    """Asks a witness that signs for the log of both."""

    def post(_, body):
        try:
            return 200, "text/plain", signing.add_checkpoint(body).encode()
        except WitnessSeen as seen:
            return 409, SIZE_TYPE, b"%d\n" % seen.size

    return Witnessing(folder, house.consent.log_reader, {"auditor": ADDRESS}, post, 1)


@pytest.mark.parametrize("stopped", [False, True], ids=["goes on", "goes on again"])
def test_what_a_witness_saw_of_one_machine_stops_no_other_that_did_not_hear_of_it_yet(
    folders, tmp_path, monkeypatch, stopped
):
    with opened(folders) as (first, second):
        opt_out(second, 1)
        monkeypatch.setattr(second.writer, "_advance", lambda: None)
        origin = second.consent.log_reader.origin()
        own = [Ed25519Verifier.from_vkey(Ed25519Signer(origin, seed).vkey) for seed in second.secrets.signing]
        signing = Signing(tmp_path, [WITNESS], own)
        for number in (2, 3):
            opt_out(first, number)
        witnessing(first, folders[0], signing).ask()
        assert signed(folders[1]) < signed(folders[0])
        asks = witnessing(second, folders[1], signing)
        if stopped:
            second.consent.log_reader.refuse({"auditor": "a witness has seen another log"})
        for _ in range(2):
            asks.ask()
        assert signed(folders[1]) == signed(folders[0])
        assert asks.seen()["auditor"] is not None
        until(second.fresh, "it is stopped")
        opt_out(second, 4)


def test_what_a_witness_saw_and_no_machine_has_stops_all_that_hear_of_it(folders, monkeypatch):
    with opened(folders) as (first, second):
        opt_out(first, 1)
        until(lambda: signed(folders[1]) == signed(folders[0]), "it does not hear of it")
        asks = Witnessing(
            folders[1], second.consent.log_reader, {"auditor": ADDRESS}, lambda *_: (409, SIZE_TYPE, b"1000\n"), 1
        )
        asks.ask()
        until(lambda: not second.fresh(), "it answers")
        assert "signed 1000 entries" in second.writer._watch.why


def test_an_epoch_that_one_begins_is_what_both_wrap_by_and_each_opens_what_the_other_wrote(folders):
    with opened(folders) as houses:
        for number in range(4):
            opt_out(houses[number % 2], number)
    with opened(folders, AT + WEEK) as (first, second):
        first.writer.submit(lambda tx: tx.size).result(60)
        until(lambda: epochs(folders[0]).newest.begun > 0 and epochs(folders[0]).newest.number > 1, "none was begun")
        begun = epochs(folders[0]).newest.number
        person = second.writer.submit(lambda tx: tx.persons.new_person()).result(60).person
        assert epochs(folders[1]).newest.number == begun, "it goes on with the epoch before"
        for house in (first, second):
            found = house.writer.submit(lambda tx: tx.persons.keys(person)).result(60)
            assert found.details
            assert found.openings
        opt_out(second, 5)
        until(lambda: all(each.empty for folder in folders for each in epochs(folder).older), "an older one is used")
    for each in folders:
        report, _ = verify_ledger(each, SETTINGS, boxes=True)
        assert report.passed, report


@pytest.mark.parametrize("comes_to_it", [maintenance.join, maintenance.take_over, maintenance.go_on])
def test_no_epoch_counts_as_empty_behind_what_is_done_where_a_server_was_put_back(folders, comes_to_it):
    """Keys of before may be there again: on the day on which it dies they would go."""
    settings, second = inside.settings(store__owner=postgres_server.office_url(folders[0])), folders[1]
    for at in (AT, AT + WEEK):
        with opened(folders[1:], at) as (house,):
            opt_out(house, 1)
            until(lambda at=at: epochs(second).newest.begun == milliseconds(at), "none was begun")
            until(lambda: all(each.empty for each in epochs(second).older), "an older one is used")
    assert epochs(second).older
    if comes_to_it is maintenance.go_on:
        shutil.rmtree(store_of(second, SETTINGS))  # what was signed there is not known any more
    comes_to_it(second, settings)
    assert not [each.number for each in epochs(second).all if each.empty]


def test_one_that_lacks_the_epoch_before_writes_nothing_and_says_what_to_copy(folders):
    with opened(folders[:1]) as (first,):
        opt_out(first, 1)
    for turn in (1, 2):
        number = epochs(folders[0]).newest.number
        with opened(folders[:1], AT + turn * WEEK) as (first,):
            first.writer.submit(lambda tx: tx.size).result(60)
            until(lambda number=number: epochs(folders[0]).newest.number > number, "none was begun")
    with psycopg.connect(address.url_in(folders[0]), autocommit=True) as db:  # its opener died
        db.execute("SET search_path = gateway_ledger")
        db.execute("DELETE FROM shared_epoch WHERE number < (SELECT max(number) FROM shared_epoch)")
    with opened(folders[1:], AT + 2 * WEEK) as (second,), pytest.raises(NothingKept, match="EpochsMissed"):
        second.writer.submit(lambda tx: tx.size).result(60)


@pytest.mark.parametrize("told", [True, False], ids=["told", "control: not told"])
def test_who_is_forgotten_on_one_is_forgotten_on_the_other_whose_state_goes_on(folders, monkeypatch, told):
    anew, makes = [], HostState._from_nothing
    with opened(folders) as (first, second):
        for number in range(3):
            opt_out(second, number)
        monkeypatch.setattr(HostState, "_from_nothing", lambda self, log: anew.append(log.head) or makes(self, log))
        if not told:
            monkeypatch.setattr(SharedEpochs, "told_elsewhere", lambda *_: [])
        asyncio.run(first.consent.erase(ErasureOrder(Erasing.UNLINK, people(first, 1), AT)))
        opt_out(first, 4)
        assert [word(second, number) for number in (0, 2, 4)] == ["opted_out"] * 3
        assert word(second, 1) == word(first, 1)
        assert bool(anew) is not told
    for each in folders:
        report, _ = verify_ledger(each, SETTINGS, boxes=True)
        assert report.passed, report


def stands_behind_an_unlink(first, second, number, monkeypatch, *, waits):
    """Whether the second machine, which hears of what others wrote and is busy, knows a no still once it is said that
    its person is forgotten.
    """
    opt_out(first, number)
    assert word(second, number) == "opted_out"
    with monkeypatch.context() as patch:
        patch.setattr(second.writer, "_follow", lambda: None)
        freed = threading.Timer(0.5, patch.undo)
        if waits:  # else it stays busy for as long as that takes
            freed.start()
        else:
            patch.setattr(first.consent.leases, "all_of_now", lambda: asyncio.sleep(0))
        asyncio.run(first.consent.erase(ErasureOrder(Erasing.UNLINK, people(first, number), AT)))
        found = second.consent.checks.read_back(people(second, number), ALL_PURPOSES)["sale"]
        if waits:
            freed.join()
    return found == "opted_out"


def test_a_no_that_comes_to_the_other_behind_an_unlink_is_taken_for_none_that_stands(folders, monkeypatch):
    with opened(folders) as (first, second):
        assert not stands_behind_an_unlink(first, second, 1, monkeypatch, waits=True)


def test_the_control_where_nobody_waits_such_a_no_is_forgotten(folders, monkeypatch):
    """That machine knows the no of before still, and writes none; one that did not hear in time answers nobody, as a
    busy machine may.
    """
    with opened(folders) as (first, second):
        assert any(stands_behind_an_unlink(first, second, each, monkeypatch, waits=False) for each in range(1, 9))


def test_an_erasure_that_another_machine_writes_meanwhile_is_not_called_done(folders):
    with opened(folders) as (first, _):
        db = first.writer._ledger()
        for seq in (5, 6):
            db.execute("INSERT INTO erasure (seq, mode, at) VALUES (?, 'erase_details', 0)", (seq,))
            db.execute("INSERT INTO erasure_person VALUES (?, ?, 0)", (seq, b"p%d" % seq))
            if seq == 5:
                last = erasure_steps.destroy_keys(db, first.writer._vault)
        erasure_steps.mark_done(db, last)
        assert db.execute("SELECT seq FROM erasure WHERE NOT done").fetchall() == [(6,)]
        assert db.execute("SELECT seq FROM erasure_person").fetchall() == [(6,)]
        erasure_steps.finish_erasure(db, first.writer._vault)
        assert not erasure_steps.is_pending(db)


def test_a_lease_of_another_machine_ends_by_our_own_clock_and_by_nothing_that_it_wrote(folders):
    at = [1000.0]
    store = store_in(folders[0])
    with (
        contextlib.closing(Leases(store, 2.0, lambda: at[0])) as leases,
        psycopg.connect(address.url_in(folders[0]), autocommit=True) as db,
    ):
        db.execute("SET search_path = gateway_ledger")
        position = leases.position()
        assert longest(leases, position) == LONGEST + LATE, "it was never seen before"
        at[0] += LONGEST
        assert longest(leases, position) == LONGEST + LATE
        at[0] += LATE
        assert longest(leases, position) == 0, "a whole term with the same row"
        db.execute("UPDATE host SET renewals = renewals - 1000000")  # whatever it says
        assert longest(leases, position) == LONGEST + LATE
        db.execute("UPDATE host SET applied = %s", (position,))
        assert longest(leases, position) == 0, "it has it"
        assert longest(leases, position + leases_of.end_behind(0)) == LONGEST + LATE, "this server does not know of it"


def test_who_is_behind_is_read_once_for_all_choices_that_were_committed_together(folders, monkeypatch):
    with contextlib.closing(Leases(store_in(folders[0]), 2.0, lambda: 1000.0)) as leases:
        position, reads, read = leases.position(), [], leases._read
        monkeypatch.setattr(leases, "_read", lambda: reads.append(True) or read())

        async def asked():
            return await asyncio.gather(*(leases.latest(position + number) for number in range(9)))

        assert asyncio.run(asked()) == [LONGEST + LATE] * 9
        assert len(reads) == 1


def test_of_two_machines_one_tells_and_the_other_when_that_one_is_gone(folders):
    first, second = (store_in(each).claim("telling") for each in folders)
    assert (first(), second(), first()) == (True, False, True)
    first._db.end()
    assert second()
    assert not first()
    second._db.end()
    time.sleep(0)


def test_a_proof_without_a_state_that_answers_is_none_to_answer_by(folders, monkeypatch):
    """A machine that begins, or whose state is made anew, was waited for by nobody."""
    with opened(folders) as (_, second):
        watch = second.writer._watch
        until(second.fresh, "it answers nobody")
        monkeypatch.setattr(second.keeper, "wants", lambda _: False)
        second.keeper.state.deny()
        watch.prove()
        assert (watch.why, watch.fresh_until) == ("", 0.0)
        second.writer._keep_state = lambda: None
        second.keeper.state._current().mark.set_behind(behind=False)
        assert not watch.fresh(), "it answers by a lease of before"
        watch.prove()
        assert watch.fresh()


def test_a_machine_waits_for_itself_as_well_where_another_one_wrote(folders):
    applied = [0]

    async def commits():
        return position

    with contextlib.closing(
        Leases(store_in(folders[0]), 2.0, lambda: 1000.0, applied=lambda: applied[0], commits=commits)
    ) as own:
        position = own.position()
        with psycopg.connect(address.url_in(folders[0]), autocommit=True) as db:
            db.execute("UPDATE gateway_ledger.host SET applied = %s", (position,))
        assert longest(own, position) == LONGEST + LATE
        assert not asyncio.run(own.settles(0.05)), "a page would say Honored"
        applied[0] = position
        assert longest(own, position) == 0
        assert asyncio.run(own.settles(30))


def test_what_is_on_record_by_now_is_asked_of_a_commit_and_of_no_server_that_another_took_the_place_of(
    folders, monkeypatch
):
    """That one lies behind a cut and goes on answering what it knew, to whoever is connected to it still."""
    with opened(folders[:1]) as (first,):
        own, waited = first.consent.leases, []
        knew = own.position()
        opt_out(first, 1)
        now = first.writer.submit(lambda tx: tx.position).result(60)
        monkeypatch.setattr(own, "position", lambda: knew)
        monkeypatch.setattr(own, "_read", lambda: HeldLeases([], knew, own.now()))
        assert not asyncio.run(own.settles(1.0)), "a page would say Honored"
        monkeypatch.setattr(own, "settled", lambda position: asyncio.sleep(0, waited.append(position)))
        asyncio.run(own.all_of_now())
        assert waited == [now]


@pytest.mark.parametrize("lost", ["while it renews", "while it says what it has"])
def test_once_a_machine_renews_on_another_connection_none_of_before_is_handed_out_again(folders, lost):
    """A moving address may lead to another server by then, and the one of before may live on and answer."""

    def session(db):
        return db.execute("SELECT pg_backend_pid()").fetchone()

    with opened(folders[:1]) as (first,):
        store, watch = first.writer.store, first.writer._watch
        used, idle = store.open_to_read(), store.open_to_read()
        before, generation = {session(used), session(idle)}, watch.generation
        idle.close()
        with watch._proving:
            watch._db.cut() if lost == "while it renews" else watch._let_go()
        until(lambda: watch.generation > generation and watch.fresh(), "it renews nowhere")
        used.close()
        now = [store.open_to_read() for _ in range(2)]
        assert not before & {session(each) for each in now}
        kept = session(now[0])
        now.pop(0).close()
        assert session(store.open_to_read()) == kept, "it opens one each time"
        now.pop().end()


def test_a_machine_whose_gateway_is_older_than_the_ledger_by_now_writes_and_answers_nothing(folders):
    with opened(folders) as (first, _), psycopg.connect(address.url_in(folders[0]), autocommit=True) as db:
        word(first, 1)
        db.execute("UPDATE gateway_ledger.setting SET value = value + 1 WHERE name = 'user_version'")
        with pytest.raises(NothingKept):
            first.writer.submit(lambda tx: tx.size).result(60)
        first.writer._watch.prove()
        assert not first.fresh()
        assert "version" in first.writer._watch.why
        db.execute("UPDATE gateway_ledger.setting SET value = value - 1 WHERE name = 'user_version'")
        until(first.fresh, "it does not go on")


def test_an_erasure_between_another_machines_commit_and_its_fold_makes_no_state_anew(folders, monkeypatch):
    anew, makes = [], HostState._from_nothing
    with opened(folders) as (first, second):
        for number in range(3):
            opt_out(second, number)
        word(first, 1)
        monkeypatch.setattr(HostState, "_from_nothing", lambda self, log: anew.append(log.head) or makes(self, log))
        publish = second.writer._publisher.publish
        order = [ErasureOrder(Erasing.UNLINK, people(first, 1), AT)]

        def meanwhile(*given):
            publish(*given)
            if order:
                asyncio.run(first.consent.erase(order.pop()))

        second.writer._publisher.publish = meanwhile
        opt_out(second, 4)
        assert not order
        assert [word(second, number) for number in (0, 2, 4)] == ["opted_out"] * 3
        assert word(second, 1) == word(first, 1)
        assert not anew


@pytest.mark.parametrize("act", ["an unlink", "an opt-out"])
def test_a_state_that_is_made_while_another_machine_forgets_somebody_is_made_once(folders, monkeypatch, act):
    anew, makes = [], HostState._from_nothing
    with opened(folders) as (first, second):
        for number in range(3):
            opt_out(second, number)
        unlink = ErasureOrder(Erasing.UNLINK, people(first, 1), AT)
        acts = {"an unlink": lambda: asyncio.run(first.consent.erase(unlink)), "an opt-out": lambda: opt_out(first, 1)}

        def meanwhile(its, log):
            if its is not second.keeper.state:
                return makes(its, log)
            made = makes(its, log)
            anew.append(log.head)
            if len(anew) <= 2:
                acts[act]()
            return made

        monkeypatch.setattr(HostState, "_from_nothing", meanwhile)
        second.keeper.state._held.mark.set_torn()
        until(lambda: anew and second.fresh(), "it is not made")
        assert [word(second, number) for number in (0, 2)] == ["opted_out"] * 2
        assert word(second, 1) == word(first, 1)
        assert len(anew) == 1


def applied(folder):
    """Up to where all machines said that they have the ledger."""
    with psycopg.connect(address.url_in(folder)) as db:
        return db.execute("SELECT min(applied) FROM gateway_ledger.host").fetchone()[0]


@pytest.mark.parametrize("act", ["an unlink", "two unlinks", "an opt-out"])
def test_one_that_is_compacted_meanwhile_takes_the_place_of_the_one_before(folders, monkeypatch, act):
    compacted, makes = [], HostState._compacted
    with opened(folders) as (first, second):
        for number in range(4):
            opt_out(second, number)

        def unlink(number):
            asyncio.run(first.consent.erase(ErasureOrder(Erasing.UNLINK, people(first, number), AT)))
            until(lambda: applied(folders[0]) >= second.keeper.state.position(), "one does not say that it has it")

        acts = {
            "an unlink": lambda: unlink(1),
            "two unlinks": lambda: (unlink(1), unlink(2)),
            "an opt-out": lambda: opt_out(first, 1),
        }

        def meanwhile(its):
            made = makes(its)
            if its is second.keeper.state:
                compacted.append(made)
                if len(compacted) == 1:
                    acts[act]()
            return made

        monkeypatch.setattr(HostState, "_compacted", meanwhile)
        unlink(0)
        second.keeper._tidies_at = 0.0
        until(lambda: compacted and second.keeper.state._held is compacted[0], "it is not put in force")
        until(lambda: second.keeper._busy is None, "it is made on")
        assert [word(second, number) for number in (0, 1, 3)] == [word(first, number) for number in (0, 1, 3)]


def test_a_machine_that_listens_where_nothing_comes_through_any_more_listens_anew(postgres, tmp_path):
    first = postgres_server.installed(postgres, tmp_path / "first")
    with (
        contextlib.closing(PostgresProxy(address.url_in(first))) as proxy,
        opened((first, joined(first, proxy.url, tmp_path / "second"))) as houses,
    ):
        until(lambda: len(proxy.listeners) == 1, "nobody listens")
        proxy.still = set(proxy.listeners)
        until(lambda: len(proxy.listeners) == 2, "it listens on")
        opt_out(houses[0], 0)
        assert word(houses[1], 0) == "opted_out"


@pytest.mark.parametrize("cut_off", [False, True], ids=["at-once", "behind-one-that-was-cut-off"])
def test_of_two_machines_one_makes_the_new_pepper_and_the_other_is_told_to_copy_it(folders, monkeypatch, cut_off):
    (first, second), settings = folders, inside.settings(store__owner=postgres_server.office_url(folders[0]))
    with opened(folders) as houses:
        opt_out(houses[0], 1)
    if cut_off:
        secret_files.add_pepper(second)
    older, writing = secret_files.load_secrets(second), maintenance._writing

    @contextlib.contextmanager
    def late(folder, *given):
        with writing(folder, *given) as writer:
            if folder == second:
                maintenance.pepper(first, settings)
            yield writer

    monkeypatch.setattr(maintenance, "_writing", late)
    says = "other secrets.*from one that serves" if cut_off else "copy secrets"
    for _ in range(2):
        with pytest.raises(LedgerRefused, match=says):
            maintenance.pepper(second, settings)
        monkeypatch.undo()
    assert secret_files.load_secrets(second) == older
    with pytest.raises(LedgerRefused, match=says), opened([second]):
        pass
    secret_files.store(second, secret_files.load_secrets(first))
    with opened(folders) as houses:
        assert [word(each, 1) for each in houses] == ["opted_out"] * 2
    assert maintenance.pepper(second, settings)[1] == 3
    assert maintenance.take_back(second, schema.version_wanted()) == schema.version_wanted()
    [first_mark, *_] = secret_files.load_secrets(second).marks
    assert bears(second) == first_mark
    with opened([second]):
        assert bears(second) == first_mark
    composition.migrate(second, owner=settings.store.owner)
    assert bears(second) == secret_files.load_secrets(second).marks[-1]
    with pytest.raises(LedgerRefused, match="stay with this one"):
        maintenance.take_back(second, schema.version_wanted() - 1)


def bears(folder):
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        return db.execute("PRAGMA application_id").fetchall()[0][0]
