"""Who is at the other end: X-Forwarded-For is believed from the operator's own proxies and from nobody else."""

import ast
import socket

import pytest
from support import inside, raw

from gateway.settings.load import SettingsRefused
from gateway.web.shell.peer import MOST_HOPS, Peers, address
from gateway.web.shell.protocol import Protocol

TRUSTED = ("127.0.0.1", "::1", "10.0.0.0/8", "2001:db8:1::/48")
VISITOR, FORGED = "192.0.2.7", "198.51.100.66"


def scope(client, *fields, scheme="http"):
    headers = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    return {"type": "http", "client": client and (client, 1), "headers": headers, "scheme": scheme}


def sender(client, *chains):
    found = Peers(TRUSTED).sender(scope(client, *(("x-forwarded-for", chain) for chain in chains)))
    return found and str(found)


@pytest.mark.parametrize(
    ("client", "chains", "expected"),
    [
        (VISITOR, [], VISITOR),
        (VISITOR, [FORGED], VISITOR),  # a stranger says to be somebody else
        (VISITOR, ["127.0.0.1"], VISITOR),
        ("127.0.0.1", [VISITOR], VISITOR),
        ("::1", [VISITOR], VISITOR),
        ("10.9.8.7", [VISITOR], VISITOR),
        ("127.0.0.1", [f"{FORGED}, {VISITOR}"], VISITOR),  # what the visitor wrote stands on the left
        ("127.0.0.1", [f"127.0.0.1, {VISITOR}"], VISITOR),
        ("127.0.0.1", [f"{FORGED}, {VISITOR}, 10.0.0.2"], VISITOR),  # two proxies of ours
        ("127.0.0.1", [FORGED, VISITOR], VISITOR),  # two fields are one list
        ("127.0.0.1", [f"{FORGED},{VISITOR},,10.0.0.2"], "10.0.0.2"),  # a hole: nobody knows who stands behind it
        ("127.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("127.0.0.1", [f"{FORGED}, unknown"], "127.0.0.1"),
        ("127.0.0.1", [f"{VISITOR}, <script>"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [f"{VISITOR}:4711"], VISITOR),
        ("127.0.0.1", ["[2001:db8:9::7]:4711"], "2001:db8:9::7"),
        ("127.0.0.1", ["2001:db8:9::7, 2001:db8:1::1"], "2001:db8:9::7"),
        ("127.0.0.1", [f"::ffff:{VISITOR}"], VISITOR),
        ("::ffff:127.0.0.1", [VISITOR], VISITOR),
        ("127.0.0.1", [f'"{VISITOR}"'], VISITOR),
        ("127.0.0.1", ["é"], "127.0.0.1"),
        (None, [VISITOR], VISITOR),  # a local socket
        (None, [], None),
        ("127.0.0.1", [", ".join([FORGED] * 100_000 + [VISITOR])], VISITOR),
        ("127.0.0.1", [", ".join([FORGED] + ["10.0.0.1"] * MOST_HOPS * 2)], "10.0.0.1"),
    ],
)
def test_the_sender_is_the_rightmost_hop_that_is_none_of_our_proxies(client, chains, expected):
    assert sender(client, *chains) == expected


@pytest.mark.parametrize(
    ("client", "said", "scheme", "expected"),
    [
        ("127.0.0.1", "https", "http", True),
        ("10.1.1.1", "HTTPS", "http", True),
        (None, "https", "http", True),
        (VISITOR, "https", "http", False),
        ("127.0.0.1", "http", "http", False),
        ("127.0.0.1", "https, http", "http", False),
        ("127.0.0.1", "http, https", "http", True),
        ("127.0.0.1", "", "http", False),
        (VISITOR, "", "https", True),
    ],
)
def test_https_is_believed_from_our_proxies_and_from_the_connection_itself(client, said, scheme, expected):
    assert Peers(TRUSTED).https(scope(client, ("x-forwarded-proto", said), scheme=scheme)) is expected


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3", "1.2.3.4.5", "[", "[::1", "::1::", "fe80::1%eth0%", "\x00", "1" * 5000]
)
def test_an_address_that_is_none_is_none_and_no_fault(text):
    assert address(text) is None or str(address(text)) in {"::1", "fe80::1"}


@pytest.mark.parametrize(
    "trusted", ["*", "0.0.0.0/0", "::/0", "128.0.0.0/1", "proxy.example.com", "10.0.0.1/8", "127.0.0.1,*"]
)
def test_a_configuration_that_would_believe_anybody_does_not_start(trusted):
    with pytest.raises(SettingsRefused, match="GATEWAY_LISTEN__TRUSTED_PROXIES: "):
        inside.settings(listen__trusted_proxies=trusted)


def test_only_this_machine_is_believed_unless_the_operator_says_so():
    assert inside.settings().listen.trusted_proxies == ("127.0.0.1", "::1")
    assert inside.settings(listen__trusted_proxies="10.0.0.0/8").listen.trusted_proxies == ("10.0.0.0/8",)


async def who(scope, receive, send):
    said = dict(scope["headers"]).get(b"x-trusted", b"127.0.0.1").decode()
    told = repr(str(Peers((said,)).sender(scope))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
    await send({"type": "http.response.body", "body": told})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "trusted", "expected"),
    [("127.0.0.1", "127.0.0.1", VISITOR), ("127.0.0.2", "127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.2", VISITOR)],
)
def test_through_a_real_server_only_the_trusted_end_of_a_connection_may_name_somebody(source, trusted, expected):
    sent = (
        f"GET / HTTP/1.1\r\nHost: x\r\nX-Trusted: {trusted}\r\nX-Forwarded-For: {FORGED}\r\n"
        f"x-forwarded-for: {VISITOR}\r\nConnection: close\r\n\r\n"
    )
    with (
        raw.served(who, Protocol, proxy_headers=False) as port,
        socket.create_connection(("127.0.0.1", port), 2, source_address=(source, 0)) as connection,
    ):
        connection.sendall(sent.encode())
        heard = raw.listen(connection)
    assert ast.literal_eval(heard.body.decode()) == expected
