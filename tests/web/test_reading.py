"""Plain words (11 CCR 7003(a)): how easily each page reads in each language."""

import pytest
from support.opting_in import standing
from support.people import email
from support.reading import HARDEST, LIMIT, LONG, WORD, ease, running, syllables

from gateway.web.shell.words import LANGUAGES, SOLD, USES, say

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"
TITLES = (  # as the law has them (11 CCR 7013, 7014, 7015, 7025(c)(6)), and what the signal is called
    "Do Not Sell or Share My Personal Information", "Limit the Use of My Sensitive Personal Information",
    "Your Privacy Choices", "Opt-Out Request Honored",
)  # fmt: skip
SIGNAL = "Global Privacy Control"


async def pages(site, language) -> dict[str, str]:
    """Every page and state that a person meets on the way out and on the way back."""
    spoken = {"Accept-Language": language}
    signal, browser = site.browser(**spoken, **{"Sec-GPC": "1"}), site.browser(**spoken)
    shown = {
        "choices": await browser.get(PATH),
        "choices, with the signal": await signal.get(PATH),
        "further": await browser.get(f"{PATH}?reach=1"),
        "confirmed": await browser.opts_out(email=email(1), phone="call me"),
        "choices, opted out": await browser.get(PATH),
        "opting in": await browser.get(f"{PATH}/opt-in"),
        "first step": (first := await browser.reads_notice(what="targeted_ads")),
        "second step": (second := await browser.presses(first, "opt_in")),
        "allowed": await browser.presses(second, "confirm"),
        "choices, a part allowed again": await browser.get(PATH),
        "marketing": await browser.get(f"{PATH}/marketing"),
        "data": await browser.get(f"{PATH}/data"),
        "erasing": await browser.get(f"{PATH}/erase"),
        "a code": await browser.asks_code(email=email(1)),
        "opting in with the signal": await signal.reads_notice(what="targeted_ads"),
    }
    return {name: answer.text for name, answer in shown.items()}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_reads_as_plain_words_do(tmp_path, language):
    titles = [SIGNAL, *(say(language, title) for title in TITLES)]
    async with standing(tmp_path / "data") as site:
        told = {name: running(text, language, titles) for name, text in (await pages(site, language)).items()}
    found = {name: round(ease(blocks, language), 1) for name, blocks in told.items()}
    assert {name: score for name, score in found.items() if score < LIMIT} == {}, found
    terms = tuple(say(language, text) for text in (SOLD, *USES.values()))  # sale, sharing, sensitive: the law's own
    every = {block for blocks in told.values() for block in blocks if len(WORD.findall(block)) >= LONG}
    every = {block for block in every if not any(term in block for term in terms)}
    assert len(every) > 15
    assert {block: ease([block], language) for block in every if ease([block], language) < HARDEST} == {}


HARD = {  # each as a lawyer would write it
    "en": "Notwithstanding the foregoing, the processing of personal information for cross-context behavioral"
    " advertising is discontinued following verification of authorization.",
    "es": "No obstante lo anterior, el tratamiento de la información personal con finalidades publicitarias"
    " comportamentales se interrumpirá con posterioridad a la verificación de la autorización.",
    "fr": "Nonobstant ce qui précède, l’utilisation des renseignements personnels à des finalités de publicité"
    " comportementale intersites est interrompue postérieurement à la vérification de l’autorisation.",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_of_hard_words_is_found(language):
    """The control of the test above."""
    blocks = running(f'<html lang="{language}"><p>{HARD[language]}</p>', language)
    assert ease(blocks, language) < HARDEST < LIMIT


@pytest.mark.parametrize(
    ("language", "word", "count"),
    [
        ("en", "information", 4), ("en", "shared", 1), ("en", "limited", 3), ("en", "people", 2), ("en", "choices", 2),
        ("es", "información", 4), ("es", "día", 2), ("es", "cuenta", 2), ("es", "publicidad", 4), ("es", "muy", 1),
        ("fr", "navigateur", 4), ("fr", "partagent", 2), ("fr", "choses", 1), ("fr", "publicité", 4),
    ],
)  # fmt: skip
def test_syllables_are_counted_as_they_are_said(language, word, count):
    assert syllables(word, language) == count
