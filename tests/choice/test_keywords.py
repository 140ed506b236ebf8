"""Keywords: words of the operator's vocabulary leave, a person's own words never do (R20)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.inside import settings as shipped
from support.people import GAID, named
from support.shares import share_all

from gateway.app import composition, from_settings
from gateway.choice import keywords
from gateway.choice.keywords import Vocabulary, Why
from gateway.consent.share import ShareRow
from gateway.settings.load import SettingsRefused, load_settings

QUICKLY = examples(200)
LISTED = ("travel", "used cars", "home and garden", "Café", "straße")
SENSITIVE = ("health", "bible", "green card", "visa")
WORDS = keywords.vocabulary(LISTED, SENSITIVE)


@pytest.mark.parametrize(("said", "kept"), [
    ("travel", "travel"),
    ("travel, used cars", "travel,used cars"),
    (["travel", "used cars"], ["travel", "used cars"]),
    (("travel",), ["travel"]),
    (["travel,used cars"], ["travel", "used cars"]),
    (" TRAVEL ,, Used\t CARS,", "travel,used cars"),
    ("ＴＲＡＶＥＬ", "travel"),
    ("cafe\u0301", "café"),
    ("STRASSE", "strasse"),
    ("home and garden", "home and garden"),
], ids=repr)  # fmt: skip
def test_a_listed_keyword_leaves_in_the_shape_it_came_in(said, kept):
    assert keywords.sift(said, WORDS) == (kept, {})


@pytest.mark.parametrize(("said", "why"), [
    ("cars", Why.UNLISTED),
    ("travels", Why.UNLISTED),
    ("see you tonight", Why.UNLISTED),
    ("tra\u200bvel", Why.UNLISTED),
    ("used-cars", Why.UNLISTED),
    ("travel;used cars", Why.UNLISTED),
    ("flat 4", Why.DIGITS),
    ("5551230001", Why.DIGITS),
    ("\u0665\u0665\u0665", Why.DIGITS),
    ("\u00bd price", Why.DIGITS),
    ("pat@example.com", Why.ADDRESS),
    ("pat\uff20example", Why.ADDRESS),
    ("meet me at home", Why.LONG),
    ("home and garden travel", Why.LONG),
    ("health", Why.SENSITIVE),
    ("Health Insurance", Why.SENSITIVE),
    ("Bible-study", Why.SENSITIVE),
    ("a_bible_group", Why.SENSITIVE),
    ("new green card", Why.SENSITIVE),
    (7, Why.UNREADABLE),
    (None, Why.UNREADABLE),
    (True, Why.UNREADABLE),
    ({"travel": 1}, Why.UNREADABLE),
    ([["travel"]], Why.UNREADABLE),
    ([b"travel"], Why.UNREADABLE),
], ids=repr)  # fmt: skip
def test_what_could_be_a_persons_own_words_is_dropped_and_counted(said, why):
    assert keywords.sift(said, WORDS) == (None, {why: 1})


def test_each_dropped_keyword_is_counted_once_and_the_others_leave():
    said = "travel, my health, pat@example.com, flat 4, flat 5, nothing, used cars"
    counts = {Why.SENSITIVE: 1, Why.ADDRESS: 1, Why.DIGITS: 2, Why.UNLISTED: 1}
    assert keywords.sift(said, WORDS) == ("travel,used cars", counts)


def test_a_text_and_a_list_of_the_same_words_leave_the_same():
    text, said = keywords.sift("used cars,cat,travel", WORDS), keywords.sift(["used cars", "cat", "travel"], WORDS)
    assert text.kept == ",".join(said.kept)
    assert text.dropped == said.dropped


def test_order_and_repetition_of_listed_words_say_nothing():
    one, other = keywords.sift("travel,used cars", WORDS), keywords.sift("used cars,travel,travel,TRAVEL", WORDS)
    assert one == other


@pytest.mark.parametrize("said", ["", " , ,", [], [""], ()], ids=repr)
def test_no_keyword_at_all_leaves_nothing_and_counts_nothing(said):
    assert keywords.sift(said, WORDS) == (None, {})


def test_without_a_vocabulary_no_keyword_leaves():
    assert keywords.sift("travel", Vocabulary()) == (None, {Why.UNLISTED: 1})


def test_a_sensitive_word_does_not_leave_even_where_it_is_listed():
    both = Vocabulary(frozenset({"health"}), frozenset({"health"}))
    assert keywords.sift("health", both) == (None, {Why.SENSITIVE: 1})


@pytest.mark.parametrize(("entry", "why"), [
    ("Health insurance", Why.SENSITIVE), ("visa", Why.SENSITIVE), ("4k", Why.DIGITS), ("@home", Why.ADDRESS),
    ("all of the news", Why.LONG),
])  # fmt: skip
def test_an_entry_that_could_never_leave_is_refused_with_the_fix(entry, why):
    with pytest.raises(ValueError, match=rf"never leaves \({why}\): take it out of the vocabulary"):
        keywords.vocabulary(["travel", entry], SENSITIVE)


SAID = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=20), st.sampled_from([*LISTED, *SENSITIVE, "x@y", "a1"])),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.lists(st.sampled_from(LISTED)).map(",".join)),
    max_leaves=8,
)


@QUICKLY
@given(SAID)
def test_whatever_is_said_only_listed_words_leave(said):
    kept, dropped = keywords.sift(said, WORDS)
    leaving = kept.split(",") if isinstance(kept, str) else kept or []
    assert set(leaving) <= WORDS.listed
    assert leaving == sorted(set(leaving))
    assert all(count > 0 and why in Why for why, count in dropped.items())


class TestTheSettings:
    def test_by_default_no_keyword_leaves_and_the_four_sensitive_matters_are_named(self):
        words = from_settings.vocabulary(shipped())
        assert words.listed == set()
        assert {"health", "faith", "sex", "immigration"} <= words.sensitive

    def test_a_vocabulary_of_the_operators_is_what_leaves(self, tmp_path):
        (tmp_path / "mine.toml").write_text('[keywords]\nvocabulary = ["Travel", "used cars"]\nsensitive = ["cars"]\n')
        with pytest.raises(SettingsRefused, match=re.escape("[keywords] vocabulary: 'used cars' never leaves")):
            from_settings.vocabulary(load_settings(tmp_path / "mine.toml", {}))
        mine = load_settings(tmp_path / "mine.toml", {"GATEWAY_KEYWORDS__SENSITIVE": "green card, visa"})
        assert from_settings.vocabulary(mine) == Vocabulary(
            frozenset({"travel", "used cars"}), frozenset({"green card", "visa"})
        )

    @pytest.mark.anyio
    async def test_a_shared_row_carries_listed_keywords_only_and_the_others_are_counted(self, folder, tmp_path):
        (tmp_path / "mine.toml").write_text(
            '[keywords]\nvocabulary = ["travel"]\n[recipients.advertisers]\nunlinked = "allow"\n'
            'fields = { kw = "keywords", ip = "ip" }\n'
        )
        row = ShareRow("r1", [named("gaid", GAID)], {"kw": "travel,see you,my health", "ip": "203.0.113.77"}, "US-CA")
        with composition.open_house(folder, shipped(tmp_path / "mine.toml"), dev=True) as house:
            [shared] = await share_all(house.sharing, house.consent.recipients["advertisers"], [row])
        left = {name: value for name, value in shared.row.items() if name != "row"}
        assert (shared.outcome, left) == ("returned", {"kw": "travel", "ip": "203.0.113.0"})
        assert shared.dropped == {Why.UNLISTED: 1, Why.SENSITIVE: 1}

    def test_a_slip_in_it_refuses_to_open_the_house(self, folder):
        mine = load_settings(None, {"GATEWAY_KEYWORDS__VOCABULARY": "travel, prayer times"})
        with pytest.raises(SettingsRefused, match="'prayer times' never leaves"):
            composition.open_house(folder, mine).__enter__()
