"""An account that was known by another form of its name: what stood of that one is the account's, in whichever order it
was said, the name was learnt and a link was told.
"""

from itertools import permutations

import pytest
from support.folding import SALE, Log

RAW = "ann as it came"
SAID = {"no": lambda log: log.no(RAW)}
HEARD = {"tie": lambda log: log.link(RAW, "browser"), "no": lambda log: log.no("browser")}
OTHERS = {"link": lambda log: log.link("ann", "number"), "name": lambda log: log.named("ann", RAW)}


@pytest.mark.parametrize("said", [SAID, HEARD], ids=["account", "browser"])
def test_its_no_reaches_all_that_the_account_has_in_every_order(said):
    for order in permutations([*said.items(), *OTHERS.items()]):
        names = [name for name, _ in order]
        if "tie" in names and names.index("tie") > names.index("name"):
            continue  # once the name is known, nothing is said of its other form
        log = Log()
        for _, act in order:
            act(log)
        assert all(map(log.denies, ("ann", RAW, "number"))), names


@pytest.mark.parametrize("said", [SAID, HEARD], ids=["account", "browser"])
def test_the_accounts_yes_is_of_all_its_names_until_its_screen_is_voided(said):
    log = Log()
    for act in (*said.values(), *OTHERS.values()):
        act(log)
    log.yes("ann", screen="screen")
    assert not any(map(log.denies, ("ann", RAW, "number")))
    log.void("screen")
    assert all(map(log.denies, ("ann", RAW, "number")))


def test_a_yes_before_the_name_was_known_lifts_nothing():
    log = Log()
    log.no(RAW)
    log.yes("ann")
    log.link("ann", "number")
    log.named("ann", RAW)
    assert all(map(log.denies, ("ann", RAW, "number")))


def test_what_was_lifted_before_the_name_was_known_denies_nobody():
    for said in (SAID, HEARD):
        log = Log()
        for act in said.values():
            act(log)
        log.yes(RAW)
        log.link("ann", "number")
        log.named("ann", RAW)
        assert not any(map(log.denies, ("ann", RAW, "number")))
        assert not log.standing("ann").opted_in(SALE)


def test_what_was_sent_up_by_a_browser_that_it_has_no_more_counts_on():
    log = Log()
    log.link(RAW, "browser")
    log.no("browser")
    log.end(RAW, "browser")
    log.named("ann", RAW)
    log.link("ann", "number")
    assert log.denies("number")


def test_an_apps_word_sends_nothing_up_and_the_accounts_no_down():
    log = Log()
    log.link(RAW, "phone", claimed=True)
    log.no("phone")
    log.named("ann", RAW)
    log.link("ann", "number")
    assert not log.denies("number")
    log.no("ann")
    assert log.denies("phone")
