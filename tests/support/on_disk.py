"""Folders on the disk for tests of what is durable: in memory an fsync takes no time, and nothing waits for one."""

import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path():
    with tempfile.TemporaryDirectory(prefix="gateway-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
