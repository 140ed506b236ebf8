"""An access report has a word for every term that may stand in it."""

import pytest

from gateway.choice import law_rows
from gateway.choice.identity import KINDS
from gateway.terms import CALLERS_CHOICES, ChoiceKind, DataClass, Purpose, Source
from gateway.web import report_words

TABLES = [
    (report_words.PURPOSES, set(Purpose)),
    (report_words.DATA, set(DataClass) - {DataClass.ACCOUNT}),  # a kind of identifier, too
    (report_words.ACTS, set(ChoiceKind)),
    (report_words.SOURCES, set(Source) - {Source.EMAIL, Source.PHONE}),
    (report_words.KINDS, set(KINDS)),
    (report_words.AGES, set(law_rows.AGES)),
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
    assert report_words.word("id:loyalty_card") == "an identifier"
    assert report_words.word(str(CALLERS_CHOICES[0])) == "opt out"
