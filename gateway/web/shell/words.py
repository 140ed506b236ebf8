"""Words for people, in their language: of reports, letters, purposes and states. Pages and letters use them.

A link's `?lang=` stands above `Accept-Language` (RFC 9110 §12.5.4); neither is kept anywhere. Source texts are English;
`gateway/locale/{language}.po` translates them, and a text without a translation is shown in English.

An access report has one text a term; where a name is a term twice (`email` is a kind of identifier and a way to write
to us) the kind's text stands for both. The law's own titles stay exact where a page shows them (11 CCR 7015). A letter
with a code says nothing about the address it goes to (V25). States and provinces are untranslated: they are what stands
on the person's own letters, whatever language they read.
"""

import gettext
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from starlette.requests import Request

from gateway.choice.identity import phone_number
from gateway.choice.place import PROVINCE_NAMES, STATE_NAMES
from gateway.consent.codes import ACCESS, ERASURE, SECONDS, opted_into
from gateway.delivery.letters import Letter
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Purpose

ENGLISH: Final = "en"
LANGUAGES: Final = {ENGLISH: "English", "es": "Español", "fr": "Français"}  # each by its own name
LANGUAGE_PARAMETER: Final = "lang"


def language_asked(request: Request) -> str:
    """The language that a link asked for, or nothing: links on the page then carry it on."""
    wanted = request.query_params.get(LANGUAGE_PARAMETER, "")
    return wanted if wanted in LANGUAGES else ""


def language_of(request: Request) -> str:
    """The language of the answer to a request."""
    return language_asked(request) or _accepted(request.headers.get("accept-language", ""))


def _accepted(header: str) -> str:
    """The best of ours in an Accept-Language field; English where there is none, or the field cannot be read."""
    best, weight = ENGLISH, 0.0
    for part in header.split(",")[:20]:  # nobody reads more languages; what a stranger sends is bounded
        tag, _, quality = part.partition(";")
        name = tag.strip().lower().partition("-")[0]
        try:
            found = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if name in LANGUAGES and found > weight:
            best, weight = name, found
    return best


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The catalogue of a language."""
    if language == ENGLISH:
        return gettext.NullTranslations()
    path = resources.files("gateway") / "locale" / f"{language}.po"
    compiled = BytesIO()
    write_mo(compiled, read_po(BytesIO(path.read_bytes()), locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def say(language: str, text: str) -> str:
    """An English text of ours in a language. Texts that are said later stand in a `mark`."""
    return catalogue(language).gettext(text)


def mark(text: str) -> str:
    """Marks an English text for the catalogues where it stands, and leaves it as it is."""
    return text


PURPOSES: Mapping[str, str] = {
    "sale": mark("sale"),
    "sharing": mark("sharing"),
    "targeted_ads": mark("targeted ads"),
    "profiling": mark("profiling"),
    "sensitive": mark("sensitive"),
    "marketing_email": mark("marketing by email"),
    "marketing_mail": mark("marketing by letter"),
    "marketing_text": mark("marketing by text message"),
    "marketing_call": mark("marketing by phone call"),
    "third_party_marketing": mark("marketing of others"),
    "cpni_marketing": mark("marketing from my calls and plan"),
    "cpni_disclosure": mark("passing on my calls and plan"),
    "call_location": mark("location of my calls"),
    "service": mark("service"),
    "security": mark("security"),
    "legal": mark("legal duty"),
    "transfer": mark("transfer of the business"),
    "legal_notice": mark("legal notice"),
}
DATA: Mapping[str, str] = {
    "ad_id": mark("ad id"),
    "device_id": mark("device id"),
    "precise_geo": mark("precise location"),
    "coarse_geo": mark("rough location"),
    "ip": mark("network address"),
    "email_hash": mark("hash of an email address"),
    "phone_hash": mark("hash of a phone number"),
    "keywords": mark("keywords"),
    "demographics": mark("age, gender and the like"),
    "contact": mark("contact data"),
    "cpni": mark("calls and plan"),
    "content": mark("messages and calls themselves"),
    "deidentified": mark("deidentified data"),
    "aggregate": mark("totals over many people"),
}
ACTS: Mapping[str, str] = {
    "opt_out": mark("opt out"),
    "limit": mark("limit"),
    "opt_in": mark("opt in"),
    "confirm": mark("confirmation"),
    "withdraw": mark("withdraw"),
    "direct": mark("one transfer that you asked for"),
    "keep_programme": mark("staying in a programme"),
    "state_began": mark("a device or tool said no"),
    "state_ended": mark("a device or tool no longer says no"),
    "linked": mark("linked to an account"),
    "unlinked": mark("no longer linked"),
    "number_released": mark("number given back"),
    "told": mark("told"),
    "age": mark("age"),
    "consent_voided": mark("a consent that does not count"),
    "erased": mark("details forgotten"),
    "unlinked_person": mark("everything forgotten"),
    "child_found": mark("found to be a child"),
}
SOURCES: Mapping[str, str] = {
    "gpc": mark("the Global Privacy Control signal"),
    "us_privacy": mark("a U.S. privacy string"),
    "gpp": mark("a Global Privacy Platform string"),
    "tcf": mark("a European consent string"),
    "additional_consent": mark("Google's additional consent"),
    "ad_choices": mark("an ad industry opt-out"),
    "cmp_cookie": mark("a consent tool's cookie"),
    "browser_cookie": mark("this site's own cookie"),
    "device": mark("a device's setting"),
    "installation": mark("another id of the same phone"),
    "reading": mark("a number that was given without its country"),
    "form": mark("form"),
    "sdk": mark("app"),
    "api": mark("another system of ours"),
    "letter": mark("letter"),
    "agent": mark("an agent"),
    "sms": mark("text message"),
    "import": mark("an earlier list of ours"),
    "drop": mark("a state's deletion list"),
}
KINDS: Mapping[str, str] = {
    "browser": mark("this browser"),
    "account": mark("your %(our_account)s"),
    "email": mark("email address"),
    "phone": mark("phone number"),
    **dict.fromkeys(("gaid", "idfa", "oaid"), mark("advertising id")),
    **dict.fromkeys(("idfv", "appset"), mark("app's id")),
    **dict.fromkeys(("imei", "serial", "udid"), mark("device number")),
    **dict.fromkeys(("email_sha256", "email_sha1", "email_md5"), mark("hash of an email address")),
    **dict.fromkeys(("phone_sha256", "phone_sha1", "phone_md5"), mark("hash of a phone number")),
    **dict.fromkeys(("ad_id_sha256", "ad_id_sha1", "ad_id_md5"), mark("hash of an advertising id")),
    "cookie": mark("a site's cookie"),
    "eid": mark("an ad network's id"),
}
STATES: Mapping[str, str] = {
    "opted_out": mark("opted out"),
    "opted_in": mark("opted in"),
    "unknown": mark("unknown"),
}
AGES: Mapping[str, str] = {
    "under_13": mark("under 13"),
    "13_15": mark("13 to 15"),
    "16_17": mark("16 to 17"),
    "adult": mark("adult"),
}
OTHER = mark("an identifier")  # kinds of the operator's own (`id:NAME`), and what is no longer known
_ALL = {**PURPOSES, **DATA, **ACTS, **SOURCES, **KINDS, **STATES, **AGES}


def word(name: str) -> str:
    """A term as a person reads it, in English: what is shown next is its translation."""
    return OTHER if name.startswith("id:") else _ALL.get(name, name.replace("_", " "))


USES: Mapping[Purpose, str] = {
    Purpose.SALE: mark("sale of my personal information"),
    Purpose.SHARING: mark("sharing of it for ads on other sites and apps"),
    Purpose.TARGETED_ADS: mark("targeted advertising"),
    Purpose.PROFILING: mark("profiling"),
    Purpose.SENSITIVE: mark("uses of my sensitive personal information that I did not ask for"),
    Purpose.MARKETING_EMAIL: mark("marketing by email"),
    Purpose.MARKETING_TEXT: mark("marketing by text message"),
    Purpose.MARKETING_CALL: mark("marketing by phone call"),
    Purpose.MARKETING_MAIL: mark("marketing by letter"),
    Purpose.THIRD_PARTY_MARKETING: mark("passing my information to others for their own marketing"),
    Purpose.CPNI_MARKETING: mark("use of the information about my calls and plan for marketing"),
    Purpose.CPNI_DISCLOSURE: mark("passing the information about my calls and plan to others"),
    Purpose.CALL_LOCATION: mark("use of the location of my calls"),
}
SOLD = mark("sale and sharing of my personal information, and targeted advertising")
# What a person may tick alone. A no to one of the first three is a no to all of them (R3, R25), so they are one.
FINER: Mapping[str, tuple[Purpose, ...]] = {
    Purpose.SALE: SIGNAL_PURPOSES, Purpose.PROFILING: (Purpose.PROFILING,), Purpose.SENSITIVE: (Purpose.SENSITIVE,),
}  # fmt: skip
COVERS: Mapping[str, str] = {
    "browser": mark("this browser, until its cookies are cleared; a private window is another browser"),
    "phone": mark(
        "the phone number that you gave, wherever it is used here, and what belongs to it: %(our_belongings)s"
    ),
    "email": mark(
        "the email address that you gave, wherever it is used here, and what belongs to it: %(our_belongings)s"
    ),
    "account": mark("your %(our_account)s, and what belongs to it: %(our_identities)s"),
    "gaid": mark("the advertising id that you gave, wherever it is used here, and what belongs to it"),
}
ELSEWHERE = mark("the browser that sent the form, as long as it keeps our cookie")  # and it is not this one
COUNTRIES = (
    ("", ""),
    ("US", mark("United States")),
    ("CA", mark("Canada")),
    ("ZZ", mark("Another country")),  # UNREADABLE_PLACE: said, and none that the form knows
)


def numbered(kind: str, value: str) -> tuple[str, str]:
    """The country and the last two digits of a number that was typed, by which nobody else knows it; else nothing."""
    if kind != "phone" or not value:
        return "", ""
    country, digits = phone_number.shown(value)
    return dict(COUNTRIES).get(country, country), digits


def named(purposes: Collection[str]) -> list[str]:
    """What a choice is about, in words; the three that are one as one."""
    three = set(SIGNAL_PURPOSES) <= set(purposes)
    rest = [USES[each] for each in CHOOSABLE if each in purposes and not (three and each in SIGNAL_PURPOSES)]
    return [SOLD, *rest] if three else rest


PRECISE = mark("passing my precise location to %(recipient)s, for: %(purpose)s")


def purposes_in_words(language: str, purpose: Purpose, recipient: str = "") -> str:
    """In the language, as it stands in a list."""
    words = say(language, USES[purpose])
    return say(language, PRECISE) % {"recipient": recipient, "purpose": words} if recipient else words


SUBJECT = mark("Your code")
LONG = mark(
    "Your code: %(code)s\n\n"
    "Somebody asked for it at %(site)s, to do this:\n%(what)s\n\n"
    "Enter it where it was asked for, within %(minutes)d minutes. It is good once, and nowhere else. Tell it to nobody:"
    " we never ask for it by phone or by mail.\n\n"
    "If you did not ask for it, do nothing. Without the code nothing happens.\n"
)
SHORT = mark(
    "%(code)s is your code for %(site)s, to do this: %(what)s. Good for %(minutes)d minutes. Tell it to nobody. If you"
    " did not ask for it, do nothing."
)
NAMELESS = mark("our site")
LETTER_USES = {
    ACCESS: mark("see what is held about you, and who received it"),
    ERASURE: mark("have what is held about you deleted"),
}
ALLOW = mark("allow this again: %(what)s")


def written(language: str, site: str, use: str, kind: str) -> Callable[[str], Letter]:
    """Writes the letter around a code. `kind`: a text message is short. `site`: the operator's name."""
    text = say(language, SHORT if kind == "phone" else LONG)
    values = {"site": site or say(language, NAMELESS), "what": what_for(language, use), "minutes": SECONDS // 60}
    return lambda code: Letter(say(language, SUBJECT), text % {"code": code, **values}, language)


def what_for(language: str, use: str) -> str:
    """What a code is for, in words."""
    if use in LETTER_USES:
        return say(language, LETTER_USES[use])
    purpose, recipient = opted_into(use)
    return say(language, ALLOW) % {"what": purposes_in_words(language, Purpose(purpose), recipient)}


REGIONS = (("US", mark("United States"), STATE_NAMES), ("CA", mark("Canada"), PROVINCE_NAMES))
PLACE_NAMES = {
    **{f"{country}-{code}": name for country, _, names in REGIONS for code, name in names.items()},
    **dict(COUNTRIES[1:-1]),
}


def residents(notices: Mapping[str, str], places: Collection[str]) -> list[tuple[str, str]]:
    """The operator's notices as (name of the place, address), those of the visitor's own place first."""
    ordered = sorted(notices, key=lambda place: (place not in places, PLACE_NAMES.get(place, place)))
    return [(PLACE_NAMES.get(place, place), notices[place]) for place in ordered]
