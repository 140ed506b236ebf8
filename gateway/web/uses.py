"""How our pages name what a choice is about, and whom it covers: one text a thing, marked for the catalogues.

Owns words only; the law's own titles stay exact where the page shows them (11 CCR 7015).
"""

from collections.abc import Collection, Mapping

from gateway.choice.identity import phone_number
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Purpose
from gateway.web.language import mark

USES: Mapping[Purpose, str] = {
    Purpose.SALE: mark("sale of my personal information"),
    Purpose.SHARING: mark("sharing of it for ads on other sites and apps"),
    Purpose.TARGETED_ADS: mark("targeted advertising"),
    Purpose.PROFILING: mark("profiling"),
    Purpose.SENSITIVE: mark("uses of my sensitive personal information that I did not ask for"),
    Purpose.MARKETING_EMAIL: mark("marketing by e-mail"),
    Purpose.MARKETING_TEXT: mark("marketing by text message"),
    Purpose.MARKETING_CALL: mark("marketing by phone call"),
    Purpose.MARKETING_MAIL: mark("marketing by letter"),
    Purpose.THIRD_PARTY_MARKETING: mark("passing my information to others for their own marketing"),
    Purpose.CPNI_MARKETING: mark("use of the information about my calls and plan for marketing"),
    Purpose.CPNI_DISCLOSURE: mark("passing the information about my calls and plan to others"),
    Purpose.CALL_LOCATION: mark("use of the location of my calls"),
}
SOLD = mark("sale and sharing of my personal information, and targeted advertising")
# What a person may tick alone. A no to one of the first three is a no to all of them (travel.py), so they are one.
FINER: Mapping[str, tuple[Purpose, ...]] = {
    Purpose.SALE: SIGNAL_PURPOSES, Purpose.PROFILING: (Purpose.PROFILING,), Purpose.SENSITIVE: (Purpose.SENSITIVE,),
}  # fmt: skip
COVERS: Mapping[str, str] = {
    "browser": mark("this browser, until its cookies are cleared; a private window is another browser"),
    "phone": mark("the phone number that you gave, wherever it is used here, and its account, app and devices"),
    "email": mark("the e-mail address that you gave, wherever it is used here, and its account, app and devices"),
    "account": mark("your account, with its phone numbers, e-mail addresses, app and devices"),
}
ELSEWHERE = mark("the browser that sent the form, as long as it keeps our cookie")  # and it is not this one
OTHER = mark("an identifier")
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
