"""The house as the machine sees it: files, names, packages and who imports whom; `test_house_rules` asks, `map` draws.

Each rule is a function of a folder, so that it can be shown to fail on a planted violation.
"""

import ast
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MOST_LINES, SPLINTER = 600, 60
MEDIAN = (110, 220)
# A function with such a name says nothing away from its module: a verb needs its noun.
BARE_VERBS = frozenset({
    "add", "answer", "apply", "begin", "carry", "check", "choose", "close", "do", "drop", "enter",
    "find", "forget", "get", "give", "handle", "hear", "keep", "know", "link", "load", "make",
    "note", "of", "open", "open_", "parse", "process", "prune", "put", "read", "render",
    "report", "run", "said", "seal", "send", "show", "split", "take", "tell", "told",
    "unseal", "use", "verify", "void", "write",
})  # fmt: skip


@dataclass(frozen=True)
class House:
    """The package below a folder. `name`: a file's place as dotted words, without the package's own."""

    root: Path

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        return {self.name(path): ast.parse(path.read_text()) for path in sorted(self.root.rglob("*.py"))}

    @cached_property
    def lines(self) -> dict[str, int]:
        return {self.name(path): len(path.read_text().splitlines()) for path in sorted(self.root.rglob("*.py"))}

    def name(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts)

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """File by file, whichever file of the package it takes something from."""
        found = defaultdict[str, set[str]](set)
        for name, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("gateway."):
                    found[name] |= {self._file(node.module or "", alias.name) for alias in node.names} - {name, ""}
        return found

    def _file(self, module: str, name: str) -> str:
        below = module.removeprefix("gateway").removeprefix(".")
        for one in (f"{below}.{name}".lstrip("."), f"{below}.{name}.__init__".lstrip("."), below, f"{below}.__init__"):
            if one in self.lines:
                return one
        return ""

    def package(self, name: str) -> str:
        """The room of a file: of web's, the room inside it."""
        parts = name.split(".")
        return ".".join(parts[:2]) if parts[0] == "web" and len(parts) > 2 else parts[0]

    @cached_property
    def arrows(self) -> dict[str, set[str]]:
        """Room by room, the rooms that it knows."""
        found = defaultdict[str, set[str]](set)
        for name, known in self.imports.items():
            found[self.package(name)] |= {self.package(each) for each in known} - {self.package(name)}
        return found

    def floors(self) -> dict[str, int]:
        """How many rooms lie one below the other, room by room. Raises `ValueError` for a ring of rooms."""
        done: dict[str, int] = {}

        def floor(room: str, above: tuple[str, ...] = ()) -> int:
            if room in above:
                raise ValueError(f"a ring of rooms: {' > '.join([*above, room])}")
            if room not in done:
                done[room] = 1 + max((floor(each, (*above, room)) for each in sorted(self.arrows[room])), default=0)
            return done[room]

        return {room: floor(room) for room in sorted({self.package(name) for name in self.lines})}

    # --- the rules: each gives what breaks it ---

    def too_long(self) -> list[str]:
        return [name for name, count in self.lines.items() if count > MOST_LINES]

    def median(self) -> float:
        return statistics.median(self.lines.values())

    def splinters(self) -> list[str]:
        """Short files that one other file alone imports: they belong into it."""
        importers = defaultdict[str, set[str]](set)
        for name, known in self.imports.items():
            for each in known:
                importers[each].add(name)
        return [
            name
            for name, count in self.lines.items()
            if count < SPLINTER and len(importers[name]) == 1 and not name.startswith("cli.") and "__" not in name
        ]

    def classes_twice(self) -> dict[str, list[str]]:
        where = defaultdict[str, list[str]](list)
        for name, tree in self.trees.items():
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    where[node.name].append(name)
        return {each: found for each, found in where.items() if len(found) > 1}

    def bare_verbs(self) -> list[str]:
        """`cli.` has commands, whose functions are called as the person types them."""
        return [
            f"{name}.{node.name}"
            for name, tree in self.trees.items()
            if not name.startswith("cli.")
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in BARE_VERBS
        ]

    def loose(self) -> list[str]:
        return [name for name in self.lines if "." not in name and not name.startswith("__")]

    # --- the picture ---

    def drawing(self) -> str:
        """Floor by floor, the rooms and whom each knows; whoever is known through another one is left out."""
        floors = self.floors()
        below: dict[str, set[str]] = {}
        for room in sorted(floors, key=lambda room: floors[room]):
            below[room] = self.arrows[room].union(*(below[each] for each in self.arrows[room]))
        shown = [
            room for room in floors if "__" not in room and not any(each.startswith(f"{room}.") for each in floors)
        ]
        width, lines, last = max(map(len, shown)), list[str](), 0
        for room in sorted(shown, key=lambda room: (-floors[room], room)):
            known = self.arrows[room].difference(*(below[each] for each in self.arrows[room]))
            names = ", ".join(sorted(known, key=lambda each: (-floors[each], each)))
            floor = f"{floors[room]:2}" if floors[room] != last else "  "
            lines.append(f"{floor}  {room:{width}} --> {names}" if names else f"{floor}  {room}")
            last = floors[room]
        return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(House(Path(__file__).parents[2] / "gateway").drawing() + "\n")
