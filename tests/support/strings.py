"""Made-up signal strings: valid fields of every section, and the damage that strings take on their way.

Everything is drawn from one `Random`, so that a seed (a fuzzer's, a judge's) and hypothesis (`st.randoms()`) share it.
"""

from datetime import UTC, datetime, timedelta
from random import Random

from gateway.signals import gpp
from gateway.signals.bits import ALPHABET
from gateway.signals.gpp.layouts import BY_NAME

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PURPOSES, SPECIAL_FEATURES = 24, 12
WITHOUT_INTEREST = (1, 3, 4, 5, 6)  # purposes whose legitimate interest the reference forces to false (1.7 k)
# What strings meet on the way: the alphabets of other encodings, their own delimiters, blanks, quotes, other scripts
STRANGE = ALPHABET + '.~=%+/ *"\t\x00é\u0661\u2028💥'


def us_fields(random: Random, section, *, version=None, whole=False):
    """Valid fields of a US section: each version, each value that is not reserved, now and then no subsection."""
    version = version or random.choice(list(section.cores))
    present = [layout for layout in section.subsections if whole or random.random() < 0.7]
    layouts = [section.cores[version], *present]
    return {field.name: _value(random, field, version) for layout in layouts for field in layout.fields}


def _value(random, field, version):
    fixed = {"Version": version, "MspaVersion": version, "GpcSegmentType": 1}
    if field.name in fixed:
        return fixed[field.name]
    if field.name == "Gpc":
        return random.random() < 0.5
    if field.name == "MspaCoveredTransaction":
        return random.choice([1, 2])
    values = [random.choice([0, 1, 2]) for _ in range(field.count or 1)]
    return values if field.count else values[0]


def us_privacy_fields(random: Random):
    return {"Version": 1} | {name: random.choice("YN-") for name in ("Notice", "OptOutSale", "LspaCovered")}


def _flags(random, count):
    chance = random.choice([0.0, 0.5, 1.0])
    return [random.random() < chance for _ in range(count)]


def _vendors(random):
    first = random.randint(1, 800)
    return sorted({*range(first, first + random.choice([0, 1, 40])), *(random.randint(1, 900) for _ in range(4))})


def _date(random):
    moment = datetime(2024, 1, 1, tzinfo=UTC) + random.randint(0, 10**9) * timedelta(milliseconds=100)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _opening(random, version):
    return {
        "Version": version,
        "Created": _date(random),
        "LastUpdated": _date(random),
        "CmpId": random.randint(2, 4095),
        "CmpVersion": random.randint(0, 4095),
        "ConsentScreen": random.randint(0, 63),
        "ConsentLanguage": random.choice(LETTERS) + random.choice(LETTERS),
        "VendorListVersion": random.randint(1, 4095),
    }


def eu_fields(random: Random):
    """Fields of section 2 that the reference keeps as they are."""
    interests = [flag and purpose not in WITHOUT_INTEREST for purpose, flag in enumerate(_flags(random, PURPOSES), 1)]
    custom = random.choice([0, 3])
    return _opening(random, 2) | {
        "PolicyVersion": random.randint(2, 5),
        "IsServiceSpecific": True,
        "UseNonStandardStacks": random.random() < 0.5,
        "SpecialFeatureOptins": _flags(random, SPECIAL_FEATURES),
        "PurposeConsents": _flags(random, PURPOSES),
        "PurposeLegitimateInterests": interests,
        "PurposeOneTreatment": random.random() < 0.5,
        "PublisherCountryCode": random.choice(LETTERS) + random.choice(LETTERS),
        "VendorConsents": _vendors(random),
        "VendorLegitimateInterests": _vendors(random),
        "PublisherRestrictions": [{"key": 2, "type": random.randint(0, 2), "ids": _vendors(random)}],
        "PublisherConsents": _flags(random, PURPOSES),
        "PublisherLegitimateInterests": _flags(random, PURPOSES),
        "NumCustomPurposes": custom,
        "PublisherCustomConsents": _flags(random, custom),
        "PublisherCustomLegitimateInterests": _flags(random, custom),
        "VendorsDisclosed": _vendors(random),
    }


def ca_fields(random: Random):
    custom = random.choice([0, 3])
    return _opening(random, 1) | {
        "TcfPolicyVersion": random.randint(1, 5),
        "UseNonStandardStacks": random.random() < 0.5,
        "SpecialFeatureExpressConsent": _flags(random, SPECIAL_FEATURES),
        "PurposesExpressConsent": _flags(random, PURPOSES),
        "PurposesImpliedConsent": _flags(random, PURPOSES),
        "VendorExpressConsent": _vendors(random),
        "VendorImpliedConsent": _vendors(random),
        "PubRestrictions": [{"key": 2, "type": random.randint(0, 2), "ids": _vendors(random)}],
        "PubPurposesExpressConsent": _flags(random, PURPOSES),
        "PubPurposesImpliedConsent": _flags(random, PURPOSES),
        "NumCustomPurposes": custom,
        "CustomPurposesExpressConsent": _flags(random, custom),
        "CustomPurposesImpliedConsent": _flags(random, custom),
        "DisclosedVendors": _vendors(random),
    }


OTHERS = {"tcfeuv2": eu_fields, "tcfcav1": ca_fields, "uspv1": us_privacy_fields}
WRITABLE = (*OTHERS, *BY_NAME)


def fields(random: Random, name: str):
    """Valid fields of any section that we write."""
    return OTHERS[name](random) if name in OTHERS else us_fields(random, BY_NAME[name])


def sections(random: Random, most: int = 5):
    """A few sections by name, with their fields."""
    return {name: fields(random, name) for name in random.sample(WRITABLE, random.randint(1, most))}


def gpp_string(random: Random):
    return gpp.write_gpp_string(sections(random))


def _flip(random, text):
    at = random.randrange(len(text))
    return text[:at] + random.choice(STRANGE) + text[at + 1 :]


def _insert(random, text):
    at = random.randint(0, len(text))
    return text[:at] + random.choice(STRANGE) + text[at:]


def _delete(random, text):
    at = random.randrange(len(text))
    return text[:at] + text[at + 1 :]


def _repeat(random, text):
    first, last = sorted(random.randint(0, len(text)) for _ in range(2))
    return text[:last] + text[first:last] + text[last:]


def _swap(random, text):
    """Two pieces between delimiters change places."""
    delimiter = random.choice("~.")
    pieces = text.split(delimiter)
    one, other = random.randrange(len(pieces)), random.randrange(len(pieces))
    pieces[one], pieces[other] = pieces[other], pieces[one]
    return delimiter.join(pieces)


def _cut(random, text):
    return text[: random.randint(0, len(text))]


DAMAGE = (_flip, _insert, _delete, _repeat, _swap, _cut)


def damaged(random: Random, text: str):
    """The same after one to three accidents."""
    for _ in range(random.randint(1, 3)):
        text = random.choice(DAMAGE)(random, text) if text else random.choice(STRANGE)
    return text
