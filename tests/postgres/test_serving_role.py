"""A service whose role owns nothing on the server: it does all that people and the desk ask for, and neither changes
nor takes away what is in the log. The server itself refuses that.
"""

import contextlib
import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from support import everybody, example, inside, postgres_server
from support.people import email, gaid, named
from support.ports import free_port
from support.service import Service, command
from support.wire import ad_id_asked, answered, call

from gateway.app import composition, maintenance
from gateway.app.composition import migrate, open_house
from gateway.app.moving import InstallationMove
from gateway.ledger import folder_store
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.proof.merkle import WIDTH
from gateway.postgres import address
from gateway.postgres.address import RoleRefused

pytestmark = pytest.mark.slow
OWNERS = "takes the role that owns"
LATER = everybody.AT + timedelta(days=1500)
HARM = [
    "UPDATE entry SET body = body",
    "DELETE FROM entry WHERE seq = 0",
    "TRUNCATE entry",
    "DELETE FROM tile",
    "TRUNCATE tile",
    "UPDATE tile SET level = level",
    "UPDATE head SET pruned = 256",
    "UPDATE head SET ledger = ledger",
    "DELETE FROM head",
    "DELETE FROM side",
    "UPDATE side SET seq = seq",
    "TRUNCATE side",
    "INSERT INTO restated VALUES (1, 1)",
    *(f"{act} {table}" for table, rights in folder_store.LOG.items() if rights == folder_store.ADDS
      for act in ("DELETE FROM", "TRUNCATE")),
    "ALTER TABLE entry DISABLE TRIGGER ALL",
    "DROP SCHEMA gateway_ledger CASCADE",
    "CREATE TABLE gateway_ledger.entry_of_mine (seq bigint)",
]  # fmt: skip


@pytest.fixture
def roles(postgres):
    return postgres_server.two_roles(postgres)


@pytest.fixture
def lived_in(roles, tmp_path):
    """With more entries than a tile holds, twice."""
    serves, owner = roles
    migrate(tmp_path / "data", url=serves, owner=owner)
    with open_house(tmp_path / "data", inside.settings(), dev=True) as house:
        everybody.fill(house, WIDTH)
        everybody.fill(house, WIDTH, WIDTH)
    return tmp_path / "data"


@contextlib.contextmanager
def asked_as(url):
    with psycopg.connect(url, options="-c search_path=gateway_ledger") as db:
        try:
            yield db
        finally:
            db.rollback()


def test_the_server_refuses_the_serving_role_what_the_owner_may(lived_in, roles):
    serves, owner = roles
    for said in HARM:
        with asked_as(serves) as db, pytest.raises(errors.InsufficientPrivilege):
            db.execute(said)
        with asked_as(owner) as db:  # the control: there it passes, once the owner's own triggers are off
            for table in ("entry", "head", "tile"):
                db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            db.execute(said)
    with asked_as(serves) as db, pytest.raises(errors.RaiseException, match="only grows"):
        db.execute("UPDATE tile SET hashes = substr(hashes, 33) WHERE level = 1")
    with asked_as(serves) as db:
        assert db.execute("UPDATE tile SET hashes = hashes || substr(hashes, 1, 32) WHERE level = 1").rowcount == 1


def ends(folder):
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        return db.execute("SELECT size, peppers, pruned FROM head").fetchall()


def says(port, kind, value, choice="opt_out"):
    return answered(port, "/v1/choices", {"identifiers": [named(kind, value)], "choice": choice})


def linked(port, **more):
    stated = {"account": "ann", "identifiers": [named("gaid", gaid(1)), named("email", email(1))], **more}
    assert call(f"http://127.0.0.1:{port}/v1/links", stated)[0] == 201


def test_all_that_people_and_the_desk_do_is_done_by_a_role_that_can_only_add_to_the_log(
    lived_in, roles, tmp_path, monkeypatch
):
    monkeypatch.setenv("GATEWAY_STORE__URL", roles[0])
    config = tmp_path / "config.toml"
    config.write_text(example.over('[recipients.teemo]\nunlinked = "allow"\n'))
    running = Service(free_port(), lived_in, tmp_path / "log", ("--config", str(config))).start()
    try:
        port = running.port
        linked(port)
        says(port, "account", "ann")
        assert not ad_id_asked(port, 1)["allowed"]
        assert ad_id_asked(port, 2)["allowed"]
        row = {"id": "r1", "identifiers": [named("gaid", gaid(2))], "place": "US-CA", "data": {"ad_id": gaid(2)}}
        status, answers = call(f"{running.url}/v1/shares/teemo", json.dumps(row).encode(), kind="application/x-ndjson")
        assert (status, answers[-1]["complete"]) == (200, True), answers
        linked(port, until=datetime.now(UTC).isoformat())
        for number, mode in ((2, "erase_details"), (3, "unlink"), (4, "child_found")):
            says(port, "gaid", gaid(number))
            person = {"identifiers": [named("gaid", gaid(number))], "mode": mode}
            assert answered(port, "/v1/erasures", person)["event"], mode
        assert [ad_id_asked(port, number)["allowed"] for number in (2, 4, 5)] == [False, False, True]
        forged = says(port, "gaid", gaid(6))["events"][0]["seq"]
        (tmp_path / "seqs").write_text(f"{forged}\n")
        (tmp_path / "why").write_text("written by a script")
        void = ["void", "--seqs", tmp_path / "seqs", "--note", tmp_path / "why", "--officer", "ada", "--officer", "bob"]
        for said in (void, ["verify", "--vault"]):
            code, words = command(*said, "--data", lived_in)
            assert code == 0, words
        assert ad_id_asked(port, 6)["allowed"], "it was voided"
    finally:
        running.stop()
    assert folder_store.MAY_REWRITE not in words + running.log.read_text()
    assert '"level":"error"' not in running.log.read_text()


def test_what_is_the_owners_to_do_is_refused_with_a_sentence_and_done_as_the_owner(lived_in, roles):
    serves, owner = roles
    as_one, as_two = inside.settings(), inside.settings(store__owner=owner)
    acts = (
        lambda settings: composition.prune_ledger(lived_in, settings, dry_run=False, clock=lambda: LATER),
        lambda settings: maintenance.pepper(lived_in, settings),
    )
    before = ends(lived_in)
    for act in (*acts, lambda settings: maintenance.go_on(lived_in, settings)):
        with pytest.raises(RoleRefused, match=OWNERS):
            act(as_one)
    with pytest.raises(RoleRefused, match=OWNERS):
        InstallationMove(serves, str(lived_in), as_one).move_all(lambda *_: None)
    assert ends(lived_in) == before
    pruned, peppers = (act(as_two) for act in acts)
    assert (pruned.bodies, peppers[1]) == (2 * WIDTH, 2)
    with pytest.raises(RoleRefused, match="name one role"):
        migrate(lived_in, owner=serves)


def test_an_owner_of_another_database_makes_and_takes_away_nothing_there(lived_in, postgres):
    """A misspelt url: that database would get a ledger of its own, which is empty, and this one no rights."""
    _, elsewhere = postgres_server.two_roles(postgres)
    misspelt = inside.settings(store__owner=elsewhere)
    for act in (
        lambda: migrate(lived_in, owner=elsewhere),
        lambda: composition.prune_ledger(lived_in, misspelt, dry_run=False, clock=lambda: LATER),
        lambda: maintenance.pepper(lived_in, misspelt),
        lambda: maintenance.go_on(lived_in, misspelt),
    ):
        with pytest.raises(LedgerRefused, match="name two databases"):
            act()
    with psycopg.connect(elsewhere) as db:
        assert db.execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'gateway%'").fetchone() is None


def test_a_server_that_does_not_say_what_a_role_may_do_ends_no_verification_and_lets_nobody_begin(postgres, tmp_path):
    (serves, owner), nowhere = postgres_server.two_roles(postgres), f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    for what, url in (("it has no tables", serves), ("it is away", nowhere)):
        address.name_url(tmp_path, url)
        asked = store_in(tmp_path)
        assert folder_store.role_warning(asked) == "", what
        with pytest.raises(LedgerRefused, match="cannot be used"):
            folder_store.prove_owner(asked, asked, "a prune")
    migrate(tmp_path / "data", url=serves, owner=owner)
    folder_store.prove_owner(store_in(tmp_path / "data", owner=owner), store_in(tmp_path / "data"), "a prune")


def test_one_role_for_all_is_told_at_a_verification_until_there_are_two(postgres, roles, tmp_path):
    """And a new installation is not begun by a role that may make nothing."""
    serves, owner = roles
    with pytest.raises(RoleRefused, match=OWNERS):
        migrate(tmp_path / "none", url=serves)
    data, names = tmp_path / "data", [conninfo_to_dict(each)["user"] for each in roles]
    with psycopg.connect(postgres_server.url_of({**postgres, "database": conninfo_to_dict(owner)["dbname"]})) as office:
        office.execute(f"GRANT CREATE ON DATABASE {office.info.dbname} TO {names[0]}")
        office.commit()
        migrate(data, url=serves)
        code, words = command("verify", "--data", data)
        assert (code, folder_store.MAY_REWRITE in words) == (0, True), words
        office.execute(f"REASSIGN OWNED BY {names[0]} TO {names[1]}")
    with pytest.raises(LedgerRefused, match="granted this role nothing"):
        store_in(data).open_to_read()
    migrate(data, owner=owner)
    assert not folder_store.role_warning(store_in(data))
