"""The keys `accounts` and `tokens` are changed by command: old and new hold together, then the old one does no more."""

import errno
import json
import re
import subprocess
from datetime import UTC, date, datetime
from functools import partial
from importlib import resources

import anyio
import pytest
from click.testing import CliRunner
from standardwebhooks import Webhook, WebhookVerificationError
from support import inside
from web.test_share_files import NDJSON, PATH, SEAL, gateway, row

from gateway.app import maintenance
from gateway.app.from_settings import published
from gateway.cli.root import group
from gateway.delivery import webhook
from gateway.keys import api_keys, secret_files
from gateway.keys.seals import Tokens
from gateway.replica.follower import LOCK

OUT = "sale=?0, sharing=?0, targeted_ads=?0, status=honored"
COUNTED = re.compile(r'gateway_malformed_signals_total\{channel="account",reason="(\w+)"\} ([\d.]+)')
PAGE = {"X-Original-Method": "GET", "X-Original-URI": "/page", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture
def run(folder):
    """Runs a command on the installation: what it printed."""

    def command(*words, code=0):
        result = CliRunner().invoke(group, [*words, "--data", str(folder)], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    return command


def secrets(folder):
    return secret_files.load_secrets(folder)


def php(tool, tmp_path, key):
    """The cookie that the manual has a PHP site set for jane."""
    manual = (resources.files("gateway") / "manual" / "accounts.md").read_text()
    begin = manual.index("        $body =")
    lines = manual[begin : manual.index("\n\n", begin)]
    given = "namespace snippet; function setrawcookie($name, $value, $how) { echo $value; }"
    (tmp_path / "site.php").write_text(f"<?php\n{given}\n[$account, $key] = ['jane', $argv[1]];\n{lines}")
    return subprocess.run([tool("php"), tmp_path / "site.php", key.hex()], capture_output=True, check=True).stdout


def told(folder, *assertions):
    """Whether the site is told of each that they are out, by a service that starts now; and what is counted of them."""
    return anyio.run(_told, folder, assertions)


async def _told(folder, assertions):
    async with inside.application(folder) as app, inside.client(app) as client:
        answers = [await client.get("/authz/nginx", headers={**PAGE, "Gateway-Account": each}) for each in assertions]
        counted = dict(COUNTED.findall((await client.get("/metrics")).text))
    return [each.headers["Gateway-Consent"] == OUT for each in answers], {k: float(v) for k, v in counted.items()}


def test_what_a_php_server_signs_is_believed_under_both_keys_until_the_older_one_is_retired(
    folder, run, tool, tmp_path
):
    run("choose", "opt_out", "--account", "jane")
    before = php(tool, tmp_path, secrets(folder).accounts[-1])
    assert told(folder, before) == ([True], {})
    assert "2 accounts keys hold" in run("rekey", "accounts")
    after = php(tool, tmp_path, secrets(folder).accounts[-1])
    assert after != before
    assert told(folder, before, after) == ([True, True], {"older_key": 1.0})
    assert "is needed until" in run("rekey", "accounts", "--retire", code=2)
    run("rekey", "accounts", "--retire", "--early")
    assert told(folder, before, after) == ([False, True], {"unsigned": 1.0})


def test_the_command_that_signs_for_trying_out_signs_by_the_newest_key(folder, run):
    run("rekey", "accounts")
    said = run("keys", "account", "jane").strip()
    older, newer = secrets(folder).accounts
    assert api_keys.read_account([newer], said).account == "jane"
    assert api_keys.read_account([older], said) is None


def states(run, folder):
    """The secrets before a rotation, in its overlap and after it."""
    before = secrets(folder)
    run("rekey", "tokens")
    between = secrets(folder)
    run("rekey", "tokens", "--retire", "--early")
    return before, between, secrets(folder)


def test_a_recipient_checks_messages_by_the_secret_that_it_has_until_the_older_one_is_retired(folder, run):
    given = run("deliveries", "--secret", "texts").strip()
    before, between, after = states(run, folder)
    assert run("deliveries", "--secret", "texts").strip() == webhook.printed(webhook.secret_of(after, "texts"))
    assert webhook.printed(webhook.secret_of(before, "texts")) == given
    for held, believed in ((before, [True, False]), (between, [True, True]), (after, [False, True])):
        headers = webhook.signed(webhook.secrets_of(held, "texts"), "msg_1", datetime.now(UTC), b"{}")
        assert [checks(secret, headers) for secret in (given, webhook.printed(webhook.secret_of(after, "texts")))] == (
            believed
        )


def checks(secret, headers):
    try:
        Webhook(secret).verify(b"{}", headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def test_while_a_recipients_own_secret_and_the_tokens_both_change_all_four_sign(folder, run):
    _, between, _ = states(run, folder)
    made = webhook.secrets_of(between, "adnet", (1, 0))
    assert len({*made}) == 4
    assert made[0] == webhook.secret_of(between, "adnet", 1), "the newest, which is what the recipient is given"


def test_a_form_that_was_shown_before_is_taken_until_the_older_key_is_retired(folder, run):
    before, between, after = (Tokens(each.tokens, "choices-form/1") for each in states(run, folder))
    shown, later = before.make("notice-1"), between.make("notice-1")
    assert [each.read(shown, 60) for each in (before, between, after)] == ["notice-1", "notice-1", None]
    assert [each.read(later, 60) for each in (before, between, after)] == [None, "notice-1", "notice-1"]


def test_the_published_keys_for_deletions_are_those_that_any_request_may_be_signed_with(folder, run):
    settings = inside.settings(delivery__ddrf_domain="operator.example")
    before, between, after = (
        [key["kid"] for key in published(settings, each)["publicKey"]] for each in states(run, folder)
    )
    assert between == [*after, *before], "the newest, which signs, first"
    assert len({*between}) == 2


def posted(tmp_path, job):
    """The answers to two rows for a job, by a service that starts now."""

    async def post():
        async with gateway(tmp_path) as client:
            headers = {**NDJSON, "Gateway-Job": job}
            return [(await client.post(PATH, content=row(number), headers=headers)).status_code for number in range(2)]

    return anyio.run(post)


def sealed(tmp_path, job):
    """The answer to sealing it, by another one."""

    async def seal():
        async with gateway(tmp_path) as client:
            return (await client.post(SEAL.replace("night-1", job))).status_code

    return anyio.run(seal)


def test_rows_that_wait_for_a_file_are_sealed_in_the_overlap_and_posted_again_where_their_key_was_ended(
    tmp_path, folder, run
):
    assert posted(tmp_path, "night-1") == [200, 200]
    run("rekey", "tokens")
    assert sealed(tmp_path, "night-1") == 200
    assert posted(tmp_path, "night-2") == [200, 200]
    run("rekey", "tokens")
    run("rekey", "tokens", "--retire", "--early")
    assert sealed(tmp_path, "night-2") == 404, "nothing of it goes"
    assert posted(tmp_path, "night-3") == [200, 200]
    assert sealed(tmp_path, "night-3") == 200


def test_how_old_each_key_is_is_told_and_no_key(folder, run):
    made = run("keys", "add", "--name", "ads", "--scope", "check").strip()
    file = folder / secret_files.SECRETS
    stored = json.loads(file.read_text())
    stored["days"]["accounts"] = ["2020-01-31"]
    file.write_text(json.dumps(stored))
    run("rekey", "accounts")
    today = datetime.now(UTC).date()
    printed = run("keys", "ages")
    lines = [re.split(r"  +", line.replace("--retire ", "--retire  ")) for line in printed.splitlines()]
    assert ["accounts", "older, until --retire", "2020-01-31", f"{(today - date(2020, 1, 31)).days} days"] in lines
    assert ["accounts", "in use", str(today), "0 days"] in lines
    assert ["API key ads", "secret", str(today), "0 days"] in lines
    assert {line[0] for line in lines} == {*map(str, maintenance.RekeyKind), "API key ads"}
    held = [item for name in secret_files.FIELDS for item in json.loads(file.read_text())[name]]
    assert not [secret for secret in (*held, made, made.partition(".")[2]) if secret in printed]
    rows = [json.loads(line) for line in run("keys", "ages", "--json").splitlines()]
    assert {"key": "accounts", "state": "older, until --retire", "made": "2020-01-31"} in rows


@pytest.mark.parametrize("day", ["yesterday", "", 7, [], {}])
def test_a_day_that_no_command_wrote_is_not_known_and_costs_no_other(folder, run, day):
    run("keys", "add", "--name", "ads", "--scope", "check")
    stored, callers = (json.loads((folder / name).read_text()) for name in (secret_files.SECRETS, api_keys.DAYS))
    stored["days"]["accounts"] = [day]
    (folder / secret_files.SECRETS).write_text(json.dumps(stored))
    (folder / api_keys.DAYS).write_text(json.dumps(dict.fromkeys(callers, day)))
    ages = run("keys", "ages")
    assert re.findall(r"^(\S.*?) {2,}.*its day is not known$", ages, re.MULTILINE) == ["accounts", "API key ads"]
    assert ages.count(" 0 days") == 5


def test_a_caller_has_no_key_whose_secret_nobody_was_shown_because_the_disk_was_full(folder, monkeypatch):
    write = api_keys.write_durably

    def full(path, content):
        if path.name == api_keys.DAYS:
            raise OSError(errno.ENOSPC, "full")
        write(path, content)

    monkeypatch.setattr(api_keys, "write_durably", full)
    with pytest.raises(OSError, match="full"):
        api_keys.add_api_key(folder, "ads", ["check"], publishable=False)
    assert api_keys.read_api_keys(folder) == []


ROTATIONS = {
    "a newer key": (maintenance.replace_key, 2),
    "the end of the older one": (partial(maintenance.retire, early=True), 1),
}


@pytest.mark.parametrize("step", ROTATIONS)
def test_of_two_rotations_at_once_neither_undoes_the_other(folder, run, monkeypatch, step):
    """The pepper above all: without it nobody who opted out would be found."""
    settings, log, others = inside.settings(), maintenance._log, []
    if step != "a newer key":
        run("rekey", "accounts")
    begun = secrets(folder)

    def meanwhile(*said):
        if not others:
            others.append(maintenance.RekeyKind.TOKENS)
            maintenance.replace_key(folder, settings, maintenance.RekeyKind.TOKENS)
            maintenance.pepper(folder, settings)
        log(*said)

    monkeypatch.setattr(maintenance, "_log", meanwhile)
    work, left = ROTATIONS[step]
    work(folder, settings, maintenance.RekeyKind.ACCOUNTS)
    found = secrets(folder)
    assert [len(each) for each in (found.peppers, found.tokens, found.accounts)] == [2, 2, left]
    assert found.peppers[0] == begun.peppers[0]


def test_a_key_that_was_made_while_the_older_ones_ended_is_not_one_of_them(folder, run, monkeypatch):
    run("rekey", "accounts")
    newest, log, made = secrets(folder).accounts[-1], maintenance._log, []

    def meanwhile(*said):
        if not made:
            made.append(True)
            maintenance.replace_key(folder, inside.settings(), maintenance.RekeyKind.ACCOUNTS)
        log(*said)

    monkeypatch.setattr(maintenance, "_log", meanwhile)
    maintenance.retire(folder, inside.settings(), maintenance.RekeyKind.ACCOUNTS, early=True)
    assert len(secrets(folder).accounts) == 2
    assert secrets(folder).accounts[0] == newest


def test_of_keys_that_an_older_version_made_no_day_is_made_up(folder, run):
    run("keys", "add", "--name", "ads", "--scope", "check")
    (folder / api_keys.DAYS).unlink()
    file = folder / secret_files.SECRETS
    stored = json.loads(file.read_text())
    del stored["days"]
    file.write_text(json.dumps(stored))
    assert {line.split("  ")[-1] for line in run("keys", "ages").splitlines()} == {"its day is not known"}
    run("rekey", "accounts")
    ages = [json.loads(line) for line in run("keys", "ages", "--json").splitlines()]
    assert [each["made"] for each in ages if each["key"] == "accounts"] == [None, str(datetime.now(UTC).date())]


def test_the_sender_of_texts_is_given_a_secret_and_never_one_that_does_not_sign(run):
    assert run("deliveries", "--secret", "texts").startswith("whsec_")
    assert "gateway rekey tokens" in run("deliveries", "--new-secret", "texts", code=2)
    assert run("deliveries", "--secret", "account_backend").startswith("whsec_")


def test_at_a_replica_the_ages_are_those_of_its_callers_keys(tmp_path):
    (tmp_path / LOCK).touch()
    for words in (["add", "--name", "bidder", "--scope", "check"], ["ages"]):
        told = CliRunner().invoke(group, ["keys", *words, "--data", str(tmp_path)], catch_exceptions=False)
    assert told.output == f"{'API key bidder':<24}{'secret':<22}{datetime.now(UTC).date()}  0 days\n"
    assert not (tmp_path / secret_files.SECRETS).exists()
