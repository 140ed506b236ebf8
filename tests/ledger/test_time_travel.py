"""What stood on record at another moment, folded from the entries, is what did stand then (L85)."""

import os
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from support.any_life import ACTS, KEYS, LIFE, lived
from support.examples import TIMES, examples
from support.lives import BEGAN
from support.people import GAID, phone

from gateway.desk import history
from gateway.fold.record import LinkSaid, NamesLearnt, SaidOut
from gateway.fold.state import FOR_EVER
from gateway.ledger import schema
from gateway.ledger.acts import device_states, folded_people, links, records
from gateway.ledger.acts.links import Span
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.store import SqliteStore
from gateway.ledger.subjects import Choice, Subject, milliseconds, moment
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Purpose


def differences(lives, now, live, keys):
    then = {key: lives.then(key, now) for key in keys}
    return [
        (key, then[key], live[key])
        for key in keys
        if (then[key][0], ordered(then[key][1])) != (live[key][0], ordered(live[key][1]))
    ]


def ordered(allowed):
    return sorted(allowed, key=str)


def check(life, *, keys=18, seed=0):
    """At every moment some of the keys, in the end all of them."""
    lives, numbers = lived(life), random.Random(seed)
    for now, live in lives.moments[:-1]:
        assert differences(lives, now, live, numbers.sample(KEYS, keys)) == []
    for now, live in lives.moments[-1:]:
        assert differences(lives, now, live, KEYS) == []
    lives.db.close()


@pytest.mark.slow
@examples(40)
@given(LIFE)
@example([(0, 2, 0, 0), (1, 0, 1, 1), (2, 0, 1, 0), (17, 1, 0, 0)])
def test_any_life_made_again_stands_as_it_stands_now(life):
    check(life, keys=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30 * TIMES))
def test_any_life_made_again_stands_at_every_moment_as_it_stood_then(seed):
    numbers = random.Random(seed)
    check([tuple(numbers.randrange(200) for _ in range(4)) for _ in range(30)], keys=2, seed=seed)


STORY = [(ACTS.index(act), *more) for act, *more in [
    ("gets", 0, 0, 1), ("no", 2, 0, 0), ("yes", 0, 1, 0), ("grant", 6, 0, 0), ("is_told", 0, 1, 0), ("ages", 0, 1, 1),
    ("gets", 1, 0, 1), ("no", 1, 0, 2), ("goes_back", 0, 0, 0), ("limits", 0, 0, 0), ("is_voided", 1, 0, 0),
]]  # fmt: skip


@pytest.mark.slow
def test_a_story_stands_at_each_of_its_moments_as_it_stood_then():
    check(STORY, keys=4)


def without(kind):
    """A look back at the log that overlooks one kind of record."""

    def broken(db, rows, now, keys):
        return [each for each in OF(db, rows, now, keys) if now == FOR_EVER or not isinstance(each[1].said, kind)]

    return broken


OF = folded_people.told_by


@pytest.mark.parametrize("kind", [NamesLearnt, SaidOut, LinkSaid])
def test_a_life_of_which_something_is_overlooked_does_not_pass(monkeypatch, kind):
    monkeypatch.setattr(folded_people, "told_by", without(kind))
    with pytest.raises(AssertionError):
        check([(0, 3, 0, 0), *STORY])


class TestTheDesk:
    """Through the open installation."""

    AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    @pytest.fixture
    def says(self, do, who):
        def say(kind, subject, at):
            choice = Choice(ChoiceKind(kind), (Purpose.SALE,), "api", at)
            return do(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16)))

        return say

    def test_sees_who_stood_how_before_and_after_each_choice(self, folder, who, says):
        number = who("phone", phone(1))
        for minute, kind in enumerate(("opt_out", "opt_in", "opt_out")):
            says(kind, number, self.AT + timedelta(minutes=minute))
        read = [
            history.standings_at(
                SqliteStore(folder), [number.key], self.AT + timedelta(minutes=minute, seconds=seconds)
            )
            for minute, seconds in ((0, -1), (0, 0), (0, 59), (1, 0), (2, 0), (90, 0))
        ]
        assert [then.position for then in read] == [0, 1, 1, 2, 3, 3]
        words = [[standing.states()["sale"] for standing in then.standings] for then in read]
        assert words == [[], ["opted_out"], ["opted_out"], ["opted_in"], ["opted_out"], ["opted_out"]]

    def test_is_told_which_entry_decided(self, folder, do, who, says):
        tablet = who("gaid", GAID)
        began = Choice(ChoiceKind.STATE_BEGAN, SIGNAL_PURPOSES, "device", self.AT)
        do(lambda tx: device_states.begin_state(tx, tablet, began, os.urandom(16)))
        says("opt_out", tablet, self.AT + timedelta(minutes=1))
        says("opt_in", tablet, self.AT + timedelta(minutes=2))
        read = [
            history.standings_at(SqliteStore(folder), [tablet.key], self.AT + timedelta(minutes=minute)).standings
            for minute in (0, 1, 2)
        ]
        assert [standing.seq for [standing] in read] == [0, 1, 1], "the state, the no, and the no to its other purposes"

    def test_is_told_of_a_stranger_that_there_was_nobody(self, folder, who, says):
        says("opt_out", who("phone", phone(1)), self.AT)
        assert history.standings_at(SqliteStore(folder), [who("phone", phone(2)).key], self.AT).standings == ()
        assert history.standings_at(SqliteStore(folder), [], self.AT) == history.Rebuilt(1, (), ())

    @pytest.mark.parametrize("leaves", [True, False], ids=["its only account lost it", "two accounts have it"])
    def test_shows_whoever_has_a_number_now_nothing_of_before_the_entry_by_which_it_passed_on(
        self, folder, do, who, says, leaves
    ):
        number, begins = who("phone", phone(1)), milliseconds(self.AT)
        hour, day = timedelta(hours=1), timedelta(days=1)

        def link(account, at, until=None):
            span = Span(begins, until and milliseconds(until))
            do(lambda tx: links.link_identifiers(tx, who("account", account), [number], span, milliseconds(at)))

        link("a", self.AT)
        says("opt_out", number, self.AT + hour)
        link(*(("a", self.AT + day, self.AT + day) if leaves else ("b", self.AT + day)))
        told = [
            history.standings_at(SqliteStore(folder), [number.key], at, self.AT + 2 * day)
            for at in (self.AT + hour, self.AT + day - hour, self.AT + day + hour)
        ]
        assert [each.forgotten == history.ANOTHERS for each in told] == [True, True, False]
        assert [bool(each.standings) for each in told] == [False, False, True]

    def test_gets_no_answer_from_a_ledger_that_cannot_be_read(self, folder, who):
        (folder / schema.FILE).rename(folder / "away")
        with pytest.raises(StoreUnavailable, match="LedgerRefused"):
            history.standings_at(SqliteStore(folder), [b"k" * 16], self.AT)
        (folder / "away").rename(folder / schema.FILE)

    @pytest.mark.slow
    def test_reads_a_family_of_thousands_of_devices(self, folder, do):
        """More keys than one statement takes at a time."""
        account = Subject("account", "a", (b"a" * 16,))
        things = [Subject("gaid", "", (number.to_bytes(16, "big"),)) for number in range(1, schema.CHUNK + 20)]
        now = milliseconds(self.AT)
        do(lambda tx: links.link_identifiers(tx, account, things, Span(now), now))
        do(
            lambda tx: records.write_choice(
                tx, account, Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", self.AT), b"r" * 16
            )
        )
        [last] = history.standings_at(SqliteStore(folder), [things[-1].key], self.AT).standings
        assert last.denies(Purpose.SALE)


def test_the_time_of_an_entry_is_kept_to_the_millisecond():
    for now in range(1_795_521_600_000, 1_795_521_601_000):
        assert milliseconds(moment(now)) == now
    assert milliseconds(BEGAN) == int(BEGAN.timestamp()) * 1000
