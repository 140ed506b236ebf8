"""Any life of one installation on a real disk: choices, signals, requests sent again, new keys, restarts, erasures, old
entries that are pruned, a backup that is put back, a machine that dies in the middle of any of them, a second process
on the same folder. Whatever happens:

- what was acknowledged is in the log, and every entry stays as it was first seen until it is pruned; the log never gets
  smaller, but where an older copy was put back and went on as a new log;
- the gate says of everybody what they said last, and never allows for somebody whose last acknowledged word is a no;
- one Idempotency-Key is one entry, also when the machine dies between the commit and the answer;
- of who was erased nothing is left in any file, and what was provable stays provable; a child that was found is denied
  for good;
- every checkpoint that was ever signed is consistent with the newest, every receipt ever handed out still verifies, and
  so does the whole ledger.

SOAK=1 runs twenty-four lives.
"""

import contextlib
import copy
import itertools
import json
import re
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from support import inside
from support.dying import ERASING, KEPT, POINTS, UNKEPT, Cut
from support.examples import lives as lives_of
from support.installation import PEOPLE, Installation, with_a_full_tile
from support.remembered import Remembered
from support.second_process import SecondProcess

from gateway.app.maintenance import RekeyKind
from gateway.consent.verbs import Refused
from gateway.desk.forgetting.erasure import ENTRY
from gateway.ledger import publisher, schema
from gateway.ledger.acts import idempotency
from gateway.state.lookup import Seen, StateLookup
from gateway.terms import Erasing

pytestmark = pytest.mark.slow

CONFIRM = timedelta(minutes=idempotency.CONFIRM_MINUTES)
REMEMBERED = timedelta(days=idempotency.DAYS)
MONTH = 24 * 31
PUT_BACK_WITHIN = timedelta(days=7)  # `[retention] keys_backup_days`: an older copy may not open (help erasure)
KEYS_LOST = re.compile(r"the keys of entry \d+ are lost")
HOURS = (0.1, 0.3, 24, 24 * 34, 24 * 36, 25 * MONTH, 37 * MONTH)
DONE = Counter()


@dataclass
class Asked:
    """The first act of opting in. `turn`: which act of this life it was."""

    name: str
    token: str
    turn: int
    at: datetime
    log: str
    unknown: bool = False  # the key of its seal is gone


@dataclass
class Repeatable:
    """An acknowledged choice with its Idempotency-Key; of a second act with its first."""

    name: str
    repeat: str
    event: str
    asked: Asked | None


@dataclass
class Stands:
    """What the installation must know: it comes and goes with the ledger's file."""

    says: dict = field(default_factory=lambda: dict.fromkeys(PEOPLE, "none"))
    said_no: dict = field(default_factory=lambda: dict.fromkeys(PEOPLE, -1))  # in which act
    children: set = field(default_factory=set)
    events: dict = field(default_factory=dict)  # acknowledged and not unlinked: event, about whom
    repeats: dict = field(default_factory=dict)  # Idempotency-Key, and when
    confirmed: set = field(default_factory=set)  # tokens
    boxes: list = field(default_factory=list)  # erased from it


@dataclass(frozen=True)
class Backup:
    path: Path
    at: datetime
    origin: str
    stands: Stands
    log: tuple


class Store(RuleBasedStateMachine):
    who, mode = st.sampled_from(sorted(PEOPLE)), st.sampled_from(Erasing)
    dies = (st.booleans(), st.integers(0, 10), st.integers(0, 99))
    cuts = st.builds(Cut, st.sampled_from(POINTS), *dies)
    erasing_cuts = st.builds(Cut, st.sampled_from(POINTS + ERASING), *dies)
    answered, asked, backups = Bundle("answered"), Bundle("asked"), Bundle("backups")
    second: SecondProcess

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="store-"))
        for made in (with_a_full_tile(), publisher.checkpoints_beside(with_a_full_tile())):
            shutil.copytree(made, self.root / made.name)
        self.here = Installation(self.root / "data")
        self.log = Remembered(self.here)
        self.log.news()
        self.numbers, self.turn = itertools.count(), 0
        self.stands = Stands()
        self.tokens = []
        self.destroyed = []  # keys that must open nothing any more
        self.outlived = False  # a copy came back whose own keys may have died with their epochs

    def teardown(self):
        try:
            self.log.holds()
            assert [each for each in self.here.verify() if not (self.outlived and KEYS_LOST.fullmatch(each))] == []
        finally:
            self.here.close()
            shutil.rmtree(self.root)

    # what people do

    @rule(target=answered, name=who)
    def opt_out(self, name):
        return self.say_no(name, self.new_key())

    @rule(target=asked, name=who)
    def ask_to_opt_in(self, name):
        if name in self.stands.children:
            self.refused("too_young", lambda: self.here.ask(name))
            return multiple()
        self.tokens.append(Asked(name, self.here.ask(name), self.turn, self.here.clock(), self.here.head("origin")))
        self.grew_by([])
        return self.tokens[-1]

    @rule(target=answered, asked=consumes(asked))
    def opt_in(self, asked):
        return self.confirm(asked, self.new_key()) or multiple()

    @rule(asked=asked)
    def opt_in_and_perhaps_again(self, asked):
        self.confirm(asked, self.new_key())

    @rule(name=who)
    def gpc_seen(self, name):
        news = self.stands.says[name] != "out"
        assert self.here.hear(name) == news
        self.grew_by([("opt_out", name)] if news else [])

    @rule(done=answered)
    def retry_same_key(self, done):
        """As long as the ledger remembers it that changes nothing; a copy that was put back may not know it, and with
        somebody who was unlinked it is forgotten.
        """
        at = self.stands.repeats.get(done.repeat)
        if at and self.here.clock() - at > REMEMBERED:
            return
        at = at if done.event in self.stands.events else None
        known = at and not (done.asked and self.refusal(done.asked) == "confirm_unknown")
        if known:
            act = self.here.confirm if done.asked else self.here.opt_out
            again = act(done.asked.token if done.asked else done.name, done.repeat)
            assert (again.replayed, again.events[0]["event"]) == (True, done.event)
            self.grew_by([])
        elif done.asked:
            self.confirm(done.asked, done.repeat)
        else:
            done.event = self.say_no(done.name, done.repeat).event

    @rule(name=who, mode=mode)
    def erase(self, name, mode):
        found = self.here.sealed(name, mode)
        self.here.erase(name, mode)
        self.forgot(name, mode, *found)

    @rule(name=who, mode=mode, cut=erasing_cuts)
    def crash_in_an_erasure(self, name, mode, cut):
        """A start finishes what is on record; what is not is asked for again."""
        found = self.here.sealed(name, mode)
        self.here.cut_off(cut, lambda: self.here.erase(name, mode))
        if not self.log.grew():
            assert cut.point not in KEPT + ERASING
            self.here.erase(name, mode)
        self.here.settle()
        self.forgot(name, mode, *found)

    # what operators and machines do

    @rule(kind=st.sampled_from(RekeyKind))
    def rekey(self, kind):
        entries = self.here.rekey(kind)
        for asked in self.tokens if kind is RekeyKind.COOKIE else ():
            asked.unknown = True  # the key of its seal was retired early
        self.grew_by([("key", None)] * entries)

    @rule()
    def reopen(self):
        self.here.stop()
        self.here.open()
        self.grew_by([])

    @rule(target=answered, name=who, cut=cuts)
    def crash(self, name, cut):
        """In the middle of an opt-out, which is then sent again."""
        repeat = self.new_key()
        self.here.cut_off(cut, lambda: self.here.opt_out(name, repeat))
        kept = self.may_have_kept(("opt_out", name), cut)
        again = self.here.opt_out(name, repeat)
        assert again.replayed == kept
        self.grew_by([] if kept else [("opt_out", name)])
        return self.noted(name, repeat, again)

    @rule(name=who, cut=cuts)
    def crash_in_a_visit(self, name, cut):
        news = self.stands.says[name] != "out"
        self.here.cut_off(cut, lambda: self.here.hear(name))
        if news:
            self.may_have_kept(("opt_out", name), cut)
        self.grew_by([])

    @rule(name=who)
    def second_process_reads(self, name):
        for act, arguments in (("check", [name]), ("log", []), ("signed", [])):
            assert self.second(self.here, act, *arguments) == getattr(self.here, act)(*arguments)

    @rule(name=who)
    def second_process_writes(self, name):
        self.second(self.here, "opt_out", name)
        self.grew_by([("opt_out", name)])

    @rule(name=who, mode=mode)
    def second_process_erases(self, name, mode):
        found = self.here.sealed(name, mode)
        self.second(self.here, "erase", name, mode)
        self.forgot(name, mode, *found)

    @rule(hours=st.sampled_from(HOURS))
    def advance_clock(self, hours):
        self.here.clock.later(hours=hours)

    @rule()
    def prune(self):
        self.pruned(self.here.prune())

    @rule(cut=cuts)
    def crash_in_a_prune(self, cut):
        """Its first step or all of it is on record; the next one goes on from there."""
        before = self.here.pruned()
        self.here.cut_off(cut, self.here.prune)
        self.pruned(self.here.pruned() or before)
        self.pruned(self.here.prune())

    @rule(target=backups)
    def back_up(self):
        path = self.root / f"backup{next(self.numbers)}"
        self.here.back_up(path)
        return Backup(path, self.here.clock(), self.here.head("origin"), copy.deepcopy(self.stands), self.log.copied())

    @rule(backup=backups, dies=st.booleans())
    def restore_old_copy(self, backup, dies):
        """What was acknowledged since is lost by it, and everybody can see that: it goes on as a new log."""
        lost = backup.origin != self.here.head("origin") or backup.log[0] < self.log.signed
        self.outlived = self.outlived or self.here.clock() - backup.at > PUT_BACK_WITHIN
        assert self.here.put_back(backup.path) == lost
        self.stands = copy.deepcopy(backup.stands)
        self.log.goes_on_from(backup.log)
        if lost:
            fewer = self.here.peppers_missing()  # one change brings them all
            (self.here.go_on_cut_off if dies else self.here.go_on)()
            self.grew_by([("restored", None)] + [("key", None)] * bool(fewer))

    # what came of it

    def new_key(self):
        return f"key {next(self.numbers)}"

    def say_no(self, name, repeat):
        chosen = self.here.opt_out(name, repeat)
        self.grew_by([("opt_out", name)])
        return self.noted(name, repeat, chosen)

    def confirm(self, asked, repeat):
        why = self.refusal(asked)
        if why is not None:
            self.refused(why, lambda: self.here.confirm(asked.token, repeat))
            return None
        chosen = self.here.confirm(asked.token, repeat)
        self.stands.confirmed.add(asked.token)
        self.grew_by([("opt_in", asked.name)])
        return self.noted(asked.name, repeat, chosen, asked)

    def refused(self, kind, act):
        with pytest.raises((Refused, idempotency.Used)) as refused:
            act()
        assert getattr(refused.value, "kind", "confirm_used") == kind
        self.grew_by([])

    def refusal(self, asked):
        """Why a second act must be refused; None where it must be taken."""
        if asked.unknown:
            return "confirm_unknown"
        if asked.name in self.stands.children:
            return "too_young"
        if self.here.clock() - asked.at > CONFIRM or asked.log != self.here.head("origin"):
            return "confirm_expired"
        if asked.token in self.stands.confirmed:
            return "confirm_used"
        no_since = self.stands.says[asked.name] == "out" and self.stands.said_no[asked.name] > asked.turn
        return "superseded" if no_since else None

    def noted(self, name, repeat, chosen, asked=None):
        event = chosen.events[0]["event"]
        self.stands.events[event] = name
        self.stands.repeats[repeat] = self.here.clock()
        self.log.hand_out(chosen)
        return Repeatable(name, repeat, event, asked)

    def may_have_kept(self, entry, cut):
        """Whether an act that was cut off is on record; both are right only where the cut was within its commit."""
        kept = self.log.grew()
        assert cut.point not in (UNKEPT if kept else KEPT)
        self.grew_by([entry] if kept else [])
        return kept

    def grew_by(self, expected):
        """The log is what it was, and these entries: (kind, about whom)."""
        names = {self.here.key(name): name for name in PEOPLE}
        new = [(json.loads(entry.body)["e"], names.get(entry.key)) for entry in self.log.news()]
        assert new == expected
        for kind, name in expected:
            self.turn += 1
            if kind == "opt_out":
                self.stands.says[name], self.stands.said_no[name] = "out", self.turn
            elif kind == "opt_in":
                self.stands.says[name] = "in"

    def forgot(self, name, mode, boxes, keys, pseudonym):
        unlinked, stands = mode is Erasing.UNLINK, self.stands
        self.grew_by([(ENTRY[mode], None if unlinked else name)])
        if unlinked:
            stands.says[name], stands.said_no[name] = "none", -1
            stands.children.discard(name)
            stands.events = {event: of for event, of in stands.events.items() if of != name}
        elif mode is Erasing.CHILD:
            stands.says[name], stands.said_no[name] = "out", self.turn
            stands.children.add(name)
        stands.boxes += boxes
        self.destroyed += keys
        assert pseudonym is None or self.here.rows_with(pseudonym) == []

    def pruned(self, below):
        self.log.pruned(below)
        new = [json.loads(entry.body)["e"] for entry in self.log.news()]
        assert set(new) <= {"restated", "doc", "pruned"}

    @invariant()
    def the_gate_says_what_everybody_said_last(self):
        DONE["steps"] += 1
        found = {name: self.here.check(name) for name in PEOPLE}
        children = {name for name in PEOPLE if name in self.stands.children}
        assert not [name for name in children if found[name] in {"in", "none"}]
        assert {**found, **dict.fromkeys(children)} == {**self.stands.says, **dict.fromkeys(children)}

    @invariant()
    def nothing_that_was_erased_lies_in_a_file(self):
        assert self.second.lying_in(self.here.folder, self.stands.boxes) == []
        assert self.here.opening(self.destroyed) == []

    @invariant()
    def whatever_was_acknowledged_is_in_the_log(self):
        assert self.stands.events.keys() <= self.here.events().keys()


LIVES = lives_of(6, 24, steps=25)


@pytest.fixture(scope="module")
def second():
    Store.second = SecondProcess()
    yield Store.second
    Store.second.end()


def test_any_life_of_an_installation_keeps_what_it_acknowledged(second, figure):
    run_state_machine_as_test(Store, settings=LIVES)
    figure("store machine", f"{LIVES.max_examples} lives, {DONE['steps']} steps, no acknowledged choice lost")


@pytest.fixture
def lives(second):
    """One life, to be led by hand."""
    made = Store()
    yield made
    made.here.close()
    shutil.rmtree(made.root)


def test_an_opt_in_that_was_asked_for_before_an_older_copy_was_put_back_is_asked_for_again(lives):
    """Else a no of after it would not be seen: the numbers of entries begin anew."""
    older = lives.back_up()
    for _ in range(3):
        lives.opt_out("mail")
    asked = lives.ask_to_opt_in("ann")
    lives.restore_old_copy(older, dies=False)
    lives.opt_out("ann")
    assert lives.refusal(asked) == "confirm_expired"
    lives.opt_in(asked)
    lives.the_gate_says_what_everybody_said_last()


def test_the_control_a_gate_that_forgets_somebody_is_found(lives, monkeypatch):
    lives.opt_out("ann")
    lives.the_gate_says_what_everybody_said_last()
    monkeypatch.setattr(StateLookup, "seen", lambda self, keys, **_: Seen(lives.log.size, (), None))
    with pytest.raises(AssertionError):
        lives.the_gate_says_what_everybody_said_last()


@pytest.mark.parametrize("point", POINTS)
def test_the_control_a_commit_that_is_not_repeatable_is_found(lives, monkeypatch, point):
    monkeypatch.setattr(idempotency, "once", lambda tx, repeat, now, act, **_: (act(), False))
    lives.opt_out("ann")
    with pytest.raises(AssertionError):
        lives.retry_same_key(lives.crash("ann", Cut(point)))


def test_the_control_an_answer_before_the_commit_is_found(lives):
    """As if the machine had died after an answer that came too early."""

    def too_early():
        chosen = lives.here.opt_out("ann", "key")
        lives.stands.events[chosen.events[0]["event"]] = "ann"

    lives.here.cut_off(Cut("between the key and the commit"), too_early)
    with pytest.raises(AssertionError):
        lives.whatever_was_acknowledged_is_in_the_log()


def test_the_control_an_entry_that_was_changed_is_found(lives):
    lives.opt_out("ann")
    with contextlib.closing(sqlite3.connect(lives.here.folder / schema.FILE)) as db:
        db.execute("DROP TRIGGER entry_stays")
        db.execute("UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'opt_out', 'opt_in') AS BLOB)")
        db.commit()
    with pytest.raises(AssertionError):
        lives.grew_by([])


def test_the_control_a_log_that_was_put_back_is_found(lives):
    lives.opt_out("ann")
    older = shutil.copytree(lives.here.folder, lives.root / "older")
    shutil.copytree(publisher.checkpoints_beside(lives.here.folder), publisher.checkpoints_beside(older))
    lives.opt_out("mail")
    lives.here.stop()
    lives.here.move(older)
    lives.here.open()
    with pytest.raises(AssertionError):
        lives.whatever_was_acknowledged_is_in_the_log()
    with pytest.raises(ValueError, match="did not grow out of"):
        lives.log.holds()


@pytest.mark.parametrize("hours", [24, 37 * MONTH])
def test_a_copy_of_another_log_that_comes_back_past_its_time_says_which_keys_died_and_still_denies(
    lives, hours, monkeypatch
):
    inside.steps_at_once(monkeypatch)
    older = lives.back_up()
    lives.opt_out("phone")
    newer = lives.back_up()
    lives.restore_old_copy(older, dies=False)
    lives.advance_clock(hours=hours)
    lives.reopen()
    while lives.here.house.writer._turns.is_due():
        time.sleep(0.02)
    lives.restore_old_copy(newer, dies=False)
    lives.the_gate_says_what_everybody_said_last()
    assert lives.stands.says["phone"] == "out"
    assert [bool(KEYS_LOST.fullmatch(each)) for each in lives.here.verify()] == [True] * (hours > 24)
