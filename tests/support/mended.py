"""The ledger's own rules as they ought to be where they are known to differ from the rules decided, and what of the two
is not compared. `mended()` changes functions for as long as it lasts, each by the word for what it mends; `KNOWN` tells
of one difference which fields of it are known.

The oracle compares the fold with the rules so mended. That each word is still needed is a test
(tests/ledger/test_oracle.py); what it is about is a history that says `differs`.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

from gateway.choice.law import RANKS
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

ALIKE = (
    {"phone", "phone hashed"}, {"mail", "dotted"}, {"jane", "jane dotted", "jane's twin", "jane hashed"},
    {*AD_IDS, "digest"},
)  # fmt: skip
ENDS = {"link_end", "sign_out", "release", "disclaim", "sweep", "erase"}


def alike(found: Any) -> set[str]:
    """Whoever has a name with the key in common, or is taken for the same."""
    name = found.key.partition(" #")[0].partition(" at act")[0]
    return next((each for each in ALIKE if name in each), {name})


def _several(who: Any) -> tuple[str, ...]:
    return (who,) if isinstance(who, str) else tuple(who)


def named_in(acts: Iterable[dict[str, Any]]) -> set[str]:
    """Whom acts speak of."""
    return {name for act in acts for word in ("who", "identifiers", "account") for name in _several(act.get(word, ()))}


def told_of(found: Any, act: str, names: set[str], **how: Any) -> list[Any]:
    """The acts of a kind that speak of one of these."""
    return [
        each
        for each in found.acts
        if each["act"] == act
        and names & {*(each.get("identifiers") or _several(each.get("who", ())))}
        and all(each.get(name) == value for name, value in how.items())
    ]


def looser_form(found: Any) -> set[str]:
    """A form that others hash denies for whoever it may stand for, also where it was met after the no."""
    return {"deny"} if found.looser and found.other["deny"] >= found.rules["deny"] else set()


def other_kind(found: Any) -> set[str]:
    """What a device of one kind of id says of itself is not said of the other kind that has the same digest, and so it
    ends at the digest with the one that said it.
    """
    names = alike(found)
    more = found.rules["states"] - found.other["states"]
    said = {each["source"] for each in told_of(found, "observe", names, state="began")}
    of_ad_ids = "digest" in names and more and more <= said
    return {"deny", "states"} if of_ad_ids and found.rules["deny"] >= found.other["deny"] else set()


def digest_of_several(found: Any) -> set[str]:
    """Of a digest of several kinds of id the rules do not tell in every order whose a no was: an end, a yes, a claim of
    one takes it from the digest or from another, or does not bring it to one that is named later. The fold keeps it.
    """
    named = alike(found) & named_in(found.acts)
    over = any("until" in each or each["act"] in ENDS | {"opt_in", "confirm"} for each in found.acts)
    several = alike(found) >= AD_IDS and len(named) > 1
    return {"deny"} if several and over and found.other["deny"] > found.rules["deny"] else set()


def end_told_beforehand(found: Any) -> set[str]:
    """The rules keep the age that a link brings when they are told of its end, the fold when it ends."""
    until = {each["account"] for each in told_of(found, "link", alike(found)) if "until" in each}
    aged = any(told_of(found, act, until) for act in ("say_age", "child_found"))
    return {"age", "grown"} if aged else set()


def in_doubt(found: Any) -> set[str]:
    """Where an account has or had two that look alike, and lets one go, the rules do not tell in every order by which
    of them a no came, and it stays with both; the fold tells them apart.
    """
    names = alike(found)
    tied = [each for act in ("link", "claim", "had") for each in told_of(found, act, names)]
    ties = {(each["account"], name) for each in tied for name in names & {*each["identifiers"]}}
    several = any(count > 1 for count in Counter(account for account, _ in ties).values())
    over = any(each["act"] in ENDS or "until" in each for each in found.acts)
    return {"deny"} if several and over and found.rules["deny"] > found.other["deny"] else set()


def word_of_an_app(found: Any) -> set[str]:
    """Words count until an account is known: for the fold from the link's entry on, for the rules from its date."""
    names = alike(found)
    ties = ("link", "had", "link_end", "sign_out")
    dated = any("clock" in each for act in ties for each in told_of(found, act, names))
    return {"age"} if dated and told_of(found, "say_age", names, by="app") else set()


def forgotten_look_alike(found: Any) -> set[str]:
    """When an address is forgotten, what stood of others who look like it or are the same mailbox is made again from
    the log by the fold; the rules make its own rows again and no others.
    """
    forgotten = told_of(found, "erase", alike(found), mode="unlink")
    return {"deny", "own"} if forgotten and found.other["deny"] >= found.rules["deny"] else set()


def kept_by_a_digest(found: Any) -> set[str]:
    """What a digest of two keeps of an id that is forgotten comes to that id by the rules once it is named again; for the
    fold it is the digest's.
    """
    forgotten = told_of(found, "erase", AD_IDS, mode="unlink")
    is_id = alike(found) >= AD_IDS and not found.key.startswith("digest")
    return {"deny"} if is_id and forgotten and found.rules["deny"] > found.other["deny"] else set()


def told_with_a_digest(found: Any) -> set[str]:
    """What an id was told and how old it was is forgotten with it; the rules leave the day with a digest that another
    kind has too, and the age with that kind as well.
    """
    ages, days = {"age", "grown"}, {"told", "cpni_told"}
    fewer = RANKS[found.other["age"]] >= RANKS[found.rules["age"]] and found.other["grown"] <= found.rules["grown"]
    fewer = fewer and all((found.other[day] or "") <= (found.rules[day] or "") for day in days)
    forgotten = "digest" in alike(found) and told_of(found, "erase", AD_IDS, mode="unlink")
    return set() if not (fewer and forgotten) else ages if found.key in AD_IDS else ages | days


def spelling_met_later(found: Any) -> set[str]:
    """An account's no reaches the mailbox also where it is learnt later that a digest is of one of its spellings."""
    tied = any(told_of(found, act, {"jane hashed"}) for act in ("link", "claim", "had"))
    more = found.other["deny"] > found.rules["deny"]
    return {"deny"} if "jane hashed" in alike(found) and tied and more else set()


def claimed_between(found: Any) -> set[str]:
    """Between two links an app named the two together: by the rules what the first one left there is the key's own from
    then on, by the fold the account that has it again may lift it, as if no app had said a word.
    """
    names = alike(found)
    ties = [each for each in found.acts if each["act"] in {"link", "claim"} and names & {*each["identifiers"]}]
    said = {each["account"]: [one["act"] for one in ties if one["account"] == each["account"]] for each in ties}
    between = any("link" in acts and _claimed(acts) for acts in said.values())
    return {"deny"} if between and found.rules["deny"] > found.other["deny"] else set()


def _claimed(acts: list[str]) -> bool:
    """Whether a claim comes behind a link and before another one."""
    first, last = acts.index("link"), len(acts) - 1 - acts[::-1].index("link")
    return "claim" in acts[first:last]


def left_of_a_claim(found: Any) -> set[str]:
    """Where an app's claim of a digest is taken back, the rules leave with its ids what had come by it."""
    names = alike(found)
    taken_back = names >= AD_IDS and told_of(found, "claim", names) and told_of(found, "disclaim", names)
    return {"deny"} if taken_back and found.rules["deny"] > found.other["deny"] else set()


def earlier_yes(found: Any) -> set[str]:
    """Where a screen is voided, a yes there had taken the place of what the same one said yes to before: by the rules
    that counts nowhere any more, by the fold where the later yes did not come to. Each ends grants by a no that came
    so.
    """
    voided = {each["screen"] for each in found.acts if each["act"] == "void" and "screen" in each}
    asked = [each for each in found.acts if each["act"] in {"opt_in", "ask"} and "recipient" not in each]
    said = [(each["who"], each["purpose"]) for each in asked]
    again = {one for number, one in enumerate(said) if one in said[:number] and asked[number].get("screen") in voided}
    purposes = {purpose for _, purpose in again}
    more = found.rules["deny"] - found.other["deny"]
    return {"deny", "grants"} if again and more <= purposes and found.rules["deny"] >= found.other["deny"] else set()


KNOWN: dict[str, Callable[[Any], set[str]]] = {
    each.__name__: each
    for each in (
        looser_form,
        other_kind,
        digest_of_several,
        in_doubt,
        forgotten_look_alike,
        spelling_met_later,
        kept_by_a_digest,
        told_with_a_digest,
        end_told_beforehand,
        word_of_an_app,
        earlier_yes,
        left_of_a_claim,
        claimed_between,
    )
}
