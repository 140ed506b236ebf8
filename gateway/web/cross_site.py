"""Whether a form post comes from our own pages: Fetch Metadata first, then Origin (Go 1.25's CrossOriginProtection).

`same-site` is not enough. Neither header: not a browser, pass. `Origin: null` is what old browsers send from a page
with `no-referrer`, so for opt_out and limit a valid form token outweighs it (R32).
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit


def is_own(headers: Mapping[str, str], origins: Collection[str] = (), *, token_valid: bool = False) -> bool:
    """`origins` are further exact origins of the operator, scheme and host."""
    origin = headers.get("origin", "")
    if origin in origins and origin:
        return True
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    if not origin:
        return True
    if origin == "null":
        return token_valid
    try:
        return urlsplit(origin).netloc == headers.get("host", "")
    except ValueError:  # "http://[x": no origin that a browser sends
        return False
