"""Global Privacy Control: the `Sec-GPC` header, to the letter of the W3C text.

The value has one meaning, the single character `1`; everything else is as if the field were absent. Of several
fields, one exact `1` is enough. (w3c/gpc @58d8695, header section; L1 to L5.) Trailers never get here: ASGI has none.
"""

from collections.abc import Iterable

from gateway.terms import Malformed

HEADER = b"sec-gpc"
NO_SIGNAL = frozenset({b"", b"0"})  # what browsers with the preference off have been seen to send: not worth counting


def read(values: Iterable[bytes], *, accept_folded: bool = False) -> bool | Malformed:
    """True when the preference is on, False when nothing was said.

    `values` are the field's values as they came, one a field. `accept_folded` is the documented setting of L5: a
    proxy may fold two fields into `1, 1`, which is strictly another value; on, it counts as the signal.
    """
    odd = False
    for value in values:
        if value == b"1":
            return True
        if accept_folded and b"1" in (part.strip() for part in value.split(b",")):
            return True
        odd = odd or value not in NO_SIGNAL
    return Malformed("gpc", "value") if odd else False


def read_member(value: object) -> bool | Malformed:
    """The `gpc` member of a call's `signals`: the header's value as received, or true (I25). Booleans and the
    number 1 are taken as the signal: a reader that tests for one type only loses opt-outs (enforcement.md 1.3).
    """
    if value is None or value is False:
        return False
    if value in (1, "1"):
        return True
    if isinstance(value, str):
        raw = value.encode("utf-8", "replace")
        return read([raw])
    return Malformed("gpc", "type")
