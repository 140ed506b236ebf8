"""Whom a choice reaches, over any life of people, accounts and identifiers, against a model written from the rules:

- a deny goes from an identifier to its other spellings, to the accounts that have it now and to what those have; from
  an account to what it has; never on from there (R12);
- a no to sale, sharing or targeted ads is a no to all of them, of a person and of a device alike (R3, R25);
- opting in is the identifier's own, of that one purpose, lifts what it sent, and on an account what came through it;
- a link that begins passes on what each side says itself, and what the account's own identifiers said through it;
- a link that ended passes nothing; a released number tells its next account nothing of the time before (R5);
- a device's state denies for the device and its other spellings, goes to no account, lifts nothing and is lifted by
  nothing but the end that its own source says (R26).

SOAK=1 runs three hundred lives.
"""

import hashlib
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.examples import lives
from support.lives import PEOPLE, Ledger
from support.people import GAID, email, named, phone

from gateway.fold import ACTS, noes, reading
from gateway.fold.record import SaidIn, SaidOut
from gateway.fold.state import NO_RECORD
from gateway.ledger.acts import device_states, records
from gateway.terms import ChoiceKind, Purpose

pytestmark = pytest.mark.slow  # seconds; `make check` is the quick loop

TOGETHER = (Purpose.SALE, Purpose.TARGETED_ADS)
PURPOSES = (*TOGETHER, Purpose.SENSITIVE)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def sha1(text):
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


ACCOUNTS = {name: ("account", name) for name in ("ann", "bob", "cat")}
THINGS = {
    "phone1": ("phone", phone(1)),
    "phone2": ("phone", phone(2)),
    "mail": ("email", email(1)),
    "tablet": ("gaid", GAID),
}
# Another spelling of a thing, by which it may be named alone, before or after its raw value is known.
SPELLED = {
    "phone1 without plus": ("phone1", ("phone_sha256", sha256(phone(1)[1:]))),
    "mail as sha1": ("mail", ("email_sha1", sha1(email(1)))),
    "tablet as sha256": ("tablet", ("ad_id_sha256", sha256(GAID))),
}
DEVICES = ("tablet", "tablet as sha256")
SOURCES = ("device", "tcf")
SUBJECTS = {
    name: PEOPLE.name([named(*said)]).subjects[0]
    for name, said in {**ACCOUNTS, **THINGS, **{name: said for name, (_, said) in SPELLED.items()}}.items()
}


def meant_by_no(purpose):
    """What a no to a purpose denies."""
    return TOGETHER if purpose in TOGETHER else (purpose,)


class Model:
    """What everybody has said, and whom it got to. Names, not keys."""

    def __init__(self):
        self.says = {}  # (who, purpose): "out" or "in"
        self.heard = defaultdict(set)  # who: {(purpose, speaker, road)}
        self.has = set()  # (account, thing), now
        self.known = set()  # things whose raw value was named
        self.before = defaultdict(set)  # thing: what was said on it before it was given back
        self.states = defaultdict(set)  # device: {(purpose, source)}

    def spellings(self, who):
        thing = SPELLED[who][0] if who in SPELLED else who
        if thing not in self.known:
            return {who}
        return {thing} | {name for name, (of, _) in SPELLED.items() if of == thing}

    def accounts(self, who):
        return {account for account, thing in self.has if thing in self.spellings(who)}

    def household(self, account):
        return {account}.union(*(self.spellings(thing) for owner, thing in self.has if owner == account))

    def roads(self, who):
        """road: whom it leads to."""
        same = self.spellings(who)
        ways = {"itself": same - {who}}
        for account in [who] if who in ACCOUNTS else self.accounts(who):
            ways[account] = self.household(account) - same
        return ways

    def outs(self, who):
        return {(purpose, who) for purpose in PURPOSES if self.says.get((who, purpose)) == "out"}

    def learn(self, thing):
        if thing in ACCOUNTS or thing in SPELLED or thing in self.known:
            return
        self.known.add(thing)
        same = self.spellings(thing)
        for one in same:
            for purpose, speaker in self.outs(one):
                for other in same - {one}:
                    self.heard[other].add((purpose, speaker, "itself"))
        held = set().union(*(self.states[one] for one in same))
        self.states.update({one: set(held) for one in same})

    def opt_out(self, who, said):
        self.learn(who)
        for purpose in meant_by_no(said):
            self.says[who, purpose] = "out"
            for of in self.before.values():
                of.discard((purpose, who))
            for road, led_to in self.roads(who).items():
                for other in led_to:
                    self.heard[other].add((purpose, who, road))

    def opt_in(self, who, purpose):
        self.learn(who)
        self.says[who, purpose] = "in"
        for road, led_to in self.roads(who).items():
            for other in led_to:
                self.heard[other].discard((purpose, who, road))
        if who in ACCOUNTS:
            for other in self.household(who):
                self.heard[other] = {one for one in self.heard[other] if one[0] != purpose or one[2] != who}
        else:  # what came over a link that has ended is its own by now
            lives = {"itself"} | self.accounts(who)
            for other in self.spellings(who):
                self.heard[other] = {one for one in self.heard[other] if one[0] != purpose or one[2] in lives}

    def link(self, account, thing):
        self.learn(thing)
        if (account, thing) in self.has:
            return
        self.has.add((account, thing))
        same = self.spellings(thing)
        fresh = set().union(*(self.outs(one) for one in same)) - self.before[thing]
        through = {(purpose, speaker) for purpose, speaker, road in self.heard[account] if road == account}
        theirs = {one for one in through if one[1] not in same} | self.outs(account)
        for other in self.household(account) - same:
            self.heard[other] |= {(purpose, speaker, account) for purpose, speaker in fresh}
        for other in same:
            self.heard[other] |= {(purpose, speaker, account) for purpose, speaker in theirs}

    def unlink(self, account, thing):
        self.learn(thing)
        self.has.discard((account, thing))

    def release(self, thing):
        self.learn(thing)
        self.has = {(account, it) for account, it in self.has if it != thing}
        self.before[thing] = set().union(*(self.outs(one) for one in self.spellings(thing)))
        theirs = [(who, purpose) for who, purpose in self.says if who in self.spellings(thing)]
        self.says = {said: word for said, word in self.says.items() if word == "out" or said not in theirs}

    def begin(self, device, purpose, source):
        self.learn(device)
        for one in self.spellings(device):
            self.states[one] |= {(each, source) for each in meant_by_no(purpose)}

    def end(self, device, source):
        self.learn(device)
        for one in self.spellings(device):
            self.states[one] = {state for state in self.states[one] if state[1] != source}

    def limits(self):
        """The sources of the states on record."""
        return sorted({source for held in self.states.values() for _, source in held})

    def denies(self, who, purpose):
        said = self.says.get((who, purpose)) == "out"
        return said or any(one[0] == purpose for one in (*self.heard[who], *self.states[who]))


def differences(model, ledger):
    return [
        (who, purpose.value, model.denies(who, purpose))
        for who in SUBJECTS
        for purpose in PURPOSES
        if ledger.denies(who, purpose) != model.denies(who, purpose)
    ]


class Lives(RuleBasedStateMachine):
    who = st.sampled_from(sorted(SUBJECTS))
    account = st.sampled_from(sorted(ACCOUNTS))
    thing = st.sampled_from(sorted(THINGS))
    purpose = st.sampled_from(PURPOSES)
    device = st.sampled_from(DEVICES)
    source = st.sampled_from(SOURCES)

    def __init__(self):
        super().__init__()
        self.model, self.ledger = Model(), Ledger(SUBJECTS)
        self.acknowledged = set()  # (who, purpose) opted out by itself and not come back since

    def teardown(self):
        self.ledger.db.close()

    @rule(account=account, thing=thing)
    def somebody_gets(self, account, thing):
        fresh = (account, thing) not in self.model.has
        assert self.ledger.link(account, thing) == fresh
        self.model.link(account, thing)

    @rule(who=who, purpose=purpose)
    def says_no(self, who, purpose):
        self.ledger.choose(ChoiceKind.OPT_OUT, who, purpose)
        self.model.opt_out(who, purpose)
        self.acknowledged |= {(who, each) for each in meant_by_no(purpose)}

    @rule(who=who, purpose=purpose)
    def comes_back(self, who, purpose):
        self.ledger.choose(ChoiceKind.OPT_IN, who, purpose)
        self.model.opt_in(who, purpose)
        self.acknowledged.discard((who, purpose))

    @precondition(lambda self: self.model.has)
    @rule(data=st.data())
    def somebody_gives_up(self, data):
        account, thing = data.draw(st.sampled_from(sorted(self.model.has)))
        self.ledger.unlink(account, thing)
        self.model.unlink(account, thing)

    @rule(thing=thing)
    def goes_back_to_the_pool(self, thing):
        self.ledger.release(thing)
        self.model.release(thing)

    @rule(device=device, purpose=purpose, source=source)
    def limits_itself(self, device, purpose, source):
        self.model.learn(device)
        news = (purpose, source) not in self.model.states[device]
        assert (self.ledger.begin(device, purpose, source) is not None) == news
        self.model.begin(device, purpose, source)

    @precondition(lambda self: self.model.limits())
    @rule(device=device, data=st.data())
    def limits_itself_no_more(self, device, data):
        source = data.draw(st.sampled_from(self.model.limits()))
        assert self.ledger.end(device, PURPOSES, source) is not None
        self.model.end(device, source)

    @invariant()
    def everybody_stands_as_the_rules_say(self):
        assert differences(self.model, self.ledger) == []

    @invariant()
    def no_acknowledged_opt_out_reads_as_allowed(self):
        assert [one for one in self.acknowledged if not self.ledger.denies(*one)] == []

    @invariant()
    def a_state_is_known_as_one_and_only_where_it_is(self):
        for who in SUBJECTS:
            assert self.ledger.held(who) == {source for _, source in self.model.states[who]}

    @invariant()
    def what_a_person_said_last_is_their_own_standing(self):
        for (who, purpose), said in self.model.says.items():
            standing = self.ledger.standing(who)
            assert (standing.own_denies(purpose), standing.opted_in(purpose)) == (said == "out", said == "in")


Lives.TestCase.settings = lives(60, 300, steps=30)
TestEverybodyStandsAsTheRulesSay = Lives.TestCase

STORY = [
    ("link", "ann", "phone1"), ("link", "ann", "tablet"), ("link", "bob", "tablet"), ("out", "phone1"),
    ("link", "ann", "mail"), ("out", "tablet as sha256"), ("in", "ann"), ("release", "phone1"),
    ("link", "bob", "phone1"), ("out", "bob"), ("link", "cat", "phone2"), ("out", "cat"),
    ("begin", "tablet", Purpose.SALE, "device"), ("end", "tablet as sha256", "device"),
]  # fmt: skip


def told(story):
    """The differences at the end of a fixed story."""
    model, ledger = Model(), Ledger(SUBJECTS)
    for act, who, *more in story:
        if act in {"out", "in"}:
            ledger.choose(ChoiceKind(f"opt_{act}"), who, Purpose.SALE)
            getattr(model, f"opt_{act}")(who, Purpose.SALE)
        else:
            more_to_ledger = (PURPOSES, *more) if act == "end" else more
            getattr(ledger, act)(who, *more_to_ledger)
            getattr(model, act)(who, *more)
    found = differences(model, ledger)
    ledger.db.close()
    return found


def test_the_model_and_the_ledger_agree_on_a_fixed_story():
    assert told(STORY) == []


LIMITED = [
    ("link", "ann", "tablet"),
    ("begin", "tablet as sha256", Purpose.SALE, "tcf"),
    ("out", "phone1"),
    ("begin", "tablet", Purpose.SALE, "device"),
    ("link", "bob", "tablet"),
    ("end", "tablet", "device"),
]


def test_the_model_and_the_ledger_agree_on_a_limited_tablet_of_two_accounts():
    assert told(LIMITED) == []


def ends_every_source(tx, subject, choice, request):
    END(tx, subject, replace(choice, source="tcf"), request)
    return END(tx, subject, choice, request)


def travels_like_a_choice(tx, subject, choice, request):
    return records.write_choice(tx, subject, replace(choice, kind=ChoiceKind.OPT_OUT), request)


END = device_states.end_state


@pytest.mark.parametrize(("act", "broken"), [("end_state", ends_every_source), ("begin_state", travels_like_a_choice)])
def test_a_ledger_whose_states_end_or_travel_too_easily_does_not_pass(monkeypatch, act, broken):
    monkeypatch.setattr(device_states, act, broken)
    assert told(LIMITED) != []


def goes_too_far(slate, account, apart, past):
    found = PASSED_ON(slate, account, apart, past)
    others = {each for member in slate.row(account).members for each in slate.row(member).accounts}
    return [*found, *(bit for other in others for bit in PASSED_ON(slate, other, apart, NO_RECORD))]


PASSED_ON = reading.passed_on


@pytest.mark.parametrize(
    ("room", "rule_of", "broken"),
    [(noes, "roads", lambda slate, keys, at=None: set()), (reading, "passed_on", goes_too_far)],
    ids=["too little", "too far"],
)
def test_a_ledger_that_spreads_too_little_or_too_far_does_not_pass(monkeypatch, room, rule_of, broken):
    monkeypatch.setattr(room, rule_of, broken)
    assert told(STORY) != []


def takes_every_purpose_back(slate, record, said):
    noes.fold_in(slate, record, said._replace(purposes=TOGETHER))


def test_a_ledger_that_takes_a_no_too_narrowly_or_a_yes_too_widely_does_not_pass(monkeypatch):
    story = [("out", "phone1"), ("in", "phone1")]
    assert told(story) == []
    with monkeypatch.context() as narrow:
        narrow.setattr(noes, "widened", lambda purposes: purposes)
        assert told(story) != []
    monkeypatch.setitem(ACTS, SaidIn, takes_every_purpose_back)
    assert told(story) != []


def test_the_model_is_not_so_lenient_that_a_forgotten_opt_out_passes(monkeypatch):
    monkeypatch.setitem(ACTS, SaidOut, lambda slate, record, said: None)
    assert ("phone1", "sale", True) in told([("out", "phone1")])
