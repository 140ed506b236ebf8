"""What a bid request says of its person beside ids, wherever it stands: points, ages and what else is demographic, an
address or a phone number. `reading` asks it of what its one walk met; `row_words` reads the ages, as those of a row.

A member is read by its name, or as the value of the name beside it, as segments have it. All of it makes data classes,
so that the verdict is asked about what would leave; points and ages count besides as places and as an age (R13, R14).
Inside `user` a member whose name says an age and nothing else is a field of demographics; any other is one that nobody
mapped, which counts where its name says that it is an age's and it can be read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import filterfalse, islice, product
from typing import NamedTuple

from gateway.choice import coarsening, row_words
from gateway.choice.openrtb.members import Json, objects
from gateway.choice.openrtb.signs import APART, degree_pairs, points_of, says_contact
from gateway.terms import DataClass

LATITUDE, LONGITUDE, PAIR, AGE, GENDER = "lat", "lon", "pair", "age", "gender"
LONG = "long"  # a longitude beside a latitude, and a word like any other
# Of a place, by `coarsening.KINDS`; all are precise. A metro is none, and an accuracy alone says nothing.
OF_PLACE = frozenset({LATITUDE, LONGITUDE, "geohash", "h3", "zip"})
BOTH = frozenset(
    {"latlong", "latlng", "latlon", "longlat", "lnglat", "lonlat", "coordinate", "coordinates", "coord", "coords"}
)  # fmt: skip
PLACES = OF_PLACE | {PAIR, LONG}
PARTS: Mapping[str, str] = {
    **dict.fromkeys(BOTH, PAIR),
    **{word: kind for word, kind in coarsening.KINDS.items() if kind in OF_PLACE},
    LONG: LONG,
    **dict.fromkeys(("gender", "sex"), GENDER),
}
WHOSE = ("user", "device", "dev", "geo", "gps", "loc", "client", "home")  # `userlat`, in one word
IN_ONE_WORD: Mapping[str, str] = {f"{whose}{word}": kind for whose in ("", *WHOSE) for word, kind in PARTS.items()}
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
LONGEST_NAME = 64
ONE_WORD = re.compile(r"[\w.-]+")
OWN_OF_USER, OWN_OF_GEO = frozenset({"yob", "gender"}), frozenset({"lat", "lon", "zip"})
PAIRED = frozenset({"value", "segment"})  # members beside which a name stands that says what they are
NOTHING: tuple[object, ...] = (None, "", [], {})
LIMITED = (0, 1, "0", "1")  # `lat` is "limit ad tracking", too
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")  # `lng` is a language's, too
H3 = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{15,16}|[0-9]{18,19})(?![0-9a-f])", re.IGNORECASE)  # and a heading
MINOR, OF_VERSION = "minor", frozenset({"major", "patch", "version"})  # which stand beside it in one
NUMERAL = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]+)?")
NAME_ENDS = re.compile(r"[|:>/]")  # "Demographic | Age Range | 25-29"
TEXT = "segment"  # what is no age's by its name, and a field's all the same
UNREADABLE = "{}"
MOST_SAID = 100  # different points, and ages; more than a request has of one person


Own = tuple[Json, frozenset[str]]


class AgeWord(NamedTuple):
    """A member that says an age. `mapped`: it is a field of demographics, and strictly read."""

    name: str
    value: str | float | bool
    mapped: bool


@dataclass(frozen=True, slots=True)
class BidWords:
    """`geo`: points, as a check takes them. `is_whole`: not more than is looked at."""

    classes: frozenset[DataClass] = frozenset()
    geo: tuple[Json, ...] = ()
    ages: tuple[AgeWord, ...] = ()
    is_whole: bool = True

    def youngest(self, year: int) -> str | None:
        """The youngest band that the ages leave possible in a year."""
        said: str | None = None
        for name, value, mapped in self.ages:
            fields = {name: DataClass.DEMOGRAPHICS} if mapped else {}
            said = row_words.age_said({name: value}, fields, year, said)
        return said


NO_WORDS = BidWords()


@lru_cache(maxsize=4096)
def named_for(name: str) -> str:
    """What a member says by its name: a part of a point, an age, a gender; mostly nothing."""
    if len(name) > LONGEST_NAME:
        return ""
    kind = coarsening.kind(name)
    if kind in OF_PLACE and name != LONG:
        return kind
    words = [each.lower() for each in WORD.findall(name.rpartition(".")[2])]
    for each in ("".join(words), *words):
        if each in IN_ONE_WORD:
            return IN_ONE_WORD[each]
    return AGE if row_words.age_name(name) else ""


def tells_place(segment: Json) -> bool:
    """Whether a segment says by its name that it is a part of a point; `filtering` takes it out where none may go."""
    names = (segment.get(word) for word in ("name", "key"))
    return any(isinstance(name, str) and named_for(name) in PLACES for name in names)


def words_in(of_user: Sequence[Json], elsewhere: Sequence[Json], own: Iterable[Own], texts: Iterable[str]) -> BidWords:
    """Of the objects with a name that says something, those of the user and all others, and of a request's texts.
    `own`: objects of whose members some are read in their own place.
    """
    found = WordsFound()
    read = {id(holder): names for holder, names in own}
    for holders, mapped in ((of_user, True), (elsewhere, False)):
        for holder in holders:
            names = read.get(id(holder))
            found.take({n: v for n, v in holder.items() if n not in names} if names else holder, mapped=mapped)
    found.take_texts(APART.join(texts))
    return found.words() if found.classes or found.ages else NO_WORDS


class WordsFound:
    """What was found so far; with too much of it nothing more is looked for."""

    def __init__(self) -> None:
        self.classes: set[DataClass] = set()
        self._points: dict[tuple[float, float] | str, None] = {}
        self.ages: dict[AgeWord, None] = {}

    def words(self) -> BidWords:
        geo: list[Json] = [
            {"geohash": each} if isinstance(each, str) else {"lat": each[0], "lon": each[1]} for each in self._points
        ]
        ages = tuple(islice(self.ages, MOST_SAID))
        return BidWords(frozenset(self.classes), tuple(geo[:MOST_SAID]), ages, not self._is_too_much)

    @property
    def _is_too_much(self) -> bool:
        return max(len(self._points), len(self.ages)) > MOST_SAID

    def take(self, holder: Json, *, mapped: bool) -> None:
        self._take_members(holder, mapped=mapped)
        if PAIRED.isdisjoint(holder):
            return
        for each in _paired(holder):
            self._take_members(each, mapped=mapped)
        if mapped and not self._is_too_much:
            self.ages |= {AgeWord(TEXT, text, True): None for text in _ages_of(objects(holder.get("segment")))}

    def _take_members(self, holder: Json, *, mapped: bool) -> None:
        kinds: dict[str, list[object]] = {}
        for name, value in holder.items():
            kind = named_for(name)
            if not kind or value in NOTHING or self._is_too_much:
                continue
            if kind == AGE:
                if name.lower() == MINOR and not OF_VERSION.isdisjoint(holder):
                    continue
                self._take_age(name, value, mapped=mapped)
            elif not isinstance(value, dict):
                kinds.setdefault(kind, []).append(value)
        if kinds:
            self._take_kinds(kinds)

    def _take_kinds(self, kinds: dict[str, list[object]]) -> None:
        if GENDER in kinds:
            self.classes.add(DataClass.DEMOGRAPHICS)
        north, long = kinds.get(LATITUDE, []), kinds.pop(LONG, [])
        east = [*filterfalse(_is_language, (*kinds.pop(LONGITUDE, ()), *(long if north else ())))]
        if not east:
            kinds[LATITUDE] = north = [each for each in north if each not in LIMITED]
        kinds["h3"] = [value for value in kinds.get("h3", ()) if H3.search(str(value))]
        if east or any(values for kind, values in kinds.items() if kind != GENDER):
            self.classes.add(DataClass.PRECISE_GEO)
        for point in product(_numbers(north), _numbers(east)):
            self._points[point] = None
            if self._is_too_much:
                return
        for value in kinds.get(PAIR, ()):
            self._points |= dict.fromkeys(_points_in(value))
        self._points |= {each: None for each in kinds.get("geohash", ()) if isinstance(each, str)}

    def _take_age(self, name: str, value: object, *, mapped: bool) -> None:
        how = row_words.age_name(name)
        if how is None or (value in (0, "0") and not how.from_zero):
            return
        values = value if isinstance(value, list) else [value]
        if how.of_limit and not mapped and not (values := [*filter(row_words.says_yes_or_no, values)]):
            return
        self.classes.add(DataClass.DEMOGRAPHICS)
        if how.of_band:  # it says an age of whomever it is true of, and what is true here nobody can tell
            return
        strict = how.of_limit or (mapped and how.strict)
        for each in values:
            if isinstance(each, str | int | float):
                self.ages[AgeWord(name if strict else AGE, each, strict)] = None
            elif strict and each is not None:
                self.ages[AgeWord(name, UNREADABLE, strict)] = None

    def take_texts(self, joined: str) -> None:
        for pair in degree_pairs(joined):
            self.classes.add(DataClass.PRECISE_GEO)
            self._points |= dict.fromkeys(pair.points)
            if self._is_too_much:
                break
        if says_contact(joined):
            self.classes.add(DataClass.CONTACT)


def _paired(holder: Json) -> Iterator[Json]:
    """What stands beside its name, as members of that name; of a segment without a value its id is one. A name of
    several words is a title, but for an age's.
    """
    beside = [(holder.get(word), holder["value"]) for word in ("name", "key")] if "value" in holder else []
    beside += [(each.get("name"), each.get("id")) for each in objects(holder.get("segment")) if "value" not in each]
    for name, value in beside:
        if isinstance(name, str) and (ONE_WORD.fullmatch(name) or "".join(name.lower().split()) in row_words.OF_AGE):
            yield {name: value}


def _ages_of(segments: Iterable[Json]) -> Iterator[str]:
    """The texts of segments that have the form of ages; of a title its end."""
    for each in segments:
        title = name if isinstance(name := each.get("name"), str) else ""
        for text in (each.get("id"), each.get("value"), NAME_ENDS.split(title)[-1].strip()):
            if isinstance(text, str) and row_words.says_ages(text, title):
                yield text


def _is_language(value: object) -> bool:
    return isinstance(value, str) and LANGUAGE.fullmatch(value) is not None


def _numbers(values: Iterable[object]) -> list[float]:
    """Each once, and no more than can be looked at."""
    read = (number for each in values if (number := coarsening.number(each)) is not None)
    return list(islice(dict.fromkeys(read), MOST_SAID + 1))


def _points_in(value: object) -> tuple[tuple[float, float], ...]:
    """Of two numbers in a list or a text."""
    parts = value if isinstance(value, list) else NUMERAL.findall(value) if isinstance(value, str) else ()
    read = [number for each in parts if (number := coarsening.number(each)) is not None]
    return points_of(*read) if len(read) == len(parts) == len((LATITUDE, LONGITUDE)) else ()
