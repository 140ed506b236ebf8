"""Makes of the settings, and of the files that they name, what the rooms take: how signals are heard, the words and the
places, what holds on a day, who is told how and what recipients are shown. The composition root, the replica and the
command line call it; no installation need be there.

Each recipient is told in a way of its own: by a signed POST, deletions by the IAB's framework where it takes those, and
the operator's own systems.
"""

import importlib.util
import tomllib
from collections.abc import Callable
from datetime import date, datetime
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import maxminddb
import orjson

from gateway.app.law_tables import law_table
from gateway.choice import keywords, sensitive
from gateway.choice.keywords import Vocabulary
from gateway.choice.law import LawTable
from gateway.choice.outlines import boundaries
from gateway.choice.question import Gap, Notices, Office
from gateway.choice.sensitive import SensitivePlaces
from gateway.consent.people import People
from gateway.consent.places import AddressBook, Places
from gateway.consent.telling import DeliveryWay
from gateway.consent.witnesses import KnownWitness
from gateway.delivery import ddrf
from gateway.delivery.credentials import Credential, CredentialUnreadable
from gateway.delivery.ddrf import Ddrf
from gateway.delivery.guard import EVERYWHERE
from gateway.delivery.webhook import Courier, DeletionPost
from gateway.desk import agent_requests
from gateway.desk.outbox import OutboxKind
from gateway.desk.own_systems import PREFIX
from gateway.keys.secret_files import Secrets
from gateway.ledger.proof import verifier_keys
from gateway.settings.load import Settings
from gateway.settings.option_tree import SettingsRefused
from gateway.settings.recipients import RecipientCredential
from gateway.signals import industry_cookies
from gateway.signals.cmp_cookies.values import CATEGORIES, merge
from gateway.signals.hear import Hearing
from gateway.terms import ACCOUNT_BACKEND, DataClass


def vocabulary(settings: Settings) -> Vocabulary:
    """The words that may leave as keywords, and those that never do (R20)."""
    try:
        return keywords.vocabulary(settings.keywords.vocabulary, settings.keywords.sensitive)
    except ValueError as error:
        raise settings.refused("keywords", "vocabulary", why=str(error), write="it without that") from None


def hearing(settings: Settings) -> Hearing:
    """How signals are heard here, with the operator's own words for what consent tools call ads."""
    for tool in settings.consent_tools:
        if tool not in CATEGORIES:
            one = f"one of {', '.join(sorted(CATEGORIES))}"
            raise settings.refused("consent_tools", tool, why="there is no such consent tool", write=one)
    categories = merge(CATEGORIES, settings.consent_tools)
    return Hearing(
        ad_choice_purposes=frozenset(settings.ad_choices.purposes),
        participant=settings.ad_choices.participant,
        categories=categories,
        industry=_industry(),
        device_limit_travels=settings.signals.device_limit_travels,
    )


@cache
def _industry() -> industry_cookies.Table:
    text = (resources.files("gateway.signals") / "industry_cookies.toml").read_text(encoding="utf-8")
    return industry_cookies.table(tomllib.loads(text))


def places_of(settings: Settings) -> Places:
    """What the operator's files say of places, and which of them the law bans points in. Raises `SettingsRefused`."""
    files = settings.places
    try:
        path = settings.file_at("places", "database") if files.database else None
        book: AddressBook | None = maxminddb.open_database(path) if path else None
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise _unreadable(settings, "database", error, "an IP database in MaxMind's format") from None
    try:
        outlines = boundaries(orjson.loads(settings.contents("places", "boundaries"))) if files.boundaries else []
    except ValueError as error:
        raise _unreadable(settings, "boundaries", error, "a GeoJSON FeatureCollection") from None
    try:
        geojson = not files.sensitive.lower().endswith(".csv")
        text = settings.contents("places", "sensitive").decode("utf-8") if files.sensitive else ""
        shapes = sensitive.read_shapes(text, geojson=geojson) if files.sensitive else []
    except ValueError as error:
        raise _unreadable(settings, "sensitive", error, "CSV with lat,lon,radius_m, or GeoJSON") from None
    near, laws = SensitivePlaces(shapes, files.sensitive_margin_m), law_table(settings)
    try:
        banning = laws.banning(DataClass.PRECISE_GEO) | laws.banning(DataClass.COARSE_GEO)  # which binds both
        return Places(book, outlines, near, banning)
    except ValueError as error:
        file = "the path of a GeoJSON file with its outline (gateway help law)"
        raise settings.refused("places", "boundaries", why=str(error), write=file) from None


def _unreadable(settings: Settings, option: str, error: Exception, what: str) -> SettingsRefused:
    return settings.refused("places", option, why=f"the file: {error}", write=f"the path of {what}")


def people_of(settings: Settings, secrets: Secrets, clock: Callable[[], datetime]) -> People:
    """Who is meant by what identifiers, as they are written where the operator's people are."""
    return People(secrets, clock, settings.identifiers.declared, settings.phone.country, settings.phone.countries)


def office_of(settings: Settings, laws: LawTable, clock: Callable[[], datetime]) -> Callable[[], Office]:
    """What holds on the day of each question, made once a day."""
    gaps = tuple(Gap(gap.start, gap.until, gap.surface) for gap in settings.notice.gaps)
    notices = Notices(settings.notice.told_everyone, gaps, settings.notice.wait_days)

    @lru_cache(maxsize=2)
    def office(on: date) -> Office:
        return Office(laws, on, settings.age.floor, notices, settings.aggregate.least, settings.cpni.module)

    return lambda: office(clock().date())


def witnesses_of(settings: Settings) -> dict[str, KnownWitness]:
    """Whom the log's checkpoints are shown to. Raises `SettingsRefused`."""
    found: dict[str, KnownWitness] = {}
    for name, item in settings.witnesses.items():
        try:
            found[name] = KnownWitness(item.url, verifier_keys.witness_key(item.key))
        except ValueError as error:
            why, key = f"is no verifier key ({error})", "the witness's own line, NAME+ID+KEY (gateway help proofs)"
            raise settings.refused("witnesses", name, "key", why=why, write=key) from None
    return found


def ways(settings: Settings, secrets: Secrets, *, dev: bool = False) -> list[DeliveryWay]:
    """How each recipient is told: one way each; two where deletions go another way than the rest."""
    allowed = settings.delivery.allowed(dev=dev)
    outside, inside = Courier(allowed), Courier(EVERYWHERE)
    real = settings.environment.is_production  # elsewhere nothing about anybody reaches a receiver (I24)
    by_framework = {name: item.ddrf for name, item in settings.recipients.items() if item.ddrf and real}
    found = []
    for name, endpoint in settings.deliveries().items():
        carrier = inside if name == ACCOUNT_BACKEND else outside
        found.append(
            DeliveryWay(name, endpoint, carrier, OutboxKind.OTHERS if name in by_framework else OutboxKind.ANY)
        )
    if by_framework:
        signs = ddrf.signers(secrets, settings.delivery.ddrf_domain)[0]
        framework, asked = Ddrf(Courier(allowed), signs), OutboxKind.DELETES
        found += [
            DeliveryWay(name, domain, framework, asked, one_at_a_time=True) for name, domain in by_framework.items()
        ]
    own = {PREFIX + name: item.endpoint for name, item in settings.systems.items() if item.endpoint and real}
    deletions = DeletionPost(EVERYWHERE)
    found += [DeliveryWay(name, url, deletions, OutboxKind.DELETES) for name, url in own.items()]
    found += [DeliveryWay(name, url, inside, OutboxKind.OTHERS) for name, url in own.items()]
    called = {agent_requests.recipient_of(name): item.callback for name, item in settings.agents.items() if real}
    return [*found, *(DeliveryWay(name, url, outside) for name, url in called.items() if url)]


def published(settings: Settings, secrets: Secrets) -> dict[str, Any]:
    """Our own /dsrdelete.json; nothing where the operator has no domain for it. We take no requests by it, so it names
    the page where people ask themselves.
    """
    domain = settings.delivery.ddrf_domain
    endpoint = f"{settings.site.url or f'https://{domain}'}/privacy-choices/erase"
    return ddrf.published(ddrf.signers(secrets, domain), endpoint) if domain else {}


def password_file_of(settings: Settings) -> Path | None:
    """The file that signs in at the mail server. Raises `SettingsRefused` for one that no code could be sent with."""
    if not settings.mail.password_file:
        return None
    if not settings.contents("mail", "password_file").decode("utf-8", "replace").strip():
        file = "the path of a file that holds the password and nothing else"
        raise settings.refused("mail", "password_file", why="the file holds no password", write=file)
    return Path(settings.mail.password_file)


def credentials_of(settings: Settings) -> dict[str, Credential]:
    """By recipient, what rows are sent with; outside production its sandbox's, and nothing else (I24). Raises
    `SettingsRefused` for a file that nothing could be shown from.
    """
    found, option = {}, "credential" if settings.environment.is_production else "sandbox_credential"
    for name, item in settings.recipients.items():
        stated: RecipientCredential = getattr(item, option)
        files = [stated.bearer_file, stated.header_file, stated.certificate_file, stated.authority_file]
        bearer, value, certificate, authority, signature = (
            Path(each) if each else None for each in (*files, stated.signature_file)
        )
        credential = Credential(bearer, stated.header, value, certificate, authority, signature)
        if credential == Credential():
            continue
        try:
            credential.prove()
        except CredentialUnreadable as error:
            path, write = ("recipients", name, option, error.option), "the path of a file that holds it alone"
            raise settings.refused(*path, why=error.why, write=write) from None
        found[name] = credential
    return found


def prove(settings: Settings, on: date) -> None:
    """What a start refuses of the settings, without one. Raises `SettingsRefused`."""
    settings.refuse_on(on)
    settings.registry()
    for reading in (vocabulary, hearing, places_of, witnesses_of, password_file_of, credentials_of, prove_desk):
        reading(settings)


def prove_desk(settings: Settings) -> None:
    """What the desk signs in with is installed where there is one, and its secret can be read. Raises
    `SettingsRefused`.
    """
    if settings.desk.oidc_secret_file:
        settings.contents("desk", "oidc_secret_file")
    for name in ("webauthn", "authlib") if settings.listen.desk else ():
        if importlib.util.find_spec(name) is None:
            why = f"the desk signs in with {name}, which is not installed"
            then = "install the wheel with [desk] (gateway help desk), or leave it empty"
            raise settings.refused("listen", "desk", why=why, write=then)
