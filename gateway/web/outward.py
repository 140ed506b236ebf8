"""What an answer carries to the browser, whether the gateway stands before the site itself or a proxy asks it.

`Vary` with all that hearing reads, the cookie that remembers, the policy of delivery; for one person's answer the word
that no shared cache may keep it (R33); and what is taken out of a page that must be silent. The recipes' lines on both
are made from the lists here. Never decides what holds.
"""

import re
from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]
# Whatever hearing reads of a request. A page that is nobody's is kept by shared caches, and none of them may hand it to
# somebody whose cookie would have made it another (R33).
READ = "Sec-GPC, Cookie, DNT, X-AdChoices, Cookie2"
VARY = (b"vary", READ.encode())
SAME = "same"  # `[site] place_in_key` of a site whose visitors are all told one place
PRIVATE = (b"cache-control", b"private, no-cache")
# Headers that have a browser speak to hosts which no policy is asked about: reports of what the policy stopped, of
# failures and of deprecations, and documents to be fetched ahead.
SPEAKING = ("Content-Security-Policy-Report-Only", "NEL", "Report-To", "Reporting-Endpoints", "Speculation-Rules")
# What is said instead. A browser keeps NEL and Report-To for as long as it was once told; these end what it has.
SILENT = {
    "NEL": '{"max_age":0}',
    "Report-To": '{"group":"default","max_age":0,"endpoints":[]}',
    "X-DNS-Prefetch-Control": "off",
}
HINTS = r"preconnect|dns-prefetch|prefetch|prerender"  # of Link: connections ahead, which no policy is asked about
SAID_ELSE = frozenset(name.lower().encode() for name in (*SPEAKING, *SILENT))
SAID = [(name.lower().encode(), value.encode()) for name, value in SILENT.items()]
HINTING = re.compile(HINTS.encode(), re.IGNORECASE)
NEXT_LINK = re.compile(rb",(?=\s*<)")
REPORTS = (b"report-uri", b"report-to")


def vary(place_in_key: str) -> tuple[bytes, bytes]:
    """`VARY`, with the header by which a cache knows a visitor's place, if it does."""
    if place_in_key in {"", SAME}:
        return VARY
    return VARY[0], VARY[1] + b", " + place_in_key.encode()


def fields(
    cookie: str | None, policy: str | None, varies: tuple[bytes, bytes] = VARY
) -> tuple[tuple[bytes, bytes], ...]:  # fmt: skip
    """The headers beside the site's own. `cookie`: the value of Set-Cookie; `policy`: of Content-Security-Policy."""
    said = [varies]
    if cookie:
        said.append((b"set-cookie", cookie.encode()))
    if policy:
        said.append((b"content-security-policy", policy.encode()))
    return tuple(said)


def silently(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """A site's own headers without what has a browser speak past the policy."""
    kept = [*SAID]
    for pair in headers:
        name = pair[0].lower()
        if name == b"content-security-policy":
            kept.append((name, _without_reports(pair[1])))
        elif name == b"link":
            links = [link.strip() for link in NEXT_LINK.split(pair[1]) if not HINTING.search(link)]
            kept += [(name, b", ".join(links))] if links else []
        elif name not in SAID_ELSE:
            kept.append(pair)
    return kept


def _without_reports(policies: bytes) -> bytes:
    """Whoever receives the site's own reports would be told of each thing that the policy of delivery stopped."""
    return b",".join(
        b";".join(said for said in policy.split(b";") if not said.strip().lower().startswith(REPORTS))
        for policy in policies.split(b",")
    )


def privately(headers: Headers) -> Headers:
    """The same, and no shared cache may keep it; what the site says of its own accord stands where that is said."""
    said = b", ".join([value for name, value in headers if name.lower() == b"cache-control"]).lower()
    if not said:
        return [*headers, PRIVATE]
    if b"no-store" in said or (b"private" in said and b"public" not in said):
        return headers
    kept = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
    return [*kept, PRIVATE]
