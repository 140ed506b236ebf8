"""Look-alikes, over any life: addresses that others hash alike, spellings of one mailbox, one uuid that is an id of two
kinds, at accounts that come and go, told by clocks that are most of a day wrong. Against a model that copies nothing
and reads what each has said, as the rules have it:

- a yes touches its own identifier: what came to it from somebody else's look-alike, and what it once got with another,
  stays (an acknowledged opt-out is lifted by whoever said it and by nobody who is spelled nearly so);
- at gmail.com and googlemail.com dots, suffix and host make no other mailbox: its no is a no in every spelling and at
  every account that has one; a yes takes back what was said in any and opens the one that was shown alone;
- entries order everything and clocks nothing: a link whose start or end was told by a wrong clock passes every no on.

SOAK=1 runs three hundred lives.
"""

import hashlib
from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.examples import lives
from support.lives import PEOPLE, Ledger
from support.people import GAID, named

from gateway.fold import ACTS, links, noes
from gateway.fold.record import LinkSaid, NamesLearnt, SaidIn, SaidOut
from gateway.fold.state import NO_EDGE, Cover
from gateway.ledger.subjects import milliseconds
from gateway.terms import ChoiceKind, Purpose

pytestmark = pytest.mark.slow  # seconds; `make check` is the quick loop

PURPOSES = (Purpose.SALE, Purpose.SENSITIVE)
ACCOUNTS = ("ann", "bob")
GMAIL = ("g plain", "g dotted", "g twin")
ONE_UUID = ("gaid", "idfa")
HASHED = "uuid hashed"
THINGS = {
    "plain": named("email", "janedoe@example.com"),
    "dotted": named("email", "jane.doe@example.com"),
    "suffixed": named("email", "janedoe+y@example.com"),
    "g plain": named("email", "janedoe@gmail.com"),
    "g dotted": named("email", "jane.doe+x@gmail.com"),
    "g twin": named("email", "j.anedoe@googlemail.com"),
    "gaid": named("gaid", GAID),
    "idfa": named("idfa", GAID),
}
SUBJECTS = {
    name: PEOPLE.name([said]).subjects[0]
    for name, said in {
        **{account: named("account", account) for account in ACCOUNTS},
        **THINGS,
        HASHED: named("ad_id_sha256", hashlib.sha256(GAID.encode()).hexdigest()),
    }.items()
}
# Whom a recipient may mean by a look-alike's digest: by whose looser forms each is found.
LOOKS_LIKE = {
    one: {other for other, subject in SUBJECTS.items() if SUBJECTS[one].key in subject.looser} for one in SUBJECTS
}
SKEWS = (0, 0, 20, -20)  # hours


class Model:
    """What was said, by whom, and what links brought. Names, not keys; nothing of it knows a clock."""

    def __init__(self):
        self.says = {}  # (who, purpose): "out" or "in"
        self.old = set()  # (who, purpose): said by somebody who has the mailbox no more
        self.has = set()  # (account, thing), now
        self.up = defaultdict(set)  # account: {(purpose, speaker)}
        self.down = defaultdict(set)  # (account, thing): {(purpose, speaker)} that it keeps
        self.had = set()  # (account, thing), at any time
        self.known = set()

    def same(self, who):
        """Who speaks for the same as this one."""
        if who in GMAIL:
            return set(GMAIL)
        return {who, *ONE_UUID} if who == HASHED else {who, *([HASHED] if who in ONE_UUID else [])}

    def spellings(self, who):
        return set(GMAIL) if who in GMAIL else {who}

    def holders(self, who):
        met = set(ONE_UUID) | {who} if who == HASHED else self.spellings(who)
        return {account for account, thing in self.has if thing in met}

    def meet(self, who):
        self.known.add(who)

    def out(self, who, purpose):
        self.meet(who)
        self.says[who, purpose] = "out"
        self.old.discard((who, purpose))
        for other in self.spellings(who) - {who}:
            if self.says.get((other, purpose)) == "in":
                del self.says[other, purpose]
        for account in self.holders(who):
            self.up[account].add((purpose, who))

    def comes_back(self, who, purpose):
        self.meet(who)
        for other in self.spellings(who):
            self.says.pop((other, purpose), None)
        self.says[who, purpose] = "in"
        if who in ACCOUNTS:
            self.up[who] = {said for said in self.up[who] if said[0] != purpose}
            for pair in self.has:
                if pair[0] == who:
                    self.lift(pair, purpose)
            return
        for account in self.holders(who):
            taken_back = {(purpose, other) for other in self.spellings(who)}
            self.up[account] -= taken_back
            for pair in self.has:  # a link that was put back goes on as if it had not ended
                if pair[0] == account:
                    self.down[pair] -= taken_back
        met = self.known & set(ONE_UUID)
        own = met if who == HASHED and len(met) == 1 else {who}  # a digest of one identifier is that one
        for pair in list(self.down):
            if pair[1] in own and pair not in self.has:
                self.lift(pair, purpose)

    def lift(self, pair, purpose):
        self.down[pair] = {said for said in self.down[pair] if said[0] != purpose}

    def link(self, account, thing):
        self.meet(thing)
        self.meet(account)
        if (account, thing) in self.has:
            return
        self.has.add((account, thing))
        self.had.add((account, thing))
        speakers = self.spellings(thing) | ({HASHED} if thing in ONE_UUID else set())
        for (who, purpose), word in self.says.items():
            if who in speakers and word == "out" and (who, purpose) not in self.old:
                self.up[account].add((purpose, who))

    def unlink(self, account, thing):
        self.meet(thing)
        if (account, thing) in self.has:
            self.has.discard((account, thing))
            self.down[account, thing] |= self.passed_on(account, thing)

    def release(self, thing):
        self.meet(thing)
        for account, held in sorted(self.has):
            if held in self.spellings(thing):
                self.unlink(account, held)
        for each in self.spellings(thing):
            for purpose in PURPOSES:
                if self.says.get((each, purpose)) == "in":
                    del self.says[each, purpose]
                elif (each, purpose) in self.says:
                    self.old.add((each, purpose))

    def passed_on(self, account, thing):
        """What an account's no, and that of its other things, is to a thing."""
        own = {(purpose, account) for purpose in PURPOSES if self.says.get((account, purpose)) == "out"}
        return own | {said for said in self.up[account] if said[1] not in self.same(thing)}

    def said(self, who, to=""):
        """What holds for one without its look-alikes; `to`: whose own no does not come back to them."""
        found = {
            purpose for purpose in PURPOSES for one in self.spellings(who) if self.says.get((one, purpose)) == "out"
        }
        if who in ACCOUNTS:
            return found | {purpose for purpose, _ in self.up[who]}
        for account in ACCOUNTS:
            came = self.down[account, who] | (self.passed_on(account, who) if (account, who) in self.has else set())
            found |= {purpose for purpose, speaker in came if speaker != to}
        return found

    def in_doubt(self, who):
        """Whether an account had one itself and has or had a look-alike of it: what came by which of them is not told
        apart in every order, and then it stays until this one says yes.
        """
        alike = LOOKS_LIKE[who] | ({*ONE_UUID} if who == HASHED else set())
        return any(
            (account, other) in self.had for account, thing in self.had - self.has if thing == who for other in alike
        )

    def denied(self, who):
        """What a digest or an address denies: what holds for it and for all whom it may stand for."""
        found = self.said(who)
        if who in ONE_UUID:
            found |= self.said(HASHED)
        for other in (set(ONE_UUID) if who == HASHED else LOOKS_LIKE[who]) & self.known:
            found |= self.said(other, to=who)
        return found


class Clocks(Ledger):
    """Each act is told by a clock of its own."""

    wrong = timedelta()

    def skew(self, hours):
        self.at, self.wrong = self.at - self.wrong + timedelta(hours=hours), timedelta(hours=hours)

    def denies_key(self, key, purpose):
        return self.stands().standing(key, milliseconds(self.at)).denies(purpose)


def differences(model, ledger):
    """(who, purpose, whether it is to be denied) wherever a row says otherwise."""
    return [
        (who, purpose.value, wanted)
        for who in SUBJECTS
        for purpose in PURPOSES
        if who in model.known
        and ledger.denies(who, purpose) != (wanted := purpose in model.denied(who))
        and (wanted or not model.in_doubt(who))
    ]


def opened(model, ledger):
    """Who is asked about by an address that may never have been met, and not denied what the mailbox said no to."""
    return [
        (who, purpose.value)
        for who in SUBJECTS
        for purpose in model.denied(who)
        if not any(ledger.denies_key(key, purpose) for key in (*SUBJECTS[who].keys, *SUBJECTS[who].looser))
    ]


class Lives(RuleBasedStateMachine):
    account = st.sampled_from(ACCOUNTS)
    thing = st.sampled_from(sorted(THINGS))
    who = st.sampled_from(sorted(SUBJECTS))
    purpose = st.sampled_from(PURPOSES)
    skew = st.sampled_from(SKEWS)

    def __init__(self):
        super().__init__()
        self.model, self.ledger = Model(), Clocks(SUBJECTS)

    def teardown(self):
        self.ledger.db.close()

    def do(self, act, *who, skew=0):
        live(self.model, self.ledger, act, *who, skew=skew)

    @rule(account=account, thing=thing, skew=skew)
    def somebody_gets(self, account, thing, skew):
        self.do("link", account, thing, skew=skew)

    @rule(who=who, purpose=purpose, skew=skew)
    def says_no(self, who, purpose, skew):
        self.do("out", who, purpose, skew=skew)

    @rule(who=who, purpose=purpose, skew=skew)
    def comes_back(self, who, purpose, skew):
        self.do("in", who, purpose, skew=skew)

    @precondition(lambda self: self.model.has)
    @rule(data=st.data(), skew=skew)
    def somebody_gives_up(self, data, skew):
        self.do("unlink", *data.draw(st.sampled_from(sorted(self.model.has))), skew=skew)

    @rule(thing=st.sampled_from(sorted(set(THINGS) - set(ONE_UUID))), skew=skew)
    def goes_back_to_the_pool(self, thing, skew):
        self.do("release", thing, skew=skew)

    @invariant()
    def everybody_stands_as_the_rules_say(self):
        assert differences(self.model, self.ledger) == []

    @invariant()
    def nobody_is_opened_by_being_spelled_otherwise(self):
        assert opened(self.model, self.ledger) == []


def live(model, ledger, act, who, *more, skew=0):
    """One act, told by a clock that is so many hours wrong, in both."""
    ledger.skew(skew)
    if act in {"out", "in"}:
        ledger.choose(ChoiceKind(f"opt_{act}"), who, *more)
        (model.out if act == "out" else model.comes_back)(who, *more)
    else:
        getattr(ledger, act)(who, *more)
        getattr(model, act)(who, *more)


Lives.TestCase.settings = lives(50, 300, steps=30)
TestEverybodyStandsAsTheRulesSay = Lives.TestCase


HER_OWN = [("link", "ann", "plain"), ("out", "ann", Purpose.SALE), ("in", "dotted", Purpose.SALE)]
TWO_KINDS = [("out", "gaid", Purpose.SALE), ("out", "idfa", Purpose.SALE), ("link", "ann", "gaid"),
             ("unlink", "ann", "gaid"), ("out", HASHED, Purpose.SENSITIVE), ("in", "gaid", Purpose.SALE)]  # fmt: skip
ONE_MAILBOX = [("link", "ann", "g dotted"), ("link", "ann", "gaid"), ("out", "g twin", Purpose.SALE),
               ("link", "bob", "g plain"), ("in", "g dotted", Purpose.SALE)]  # fmt: skip
AHEAD = [("link", "ann", "gaid", 20), ("link", "ann", "plain"), ("out", "gaid", Purpose.SALE)]
PUT_BACK = [("link", "ann", "plain"), ("unlink", "ann", "plain", 20), ("out", "plain", Purpose.SALE),
            ("link", "ann", "plain")]  # fmt: skip
STORIES = [HER_OWN, TWO_KINDS, ONE_MAILBOX, AHEAD, PUT_BACK]


def told(story):
    """What is wrong after any act of a fixed story."""
    model, ledger, found = Model(), Clocks(SUBJECTS), []
    for act, *who in story:
        skew = who.pop() if isinstance(who[-1], int) else 0
        live(model, ledger, act, *who, skew=skew)
        found += [*differences(model, ledger), *opened(model, ledger)]
    ledger.db.close()
    return found


@pytest.mark.parametrize("story", STORIES)
def test_the_model_and_the_ledger_agree_on_each_fixed_story(story):
    assert told(story) == []


def takes_look_alikes_for_its_own(slate, record, said):
    """As it was once: whoever is hashed as I am is I."""
    noes.fold_in(slate, record, said)
    mine = {record.key, *slate.row(record.key).looser, *slate.row(record.key).names}
    alike = {each for form in mine for each in (*slate.row(form).owners, *slate.row(form).targets)}
    alike |= {account for each in alike for account in slate.row(each).accounts}
    for each in alike - {record.key}:
        for purpose in said.purposes:
            noes.cover_own(slate, each, purpose, Cover(record.key, record.seq, said.screen))


@pytest.mark.parametrize("story", [HER_OWN, TWO_KINDS])
def test_a_ledger_that_takes_look_alikes_for_ones_own_does_not_pass(monkeypatch, story):
    monkeypatch.setitem(ACTS, SaidIn, takes_look_alikes_for_its_own)
    assert told(story) != []


def test_a_ledger_that_takes_each_spelling_for_a_mailbox_does_not_pass(monkeypatch):
    apart = lambda slate, record, said: links.fold_names(slate, record, said._replace(mailbox=None))  # noqa: E731
    monkeypatch.setitem(ACTS, NamesLearnt, apart)
    assert told(ONE_MAILBOX) != []


def waits_for_its_start(slate, record, said):
    honest = slate.edge
    slate.edge = lambda *place: edge if (edge := honest(*place)).start <= record.at else NO_EDGE
    noes.fold_out(slate, record, said)


def test_a_ledger_that_waits_for_the_start_that_a_clock_told_does_not_pass(monkeypatch):
    monkeypatch.setitem(ACTS, SaidOut, waits_for_its_start)
    assert told(AHEAD) != []


def test_a_ledger_that_lets_a_link_end_by_the_clock_alone_does_not_pass(monkeypatch):
    never_over = lambda slate, record, said: links.fold_link(slate, record._replace(at=0), said)  # noqa: E731
    monkeypatch.setitem(ACTS, LinkSaid, never_over)
    assert told(PUT_BACK) != []
