"""Answering checks: may this data go, what may the website do, what holds now. The doors, shares, replicas and the
command line ask `Checks`.

Plain functions: rows by key, no queue, no thread hop. Whatever cannot be answered is a deny.

A check has three parts: what is said around its person (`Around`), what stands on record of whom it names (`Met`), and
the answer, which the rules give of both. Whoever is asked the same of many people works the first out once
(`gateway.web.api.check_plans`). Beside them: inputs at a past date (`Then`), and a verdict with the rules that were
tried (`Explained`).
"""

import contextlib
import copy
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from gateway.choice.downstream import GppSections, Outcome
from gateway.choice.law import AGES, RANKS
from gateway.choice.place import UNKNOWN_PLACE, country_of, may_be_european
from gateway.choice.question import NAMED, Grant, Naming, Office, Question, Verdict
from gateway.choice.recipient import Recipient
from gateway.choice.rules.case import youngest
from gateway.choice.rules.never import below_floor, parents_reach, wants_parent
from gateway.choice.standing import NOT_ASKED, LookupRefused, Stale, Standing, alike, out_bits
from gateway.choice.verdict import decide, deny_all, explain, numbered
from gateway.consent.asked import NOTHING_MAY, Around, Ask, Basis, Checked, Explained, InForce, Likeness, Met, Then
from gateway.consent.people import BROWSER, INSTALLATION, OF_A_PHONE, Named, People, Said
from gateway.consent.places import FOREIGN, Places
from gateway.consent.site import (
    EVERY_SIGNAL,
    NOTHING_SAID,
    Site,
    Word,
    brought_back,
    outcome_of,
    what_may,
    widened,
    word_of,
    word_of_grants,
    words_said,
)
from gateway.consent.tokens import DeviceToken
from gateway.disk import boot_seconds
from gateway.ledger.subjects import Choice, Subject
from gateway.signals import hear
from gateway.signals.device import GDPR_APPLIES
from gateway.signals.hear import SHIPPED, Hearing
from gateway.signals.heard import Heard
from gateway.state.lookup import Reached, Seen, StateLookup, earliest
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, DataClass, GrantKind, Purpose, Reason

FRESH = 1.0  # seconds in which nothing but what people say changes a verdict: an act and an opt-in have an end, too
PURPOSES: Mapping[str, Purpose] = {word.value: word for word in Purpose}
CLASSES: Mapping[str, DataClass] = {word.value: word for word in DataClass}
NOBODY = Named()
SEALED = frozenset({BROWSER, INSTALLATION})  # types of identifiers whose values are tokens
# What a browser's own token denies, which may be on no record: as if it were, and nothing of what anybody was told.
BY_TOKEN = Standing(out_bits(SIGNAL_PURPOSES), told=NOT_ASKED, cpni_told=NOT_ASKED)
SAID_NO = Standing(out_bits(ALL_PURPOSES))  # what stands on record of whoever said no to everything
Calls = tuple[Named, tuple[bytes, ...], Said | None, tuple[Standing, ...]]  # see `Checks._name`
BY_KEYS: Calls = NOBODY, (), None, ()  # whom a call names whose keys are all that is looked up
T = TypeVar("T")
Link = tuple[bytes, bool, bool]  # of whom, whether only by an app's word, whether now


class Checks:
    """Answers checks from the look-up. `office` gives the law, the day and the age floor of now."""

    def __init__(
        self,
        lookup: StateLookup,
        people: People,
        office: Callable[[], Office],
        recipients: Mapping[str, Recipient],
        places: Places,
        hearing: Hearing = SHIPPED,
        said_in: GppSections = GppSections.BOTH,
    ) -> None:
        self.recipients = recipients
        self.places = places
        self.hearing = hearing
        self._said_in = said_in
        self._lookup = lookup
        self._people = people
        self._office = office

    def check(self, ask: Ask, *, briefly: bool = False) -> Checked:
        """One verdict a recipient. Whatever cannot be answered is a deny. `briefly`: as of `meet`."""
        met = self.meet(ask, ask.identifiers, briefly=briefly)
        return self.decide(ask, self.around(ask), met, self.in_force().office)

    def in_force(self) -> InForce:
        """What answers rest on now; the office is another one every day."""
        return InForce(self._office(), self.recipients, self.places, self.hearing, self._said_in)

    def basis(self) -> Basis:
        """For `may_rest`; to be taken before the check."""
        return Basis(self.in_force(), boot_seconds())

    def may_rest(self, on: Collection[Basis], keys: Sequence[bytes], answered: Collection[Reached | None]) -> bool:
        """Whether what was answered of these is good without another look before something leaves on it: the same is in
        force, it is no while ago, and nothing was written since about anybody.
        """
        in_force, oldest = self.in_force(), boot_seconds() - FRESH
        same = all(each.in_force == in_force and each.since >= oldest for each in on)
        return same and not self.moved(keys, answered)

    def around(self, ask: Ask) -> Around:
        """What a question says beside whom it is about."""
        heard, places = hear.from_call(ask.signals, self.hearing), self.places.of(ask.place, ask.geo, ask.ip)
        for signals in ask.also:
            heard = hear.from_call(signals, self.hearing).beside(heard)
        if (ask.signals or ask.also) and _is_european(ask, heard) and not may_be_european(places):
            places |= {FOREIGN}
        return Around(places, heard, ask.geo is not None and self.places.are_sensitive(ask.geo))

    def meet(self, ask: Ask, identifiers: Sequence[Mapping[str, object]], *, briefly: bool = False) -> Met:
        """What stands on record of these. Of the question is read what says whom else it is about, and how they are to
        be read. `briefly`: an ad id's digests are left out of which nothing else can stand than of those that are asked
        for; `keys` are not all then.
        """
        at_once = not (ask.token or ask.numbered or ask.seen or ask.instead)
        alone = self._lookup.named_alone if briefly and at_once else None
        own = None
        if alone is not None and not (ask.beside or ask.names or ask.named or ask.row):
            own = self._people.keys_of_ad_ids(identifiers, alone)
        named, beside, said, denied = BY_KEYS if own else self._name(ask, identifiers, alone)
        own, naming = own or named.keys, NAMED if own else _naming_of(ask, named)
        try:
            seen = self._asked(ask, named, own, beside)
            if alone is not None and (named.tokens or not seen.alone <= alone):
                return self.meet(ask, identifiers)  # the names that were left out count by now
            grants = self._grants(ask, own, seen)
            others = self._tightening(beside, ask, seen.beside) if beside else ()
            held = self._held(ask, own) if others and ask.row and named.looser else others
        except LookupRefused as refused:
            reason = Reason.STALE if isinstance(refused, Stale) else Reason.STORE_UNAVAILABLE
            return Met((), (), Likeness((), naming, named.limited), said=said, refused=reason)
        standings = (*seen.standings, *others, *denied)
        likeness = Likeness(alike(standings) if others or denied else seen.alike, naming, named.limited)
        keys = (*own, *beside, *_had(named, ask.token))
        return Met(own, keys, likeness, seen.position, standings, grants, seen.reached, said, others=held)

    def decide(self, ask: Ask, around: Around, met: Met, office: Office) -> Checked:
        """What the rules say. Of the question only what is asked is read, and nothing of whom it is about."""
        if met.refused:
            refused = {name: self._refuse(name, ask, met.refused) for name in ask.recipients}
            return Checked(refused, None, around.heard, age=ask.age)
        return Checked(
            {name: self._verdict(name, ask, around, met, office) for name in ask.recipients},
            met.position,
            around.heard,
            met.keys,
            self._outcome(around, met.likeness, ask.age, office),
            met.own,
            youngest(ask.age, met.likeness.alike),
            met.grants,
            met.said,
            met.reached,
        )

    def verdict(self, name: str, ask: Ask, met: Met, office: Office) -> Verdict:
        """The answer for one recipient alone; a refused one of a look-up that was."""
        if met.refused:
            return self._refuse(name, ask, met.refused)
        return self._verdict(name, ask, self.around(ask), met, office)

    def is_as_met(self, ask: Ask, met: Met) -> bool:
        """Whether the same stands on record as was met, so that with the same in force the answer is the same: for a
        second look, which names nobody anew. False too where that cannot be told, where a token is shown, for those
        end, and where the state was made anew, for it may be by other keys.
        """
        if any(item.get("type") in SEALED for item in ask.identifiers):
            return False
        try:
            seen = self._lookup.seen(met.own, beside=met.keys[len(met.own) :])
            grants = self._grants(ask, met.own, seen)
        except LookupRefused:
            return False
        standings = (*seen.standings, *self._tightening((), ask, seen.beside))
        same_state = earliest((seen.reached, met.reached)) is not None
        return same_state and grants == met.grants and alike(standings) == met.likeness.alike

    def explain(self, ask: Ask, then: Then | None = None) -> dict[str, Explained]:
        """The verdict of each recipient with every rule that was tried. `then`: what stood on record at another moment,
        with what was in force then, else under the law of that day. Raises `LookupRefused`.
        """
        if then and then.held and then.held.recipients is not self.recipients:
            earlier = copy.copy(self)
            earlier.recipients = then.held.recipients
            return earlier.explain(ask, then)
        ask = ask._replace(numbered=True)
        named, beside, _, denied = self._name(ask, ask.identifiers)
        if then is None:
            seen = self._asked(ask, named, named.keys)
            then = Then(self._office().on, seen.position, seen.standings, self._grants(ask, named.keys, seen))
            then = replace(then, standings=(*then.standings, *self._tightening(beside, ask)))
        then = replace(then, standings=(*then.standings, *denied))
        likeness = Likeness(alike(then.standings), _naming_of(ask, named), named.limited)
        met = Met(named.keys, named.keys, likeness, then.position, then.standings, then.grants)
        around, office = self.around(ask), then.held.office if then.held else replace(self._office(), on=then.on)
        return {name: self._explained(name, ask, around, met, office) for name in ask.recipients}

    def _asked(self, ask: Ask, named: Named, keys: Sequence[bytes], beside: Sequence[bytes] = ()) -> Seen:
        """The same of whom a check names; `keys`: theirs; `beside`: keys that can only deny, looked up at once where
        that is no other way to look.
        """
        if ask.instead:
            return self._lookup.seen(())._replace(standings=ask.instead, alike=ask.instead)
        if ask.seen and not named.tokens:
            return ask.seen
        tokens = (*named.tokens, ask.token) if ask.token else named.tokens
        if tokens:
            return self._with_tokens(named.subjects, tokens)
        return self._lookup.seen(keys, numbered=ask.numbered, beside=beside)

    def _with_tokens(self, subjects: Sequence[Subject], tokens: Sequence[DeviceToken]) -> Seen:
        """What is on record of a call that shows installations of an app. What one of them said itself and came back
        from denies nothing here, and only here; the ids that it had before can only deny.
        """
        phone = [subject for subject in subjects if subject.kind in OF_A_PHONE]
        keys = [key for subject in phone for key in subject.keys]
        before = [key for token in tokens for key in token.others(keys)]
        lifted: frozenset[Purpose] | None = None
        if len(tokens) == 1:
            with contextlib.suppress(LookupRefused):  # a replica cannot know whose each no was: then they all count
                lifted = self._lifted(subjects, phone, before, tokens[0])
        rest = [key for subject in subjects if subject not in phone for key in subject.keys]
        installed = {self._people.device(token.value).key for token in tokens} if lifted is None else set[bytes]()
        mine, had = self._lookup.seen(keys), self._lookup.seen(before)
        others, devices = self._lookup.seen([k for k in rest if k not in installed]), self._lookup.seen([*installed])
        standings = (
            *(each.without_noes(lifted or ()) for each in mine.standings),
            *(each.without_noes(lifted or ()).denies_only() for each in had.standings),
            *others.standings,
            *(each.denies_only() for each in devices.standings),
        )
        all_seen = (mine, had, others, devices)
        position, reached = min(each.position for each in all_seen), earliest([each.reached for each in all_seen])
        return Seen(position, standings, reached, alike(standings))

    def _lifted(
        self, subjects: Sequence[Subject], phone: Sequence[Subject], before: Sequence[bytes], token: DeviceToken
    ) -> frozenset[Purpose] | None:
        """From what noes of its own an installation came back. None: one of its ids is or was somebody's account's who
        is not named here, and then its yes counts for nothing.
        """
        accounts = {subject.key for subject in subjects if subject.is_account}
        ids = [*((each.key, each.keys) for each in phone), *((key, (key,)) for key in before)]
        for own, keys in ids:
            links = [link for key in keys if own not in token.attested for link in self._lookup.links_of(key)]
            if not {account for account, _, _ in links} <= accounts:
                return None
        everything = [key for _, keys in ids for key in keys]
        return self._lookup.alone(token.mark, self._people.device(token.value).key, everything)

    def _name(
        self, ask: Ask, identifiers: Sequence[Mapping[str, object]], alone: Collection[str] | None = None
    ) -> Calls:
        """Who is asked about, the keys that can only deny, by which words a row names whom, and what tokens deny."""
        country = country_of(ask.place)
        said: Said | None = {} if ask.beside else None
        named = ask.named or self._people.name(identifiers, country, said, alone)
        if not (ask.beside or ask.names) and named.is_plain:
            return named, (), said, ()
        others = self._people.name(ask.beside, country, said, alone) if ask.beside else NOBODY
        names = self._people.keys_of_names(ask.names, alone) if ask.names else ()
        looser = dict.fromkeys((*named.looser, *others.keys, *others.looser, *names))
        for key in named.keys if looser else ():
            looser.pop(key, None)  # it is one of those asked about already, with its yes and its no
        return named, tuple(looser), said, (BY_TOKEN,) if named.unwritten or others.unwritten else ()

    def _held(self, ask: Ask, own: Collection[bytes]) -> tuple[Standing, ...]:
        """What stands of whom the data of a row name: looser forms of the person's own identifiers are not in it."""
        others = self._people.name(ask.beside, country_of(ask.place)) if ask.beside else NOBODY
        names = self._people.keys_of_names(ask.names, None) if ask.names else ()
        return self._tightening(tuple({*others.keys, *others.looser, *names}.difference(own)), ask)

    def name(self, ask: Ask) -> tuple[Subject, ...]:
        """The people that a check is about."""
        return self._people.name(ask.identifiers, country_of(ask.place)).subjects

    def moved(self, keys: Sequence[bytes], answered: Collection[Reached | None]) -> bool:
        """Whether anything changed about these since one of these answers; then they are to be asked about again. True
        as well where that cannot be told.
        """
        since = earliest(answered)
        return since is None or _told(self._lookup.changed_since, keys, since) is not False

    def tied(self, account: Subject, identifier: Subject) -> bool:
        """Whether an account is known to have an identifier, by more than an app's word. False where that cannot be
        told.
        """
        return bool(_told(self._lookup.tied, account.key, identifier.key))

    def unnamed(self, account: Subject) -> bool:
        """Whether what stands by another form of an account's name is not yet the account's own, as of what a site's
        door once wrote as it came (`identity.reading`). False where that cannot be told.
        """
        return len(account.keys) > 1 and bool(_told(self._lookup.unnamed, account.key, account.keys[1:]))

    def links_of(self, subject: Subject) -> list[Link] | None:
        """Who has or had an identifier, by any of its names; None where that cannot be told."""
        return _told(lambda: [link for key in subject.keys for link in self._lookup.links_of(key)])

    def said_no(self, keys: Collection[bytes]) -> tuple[Standing, ...]:
        """What somebody is told who may not know what stands on record of some keys: the same as if they had said no,
        and as young as apps have said, whether that counts or not, so that neither tells whose they are.
        """
        words = _told(lambda: [band for key in keys for band in self._lookup.words_of(key)]) or ()
        return (replace(SAID_NO, age_band=min(words, key=AGES.index, default=None)),)

    def _outcome(self, around: Around, likeness: Likeness, age: str | None, office: Office) -> Outcome:
        """What holds for the person, whichever recipient asks."""
        places, heard, _ = around
        if likeness.limited:
            return replace(NOTHING_MAY, places=places, gpc=heard.gpc, said_in=self._said_in)
        said = widened(heard.denied)
        return outcome_of(places, said, heard.gpc, likeness.alike, age, office, self._said_in)

    def _grants(self, ask: Ask, keys: Sequence[bytes], seen: Seen) -> tuple[Grant, ...]:
        """What the person allowed single recipients. An act is for one transfer, so it counts for a row of a share,
        which uses it up once it left; nobody can tell how often an answer to a check is acted on (R28).
        """
        found = self._lookup.grants(keys) if any(standing.granted for standing in seen.alike) else ()
        return tuple(grant for grant in found if ask.row or grant.kind is not GrantKind.DIRECTED)

    def _tightening(
        self, keys: Sequence[bytes], ask: Ask, found: Sequence[Standing] | None = None
    ) -> tuple[Standing, ...]:
        """Standings of identifiers that are in the data itself, and of looser forms. They belong to whoever they belong
        to, so they can only deny: an ad id of somebody who opted out does not leave beside another person's account.
        `found`: what stands of these, where that was looked up.
        """
        if found is None:
            found = self._lookup.seen(keys, numbered=ask.numbered).standings if keys else ()
        apart = {id(standing): standing for standing in found}.values()  # mostly one object, as in `alike`
        return tuple([standing.denies_only() for standing in apart])

    def _verdict(self, name: str, ask: Ask, around: Around, met: Met, office: Office) -> Verdict:
        question = self._question(name, ask, around, met, office)
        if isinstance(question, Reason):
            return self._refuse(name, ask, question)
        verdict = decide(question, office)
        if ask.numbered:
            verdict = numbered(verdict, met.likeness.alike, met.standings)
        data = ask.data if ask.data is not None else question.recipient.data
        if ask.row and met.holds_who_refused(question):
            return deny_all(
                data, Reason.NOT_DEIDENTIFIED, "it holds an id of somebody who said no (R28)", verdict.place
            )
        if len(question.data) == len(data):
            return verdict
        refused = deny_all(data, Reason.CLASS_NOT_REGISTERED, f"recipients.{name}.data", verdict.place)
        return refused._replace(data={**refused.data, **verdict.data})

    def _explained(self, name: str, ask: Ask, around: Around, met: Met, office: Office) -> Explained:
        question = self._question(name, ask, around, met, office)
        verdict = self._verdict(name, ask, around, met, office)
        if isinstance(question, Reason):
            return Explained(verdict, ())
        return Explained(verdict, tuple(explain(question._replace(standings=met.standings), office)))

    def _question(self, name: str, ask: Ask, around: Around, met: Met, office: Office) -> Question | Reason:
        """What the rules are asked, or why there is nothing to ask them."""
        recipient = self.recipients.get(name)
        if recipient is None:
            return Reason.UNKNOWN_RECIPIENT
        if ask.purpose is not None and ask.purpose not in PURPOSES:
            return Reason.UNKNOWN_PURPOSE
        data = recipient.data if ask.data is None else tuple([CLASSES[item] for item in ask.data if item in CLASSES])
        return Question(
            recipient,
            (PURPOSES[ask.purpose],) if ask.purpose else recipient.purposes,
            data,
            around.places,
            ask.age,
            around.heard,
            met.likeness.alike,
            met.grants,
            met.likeness.limited,
            ask.count,
            ask.collected if ask.collected or ask.row else office.on,
            ask.during_call,
            around.sensitive,
            met.likeness.naming,
        )

    def _refuse(self, name: str, ask: Ask, reason: Reason) -> Verdict:
        recipient = self.recipients.get(name)
        data = ask.data if ask.data is not None else recipient.data if recipient else ()
        return deny_all(data, reason, "", UNKNOWN_PLACE)

    def proof(self) -> float | None:
        """The newest proof that answers may be trusted now, another one twice a second. None: there is none."""
        return self._lookup.proof()

    def version(self) -> object:
        """Another one after any change of what is on record, and twice a second. None: nothing may be trusted."""
        try:
            return self._lookup.version()
        except LookupRefused:
            return None

    def site(
        self,
        subjects: Sequence[Subject],
        heard: frozenset[Purpose],
        place: object = None,
        *,
        gpc: bool = False,
        kept: frozenset[Purpose] = NOTHING_SAID,
    ) -> Site:
        """What holds for a visitor of the site: what this request's signals (`heard`) and the sealed cookie (`kept`)
        deny, and what is recorded. With the store away everybody counts as opted out (R17).
        """
        seen = self.on_record_of(subjects)
        if seen is None:
            return self.unknown_site(place, gpc=gpc)
        places = self.places.of(place)
        said = widened(heard) | kept if heard or kept else NOTHING_SAID
        allowed, chosen = what_may(places, said, seen.alike, None, self._office())
        return Site(allowed, "honored" if chosen else "none", places, gpc, seen.standings, said, self._said_in)

    def outcome(self, standings: tuple[Standing, ...] | None, heard: Heard, place: object) -> Outcome:
        """What holds for somebody in an app, whichever recipient asks: as `site`, of what was read before (`alike`);
        None: it could not be.
        """
        if standings is None:
            return self.unknown_site(place, gpc=heard.gpc).outcome
        places, said = self.places.of(place), widened(heard.denied) if heard.denied else NOTHING_SAID
        return outcome_of(places, said, heard.gpc, standings, None, self._office(), self._said_in)

    def words(self, site: Site, purposes: Sequence[Purpose]) -> dict[Purpose, Word]:
        """What holds, purpose by purpose: the same that `site` was asked and every verdict obeys."""
        plain, office = replace(site, standings=alike(site.standings)), self._office()
        return {purpose: word_of(plain, purpose, office) for purpose in purposes}

    def unknown_site(self, place: object = None, *, gpc: bool = False) -> Site:
        """What holds for whoever cannot be asked about: nothing may be done."""
        no = dict.fromkeys(SIGNAL_PURPOSES, False)
        return Site(no, "unknown", self.places.of(place), gpc, said_in=self._said_in)

    def seen(self, subjects: Sequence[Subject], token: DeviceToken | None = None) -> Seen | None:
        """What holds for these, of one moment: what is on record, and what a browser's own token denies. None where it
        cannot be read. `token`: of the app's installation that asks.
        """
        seen = self.on_record_of(subjects, token)
        if seen is None or not any(each.unwritten for each in subjects):
            return seen
        return seen._replace(standings=(*seen.standings, BY_TOKEN), alike=alike((*seen.alike, BY_TOKEN)))

    def on_record_of(self, subjects: Sequence[Subject], token: DeviceToken | None = None) -> Seen | None:
        """The same of the record alone."""
        if token:
            return _told(self._with_tokens, subjects, (token,))
        return _told(self._lookup.seen, [key for subject in subjects for key in subject.keys])

    def joins(self, subjects: Sequence[Subject], *, alone: bool = False) -> bool:
        """Whether a browser that says no by its token alone comes with somebody else, so that its no is to be written
        for all of them; the first time, for then it is on its record, and what was said there later stands above it.
        `alone`: it need not, for it is about to say yes to something.
        """
        if len(subjects) < 2 and not alone:  # noqa: PLR2004 - it comes alone
            return False
        rows = [self.standings_of(each.keys) for each in subjects if each.unwritten]
        return any(mine is None or bool(brought_back(EVERY_SIGNAL, mine).said) for mine in rows)

    def standings_of(self, keys: Collection[bytes]) -> tuple[Standing, ...] | None:
        """The rows of keys, of whoever has one; None where they cannot be read."""
        seen = _told(self._lookup.seen, [*keys])
        return seen and seen.standings

    def on_record(self, identifiers: Sequence[Mapping[str, object]], place: object = None) -> bool | None:
        """Whether anything at all stands of one of these, by any of their names; None where that cannot be read."""
        rows = self.standings_of(self._people.keys_of(identifiers, country_of(place)))
        return None if rows is None else bool(rows)

    def read_back(
        self, subjects: Sequence[Subject], purposes: Sequence[Purpose], token: DeviceToken | None = None
    ) -> dict[str, str]:
        """What enforcement now says of these purposes for all the subjects together: what was said and holds. `unknown`
        where it cannot be read, which denies.
        """
        seen = self.seen(subjects, token)
        return said_by(seen and seen.alike, purposes)

    def word_of_yes(self, site: Site, subjects: Sequence[Subject], purpose: Purpose, recipient: str = "") -> Word:
        """What holds of a yes of theirs, of whom `site` was asked; one that names a recipient is of a precise point."""
        word = self.words(site, [purpose])[purpose]
        if not recipient or word in {Word.OPTED_OUT, Word.UNKNOWN, Word.CLOSED}:
            return word
        if not self.granted(subjects, recipient, purpose, [*site.places]):
            return Word.NEEDS_YES
        named, plain = self.recipients.get(recipient), replace(site, standings=alike(site.standings))
        grants = _told(self._lookup.grants, [key for each in subjects for key in each.keys]) or ()
        return word_of_grants(plain, named, purpose, tuple(grants), self._office()) if named else Word.CLOSED

    def granted(self, subjects: Sequence[Subject], recipient: str, purpose: Purpose, place: object = None) -> bool:
        """Whether an opt-in of their own that names this recipient is on record, and theirs to give. False where that
        cannot be read.
        """
        found = _told(self._lookup.grants, [key for subject in subjects for key in subject.keys]) or ()
        band, said = self.band(subjects), (recipient, purpose, GrantKind.OPTED_IN, False)
        own = band != AGES[0] and not wants_parent(band, self.places.of(place), purpose, self._office())
        return own and any((each.recipient, each.purpose, each.kind, each.child) == said for each in found)

    def band(self, subjects: Sequence[Subject]) -> str:
        """The youngest age band on record for them; the youngest there is where it cannot be read."""
        seen = self.seen(subjects)
        return AGES[0] if seen is None else youngest(None, seen.standings)

    def is_under_16(self, subjects: Sequence[Subject]) -> bool:
        """Whether they are, or may be, under 16, and so told of the right to take a yes back at any time (11 CCR
        7071(b), L75).
        """
        return self.band(subjects) in {AGES[0], AGES[1]}

    def too_young(self, subjects: Sequence[Subject]) -> bool:
        """Whether they are, or may be, below the operator's floor: no opt-in exists there, not even a parent's (R14).
        Raises `LookupRefused`: an answer that is not known is no answer.
        """
        keys = [key for subject in subjects for key in subject.keys]
        return below_floor(youngest(None, self._lookup.seen(keys).standings), self._office())

    def are_too_young(self, standings: Iterable[Standing], yes: Choice) -> bool:
        """Whether a yes is not theirs to say, by what stands on record, for whoever reads that in a transaction: below
        the floor there is none; of a child under 13, or older where its place's law says so, it is a parent's.
        """
        band = youngest(None, standings)
        return below_floor(band, self._office()) or not (yes.parental or RANKS[band] > self.parents_reach(yes))

    def parents_reach(self, yes: Choice) -> int:
        """The oldest band of which a yes is a parent's to say, where it was said (`choice.rules.never`)."""
        return parents_reach(self.places.of(yes.place.split(",")), yes.purposes, self._office())

    def voided(self, ui: str) -> bool:
        """Whether consents of a screen count for nothing. Raises `LookupRefused`."""
        return self._lookup.voided(ui)

    def event(self, seq: int) -> str | None:
        """The event id of an entry, for keys that may know it."""
        return _told(self._lookup.event, seq)

    def position(self) -> int | None:
        """How many entries the ledger holds; None while it gives no answer that may be trusted."""
        seen = _told(self._lookup.seen, ())
        return seen and seen.position

    def log(self) -> str | None:
        """Which log that is; None likewise."""
        return _told(self._lookup.log)


def _told(look: Callable[..., T], *asked: object) -> T | None:
    """What a look-up says; None where it gives no answer that may be trusted."""
    try:
        return look(*asked)
    except LookupRefused:
        return None


def said_by(
    standings: tuple[Standing, ...] | None, purposes: Sequence[Purpose], lost: Collection[Purpose] = ()
) -> dict[str, str]:
    """What was said of purposes and holds, by what is on record of somebody; `unknown` where that cannot be read.
    `lost`: of these nobody knows it any more.
    """
    unknown = {each.value: Word.UNKNOWN.value for each in purposes if each in lost}
    return {**words_said(standings, tuple(purposes)), **unknown}


def _had(named: Named, token: DeviceToken | None) -> Iterator[bytes]:
    """The ids that the installations had before which a call shows: their noes were counted, too."""
    for each in (*named.tokens, *((token,) if token else ())):
        yield from each.others(named.keys)


def _naming_of(ask: Ask, named: Named) -> Naming:
    if named.subjects and not (ask.row or named.undeclared or named.malformed):
        return NAMED
    return Naming(ask.row, not named.subjects, named.undeclared, bool(named.malformed))


def _is_european(ask: Ask, heard: Heard) -> bool:
    """Whether the request says that the GDPR applies and brings no consent along: then it names a place, too (R13)."""
    stored = [each.get("stored") for each in (ask.signals, *ask.also)]
    said = [each.get("gdpr") for each in (ask.signals, *ask.also)]
    said += [each.get(GDPR_APPLIES) for each in stored if isinstance(each, Mapping)]
    return not heard.vendors and any(str(each).strip() in {"1", "1.0"} for each in said)
