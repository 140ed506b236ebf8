"""Blocking calls in a running event loop fail the test, but for the look-up's own reads and opening files."""

import pytest
from blockbuster import BlockBuster

READS_BY_KEY = ("_read",)  # where the loop may touch a disk on purpose: a check reads rows by key in process


class Watch:
    """Every function that blocks, changed once for all tests: to change and restore them around each test would cost more
    than most tests do. `on` while a test runs.
    """

    def __init__(self):
        self.on = False
        self.buster = BlockBuster("gateway")
        for function in self.buster.functions.values():
            function.can_block_predicate = self.unless_watching(function.can_block_predicate)
            self.allow(function)

    def unless_watching(self, may_block):
        return lambda *args, **kwargs: not self.on or may_block(*args, **kwargs)

    @staticmethod
    def allow(function):
        """And start-up."""
        function.can_block_in("gateway/ledger/table.py", READS_BY_KEY)
        function.can_block_in("gateway/mirror/answers.py", READS_BY_KEY)
        function.can_block_in("gateway/ledger/leases.py", {*READS_BY_KEY, "_reader", "revision"})
        function.can_block_in("gateway/app.py", {"open_house", "migrate"})
        function.can_block_in("support/inside.py", {"install"})
        function.can_block_in("gateway/service.py", {"build", "keyed", "public", "_opened"})
        function.can_block_in("gateway/credentials.py", {"_reload"})
        function.can_block_in("gateway/assertions.py", {"_reload"})
        function.can_block_in("gateway/settings.py", {"load"})
        function.can_block_in("gateway/delivery/forward.py", {"__init__"})  # reads the certificates once


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
