"""Settings: the shipped `config.toml` under the operator's file under the environment, checked to the last key.

Only the composition root and the command line read this. A misspelt key, a wrong type or an unknown environment
variable of ours refuses to start: a setting that is silently ignored is how an opt-out is lost.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from phonenumbers import SUPPORTED_REGIONS

from gateway.addresses import is_of_one_house, is_origin, may_send_to
from gateway.app_settings import Apps
from gateway.choice.downstream import GppSections
from gateway.choice.place import PLACE
from gateway.choice.recipient import Recipient
from gateway.delivery.guard import leads_inside, network_of
from gateway.delivery_settings import Delivery, Erasure
from gateway.ledger_settings import Ledger, Mirror, Replicas, Retention, Witness
from gateway.mail_settings import Codes, Mail, Texts
from gateway.recipient_settings import RecipientSettings
from gateway.rehearsal_settings import Rehearsal
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Purpose, Role

PREFIX = "GATEWAY_"
PRODUCTION = "production"
ACCOUNT_BACKEND = "account_backend"  # the operator's system of accounts, as a receiver of messages
TEXTS = "texts"  # the operator's sender of text messages, likewise
OTHER_VARIABLES = frozenset({"GATEWAY_DATA"})  # the command line's own
Address = Annotated[str, msgspec.Meta(pattern=r"^[^:\s]*:[0-9]{1,5}\Z", description="host:port")]
RECIPIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SEVERAL_LINES = frozenset({"address", "retention", "withdrawal"})  # texts of people, which may have several
HSTS = r"^(max-age=[0-9]+(; includeSubDomains)?(; preload)?)?\Z"
Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z", description="ISO 3166-1")]
Host = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+\Z", description="a host's name, lower case")]
FilePath = Annotated[str, msgspec.Meta(pattern=r"^/[A-Za-z0-9/._~-]+\Z", description="a file's path on the site")]
PathBeginning = Annotated[str, msgspec.Meta(pattern=r"^/[A-Za-z0-9/._~-]*\Z", description="the beginning of a path")]


class SettingsRefused(Exception):
    """The text names the file or variable, the key and what is wrong with it."""


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Environment(Strict, frozen=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]

    @property
    def is_production(self) -> bool:
        return self.name == PRODUCTION

    def log_name(self, stated: str) -> str:
        """A log's name as this environment may bear it: two logs that sign under one name are a fork (I24)."""
        other = "" if self.is_production or not stated else f"/{self.name}"
        return stated.removesuffix(other) + other


class Listen(Strict, frozen=True):
    public: Address
    internal: Address
    metrics: Address
    keep_alive: Annotated[int, msgspec.Meta(ge=1)]
    trusted_proxies: tuple[str, ...]
    level_answers: bool


class Site(Strict, frozen=True):
    name: str
    url: str
    hsts: Annotated[str, msgspec.Meta(pattern=HSTS, description="RFC 6797")]
    policy_url: str
    policy_file: str
    origins: tuple[str, ...]
    notices: dict[str, str]
    enforce: bool
    ad_paths: tuple[PathBeginning, ...]
    service_workers: tuple[FilePath, ...]
    cached: bool
    place_in_key: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z][A-Za-z0-9-]*)?\Z", description="a header's name")]
    mode: Literal["link", "frictionless", "no_link"]
    inventory: bool

    def own_origins(self) -> tuple[str, ...]:
        """Whose pages may post to ours; `url` too, for a proxy that hands on another Host than people asked for."""
        return (*self.origins, self.url) if self.url else self.origins


class Controller(Strict, frozen=True):
    name: str
    address: str
    contact: str
    email: str
    phone: str
    url: str
    jurisdiction: str
    storage_locations: tuple[str, ...]
    retention: str
    withdrawal: str


class Gpc(Strict, frozen=True):
    last_update: date
    add_for_opted_out: bool


class Browser(Strict, frozen=True):
    remember_gpc: Literal["id", "flag", "off"]
    embedded: bool
    site_ids: tuple[str, ...]


class Account(Strict, frozen=True):
    header: bool


class Phone(Strict, frozen=True):
    country: Country
    countries: tuple[Country, ...]


class Age(Strict, frozen=True):
    floor: Annotated[int, msgspec.Meta(ge=0, le=18)]


class Signals(Strict, frozen=True):
    device_limit_travels: bool
    gpp_sections: GppSections


class AdChoices(Strict, frozen=True):
    participant: Annotated[int, msgspec.Meta(ge=0, le=4095)]  # 12 bits in the AdChoices signal
    purposes: tuple[Purpose, ...]
    redirect_hosts: tuple[Host, ...]
    referers: tuple[Host, ...]
    cookie: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]*(?i:opt[_-]?out)\Z", description="ends in opt-out")]
    cookie_domain: Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)+)?\Z", description="a host's name")]
    iba_cookies: tuple[Annotated[str, msgspec.Meta(pattern=r"^[^\s;=,]+\Z", description="a cookie's name")], ...]


class PlaceFiles(Strict, frozen=True):
    database: str
    boundaries: str
    sensitive: str
    sensitive_margin_m: Annotated[int, msgspec.Meta(ge=0, le=10_000)]


class NoticeGap(Strict, frozen=True, rename={"start": "from"}):
    start: date
    until: date
    surface: Literal["", "web", "app"] = ""


class Notice(Strict, frozen=True):
    told_everyone: date
    wait_days: Annotated[int, msgspec.Meta(ge=0, le=365)]
    gaps: tuple[NoticeGap, ...]


class Cpni(Strict, frozen=True):
    module: bool


class Aggregate(Strict, frozen=True):
    least: Annotated[int, msgspec.Meta(ge=1)]


class Identifiers(Strict, frozen=True):
    declared: tuple[str, ...]


class Keywords(Strict, frozen=True):
    vocabulary: tuple[str, ...]
    sensitive: tuple[str, ...]


class Share(Strict, frozen=True):
    send_window_ms: Annotated[int, msgspec.Meta(ge=1, le=2000)]
    max_rows: Annotated[int, msgspec.Meta(ge=1)]
    max_mib: Annotated[int, msgspec.Meta(ge=1)]


class Settings(Strict, frozen=True):
    environment: Environment
    listen: Listen
    site: Site
    controller: Controller
    gpc: Gpc
    browser: Browser
    account: Account
    apps: Apps
    mail: Mail
    texts: Texts
    codes: Codes
    phone: Phone
    age: Age
    signals: Signals
    notice: Notice
    cpni: Cpni
    aggregate: Aggregate
    ledger: Ledger
    mirror: Mirror
    replicas: Replicas
    retention: Retention
    witnesses: dict[str, Witness]
    consent_tools: dict[str, dict[str, Literal["sale", "ads"]]]
    ad_choices: AdChoices
    places: PlaceFiles
    identifiers: Identifiers
    keywords: Keywords
    share: Share
    erasure: Erasure
    delivery: Delivery
    rehearsal: Rehearsal
    recipients: dict[str, RecipientSettings]

    def refuse_on(self, day: date) -> None:
        """Raises `SettingsRefused` for what cannot be true yet on a day: nobody was told of anything tomorrow. A day's
        leeway is for zones of time.
        """
        if self.notice.told_everyone > day + timedelta(days=1):
            raise SettingsRefused(
                f"notice.told_everyone: {self.notice.told_everyone} has not come; write the day of the last notice that"
                " everybody was shown or sent"
            )

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
                raise SettingsRefused(
                    f"recipients.{name}: rows are sent to addresses of the public internet; for one of your own write"
                    f' [delivery] networks = ["{network_of(host)}"]'
                )
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

    def bid_extensions(self) -> dict[str, frozenset[str]]:
        """By recipient, the members of `ext` objects that a bid request keeps for it."""
        return {name: frozenset(item.extensions) for name, item in self.recipients.items()}

    def provider_hosts(self) -> tuple[str, ...]:
        """Hosts that pages of opted-out people may still talk to."""
        provided = (item.hosts for item in self.recipients.values() if item.role is Role.SERVICE_PROVIDER)
        return tuple(sorted(host for hosts in provided for host in hosts))


def shipped() -> str:
    """The text of the shipped config.toml: inside the wheel, or beside the package in a checkout."""
    inside = resources.files("gateway") / "config.toml"
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    return (Path(__file__).parent.parent / "config.toml").read_text(encoding="utf-8")


def load(file: Path | None, environment: Mapping[str, str]) -> Settings:
    """Raises `SettingsRefused`."""
    merged: dict[str, Any] = tomllib.loads(shipped())
    if file is not None:
        try:
            _merge(merged, tomllib.loads(file.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SettingsRefused(f"{file}: {error}") from error
    _from_environment(merged, environment)
    _check_texts(merged, "")
    try:
        settings = msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsRefused(f"{file or 'config.toml'}: {error}") from error
    _check(settings)
    return settings


def _check_texts(value: object, path: str) -> None:
    """No text has a line's end or another control character: it would end a header, a policy or a mail's line."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_texts(name, path)
            _check_texts(item, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list | tuple):
        for item in value:
            _check_texts(item, path)
    elif isinstance(value, str):
        text = value.replace("\n", " ") if path.rpartition(".")[2] in SEVERAL_LINES else value
        if any(unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for sign in text):
            raise SettingsRefused(f"{path}: there is a line's end or an invisible character in its text")


WHOLE = ("fields", "notices")  # a table that stands in the operator's file replaces ours


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict) and key not in WHOLE:
            _merge(base[key], value)
        else:
            base[key] = value


def _from_environment(merged: dict[str, Any], environment: Mapping[str, str]) -> None:
    """GATEWAY_SECTION__KEY. Tables and lists are for the file: a list is written with commas."""
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        if "__" not in variable:
            raise SettingsRefused(f"{variable}: an option is GATEWAY_SECTION__KEY, with two underscores")
        path = variable.removeprefix(PREFIX).lower().split("__")
        target = merged
        for part in path[:-1]:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise SettingsRefused(f"{variable}: {part} is not a section")
        is_list = isinstance(target.get(path[-1]), list)
        target[path[-1]] = [item.strip() for item in text.split(",") if item.strip()] if is_list else text


def _check(settings: Settings) -> None:
    """What the shapes cannot say."""
    if not set(AD_CHOICE_PURPOSES) <= set(settings.ad_choices.purposes) <= set(SIGNAL_PURPOSES):
        raise SettingsRefused("ad_choices.purposes: targeted_ads and sharing, and sale or not (R25)")
    for country in (settings.phone.country, *settings.phone.countries):
        if country not in SUPPORTED_REGIONS:
            raise SettingsRefused(f"phone: {country} has no numbers of its own; ISO 3166-1 codes: US, CA, GB")
    _check_notices(settings.site.notices)
    _check_proxies(settings.listen.trusted_proxies)
    _check_site(settings.site)
    _check_mode(settings)
    for gap in settings.notice.gaps:
        if gap.until < gap.start:
            raise SettingsRefused(f"notice.gaps: {gap.until} is before {gap.start}")
    _check_recipients(settings.recipients, settings.identifiers.declared)
    if any(item.ddrf for item in settings.recipients.values()) and not settings.delivery.ddrf_domain:
        raise SettingsRefused("delivery.ddrf_domain: whoever asks by the framework says which domain has its key")
    said = settings.mail.wrong(), settings.delivery.wrong(), settings.apps.wrong(settings.recipients)
    for wrong in filter(None, (*said, settings.rehearsal.wrong())):
        raise SettingsRefused(wrong)
    _check_endpoints(settings)


def _check_mode(settings: Settings) -> None:
    """Without a link the signal alone has to stop every sale and sharing (11 CCR 7025(g)(3), L59). A browser's signal
    reaches what pages send: not rows that are kept by account, phone or ad id, and not an app.
    """
    if settings.site.mode != "no_link":
        return
    for name, item in settings.recipients.items():
        outside = item.role is Role.THIRD_PARTY or (item.role is Role.AFFILIATE and not item.same_brand)
        if outside and not set(SIGNAL_PURPOSES).isdisjoint(item.purposes) and (item.fields or item.surface != "web"):
            why = f"gets rows ({', '.join(sorted(item.fields))})" if item.fields else "is not of the website alone"
            raise SettingsRefused(
                f'site.mode = "no_link": recipients.{name} {why}, which a browser\'s signal alone does not stop (11 CCR'
                f' 7025(g)(3)). Keep the link, site.mode = "frictionless", or end what recipients.{name} gets beyond'
                ' the website: fields = {}, surface = "web"'
            )


def _check_recipients(recipients: Mapping[str, RecipientSettings], declared: Sequence[str]) -> None:
    for name, item in recipients.items():
        if item.wrong():
            raise SettingsRefused(f"recipients.{name}.{item.wrong()}")
        for field, kind in item.own_kinds().items():
            if kind not in declared:
                listed = ", ".join(f'"{each}"' for each in (*declared, kind))
                raise SettingsRefused(
                    f"recipients.{name}.fields: {field} holds id:{kind}, which nobody declared. Write"
                    f" [identifiers] declared = [{listed}]"
                )
    _check_names(recipients)
    for taken, by in ((ACCOUNT_BACKEND, f"erasure.{ACCOUNT_BACKEND}"), (TEXTS, f"{TEXTS}.endpoint")):
        if taken in recipients:
            raise SettingsRefused(f"recipients.{taken}: the name is taken by {by}")


def _check_names(recipients: Mapping[str, RecipientSettings]) -> None:
    """Two that differ in case alone are one company to whoever reads the file, and two to the ledger."""
    alike: dict[str, str] = {}
    for name in recipients:
        if not RECIPIENT.fullmatch(name):
            raise SettingsRefused(f"recipients.{name!r}: a name has letters, digits, `-` and `_`, 64 at most")
        other = alike.setdefault(name.casefold().replace("-", "_"), name)
        if other != name:
            raise SettingsRefused(f"recipients.{name}: is recipients.{other} already, but for its spelling")


def _check_endpoints(settings: Settings) -> None:
    endpoints = {f"deliveries of {name}": endpoint for name, endpoint in settings.deliveries().items()}
    endpoints |= {f"witnesses.{name}.url": witness.url for name, witness in settings.witnesses.items()}
    endpoints |= {"texts.endpoint": settings.texts.endpoint} if settings.texts.endpoint else {}
    for what, endpoint in endpoints.items():
        if not may_send_to(endpoint):
            raise SettingsRefused(f"{what}: the address is neither https nor http on loopback")


def _check_notices(notices: Mapping[str, str]) -> None:
    for place, address in notices.items():
        if not PLACE.fullmatch(place) or not address.startswith(("/", "https://")):
            raise SettingsRefused(f'site.notices: {place} = "{address}" is not a place with a path or an https address')


def _check_proxies(trusted: tuple[str, ...]) -> None:
    """Whoever is in a trusted network may say to be anybody."""
    for text in trusted:
        try:
            ours = is_of_one_house(text)
        except ValueError:
            raise SettingsRefused(f"listen.trusted_proxies: {text} is no address and no network") from None
        if not ours:
            raise SettingsRefused(f"listen.trusted_proxies: {text} would believe the whole internet")


def _check_site(site: Site) -> None:
    for origin in site.origins:
        if not is_origin(origin):
            raise SettingsRefused(f"site.origins: {origin} is no exact origin: https://host, http on loopback only")
    if site.cached and site.enforce:
        raise SettingsRefused(
            "site.cached: a page that is the same for everybody cannot carry the policy of one (site.enforce). Switch"
            " one off; with enforce a proxy before the cache asks for each page (gateway help proxies)"
        )
    if site.url and not is_origin(site.url):
        raise SettingsRefused("site.url: https://host, without a path; http on loopback only")
