"""The search for an order finds one where there is one, and finds none in a history with a planted violation."""

import itertools
import random

import pytest
from support import kinship
from support.households import too_late
from support.linearizable import (
    NEVER,
    Asked,
    Check,
    No,
    Operation,
    Register,
    Yes,
    has_order,
    step,
    without_order,
)

LINEARIZABLE, PLANTED = 200, 50
ROUND = 10.0  # operations of one round overlap each other, and after a round comes a quiet spell


def lived(seed, unknown=0.1, rounds=12):
    """A history of one subject that did happen one after another, and the quiet moments in it."""
    dice, state, history, tokens = random.Random(seed), Register(), [], []
    for number in range(rounds):
        for turn in range(dice.randint(1, 4)):
            at = number * ROUND + turn + 1
            name, span = (number, turn), (at - dice.random() * 3, at + dice.random() * 3)
            act = proposed(dice, state, name, tokens)
            if isinstance(act, No | Yes) and dice.random() < unknown:
                act = act._replace(event=None) if isinstance(act, No) else act._replace(taken=None)
                history.append(Operation("somebody", span[0], NEVER, act))
                if dice.random() < 0.5:
                    continue  # it never happened
            else:
                history.append(Operation("somebody", *span, act))
            state = step(state, act) or state
    return history, [number * ROUND - 2 for number in range(1, rounds + 1)]


def proposed(dice, state, name, tokens):
    """An act, and the answer that it gets in this state."""
    kind = dice.choice([No, Check, Check, Asked, Yes])
    if kind is No:
        return No(name, f"event {name}")
    if kind is Asked:
        tokens.append(name)
        return Asked(name)
    if kind is Yes and tokens:
        token = tokens.pop()
        return Yes(name, token, step(state, Yes(name, token, True)) is not None)
    return Check(state.word, state.event or ("an event of nobody" if state.word == "out" else None))


def at_once(*acts):
    return [Operation("somebody", 0, 9, act) for act in acts]


def in_turn(when, *acts):
    return [Operation("somebody", when + turn / 10, when + turn / 10 + 0.05, act) for turn, act in enumerate(acts)]


NEW, NEWER = No("new", "new event"), No("newer", "newer event")
SEEN, SEEN_NEWER = Check("out", "new event"), Check("out", "newer event")
VIOLATIONS = {
    "a stale read after an acknowledged opt-out": [NEW, Check("none")],
    "a read of an opt-out that was written over": [NEW, NEWER, SEEN],
    "a write that was seen and is lost": [NEW, SEEN, Check("none")],
    "an opt-in that an opt-out had superseded": [Asked("asked"), NEW, Yes("yes", "asked", True)],
    "an opt-in that was refused for nothing": [NEW, Asked("asked"), Yes("yes", "asked", False)],
    "an opt-out that nobody said": [NEW, Check("out", "an event of nobody")],
}


def checked(history):
    return list(without_order(history))


def test_two_hundred_histories_that_happened_have_an_order(figure):
    found = [seed for seed in range(LINEARIZABLE) if checked(lived(seed)[0])]
    figure("linearizability, invented violations", f"{len(found)} in {LINEARIZABLE} histories that have an order")
    assert found == []


def test_fifty_planted_violations_are_all_found(figure):
    kinds = itertools.cycle(VIOLATIONS.values())
    missed = []
    for seed, acts in zip(range(PLANTED), kinds, strict=False):
        history, quiet = lived(seed, unknown=0)  # an opt-out with no answer could explain some of these
        assert checked(history) == []
        if not checked(history + in_turn(random.Random(seed).choice(quiet), *acts)):
            missed.append((seed, acts))
    figure("linearizability, planted violations", f"{PLANTED - len(missed)} of {PLANTED} found")
    assert missed == []


@pytest.mark.slow
@pytest.mark.parametrize("acts", list(VIOLATIONS.values())[:4], ids=list(VIOLATIONS)[:4])
def test_acts_without_an_answer_do_not_explain_everything(acts):
    for seed in range(20):
        history, quiet = lived(seed, unknown=0.3)
        assert checked(history + in_turn(random.Random(seed).choice(quiet), *acts)) == ["somebody"]


def test_what_two_readers_see_in_two_orders_has_none():
    both = [*at_once(NEW, NEWER), *in_turn(1, SEEN, SEEN_NEWER)]
    assert checked(both) == []
    assert checked([*both, *in_turn(2, SEEN)]) == ["somebody"]


def test_an_opt_out_without_an_answer_may_have_happened_late_or_never_but_once():
    lost = Operation("somebody", 0, NEVER, No("lost", None))
    strange = Check("out", "an event of nobody")
    assert checked([lost, *in_turn(1, Check("none"), Check("none"))]) == []
    assert checked([lost, *in_turn(1, Check("none"), strange, strange)]) == []
    assert checked([lost, *in_turn(1, strange, Check("none"))]) == ["somebody"]
    assert checked([lost, *in_turn(1, strange, Check("out", "another"))]) == ["somebody"]


def test_a_violation_of_one_person_is_told_of_that_one_alone():
    history = [one._replace(subject=name) for name in "abc" for one in lived(name)[0]]
    planted = [one._replace(subject="b") for one in in_turn(-9, NEW, Check("none"))]
    assert checked([*history, *planted]) == ["b"]


def by_trying_every_order(operations):
    """The definition itself: some order of some of them, all that were answered included, that time allows."""
    answered = [one for one in operations if one.answered != NEVER]
    open_ = [one for one in operations if one.answered == NEVER]
    for size in range(len(open_) + 1):
        for chosen in itertools.combinations(open_, size):
            if any(map(legal, itertools.permutations([*answered, *chosen]))):
                return True
    return False


def legal(order):
    if any(later.answered < earlier.call for earlier, later in itertools.combinations(order, 2)):
        return False
    state = Register()
    for operation in order:
        state = step(state, operation.act)
        if state is None:
            return False
    return True


def test_the_search_agrees_with_trying_every_order():
    dice, answers = random.Random(5), []
    for _ in range(2000):
        history = []
        for number in range(dice.randint(1, 5)):
            call = dice.randint(0, 8)
            act = dice.choice(
                [
                    No(number, f"{number}"),
                    Check("none"),
                    Check("in"),
                    Check("out", f"{dice.randint(0, 4)}"),
                    Asked("token"),
                    Yes(number, "token", dice.choice([True, False, None])),
                ]
            )
            open_ = isinstance(act, Yes) and act.taken is None
            history.append(Operation("somebody", call, NEVER if open_ else call + dice.randint(0, 4), act))
        answers.append(has_order(history, Register(), step))
        assert answers[-1] == by_trying_every_order(history), history
    assert 400 < sum(answers) < 1600  # both answers are well tried


ASK, TAKE, REFUSED = (
    kinship.Asked("token", "gaid"),
    kinship.Yes("token", "gaid", True),
    kinship.Yes("token", "gaid", False),
)
TIED, BACK = kinship.Tied("email"), kinship.GivenBack("email")


def says(key, number="a no", **more):
    return kinship.Said(number, key, f"event of {number}", **more)


def sees(key, word, number=None):
    return kinship.Seen(key, word, number and f"event of {number}")


LIVES = {
    "what an account says holds for all that it has": ([TIED, says("account")], "email", "out"),
    "what one of them says holds for the account and the others": (
        [TIED, kinship.Tied("gaid"), says("gaid")],
        "email",
        "out",
    ),
    "a mailbox that was given back goes on denying": ([TIED, says("account"), BACK], "email", "out"),
    "what its holder of before said is not sent up by the next": ([says("email"), BACK, TIED], "account", "none"),
    "a yes does not lift what the account says": (
        [kinship.Tied("gaid"), says("account"), ASK, TAKE],
        "gaid",
        "out",
    ),
    "what a mailbox sent up itself is not read there again": (
        [TIED, says("email"), BACK, kinship.Asked("token", "email"), kinship.Yes("token", "email", True), TIED],
        "email",
        "in",
    ),
    "a yes of a phone lifts its own no": ([says("gaid"), ASK, TAKE], "gaid", "in"),
    "a signal that is no news changes nothing": ([says("gaid"), says("gaid", "another", signal=True)], "gaid", "out"),
}


@pytest.mark.parametrize(("acts", "key", "word"), LIVES.values(), ids=LIVES)
def test_of_a_person_with_an_account_and_what_it_has_one_word_alone_has_an_order(acts, key, word):
    orders = [
        other
        for other in ("out", "in", "none")
        if not without_order(in_turn(0, *acts, sees(key, other)), kinship.Person(), kinship.step)
    ]
    assert orders == [word]


def test_a_yes_is_refused_only_where_a_no_came_since_it_was_asked_for():
    person = kinship.Person()
    for acts, ordered in {(ASK, TAKE): True, (ASK, REFUSED): False, (ASK, says("gaid"), REFUSED): True}.items():
        assert (without_order(in_turn(0, *acts), person, kinship.step) == {}) is ordered
    assert without_order(in_turn(0, ASK, says("gaid"), TAKE), person, kinship.step)


def test_a_no_that_was_acknowledged_and_allowed_after_is_told_whoever_allows():
    history = in_turn(0, says("gaid"))
    after = in_turn(1, sees("gaid", "none"), sees("gaid", "out"), sees("account", "none"))
    assert too_late(history, after) == after[:1]
    assert too_late([*history, *in_turn(0.5, ASK, TAKE)], after) == []
    assert too_late([*history, *in_turn(0.5, ASK, REFUSED)], after) == after[:1]
    kept = in_turn(0, kinship.Waits("gaid"))
    assert (too_late(kept, after), too_late(kept, after, waiting=False)) == (after[:1], [])
