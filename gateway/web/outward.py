"""What an answer carries to the browser, whether the gateway stands before the site itself or a proxy asks it.

`Vary` with all that hearing reads, the cookie that remembers, the policy of delivery; and for one person's answer the
word that no shared cache may keep it (R33). Never decides what holds.
"""

Headers = list[tuple[bytes, bytes]]
# Whatever hearing reads of a request. A page that is nobody's is kept by shared caches, and none of them may hand it to
# somebody whose cookie would have made it another (R33).
VARY = (b"vary", b"Sec-GPC, Cookie, DNT, X-AdChoices, Cookie2")
SAME = "same"  # `[site] place_in_key` of a site whose visitors are all told one place
PRIVATE = (b"cache-control", b"private, no-cache")


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


def privately(headers: Headers) -> Headers:
    """The same, and no shared cache may keep it; what the site says of its own accord stands where that is said."""
    said = b", ".join([value for name, value in headers if name.lower() == b"cache-control"]).lower()
    if not said:
        return [*headers, PRIVATE]
    if b"no-store" in said or (b"private" in said and b"public" not in said):
        return headers
    kept = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
    return [*kept, PRIVATE]
