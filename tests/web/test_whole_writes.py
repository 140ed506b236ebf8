"""An answer's head and body are one write, and nothing that was written is ever lost or late."""

import asyncio

import pytest

from gateway.web.shell.protocol import WholeWrites

pytestmark = pytest.mark.anyio


class Wire:
    """What a transport was told, in order."""

    def __init__(self):
        self.told = []

    def write(self, data):
        self.told.append(bytes(data))

    def close(self):
        self.told.append("close")

    def write_eof(self):
        self.told.append("end")

    def is_closing(self):
        return False


def whole():
    wire = Wire()
    return wire, WholeWrites(wire, asyncio.get_running_loop())


async def test_a_head_goes_out_with_its_body():
    wire, transport = whole()
    transport.write(b"head ")
    transport.write(b"body")
    await asyncio.sleep(0)
    assert wire.told == [b"head body"]


async def test_a_head_whose_body_is_not_there_yet_goes_out_behind_its_turn():
    wire, transport = whole()
    transport.write(b"head")
    assert not wire.told
    await asyncio.sleep(0)
    transport.write(b"")  # an answer without one
    transport.write(b"a piece")
    transport.write(b", another")
    transport.write(b", a third")
    await asyncio.sleep(0)
    assert wire.told == [b"head", b"a piece, another", b", a third"]


@pytest.mark.parametrize(("end", "word"), [("close", "close"), ("write_eof", "end")])
async def test_the_end_comes_behind_all_that_was_written(end, word):
    wire, transport = whole()
    transport.write(b"refused")
    getattr(transport, end)()
    await asyncio.sleep(0)
    assert wire.told == [b"refused", word]
    assert transport.is_closing() is False, "what it does not do itself the transport does"
