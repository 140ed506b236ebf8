"""A server with two machines on it is put back to an older copy: one machine goes on with that as a new log, and the
other one follows.
"""

import contextlib

import psycopg
import pytest
from postgres.test_hosts import SETTINGS, opened, opt_out, signed, word
from psycopg.conninfo import conninfo_to_dict
from support import postgres_server
from support.several_hosts import joined
from support.together import until

from gateway.app import maintenance
from gateway.app.composition import migrate, store_of, verify_ledger
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.proof import note
from gateway.ledger.publisher import CheckpointStore, RolledBack

pytestmark = pytest.mark.slow


@pytest.fixture
def put_back(postgres, tmp_path):
    """Two machines, each of which signed more than the server has by now."""
    url = postgres_server.fresh_url(postgres)
    migrate(first := tmp_path / "first", url=url)
    folders, name = (first, joined(first, url, tmp_path / "second")), conninfo_to_dict(url)["dbname"]
    says_no(folders, 1, 2)
    with psycopg.connect(postgres_server.url_of(postgres), autocommit=True) as office:
        office.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        office.execute(f"CREATE DATABASE {name}_kept TEMPLATE {name}")
        says_no(folders, 3, 4)
        office.execute(f"DROP DATABASE {name} WITH (FORCE)")
        office.execute(f"ALTER DATABASE {name}_kept RENAME TO {name}")
    for each in folders:
        store_in(each).close()
        with pytest.raises(RolledBack, match="was signed at"), opened([each]):
            pass
    return folders


def says_no(folders, *people):
    """Each on one of the machines in turn, until all have signed it."""
    with opened(folders) as houses:
        for number in people:
            opt_out(houses[number % len(houses)], number)
        size = houses[0].writer.submit(lambda tx: tx.size).result(60)
        until(lambda: {signed(each) for each in folders} == {size}, "what the other made was not taken over")


def last(folder):
    return kept_by(folder).last()


def kept_by(folder):
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        [ledger] = db.execute("SELECT ledger FROM head").fetchone()
    return CheckpointStore(store_of(folder, SETTINGS), ledger)


@pytest.mark.parametrize("follows", [maintenance.join, maintenance.take_over])
def test_one_machine_goes_on_as_a_new_log_and_the_other_follows_and_begins_none(put_back, follows):
    (first, second), signed_there = put_back, last(put_back[1])
    begun = maintenance.go_on(first, SETTINGS)
    assert begun.origin == f"{signed_there.origin}.2"
    says_no([first], 5)
    there = last(first)
    with pytest.raises(RolledBack, match="was signed at"), opened([second]):
        pass
    with pytest.raises(LedgerRefused, match=rf"went on with it as {begun.origin}.*gateway migrate --join"):
        maintenance.go_on(second, SETTINGS)
    follows(second, SETTINGS)
    assert last(second) == there
    [evidence] = store_of(second, SETTINGS).glob("*.ended")
    assert note.parse_checkpoint(evidence.read_text()) == signed_there
    serve = put_back if follows is maintenance.join else [second]
    says_no(serve, 6, 7)
    with opened(serve) as houses:
        assert [word(each, number) for each in houses for number in (1, 5, 7)] == ["opted_out"] * 3 * len(serve)
    report, _ = verify_ledger(second, SETTINGS, boxes=True)
    assert report.passed, report.different


def test_the_other_one_follows_before_anything_is_said_there(put_back):
    """Both had signed the same: what the new log's first entry tells of is its own last checkpoint."""
    first, second = put_back
    assert last(first) == last(second)
    maintenance.go_on(first, SETTINGS)
    maintenance.join(second, SETTINGS)
    assert last(first) == last(second)
    says_no(put_back, 5, 6)


def test_a_later_name_of_which_no_entry_tells_is_followed_by_nobody(put_back):
    _, second = put_back
    with contextlib.closing(store_in(second).open_to_write()) as db:
        db.execute("UPDATE head SET origin = origin || '.2'")
    before = last(second)
    with pytest.raises(RolledBack, match="was signed at"):
        maintenance.join(second, SETTINGS)
    assert last(second) == before
