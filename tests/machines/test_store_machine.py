"""Any life of one installation on a real disk: choices, signals, requests sent again, new keys, restarts, a machine that
dies in the middle of a commit, a second process on the same folder. Whatever happens (ledger.md section 5):

- what was acknowledged is in the log, and every entry stays as it was first seen; the log never gets smaller;
- the gate says of everybody what they said last, and never allows for somebody whose last acknowledged word is a no;
- one Idempotency-Key is one entry, also when the machine dies between the commit and the answer;
- who was erased has nothing left of it in any file, and what was provable stays provable; a child that was found is
  denied for good;
- every checkpoint that was ever signed is consistent with the newest, and every receipt ever handed out still verifies.

SOAK=1 runs ten times as many lives.
"""

import contextlib
import itertools
import json
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
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
from support.installation import PEOPLE, Installation
from support.second_process import SecondProcess

from gateway.consent import Refused
from gateway.ledger import checkpoint, checkpoint_store, idempotency, note, proofs, receipt, schema
from gateway.ledger.erasure import ENTRY
from gateway.ledger.table import StandingTable
from gateway.mirror.lookup import Seen
from gateway.rekey import Kind
from gateway.terms import Erasing

pytestmark = pytest.mark.slow

TIMES = 10 if os.environ.get("SOAK") == "1" else 1
CONFIRM = timedelta(minutes=idempotency.CONFIRM_MINUTES)
REMEMBERED = timedelta(days=idempotency.DAYS)
DONE = Counter()


class Repeatable:
    """An acknowledged choice with its Idempotency-Key."""

    def __init__(self, act, arguments, event, at, asked):
        self.act, self.arguments, self.event, self.at, self.asked = act, arguments, event, at, asked


class Asked:
    """The first act of opting in, and what stood then."""

    def __init__(self, name, token, position, at):
        self.name, self.token, self.position, self.at = name, token, position, at
        self.confirmed, self.unknown = False, False


class Store(RuleBasedStateMachine):
    who = st.sampled_from(sorted(PEOPLE))
    cuts = st.builds(Cut, st.sampled_from(POINTS), st.booleans(), st.integers(0, 10), st.integers(0, 99))
    erasing_cuts = st.builds(
        Cut, st.sampled_from(POINTS + ERASING), st.booleans(), st.integers(0, 10), st.integers(0, 99)
    )
    answered, asked = Bundle("answered"), Bundle("asked")
    second: SecondProcess

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="store-"))
        self.here = Installation(inside.install(self.root / "data"))
        self.numbers = itertools.count()
        self.says = dict.fromkeys(PEOPLE, "none")
        self.said_no = dict.fromkeys(PEOPLE, -1)  # the entry of the last no
        self.bodies = []
        self.events = {}  # acknowledged and not unlinked: event, its place in the log
        self.about = {}  # event: who
        self.tokens = []
        self.children = set()
        self.forgotten = []  # what must be in no file any more
        self.checkpoints = []
        self.receipts = []  # each with its opening and with those who signed at that time

    def teardown(self):
        try:
            self.everything_signed_still_holds()
        finally:
            self.here.close()
            shutil.rmtree(self.root)

    # what people do

    @rule(target=answered, name=who)
    def opt_out(self, name):
        return self.acknowledged("opt_out", name, ["opt_out", name])

    @rule(target=asked, name=who)
    def ask_to_opt_in(self, name):
        if name in self.children:
            self.refused("too_young", lambda: self.here.ask(name))
            return multiple()
        asked = Asked(name, self.here.ask(name), len(self.bodies), self.here.clock())
        self.tokens.append(asked)
        self.grew_by([])
        return asked

    @rule(target=answered, asked=consumes(asked))
    def opt_in(self, asked):
        return self.confirm(asked)

    @rule(asked=asked)
    def opt_in_and_perhaps_again(self, asked):
        self.confirm(asked)

    @rule(name=who)
    def gpc_seen(self, name):
        news = self.says[name] != "out"
        assert self.here.hear(name) == news
        self.grew_by([("opt_out", name)] if news else [])

    @rule(done=answered)
    def retry_same_key(self, done):
        if done is None or self.here.clock() - done.at > REMEMBERED:
            return
        if done.asked and self.refusal(done.asked) in {"confirm_unknown", "too_young"}:
            self.refused(self.refusal(done.asked), lambda: self.here.confirm(*done.arguments))
            return
        again = getattr(self.here, done.act)(*done.arguments)
        assert again.replayed
        assert again.events[0]["event"] == done.event
        self.grew_by([])

    @rule(name=who, mode=st.sampled_from(Erasing))
    def erase(self, name, mode):
        gone, keys = self.here.sealed(name, mode)
        self.here.erase(name, mode)
        self.forgot(name, mode, gone, keys)

    @rule(name=who, mode=st.sampled_from(Erasing), cut=erasing_cuts)
    def crash_in_an_erasure(self, name, mode, cut):
        """A start finishes what is on record; what is not is asked for again."""
        gone, keys = self.here.sealed(name, mode)
        self.here.cut_off(cut, lambda: self.here.erase(name, mode))
        if len(self.here.log()) == len(self.bodies):
            assert cut.point not in KEPT + ERASING
            self.here.erase(name, mode)
        self.here.settle()
        self.forgot(name, mode, gone, keys)

    def forgot(self, name, mode, gone, keys):
        unlinked = mode is Erasing.UNLINK
        self.grew_by([(ENTRY[mode], None if unlinked else name)])
        if unlinked:
            self.says[name], self.said_no[name] = "none", -1
            self.children.discard(name)
            self.events = {event: seq for event, seq in self.events.items() if self.about[event] != name}
        elif mode is Erasing.CHILD:
            self.says[name], self.said_no[name] = "out", len(self.bodies) - 1
            self.children.add(name)
        self.forgotten += gone
        assert self.second.lying_in(self.here.folder, keys) == []

    # what operators and machines do

    @rule(kind=st.sampled_from(Kind))
    def rekey(self, kind):
        entries = self.here.rekey(kind)
        for asked in self.tokens if kind is Kind.COOKIE else ():
            asked.unknown = True  # its seal was retired early
        self.grew_by([("key", None)] * entries)

    @rule()
    def reopen(self):
        self.here.stop()
        self.here.open()
        self.grew_by([])

    @rule(target=answered, name=who, cut=cuts)
    def crash(self, name, cut):
        """In the middle of an opt-out, which is then sent again."""
        repeat = f"key {next(self.numbers)}"
        self.here.cut_off(cut, lambda: self.here.opt_out(name, repeat))
        kept = self.may_have_kept(("opt_out", name), cut)
        again = self.here.opt_out(name, repeat)
        assert again.replayed == kept
        self.grew_by([] if kept else [("opt_out", name)])
        return self.noted("opt_out", name, (name, repeat), again)

    @rule(name=who, cut=cuts)
    def crash_in_a_visit(self, name, cut):
        if self.says[name] == "out":
            self.here.cut_off(cut, lambda: self.here.hear(name))
            self.grew_by([])
        else:
            self.here.cut_off(cut, lambda: self.here.hear(name))
            self.may_have_kept(("opt_out", name), cut)

    def may_have_kept(self, entry, cut):
        """Whether an act that was cut off is on record; both are right only where the cut was within its commit."""
        kept = len(self.here.log()) > len(self.bodies)
        assert cut.point not in (UNKEPT if kept else KEPT)
        self.grew_by([entry] if kept else [])
        return kept

    @rule(name=who)
    def second_process_reads(self, name):
        assert self.second(self.here, "check", name) == self.here.check(name)
        assert self.second(self.here, "log") == self.here.log()
        assert self.second(self.here, "signed") == self.here.signed()

    @rule(name=who)
    def second_process_writes(self, name):
        self.second(self.here, "opt_out", name)
        self.grew_by([("opt_out", name)])

    @rule(hours=st.sampled_from([0.1, 0.3, 24, 24 * 34, 24 * 36]))
    def advance_clock(self, hours):
        self.here.clock.later(hours=hours)

    # what came of it

    def acknowledged(self, act, name, entry):
        repeat = f"key {next(self.numbers)}"
        chosen = getattr(self.here, act)(name, repeat)
        self.grew_by([tuple(entry)])
        return self.noted(act, name, (name, repeat), chosen)

    def confirm(self, asked):
        repeat, why = f"key {next(self.numbers)}", self.refusal(asked)
        if why is not None:
            self.refused(why, lambda: self.here.confirm(asked.token, repeat))
            return None
        chosen = self.here.confirm(asked.token, repeat)
        asked.confirmed = True
        self.grew_by([("opt_in", asked.name)])
        return self.noted("confirm", asked.name, (asked.token, repeat), chosen, asked)

    def refused(self, kind, act):
        with pytest.raises((Refused, idempotency.Used)) as refused:
            act()
        assert getattr(refused.value, "kind", "confirm_used") == kind
        self.grew_by([])

    def refusal(self, asked):
        """Why a second act must be refused; None where it must be taken."""
        if asked.unknown:
            return "confirm_unknown"
        if asked.name in self.children:
            return "too_young"
        if self.here.clock() - asked.at > CONFIRM:
            return "confirm_expired"
        if asked.confirmed:
            return "confirm_used"
        return "superseded" if self.said_no[asked.name] >= asked.position and self.says[asked.name] == "out" else None

    def noted(self, act, name, arguments, chosen, asked=None):
        event = chosen.events[0]["event"]
        self.events[event], self.about[event] = chosen.events[0]["seq"], name
        made = self.here.receipt(event)
        self.receipts.append((event, made, chosen.openings, self.here.verifiers()))
        return Repeatable(act, arguments, event, self.here.clock(), asked)

    def grew_by(self, expected):
        """The log is what it was, and these entries: (kind, about whom)."""
        log, names = self.here.log(), {self.here.key(name): name for name in PEOPLE}
        assert [entry.body for entry in log[: len(self.bodies)]] == self.bodies
        new = log[len(self.bodies) :]
        assert [(json.loads(entry.body)["e"], names.get(entry.key)) for entry in new] == expected
        for entry, (kind, name) in zip(new, expected, strict=True):
            if kind == "opt_out":
                self.says[name], self.said_no[name] = "out", entry.seq
            elif kind == "opt_in":
                self.says[name] = "in"
        self.bodies += [entry.body for entry in new]
        self.sign()

    def sign(self):
        """Keeps the newest checkpoint, which must have grown out of the one before."""
        text = self.here.signed()
        newest = checkpoint.parse(text) if text else None
        if self.checkpoints:
            self.still_holds(self.checkpoints[-1])
        if newest and newest not in self.checkpoints:
            assert newest.size <= len(self.bodies)  # less: the machine died between the commit and the checkpoint
            self.checkpoints.append(newest)

    def still_holds(self, old):
        """The log as it is signed now has grown out of an earlier checkpoint."""
        if old.size:
            signed, proof = self.here.consent.log_reader.consistency(old.size)
            new = checkpoint.parse(note.text_of(signed))
            assert new.origin == old.origin
            proofs.check_consistency(old.size, new.size, proof, old.root, new.root)

    def everything_signed_still_holds(self):
        for old in self.checkpoints:
            self.still_holds(old)
        for event, made, openings, verifiers in self.receipts:
            self.still_holds(receipt.verify(made, verifiers))
            assert made.entry == self.bodies[made.index]
            assert self.here.receipt(event) is not None
            assert all(receipt.is_about(made, opening) for opening in openings)

    @invariant()
    def the_gate_says_what_everybody_said_last(self):
        DONE["steps"] += 1
        found = {name: self.here.check(name) for name in PEOPLE}
        assert not [name for name in self.children if found[name] in {"in", "none"}]
        assert {name: word for name, word in found.items() if name not in self.children} == {
            name: word for name, word in self.says.items() if name not in self.children
        }

    @invariant()
    def nothing_that_was_erased_lies_in_a_file(self):
        assert self.second.lying_in(self.here.folder, self.forgotten) == []

    @invariant()
    def whatever_was_acknowledged_is_in_the_log(self):
        kept = {entry.event: entry.seq for entry in self.here.log() if entry.event}
        assert self.events.items() <= kept.items()


LIVES = settings(
    max_examples=60 * TIMES,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


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


def test_the_control_a_gate_that_forgets_somebody_is_found(lives, monkeypatch):
    lives.opt_out("ann")
    lives.the_gate_says_what_everybody_said_last()
    monkeypatch.setattr(StandingTable, "seen", lambda self, keys: Seen(len(lives.bodies), ()))
    with pytest.raises(AssertionError):
        lives.the_gate_says_what_everybody_said_last()


@pytest.mark.parametrize("point", POINTS)
def test_the_control_a_commit_that_is_not_repeatable_is_found(lives, monkeypatch, point):
    monkeypatch.setattr(idempotency, "once", lambda tx, key, body, now, act: (act(), False))
    lives.opt_out("ann")
    with pytest.raises(AssertionError):
        lives.retry_same_key(lives.crash("ann", Cut(point)))


def test_the_control_an_answer_before_the_commit_is_found(lives):
    """As if the machine had died after an answer that came too early."""

    def too_early():
        chosen = lives.here.opt_out("ann", "key")
        lives.events[chosen.events[0]["event"]] = chosen.events[0]["seq"]

    lives.here.cut_off(Cut("between the vault and the ledger"), too_early)
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
    shutil.copytree(checkpoint_store.beside(lives.here.folder), checkpoint_store.beside(older))
    lives.opt_out("mail")
    lives.here.stop()
    lives.here.move(older)
    lives.here.open()
    with pytest.raises(AssertionError):
        lives.whatever_was_acknowledged_is_in_the_log()
    with pytest.raises((AssertionError, TypeError)):
        lives.everything_signed_still_holds()
