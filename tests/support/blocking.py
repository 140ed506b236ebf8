"""Blocking calls in a running event loop fail the test, but for the look-up's own reads and opening files."""

import asyncio
import sys
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster

import gateway

READS_BY_KEY = ("_read",)  # where the loop may touch a disk on purpose: a check reads rows by key in process


ALLOWED, OURS, OTHER = range(3)
HOUSE = str(Path(gateway.__file__).parent)


def kind_of(code, function) -> int:
    """Whether this code may call this blocking function; if not, whether it is ours."""
    for file, names in function.can_block_functions:
        if code.co_filename.endswith(file) and code.co_name in names:
            return ALLOWED
    return OURS if code.co_filename.startswith(HOUSE) else OTHER


def only_in_a_loop(*about, wrap=blockbuster._wrap_blocking):
    """BlockBuster's own wrapper, past which whoever runs no loop goes: half of all calls are the writer's thread's."""
    (_, _, call, *_), watched, loop = about, wrap(*about), asyncio._get_running_loop

    def wrapper(*args, **kwargs):
        return watched(*args, **kwargs) if loop() is not None else call(*args, **kwargs)

    return wrapper


class Watch:
    """Every function that blocks, changed once for all tests: to change and restore them around each test would cost
    more than most tests do. `on` while a test runs.
    """

    def __init__(self):
        self.on = False
        blockbuster._wrap_blocking = only_in_a_loop
        self.buster = BlockBuster("gateway")
        for function in self.buster.functions.values():
            function.can_block_predicate = self.may_block(function, function.can_block_predicate)
            self.allow(function)

    def may_block(self, function, before):
        """BlockBuster's own rule, with each piece of code looked at once: it compares every frame of every call by
        name."""
        kinds = {}

        def asked(*args, **kwargs):
            if not self.on or before(*args, **kwargs):
                return True
            frame, ours = sys._getframe(1), False
            while frame is not None:
                kind = kinds.get(frame.f_code)
                if kind is None:
                    kind = kinds[frame.f_code] = kind_of(frame.f_code, function)
                if kind == ALLOWED:
                    return True
                ours = ours or kind == OURS
                frame = frame.f_back
            return not ours

        return asked

    @staticmethod
    def allow(function):
        """And start-up."""
        function.can_block_in("gateway/desk/history.py", {"began", "event"})
        function.can_block_in("gateway/state/lookup.py", READS_BY_KEY)
        function.can_block_in("gateway/consent/leases.py", {*READS_BY_KEY, "_reader", "position"})
        function.can_block_in("gateway/app/composition.py", {"open_house", "migrate"})
        function.can_block_in("support/inside.py", {"install"})
        function.can_block_in("gateway/app/service.py", {"build", "keyed", "public", "_opened"})
        function.can_block_in("gateway/keys/api_keys.py", {"_reload"})
        function.can_block_in("gateway/keys/account_assertions.py", {"_reload"})
        function.can_block_in("gateway/settings/load.py", {"_read_file", "built_settings"})
        function.can_block_in("gateway/delivery/outgoing.py", {"__init__"})  # reads the certificates once


@pytest.fixture(scope="session")
def watch():
    watching = Watch()
    watching.buster.activate()
    yield watching
    watching.buster.deactivate()


@pytest.fixture(autouse=True)
def never_blocked(watch):
    """A file of tests that blocks on purpose has one of its own that watches nothing."""
    watch.on = True
    yield
    watch.on = False
