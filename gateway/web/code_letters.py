"""What stands around a code that is sent: what it is for, how long it is good, and that whoever did not ask for it need
do nothing. Says nothing about the address it goes to (V25).
"""

from collections.abc import Callable

from gateway.codes import ACCESS, ERASURE, SECONDS, opted_into
from gateway.delivery.letter import Letter
from gateway.terms import Purpose
from gateway.web import purpose_words
from gateway.web.language import mark, say

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
USES = {
    ACCESS: mark("see what is held about you, and who received it"),
    ERASURE: mark("have what is held about you deleted"),
}
ALLOW = mark("allow this again: %(what)s")


def written(language: str, site: str, use: str, kind: str) -> Callable[[str], Letter]:
    """Writes the letter around a code. `kind`: a text message is short."""
    text = say(language, SHORT if kind == "phone" else LONG)
    values = {"site": site, "what": what_for(language, use), "minutes": SECONDS // 60}
    return lambda code: Letter(say(language, SUBJECT), text % {"code": code, **values}, language)


def what_for(language: str, use: str) -> str:
    """A use in words."""
    if use in USES:
        return say(language, USES[use])
    purpose, recipient = opted_into(use)
    return say(language, ALLOW) % {"what": purpose_words.said(language, Purpose(purpose), recipient)}
