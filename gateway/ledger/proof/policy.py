"""A trust policy: which logs are believed, and how many of which witnesses must have signed a checkpoint beside them
(C2SP tlog-policy of 22 June 2026). `gateway receipt verify --policy` reads one, `gateway ledger policy` prints ours.

    log <verifier key> [<url>]
    witness <name> <verifier key> [<url>]
    group <name> all|any|<number> <name>...
    quorum <name>|none
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gateway.ledger.proof import note, verifier_keys
from gateway.ledger.proof.note import NoteRefused, Verifier

MAX_POLICY = 256 * 1024  # bytes; 32 logs and 32 witnesses of ML-DSA-44 have 120 kB
NOT_ALLOWED = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")  # the controls but tab and newline
NONE = "none"
GROUP = "of/witnesses"  # in a policy of ours; no name of a witness in the configuration has a slash


class PolicyRefused(ValueError):
    """Not a policy. The text says which line."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """`enough` of `members`, each the name of a witness or of another group."""

    enough: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """`witnesses` and `groups` by the names that the policy gives them, each group behind its members; `quorum`: one of
    these, or "none".
    """

    logs: tuple[Verifier, ...]
    witnesses: Mapping[str, Verifier]
    groups: Mapping[str, Quorum]
    quorum: str

    def check_witnesses(self, signed: str) -> tuple[str, ...]:
        """Which of its witnesses signed a checkpoint, by the policy's names. Whether a log did is for whoever calls.
        Raises `NoteRefused` where they are too few, or the signature of one does not hold.
        """
        known = [*self.logs, *self.witnesses.values()]
        verified = {(each.name, each.key_id) for each in note.open_note(signed, known).verified}
        found = [name for name, key in self.witnesses.items() if (key.name, key.key_id) in verified]
        if not self._reached(found):
            wanted = self.groups.get(self.quorum, Quorum(1, (self.quorum,)))
            raise NoteRefused(
                f"the policy asks for {wanted.enough} of {', '.join(wanted.members)} to have signed too;"
                f" of its witnesses there signed: {', '.join(found) or 'nobody'}"
            )
        return tuple(found)

    def _reached(self, found: Collection[str]) -> bool:
        reached = {NONE, *found}
        for name, group in self.groups.items():  # in their order: nested thousands deep they are no recursion
            if len(reached.intersection(group.members)) >= group.enough:
                reached.add(name)
        return self.quorum in reached


def parse_policy(content: bytes) -> TrustPolicy:
    """Raises `PolicyRefused`."""
    if len(content) > MAX_POLICY or NOT_ALLOWED.search(content):
        raise PolicyRefused("not a policy: too long, or with control characters")
    reading = _PolicyLines()
    for number, line in enumerate(content.decode(errors="surrogateescape").split("\n"), 1):
        words = [word for word in re.split("[ \t]+", line) if word]
        if words and not words[0].startswith("#"):
            try:
                reading.take(words)
            except ValueError as error:
                raise PolicyRefused(f"line {number} of the policy: {error}") from None
    if reading.quorum is None:
        raise PolicyRefused("a policy has a quorum line")
    return TrustPolicy(tuple(reading.logs), reading.witnesses, reading.groups, reading.quorum)


class _PolicyLines:
    """What the lines up to here have said."""

    def __init__(self) -> None:
        self.logs = list[Verifier]()
        self.witnesses: dict[str, Verifier] = {}
        self.groups: dict[str, Quorum] = {}
        self.quorum: str | None = None
        self._keys = set[tuple[str, bytes]]()
        self._beneath: dict[str, set[str]] = {}  # of what is no member yet: whose keys count in it

    def take(self, words: Sequence[str]) -> None:
        """Raises ValueError."""
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self.logs.append(verifier_keys.log_key(vkey))
                self._once("log", vkey)
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self.witnesses[self._fresh(name)] = verifier_keys.witness_key(vkey)
                self._beneath[name] = {self.witnesses[name].name}
                self._once("witness", vkey)
            case ["group", name, enough, *members] if members:
                self.groups[self._fresh(name)] = self._group(name, enough, members)
            case ["quorum", name] if self.quorum is None:
                if name != NONE:
                    self._defined(name)
                self.quorum = name
            case _:
                raise ValueError("not a log, a witness, a group, or the one quorum")

    def _once(self, role: str, vkey: str) -> None:
        """Two keys are one where the public key is, whatever their names."""
        key = role, note.read_vkey(vkey).public
        if key in self._keys:
            raise ValueError(f"this key is already that of a {role}")
        self._keys.add(key)

    def _fresh(self, name: str) -> str:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise ValueError("this name is taken")
        return name

    def _defined(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError("no line before names this witness or group")

    def _group(self, name: str, enough: str, members: Sequence[str]) -> Quorum:
        beneath, twice = set[str](), False
        for member in members:
            self._defined(member)
            if member not in self._beneath:
                raise ValueError("a witness or group is a member once")
            signers = self._beneath.pop(member)
            twice = twice or not beneath.isdisjoint(signers)
            beneath |= signers
        self._beneath[name] = beneath
        words = {"all": len(members), "any": 1}
        count = words[enough] if enough in words else note.number_of(enough)
        if not 1 <= count <= len(members):
            raise ValueError(f"of {len(members)} members there cannot be {count}")
        if twice and count > 1 and enough not in words:
            raise ValueError("two keys of one witness would count twice: a group `any` of both counts once")
        return Quorum(count, tuple(members))


def write_policy(logs: Sequence[str], witnesses: Mapping[str, str], enough: int) -> str:
    """The text of a policy: verifier keys of logs and of named witnesses, of whom so many must have signed. Raises
    `PolicyRefused` where no policy can say that.
    """
    if enough > len(witnesses):
        raise PolicyRefused(f"of {len(witnesses)} witnesses there cannot be {enough}")
    lines = [f"log {vkey}" for vkey in logs] + [f"witness {name} {vkey}" for name, vkey in witnesses.items()]
    if witnesses:
        lines.append(f"group {GROUP} {'all' if enough == len(witnesses) else enough} {' '.join(witnesses)}")
    text = "\n".join([*lines, f"quorum {GROUP if witnesses else NONE}"]) + "\n"
    parse_policy(text.encode())
    return text
