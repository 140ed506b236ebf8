"""The ledger's own rules as they ought to be where they are known to differ from the rules decided, and what of the two
is not compared. `mended()` changes functions for as long as it lasts, each by the word for what it mends; `KNOWN` tells
of one difference which fields of it are known.

The oracle compares the fold with the rules so mended. That each word is still needed is a test
(tests/ledger/test_oracle.py); what it is about is a history that says `differs`.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from gateway.ledger import links, travel
from gateway.ledger.links import LinkOutcome
from gateway.ledger.reach import group

AD_IDS = {"gaid", "idfa", "oaid"}
CARRY, WHOLE_OF = links.carry, travel.whole_of


def carry(tx, account, changed, now):
    """From what is only claimed nothing goes up, also by a digest that it shares with what the account has."""
    began = [key for key, _, outcome in changed if outcome is LinkOutcome.BEGAN]
    claimed = {name for key in began if links._is_claimed(tx, account, key) for name in group(tx, key)}
    with mock.patch.object(travel, "whole_of", lambda *which, **how: WHOLE_OF(*which, **how) - claimed):
        CARRY(tx, account, changed, now)


MENDED = {"the other kind of a digest is claimed": (links, "carry", carry)}


@contextlib.contextmanager
def mended(*without: str) -> Iterator[None]:
    """All of them, but for some."""
    with contextlib.ExitStack() as stack:
        for word, (module, name, better) in MENDED.items():
            if word not in without:
                stack.enter_context(mock.patch.object(module, name, better))
        yield


# --- what is not compared ---


def looser_form(found: Any) -> set[str]:
    """A form that others hash denies for whoever it may stand for, also where it was met after the no."""
    return {"deny"} if found.looser and found.other["deny"] >= found.rules["deny"] else set()


def other_kind(found: Any) -> set[str]:
    """What a device of one kind of id says of itself is not said of the other kind that has the same digest, and so it
    ends at the digest with the one that said it.
    """
    kind = found.who.get(found.key.partition(" #")[0], {}).get("type")
    more = found.rules["states"] - found.other["states"]
    return (
        {"deny", "states"}
        if kind in {*AD_IDS, "ad_id_sha256"} and more and found.rules["deny"] >= found.other["deny"]
        else set()
    )


def end_told_beforehand(found: Any) -> set[str]:
    """The rules keep the age that a link brings when they are told of its end, the fold when it ends."""
    return {"age", "grown"} if any("until" in act for act in found.acts) else set()


ALIKE = ({"mail", "dotted"}, {"jane", "jane dotted", "jane's twin", "jane hashed"}, {*AD_IDS, "digest"})


def in_doubt(found: Any) -> set[str]:
    """Where an account has or had two that look alike, the rules do not tell in every order by which of them a no came,
    and it stays with both; the fold tells them apart.
    """
    name = found.key.partition(" #")[0]
    ties = {(act["account"], each) for act in found.acts if "identifiers" in act for each in act["identifiers"]}
    alike = next((each for each in ALIKE if name in each), set())
    several = Counter(account for account, each in ties if each in alike)
    more = found.rules["deny"] > found.other["deny"]
    return {"deny"} if more and any(count > 1 for count in several.values()) else set()


def word_of_an_app(found: Any) -> set[str]:
    """Words count until an account is known: for the fold from the link's entry on, for the rules from its date."""
    told = any(act["act"] == "say_age" and act["by"] == "app" for act in found.acts)
    return {"age", "grown"} if told and any("clock" in act for act in found.acts) else set()


def forgotten_look_alike(found: Any) -> set[str]:
    """When an address is forgotten, what stood of others who look like it or are the same mailbox is made again from
    the log by the fold; the rules make its own rows again and no others.
    """
    names = {each for act in found.acts if act.get("mode") == "unlink" for each in act["who"]}
    alike = next((each for each in ALIKE if found.key.partition(" #")[0] in each), set())
    return {"deny", "own"} if names & alike and found.other["deny"] >= found.rules["deny"] else set()


def spelling_met_later(found: Any) -> set[str]:
    """An account's no reaches the mailbox also where it is learnt later that a digest is of one of its spellings."""
    ties = {each for act in found.acts if "identifiers" in act for each in act["identifiers"]}
    mailbox = found.key.partition(" #")[0] in ALIKE[1] and "jane hashed" in ties
    return {"deny"} if mailbox and found.other["deny"] > found.rules["deny"] else set()


KNOWN: dict[str, Callable[[Any], set[str]]] = {
    each.__name__: each
    for each in (
        looser_form,
        other_kind,
        in_doubt,
        forgotten_look_alike,
        spelling_met_later,
        end_told_beforehand,
        word_of_an_app,
    )
}
