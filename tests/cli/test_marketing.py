import json

import pytest
from click.testing import CliRunner
from support.people import GAID, email

from gateway.cli.root import group
from gateway.consent import tokens
from gateway.keys import secret_files
from gateway.terms import Purpose


@pytest.fixture
def run(folder, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[site]\nurl = "https://www.example.com"\n')

    def command(*words, configured=True):
        place = ["--data", str(folder), *(["--config", str(file)] if configured else [])]
        return CliRunner().invoke(group, ["unsubscribe-link", *words, *place])

    return command


def test_a_script_that_sends_e_mail_prints_the_link_and_the_header_fields(run, folder):
    made = json.loads(run("--email", email(1), "--json").output)
    token = made["url"].rpartition("/")[2]
    link = tokens.open_unsubscribe(secret_files.load_secrets(folder).seals, token)
    assert (link.channel, link.people) == (Purpose.MARKETING_EMAIL, (("email", email(1)),))
    lines = run("--email", email(1), "--purpose", "marketing_mail").output.splitlines()
    assert lines[1].startswith("List-Unsubscribe: <https://www.example.com/privacy-choices/unsubscribe/")
    assert lines[2] == "List-Unsubscribe-Post: List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    "words", [[], ["--gaid", GAID], ["--email", "no address"], ["--email", email(1), "--purpose", "sale"]]
)
def test_a_link_that_cannot_be_made_is_refused(run, words):
    assert run(*words).exit_code == 2


def test_without_a_public_address_the_command_says_what_is_missing(run):
    refused = run("--email", email(1), configured=False)
    assert (refused.exit_code, "[site] url" in refused.output) == (2, True)
