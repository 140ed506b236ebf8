"""A consent receipt by Kantara's Consent Receipt Specification 1.1.0 (2018-02-20), as JSON.

It speaks of consents that were given and of nothing else. Required fields that nobody has told are left out and listed
in `missing`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.exports.material import GIVEN, SENSITIVE, Material
from gateway.terms import Role

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


def render(material: Material) -> dict[str, Any]:
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
