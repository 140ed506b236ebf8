import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signals.sms import LONGEST, Act, Read, read_stop_word

# 47 CFR 64.1200(a)(10), STOPALL, and what R21 adds
WORDS = [
    "STOP",
    "QUIT",
    "END",
    "REVOKE",
    "OPT OUT",
    "CANCEL",
    "UNSUBSCRIBE",
    "STOPALL",
    "ALTO",
    "BAJA",
    "ARRET",
    "ARRÊT",
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "written",
    [
        "{}",
        "{}.",
        " {}!!! ",
        "“{}”",
        "\n{}\r\n",
        "*{}*",
        "\ufeff{}\u200b",
        "{} texting me",
        "please {}",
        "Por favor, {}",
    ],
)
def test_a_person_who_answers_with_a_word_of_the_rule_is_heard_however_it_is_written(word, written):
    for spelled in (word, word.lower(), word.capitalize()):
        assert read_stop_word(written.format(spelled)).act is Act.STOP, written.format(spelled)


@pytest.mark.parametrize(
    "text",
    [
        "opt-out", "Optout", "OPT_OUT", "Stop All", "ＳＴＯＰ", "s\u0074op\u0301", "Please stop texting me",
        "I said stop", "how do I unsubscribe?", "I want to opt out of this", "i revoke my consent",
        "Arrêt svp", "arre\u0302t", "S'il vous plaît, arrêt", "end",
    ],
)  # fmt: skip
def test_a_person_who_says_it_in_words_of_their_own_is_heard(text):
    assert read_stop_word(text).act is Act.STOP


@pytest.mark.parametrize(
    ("text", "language"),
    [("STOP", "en"), ("alto", "es"), ("Baja", "es"), ("arrêt", "fr"), ("AYUDA", "es"), ("aide", "fr"), ("oui", "fr")],
)
def test_the_reply_is_in_the_language_of_the_word(text, language):
    assert read_stop_word(text).language == language


@pytest.mark.parametrize(
    ("text", "act"),
    [("HELP", Act.HELP), ("info", Act.HELP), ("Start!", Act.START), ("UNSTOP", Act.START), ("yes", Act.START)],
)
def test_help_and_start_are_told_apart_from_stop(text, act):
    assert read_stop_word(text).act is act


@pytest.mark.parametrize(
    "text",
    ["", "   ", "thanks", "see you at the weekend", "the bus stopped", "unstoppable", "in the end it was fine", "start over",
     "help me move", "bajan", "quitting time", "😀", "1"],
)  # fmt: skip
def test_an_ordinary_text_is_no_choice(text):
    assert read_stop_word(text) == Read(Act.NONE)


@given(st.text())
def test_any_text_is_read_without_a_fault_and_a_stop_before_it_always_counts(text):
    assert read_stop_word(text).act in Act
    assert read_stop_word("STOP " + text).act is Act.STOP


def test_a_text_without_end_is_read_as_far_as_a_message_can_be():
    assert read_stop_word("x " * LONGEST + "stop").act is Act.NONE
    assert read_stop_word("stop " + "x " * 10**6).act is Act.STOP
