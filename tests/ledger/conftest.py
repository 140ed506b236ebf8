"""Fixtures of the ledger's tests: acting inside the writer's transaction, and somebody to act about."""

import contextlib
import json
import os
from datetime import UTC, datetime

import pytest
from support import inside, states
from support.people import named

from gateway.app.composition import open_house
from gateway.choice.standing import Standing
from gateway.ledger import schema
from gateway.ledger.acts import links, records
from gateway.ledger.subjects import Choice, milliseconds
from gateway.ledger.writer import Writer
from gateway.terms import ChoiceKind, Purpose

# Tests that change a ledger's tables behind its back, so that its rows are not what its entries give.
TAMPERED = {
    "test_schema",
    "test_ledger_log",
    "test_verify",
    "test_a_no_that_is_gone_from_the_state_is_found_and_passes_where_that_look_is_blind",
    "test_finds_a_void_that_no_entry_says",
    "test_a_ledger_that_does_not_verify_is_not_pruned",
    "test_an_entry_whose_body_is_no_longer_kept_is_told_and_a_link_is_still_not",
    "test_a_mirror_that_stays_behind_the_table_is_not_answered_from",
    "test_the_folder_and_its_store_may_move_together",
}

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def house(folder):
    """One that keeps the state of its host."""
    with open_house(folder, inside.settings(), dev=True) as opened:
        yield opened


@pytest.fixture
def do(house):
    """Runs a job in the writer and gives its result."""
    return lambda job: house.writer.submit(job).result(60)


@pytest.fixture
def who(house):
    """The subject of one made-up identifier."""
    return lambda kind, value: house.consent.people.name([named(kind, value)]).subjects[0]


class Story:
    """What people do, and what stands on record for one key alone. `at` is the time of every act."""

    def __init__(self, house, do):
        self.lookup, self.do, self.at = house.consent.checks._lookup, do, AT

    @property
    def now(self):
        return milliseconds(self.at)

    def says(self, subject, kind="opt_out", *purposes, **more):
        choice = Choice(ChoiceKind(kind), purposes or (Purpose.SALE,), "api", self.at, **more)
        return self.do(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16)))

    def hears(self, subject, *purposes):
        choice = Choice(ChoiceKind.OPT_OUT, purposes or (Purpose.SALE,), "gpc", self.at)
        return self.do(lambda tx: records.hear_signal(tx, subject, choice, os.urandom(16)))

    def links(self, account, *things, until=None, claimed=False):
        span = links.Span(self.now - 1000, until)
        return self.do(lambda tx: links.link_identifiers(tx, account, things, span, self.now, claimed=claimed))

    def unlinks(self, account, *things):
        return self.links(account, *things, until=self.now)

    def releases(self, thing):
        return self.do(lambda tx: links.release(tx, thing, self.now))

    def standing(self, subject):
        return next(iter(self.lookup.seen([subject.key], numbered=True).standings), Standing())

    def sales(self, *subjects):
        return [self.standing(subject).states()["sale"] for subject in subjects]

    def grants(self, subject):
        return self.lookup.grants([subject.key])

    def leaves(self):
        rows = self.do(lambda tx: tx.db.execute("SELECT body FROM entry ORDER BY seq").fetchall())
        return [json.loads(body) for (body,) in rows]

    def rows(self, sql, *values):
        return self.do(lambda tx: tx.db.execute(sql, values).fetchall())


@pytest.fixture
def story(house, do, monkeypatch):
    """The table's clock is the story's."""
    told = Story(house, do)
    monkeypatch.setattr(told.lookup, "_clock", lambda: told.at)
    return told


@pytest.fixture
def published(vectors):
    """A group of the vectors that other logs published, by its name."""
    return lambda name: json.loads((vectors / "ledger_vectors.json").read_text())["groups"][name]


@pytest.fixture(autouse=True)
def state_beside(request, tmp_path_factory):
    """Every test's ledger has a state, kept behind each commit of each writer of this process: at its end it is what
    the fold makes of all its entries.
    """
    kept, honest = {}, Writer.__init__

    def with_state(writer, store, *arguments, **more):
        folder = getattr(store, "folder", None)
        if folder is not None and more.get("state") is None and folder not in kept:
            kept[folder] = states.KeptBeside(tmp_path_factory.mktemp("state"))
        given = more.pop("state", None)
        honest(writer, store, *arguments, **more, state=given or kept.get(folder))
        if given is not None:
            kept[folder] = None  # a data folder of its own has its own

    with pytest.MonkeyPatch.context() as patch:  # not the test's: its faults are over before what stands is compared
        if request.path.stem not in TAMPERED and request.function.__name__ not in TAMPERED:
            patch.setattr(Writer, "__init__", with_state)
        yield kept
    for folder, beside in kept.items():
        if (folder / schema.FILE).exists():
            if beside is None:
                assert states.wrongs_in(folder) == []
                continue
            with contextlib.closing(schema.open_to_read(folder)) as db:
                assert states.wrongs_of(beside.state, db) == []
            beside.state.close()
