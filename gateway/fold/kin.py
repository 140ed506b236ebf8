"""Who belongs together: the names of one identifier, the spellings of one mailbox, the accounts that have it.

One digest is a name of a gaid, an idfa and an oaid at once: what it says holds for each of those, and what one of them
says for it; from one to the other nothing goes. What is said of one spelling of a mailbox is said of each (P10), while
none has the accounts of another. Reads only.
"""

from collections.abc import Container, Iterable, Iterator, Mapping

from gateway.fold.state import EMPTY, NO_RECORD, Bit, KeyRow, LinkEdge, Slate, bits_of
from gateway.terms import Purpose


def roots(slate: Slate, key: bytes) -> tuple[bytes, ...]:
    """The identifiers that a key stands for: itself, or those that it is a name of."""
    return tuple(slate.row(key).targets) or (key,)


def speakers(slate: Slate, root: bytes) -> tuple[bytes, ...]:
    """One identifier and its names."""
    return (root, *slate.row(root).names)


def family(slate: Slate, key: bytes) -> set[bytes]:
    """All names of all identifiers that a key stands for."""
    row = slate.row(key)
    return {key}.union(*(speakers(slate, root) for root in row.targets)) if row.targets else {key, *row.names}


def own_names(slate: Slate, key: bytes) -> set[bytes]:
    """All that a yes of this key may touch. A digest that is a name of two identifiers speaks for itself alone."""
    return {key} if len(slate.row(key).targets) > 1 else family(slate, key)


def mates(slate: Slate, key: bytes) -> dict[bytes, int]:
    """The other spellings of a key's mailbox, each since which record; the plainest is always among them."""
    row = slate.row(key)
    if not (row.targets or row.box or row.spellings):
        return {}
    own, found = (key, *row.targets), dict[bytes, int]()
    for each in own:
        # The plainest spelling may never have been met itself.
        for box in dict.fromkeys((each, slate.row(each).box or each)):
            spellings = slate.row(box).spellings
            since = spellings.get(each, NO_RECORD)
            found |= {box: since, **{other: max(since, then) for other, then in spellings.items()}}
    return {mate: since for mate, since in found.items() if mate not in own}


def mailbox_names(slate: Slate, key: bytes) -> set[bytes]:
    """Every name of the other spellings."""
    return {name for mate in mates(slate, key) for name in family(slate, mate)}


def all_names(slate: Slate, key: bytes) -> set[bytes]:
    """Every name of all its spellings: what is given back with it."""
    return family(slate, key) | mailbox_names(slate, key)


Alike = frozenset[tuple[bytes, int]]  # what a name is a name of, each since which record


def alike(row: KeyRow) -> Alike | None:
    """Of the dozen digests of one identifier, of which nothing else is known: by what the same stands of all. None: it
    is no such name.
    """
    plain = row.targets and row == EMPTY._replace(targets=row.targets)
    return frozenset(row.targets.items()) if plain else None


def with_looser(slate: Slate, names: set[bytes]) -> set[bytes]:
    """With their looser forms: whoever reads what lies with these."""
    return names.union(*(slate.row(each).looser for each in names))


def edges_of(slate: Slate, keys: Iterable[bytes]) -> Iterator[tuple[bytes, bytes, LinkEdge]]:
    """(account, member, edge) of all edges to these."""
    for key in keys:
        for account in slate.row(key).accounts:
            yield account, key, slate.edge(account, key)


def has(slate: Slate, account: bytes, key: bytes, at: int | None = None) -> bool:
    """Whether an account has an identifier, by any name, by more than an app's word; `at`: for what lifts a no."""
    return any(slate.edge(account, name).carries(at) for name in family(slate, key))


def roads(slate: Slate, keys: Iterable[bytes], at: int | None = None) -> set[bytes]:
    """The accounts that the noes of these go up to: those that have one of them by more than an app's word."""
    return {each for key in keys for each in slate.row(key).accounts if slate.edge(each, key).carries(at)}


def holder_since(row: KeyRow, side: str = "own") -> dict[Purpose, Bit]:
    """Of a key's noes those that its present holder said: a number or mailbox passes to other people, and what the
    holder before them said denies on it, but goes to nobody who gets it later, and into no report (R5). `side`: of its
    row; `orders` are those that a state's list said of them.
    """
    said: Mapping[Purpose, Bit] = getattr(row, side)
    return {purpose: bit for purpose, bit in said.items() if bit.seq >= row.since}


def passed_on(slate: Slate, account: bytes, apart: Container[bytes], past: int) -> list[tuple[Purpose, Bit]]:
    """What an account passes on to what it has: its own noes, those of who is forgotten, and what was sent up to it,
    also by what it has no more; but for what `apart` sent, who have it themselves, and what came before `past`.
    """
    row = slate.row(account)
    found = [*row.noes(), *((place[0], bit) for place, bit in row.kept.items())]
    for member in row.members:
        if member not in apart:
            found += bits_of(slate.edge(account, member).up)
    return [each for each in found if each[1].came > past]
