"""Names of headers: ours, those that are read, and those that carry no signal. The edge and all that stands before a
site call it.

A request with only the names in `ORDINARY_REQUEST` is not parsed. Leaving a name out costs time, never an
opt-out. Nothing that is read as a signal may ever be added (tested).
"""

from operator import itemgetter

from gateway.signals import adchoices, gpc

name_of = itemgetter(0)
PREFIX = b"gateway-"
# What a site is told with every request, each one always.
CONSENT, BROWSER, PLACE = b"gateway-consent", b"gateway-browser", b"gateway-place"
REQUEST_ID = b"gateway-request"  # of every answer, too
ACCOUNT = b"gateway-account"  # from a site: the signed assertion of whom it signed in
# What is read of a request; none of these may ever be ordinary (a test holds it to that).
READ = frozenset({gpc.HEADER, b"cookie", b"dnt", *adchoices.HEADERS, ACCOUNT, b"authorization"})
ORDINARY_REQUEST = frozenset(
    b"accept accept-charset accept-encoding accept-language cache-control connection content-length"
    b" content-type device-memory downlink dpr ect forwarded from host if-match if-modified-since if-none-match"
    b" if-range if-unmodified-since keep-alive max-forwards origin pragma priority purpose range referer rtt save-data"
    b" sec-ch-ua sec-ch-ua-arch sec-ch-ua-bitness sec-ch-ua-full-version-list sec-ch-ua-mobile sec-ch-ua-model"
    b" sec-ch-ua-platform sec-ch-ua-platform-version sec-ch-ua-wow64 sec-ch-prefers-color-scheme sec-fetch-dest"
    b" sec-fetch-mode sec-fetch-site sec-fetch-storage-access sec-fetch-user sec-purpose sec-websocket-extensions"
    b" sec-websocket-key sec-websocket-protocol sec-websocket-version te traceparent tracestate transfer-encoding"
    b" upgrade upgrade-insecure-requests user-agent via viewport-width width x-amzn-trace-id x-csrf-token"
    b" x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-server x-real-ip x-request-id"
    b" x-requested-with".split()
)
ORDINARY_ANSWER = frozenset(
    b"accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods"
    b" access-control-allow-origin access-control-expose-headers access-control-max-age age allow alt-svc"
    b" content-disposition content-encoding content-language content-length content-location content-range"
    b" content-security-policy content-security-policy-report-only content-type cross-origin-embedder-policy"
    b" cross-origin-opener-policy cross-origin-resource-policy date etag expires last-modified link location nel"
    b" permissions-policy referrer-policy refresh report-to retry-after server server-timing set-cookie"
    b" strict-transport-security timing-allow-origin transfer-encoding vary www-authenticate x-content-type-options"
    b" x-dns-prefetch-control x-frame-options x-powered-by x-request-id x-robots-tag x-xss-protection"
    b" cache-control".split()
)


def is_ours(name: bytes) -> bool:
    """Whether a header would speak in the gateway's name. `_` counts as `-`: PHP and WSGI cannot tell them apart."""
    return name.lower().replace(b"_", b"-").startswith(PREFIX)
