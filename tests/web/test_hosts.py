"""Hosts that pages were seen to talk to: what is kept of what anybody may say (R1, L43)."""

import json
import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support import example

from gateway import disk
from gateway.cli.root import group
from gateway.disk import locked
from gateway.web.site import hosts
from gateway.web.site.header_fields import delivery_policy
from gateway.web.site.hosts import MOST, MOST_NEW_AN_HOUR, HostSeen, Inventory, readable, registered

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = DAY

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def kept(folder):
    return {seen.host: (seen.first.isoformat(), seen.last.isoformat()) for seen in hosts.read_hosts(folder)}


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("cdn.example.net", "cdn.example.net"), ("CDN.Example.NET.", "cdn.example.net"), ("a_b.example.net", "a_b.example.net"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"), ("static2.example.net", "static2.example.net"),
        ("u4155550123.t.example.net", "*.t.example.net"), ("deadbeefcafe.example.net", "*.example.net"),
        (f"{'x' * 33}.example.net", "*.example.net"), ("a.4155550123.b.example.net", "*.b.example.net"),
        ("4155550123.net", None), ("localhost", None), ("192.168.0.7", None), ("[::1]", None), ("fe80::1", None), ("", None),
        ("cdn.example.net:443", None), ("cdn.example.net/path?mail=anna@example.com", None), ("anna@example.com", None),
        ("https://cdn.example.net", None), ("cdn..example.net", None), ("-a.example.net", None), ("ä.example.net", None),
        (f"{'a.' * 127}net", None), (7, None), (None, None), (["cdn.example.net"], None), ("cdn.example.net\n", None),
        ("evil.example.net\x00", None),
    ],
    ids=repr,
)  # fmt: skip
def test_a_name_is_kept_without_what_may_be_somebodys_id_and_nothing_else_is(said, name):
    assert readable(said) == name


@given(st.text() | st.from_regex(r"([a-z0-9-]{1,20}\.){1,4}[a-z]{2,6}", fullmatch=True))
def test_no_number_of_a_person_is_ever_kept(text):
    name = readable(text)
    assert name is None or readable(name.removeprefix("*.")) == name.removeprefix("*.")
    assert name is None or all(sum(map(str.isdigit, label)) <= 5 for label in name.split(".")[:-1])


def test_a_host_has_the_first_and_the_last_day_that_a_page_named_it(tmp_path, clock):
    inventory = Inventory(tmp_path, clock)
    for _ in range(3):
        assert inventory.note(["cdn.example.net", "www.example.com"], own=["www.example.com"])[1]
        inventory.save()
        assert inventory.note(["cdn.example.net"]) == (["known"], False)
        clock.now += timedelta(days=2)
    assert kept(tmp_path) == {"cdn.example.net": ("2026-03-01", "2026-03-05")}


def test_two_processes_and_a_new_start_have_one_table(tmp_path, clock):
    first, second = Inventory(tmp_path, clock), Inventory(tmp_path, clock)
    first.note(["a.example.net"])
    second.note(["b.example.net", "a.example.net"])
    clock.now += timedelta(days=1)
    second.note(["a.example.net"])
    threads = [threading.Thread(target=each.save) for each in (first, second)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    later = Inventory(tmp_path, clock)
    later.note(["c.example.net"])
    later.save()
    assert kept(tmp_path) == {
        "a.example.net": ("2026-03-01", "2026-03-02"),
        "b.example.net": ("2026-03-01", "2026-03-01"),
        "c.example.net": ("2026-03-02", "2026-03-02"),
    }


def test_a_table_that_a_stopped_process_holds_is_written_the_next_time(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(disk, "LOCK_SECONDS", 0.01)
    inventory = Inventory(tmp_path, clock)
    inventory.note(["cdn.example.net"])
    with locked(tmp_path / hosts.LOCK), pytest.raises(BlockingIOError):
        inventory.save()
    inventory.save()
    assert [each.host for each in hosts.read_hosts(tmp_path)] == ["cdn.example.net"]


def test_a_flood_of_made_up_names_neither_grows_without_end_nor_takes_the_place_of_hosts_seen_on_many_days(
    tmp_path, clock
):
    inventory = Inventory(tmp_path, clock)
    for _ in range(2):
        inventory.note(["real.example.net"])
        inventory.save()
        clock.now += timedelta(days=1)
    made_up = 0
    for hour in range(30):
        words, _ = inventory.note([f"n{hour}x{number}.example.org" for number in range(200)])
        assert words.count("new") <= MOST_NEW_AN_HOUR
        made_up += words.count("new")
        inventory.save()
        clock.now += timedelta(hours=1)
    assert made_up > MOST
    assert len(kept(tmp_path)) <= MOST
    assert "real.example.net" in kept(tmp_path)
    assert inventory.note(["after.example.net"])[0] == ["new"]
    inventory.save()
    assert "after.example.net" in kept(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a.example": 7}', '{"a.example": ["x", "y"]}', '{"a.example": ["2026-01-01"]}']
)
def test_a_table_that_is_none_is_begun_anew(tmp_path, clock, text):
    (tmp_path / hosts.FILE).write_text(text)
    assert hosts.read_hosts(tmp_path) == []
    inventory = Inventory(tmp_path, clock)
    inventory.note(["a.example.net"])
    inventory.save()
    assert list(kept(tmp_path)) == ["a.example.net"]


RECIPIENTS = {
    "payments": ("service_provider", ["pay.example", "*.pay.example"]),
    "advertisers": ("third_party", ["https://ads.example:443/x", "both.example"]),
    "cdn": ("service_provider", ["both.example"]),
}


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("pay.example", "payments: service_provider"), ("js.pay.example", "payments: service_provider"),
        ("*.pay.example", "payments: service_provider"), ("ads.example", "advertisers: third_party: blocked under enforce"),
        ("both.example", "cdn: service_provider"), ("notpay.example", hosts.UNREGISTERED), ("x.ads.example", hosts.UNREGISTERED),
        ("example", hosts.UNREGISTERED),
    ],
)  # fmt: skip
def test_a_host_that_no_recipient_has_is_a_third_party(host, what):
    assert registered(host, RECIPIENTS) == what


def test_what_the_table_says_of_a_host_is_what_the_policy_of_delivery_does(tmp_path):
    providers = [host for role, names in RECIPIENTS.values() if role == "service_provider" for host in names]
    allowed = delivery_policy(providers).split(";")[0].split()
    for host in ("pay.example", "both.example", "ads.example", "tracker.example"):
        assert (host in allowed) is ("blocked" not in registered(host, RECIPIENTS)), host


def test_the_operator_reads_the_table(folder, tmp_path, clock):
    config = tmp_path / "config.toml"
    config.write_text(example.over('[recipients.payments]\nhosts = ["pay.example"]\n[site]\ninventory = true\n'))
    run = lambda *more: CliRunner().invoke(group, ["hosts", "--data", str(folder), "--config", str(config), *more])  # noqa: E731
    assert "none was seen" in run().output
    inventory = Inventory(folder, clock)
    inventory.note(["pay.example", "tracker.example"])
    inventory.save()
    lines = run().output.splitlines()
    assert lines[1].split(maxsplit=3) == ["pay.example", "2026-03-01", "2026-03-01", "payments: service_provider"]
    assert lines[2].split(maxsplit=3)[3] == hosts.UNREGISTERED
    assert json.loads(run("--json").output)[1]["registered"] == hosts.UNREGISTERED
    assert hosts.read_hosts(folder)[0] == HostSeen("pay.example", date(2026, 3, 1), date(2026, 3, 1))


def test_who_tells_of_hosts_waits_for_no_disk_and_what_they_told_meanwhile_is_written_next(
    tmp_path, clock, monkeypatch
):
    inventory, writes, told = Inventory(tmp_path, clock), hosts.write_durably, []

    def slow(*given):
        noting = threading.Thread(target=lambda: told.append(inventory.note(["b.example.net", "a.example.net"])))
        noting.start()
        noting.join(30)
        assert told, "it waits for the disk"
        writes(*given)

    inventory.note(["a.example.net"])
    with monkeypatch.context() as patch:
        patch.setattr(hosts, "write_durably", slow)
        inventory.save()
    assert told == [(["new", "known"], True)]
    assert list(kept(tmp_path)) == ["a.example.net"]
    inventory.save()
    assert list(kept(tmp_path)) == ["a.example.net", "b.example.net"]
