"""What one opt-in allows, in words: the names of `gateway.web.uses`, and of the precise location with its one recipient
(R4, R7).
"""

from gateway.terms import Purpose
from gateway.web.language import mark, say
from gateway.web.uses import USES

PRECISE = mark("passing my precise location to %(recipient)s, for: %(purpose)s")


def said(language: str, purpose: Purpose, recipient: str = "") -> str:
    """In the language, as it stands in a list."""
    words = say(language, USES[purpose])
    return say(language, PRECISE) % {"recipient": recipient, "purpose": words} if recipient else words
