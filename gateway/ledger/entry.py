"""An entry: the final leaf, its canonical bytes and its two commitments. Pure format, no I/O.

Canonical form is RFC 8785 restricted to ASCII keys and strings, integers below 2**53, no floats; in that subset
`json.dumps` with sorted keys and no spaces gives RFC 8785's bytes. The stored bytes are what is hashed; they are never
made again from their parts.

    s = HMAC-SHA256(rs, kind || 0x00 || normalised value)           subject: its owner can open it
    d = HMAC-SHA256(rd, "consent/details/1" || 0x00 || details)     details: sealed elsewhere
"""

import binascii
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

VERSION = 1
DETAILS = b"consent/details/1\x00"
DELETION_LIST, TAKEN_BACK = "deletion_list", "deletion_list_taken_back"  # kinds of a part of a state's list
MAX_BYTES = 65_535  # C2SP tlog-tiles: an entry's length is a uint16


@dataclass(frozen=True, slots=True)
class Notice:
    """What was shown: the document's hash, its version and language."""

    sha256: bytes
    version: str
    language: str


URL_SAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648 5


def b64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(URL_SAFE).rstrip(b"=").decode()


def canonical(members: Mapping[str, object]) -> bytes:
    """The bytes of a leaf. Members that are None or empty are left out."""
    kept = {name: value for name, value in members.items() if value or not (value is None or value in ("", []))}
    body = ascii_json(kept)
    if len(body) > MAX_BYTES:
        msg = f"an entry has {len(body)} bytes; a leaf may have {MAX_BYTES}"
        raise ValueError(msg)
    return body


def ascii_json(members: Mapping[str, object]) -> bytes:
    """Sorted, without spaces, and what is not ASCII stands escaped."""
    return _encode(members).encode()


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode  # `json.dumps` would make one each time


def named_notice(notice: Notice) -> dict[str, object]:
    return {"n": b64(notice.sha256), "nv": notice.version, "nl": notice.language}


def leaf(kind: str, event: bytes, at: datetime, members: Mapping[str, object]) -> bytes:
    """A leaf's bytes; `at` becomes whole minutes. Those about an identifier are `subjects.public_leaf`'s; the others
    are all here.
    """
    return canonical({**members, "v": VERSION, "i": b64(event), "e": kind, "t": minute(at)})


def document(*, event: bytes, kind: str, notice: Notice, at: datetime) -> bytes:
    """A leaf that logs a shared document (a notice text) by its hash, once."""
    return leaf("doc", event, at, {"k": kind, **named_notice(notice)})


def deletion_list(*, event: bytes, kind: str, place: str, listed: str, count: int, at: datetime) -> bytes:
    """A leaf for one part of a state's deletion list: whose list, of which kind of identifier, and how many requests it
    names or, by `kind`, takes back. Of no digest anything stands in it.
    """
    return leaf(kind, event, at, {"j": place, "k": listed, "count": count})


def disclosure(
    *,
    event: bytes,
    to: str | Sequence[str],
    purposes: Iterable[str],
    classes: Iterable[str],
    count: int,
    hashed: bytes,
    at: datetime,
) -> bytes:
    """A leaf for one chunk of a share to somebody, or for one batch of answers to checks and bid requests to several
    (R22): of what, how much, and the keyed hash of its rows or of what was counted.
    """
    members = {"to": to, "p": sorted(purposes), "c": sorted(classes), "count": count, "h": b64(hashed)}
    return leaf("disclosure" if isinstance(to, str) else "disclosed", event, at, members)


def lost(*, event: bytes, by: str, batches: int, count: int | None, at: datetime) -> bytes:
    """A leaf about nobody: a replica (`by`: its API key's name) answered what it could not hand over: so many batches
    that never came, so many answers of others; None: nobody can tell how many (R22).
    """
    return leaf("disclosures_lost", event, at, {"by": by, "batches": batches, "count": count})


def voided(*, event: bytes, ui: str, reason: bytes, at: datetime) -> bytes:
    """A leaf about nobody: consents given on a screen count for nothing. `reason`: SHA-256 of why, as documented."""
    return leaf("consent_voided", event, at, {"ui": ui, "h": b64(reason)})


def key_event(*, event: bytes, kind: str, step: str, vkey: str, at: datetime, lasting: str = "") -> bytes:
    """A leaf about nobody: a key of the installation was replaced or retired. `vkey`: of a new signing key; `lasting`:
    that of ML-DSA-44 beside it.
    """
    return leaf("key", event, at, {"k": kind, "step": step, "vk": vkey, "vq": lasting})


def evidence(
    *,
    event: bytes,
    kind: str,
    run: str,
    start: datetime,
    until: datetime,
    at: datetime,
    content: Mapping[str, object],
    sha256: bytes | None = None,
) -> bytes:
    """A leaf about nobody: what was counted and in force in a stretch of time (R31). `run`: one start of the service.
    `content`: in the leaf; or `sha256`: that of the document that has it.
    """
    members = {"k": kind, "run": run, "from": second(start), "until": second(until)}
    return leaf("evidence", event, at, {**content, **members, "n": b64(sha256) if sha256 else None})


def appeal(*, event: bytes, of: bytes, outcome: str, at: datetime) -> bytes:
    """A leaf about nobody: somebody appealed against the answer to a request (`of`: its event), and what came of it."""
    return leaf("appeal", event, at, {"of": b64(of), "r": outcome})


def second(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def void_of_choices(
    *, event: bytes, ranges: Sequence[tuple[int, int]], belief: bytes, details: bytes, at: datetime
) -> bytes:
    """A leaf about nobody: choices, from entry to entry (both included), that are believed to be forged (R34).
    `belief`: SHA-256 of the documented belief (11 CCR 7026(e)); `details` commits to who decided so.
    """
    members = {"of": [list(span) for span in ranges], "h": b64(belief), "d": b64(details)}
    return leaf("void", event, at, members)


def restated(*, event: bytes, of: int, was: bytes, at: datetime) -> bytes:
    """A leaf that holds an older one whole, before that is pruned: whoever hashes `was` as a leaf finds its hash in the
    tree at `of` (R19).
    """
    return leaf("restated", event, at, {"was": was.decode("ascii"), "of": of})


def pruned(*, event: bytes, below: int, policy: bytes, at: datetime) -> bytes:
    """A leaf that says which bodies are no longer kept. `policy`: SHA-256 of the retention policy, which is logged."""
    return leaf("pruned", event, at, {"below": below, "n": b64(policy)})


def original(body: bytes) -> bytes:
    """The leaf that an entry restates; any other entry itself."""
    if b'"e":"restated"' not in body:
        return body
    leaf = json.loads(body)
    return str(leaf["was"]).encode() if leaf["e"] == "restated" else body


def restored(*, event: bytes, origin: str, size: int, root: bytes, at: datetime) -> bytes:
    """A leaf about nobody: the log goes on from an older copy under a new name. `origin`, `size`, `root`: the last
    known checkpoint of the old one.
    """
    return leaf("restored", event, at, {"from": origin, "size": size, "root": b64(root)})


def minute(at: datetime) -> str:
    return at.isoformat(timespec="minutes")[:16] + "Z"


def subject_commitment(rs: bytes, kind: str, value: str) -> bytes:
    return hmac.digest(rs, kind.encode() + b"\x00" + value.encode(), "sha256")


def details_commitment(rd: bytes, details: bytes) -> bytes:
    return hmac.digest(rd, DETAILS + details, "sha256")
