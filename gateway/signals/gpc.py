"""Global Privacy Control: reads the `Sec-GPC` header and the same signal in a call, for `signals.hear`.

The value has one meaning, the single character `1`; everything else is as if the field were absent (w3c/gpc @58d8695,
header section; L1 to L5). Of several fields one `1` is enough, whether a proxy folded them into `0, 1` or not (RFC 9110
5.3); blanks around it are no part of it (5.5). Trailers never get here: ASGI has none.
"""

from collections.abc import Iterable

from gateway.signals.heard import members
from gateway.terms import Malformed

HEADER = b"sec-gpc"
NO_SIGNAL = frozenset({b"", b"0"})  # what browsers with the preference off have been seen to send: not worth counting


def read_gpc_header(values: Iterable[bytes]) -> bool | Malformed:
    """True when the preference is on, False when nothing was said. `values` are the field's values as they came."""
    odd = False
    for value in values:
        said = members(value)
        if b"1" in said:
            return True
        odd = odd or not NO_SIGNAL.issuperset(said)
    return Malformed("gpc", "value") if odd else False


def read_member(value: object) -> bool | Malformed:
    """The `gpc` member of a call's `signals`: the header's value as received, or true (I25). Booleans and the number 1
    are taken as the signal: a reader that tests for one type only loses opt-outs.
    """
    if value is None or value is False:
        return False
    if value in (1, "1"):
        return True
    if isinstance(value, str):
        raw = value.encode("utf-8", "replace")
        return read_gpc_header([raw])
    return Malformed("gpc", "type")
