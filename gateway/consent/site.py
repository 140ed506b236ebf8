"""What holds for one visitor of the website, or for one person in the app: what may be done, and by which word each
purpose is told. Every page, badge, header and answer takes its word from here (R1).

`SiteAnswer` is what an ASGI site in the same process reads of its visitor, instead of the `Gateway-*` headers. It holds
no id, no token and no history of anybody, so it may be logged.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal

from gateway.choice.downstream import GppSections, Outcome
from gateway.choice.law import AGES, LawRule
from gateway.choice.place import UNKNOWN_PLACE
from gateway.choice.question import Grant, Office, Question, Verdict
from gateway.choice.recipient import Recipient
from gateway.choice.rules.case import IN_SHIFTS, NOWHERE, with_homes, yes_bits, youngest
from gateway.choice.rules.refusals import SIGNAL_REASONS
from gateway.choice.standing import Standing, alike, out_bits
from gateway.choice.verdict import decide
from gateway.consent.shadow import is_held
from gateway.ledger.subjects import Subject
from gateway.signals.heard import Heard, Said
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, DataClass, Purpose, Reason, Role, Source

ADULT = AGES[-1]
# Whoever the site or the app might hand an ad id to, with everything in order that is not about the person.
ANYBODY = Recipient(
    "anybody", Role.THIRD_PARTY, CHOOSABLE, (DataClass.AD_ID,), contract="any", transfer_basis="any",
    announced=date(1990, 1, 1),  # by any notice that there was; where nobody was told of anything, by none (R15)
)  # fmt: skip
OURSELVES = Recipient(
    "ourselves", Role.SERVICE_PROVIDER, CHOOSABLE, (DataClass.AD_ID,), contract="any", transfer_basis="any"
)  # fmt: skip
OUTSIDE = frozenset({*SIGNAL_PURPOSES, Purpose.THIRD_PARTY_MARKETING, Purpose.CPNI_DISCLOSURE})
EVERY_SIGNAL = frozenset(SIGNAL_PURPOSES)
NOTHING_SAID: frozenset[Purpose] = frozenset()
Rows = Callable[[Collection[bytes]], tuple[Standing, ...] | None]  # None: they cannot be read
TOLD_BY_TOKEN = Heard((Said(Source.GPC, EVERY_SIGNAL),))  # what a browser's own token says no to, as it was heard
ASKS = frozenset({Reason.OPT_IN_REQUIRED, Reason.PLACE_UNKNOWN, Reason.NOTICE_NOT_RIPE})  # a yes would open it


class Word(StrEnum):
    """What holds for one purpose, in the one word that everything that tells of it is worded by. The first four are
    what was said (`standing` and `purposes` of an answer).
    """

    OPTED_OUT = "opted_out"  # somebody said no, and it holds
    UNKNOWN = "unknown"  # it cannot be read: nothing is done
    OPTED_IN = "opted_in"  # the person said yes, and it holds
    NONE = "none"  # nobody said anything, and it may be done
    NEEDS_YES = "needs_yes"  # nobody said anything, and here that is a no
    CLOSED = "closed"  # not done for another reason: an age, a ban, a notice that is missing

    @property
    def may(self) -> bool:
        """Whether a purpose may be done."""
        return self in {Word.OPTED_IN, Word.NONE}

    @property
    def told(self) -> str:
        """The same for readers who know opted_out, opted_in, none and unknown alone (`purposes` of an answer)."""
        return Word.NONE.value if self in {Word.NEEDS_YES, Word.CLOSED} else self.value


Status = Literal["honored", "none", "unknown"]


@dataclass(frozen=True, slots=True)
class Site:
    """What the website may do for this visitor. `status`: honored, none or unknown. `said`: what this request denies,
    by a signal or by our own cookie.
    """

    allowed: Mapping[Purpose, bool]
    status: Status
    places: frozenset[str]
    gpc: bool = False
    standings: tuple[Standing, ...] = ()
    said: frozenset[Purpose] = NOTHING_SAID
    said_in: GppSections = GppSections.BOTH

    @property
    def place(self) -> str:
        return _place(self.places)

    @property
    def opted_out(self) -> bool:
        return self.status != "none"

    @property
    def restricted(self) -> bool:
        """Whether anything must not be done: opted out, or in a place where silence is a no."""
        return not all(self.allowed.values())

    @property
    def outcome(self) -> Outcome:
        """The same, for the strings that a page or an app is given."""
        denied = frozenset(purpose for purpose, may in self.allowed.items() if not may)
        minor = is_young(None, self.standings)
        return Outcome(denied, self.places, self.gpc, minor=minor, said_in=self.said_in)

    def learns(self, heard: Heard, subjects: Sequence[Subject], rows: Rows) -> bool:
        """Whether some subject's row lacks a denial that was heard, or has one that may have ended; the writer looks
        again in its transaction. Of an account that has several names the one row counts which is written; `rows` reads
        it.
        """
        chosen, standings = heard.remembered, self.standings
        if any(each.is_account and len(each.keys) > 1 for each in subjects):
            keys = [key for each in subjects for key in (each.keys[:1] if each.is_account else each.keys)]
            standings = rows(keys) or ()
        if chosen and len(standings) < len(subjects):
            return True
        bits = out_bits(chosen)
        if not all(standing.own & bits == bits for standing in standings):
            return True
        if not (heard.ended or heard.has_states):
            return False
        held = Counter(source for standing in self.standings for source in standing.held)
        devices = sum(subject.is_device for subject in subjects)
        return any(held[state.source] < devices for state in heard.states()) or not heard.ended.isdisjoint(held)


@lru_cache(maxsize=1024)
def _place(places: frozenset[str]) -> str:
    return ",".join(sorted(places)) or UNKNOWN_PLACE


def is_young(age: str | None, standings: Sequence[Standing]) -> bool:
    return youngest(age, standings) != ADULT


@lru_cache(maxsize=4096)
def outcome_of(
    places: frozenset[str],
    said: frozenset[Purpose],
    gpc: bool,
    standings: tuple[Standing, ...],
    age: str | None,
    office: Office,
    said_in: GppSections = GppSections.BOTH,
) -> Outcome:
    """What holds for the person, whichever recipient asks. Remembered by its arguments, as what it is made from is."""
    allowed, _ = what_may(places, said, standings, age, office)
    denied = frozenset(purpose for purpose, may in allowed.items() if not may)
    return Outcome(denied, places, gpc, minor=is_young(age, standings), said_in=said_in)


@lru_cache(maxsize=4096)
def what_may(
    places: frozenset[str], said: frozenset[Purpose], standings: tuple[Standing, ...], age: str | None, office: Office
) -> tuple[Mapping[Purpose, bool], bool]:
    """Which purposes may be done at all: what the verdict says of anybody who is in order; and whether somebody said no
    to one. `said`: this request did. Remembered by its arguments: most people have no record and say nothing.
    """
    allowed = {
        purpose: purpose not in said and _verdict(purpose, places, standings, age, office).allowed
        for purpose in SIGNAL_PURPOSES
    }
    chosen = not said.isdisjoint(EVERY_SIGNAL)
    return allowed, chosen or any(standing.denies(purpose) for standing in standings for purpose in SIGNAL_PURPOSES)


def _verdict(
    purpose: Purpose, places: frozenset[str], standings: tuple[Standing, ...], age: str | None, office: Office
) -> Verdict:
    """The verdict on a recipient with everything in order: outside the business, or the business itself."""
    who = ANYBODY if purpose in OUTSIDE else OURSELVES
    question = Question(who, (purpose,), who.data, places, age, standings=standings, collected=office.on)
    return decide(question, office)


def widened(heard: Collection[Purpose]) -> frozenset[Purpose]:
    """What a signal denies: at a third party one of sale, sharing and targeted ads is all of them (R25)."""
    return frozenset(heard) if EVERY_SIGNAL.isdisjoint(heard) else EVERY_SIGNAL.union(heard)


def is_part(denied: frozenset[Purpose]) -> bool:
    """Whether it is some of the three that are one at a third party, and not all of them."""
    return not denied.isdisjoint(EVERY_SIGNAL) and not denied >= EVERY_SIGNAL


def kept_no(denied: frozenset[Purpose], own: Iterable[Standing]) -> frozenset[Purpose]:
    """What our own cookie denies. A no to one of the three is a no to all of them, as on record, until this browser
    says yes to one (`own`: its record); an account's yes is not the browser's.
    """
    yes = {p for p in SIGNAL_PURPOSES for standing in own if standing.opted_in(p)} - denied
    return denied | (EVERY_SIGNAL - yes) if is_part(denied) else denied


def said_of(standings: Sequence[Standing] | None, purpose: Purpose, said: Collection[Purpose] = NOTHING_SAID) -> Word:
    """What was said of one purpose, and holds, whatever the law of the place makes of it. `standings` None: they cannot
    be read; `said`: what the request denies itself.
    """
    if standings is None:
        return Word.UNKNOWN
    underneath = SIGNAL_PURPOSES if purpose is Purpose.THIRD_PARTY_MARKETING else ()  # a sale, whatever its name (R21)
    if any(each in said or any(one.denies(each) for one in standings) for each in (purpose, *underneath)):
        return Word.OPTED_OUT
    band = youngest(None, standings)
    yes = any(yes_bits(standing, band) & IN_SHIFTS.get(purpose, 0) for standing in standings)
    return Word.OPTED_IN if yes else Word.NONE


@lru_cache(maxsize=4096)
def words_said(standings: tuple[Standing, ...] | None, purposes: tuple[Purpose, ...]) -> Mapping[str, str]:
    """The same of several purposes, each in its word. Remembered by its arguments, and not to be changed."""
    return {purpose.value: said_of(standings, purpose).value for purpose in purposes}


def word_of(site: Site, purpose: Purpose, office: Office) -> Word:
    """What holds for one purpose: of a visitor, or of whoever `site` was asked about."""
    said = said_of(None if site.status == "unknown" else site.standings, purpose, site.said)
    if not said.may:
        return said
    verdict = _verdict(purpose, site.places, site.standings, None, office)
    if site.allowed.get(purpose, verdict.allowed):
        return said
    return Word.NEEDS_YES if verdict.reason in ASKS else Word.CLOSED


def of_no_home(site: Site) -> Site:
    """The same for the words of a page that others than its person may read: none tells by the law of it where somebody
    lives (R13). What may be done is left out, for it tells.
    """
    return replace(site, allowed={}, standings=tuple([replace(each, places=frozenset()) for each in site.standings]))


def word_of_grants(
    site: Site, recipient: Recipient, purpose: Purpose, grants: tuple[Grant, ...], office: Office
) -> Word:
    """What holds of a precise point that a person allowed one recipient (R7), as that recipient's own check says it.
    Where no place is known whose law could ban it, the yes: the strictest of all laws is nobody's own, and a point that
    goes brings its place along.
    """
    places = with_homes(site.places, site.standings) - NOWHERE
    if Purpose.SENSITIVE in site.said:
        return Word.OPTED_OUT  # by this browser's own cookie, which may be on no record
    if not places:
        return Word.OPTED_IN
    data = (DataClass.PRECISE_GEO,)
    question = Question(
        recipient, (purpose,), data, places, standings=site.standings, grants=grants, collected=office.on
    )
    verdict = decide(question, office)
    if verdict.allowed:
        return Word.OPTED_IN
    return Word.OPTED_OUT if verdict.reason is Reason.OPTED_OUT else Word.CLOSED


def why_restricted(site: Site, heard: Heard, office: Office) -> Reason | None:
    """Why something must not be done for a visitor, for shadow mode: a no of any purpose, an age and a ban come before
    whatever is only missing, which a verdict may name first; so nobody of them counts as somebody who was not asked.
    None: everything may be done.
    """
    if not site.restricted:
        return None
    if site.status == "unknown":
        return Reason.STORE_UNAVAILABLE
    if any(standing.denies(purpose) for standing in site.standings for purpose in CHOOSABLE):
        return Reason.OPTED_OUT
    if site.opted_out or site.said or heard.denied:
        said = next((each.source.partition(":")[0] for each in heard.said if each.purposes), "")
        return SIGNAL_REASONS.get(said, Reason.OPTED_OUT)
    if is_young(None, site.standings) or any(standing.grown for standing in site.standings):
        return Reason.AGE  # of a minor the law may only say that a yes is wanted, and a birthday opens nothing (R14)
    denied = [purpose for purpose, may in site.allowed.items() if not may]
    places = with_homes(site.places, site.standings)
    if any(office.law.strictest(places, purpose, office.on).rule is LawRule.BANNED for purpose in denied):
        return Reason.BANNED
    standings = alike(site.standings)
    reasons = [_verdict(purpose, site.places, standings, None, office).reason for purpose in denied]
    return next(filter(is_held, reasons), reasons[0])


@dataclass(frozen=True, slots=True)
class SiteAnswer:
    """`scope["state"]["gateway"]`, and `request.state.gateway` in Starlette and FastAPI.

    `sale`, `sharing`, `targeted_ads`: True where it may be done for this visitor, here and now. `status`: `honored`, a
    signal or choice holds; `none`, nobody said anything; `unknown`, the gateway did not find out, and nothing may be
    done. `place`: the places that counted, `US-CA` or several with commas, `unknown` for none. `gpc`: whether this very
    request said `Sec-GPC: 1`. The same as the headers say.
    """

    sale: bool = False
    sharing: bool = False
    targeted_ads: bool = False
    status: Status = "unknown"
    place: str = "unknown"
    gpc: bool = False

    @property
    def opted_out(self) -> bool:
        """Whether the visitor counts as opted out; True as well while nobody knows (R17)."""
        return self.status != "none"

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> "SiteAnswer":
        """The answer to an ASGI request. Where no gateway stood before the site, nothing may be done; never raises."""
        found = (scope.get("state") or {}).get("gateway")
        return found if isinstance(found, cls) else cls()


def brought_back(denied: frozenset[Purpose], mine: tuple[Standing, ...]) -> Heard:
    """What a browser's cookie denies, to be put on its record. A later yes of this very browser stands above it; an
    account's yes is not the browser's. `mine`: the browser's standings.
    """
    missing = _unrecorded(denied, mine)
    if not missing or any(standing.opted_in(purpose) for standing in mine for purpose in SIGNAL_PURPOSES):
        return Heard()
    return Heard((Said(Source.BROWSER_COOKIE, missing),))


@lru_cache(maxsize=4096)
def _unrecorded(denied: frozenset[Purpose], standings: tuple[Standing, ...]) -> frozenset[Purpose]:
    """What our own cookie denies and no record does: it was heard and honored on a first page, and the signal did not
    come again.
    """
    known = {p for p in SIGNAL_PURPOSES for standing in standings if standing.own_denies(p)}
    return denied.intersection(SIGNAL_PURPOSES) - known
