"""What decides verdicts on this installation, as documents, for the daily evidence: recipients, law tables, settings,
policies (R31).

With these and the entries a verdict of any day can be made again. Never a key, a path of the machine or an address that
may hold a password.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from gateway import __version__
from gateway.app.law_tables import TableText, own_tables, shipped_tables, tables_in
from gateway.desk import documents
from gateway.desk.documents import Document
from gateway.settings.load import Settings

# Of this machine, or in a document of their own.
MACHINE = ("listen", "recipients", "controller", "mail", "law")
# What is under an address there is for anybody to read; elsewhere it may be a key.
PAGES = ("site", "sites", "rehearsal")
FOR_EVER = "nothing is removed because of its age"


def in_force(settings: Settings, *, dev: bool = False) -> list[Document]:
    """Every document, in a fixed order; the same settings give the same bytes. Raises `SettingsRefused`."""
    effective: dict[str, Any] = msgspec.to_builtins(settings)
    kept = effective.get("retention", FOR_EVER)
    return [
        _json(documents.RECIPIENTS, _recipients(settings, dev=dev)),
        _json(documents.SETTINGS, _deciding(settings, effective, dev=dev)),
        _json(documents.RETENTION, {"records": kept, "told": settings.controller.retention}),
        *_tables(documents.LAW, (*shipped_tables(), *own_tables(settings))),
        *_tables(documents.SIGNAL_TABLE, tables_in("gateway.signals")),
        *_policy(settings),
    ]


def _json(kind: str, value: object) -> Document:
    """Canonical like an entry: sorted, no spaces, ASCII."""
    return Document(kind, __version__, "", json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _recipients(settings: Settings, *, dev: bool) -> dict[str, Any]:
    """The registry; of an endpoint its host alone, of an upload that there is one: either may hold a secret."""
    registry: dict[str, Any] = msgspec.to_builtins(settings.registry(dev=dev))
    return {
        name: {**item, "endpoint": urlsplit(item["endpoint"]).hostname or "", "upload": bool(item["upload"])}
        for name, item in registry.items()
    }


def _deciding(settings: Settings, effective: dict[str, Any], *, dev: bool) -> dict[str, Any]:
    """Settings without what is the machine's; of files whether there is one, of sensitive places which list."""
    told = {name: section for name, section in effective.items() if name not in MACHINE}
    places = effective["places"]
    told["places"] = {name: bool(value) if isinstance(value, str) else value for name, value in places.items()}
    if places["sensitive"]:
        told["places"]["sensitive"] = hashlib.sha256(settings.contents("places", "sensitive")).hexdigest()
    told["ledger"] = {"public_entries": effective["ledger"]["public_entries"]}
    told["site"] = {name: value for name, value in _shown(effective["site"]).items() if name != "policy_file"}
    told["sites"] = {name: _shown(site) for name, site in effective["sites"].items()}
    apps = effective["apps"]
    told["apps"] = {**apps, **{name: bool(apps[name]) for name in ("assertion_keys", "attestation")}}
    told["delivery"] = {**effective["delivery"], "networks": len(effective["delivery"]["networks"])}
    told["mail"] = {"codes": bool(effective["mail"]["server"])}
    return {**{name: _bare(section, path=name in PAGES) for name, section in told.items()}, "development": dev}


def _shown(site: dict[str, Any]) -> dict[str, Any]:
    """What people see of a site; of its logo that there is one."""
    return {**site, "logo": bool(site["logo"])}


def _bare(value: Any, *, path: bool) -> Any:
    """The same without what an address may hold of a secret: who signs in, what is asked, and where there is no `path`
    whatever comes after the host.
    """
    if isinstance(value, dict):
        return {name: _bare(item, path=path) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bare(item, path=path) for item in value]
    if not isinstance(value, str) or "://" not in value:
        return value
    try:
        parts = urlsplit(value)
    except ValueError:  # nobody can tell what of it is a secret
        return f"{value.partition('://')[0]}://"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path if path else "", "", ""))


def _tables(kind: str, tables: Iterable[TableText]) -> list[Document]:
    return [Document(kind, each.name, "", each.body) for each in tables]


def _policy(settings: Settings) -> list[Document]:
    file = settings.site.policy_file
    return [Document(documents.POLICY, Path(file).name, "", settings.contents("site", "policy_file"))] if file else []
