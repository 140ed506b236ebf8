"""The two forms of a suppression file. Pure: bytes from what was found.

`csv`: a header, then type, digest, date. `uid2`: the layout of UID2's opt-out delta (IABTechLab/uid2-optout on GitHub):
72-byte records of 32 bytes identity hash, 32 bytes advertising id, 7 bytes little-endian seconds and 1 byte of metadata
(low 6 bits: identity type), the first all zeros with the start, the last all ones with the end. We know no advertising
ids of UID2, so these are zeros; and only SHA-256 of addresses and numbers, which are what UID2 hashes.
"""

import csv
import io
from collections.abc import Sequence

from gateway.ledger.subjects import moment
from gateway.ledger.suppressed import Suppressed

HASH, SECONDS = 32, 7
TYPES = {"email": 0, "phone": 1}  # UID2's identity types
FIRST, LAST = bytes(2 * HASH), b"\xff" * 2 * HASH


def as_csv(listed: Sequence[Suppressed]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["type", "digest", "date"])
    writer.writerows(
        [each.kind, each.digest, moment(each.at).date().isoformat() if each.at is not None else ""] for each in listed
    )
    return text.getvalue().encode()


def as_uid2(listed: Sequence[Suppressed], start: int, end: int) -> bytes:
    """`start` and `end`: of the time that it is about, Unix seconds. Others than addresses and numbers are left out."""
    records = [_record(FIRST, start, 0)]
    for each in listed:
        if _has_place(each):
            at = each.at // 1000 if each.at is not None else end
            records.append(_record(bytes.fromhex(each.digest) + bytes(HASH), at, TYPES[each.kind]))
    return b"".join([*records, _record(LAST, end, 0)])


def of_uid2(listed: Sequence[Suppressed]) -> int:
    """How many of them stand in a `uid2` file."""
    return sum(map(_has_place, listed))


def _has_place(each: Suppressed) -> bool:
    return each.kind in TYPES and len(each.digest) == 2 * HASH


def _record(hashes: bytes, at: int, metadata: int) -> bytes:
    return hashes + at.to_bytes(SECONDS, "little") + bytes([metadata])
