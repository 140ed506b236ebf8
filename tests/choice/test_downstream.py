"""What a recipient is told along with the data: in every form the same answer, and never less than the verdict."""

import re
from dataclasses import replace
from datetime import date
from importlib import resources
from itertools import chain, combinations, product

import pytest

from gateway.choice import downstream
from gateway.choice.downstream import (
    READERS,
    GppSections,
    Outcome,
    limited_data_use,
    sections_of,
    stores,
    strings,
)
from gateway.choice.place import STATES
from gateway.signals import device, gpp, usprivacy
from gateway.signals.gpp.layouts import BY_ID, BY_NAME
from gateway.signals.hear import from_call
from gateway.terms import SIGNAL_PURPOSES, Purpose, Stated

FULL = frozenset(SIGNAL_PURPOSES)
NONE = frozenset()
BESIDE = {Purpose.SHARING, Purpose.TARGETED_ADS}
DENIED = [frozenset(chosen) for chosen in chain.from_iterable(combinations(SIGNAL_PURPOSES, n) for n in range(4))]
# The sections of the specification without 24 to 27 (MD, IN, KY, RI), which nobody in the field reads
OWN_SECTION = {
    "CA": 8, "VA": 9, "CO": 10, "UT": 11, "CT": 12, "FL": 13, "MT": 14, "OR": 15, "TX": 16, "DE": 17, "IA": 18,
    "NE": 19, "NH": 20, "NJ": 21, "TN": 22, "MN": 23,
}  # fmt: skip
WITHOUT_GPC = {"VA", "UT", "FL"}
READ_BY_ALL = {"CA", "VA", "CO", "CT"}  # whose section every reader of the national one reads
NATIONAL = 7
IN_THE_US = {
    **{f"US-{code}": frozenset({f"US-{code}"}) for code in STATES},
    "US": frozenset({"US"}),
    "nothing known": NONE,
    "two states": frozenset({"US-CA", "US-NY"}),
    "a state and abroad": frozenset({"US-CA", "DE"}),
    "no such state": frozenset({"US-ZZ"}),
}
ABROAD = {"DE": frozenset({"DE"}), "two countries": frozenset({"DE", "CA"}), "CA": frozenset({"CA"})}
CALIFORNIA, VIRGINIA = IN_THE_US["US-CA"], IN_THE_US["US-VA"]


def outcomes(places):
    """Every outcome in a place."""
    for denied, gpc, precise, minor in product(DENIED, *[[False, True]] * 3):
        yield Outcome(denied, places, gpc, precise, minor)


def sections_for(places, *, denied):
    """In which sections a person is spoken of, by hand."""
    code = next(iter(places)).removeprefix("US-") if len(places) == 1 else ""
    if code not in OWN_SECTION:
        return [BY_ID[NATIONAL]]
    beside = [NATIONAL] if denied and code not in READ_BY_ALL else []
    return [BY_ID[number] for number in [*beside, OWN_SECTION[code]]]


def read(said):
    """The GPP string as any recipient reads it."""
    reading = gpp.read_gpp_string(said.gpp, said.gpp_sid)
    assert reading.ok, reading.error
    return reading


def to_be_told(outcome, names, *, gpc_field):
    """Whom the string must name as opted out: where sharing or targeted advertising has no field, one says both."""
    if outcome.gpc and gpc_field:
        return FULL
    joined = {"SharingOptOut", "TargetedAdvertisingOptOut"} - names and not outcome.denied.isdisjoint(BESIDE)
    return outcome.denied | (BESIDE if joined else set())


def has_gpc(section):
    return section.name.removeprefix("us").upper() not in WITHOUT_GPC


@pytest.mark.parametrize("where", IN_THE_US)
def test_the_gpp_string_says_of_each_person_exactly_what_was_decided(where):
    for outcome in outcomes(IN_THE_US[where]):
        sections = sections_for(outcome.places, denied=outcome.denied)
        said, names = strings(outcome), [section.name for section in sections]
        reading = read(said)
        assert said.gpp_sid == [section.id for section in sections]
        assert [*said.parsed] == [*reading.sections] == names
        assert Stated.UNKNOWN not in reading.choices.values()
        assert said.sections == gpp.split_gpp_string(said.gpp)
        assert reading.absent == ()
        for section in sections:
            alone = gpp.read_gpp_string(gpp.joined({section.id: said.sections[section.id]}))
            fields, parts = alone.sections[section.name], said.parsed[section.name]
            assert alone.opted_out == to_be_told(outcome, {*fields}, gpc_field=has_gpc(section)), outcome
            assert fields.get("Gpc") == (outcome.gpc if has_gpc(section) else None)
            assert gpp.precise_refused(alone) == (section.precise is not None and not outcome.precise)
            assert {n: v for part in parts for n, v in part.items()} == fields
            assert (len(parts) == 2) is has_gpc(section)


@pytest.mark.parametrize("where", IN_THE_US)
def test_every_field_is_said_on_purpose_and_no_agreement_is_claimed(where):
    """A library's blank string claims a transaction covered by the MSPA."""
    for outcome in outcomes(IN_THE_US[where]):
        for name, fields in read(strings(outcome)).sections.items():
            section = BY_NAME[name]
            assert fields["Version"] == (2 if section.id == NATIONAL else 1)
            assert fields["MspaCoveredTransaction"] == 2
            assert {fields["MspaOptOutOptionMode"], fields["MspaServiceProviderMode"]} == {0}
            assert {value for field, value in fields.items() if field.endswith("Notice")} == {1}
            children = fields["KnownChildSensitiveDataConsents"]
            assert {*(children if isinstance(children, list) else [children])} == {int(outcome.minor)}
            others = [value for at, value in enumerate(fields["SensitiveDataProcessing"]) if at != section.precise]
            consents = {fields.get(name, 0) for name in ("PersonalDataConsents", "AdditionalDataProcessingConsent")}
            assert {*others, *consents} == {0}


@pytest.mark.parametrize("state", OWN_SECTION)
def test_a_no_is_a_no_to_every_reader_in_the_field_whichever_sections_it_reads(state):
    """Each reader of the table by itself, with what it does not read taken away."""
    for outcome in outcomes(frozenset({f"US-{state}"})):
        said = strings(outcome)
        for reader in READERS:
            legible = {number: text for number, text in said.sections.items() if number in reader.reads}
            if not reader.reads or not outcome.denied:
                continue
            assert gpp.read_gpp_string(gpp.joined(legible)).opted_out >= outcome.denied, (reader.name, outcome)


def test_with_the_states_section_alone_most_readers_would_hear_nothing_in_twelve_states():
    """Control, and what was wrong with it."""
    silent = {
        state
        for state, number in OWN_SECTION.items()
        for reader in READERS
        if reader.reads and number not in reader.reads
    }
    assert silent == OWN_SECTION.keys() - READ_BY_ALL
    alone = strings(Outcome(FULL, frozenset({"US-TX"}), said_in=GppSections.STATE))
    assert alone.gpp_sid == [16]


@pytest.mark.parametrize("where", IN_THE_US)
@pytest.mark.parametrize("said_in", GppSections)
def test_who_said_no_to_nothing_is_spoken_of_in_one_section(where, said_in):
    for outcome in outcomes(IN_THE_US[where]):
        if not outcome.denied:
            [number] = strings(replace(outcome, said_in=said_in)).gpp_sid
            national = said_in is GppSections.NATIONAL
            [section] = sections_for(outcome.places, denied=False)
            assert number == (NATIONAL if national else section.id)


@pytest.mark.parametrize(
    ("said_in", "texas", "wyoming"), [("both", [7, 16], [7]), ("state", [16], [7]), ("national", [7], [7])]
)
def test_the_operator_says_in_which_sections_a_no_stands(said_in, texas, wyoming):
    for place, ids in (("US-TX", texas), ("US-WY", wyoming), ("DE", [-1])):
        out = Outcome(NONE, frozenset({place}), said_in=GppSections(said_in)).all_denied()
        assert strings(out).gpp_sid == ids
        assert strings(out).out


@pytest.mark.slow
def test_a_client_that_writes_for_two_sections_at_most_is_never_given_more():
    """`applicableSections` holds at most two (GPP CMP API)."""
    for places in IN_THE_US.values():
        assert all(len(strings(outcome).gpp_sid) <= 2 for outcome in outcomes(places))


def test_a_person_who_opted_in_to_a_precise_point_is_told_of_as_such():
    said = strings(Outcome(NONE, CALIFORNIA, precise=True))
    assert read(said).sections["usca"]["SensitiveDataProcessing"] == [0, 0, 2, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("where", ABROAD)
def test_abroad_no_section_of_the_united_states_applies(where):
    for outcome in outcomes(ABROAD[where]):
        said = strings(outcome)
        assert (said.gpp, said.gpp_sid, said.sections, said.us_privacy) == ("DBAA", [-1], {}, "1---")
        assert read(said).opted_out == NONE
        assert said.out == bool(outcome.denied)


@pytest.mark.parametrize("where", IN_THE_US)
def test_the_older_forms_say_no_whenever_anything_is_denied(where):
    for outcome in outcomes(IN_THE_US[where]):
        told = strings(outcome).for_recipient(outcome)
        out = bool(outcome.denied)
        assert told["us_privacy"] == ("1YYN" if out else "1YNN")
        assert usprivacy.read_usprivacy(told["us_privacy"]).ok
        assert told["rdp"] == int(out)
        assert told["npa"] == int(out)
        assert told["gpc"] == ("1" if outcome.gpc else None)
        assert told["ldu"]["options"] == (["LDU"] if out else [])


def test_a_recipient_and_a_page_are_told_in_the_members_of_the_contract():
    """As `downstream` of a check and `strings` of the status have them."""
    out, free = (Outcome(denied, CALIFORNIA, gpc=bool(denied)) for denied in (FULL, NONE))
    assert strings(out).for_recipient(out) == {
        "gpp": strings(out).gpp,
        "gpp_sid": [8],
        "us_privacy": "1YYN",
        "gpc": "1",
        "npa": 1,
        "rdp": 1,
        "ldu": {"options": ["LDU"], "country": 1, "state": 1000},
    }
    ads = ("ad_storage", "ad_user_data", "ad_personalization")
    for outcome, word in ((out, "denied"), (free, "granted")):
        page = strings(outcome).for_page()
        assert page["consent_mode"] == dict.fromkeys(ads, word)
        assert {*page} == {"gpp", "gpp_sid", "us_privacy", "consent_mode", "rdp", "npa", "parsed"}


@pytest.mark.parametrize(
    ("places", "country", "state"),
    [
        ({"US-CA"}, 1, 1000), ({"US-CO"}, 1, 1001), ({"US-CT"}, 1, 1002), ({"US-FL"}, 1, 1003), ({"US-OR"}, 1, 1004),
        ({"US-TX"}, 1, 1005), ({"US-MT"}, 1, 1006), ({"US-DE"}, 1, 1007), ({"US-NE"}, 1, 1008), ({"US-NH"}, 1, 1009),
        ({"US-NJ"}, 1, 1010), ({"US-MN"}, 1, 1011), ({"US-MD"}, 1, 1012), ({"US-RI"}, 1, 1013), ({"US-NY"}, 1, 0),
        ({"US"}, 1, 0), ({"US-CA", "US-CO"}, 1, 0), ({"US-CA", "DE"}, 1, 1000), ({"DE"}, 0, 0),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else str(value),
)  # fmt: skip
def test_limited_data_use_names_the_persons_state_by_its_code(places, country, state):
    """0 lets the recipient find it (Meta, "Data Processing Options")."""
    assert limited_data_use(Outcome(FULL, frozenset(places))) == {
        "options": ["LDU"],
        "country": country,
        "state": state,
    }
    assert limited_data_use(Outcome(NONE, frozenset(places))) == {"options": [], "country": 0, "state": 0}


@pytest.mark.parametrize("where", [*IN_THE_US, *ABROAD])
def test_an_app_stores_what_holds_and_what_will_hold_once_the_person_opts_out_offline(where):
    for outcome in outcomes((IN_THE_US | ABROAD)[where]):
        kept = stores(outcome)
        assert kept["store"] == strings(outcome).for_store()
        assert kept["store_opted_out"] == strings(outcome.all_denied()).for_store()
        assert kept["store_opted_out"][device.RESTRICTED] == 1
        assert kept["store"][device.RESTRICTED] == (1 if outcome.denied else None)


def test_keys_of_a_place_that_the_person_left_are_removed_from_the_phone():
    here, there = (strings(Outcome(FULL, places)).for_store() for places in (CALIFORNIA, VIRGINIA))
    assert here["IABGPP_8_String"]
    assert here["IABGPP_9_String"] is None
    assert there["IABGPP_8_String"] is None
    assert {*here} == {*there}
    assert {key for key in here if key.endswith("_String") and "IABGPP_" in key} == {
        f"IABGPP_{number}_String" for number in BY_ID
    }
    assert here["IABGPP_HDR_GppString"].endswith("~" + here["IABGPP_8_String"])
    assert (here["IABGPP_GppSID"], here["IABGPP_HDR_Sections"], here["IABGPP_HDR_Version"]) == ("8", "8", "1")


@pytest.mark.parametrize("where", IN_THE_US)
def test_what_an_app_stored_is_heard_as_at_least_what_was_denied_when_it_comes_back(where):
    for denied in DENIED:
        kept = {key: value for key, value in strings(Outcome(denied, IN_THE_US[where])).for_store().items() if value}
        heard = from_call({"stored": kept})
        assert heard.malformed == ()
        assert heard.denied & FULL >= denied
        assert bool(heard.denied & FULL) == bool(denied)


@pytest.mark.parametrize("state", ["TX", "FL", "UT", "CA"])
def test_the_national_key_and_the_list_of_sections_come_and_go_together_on_the_phone(state):
    """Whatever follows on whatever: what the phone holds after a write is one answer, none of it from another day."""
    places = [frozenset({f"US-{state}"}), CALIFORNIA, IN_THE_US["US-WY"], ABROAD["DE"]]
    writes = [
        kept[name]
        for place in places
        for denied in DENIED
        for kept in [stores(Outcome(denied, place))]
        for name in ("store", "store_opted_out")
    ]
    for before, after in product(writes, repeat=2):
        phone = {key: value for key, value in {**before, **after}.items() if value is not None}
        ids = [int(number) for number in phone["IABGPP_GppSID"].split("_")]
        keys = {int(match[1]) for match in map(re.compile("IABGPP_([0-9]+)_String").fullmatch, phone) if match}
        assert keys == {number for number in ids if number > 0}
        assert phone["IABGPP_HDR_GppString"] == gpp.joined({n: phone[f"IABGPP_{n}_String"] for n in sorted(keys)})


def test_denying_all_keeps_whose_it_is_and_forgets_the_precise_point():
    outcome = Outcome(NONE, CALIFORNIA, gpc=True, precise=True, minor=True)
    assert outcome.all_denied() == Outcome(FULL, CALIFORNIA, gpc=True, minor=True)


def test_the_strings_of_an_outcome_are_made_once():
    one, same = (Outcome(frozenset({Purpose.SALE}), frozenset({"US-CA"}), gpc=True) for _ in range(2))
    assert one is not same
    assert strings(one) is strings(same)
    assert strings(one) is not strings(one.all_denied())


def what_is_kept_is_what_would_be_made(told=downstream.downstream):
    for places in (*IN_THE_US.values(), *ABROAD.values()):
        for outcome in outcomes(places):
            assert told(outcome) == strings.__wrapped__(outcome).for_recipient(outcome), outcome


@pytest.mark.slow
def test_what_a_recipient_is_told_is_kept_by_all_that_it_is_made_from():
    for _ in range(2):
        what_is_kept_is_what_would_be_made()


def test_if_it_were_kept_without_the_signal_the_property_would_fail():
    with pytest.raises(AssertionError):
        what_is_kept_is_what_would_be_made(lambda outcome: downstream.downstream(replace(outcome, gpc=False)))


@pytest.mark.parametrize(("broken", "value"), [("NOT_COVERED", 1), ("OPTED_OUT", 2), ("NO_CONSENT", 2)])
def test_a_string_that_says_too_much_or_too_little_does_not_pass(monkeypatch, broken, value):
    monkeypatch.setattr(downstream, broken, value)
    strings.cache_clear()
    with pytest.raises(AssertionError):
        test_the_gpp_string_says_of_each_person_exactly_what_was_decided("US-CA")
        test_every_field_is_said_on_purpose_and_no_agreement_is_claimed("US-CA")
    strings.cache_clear()


# --- who reads what (gpp_readers.toml, `gateway help sections`) -----------------------------------------------------


@pytest.mark.parametrize("state", ["MD", "IN", "KY", "RI"])
def test_where_nobody_reads_a_states_section_the_national_one_speaks_alone(state):
    for outcome in outcomes(IN_THE_US[f"US-{state}"]):
        assert [section.id for section in sections_of(outcome)] == [NATIONAL]


def test_once_somebody_reads_marylands_section_it_is_written_and_the_national_one_stays_for_the_others(monkeypatch):
    somebody = downstream.Reader("somebody", {7: date(2027, 1, 1), 24: date(2027, 1, 1)}, "a page")
    monkeypatch.setattr(downstream, "READERS", (*READERS, somebody))
    monkeypatch.setattr(downstream, "READ", downstream.READ | {24})
    place = IN_THE_US["US-MD"]
    assert [section.id for section in sections_of(Outcome(FULL, place))] == [NATIONAL, 24]
    assert [section.id for section in sections_of(Outcome(NONE, place))] == [24]
    said = strings.__wrapped__(Outcome(FULL, place, gpc=True))
    assert read(said).opted_out == FULL
    assert said.parsed["usmd"][0] == {name: n for name, n in read(said).sections["usmd"].items() if "Gpc" not in name}


def test_every_reader_of_the_table_has_a_source_and_days_in_the_past():
    assert len({reader.name for reader in READERS}) == len(READERS)
    for reader in READERS:
        assert reader.source
        assert reader.reads.keys() <= BY_ID.keys()
        assert all(date(2022, 9, 1) < since <= date(2026, 11, 27) for since in reader.reads.values())


def test_the_page_of_the_manual_tells_what_the_table_tells():
    page = (resources.files("gateway") / "manual" / "sections.md").read_text()
    rows = {
        cells[0]: cells[1:] for cells in re.findall(r"^\| ([^|]+?) +\| ([^|]*?) *\| ([^|]*?) *\|$", page, re.MULTILINE)
    }
    for reader in READERS:
        sections, source = rows.pop(reader.name)
        days = [
            (number, date.fromisoformat(day))
            for first, last, day in re.findall(r"([0-9]+)(?: to ([0-9]+))? since ([0-9-]{10})", sections)
            for number in range(int(first), int(last or first) + 1)
        ]
        assert (dict(days), source) == (reader.reads, reader.source)
    alone, beside, unread = (
        re.search(rf"^- {what}: (.*)$", page, re.MULTILINE)[1] for what in ("alone", "beside", "national")
    )
    assert set(alone.split(", ")) == READ_BY_ALL
    assert set(beside.split(", ")) == OWN_SECTION.keys() - READ_BY_ALL
    assert set(unread.split(", ")) == {"MD", "IN", "KY", "RI"}
