"""What `gateway recipe server-tags` and `server-tags-node` print, run as they are before a real gateway: stand-ins for
Meta's, Google Analytics' and Google Ads' hosts keep what comes. Whoever said no, by whatever the server knows them by, is
sent to nobody; nor is anybody while the gateway does not say yes, in time, for this very question.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from hashlib import sha256
from pathlib import Path

import pytest
from support import example
from support.inside import DEV
from support.listening import Quiet, listening
from support.service import service

from gateway.cli.recipe import filled
from gateway.settings import load as settings_of

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
RECIPES = {"server-tags": ("tags.py", [sys.executable]), "server-tags-node": ("tags.mjs", ["node"])}
HOSTS = ("https://graph.facebook.com", "https://www.google-analytics.com", "https://googleads.googleapis.com")
SECRETS = {
    "META_DATASET": "1", "META_TOKEN": "meta-token", "GA_MEASUREMENT_ID": "G-1", "GA_API_SECRET": "s", "ADS_CUSTOMER": "2",
    "ADS_ACTION": "3", "ADS_TOKEN": "ads-token", "ADS_DEVELOPER": "d", "GATEWAY_KEY": "dev.dev",
}  # fmt: skip
RECIPIENT = """
[recipients.{0}]
role = "third_party"
purposes = ["sharing", "targeted_ads"]
data = ["email_hash", "phone_hash", "device_id", "ip"]
contract = ""
announced = 2024-06-25
"""
TAGS = ("meta", "google_analytics", "google_ads")
EVENT = {
    "name": "Purchase",
    "id": "order-1",
    "page": "https://www.example.com/thanks?email=free@example.com",
    "value": 12.5,
    "currency": "USD",
}
ALL_SENT = dict.fromkeys(TAGS, "sent")
PATIENT = (
    "ASKING = 200",
    "ASKING = 20000",
)  # for all but those whose gateway is late: a busy machine is late by itself
TRIES = 5  # the gateway's yes is good for a quarter of a second, and a busy machine takes longer


def person_of(name):
    """Somebody of whom the server knows all that the tags take."""
    number = sha256(name.encode()).digest()[0] % 100
    return {
        "email": f"{name}@example.com", "phone": f"+1415555{100 + number:04}", "account": name, "ip": "203.0.113.7",
        "user_agent": "Mozilla/5.0", "cookies": {"_fbp": f"fb.1.1.{name}", "_ga": f"GA1.1.{name}.1"},
    }  # fmt: skip


class Arrived(list):
    """(path, body) of what came to the tags' hosts. `status`, `leads_to`: what they answer."""

    status, leads_to = 200, ""


@pytest.fixture
def hosts():
    """(their address, what came)"""
    came = Arrived()

    class Host(Quiet):
        def posted(self):
            came.append((self.path, json.loads(self.body())))
            self.send_response(came.status)
            if came.leads_to:
                self.send_header("Location", came.leads_to)
            self.send_header("Content-Length", "0")
            self.end_headers()

        asked = posted

    with listening(Host) as address:
        yield address, came


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    file = folder / "my.toml"
    file.write_text(example.over("".join(map(RECIPIENT.format, TAGS))))
    with service(folder, "--config", str(file)) as running:
        yield running


@pytest.fixture(params=RECIPES)
def tags(request, tmp_path, hosts):
    """Runs a recipe as a process: (outcome of each tag, what came). `swaps`: of its text; `more`: of what it is told."""
    name, command = RECIPES[request.param]
    if command == ["node"]:
        request.getfixturevalue("tool")("node")
    address, came = hosts
    printed = filled(request.param, settings_of.load_settings(example.FILE, {}), host="", site="")

    def run(url, person, *, swaps=(PATIENT,), **more):
        text = printed
        for old, new in (*((host, address) for host in HOSTS), *swaps):
            assert old in text, old
            text = text.replace(old, new)
        file = tmp_path / name
        file.write_text(text)
        came.clear()
        asked = json.dumps({"event": EVENT, "person": person, "place": "US-CA", "signals": {}} | more)
        environment = os.environ | SECRETS | {"GATEWAY_URL": url, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*command, file], input=asked, capture_output=True, text=True, env=environment, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), list(came)

    return run


@pytest.fixture
def sent(tags):
    """The same for whoever is to be sent: asked again where the yes was over."""

    def run(url, person):
        for _ in range(TRIES):
            outcome, came = tags(url, person)
            if "expired" not in outcome.values():
                break
        return outcome, came

    return run


def sha(text):
    return sha256(text.encode()).hexdigest()


def call(gateway, path, body):
    headers = DEV | {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{gateway.url}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_who_said_nothing_is_sent_in_each_hosts_own_words(sent, gateway):
    outcome, came = sent(gateway.url, person_of("free"))
    assert outcome == ALL_SENT
    assert "free@" not in str(came)
    bodies = {path.split("?")[0]: body for path, body in came}
    [event] = bodies["/v24.0/1/events"]["data"]
    number = person_of("free")["phone"]
    assert event["user_data"] == {
        "em": [sha("free@example.com")], "ph": [sha(number[1:])], "fbp": "fb.1.1.free", "client_ip_address": "203.0.113.7",
        "client_user_agent": "Mozilla/5.0",
    }  # fmt: skip
    assert event["event_source_url"] == "https://www.example.com/thanks"
    assert event["data_processing_options"] == []
    analytics = bodies["/mp/collect"]
    assert analytics["client_id"] == "free.1"
    assert analytics["user_data"] == {
        "sha256_email_address": [sha("free@example.com")],
        "sha256_phone_number": [sha(number)],
    }
    assert analytics["consent"] == {"ad_user_data": "GRANTED", "ad_personalization": "GRANTED"}
    [conversion] = bodies["/v26/customers/2:uploadClickConversions"]["conversions"]
    assert conversion["userIdentifiers"] == [
        {"hashedEmail": sha("free@example.com")},
        {"hashedPhoneNumber": sha(number)},
    ]
    assert conversion["consent"] == {"adUserData": "GRANTED", "adPersonalization": "GRANTED"}


def by_form(gateway, field, value):
    said = urllib.parse.urlencode({"action": "opt_out", field: value}).encode()
    urllib.request.urlopen(f"{gateway.url}/privacy-choices", said, timeout=60).close()


def by_call(gateway, kind, value, **more):
    identifier = {"type": kind, "value": value, **more}
    call(
        gateway,
        "/v1/choices",
        {"identifiers": [identifier], "choice": "opt_out", "purposes": ["all"], "place": "US-CA"},
    )


NOES = {
    "by the address in the form": lambda gateway, person: by_form(gateway, "email", person["email"].upper()),
    "by the number in the form": lambda gateway, person: by_form(gateway, "phone", person["phone"]),
    "by the digest of the address": lambda gateway, person: by_call(gateway, "email_sha256", sha(person["email"])),
    "by the account": lambda gateway, person: by_call(gateway, "account", person["account"]),
    "by the id of a tag's cookie": lambda gateway, person: by_call(
        gateway, "cookie", person["cookies"]["_fbp"], source="_fbp"
    ),
}


@pytest.mark.parametrize("how", NOES)
def test_who_said_no_is_sent_to_nobody(tags, gateway, how):
    person = person_of(how.replace(" ", "-").replace("'", ""))
    NOES[how](gateway, person)
    outcome, came = tags(gateway.url, person)
    assert came == []
    assert set(outcome) == set(TAGS)
    assert "sent" not in outcome.values()


def test_a_signal_of_the_very_request_is_a_no(tags, gateway):
    outcome, came = tags(gateway.url, person_of("signals"), signals={"gpc": "1"})
    assert came == []
    assert "sent" not in outcome.values()


def test_where_silence_is_a_no_and_of_nobody_in_particular_nothing_is_sent(tags, gateway):
    for person, place in ((person_of("free"), "DE"), (person_of("free"), None), ({"ip": "203.0.113.7"}, "US-CA")):
        outcome, came = tags(gateway.url, person, place=place)
        assert came == [], (person, place)
        assert "sent" not in outcome.values()


UNASKED = {
    "server-tags": (("if not answer.allowed:", "if False:"), ("answer.data.keys() != asking.data", "False")),
    "server-tags-node": (("if (!answer.allowed)", "if (false)"),),
}


def test_the_control_without_the_answer_obeyed_whoever_said_no_is_sent(tags, gateway, request):
    person = person_of("unasked")
    by_form(gateway, "email", person["email"])
    recipe = request.node.callspec.params["tags"]
    for _ in range(TRIES):
        _, came = tags(gateway.url, person, swaps=[PATIENT, *UNASKED[recipe]])
        if len(came) == len(TAGS):
            break
    assert sha(person["email"]) in json.dumps(came)


# --- a gateway that does not say yes -------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(made):
    """(address, what was said at /v1/disclosures) of a gateway that answers each check as `made` of the question."""
    told = []

    class Stand(Quiet):
        def posted(self):
            body = self.body()
            if self.path == "/v1/disclosures":
                said = [json.loads(line)["outcome"] for line in body.splitlines()]
                told.extend(said)
                status, answer = 200, json.dumps({"end": True, "count": len(said)}).encode()
            else:
                status, answer = made(json.loads(body))
            with contextlib.suppress(OSError):  # whoever asked may be gone
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        asked = posted

    with listening(Stand) as address:
        yield address, told


def yes(asked, **more):
    data = dict.fromkeys(asked["data"], "allow")
    answer = {
        "allowed": True, "partly": False, "data": data, "reason": "no_choice", "rule": "", "place": "US-CA", "decision": "d",
        "valid_for_ms": 2000, "downstream": {}, "ref": asked["ref"],
    }  # fmt: skip
    return 200, json.dumps(answer | more).encode()


def too_late(asked):
    time.sleep(0.05)
    return yes(asked, valid_for_ms=20)


def over_time(asked):
    time.sleep(1)
    return yes(asked)


NOT_A_YES = {
    "another status": lambda asked: (503, yes(asked)[1]),
    "no JSON": lambda _: (200, b"allowed"),
    "nothing": lambda _: (200, b"null"),
    "an answer to another question": lambda asked: yes(asked, ref="another"),
    "a word nobody knows": lambda asked: yes(asked, data=dict.fromkeys(asked["data"], "permit")),
    "a class left out": lambda asked: yes(asked, data={"ip": "allow"}),
    "a yes in part": lambda asked: yes(asked, allowed=False, partly=True),
    "a yes in a text": lambda asked: yes(asked, allowed="true"),
    "no time": lambda asked: yes(asked, valid_for_ms=None),
    "an answer that is over": too_late,
    "an answer behind the time": over_time,
}


@pytest.mark.parametrize("what", NOT_A_YES)
def test_what_is_not_a_whole_yes_in_time_sends_nothing(tags, what):
    person = person_of("free") | {"ip": None} if what == "a class left out" else person_of("free")
    with answering(NOT_A_YES[what]) as (address, told):
        outcome, came = tags(address, person, swaps=() if what == "an answer behind the time" else (PATIENT,))
    assert came == []
    assert "sent" not in outcome.values()
    assert "sent" not in told


def test_a_gateway_that_is_gone_or_silent_is_a_no(tags):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert tags(address, person_of("free"), swaps=()) == (dict.fromkeys(TAGS, "no_answer"), [])
    assert tags(address, person_of("free")) == (dict.fromkeys(TAGS, "no_answer"), [])


def test_what_became_of_each_tag_is_said_and_a_yes_without_its_words_is_passed_on_as_limited(sent, hosts):
    _, came = hosts
    with answering(yes) as (address, told):
        outcome, arrived = sent(address, person_of("free"))
        assert (outcome, told) == (ALL_SENT, ["sent"] * len(TAGS))
        words = json.dumps([body for _, body in arrived])
        assert words.count("DENIED") == 4
        assert '"data_processing_options": ["LDU"]' in words
        told.clear()
        came.status = 500
        outcome, _ = sent(address, person_of("free"))
        assert (outcome, told) == (dict.fromkeys(TAGS, "failed"), ["unknown"] * len(TAGS))


def test_a_host_that_leads_elsewhere_is_not_followed(sent, hosts):
    address, came = hosts
    came.status, came.leads_to = 307, f"{address}/elsewhere"
    with answering(yes) as (gateway, _):
        outcome, arrived = sent(gateway, person_of("free"))
    assert outcome == dict.fromkeys(TAGS, "failed")
    assert len(arrived) == len(TAGS)
    assert "elsewhere" not in str(arrived)


def test_a_host_that_speaks_no_http_fails_alone(sent, hosts):
    _, came = hosts
    came.status = 1_000_000  # of no status line
    with answering(yes) as (gateway, told):
        outcome, _ = sent(gateway, person_of("free"))
        assert (outcome, told) == (dict.fromkeys(TAGS, "failed"), ["unknown"] * len(TAGS))
