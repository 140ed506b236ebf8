"""What choices and observations of apps and backends have in common: a body read leniently, and what the answer holds
for an app (its device token, renewed, and what each SDK inside it may do; R8, R26, I8). The doors of choices and
observations call it.

A caller is an app if it has a publishable key or speaks of `device`. Forged and foreign tokens are listed, counted and
cost nothing. A key that is in everybody's app learns what stands on record of nobody but whom the call proves, and of
ids that no account has or had; of all others every member of an answer is that of who said no (R6).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import nsmallest
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from gateway.choice.downstream import stores
from gateway.choice.identity import kinds
from gateway.choice.place import country_of, place_code
from gateway.choice.question import Verdict
from gateway.choice.standing import Standing
from gateway.consent import installations, tokens
from gateway.consent.asked import Ask
from gateway.consent.check import said_by
from gateway.consent.choice_result import may_ask_from
from gateway.consent.installations import AgeOfCall, InstallationReading, Installations
from gateway.consent.people import INSTALLATION, Named
from gateway.consent.places import MAX_PLACES
from gateway.consent.still_out import Where, noes_that_hold
from gateway.consent.tokens import DeviceToken
from gateway.consent.verbs import Consent
from gateway.keys.api_keys import ApiKey
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Subject
from gateway.signals import hear
from gateway.signals.heard import Heard, KeptFor, Said
from gateway.state.lookup import Seen
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Malformed, Purpose, Reason
from gateway.web.shell import wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.problem import Problem
from gateway.web.shell.proof import KINDS, Proofs, listed

EVERY_SIGNAL = frozenset(SIGNAL_PURPOSES)
DeviceTokenSaid = Annotated[str | UnsetType | None, Meta(description="the token of the last answer; null: none yet")]
Store = Annotated[
    dict[str, str | int | None],
    Meta(description="keys for the phone's shared preferences, each with the type to write; null: remove it"),
]
Silence = Annotated[
    dict[str, wire.Time | None], Meta(description="null: never opted out. Nobody asks before that moment")
]
StandingWord = Literal["opted_out", "opted_in", "none", "unknown"]
START, LIMITED, STOP = "start", "limited", "stop"  # R8


class ToldToApp(Struct, kw_only=True):
    """What an app's phone and the SDKs inside it are told."""

    store: Store
    store_opted_out: Store
    sdks: Annotated[
        dict[str, Literal["start", "limited", "stop"]],
        Meta(
            description="by recipient; a word that is not known is stop. stop: do not start it; where it runs, shut it"
            " down and delete its stored id. limited: without what is denied. Until the first answer, and offline: stop"
        ),
    ]
    device: Annotated[
        str | UnsetType, Meta(description="to keep and to send with the next call; in answers to apps")
    ] = UNSET
    ignored: list[wire.IgnoredMember]


class StillOutBody(Struct):
    """A no that stands above a yes of what was proved. `where` it was said, seen from what was proved. `ends_by`: the
    kind of proof whose opt-in ends it; null: only who says it can stop saying it. Never whose it is, nor since when.
    """

    purpose: Annotated[str, wire.one_of(CHOOSABLE)]
    where: Where
    ends_by: str | None


MAX_IGNORED = 100  # what a person may read; a body can have tens of thousands of unknown members
Ignored = list[dict[str, str]]


class Body(Struct, frozen=True):
    """The members of one call. What could not be used goes to `ignored`, as (JSON pointer, reason). `channel` is the
    door's name in the counters.
    """

    members: Mapping[str, Any]
    channel: str
    consent: Consent
    metrics: Metrics
    ignored: Ignored = []
    at_once: int = wire.MAX_IDENTIFIERS  # of the identifiers; what goes beyond is `beyond`

    def ignore(self, pointer: str, reason: str) -> None:
        if len(self.ignored) < MAX_IGNORED:
            self.ignored.append({"pointer": pointer, "reason": reason})
        elif len(self.ignored) == MAX_IGNORED:
            self.ignored.append({"pointer": "", "reason": "and more"})

    def ignore_unknown(self, known: frozenset[str], members: Mapping[str, object], under: str = "") -> None:
        for name in nsmallest(MAX_IGNORED + 1, set(members) - known):
            self.ignore(f"{under}/{name[:64]}", "unknown")

    def named(self, place: object, *, no: bool = False) -> Named:
        """The identifiers; national phone numbers are read in the country of the place. `no`: of somebody who says no,
        which is theirs too whose kind is spelled otherwise.
        """
        items = self.members.get("identifiers")
        if not isinstance(items, list):
            self.ignore("/identifiers", "not a list")
            items = []
        if len(items) > wire.MAX_IDENTIFIERS:
            self.ignore(f"/identifiers/{wire.MAX_IDENTIFIERS}", "too many")  # from there on
        return self._named(self.at_hand(), place, 0, no=no)

    def at_hand(self) -> list[object]:
        """The identifiers that are taken at once, as they came."""
        items = self.members.get("identifiers")
        return items[: self.at_once] if isinstance(items, list) else []

    def beyond(self) -> Named:
        """Those of the identifiers of a no that are not taken at once."""
        items = self.members.get("identifiers")
        more = items[self.at_once : wire.MAX_IDENTIFIERS] if isinstance(items, list) else []
        return self._named(more, self.members.get("place"), self.at_once, no=True) if more else Named()

    def _named(self, items: list[object], place: object, first: int, *, no: bool) -> Named:
        named = self.consent.people.name(items, country_of(place))
        named = named.for_a_no() if no else named
        for index, reason in named.ignored:
            self.ignore(f"/identifiers/{first + index}", reason)
        self.metrics.malformed([Malformed(self.channel, reason) for _, reason in named.ignored])
        return named

    def unusable(self, *, unread: bool = False) -> Problem | StoreUnavailable:
        """For a no that names nobody; each identifier with why. `unread`: a proof may show somebody all the same."""
        if unread:
            return StoreUnavailable("whom the proof shows cannot be told at this moment")
        why = "no identifier of this call can be used"
        return Problem("nothing_usable", why, "/identifiers", because=self.ignored)

    def place(self) -> str:
        """The first place named, as it may stand in an entry: a country or a state, or nothing."""
        return place_code(self.members.get("place"))

    def places(self) -> str:
        """All that are named, as an entry has them: the strictest of them holds (R13)."""
        return ",".join(dict.fromkeys(filter(None, map(place_code, self._places()))))

    def _places(self) -> list[object]:
        stated = self.members.get("place")
        return [] if not stated else stated[:MAX_PLACES] if isinstance(stated, list) else [stated]

    def tell_of_place(self) -> None:
        """Lists each place that cannot be read."""
        for each in self._places():
            if not place_code(each):
                self.ignore("/place", "neither ISO 3166-1 nor 3166-2")
        if isinstance(stated := self.members.get("place"), list) and len(stated) > MAX_PLACES:
            self.ignore(f"/place/{MAX_PLACES}", f"more than {MAX_PLACES}")

    def band(self) -> str | None:
        """The age that a call tells of, as a band; without what the operating system tells."""
        return self._band(self.members.get("age"), "/age")

    def bracket(self) -> str | None:
        """The age bracket that an operating system tells, as a band: it only makes younger."""
        return self._band(self._bracket(), f"/signals/{hear.AGE}")

    def _band(self, stated: object, pointer: str) -> str | None:
        if stated is None:
            return None
        found = _quiet(stated)
        if found is None:
            self.ignore(pointer, "neither years nor a band")
        return found

    def quiet_band(self) -> str | None:
        """The youngest of both, where they were listed before."""
        said = [each for each in (self.members.get("age"), self._bracket()) if each is not None]
        return wire.youngest(*map(_quiet, said)) if said else None

    def _bracket(self) -> object:
        signals = self.members.get("signals")
        return signals.get(hear.AGE) if isinstance(signals, Mapping) else None

    def heard(self, key: ApiKey) -> Heard:
        """The signals. They can only tighten, but that a device's own state ends: of a key that is in everybody's app
        that of its installation alone, which the writer sees to.
        """
        stated = self.members.get("signals")
        if not stated:
            return hear.SILENT
        if not isinstance(stated, Mapping):
            self.ignore("/signals", "not an object")
            return hear.SILENT
        self.ignore_unknown(hear.KNOWN, stated, "/signals")
        heard = hear.from_script(stated, self.consent.checks.hearing)
        for item in heard.malformed:
            self.ignore(f"/signals/{item.channel}", item.reason)
        self.metrics.heard(self.channel, heard)
        if heard.malformed:  # the answer says no, as a check's would; nothing of it is written
            heard = heard.beside(Heard((Said("malformed", EVERY_SIGNAL, KeptFor.MOMENT),)))
        return replace(heard, vendors=frozenset()) if key.publishable else heard


def _quiet(stated: object) -> str | None:
    try:
        return wire.band(stated)
    except Problem:
        return None


# What anybody may know of somebody.
TYPED = frozenset({"account", "email", "phone", *kinds.DIGESTS} - {*kinds.AD_ID_DIGESTS})
FORGED = Malformed("device_token", "seal")
NOBODY = frozenset[bytes]()
# Of whom an SDK with a mode without a person still shows ads: who said no, by a choice or by what the call says.
REFUSED_BY = frozenset({
    Reason.OPTED_OUT, Reason.GPC, Reason.US_PRIVACY, Reason.CMP_COOKIE, Reason.GPP, Reason.TCF,
    Reason.ADDITIONAL_CONSENT, Reason.AD_CHOICES, Reason.DEVICE, Reason.LIMITED,
})  # fmt: skip


class App(Struct, frozen=True):
    """`named`: whom the call names and shows: the account that was proved, and the phone where no id of it can be used.
    `token` None: the caller is no app; `known`: it brought the token. `attested`: ids that the operator's backend
    vouched for. `dev`: a development proof, of everybody. `everybodys`: the key is a publishable one; `instead`: the
    answer is made from this, and not from what stands on record. What is written is written all the same.
    """

    named: Named
    token: DeviceToken | None = None
    account: Subject | None = None
    attested: frozenset[bytes] = NOBODY
    dev: bool = False
    known: bool = False
    everybodys: bool = False
    instead: tuple[Standing, ...] = ()
    refused: frozenset[bytes] = NOBODY  # ids that the token takes in no more
    shown: frozenset[bytes] = NOBODY  # what else was proved: a mailbox, a number, a browser
    own: bool = True  # whom the call itself names are in `named`; of confirm those are of the first act
    unread: bool = False  # whom a proof of the call shows cannot be told just now
    beyond: bool = False  # more was named than is entered at once: of what waits nothing is known yet

    @property
    def strict(self) -> bool:
        """Whether the answer is that for who said no."""
        return bool(self.instead)

    @property
    def made(self) -> list[Subject]:
        """The installation that was made for this call, where it says it itself: whoever sends the call again, for its
        answer was lost, gets another one, and the no has to be that one's too.
        """
        return [] if self.known else [each for each in self.named.subjects if each.kind == INSTALLATION]

    @property
    def details(self) -> dict[str, str]:
        """The mark under which a choice remembers the installation that made it."""
        return {"device": self.token.mark} if self.token else {}

    @property
    def unproved(self) -> frozenset[bytes]:
        """Whom a key that is everybody's names and nothing shows, whatever the kind: of one that no account has it may
        ask whether an SDK may start, and nothing else. An installation is shown by its token, which alone names it.
        """
        named = self.named.subjects if self.everybodys and not self.dev else ()
        own = {self.account.key} if self.account else NOBODY
        return frozenset(each.key for each in named if each.kind != INSTALLATION) - self.attested - self.shown - own

    @property
    def mark(self) -> str:
        """Whose states begin and end by this call; empty: those of the ids as such."""
        return self.token.mark if self.token and self.everybodys and not self.dev else ""


@dataclass(slots=True)
class Starts:
    """How many starts of a key were answered in the last hour, and how many of them as for who said no."""

    share: float
    clock: Callable[[], datetime]
    hour: int = 0
    seen: dict[str, list[int]] = field(default_factory=dict)
    LEAST = 100  # starts, before a share says anything

    def count(self, key: str, *, strict: bool) -> bool:
        """Counts one start; whether there are too many."""
        now = int(self.clock().timestamp()) // 3600
        if now != self.hour:
            self.hour, self.seen = now, {}
        counts = self.seen.setdefault(key, [0, 0])
        counts[0] += 1
        counts[1] += strict
        return counts[0] >= self.LEAST and counts[1] > self.share * counts[0]


class Apps:
    """Reads calls of apps and words answers to them. `sdks`: the recipients whose code runs inside the app; `alarm`: of
    which part of a key's starts it is too many to be answered as for who said no.
    """

    def __init__(
        self,
        consent: Consent,
        known: Installations,
        proofs: Proofs,
        metrics: Metrics,
        sdks: tuple[str, ...],
        *,
        alarm: float = 0.5,
    ) -> None:
        self._consent = consent
        self._installations = known
        self._proofs = proofs
        self._metrics = metrics
        self._sdks = sdks
        self._starts = Starts(alarm, consent.clock)

    async def read(self, body: Body, key: ApiKey, named: Named, act: bytes = b"") -> App:
        """Before anything of the call is written."""
        token, known = self._token(body, key)
        account, attested, dev, unread = await self._proved(body, key, named, act)
        of_phone = installations.ids(named.subjects)
        if account:
            named = named.beside([account])
        app = App(named, None, account, attested, dev, known, key.publishable, unread=unread)
        if token is None:
            return app
        proved = {each.key for each in of_phone if account}  # how many an account may claim is bounded by itself
        token, refused = self._installations.told(token, of_phone, proved, attested)
        if not of_phone and (known or named.ignored):
            named = named.beside([self._installations.subject(token)])
        return structs.replace(app, named=named, token=token, refused=refused)

    def opening(self, body: Body, key: ApiKey, named: Named, proved: tuple[Subject, ...] = ()) -> App:
        """The same for what opens, whose proof was not read here: `proved` is who was."""
        token, known = self._token(body, key)
        account = next((each for each in proved if each.is_account), None)
        vouched = frozenset(each.key for each in installations.ids(proved))
        dev = self._proofs.is_dev(body.members.get("proof"))
        named = named.beside([account] if account else [])
        shown = frozenset(each.key for each in proved)
        app = App(named, None, account, vouched, dev, known, key.publishable, shown=shown)
        if token is None:
            return app
        token, refused = self._installations.told(token, named.subjects, vouched, ())
        return structs.replace(app, token=token, refused=refused)

    def _token(self, body: Body, key: ApiKey) -> tuple[DeviceToken | None, bool]:
        """The caller's token or a new one, and whether it was the caller's."""
        stated = body.members.get("device")
        for proof in listed(body.members.get("proof")) if stated is None else ():
            stated = proof.get("token") if proof.get("kind") == "device" else stated
        token = self._installations.read(stated)
        if stated is not None and token is None:
            body.ignore("/device", "not ours")
            self._metrics.malformed([FORGED])
        if token is not None:
            return token, True
        return (tokens.new() if key.publishable or "device" in body.members else None), False

    async def _proved(
        self, body: Body, key: ApiKey, named: Named, act: bytes
    ) -> tuple[Subject | None, frozenset[bytes], bool, bool]:
        """Who is signed in, which ids somebody vouched for, whether that is a development proof, and whether a proof
        could not be read just now. One that cannot be verified costs nothing.
        """
        stated = body.members.get("proof")
        if not stated or key.revoked:
            return None, NOBODY, False, False
        if self._proofs.is_dev(stated):
            accounts = [subject for subject in named.subjects if subject.is_account]
            return (accounts[0] if len(accounts) == 1 else None), NOBODY, True, False
        account, phone, unread = await self._proofs.shown(stated, act)
        said = {str(each.get("kind")) for each in listed(stated)}
        lost = (account is None and "account" in said) or (phone is None and "attestation" in said)
        if lost or not said or said - KINDS:
            body.ignore("/proof", "not verified")
        if phone is None:
            return account, NOBODY, False, unread
        attested = frozenset({each.key for each in named.subjects} & phone.keys)
        return account or phone.account, attested, False, unread

    async def follow(self, app: App) -> App:
        """What a call tells beside its own words: whose phone this is, and what its ids have from each other. From then
        on it is known whether the answer may tell what stands on record.
        """
        subjects = app.named.subjects
        if app.token and app.account:
            of_phone = {each.key for each in installations.ids(subjects)}
            await self._installations.tie(app.token, subjects, app.account, of_phone if app.dev else app.attested)
        reading = self._reading(app)
        if app.token:
            await self._installations.follow(app.token, subjects, reading)
        return self._settled(app, reading)

    def settled(self, app: App) -> App:
        """The same where nothing is written: whether the answer may tell what stands on record."""
        return self._settled(app, self._reading(app))

    def _settled(self, app: App, reading: InstallationReading) -> App:
        if app.beyond:
            return self._strictly(app)
        if not app.everybodys or app.dev:
            return app
        typed = all(self._may_read_typed(app, each) for each in app.named.subjects if each.kind in TYPED)
        return self._strictly(app) if reading.unread or reading.enough or not typed else app

    def _strictly(self, app: App) -> App:
        phone = self._installations.subject(app.token).keys if app.token else ()
        known = [*app.named.keys, *phone, *(app.token.keys if app.token else ())]
        return structs.replace(app, instead=self._consent.checks.said_no(dict.fromkeys(known)))

    def unsettled(self, app: App) -> App:
        """While nothing can be written or looked up: nothing is told."""
        return self._strictly(app) if app.beyond or (app.everybodys and not app.dev) else app

    def _may_read_typed(self, app: App, subject: Subject) -> bool:
        """Whatever of a person is named has to be the proved account's own."""
        account = app.account
        own = account is not None and (subject.key == account.key or self._consent.checks.tied(account, subject))
        return own or subject.key in app.shown

    def _reading(self, app: App) -> InstallationReading:
        """Of ids that no account has or had anybody may know what holds: an app without accounts starts its SDKs. Of
        the others with the account's assertion, or where somebody vouches for the id with this very call.
        """
        if not app.everybodys or app.dev:
            return InstallationReading()
        proved = bool(app.account or app.attested)
        before = app.token.attested if app.token and proved else NOBODY
        ids = [each for each in app.named.subjects if each.kind not in TYPED and each.kind != "device"]
        had = (
            [Subject("device", "", (key,)) for key in app.token.others([each.key for each in ids])] if app.token else []
        )
        unread, linked = set[bytes](), set[bytes]()
        for subject in (*ids, *had):
            found = self._consent.checks.links_of(subject)
            if found is None or found:
                linked.add(subject.key)
            mine = {owner for owner, _, live in found or () if live}
            shown = subject.key in app.attested or subject.key in app.shown
            if found == [] or shown or (subject.key in before and subject in had):
                continue
            if app.account is None or app.account.key not in mine:
                unread.add(subject.key)
        enough = any(key not in linked for key in app.refused)
        return InstallationReading(frozenset(unread), frozenset(linked), enough)

    async def say_age(self, app: App, body: Body, key: ApiKey) -> int:
        """How old an app says that its person is (R14): of the account and of ids that are shown to be the
        caller's it counts for good, else it is the installation's word for itself and for ids that no account has. An
        age that comes with the account's proof takes the installation's word back. Returns how many entries that took.
        """
        stated, bracket = body.band(), body.bracket()
        if not (stated or bracket):
            return 0
        subjects = app.named.subjects
        if not app.everybodys or app.dev or app.token is None:
            youngest = wire.youngest(stated, bracket)
            may_rise = key.may("desk") and not app.named.respelled
            return await self._consent.say_age(subjects, youngest, may_rise=may_rise) if youngest else 0
        said = AgeOfCall(subjects, app.account, app.attested, stated, bracket)
        return await self._installations.say_age(app.token, said)

    def count(self, app: App, key: ApiKey) -> None:
        """Counts one start of an app."""
        if app.everybodys:
            too_many = self._starts.count(key.name, strict=app.strict)
            self._metrics.started(key.name, strict=app.strict, alarm=too_many)

    def standing(self, app: App, purposes: Sequence[Purpose], seen: Seen | None) -> dict[str, str]:
        """Of whom the call names and shows; `seen`: of them."""
        return said_by(app.instead or (seen and seen.alike), purposes)

    async def still_out(
        self, app: App, subjects: Sequence[Subject], standing: Mapping[str, str], purposes: Sequence[Purpose]
    ) -> list[dict[str, str | None]]:
        """The member `still_out` of an answer: of `subjects`, who are proved. Of whatever else denies, and in a strict
        answer of everybody but the installation, that it does and what opens an id of a phone, in the same words
        whatever stands there.
        Raises `StoreUnavailable`.
        """
        whose = [each for each in subjects if each.kind == INSTALLATION] if app.strict else subjects
        found = noes_that_hold(await self._consent.still_out(whose, purposes)) if whose else []
        named, order = {each["purpose"] for each in found}, {purpose.value: n for n, purpose in enumerate(purposes)}
        more = [name for name in order if app.token and standing.get(name) == "opted_out" and name not in named]
        found += [{"purpose": name, "where": Where.LINKED.value, "ends_by": "attestation"} for name in more]
        return sorted(found, key=lambda each: order.get(str(each["purpose"]), 0))

    def silence(self, purposes: tuple[str, ...]) -> dict[str, str | None]:
        """Until when somebody who said no just now is not asked again."""
        now = int(self._consent.clock().timestamp() * 1000)
        return dict.fromkeys(purposes, may_ask_from(now))

    def seen(self, app: App) -> Seen | None:
        """What stands of those whose standing the answer obeys, the phone among them; what the token remembers comes
        with it. All of an answer is told by it, as of one moment; a strict one by nothing on record.
        """
        return None if app.strict else self._consent.checks.seen(self._obeyed(app).subjects, app.token)

    def _obeyed(self, app: App) -> Named:
        return app.named.beside([self._installations.subject(app.token)]) if app.token else app.named

    def kept(self, app: App, heard: Heard, place: object, seen: Seen | None) -> Mapping[str, object]:
        """The members `store` and `store_opted_out`."""
        outcome = self._consent.checks.outcome(app.instead or (seen and seen.alike), heard, place)
        return stores(outcome.all_denied() if app.strict or app.named.limited else outcome)

    def told(self, app: App, body: Body, seen: Seen | None) -> dict[str, Any]:
        """The members `sdks` and, for apps, `device`."""
        told: dict[str, Any] = {"sdks": self._words(app, body, seen)}
        return told | ({"device": self._installations.text(app.token)} if app.token else {})

    def _words(self, app: App, body: Body, seen: Seen | None) -> dict[str, str]:
        signals, recipients = body.members.get("signals"), self._consent.recipients
        named = self._obeyed(app) if app.own else self._asked(app, body)
        if app.strict:  # of nobody; but what the call has that cannot be used is no secret, and denies
            named = named._replace(subjects=(), tokens=(), respelled=())
        ask = Ask(
            self._sdks,
            named=named,
            seen=seen if app.own else None,
            token=None if app.strict else app.token,
            place=body.members.get("place"),
            age=body.quiet_band(),
            signals=signals if isinstance(signals, Mapping) else {},
            instead=app.instead,
        )
        verdicts = self._consent.checks.check(ask).verdicts
        return {
            name: _word(verdict, contextual=name in recipients and recipients[name].contextual)
            for name, verdict in verdicts.items()
        }

    def _asked(self, app: App, body: Body) -> Named:
        """Of a call that names others beside those whose act it is: both."""
        named = self._consent.people.name(body.at_hand(), country_of(body.members.get("place")))
        return named.beside(self._obeyed(app).subjects)


def _word(verdict: Verdict, *, contextual: bool) -> str:
    """`contextual`: the SDK has a documented mode in which it shows ads without a person."""
    if verdict.allowed:
        return START
    return LIMITED if verdict.partly or (contextual and verdict.reason in REFUSED_BY) else STOP
