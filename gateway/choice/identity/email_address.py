"""E-mail addresses: one normal form, and the digests of it and of the forms that other consumers hash. `reading` calls
it.

The normal form is what most consumers hash: trimmed and in lower case (Meta, Snap, X). It keeps dots and suffixes, for
most mail hosts tell those apart. Of the two that take several spellings for one mailbox (support.google.com/mail, "Dots
don't matter", and its "googlemail.com") the plainest spelling names the mailbox.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from gateway.choice.identity import device, spelling
from gateway.choice.identity.kinds import Limited, NormalIdentifier, Read, digests, named, unwritable
from gateway.terms import Malformed

MAX_LOCAL, MAX_ADDRESS = 64, 254  # octets; RFC 5321 4.5.3.1.1, and 4.5.3.1.3 less the angle brackets
# What a paste brings along and nobody sees: zero-width spaces and marks of direction.
BLANKS = re.compile(r"[\s\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# RFC 5322 3.2.3 and RFC 6531 3.3, but dots may stand anywhere: mail hosts have given out such addresses.
# Of what nobody sees only such stays as is no part of any address: private letters, marks, what stands for a lost one.
ATOMS = re.compile(
    r'[^\s\x00-\x20\x7f-\x9f()<>\[\]:;@\\,"\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\ue000-\uf8ff\ufff9-\uffff'
    r"\U000110bd\U000110cd\U00013430-\U00013440\U000f0000-\U0010ffff]+"
)
QUOTED = re.compile(r'"((?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])+)"')  # RFC 5321 4.1.2
# What most people have, and what is in normal form as it stands: then nothing more is looked at.
PLAIN_LOCAL = re.compile(r"[a-z0-9_.+-]+")
PLAIN_DOMAIN = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
LABEL = re.compile(r"[a-z0-9_-]{1,63}")  # RFC 1035 2.3.4, and the underscore that hosts are found with
DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))  # RFC 3490 3.1: these too separate labels
MAILTO = re.compile(r"mailto:\s*", re.IGNORECASE)  # RFC 6068
PUNYCODE = "xn--"  # RFC 5890 2.3.2.1

# What a consumer takes out of the local part before it hashes, and at which domains.
EVERYWHERE = None
FORMS: tuple[tuple[re.Pattern[str], frozenset[str] | None], ...] = (
    (re.compile(r"\.|\+.*"), frozenset({"gmail.com"})),  # UID2: dots and the suffix
    (re.compile(r"\."), frozenset({"gmail.com", "googlemail.com"})),  # Google CM360: dots
    (re.compile(r"[.+]"), EVERYWHERE),  # Google Ads sample: both characters, the suffix's text stays
    (re.compile(r"\+.*"), EVERYWHERE),  # TikTok: the suffix
    (BLANKS, EVERYWHERE),  # LiveRamp: blanks, which only a quoted local part has here
)


ONE_MAILBOX, PLAINEST = frozenset({"gmail.com", "googlemail.com"}), "gmail.com"


def read_address(text: str) -> Read:
    """An address as it was typed or sent. What is none may be one in base64, or with words for its signs."""
    found = _seen(text)
    if isinstance(found, Malformed):
        plain = spelling.unlabelled(spelling.plain(text), MAILTO)
        for other in (spelling.with_signs(plain), spelling.decoded_text(plain)):
            if "@" in other and isinstance(again := _seen(other), NormalIdentifier):
                return again
    return found


def _seen(text: str) -> Read:
    """Whatever stands around an address or cannot be seen in it. What was said under the spelling while that was a part
    of it still denies; so does what somebody else may take its letters for.
    """
    if text.isascii() and spelling.unlabelled(text, MAILTO) == text:
        return _plainly(text)
    bare = spelling.unlabelled(spelling.plain(text), MAILTO).translate(DOTS)
    found = _plainly(bare)
    if text.isascii() or not isinstance(found, NormalIdentifier):
        return found
    alike = (_plainly(each) for each in (text, unicodedata.normalize("NFKC", bare)))
    names = (name for each in alike if isinstance(each, NormalIdentifier) for name in each.names[: each.exact])
    return replace(found, names=tuple(dict.fromkeys((*found.names, *names))))


def _plainly(text: str) -> Read:
    """Blanks are no part of an address; a quoted local part keeps its own."""
    if device.word(text):
        return Limited("email")
    local, at, domain = _lower(text).rpartition("@")
    local, domain = _local(local), domain_name(domain)
    in_ascii = _ascii(domain)
    if not (at and local and domain) or _too_long(local, in_ascii):
        return Malformed("email", "value")
    hosts = tuple(dict.fromkeys((domain, in_ascii)))
    own = [f"{local}@{host}" for host in hosts]
    looser = dict.fromkeys(f"{form}@{host}" for host in hosts for form in _forms(local, host))
    plainest = mailbox(local, domain)
    if plainest:
        looser[plainest] = None
    box = digests("email", [plainest])[0] if plainest else None
    looser_names = digests("email", [form for form in looser if form not in own])
    return named("email", own[0], digests("email", own), looser_names, box)


def mailbox(local: str, domain: str) -> str:
    """The plainest spelling of a mailbox that has several, or nothing; of a local part and a domain in normal form."""
    name = local.partition("+")[0].replace(".", "") if domain in ONE_MAILBOX and not local.startswith('"') else ""
    return f"{name}@{PLAINEST}" if name else ""


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.lower())


def _local(text: str) -> str:
    """The local part in normal form, or nothing where it is none."""
    if PLAIN_LOCAL.fullmatch(text) and text.strip(".+"):
        return text
    quoted = QUOTED.fullmatch(text.strip())
    content = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else BLANKS.sub("", text)
    if not BLANKS.sub("", content).strip(".+"):
        return ""  # other consumers' forms of it would be empty, and everybody's (UID2 refuses it too)
    if ATOMS.fullmatch(content):
        return content  # RFC 5321 4.1.2: quotes that were not needed make no other mailbox
    escaped = re.sub(r'(["\\])', r"\\\1", content)
    return f'"{escaped}"' if quoted else ""


def domain_name(text: str) -> str:
    """The domain with its labels in Unicode, or nothing where it is none. A root dot at its end is no label."""
    if PLAIN_DOMAIN.fullmatch(text) and PUNYCODE not in text:
        return text
    labels = _tidy(text).removesuffix(".").split(".")
    if not all(ATOMS.fullmatch(label) and LABEL.fullmatch(_ascii(label)) for label in labels):
        return ""
    return ".".join(_unicode(label) for label in labels)


def _tidy(text: str) -> str:
    """UTS 46 maps a host's letters by NFKC, too."""
    return unicodedata.normalize("NFKC", _lower(BLANKS.sub("", text))).translate(DOTS)


def _ascii(domain: str) -> str:
    """IDNA's A-labels (RFC 5890) without its table of letters, so that new letters are read and none are merged."""
    if domain.isascii():
        return domain
    return ".".join(
        label if label.isascii() else PUNYCODE + label.encode("punycode").decode() for label in domain.split(".")
    )


def _unicode(label: str) -> str:
    """What an A-label stands for; as it is, where that would not be written as this label."""
    if not label.startswith(PUNYCODE):
        return label
    try:
        decoded = label.removeprefix(PUNYCODE).encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    if unwritable(decoded) or not ATOMS.fullmatch(decoded):
        return label
    return decoded if _tidy(decoded) == decoded and _ascii(decoded) == label else label


def _too_long(local: str, domain: str) -> bool:
    """The domain has no limit of its own: RFC 1035's 253 octets cannot be reached within an address."""
    octets = len(local.encode())
    return octets > MAX_LOCAL or octets + 1 + len(domain) > MAX_ADDRESS


def _forms(local: str, domain: str) -> Iterator[str]:
    """The local part as each other consumer has it. An empty one would be everybody's."""
    for removed, domains in FORMS:
        form = removed.sub("", local) if domains is EVERYWHERE or domain in domains else ""
        if form:
            yield form
