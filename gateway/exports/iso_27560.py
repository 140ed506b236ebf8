"""A consent record by ISO/IEC TS 27560:2023, as JSON-LD in the W3C Data Privacy Vocabulary's profile of it (dpv-27560).

Every mandatory field is filled from what is known, or listed in `missing`; none is made up. The person is named by the
entry's commitment, never by an identifier.
"""

from collections.abc import Mapping
from typing import Any

from gateway.choice.place import EUROPEAN
from gateway.exports.material import GIVEN, SENSITIVE, Material
from gateway.ledger.entry import b64
from gateway.terms import ChoiceKind, Manner, Role

PROFILE = "https://w3id.org/dpv/schema/dpv-27560#"
CONTEXT = {
    "dpv": "https://w3id.org/dpv#", "loc": "https://w3id.org/dpv/loc#", "dct": "http://purl.org/dc/terms/",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
}  # fmt: skip
# The fields that the standard makes mandatory (its tables, by way of the guide to dpv-27560).
MANDATORY = (
    "schema_version", "record_id", "pii_principal_id",
    "privacy_notice", "language", "purpose", "pii_information", "pii_controllers", "storage_locations",
    "retention_period", "jurisdiction", "recipient_third_parties", "withdrawal_method",
    "pii_type",
    "party_id", "party_address", "party_name", "party_contact", "party_type",
    "event_time", "validity_duration", "entity_id", "event_type", "event_state",
)  # fmt: skip
BROADER = {
    "sale": "dpv:SellDataToThirdParties", "targeted_ads": "dpv:TargetedAdvertising", "sharing": "dpv:Advertising",
    "marketing_email": "dpv:DirectMarketing", "marketing_mail": "dpv:DirectMarketing",
    "marketing_text": "dpv:DirectMarketing", "marketing_call": "dpv:DirectMarketing",
    "third_party_marketing": "dpv:Marketing", "cpni_marketing": "dpv:Marketing",
}  # fmt: skip
ROLES = {Role.THIRD_PARTY: "dpv:ThirdParty", Role.SERVICE_PROVIDER: "dpv:DataProcessor"}
GDPR = EUROPEAN - {"CH"}  # Switzerland has a law of its own
AT_ONCE, UNTIL_CHANGED = "the one transfer that was asked for", "until the person chooses otherwise"


def fields(material: Material) -> dict[str, Any]:
    """The mandatory fields by name; empty where nothing is known."""
    leaf, about = material.leaf, material.controller
    contact = about.get("contact") or about.get("email") or about.get("phone")
    return {
        "schema_version": PROFILE + ("record-eu-gdpr" if _european(material) else "record"),
        "record_id": leaf["i"],
        "pii_principal_id": leaf.get("s"),
        "privacy_notice": _notice(material),
        "language": leaf.get("nl"),
        "purpose": [_purpose(name) for name in material.purposes],
        "pii_information": [_data(name) for name in material.classes()],
        "pii_controllers": about.get("name"),
        "storage_locations": list(about.get("storage_locations", ())),
        "retention_period": about.get("retention"),
        "jurisdiction": material.jurisdiction,
        "recipient_third_parties": [_recipient(name, item) for name, item in material.meant().items()],
        "withdrawal_method": about.get("withdrawal"),
        "pii_type": material.classes(),
        "party_id": about.get("url"),
        "party_address": about.get("address"),
        "party_name": about.get("name"),
        "party_contact": contact,
        "party_type": "dpv:DataController",
        "event_time": material.at,
        "validity_duration": AT_ONCE if material.kind == ChoiceKind.DIRECT else UNTIL_CHANGED,
        "entity_id": _who(material),
        "event_type": "dpv:ExplicitlyExpressedConsent" if material.kind in GIVEN else "dpv:ExpressedConsent",
        "event_state": _state(material.kind),
    }


def render(material: Material) -> dict[str, Any]:
    """The record; `missing` names the mandatory fields that nobody has told."""
    known = fields(material)
    record = {
        "@context": CONTEXT,
        "@type": "dpv:ConsentRecord",
        "dct:identifier": known["record_id"],
        "dct:conformsTo": known["schema_version"],
        "dpv:hasDataSubject": {"@type": "dpv:DataSubject", "dct:identifier": known["pii_principal_id"]},
        "dpv:hasDataController": _party(known, material),
        "dpv:hasJurisdiction": f"loc:{known['jurisdiction']}" if known["jurisdiction"] else "",
        "dpv:hasNotice": known["privacy_notice"],
        "dpv:hasProcess": {
            "@type": "dpv:Process",
            "dpv:hasPurpose": known["purpose"],
            "dpv:hasPersonalData": known["pii_information"],
            "dpv:hasRecipient": known["recipient_third_parties"],
            "dpv:hasStorageCondition": [
                {"@type": "dpv:StorageLocation", "dpv:hasLocation": known["storage_locations"]},
                {"@type": "dpv:StorageDuration", "dpv:hasDuration": known["retention_period"]},
            ],
        },
        "dpv:hasConsentControl": {"@type": "dpv:WithdrawConsent", "dct:description": known["withdrawal_method"]},
        "dpv:hasConsentStatus": _event(known, material),
        "missing": [name for name in MANDATORY if not known[name]],
    }
    told: dict[str, Any] = _without_empty(record)
    return {**told, "missing": record["missing"]}


def _party(known: Mapping[str, Any], material: Material) -> dict[str, Any]:
    about = material.controller
    return {
        "@type": ["dpv:Organisation", known["party_type"]],
        "dct:identifier": known["party_id"],
        "dpv:hasName": known["party_name"],
        "dpv:hasAddress": known["party_address"],
        "dpv:hasContact": [about.get(name) for name in ("contact", "email", "phone", "url") if about.get(name)],
    }


def _event(known: Mapping[str, Any], material: Material) -> dict[str, Any]:
    return {
        "@type": [known["event_state"], known["event_type"]],
        "dpv:isIndicatedAtTime": known["event_time"],
        "dpv:isIndicatedBy": known["entity_id"],
        "dpv:hasIndicationMethod": material.method,
        "dpv:hasDuration": {"@type": "dpv:UntilEventDuration", "rdf:value": known["validity_duration"]},
    }


def _notice(material: Material) -> dict[str, Any] | None:
    """The logged text that was shown, by its hash. A label without a text is none (R24)."""
    if material.notice is None:
        return None
    return {
        "@type": "dpv:ConsentNotice",
        "dct:identifier": b64(material.notice.sha256),
        "dct:hasVersion": material.notice.version,
        "dct:language": material.notice.language,
        "dct:source": material.policy_url,
    }


def _purpose(name: str) -> dict[str, Any]:
    return {"@type": "dpv:Purpose", "dct:identifier": name, "skos:broader": BROADER.get(name)}


def _data(name: str) -> dict[str, Any]:
    kind = "dpv:SensitivePersonalData" if name in SENSITIVE else "dpv:PersonalData"
    return {"@type": kind, "dct:identifier": name}


def _recipient(name: str, item: Mapping[str, Any]) -> dict[str, Any]:
    return {"@type": ROLES.get(Role(item["role"]), "dpv:Recipient"), "dct:identifier": name}


def _who(material: Material) -> str:
    if material.details.get("parental"):
        return "dpv:ParentOfDataSubject"
    return "dpv:Representative" if material.leaf.get("m") == Manner.AGENT else "dpv:DataSubject"


def _state(kind: str) -> str:
    if kind == ChoiceKind.WITHDRAW:
        return "dpv:ConsentWithdrawn"
    return "dpv:ConsentGiven" if kind in GIVEN else "dpv:ConsentRefused"


def _european(material: Material) -> bool:
    return material.jurisdiction.partition("-")[0] in GDPR


def _without_empty(value: Any) -> Any:
    """Members without a value are left out; so is a node that would have a type and nothing else."""
    if isinstance(value, Mapping):
        kept = {name: told for name, item in value.items() if (told := _without_empty(item))}
        return kept if kept.keys() - {"@type"} else None
    if isinstance(value, list):
        return [told for item in value if (told := _without_empty(item))]
    return value
