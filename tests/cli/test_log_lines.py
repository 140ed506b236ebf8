"""The service's lines: none is lost, and those of one turn of the event loop are one write."""

import asyncio
import io
import json
from pathlib import Path

import pytest

from gateway.cli.log_lines import LogLines, as_json


class Counted(io.StringIO):
    """How often was it written to?"""

    writes = 0

    def write(self, text):
        self.writes += 1
        return super().write(text)


def test_the_lines_of_one_turn_are_written_together_and_in_their_order():
    file = Counted()
    lines = LogLines(file)

    async def serve():
        for number in range(5):
            lines().info(f"line {number}")
        assert not file.writes
        await asyncio.sleep(0)
        assert file.writes == 1
        await asyncio.to_thread(lines().error, "another thread")
        assert file.writes == 2

    asyncio.run(serve())
    assert file.getvalue().splitlines() == [*(f"line {n}" for n in range(5)), "another thread"]


def test_where_no_loop_runs_a_line_is_written_at_once():
    file = Counted()
    LogLines(file).msg("before anything is served")
    assert file.getvalue() == "before anything is served\n"


@pytest.mark.parametrize("why", ["a plain word", "Stra\u00dfe \ud83d", {"path": Path("/data")}, 2**70])
def test_a_line_says_the_same_whatever_is_in_it_and_is_ascii(why):
    event = {"route": "/v1/choices", "why": why, "event": "request"}
    line = as_json(event)
    assert line.isascii()
    assert json.loads(line) == json.loads(json.dumps(event, default=repr))
