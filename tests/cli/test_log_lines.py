"""The service's lines: none is lost, those of a moment are one write, and whoever logs waits for none of it."""

import asyncio
import io
import json
import threading
from pathlib import Path

import pytest
import structlog

from gateway.cli.log_lines import LogLines, as_json, noted


class Counted(io.StringIO):
    """Which threads wrote to it, and a word when the last line stood in it."""

    def __init__(self, until=""):
        super().__init__()
        self.until, self.writers, self.whole = until, [], threading.Event()

    def write(self, text):
        self.writers.append(threading.current_thread().name)
        return super().write(text)

    def flush(self):
        if self.until in self.getvalue():
            self.whole.set()


def logger(lines):
    return structlog.wrap_logger(lines(), processors=[noted], wrapper_class=structlog.make_filtering_bound_logger(20))


def word(event):
    return f"{event['level']} {event['event']} {event.get('number', '')} {event['timestamp'][-1]}"


def test_the_lines_of_a_moment_are_written_together_and_in_their_order_by_another_thread():
    file = Counted("another thread")
    log = logger(LogLines(file, word))

    async def serve():
        for number in range(5):
            log.info("line", number=number)
        await asyncio.to_thread(log.info, "another thread")

    asyncio.run(serve())
    assert file.whole.wait(5)
    assert file.getvalue().splitlines() == [*(f"info line {n} Z" for n in range(5)), "info another thread  Z"]
    assert set(file.writers) == {"log-lines"}
    assert len(file.writers) < 6


def test_what_still_waits_at_the_end_is_written_then():
    file = Counted()
    lines = LogLines(file, word)
    logger(lines).info("the last words")
    lines.write()  # as the interpreter does before it ends
    assert file.getvalue() == "info the last words  Z\n"


def test_what_warns_is_written_at_once_behind_what_came_before():
    file = Counted()
    log = logger(LogLines(file, word))
    log.info("it begins")
    log.warning("it ends")
    assert file.getvalue().splitlines() == ["info it begins  Z", "warning it ends  Z"]


def test_where_nobody_reads_the_lines_whoever_logs_goes_on():
    file = Counted()
    lines = LogLines(file, word)
    file.close()
    logger(lines).info("into nothing")
    lines.write()
    logger(lines).info("and once more")


@pytest.mark.parametrize("why", ["a plain word", "Stra\u00dfe \ud83d", {"path": Path("/data")}, 2**70])
def test_a_line_says_the_same_whatever_is_in_it_and_is_ascii(why):
    event = {"route": "/v1/choices", "why": why, "event": "request"}
    line = as_json(event)
    assert line.isascii()
    assert json.loads(line) == json.loads(json.dumps(event, default=repr))
