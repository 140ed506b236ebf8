"""Bid requests made of every member of OpenRTB that `tests/vectors/openrtb_members.json` lists."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.choice.openrtb import filtering, reading

OBJECTS: dict[str, dict] = json.loads((Path(__file__).parent.parent / "vectors" / "openrtb_members.json").read_text())[
    "objects"
]
Path_ = tuple  # of members and of 0 for the one item of a list
GONE = object()


def cut_down(request: dict, leave: filtering.Leave) -> dict | None:
    """As it may be sent; None where nothing of it may."""
    found = filtering.lawful(request, leave, reading.persons_ids(request))
    return found and found.request


def places(name: str = "BidRequest", path: Path_ = ()) -> Iterator[tuple[Path_, str, str, object]]:
    """Every member that is no object: its path, its object, its name and what stays of it."""
    for member, entry in OBJECTS[name].items():
        if isinstance(entry, dict) and "of" in entry:
            yield from places(entry["of"], (*path, member, 0) if entry["many"] else (*path, member))
        elif isinstance(entry, dict) and "text" in entry:
            yield from places(entry["text"], (*path, member, json))
        else:
            yield (*path, member), name, member, entry


def holders(name: str = "BidRequest", path: Path_ = ()) -> Iterator[Path_]:
    """Every object by its path."""
    yield path
    for member, entry in OBJECTS[name].items():
        if isinstance(entry, dict) and "of" in entry:
            yield from holders(entry["of"], (*path, member, 0) if entry["many"] else (*path, member))
        elif isinstance(entry, dict) and "text" in entry:
            yield from holders(entry["text"], (*path, member, json))


def made(value_of: Callable[[Path_, object], object], name: str = "BidRequest", path: Path_ = ()) -> dict:
    """A request with a value at every place; `GONE` leaves one out."""
    out: dict = {}
    for member, entry in OBJECTS[name].items():
        if isinstance(entry, dict) and "of" in entry:
            inner = made(value_of, entry["of"], (*path, member, 0) if entry["many"] else (*path, member))
            out[member] = [inner] if entry["many"] else inner
        elif isinstance(entry, dict) and "text" in entry:
            out[member] = json.dumps(made(value_of, entry["text"], (*path, member, json)))
        elif (value := value_of((*path, member), entry)) is not GONE:
            out[member] = value
    return out


def sample(_: Path_, entry: object) -> object:
    """What stays, as it came."""
    return GONE if entry is None else entry.get("from", entry["kept"])


def at(value: object, path: Path_) -> object:
    for step in path:
        try:
            value = json.loads(value) if step is json else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            return GONE
    return value


def put(request: dict, path: Path_, value: object) -> None:
    """Plants a value; whatever holds it is there already."""
    text = path.index(json) if json in path else None
    if text is not None:
        holder = at(request, path[: text - 1])
        inner = json.loads(holder[path[text - 1]])
        put(inner, path[text + 1 :], value)
        holder[path[text - 1]] = json.dumps(inner)
        return
    at(request, path[:-1])[path[-1]] = value


def texts(value: object) -> str:
    """All of a request as one text, with the texts of objects inside unfolded."""
    return json.dumps(value, ensure_ascii=False)


def said(path: Path_) -> str:
    return ".".join("(text)" if step is json else str(step) for step in path if step != 0)
