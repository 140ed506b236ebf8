"""What an ad server sent on a replica's answers is on the gateway's record, through kills and absences; and whoever got
it only so is told of the opt-out (R22, R18). Real processes, real HTTP.
"""

import contextlib
import json
import shutil
import signal
import time

import pytest
from delivery.test_post import listener
from standardwebhooks import Webhook
from support import example, inside
from support.people import gaid, named, phone
from support.service import service
from support.sidecar import Sidecar
from support.wire import call, post_form

from gateway.app.replica import Replica
from gateway.cli import main
from gateway.client import Client, NothingMayGo
from gateway.delivery import webhook
from gateway.keys import seals, secret_files

pytestmark = pytest.mark.slow
NDJSON = "application/x-ndjson"
ONE, TWO = named("gaid", gaid(1)), named("gaid", gaid(2))
BID = {"id": "1", "imp": [{"id": "1", "banner": {}}], "device": {"os": "Android", "ifa": gaid(2),
       "geo": {"country": "USA", "region": "NY"}}}  # fmt: skip


def ask(person, **more):
    return {"identifiers": [person], "recipient": "advertisers", "data": ["ad_id"], "place": "US-NY", **more}


def said(decision, outcome="sent"):
    return json.dumps({"decision": decision, "outcome": outcome}).encode()


def received(gateway, person):
    _, answer = call(f"{gateway.url}/v1/access", {"identifiers": [person]})
    return {(each["recipient"], each["outcome"]): each["count"] for each in answer["disclosures"]}


def comes_to(gateway, person, expected, seconds=40.0):
    """What is on record of somebody, once it is what is expected or the time is over."""
    ends = time.monotonic() + seconds
    while (found := received(gateway, person)) != expected and time.monotonic() < ends:
        time.sleep(0.1)
    return found


def lost(gateway):
    """Entries about what was lost, by the gateway's own count."""
    text = call(f"http://127.0.0.1:{gateway.port + 1}/metrics", key="")[1]
    lines = [line for line in text.splitlines() if "gateway_disclosures_total" in line and 'outcome="lost"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.fixture
def gateway(tmp_path):
    with service(tmp_path) as running:
        yield running


@pytest.fixture
def enrol(tmp_path, capsys):
    def make(gateway):
        file = tmp_path / "bidder.enrolment"
        with contextlib.suppress(SystemExit):
            main(["replica", "enrol", "bidder", "--data", str(gateway.data), "--out", str(file)])
        return file, capsys.readouterr().out.strip()

    return make


@pytest.fixture
def sidecar(gateway, enrol, tmp_path):
    made = Sidecar(gateway.url, tmp_path / "beside", enrol(gateway))
    try:
        yield made.start()
    finally:
        made.stop()


def kill(sidecar):
    sidecar.process.send_signal(signal.SIGKILL)
    sidecar.process.wait()


def report(sidecar, decision, outcome="sent"):
    status, lines = call(f"{sidecar.url}/v1/disclosures", said(decision, outcome), kind=NDJSON)
    assert status == 200, lines
    return lines[0]["result"]


def checked(sidecar, person, **more):
    status, answer = call(f"{sidecar.url}/v1/check", ask(person, **more))
    assert (status, answer["allowed"]) == (200, True), answer
    return answer["decision"]


def test_what_a_sidecar_let_go_is_on_the_gateways_record(gateway, sidecar):
    first = checked(sidecar, ONE)
    assert len({first, checked(sidecar, ONE), checked(sidecar, ONE, will_send=True)}) == 3
    assert report(sidecar, first) == "recorded"
    assert report(sidecar, first) == "repeated"
    assert report(sidecar, "made up") == "unknown"
    assert call(f"{sidecar.url}/v1/openrtb?recipient=advertisers", BID)[0] == 200
    denied = call(f"{sidecar.url}/v1/check", ask(TWO, signals={"gpc": "1"}))[1]
    assert not denied["allowed"]
    assert report(sidecar, denied["decision"], "not_sent") == "recorded"
    assert (
        comes_to(
            gateway,
            ONE,
            mine := {("advertisers", "sent"): 1, ("advertisers", "possible"): 1, ("advertisers", "unknown"): 1},
        )
        == mine
    )
    assert comes_to(gateway, TWO, {("advertisers", "sent"): 1}) == {("advertisers", "sent"): 1}
    assert lost(gateway) == 0
    assert report(sidecar, denied["decision"]) == "denied"
    assert comes_to(gateway, TWO, {("advertisers", "sent"): 2}) == {("advertisers", "sent"): 2}
    theirs = call(f"{gateway.url}/v1/check", ask(TWO))[1]["decision"]
    assert report(sidecar, theirs) == "passed_on"
    assert comes_to(gateway, TWO, {("advertisers", "sent"): 3}) == {("advertisers", "sent"): 3}
    body = {"question": "received", "identifiers": [ONE], "data": ["ad_id"]}
    _, answer = call(f"{gateway.url}/v1/disclosures/query", body)
    assert {each["recipient"] for each in answer["disclosures"]} == {"advertisers"}


def drop(folder):
    """The variant that forgets what it has not handed over."""
    shutil.rmtree(folder / "copy" / "disclosures")


@pytest.mark.parametrize(("between", "kept"), [(lambda _: None, True), (drop, False)], ids=["as it is", "dropped"])
def test_a_sidecar_that_is_killed_between_the_send_and_the_hand_over_loses_nothing_and_the_control_does(
    gateway, sidecar, between, kept
):
    everything = {("advertisers", "sent"): 1, ("advertisers", "unknown"): 1, ("advertisers", "possible"): 1}
    decisions = [checked(sidecar, ONE), checked(sidecar, ONE, will_send=True), checked(sidecar, ONE)]
    assert report(sidecar, decisions[0]) == "recorded"
    kill(sidecar)
    time.sleep(1.5)
    before = received(gateway, ONE)  # a part may have been handed over already
    between(sidecar.folder)
    sidecar.start()
    assert (comes_to(gateway, ONE, everything, 40.0 if kept else 3.0) == everything) is kept or before == everything


def two_batches(gateway, sidecar):
    """(somebody, three announced sends, the file of the second batch): what is said of the first send is under way to a
    gateway that stands still, and what is said of the second is a batch of its own, unless the machine was too slow.
    """
    for person in range(10, 15):
        who = named("gaid", gaid(person))
        decisions = [checked(sidecar, who, will_send=True) for _ in range(3)]
        announced = {("advertisers", "unknown"): 3}
        assert comes_to(gateway, who, announced) == announced
        gateway.process.send_signal(signal.SIGSTOP)
        report(sidecar, decisions[0])
        time.sleep(2)
        report(sidecar, decisions[1])
        files = sorted(sidecar.folder.glob("copy/disclosures/*/0*"))
        if len(files) == 2:
            return who, decisions, files[1]
        gateway.process.send_signal(signal.SIGCONT)
        both = {("advertisers", "unknown"): 1, ("advertisers", "sent"): 2}
        assert comes_to(gateway, who, both) == both
    raise AssertionError("five times both were one batch")


def test_a_batch_that_somebody_takes_away_is_known_to_be_missing(gateway, sidecar):
    who, decisions, second = two_batches(gateway, sidecar)
    second.unlink()
    gateway.process.send_signal(signal.SIGCONT)
    one = {("advertisers", "unknown"): 2, ("advertisers", "sent"): 1}
    assert comes_to(gateway, who, one, 40.0) == one
    assert lost(gateway) == 0
    time.sleep(1.5)
    report(sidecar, decisions[2])
    two = {("advertisers", "unknown"): 1, ("advertisers", "sent"): 2}
    assert comes_to(gateway, who, two) == two
    assert lost(gateway) == 1


def test_a_gateway_that_is_away_gets_all_of_it_when_it_is_back_and_once(gateway, sidecar):
    decisions = [checked(sidecar, ONE) for _ in range(5)]
    gateway.kill()
    assert [report(sidecar, each) for each in decisions[:3]] == ["recorded"] * 3
    time.sleep(2.5)  # tries that fail, and a lease that ends
    assert call(f"{sidecar.url}/v1/check", ask(ONE))[1]["reason"] == "stale"
    gateway.start()
    expected = {("advertisers", "sent"): 3, ("advertisers", "possible"): 2}
    assert comes_to(gateway, ONE, expected, 40.0) == expected
    time.sleep(1.5)
    assert received(gateway, ONE) == expected
    assert lost(gateway) == 0


def test_in_the_ad_servers_process_asking_and_sending_are_one_thing_and_are_on_record(gateway, enrol, tmp_path):
    file, secret = enrol(gateway)
    opened = seals.open_enrolment(file.read_text(), secret)
    with Replica(gateway.url, tmp_path / "copy", opened, inside.settings(), dev=True) as replica:
        while not replica.follower.fresh():
            time.sleep(0.01)
        with Client.over(replica.checker) as client:
            assert client.ready({"advertisers": {"data": ["ad_id"]}})["key"]["scopes"] == ["check"]
            question = {"recipient": "advertisers", "data": {"ad_id": gaid(1)}, "place": "US-NY"}
            with client.disclosure(identifiers=[ONE], **question) as one:
                assert one.allowed
                assert one.data == {"ad_id": gaid(1)}
            with client.disclosure(identifiers=[ONE], will_send=True, **question) as announced:
                assert announced.data
            denied = client.disclosure(identifiers=[TWO], signals={"gpc": "1"}, **question)
            with denied, pytest.raises(NothingMayGo):
                denied.data  # noqa: B018
            with pytest.raises(RuntimeError), client.disclosure(identifiers=[TWO], **question) as failed:
                assert failed.data
                raise RuntimeError
            found = client.openrtb(BID, recipient="advertisers")
            assert (found.verdict, found.bid["device"]["ifa"]) == ("allow", gaid(2))
            quiet = client.openrtb(BID | {"regs": {"gpc": 1}}, recipient="advertisers")
            assert (quiet.verdict, "ifa" in quiet.bid["device"]) == ("contextual", False)
            assert client.openrtb(BID, recipient="advertisers", dry_run="1").verdict == "allow"
            assert [each.reason for each in client.checks([ask(ONE, dry_run=True), ask(ONE, signalz=1)])] == [
                "no_choice",
                "no_answer",
            ]
    assert received(gateway, ONE) == {("advertisers", "sent"): 2}
    assert received(gateway, TWO) == {("advertisers", "unknown"): 1, ("advertisers", "sent"): 1}


@pytest.mark.parametrize("announces", [True, False])
def test_a_recipient_that_got_somebodys_data_only_through_a_replica_is_told_of_the_opt_out(tmp_path, enrol, announces):
    """An announced send keeps the name that the recipient knows, so the phone in the form is enough; of a plain check
    the person's own call names the ad id.
    """
    with contextlib.ExitStack() as stack:
        url, arrived = stack.enter_context(listener())
        config = tmp_path / "config.toml"
        config.write_text(example.over(f'[recipients.advertisers]\ndeliveries = "{url}"\n'))
        gateway = stack.enter_context(service(tmp_path, "--config", str(config)))
        sidecar = Sidecar(gateway.url, tmp_path / "beside", enrol(gateway), ("--config", str(config)))
        stack.callback(sidecar.stop)
        sidecar.start()
        link = {"account": "jane", "identifiers": [ONE, named("phone", phone(1))]}
        assert call(f"{gateway.url}/v1/links", link)[0] == 201
        decision = checked(sidecar, ONE, will_send=announces)
        assert report(sidecar, decision) == "recorded"
        assert comes_to(gateway, ONE, {("advertisers", "sent"): 1}) == {("advertisers", "sent"): 1}
        if announces:
            fields = {"action": "opt_out", "phone": phone(1), "country": "US", "state": "NY"}
            assert post_form(gateway.url, **fields)[0] == 303
        else:
            assert call(f"{gateway.url}/v1/choices", {"identifiers": [ONE], "choice": "opt_out"})[0] == 201
        ends = time.monotonic() + 60
        while not arrived and time.monotonic() < ends:
            time.sleep(0.1)
        headers, body = arrived[0]
        message = Webhook(webhook.secret_of(secret_files.load_secrets(gateway.data), "advertisers")).verify(
            body, headers
        )
    assert (message["type"], message["identifiers"]) == ("opt_out", [ONE])
