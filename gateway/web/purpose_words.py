"""Purposes as a person reads them, in the languages of the pages. Words only; what a purpose is stands in `terms`."""

from typing import Final

from gateway.terms import Purpose
from gateway.web.language import mark, say

WORDS: Final = {
    Purpose.SALE: mark("the sale of your personal information"),
    Purpose.SHARING: mark("sharing your personal information for advertising across other sites and apps"),
    Purpose.TARGETED_ADS: mark("targeted advertising"),
    Purpose.PROFILING: mark("profiling that feeds decisions with serious effects on you"),
    Purpose.SENSITIVE: mark("use of your sensitive personal information beyond what you ask of us"),
    Purpose.MARKETING_EMAIL: mark("marketing by e-mail"),
    Purpose.MARKETING_MAIL: mark("marketing by letter"),
    Purpose.MARKETING_TEXT: mark("marketing by text message"),
    Purpose.MARKETING_CALL: mark("marketing by phone call"),
    Purpose.THIRD_PARTY_MARKETING: mark("giving your data to other companies for their own marketing"),
    Purpose.CPNI_MARKETING: mark("use of the records of your calls for marketing"),
    Purpose.CPNI_DISCLOSURE: mark("giving the records of your calls to others"),
    Purpose.CALL_LOCATION: mark("use of where you are during a call"),
}
PRECISE = mark("giving your precise location to %(recipient)s, for: %(purpose)s")


def said(language: str, purpose: Purpose, recipient: str = "") -> str:
    """What is allowed, as the middle of a sentence; with a recipient it is of the precise location alone (R4, R7)."""
    words = say(language, WORDS[purpose])
    return say(language, PRECISE) % {"recipient": recipient, "purpose": words} if recipient else words
