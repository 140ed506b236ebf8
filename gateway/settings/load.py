"""Settings: the operator's file under the environment, checked to the last key. Only the composition root and the
command line read them.

A misspelt key, a wrong type or an unknown environment variable of ours refuses to start: a setting that is silently
ignored is how an opt-out is lost. Each option's default stands beside its type. What states something of one operator
has none: until it is said it is shut, and what stands there is what denies most. `gateway.settings.unsaid` tells which.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from difflib import SequenceMatcher
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from gateway.choice.downstream import GppSections
from gateway.choice.keywords import SENSITIVE_WORDS
from gateway.choice.place import US, country_of
from gateway.choice.recipient import Recipient
from gateway.delivery.guard import leads_inside, network_of
from gateway.settings.brand import BrandSettings, SiteOfHosts, inherited, wrong_sites
from gateway.settings.option_tree import NotShaped, OptionSource, SettingsRefused, built, is_too_deep
from gateway.settings.recipients import RecipientSettings, SystemSettings
from gateway.settings.sections import (
    AgentSettings,
    AppsSettings,
    CodesSettings,
    Delivery,
    DeskSettings,
    Erasure,
    LawSettings,
    Ledger,
    MailSettings,
    PlaceSettings,
    RehearsalSettings,
    Replicas,
    Retention,
    ShadowSettings,
    StoreSettings,
    TextsSettings,
    WitnessSettings,
)
from gateway.settings.shapes import (
    Address,
    CalendarDay,
    CasedName,
    CookieName,
    Country,
    FilePath,
    Host,
    HouseNetwork,
    Label,
    LocalFile,
    Mailbox,
    Name,
    OptionalAddress,
    OptionalDomain,
    OptionalOrigin,
    OptionalPlace,
    OptionPath,
    Origin,
    Paragraphs,
    PathBeginning,
    PlaceKey,
    PublicUrl,
    Shape,
    Stated,
    Text,
    Wrong,
    matches,
)
from gateway.terms import ACCOUNT_BACKEND, AD_CHOICE_PURPOSES, CHOOSABLE, SIGNAL_PURPOSES, TEXTS, Purpose, Role

PREFIX = "GATEWAY_"
PRODUCTION = "production"
LARGEST_FILE = 2**28  # bytes of one that an option names; outlines of all countries have some 2**25
LONGEST_FILE = 2**20  # bytes of a configuration; the example has some 31,000
FILE_VARIABLE = "GATEWAY_CONFIG"  # where the operator's file is, for who names none
OTHER_VARIABLES = frozenset({"GATEWAY_DATA", FILE_VARIABLE})  # no options
STRICTEST_FLOOR = 18  # years; the highest age floor that an operator may state
MISSPELT = 0.8  # how alike two words are of which one is the other with a slip
PRODUCTION_TOO = frozenset({"prod", "prd", "live"})
HSTS = r"(max-age=[0-9]{1,10}(; includeSubDomains)?(; preload)?)?"


def _is_environment(text: str) -> bool:
    """A name that is `production`, or cannot be meant as that: elsewhere nobody is told of an opt-out (I24)."""
    meant = text in PRODUCTION_TOO or SequenceMatcher(None, text, PRODUCTION).ratio() >= MISSPELT
    return re.fullmatch(r"[a-z][a-z0-9-]{0,31}", text) is not None and (text == PRODUCTION or not meant)


EnvironmentName = Annotated[
    str, Shape(_is_environment, "is no name in lower case, or production misspelt", '"production", "staging", "test"')
]
Hsts = Annotated[
    str, Shape(matches(HSTS), "is not as RFC 6797 has it", '"max-age=31536000; includeSubDomains"', empty=True)
]
OptOutCookie = Annotated[
    str,
    Shape(
        matches(r"(?i)[a-z0-9_-]*opt[_-]?out"),
        "does not end in optout, by which servers know it",
        '"ad_choices_optout"',
        longest=128,
    ),
]


class StrictSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Environment(StrictSettings, frozen=True):
    name: EnvironmentName = "production"

    @property
    def is_production(self) -> bool:
        return self.name == PRODUCTION

    def log_name(self, stated: str) -> str:
        """A log's name as this environment may bear it: two logs that sign under one name are a fork (I24)."""
        other = "" if self.is_production or not stated else f"/{self.name}"
        return stated.removesuffix(other) + other


class Listen(StrictSettings, frozen=True):
    public: Address = "127.0.0.1:8080"
    internal: Address = "127.0.0.1:8081"
    metrics: Address = "127.0.0.1:8082"
    desk: OptionalAddress = ""
    keep_alive: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 75
    trusted_proxies: tuple[HouseNetwork, ...] = ("127.0.0.1", "::1")
    level_answers: bool = True


class SiteSettings(BrandSettings, frozen=True, kw_only=True):
    url: OptionalOrigin = ""
    hsts: Hsts = "max-age=31536000; includeSubDomains"
    policy_file: LocalFile = ""
    origins: tuple[Origin, ...] = ()
    enforce: bool = False
    ad_paths: tuple[PathBeginning, ...] = ()
    service_workers: tuple[FilePath, ...] = ()
    cached: bool = False
    place_in_key: PlaceKey = ""
    mode: Literal["link", "frictionless", "no_link"] = "link"
    inventory: bool = False

    def own_origins(self) -> tuple[str, ...]:
        """Whose pages may post to ours; `url` too, for a proxy that hands on another Host than people asked for."""
        return (*self.origins, self.url) if self.url else self.origins


class Controller(StrictSettings, frozen=True):
    name: Stated = ""
    address: Paragraphs = ""
    contact: Stated = ""
    email: Mailbox = ""
    phone: Stated = ""
    url: PublicUrl = ""
    jurisdiction: OptionalPlace = ""
    storage_locations: tuple[Name, ...] = ()
    retention: Paragraphs = ""
    withdrawal: Paragraphs = ""


class Gpc(StrictSettings, frozen=True):
    last_update: CalendarDay | None = None
    add_for_opted_out: bool = False


class Browser(StrictSettings, frozen=True):
    remember_gpc: Literal["id", "flag", "off"] = "id"
    embedded: bool = False
    site_ids: tuple[CookieName, ...] = ()


class Account(StrictSettings, frozen=True):
    header: bool = True


class PhoneSettings(StrictSettings, frozen=True):
    country: Country = ""
    countries: tuple[Country, ...] = ()


class Age(StrictSettings, frozen=True):
    floor: Annotated[int, msgspec.Meta(ge=0, le=STRICTEST_FLOOR)] = STRICTEST_FLOOR


class Signals(StrictSettings, frozen=True):
    device_limit_travels: bool = False
    gpp_sections: GppSections = GppSections.BOTH
    record_gpc: Literal["all", "known"] = "all"

    @property
    def leaves_gpc(self) -> bool:
        """Whether GPC of a browser that nothing but our cookie names is left unwritten."""
        return self.record_gpc == "known"


class AdChoicesSettings(StrictSettings, frozen=True):
    participant: Annotated[int, msgspec.Meta(ge=0, le=4095)] = 0  # 12 bits in the AdChoices signal
    purposes: tuple[Purpose, ...] = (Purpose.TARGETED_ADS, Purpose.SHARING)
    redirect_hosts: tuple[Host, ...] = ("optout.aboutads.info", "www.aboutads.info", "dev.aboutads.info")
    referers: tuple[Host, ...] = ("optout.aboutads.info", "www.aboutads.info", "dev.aboutads.info")
    cookie: OptOutCookie = "ad_choices_optout"
    cookie_domain: OptionalDomain = ""
    iba_cookies: tuple[CookieName, ...] = ()


class NoticeGap(StrictSettings, frozen=True, rename={"start": "from"}):
    start: CalendarDay
    until: CalendarDay
    surface: Literal["", "web", "app"] = ""


class NoticeSettings(StrictSettings, frozen=True):
    told_everyone: CalendarDay = date.min
    wait_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 3
    gaps: tuple[NoticeGap, ...] = ()


class Cpni(StrictSettings, frozen=True):
    module: bool = False


class Aggregate(StrictSettings, frozen=True):
    least: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 10


class Identifiers(StrictSettings, frozen=True):
    declared: tuple[Label, ...] = ()


class Keywords(StrictSettings, frozen=True):
    vocabulary: tuple[Text, ...] = ()
    sensitive: tuple[Name, ...] = SENSITIVE_WORDS


class Share(StrictSettings, frozen=True):
    send_window_ms: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 250
    max_rows: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    max_mib: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 16


class Settings(StrictSettings, frozen=True, dict=True):  # `dict`: where they were said is beside what they are
    environment: Environment = Environment()
    listen: Listen = Listen()
    site: SiteSettings = SiteSettings()
    sites: dict[Label, SiteOfHosts] = {}
    controller: Controller = Controller()
    gpc: Gpc = Gpc()
    browser: Browser = Browser()
    account: Account = Account()
    apps: AppsSettings = AppsSettings()
    mail: MailSettings = MailSettings()
    texts: TextsSettings = TextsSettings()
    codes: CodesSettings = CodesSettings()
    phone: PhoneSettings = PhoneSettings()
    age: Age = Age()
    signals: Signals = Signals()
    notice: NoticeSettings = NoticeSettings()
    cpni: Cpni = Cpni()
    aggregate: Aggregate = Aggregate()
    store: StoreSettings = StoreSettings()
    ledger: Ledger = Ledger()
    replicas: Replicas = Replicas()
    retention: Retention = Retention()
    witnesses: dict[Label, WitnessSettings] = {}
    consent_tools: dict[Label, dict[CasedName, Literal["sale", "ads"]]] = {}
    ad_choices: AdChoicesSettings = AdChoicesSettings()
    law: LawSettings = LawSettings()
    places: PlaceSettings = PlaceSettings()
    identifiers: Identifiers = Identifiers()
    keywords: Keywords = Keywords()
    share: Share = Share()
    desk: DeskSettings = DeskSettings()
    erasure: Erasure = Erasure()
    agents: dict[Label, AgentSettings] = {}
    delivery: Delivery = Delivery()
    rehearsal: RehearsalSettings = RehearsalSettings()
    shadow: ShadowSettings = ShadowSettings()
    systems: dict[Label, SystemSettings] = {}
    recipients: dict[Label, RecipientSettings] = {}

    @property
    def source(self) -> OptionSource:
        """Where each was said; nowhere, where a program made them."""
        return self.__dict__.get("said_in") or OptionSource()

    def refused(self, *path: str | int, why: str, write: str = "") -> SettingsRefused:
        """What is said of an option that cannot stand as it is."""
        return self.source.refused(Wrong(path, why, write))

    def may_be_in_the_us(self) -> bool:
        """Whether the site has visitors in the United States: it says so, or does not say where it is instead."""
        stated = country_of(self.controller.jurisdiction)
        return stated in {US, ""} or any(country_of(place) == US for place in self.site.notices)

    def place_key(self) -> str:
        """By which headers shared caches keep pages of different places apart, as `Vary` has them; `same`; or none."""
        key = self.site.place_in_key
        return ", ".join(self.places.headers()) if key and self.places.header else key

    def file_at(self, section: str, option: str) -> Path:
        """The file that an option names. Raises `SettingsRefused` where none is: no device, which never ends."""
        path = Path(getattr(getattr(self, section), option))
        if not path.is_file():
            raise self._no_file(section, option, "there is no such file")
        return path

    def contents(self, section: str, option: str) -> bytes:
        """What is in the file that an option names. Raises `SettingsRefused`."""
        path = self.file_at(section, option)
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise self._no_file(section, option, "the file is larger than 256 MiB")
            return path.read_bytes()
        except OSError as error:
            raise self._no_file(section, option, f"the file: {error.strerror}") from None

    def _no_file(self, section: str, option: str, why: str) -> SettingsRefused:
        return self.refused(section, option, why=why, write="the path of a file that is there and can be read")

    def refuse_on(self, day: date) -> None:
        """Raises `SettingsRefused` for what cannot be true yet on a day: nobody was told of anything tomorrow, where a
        day's leeway is for zones of time; and for a shadow mode that would be forgotten.
        """
        if self.notice.told_everyone > day + timedelta(days=1):
            why, write = "has not come", "the day of the last notice that everybody was sent"
            raise self.refused("notice", "told_everyone", why=f"{self.notice.told_everyone} {why}", write=write)
        if self.signals.leaves_gpc and self.browser.remember_gpc == "off":
            why = '"known" leaves it to our cookie to remember GPC, and with browser.remember_gpc = "off" there is none'
            raise self.refused("signals", "record_gpc", why=why, write='"all", or browser.remember_gpc = "id"')
        for wrong in self.shadow.wrong_on(day, enforce=self.site.enforce):
            raise self.source.refused(wrong)

    def registry(self, *, dev: bool = False) -> dict[str, Recipient]:
        """The recipients as the verdict knows them. `dev` fills in what an operator has to vouch for (contract,
        transfer basis, announcement), and hands rows back where there is no endpoint to send them to (R28). Raises
        `SettingsRefused` for one whose rows would go to an address that nothing is sent to.
        """
        real, allowed = self.environment.is_production, self.delivery.allowed(dev=dev)
        found = {name: item.recipient(name, dev=dev, production=real) for name, item in self.recipients.items()}
        for name, item in found.items():
            host = urlsplit(item.endpoint).hostname or ""
            if item.mode == "forward" and leads_inside(host, allowed):
                path = ("recipients", name, "endpoint" if real else "sandbox_endpoint")
                write = f'another one, or for one of your own [delivery] networks = ["{network_of(host)}"]'
                raise self.refused(*path, why="rows are sent to addresses of the public internet", write=write)
        return found

    def deliveries(self) -> dict[str, str]:
        """Where messages about people go, by recipient; without an endpoint, and outside production (I24), they wait
        for the desk.
        """
        if not self.environment.is_production:
            return {}
        stated = {name: item.deliveries for name, item in self.recipients.items()}
        stated[ACCOUNT_BACKEND] = self.erasure.account_backend
        return {name: endpoint for name, endpoint in stated.items() if endpoint}

    def system_rows(self) -> list[tuple[str, str, bool]]:
        """The operator's own systems as the ledger's table has them: name, kinds, whether told of noes."""
        stated = self.systems.items()
        return [(name, ",".join(sorted(item.identifiers)), item.suppressions) for name, item in stated]

    def bid_extensions(self) -> dict[str, frozenset[str]]:
        """By recipient, the members of `ext` objects that a bid request keeps for it."""
        return {name: frozenset(item.extensions) for name, item in self.recipients.items()}

    def provider_hosts(self) -> tuple[str, ...]:
        """Hosts that pages of opted-out people may still talk to."""
        provided = (item.hosts for item in self.recipients.values() if item.role is Role.SERVICE_PROVIDER)
        return tuple(sorted(host for hosts in provided for host in hosts))


def example_file() -> Path:
    """The shipped config.toml, which models one operator and is beneath nobody's file: inside the wheel, or beside the
    package in a checkout.
    """
    package = Path(__file__).parent.parent
    inside = package / "config.toml"
    return inside if inside.is_file() else package.parent / "config.toml"


def example() -> str:
    """Its text."""
    return example_file().read_text(encoding="utf-8")


def load_settings(file: Path | None, environment: Mapping[str, str]) -> Settings:
    """What the file says, or the one that GATEWAY_CONFIG names, under the environment. Raises `SettingsRefused`."""
    named = environment.get(FILE_VARIABLE, "")
    file = file or (Path(named) if named else None)
    text, stated = _read_file(file) if file is not None else ("", {})
    return built_settings(stated, environment, file, text)


def built_settings(
    stated: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None, text: str = ""
) -> Settings:
    """What was read of a file, with its text for where each option stands, under the environment. Raises
    `SettingsRefused`.
    """
    said = {**stated}
    source = OptionSource(file, text, _from_environment(said, environment))
    inherited(said)
    try:
        settings: Settings = built(Settings, said, source)
    except NotShaped as error:
        raise source.refused(error.wrong) from None
    wrong = next(_wrong(settings), None)
    if wrong is not None:
        raise source.refused(wrong)
    settings.__dict__["said_in"] = source
    return settings


def text_of(file: Path | None) -> str:
    """What stands in the operator's file now, for a process that builds settings of it later; nothing without a file.
    Raises `SettingsRefused`.
    """
    return _read_file(file)[0] if file is not None else ""


def _read_file(file: Path) -> tuple[str, dict[str, Any]]:
    """The operator's file, as it is and as TOML has it. Raises `SettingsRefused`."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(LONGEST_FILE + 1)
        text = raw.decode("utf-8-sig")  # some editors begin with a byte order mark
        stated = tomllib.loads(text)
    except OSError as error:
        raise SettingsRefused(
            f"{file}: cannot be read: {error.strerror}; write another path, or who may read it"
        ) from None
    except UnicodeDecodeError:
        raise SettingsRefused(f"{file}: is no text; write it in UTF-8") from None
    except (ValueError, RecursionError) as error:  # not TOML, a number of a million digits, a thousand brackets
        raise SettingsRefused(_not_toml(file, error)) from None
    if len(raw) > LONGEST_FILE or is_too_deep(stated):
        raise SettingsRefused(f"{file}: is no configuration of ours; write what `gateway config show` shows, changed")
    return text, stated


def _not_toml(file: Path, error: Exception) -> str:
    """What TOML's reader said, in our form and without what stands in the file."""
    told, _, place = str(error).partition(" (at line ")
    line = f":{place.partition(',')[0]}" if place else ""
    why = told.partition("'")[0].rstrip(" :") or type(error).__name__
    return f"{file}{line}: no TOML: {why}; write it as https://toml.io has it"


def _from_environment(stated: dict[str, Any], environment: Mapping[str, str]) -> dict[OptionPath, str]:
    """GATEWAY_SECTION__KEY over what the file says. Tables are for the file: a list is written with commas. Returns
    which variable said which option. Raises `SettingsRefused`.
    """
    said: dict[OptionPath, str] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        if len(path) == 1:
            raise SettingsRefused(f"{variable}: is none of ours; write GATEWAY_SECTION__KEY, with two underscores")
        if path in said:
            raise SettingsRefused(f"{variable}: {said[path]} says the same option; write one of them")
        target: Any = stated
        for part in path[:-1]:
            inner = target.get(part, {})
            if not isinstance(inner, dict):
                raise SettingsRefused(f"{variable}: {part} is no section; write GATEWAY_SECTION__KEY")
            target[part] = target = {**inner}  # what was read stays as it is
        target[path[-1]] = text
        said[path] = variable
    return said


def _wrong(settings: Settings) -> Iterator[Wrong]:
    """What the shapes cannot say."""
    yield from _wrong_lists(settings)
    for number, gap in enumerate(settings.notice.gaps):
        if gap.until < gap.start:
            why = f"until, {gap.until}, is before from, {gap.start}"
            yield Wrong(("notice", "gaps", number), why, f"until = {gap.start} or later")
    yield from _wrong_site(settings.site)
    yield from settings.places.wrong(settings.site.place_in_key, in_the_us=settings.may_be_in_the_us())
    yield from wrong_sites(settings.sites)
    yield from _wrong_mode(settings)
    yield from _wrong_recipients(settings)
    yield from settings.mail.wrong()
    yield from settings.delivery.wrong()
    yield from settings.apps.wrong(settings.recipients)
    yield from settings.rehearsal.wrong()
    if settings.agents and not settings.site.url:
        why = "is empty, and people whose agents ask for access or deletion are led to its pages"
        yield Wrong(("site", "url"), why, '"https://www.example.com"')
    yield from settings.desk.wrong(listens=bool(settings.listen.desk))
    for name, item in settings.systems.items():
        yield from item.wrong(name, settings.identifiers.declared)


def _wrong_lists(settings: Settings) -> Iterator[Wrong]:
    if not set(AD_CHOICE_PURPOSES) <= set(settings.ad_choices.purposes) <= set(SIGNAL_PURPOSES):
        why = "targeted_ads and sharing, and sale or not (R25)"
        yield Wrong(("ad_choices", "purposes"), why, '["targeted_ads", "sharing"]')
    if not settings.keywords.sensitive:
        why = "without a word nothing would be sensitive"
        yield Wrong(("keywords", "sensitive"), why, "the words that never leave, or leave the option out")
    if any(item.ddrf for item in settings.recipients.values()) and not settings.delivery.ddrf_domain:
        why = "whoever asks by the framework says which domain has its key"
        yield Wrong(("delivery", "ddrf_domain"), why, '"example.com", your domain')


def _wrong_mode(settings: Settings) -> Iterator[Wrong]:
    """Without a link the signal alone has to stop every sale and sharing (11 CCR 7025(g)(3), L59), which is whatever
    somebody outside gets for a purpose of people's choice (R21). A browser's signal reaches what pages send: not rows
    that are kept by account, phone or ad id, and not an app.
    """
    if settings.site.mode != "no_link":
        return
    for name, item in settings.recipients.items():
        sells = item.recipient(name, dev=False).third and not set(CHOOSABLE).isdisjoint(item.purposes)
        if sells and (item.fields or item.surface != "web"):
            why = f"gets rows ({', '.join(sorted(item.fields))})" if item.fields else "is not of the website alone"
            yield Wrong(
                ("site", "mode"),
                f"recipients.{name} {why}, which a browser's signal alone does not stop (11 CCR 7025(g)(3))",
                'site.mode = "frictionless", which keeps the link, or end what'
                f' recipients.{name} gets beyond the website: fields = {{}}, surface = "web"',
            )


def _wrong_recipients(settings: Settings) -> Iterator[Wrong]:
    recipients, declared = settings.recipients, settings.identifiers.declared
    for name, item in recipients.items():
        for each in item.wrong():
            yield each._replace(path=("recipients", name, *each.path))
        for field, kind in item.own_kinds().items():
            if kind not in declared:
                listed = ", ".join(f'"{each}"' for each in (*declared, kind))
                why, path = f"its kind, id:{kind}, is one that nobody declared", ("recipients", name, "fields", field)
                yield Wrong(path, why, f"[identifiers] declared = [{listed}]")
    yield from _wrong_names(recipients)


def _wrong_names(recipients: Mapping[str, RecipientSettings]) -> Iterator[Wrong]:
    """Two that differ in case alone are one company to whoever reads the file, and two to the ledger."""
    alike: dict[str, str] = {}
    for name in recipients:
        other = alike.setdefault(name.casefold().replace("-", "_"), name)
        if other != name:
            yield Wrong(("recipients", name), f"is recipients.{other} already, but for its spelling", "one of them")
    for taken, by in ((ACCOUNT_BACKEND, f"erasure.{ACCOUNT_BACKEND}"), (TEXTS, f"{TEXTS}.endpoint")):
        if taken in recipients:
            yield Wrong(("recipients", taken), f"the name is taken by {by}", "another name")


def _wrong_site(site: SiteSettings) -> Iterator[Wrong]:
    yield from site.wrong_brand(("site",))
    if site.cached and site.enforce:
        yield Wrong(
            ("site", "cached"),
            "a page that is the same for everybody cannot carry the policy of one (site.enforce). With enforce a proxy"
            " before the cache asks for each page (gateway help proxies)",
            "false for one of the two",
        )
