"""A batch is handed over until it is taken; an answer that is lost on its way makes it come twice, under one number."""

import errno
import json
from pathlib import Path

import httpx2
import pytest

from gateway.replica.recording import HandingOver, ReplicaSpool


class Gateway:
    """Takes batches, and answers as it is told: a status, or nothing at all."""

    def __init__(self, *answers):
        self.answers, self.taken = list(answers), []

    def __call__(self, request):
        self.taken.append((json.loads(request.content.splitlines()[0]), request.headers["authorization"]))
        answer = self.answers.pop(0) if self.answers else 200
        if answer is None:
            raise httpx2.ReadTimeout("no answer", request=request)
        if isinstance(answer, str):
            return httpx2.Response(200, text=answer)
        return httpx2.Response(answer, json={"again": False, "missing": 0, "unread": 0})

    @property
    def numbers(self):
        return [head["number"] for head, _ in self.taken]


@pytest.fixture
def handing(tmp_path):
    made = []

    def make(gateway):
        client = httpx2.Client(transport=httpx2.MockTransport(gateway), base_url="http://gateway.example.com")
        spool, told = ReplicaSpool(tmp_path, 2**20, b"b" * 16, ()), []
        spool.start()
        made.append(HandingOver(spool, client, "replica.secret", told.append))
        return made[-1], told

    yield make
    for each in made:
        each.spool.end()
        each.client.close()


def put(to, line=b'"a"\n'):
    to.spool.append([line], lambda: (1, "log"))


def test_a_batch_whose_answer_was_lost_comes_again_under_its_number(handing):
    gateway = Gateway(None, 503, 200)
    over, told = handing(gateway)
    put(over)
    assert [over._once() for _ in range(3)] == [False, False, True]
    put(over)
    assert over._once()
    assert gateway.numbers == [1, 1, 1, 2]
    assert {key for _, key in gateway.taken} == {"Bearer replica.secret"}
    assert told == [
        "disclosures are not handed over: ReadTimeout",
        "disclosures are not handed over: the gateway answers 503",
    ]
    assert over.why == ""


def test_whoever_is_refused_for_good_keeps_what_it_has_and_tells_why_once(handing):
    over, told = handing(Gateway(403, 403, 403))
    put(over)
    assert not any(over._once() for _ in range(3))
    assert len(told) == 1
    assert over.spool.waiting


@pytest.mark.parametrize("page", ["<html>sign in</html>", "", "{}", "[]", '{"status": "ok"}'])
def test_what_something_else_answers_with_a_200_is_not_taken(handing, page):
    """A page of the network in between, or a proxy that leads elsewhere."""
    gateway = Gateway(page)
    over, told = handing(gateway)
    put(over)
    assert [over._once(), over._once()] == [False, True]
    assert gateway.numbers == [1, 1]
    assert told == ["disclosures are not handed over: what answers is no gateway"]


def test_a_batch_that_cannot_be_read_now_is_read_later_and_not_deleted(handing, monkeypatch):
    """A process that has too many files open opens no other one for a while."""
    gateway = Gateway()
    over, told = handing(gateway)
    put(over)

    def fails(_):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", fails)
        assert not over._once()
    assert told == ["the spool cannot be read or written: Too many open files"]
    assert over._once()
    assert gateway.numbers == [1]


def test_nothing_is_asked_where_there_is_nothing(handing):
    gateway = Gateway()
    assert handing(gateway)[0]._once()
    assert gateway.taken == []


def test_a_disk_that_fails_is_told_and_tried_again(handing, monkeypatch):
    over, told = handing(Gateway())
    put(over)

    def fails():
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(over.spool, "sync", fails)
        assert not over._once()
    assert told == ["the spool cannot be read or written: Input/output error"]
    assert over._once()


def test_a_stop_hands_over_what_is_left(tmp_path):
    gateway = Gateway()
    client = httpx2.Client(transport=httpx2.MockTransport(gateway), base_url="http://gateway.example.com")
    over = HandingOver(
        ReplicaSpool(tmp_path, 2**20, b"b" * 16, ()), client, "replica.secret", lambda _: None, period=60.0
    )
    over.start()
    put(over)
    over.stop()
    client.close()
    assert gateway.numbers == [1]
    assert list((tmp_path / "disclosures").iterdir()) == []
