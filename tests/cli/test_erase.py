import asyncio
import json
from functools import partial

import pytest
from click.testing import CliRunner
from consent.test_telling import Desk
from support import inside
from support.people import GAID, email, named

from gateway.app.composition import open_house
from gateway.cli.root import group
from gateway.desk import outbox
from gateway.ledger.entry import b64


@pytest.fixture
def command(folder):
    """Runs one command on the installation."""
    runner = CliRunner()
    return lambda *words: runner.invoke(group, [*map(str, words), "--data", str(folder)])


@pytest.mark.parametrize("mode", ["erase_details", "unlink", "child_found"])
def test_the_desk_has_a_person_forgotten(command, mode, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("asked by letter")
    assert command("choose", "opt_out", "--email", email(1)).exit_code == 0
    done = command("erase", mode, "--email", email(1), "--note", note)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("done: ")
    assert email(1) not in done.output
    told = command("history", "--email", email(1)).output
    assert ("opt_out" in told) is (mode != "unlink")


@pytest.mark.parametrize("words", [(), ("--email", "no"), ("--email", email(1), "--gaid", "no")])
def test_nobody_is_forgotten_by_a_slip(command, words):
    done = command("erase", "unlink", *words)
    assert done.exit_code == 2
    assert command("history", "--email", email(1)).output == ""


def test_what_waits_is_listed_printed_once_and_then_gone(command, folder):
    assert command("deliveries").output == ""
    with open_house(folder, inside.settings(), dev=True) as house:
        asyncio.run(Desk(house).erase())
    assert command("deliveries").output.startswith("teemo  pending 1  failed 0  overdue 0  oldest ")
    name, _, body = command("deliveries", "--take", "teemo").output.partition(" ")
    assert name.startswith("msg_")
    assert json.loads(body)["identifiers"] == [named("gaid", GAID)]
    assert command("deliveries").output == ""
    assert command("deliveries", "--take", "teemo").output == ""


def test_what_a_recipient_signed_about_a_deletion_is_printed_until_it_is_forgotten(command, folder):
    with open_house(folder, inside.settings(), dev=True) as house:
        asyncio.run(Desk(house).erase())
        [[name]] = house.writer.submit(lambda tx: tx.db.execute("SELECT id FROM outbox").fetchall()).result()
        for number, token in enumerate(("a.first.token", "a.second.token")):
            kept = partial(
                outbox.keep_deletion_token, message=name, recipient="teemo", jti=f"j{number}", token=token, now=number
            )
            assert house.writer.submit(kept).result()
    message = f"msg_{b64(name)}"
    assert command("deliveries", "--proof", message).output == "a.first.token\na.second.token\n"
    with open_house(folder, inside.settings(), dev=True) as house:
        house.writer.submit(lambda tx: outbox.prune_deletion_tokens(tx, 9, 9)).result()
    done = command("deliveries", "--proof", message)
    assert (done.exit_code, "is kept, or can be read any more" in done.output) == (1, True)
    assert command("deliveries", "--proof", "msg_no").exit_code == 2
    assert command("deliveries", "--proof", message, "--take", "teemo").exit_code == 2


def test_a_recipients_secret_is_always_the_same(command):
    one, again = (command("deliveries", "--secret", "teemo").output for _ in range(2))
    assert one == again
    assert one.startswith("whsec_")
    assert one != command("deliveries", "--secret", "matching").output
