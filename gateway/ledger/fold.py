"""The fold: standings of most people without a replay, for `gateway verify`. Most are a browser with GPC, an address
from a form, an account that opted out with all that it has.

Their choices touch nobody else, so the rules come down to the last word for each purpose, and in a family whose links
never end to "everybody has everybody's no"; the rows that this gives are those of `replay`, which a property test
compares. Whatever is not as simple is left to a replay. Reads nothing and writes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.choice.standing import IN, OUT, out_bits, with_state
from gateway.ledger.live_rows import NEVER, Row
from gateway.ledger.standing_rows import FOR_EVER
from gateway.ledger.travel import widened
from gateway.ledger.verify_connections import Family, Member
from gateway.ledger.verify_single_choices import Said, bits, purposes
from gateway.terms import ChoiceKind, Purpose, Source

OUTS = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.WITHDRAW, ChoiceKind.CONFIRM})
STATES = frozenset({ChoiceKind.STATE_BEGAN, ChoiceKind.STATE_ENDED})
BEYOND = ("to", "ui", "nv", "c")  # members of an opt-in on which more rests than a purpose's state

Rows = dict[bytes, set[Row]]


@dataclass(slots=True)
class Alone:
    """What one identifier said. `own`: purpose: (state, seq, out_at, in_at); `held`: (source, purpose): seq; `sent`:
    what its other names and looser forms have from it; `outs`: each purpose's last opt-out.
    """

    own: dict[str, tuple[int, int, int | None, int | None]] = field(default_factory=dict)
    held: dict[tuple[str, str], int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    outs: dict[str, int] = field(default_factory=dict)

    def opt_out(self, purposes: tuple[str, ...], seq: int, at: int) -> None:
        for purpose in purposes:
            self.own[purpose] = (OUT, seq, at, None)
            self.sent[purpose] = self.outs[purpose] = seq

    def opt_in(self, purposes: tuple[str, ...], seq: int, at: int) -> None:
        for purpose in purposes:
            old = self.own.get(purpose)
            self.own[purpose] = (IN, seq, old[2] if old else None, at)
            self.sent.pop(purpose, None)

    def state(self, kind: str, source: str, purposes: tuple[str, ...], seq: int) -> None:
        if kind == ChoiceKind.STATE_BEGAN:
            self.held.update(((source, purpose), seq) for purpose in purposes)
        else:
            self.held = {state: seq for state, seq in self.held.items() if state[0] != source}

    def supports(self) -> set[int]:
        """The entries that the rows rest on."""
        return {row[1] for row in self.own.values()} | {*self.held.values()} | {*self.outs.values()}


class Fold:
    """`families`: those of `connected`, by each of their own keys. `firsts`: who said no, once, which most people
    do, with the numbers of `said_once` that their rows come down to; whoever said more is in `alone`.
    """

    def __init__(self, families: Mapping[bytes, Family]) -> None:
        self.families = families
        self.firsts: dict[bytes, Said] = {}
        self.alone: dict[bytes, Alone] = {}
        self.links: dict[bytes, int] = {}  # identifier: the entry that an account has it since
        self._purposes: dict[tuple[bool, tuple[str, ...]], tuple[str, ...]] = {}

    def add(self, seq: int, key: bytes, at: int, leaf: Mapping[str, Any]) -> bool:
        """One entry, in the order of the log. False: it is none of the simple ones, and its key is to be left out."""
        kind, said, family = leaf["e"], tuple(leaf.get("p", ())), self.families.get(key)
        if kind in OUTS and leaf.get("src") != Source.READING:
            outs = self._known(said, out=True)
            if outs and key not in self.firsts and key not in self.alone:
                self.firsts[key] = (bits(outs), seq, at)
            else:
                self._mine(key).opt_out(outs, seq, at)
        elif kind == ChoiceKind.OPT_IN and not any(name in leaf for name in BEYOND):
            self._mine(key).opt_in(self._known(said, out=False), seq, at)
            return family is None or family.account is None  # what an opt-in lifts in a family needs a replay
        elif kind in STATES:
            self._mine(key).state(kind, leaf["src"], self._known(said, out=True), seq)
        elif kind == ChoiceKind.LINKED and family is not None:
            self.links[key] = seq
        else:
            return False
        return True

    def says(self, leaf: Mapping[str, Any]) -> int | None:
        """The own bits of whoever says this first and hangs together with nobody; None: is no opt-out."""
        simple = leaf["e"] in OUTS and leaf.get("src") != Source.READING  # that has no day, which needs a replay
        said = self._known(tuple(leaf.get("p", ())), out=True) if simple else ()
        return bits(said) if said else None

    def split(self) -> tuple[list[Family], list[Family]]:
        """Families of which everybody said one thing at most, all of it in `firsts`; and the others, in `alone`."""
        simple, others = list[Family](), list[Family]()
        for key, family in self.families.items():
            if key == family.members[0].key:
                (simple if self._is_simple(family) else others).append(family)
        for family in others:
            for head in family.heads:
                if head in self.firsts:
                    self._mine(head)
        return simple, others

    def _is_simple(self, family: Family) -> bool:
        """Nobody said more, and each link has the entry that says so."""
        if any(head in self.alone for head in family.heads):
            return False
        return family.account is None or all(
            member.linked and self.links.get(member.key) == member.linked[1] for member in family.members
        )

    def leave_out(self, key: bytes) -> None:
        self.firsts.pop(key, None)
        self.alone.pop(key, None)
        self.links.pop(key, None)

    def __contains__(self, key: bytes) -> bool:
        return key in self.firsts or key in self.alone

    def heard(self) -> set[bytes]:
        """Of whom something was said."""
        return {*self.firsts, *self.alone, *self.links}

    def supports(self, key: bytes) -> set[int]:
        """The entries that an identifier's rows rest on."""
        return self._seen(key).supports() | ({self.links[key]} if key in self.links else set())

    def _mine(self, key: bytes) -> Alone:
        mine = self.alone[key] = self._seen(key)
        self.firsts.pop(key, None)
        return mine

    def _seen(self, key: bytes) -> Alone:
        mine = self.alone.get(key)
        if mine is None:
            mine = Alone()
            if key in self.firsts:
                own, seq, at, *_ = self.firsts[key]
                mine.opt_out(purposes(own), seq, at)
        return mine

    def _known(self, said: tuple[str, ...], *, out: bool) -> tuple[str, ...]:
        found = self._purposes.get((out, said))
        if found is None:
            known = [purpose for purpose in Purpose if purpose in said]
            found = tuple(sorted(purpose.value for purpose in (widened(known) if out else known)))
            self._purposes[out, said] = found
        return found

    def rows(self, key: bytes) -> Iterator[tuple[str, Rows]]:
        """Each table with its rows, by key, of an identifier and of its whole family, as `live_rows.of` gives them."""
        family = self.families.get(key) or Family(None, (Member(key),))
        account, everybody = family.account, [key for member in family.members for key in member.keys]
        heads = family.heads
        seen = {head: self._seen(head) for head in heads}
        held: Rows = {key: set() for key in everybody}
        for member in family.members:
            states = {(source, purpose, seq) for (source, purpose), seq in seen[member.key].held.items()}
            held |= dict.fromkeys((member.key, *member.names), states)
        away = self._travelled(family, seen)
        own = {head: {(purpose, *row, "", 0, 0) for purpose, row in mine.own.items()} for head, mine in seen.items()}
        links = {
            (m.key, m.linked[0], None, m.linked[1], None, 0)
            for m in family.members
            if m.linked and self.links.get(m.key) == m.linked[1]
        }
        yield "own_choice", own
        yield "travelled_choice", away
        yield "device_state", held
        if account:
            yield "link", {account: links}
        known = {key for m in family.members if account for key in (m.key, *m.names)} | {*heads[len(family.members) :]}
        yield (
            "standing",
            {
                key: {standing(own.get(key, set()), away[key], held.get(key, set()), linked=key in known)}
                for key in (*everybody, *heads[len(family.members) :])
            },
        )

    def _travelled(self, family: Family, seen: Mapping[bytes, Alone]) -> Rows:
        """A no goes to the identifier's other names and looser forms, and through the account to all it has."""
        account = family.account
        away: Rows = {key: set() for member in family.members for key in member.keys}
        if account:
            away[account] = set()
        for origin in seen:
            for purpose, seq in seen[origin].sent.items():
                for member in family.members:
                    via = origin if origin == member.key else account
                    for key in member.keys[1:] if origin == member.key else member.keys:
                        assert via
                        away[key].add((purpose, origin, via, seq))
                if account and origin != account:
                    away[account].add((purpose, origin, account, seq))
        return away


def standing(own: Iterable[Row], away: Iterable[Row], held: Iterable[Row], *, linked: bool = False) -> Row:
    """A row as `live_rows.said` gives it, from the rows that it consists of."""
    own, away, held = list(own), list(away), list(held)
    bits = 0
    for purpose, state, *_ in own:
        bits = with_state(bits, Purpose(purpose), state)
    denied = out_bits(Purpose(purpose) for purpose in {*(row[0] for row in away), *(row[1] for row in held)})
    seqs = [*(row[2] for row in own), *(row[-1] for row in (*away, *held))]
    sources = ",".join(sorted({row[0] for row in held}))
    return (bits, denied, None, max(seqs, default=None), FOR_EVER if linked else 0, 0, sources, *NEVER[7:])
