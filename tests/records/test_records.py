"""One choice in two standards' forms: each mandatory field is told or listed as missing, and nobody is named."""

import json
from datetime import UTC, datetime

import pytest
from records.conftest import NOBODY
from support.people import GAID, named, phone

from gateway.desk.documents import Document
from gateway.desk.evidence import Period, note_period
from gateway.records import consent_records
from gateway.terms import Purpose

AT = datetime(2026, 3, 3, 9, 30, 12, tzinfo=UTC)

# ISO/IEC TS 27560:2023 by its tables of fields; what is not here may be left out.
MANDATORY = {
    "header": {"schema_version", "record_id", "pii_principal_id"},
    "processing": {"privacy_notice", "language", "purpose", "pii_information", "pii_controllers", "storage_locations",
                   "retention_period", "jurisdiction", "recipient_third_parties", "withdrawal_method"},
    "pii": {"pii_type"},
    "party": {"party_id", "party_address", "party_name", "party_contact", "party_type"},
    "event": {"event_time", "validity_duration", "entity_id", "event_type", "event_state"},
}  # fmt: skip


@pytest.fixture
def me(house):
    return house.consent.people.name([named("gaid", GAID), named("phone", phone(7))]).subjects


@pytest.fixture
def consented(in_force, says, notice, me):
    in_force(AT)
    return says(me[:1], "opt_in", Purpose.SALE, at=AT, notice=notice, place="US-CA", ui="settings-7")[0].event


def test_every_mandatory_field_of_the_standard_is_one_that_is_told_or_missed(known, consented):
    assert set(consent_records.fields(known(consented))) == set().union(*MANDATORY.values())


def test_a_consent_with_a_notice_and_an_operator_who_says_who_it_is_misses_nothing(known, consented):
    record = consent_records.render_iso_27560(known(consented))
    assert record["missing"] == []
    assert record["dct:conformsTo"] == "https://w3id.org/dpv/schema/dpv-27560#record"
    status = record["dpv:hasConsentStatus"]
    assert status["@type"] == ["dpv:ConsentGiven", "dpv:ExplicitlyExpressedConsent"]
    assert status["dpv:isIndicatedAtTime"] == "2026-03-03T09:30:12.000+00:00"
    process = record["dpv:hasProcess"]
    assert process["dpv:hasPurpose"] == [
        {"@type": "dpv:Purpose", "dct:identifier": "sale", "skos:broader": "dpv:SellDataToThirdParties"}
    ]
    assert process["dpv:hasRecipient"] == [{"@type": "dpv:ThirdParty", "dct:identifier": "teemo"}]
    assert process["dpv:hasPersonalData"][1] == {"@type": "dpv:SensitivePersonalData", "dct:identifier": "precise_geo"}


def test_what_nobody_told_is_missing_and_never_made_up(known, says, me):
    event = says(me[:1], at=AT)[0].event
    record = consent_records.render_iso_27560(known(event, NOBODY, ""))
    assert set(record["missing"]) == {
        "privacy_notice",
        "language",
        "pii_information",
        "pii_controllers",
        "storage_locations",
        "retention_period",
        "jurisdiction",
        "recipient_third_parties",
        "withdrawal_method",
        "pii_type",
        "party_id",
        "party_address",
        "party_name",
        "party_contact",
    }
    assert "dpv:hasNotice" not in record
    assert "dpv:hasDataController" not in record  # a node with a type alone says nothing


@pytest.mark.parametrize("member", sorted(NOBODY))
def test_each_thing_that_an_operator_leaves_out_is_missed_or_said_by_the_choice_itself(known, consented, member):
    told = {**known(consented).controller, member: NOBODY[member]}
    missing = set(consent_records.render_iso_27560(known(consented, told))["missing"])
    fields = {
        "name": {"pii_controllers", "party_name"},
        "address": {"party_address"},
        "url": {"party_id"},
        "storage_locations": {"storage_locations"},
        "retention": {"retention_period"},
        "withdrawal": {"withdrawal_method"},
    }
    assert missing == fields.get(member, set())


def test_the_person_is_named_by_the_entrys_commitment_and_nothing_else(known, consented):
    found = known(consented)
    for rendered in (consent_records.render_iso_27560(found), consent_records.render_kantara(found)):
        text = json.dumps(rendered)
        assert found.leaf["s"] in text
        assert not any(value in text for value in (GAID, GAID.lower(), phone(7)))


@pytest.mark.parametrize(
    ("kind", "state"),
    [("opt_out", "dpv:ConsentRefused"), ("limit", "dpv:ConsentRefused"), ("withdraw", "dpv:ConsentWithdrawn")],
)
def test_a_refusal_is_a_record_and_never_the_receipt_of_a_consent(known, says, me, kind, state):
    found = known(says(me[:1], kind, at=AT)[0].event)
    assert consent_records.render_iso_27560(found)["dpv:hasConsentStatus"]["@type"][0] == state
    with pytest.raises(consent_records.NoConsent, match=kind):
        consent_records.render_kantara(found)


@pytest.mark.parametrize(("place", "said"), [("DE", "loc:DE"), ("US-CA,DE", ["loc:US-CA", "loc:DE"])])
def test_a_consent_in_europe_is_recorded_in_the_profile_of_its_law(known, says, me, place, said):
    event = says(me[:1], "opt_in", at=AT, place=place)[0].event
    found = consent_records.render_iso_27560(known(event))
    assert found["dct:conformsTo"].endswith("#record-eu-gdpr")
    assert found["dpv:hasJurisdiction"] == said


def test_a_parents_consent_and_an_agents_opt_out_name_who_spoke(known, says, me):
    parental = says(me[:1], "opt_in", at=AT, parental=True)[0].event
    agents = says(me[:1], at=AT, source="agent", manner="agent")[0].event
    spoke = [
        consent_records.render_iso_27560(known(event))["dpv:hasConsentStatus"]["dpv:isIndicatedBy"]
        for event in (parental, agents)
    ]
    assert spoke == ["dpv:ParentOfDataSubject", "dpv:Representative"]


def test_a_kantara_receipt_has_what_it_requires(known, consented):
    receipt = consent_records.render_kantara(known(consented))
    assert receipt["missing"] == []
    assert (receipt["version"], receipt["consentTimestamp"]) == ("KI-CR-v1.1.0", 1772530212)
    (purpose,) = receipt["services"][0]["purposes"]
    assert (purpose["thirdPartyDisclosure"], purpose["thirdPartyName"]) == (True, "teemo")
    assert receipt["spiCat"] == ["precise_geo"]


def test_a_kantara_receipt_lists_what_the_operator_did_not_tell(known, consented):
    missing = consent_records.render_kantara(known(consented, NOBODY, "/privacy-policy"))["missing"]
    assert missing == [
        "piiControllers.piiController",
        "piiControllers.contact",
        "piiControllers.address",
        "piiControllers.email",
        "piiControllers.phone",
        "policyUrl",
        "services.service",
        "services.purposes.termination",
    ]


def test_a_record_tells_the_recipients_of_its_own_day(known, house, says, me, in_force, consented):
    other = Document("recipients", "1", "", b'{"newcomer":{"role":"third_party","purposes":["sale"],"data":["ip"]}}')
    house.writer.submit(lambda tx: note_period(tx, Period(b"e" * 16, "run", "start", AT, AT), [other], AT)).result(60)
    later = says(me[:1], at=AT)[0].event
    assert [list(known(event).meant()) for event in (consented, later)] == [["teemo"], ["newcomer"]]


def test_an_event_about_nobody_has_no_record(known):
    assert known(b"0" * 16) is None
