"""Which other origins of the operator may read an answer, with credentials: `[site] origins`, to the letter.

For `status` and `observe` alone (I12). A stranger's page gets no leave and reads nothing; it never decides what a
request may do, which is `cross_site`.
"""

from collections.abc import Collection, Mapping

from starlette.responses import Response

MAX_AGE = 600  # seconds; what browsers cap it at is above that (Chromium: 7,200)


def allow(response: Response, headers: Mapping[str, str], origins: Collection[str]) -> None:
    """Adds the leave for the origin that asked. Where there are other origins, caches are told that it matters."""
    for name, value in _leave(headers, origins).items():
        response.headers[name] = value
    if origins:
        response.headers.add_vary_header("Origin")


def preflight(headers: Mapping[str, str], origins: Collection[str]) -> dict[str, str]:
    """The headers of the answer to a preflight; for a stranger nothing but `Vary`."""
    leave = _leave(headers, origins)
    if leave:
        leave |= {
            "Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "Content-Type",
            "Access-Control-Max-Age": str(MAX_AGE),
        }  # fmt: skip
    return {**leave, "Vary": "Origin"}


def _leave(headers: Mapping[str, str], origins: Collection[str]) -> dict[str, str]:
    origin = headers.get("origin", "")
    if not origin or origin not in origins:
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
