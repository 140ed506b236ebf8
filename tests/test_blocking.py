"""The watch over the event loop finds what it is for."""

import pytest
from blockbuster import BlockingError

from gateway.settings import load

pytestmark = pytest.mark.anyio


async def test_a_blocking_call_of_ours_in_the_loop_fails():
    with pytest.raises(BlockingError):
        load.example()


async def test_where_nothing_is_watched_it_does_not(watch):
    watch.on = False
    assert load.example()


def test_without_a_loop_it_does_not():
    assert load.example()
