"""Since when a recycled number is its present holder's (R5): the one function of the fold that knows, case by case."""

import pytest
from support.folding import Log, key

from gateway.fold import kin
from gateway.fold.state import Slate

NO, YES, BACK, TO_ANN, TO_BOB = "no", "yes", "back", "ann gets it", "bob gets it"

# What happens to a number, and whom its noes reach then: itself, Ann's account, Bob's account.
CASES = {
    "nobody gets it": ([NO], (True, False, False)),
    "its holder says no before the account has it": ([NO, TO_ANN], (True, True, False)),
    "its holder says no on it": ([TO_ANN, NO], (True, True, False)),
    "it goes back, and its no stays on it": ([NO, BACK], (True, False, False)),
    "it is given out again": ([NO, BACK, TO_BOB], (True, False, False)),
    "it passes from Ann to Bob": ([TO_ANN, NO, BACK, TO_BOB], (True, True, False)),
    "its new holder says no too": ([TO_ANN, BACK, TO_BOB, NO], (True, False, True)),
    "both its holders say no": ([TO_ANN, NO, BACK, TO_BOB, NO], (True, True, True)),
    "its new holder says no before the account has it": ([TO_ANN, NO, BACK, NO, TO_BOB], (True, True, True)),
    "its new holder says yes, which frees the number and nobody else": (
        [TO_ANN, NO, BACK, TO_BOB, YES], (False, True, False),
    ),
    "it comes back to Ann, whose account still has her no": ([TO_ANN, NO, BACK, TO_ANN], (True, True, False)),
    "it goes back twice": ([NO, BACK, NO, BACK, TO_BOB], (True, False, False)),
    "it goes back unheard of": ([BACK, TO_BOB, NO], (True, False, True)),
}  # fmt: skip


def lived(acts):
    log = Log()
    does = {
        NO: lambda: log.no("number"),
        YES: lambda: log.yes("number"),
        BACK: lambda: log.release("number"),
        TO_ANN: lambda: log.link("ann", "number"),
        TO_BOB: lambda: log.link("bob", "number"),
    }
    for act in acts:
        does[act]()
    return log


@pytest.mark.parametrize("case", CASES)
def test_a_no_on_a_number_is_its_holders(case):
    acts, expected = CASES[case]
    log = lived(acts)
    assert tuple(log.denies(each) for each in ("number", "ann", "bob")) == expected


@pytest.mark.parametrize("other", ["digest", "spelling"])
def test_what_an_earlier_holder_said_by_another_form_is_theirs_too(other):
    log = Log()
    log.named("number", "digest", mailbox="spelling")
    log.no(other)
    log.release("number")
    log.link("bob", "number")
    assert log.denies("number")
    assert not log.denies("bob")


def test_a_void_of_the_new_holders_yes_gives_the_number_its_no_back_and_nobody_else():
    log = lived([TO_ANN, NO, BACK, TO_BOB])
    log.yes("number", screen="dark")
    assert not log.denies("number")
    log.void("dark")
    assert (log.denies("number"), log.denies("ann"), log.denies("bob")) == (True, True, False)


def test_a_fold_that_does_not_know_since_when_sends_the_first_holders_no_to_the_second(monkeypatch):
    """The control."""
    monkeypatch.setattr("gateway.fold.links.holder_since", getattr)
    assert lived([NO, BACK, TO_BOB]).denies("bob")


def test_only_the_present_holders_noes_are_given():
    log = lived([NO, BACK])
    slate = Slate(log.state.get)
    assert kin.holder_since(slate.row(key("number"))) == {}
