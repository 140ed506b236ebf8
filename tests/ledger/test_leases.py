"""How long a replica that is behind may go on, on a clock of the test's own."""

import asyncio
import contextlib
import sqlite3
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.consent import leases as leases_of
from gateway.consent.leases import LATE, Leases, Renewal
from gateway.fold.record import ActUsed, Record
from gateway.ledger.store import SqliteStore

TERM = 2.0


def longest(leases, position):
    return asyncio.run(leases.latest(position))


class Ledger:
    """One table of leases and a number of changes, with a clock that is moved by hand."""

    def __init__(self, house):
        self.house, self.at, self.boot = house, 1000.0, b"b" * 16
        self.leases = self.started()

    def started(self, boot=None, term=TERM):
        return Leases(self.house.writer.store, term, lambda: self.at, boot or self.boot)

    def do(self, job):
        return self.house.writer.submit(job).result(60)

    def change(self):
        self.do(lambda tx: tx.say([Record(tx.size, 0, b"k" * 16, ActUsed("acme"))], 0))
        return self.leases.position()

    def renew(self, applied, holder="a"):
        return self.do(lambda tx: self.leases.renew(tx, Renewal(holder, "test", applied)))


@pytest.fixture
def ledger(house):
    made = Ledger(house)
    yield made
    made.leases.close()


def test_a_new_replica_gets_a_lease_with_everything_and_none_with_less(ledger):
    position = ledger.change()
    assert ledger.renew(position - 1).seconds == 0
    assert ledger.renew(position).seconds == TERM


def test_one_that_knows_more_than_there_is_follows_another_ledger(ledger):
    assert ledger.renew(ledger.leases.position() + 1).seconds == 0


def test_a_replica_that_keeps_up_is_renewed_while_people_write(ledger):
    ledger.renew(ledger.leases.position())
    for _ in range(20):
        known = ledger.leases.position()
        ledger.change()  # between what it has applied and what it asks
        ledger.at += TERM / 3
        assert ledger.renew(known).seconds > TERM / 2


def test_a_replica_whose_lease_is_over_gets_a_new_one_only_with_everything(ledger):
    """Nobody waited for it, so whatever was acknowledged meanwhile must be there first."""
    known = ledger.leases.position()
    ledger.renew(known)
    ledger.at += TERM + 0.1
    position = ledger.change()
    assert longest(ledger.leases, position) == 0
    assert ledger.renew(known).seconds == 0
    assert ledger.renew(position).seconds == TERM


@pytest.mark.parametrize("waits", [0.1, LATE + 0.1])
def test_one_that_is_behind_is_told_of_no_lease_that_could_be_read_only_after_the_one_before_was_over(ledger, waits):
    """A commit may wait for its disk: whoever looks meanwhile sees the old end, and takes it for the end."""
    known = ledger.leases.position()
    assert ledger.renew(known - 1).seconds == 0  # it comes, and is waited for
    position, looked = ledger.change(), []

    def renews(tx):
        granted = ledger.leases.renew(tx, Renewal("a", "test", known))
        ledger.at += waits
        looked.append(longest(ledger.leases, position))
        return granted

    granted = ledger.do(renews)
    assert granted.seconds > 0
    told = ledger.leases.in_time(granted).seconds
    assert (told > 0, looked[0] > 0) == ((True, True) if waits < LATE else (False, False))


def test_one_that_has_everything_is_told_of_its_lease_however_long_the_commit_took(ledger):
    ledger.renew(ledger.leases.position())
    granted = ledger.renew(ledger.leases.position())
    ledger.at += TERM
    assert ledger.leases.in_time(granted).seconds == TERM


def test_a_lease_that_is_renewed_while_somebody_reads_for_long_is_not_over_for_him(ledger, monkeypatch):
    """He may stand still between reading and looking at the clock."""
    known = ledger.leases.position()
    ledger.renew(known)
    position, began, reads = ledger.change(), ledger.at, ledger.leases._read

    async def stands_still():
        found = reads()
        assert ledger.leases.in_time(await asyncio.to_thread(ledger.renew, known)).seconds > 0
        ledger.at = began + TERM + LATE / 2
        return found

    ledger.at += TERM - 0.1
    monkeypatch.setattr(ledger.leases, "_read_in_turn", stands_still)
    assert longest(ledger.leases, position) > 0


@examples(60)
@given(pauses=st.lists(st.floats(0.01, TERM * 1.2), max_size=12), before=st.floats(0, TERM))
def test_one_that_renews_and_never_applies_is_over_within_a_term_and_a_bit(ledger_of, pauses, before):
    """However it times its renewals: it may answer for at most the term and `LATE` after the first change it lacks."""
    ledger = ledger_of
    known = ledger.change()
    ledger.do(lambda tx: tx.db.execute("DELETE FROM lease"))
    may_until = ledger.at + ledger.renew(known).seconds
    ledger.at += before
    came = ledger.at
    ledger.change()
    for pause in pauses:
        ledger.at += pause
        may_until = (
            max(may_until, ledger.at + ledger.renew(known).seconds) if ledger.renew(known).seconds else may_until
        )
    assert may_until <= came + TERM + LATE + 0.001
    ledger.at = came + TERM + LATE + 0.001
    assert longest(ledger.leases, ledger.leases.position()) == 0


@pytest.fixture(scope="module")
def ledger_of(tmp_path_factory):
    from support import inside

    from gateway.app.composition import open_house

    folder = inside.install(tmp_path_factory.mktemp("leases") / "data")
    with open_house(folder, inside.settings(), dev=True) as house:
        made = Ledger(house)
        yield made
        made.leases.close()


def test_a_gateway_that_starts_knows_the_leases_that_another_one_gave(ledger):
    ledger.renew(ledger.leases.position())
    position = ledger.change()
    after = ledger.started()
    assert longest(after, position) == TERM + LATE
    ledger.at += TERM
    assert longest(after, position) == 0
    after.close()


def test_one_that_starts_with_a_shorter_term_waits_for_what_was_granted_by_the_longer_one(ledger):
    known = ledger.leases.position()
    ledger.renew(known)
    position = ledger.change()
    after = ledger.started(term=0.1)
    assert longest(after, position) == TERM + LATE  # for whoever drains may renew it once more
    ledger.at += 0.1
    may_until = ledger.at + ledger.renew(known).seconds
    while (left := longest(after, position)) > 0:
        assert ledger.at + left >= may_until
        ledger.at += 0.1
    assert ledger.at >= may_until
    after.close()


@pytest.mark.parametrize("boot", [b"b" * 16, b"another machine "], ids=["of this machine", "of another one"])
def test_a_renewal_for_a_shorter_term_leaves_the_lease_waited_for_that_is_believed_until_its_answer_comes(ledger, boot):
    known = ledger.leases.position()
    believed = ledger.at + ledger.renew(known).seconds
    shorter = ledger.started(boot, 0.1)
    assert ledger.do(lambda tx: shorter.renew(tx, Renewal("a", "test", known))).seconds == 0.1
    position = ledger.change()
    for at in (ledger.at, believed - 0.01):
        ledger.at = at
        assert ledger.at + longest(shorter, position) >= believed
    ledger.at = believed
    assert longest(shorter, position) == 0
    shorter.close()


@pytest.mark.parametrize("then", [TERM, 0.1], ids=["the same", "shorter"])
def test_one_that_starts_waits_for_those_for_whom_an_older_release_waited_not(ledger, then):
    """It wrote one row for all of them, of nobody's name."""
    until = ledger.at + TERM
    row = ("whoever was not waited for", "", ledger.boot, int(until * 1000), -1, ledger.leases.position(), 0)
    ledger.do(lambda tx: tx.db.execute("INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?, ?)", row))
    position = ledger.change()
    after = ledger.started(term=then)
    assert ledger.at + longest(after, position) >= until
    ledger.at = until - 0.1
    assert longest(after, position) > 0
    ledger.at = until
    assert (longest(after, position), after.dropped()) == (0, [])
    after.close()


def test_after_a_boot_a_lease_of_before_it_is_waited_for_from_the_start_on(ledger):
    ledger.renew(ledger.leases.position())
    position = ledger.change()
    ledger.at = 3.0  # the clock begins anew
    after = ledger.started(boot=b"c" * 16)
    assert longest(after, position) > 0
    ledger.at += TERM + LATE
    assert longest(after, position) == 0
    after.close()


def test_whoever_waits_goes_on_when_the_replica_has_it_or_its_lease_is_over(ledger, monkeypatch):
    monkeypatch.setattr(leases_of, "LOOKS", 0.001)
    ledger.renew(ledger.leases.position())
    position = ledger.change()

    async def waits(happens):
        waiting = asyncio.create_task(ledger.leases.settled(position))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await asyncio.to_thread(happens)
        return await asyncio.wait_for(waiting, 30)

    asyncio.run(waits(lambda: setattr(ledger, "at", ledger.at + TERM)))
    ledger.renew(position)
    position = ledger.change()
    asyncio.run(waits(lambda: ledger.renew(position)))


def test_the_leases_are_read_once_for_all_who_go_on_in_one_turn_and_anew_for_those_of_the_next(ledger, monkeypatch):
    read, position = [], ledger.change()
    reads = ledger.leases._read
    monkeypatch.setattr(ledger.leases, "_read", lambda: read.append(None) or reads())

    async def turn():
        await asyncio.gather(*(ledger.leases.settled(position) for _ in range(16)))
        return len(read)

    async def turns():
        return [await turn(), await turn()]

    assert asyncio.run(turns()) == [1, 2]


@pytest.mark.parametrize("ask", [Leases.latest, Leases.settled])
def test_that_nobody_answers_from_before_is_known_as_of_the_reading_and_not_of_the_moment_before_it(
    ledger, monkeypatch, ask
):
    """Whoever held a lease until then may have answered meanwhile: the send window counts from there."""
    ledger.renew(ledger.leases.position())
    position, reads = ledger.change(), ledger.leases._read

    def slowly():
        ledger.at += TERM + 0.25
        return reads()

    monkeypatch.setattr(ledger.leases, "_read", slowly)
    assert asyncio.run(ask(ledger.leases, position)) == TERM + 0.25


def test_while_the_leases_cannot_be_read_everybody_waits_for_the_longest(ledger, monkeypatch):
    def fails():
        raise sqlite3.OperationalError

    for term in (TERM, 0.1):  # another one may have been granted than is configured now
        leases = ledger.started(term=term)
        monkeypatch.setattr(leases, "_read", fails)
        assert longest(leases, 1) == TERM + LATE


def test_who_waits_for_long_looks_less_often(ledger, monkeypatch):
    """Each look asks the ledger: one every 5 ms for a whole term would be 400."""
    looked, reads = [], ledger.leases._read

    async def sleeps(seconds):
        ledger.at += seconds

    monkeypatch.setattr(leases_of.asyncio, "sleep", sleeps)
    monkeypatch.setattr(ledger.leases, "_read", lambda: looked.append(ledger.at) or reads())
    ledger.renew(ledger.leases.position())

    async def read():
        return ledger.leases._read()

    asyncio.run(ledger.leases._settled(ledger.change(), read))
    assert len(looked) < 50
    assert looked[1] - looked[0] <= leases_of.LOOKS * 1.01


def test_a_server_that_says_nothing_keeps_nobody_waiting_for_longer_than_a_term(ledger, monkeypatch):
    """That is told of what is on record by now; what it was about is written."""
    monkeypatch.setattr(leases_of, "LONGEST", 0.02)
    monkeypatch.setattr(leases_of, "LATE", 0.02)
    monkeypatch.setattr(Leases, "shared", True)
    monkeypatch.setattr(ledger.leases, "_commits", lambda: asyncio.sleep(5))

    async def waits():
        async with asyncio.timeout(2):
            await ledger.leases.all_of_now()

    asyncio.run(waits())


def named(leases):
    return sum(1 for lease in leases._read().leases if lease.name)


@pytest.fixture
def beside(ledger, tmp_path):
    """(Leases that read a copy of the ledger's file in its place, what puts the right one back, the watch's count)."""
    store, generation = ledger.house.writer.store, [1]
    ledger.renew(ledger.leases.position())
    copy = SqliteStore(tmp_path / "copy")
    copy.folder.mkdir()
    with contextlib.closing(store.open_to_read()) as db:
        db.execute("VACUUM INTO ?", (str(copy.name),))
    made = Leases(copy, TERM, lambda: ledger.at, ledger.boot, generation=lambda: generation[0])
    assert named(made) == 1
    yield made, lambda: setattr(made, "_store", store), generation
    made.close()


def test_a_file_that_lay_in_the_ledgers_place_for_a_while_tells_nobody_that_no_lease_is_left(ledger, beside):
    """Its rows stand still, so that every lease in it is over soon."""
    leases, put_back, _ = beside
    known = ledger.leases.position()
    position = ledger.change()
    ledger.at += TERM - 0.1
    assert ledger.renew(known).seconds > 0, "it is behind, and may answer for a little longer"
    ledger.at += 0.2
    put_back()
    assert longest(leases, position) == TERM + LATE
    ledger.renew(position)
    assert longest(leases, position) == 0, "it goes on reading the other file"


def test_the_leases_are_read_from_the_file_that_the_watch_takes_for_the_ledger(ledger, beside):
    leases, put_back, generation = beside
    ledger.renew(ledger.leases.position(), holder="b")
    put_back()
    generation[0] += 1
    assert named(leases) == 2


def test_a_service_reads_its_leases_anew_when_its_watch_took_another_file(house):
    leases = house.consent.leases
    leases.position()
    before = leases._db
    house.writer._watch.generation += 1
    leases.position()
    assert leases._db is not before


def test_a_connection_is_not_closed_while_a_thread_reads_on_it(ledger, monkeypatch):
    """SQLite's library would take the process with it."""
    monkeypatch.setattr(leases_of, "ENDS_WITHIN", 0.01)
    ledger.leases.position()
    with ledger.leases._reading:
        ledger.leases.close()
        assert ledger.leases._db.execute("SELECT 1").fetchone() == (1,)
    ledger.leases.close()
    assert ledger.leases._db is None


def test_a_connection_that_failed_is_let_go_whatever_was_read_on_it(ledger):
    for read in (ledger.leases.position, partial(named, ledger.leases)):
        read()
        ledger.leases._db.close()
        with pytest.raises(sqlite3.Error):
            read()
        assert read() >= 0
