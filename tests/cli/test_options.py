"""One thing has one name in every command, and a name means one kind of thing."""

from collections import defaultdict

import click
from click.testing import CliRunner

from gateway.cli.root import COMMANDS, group


def every_option(command=group, path=()):
    """(command, option) of all that are shown."""
    for each in command.params:
        if isinstance(each, click.Option) and not each.hidden:
            yield " ".join(path), each
    for name in command.list_commands(None) if isinstance(command, click.Group) else ():
        yield from every_option(command.get_command(None, name), (*path, name))


EVERY = list(every_option())
TIMES = {"--from", "--to", "--on", "--at", "--received"}
PATHS = {"file", "directory", "path"}  # what is to be there already, of which kind, and what is made

# One word with a set of its own in each command, or with one more closed than another.
OF_THE_COMMANDS_OWN = {"--format", "--outcome", "--age", "--state", "--purpose", "--class", "--place", "--recipient"}
BETWEEN = {"--from", "--to"}  # two days, or of `copy` two places


def test_all_commands_are_looked_at():
    assert {path.split()[0] for path, _ in EVERY if path} == {*COMMANDS} - {"config", "encode"}, "these have no options"
    assert len(EVERY) > 250


def test_a_day_or_a_moment_is_asked_for_by_one_of_five_names():
    times = {name for _, each in EVERY if isinstance(each.type, click.DateTime) for name in each.opts}
    assert times == TIMES


def test_a_verifier_key_is_asked_for_by_whose_it_is():
    assert {name for _, each in EVERY if each.metavar == "VKEY" for name in each.opts} == {"--log", "--witness"}


def test_one_name_is_one_kind_of_value_everywhere():
    kinds = defaultdict(set)
    for _, each in EVERY:
        kind = (
            "path" if each.type.name in PATHS else "time" if isinstance(each.type, click.DateTime) else each.type.name
        )
        for name in each.opts:
            kinds[name].add(kind)
    several = {name for name, found in kinds.items() if len(found) > 1}
    assert several <= OF_THE_COMMANDS_OWN | BETWEEN


def test_a_name_that_was_never_there_is_refused(folder):
    told = CliRunner().invoke(group, ["report", "denies", "--sinces", "2026-01-01", "--data", str(folder)])
    assert "No such option" in told.output
