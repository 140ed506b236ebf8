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

from gateway.ledger import ages, links, travel
from gateway.ledger.links import LinkOutcome
from gateway.ledger.reach import group, mailbox, released, targets_of, whole_of, with_looser
from gateway.ledger.standing_rows import recompute

AD_IDS = {"gaid", "idfa", "oaid"}


def carry_both_ways(tx, account, joining, now, whole=None):
    """A no that the account has from one of several things that come together goes to the others too; and nothing goes
    up from what is only claimed, also by a name that it shares with what the account has.
    """
    targets = targets_of(tx, account, now)
    up = joining & whole_of(tx, account, now) if whole is None else set(whole)
    up |= {name for key in up for name in mailbox(tx, key)}
    said = {key: travel.own_denies(tx, key, after=released(tx, key)) for key in up}
    for key, denies in said.items():
        own = group(tx, key) | mailbox(tx, key)
        travel.carry(tx, with_looser(tx, targets - own) if denies else (), denies, account)
    for key in sorted(joining):
        own = group(tx, key) | mailbox(tx, key)
        holds = [deny for deny in travel.passed_on(tx, account) if deny[0] not in own]
        travel.carry(tx, with_looser(tx, [key]), holds, account)
    recompute(tx, with_looser(tx, (targets if any(said.values()) else set()) | joining), now)


def carry(tx, account, changed, now):
    """As `links.carry`; the looser forms of what is claimed no more are made again too."""
    names = {key: group(tx, key) for key, _, _ in changed}
    for key, span, _ in changed:
        if span.until is not None and links._is_claimed(tx, account, key):
            travel.take_back(tx, account, key)
        elif span.until is not None:
            ages.keep(tx, account, [key], tx.size - 1)
    began = {key for key, _, outcome in changed if outcome is LinkOutcome.BEGAN}
    if began:
        whole = {name for key in began if not links._is_claimed(tx, account, key) for name in names[key]}
        travel.carry_both_ways(tx, account, {name for key in began for name in names[key]}, now, whole)
    if names:
        recompute(tx, with_looser(tx, {account}.union(*names.values())), now)


def bare_carry_both_ways(tx, account, joining, now, whole=None):
    return AS_IT_IS(tx, account, joining, now)


AS_IT_IS = travel.carry_both_ways
MENDED = {
    "a number comes back together with a tablet": (travel, "carry_both_ways", carry_both_ways, bare_carry_both_ways),
    "a claim that ends, and one of a name that is shared": (links, "carry", carry, links.carry),
}


@contextlib.contextmanager
def mended(*without: str) -> Iterator[None]:
    """All of them, but for some."""
    with contextlib.ExitStack() as stack:
        for word, (module, name, better, bare) in MENDED.items():
            stack.enter_context(mock.patch.object(module, name, bare if word in without else better))
        yield


# --- what is not compared ---


def looser_form(found: Any) -> set[str]:
    """A form that others hash denies for whoever it may stand for, also where it was met after the no."""
    return {"deny"} if found.looser and found.other["deny"] >= found.rules["deny"] else set()


def other_kind(found: Any) -> set[str]:
    """What a device of one kind of id says of itself is not said of the other kind that has the same digest."""
    kind = found.who.get(found.key.partition(" #")[0], {}).get("type")
    more = found.rules["states"] - found.other["states"]
    return {"deny", "states"} if kind in AD_IDS and more and found.rules["deny"] >= found.other["deny"] else set()


def named_later(found: Any) -> set[str]:
    """An account that has a digest has each id that it is a digest of, also one that is named later."""
    kind = found.who.get(found.key.partition(" #")[0], {}).get("type")
    return {"deny"} if kind in AD_IDS and found.other["deny"] > found.rules["deny"] else set()


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


def lifted_on_a_voided_screen(found: Any) -> set[str]:
    """What a yes had lifted comes back when its screen is voided: for the fold all of it, at every place that has it by
    then; the rules find what there is a link to by the dates of clocks, and what no later word took the place of.
    """
    if not any("screen" in act and act["act"] == "void" for act in found.acts):
        return set()
    grants = {"grants"} if found.other["grants"] < found.rules["grants"] else set()
    stepped = any("clock" in act for act in found.acts)
    return grants | ({"deny"} if found.other["deny"] > found.rules["deny"] or stepped else set())


def forgotten_look_alike(found: Any) -> set[str]:
    """A form that somebody else's address is hashed to goes on denying when the one that it is exactly is forgotten."""
    names = [each for act in found.acts if act.get("mode") == "unlink" for each in act["who"]]
    return {"deny"} if found.key.partition(" #")[0] in names and found.other["deny"] > found.rules["deny"] else set()


KNOWN: dict[str, Callable[[Any], set[str]]] = {
    each.__name__: each
    for each in (
        looser_form,
        other_kind,
        named_later,
        in_doubt,
        forgotten_look_alike,
        end_told_beforehand,
        word_of_an_app,
        lifted_on_a_voided_screen,
    )
}
