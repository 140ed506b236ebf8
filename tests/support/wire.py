"""Calling a real service over HTTP with the standard library: no pool, no retries, nothing to hide a fault."""

import contextlib
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request

from support.people import gaid, named


def call(url: str, body=None, *, key: str = "dev.dev", headers=None, kind="application/json", timeout: float = 30):
    """(status, decoded body). NDJSON answers are a list. A 4xx or 5xx is an answer, not an exception."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind, **(headers or {})})
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, _decoded(response)
    except urllib.error.HTTPError as error:
        return error.code, _decoded(error)


def answered(port: int, path: str, body: dict) -> dict:
    """The decoded body of a 2xx; another answer raises `HTTPError`, and a connection that is cut off what it raises."""
    sent = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), sent)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


def ad_id_asked(port: int, number: int) -> dict:
    """What a check says of a made-up phone's ad id, for a recipient that may have those of strangers."""
    body = {"identifiers": [named("gaid", gaid(number))], "recipient": "teemo", "place": "US-CA", "data": ["ad_id"]}
    return answered(port, "/v1/check", body)


def _decoded(response):
    text, kind = response.read(), response.headers.get("Content-Type", "")
    if "ndjson" in kind:
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text) if "json" in kind else text.decode()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_, **__):
        return None


def post_form(url: str, timeout: float = 30, **fields: str):
    """(status, Location). A strange browser without cookies, as curl is."""
    body = urllib.parse.urlencode(fields).encode()
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(f"{url}/privacy-choices", body, timeout=timeout) as response:
            return response.status, None
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Location")


def check(url: str, identifier: dict, recipient: str = "teemo", **more):
    status, answer = call(f"{url}/v1/check", {"identifiers": [identifier], "recipient": recipient, **more})
    assert status == 200, answer
    return answer


def denied(url: str, kind: str, value: str, recipient: str = "teemo", place: str = "US-NY") -> bool:
    """Whether nothing at all may go."""
    answer = check(url, named(kind, value), recipient, place=place)
    return not answer["allowed"] and not answer["partly"]


NO_ANSWER = frozenset({"stale", "store_unavailable"})


def reasons(port: int, identifiers: list[dict], recipient: str = "teemo", place: str = "US-NY") -> list[str]:
    """Of each identifier by itself why nothing at all may go; "allowed" where something may. One connection; a deny for
    want of an answer, which on a busy machine comes now and then, is asked for again.
    """
    connection, found = http.client.HTTPConnection("127.0.0.1", port, timeout=30), list[str]()
    headers = {"Authorization": "Bearer dev.dev", "Content-Type": "application/json"}
    deadline = time.monotonic() + 30 + len(identifiers) / 10
    with contextlib.closing(connection):
        while len(found) < len(identifiers):
            body = {"identifiers": [identifiers[len(found)]], "recipient": recipient, "place": place}
            connection.request("POST", "/v1/check", json.dumps(body), headers)
            answer = json.loads(connection.getresponse().read())
            if answer["reason"] not in NO_ANSWER:
                found.append("allowed" if answer["allowed"] or answer["partly"] else answer["reason"])
            assert time.monotonic() < deadline, f"no answer: {answer}"
    return found


def link(url: str, account: str, *identifiers: dict) -> None:
    status, answer = call(f"{url}/v1/links", {"account": account, "identifiers": list(identifiers)})
    assert status == 201, answer


def opt_in(url: str, identifiers: list[dict], purpose: str, **more) -> dict:
    """Both acts, with the development proof."""
    proof = {"kind": "account", "assertion": "dev"}
    shown = {item["kind"]: item["sha256"] for item in call(f"{url}/v1/self")[1]["notices"]}
    notice = {"sha256": shown["opt-in"]}
    body = {"identifiers": identifiers, "choice": "opt_in", "purposes": [purpose], "proof": proof, "notice": notice}
    status, asked = call(f"{url}/v1/choices", {**body, **more})
    assert status == 202, asked
    confirm = {"choice": "confirm", "confirm": asked["confirm"], "proof": proof, "notice": {"sha256": shown["confirm"]}}
    status, done = call(f"{url}/v1/choices", confirm)
    assert status == 201, done
    return done
