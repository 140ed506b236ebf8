"""Rows that are shared as they come, and a summary alone."""

import gzip
import json

import pytest
from support import inside
from support.people import gaid, named

from gateway.consent.share import Sharing
from gateway.delivery.forwarding import Forwarder, ForwardOutcome
from gateway.desk import disclosures
from gateway.ledger.entry import b64
from gateway.ledger.errors import StoreUnavailable
from gateway.web.api import share

pytestmark = pytest.mark.anyio
PATH = "/v1/shares/teemo"
MINIMAL = {"Content-Type": "application/x-ndjson", "Prefer": "return=minimal"}


def row(number: int, **members) -> bytes:
    return json.dumps(
        {
            "id": f"r{number}",
            "identifiers": [named("gaid", gaid(number % 3))],
            "data": {"ad_id": gaid(number % 3)},
            "place": "US-NY",
        }
        | members
    ).encode()


@pytest.fixture
def sent(monkeypatch):
    """The ids of the rows that the receiver got, which has each under a handle."""
    ids: list[str] = []
    handles: dict[str, str] = {}
    handle = Sharing._handle

    def noted(self, recipient, row_id):
        made = handle(self, recipient, row_id)
        handles[b64(made)] = row_id
        return made

    async def send(self, endpoint, key, rows, deadline, *, to):
        ids.extend(handles[row["row"]] for row in rows)
        return ForwardOutcome.SENT

    monkeypatch.setattr(Forwarder, "send", send)
    monkeypatch.setattr(Sharing, "_handle", noted)
    return ids


@pytest.fixture
async def forwarding(tmp_path, sent):
    settings = inside.settings(recipients__teemo__endpoint="https://teemo.example/rows", share__max_rows="10")
    async with (
        inside.application(tmp_path / "data", settings) as app,
        inside.client(app, **inside.DEV) as client,
    ):
        for number in range(3):
            body = {"account": f"a{number}", "identifiers": [named("gaid", gaid(number))]}
            assert (await client.post("/v1/links", json=body)).status_code == 201
        yield client


def summary(answer) -> dict:
    assert answer.status_code == 200, answer.text
    (line,) = answer.text.splitlines()
    told = json.loads(line)
    assert told["complete"] is True
    return told["summary"]


@pytest.mark.slow
async def test_any_number_of_rows_is_answered_by_a_summary_alone(forwarding, sent):
    body = b"\n".join(row(number) for number in range(1000))
    answer = await forwarding.post(PATH, content=body, headers=MINIMAL | {"Gateway-Job": "night-1"})
    assert answer.headers["preference-applied"] == "return=minimal"
    assert summary(answer) == {
        "rows": 1000,
        "sent": 1000,
        "returned": 0,
        "duplicate": 0,
        "unknown": 0,
        "refused": {},
        "dropped": {},
        "job": "night-1",
    }
    assert sent == [f"r{number}" for number in range(1000)]


@pytest.mark.slow
async def test_a_job_that_is_posted_again_sends_what_did_not_leave(forwarding, sent):
    await forwarding.post(PATH, content=b"\n".join(map(row, range(400))), headers=MINIMAL)
    answer = await forwarding.post(PATH, content=b"\n".join(map(row, range(1000))), headers=MINIMAL)
    assert (summary(answer)["duplicate"], summary(answer)["sent"]) == (400, 600)
    assert sorted(sent) == sorted(f"r{number}" for number in range(1000))


async def test_a_row_named_again_a_chunk_later_is_a_duplicate_in_a_dry_run_as_in_a_share(forwarding, monkeypatch):
    monkeypatch.setattr(disclosures, "CHUNK", 2)
    body, told = b"\n".join(map(row, [1, 2, 3, 1])), []
    for path in (f"{PATH}?dry_run=1", PATH):
        answer = await forwarding.post(path, content=body, headers=MINIMAL | {"Prefer": ""})
        told.append([json.loads(line).get("outcome") for line in answer.text.splitlines()][:-1])
    assert told == [["sent", "sent", "sent", "duplicate"]] * 2


async def test_without_the_preference_a_call_has_its_limit_and_its_lines(forwarding):
    body = b"\n".join(map(row, range(11)))
    assert (await forwarding.post(PATH, content=body, headers=MINIMAL | {"Prefer": ""})).status_code == 413
    body = b"\n".join(map(row, range(3)))
    answer = await forwarding.post(PATH, content=body, headers=MINIMAL | {"Prefer": "respond-async"})
    assert len(answer.text.splitlines()) == 4
    assert "preference-applied" not in answer.headers


async def test_what_is_handed_back_is_handed_back(keyed):
    """A preference for less than the rows themselves is none that a recipient with mode `return` can have."""
    answer = await keyed.post(PATH, content=row(1), headers=MINIMAL)
    assert len(answer.text.splitlines()) == 2
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("written", ["return=minimal", "Return = minimal; foo", 'wait=10, return="minimal"'])
async def test_the_preference_is_read_as_it_may_be_written(forwarding, written):
    answer = await forwarding.post(PATH, content=row(1), headers=MINIMAL | {"Prefer": written})
    assert summary(answer)["sent"] == 1


async def test_one_row_alone_may_be_answered_so_too(forwarding):
    answer = await forwarding.post(PATH, content=row(1), headers=MINIMAL | {"Content-Type": "application/json"})
    assert summary(answer)["sent"] == 1


@pytest.mark.slow
async def test_a_packed_job_of_several_members_is_read_to_its_end(forwarding):
    body = b"".join(gzip.compress(row(number) + b"\n") for number in range(300))
    answer = await forwarding.post(PATH, content=body, headers=MINIMAL | {"Content-Encoding": "gzip"})
    assert summary(answer)["sent"] == 300


@pytest.mark.slow
async def test_rows_before_a_broken_end_left_and_are_known_by_their_ids(forwarding, sent):
    packed = gzip.compress(b"\n".join(map(row, range(300))))
    answer = await forwarding.post(PATH, content=packed[:-8], headers=MINIMAL | {"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    answer = await forwarding.post(PATH, content=packed, headers=MINIMAL | {"Content-Encoding": "gzip"})
    assert summary(answer)["duplicate"] == 250  # a whole chunk
    assert len(sent) == len(set(sent)) == 300


async def test_bad_rows_are_counted_and_stop_nobody_elses(forwarding, sent):
    long = row(5, data={"ad_id": gaid(1), "note": "x" * share.LONGEST})
    body = b"\n".join([row(1), b"{", long, b"", b"  ", b"[]", b"\xff", row(2)])
    told = summary(await forwarding.post(PATH, content=body, headers=MINIMAL))
    assert (told["rows"], told["sent"], told["refused"]) == (6, 2, {"malformed": 4})
    assert sent == ["r1", "r2"]


@pytest.mark.slow
async def test_a_bomb_is_one_bad_row_in_bounded_memory(forwarding):
    bomb = gzip.compress(b" " * (64 * 2**20) + b"x")
    told = summary(await forwarding.post(PATH, content=bomb, headers=MINIMAL | {"Content-Encoding": "gzip"}))
    assert (told["rows"], told["refused"]) in [(1, {"malformed": 1}), (0, {})]


async def test_no_rows_are_a_job_too(forwarding):
    assert summary(await forwarding.post(PATH, content=b"\n\n", headers=MINIMAL))["rows"] == 0


@pytest.mark.parametrize("name", ["a/b", "..", "x" * 65, "with space", "-x", "a@example.com"])
async def test_a_job_has_a_plain_name(forwarding, sent, name):
    answer = await forwarding.post(PATH, content=row(1), headers=MINIMAL | {"Gateway-Job": name})
    assert answer.status_code == 400
    assert sent == []


async def test_that_the_ledger_failed_is_told_when_all_was_read(forwarding, monkeypatch):
    read: list[int] = []

    async def body():
        for number in range(1000):
            read.append(number)
            yield row(number) + b"\n"

    async def failing(self, recipient, rows, job):
        raise StoreUnavailable("away")
        yield

    monkeypatch.setattr(Sharing, "answers", failing)
    monkeypatch.setattr(share, "PAUSES", (0.0,))
    answer = await forwarding.post(PATH, content=body(), headers=MINIMAL)
    assert answer.status_code == 503
    assert len(read) == 1000


@pytest.mark.slow
async def test_a_job_outlives_a_moment_without_the_ledger(forwarding, monkeypatch, sent):
    honest, failures = Sharing.answers, iter([True, False, True, True])

    async def faltering(self, recipient, rows, job):
        if next(failures, False):
            raise StoreUnavailable("busy")
        async for some in honest(self, recipient, rows, job):
            yield some

    monkeypatch.setattr(Sharing, "answers", faltering)
    monkeypatch.setattr(share, "PAUSES", (0.0, 0.0, 0.0))
    told = summary(await forwarding.post(PATH, content=b"\n".join(map(row, range(600))), headers=MINIMAL))
    assert told["sent"] == 600
    assert sent == [f"r{number}" for number in range(600)]
