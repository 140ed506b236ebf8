"""Internet addresses: what leaves is a network of many, never the address of one household."""

import json
from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.choice import coarsening

QUICKLY = examples(200)


@pytest.mark.parametrize(("address", "network"), [
    ("203.0.113.77", "203.0.113.0"),
    (" 203.0.113.77 ", "203.0.113.0"),
    ("203.0.113.0", "203.0.113.0"),
    ("203.0.113.77:443", "203.0.113.0"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
    ("2001:DB8:1:2:3:4:5:6", "2001:db8:1::"),
    ("2001:db8::1", "2001:db8::"),
    ("[2001:db8:1:2::9]", "2001:db8:1::"),
    ("[2001:db8:1:2::9]:443", "2001:db8:1::"),
])  # fmt: skip
def test_an_address_leaves_as_its_network_without_a_port(address, network):
    assert coarsening.truncate(address) == network


@pytest.mark.parametrize(("address", "network"), [
    ("10.1.2.3", "10.1.2.0"), ("192.168.34.56", "192.168.34.0"), ("127.0.0.1", "127.0.0.0"),
    ("169.254.9.9", "169.254.9.0"), ("255.255.255.255", "255.255.255.0"), ("0.0.0.0", "0.0.0.0"),
    ("::1", "::"), ("::", "::"), ("fd12:3456:789a:1::1", "fd12:3456:789a::"), ("fe80::1234:5678", "fe80::"),
])  # fmt: skip
def test_private_and_loopback_addresses_are_cut_like_any_other(address, network):
    assert coarsening.truncate(address) == network


@pytest.mark.parametrize("address", ["fe80::1234:5678%eth0", "[fe80::1234:5678%25wlan0]:443", "fe80::1234%"])
def test_the_name_of_a_persons_network_interface_goes(address):
    assert coarsening.truncate(address) == "fe80::"


@pytest.mark.parametrize("address", [
    "::ffff:203.0.113.77", "::FFFF:CB00:714D", "0:0:0:0:0:ffff:cb00:714d", "[::ffff:203.0.113.77]:80", "2002:cb00:714d::1",
])  # fmt: skip
def test_an_ipv4_address_inside_another_is_cut_as_one(address):
    """48 bits of a 6to4 address would hold the person's whole IPv4 address."""
    assert coarsening.truncate(address) == "203.0.113.0"


@pytest.mark.parametrize("value", [
    "", " ", "abc", "<nil>", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "010.0.0.1", "0x7f.1", "1.2.3.4/24",
    "203.0.113.77%eth0", "203.0.113.77:", "203.0.113.77:443443", "203.0.113.77, 10.0.0.1", "2001:db8::/48", "[::1", "::1]",
    "[]", ":::", "2001:db8::1::2", "12345::", "[203.0.113.77%x]:1", "\u0661.2.3.4", "1.2.3.4\x00",
    "1" * 100_000, None, True, 3405803853, 203.0, b"\xcb\x00\x71\x4d", ["203.0.113.77"], {"ip": "203.0.113.77"},
], ids=lambda value: repr(value)[:30])  # fmt: skip
def test_what_cannot_be_read_does_not_leave(value):
    assert coarsening.truncate(value) is None


@QUICKLY
@given(st.ip_addresses(v=4))
def test_every_one_of_256_neighbours_gives_the_same_and_no_more(address):
    first = IPv4Address(int(address) & ~0xFF)
    assert coarsening.truncate(str(address)) == coarsening.truncate(str(first + 255)) == str(first)


@QUICKLY
@given(st.ip_addresses(v=6), st.integers(0, 2**80 - 1))
def test_no_bit_of_a_household_or_a_device_is_left(address, rest):
    other = IPv6Address(int(address) >> 80 << 80 | rest)
    inside = [one.ipv4_mapped or one.sixtofour for one in (address, other)]
    if not any(inside):
        assert coarsening.truncate(str(address)) == coarsening.truncate(str(other))
        assert int(IPv6Address(coarsening.truncate(str(address)))) % 2**80 == 0


@QUICKLY
@given(st.one_of(st.text(max_size=40), st.text("0123456789abcdef:.[]%/", max_size=40)))
def test_whatever_a_caller_writes_a_network_comes_out_or_nothing_and_cutting_twice_is_cutting_once(text):
    cut = coarsening.truncate(text)
    assert cut is None or coarsening.truncate(cut) == cut


def compare(case):
    """How our answer stands to that of the row: the mask done right, where JavaScript lets host bits slide up."""
    ours = coarsening.truncate(case["input"])
    theirs = case.get("correct_mask_56", case.get("pbs_java", case.get("prebidjs")))
    if ours == theirs:
        return "the same"
    if ours is None:
        return "dropped, passed through by others"
    if ":" in case["input"] and "." in ours:
        return "mapped, cut as IPv4"
    assert IPv6Address(theirs) in ip_network(f"{ours}/48"), case["id"]
    return "48 bits, 56 or 64 by others"


def test_our_networks_agree_with_three_others_but_where_theirs_tell_more(vectors, figure):
    cases = json.loads((vectors / "enforcement" / "coarsening_vectors.json").read_text())["cases"]
    addresses = [case for case in cases if not case["id"].startswith("geo/")]
    counts = Counter(compare(case) for case in addresses)
    assert counts == {
        "the same": 13,
        "48 bits, 56 or 64 by others": 3,
        "mapped, cut as IPv4": 1,
        "dropped, passed through by others": 1,
    }
    figure(f"addresses, of {len(addresses)}", ", ".join(f"{count} {word}" for word, count in counts.items()))
