"""People as the ledger knows them: identifiers of a call become subjects with keys.

A browser is named by its sealed token or cookie, everything else by its value; what is not usable is told apart and
never raised, so that one bad identifier of three costs an opt-out nothing.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from gateway import device_token, seals
from gateway.choice import identity
from gateway.choice.identity import Identifier, Limited, Undeclared, kinds, spelling
from gateway.device_token import DeviceToken
from gateway.keys import Secrets
from gateway.ledger.subjects import Subject, one_each
from gateway.terms import Malformed

INSTALLATION = "device"  # the type of a device token as an identifier (api.md, Keys)
OF_A_PHONE = frozenset({*kinds.UUIDS, *kinds.DEVICES})
Said = dict[tuple[str, str], Subject]  # type and value as they came
Ignored = Limited | Undeclared | Malformed
MAX_KIND = 64  # characters of a kind's name that is looked at twice
WORDS: Mapping[type, str] = {Limited: "limited", Undeclared: "undeclared", Malformed: "malformed"}


class Named(NamedTuple):
    """What a list of identifiers comes to. `limited`: a withheld id, or a list with nothing usable in it.
    `ignored`: (index, limited | undeclared | malformed). `tokens`: of the installations among them. `respelled`: whom
    an undeclared kind names if it is read as the kind that is spelled nearly so, with its place among the ignored.
    """

    subjects: tuple[Subject, ...] = ()
    limited: bool = False
    undeclared: bool = False
    malformed: bool = False
    ignored: tuple[tuple[int, str], ...] = ()
    tokens: tuple[DeviceToken, ...] = ()
    respelled: tuple[tuple[int, Subject], ...] = ()

    def for_a_no(self) -> "Named":
        """The same with those of a kind that is spelled otherwise (`GAID`, ` Email `): a no is theirs too. What opens
        asks for the kind as it is.
        """
        if not self.respelled:
            return self
        read = {index for index, _ in self.respelled}
        named = self.beside([subject for _, subject in self.respelled])
        return named._replace(ignored=tuple(each for each in self.ignored if each[0] not in read))

    @property
    def only_limited(self) -> bool:
        """Every one of them is withheld by its platform."""
        return bool(self.ignored) and not self.subjects and all(word == "limited" for _, word in self.ignored)

    @property
    def keys(self) -> tuple[bytes, ...]:
        return tuple([key for subject in self.subjects for key in subject.keys])

    def beside(self, shown: Sequence[Subject]) -> "Named":
        """The same with these, who were shown and not named."""
        if not shown:
            return self
        return self._replace(subjects=tuple(one_each((*self.subjects, *shown)).values()))

    @property
    def looser(self) -> tuple[bytes, ...]:
        """Keys that can only deny."""
        deny = [key for subject in self.subjects for key in (*subject.looser, *_others(subject))]
        for _, subject in self.respelled:
            deny += [*subject.keys, *subject.looser, *_others(subject)]
        return tuple(deny)


class People:
    """Makes subjects. `declared` are the names of `id:<name>` kinds; `country` reads national phone numbers where a
    call names none; `countries` are those that the operator has numbers of.
    """

    def __init__(
        self,
        secrets: Secrets,
        clock: Callable[[], datetime],
        declared: Sequence[str] = (),
        country: str = "US",
        countries: Sequence[str] = (),
    ) -> None:
        self._secrets = secrets
        self._clock = clock
        self._declared = frozenset(declared)
        self._country = country
        self._countries = tuple(dict.fromkeys((country, *countries)))
        self._kinds: dict[str, list[str]] = {}
        for kind in (*kinds.KINDS, INSTALLATION, *(f"id:{name}" for name in declared)):
            self._kinds.setdefault(spelling.folded(kind), []).append(kind)

    def name(self, identifiers: Sequence[object], country: str = "", said: Said | None = None) -> Named:
        """Identifiers as they came, each a mapping with `type`, `value` and perhaps `source`. `said`: what the same
        call named before, which is not read again, and what it names here; it is let go with the call.
        """
        subjects: dict[bytes, Subject] = {}
        ignored: list[tuple[int, str]] = []
        tokens: tuple[DeviceToken, ...] = ()
        respelled: list[tuple[int, Subject]] = []
        for index, item in enumerate(identifiers):
            found = self._named(item, country or self._country) if said is None else self._once(item, country, said)
            if isinstance(found, Subject):
                before = subjects.get(found.keys[0])
                if before is None or found.known > before.known:
                    subjects[found.keys[0]] = found
                if found.kind == INSTALLATION:
                    tokens = (*tokens, *self._tokens(item))
            else:
                ignored.append((index, WORDS[type(found)]))
                if isinstance(found, Undeclared):
                    respelled += [(index, each) for each in self._respelled(item, country or self._country)]
        named = tuple(subjects.values())
        if not ignored:
            return Named(named, tokens=tokens)
        words = {word for _, word in ignored}
        return Named(
            named,
            limited="limited" in words or not named,
            undeclared="undeclared" in words,
            malformed="malformed" in words,
            ignored=tuple(ignored),
            tokens=tokens,
            respelled=tuple(respelled),
        )

    def keys_of(self, identifiers: Sequence[Mapping[str, object]], country: str = "") -> tuple[bytes, ...]:
        """The keys of all names that these go by, looser ones too, each made once. An id that may be several platforms'
        is read once: all have one form, and an ad id's digests are the same whichever it is.
        """
        names, uuids = dict[identity.Name, None](), dict[object, Identifier]()
        for item in identifiers:
            kind, value = str(item.get("type")), item.get("value")
            before = uuids.get(value) if kind in kinds.UUIDS else None
            found = self._read(item, country or self._country) if before is None else before
            if before is not None:
                names[kind, before.value] = None
            elif isinstance(found, Identifier):
                names |= {name: None for each in (found, *found.further, *found.possible) for name in each.names}
                if kind in kinds.AD_IDS:
                    uuids[value] = found
        return self._secrets.keys(names)

    def _respelled(self, item: object, country: str) -> Iterator[Subject]:
        """Whom an identifier names under each kind that its own is another spelling of."""
        assert isinstance(item, Mapping)  # only of one can the kind be undeclared
        kind = item.get("type")
        if not isinstance(kind, str) or len(kind) > MAX_KIND:
            return
        for each in self._kinds.get(spelling.folded(kind), ()):
            found = self._named({**item, "type": each}, country)
            if isinstance(found, Subject):
                yield found

    def typed(self, kind: str, text: str, country: str = "") -> tuple[list[Subject], bool]:
        """Whom a field of a form names, and whether all of it could be read; for opt-outs alone."""
        stated = country or self._country
        found, whole = identity.typed(kind, text, stated, self._countries)
        named = self.name([{"type": each, "value": value} for each, value in found], country).subjects
        elsewhere = identity.may_be(text, stated, self._countries) if kind == "phone" else ()
        known = {each.key for each in named}
        may_be = self.name([{"type": "phone", "value": value} for value in elsewhere]).subjects
        more = [replace(each, reading=True) for each in may_be if each.key not in known]
        return [*named, *more], whole and bool(named)

    def _tokens(self, item: object) -> list[DeviceToken]:
        """The token of an installation that an identifier is of."""
        stated = item.get("value") if isinstance(item, Mapping) else None
        with contextlib.suppress(seals.Opening):
            return [device_token.unseal(self._secrets, str(stated))]
        return []

    def _once(self, item: object, country: str, said: Said) -> Subject | Ignored:
        text = _text(item)
        before = said.get(text) if text else None
        found = before or self._named(item, country or self._country)
        if text and isinstance(found, Subject):
            said[text] = found
        return found

    def _named(self, item: object, country: str) -> Subject | Ignored:
        read = self._read(item, country)
        return self.subject(read) if isinstance(read, Identifier) else read

    def _read(self, item: object, country: str) -> identity.Read:
        if not isinstance(item, dict | Mapping):  # a dict is known at once, which asking for the other takes long
            return Malformed("identifier", "type")
        kind, value = item.get("type"), item.get("value")
        if kind == "browser":
            try:
                value = seals.open_browser(self._secrets.seals, str(value), int(self._clock().timestamp()))
            except seals.Opening:
                return Malformed("browser", "token")
        elif kind == INSTALLATION:
            try:
                return kinds.alone(INSTALLATION, device_token.unseal(self._secrets, str(value)).value)
            except seals.Opening:
                return Malformed(INSTALLATION, "token")
        return identity.read(
            kind, value, source=item.get("source"), country=country, countries=self._countries, declared=self._declared
        )

    def subject(self, identifier: Identifier) -> Subject:
        exact, looser = identifier.names[: identifier.exact], identifier.looser
        keys = self._secrets.keys
        own, more = keys(exact), keys(looser) if looser else ()
        box = (*own, *more)[identifier.names.index(identifier.mailbox)] if identifier.mailbox else None
        if not (identifier.further or identifier.possible):
            return Subject(identifier.kind, identifier.value, own, more, box)
        further = tuple(replace(self.subject(each), reading=True) for each in identifier.further)
        possible = tuple(key for each in identifier.possible for key in keys(each.names[: each.exact]))
        return Subject(identifier.kind, identifier.value, own, more, box, further, possible)

    def browser(self, value: str) -> Subject:
        """A browser by its opened id."""
        return Subject("browser", value, self._secrets.keys([("browser", value)]))

    def device(self, value: str) -> Subject:
        """An installation of an app, by the id in its opened token."""
        return Subject("device", value, self._secrets.keys([("device", value)]))

    def account(self, value: str) -> Subject:
        """A signed-in account whose assertion was verified."""
        return Subject("account", value, self._secrets.keys([("account", value)]))


def _others(subject: Subject) -> Iterator[bytes]:
    """Keys of what a number may be too."""
    for each in subject.further:
        yield from (*each.keys, *each.looser)
    yield from subject.possible


def _text(item: object) -> tuple[str, str] | None:
    """By which an identifier of one call is known again. None for what has a source or is no text: a number and a truth
    value may be equal.
    """
    if not isinstance(item, dict) or item.get("source") is not None:
        return None
    kind, value = item.get("type"), item.get("value")
    return (kind, value) if isinstance(kind, str) and isinstance(value, str) else None
