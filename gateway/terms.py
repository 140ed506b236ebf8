"""The vocabulary: every word that the rooms share, one word for one thing.

Owns names only: no rule, no I/O. The order of `CHOOSABLE` is the order of the bits in a standing row,
so it only ever grows at its end.
"""

from dataclasses import dataclass
from enum import StrEnum


class Purpose(StrEnum):
    SALE = "sale"
    SHARING = "sharing"
    TARGETED_ADS = "targeted_ads"
    PROFILING = "profiling"
    SENSITIVE = "sensitive"
    MARKETING_EMAIL = "marketing_email"
    MARKETING_MAIL = "marketing_mail"
    MARKETING_TEXT = "marketing_text"
    MARKETING_CALL = "marketing_call"
    THIRD_PARTY_MARKETING = "third_party_marketing"
    CPNI_MARKETING = "cpni_marketing"
    CPNI_DISCLOSURE = "cpni_disclosure"
    CALL_LOCATION = "call_location"
    # not open to opt-out
    SERVICE = "service"
    SECURITY = "security"
    LEGAL = "legal"
    TRANSFER = "transfer"
    LEGAL_NOTICE = "legal_notice"


CHOOSABLE: tuple[Purpose, ...] = tuple(Purpose)[:13]
ALL_PURPOSES: tuple[Purpose, ...] = CHOOSABLE[:5]  # what `all` means; only opt_out and limit may say it (R4)
SIGNAL_PURPOSES: tuple[Purpose, ...] = CHOOSABLE[:3]  # a signal never sets more than these
AD_CHOICE_PURPOSES: tuple[Purpose, ...] = (Purpose.SHARING, Purpose.TARGETED_ADS)  # industry opt-outs (R25)


class DataClass(StrEnum):
    AD_ID = "ad_id"
    DEVICE_ID = "device_id"
    PRECISE_GEO = "precise_geo"
    COARSE_GEO = "coarse_geo"
    IP = "ip"
    EMAIL_HASH = "email_hash"
    PHONE_HASH = "phone_hash"
    KEYWORDS = "keywords"
    DEMOGRAPHICS = "demographics"
    CONTACT = "contact"
    ACCOUNT = "account"
    CPNI = "cpni"
    CONTENT = "content"
    DEIDENTIFIED = "deidentified"
    AGGREGATE = "aggregate"


class Role(StrEnum):
    THIRD_PARTY = "third_party"
    SERVICE_PROVIDER = "service_provider"
    AFFILIATE = "affiliate"
    LEGAL = "legal"
    SUCCESSOR = "successor"
    CONSUMER_DIRECTED = "consumer_directed"


class ChoiceKind(StrEnum):
    OPT_OUT = "opt_out"
    LIMIT = "limit"
    OPT_IN = "opt_in"
    CONFIRM = "confirm"
    WITHDRAW = "withdraw"
    # a person's act towards one recipient or programme: nothing else follows from it
    DIRECT = "direct"  # "send it there": one transfer (R28, Cal. Civ. Code 1798.140(ad)(2)(A))
    KEEP_PROGRAMME = "keep_programme"  # asked about the conflict, did not leave it (11 CCR 7025(c)(4))
    # what no person chooses: a device's or a tool's own state (R26)
    STATE_BEGAN = "state_began"
    STATE_ENDED = "state_ended"
    # what the operator says of a person
    LINKED = "linked"
    UNLINKED = "unlinked"
    NUMBER_RELEASED = "number_released"
    TOLD = "told"  # shown or sent a notice
    AGE = "age"
    CONSENT_VOIDED = "consent_voided"  # the screen that asked for it was no fair question (11 CCR 7004(b))
    # what is forgotten of a person (ledger.md 2.4)
    ERASED = "erased"
    UNLINKED_PERSON = "unlinked_person"
    CHILD_FOUND = "child_found"  # denied for good, then erased (R14)


CALLERS_CHOICES: tuple[ChoiceKind, ...] = tuple(ChoiceKind)[:7]  # the words of `choice` in a call


class Erasing(StrEnum):
    """How much is forgotten of a person (ledger.md 2.4)."""

    DETAILS = "erase_details"  # the details; that they opted out, and when, stays provable
    UNLINK = "unlink"  # all that leads from the person to an entry, the opt-out too
    CHILD = "child_found"  # no to everything, for good, and the details (R14)


class NoticeKind(StrEnum):
    """Which notice a person was shown or sent."""

    PRIVACY = "privacy"
    CPNI = "cpni"  # before approval by silence counts (47 CFR 64.2008)


class Told(StrEnum):
    """What became of a notice to a person."""

    SHOWN = "shown"
    SENT = "sent"
    BOUNCED = "bounced"  # came back: nobody was told


class GrantKind(StrEnum):
    """What a person allowed one recipient."""

    OPTED_IN = "opted_in"  # this purpose, this data class (R7)
    DIRECTED = "directed"  # one transfer, within ten minutes (R28)
    PROGRAMME = "programme"  # what a financial-incentive programme needs, in the face of a signal


class Stated(StrEnum):
    """What a signal says of one purpose. `UNKNOWN` is never an allow."""

    OPTED_OUT = "opted_out"
    ALLOWED = "allowed"
    UNKNOWN = "unknown"


class Answer(StrEnum):
    """What may happen to one data class."""

    ALLOW = "allow"
    COARSEN = "coarsen"
    HASH = "hash"
    DENY = "deny"


class Reason(StrEnum):
    """The closed list of reasons of a verdict. Callers read one they do not know as a deny."""

    # denies that no consent can lift
    UNKNOWN_RECIPIENT = "unknown_recipient"
    UNKNOWN_PURPOSE = "unknown_purpose"
    PURPOSE_NOT_REGISTERED = "purpose_not_registered"
    CLASS_NOT_REGISTERED = "class_not_registered"
    NO_CONTRACT = "no_contract"
    CONTENT = "content_never_shared"
    NOT_DEIDENTIFIED = "not_deidentified"
    SMALL_COUNT = "small_count"
    KEYWORDS_BESIDE = "keywords_beside_identity"
    NOT_A_SERVICE = "not_a_service"
    NOT_NOTIFIED = "not_notified"
    NO_TRANSFER_BASIS = "no_transfer_basis"
    NO_ACT = "no_act"
    SENSITIVE_PLACE = "sensitive_place"
    CPNI_OFF = "cpni_off"
    AGE = "age"
    BANNED = "banned"
    # denies of the person
    OPTED_OUT = "opted_out"
    GPC = "gpc"
    US_PRIVACY = "us_privacy"
    GPP = "gpp"
    TCF = "tcf"
    ADDITIONAL_CONSENT = "additional_consent"
    AD_CHOICES = "ad_choices"
    CMP_COOKIE = "cmp_cookie"
    DEVICE = "device"
    MALFORMED_SIGNAL = "malformed_signal"
    LIMITED = "limited"
    # denies for want of something
    OPT_IN_REQUIRED = "opt_in_required"
    NO_NOTICE_AT_COLLECTION = "no_notice_at_collection"
    NOTICE_NOT_RIPE = "notice_not_ripe"
    PLACE_UNKNOWN = "place_unknown"
    UNLINKED = "unlinked"
    NO_IDENTIFIER = "no_identifier"
    UNDECLARED_IDENTIFIER = "undeclared_identifier"
    MALFORMED = "malformed"
    # denies of ours
    STALE = "stale"
    STORE_UNAVAILABLE = "store_unavailable"
    # allows, whole or in part
    NO_CHOICE = "no_choice"
    OPTED_IN = "opted_in"
    DIRECTED = "directed"
    IN_BAND_CONSENT = "in_band_consent"
    APPROVED_BY_SILENCE = "approved_by_silence"
    NOT_PERSONAL = "not_personal"
    CONTRACTED = "contracted_purpose"
    COARSENED = "coarsened"
    HASHED = "hashed"


class Source(StrEnum):
    """Where a choice was said."""

    GPC = "gpc"
    US_PRIVACY = "us_privacy"
    GPP = "gpp"
    TCF = "tcf"
    ADDITIONAL_CONSENT = "additional_consent"
    AD_CHOICES = "ad_choices"
    CMP_COOKIE = "cmp_cookie"
    BROWSER_COOKIE = "browser_cookie"  # said before, and brought back by our own sealed cookie
    DEVICE = "device"
    INSTALLATION = "installation"  # said for another id of the same app on the same phone (R26)
    FORM = "form"
    SDK = "sdk"
    API = "api"
    EMAIL = "email"
    PHONE = "phone"
    LETTER = "letter"
    AGENT = "agent"
    SMS = "sms"
    IMPORT = "import"
    READING = "reading"  # said of a number that was given without its country, and that may be this one too


SOURCES = tuple(source for source in Source if source is not Source.READING)  # what a caller may say


class Manner(StrEnum):
    """How a request reached the operator (R30)."""

    WEB = "web"
    APP = "app"
    EMAIL = "email"
    PHONE = "phone"
    LETTER = "letter"
    AGENT = "agent"
    SMS = "sms"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A signal or an identifier that cannot be read. It is counted, and it never allows."""

    channel: str
    reason: str


class Unusable(Exception):
    """What this installation cannot start with, or go on with: the text says what, and the command that helps."""
