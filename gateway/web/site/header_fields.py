"""Which headers an answer carries to the browser. The middleware and the forward-auth doors call it; the proxy recipes'
lines are made from the lists here.

An answer gets `Vary`, the cookie that remembers, and loses what a page that must be silent may not have. Whose an
answer is stands in `shared_caches`. The gateway's own sealed cookies are taken out of what a site or a proxy gets to
see (R9).

An opted-out person's page has a Content-Security-Policy (R1), a second one beside the site's own; a browser obeys both,
so it can only narrow. It names no trackers: whoever is neither the site itself nor a registered service provider's host
gets no request at all, a consent-mode ping included. What a browser does past any policy, `silently` takes out of the
answer.
"""

import re
from collections.abc import Iterable

from gateway.signals import cookies
from gateway.web.shell import own_cookies
from gateway.web.site.shared_caches import VARY, Headers

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
) -> tuple[tuple[bytes, bytes], ...]:
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


# Inline code and data the page carries itself are not disclosures; the second policy leaves them to the site's own.
OWN = "'self' 'unsafe-inline' 'unsafe-eval' data: blob:"


def delivery_policy(hosts: Iterable[str]) -> str:
    """`default-src` covers scripts, images, frames, fetches, beacons, fonts and media; forms are named apart, and
    WebRTC for browsers that obey it there (CSP 3; Chromium 156 does not yet).
    """
    allowed = " ".join([OWN, *hosts])
    form = " ".join(["'self'", *hosts])
    return f"default-src {allowed}; form-action {form}; base-uri 'self'; object-src 'none'; webrtc 'block'"


COOKIES = tuple(
    name.encode() for name in (*own_cookies.BROWSER_COOKIES, own_cookies.PROOF_COOKIE, own_cookies.CODE_COOKIE)
)
BEGIN = own_cookies.BROWSER_COOKIE.encode()  # of all their names


def without_ours(header: bytes) -> bytes:
    """A Cookie field without them; empty where there is nothing else in it."""
    if header.startswith(BEGIN) and b";" not in header:  # the one cookie of somebody who has no other
        return b"" if header.partition(b"=")[0] in COOKIES else header
    if BEGIN in header:
        for ours in COOKIES:
            header = cookies.without(header, ours) if ours in header else header
    return header
