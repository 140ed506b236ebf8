"""What an access report's words are called to the person: one text a term, marked for the catalogues.

Owns words only. Some names are a term twice (`email` is a kind of identifier and a way to write to us); the kind's text
stands for both.
"""

from collections.abc import Mapping

from gateway.web.language import mark

PURPOSES: Mapping[str, str] = {
    "sale": mark("sale"),
    "sharing": mark("sharing"),
    "targeted_ads": mark("targeted ads"),
    "profiling": mark("profiling"),
    "sensitive": mark("sensitive"),
    "marketing_email": mark("marketing by e-mail"),
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
    "email_hash": mark("hash of an e-mail address"),
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
}
KINDS: Mapping[str, str] = {
    "browser": mark("this browser"),
    "account": mark("your account"),
    "email": mark("e-mail address"),
    "phone": mark("phone number"),
    "gaid": mark("advertising id"),
    "idfa": mark("advertising id"),
    "oaid": mark("advertising id"),
    "idfv": mark("app's id"),
    "appset": mark("app's id"),
    "imei": mark("device number"),
    "serial": mark("device number"),
    "udid": mark("device number"),
    "email_sha256": mark("hash of an e-mail address"),
    "email_sha1": mark("hash of an e-mail address"),
    "email_md5": mark("hash of an e-mail address"),
    "phone_sha256": mark("hash of a phone number"),
    "phone_sha1": mark("hash of a phone number"),
    "phone_md5": mark("hash of a phone number"),
    "ad_id_sha256": mark("hash of an advertising id"),
    "ad_id_sha1": mark("hash of an advertising id"),
    "ad_id_md5": mark("hash of an advertising id"),
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
