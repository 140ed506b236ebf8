"""What the oracle does not compare (support/mended.py): each word excuses its own case, and not one that is near it."""

import pytest
from support.acts import NOBODY
from support.mended import KNOWN
from support.oracle import Difference
from support.universes import ANYTHING

SALE = frozenset({"sale"})
STATE = {"act": "observe", "state": "began", "source": "tcf", "who": ["gaid"]}
LINK = {"act": "link", "account": "ann", "identifiers": ["digest"]}
BOTH = {"act": "link", "account": "ann", "identifiers": ["jane", "jane's twin"]}
END = {"act": "link_end", "account": "ann", "identifiers": ["jane"]}
OVER = {"act": "link_end", "account": "ann", "identifiers": ["digest"]}
UNTIL = {"act": "link", "account": "ann", "identifiers": ["phone"], "until": {"hours": 1}}
HASHED = {"act": "claim", "account": "ann", "identifiers": ["jane hashed"]}
AGED = {"act": "say_age", "by": "desk", "who": ["ann"]}
WORD = {"act": "say_age", "by": "app", "who": ["idfa"]}
UNLINK = {"act": "erase", "mode": "unlink", "who": ["gaid"]}
YES = {"act": "opt_in", "who": "ann", "purpose": "sale"}
DARK, VOID = {**YES, "screen": "dark"}, {"act": "void", "screen": "dark"}
PHONE = {"act": "link", "account": "ann", "identifiers": ["phone"]}
CLAIMED = {**PHONE, "act": "claim"}
TAKEN_BACK = {"act": "disclaim", "who": ["digest"]}
OVER_IDFA = {**OVER, "identifiers": ["idfa"]}
CLAIMED_DIGEST, IDFA = {**LINK, "act": "claim"}, {**LINK, "identifiers": ["idfa"]}
LATE = {**LINK, "clock": {"hours": 3}}


def difference(key, acts, rules=None, other=None, *, looser=False):
    rules, other = {**NOBODY, **(rules or {})}, {**NOBODY, **(other or {})}
    wrong = tuple(each for each in NOBODY if rules[each] != other[each])
    return Difference(0, key, wrong, rules, other, ANYTHING, tuple(acts), looser)


HELD, DENY = {"states": frozenset({"tcf"}), "deny": SALE}, {"deny": SALE}
DAY, OTHER_DAY, OLD = {"told": "2026-11-20"}, {"told": "2026-11-24"}, {"age": "13_15"}
# Of each word what it excuses, and what is near it and is none.
CASES = {
    "looser_form": (
        difference("phone #1", [], None, DENY, looser=True),
        [difference("phone #1", [], DENY, None, looser=True), difference("phone", [], None, DENY)],
    ),
    "other_kind": (
        difference("oaid", [STATE], HELD),
        [
            difference("tablet", [STATE], HELD),
            difference("oaid", [], HELD),
            difference("oaid", [STATE], {**HELD, "deny": frozenset()}, DENY),
            difference("oaid", [{**STATE, "who": ["browser"]}], HELD),
        ],
    ),
    "digest_of_several": (
        difference("idfa", [CLAIMED_DIGEST, IDFA, YES], None, DENY),
        [
            difference("idfa", [CLAIMED_DIGEST, IDFA, YES], DENY),
            difference("idfa", [CLAIMED_DIGEST, IDFA], None, DENY),
            difference("idfa", [IDFA, OVER_IDFA], None, DENY),
            difference("tablet", [CLAIMED_DIGEST, IDFA, YES], None, DENY),
        ],
    ),
    "in_doubt": (
        difference("jane", [BOTH, END], DENY),
        [
            difference("jane", [BOTH], DENY),
            difference("jane", [BOTH, END], None, DENY),
            difference("jane", [{**BOTH, "identifiers": ["jane"]}, END], DENY),
            difference("phone", [BOTH, END], DENY),
        ],
    ),
    "forgotten_look_alike": (
        difference("digest", [UNLINK], None, DENY),
        [
            difference("digest", [UNLINK], DENY),
            difference("tablet", [UNLINK], None, DENY),
            difference("digest", [], None, DENY),
        ],
    ),
    "spelling_met_later": (
        difference("jane", [HASHED], None, DENY),
        [
            difference("jane", [BOTH], None, DENY),
            difference("mail", [HASHED], None, DENY),
            difference("jane", [HASHED], DENY),
        ],
    ),
    "end_told_beforehand": (
        difference("phone", [AGED, UNTIL], OLD),
        [
            difference("phone", [UNTIL], OLD),
            difference("phone", [AGED, {**UNTIL, "act": "had"}], OLD),
            difference("browser", [AGED, UNTIL], OLD),
            difference("phone", [{**AGED, "who": ["bob"]}, UNTIL], OLD),
        ],
    ),
    "word_of_an_app": (
        difference("idfa", [WORD, LATE], OLD),
        [
            difference("idfa", [WORD, LINK], OLD),
            difference("idfa", [{**WORD, "by": "account"}, LATE], OLD),
            difference("tablet", [WORD, LATE], OLD),
        ],
    ),
    "claimed_between": (
        difference("phone", [PHONE, CLAIMED, PHONE], DENY),
        [
            difference("phone", [PHONE, CLAIMED, PHONE], None, DENY),
            difference("phone", [PHONE, CLAIMED], DENY),
            difference("phone", [CLAIMED, PHONE], DENY),
            difference("phone", [PHONE, {**CLAIMED, "account": "bob"}, PHONE], DENY),
            difference("browser", [PHONE, CLAIMED, PHONE], DENY),
        ],
    ),
    "kept_by_a_digest": (
        difference("gaid", [UNLINK], DENY),
        [difference("gaid", [], DENY), difference("gaid", [UNLINK], None, DENY), difference("digest", [UNLINK], DENY)],
    ),
    "told_with_a_digest": (
        difference("digest", [UNLINK], DAY),
        [
            difference("digest", [UNLINK], None, DAY),
            difference("idfa", [UNLINK], DAY),
            difference("digest", [UNLINK], DAY, OTHER_DAY),
            difference("digest", [], DAY),
            difference("digest", [UNLINK], None, OLD),
            difference("digest", [UNLINK], OLD, {"age": "under_13"}),
        ],
    ),
    "left_of_a_claim": (
        difference("gaid", [CLAIMED_DIGEST, TAKEN_BACK], DENY),
        [
            difference("gaid", [CLAIMED_DIGEST, TAKEN_BACK], None, DENY),
            difference("gaid", [CLAIMED_DIGEST], DENY),
            difference("gaid", [LINK, TAKEN_BACK], DENY),
            difference("phone", [CLAIMED, {**TAKEN_BACK, "who": ["phone"]}], DENY),
        ],
    ),
    "earlier_yes": (
        difference("tablet", [YES, DARK, VOID], DENY),
        [
            difference("tablet", [DARK, VOID], DENY),
            difference("tablet", [YES, DARK], DENY),
            difference("tablet", [YES, DARK, VOID], None, DENY),
            difference("tablet", [{**YES, "who": "bob"}, DARK, VOID], DENY),
            difference("tablet", [YES, DARK, VOID], {"deny": frozenset({"sharing"})}),
        ],
    ),
}


def excused(word, found):
    return {*found.fields} <= KNOWN[word](found)


@pytest.mark.parametrize("word", KNOWN)
def test_a_known_difference_is_excused_and_one_that_is_near_it_is_not(word):
    case, near = CASES[word]
    assert excused(word, case)
    assert [each for each in near if excused(word, each)] == []
