"""The difference between two requests, as JSON Pointers (RFC 6901): what is gone, and what stands there now."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Difference:
    """`remove`: pointers of members; a list that lost an item is replaced whole, so their order does not matter.
    `replace`: values by pointer, added members among them.
    """

    remove: list[str] = field(default_factory=list)
    replace: dict[str, object] = field(default_factory=dict)


def difference(before: object, after: object) -> Difference:
    """What has to be done to `before` for it to be `after`."""
    found = Difference()
    _compare(before, after, "", found)
    return found


def _compare(before: object, after: object, pointer: str, found: Difference) -> None:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name, value in before.items():
            if name not in after:
                found.remove.append(f"{pointer}/{_escaped(str(name))}")
            elif value is not after[name]:  # most of a request goes as the very object that came
                _compare(value, after[name], f"{pointer}/{_escaped(str(name))}", found)
        found.replace |= {f"{pointer}/{_escaped(str(n))}": value for n, value in after.items() if n not in before}
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            _compare(one, other, f"{pointer}/{index}", found)
    elif before != after or type(before) is not type(after):
        found.replace[pointer] = after


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
