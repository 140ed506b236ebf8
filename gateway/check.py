"""Answering: may this data go, what may the website do, what holds now.

Plain functions: rows by key, no queue, no thread hop. Whatever cannot be answered is a deny.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from gateway.choice.downstream import Outcome
from gateway.choice.law import Rule, country_of
from gateway.choice.recipient import Recipient
from gateway.choice.standing import Standing
from gateway.choice.verdict import Grant, Office, Question, Verdict, decide, deny_all, youngest
from gateway.ledger.records import Subject
from gateway.mirror.lookup import Lookup, LookupRefused, Seen, Stale
from gateway.people import Named, People
from gateway.places import Places
from gateway.signals import hear
from gateway.signals.hear import SHIPPED, Hearing
from gateway.signals.heard import Heard
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass, Purpose, Reason

NOTHING_MAY = Outcome(frozenset(SIGNAL_PURPOSES))
PURPOSES = frozenset(Purpose)
CLASSES = frozenset(DataClass)


@dataclass(frozen=True, slots=True)
class Ask:
    """A check, read from a body but not yet understood. None means not said."""

    recipients: tuple[str, ...]
    identifiers: Sequence[Mapping[str, object]] = ()
    purpose: str | None = None
    data: tuple[str, ...] | None = None
    place: object = None
    geo: object = None
    ip: object = None
    age: str | None = None
    signals: Mapping[str, object] = field(default_factory=dict)
    row: bool = False  # a row of a share: it needs an identifier
    beside: Sequence[Mapping[str, object]] = ()  # identifiers that the data itself holds


@dataclass(frozen=True, slots=True)
class Known:
    """What is the same for all the recipients of one check."""

    places: frozenset[str]
    heard: Heard
    standings: tuple[Standing, ...]
    grants: tuple[Grant, ...]
    limited: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """Verdicts by recipient. `position` is None where the store gave no answer. `keys`: what it was read from, the
    first identifier's own key first.
    """

    verdicts: dict[str, Verdict]
    position: int | None
    heard: Heard
    keys: tuple[bytes, ...] = ()
    outcome: Outcome = NOTHING_MAY

    def outcome_for(self, name: str) -> Outcome:
        """What one recipient is to be told: never less than its verdict."""
        data = self.verdicts[name].data
        if all(answer is Answer.DENY for answer in data.values()):
            return self.outcome.all_denied()
        precise = data.get(DataClass.PRECISE_GEO.value) is Answer.ALLOW
        return replace(self.outcome, precise=True) if precise else self.outcome


@dataclass(frozen=True, slots=True)
class Site:
    """What the website may do for this visitor. `status`: honored, none or unknown (api.md, To the site)."""

    allowed: Mapping[Purpose, bool]
    status: str
    place: str
    standings: tuple[Standing, ...] = ()

    @property
    def opted_out(self) -> bool:
        return self.status != "none"

    @property
    def restricted(self) -> bool:
        """Whether anything must not be done: opted out, or in a place where silence is a no."""
        return not all(self.allowed.values())


class Checks:
    """Answers from the look-up. `office` gives the law, the day and the age floor of now."""

    def __init__(
        self,
        lookup: Lookup,
        people: People,
        office: Callable[[], Office],
        recipients: Mapping[str, Recipient],
        places: Places,
        hearing: Hearing = SHIPPED,
    ) -> None:
        self.recipients = recipients
        self.places = places
        self.hearing = hearing
        self._lookup = lookup
        self._people = people
        self._office = office

    def check(self, ask: Ask) -> Checked:
        """One verdict a recipient. Whatever cannot be answered is a deny."""
        heard, country = hear.from_call(ask.signals, self.hearing), country_of(ask.place)
        named = self._people.name(ask.identifiers, country)
        others = self._people.name(ask.beside, country) if ask.beside else Named()
        beside = [*named.looser, *others.keys, *others.looser]
        try:
            seen = self._lookup.seen(named.keys)
            grants = self._grants(named.keys, seen)
            tightening = self._tightening(beside)
        except LookupRefused as refused:
            reason = Reason.STALE if isinstance(refused, Stale) else Reason.STORE_UNAVAILABLE
            return Checked({name: self._refuse(name, ask, reason) for name in ask.recipients}, None, heard)
        places, standings = self.places.of(ask.place, ask.geo, ask.ip), (*seen.standings, *tightening)
        known = Known(places, heard, standings, grants, named.limited)
        refusal = self._identifiers_refuse(ask, named, seen.standings)
        verdicts = {name: self._verdict(name, ask, known, refusal) for name in ask.recipients}
        return Checked(verdicts, seen.position, heard, (*named.keys, *beside), self._outcome(known, ask.age))

    def moved(self, keys: Sequence[bytes], position: int | None) -> bool:
        """Whether anything was written about these since an answer of that position; then they are to be asked about
        again. True as well where that cannot be told.
        """
        try:
            return position is None or self._lookup.changed_since(keys, position)
        except LookupRefused:
            return True

    def tied(self, account: Subject, identifier: Subject) -> bool:
        """Whether an account is known to have an identifier. False where that cannot be told."""
        try:
            return self._lookup.tied(account.key, identifier.key)
        except LookupRefused:
            return False

    def _outcome(self, known: Known, age: str | None) -> Outcome:
        """What holds for the person whoever asks."""
        if known.limited:
            return replace(NOTHING_MAY, places=known.places, gpc=known.heard.gpc)
        allowed, _ = self._allowed(known.places, known.heard.denied, known.standings, age)
        bands = {age, *(standing.age_band for standing in known.standings)} - {None, "adult"}
        denied = frozenset(purpose for purpose, may in allowed.items() if not may)
        return Outcome(denied, known.places, known.heard.gpc, minor=bool(bands))

    def _allowed(
        self, places: frozenset[str], said: frozenset[Purpose], standings: Sequence[Standing], age: str | None = None
    ) -> tuple[Mapping[Purpose, bool], bool]:
        """Which purposes may be done at all, and whether somebody said no to one. `said`: denied by this request."""
        return _what_may(places, not said.isdisjoint(SIGNAL_PURPOSES), tuple(standings), age, self._office())

    def _grants(self, keys: Sequence[bytes], seen: Seen) -> tuple[Grant, ...]:
        return tuple(self._lookup.grants(keys)) if any(standing.granted for standing in seen.standings) else ()

    def _tightening(self, keys: Sequence[bytes]) -> tuple[Standing, ...]:
        """Standings of identifiers that are in the data itself, and of looser forms. They belong to whoever they belong
        to, so they can only deny: an ad id of somebody who opted out does not leave beside another person's account.
        """
        return tuple(standing.denies_only() for standing in self._lookup.seen(keys).standings) if keys else ()

    def _identifiers_refuse(
        self, ask: Ask, named: Named, standings: Sequence[Standing]
    ) -> Callable[[Recipient], Reason | None]:
        """What the identifiers alone refuse, before any rule is asked."""
        linked = any(standing.linked for standing in standings)

        def refuse(recipient: Recipient) -> Reason | None:
            if named.undeclared:
                return Reason.UNDECLARED_IDENTIFIER
            if named.malformed:
                return Reason.MALFORMED
            if ask.row and not named.subjects:
                return Reason.LIMITED if named.limited else Reason.NO_IDENTIFIER
            if ask.row and recipient.unlinked == "deny" and not linked:
                return Reason.UNLINKED
            return None

        return refuse

    def _verdict(self, name: str, ask: Ask, known: Known, refusal: Callable[[Recipient], Reason | None]) -> Verdict:
        recipient = self.recipients.get(name)
        if recipient is None:
            return self._refuse(name, ask, Reason.UNKNOWN_RECIPIENT)
        if ask.purpose is not None and ask.purpose not in PURPOSES:
            return self._refuse(name, ask, Reason.UNKNOWN_PURPOSE)
        data = ask.data if ask.data is not None else recipient.data
        usable = tuple(DataClass(item) for item in data if item in CLASSES)
        question = Question(
            recipient=recipient, purposes=(Purpose(ask.purpose),) if ask.purpose else recipient.purposes, data=usable,
            places=known.places, age=ask.age, heard=known.heard, standings=known.standings, grants=known.grants,
            limited=known.limited,
        )  # fmt: skip
        verdict = decide(question, self._office())
        reason = refusal(recipient)
        if reason is not None:
            told = verdict.reason is Reason.OPTED_OUT and not verdict.allowed and not verdict.partly
            return verdict if told else self._refuse(name, ask, reason, verdict.place)
        if len(usable) == len(data):
            return verdict
        refused = deny_all(data, Reason.CLASS_NOT_REGISTERED, f"recipients.{name}.data", verdict.place)
        return replace(refused, data={**refused.data, **verdict.data})

    def _refuse(self, name: str, ask: Ask, reason: Reason, place: str = "unknown") -> Verdict:
        recipient = self.recipients.get(name)
        data = ask.data if ask.data is not None else recipient.data if recipient else ()
        return deny_all(data, reason, "", place)

    def site(self, heard: Heard, denied: frozenset[Purpose], subjects: Sequence[Subject], place: object = None) -> Site:
        """What holds for a visitor: the signals of this request, what the sealed cookie says, and what is recorded.
        With the store away everybody counts as opted out (R17).
        """
        places = self.places.of(place)
        shown = ",".join(sorted(places)) or "unknown"
        try:
            seen = self._lookup.seen([key for subject in subjects for key in subject.keys])
        except LookupRefused:
            return Site(dict.fromkeys(SIGNAL_PURPOSES, False), "unknown", shown)
        allowed, chosen = self._allowed(places, heard.denied | denied, seen.standings)
        return Site(allowed, "honored" if chosen else "none", shown, seen.standings)

    def outcome(
        self, subjects: Sequence[Subject], said: frozenset[Purpose], place: object, *, gpc: bool = False
    ) -> Outcome:
        """What holds for a person, for the strings that a page or an app is given."""
        places = self.places.of(place)
        try:
            seen = self._lookup.seen([key for subject in subjects for key in subject.keys])
        except LookupRefused:
            return replace(NOTHING_MAY, places=places, gpc=gpc)
        allowed, _ = self._allowed(places, said, seen.standings)
        minor = any(standing.age_band not in {None, "adult"} for standing in seen.standings)
        return Outcome(frozenset(p for p, may in allowed.items() if not may), places, gpc, minor=minor)

    def read_back(self, subjects: Sequence[Subject], purposes: Sequence[Purpose]) -> dict[str, str]:
        """What enforcement now says of these purposes for all the subjects together; `unknown` where it cannot be
        read, which denies.
        """
        return {p.value: word for p, word in self._states(subjects, purposes).items()}

    def _states(self, subjects: Sequence[Subject], purposes: Sequence[Purpose]) -> dict[Purpose, str]:
        try:
            standings = self._lookup.seen([key for subject in subjects for key in subject.keys]).standings
        except LookupRefused:
            return dict.fromkeys(purposes, "unknown")
        return {
            purpose: "opted_out" if any(s.denies(purpose) for s in standings)
            else "opted_in" if any(s.opted_in(purpose) for s in standings) else "none"
            for purpose in purposes
        }  # fmt: skip

    def event(self, seq: int) -> str | None:
        """The event id of an entry, for keys that may know it."""
        try:
            return self._lookup.event(seq)
        except LookupRefused:
            return None

    def position(self) -> int | None:
        """How many entries the ledger holds; None while it gives no answer that may be trusted."""
        try:
            return self._lookup.seen(()).position
        except LookupRefused:
            return None


@lru_cache(maxsize=4096)
def _what_may(
    places: frozenset[str], said_no: bool, standings: tuple[Standing, ...], age: str | None, office: Office
) -> tuple[Mapping[Purpose, bool], bool]:
    """Remembered by its arguments, like a verdict: most people have no record and say nothing."""
    allowed: dict[Purpose, bool] = {}
    chosen = said_no
    band = youngest(age, standings)
    for purpose in SIGNAL_PURPOSES:
        out = said_no or any(standing.denies(purpose) for standing in standings)
        chosen = chosen or out
        regime = office.law.strictest(places, purpose, office.on, band)
        opted_in = any(standing.opted_in(purpose) for standing in standings)
        may = regime.rule < Rule.OPT_IN or (opted_in and regime.rule is not Rule.BANNED)
        allowed[purpose] = not out and may
    return allowed, chosen
