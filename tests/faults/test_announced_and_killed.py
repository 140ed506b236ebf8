"""A send that was announced is on record although the service is killed right after its answer (R22)."""

import json
import urllib.request

import pytest
from support.people import GAID, gaid, named
from support.service import service

pytestmark = pytest.mark.slow
LIVES = 5  # of the control, at most
ASK = {"identifiers": [named("gaid", GAID)], "recipient": "advertisers", "data": ["ad_id"], "place": "US-NY"}


def post(running, path, body):
    headers = {"Content-Type": "application/json", "Authorization": "Bearer dev.dev"}
    request = urllib.request.Request(running.url + path, json.dumps(body).encode(), headers)
    return urllib.request.urlopen(request, timeout=60).read()


@pytest.mark.parametrize(("members", "left"), [({"will_send": True}, ["unknown"]), ({}, [])])
def test_an_announced_send_outlives_a_kill_and_the_control_is_a_check_that_was_not(tmp_path, members, left):
    with service(tmp_path) as running:
        for life in range(LIVES):  # a plain check is written within a second, and now and then before the kill
            who = [named("gaid", gaid(life))]
            answer = json.loads(post(running, "/v1/check", ASK | members | {"identifiers": who}))
            running.kill()
            assert answer["allowed"]
            running.start()
            report = json.loads(post(running, "/v1/access", {"identifiers": who}))
            found = [each["outcome"] for each in report["disclosures"]]
            if members or found == left:
                break
    assert found == left


def test_what_was_counted_is_written_when_the_service_stops(tmp_path):
    with service(tmp_path) as running:
        post(running, "/v1/check", ASK)
        running.stop()
        running.start()
        report = json.loads(post(running, "/v1/access", {"identifiers": ASK["identifiers"]}))
    assert [each["outcome"] for each in report["disclosures"]] == ["possible"]
