"""The command line finds every command without loading what it does not need."""

import subprocess
import sys

import click
import pytest

from gateway.cli.root import COMMANDS, LIMIT, group

HEAVY = ("gateway.ledger", "gateway.web", "gateway.app", "starlette", "jinja2", "sqlite3")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_found_under_its_name_and_told_in_the_list_as_in_its_own_help(name):
    command = group.get_command(click.Context(group), name)
    assert command.name == name
    assert command.get_short_help_str(LIMIT) == COMMANDS[name].help


@pytest.mark.parametrize("asked", ["--version", "--help"])
def test_asking_for_the_version_or_the_list_loads_no_room(asked):
    code = """import sys
from gateway.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(*sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code, asked], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.splitlines()[-1].split() if name.startswith(HEAVY)] == []
