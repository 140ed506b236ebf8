"""TC strings: TCF v2 (GPP section 2, `euconsent-v2`), TCF Canada v1 (section 5), TCF v1.1 (section 1, read only); read
and written for `signals.hear`, `signals.gpp` and the command line. What bits they are is `tc_string`'s; here is what
their fields say: which consents stand, and for whom. What takes fields takes those of any of the three forms.

Never raises on hostile input; a string that is not valid never says `allowed`. Only consent counts as a yes: legitimate
interest (section 2) and implied consent (section 5) are nobody's act. Whom a string lets advertise is answered of a
European one alone, for only its vendors have numbers in IAB Europe's list.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import cast

from gateway.signals.heard import UNKNOWN, Choices, Fields, Reading, stated
from gateway.signals.tcf import tc_string
from gateway.signals.tcf.vendors import Restriction
from gateway.terms import SIGNAL_PURPOSES, Stated

SECTION = "tcfeuv2"
# Store or read on the device, make profiles for advertising, choose advertising by them: consent is the only ground for
# each (TCF 2.2 ended legitimate interest for 3 and 4), so whatever else a publisher requires bars the vendor.
NEEDED = frozenset({1, 3, 4})
FIRST_VALID_POLICY = 4  # TCF 2.2; strings of an earlier policy ended on 2023-09-30 (IAB Europe)
DISCLOSURE_SINCE = "2026-03-01"  # TCF 2.3: a string created from here on names the vendors it disclosed (3.2)
REQUIRE_CONSENT = 1  # the one restriction of a publisher that leaves a consent as it is
PRECISE_GEOLOCATION = 1  # the special feature


def _is_in_force_eu(fields: Fields) -> bool:
    policy = fields.get("PolicyVersion", 0)
    return isinstance(policy, int) and policy >= FIRST_VALID_POLICY and fields.get("IsServiceSpecific") is True


@dataclass(frozen=True, slots=True)
class TcVocabulary:
    """The names under which one form says what all of them say. `needed`: the purposes without which nothing is
    allowed; storage on the device where it is one, profiles for advertising, and advertising chosen by them.
    """

    purposes: str
    vendors: str
    needed: frozenset[int]
    in_force: Callable[[Fields], bool]
    special_features: str = ""
    publisher: tuple[str, ...] = ()
    disclosed: str = ""


VOCABULARIES = (
    TcVocabulary(
        purposes="PurposeConsents",
        vendors="VendorConsents",
        needed=NEEDED,
        in_force=_is_in_force_eu,
        special_features="SpecialFeatureOptins",
        publisher=("PublisherConsents", "PublisherCustomConsents"),
        disclosed="VendorsDisclosed",
    ),
    TcVocabulary(
        purposes="PurposesExpressConsent",
        vendors="VendorExpressConsent",
        needed=frozenset({3, 4}),  # "purpose 1 bit is not used in TCF Canada" (GPP Sections/Canada, core)
        in_force=lambda _: True,
        special_features="SpecialFeatureExpressConsent",
        publisher=("PubPurposesExpressConsent", "CustomPurposesExpressConsent"),
    ),
    TcVocabulary(
        purposes="PurposesAllowed",
        vendors="VendorConsents",
        needed=frozenset({1, 2, 3}),  # v1.1 numbered them: 1 storage, 2 personalisation, 3 choice of advertising
        in_force=lambda _: False,  # TCF v1 ended in 2020
    ),
)
NOTHING = TcVocabulary(purposes="", vendors="", needed=frozenset(), in_force=lambda _: False)


def choices(fields: Fields) -> Choices:
    """What a valid string says of sale, sharing and targeted ads. All three are allowed with consent to purposes 1
    (store or read on the device), 3 (make profiles for advertising) and 4 (choose advertising by them) and to at
    least one vendor: sharing for advertising needs each of these. Otherwise all are opted out: no consent is a no,
    whether the person refused, has not answered, or answered in a form that is no longer in force.
    """
    may = in_force(fields) and not _refuses(fields) and bool(vendors_consented(fields))
    return stated(allowed=SIGNAL_PURPOSES) if may else stated(opted_out=SIGNAL_PURPOSES)


def refusal(fields: Fields) -> Choices:
    """What the fields in front of the damage say of a string that is not valid: opted out where they refuse."""
    return stated(opted_out=SIGNAL_PURPOSES) if _refuses(fields) else UNKNOWN


def in_force(fields: Fields) -> bool:
    """Whether consents in such a string still count: its policy version, its scope, its form."""
    return _words(fields).in_force(fields)


def answered(fields: Fields) -> bool:
    """True where something was consented to: that is not a tool's untouched default. A string without any consent may
    be a refusal or such a default: it denies, and it is nobody's act.
    """
    words = _words(fields)
    flags = (words.purposes, words.special_features, *words.publisher)
    return bool(_ids(fields, words.vendors)) or any(_chosen(fields, name) for name in flags)


def refused(fields: Fields) -> bool:
    """Whether a person said no here: something was consented to, and not what advertising needs. A consent that has
    ended is no refusal, nor is a string without any consent: both deny, and neither is an act.
    """
    return answered(fields) and in_force(fields) and _refuses(fields)


def purposes_consented(fields: Fields) -> frozenset[int]:
    """The purposes consented to, in force or not."""
    return _chosen(fields, _words(fields).purposes)


def special_features_consented(fields: Fields) -> frozenset[int]:
    """The special features opted into, in force or not; 1 is precise geolocation."""
    return _chosen(fields, _words(fields).special_features)


def vendors_consented(fields: Fields) -> frozenset[int]:
    """The vendors consented to, in force or not; since TCF 2.3 those of them that the person was shown."""
    words = _words(fields)
    listed, created = _ids(fields, words.vendors), cast("str", fields.get("Created", DISCLOSURE_SINCE))
    return listed & _ids(fields, words.disclosed) if words.disclosed and created >= DISCLOSURE_SINCE else listed


def _words(fields: Fields) -> TcVocabulary:
    """The vocabulary of these fields; that of nothing where the damage stands in front of the purposes."""
    return next((words for words in VOCABULARIES if words.purposes in fields), NOTHING)


def _refuses(fields: Fields) -> bool:
    words = _words(fields)
    return not words.needed <= purposes_consented(fields) or fields.get(words.vendors) == []


def _chosen(fields: Fields, name: str) -> frozenset[int]:
    flags = cast("Sequence[bool]", fields.get(name, ()))
    return frozenset(number for number, flag in enumerate(flags, 1) if flag)


def _ids(fields: Fields, name: str) -> frozenset[int]:
    return frozenset(cast("Sequence[int]", fields.get(name, ())))


def advertisers(reading: Reading) -> frozenset[int]:
    """The vendors with consent to each of purposes 1, 3 and 4 and without a restriction on them; nobody where the
    string, or one beside it in the same GPP string, does not allow sale, sharing and targeted ads.
    """
    fields = reading.sections.get(SECTION)
    if fields is None or not all(word is Stated.ALLOWED for word in reading.choices.values()):
        return frozenset()
    restrictions = cast("list[Restriction]", fields["PublisherRestrictions"])
    barred = [each["ids"] for each in restrictions if each["key"] in NEEDED and each["type"] != REQUIRE_CONSENT]
    return vendors_consented(fields).difference(*barred)


def read_eu(text: str) -> Reading:
    """A TCF v2.x string, bare or as GPP section 2: sections `{"tcfeuv2": fields}`. Errors: `size`, `alphabet`,
    `truncated`, `version`, `letters`, `range`, `restriction`, `padding`, `segment`.
    """
    return _read(text, tc_string.EU)


def read_ca(text: str) -> Reading:
    """A TCF Canada v1 string, GPP section 5, in the specification's coding or the earlier one: `{"tcfcav1": fields}`.
    Errors as of `read_eu`, and `fibonacci`.
    """
    return _read(text, tc_string.CA)


def read_v1(text: str) -> Reading:
    """A TCF v1.1 string, GPP section 1: `{"tcfeuv1": fields}`. `VendorConsents` holds the vendors consented to,
    whether the string lists them or the others. TCF v1 ended in 2020: no choice is ever allowed.
    """
    return _read(text, tc_string.V1)


def precise_refused(reading: Reading) -> bool:
    """Whether an answered string leaves precise geolocation out (special feature 1): it can only tighten."""
    known = [fields for name, fields in reading.sections.items() if name in {"tcfeuv2", "tcfcav1"}]
    return any(answered(fields) and PRECISE_GEOLOCATION not in special_features_consented(fields) for fields in known)


def write_eu(fields: Fields, absent: Collection[str] = ()) -> str:
    """The TCF v2.x string of the fields that `read_eu` shows: core, disclosed vendors, publisher, and where there
    are any allowed vendors, which 2.2 removed; a segment named in `absent` is left out. Raises `ValueError` for a field
    that is missing, unknown or does not fit.
    """
    return tc_string.encode(fields, tc_string.EU, absent)


def write_ca(fields: Fields, absent: Collection[str] = ()) -> str:
    """The TCF Canada v1 string of the fields that `read_ca` shows, in the specification's coding: core, publisher and,
    where there are any, disclosed vendors. Raises `ValueError` as `write_eu` does.
    """
    return tc_string.encode(fields, tc_string.CA, absent)


def _read(text: str, form: tc_string.TcForm) -> Reading:
    decoded = tc_string.decode(text, form)
    says = refusal if decoded.error else choices
    sections = {form.name: decoded.fields} if decoded.core_is_exact else {}
    unanswered = frozenset() if not decoded.error and refused(decoded.fields) else frozenset(SIGNAL_PURPOSES)
    return Reading(says(decoded.fields), sections, decoded.absent, decoded.error, unanswered)
