"""What the fault tests share: the recorder, compiled, and a folder on the disk."""

import pytest
from support import recording
from support.on_disk import tmp_path

__all__ = ["tmp_path"]


@pytest.fixture
def recorder(tool):
    return recording.compiled(tool("gcc"))
