"""The vocabulary: every word that the rooms share, one word for one thing. Everything may import it; it has no rule.

The order of `CHOOSABLE` is the order of the bits in a standing row, so it only ever grows at its end. `WORDS`
explains, for people, what code and texts say in words of ours.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

DAY_MS = 86_400_000  # milliseconds of a day
CLOCKS_APART = timedelta(minutes=5)  # so far two machines' clocks may differ without anybody's fault
CLOCKS_APART_MS = CLOCKS_APART // timedelta(milliseconds=1)
ACCOUNT_BACKEND = (
    "account_backend"  # the operator's system of accounts as a receiver of messages, told of a child (R14)
)
TEXTS = "texts"  # the operator's sender of text messages, likewise


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
    # what is forgotten of a person
    ERASED = "erased"
    UNLINKED_PERSON = "unlinked_person"
    CHILD_FOUND = "child_found"  # denied for good, then erased (R14)


CALLERS_CHOICES: tuple[ChoiceKind, ...] = tuple(ChoiceKind)[:7]  # the words of `choice` in a call


class Erasing(StrEnum):
    """How much is forgotten of a person."""

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
    DROP = "drop"  # a row of a state's deletion list (`gateway help drop`)
    READING = "reading"  # said of a number that was given without its country, and that may be this one too


SOURCES = tuple(source for source in Source if source not in {Source.READING, Source.DROP})  # what a caller may say


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


class TextUnkeepable(ValueError):
    """A text that the ledger cannot keep: what it was part of is refused alone, and not what is written with it."""


# --- the glossary ---

# Every word that is ours, a sentence each; `gateway help words` prints them.
WORDS: dict[str, str] = {
    "accepted_at": "When a choice was durable: every check that begins later denies.",
    "account": (
        "The operator's own customer record, which identifiers are linked to and through which a choice travels."
    ),
    "act": (
        'What a person does towards one recipient, such as "send it there": it lets one transfer go and '
        "opens nothing else."
    ),
    "alike": "Of people: the same was said of them, and they have the same rows, so verify asks the rules of one.",
    "allow": "An answer by which data may go as it stands.",
    "announced": (
        "Of a recipient, purpose or data class: people were told of it, from a day on, before their data may go there."
    ),
    "assertion": "The operator's backend says, signed, which account is signed in on a phone or a page.",
    "attestation": "The operator's backend says, signed, which ids are those of a phone that it has looked at.",
    "band": "An age as the law tables know it, such as 13 to 15; the youngest that is known counts.",
    "beside": "Of signals or identifiers that come along with those a question names: they can deny and never allow.",
    "box": "A sealed piece of data, with a key of its own where it can be forgotten on its own.",
    "carried": (
        "Of a string of another format that a consent tool's cookie holds: it is handed to that format's reader."
    ),
    "carry": "Of a link: to pass on what was chosen at either end of it to the other.",
    "cell": "One count of evidence or metrics, of things that agree in all that is told of them.",
    "checkpoint": (
        "The log's size and root hash, signed, by which anybody can tell whether two people were shown one log."
    ),
    "choice": "What a person decided for some purposes: opt_out, limit, opt_in with its confirm, or withdraw.",
    "claimed": "Of a link: it rests on an app's word alone, so the account's no goes down it and nothing comes up.",
    "coarsen": "An answer by which a point may go only as an area too large to find somebody in.",
    "commitment": "A keyed hash in a leaf that shows nothing of what it stands for until its opening is given.",
    "cosignature": "A witness's signature under a checkpoint, which says that it saw the log only grow.",
    "data class": "What kind of data would go, such as ad_id, precise_geo or email_hash; a verdict answers for each.",
    "decision": "An answer to a check on record, with the id by which its caller says later what became of it.",
    "deny": "An answer by which data must not go; also a no on record, in which case it is somebody's choice.",
    "desk": "The operator's staff and backend, who write for people with a key of scope desk.",
    "details": "What the leaf of an entry does not say, sealed so that it can be erased while the opt-out stays.",
    "device token": "A sealed text that an app keeps for us, by which we know the same installation of it again.",
    "disclosure": (
        "Data about somebody that left, or may have left, for a recipient; it has a row and its batch an entry."
    ),
    "door": (
        "One address that callers or people reach over HTTP, with the code that reads the call and shapes the answer."
    ),
    "downstream": "What is told to a recipient along with the data, in the strings and fields that ad servers read.",
    "dry run": "A question that gets the real answer and leaves nothing behind but a count.",
    "effective_at": "From when no send may start on an answer that was given before the choice.",
    "emergency file": "Where opt-outs are kept, sealed and durable, while the ledger cannot be written.",
    "entry": "One record of the ledger, for ever: a leaf in public form and what is sealed beside it.",
    "erase": (
        "To forget a person: the details, or with unlink all that leads to an entry; a no stays unless it is unlinked."
    ),
    "event": "The random id of an entry, by which a caller asks for its receipt.",
    "evidence": "A day's counts, outages and what was in force, as an entry, to show that it was working.",
    "feed": "The stream of changed rows and edges that a replica follows.",
    "floor": "The age under which the operator shares nothing; of the house, how many rooms lie below a room.",
    "fold": "To make a standing from the entries about it, one after the other.",
    "frontier": "The few hashes of the tree that the next entry needs.",
    "gap": "Days on which no notice of the right to opt out was posted, so that data taken then does not go.",
    "grant": (
        "What a person allowed one recipient: theirs alone, it does not travel, and a later no to its purpose ends it."
    ),
    "handed back": "Of a row in mode `return`: the caller got it to send by itself, and says whether it did.",
    "handed over": "Of answers that a replica gave: brought to the gateway later, to be counted there.",
    "handle": "A keyed hash of a row's id, under which its recipient gets the row.",
    "head": "The ledger's newest position with what the next entry grows out of.",
    "heard": "All that one request's signals say, with how long each denial holds.",
    "held": "Of identifiers: what a recipient has got from us, so that it can be told of a no.",
    "holder": "Whoever has a number or mailbox now; what was said before their time is somebody else's.",
    "house": (
        "In code one opened installation, with its ledger, keys and settings; in talk the whole package with its rooms."
    ),
    "identifier": "One typed value that stands for somebody, such as a phone, an e-mail, an ad id or a cookie's id.",
    "in force": "The texts, law tables and settings that decide verdicts at a moment, logged as documents.",
    "informed": "Of an opt-in by an account with a live signal in sight: that signal no longer denies it.",
    "installation": "One set of data folder, keys and settings of the gateway; or one copy of an app on a phone.",
    "intended": "Of a row: written down before its bytes leave, so that a crash cannot hide that they left.",
    "key": "An identifier's pseudonym, made with the pepper; the ledger finds people by it and holds values sealed.",
    "leaf": "The public bytes of an entry, whose hash the tree holds; nothing in it names anybody.",
    "lease": (
        "Leave for a replica to answer from its copy until a moment; a choice is effective once no lease is behind it."
    ),
    "lift": "To take back a no, by the one who said it, with all that travelled from it.",
    "limit": "The choice that sensitive data is used for nothing but the service.",
    "limited": "Of a call whose identifiers are a zero id or nothing usable: it denies, and no key is made of it.",
    "link": "That an account has an identifier, from one moment until another; choices travel along it while it lasts.",
    "log": "The sequence of all leaves with its Merkle tree, signed under one name.",
    "looser": "Of a further form of an identifier that may be somebody else's too: a no reaches it and a yes does not.",
    "made-up": "Of people in rehearsals and tests: they are nobody, and no real recipient hears of them.",
    "mailbox": "All spellings of an address that reach one inbox, as at gmail.com: a no in one is a no in each.",
    "mark": "A short sign in an entry of the installation of an app that said it.",
    "name": (
        "A further form of the same identifier, such as a digest: what holds for one holds for all its exact names."
    ),
    "news": "What a visit says that is not on record yet, and so has to be written.",
    "nobody": "A visitor who says nothing and is not known: all of them share one answer.",
    "notice": "A text that a person was shown or sent, logged by its hash.",
    "office": (
        "What holds for every question of a day: the law, the age floor, the notices and whether CPNI rules apply."
    ),
    "opening": "The secret with which its owner shows that a leaf is about them; handed out once, never in an address.",
    "origin": "Of a no that travelled: the key of the identifier whose choice it is.",
    "outbox": "Messages to recipients that wait to be delivered, written together with the no that they tell of.",
    "own": (
        "Of a choice: said about this very identifier and not travelled to it; of a room or file: what "
        "nothing else may do."
    ),
    "partly": "Of a verdict: some of the data classes that were asked for may go, or may go changed.",
    "pepper": "The secret that keys are made with; a new one wraps the stored keys and loses nobody.",
    "person": (
        "Whoever the linked identifiers belong to; beside a record, the id of its two keys, which no other record has."
    ),
    "place": "A country or state by its ISO code; a question may have several, and the strictest law of them holds.",
    "position": "The number of an entry in the log, from 0 on, which orders everything; also written seq.",
    "problem": "An error as callers get it: a document with a type from a closed list and a status.",
    "proof": (
        "Of control: what shows that an identifier is the caller's, such as a code, an assertion or our own cookie."
    ),
    "prune": "To take out the bodies of entries that are older than the retention policy, and no opt-out with them.",
    "purpose": "What data would be used for, such as sale, sharing, targeted_ads or marketing_text.",
    "reach": "All whom a no on one key travels to, by what it goes through.",
    "reading": (
        "One of the numbers that somebody may have meant who typed a number without its country; also a signal as read."
    ),
    "receipt": "The proof, in a public format, that an entry is in the signed log; it names nobody.",
    "recipient": "A configured receiver of data, with its role, purposes, data classes, contract and address.",
    "rehearsal": "Every way to opt out, tried by made-up people against every recipient, each day.",
    "release": "A number or mailbox goes back to be given to somebody else: its links end and no yes on it stays.",
    "replay": "A request that comes once more with its Idempotency-Key; it is answered as the first one was.",
    "replica": "A process beside an ad server that answers checks from a copy of the standings.",
    "restate": "To say a choice again in a new entry before the old one's body is pruned.",
    "room": "A package of the code, which knows only rooms on floors below it.",
    "row": "One person's data in a share, as a line of JSON; in the tables of the ledger, a row as in any table.",
    "screen": "One version of a page that asks for a yes, logged, so that all that was said on it can be voided.",
    "seal": "To encrypt so that only this installation opens it, bound to what it is for.",
    "send window": "How long after its check a send may still start, 250 ms unless configured otherwise.",
    "shape": (
        "A row as it may go, with what is denied taken out and the rest changed; or leaves alike but for four members."
    ),
    "signal": "What a request says by itself, such as GPC, a GPP string, a cookie or a phone's setting.",
    "source": "Where a choice was said: gpc, form, sdk, letter and so on; for cookies and eids, whose id it is.",
    "spell": "A stretch of time in which something was off, such as the store, for the day's evidence.",
    "spelling": "One of several ways in which people and programs write the same identifier.",
    "stage": "A made-up installation with the operator's configuration, on which a rehearsal plays.",
    "stale": "Of a look-up: nobody proved lately that it answers from the newest file, so everything is denied.",
    "standing": "The current answer for one identifier: what it chose itself and what travelled to it.",
    "state": (
        "What a device or a consent tool says of itself, which denies for as long as it says so; of a host, what checks"
        " read."
    ),
    "stranger": "Somebody who has proved nothing: no answer tells them whether anybody is known here.",
    "subject": "One identifier as the ledger knows it: its kind, its value and its keys.",
    "suppression": "What an erased identifier is called at recipients, kept so that they can still be told of a no.",
    "tick": "One of the even moments at which answers to strangers leave, so that their time tells nothing.",
    "ticket": "What a browser or caller keeps as its half of a code or a download, so that nobody else can use it.",
    "tie": "To link identifiers to an account from now on.",
    "tighten": "To deny more: it needs no proof, is written first and shown first.",
    "tile": "A piece of the log's hashes or entries in the public format, which auditors fetch and caches keep.",
    "told": "Of people: shown or sent a notice, with the day; of recipients: sent a message about a no or an erasure.",
    "travel": "Of a no: to reach the other names, the accounts that have the identifier, and what those have.",
    "turn": "One sender's place in the queue, so that a flood by one does not make another one's opt-out wait.",
    "unlink": "The strongest erasure: nothing leads from a person to an entry any more, the opt-out's included.",
    "vault": "The file of records' keys, apart from the ledger, so that destroying a key forgets what it sealed.",
    "verdict": (
        "The answer to whether this data may go to this recipient for this purpose now, with its reason and rule."
    ),
    "via": "Of a no that travelled: the account it came through, or the origin itself where it came to another name.",
    "visit": "One request to the operator's site, heard, with what the site and the browser are told.",
    "void": (
        "To let entries count for nothing from now on, because they are believed forged or their screen was unfair."
    ),
    "watch": "The thread that proves twice a second that the file answered from is the file that is written.",
    "way": "One manner of opting out that a rehearsal tries; of deliveries, how messages reach one recipient.",
    "whole": (
        "Of a link: the backend, the desk or an attestation made it, so choices travel along it in both directions."
    ),
    "witness": "An independent party that signs a checkpoint only if the log grew out of the one it signed before.",
    "writer": "The one thread that changes the ledger, a batch a transaction, durable before any answer.",
}
