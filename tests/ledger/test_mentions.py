"""Whoever is on record is found by each of their keys, at every moment: while runs become one, whatever is cut off in
between, and nothing of somebody is found once it is gone.
"""

import contextlib
import random
import sqlite3

import pytest
from support import inside
from support.everybody import says_no, story
from support.led import led
from support.people import email

from gateway.app import composition
from gateway.ledger import schema, side
from gateway.ledger.side import Mention

KEYS = [bytes([number]) * 16 for number in range(1, 41)]


@contextlib.contextmanager
def index():
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for _, sql in schema.migrations():
            for statement in schema.statements(sql):
                db.execute(statement)
        yield db


def said(db, number, known, count=30):
    """A batch's: of few keys many, so that one key's mentions fill more than a piece."""
    draw = random.Random(number)
    more = {(draw.choice(KEYS), draw.choice([*Mention]), number * 1000 + place) for place in range(count)}
    side.add_mentions(db, [side.pack_mention(*each) for each in more])
    known |= {(key, int(way), place) for key, way, place in more}


def found(db, ways=Mention.MARK):
    """Asked for at once, for which small runs are read whole, as one by one."""
    together = {tuple(each) for each in side.mentions_of(db, KEYS, ways)}
    assert together == {tuple(each) for key in KEYS for each in side.mentions_of(db, [key], ways)}
    return together


def test_everybody_is_found_after_every_step(monkeypatch):
    monkeypatch.setattr(side, "AT_ONCE", 16)  # pieces, so that a run takes several parts
    known, steps = set(), 0
    with index() as db:
        for number in range(200):
            said(db, number, known)
            while side.join_runs(db):
                steps += 1
                if steps % 7 == 0 or steps < 20:
                    assert found(db) == led(db) == known
        assert found(db) == known
        assert found(db, Mention.NAME) == {each for each in known if each[1] <= Mention.NAME}
        assert side.mentions_of(db, [b"x" * 16]) == set()
        [runs], [level] = (
            db.execute(f"SELECT {sql} FROM mention_run").fetchone() for sql in ("count(*)", "max(level)")
        )
        assert (steps > 30, runs < 3 * side.RUNS, level >= 2) == (True, True, True)
        assert side.sum_of_mentions(db) == sum(hash(side.pack_mention(*each)) for each in known)
        assert side.count_mentioned(db) == len({key for key, way, _ in known if way != Mention.MARK})


def test_the_control_a_part_that_takes_what_it_has_not_read_the_rest_of_leaves_a_run_that_finds_less(monkeypatch):
    monkeypatch.setattr(side, "AT_ONCE", 16)
    monkeypatch.setattr(side, "bisect_right", lambda entries, _: len(entries))
    known = set()
    with index() as db:
        for number in range(64):
            said(db, number, known, 200)
        while side.join_runs(db):
            pass
        assert found(db) != known or side.sum_of_mentions(db) is None


class CutOff:
    """A connection whose process is gone at one of its statements."""

    def __init__(self, db, left, ignored=()):
        self.db, self.left, self.ignored = db, left, ignored

    def __getattr__(self, name):
        return getattr(self.db, name)

    def execute(self, sql, *given):
        if not sql.startswith(("BEGIN", "ROLLBACK", "COMMIT", "SELECT")):
            self.left -= 1
            if self.left < 0:
                raise SystemExit
        return self.db.execute(sql if not sql.startswith(self.ignored or "none") else "SELECT 1", *given)

    def executemany(self, sql, rows):
        for each in rows:
            self.execute(sql, each)


def cut_off(statements, ignored):
    """What is found, and what lies there, of what was said, once it is cut off behind so many statements; None: it was
    through.
    """
    known = set()
    with index() as db:
        for number in range(side.RUNS):
            said(db, number, known, 100)
        try:
            side.join_runs(CutOff(db, statements, ignored))
        except SystemExit:
            return found(db) == led(db) == known and side.sum_of_mentions(db) is not None
        assert found(db) == known
    return None


@pytest.mark.parametrize("ignored", [(), ("BEGIN", "COMMIT", "ROLLBACK")])
def test_who_is_cut_off_while_runs_become_one_loses_nobody_and_without_a_transaction_would(ignored):
    outcomes = [*iter(map(cut_off, range(60), [ignored] * 60).__next__, None)]
    assert (len(outcomes) > 20, all(outcomes)) == (True, not ignored)


def test_whoever_is_gone_is_found_by_nothing_and_nowhere_in_the_file(tmp_path):
    """The control: the others are."""
    known = set()
    with index() as made:
        made.execute("VACUUM INTO ?", (str(tmp_path / "file"),))
    with contextlib.closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = ON")
        for number in range(30):
            said(db, number, known, 60)
        while side.join_runs(db):
            pass
        gone = {each for each in known if each[0] in KEYS[:5]}
        side.remove_mentions(db, [side.pack_mention(*each) for each in gone])
        assert found(db) == led(db) == known - gone
        held = (tmp_path / "file").read_bytes()
        assert [key in held for key in KEYS] == [key not in KEYS[:5] for key in KEYS]


@pytest.mark.parametrize("together", [1, 50, 500])
def test_what_is_removed_is_gone_from_small_runs_and_large_ones_and_nothing_else_is(together):
    known = set()
    with index() as db:
        for number in range(70):
            said(db, number, known, 100)
        while side.join_runs(db):
            pass
        said(db, 70, known)
        assert {level for (level,) in db.execute("SELECT level FROM mention_run")} >= {0, 2}
        gone = random.Random(7).sample(sorted(known), 500)
        for start in range(0, len(gone), together):
            side.remove_mentions(db, [side.pack_mention(*each) for each in gone[start : start + together]])
        assert found(db) == led(db) == known - {*gone}


def test_what_was_added_bit_by_bit_is_one_run():
    known = set()
    with index() as db:
        said(db, 0, known)
        [last] = db.execute(side.LAST_RUN).fetchone()
        for number in range(1, 6):
            said(db, number, known)
        side.gather_mentions(db, last)
        assert db.execute("SELECT count(*) FROM mention_run").fetchone() == (2,)
        assert found(db) == known


@pytest.mark.parametrize("joins", [True, False])
def test_the_writer_makes_few_runs_of_many_behind_its_answers(house, do, monkeypatch, joins):
    """Without it, the control, they stay as many as commits said something."""
    if not joins:
        monkeypatch.setattr(side, "join_runs", lambda _: False)
    for number in range(3 * side.RUNS):
        says_no(house, "email", email(number))
    do(lambda _: None)
    with contextlib.closing(house.writer.store.open_to_read()) as db:
        assert (db.execute("SELECT count(*) FROM mention_run").fetchone()[0] < side.RUNS) is joins
        keys = [key for (key,) in db.execute("SELECT key FROM detail")]
        assert {key for key, *_ in side.mentions_of(db, keys, Mention.OF)} == {*keys}


def test_who_goes_back_to_the_release_before_and_on_again_finds_everybody(folder):
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        story(house)
    with contextlib.closing(schema.open_to_read(folder)) as db:
        before = led(db)
    schema.take_back(folder, schema.MENTIONS - 1)
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        assert {*db.execute("SELECT key, way, place FROM about")} == before
    schema.migrate(folder, 1)
    assert composition.verify_ledger(folder, inside.settings(), boxes=True)[0].different == []
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert (len(before) > 20, led(db)) == (True, before)
