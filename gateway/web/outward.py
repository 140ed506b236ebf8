"""What an answer carries to the browser, whether the gateway stands before the site itself or a proxy asks it.

`Vary`, the cookie that remembers, the policy of delivery; and what is taken out of a page that must be silent: the
recipes' lines on that are made from the lists here. Whose an answer is stands in `shared_caches`. Never decides what
holds.
"""

import re
from collections.abc import Iterable

from gateway.web.shared_caches import VARY, Headers

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
