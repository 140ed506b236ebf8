"""The catalogues are whole: every text that a page or the code says to a person is there in every language."""

import re
from collections import Counter
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from support import inside

from gateway.web.shell import page, words
from gateway.web.shell.words import PROVINCE_NAMES, STATE_NAMES

WEB = Path(words.__file__).parent.parent
METHODS = [("**/templates/**.html", "jinja2.ext:babel_extract"), ("**.py", "python")]
OPTIONS = {"**/templates/**.html": {"trimmed": "true", "silent": "false"}}  # as page.py sets the templates up
KEYWORDS = {"_": None, "gettext": None, "mark": None, "say": (2,)}
OTHERS = sorted(set(words.LANGUAGES) - {words.ENGLISH})
PLACEHOLDER, TAG = re.compile(r"%\(\w+\)s"), re.compile(r"</?\w+[^>]*>")

SITE = inside.settings().site
OPERATORS = {SITE.name, f"– {SITE.name}", SITE.footer, SITE.contact}
LOGGED = {
    part for kind in (page.CHOICES_NOTICE, page.MARKETING_NOTICE) for part in page.paragraphs(page.load_notice(kind))
}


def said(folder=WEB) -> set[str]:
    """Every text that the templates and the code mark for translation."""
    found = extract_from_dir(str(folder), METHODS, OPTIONS, keywords=KEYWORDS)
    return {text if isinstance(text, str) else text[0] for _, _, text, _, _ in found}


def catalogue(name: str):
    path = WEB.parent / "locale" / f"{name}.po"
    return {message.id: message for message in read_po(BytesIO(path.read_bytes()), locale=name) if message.id}


@pytest.mark.parametrize("name", OTHERS)
def test_no_text_is_shown_in_another_language_than_the_persons(name):
    translated = {text for text, message in catalogue(name).items() if message.string and not message.fuzzy}
    assert said() - translated == set()


@pytest.mark.parametrize("name", OTHERS)
def test_no_translation_is_of_a_text_that_nobody_says(name):
    assert set(catalogue(name)) - said() == set()


@pytest.mark.parametrize("name", OTHERS)
def test_a_translation_loses_no_placeholder_and_no_link(name):
    lost = {
        text
        for text, message in catalogue(name).items()
        for part in (PLACEHOLDER, TAG)
        if Counter(part.findall(text)) != Counter(part.findall(message.string))
    }
    assert lost == set()


@pytest.mark.parametrize("kind", [page.CHOICES_NOTICE, page.MARKETING_NOTICE])
def test_a_text_that_is_logged_is_there_in_every_language_with_as_many_paragraphs(kind):
    texts = page.notice_in_languages(kind)
    assert set(texts) == set(words.LANGUAGES)
    assert len({text.sha256 for text in texts.values()}) == len(texts)
    assert len({len(page.paragraphs(text)) for text in texts.values()}) == 1


def test_a_text_without_a_translation_is_found(tmp_path):
    """The control of the tests above: by a template, by a mark, and by a text that is said at once."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "new.html").write_text('{% trans a=1 %}New\n  {{ a }}{% endtrans %}{{ _("Newer") }}')
    (tmp_path / "door.py").write_text('TEXT = mark("Marked")\nsay(language, "Said")\nother("Not for people")\n')
    assert said(tmp_path) == {"New %(a)s", "Newer", "Marked", "Said"}
    assert not said(tmp_path) & set(catalogue("es"))


class Bare(HTMLParser):
    """Words of a page that went through no catalogue. Each text of the marked catalogue stands in ⟦ and ⟧."""

    def __init__(self, text: str, allowed: set[str]) -> None:
        super().__init__()
        self.found, self._depth, self._allowed = [], 0, allowed
        self._foreign = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in {"alt", "aria-label", "title", "placeholder"} and not value.startswith(("⟦", "California")):
                self.found.append(value)  # the icon's words are the regulator's
        if (tag in {"span", "p", "a"} and dict(attrs).get("lang")) or tag in {"code", "style"}:
            self._foreign += 1

    def handle_endtag(self, tag):
        self._foreign = max(0, self._foreign - (tag in {"span", "p", "a", "code", "style"}))

    def handle_data(self, data):
        for part in re.split("([⟦⟧])", data):
            self._depth += {"⟦": 1, "⟧": -1}.get(part, 0)
            words = part.strip()
            if (
                not self._depth
                and not self._foreign
                and re.search(r"[^\W\d_]{2}", words)
                and words not in self._allowed
            ):
                self.found.append(words)


class Marked:
    def gettext(self, text):
        return f"⟦{text}⟧"

    def ngettext(self, one, many, number):
        return f"⟦{one if number == 1 else many}⟧"


@pytest.fixture
def marked(monkeypatch):
    """Pages whose every text shows that it went through a catalogue."""
    monkeypatch.setattr(words, "catalogue", lambda _: Marked())


def bare(text: str) -> list[str]:
    return Bare(text, LOGGED | OPERATORS | {*STATE_NAMES.values(), *PROVINCE_NAMES.values()}).found


@pytest.mark.anyio
async def test_no_page_says_anything_that_is_in_no_catalogue(marked, client):
    answer = await client.post("/privacy-choices", data={"action": "ticked", "purpose": "sale", "email": "nobody"})
    pages = [
        await client.get("/privacy-choices", headers={"Sec-GPC": "1"}),
        await client.get("/privacy-choices?reach=1"),
        await client.get(answer.headers["location"]),
        await client.post("/privacy-choices", data={"state": "CA"}, headers={"Origin": "null"}),
        await client.get("/privacy-choices/marketing"),
        await client.post("/privacy-choices/marketing", data={"action": "ticked"}),
        await client.get("/privacy-choices/nowhere", headers={"Accept": "text/html"}),
        await client.get("/privacy-choices/unsubscribe/nothing"),
    ]
    assert [one.status_code for one in pages] == [200, 200, 200, 403, 200, 422, 404, 404]
    assert [words for one in pages for words in bare(one.text)] == []


def test_a_text_that_went_through_no_catalogue_is_seen():
    page_of = '<p>⟦A <b>b</b>⟧</p><p>Bare words</p><img alt="bare"><span lang="en">Exact</span>'
    assert bare(page_of) == ["Bare words", "bare"]
