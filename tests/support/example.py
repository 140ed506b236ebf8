"""The example, config.toml: the operator of every test that is of no other. What a test writes lies over it.

The gateway has no defaults of anybody, so whoever needs recipients says which: here, for all tests.
"""

import json
import tomllib
from collections.abc import Mapping
from datetime import date, time
from pathlib import Path

from gateway.settings import brand, load

FILE = load.example_file()
STATED: Mapping[str, object] = tomllib.loads(FILE.read_text())  # at once: no event loop waits for it
WHOLE = ("fields", "notices")  # tables that a test's own replaces


class Raw(str):
    """TOML as it is."""

    __slots__ = ()


def toml(value):
    """A value as a file has it, on one line."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {toml(each)}' for key, each in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, date | time):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)


def over(text: str) -> str:
    """A whole file: the example, with what a test writes over it."""
    sections = _merged(_nobodys_words(STATED), tomllib.loads(text))
    return "".join(
        f"{section}.{json.dumps(name)} = {toml(value)}\n"
        for section, options in sections.items()
        for name, value in options.items()
    )


def settings(file: Path | None, environment: Mapping[str, str], *, base: Mapping[str, object] | None = None):
    """The same in memory; a refusal names the test's own lines. `base`: another one than the example."""
    text, own = load._read_file(file) if file else ("", {})
    beneath = base or (_nobodys_words(STATED) if file else STATED)
    return load.built_settings(_merged(beneath, own), environment, file, text)


def _nobodys_words(stated):
    """A test's own file has no words or looks but its own."""
    site = {name: value for name, value in stated["site"].items() if name not in brand.OPTIONS}
    return {**stated, "site": site}


def _merged(base, more):
    return {**base, **{name: _one(base.get(name), value, name) for name, value in more.items()}}


def _one(base, value, name):
    both = isinstance(value, dict) and isinstance(base, dict) and name not in WHOLE
    return _merged(base, value) if both else value
