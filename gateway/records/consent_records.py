"""One entry of the ledger as a consent record in a standard's form: ISO/IEC 27560 or Kantara. `gateway record` calls
it.

`Material` is everything that is known of one choice: its entry, its details, the notice that was shown with it, the
recipients that were in force, and what the operator says of itself. Nothing is made up: a mandatory field that nobody
has told is listed in `missing`.

By ISO/IEC TS 27560:2023 it is JSON-LD in the W3C Data Privacy Vocabulary's profile (dpv-27560); the person is named by
the entry's commitment, never by an identifier. By Kantara's Consent Receipt Specification 1.1.0 (2018-02-20) it is
JSON, and speaks of consents that were given and of nothing else.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.choice.place import EUROPEAN
from gateway.desk import documents, evidence
from gateway.desk.documents import RECIPIENTS, Document
from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys
from gateway.ledger import subjects
from gateway.ledger.entry import b64
from gateway.ledger.folder_store import store_in
from gateway.ledger.schema import BODY, JOINED
from gateway.terms import ChoiceKind, Manner, Role

PersonOf = Callable[[bytes], PersonKeys]
GIVEN = frozenset({ChoiceKind.OPT_IN, ChoiceKind.DIRECT, ChoiceKind.KEEP_PROGRAMME})
REFUSED = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.STATE_BEGAN})
CHOICES = GIVEN | REFUSED | {ChoiceKind.WITHDRAW}
SENSITIVE = frozenset({"precise_geo", "cpni", "content"})  # Cal. Civ. Code 1798.140(ae); 47 USC 222

ENTRY = f"SELECT d.seq, {BODY}, d.person, d.sealed FROM detail d{JOINED} WHERE d.event = ?"  # noqa: S608 - ours
IN_FORCE = """
SELECT e.body, d.body FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq
WHERE v.seq < ? AND v.kind != 'rehearsal' ORDER BY v.seq DESC LIMIT 1
"""


class NoBody(Exception):
    """Nothing but the hash of an entry is kept. The text says so."""


@dataclass(frozen=True, slots=True)
class Material:
    """`details` is empty where they were erased; `recipients` where no evidence of before tells them."""

    leaf: Mapping[str, Any]
    details: Mapping[str, Any]
    notice: Document | None
    recipients: Mapping[str, Mapping[str, Any]]
    controller: Mapping[str, Any]
    policy_url: str = ""

    @property
    def kind(self) -> str:
        return str(self.leaf["e"])

    @property
    def purposes(self) -> list[str]:
        return list(self.leaf.get("p", []))

    @property
    def at(self) -> str:
        """ISO 8601: to the millisecond from the details, else the entry's minute."""
        return str(self.details.get("at") or self.leaf["t"])

    @property
    def jurisdiction(self) -> str:
        """The places that the choice named, as ISO 3166 has them, or else the controller's."""
        return str(self.leaf.get("j") or self.controller.get("jurisdiction", ""))

    @property
    def method(self) -> str:
        """How it was said: the manner, the source, the screen."""
        words = (self.leaf.get("m"), self.leaf.get("src"), self.leaf.get("ui"))
        return ", ".join(dict.fromkeys(str(word) for word in words if word))

    def meant(self) -> dict[str, Mapping[str, Any]]:
        """The recipients that the choice is about: the one that it names, else those registered for its purposes."""
        if self.leaf.get("to"):
            name = str(self.leaf["to"])
            return {name: self.recipients.get(name, {"role": "third_party", "data": self.leaf.get("c", [])})}
        return {name: item for name, item in self.recipients.items() if set(item["purposes"]) & set(self.purposes)}

    def classes(self) -> list[str]:
        """The data classes that it is about."""
        if self.leaf.get("c"):
            return list(self.leaf["c"])
        return sorted({name for item in self.meant().values() for name in item.get("data", [])})


def read_material(
    folder: Path, event: bytes, keys_of: PersonOf, controller: Mapping[str, Any], policy_url: str = ""
) -> Material | None:
    """None where no entry about a person has this event id. Raises `NoBody`, `LedgerRefused`, `sqlite3.Error`."""
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        row = db.execute(ENTRY, (event,)).fetchone()
        if row is None:
            return None
        seq, body, person, sealed = row
        if body is None:
            raise NoBody("the body of this entry went by retention; its receipt is good all the same")
        leaf = json.loads(body)
        opened = subjects.open_boxes(keys_of(person), event, sealed, None)
        details = json.loads(opened.details) if opened.details else {}
        notice = _document(db, leaf.get("n"))
        return Material(leaf, details, notice, _recipients(db, seq), controller, policy_url)


def _document(db: sqlite3.Connection, named: str | None) -> Document | None:
    return documents.read_document(db, seals.unb64(named)) if named else None


def _recipients(db: sqlite3.Connection, seq: int) -> dict[str, Any]:
    """The registry that the last evidence before an entry names."""
    row = db.execute(IN_FORCE, (seq,)).fetchone()
    named = evidence.named_in(*row) if row else []
    hashes = [sha256 for kind, _, _, sha256 in named if kind == RECIPIENTS]
    found = _document(db, hashes[0]) if hashes else None
    registry: dict[str, Any] = json.loads(found.body) if found else {}
    return registry


PROFILE = "https://w3id.org/dpv/schema/dpv-27560#"
CONTEXT = {
    "dpv": "https://w3id.org/dpv#", "loc": "https://w3id.org/dpv/loc#", "dct": "http://purl.org/dc/terms/",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
}  # fmt: skip
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
    """The fields that the standard makes mandatory, by name (its tables, by way of the guide to dpv-27560); empty where
    nothing is known.
    """
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


def render_iso_27560(material: Material) -> dict[str, Any]:
    """The record; `missing` names the mandatory fields that nobody has told."""
    known = fields(material)
    record = {
        "@context": CONTEXT,
        "@type": "dpv:ConsentRecord",
        "dct:identifier": known["record_id"],
        "dct:conformsTo": known["schema_version"],
        "dpv:hasDataSubject": {"@type": "dpv:DataSubject", "dct:identifier": known["pii_principal_id"]},
        "dpv:hasDataController": _party(known, material),
        "dpv:hasJurisdiction": _jurisdictions(known["jurisdiction"]),
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
        "missing": [name for name, said in known.items() if not said],
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


def _jurisdictions(places: str) -> str | list[str]:
    """One as a text, as it always was, and several as a list."""
    found = [f"loc:{each}" for each in places.split(",") if each]
    return found if len(found) > 1 else "".join(found)


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
    return any(each.partition("-")[0] in GDPR for each in material.jurisdiction.split(","))


def _without_empty(value: Any) -> Any:
    """Members without a value are left out; so is a node that would have a type and nothing else."""
    if isinstance(value, Mapping):
        kept = {name: told for name, item in value.items() if (told := _without_empty(item))}
        return kept if kept.keys() - {"@type"} else None
    if isinstance(value, list):
        return [told for item in value if (told := _without_empty(item))]
    return value


VERSION = "KI-CR-v1.1.0"
# What the specification requires (sections 4.3 to 4.5), as paths through one controller, service and purpose.
REQUIRED = (
    "version", "jurisdiction", "consentTimestamp", "collectionMethod", "consentReceiptID", "language",
    "piiPrincipalId", "piiControllers.piiController", "piiControllers.contact", "piiControllers.address",
    "piiControllers.email", "piiControllers.phone", "policyUrl", "services.service", "services.purposes.purpose",
    "services.purposes.consentType", "services.purposes.piiCategory", "services.purposes.termination",
    "services.purposes.thirdPartyDisclosure", "sensitive", "spiCat",
)  # fmt: skip
OUTSIDE = frozenset({Role.THIRD_PARTY, Role.AFFILIATE, Role.SUCCESSOR, Role.CONSUMER_DIRECTED})
ASKED_ONLY = ("spiCat",)  # wanted where the data is sensitive, and known then


class NoConsent(ValueError):
    """The event is a refusal: a receipt of a consent would say the contrary."""


def render_kantara(material: Material) -> dict[str, Any]:
    """Raises `NoConsent`."""
    if material.kind not in GIVEN:
        raise NoConsent(f"{material.kind} is no consent; a Kantara receipt is of consents only, 27560 tells of both")
    about, leaf = material.controller, material.leaf
    sensitive = sorted(SENSITIVE & set(material.classes()))
    receipt = {
        "version": VERSION,
        "jurisdiction": material.jurisdiction,
        "consentTimestamp": int(datetime.fromisoformat(material.at).timestamp()),
        "collectionMethod": material.method,
        "consentReceiptID": leaf["i"],
        "language": leaf.get("nl", ""),
        "piiPrincipalId": leaf["s"],
        "piiControllers": [_kept(_controller(about))],
        "policyUrl": material.policy_url if material.policy_url.startswith("https://") else "",
        "services": [_kept({"service": about.get("name", ""), "purposes": _purposes(material)})],
        "sensitive": bool(sensitive),
        "spiCat": sensitive,
    }
    kept = _kept(receipt)
    return {**kept, "missing": [path for path in REQUIRED if path not in ASKED_ONLY and not _told(kept, path)]}


def _controller(about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "piiController": about.get("name", ""),
        "contact": about.get("contact", ""),
        "address": {"streetAddress": about["address"]} if about.get("address") else {},
        "email": about.get("email", ""),
        "phone": about.get("phone", ""),
        "piiControllerUrl": about.get("url", ""),
    }


def _purposes(material: Material) -> list[dict[str, Any]]:
    outside = sorted(name for name, item in material.meant().items() if item["role"] in OUTSIDE)
    shared = {
        "consentType": "EXPLICIT",
        "piiCategory": material.classes(),
        "primaryPurpose": False,
        "termination": material.controller.get("withdrawal", ""),
        "thirdPartyDisclosure": bool(outside),
        "thirdPartyName": ", ".join(outside),
    }
    return [_kept({"purpose": name, **shared}) for name in material.purposes]


def _kept(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in ("", {}, [])}


def _told(value: Any, path: str) -> bool:
    """Whether every node on a path has the member."""
    name, _, rest = path.partition(".")
    if isinstance(value, list):
        return bool(value) and all(_told(item, path) for item in value)
    if not isinstance(value, Mapping) or name not in value:
        return False
    return _told(value[name], rest) if rest else True
