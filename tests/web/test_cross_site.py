import pytest
from starlette.datastructures import Headers

from gateway.web.shell.cross_site import is_own, is_same_origin

HOST = {"host": "privacy.example.com"}


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),  # no browser at all: curl, an agent's script
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"sec-fetch-site": "Same-Origin"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://privacy.example.com"}, False),
        ({"origin": "https://privacy.example.com"}, True),
        ({"origin": "https://privacy.example.com:8443"}, False),
        ({"origin": "https://evil-privacy.example.com"}, False),
        ({"origin": "https://privacy.example.com.evil.example"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "rubbish"}, False),
    ],
)
def test_a_form_is_taken_from_our_own_pages_and_from_callers_that_are_no_browser(headers, own):
    assert is_own({**HOST, **headers}) is own


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("https://www.example.com", True),
        ("http://www.example.com", False),
        ("https://www.example.com:444", False),
        ("https://www.example.com.evil.example", False),
        ("https://evil-www.example.com", False),
        ("https://WWW.example.com", False),
        ("", False),
    ],
)
def test_the_operator_s_other_sites_are_known_by_their_exact_origin(origin, own):
    headers = {**HOST, "sec-fetch-site": "same-site", "origin": origin}
    assert is_own(headers, ["https://www.example.com"]) is own


def test_an_old_browser_that_sends_origin_null_is_believed_when_it_brings_our_token():
    assert is_own({**HOST, "origin": "null"}, token_valid=True)
    assert not is_own({**HOST, "origin": "null"}, token_valid=False)


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site", "origin": "null"}, {"origin": "https://evil.example"}]
)
def test_a_token_that_another_site_fetched_does_not_make_its_form_ours(headers):
    assert not is_own({**HOST, **headers}, token_valid=True)


SAME = [
    ({"sec-fetch-site": "same-origin"}, True),
    ({"sec-fetch-site": "same-origin", "origin": "https://privacy.example.com"}, True),
    ({"origin": "https://privacy.example.com"}, True),  # an old browser
    ({}, False),  # no browser: it proves nothing about the person's own page
    ({"sec-fetch-site": "none"}, False),
    ({"sec-fetch-site": "same-site"}, False),
    ({"sec-fetch-site": "same-site", "origin": "https://www.example.com"}, False),
    ({"sec-fetch-site": "cross-site"}, False),
    ({"sec-fetch-site": ""}, False),
    ({"origin": "null"}, False),
    ({"origin": ""}, False),
    ({"origin": "https://evil.example"}, False),
    ({"origin": "http://[x"}, False),
]


@pytest.mark.parametrize(("headers", "same"), SAME)
def test_what_opens_something_is_taken_from_our_own_page_alone(headers, same):
    assert is_same_origin({**HOST, **headers}, ["https://www.example.com"]) is same


def test_an_old_browser_on_the_operators_own_host_is_known_where_a_proxy_hands_on_another():
    assert is_same_origin({"host": "127.0.0.1:8080", "origin": "https://www.example.com"}, ["https://www.example.com"])


@pytest.mark.parametrize("name", ["origin", "sec-fetch-site", "host"])
def test_a_header_that_came_twice_speaks_for_nobody(name):
    good = {"host": "privacy.example.com", "origin": "https://privacy.example.com", "sec-fetch-site": "same-origin"}
    once = [(header.encode(), value.encode()) for header, value in good.items()]
    assert is_own(Headers(raw=once))
    assert is_same_origin(Headers(raw=once))
    twice = [*once, (name.encode(), good[name].encode())]
    assert not is_own(Headers(raw=twice), token_valid=True)
    assert not is_same_origin(Headers(raw=twice))
