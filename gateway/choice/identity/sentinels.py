"""Sentinels: what a platform or a program sends when it has no identifier. Everybody without one shares it.

One of them as a key would opt out, or link, all those people together; read as an unknown person it would allow
(enforcement.md section 6, consequence 3). So they mean "limited". Owns the lists; never says what limited does.
"""

from collections.abc import Mapping

from gateway.choice.identity.kinds import ALGORITHMS, digest

ZERO_ID = "00000000-0000-0000-0000-000000000000"
WITHHELD_MAC = "02:00:00:00:00:00"  # what iOS 7 and Android 6 answer to everyone who asks for the hardware address
# How programs print the absence of a value: SQL and JSON, Python, Objective-C, JavaScript, Android's Build.UNKNOWN.
WORDS = frozenset({"", "null", "(null)", "nil", "none", "nan", "undefined", "unknown", "n/a"})
# An id of an ad network after an opt-out there (signals.md 7.5), and UID2's answer for an opted-out person (6).
OPT_OUTS = frozenset({"0", "-1", "noid", "optout", "opt_out", "opt-out"})
# Serials that factories left in: the digits in their order, from 0 or from 1, and Android 2.2's shared ANDROID_ID.
COUNTING = ("0123456789abcdef", "1234567890abcdef", "01234567890123456789")
SHARED = frozenset({"9774d56d682e549c", WITHHELD_MAC.replace(":", "")})
SEPARATORS = str.maketrans("", "", "-:{} /.")
ENOUGH = 8  # characters in which a repeated or a counted digit is no accident; shorter ones may be a real id


def word(text: str) -> bool:
    """Nothing, or a program's word for nothing."""
    return text.lower() in WORDS


def withheld(text: str) -> bool:
    """An opaque id (of a cookie, a partner, an account) that stands for none: a word, an opt-out, a zero id."""
    return word(text) or text.lower() in OPT_OUTS or _flat(text.translate(SEPARATORS))


def placeholder(text: str) -> bool:
    """A device's id that many devices have."""
    bare = text.lower().translate(SEPARATORS)
    return (
        word(text)
        or bare in SHARED
        or repeated(bare)
        or (len(bare) >= ENOUGH and any(bare in run for run in COUNTING))
        or bare in DIGESTS_OF_NOTHING.get(len(bare), ())
    )


def repeated(text: str) -> bool:
    """One character over and over, and zeros however few."""
    return _flat(text) or (len(text) >= ENOUGH and len(set(text)) == 1)


def _flat(text: str) -> bool:
    return set(text) == {"0"}


def digest_of_nothing(value: str) -> bool:
    """Lower-case hex: the digest of a sentinel, or UID2's null and ones hashes."""
    return len(set(value)) == 1 or value in DIGESTS_OF_NOTHING[len(value)]


def _spellings() -> set[str]:
    """As consumers spell before hashing: in lower and upper case, with and without separators."""
    plain = {*WORDS, ZERO_ID, WITHHELD_MAC, *SHARED, "0", "0" * 15, "0" * 16}  # 15: an IMEI, 16: an ANDROID_ID
    cased = {form(text) for text in plain for form in (str.lower, str.upper, str.capitalize)}
    return cased | {text.translate(SEPARATORS) for text in cased}


DIGESTS_OF_NOTHING: Mapping[int, frozenset[str]] = {  # by length in hex
    len(digest(algorithm, "")): frozenset(digest(algorithm, text) for text in _spellings()) for algorithm in ALGORITHMS
}
