"""A yes of somebody known as a child under 13, without a parent's, counts at no age (R14): told to the fold alone in
every order, and held over made-up lives in which people are forgotten, by what was read before each act.
"""

from collections import Counter

import pytest
from support.acts import Play, Refused
from support.examples import QUICK
from support.folding import ADS, SALE, Log, key
from support.universes import KINDS, acts_of

from gateway.choice.law import AGES
from gateway.fold import facts, noes
from gateway.fold.record import EVERYBODY, AgeTold, GrantSaid, KeptAge, KeyAge
from gateway.terms import DataClass, GrantKind

CHILD, TEEN, _, ADULT = AGES
LIVES, ACTS = (2, 60) if QUICK else (5, 80)
ABOUT = {
    "opt_in", "opt_in_knowing", "ask", "confirm", "grant", "programme", "opt_out", "link", "link_end", "claim",
    "disclaim", "named", "release", "age_desk", "age_account", "age_word", "age_back", "unlink",
}  # fmt: skip
OTHERS = {*KINDS} - ABOUT
OPENS = {"opt_in", "confirm", "programme"}


@pytest.fixture
def log():
    return Log()


def desk(band):
    return AgeTold(band, may_rise=True)


def grant(kind=GrantKind.OPTED_IN):
    return GrantSaid("teemo", (SALE,), DataClass.PRECISE_GEO, kind)


def counts(log, name, purpose=SALE):
    return log.standing(name).opted_in(purpose)


def own_grants(log, name):
    slate = log.state[key(name)]
    return [each.recipient for each, given in slate.grants.items() if not given.child]


def test_a_childs_yes_is_none_at_thirteen_either(log):
    log.say("phone", desk(CHILD))
    log.yes("phone")
    assert not counts(log, "phone")
    log.say("phone", desk(TEEN))
    assert not counts(log, "phone")
    log.yes("phone")
    assert counts(log, "phone")


def test_a_yes_from_before_the_age_was_known_is_none_at_thirteen(log):
    log.yes("phone")
    log.say("phone", desk(CHILD))
    log.say("phone", desk(TEEN))
    assert not counts(log, "phone")


def test_a_parents_yes_stays(log):
    log.say("phone", desk(CHILD))
    log.yes("phone", parental=True)
    assert counts(log, "phone")
    log.say("phone", desk(TEEN))
    assert counts(log, "phone")


def test_who_was_never_a_child_is_asked_once(log):
    log.say("phone", desk(TEEN))
    log.yes("phone")
    log.say("phone", grant())
    log.say("phone", desk(ADULT))
    assert counts(log, "phone")
    assert own_grants(log, "phone") == ["teemo"]


def test_a_word_that_somebody_is_younger_still_opens_nothing(log):
    log.say("phone", desk(CHILD))
    log.yes("phone")
    log.say("phone", AgeTold(ADULT))
    assert log.standing("phone").age_band == CHILD
    assert not counts(log, "phone")


def test_what_a_child_says_on_an_adults_tablet_is_none_when_the_child_lets_it_go(log):
    """Through a claim nothing stays, not even the age."""
    log.link("ann", "tablet", claimed=True)
    log.say("ann", desk(CHILD))
    log.yes("tablet")
    log.say("tablet", grant())
    log.say("tablet", grant(GrantKind.PROGRAMME))
    log.link("ann", "tablet", until=log.at, claimed=True)
    assert log.standing("tablet").age_band is None
    assert not counts(log, "tablet")
    assert own_grants(log, "tablet") == []


@pytest.mark.parametrize("taken_by", ["tablet", EVERYBODY])
def test_what_was_said_under_an_apps_word_is_none_when_the_word_is_taken_back(log, taken_by):
    log.say("tablet", AgeTold(CHILD, mark="tablet"))
    log.yes("tablet")
    log.say("tablet", AgeTold("", may_rise=True, mark=taken_by))
    assert log.standing("tablet").age_band is None
    assert not counts(log, "tablet")


@pytest.mark.parametrize("first", ["yes", "age", "link"])
@pytest.mark.parametrize("claimed", [False, True])
def test_when_an_account_gets_older_its_things_are_asked_again(log, first, claimed):
    log.named("tablet", "digest")
    acts = {
        "yes": lambda: [log.yes("tablet"), log.yes("digest", ADS), log.say("tablet", grant())],
        "age": lambda: log.say("ann", desk(CHILD)),
        "link": lambda: log.link("ann", "tablet", claimed=claimed),
    }
    for name in sorted(acts, key=lambda each: each != first):
        acts[name]()
    log.say("ann", desk(TEEN))
    assert log.standing("tablet").age_band == TEEN
    assert not counts(log, "tablet")
    assert not counts(log, "digest", ADS)
    assert own_grants(log, "tablet") == []
    log.yes("tablet")
    log.say("tablet", grant())
    assert counts(log, "tablet")
    assert own_grants(log, "tablet") == ["teemo"]


def test_a_link_to_an_adult_opens_nothing(log):
    log.say("tablet", desk(CHILD))
    log.say("ann", desk(ADULT))
    log.link("ann", "tablet")
    log.yes("tablet")
    log.say("tablet", desk(ADULT))
    assert not counts(log, "tablet")


def test_an_account_that_let_a_thing_go_says_nothing_of_it(log):
    log.link("ann", "tablet")
    log.end("ann", "tablet")
    log.say("ann", desk(CHILD))
    log.yes("tablet")
    log.say("ann", desk(TEEN))
    assert counts(log, "tablet")


def test_an_age_that_is_kept_of_somebody_forgotten_asks_again_too(log):
    log.yes("phone")
    log.say("phone", desk(CHILD))
    log.say("phone", KeptAge(KeyAge(TEEN, CHILD)))
    assert not counts(log, "phone")


def test_a_child_that_was_found_stays_one_and_its_parents_yes_a_yes(log):
    log.say("phone", KeptAge(KeyAge(CHILD, CHILD, fixed=True)))
    log.yes("phone", parental=True)
    log.say("phone", grant())
    log.say("phone", desk(ADULT))
    assert log.standing("phone").age_band == CHILD
    assert counts(log, "phone")


def test_an_act_that_is_asked_for_by_itself_is_as_before(log):
    log.say("phone", grant(GrantKind.DIRECTED)._replace(until=log.at * 9))
    log.say("phone", desk(CHILD))
    log.say("phone", desk(TEEN))
    assert own_grants(log, "phone") == ["teemo"]


class Watched(Play):
    """Knows of each yes whether it may count, by who stood as a child when it was said, and when they were no more."""

    def __init__(self, who):
        self.may, self.wrong_ones, self.met = set[tuple[str, bool, str]](), list[object](), Counter[str]()
        super().__init__(who)

    def act(self, said):
        before = self.rows() if said["act"] in {*OPENS, "say_age"} else {}
        asked = self.asked[said["of"]][1] if said["act"] == "confirm" else said
        super().act(said)
        if said["act"] in OPENS:
            self._said(asked, before)
        if said["act"] == "say_age" and said["by"] == "desk":
            self._older(before)
        self.wrong_ones += [(each, said) for each in self._counting() - self.may]

    def _said(self, asked, before):
        names = [asked["who"]] if isinstance(asked["who"], str) else asked["who"]
        for name in names:
            label = next(each for each, found in self.keys.items() if found == self.who[name].key)
            kind = "programme" if asked["act"] == "programme" else "opted_in"
            recipient = f"{kind} {asked['recipient']}" if "recipient" in asked else ""
            childs = before[label]["age"] == CHILD and not (asked.get("parental") and not recipient)
            self.met["a child's" if childs else "a yes"] += 1
            if not childs:
                how = "parental" if asked.get("parental") and not recipient else ""
                for purpose in asked.get("purposes", [asked.get("purpose")]):
                    self.may -= {(label, recipient, purpose, other) for other in ("", "parental")}
                    self.may.add((label, recipient, purpose, how))

    def _older(self, before):
        after = self.rows()
        grown = {each for each in after if before[each]["age"] == CHILD != after[each]["age"]}
        gone = {each for each in self.may if each[0] in grown and not each[3]}
        self.met["over at an age"] += len(gone)
        self.may -= gone

    def _counting(self):
        found = set()
        for label, row in self.rows().items():
            yes = {(label, "", each) for each in row["yes"]}
            grants = {(label, f"{kind} {to}", purpose) for to, purpose, _, kind in row["grants"] if kind != "directed"}
            found |= {(*each, "") for each in yes | grants if (*each, "parental") not in self.may}
        return found


def wrong_within(lives):
    met, wrong = Counter[str](), []
    for seed in range(lives):
        who, acts = acts_of(seed, ACTS, without=OTHERS)
        watched = Watched(who)
        for act in acts:
            try:
                watched.act(act)
            except Refused:
                continue
            if watched.wrong_ones:
                break
        met += watched.met
        wrong += watched.wrong_ones
        if wrong:
            break
    return met, wrong


@pytest.mark.slow
def test_in_no_life_does_a_childs_own_yes_count(figure):
    met, wrong = wrong_within(LIVES)
    figure("yeses in made-up lives", ", ".join(f"{count} {what}" for what, count in sorted(met.items())))
    assert wrong == []
    assert QUICK or min(met["a child's"], met["a yes"], met["over at an age"]) > 0


@pytest.mark.slow
def test_the_control_a_fold_that_knows_no_children_is_found(monkeypatch):
    monkeypatch.setattr(noes, "is_child", lambda *_: False)
    monkeypatch.setattr(facts, "is_child", lambda *_: False)
    assert wrong_within(LIVES)[1]


@pytest.mark.slow
def test_the_control_a_fold_that_asks_nobody_again_is_found(monkeypatch):
    monkeypatch.setattr(facts, "_ask_again", lambda *_: None)
    assert wrong_within(LIVES)[1]
