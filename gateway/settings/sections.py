"""Sections of the configuration that one room reads alone, each a struct that `gateway.settings.load` reads.

Telling recipients and the system of accounts; apps, with whose code runs inside them and by whose signature their
accounts and phones are believed; the ledger, who watches over it, and the copies that checks read beside its table;
what brings people their codes (mail server, sender of text messages, how many go out); the rehearsal; the desk.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import date, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from gateway.delivery.deadlines import Calendar
from gateway.delivery.guard import LOOPBACK, Network, is_loopback
from gateway.keys import account_assertions
from gateway.keys.account_assertions import Assertions
from gateway.keys.agent_keys import read_verify_key
from gateway.settings.shapes import (
    TEXT,
    CalendarDay,
    Country,
    GivenFile,
    HouseNetwork,
    Label,
    LocalFile,
    LocalFolder,
    Mailbox,
    MailServerName,
    Name,
    OptionalDomain,
    OptionalOrigin,
    OptionalUrl,
    PartOfOne,
    PlaceHeaderName,
    Shape,
    SignInHeader,
    Stated,
    StoreUrl,
    Url,
    Wrong,
    unpaired,
)

MOST_HOLIDAYS = 30  # further ones in a year; each moves the last day by which a recipient has to be told

WitnessKey = Annotated[str, replace(TEXT, write="the witness's own line, NAME+ID+KEY (gateway help proofs)")]


# What a header says by its name; one of any other name has a country and its part (US-CA).
REGION_ALONE = re.compile(
    "(?<!x-client-)region|subdivision|state|province", re.IGNORECASE
)  # X-Client-Region is Google's country
COUNTRY_ALONE = re.compile("country|x-client-region$", re.IGNORECASE)
REGION_HEADERS = (
    'region_header too, "CF-Region-Code" beside CF-IPCountry, "CloudFront-Viewer-Country-Region" beside CloudFront\'s;'
    " or where you are instead, [controller] jurisdiction, with no [site] notices for the United States"
)


def _is_verify_key(text: str) -> bool:
    try:
        return bool(read_verify_key(text))
    except ValueError:
        return False


VerifyKey = Annotated[
    str, Shape(_is_verify_key, "is no Ed25519 key", "the agent's verify_key, 32 bytes in base64 or hex", longest=64)
]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Erasure(Strict, frozen=True):
    account_backend: OptionalUrl = ""


class Delivery(Strict, frozen=True):
    holidays: Literal["us_federal", "none"] = "us_federal"
    more_holidays: tuple[CalendarDay, ...] = ()
    ddrf_domain: OptionalDomain = ""
    networks: tuple[HouseNetwork, ...] = ()

    def calendar(self) -> Calendar:
        """The days that business days are counted by."""
        return Calendar(self.holidays == "us_federal", frozenset(self.more_holidays))

    def allowed(self, *, dev: bool = False) -> tuple[Network, ...]:
        """Networks beside the public internet that messages may go to."""
        return (*map(ip_network, self.networks), *(LOOPBACK if dev else ()))

    def wrong(self) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        for year, days in Counter(day.year for day in self.more_holidays).items():
            if days > MOST_HOLIDAYS:
                why = f"{year} has {days}: the last day to tell somebody would never come"
                yield Wrong(("delivery", "more_holidays"), why, f"{MOST_HOLIDAYS} a year at most")


class AppsSettings(Strict, frozen=True):
    sdks: tuple[Label, ...] = ()
    assertion_keys: LocalFile = ""
    assertion_audience: Stated = ""
    attestation: LocalFile = ""
    strict_alarm: PartOfOne = 0.5

    def wrong(self, recipients: Collection[str]) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        for number, name in enumerate(self.sdks):
            if name not in recipients:
                write = f"one of {', '.join(recipients)}" if recipients else "[recipients.NAME] too: there is none"
                yield Wrong(("apps", "sdks", number), "is no configured recipient", write)
        yield from unpaired(self, ("apps",), "assertion_keys", "assertion_audience")
        if self.attestation and not self.assertion_audience:
            why = "wants assertion_audience and assertion_keys too"
            yield Wrong(("apps", "attestation"), why, "all three")
        for name, path in (("assertion_keys", self.assertion_keys), ("attestation", self.attestation)):
            try:
                account_assertions.keys_of(Path(path)) if path else None
            except account_assertions.KeysUnreadable as error:
                yield Wrong(("apps", name), f"the file: {error}", "the path of a JWKS file with public keys")

    def assertions(self) -> Assertions:
        """By whose signature it is believed who is signed in in an app."""
        file = Path(self.assertion_keys) if self.assertion_keys else None
        return Assertions(file, self.assertion_audience)

    def attestations(self) -> Assertions:
        """By whose signature it is believed which ids a phone has."""
        return Assertions(Path(self.attestation) if self.attestation else None, self.assertion_audience)


class AgentSettings(Strict, frozen=True):
    name: Name
    business_id: Label
    verify_key: VerifyKey
    contact: Mailbox = ""
    callback: OptionalUrl = ""


class StoreSettings(Strict, frozen=True):
    url: StoreUrl = ""
    owner: StoreUrl = ""


class Ledger(Strict, frozen=True):
    checkpoint_store: LocalFolder = ""
    emergency_mib: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 64
    witness_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 60
    public_entries: bool = False
    clock_was_ahead_until: CalendarDay = date(2000, 1, 1)


class WitnessSettings(Strict, frozen=True):
    url: Url
    key: WitnessKey


class Retention(Strict, frozen=True):
    bodies_months: Annotated[int, msgspec.Meta(ge=24, le=1200)] = (
        36  # 11 CCR 7101: records of requests are kept 24 months at least
    )
    details_months: Annotated[int, msgspec.Meta(ge=24, le=1200)] = 24
    keys_backup_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 7

    def policy(self) -> str:
        """The text that is logged when something is pruned."""
        return (
            f"Bodies of entries: {self.bodies_months} months, longer where a standing rests on them. Details of"
            f" choices: {self.details_months} months. Hashes of entries: for ever. Backups of keys:"
            f" {self.keys_backup_days} days.\n"
        )


class Replicas(Strict, frozen=True):
    term_ms: Annotated[int, msgspec.Meta(ge=100, le=2000)] = 2000
    spool_mib: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 64
    hand_over_seconds: Annotated[int, msgspec.Meta(ge=1, le=60)] = 1


class MailSettings(Strict, frozen=True):
    server: MailServerName = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Stated = ""
    password_file: LocalFile = ""
    from_address: Mailbox = ""

    def wrong(self) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        if self.server and not self.from_address:
            yield Wrong(("mail", "from_address"), "is empty: from whom mail comes", '"privacy@example.com"')
        if self.server and self.security == "none" and not is_loopback(self.server):
            why = "none is for a server on loopback; codes do not go in the clear"
            yield Wrong(("mail", "security"), why, '"starttls" or "tls"')
        yield from unpaired(self, ("mail",), "username", "password_file")


class DeskSettings(Strict, frozen=True):
    url: OptionalOrigin = ""
    idle_minutes: Annotated[int, msgspec.Meta(ge=1, le=720)] = 30
    session_hours: Annotated[int, msgspec.Meta(ge=1, le=24)] = 10
    own_days: Annotated[int, msgspec.Meta(ge=1, le=14)] = 5
    oidc_issuer: OptionalUrl = ""
    oidc_client: Stated = ""
    oidc_secret_file: LocalFile = ""
    proxy_header: SignInHeader = ""
    proxies: tuple[HouseNetwork, ...] = ()

    def wrong(self, *, listens: bool) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        if listens and not self.url:
            why = "is empty: a passkey is good at one address alone, and forms are taken from there alone"
            yield Wrong(("desk", "url"), why, '"https://desk.example.com", where officers open it')
        yield from unpaired(self, ("desk",), "oidc_issuer", "oidc_client")
        if bool(self.proxy_header) != bool(self.proxies):
            option = "proxies" if self.proxy_header else "proxy_header"
            why = "is empty: a header is believed from a proxy that is named here, and from nobody else"
            yield Wrong(("desk", option), why, "both or neither")


class LawSettings(Strict, frozen=True):
    tables: tuple[GivenFile, ...] = ()


class PlaceSettings(Strict, frozen=True):
    header: PlaceHeaderName = ""
    region_header: PlaceHeaderName = ""
    database: LocalFile = ""
    boundaries: LocalFile = ""
    sensitive: LocalFile = ""
    sensitive_margin_m: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 50

    def headers(self) -> tuple[str, ...]:
        """Of a request, by whose word a visitor is somewhere; none where addresses are looked up."""
        return tuple(filter(None, (self.header, self.region_header)))

    def wrong(self, place_in_key: str, *, in_the_us: bool) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        if self.region_header and self.region_header.lower() == self.header.lower():
            yield Wrong(("places", "region_header"), "is the country's header", "the one of its own, or leave it out")
        if self.region_header and not self.header:
            yield Wrong(("places", "header"), "is empty beside a region_header", "the header of the country")
        if REGION_ALONE.search(self.header):
            why = "by its name it says a region alone: CA would be Canada"
            yield Wrong(("places", "header"), why, f'the country\'s header, and region_header = "{self.header}"')
        elif in_the_us and not self.region_header and COUNTRY_ALONE.search(self.header):
            why = (
                "by its name it says a country alone, and in the United States the law is a state's: of everybody there"
                " nobody would know where they are, and nothing could be allowed"
            )
            yield Wrong(("places", "header"), why, REGION_HEADERS)
        if self.header and place_in_key.lower() not in {"", self.header.lower()}:
            why = "is not the header that tells places ([places] header): a cache would mix them up"
            yield Wrong(("site", "place_in_key"), why, f'"{self.header}", which names region_header with it, or ""')


class TextsSettings(Strict, frozen=True):
    endpoint: OptionalUrl = ""
    prices: dict[Country, Annotated[int, msgspec.Meta(ge=0, le=100_000)]] = {}
    cost_a_day: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 2000


class CodesSettings(Strict, frozen=True):
    an_hour: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 1000


Hours = Annotated[int, msgspec.Meta(ge=0, le=8784)]  # a leap year's


LONGEST_SHADOW = timedelta(days=90)


class ShadowSettings(Strict, frozen=True):
    until: CalendarDay | None = None

    def wrong_on(self, day: date, *, enforce: bool) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it on a day. `enforce`: of the site."""
        if self.until is None or self.until < day:
            return
        if self.until > day + LONGEST_SHADOW:
            why = f"{self.until} is more than {LONGEST_SHADOW.days} days ahead"
            yield Wrong(("shadow", "until"), why, f"{day + LONGEST_SHADOW} or earlier")
        if not enforce:
            why = "wants [site] enforce: it shows what that will do, and whoever said no is enforced for meanwhile"
            yield Wrong(("shadow", "until"), why, "[site] enforce = true too")


class RehearsalSettings(Strict, frozen=True):
    every_hours: Hours = 24
    alarm_after_hours: Hours = 30
    pages: tuple[Url, ...] = ()

    def wrong(self) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        if self.every_hours and self.alarm_after_hours <= self.every_hours:
            why = "more than every_hours, or each run would be late"
            yield Wrong(("rehearsal", "alarm_after_hours"), why, f"{self.every_hours + 1} or more")
