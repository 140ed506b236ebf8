"""Of fifty people thirty-one are erased on a PostgreSQL. Another process reads as bytes what the server has, its data
files and all of its log, a base backup of before, the data folder and the secrets. Until the stated date nothing opens
but by the key of an epoch; after it nothing does. SOAK=1: every way to erase.
"""

import asyncio
import contextlib
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from support import erased, inside, postgres_server
from support.examples import SOAK
from support.on_disk import tmp_path

from gateway.app import maintenance
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.keys.epochs import FILE as EPOCHS
from gateway.ledger.folder_store import store_in
from gateway.terms import Erasing

__all__ = ["tmp_path"]
pytestmark = pytest.mark.slow
MODES = tuple(Erasing) if SOAK else (Erasing.UNLINK,)
KEEPS = {"wal_keep_size": "4GB", "autovacuum": "off"}  # of the log nothing goes, and what is dead stays where it is


@pytest.fixture
def server(postgres):
    """Whose files nobody else writes; the fixture says whether there is one at all."""
    assert postgres
    with postgres_server.running(postgres_server.programs(), **KEEPS) as at:
        yield at


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    inside.steps_at_once(monkeypatch)


def base_backup(at, into):
    """As an operator makes one: the data files, and the log that was written meanwhile."""
    program = postgres_server.programs() / "pg_basebackup"
    command = [program, "-D", into, "-X", "stream", "-c", "fast", "-d", postgres_server.url_of(at)]
    subprocess.run(command, check=True, capture_output=True)


def told_to_machines(folder):
    """The keys of epochs as the server has them now, for other machines."""
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        return [[number, box.hex()] for number, box in db.execute("SELECT number, box FROM shared_epoch").fetchall()]


def erase(folder, mode):
    """The first thirty-one, two days after they chose. Returns by when nothing of it opens."""
    with erased.opened(folder, erased.AT + timedelta(days=2)) as house:
        for one in erased.people(house, *range(erased.ERASED)):
            asyncio.run(house.consent.erase(ErasureOrder(mode, [one], house.consent.clock())))
        return asyncio.run(house.consent.forgotten_by())


def digests_of(folder):
    """Of whom it is said, as the ledger knows the first thirty-one."""
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        return [key for (key,) in db.execute("SELECT key FROM detail WHERE seq < ?", (erased.ERASED,)).fetchall()]


def found_in(tables, digests):
    """How many of these lie in the files of the tables, as they are."""
    content = b"".join(path.read_bytes() for path in tables.rglob("*") if path.is_file())
    return sum(each in content for each in digests)


@pytest.mark.parametrize("mode", MODES)
def test_after_the_stated_date_nothing_opens_in_data_files_log_or_a_base_backup(server, mode, tmp_path, figure):
    """Controls: until that date all opens by the epoch's key, after it by a copy of epochs.json of the first day, each
    epoch by the one before; and the reader finds a key that a table had which was dropped.
    """
    folder, copies = postgres_server.installed(server, tmp_path / "data"), tmp_path / "copies"
    first = shutil.copytree(maintenance.back_up_secrets(folder, copies / "secrets").parent, tmp_path / "first")
    secrets, events = copies / "secrets", erased.chosen(folder)
    asked = erased.wanted(folder, mode)
    asked["shared"], digests = told_to_machines(folder), digests_of(folder)
    base_backup(server, copies / "base")
    stated, every = erase(folder, mode), len(asked["boxes"])
    with psycopg.connect(postgres_server.url_of(server), autocommit=True) as office:
        data = Path(office.execute("SHOW data_directory").fetchone()[0])

        def read(*more):
            office.execute("CHECKPOINT")
            maintenance.back_up_secrets(folder, secrets, lambda: stated)  # daily, as the manual says
            asked["shared"] += told_to_machines(folder)
            return erased.read_raw(asked, folder, copies, data.parent, *more)

        erased.receipts_verify(folder, stated - timedelta(seconds=1), events)
        until = read()
        erased.receipts_verify(folder, stated, events)
        after = read()
        # Three times, for a page of the server's log may end within one.
        planted = "CREATE TABLE planted AS SELECT %s::bytea FROM generate_series(1, 3)"
        office.execute(planted, (bytes.fromhex(asked["markers"][1]),))
        office.execute("DROP TABLE planted")
        asked["markers"] = asked["markers"][1:2]  # no other one is asked for here
        kept = read(first)
    if mode is Erasing.UNLINK:
        with psycopg.connect(postgres_server.office_url(folder), autocommit=True) as office:
            left = found_in(data / "base", digests)
            for table in ("detail", "side", "mention_piece", "link_event"):
                office.execute(f"VACUUM FULL gateway_ledger.{table}")
            office.execute("CHECKPOINT")
        assert (left, found_in(data / "base", digests)) == (erased.ERASED, 0), "as `gateway help erasure` says"
    assert (data / "pg_wal" / "000000010000000000000001").exists(), "the log is there from its first byte on"
    figure(f"read raw on a server, 31 of 50, {mode}", f"a second before {until}; from {stated:%Y-%m-%d} on {after}")
    assert (until["markers"], until["opened"], until["opened by an epoch"]) == (0, 0, every)
    assert (after["markers"], after["opened"], after["opened by an epoch"]) == (0, 0, 0)
    assert after["wrapped"] == every, "what was erased is there, wrapped by what is gone"
    assert kept["opened by an epoch"] == every, "a kept epochs.json opens all since, by way of the server's log"
    assert kept["markers"] == 1, "a key that the server was given is found"
    assert not (data / EPOCHS).exists()
