"""Opt-out cookies of ad networks (DAA WebChoices, NAI, a network's own page), known by name and value, for
`signals.hear`.

They are third-party cookies of the networks' own domains: a site's own server never gets one, and reads them only when
the gateway is run on a network's domain. So every rule must leave a site's own cookies alone. An opt-out counts as the
person's act; its absence, or another value, says nothing at all (L13). The rules are data (industry_cookies.toml), read
by the composition root.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.signals import cookies
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Purpose

SEPARATORS = re.compile("[^a-z0-9]+")
WORD = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # of user_email, userEmail and USER_EMAIL alike
MEMBERS = {"names": list, "endings": list, "says": list, "values": list, "beginnings": list, "sale": bool}
PLAIN = re.compile("[a-z0-9]+")  # what is left of a name


@dataclass(frozen=True, slots=True)
class CookieRule:
    """Whole values and beginnings of values that mean an opt-out; `sale`: of sale, too."""

    values: frozenset[str]
    beginnings: tuple[str, ...]
    sale: bool

    def says(self, value: str) -> bool:
        return value in self.values or value.startswith(self.beginnings)


@dataclass(frozen=True, slots=True)
class Table:
    """Rules by name and by ending; an empty one knows no cookie. `unless`: words that take an ending back."""

    names: Mapping[str, tuple[CookieRule, ...]] = field(default_factory=dict)
    endings: Mapping[str, tuple[CookieRule, ...]] = field(default_factory=dict)
    unless: frozenset[str] = frozenset()
    all_endings: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "all_endings", tuple(self.endings))

    def patterns(self) -> list[str]:
        """What may be the name of such a cookie, for callers who send only what is read: `*` stands for anything, and
        names are compared without case and in letters and digits only.
        """
        return sorted({*self.names, *(f"*{ending}" for ending in self.endings)})

    def is_read(self, name: str) -> bool:
        """Whether some rule knows this name."""
        return bool(self.rules(name))

    def rules(self, name: str) -> tuple[CookieRule, ...]:
        """Every rule that knows this name. Asked of each cookie of a request: most are none of these."""
        plain = SEPARATORS.sub("", name.lower())
        found = self.names.get(plain, ())
        if not plain.endswith(self.all_endings):
            return found
        ends = [each for each in self.endings if plain.endswith(each)]
        known = [each for each in ends if self.unless.isdisjoint({plain.removesuffix(each), *_words(name)})]
        return (*found, *(rule for each in known for rule in self.endings[each]))


@dataclass(frozen=True, slots=True)
class OptOut:
    """One cookie that says an opt-out, and of which purposes."""

    name: str
    purposes: frozenset[Purpose]


def read_industry_cookies(
    jar: Iterable[tuple[str, str]], table: Table, purposes: frozenset[Purpose] = frozenset(AD_CHOICE_PURPOSES)
) -> list[OptOut]:
    """The opt-outs among the cookies of a request (name, raw value), in order. `purposes` is what the operator lets
    an industry opt-out stop; it widens targeted ads and sharing, and do-not-sell stops sale besides (R25).
    """
    found = []
    for name, value in jar:
        rules = table.rules(name)
        said = cookies.unwrap(value).strip().lower() if rules else ""
        hits = [rule for rule in rules if rule.says(said)]
        if hits:
            more = SIGNAL_PURPOSES if any(rule.sale for rule in hits) else AD_CHOICE_PURPOSES
            found.append(OptOut(name, purposes.union(more)))
    return found


def _words(name: str) -> Iterator[str]:
    return (word.lower() for word in WORD.findall(name))


def table(parsed: Mapping[str, Any]) -> Table:
    """The rules of a parsed industry_cookies.toml. Raises `ValueError` that names what is wrong: a rule that is
    silently passed over is an opt-out that is not heard.
    """
    _shaped(parsed, {"unless": list, "words": dict, "rule": list}, "file")
    words = {name: _texts(parsed["words"], name, "words") for name in parsed.get("words", {})}
    names: dict[str, tuple[CookieRule, ...]] = {}
    endings: dict[str, tuple[CookieRule, ...]] = {}
    for number, item in enumerate(parsed.get("rule", []), 1):
        rule = _rule(item, words, f"rule {number}")
        for member, known in (("names", names), ("endings", endings)):
            for name in _texts(item, member, f"rule {number}"):
                if not PLAIN.fullmatch(name):
                    raise ValueError(f"rule {number}, {member}: {name} matches no name: letters and digits only")
                known[name] = (*known.get(name, ()), rule)
    return Table(names, endings, frozenset(_texts(parsed, "unless", "file")))


def _rule(item: Any, words: Mapping[str, list[str]], where: str) -> CookieRule:
    _shaped(item, MEMBERS, where)
    says = _texts(item, "says", where)
    if not words.keys() >= set(says):
        raise ValueError(f"{where}, says: one of {', '.join(words)}")
    values = [*_texts(item, "values", where), *(value for name in says for value in words[name])]
    beginnings = _texts(item, "beginnings", where)
    if not (values or beginnings) or not (item.get("names") or item.get("endings")):
        raise ValueError(f"{where}: a rule has names or endings, and says, values or beginnings")
    return CookieRule(frozenset(values), tuple(beginnings), item.get("sale", False))


def _shaped(item: Any, members: Mapping[str, type], where: str) -> None:
    fits = isinstance(item, Mapping) and all(isinstance(item[name], members.get(name, ())) for name in item)
    if not fits:
        raise ValueError(f"{where}: a table with nothing but {', '.join(members)}, each of its own type")


def _texts(item: Mapping[str, Any], member: str, where: str) -> list[str]:
    """A list of texts as they are compared: in lower case, none empty (every name ends in an empty ending)."""
    texts = item.get(member, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) and text == text.lower() != "" for text in texts):
        raise ValueError(f"{where}, {member}: a list of texts in lower case")
    return texts
