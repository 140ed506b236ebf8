"""Two processes of one machine of which one is connected still to a server in whose place another one leads: that one
commits nothing more, and answers whoever reads. What the other process folded of the new one stays in force.
"""

import contextlib
import time

import psycopg
import pytest
from postgres.test_hosts import opened, opt_out, word
from support import inside, postgres_server

from gateway.ledger.folder_store import store_in
from gateway.postgres import address

pytestmark = pytest.mark.slow
LOOKS = 6.0  # seconds: a process looks at the state once in each


def as_it_was(at, folder):
    """The url of another server that has all of its ledger of now: in truth a database beside it."""
    store_in(folder).close()
    url = address.url_in(folder)
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(postgres_server.url_of(at), autocommit=True) as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        db.execute(f"CREATE DATABASE {name}_old TEMPLATE {name}")
    return url.replace(name, f"{name}_old")


@contextlib.contextmanager
def commits_nothing(url):
    """Whoever writes waits, as for standbys that follow another one."""
    with psycopg.connect(url) as db:
        db.execute("SET idle_in_transaction_session_timeout = 0")
        db.execute("SELECT value FROM gateway_ledger.setting WHERE name = 'writer' FOR UPDATE")
        yield


def test_a_process_on_the_old_leader_calls_nobodys_state_foreign_and_puts_none_of_its_own_in_force(postgres, tmp_path):
    folder = tmp_path / "data"
    inside.migrate(folder, url=postgres_server.fresh_url(postgres))
    with opened([folder]) as (before,):
        opt_out(before, 1)
    leads, old = address.url_in(folder), as_it_was(postgres, folder)
    with contextlib.ExitStack() as stack:
        (folder / address.URL_FILE).write_text(old)  # in its place: a number is of a file
        (left,) = stack.enter_context(opened([folder]))
        assert word(left, 1) == "opted_out"
        stack.enter_context(commits_nothing(old))
        (folder / address.URL_FILE).write_text(leads)
        (other,) = stack.enter_context(opened([folder]))
        opt_out(other, 2)
        in_force, over = other.keeper.state._current().folder, time.monotonic() + LOOKS
        while time.monotonic() < over:
            assert (other.keeper.state.denies(), other.keeper.state._current().folder) == (False, in_force)
            assert word(other, 2) == "opted_out"
            time.sleep(0.02)
        assert left.consent.checks.position() is None
