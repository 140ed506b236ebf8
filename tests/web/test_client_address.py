import pytest

from gateway.web.client_address import address


def scope(*forwarded: str, client=("192.0.2.9", 4711)):
    return {"headers": [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded], "client": client}


@pytest.mark.parametrize(
    ("said", "proxies", "expected"),
    [
        (["198.51.100.1"], 1, "198.51.100.1"),
        (["10.0.0.1, 198.51.100.1"], 1, "198.51.100.1"),
        (["203.0.113.9, 198.51.100.1, 10.0.0.1"], 2, "198.51.100.1"),
        (["203.0.113.9", "198.51.100.1"], 1, "198.51.100.1"),
        (["203.0.113.9,,198.51.100.1, "], 1, "198.51.100.1"),
        (["198.51.100.1:4711"], 1, "198.51.100.1"),
        (["[2001:db8::1]:4711"], 1, "2001:db8::1"),
        (["2001:db8::1"], 1, "2001:db8::1"),
        (["198.51.100.1"], 2, ""),
        (["\xff\xfe"], 1, "\xff\xfe"),
        ([""], 1, ""),
        ([], 1, ""),
        (["198.51.100.1"], 0, "192.0.2.9"),
    ],
)
def test_a_visitor_has_the_address_that_the_outermost_own_proxy_saw(said, proxies, expected):
    assert address(scope(*said), proxies) == expected


def test_a_visitor_on_a_socket_has_no_address():
    assert address(scope(client=None), 0) == ""
