"""How easily a page reads, by the formula that is customary in its language: from 0 (hard) to 100 (easy).

English: Flesch's reading ease, `206.835 - 1.015 W/S - 84.6 Y/W` (Flesch 1948; 60 to 70 is plain English). Spanish:
Szigriszt-Pazos, `206.835 - W/S - 62.3 Y/W` (1993; on the Inflesz scale of Barrio-Cantalejo, 2008, 55 to 65 is normal).
French: Kandel and Moles, `207 - 1.015 W/S - 73.6 Y/W` (1958; 60 to 70 as Flesch's). W words, S sentences, Y syllables.
As in Flesch's "How to Write Plain English" a sentence ends at `.`, `!`, `?`, `;` or `:`, and with its block.

Running text alone counts: blocks of five words and more. Labels, buttons and lists of names would flatter a page.
"""

import re
from html.parser import HTMLParser

LIMIT, LONG, HARDEST = 65.0, 12, 38.0  # of a page; and of each of its blocks that has so many words
FORMULAS = {"en": (206.835, 1.015, 84.6), "es": (206.835, 1.0, 62.3), "fr": (207.0, 1.015, 73.6)}
BLOCKS = {"p", "li", "h1", "h2", "legend", "label", "summary", "dt", "dd", "td", "button", "br"}
OTHERS = {"footer", "select", "script", "style", "title", "code"}  # the operator's own words, names of places, an id
LEAST = 5
WORD = re.compile(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*")
END = re.compile(r"[.!?;:]+(?:\s|$)")
GROUPS = {
    "en": re.compile("[aeiouy]+"),
    "es": re.compile("[iuü]?[aeoáéó][iuy]?(?![aeoáéíóú])|[iuü]?[aeoáéó]|[íú]|[iuü]+y?|y(?![a-z])"),
    "fr": re.compile("[aeiouyàâéèêëîïôùûüœæ]+"),
}
SILENT = {"en": re.compile("(?<![aeiouyl])e$|(?<=[aeiouy])le$|(?<![aeioudty])ed$|(?<![aeiouylcgsxz])es$"),
          "es": re.compile("$^"), "fr": re.compile("(?<=[^aeiouyàâéèêëîïôùûüœæ])(e|es|ent)$")}  # fmt: skip


class Blocks(HTMLParser):
    """The running text of a page, a string a block; what is marked as another language than the page's is not its."""

    def __init__(self, text: str, language: str) -> None:
        super().__init__()
        self.found: list[str] = [""]
        self._language, self._left_out = language, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        foreign = dict(attrs).get("lang", self._language) != self._language
        if tag in OTHERS or (foreign and tag not in {"a", "html"}) or (self._left_out and tag == self._left_out[-1]):
            self._left_out.append(tag)
        if tag in BLOCKS:
            self.found.append("")

    def handle_endtag(self, tag):
        if self._left_out and tag == self._left_out[-1]:
            self._left_out.pop()
        if tag in BLOCKS:
            self.found.append("")

    def handle_data(self, data):
        if not self._left_out:
            self.found[-1] += data


def running(text: str, language: str, excepted=()) -> list[str]:
    """The blocks that count, without the titles that the law prescribes."""
    blocks = [" ".join(block.split()) for block in Blocks(text, language).found]
    for title in excepted:
        blocks = [block.replace(title, "") for block in blocks]
    return [block for block in blocks if len(WORD.findall(block)) >= LEAST]


def syllables(word: str, language: str) -> int:
    word = word.lower()
    silent = 1 if SILENT[language].search(word) else 0
    return max(1, len(GROUPS[language].findall(word)) - silent)


def ease(blocks: list[str], language: str) -> float:
    words = [word for block in blocks for word in WORD.findall(block)]
    sentences = sum(max(1, len([part for part in END.split(block) if WORD.search(part)])) for block in blocks)
    start, by_sentence, by_word = FORMULAS[language]
    count = sum(syllables(word, language) for word in words)
    return start - by_sentence * len(words) / sentences - by_word * count / len(words)
