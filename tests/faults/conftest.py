"""What the fault tests share: the recorder, compiled."""

import pytest
from support import recording


@pytest.fixture
def recorder(tool, tmp_path):
    return recording.compiled(tool("gcc"), tmp_path)
