"""An access report has a word for every term that may stand in it."""

import pytest

from gateway.choice import law
from gateway.choice.identity import KINDS
from gateway.terms import CALLERS_CHOICES, ChoiceKind, DataClass, Purpose, Source
from gateway.web.shell import words

TABLES = [
    (words.PURPOSES, set(Purpose)),
    (words.DATA, set(DataClass) - {DataClass.ACCOUNT}),  # a kind of identifier, too
    (words.ACTS, set(ChoiceKind)),
    (words.SOURCES, set(Source) - {Source.EMAIL, Source.PHONE}),
    (words.KINDS, set(KINDS)),
    (words.AGES, set(law.AGES)),
]


@pytest.mark.parametrize(("table", "terms"), TABLES)
def test_every_term_has_a_word_and_no_word_is_of_a_term_that_is_gone(table, terms):
    assert set(table) == {str(term) for term in terms}


def test_no_two_tables_have_different_words_for_one_name():
    seen: dict[str, str] = {}
    for table, _ in TABLES:
        for name, text in table.items():
            assert seen.setdefault(name, text) == text, name


def test_a_person_is_not_shown_a_name_of_the_operators_own():
    assert words.word("id:loyalty_card") == "an identifier"
    assert words.word(str(CALLERS_CHOICES[0])) == "opt out"
