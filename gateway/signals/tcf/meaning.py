"""What the fields of a TC string say: which consents stand, and for whom. `signals.tcf` asks it.

Only consent counts as a yes: legitimate interest (section 2) and implied consent (section 5) are nobody's act. Every
function takes the fields of any of the three forms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from gateway.signals.heard import UNKNOWN, Choices, Fields, stated
from gateway.signals.tcf.vendors import Restriction
from gateway.terms import SIGNAL_PURPOSES

FIRST_VALID_POLICY = 4  # TCF 2.2; strings of an earlier policy ended on 2023-09-30 (IAB Europe)
DISCLOSURE_SINCE = "2026-03-01"  # TCF 2.3: a string created from here on names the vendors it disclosed (3.2)
# Purpose 1 never had legitimate interest, 3 to 6 lost it in 2.2 (3.1, 3.2).
CONSENT_ONLY = frozenset({1, 3, 4, 5, 6})
NOT_ALLOWED, REQUIRE_CONSENT, REQUIRE_INTEREST = 0, 1, 2
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
    restrictions: str = ""
    publisher: tuple[str, ...] = ()
    disclosed: str = ""
    interest_purposes: str = ""
    interest_vendors: str = ""


VOCABULARIES = (
    TcVocabulary(
        purposes="PurposeConsents",
        vendors="VendorConsents",
        needed=frozenset({1, 3, 4}),
        in_force=_is_in_force_eu,
        special_features="SpecialFeatureOptins",
        restrictions="PublisherRestrictions",
        publisher=("PublisherConsents", "PublisherCustomConsents"),
        disclosed="VendorsDisclosed",
        interest_purposes="PurposeLegitimateInterests",
        interest_vendors="VendorLegitimateInterests",
    ),
    TcVocabulary(
        purposes="PurposesExpressConsent",
        vendors="VendorExpressConsent",
        needed=frozenset({3, 4}),  # "purpose 1 bit is not used in TCF Canada" (GPP Sections/Canada, core)
        in_force=lambda _: True,
        special_features="SpecialFeatureExpressConsent",
        restrictions="PubRestrictions",
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
    """The vendors consented to, in force or not. In a string created since 2026-03-01 only those it disclosed."""
    return _disclosed(fields, _words(fields).vendors)


def vendor_may(fields: Fields, vendor: int, purpose: int) -> bool:
    """Whether the string lets a vendor process for a purpose, under the publisher's restrictions. Without one, consent
    is needed: which vendor declared a legitimate interest stands in the vendor list, not here, and in doubt it is no.
    """
    words = _words(fields)
    consent = purpose in purposes_consented(fields) and vendor in vendors_consented(fields)
    interest = (
        purpose not in CONSENT_ONLY
        and purpose in _chosen(fields, words.interest_purposes)
        and vendor in _disclosed(fields, words.interest_vendors)
    )
    grounds = {NOT_ALLOWED: False, REQUIRE_CONSENT: consent, REQUIRE_INTEREST: interest}
    types = _restrictions(fields, vendor, purpose) or {REQUIRE_CONSENT}
    return in_force(fields) and all(grounds[each] for each in types)


def _words(fields: Fields) -> TcVocabulary:
    """The vocabulary of these fields; that of nothing where the damage stands in front of the purposes."""
    return next((words for words in VOCABULARIES if words.purposes in fields), NOTHING)


def _refuses(fields: Fields) -> bool:
    words = _words(fields)
    return not words.needed <= purposes_consented(fields) or fields.get(words.vendors) == []


def _restrictions(fields: Fields, vendor: int, purpose: int) -> set[int]:
    found = cast("Sequence[Restriction]", fields.get(_words(fields).restrictions, ()))
    return {each["type"] for each in found if each["key"] == purpose and vendor in each["ids"]}


def _chosen(fields: Fields, name: str) -> frozenset[int]:
    flags = cast("Sequence[bool]", fields.get(name, ()))
    return frozenset(number for number, flag in enumerate(flags, 1) if flag)


def _ids(fields: Fields, name: str) -> frozenset[int]:
    return frozenset(cast("Sequence[int]", fields.get(name, ())))


def _disclosed(fields: Fields, name: str) -> frozenset[int]:
    """The vendors of a list that count: since TCF 2.3 those the person was shown."""
    listed, disclosed = _ids(fields, name), _words(fields).disclosed
    created = cast("str", fields.get("Created", DISCLOSURE_SINCE))
    return listed & _ids(fields, disclosed) if disclosed and created >= DISCLOSURE_SINCE else listed
