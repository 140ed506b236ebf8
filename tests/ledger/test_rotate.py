import asyncio
import contextlib
import json
import os
import sqlite3
import time
from datetime import UTC, datetime

import pytest
from support import inside
from support.led import led
from support.people import GAID, IDFV, email, named, phone

from gateway.app import composition, maintenance
from gateway.app.composition import open_house
from gateway.consent.asked import Ask
from gateway.desk import history
from gateway.keys import secret_files
from gateway.ledger import schema
from gateway.ledger.acts import device_states, links, office_acts, records
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.log_records import all_sides
from gateway.ledger.side import Mention, mentioned
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ChoiceKind, DataClass, Purpose, Source

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW = milliseconds(AT)
PEOPLE = [("account", "a"), ("phone", phone(1)), ("email", email(1)), ("gaid", GAID), ("gaid", GAID.replace("d", "e")),
          ("phone", phone(9)), ("account", "b"), ("idfv", IDFV)]  # fmt: skip


@contextlib.contextmanager
def opened(folder):
    with open_house(folder, inside.settings(), dev=True) as house:
        yield house


def who(house, kind, value):
    return house.consent.people.name([named(kind, value)]).subjects[0]


def says(house, subject, kind=ChoiceKind.OPT_OUT, **more):
    choice = Choice(kind, (Purpose.SALE,), "api", AT, **more)
    return house.writer.submit(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16))).result(60)


def limits(house, subject, act=device_states.begin_state, kind=ChoiceKind.STATE_BEGAN):
    choice = Choice(kind, (Purpose.SALE,), Source.DEVICE, AT)
    return house.writer.submit(lambda tx: act(tx, subject, choice, os.urandom(16))).result(60)


@pytest.fixture
def peopled(folder):
    """A phone opted out, its account and e-mail with it, one device that granted a point, one that is limited, one
    number given back.
    """
    with opened(folder) as house:
        account, number, mail, device, other, old, _, limited = (who(house, *name) for name in PEOPLE)
        for each in (number, mail, device, old):
            house.writer.submit(
                lambda tx, each=each: links.link_identifiers(tx, account, [each], links.Span(0), NOW)
            ).result(60)
        house.writer.submit(lambda tx: links.release(tx, old, NOW)).result(60)
        says(house, number)
        says(house, other, ChoiceKind.OPT_IN, recipient="teemo", data_class=DataClass.PRECISE_GEO)
        limits(house, limited)
    return folder


def answers(folder):
    """Every check, with the reason and the event behind it."""
    with opened(folder) as house:
        found = []
        for kind, value in PEOPLE:
            verdict = house.consent.checks.check(Ask(("teemo",), [named(kind, value)], place="US-NY")).verdicts["teemo"]
            found.append((kind, value, verdict.reason, verdict.data, verdict.seq))
        return found


def test_every_check_answers_as_before_and_nobody_who_never_comes_back_is_lost(peopled):
    before = answers(peopled)
    assert {reason for _, _, reason, _, _ in before} >= {"opted_out"}
    for count in (2, 3):
        standings, peppers = maintenance.pepper(peopled, inside.settings())
        assert peppers == count
        assert standings > len(PEOPLE)
        assert answers(peopled) == before


def test_choices_still_travel_and_are_still_lifted_under_the_new_pepper(peopled):
    maintenance.pepper(peopled, inside.settings())
    with opened(peopled) as house:
        account, number = who(house, "account", "a"), who(house, "phone", phone(1))
        read = house.consent.checks.read_back
        says(house, number, ChoiceKind.OPT_IN)
        assert read([account], [Purpose.SALE]) == {"sale": "none"}
        says(house, who(house, "gaid", GAID))
        assert read([account], [Purpose.SALE]) == {"sale": "opted_out"}
        house.writer.submit(
            lambda tx: links.link_identifiers(tx, who(house, "account", "b"), [number], links.Span(0), NOW + 1)
        ).result(60)
        assert read([who(house, "account", "b")], [Purpose.SALE]) == {"sale": "none"}


def test_a_devices_state_is_kept_and_still_ended_under_the_new_pepper(peopled):
    maintenance.pepper(peopled, inside.settings())
    with opened(peopled) as house:
        limited, read = who(house, "idfv", IDFV), house.consent.checks.read_back
        [standing] = house.consent.checks._lookup.seen([limited.key]).standings
        assert standing.held == {"device"}
        assert read([limited], [Purpose.SALE]) == {"sale": "opted_out"}
        assert limits(house, limited) is None
        assert limits(house, limited, device_states.end_state, ChoiceKind.STATE_ENDED) is not None
        assert read([limited], [Purpose.SALE]) == {"sale": "none"}


def test_history_is_found_and_proved_under_the_new_pepper(peopled):
    maintenance.pepper(peopled, inside.settings())
    with opened(peopled) as house:
        subject = who(house, "phone", phone(1))
        sql = "SELECT person FROM detail"
        people = house.writer.submit(lambda tx: {p: tx.persons.keys(p) for (p,) in tx.db.execute(sql)}).result(60)
        events = asyncio.run(history.events(peopled, subject.key, people.__getitem__, ("phone", phone(1))))
    assert [(event.body["e"], event.proved) for event in events] == [("linked", True), ("opt_out", True)]


def test_no_key_of_the_old_pepper_is_left_anywhere(peopled):
    old = secret_files.load_secrets(peopled)
    with contextlib.closing(sqlite3.connect(peopled / schema.FILE)) as db:
        before = {
            (table, column): {row[0] for row in db.execute(f"SELECT {column} FROM {table}")}
            for table, column in office_acts.KEY_COLUMNS
        }
        leads, said = keys_told(db)
    maintenance.pepper(peopled, inside.settings())
    [fresh] = secret_files.load_secrets(peopled).peppers[len(old.peppers) :]
    with contextlib.closing(sqlite3.connect(peopled / schema.FILE)) as db:
        for (table, column), was in before.items():
            now = {row[0] for row in db.execute(f"SELECT {column} FROM {table}")}
            assert now == {secret_files.wrap(key, [fresh]) for key in was}, (table, column)
        assert keys_told(db) == tuple({secret_files.wrap(key, [fresh]) for key in keys} for keys in (leads, said))


def keys_told(db):
    """Those that lead to what the fold is told, and those that are named there."""
    leads = {key for key, way, _ in led(db) if key and way != Mention.MARK}
    named = {each for row in all_sides(db) for record in row.records() for each in mentioned(record)}
    said = {key for key, way in named if key and way is not Mention.MARK}
    assert leads == said
    return leads, said


def test_every_column_that_holds_a_key_is_wrapped(folder):
    named_so = {
        "key",
        "origin",
        "via",
        "account",
        "identifier",
        "alias",
        "canonical",
        "named",
        "spelling",
        "mailbox",
        "abroad",
    }
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = {(table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})")}
    wanted = {(table, column) for table, column in columns if column in named_so} - {
        ("disclosure_batch", "key"),
        ("head", "origin"),
        ("agent_request", "mailbox"),  # a digest under the first pepper, which no later one wraps
    }
    assert wanted == set(office_acts.KEY_COLUMNS)


def test_a_process_with_the_old_pepper_denies_everything_and_keeps_nothing(peopled):
    with opened(peopled) as house:
        maintenance.pepper(peopled, inside.settings())
        deadline = time.monotonic() + 60
        ask = Ask(("advertisers",), [named("gaid", GAID)], place="US-NY")
        while house.consent.checks.check(ask).verdicts["advertisers"].reason != "stale" and time.monotonic() < deadline:
            time.sleep(0.02)
        verdict = house.consent.checks.check(ask).verdicts["advertisers"]
        assert (verdict.reason, verdict.allowed, verdict.partly) == ("stale", False, False)
        with pytest.raises(StoreUnavailable):
            says(house, who(house, "gaid", GAID))


def test_a_rotation_that_was_cut_off_is_finished_by_running_it_again(peopled):
    before = answers(peopled)
    secret_files.add_pepper(peopled)
    with pytest.raises(LedgerRefused, match="gateway rekey pepper"), opened(peopled):
        raise AssertionError("it must not open with keys that find nobody")
    assert maintenance.pepper(peopled, inside.settings())[1] == 2
    assert len(secret_files.load_secrets(peopled).peppers) == 2
    assert answers(peopled) == before


def test_a_rotation_that_fails_changes_no_row(peopled, monkeypatch):
    before = answers(peopled)

    def fails(*given):
        rotate_rows(*given)
        raise LookupError("power cut")

    rotate_rows = office_acts.rewrap
    monkeypatch.setattr(office_acts, "rewrap", fails)
    with pytest.raises(LookupError):
        maintenance.pepper(peopled, inside.settings())
    monkeypatch.setattr(office_acts, "rewrap", rotate_rows)
    assert maintenance.pepper(peopled, inside.settings())[1] == 2
    assert answers(peopled) == before


def mark(folder, put=None):
    """Which one the ledger bears; `put`: from now on."""
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        if put:
            db.execute(f"PRAGMA application_id = {put}")
        return db.execute("PRAGMA application_id").fetchone()[0]


def refused(folder, text):
    """Nobody is answered, and nothing is written, by the secrets that are there; a new pepper is none of the ways."""
    left = (folder / secret_files.SECRETS).read_bytes(), mark(folder)
    with pytest.raises(LedgerRefused, match=text) as told, opened(folder):
        raise AssertionError("it must not open with keys that find nobody")
    assert "rekey" not in str(told.value)
    for uses in (
        lambda: maintenance.pepper(folder, inside.settings()),
        lambda: composition.verify_ledger(folder, inside.settings(), boxes=False),
        lambda: composition.migrate(folder),
        lambda: maintenance.take_back(folder, schema.version_wanted()),
    ):
        with pytest.raises(LedgerRefused, match=text):
            uses()
    with open_house(folder, inside.settings(), dev=True, patient=True) as house:
        assert not house.fresh()
    assert ((folder / secret_files.SECRETS).read_bytes(), mark(folder)) == left


@pytest.mark.parametrize("own", [False, True], ids=["behind", "with-one-of-its-own"])
def test_by_secrets_of_before_a_new_pepper_or_with_another_one_nobody_who_said_no_is_let_through(peopled, own):
    before, file = answers(peopled), peopled / secret_files.SECRETS
    older = file.read_bytes()
    maintenance.pepper(peopled, inside.settings())
    newer = file.read_bytes()
    file.write_bytes(older)
    if own:
        secret_files.add_pepper(peopled)
    refused(peopled, "other secrets" if own else "wrapped by 2 peppers, this process has 1.*copy secrets.json")
    file.write_bytes(newer)
    assert answers(peopled) == before
    assert maintenance.pepper(peopled, inside.settings())[1] == 3


def test_a_pepper_that_another_machine_made_meanwhile_is_not_followed_by_one_of_our_own(peopled, monkeypatch):
    """On SQLite by a second folder of the same ledger: what counts is where the first one commits."""
    file, writing, older = peopled / secret_files.SECRETS, maintenance._writing, []

    @contextlib.contextmanager
    def late(*given):
        with writing(*given) as writer:
            if not older:
                older.append(file.read_bytes())
                maintenance.pepper(peopled, inside.settings())
                older.append(file.read_bytes())
                file.write_bytes(older[0])
            yield writer

    monkeypatch.setattr(maintenance, "_writing", late)
    with pytest.raises(LedgerRefused, match="copy secrets"):
        maintenance.pepper(peopled, inside.settings())
    assert file.read_bytes() == older[0]
    file.write_bytes(older[1])
    assert {reason for _, _, reason, _, _ in answers(peopled)} >= {"opted_out"}


def test_a_ledger_that_bears_the_mark_of_the_first_pepper_alone_gets_that_of_all_by_a_migrate(peopled):
    """An older release left it so."""
    before, file = answers(peopled), peopled / secret_files.SECRETS
    maintenance.pepper(peopled, inside.settings())
    first, _ = secret_files.load_secrets(peopled).marks
    assert mark(peopled, put=first) == first
    secret_files.add_pepper(peopled)
    with pytest.raises(LedgerRefused, match="gateway rekey pepper"), opened(peopled):
        raise AssertionError("it must not open with keys that find nobody")
    assert mark(peopled) == first, "not by one that knows more"
    assert maintenance.pepper(peopled, inside.settings())[1] == 3
    stored = json.loads(file.read_text())
    mark(peopled, put=first)
    assert answers(peopled) == before
    assert mark(peopled) == first, "no start knows whether there are others of the same number"
    composition.migrate(peopled)
    assert answers(peopled) == before
    assert mark(peopled) == secret_files.load_secrets(peopled).marks[-1]
    stored["peppers"][-1] = "00" * 32
    file.write_text(json.dumps(stored))
    refused(peopled, "other secrets")


def test_a_ledger_whose_peppers_an_older_release_counted_back_is_read_by_nobody(peopled):
    """Its rotation by a machine with the secrets of before: the keys stayed under both."""
    older = (peopled / secret_files.SECRETS).read_bytes()
    maintenance.pepper(peopled, inside.settings())
    (peopled / secret_files.SECRETS).write_bytes(older)
    with contextlib.closing(sqlite3.connect(peopled / schema.FILE)) as db:
        db.execute("UPDATE head SET peppers = 1")
        db.commit()
    mark(peopled, put=secret_files.load_secrets(peopled).marks[0])
    with pytest.raises(LedgerRefused, match="replaced more often"), opened(peopled):
        raise AssertionError("it must not open with keys that find nobody")
    with pytest.raises(LedgerRefused, match="replaced more often"):
        composition.migrate(peopled)


def test_an_older_release_finds_the_mark_that_it_knows_once_the_ledger_was_taken_back(peopled):
    maintenance.pepper(peopled, inside.settings())
    maintenance.take_back(peopled, schema.version_wanted())
    assert mark(peopled) == secret_files.load_secrets(peopled).marks[0]
