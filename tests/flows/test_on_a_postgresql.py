"""An installation whose ledger is in a PostgreSQL, as its operator runs it: killed and started again, verified, erased
in, and taken over by another machine. SOAK=1: more kills.
"""

import asyncio
import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from functools import partial

import pytest
from support import example, inside, postgres_server
from support.examples import SOAK
from support.led import led
from support.people import gaid, named
from support.ports import free_port
from support.service import Service, command
from support.wire import ad_id_asked, answered

from gateway.app import maintenance
from gateway.app.composition import migrate, open_house
from gateway.keys import secret_files
from gateway.keys.person_keys import Vault, VaultRefused
from gateway.ledger import folder_store
from gateway.ledger.acts import office_acts
from gateway.ledger.audit.verify import LAST_VERIFY
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.subjects import Choice
from gateway.postgres import address
from gateway.terms import ALL_PURPOSES, ChoiceKind, Unusable

pytestmark = pytest.mark.slow
CONFIG = '[recipients.teemo]\nunlinked = "allow"\n'
KILLS, CALLERS = (6, 8) if SOAK else (2, 4)


def allowed(port, number):
    return ad_id_asked(port, number)["allowed"]


@pytest.fixture
def where(postgres):
    return postgres_server.fresh_url(postgres)


@pytest.fixture
def serving(where, tmp_path, monkeypatch):
    monkeypatch.setenv("GATEWAY_STORE__URL", where)
    config = tmp_path / "config.toml"
    config.write_text(example.over(CONFIG))
    running = Service(free_port(), tmp_path / "data", tmp_path / "log", ("--config", str(config)))
    yield running.start()
    running.stop()


def test_every_no_that_was_acknowledged_stands_after_kills_and_verifies(serving):
    kept, lock = [], threading.Lock()

    def says(first, stop):
        for number in range(first, first + 10_000):
            if stop.is_set():
                return
            try:
                answered(
                    serving.port, "/v1/choices", {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"}
                )
            except (OSError, urllib.error.URLError, ValueError):
                return
            with lock:
                kept.append(number)

    for turn in range(KILLS):
        stop = threading.Event()
        threads = [
            threading.Thread(target=says, args=(10_000 * (CALLERS * turn + each + 1), stop)) for each in range(CALLERS)
        ]
        before = len(kept)
        for each in threads:
            each.start()
        while len(kept) < before + 20:
            assert any(each.is_alive() for each in threads)
        serving.kill()
        stop.set()
        for each in threads:
            each.join(60)
        serving.start()
    assert len(kept) >= 20 * KILLS
    assert [number for number in kept if allowed(serving.port, number)] == []
    assert allowed(serving.port, 5), ad_id_asked(serving.port, 5)
    serving.stop()
    code, said = command("verify", "--vault", "--data", serving.data)
    assert (code, "passed" in said) == (0, True), said
    assert not list(serving.data.glob("*.sqlite3"))


def test_who_is_erased_is_forgotten_and_stays_denied(serving):
    person = [named("gaid", gaid(1))]
    answered(serving.port, "/v1/choices", {"identifiers": person, "choice": "opt_out"})
    answered(serving.port, "/v1/erasures", {"identifiers": person, "mode": "erase_details"})
    assert not allowed(serving.port, 1)
    serving.stop()
    assert folder_store.MAY_REWRITE in serving.log.read_text(), "one role does it all here"
    code, said = command("verify", "--vault", "--data", serving.data)
    assert code == 0, said


def test_a_prune_goes_to_its_end_and_a_nightly_look_that_found_another_machines_ledger_is_kept_as_failed(
    postgres, tmp_path, monkeypatch
):
    folder = postgres_server.installed(postgres, tmp_path / "data")
    monkeypatch.setenv("GATEWAY_STORE__OWNER", postgres_server.office_url(folder))
    code, said = command("prune", "--data", folder)
    assert code == 0, said
    copied = shutil.copytree(folder, tmp_path / "copied")
    code, said = command("verify", "--keep", "--data", copied)
    assert (code, "another machine" in said, "damaged" in said) == (3, True, False), said
    assert not json.loads((copied / LAST_VERIFY).read_text())["passed"]


def test_what_a_server_keeps_by_its_own_means_is_said_where_a_file_is_asked_for(serving, tmp_path):
    serving.stop()
    for said in (
        ["backup", tmp_path / "copy", "--data", serving.data],
        ["migrate", "--back-to", "31", "--data", serving.data],
    ):
        code, answer = command(*said)
        assert (code, "is in a PostgreSQL" in answer) == (3, True), answer


KILLED = """
import os, sys
from gateway import cli, disk
from gateway.ledger.acts import office_acts
rewrap = office_acts.rewrap
def at_the_end(*given):
    rewrap(*given)
    os._exit(9)
if sys.argv.pop(1) == "before its commit":
    office_acts.rewrap = at_the_end
else:
    disk.vacuum = lambda *_: os._exit(9)
cli.main()
"""


@pytest.mark.parametrize("when", ["before its commit", *(["behind its commit"] if SOAK else [])])
def test_a_new_pepper_that_was_killed_on_its_way_is_finished_by_doing_the_same_again(
    postgres, tmp_path, when, monkeypatch
):
    folder = postgres_server.installed(postgres, tmp_path / "data")
    monkeypatch.setenv("GATEWAY_STORE__OWNER", postgres_server.office_url(folder))
    settings = inside.settings(store__owner=postgres_server.office_url(folder))
    said_no(folder, settings)
    given = [sys.executable, "-c", KILLED, when, "rekey", "pepper", "--data", folder]
    assert subprocess.run(given, capture_output=True, check=False, timeout=60).returncode == 9
    if when == "before its commit":
        with pytest.raises(Unusable, match="rekey pepper"), open_house(folder, settings, dev=True):
            pass
    assert maintenance.pepper(folder, settings)[1] == (2 if when == "before its commit" else 3)
    with open_house(folder, settings, dev=True) as house:
        assert asyncio.run(house.consent.last_out(house.consent.people.name([named("gaid", gaid(1))]).subjects))


def said_no(folder, settings):
    """The subjects of somebody who opted out."""
    with open_house(folder, settings, dev=True) as house:
        subjects = house.consent.people.name([named("gaid", gaid(1))]).subjects
        choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "api", house.consent.clock())
        asyncio.run(house.consent.choose(subjects, choice))
    return subjects


def test_under_a_new_pepper_whoever_said_no_is_found_by_the_newer_key_alone(postgres, tmp_path, monkeypatch):
    monkeypatch.setattr(office_acts, "KEYS_AT_ONCE", 1)
    folder = postgres_server.installed(postgres, tmp_path / "data")
    settings = inside.settings(store__owner=postgres_server.office_url(folder))

    def subjects(house):
        return house.consent.people.name([named("gaid", gaid(1))]).subjects

    older = said_no(folder, settings)
    standing, peppers = maintenance.pepper(folder, settings)
    assert (standing > 0, peppers) == (True, 2)
    with open_house(folder, settings, dev=True) as house:
        newer = subjects(house)
        assert asyncio.run(house.consent.last_out(newer))
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        keys = {key for (key,) in db.execute("SELECT key FROM detail")}
        for found in (keys, {key for key, *_ in led(db)}):
            assert [each.key in found for (each,) in (older, newer)] == [False, True]
    code, said = command("verify", "--vault", "--data", folder)
    assert code == 0, said


def test_a_copied_folder_that_takes_over_gets_a_number_of_its_own_and_the_first_writes_no_key_any_more(
    postgres, tmp_path
):
    first = postgres_server.installed(postgres, tmp_path / "first")
    with contextlib.closing(Vault(first, secret_files.load_secrets(first).wraps)) as vault:
        person = vault.new_person().person
        copied = shutil.copytree(first, tmp_path / "copied")
        maintenance.take_over(copied, inside.settings())
        assert address.host_in(copied) not in {address.NOBODY, address.host_in(first)}
        with pytest.raises(LedgerRefused, match="another machine"):
            store_in(first).open_to_read()
        with pytest.raises(sqlite3.Error, match="another machine"):
            vault.destroy([person], ())
        with pytest.raises(VaultRefused, match="another machine"):
            Vault(first, secret_files.load_secrets(first).wraps)
    with contextlib.closing(Vault(copied, secret_files.load_secrets(copied).wraps)) as vault:
        assert vault.keys(person).details
    thrice = shutil.copytree(copied, tmp_path / "thrice")
    for use in (store_in(thrice).open_to_read, partial(migrate, thrice)):
        with pytest.raises(LedgerRefused, match="another machine"):
            use()


def test_another_machine_stands_by_until_it_takes_over_and_then_the_first_answers_nobody(serving, tmp_path):
    answered(serving.port, "/v1/choices", {"identifiers": [named("gaid", gaid(1))], "choice": "opt_out"})
    copied = shutil.copytree(serving.data, tmp_path / "copied")
    with pytest.raises(LedgerRefused, match="another machine"), open_house(copied, inside.settings(), dev=True):
        pass
    second = tmp_path / "second"
    second.mkdir()
    for name in (secret_files.SECRETS, "epochs.json"):
        shutil.copy(serving.data / name, second / name)
    code, said = command("migrate", "--data", second)
    assert (code, "another machine" in said) == (3, True), said
    code, said = command("migrate", "--take-over", "--data", second)
    assert code == 0, said
    assert not allowed(serving.port, 1)
    assert not allowed(serving.port, 2), "it may not answer from what it knew"
    code, said = command("verify", "--data", serving.data)
    assert (code, "another machine" in said) == (3, True), said
    other = Service(free_port(), second, tmp_path / "other.log", serving.arguments).start()
    try:
        assert (allowed(other.port, 1), allowed(other.port, 2)) == (False, True)
        answered(other.port, "/v1/choices", {"identifiers": [named("gaid", gaid(3))], "choice": "opt_out"})
        assert ad_id_asked(serving.port, 2)["reason"] == "stale"
        waits = answered(
            serving.port, "/v1/choices", {"identifiers": [named("gaid", gaid(4))], "choice": "opt_out"}
        )  # kept beside, told as accepted
        assert waits["effective_at"] is None
        assert not allowed(other.port, 3)
    finally:
        other.stop()
    assert (second / address.URL_FILE).stat().st_mode & 0o077 == 0
