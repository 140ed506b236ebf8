"""Where a connection may go: V30, the table of addresses that a name must not lead to."""

import socket
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
from delivery.test_post import listener

from gateway.delivery import guard, webhook
from gateway.delivery.guard import EVERYWHERE, LOOPBACK, may_connect
from gateway.delivery.webhook import Courier, Parcel

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PRIVATE = [
    "127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "100.64.0.1", "192.0.0.1", "192.0.2.1",
    "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "ff02::1",
    "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1", "::10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1",
    "64:ff9b:1:a00::1", "fec0::1", "5f00::1", "4000::1", "e000::1",
]  # fmt: skip
PUBLIC = [
    "93.184.216.34",
    "8.8.8.8",
    "172.32.0.1",
    "2606:2800:220:1:248:1893:25c8:1946",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_inside_a_network_is_not_connected_to(address):
    assert not may_connect(address)
    assert may_connect(address, EVERYWHERE)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_is(address):
    assert may_connect(address)


def test_an_operator_may_name_a_network_of_its_own_and_gets_no_other():
    mine = (ip_network("10.1.0.0/16"),)
    assert may_connect("10.1.2.3", mine)
    assert may_connect("::ffff:10.1.2.3", mine)
    assert not may_connect("10.2.0.1", mine)
    assert not may_connect("::1", LOOPBACK[:1])


def answers(monkeypatch, *addresses):
    """What the name is resolved to, a list an answer; the last one for ever."""
    asked = list(addresses)

    def resolve(host, port, *_, **__):
        now = asked.pop(0) if len(asked) > 1 else asked[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in now]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


async def tried(url, allowed=()):
    courier = Courier(allowed)
    try:
        return await courier.carry(Parcel("msg_1", b"{}", url, [b"k" * 32]), AT)
    finally:
        await courier.close()


async def test_a_name_that_leads_into_our_network_gets_nothing(monkeypatch):
    with listener() as (url, arrived):
        answers(monkeypatch, ["127.0.0.1"])
        named = url.replace("127.0.0.1", "recipient.example")
        assert (await tried(named)).outcome is webhook.PostOutcome.FORBIDDEN
        assert arrived == []
        assert (await tried(named, LOOPBACK)).taken, "control: the same name, where the operator allows it"
        assert len(arrived) == 1


async def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    answers(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    assert (await tried("http://recipient.example/")).outcome is webhook.PostOutcome.FORBIDDEN


async def test_the_address_that_was_judged_is_the_one_that_is_connected_to(monkeypatch):
    """A name whose second answer is another one (DNS rebinding): it is asked once."""
    connected = []

    async def connect(self, host, *_, **__):
        connected.append(host)
        raise guard.httpcore2.ConnectError("not in this test")

    monkeypatch.setattr(guard.httpcore2.AnyIOBackend, "connect_tcp", connect)
    answers(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    assert (await tried("http://recipient.example/")).outcome is webhook.PostOutcome.FAILED
    assert connected == ["8.8.8.8"]


async def test_a_redirect_to_a_private_address_is_not_followed():
    with listener() as (inside, arrived), listener(307, Location=inside) as (url, outside):
        assert (await tried(url, LOOPBACK)).answer == "307"
    assert len(outside) == 1
    assert arrived == []


async def test_an_address_in_the_url_itself_is_judged_too():
    with listener() as (url, arrived):
        assert (await tried(url)).outcome is webhook.PostOutcome.FORBIDDEN
    assert arrived == []
