"""What other ad servers keep from a bidder is kept here: their decisions, row by row, against ours.

The rows come from Prebid Server in Java and in Go, and from Prebid.js. Whatever all of
them deny is denied here; where they differ, the deny is ours; where we alone deny, the reason stands in a table.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import pytest
from support.verdicts import OFFICE, buyer

from gateway.choice.identity import NormalIdentifier, read_identifier
from gateway.choice.question import Grant, Question
from gateway.choice.verdict import decide
from gateway.signals import gpp
from gateway.signals.gpp.layouts import BY_ID, US_PRIVACY
from gateway.signals.hear import from_call, from_web
from gateway.signals.heard import Heard
from gateway.terms import SIGNAL_PURPOSES, DataClass, Purpose

# --- the person, and what is asked about her -----------------------------------------------------------------------

# Of a precise point: purposes that nobody needs to opt in to, so that only the signal can say no.
POINT_PURPOSES = (*SIGNAL_PURPOSES, Purpose.PROFILING, Purpose.THIRD_PARTY_MARKETING)
PERSON = (DataClass.AD_ID, DataClass.DEVICE_ID, DataClass.EMAIL_HASH, DataClass.DEMOGRAPHICS)
WORDS = (DataClass.KEYWORDS, DataClass.AD_ID, DataClass.DEVICE_ID)  # never beside what identifies her (R20)
ADS, POINT = "ads", "point"
ASKED = {
    ADS: [(purpose, data) for purpose in (Purpose.TARGETED_ADS, Purpose.SHARING) for data in (PERSON, WORDS)],
    POINT: [(purpose, (DataClass.PRECISE_GEO,)) for purpose in POINT_PURPOSES],
}
ACTIVITIES = {"syncUser": ADS, "transmitEids": ADS, "transmitUfpd": ADS, "transmitPreciseGeo": POINT}
BUYER = buyer()
GRANTS = tuple(Grant("buyer", purpose, DataClass.PRECISE_GEO, 1) for purpose in POINT_PURPOSES)
CALIFORNIA = "US-CA"


@cache
def ours(heard: Heard, what: str, place: str = CALIFORNIA, *, limited: bool = False) -> str:
    """One word for all purposes and classes of what is asked, for they are answered alike."""
    answers = set()
    for purpose, data in ASKED[what]:
        question = Question(BUYER, (purpose,), data, frozenset({place}), "adult", heard, (), GRANTS, limited)
        answers |= set(decide(question, OFFICE).data.values())
    (answer,) = answers
    return answer.value


@pytest.mark.parametrize("place", ["US-CA", "US-CO", "US-CT", "US-UT", "US-VA"])
def test_a_person_who_said_nothing_is_kept_back_by_nothing_but_two_states_bans_of_precise_points(place):
    assert ours(Heard(), ADS, place) == "allow"
    assert ours(Heard(), POINT, place) == ("coarsen" if place in {"US-CT", "US-VA"} else "allow")


# --- rows and how they are compared --------------------------------------------------------------------------------


class Row(NamedTuple):
    """`theirs`: for each activity, whether each product denies it. `told`: what the row sets, by field."""

    id: str
    signals: Mapping[str, object]
    theirs: Mapping[str, tuple[bool, ...]]
    told: Mapping[str, object] = {}
    place: str = CALIFORNIA


AGREED = "agreed"
# Where the products differ, and the deny is ours.
COVERED = "MspaCoveredTransaction 0 is not allowed: Java lets it pass, our reader takes it for damage"
EIDS = "ids: Java keeps them back like data about the person, Prebid.js like a cookie sync"
BEYOND = "sensitive items 13 to 16 in a section that calls itself version 1: Prebid.js reads twelve"
MISSING = "a section that applies is not in the string: Java reads nothing and lets pass"
# Where we alone deny.
POINT_TOO = "an opt-out or a notice not given ends the precise point as well: to share it is a sale"
WHOLE = "data about her that may not go along ends the sync and the ids: one of the three is all of them (R25)"
BANNED = "Virginia and Connecticut ban the sale of precise points: a coarse one goes"
SETTING = "an operator's setting that lets PersonalDataConsents 2 pass, which we do not have"


def compared(rows: list[Row]) -> Counter[str]:
    """Fails where we are looser than all of them together, or than one of them; counts the rest by its reason."""
    words: Counter[str] = Counter()
    for row in rows:
        heard = from_call(row.signals)
        for activity, theirs in row.theirs.items():
            answer = ours(heard, ACTIVITIES[activity], row.place)
            if any(theirs):
                assert answer == "deny", (row.id, activity)
                words[AGREED if all(theirs) else why_they_differ(row, activity)] += 1
            else:
                words[AGREED if answer == "allow" else why_we_alone(row, activity, answer)] += 1
    return words


def why_they_differ(row: Row, activity: str) -> str:
    if row.told.get("MspaCoveredTransaction") == 0:
        return COVERED
    if row.id.startswith("section_missing"):
        return MISSING
    if activity == "transmitEids" and row.theirs["transmitUfpd"][0]:
        return EIDS
    beyond = row.told.get("Version") != 2 and any(row.told.get("SensitiveDataProcessing", [])[12:])
    return BEYOND if beyond and activity == "transmitUfpd" else f"not explained: {row.id} {activity}"


def why_we_alone(row: Row, activity: str, answer: str) -> str:
    if answer == "coarsen":
        return BANNED
    if "config" in row.told:
        return SETTING
    about_her = any(row.theirs.get("transmitUfpd", ())) or any(row.theirs.get("syncUser", ()))
    if about_her:
        return POINT_TOO if ACTIVITIES[activity] is POINT else WHOLE
    return f"not explained: {row.id} {activity}"


def denials(*decided: Mapping[str, str]) -> dict[str, tuple[bool, ...]]:
    """Of Java and of Prebid.js; in Java ids go like data about the person."""
    java, browser = decided
    java = {"transmitEids": java["transmitUfpd"], **java}
    return {name: (java[name] == "disallow", browser[name] == "disallow") for name in ACTIVITIES}


@pytest.fixture(scope="session")
def cases(vectors):
    return lambda name: json.loads((vectors / "enforcement" / f"{name}.json").read_text())


@pytest.fixture
def agrees(figure):
    """Compares, prints, and holds against the expected words and counts."""

    def check(name: str, rows: list[Row], expected: Mapping[str, int]) -> None:
        words = compared(rows)
        figure(f"Prebid: {name}", f"{words[AGREED]} of {words.total()} decisions alike, {len(expected) - 1} reasons")
        assert words == expected

    return check


# --- the national section ------------------------------------------------------------------------------------------

ITEMS, CHILD = "SensitiveDataProcessing", "KnownChildSensitiveDataConsents"
# What matches no line of the table, for fields that a row does not give: in the products they are null.
NEUTRAL = {
    "SharingNotice": 1, "SaleOptOutNotice": 1, "SharingOptOutNotice": 1, "TargetedAdvertisingOptOutNotice": 1,
    "SensitiveDataProcessingOptOutNotice": 1, "SensitiveDataLimitUseNotice": 1, "SaleOptOut": 0, "SharingOptOut": 0,
    "TargetedAdvertisingOptOut": 0, ITEMS: [], CHILD: [], "PersonalDataConsents": 0, "MspaCoveredTransaction": 2,
    "MspaOptOutOptionMode": 0, "MspaServiceProviderMode": 0, "Gpc": False,
}  # fmt: skip


def national(told: Mapping[str, object], version: int, *, items: int = 16, child: int = 3) -> str:
    """A string with these fields. Null is written as 0, which matches no line either; so is a 3, which is reserved."""

    def filled(values: list, count: int) -> list[int]:
        return [value if value in {0, 1, 2} else 0 for value in [*values, *[0] * count][:count]]

    fields = {**NEUTRAL, **{name: value or 0 for name, value in told.items()}}
    lists = {ITEMS: filled(fields[ITEMS], items), CHILD: filled(fields[CHILD], child)}
    return gpp.write_gpp_string({"usnat": {**fields, **lists, "Version": version, "Gpc": bool(fields["Gpc"])}})


def version_1(told: Mapping[str, object]) -> str:
    return national(told, 1, items=12, child=2)


def in_version_1(told: Mapping[str, object]) -> bool:
    return not any(told[ITEMS][12:]) and not any(told[CHILD][2:])


FORMS: dict[str, tuple[Callable[[Mapping[str, object]], str], str]] = {
    "usnat, version 2": (lambda told: national(told, 2), "prebidjs_v2"),
    "usnat, version 1": (version_1, "prebidjs_v1"),
    "usnat, version 1 in the layout of 2": (lambda told: national(told, 1), "prebidjs_v1"),  # as iabgpp-java writes
}


@pytest.fixture(scope="session")
def truth_table(cases):
    """The rows of each form, written once."""
    table = cases("usnat_truth_table")

    def rows(form: str) -> list[Row]:
        write, browser = FORMS[form]
        told = {case["id"]: table["base_fields"] | case["set"] for case in table["cases"]}
        return [
            Row(
                case["id"],
                {"gpp": write(told[case["id"]])},
                denials(case["pbs_java"], case[browser]),
                case["set"] | {"Version": 2 if browser == "prebidjs_v2" else 1},
            )
            for case in table["cases"]
            if write is not version_1 or in_version_1(told[case["id"]])
        ]

    return cache(rows)


NATIONAL = {
    "usnat, version 2": {AGREED: 996, COVERED: 4, EIDS: 78, WHOLE: 78, POINT_TOO: 148},
    "usnat, version 1": {AGREED: 855, COVERED: 4, EIDS: 59, WHOLE: 59, POINT_TOO: 123},
    "usnat, version 1 in the layout of 2": {AGREED: 980, COVERED: 4, EIDS: 78, BEYOND: 16, WHOLE: 78, POINT_TOO: 148},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_person_of_the_national_truth_table_is_denied_whatever_both_products_deny(form, truth_table, agrees):
    agrees(form, truth_table(form), NATIONAL[form])


def test_a_persons_gpc_counts_as_the_boolean_that_prebidjs_ignores(cases, figure):
    """It tests for the number 1, and GPP libraries decode a boolean."""
    table, lost = cases("usnat_truth_table"), 0
    for case in table["cases"]:
        ignored = case.get("prebidjs_v1_if_Gpc_is_boolean")
        if ignored is None:
            continue
        heard = from_call({"gpp": national(table["base_fields"] | case["set"], 2)})
        assert {ours(heard, ADS), ours(heard, POINT)} == {"deny"}, case["id"]
        lost += sum(ignored[name] != word for name, word in case["prebidjs_v1"].items())
    assert lost == 38
    figure("Prebid: GPC as a boolean", f"{lost} denials that Prebid.js drops and that stand here")


def test_without_the_refusals_beside_the_opt_outs_the_agreement_ends(truth_table, monkeypatch):
    monkeypatch.setattr(gpp, "refused_now", lambda *_: frozenset())
    for form in FORMS:
        with pytest.raises(AssertionError, match=r"'(allow|coarsen)' == 'deny'"):
            compared(truth_table(form))


def java_rows(table: Mapping[str, list]) -> list[Row]:
    """Unit tests of one product: each gives a few fields, the others are null."""
    activities = {name: "transmitUfpd" if "Ufpd" in name else name for name in ACTIVITIES}
    found = []
    for case in table["cases"]:
        (activity,) = {activities.get(name) for name in case["activity"].split("/")} & {*ACTIVITIES} - {"transmitEids"}
        told = case["given"] | ({"config": case["config"]} if case["config"] else {})
        signals = {"gpp": national(case["given"], 2)}
        found.append(Row(case["id"], signals, {activity: (case["expected"] == "DISALLOW",)}, told))
    return found


def test_a_person_of_javas_unit_tests_is_denied_whatever_it_denies(cases, agrees):
    agrees("Java's unit tests", java_rows(cases("pbs_java_usnat_unit")), {AGREED: 103, SETTING: 3})


# --- the states' sections ------------------------------------------------------------------------------------------

SECTIONS = {AGREED: 376, EIDS: 45, BEYOND: 4, MISSING: 12, WHOLE: 45, POINT_TOO: 66, BANNED: 12}
# Their own places; of the national section California.
PLACES = {9: "US-VA", 10: "US-CO", 11: "US-UT", 12: "US-CT"}


def test_a_person_of_each_states_section_is_denied_whatever_both_products_deny(cases, agrees):
    rows = [
        Row(
            case["id"],
            {"gpp": case["gpp"], "gpp_sid": case["gpp_sid"]},
            denials(case["pbs_java"], case["prebidjs"]),
            case["set"] or {},
            PLACES.get(case["gpp_sid"][0], CALIFORNIA),
        )
        for case in cases("us_sections_gpp_strings")["cases"]
    ]
    agrees("strings of sections 7 to 12", rows, SECTIONS)


# --- Prebid.js's own specs -----------------------------------------------------------------------------------------

DECISIONS = {
    "isBasicConsentDenied": tuple(ACTIVITIES),
    "isConsentDenied": ("syncUser", "transmitEids"),
    "isTransmitUfpdConsentDenied": ("transmitUfpd",),
    "isTransmitGeoConsentDenied": ("transmitPreciseGeo",),
}
HELPER = "normalizer("  # moves and blanks list items of made-up fields: how it is done there, no decision


@pytest.fixture(scope="session")
def specs(cases):
    """The captured calls, by the function that was called."""
    found: dict[str, list] = {}
    for case in cases("prebidjs_spec_cases")["cases"]:
        found.setdefault(case["function"], []).append(case)
    return found


def test_a_person_of_prebidjs_specs_is_denied_whatever_it_denies(specs, agrees):
    rows = [
        Row(
            case["id"],
            {"gpp": (version_1 if told["Version"] == 1 else FORMS["usnat, version 2"][0])(told)},
            dict.fromkeys(activities, (case["result"],)),
            told,
        )
        for function, activities in DECISIONS.items()
        for case in specs[function]
        for told in case["args"]
    ]
    agrees("Prebid.js specs", rows, {AGREED: 53})


def denied_by(sections: Mapping[str, Mapping[str, object]] | str) -> tuple[str, str]:
    heard = from_call({"gpp": sections if isinstance(sections, str) else gpp.write_gpp_string(sections)})
    return ours(heard, ADS), ours(heard, POINT)


def of_state(number: int, **told: object) -> tuple[str, str]:
    """Of a person who was told everything and answered nothing, but for what is said."""
    section = BY_ID[number]
    fields = {field.name: NEUTRAL.get(field.name, 0) for field in section.newest.fields}
    empty = {field.name: [0] * field.count for field in section.newest.fields if field.count}
    if not empty.get(CHILD):
        empty[CHILD] = 0
    return denied_by({section.name: {**fields, **empty, "Version": 1, **told}})


def test_a_states_answers_refuse_as_the_national_ones_that_prebidjs_takes_them_for(specs, figure):
    """Each sensitive item, refused and consented to, where Prebid.js moves it; and each answer about a known child."""
    compared_answers = 0
    for function, calls in specs.items():
        if not function.startswith("NORMALIZATIONS"):
            continue
        number = int(function[15:-1])
        for case in calls:
            (told,), normal = case["args"], case["result"]
            if ITEMS in told:  # its items are their own numbers, so that one sees where each goes
                for item, value in ((item, value) for item in told[ITEMS] for value in (1, 2)):
                    moved = [value if each == item else 0 for each in normal[ITEMS]]
                    state = [value if each == item else 0 for each in told[ITEMS]]
                    nationally = denied_by(national({ITEMS: moved}, 2))
                    assert of_state(number, **{ITEMS: state}) == nationally, (function, item, value)
                    compared_answers += 1
            else:
                child = national({CHILD: normal[CHILD]}, 2)
                assert of_state(number, **told) == denied_by(child), case["id"]
                compared_answers += 1
    assert compared_answers == 80 + 15
    figure("Prebid.js normalisation", f"{compared_answers} answers of states refuse as the national ones")


def test_every_captured_call_is_compared_or_no_decision(specs):
    counts = Counter({name: len(calls) for name, calls in specs.items()})
    decided = sum(counts[name] for name in DECISIONS)
    normalised = sum(count for name, count in counts.items() if name.startswith("NORMALIZATIONS"))
    helper = sum(count for name, count in counts.items() if name.startswith(HELPER))
    assert (decided, normalised, helper, counts.total()) == (33, 20, 12, 65)


# --- Prebid Server in Go -------------------------------------------------------------------------------------------

NOT_OURS = {  # tables of rows that decide nothing that is decided here
    "nosale.parse": "no recipient is exempt from an opt-out by a publisher's list",
    "ccpa.can_enforce": "whether a string was there",
    "ccpa.should_enforce": "exemptions by nosale again",
    "ccpa.errors": "the wording of an auction's warnings",
    "lmt.can_enforce": "whether a flag was there",
    "lmt.is_ios_app": "a caller passes `att` on where there is one; nobody guesses it from the system's name",
    "gpp.downgrade_usp": "section 6 is read where it stands, not copied into another field",
    "gpp.downgrade_tcf": "section 2 likewise",
    "eids.permissions": "which bidder may have which id source: registered data classes here",
    "component.name": "conditions of a rule engine that hosts configure",
    "component.type": "the same",
    "activity.allow": "the same",
    "activity.default": "the same",
    "rule.evaluate": "the same",
    "rule.gppsid": "the same",
}
UNREADABLE = "a string or a flag that cannot be read is no consent; there it is as if it were absent"
ELSEWHERE = "an opt-out in a section outside gpp_sid still shows her will; there it is passed by"
STRICTEST = "of two signals that differ the no counts; there the one overwrites the other"
WITHHELD = "an empty ad id is a withheld one on every version of iOS (X-Mode order)"
REAL_ID = "6d92078a-8246-4ba4-ae5b-76104861e7dc"


class Heeded(NamedTuple):
    """What is heard of one row, whether the server enforces an opt-out, and the reason should we alone do."""

    heard: Heard
    enforced: bool
    alone: str = ""
    limited: bool = False


def of_us_privacy(case) -> Heeded:
    heard = from_call({"us_privacy": case["input"]["us_privacy"]})
    return Heeded(heard, case["expected"]["opt_out_sale"], UNREADABLE if case["expected"]["error"] else "")


def of_lmt_policy(case) -> Heeded:
    policy = case["input"]["policy"]
    heard = from_call({"lmt": policy["Signal"]} if policy["SignalProvided"] else {})
    return Heeded(heard, case["expected"]["should_enforce"], UNREADABLE)


def of_lmt_request(case) -> Heeded:
    device = (case["input"]["request"] or {}).get("device", {})
    return Heeded(from_call({"lmt": device.get("lmt")}), case["expected"]["policy"]["Signal"] == 1)


def of_ios(case) -> Heeded:
    """`att` and `lmt` as a caller passes them on; an ad id that is empty or zero is withheld."""
    device = case["input"].get("request", case["input"])["device"]
    att, lmt, ifa = device.get("ext", {}).get("atts"), device["lmt"], device.get("ifa")
    limited = ifa is not None and not isinstance(
        read_identifier("idfa", REAL_ID if ifa == "any-real-value" else ifa), NormalIdentifier
    )
    heard = from_call({"att": att, "lmt": lmt})
    alone = UNREADABLE if heard.malformed else STRICTEST if lmt == 1 else WITHHELD
    return Heeded(heard, case["expected"]["device.lmt"] == 1, alone, limited)


def of_gpc(case) -> Heeded:
    header, regs = case["input"]["sec_gpc"], case["input"]["regs"] or {}
    page = from_web([(b"sec-gpc", header.encode())] if header else [])
    heard = page.beside(from_call({"gpc": (regs.get("ext") or {}).get("gpc")}))
    copied = (case["expected"]["regs"] or {}).get("ext") or {}
    return Heeded(heard, copied.get("gpc") == "1")


def of_us_privacy_in_gpp(case, contained: str, beside: str) -> Heeded:
    """The row's two made-up strings stand for real ones."""
    given = case["input"]["in"]
    strings = {"gppContainerConsent": contained, "requestConsent": beside, "": ""}
    sections = {"uspv1": contained} if given["gpp"]["SectionTypes"] else {}
    request = strings[given["requestUSPrivacy"]]
    heard = from_call({"us_privacy": request, "gpp": gpp.write_gpp_string(sections), "gpp_sid": given["gppSIDs"]})
    alone = STRICTEST if US_PRIVACY in given["gppSIDs"] else ELSEWHERE
    return Heeded(heard, strings[case["expected"]["expectedCCPA"]] == "1YYN", alone)


READERS: dict[str, Callable[[dict], Heeded]] = {
    "us_privacy.parse": of_us_privacy, "lmt.read": of_lmt_request, "lmt.should_enforce": of_lmt_policy,
    "lmt.ios": of_ios, "lmt.ios_14_0_14_1": of_ios, "lmt.ios_14_2_plus": of_ios, "gpc.header_to_regs": of_gpc,
}  # fmt: skip
IN_GPP, VALID = "us_privacy.from_gpp", "us_privacy.valid"
GO = {AGREED: 61, UNREADABLE: 11, STRICTEST: 3, ELSEWHERE: 3, WITHHELD: 1}


@pytest.fixture(scope="session")
def go(cases):
    """The rows by their table."""
    found: dict[str, list] = {}
    for case in cases("pbs_go_decision_tables")["cases"]:
        found.setdefault(case["table"], []).append(case)
    return found


def test_a_person_who_opted_out_is_kept_from_bidders_wherever_prebid_server_in_go_does_so(go, figure):
    heeded = [(case["id"], read_row(case)) for table, read_row in READERS.items() for case in go[table]]
    for contained in ("1YYN", "1YNN"):
        for beside in ("1YYN", "1YNN"):
            heeded += [(case["id"], of_us_privacy_in_gpp(case, contained, beside)) for case in go[IN_GPP]]
    words: Counter[str] = Counter()
    for name, row in heeded:
        answers = {ours(row.heard, what, limited=row.limited) for what in (ADS, POINT)}
        if row.enforced:
            assert answers == {"deny"}, name
        words[
            AGREED if answers == {"deny" if row.enforced else "allow"} else row.alone or f"not explained: {name}"
        ] += 1
    figure("Prebid: tables of Prebid Server in Go", f"{words[AGREED]} of {words.total()} decisions alike")
    assert words == GO


def test_a_do_not_sell_string_is_valid_where_prebid_server_in_go_takes_it_for_valid(go):
    for case in go[VALID]:
        malformed = from_call({"us_privacy": case["input"]["us_privacy"]}).malformed
        assert bool(malformed) is not case["expected"]["valid"], case["id"]


def test_every_table_of_prebid_server_in_go_is_compared_or_stands_here_with_its_reason(go):
    assert go.keys() == {*READERS, IN_GPP, VALID, *NOT_OURS}
    rows = {table: len(cases) for table, cases in go.items()}
    assert (sum(rows.values()), sum(rows[table] for table in NOT_OURS)) == (162, 97)
