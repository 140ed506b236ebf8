"""One thing has one name in every command, and a name means one kind of thing."""

from collections import defaultdict

import click
import pytest
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


@pytest.mark.parametrize(
    ("words", "before", "now"),
    [
        (["report", "denies"], ["--since", "2026-01-01"], ["--from", "2026-01-01"]),
        (["void-consents", "REASON"], ["--ui", "settings-3"], ["--name", "settings-3"]),
        (["receipt", "verify", "REASON"], ["--key", "VKEY"], ["--log", "VKEY"]),
        (["void", "--list", "--source", "form"], ["--between", "2026-01-01", "2026-01-02"],
         ["--from", "2026-01-01", "--to", "2026-01-02"]),
        (["void", "--seqs", "REASON", "--dry-run"], ["--belief", "REASON"], ["--note", "REASON"]),
    ],
)  # fmt: skip
def test_a_name_of_before_is_taken_and_not_shown(folder, tmp_path, words, before, now):
    reason = tmp_path / "reason.txt"
    reason.write_text("why\n")
    said = [[str(reason) if word == "REASON" else word for word in (*words, *more)] for more in (before, now)]
    data = [] if "verify" in words else ["--data", str(folder)]
    old, new = (CliRunner().invoke(group, [*each, *data]) for each in said)
    assert (old.exit_code, old.output) == (new.exit_code, new.output)
    assert "No such option" not in old.output
    command = words[: 2 if words[0] in {"report", "receipt"} else 1]
    help_ = CliRunner().invoke(group, [*command, "--help"]).output
    assert now[0] in help_
    assert before[0] not in help_


def test_a_renamed_option_that_is_needed_says_its_name_of_now():
    told = CliRunner().invoke(group, ["report", "denies"])
    assert told.exit_code == 2
    assert "--from" in told.output
    assert "--since" not in told.output


def test_a_name_that_was_never_there_is_refused(folder):
    told = CliRunner().invoke(group, ["report", "denies", "--sinces", "2026-01-01", "--data", str(folder)])
    assert "No such option" in told.output
