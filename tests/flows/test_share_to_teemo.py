"""1,000 location rows of 100 linked people to a local receiver: exactly who may go, as precisely as they allowed,
each once; whatever is killed on the way."""

import threading
import time
from http.client import HTTPException

import pytest
from support import example
from support.endless import person_of
from support.people import gaid, named
from support.ports import free_port
from support.receiver import Receiver
from support.service import service
from support.wire import call, opt_in

pytestmark = pytest.mark.slow
PEOPLE, ROWS, OUT, PRECISE = 100, 1000, range(40), range(40, 50)
MIDWAY = 5.0  # seconds between what a receiver has taken and its answer: time to kill somebody, on any machine
PATIENCE = 300.0  # seconds for what takes a few, on a machine that does much else
PLACES = ["US-NY", "US-CA", "US-MD", "US-OR", "US-CO"]
BANNED = {"US-MD", "US-OR"}


def place_of(person: int) -> str:
    return PLACES[person % len(PLACES)]


def rows() -> list[dict]:
    return [
        {
            "id": f"row-{n}",
            "identifiers": [named("gaid", gaid(n % PEOPLE))],
            "place": place_of(n % PEOPLE),
            "data": {
                "lat": 37.774929 + n / 1e5,
                "lon": -122.419416,
                "ad_id": gaid(n % PEOPLE),
                "wifi": "home",
                "accuracy": 5,
            },
        }
        for n in range(ROWS)
    ]


def body() -> bytes:
    import json

    return b"\n".join(json.dumps(row).encode() for row in rows())


def post(url: str):
    return call(f"{url}/v1/shares/teemo", body(), kind="application/x-ndjson", timeout=120)


def post_all(url: str) -> dict:
    """The summary once all who may go were sent: a machine that is busy past the send window holds rows back, and they
    are posted again.
    """
    ends = time.monotonic() + PATIENCE
    while True:
        status, answers = post(url)
        assert status in {200, 503}, answers
        if status == 200 and answers[-1].get("complete"):
            summary = answers[-1]["summary"]
            if summary["sent"] + summary["duplicate"] == 600:
                return summary
        assert time.monotonic() < ends, answers[-1] if status == 200 else answers


def post_until_some_arrive(url: str, teemo: Receiver):
    """The answer of the first post of which the receiver has anything."""
    answer = post(url)
    while not teemo.rows():
        answer = post(url)
    return answer


@pytest.fixture
def teemo(tmp_path):
    receiver = Receiver(free_port(), tmp_path / "teemo.ndjson").start()
    yield receiver
    receiver.kill()


def people_decide(url: str) -> None:
    import json

    lines = [json.dumps({"account": f"a{n}", "identifiers": [named("gaid", gaid(n))]}).encode() for n in range(PEOPLE)]
    status, answers = call(f"{url}/v1/links", b"\n".join(lines), kind="application/x-ndjson")
    assert status == 200
    assert answers[-1] == {"end": True, "count": PEOPLE, "refused": 0}
    for person in OUT:  # by account: the rows carry the ad id alone
        status, _ = call(f"{url}/v1/choices", {"identifiers": [named("account", f"a{person}")], "choice": "opt_out"})
        assert status == 201
    for person in PRECISE:
        opt_in(url, [named("gaid", gaid(person))], "sale", recipient="teemo", data=["precise_geo"])


def config(tmp_path, receiver: Receiver):
    path = tmp_path / "config.toml"
    path.write_text(
        example.over(
            f'[delivery]\nnetworks = ["127.0.0.1"]\n[recipients.teemo]\nendpoint = "http://127.0.0.1:{receiver.port}/rows"\n'
        )
    )
    return str(path)


def expect_exactly_the_sixty(receiver: Receiver) -> None:
    got = receiver.rows()
    assert len(got) == len({row["row"] for row in got}) == ROWS * (PEOPLE - len(OUT)) // PEOPLE
    for row in got:
        person = person_of(row)
        assert person not in OUT
        assert set(row) == {"row", "lat", "lon", "ad_id"} | ({"accuracy", "consent"} if precise(row) else set())
        assert precise(row) == (person in PRECISE and place_of(person) not in BANNED), row


def precise(row: dict) -> bool:
    return row["lon"] != -122.4


def test_only_those_who_did_not_opt_out_go_and_precise_only_where_they_said_so(tmp_path, teemo):
    with service(tmp_path, "--config", config(tmp_path, teemo)) as running:
        people_decide(running.url)
        assert post_all(running.url)["refused"] == {"opted_out": 400}
        expect_exactly_the_sixty(teemo)
        again = post(running.url)[1][-1]["summary"]
        assert (again["sent"], again["duplicate"]) == (0, 600)
        expect_exactly_the_sixty(teemo)


def test_a_receiver_killed_midway_ends_with_the_same_rows(tmp_path, teemo):
    teemo.kill()
    teemo.slow = MIDWAY
    teemo.start()
    with service(tmp_path, "--config", config(tmp_path, teemo)) as running:
        people_decide(running.url)
        answers: list = []
        thread = threading.Thread(target=lambda: answers.append(post_until_some_arrive(running.url, teemo)))
        thread.start()
        _until(teemo.rows)
        teemo.kill()
        thread.join()
        summary = answers[0][1][-1]["summary"]
        assert summary["unknown"] > 0
        assert 0 < len(teemo.rows()) < 600
        teemo.slow = 0.0
        teemo.start()
        assert post_all(running.url)["unknown"] == 0
        expect_exactly_the_sixty(teemo)


def test_a_gateway_killed_midway_ends_with_the_same_rows(tmp_path, teemo):
    teemo.kill()
    teemo.slow = MIDWAY
    teemo.start()
    with service(tmp_path, "--config", config(tmp_path, teemo)) as running:
        people_decide(running.url)
        failed: list = []

        def run():
            try:
                post_until_some_arrive(running.url, teemo)
            except (OSError, HTTPException) as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        _until(teemo.rows)
        running.kill()
        thread.join()
        teemo.kill()
        teemo.slow = 0.0
        teemo.start()
        assert failed, "the caller must see that the answer is missing"
        running.start()
        post_all(running.url)
        expect_exactly_the_sixty(teemo)


def test_a_receiver_that_ignores_ids_gets_duplicates(tmp_path, teemo):
    """The control: at most one effect a row is the receiver's half of the bargain."""
    teemo.kill()
    teemo.slow, teemo.ignore_ids = MIDWAY, True
    teemo.start()
    with service(tmp_path, "--config", config(tmp_path, teemo)) as running:
        people_decide(running.url)
        thread = threading.Thread(target=lambda: post_until_some_arrive(running.url, teemo), daemon=True)
        thread.start()
        _until(teemo.rows)
        teemo.kill()  # after it took a chunk, before it answered
        thread.join()
        teemo.slow = 0.0
        teemo.start()
        post_all(running.url)
        got = teemo.rows()
        assert len(got) > len({row["row"] for row in got})


def test_an_opt_out_between_two_shares_stops_the_second(tmp_path, teemo):
    with service(tmp_path, "--config", config(tmp_path, teemo)) as running:
        people_decide(running.url)
        row = {**rows()[60], "id": "first"}
        assert call(f"{running.url}/v1/shares/teemo", row)[1][0]["outcome"] == "sent"
        call(f"{running.url}/v1/choices", {"identifiers": [named("account", "a60")], "choice": "opt_out"})
        answer = call(f"{running.url}/v1/shares/teemo", {**row, "id": "second"})[1][0]
        assert (answer["outcome"], answer["reason"]) == ("refused", "opted_out")


def _until(holds, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
