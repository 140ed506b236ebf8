"""The language of a page: a link's word stands above the browser's."""

import pytest
from starlette.requests import Request

from gateway.web.shell import words


def asking(query: str = "", accept: str = "") -> Request:
    headers = [(b"accept-language", accept.encode("latin-1"))] if accept else []
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": headers})


@pytest.mark.parametrize(
    ("accept", "shown"),
    [
        ("", "en"),
        ("es", "es"),
        ("fr-CA,fr;q=0.9,en;q=0.8", "fr"),
        ("de,es;q=0.7,en;q=0.9", "en"),
        ("ES-mx", "es"),
        ("fr;q=0", "en"),
        ("fr;q=nonsense, es;q=0.3", "es"),
        ("," * 5000, "en"),
    ],
)
def test_a_browser_is_answered_in_the_best_of_its_languages_that_we_speak(accept, shown):
    assert words.language_of(asking(accept=accept)) == shown


def test_a_link_stands_above_the_browser_and_an_unknown_one_is_nothing():
    assert words.language_of(asking("lang=es", "fr")) == "es"
    assert words.language_of(asking("lang=tlh", "fr")) == "fr"
    assert words.language_asked(asking("lang=tlh")) == ""


def test_a_text_is_said_in_the_language_and_in_english_where_there_is_no_translation():
    assert words.say("es", "Your Privacy Choices") == "Sus opciones de privacidad"
    assert words.say("fr", "no such text of ours") == "no such text of ours"
    assert words.say("en", "Your Privacy Choices") == "Your Privacy Choices"


def test_no_weight_of_a_stranger_makes_a_page_fail():
    assert words.language_of(asking(accept="es;q=nan, fr;q=1e999")) in words.LANGUAGES
