"""`{"type": "browser", "value": "new", "host": H}`: a browser id for a site whose server, not we, sets the cookie (I1).

The server of a site behind forward auth asks for one when a person signs in, the backend of an app before it opens the
site in a WebView (I28). Writes nothing: the id is a stranger until a signal or an account comes with it.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway import seals
from gateway.credentials import ApiKey
from gateway.seals import BrowserCookie
from gateway.signals.heard import Heard
from gateway.web.browser_cookie import ATTRIBUTES, COOKIE, day
from gateway.web.lenient import Body

HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")  # 253: the longest name (RFC 1035 section 2.3.4)


def make(body: Body, key: ApiKey, heard: Heard, how: str) -> tuple[Body, dict[str, Any]]:
    """The body with its `new` browser made, and what the answer says of it: `{"cookie": {"name", "value", "attributes",
    "host"}}`, or nothing. The cookie holds what was heard, as one of our own would; not what is on record of the
    account, which can be lifted there. `how` is `[browser] remember_gpc`. One that may not be made stays `new`, which
    is no browser and is listed as such: a publishable key's, one without a host, a site that remembers no browsers, a
    second one of a call.
    """
    stated = body.members.get("identifiers")
    items = stated if isinstance(stated, list) else []
    asked = next((index for index, item in enumerate(items) if _is_new(item)), None)
    if asked is None or key.publishable or how != "id":
        return body, {}
    consent = body.consent
    made = BrowserCookie(seals.new_browser(), day(consent.clock()), heard.remembered)
    value, host = seals.seal_cookie(consent.secrets.seals, made), items[asked]["host"]
    identifiers = [*items[:asked], {"type": "browser", "value": value}, *items[asked + 1 :]]
    cookie = {"name": COOKIE, "value": value, "attributes": ATTRIBUTES, "host": host}
    return replace(body, members={**body.members, "identifiers": identifiers}), {"cookie": cookie}


def _is_new(item: object) -> bool:
    if not isinstance(item, Mapping) or (item.get("type"), item.get("value")) != ("browser", "new"):
        return False
    host = item.get("host")
    return isinstance(host, str) and HOST.fullmatch(host) is not None
