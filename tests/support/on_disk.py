"""Folders on the disk for tests of what is durable: in memory an fsync takes no time, and nothing waits for one."""

import tempfile
from pathlib import Path

import pytest

from support import scratch


@pytest.fixture
def tmp_path():
    with tempfile.TemporaryDirectory(prefix="gateway-", dir=scratch.on_disk(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)
