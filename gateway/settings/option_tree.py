"""The options as a tree of types: what files and variables say becomes settings, each value by its shape, and whatever
has none is refused with where it was said and what to write. `gateway.settings.load` calls it. Knows no option by name.
"""

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from enum import Enum
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from gateway.settings.shapes import Days, OptionPath, Shape, Wrong
from gateway.terms import Unusable

OWN_NAMES = frozenset(
    {"recipients", "witnesses", "agents", "consent_tools", "sites", "systems"}
)  # sections whose next name is the operator's
MAY_REPEAT = frozenset({"upload"})  # arguments of a command; in any other list a value that stands twice is a slip
FOUND: Mapping[type, str] = {
    str: "text", bool: "true or false", int: "a whole number", float: "a number with a fraction", datetime: "a moment",
    date: "a day", list: "a list", tuple: "a list", dict: "a table",
}  # fmt: skip
PLAIN_NAME, SHOWN = re.compile(r"[A-Za-z0-9_.-]{1,64}"), 32  # of other names that much is shown
# What a line looks like that is none of a list's or a text's: the one before it may be their last.
STARTS = re.compile(r"\s*($|#|\[|[^{=]*=)")
DEEPEST = 32  # tables and lists in each other; ours have four


class SettingsRefused(Unusable):
    """The text names the file and line or the variable, the option, what is wrong with it and what to write."""


class NotShaped(Exception):
    def __init__(self, path: OptionPath, why: str, write: str) -> None:
        super().__init__(why)
        self.wrong = Wrong(path, why, write)


class OptionSource:
    """Where each option was said: a line of the operator's file, or a variable of the environment."""

    def __init__(
        self, file: Path | None = None, text: str = "", variables: Mapping[OptionPath, str] | None = None
    ) -> None:
        self.file, self.text, self._variables = file, text, variables or {}

    def variable(self, path: OptionPath) -> str:
        """Which variable said it; empty where none did."""
        return next(
            (self._variables[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._variables), ""
        )

    def beside(self, path: OptionPath, file: str) -> str:
        """Where a file is that an option names: from the folder of the configuration, wherever the process runs; what a
        variable says, from where it runs.
        """
        if not file or self.file is None or self.variable(path):
            return file
        return str(self.file.parent / file)

    def says(self, *path: str) -> bool:
        """Whether an option was said at all, even as its default is."""
        return bool(self.variable(path) or self._line(path))

    def in_variables(self, path: OptionPath) -> OptionPath:
        """What a variable says of a name, of the name itself or beneath it; nothing where none does."""
        return next((said for said in self._variables if said[: len(path)] == path), ())

    def _variable_below(self, path: OptionPath) -> str:
        """Which variable alone said something of a table."""
        below = [name for said, name in self._variables.items() if said[: len(path)] == path]
        return below[0] if below and not self._line(path) else ""

    def refused(self, wrong: Wrong) -> SettingsRefused:
        """The one form of every refusal."""
        write = f"; write {wrong.write}" if wrong.write else ""
        return SettingsRefused(f"{self.told(wrong.path, wrong.why)}{write}")

    def told(self, path: OptionPath, what: str) -> str:
        """A sentence about an option, with where it was said."""
        return f"{self._where(path)}: {what}"

    def _where(self, path: OptionPath) -> str:
        if name := self.variable(path) or self._variable_below(path):
            return name
        line = next(filter(None, (self._line(path[:end]) for end in range(len(path), 0, -1))), 0)
        return f"{self.file or 'config.toml'}{f':{line}' if line else ''}: {option_name(path)}"

    def _line(self, path: OptionPath) -> int:
        """On which line it begins; 0 where the file does not say it."""
        return self._lines.get(path, 0)

    @cached_property
    def _lines(self) -> Mapping[OptionPath, int]:
        """Of all options of the file, told apart by what TOML itself reads."""
        found: dict[OptionPath, int] = {}
        above: OptionPath = ()
        tables: Counter[OptionPath] = Counter()  # how many of a list of tables there are so far
        for line, is_head, stated in _statements(self.text):
            if is_head:
                above = ()
                for step, is_list in _head(stated):
                    above = (*above, step)
                    found.setdefault(above, line)
                    tables[above] += is_list
                    if tables[above]:
                        above = (*above, tables[above] - 1)
                        found.setdefault(above, line)
            for path in () if is_head else _paths(stated, above):
                found.setdefault(path, line)
        return found


def _statements(text: str) -> Iterator[tuple[int, bool, dict[str, Any]]]:
    """Line by line what stands in a file of TOML: where it begins, whether it is the head of a table, and what it is
    by itself. A list or a text of several lines is one.
    """
    begun, first = "", 1
    lines = text.split("\n")
    for number, (line, after) in enumerate(pairwise([*lines, ""]), 1):
        begun += f"{line}\n"
        if not STARTS.match(after):
            continue
        try:
            stated = tomllib.loads(begun)
        except tomllib.TOMLDecodeError:
            continue  # in the midst of a list or a text
        yield first, begun.lstrip().startswith("["), stated
        begun, first = "", number + 1


def _head(stated: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The names in `[a.b]` or `[[a.b]]`, and whether a list of tables is meant."""
    while stated:
        ((name, inner),) = stated.items()
        yield name, isinstance(inner, list)
        stated = {} if isinstance(inner, list) else inner


def _paths(value: object, above: OptionPath) -> Iterator[OptionPath]:
    """Of whatever is in a table or a list."""
    items: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for step, inner in items:
        yield (*above, step)
        yield from _paths(inner, (*above, step))


def option_name(path: OptionPath) -> str:
    """`[section] option` as it stands in the file."""
    parts = 2 if path and path[0] in OWN_NAMES else 1
    section, option = path[:parts], path[parts:]
    name = "".join(f"[{each + 1}]" if isinstance(each, int) else f".{_plain(each)}" for each in option).lstrip(".")
    return f"[{'.'.join(map(_plain, section))}] {name}".rstrip()


def _plain(name: str | int) -> str:
    """A name that may be anything, on one line."""
    text = str(name)
    return text if PLAIN_NAME.fullmatch(text) else ascii(text[:SHOWN])


class OptionParts(NamedTuple):
    """A type taken apart: itself without what is said of it, and that."""

    plain: Any
    shape: Shape | None
    days: Days | None


@cache
def parts_of(hint: Any) -> OptionParts:
    said = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return OptionParts(
        get_args(hint)[0] if said else hint,
        next((each for each in said if isinstance(each, Shape)), None),
        next((each for each in said if isinstance(each, Days)), None),
    )


@cache
def options_of(struct: type[msgspec.Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """Its options by the name that they have in a file."""
    return {each.encode_name: each for each in msgspec.structs.fields(struct)}


def is_table(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def built(hint: Any, value: Any, source: OptionSource, path: OptionPath = ()) -> Any:
    """The value as its type has it. Raises `NotShaped`."""
    plain = parts_of(hint).plain
    if is_table(plain):
        return _table(plain, value, source, path)
    kind = get_origin(plain)
    if kind is dict:
        return _names(plain, value, source, path)
    if kind is tuple:
        return _list(plain, value, source, path)
    if kind in {Union, UnionType}:
        return built(_arm(plain, value), value, source, path)
    found = _leaf(hint, value, path, said=bool(source.variable(path)))
    shape = parts_of(hint).shape
    return source.beside(path, found) if shape is not None and shape.is_file else found


def _table(struct: type[msgspec.Struct], value: Any, source: OptionSource, path: OptionPath) -> Any:
    options = options_of(struct)
    _prove_kind(struct, value, dict, path)
    for name in value:
        if name not in options:
            near = get_close_matches(str(name), options, n=1)
            raise NotShaped(
                (*path, name), "there is no such option", near[0] if near else f"one of {', '.join(options)}"
            )
    missing = [name for name, each in options.items() if each.required and name not in value]
    if missing:
        write = ", ".join(f"{name} = {to_write(options[name].type)}" for name in missing)
        raise NotShaped((*path, missing[0]), "is missing, and has no default", write)
    return struct(
        **{options[name].name: built(options[name].type, value[name], source, (*path, name)) for name in value}
    )


def _names(hint: Any, value: Any, source: OptionSource, path: OptionPath) -> dict[str, Any]:
    of_name, of_value = get_args(hint)
    _prove_kind(hint, value, dict, path)
    for name in value:
        _leaf(of_name, name, (*path, name), said=False)
        _prove_is_meant(of_name, name, source.in_variables((*path, name)))
    return {name: built(of_value, each, source, (*path, name)) for name, each in value.items()}


def _prove_is_meant(of_name: Any, name: str, said: OptionPath) -> None:
    """A variable's name is read in lower case, so that a consent tool's `C0002` would never be heard by it."""
    shape = parts_of(of_name).shape
    if said and shape is not None and shape.cased and name.lower() != name.upper():
        raise NotShaped(said, "a variable's name has no capitals, by which this one is told apart", "it in config.toml")


def _list(hint: Any, value: Any, source: OptionSource, path: OptionPath) -> tuple[Any, ...]:
    if isinstance(value, str) and source.variable(path):
        value = [item.strip() for item in value.split(",") if item.strip()]
    _prove_kind(hint, value, list, path)
    found = tuple(built(get_args(hint)[0], each, source, (*path, number)) for number, each in enumerate(value))
    for number, each in enumerate(found):
        if each in found[:number] and path[-1] not in MAY_REPEAT:
            raise NotShaped((*path, number), "stands in the list already", "it once")
    return found


def _prove_kind(hint: Any, value: Any, wanted: type, path: OptionPath) -> None:
    if not isinstance(value, wanted):
        raise NotShaped(path, f"{_kind(value)} does not belong here", to_write(hint))


def _kind(value: Any) -> str:
    return FOUND.get(type(value), "what stands there")


def _arm(union: Any, value: Any) -> Any:
    """Which of the types that it may have a value is meant to have."""
    arms = [arm for arm in get_args(union) if arm is not type(None)]
    for arm in arms:
        plain = parts_of(arm).plain
        if isinstance(value, dict) == is_table(plain) and isinstance(value, list) == (get_origin(plain) is tuple):
            return arm
    return arms[0]


def _leaf(hint: Any, value: Any, path: OptionPath, *, said: bool) -> Any:
    """One value; `said` by a variable, where everything is a text."""
    plain, shape, days = parts_of(hint)
    if shape is not None and isinstance(value, str):
        if why := shape.wrong(value):
            raise NotShaped(path, why, shape.write)
        return value
    if not said and not _is_of(plain, value):
        raise NotShaped(path, f"{_kind(value)} does not belong here", to_write(hint))
    try:
        found = msgspec.convert(value, hint, strict=not said)
    except msgspec.ValidationError:
        what = "that text does not fit" if isinstance(value, str) else f"{_kind(value)} of that size does not fit"
        raise NotShaped(path, what, to_write(hint)) from None
    if days is not None and (why := days.wrong(found)):
        raise NotShaped(path, why, to_write(hint))
    return found


def _is_of(plain: Any, value: Any) -> bool:
    """Whether a file's value is of the type itself: a one is not true, a moment is no day."""
    if plain is float:
        return type(value) in {int, float} and math.isfinite(value)
    if plain is date:
        return type(value) in {date, str}
    return type(value) is (plain if plain in {int, bool} else str)


def to_write(hint: Any) -> str:
    """What a type takes, as an operator would write it."""
    plain, shape, _ = parts_of(hint)
    if shape is not None:
        return shape.write
    if is_table(plain):
        return f"a table with {', '.join(options_of(plain))}"
    kind, arguments = get_origin(plain), get_args(plain)
    if kind is Literal:
        return _either([f'"{each}"' for each in arguments])
    if kind is dict:
        return f"a table, {{ name = {to_write(arguments[1])} }}"
    if kind is tuple:
        return f"a list, [{to_write(arguments[0])}]"
    if kind in {Union, UnionType}:
        return _either([to_write(each) for each in arguments if each is not type(None)])
    return _scalar(plain, hint)


def _scalar(plain: Any, hint: Any) -> str:
    if isinstance(plain, type) and issubclass(plain, Enum):
        return _either([f'"{each.value}"' for each in plain])
    if plain is bool:
        return "true or false"
    if plain is date:
        return "a day that has been or will be, as 2026-01-02"
    bounds = next((each for each in get_args(hint)[1:] if isinstance(each, msgspec.Meta)), msgspec.Meta())
    if plain is int:
        return f"a whole number from {bounds.ge} to {bounds.le}"
    return f"a number above {bounds.gt}, {bounds.le} at most"


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def is_too_deep(value: Any, left: int = DEEPEST) -> bool:
    """Whether tables and lists lie in each other as none of ours do."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left == 0 or any(is_too_deep(each, left - 1) for each in inner)
