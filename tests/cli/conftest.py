"""What tests of the command line have in common."""

import pytest

from gateway.cli import main


@pytest.fixture(autouse=True)
def never_blocked():
    """A command serves nobody else: its own loop may wait for the disk."""


@pytest.fixture
def outer(capsys):
    """Runs the whole command line, with the errors that carry their cure: (exit code, output, errors)."""

    def command(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return command
