"""The Content-Security-Policy at delivery: what an opted-out person's page may talk to (R1).

A second policy beside the site's own; a browser obeys both, so it can only narrow. It names no trackers: whoever is
neither the site itself nor a registered service provider's host gets no request at all, a consent-mode ping included.
What a browser does past any policy, `outward.silently` takes out of the answer.
"""

from collections.abc import Iterable

# Inline code and data the page carries itself are not disclosures; the second policy leaves them to the site's own.
OWN = "'self' 'unsafe-inline' 'unsafe-eval' data: blob:"


def delivery_policy(hosts: Iterable[str]) -> str:
    """`default-src` covers scripts, images, frames, fetches, beacons, fonts and media; forms are named apart, and
    WebRTC for browsers that obey it there (CSP 3; Chromium 156 does not yet).
    """
    allowed = " ".join([OWN, *hosts])
    form = " ".join(["'self'", *hosts])
    return f"default-src {allowed}; form-action {form}; base-uri 'self'; object-src 'none'; webrtc 'block'"
