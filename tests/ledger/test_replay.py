"""What stood on record at another moment, made again from the entries, is what did stand then (L85)."""

import os
import random
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.lives import BEGAN, PEOPLE, Ledger
from support.people import GAID, email, named, phone

from gateway.choice.standing import Standing
from gateway.ledger import ages, grants, happenings, links, records, replay, schema, table, told, voiding
from gateway.ledger.links import Span
from gateway.ledger.records import Choice, Subject, milliseconds
from gateway.ledger.writer import StoreUnavailable
from gateway.terms import ChoiceKind, DataClass, NoticeKind, Purpose, Source, Told

ALIKE = sha256(GAID.encode()).hexdigest()
SUBJECTS = {
    name: PEOPLE.name([named(*said)]).subjects[0]
    for name, said in {
        "ann": ("account", "ann"), "bob": ("account", "bob"), "phone": ("phone", phone(1)),
        "phone hashed": ("phone_sha256", sha256(phone(1)[1:].encode()).hexdigest()),
        "dotted": ("email", "per.son1@gmail.example.com"), "mail": ("email", email(1)),
        "tablet": ("gaid", GAID), "tablet hashed": ("ad_id_sha256", ALIKE), "other tablet": ("idfa", GAID),
    }.items()
}  # fmt: skip
ACCOUNTS = ("ann", "bob")
THINGS = tuple(name for name in SUBJECTS if name not in ACCOUNTS)
SCREENS = ("fair", "dark")
KEYS = sorted({key for subject in SUBJECTS.values() for key in (*subject.keys, *subject.looser)})


class Lives(Ledger):
    """What people do, each by its name and three numbers that say to whom and how."""

    def __init__(self):
        super().__init__(SUBJECTS)
        self.moments = []

    def do(self, act, who, other, how):
        """One act, and what stood on record then."""
        getattr(self, ACTS[act % len(ACTS)])(who, other, how)
        self.moments.append((milliseconds(self.at), self.live(milliseconds(self.at))))

    def live(self, now):
        """The live rows of every key, read as a check reads them."""
        return {key: (*self.standings(key, now), self.grants(key, now)) for key in KEYS}

    def standings(self, key, now):
        rows = self.db.execute(table.ROWS_OF.format(marks="?"), [key]).fetchall()
        return [table.standing(now, *row[3:]) if row[2] else Standing() for row in rows]

    def grants(self, key, now):
        return table.grants(self.db.execute(table.GRANTS_OF.format(marks="?"), [key, now]))

    def then(self, key, now):
        """The same, lived through again from the one key: what is connected to it must be found."""
        rebuilt = replay.rebuild(self.db, [key], now)
        return next(iter(rebuilt.standings), Standing()), list(rebuilt.grants)

    def pick(self, names, number):
        return SUBJECTS[names[number % len(names)]]

    def anybody(self, number):
        return self.pick(tuple(SUBJECTS), number)

    def say(self, subject, kind, how, **more):
        self.now()
        purposes = (Purpose.SALE, Purpose.TARGETED_ADS, Purpose.SENSITIVE, Purpose.MARKETING_MAIL)
        choice = Choice(kind, (purposes[how % 4],), "api", self.at, **more)
        records.write(self.tx, subject, choice, os.urandom(16))

    def no(self, who, other, how):
        self.say(self.anybody(who), ChoiceKind.OPT_OUT, how)

    def yes(self, who, other, how):
        more = {"ui": SCREENS[other % 2], "informed": other % 3 == 0, "parental": other % 5 == 0} if other % 7 else {}
        self.say(self.anybody(who), ChoiceKind.OPT_IN, how, **more)

    def grant(self, who, other, how):
        point = {"data_class": DataClass.PRECISE_GEO, "ui": SCREENS[other % 2]}
        self.say(self.anybody(who), ChoiceKind.OPT_IN, how, recipient="teemo", **point)

    def direct(self, who, other, how):
        self.say(self.anybody(who), ChoiceKind.DIRECT, how, recipient="bank")

    def use(self, who, other, how):
        now = self.now()
        grants.use(self.tx, self.anybody(who).keys, "bank", now)

    def keeps(self, who, other, how):
        self.say(self.anybody(who), ChoiceKind.KEEP_PROGRAMME, how, recipient="bonus", ui=SCREENS[other % 2])

    def hears(self, who, other, how):
        self.now()
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE, Purpose.TARGETED_ADS), Source.GPC, self.at)
        records.hear(self.tx, self.anybody(who), choice, os.urandom(16))

    def gets(self, who, other, how):
        now, more = self.now(), [self.pick(THINGS, other)]
        if how % 3 == 0:
            more.append(self.pick(THINGS, other + how))
        until = now + 5000 if how % 5 == 0 else None
        links.link(self.tx, self.pick(ACCOUNTS, who), more, Span(now - 10, until), now)

    def gives_up(self, who, other, how):
        now = self.now()
        links.link(self.tx, self.pick(ACCOUNTS, who), [self.pick(THINGS, other)], Span(now - 1, now), now)

    def goes_back(self, who, other, how):
        links.release(self.tx, self.pick(THINGS, who), self.now())

    def limits(self, who, other, how):
        self.begin_or_end(self.begin, who, how)

    def limits_no_more(self, who, other, how):
        self.begin_or_end(lambda device, purpose, source: self.end(device, (purpose,), source), who, how)

    def begin_or_end(self, act, who, how):
        act(("tablet", "tablet hashed", "other tablet")[who % 3], Purpose.SALE, ("device", "tcf")[how % 2])

    def is_told(self, who, other, how):
        self.now()
        notice, outcome = tuple(NoticeKind)[how % 2], tuple(Told)[other % 3]
        day = self.at.date() - timedelta(days=other % 9)
        told.tell(self.tx, self.anybody(who), notice, day, outcome, self.at, os.urandom(16))

    def ages(self, who, other, how):
        self.now()
        band = ages.AGES[how % 4]
        ages.say(self.tx, self.anybody(who), band, self.at, os.urandom(16), may_rise=other % 2 == 0)

    def is_voided(self, who, other, how):
        self.now()
        voiding.void(self.tx, SCREENS[who % 2], b"h" * 32, self.at)


ACTS = ("no", "gets", "yes", "grant", "direct", "use", "keeps", "hears", "gets", "gives_up", "goes_back", "limits",
        "limits_no_more", "is_told", "ages", "no", "yes", "is_voided")  # fmt: skip
NUMBER = st.integers(0, 200)
LIFE = st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), max_size=14)


def differences(lives, now, live, keys):
    then = {key: lives.then(key, now) for key in keys}
    return [(key, then[key], live[key]) for key in keys if (then[key][0], ordered(then[key][1])) != (
        live[key][0], ordered(live[key][1]))]  # fmt: skip


def ordered(allowed):
    return sorted(allowed, key=str)


def lived(life):
    lives = Lives()
    for act in life:
        lives.do(*act)
    return lives


def check(life, *, keys=18, seed=0):
    """At every moment some of the keys, in the end all of them."""
    lives, numbers = lived(life), random.Random(seed)
    for now, live in lives.moments[:-1]:
        assert differences(lives, now, live, numbers.sample(KEYS, keys)) == []
    for now, live in lives.moments[-1:]:
        assert differences(lives, now, live, KEYS) == []
    lives.db.close()


@settings(max_examples=40)
@given(LIFE)
@example([(0, 2, 0, 0), (1, 0, 1, 1), (2, 0, 1, 0), (17, 1, 0, 0)])
def test_any_life_made_again_stands_as_it_stands_now(life):
    check(life, keys=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30 * (20 if os.environ.get("SOAK") == "1" else 1)))
def test_any_life_made_again_stands_at_every_moment_as_it_stood_then(seed):
    numbers = random.Random(seed)
    check([tuple(numbers.randrange(200) for _ in range(4)) for _ in range(30)], keys=2, seed=seed)


STORY = [(ACTS.index(act), *more) for act, *more in [
    ("gets", 0, 0, 1), ("no", 2, 0, 0), ("yes", 0, 1, 0), ("grant", 6, 0, 0), ("is_told", 0, 1, 0), ("ages", 0, 1, 1),
    ("gets", 1, 0, 1), ("no", 1, 0, 2), ("goes_back", 0, 0, 0), ("limits", 0, 0, 0), ("is_voided", 1, 0, 0),
]]  # fmt: skip


def test_a_story_stands_at_each_of_its_moments_as_it_stood_then():
    check(STORY, keys=4)


def without(kind):
    """A reading of the log that overlooks one kind of happening."""

    def broken(db, keys, now):
        return [each for each in OF(db, keys, now) if each.phase != kind]

    return broken


OF = happenings.of


@pytest.mark.parametrize("phase", [happenings.NAMES, happenings.ENTRIES])
def test_a_life_of_which_something_is_overlooked_does_not_pass(monkeypatch, phase):
    monkeypatch.setattr(happenings, "of", without(phase))
    with pytest.raises(AssertionError):
        check([(0, 3, 0, 0), *STORY])


def test_the_live_rows_are_never_asked():
    lives = lived(STORY)
    now, live = lives.moments[-1]
    for rows in ("standing", "own_choice", "travelled_choice", "grant_choice", "told", "age", "link", "device_state"):
        lives.db.execute(f"DELETE FROM {rows}")
    assert differences(lives, now, live, KEYS) == []


class TestTheDesk:
    """Through the open installation."""

    AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    @pytest.fixture
    def says(self, do, who):
        def say(kind, subject, at):
            choice = Choice(ChoiceKind(kind), (Purpose.SALE,), "api", at)
            return do(lambda tx: records.write(tx, subject, choice, os.urandom(16)))

        return say

    def test_sees_who_stood_how_before_and_after_each_choice(self, folder, who, says):
        number = who("phone", phone(1))
        for minute, kind in enumerate(("opt_out", "opt_in", "opt_out")):
            says(kind, number, self.AT + timedelta(minutes=minute))
        read = [
            replay.standings_at(folder, [number.key], self.AT + timedelta(minutes=minute, seconds=seconds))
            for minute, seconds in ((0, -1), (0, 0), (0, 59), (1, 0), (2, 0), (90, 0))
        ]
        assert [then.position for then in read] == [0, 1, 1, 2, 3, 3]
        words = [[standing.states()["sale"] for standing in then.standings] for then in read]
        assert words == [[], ["opted_out"], ["opted_out"], ["opted_in"], ["opted_out"], ["opted_out"]]

    def test_is_told_of_a_stranger_that_there_was_nobody(self, folder, who, says):
        says("opt_out", who("phone", phone(1)), self.AT)
        assert replay.standings_at(folder, [who("phone", phone(2)).key], self.AT).standings == ()
        assert replay.standings_at(folder, [], self.AT) == replay.Rebuilt(1, (), ())

    def test_gets_no_answer_from_a_ledger_that_cannot_be_read(self, folder, who):
        (folder / schema.FILE).rename(folder / "away")
        with pytest.raises(StoreUnavailable, match="LedgerRefused"):
            replay.standings_at(folder, [b"k" * 16], self.AT)
        (folder / "away").rename(folder / schema.FILE)

    def test_reads_a_family_of_thousands_of_devices(self, folder, do):
        """More keys than one statement takes at a time."""
        account = Subject("account", "a", (b"a" * 16,))
        things = [Subject("gaid", "", (number.to_bytes(16, "big"),)) for number in range(1, happenings.CHUNK + 20)]
        now = milliseconds(self.AT)
        do(lambda tx: links.link(tx, account, things, Span(now), now))
        do(
            lambda tx: records.write(
                tx, account, Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", self.AT), b"r" * 16
            )
        )
        [last] = replay.standings_at(folder, [things[-1].key], self.AT).standings
        assert last.denies(Purpose.SALE)


def test_the_time_of_an_entry_is_kept_to_the_millisecond():
    for now in range(1_795_521_600_000, 1_795_521_601_000):
        assert milliseconds(records.moment(now)) == now
    assert milliseconds(BEGAN) == int(BEGAN.timestamp()) * 1000
