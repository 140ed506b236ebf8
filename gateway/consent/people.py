"""People as the ledger knows them: identifiers of a call become subjects with keys, and an outgoing row's identifiers
are found. Checks, shares and verbs call it.

A browser is named by its sealed token or cookie, everything else by its value; what is not usable is told apart and
never raised, so that one bad identifier of three costs an opt-out nothing.

Of an outgoing row it finds the identifiers in the form that the recipient will see, so that
`desk/recipient_holdings.py` can remember who holds what. Filtering happened before, in `choice/row_shape.py`.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

from gateway.choice import identity
from gateway.choice.identity import Limited, NormalIdentifier, Undeclared, device, kinds, spelling
from gateway.choice.recipient import ANYTHING, Held, Recipient
from gateway.choice.row_shape import HASHED_AS, is_held, is_of, kinds_held, kinds_of
from gateway.consent import tokens
from gateway.consent.tokens import DeviceToken
from gateway.desk.recipient_holdings import Left
from gateway.desk.suppression import digests
from gateway.keys import seals
from gateway.keys.seals import NamedBrowser
from gateway.keys.secret_files import Secrets
from gateway.ledger.subjects import Subject, one_each, subject_of
from gateway.terms import DataClass, Malformed

BROWSER = "browser"
INSTALLATION = "device"  # the type of a device token as an identifier
OF_A_PHONE = frozenset({*kinds.UUIDS, *kinds.DEVICES})
Said = dict[tuple[str, str], Subject]  # type and value as they came
Ignored = Limited | Undeclared | Malformed
A_MAPPING = (dict, Mapping)  # a dict is known at once, which asking for the other takes long
MAX_KIND = 64  # characters of a kind's name that is looked at twice
WORDS: Mapping[type, str] = {Limited: "limited", Undeclared: "undeclared", Malformed: "malformed"}


class Named(NamedTuple):
    """The subjects that a list of identifiers names. `limited`: a withheld id, or a list with nothing usable in it.
    `ignored`: (index, limited | undeclared | malformed). `tokens`: of the installations among them. `respelled`: whom
    one of the ignored means all the same, by a kind that is spelled otherwise or by several values in one.
    """

    subjects: tuple[Subject, ...] = ()
    limited: bool = False
    undeclared: bool = False
    malformed: bool = False
    ignored: tuple[tuple[int, str], ...] = ()
    tokens: tuple[DeviceToken, ...] = ()
    respelled: tuple[tuple[int, Subject], ...] = ()

    def for_a_no(self) -> "Named":
        """The same with those of a kind that is spelled otherwise (`GAID`, ` Email `), and of two in one value
        (`4155550150;4155550151`): a no is theirs too. What opens asks for each as it is.
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
    def only_misspelt(self) -> bool:
        """Nobody is named, and a kind that is none of ours is the caller's own fault."""
        return self.undeclared and not self.subjects

    @property
    def keys(self) -> tuple[bytes, ...]:
        return tuple([key for subject in self.subjects for key in subject.keys])

    def beside(self, shown: Sequence[Subject]) -> "Named":
        """The same with these, who were shown and not named."""
        if not shown:
            return self
        return self._replace(subjects=tuple(one_each((*self.subjects, *shown)).values()))

    @property
    def is_plain(self) -> bool:
        """Whether their own keys are all that is to be looked up."""
        for each in self.subjects:
            if each.looser or each.further or each.possible or each.unwritten:
                return False
        return not self.respelled

    @property
    def unwritten(self) -> bool:
        """Whether a browser's own token says no here."""
        return any(each.unwritten for each in self.subjects) or any(each.unwritten for _, each in self.respelled)

    @property
    def looser(self) -> tuple[bytes, ...]:
        """Keys that can only deny."""
        deny = [key for subject in self.subjects for key in (*subject.looser, *_others(subject))]
        for _, subject in self.respelled:
            deny += [*subject.keys, *subject.looser, *_others(subject)]
        return tuple(deny)


class People:
    """Makes subjects. `declared` are the names of `id:<name>` kinds; `country` reads national phone numbers where a
    call names none (empty: such a number is not usable); `countries` are those that the operator has numbers of.
    """

    def __init__(
        self,
        secrets: Secrets,
        clock: Callable[[], datetime],
        declared: Sequence[str] = (),
        country: str = "",
        countries: Sequence[str] = (),
    ) -> None:
        self._secrets = secrets
        self._clock = clock
        self._declared = frozenset(declared)
        self._country = country
        self._countries = tuple(dict.fromkeys(filter(None, (country, *countries))))
        self._kinds: dict[str, list[str]] = {}
        for kind in (*kinds.KINDS, INSTALLATION, *(f"id:{name}" for name in declared)):
            self._kinds.setdefault(spelling.folded(kind), []).append(kind)

    @property
    def reads_national(self) -> bool:
        """Whether a number without its country code is somebody's where a call says no country."""
        return bool(self._country)

    def name(
        self,
        identifiers: Sequence[object],
        country: str = "",
        said: Said | None = None,
        alone: Collection[str] | None = None,
    ) -> Named:
        """Identifiers as they came, each a mapping with `type`, `value` and perhaps `source`. `said`: what the same
        call named before, which is not read again, and what it names here; it is let go with the call. `alone`: of ad
        ids only the names that a look-up asks for (`choice.identity.read_identifier`); nothing is written of these.
        """
        subjects: dict[bytes, Subject] = {}
        ignored: list[tuple[int, str]] = []
        tokens: tuple[DeviceToken, ...] = ()
        respelled: list[tuple[int, Subject]] = []
        within = country or self._country
        texts = [_text(item) for item in identifiers] if said is not None else []
        if said is not None and alone is None:
            self._read_together(texts, said)
        for index, item in enumerate(identifiers):
            found = (
                self._named(item, within, alone)
                if said is None
                else self._once(item, texts[index], within, said, alone)
            )
            if isinstance(found, Subject):
                before = subjects.get(found.keys[0])
                subjects[found.keys[0]] = found if before is None else one_each((before, found))[found.keys[0]]
                if found.kind == INSTALLATION:
                    tokens = (*tokens, *self._tokens(item))
            else:
                ignored.append((index, WORDS[type(found)]))
                if isinstance(found, Undeclared):
                    respelled += [(index, each) for each in self._respelled(item, within)]
                elif isinstance(found, Malformed):
                    respelled += [(index, each) for each in self._several(item, within)]
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
        names, uuids = dict[identity.Name, None](), dict[object, NormalIdentifier]()
        for item in identifiers:
            kind, value = str(item.get("type")), item.get("value")
            before = uuids.get(value) if kind in kinds.UUIDS else None
            found = self._read(item, country or self._country) if before is None else before
            if before is not None:
                names[kind, before.value] = None
            elif isinstance(found, NormalIdentifier):
                names |= {name: None for each in (found, *found.further, *found.possible) for name in each.names}
                if kind in kinds.AD_IDS:
                    uuids[value] = found
        return self._secrets.keys(names)

    def keys_of_names(
        self, names: Collection[identity.Name], alone: Collection[str] | None = None
    ) -> tuple[bytes, ...]:
        """The keys of names in normal form, of ad ids those of their digests too. `alone`: as of `name`."""
        every = dict.fromkeys(names)
        for kind, value in names:
            if kind == kinds.AD_IDS[0]:  # and so on every platform
                every |= dict.fromkeys(device.names_asked(kind, value, alone))
        return self._secrets.keys(every)

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
            elif isinstance(found, Malformed):
                yield from self._several({**item, "type": each}, country)

    def _several(self, item: object, country: str) -> Iterator[Subject]:
        """Whom one value names that holds two or more."""
        kind, value = (item.get("type"), item.get("value")) if isinstance(item, Mapping) else (None, None)
        if isinstance(kind, str) and isinstance(value, str):
            for each in identity.several(kind, value, country, self._countries):
                found = self._named({"type": kind, "value": each}, country)
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
        with contextlib.suppress(seals.OpeningFailed):
            return [tokens.open_device_token(self._secrets, str(stated))]
        return []

    def _once(
        self,
        item: object,
        text: tuple[str, str] | None,
        country: str,
        said: Said,
        alone: Collection[str] | None = None,
    ) -> Subject | Ignored:
        if text is None:
            return self._named(item, country, alone)
        found = said.get(text) or self._on_another(text, said) or self._named(item, country, alone)
        if isinstance(found, Subject):
            said[text] = found
        return found

    def _read_together(self, texts: Sequence[tuple[str, str] | None], said: Said) -> None:
        """What most rows hold, an id in its normal form, under each kind that it may be of: all its keys at once."""
        found = dict[str, dict[str, str]]()  # by what it is, what it reads as under each kind
        for text in texts:
            if text is None or text in said:
                continue
            kind, value = text
            if value not in found:
                if not device.is_normal_uuid(value):
                    continue
                found[value] = {}
            reading = device.reading_of_normal(kind, value)
            if reading is not None:
                found[value][kind] = reading
        for value, readings in found.items():
            self._under_all(value, readings, said)

    def _under_all(self, value: str, readings: dict[str, str], said: Said) -> None:
        """`readings` of a normal uuid by their kind. The digests of an ad id are the same whichever it is."""
        ad_ids = [kind for kind in kinds.AD_IDS if kind in readings]
        before = [said[kind, value] for kind in kinds.AD_IDS if (kind, value) in said] if ad_ids else ()
        digests = device.names_asked(ad_ids[0], value)[1:] if ad_ids and not before else ()
        keys = self._secrets.keys([*readings.items(), *dict.fromkeys(digests)])
        more = before[0].keys[1:] if before else keys[len(readings) :]
        for (kind, reading), key in zip(readings.items(), keys, strict=False):
            said[kind, value] = Subject(kind, reading, (key, *more) if kind in kinds.AD_IDS else (key,))

    def _on_another(self, text: tuple[str, str], said: Said) -> Subject | None:
        """An ad id that was named before as one of another platform: all have one form, and its digests are the same
        whichever it is, a dozen of them.
        """
        kind, value = text
        before = [said[each, value] for each in kinds.AD_IDS if (each, value) in said] if kind in kinds.AD_IDS else ()
        if not before:
            return None
        (own,) = self._secrets.keys([(kind, before[0].value)])
        return replace(before[0], kind=kind, keys=(own, *before[0].keys[1:]))

    def keys_of_ad_ids(
        self, identifiers: Sequence[Mapping[str, object]], alone: Collection[str]
    ) -> tuple[bytes, ...] | None:
        """Of what is asked about most, ad ids in their normal form, the keys of all names that a look-up asks for, the
        first one's own first. None where anything else is named. `alone` as of `name`.
        """
        names = list[identity.Name]()
        for item in identifiers:
            kind, value = item["type"], item["value"]
            if kind not in kinds.AD_IDS or type(value) is not str or not device.is_normal_uuid(value):
                return None
            names += device.names_asked(str(kind), value, alone)
        return self._secrets.keys(names) if names else None

    def _named(self, item: object, country: str, alone: Collection[str] | None = None) -> Subject | Ignored:
        if isinstance(item, A_MAPPING) and item.get("type") == BROWSER:
            opened = self._opened(item.get("value"))
            if isinstance(opened, Malformed):
                return opened
            return self.browser(opened.value, unwritten=opened.unwritten)
        read = self._read(item, country, alone)
        return self.subject(read) if isinstance(read, NormalIdentifier) else read

    def _opened(self, token: object) -> NamedBrowser | Malformed:
        """A browser by its sealed token, or by its cookie as it stands."""
        try:
            return seals.open_browser(self._secrets.seals, str(token), int(self._clock().timestamp()))
        except seals.OpeningFailed:
            return Malformed(BROWSER, "token")

    def _read(self, item: object, country: str, alone: Collection[str] | None = None) -> identity.Read:
        if not isinstance(item, A_MAPPING):
            return Malformed("identifier", "type")
        kind, value = item.get("type"), item.get("value")
        if kind == BROWSER:
            opened = self._opened(value)
            return opened if isinstance(opened, Malformed) else kinds.alone(BROWSER, opened.value)
        if kind == INSTALLATION:
            try:
                return kinds.alone(INSTALLATION, tokens.open_device_token(self._secrets, str(value)).value)
            except seals.OpeningFailed:
                return Malformed(INSTALLATION, "token")
        return identity.read_identifier(
            kind,
            value,
            source=item.get("source"),
            country=country,
            countries=self._countries,
            declared=self._declared,
            alone=alone,
        )

    def subject(self, identifier: NormalIdentifier) -> Subject:
        return subject_of(identifier, self._secrets)

    def browser(self, value: str, *, unwritten: bool = False) -> Subject:
        """A browser by its opened id; `unwritten`: see `Subject`."""
        return Subject(BROWSER, value, self._secrets.keys([(BROWSER, value)]), unwritten=unwritten)

    def device(self, value: str) -> Subject:
        """An installation of an app, by the id in its opened token."""
        return Subject("device", value, self._secrets.keys([("device", value)]))

    def account(self, value: str) -> Subject | None:
        """A signed-in account whose assertion was verified, read as any door reads it. None: it is nobody's id."""
        read = identity.read_identifier("account", value)
        return self.subject(read) if isinstance(read, NormalIdentifier) else None


def _others(subject: Subject) -> Iterator[bytes]:
    """Keys of what a number may be too."""
    for each in subject.further:
        yield from (*each.keys, *each.looser)
    yield from subject.possible


def _text(item: object) -> tuple[str, str] | None:
    """Under what an identifier of one call is remembered. None for what has a source or is no text: a number and a
    truth value may be equal.
    """
    if not isinstance(item, dict) or item.get("source") is not None:
        return None
    kind, value = item.get("type"), item.get("value")
    return (kind, value) if isinstance(kind, str) and isinstance(value, str) else None


# What these leave as, whatever kind their field says that it holds.
HASHES: Mapping[DataClass, tuple[str, ...]] = {
    DataClass.EMAIL_HASH: ("email_sha256",),
    DataClass.PHONE_HASH: ("phone_sha256",),
    DataClass.CONTACT: ("email_sha256", "phone_sha256"),
}


def leaves(
    identifiers: Sequence[Mapping[str, object]], classes: Sequence[str], recipient: Recipient, *, seen: bool = False
) -> list[Mapping[str, object]]:
    """Of the identifiers that a caller names, those that a recipient gets with these classes, as themselves or as their
    hash. `seen`: all of them were seen to stand in what leaves.
    """
    held = kinds_held(recipient, classes)
    goes = is_of if seen else partial(is_held, recipient=recipient)
    return [
        item
        for item in identifiers
        for kind in [str(item.get("type"))]
        if kind in held or goes(kind, classes) or goes(HASHED_AS.get(kind, kind), classes)
    ]


def named(
    people: People,
    identifiers: Sequence[Mapping[str, object]],
    classes: Sequence[str],
    own: Sequence[bytes],
    recipient: Recipient,
    *,
    seen: bool = False,
) -> tuple[Left, ...]:
    """Of the identifiers that a caller names, those that a recipient gets with these classes: as they were named, but
    an address or a number of which only hashes go by these. `seen` as of `leaves`.
    """
    sent = [(item, people.name([item]).subjects) for item in leaves(identifiers, classes, recipient, seen=seen)]
    return tuple(
        Left(kind, value, subjects[0].key, tuple(own), tuple(further), subjects[0].keys)
        for item, subjects in sent
        if subjects
        for (kind, value), *further in [_as_sent(subjects[0], str(item["value"]), classes)]
    )


def _as_sent(subject: Subject, value: str, classes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """By kind, what goes for an identifier. Which of an address's digests a caller sends nobody says."""
    if subject.kind in HASHED_AS and DataClass.CONTACT not in classes:
        return tuple(sorted(digests(subject).items(), reverse=True))  # SHA-256 first
    return ((subject.kind, value),)


def left(
    people: People,
    out: Mapping[str, object],
    fields: Mapping[str, DataClass],
    kinds: Sequence[object],
    own: Sequence[bytes],
    said: Said | None = None,
    held: Held = ANYTHING,
) -> tuple[Left, ...]:
    """One for each field of `out` that names somebody. `kinds`: of the row's own identifiers, which tell one
    platform's ad id from another's; `own`: their keys, under which it is found too; `said`: what the check named.
    """
    found = []
    for name, value in out.items():
        possible = _possible(name, fields, held)
        listed = [{"type": kind, "value": value} for kind in possible if kind in kinds]
        subjects = people.name(listed, said=said).subjects
        if not subjects or subjects[0].key not in own:  # it may be of any kind, and is found under each
            others = [{"type": kind, "value": value} for kind in possible if kind not in kinds]
            subjects += people.name(others, said=said).subjects
        if subjects:
            keys = tuple(dict.fromkeys((*(subject.key for subject in subjects), *own)))
            found.append(Left(subjects[0].kind, str(value), subjects[0].key, keys))
    return tuple(found)


def _possible(name: str, fields: Mapping[str, DataClass], held: Held) -> tuple[str, ...]:
    return (*kinds_of(name, fields, held), *HASHES.get(fields[name], ()))


def names_left(
    people: People, out: Mapping[str, object], fields: Mapping[str, DataClass], held: Held = ANYTHING
) -> set[tuple[str, str]]:
    """The same of a row that left and of which no more is known, by kind and value: under each kind that it may be."""
    named = ((kind, value) for name, value in out.items() if name in fields for kind in _possible(name, fields, held))
    return {(kind, str(value)) for kind, value in named if people.name([{"type": kind, "value": value}]).subjects}
