"""Who hangs together with whom, over the whole ledger: names, looser forms and links, at any time.

`component` asks for the people around some keys; this is the same for everybody at once, in memory. Reads only.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

EDGES = (
    "SELECT alias, canonical FROM name",
    "SELECT alias, canonical FROM looser_name",
    "SELECT spelling, mailbox FROM mailbox_name WHERE spelling <> mailbox",
    "SELECT identifier, coalesce(account, identifier) FROM link_event",
)
LINKED = """
SELECT account, identifier, start, seq,
  account IS NOT NULL AND until IS NULL AND NOT released AND NOT claimed AND start <= at
FROM link_event
"""

KEPT = " UNION ".join(f"SELECT key FROM kept_{what}" for what in ("deny", "age", "end", "revoked"))  # noqa: S608 - ours


class Member(NamedTuple):
    """An identifier with its other names and looser forms, all of them its own alone. `linked`: from when on an account
    has it, Unix milliseconds, and the entry that says so.
    """

    key: bytes
    names: tuple[bytes, ...] = ()
    looser: tuple[bytes, ...] = ()
    linked: tuple[int, int] | None = None

    @property
    def keys(self) -> tuple[bytes, ...]:
        return (self.key, *self.names, *self.looser)


class Family(NamedTuple):
    """One identifier, or an account and what it has, each of it linked once and for good."""

    account: bytes | None
    members: tuple[Member, ...]

    @property
    def heads(self) -> list[bytes]:
        """Its identifiers, each by its own key, then the account."""
        return [member.key for member in self.members] + ([self.account] if self.account else [])

    @property
    def keys(self) -> list[bytes]:
        return [key for member in self.members for key in member.keys] + ([self.account] if self.account else [])


@dataclass(slots=True)
class Connected:
    """`groups`: keys that hang together, by one of them; whoever is not in `group_of` hangs together with nobody.
    `families`: groups that are no more than that, by the account and by each identifier, whose names are all known
    since the entry in `since`. `lone`: who hangs together with nobody, and has something from somebody erased.
    """

    group_of: dict[bytes, bytes] = field(default_factory=dict)
    groups: dict[bytes, list[bytes]] = field(default_factory=dict)
    families: dict[bytes, Family] = field(default_factory=dict)
    lone: set[bytes] = field(default_factory=set)
    since: dict[bytes, int] = field(default_factory=dict)

    def slow(self) -> Iterator[list[bytes]]:
        """The groups that are not simple enough for the fold."""
        simple = {self.group_of[key] for key in self.families}
        return (keys for root, keys in self.groups.items() if root not in simple)

    def leave_out(self, key: bytes) -> list[bytes]:
        """A replay after all, for a group. Returns its keys."""
        keys = self.groups.get(self.group_of.get(key, key), [key])
        for each in keys:
            self.families.pop(each, None)
        return keys


def read(db: sqlite3.Connection) -> Connected:
    """Everybody who hangs together with somebody."""
    found = Connected()
    parent: dict[bytes, bytes] = {}
    for sql in EDGES:
        for one, other in db.execute(sql):
            parent[_root(parent, one)] = _root(parent, other)
    group_of, groups = found.group_of, found.groups
    for key, above in parent.items():
        root = group_of[key] = above if parent[above] is above else _root(parent, key)
        if root in groups:
            groups[root].append(key)
        else:
            groups[root] = [key]
    _find_families(db, found)
    return found


def _root(parent: dict[bytes, bytes], key: bytes) -> bytes:
    """Half the way is left for the next time."""
    above = parent.setdefault(key, key)
    while above != key:
        parent[key] = key = parent[above]
        above = parent[key]
    return above


def _find_families(db: sqlite3.Connection, found: Connected) -> None:
    names, looser = _forms(db, "name", found.since), _forms(db, "looser_name", found.since)
    links, odd = _links(db)
    odd |= (kept := {row[0] for row in db.execute(KEPT)})
    found.lone = kept - found.group_of.keys()
    for keys in found.groups.values():
        if odd and not odd.isdisjoint(keys):
            continue
        heads = sorted([key for key in keys if key in links or key in names or key in looser])
        accounts = {links[key][0] for key in heads if key in links}
        members = [
            Member(key, tuple(names.get(key, ())), tuple(looser.get(key, ())), links[key][1:] if key in links else None)
            for key in heads
        ]
        family = Family(next(iter(accounts), None), tuple(members))
        if len({*accounts, family.account}) == 1 and _is_simple(family, len(keys)):
            found.families |= dict.fromkeys(heads, family)
            found.families |= dict.fromkeys(accounts, family)


def _is_simple(family: Family, size: int) -> bool:
    """Each key is one thing to one identifier, and nobody else is in the group."""
    keys = family.keys
    if family.account is None:
        return len(family.members) == 1 and len({*keys}) == len(keys) == size
    return len({*keys}) == len(keys) == size and all(member.linked for member in family.members)


def _forms(db: sqlite3.Connection, table: str, since: dict[bytes, int]) -> dict[bytes, list[bytes]]:
    forms: dict[bytes, list[bytes]] = {}
    for alias, canonical, seq in db.execute(f"SELECT alias, canonical, seq FROM {table}"):  # noqa: S608 - ours
        forms.setdefault(canonical, []).append(alias)
        since[canonical] = max(seq, since.get(canonical, 0))
    return forms


def _links(db: sqlite3.Connection) -> tuple[dict[bytes, tuple[bytes, int, int]], set[bytes]]:
    """(account, start, entry) by identifier; and the identifiers of which more is to be told than that."""
    links: dict[bytes, tuple[bytes, int, int]] = {}
    odd: set[bytes] = set()
    for account, identifier, start, seq, plain in db.execute(LINKED):
        if identifier in links or not plain:
            odd.add(identifier)
        links[identifier] = (account, start, seq)
    return links, odd


def batches(groups: Iterable[list[bytes]], size: int) -> Iterator[list[bytes]]:
    """Whole groups together, about `size` keys at a time."""
    batch: list[bytes] = []
    for keys in groups:
        batch += keys
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
