"""What holds for a visitor, as our pages say it: one sentence a purpose, and where a no that holds was said.

The words are those of `gateway.consent.site`, so a page, the badge and the headers cannot disagree. What is told to
whom (R6, R12, R16): a browser reads of its own choices, its cookie and its live signal; where a no came to an account
from, only whoever is signed in as that account; anything else is told in words that are the same for everybody. Never a
date, a value, or whose.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gateway.consent.site import Word, widened
from gateway.consent.still_out import Still, Where
from gateway.consent.verbs import Consent
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Subject
from gateway.terms import Purpose
from gateway.web.shell import own_cookies
from gateway.web.shell.visitor import Visitor, Visitors
from gateway.web.shell.words import mark, named

WORDS: Mapping[Word, str] = {
    Word.OPTED_OUT: mark("Opted out"),
    Word.UNKNOWN: mark("Counted as opted out"),
    Word.OPTED_IN: mark("Allowed by you"),
    Word.NONE: mark("Not opted out"),
    Word.NEEDS_YES: mark("Not done without your permission"),
    Word.CLOSED: mark("Not done"),
}
LIMITS: Mapping[Word, str] = {**WORDS, Word.OPTED_OUT: mark("Limited"), Word.NONE: mark("Not limited")}
LINKED = mark(
    "The opt-out was made elsewhere: on something that belongs together with this, such as an account. Whoever can sign"
    " in there can take it back there."
)
WHY: Mapping[Where, str] = {
    Where.SIGNAL: mark("Your browser sends a privacy signal that says no. This holds for as long as it is sent."),
    Where.THIS: mark("The opt-out was made on this browser, and can be taken back for it."),
    Where.ACCOUNT: mark("The opt-out was made for your %(our_account)s, and can be taken back for it."),
    Where.DEVICE_STATE: mark(
        "A consent tool or a setting says no here. This holds until the same tool or setting says otherwise."
    ),
    Where.MAILBOX: mark(
        "The opt-out was made for the same mailbox, written otherwise. It can be taken back with a code sent to it."
    ),
    Where.LINKED: LINKED,
}
# Where an opt-out came to somebody's own account from, by the kind of what it was made on.
CAME: Mapping[str, str] = {
    "browser": mark(
        "The opt-out came to your %(our_account)s from a browser that you were signed in on. It can be taken back for"
        " your %(our_account)s; that browser itself stays opted out."
    ),
    "phone": mark(
        "The opt-out came to your %(our_account)s from one of its phone numbers. It can be taken back for your"
        " %(our_account)s; the number itself stays opted out until a code shows that it is yours."
    ),
    "email": mark(
        "The opt-out came to your %(our_account)s from one of its email addresses. It can be taken back for your"
        " %(our_account)s; the address itself stays opted out until a code shows that it is yours."
    ),
}
OF_A_DEVICE = mark(
    "The opt-out came to your %(our_account)s from a device. It can be taken back for your %(our_account)s; that"
    " device itself stays opted out."
)

NEWS = timedelta(seconds=own_cookies.PROOF_SECONDS)


def may_read(since: timedelta, *, own: bool, said_here: bool) -> bool:
    """Whether the page of one entry tells what holds now. Its address is for ever and anybody may have it: recipients
    get the entry's id with a row (R7). So it tells the browser or account that the entry is of, and for a while
    whoever said it; anybody else reads the same words whatever became of it since, or of the number's next holder.
    """
    return own or (said_here and since <= NEWS)


@dataclass(frozen=True, slots=True)
class PositionLine:
    """One sentence: the word, what it is about, and where a no that holds was said; all of them texts of ours."""

    word: Word
    text: str
    uses: tuple[str, ...]
    why: tuple[str, ...] = ()


def lines(
    words: Mapping[Purpose, Word], why: Mapping[Purpose, tuple[str, ...]], texts: Mapping[Word, str] = WORDS
) -> list[PositionLine]:
    """Each purpose in one line; purposes of which the same is to be said share it."""
    together: dict[tuple[Word, tuple[str, ...]], list[Purpose]] = {}
    for purpose, word in words.items():
        together.setdefault((word, why.get(purpose, ())), []).append(purpose)
    return [PositionLine(word, texts[word], tuple(named(each)), told) for (word, told), each in together.items()]


async def reasons(
    consent: Consent, visitors: Visitors, visitor: Visitor, words: Mapping[Purpose, Word]
) -> dict[Purpose, tuple[str, ...]]:
    """Where each no that holds for this visitor was said, and what ends it, in words."""
    denied = [purpose for purpose, word in words.items() if word is Word.OPTED_OUT]
    told: dict[Purpose, dict[str, None]] = {purpose: {} for purpose in denied}
    signal, kept = widened(visitor.heard.denied), visitors.kept(visitor)
    for purpose in denied:
        told[purpose] |= {WHY[Where.SIGNAL]: None} if purpose in signal else {}
        told[purpose] |= {WHY[Where.THIS]: None} if purpose in kept else {}
    try:
        for still in await _on_record(consent, visitors.subjects(visitor), denied):
            told[still.purpose][worded(still)] = None
    except StoreUnavailable:
        return {purpose: tuple(texts) for purpose, texts in told.items()}
    return {purpose: tuple(texts) or (LINKED,) for purpose, texts in told.items()}


async def _on_record(consent: Consent, subjects: Sequence[Subject], denied: Sequence[Purpose]) -> list[Still]:
    """Of the browser and the site's own ids what they said themselves; of the account, which is signed in, also where
    its no came from. What came to a browser from elsewhere is not told apart.
    """
    account = [subject for subject in subjects if subject.is_account]
    here = [subject for subject in subjects if not subject.is_account]
    own = [still for still in await consent.still_out(here, denied) if still.where is not Where.LINKED]
    return [*own, *await consent.still_out(account, denied)]


def worded(still: Still) -> str:
    """The sentence about one no. Where it came from is told of an account alone, to whoever proved it."""
    if still.where is Where.LINKED and still.source:
        return CAME.get(still.source, OF_A_DEVICE)
    return WHY[still.where]


def of_another(stills: Iterable[Still]) -> list[str]:
    """The same of a mailbox or number that was shown by a code: of what it belongs to, nothing is told apart."""
    return list(dict.fromkeys(LINKED if still.where is Where.LINKED else WHY[still.where] for still in stills))
