"""Google's Additional Consent string: providers outside the vendor list that a person consented to, read for
`signals.hear` (Google, "Additional Consent technical specification", versions 1 and 2).

`1~id.id` and `2~id.id~dv.id.id`; the second list holds providers disclosed and not consented to. A list of providers is
no consent to a purpose, so nothing here ever says `allowed`; a string that names no consented provider is a no.
"""

from gateway.signals.bits import MAX_CHARACTERS, MAX_ID, Unreadable
from gateway.signals.heard import UNKNOWN, Choices, Reading, stated
from gateway.terms import AD_CHOICE_PURPOSES

SECTION = "ac"
DISCLOSED = "dv"
VERSIONS = {"1": 2, "2": 3}  # how many parts each has between the `~`
DIGITS = frozenset("0123456789")
MAY_BE_DEFAULT = frozenset(AD_CHOICE_PURPOSES)  # a tool writes an empty list before anybody answers
LONGEST_ID = len(str(MAX_ID))  # ours: Google's ids have up to five digits


def read_additional_consent(text: str) -> Reading:
    """Sections `{"ac": {"Version", "Consented", "Disclosed"}}`. Errors: `size`, `version`, `format`, `id`. Without a
    consented provider, targeted ads and sharing are opted out, even where what follows cannot be read.
    """
    if len(text) > MAX_CHARACTERS:
        return Reading(error="size")
    version, *lists = text.strip().split("~")
    if version not in VERSIONS:
        return Reading(error="version")
    choices: Choices = stated(opted_out=AD_CHOICE_PURPOSES) if lists and not lists[0] else UNKNOWN
    if len(lists) + 1 != VERSIONS[version]:
        return Reading(choices, error="format", unanswered=MAY_BE_DEFAULT)
    try:
        fields = {"Version": int(version), "Consented": _ids(lists[0]), "Disclosed": _disclosed(lists[1:])}
    except Unreadable as reason:
        return Reading(choices, error=reason.code, unanswered=MAY_BE_DEFAULT)
    return Reading(choices, {SECTION: fields}, unanswered=MAY_BE_DEFAULT)


def _disclosed(lists: list[str]) -> list[int]:
    """The ids behind `dv.` of the one list that version 2 has; `dv` alone names none."""
    if not lists:
        return []
    mark, _, ids = lists[0].partition(".")
    if mark != DISCLOSED:
        raise Unreadable("format")
    return _ids(ids)


def _ids(text: str) -> list[int]:
    return [_id(word) for word in text.split(".")] if text else []


def _id(word: str) -> int:
    if not 0 < len(word) <= LONGEST_ID or not DIGITS.issuperset(word) or not 0 < int(word) <= MAX_ID:
        raise Unreadable("id")
    return int(word)
