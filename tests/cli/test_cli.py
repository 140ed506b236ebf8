import contextlib
import json
import re
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from support import example
from support.people import GAID, IDFV, ZERO, email, gaid, phone

from gateway.cli.root import group
from gateway.keys import api_keys, secret_files
from gateway.ledger import schema
from gateway.ledger.schema import FILE


@pytest.fixture
def run(folder):
    """Runs a command on a fresh installation; answers what it printed and its exit code."""

    def command(*words, data=folder):
        place = () if data is None else ("--data", str(data))
        return CliRunner().invoke(group, [*words, *place], catch_exceptions=False)

    return command


def verdict(run, *words):
    result = run("check", "teemo", "--dev", "--json", "--place", "US-CA", *words)
    return json.loads(result.stdout), result.exit_code


def entries(folder) -> int:
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
        return db.execute("SELECT size FROM head").fetchone()[0]


# --- an installation -----------------------------------------------------------------------------------------------


def test_an_operator_makes_an_installation_and_makes_it_again_without_harm(tmp_path, run):
    for _ in range(2):
        made = run("migrate", data=tmp_path / "new")
        assert (made.exit_code, made.output) == (0, f"{tmp_path / 'new'}: ledger version {schema.version_wanted()}\n")
    assert stat.S_IMODE((tmp_path / "new" / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("environment", "stated", "name"),
    [
        ("staging", "consent.example.com/log", "consent.example.com/log/staging"),
        ("staging", "consent.example.com/log/staging", "consent.example.com/log/staging"),
        ("production", "consent.example.com/log", "consent.example.com/log"),
    ],
)
def test_a_log_outside_production_has_a_name_of_its_own(tmp_path, run, environment, stated, name):
    config = tmp_path / "gateway.toml"
    config.write_text(f'[environment]\nname = "{environment}"\n')
    made = run("migrate", "--origin", stated, "--config", config, data=tmp_path / "new")
    assert made.exit_code == 0, made.output
    with contextlib.closing(sqlite3.connect(tmp_path / "new" / FILE)) as db:
        assert db.execute("SELECT origin FROM head").fetchone() == (name,)


@pytest.mark.parametrize("words", [["check", "teemo", "--gaid", GAID], ["choose", "opt_out", "--gaid", GAID],
                                   ["history", "--gaid", GAID], ["keys", "account", "a1"]])  # fmt: skip
def test_a_folder_that_is_no_installation_is_refused_with_the_command_that_makes_one(tmp_path, outer, words):
    code, out, err = outer(*words, "--data", tmp_path / "nothing")
    assert (code, out) == (3, "")
    assert f"gateway migrate --data {tmp_path / 'nothing'}" in err
    assert not (tmp_path / "nothing").exists()


def test_a_ledger_that_is_gone_is_never_started_empty(folder, outer):
    (folder / FILE).unlink()
    code, _, err = outer("check", "teemo", "--gaid", GAID, "--data", folder)
    assert code == 3
    assert "gateway migrate" in err
    assert not (folder / FILE).exists()


def test_secrets_that_are_gone_are_never_replaced_beside_an_old_ledger(folder, outer):
    (folder / "secrets.json").unlink()
    code, _, err = outer("migrate", "--data", folder)
    assert code == 3
    assert "secrets.json" in err
    assert not (folder / "secrets.json").exists()


def test_a_damaged_ledger_is_refused_and_left_as_it_is(folder, outer):
    (folder / FILE).write_bytes(b"rubbish" * 1000)
    code, _, err = outer("check", "teemo", "--gaid", GAID, "--data", folder)
    assert code == 3
    assert "left as it is" in err
    assert (folder / FILE).read_bytes() == b"rubbish" * 1000


# --- the desk enters a choice --------------------------------------------------------------------------------------


def test_the_desk_enters_an_email_with_the_day_it_came_and_the_person_is_denied(run):
    kept = run(
        "choose", "opt_out", "--manner", "email", "--received", "2026-11-02", "--email", email(1), "--gaid", GAID
    )
    assert kept.exit_code == 0
    assert len(re.findall(r"kept as [\w-]{22}, entry \d+", kept.output)) == 2
    assert kept.output.count(": opted_out") == 5
    assert email(1) not in kept.output
    for words in (["--email", email(1).upper()], ["--gaid", GAID.upper()]):
        found, code = verdict(run, *words)
        assert (found["allowed"], found["partly"], found["reason"], code) == (False, False, "opted_out", 1)


@pytest.mark.slow
def test_the_history_of_a_person_is_proved_and_shows_the_day_it_came(run):
    run("choose", "opt_out", "--manner", "email", "--received", "2026-11-02", "--email", email(1))
    run("choose", "limit", "--email", email(1))
    shown = run("history", "--email", email(1))
    first, second = shown.output.splitlines()
    assert shown.exit_code == 0
    assert first.endswith("as logged")
    assert "(email, came 2026-11-02T00:00:00+00:00)" in first
    assert "opt_out" in first
    assert "limit sensitive (api)" in second
    assert email(1) not in shown.output


def test_each_line_of_a_history_says_its_event_by_which_other_commands_take_it_and_the_zone_of_its_time(run):
    kept = run("choose", "opt_out", "--email", email(1)).output
    event = re.search(r"kept as ([\w-]{22}), entry 0", kept)[1]
    line = run("history", "--email", email(1)).output
    assert re.match(rf"       0  \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC  {event}  opt_out ", line)
    assert run("receipt", "show", event, "--email", email(1)).exit_code == 0
    assert run("appeal", event, "--outcome", "made").output == "made: entry 1\n"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-11-02", "2026-11-02T00:00:00+00:00"),
        ("2026-11-02T09:30", "2026-11-02T09:30:00+00:00"),
        ("2026-11-02T09:30Z", "2026-11-02T09:30:00+00:00"),
        ("2026-11-02T23:30-08:00", "2026-11-03T07:30:00+00:00"),
    ],
)
def test_a_moment_is_of_the_zone_that_it_names_and_else_in_utc(run, said, meant):
    run("choose", "opt_out", "--manner", "email", "--received", said, "--email", email(1))
    [line] = run("history", "--json", "--email", email(1)).output.splitlines()
    assert json.loads(line)["details"]["received"] == meant


@pytest.mark.parametrize("said", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "2026-11-02T09:30+25:00"])
def test_a_moment_that_no_calendar_has_is_refused(run, said):
    assert run("choose", "opt_out", "--received", said, "--email", email(1)).exit_code == 2


@pytest.mark.slow
def test_the_history_as_json_holds_the_entry_and_its_details(run):
    run("choose", "opt_out", "--manner", "letter", "--received", "2026-11-02", "--place", "US-OR", "--phone", phone(1))
    shown = run("history", "--json", "--phone", "(415) 555-0101")
    (line,) = [json.loads(text) for text in shown.output.splitlines()]
    assert line["proved"] is True
    assert (line["entry"]["m"], line["entry"]["j"], line["entry"]["src"]) == ("letter", "US-OR", "letter")
    assert line["details"]["received"].startswith("2026-11-02")


def test_somebody_about_whom_nothing_is_known_has_no_history(run):
    shown = run("history", "--gaid", GAID)
    assert (shown.exit_code, shown.output) == (1, "")


@pytest.mark.parametrize("words", [[], ["--gaid", GAID, "--email", email(1)], ["--gaid", ZERO], ["--id", "nonsense=1"]])
def test_a_history_is_of_one_person(run, words):
    shown = run("history", *words)
    assert shown.exit_code == 2
    assert "one usable identifier" in shown.output


def test_a_choice_from_the_future_is_refused_and_nothing_is_kept(run, folder):
    before = entries(folder)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d")
    refused = run("choose", "opt_out", "--received", tomorrow, "--gaid", GAID)
    assert refused.exit_code == 2
    assert "--received lies in the future" in refused.output
    assert entries(folder) == before


@pytest.mark.parametrize(
    "words",
    [["opt_in", "--gaid", GAID], ["confirm", "--gaid", GAID], ["opt_out"], ["opt_out", "--gaid", "rubbish"],
     ["opt_out", "--gaid", GAID, "--received", "yesterday"], ["opt_out", "--gaid", GAID, "--place", "Oregon"],
     ["opt_out", "--gaid", GAID, "--purpose", "service"], ["opt_out", "--gaid", GAID, "--manner", "pigeon"]],
)  # fmt: skip
def test_the_desk_cannot_enter_what_nobody_may_mean(run, folder, words):
    before = entries(folder)
    refused = run("choose", *words)
    assert refused.exit_code == 2
    assert entries(folder) == before


def test_what_the_desk_typed_wrongly_is_named_and_the_rest_is_kept(run):
    kept = run("choose", "opt_out", "--email", email(1), "--email", "no address", "--id", "emial=x", "--gaid", GAID)
    assert kept.exit_code == 1
    assert kept.output.count("kept as") == 2
    assert "not usable of what you listed: email 2 is malformed, emial 1 is undeclared" in kept.output
    assert verdict(run, "--gaid", GAID)[0]["reason"] == "opted_out"


def test_a_case_number_that_is_no_text_leaves_the_sealed_box_readable(run):
    assert run("choose", "opt_out", "--gaid", GAID, "--case", "118-\udcff").exit_code == 0
    assert run("verify", "--vault").exit_code == 0
    assert '"118-?"' in run("access", "--gaid", GAID, "--json").output


def test_a_value_without_its_kind_is_refused_and_not_repeated(run, folder):
    before = entries(folder)
    said = run("choose", "opt_out", "--id", email(1), "--gaid", GAID)
    assert (said.exit_code, email(1) in said.output) == (2, False)
    assert "--id is TYPE=VALUE" in said.output
    assert entries(folder) == before


def test_of_an_agents_letter_the_case_and_the_permission_are_kept_and_it_is_said_when_it_is_late(run):
    noted = ["--case", "2026-118", "--agent", "Example Agents", "--permission", "file 118, page 2"]
    came = datetime.now(UTC) - timedelta(days=40)
    late = run("choose", "opt_out", "--gaid", GAID, "--manner", "agent", "--received", f"{came:%Y-%m-%d}", *noted)
    assert late.exit_code == 0
    assert "late: its last day was " in late.stderr
    told = run("access", "--gaid", GAID, "--json").output
    assert all(json.dumps(text) in told for text in noted[1::2])
    fresh = run("choose", "opt_out", "--gaid", gaid(2), "--received", f"{datetime.now(UTC):%Y-%m-%d}")
    assert (fresh.exit_code, fresh.stderr) == (0, "")


def test_one_purpose_can_be_entered_alone(run):
    kept = run("choose", "opt_out", "--purpose", "profiling", "--gaid", GAID)
    assert kept.output.splitlines()[1:] == ["  profiling: opted_out"]
    assert verdict(run, "--gaid", GAID)[0]["reason"] != "opted_out"


def test_other_kinds_are_named_by_type_and_value(run):
    assert run("choose", "opt_out", "--id", "serial=X=1").exit_code == 0
    assert verdict(run, "--id", "serial=X=1")[0]["reason"] == "opted_out"
    assert verdict(run, "--id", "serial=X")[0]["reason"] != "opted_out"


# --- questions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--class", "ad_id"], 0),
        ([], 1),  # partly: coarsened is not "as it stands"
        (["--class", "email_hash"], 1),
        (["--class", "ad_id", "--purpose", "sharing"], 1),
        (["--class", "ad_id", "--place", "DE"], 1),
        (["--class", "ad_id", "--gaid", ZERO], 1),
    ],
)
def test_a_script_reads_the_answer_from_the_exit_code(run, words, code):
    asked = run("check", "teemo", "--dev", "--gaid", GAID, "--place", "US-CA", *words)
    assert asked.exit_code == code


def test_an_answer_is_readable_and_says_why(run):
    asked = run("check", "teemo", "--dev", "--gaid", GAID, "--place", "US-CA")
    assert asked.output.splitlines()[:3] == ["partly: coarsened", "  precise_geo: coarsen", "  ad_id: allow"]
    assert "  place: US-CA" in asked.output


def test_without_dev_a_recipient_without_a_contract_gets_nothing(run):
    asked = run("check", "teemo", "--gaid", GAID, "--place", "US-CA")
    assert (asked.exit_code, asked.output.splitlines()[0]) == (1, "denied: no_contract")
    assert run("check", "nobody", "--gaid", GAID).exit_code == 1


# --- where it listens ----------------------------------------------------------------------------------------------


def test_a_port_that_would_be_passed_over_is_refused(run):
    """An operator would look for the service where it is not."""
    refused = run("serve", "--port", "9999")
    assert refused.exit_code == 2
    assert "[listen] says where" in refused.output


# --- links and imports ---------------------------------------------------------------------------------------------


def test_a_link_carries_a_choice_and_a_released_number_carries_none(run):
    linked = run("link", "--account", "a1", "--phone", phone(1), "--gaid", gaid(1))
    assert (linked.exit_code, linked.output) == (0, "2 links changed\n")
    run("choose", "opt_out", "--phone", phone(1))
    assert verdict(run, "--gaid", gaid(1))[0]["reason"] == "opted_out"
    assert run("link", "--released", "--phone", phone(1)).output == "1 links changed\n"
    run("link", "--account", "a2", "--phone", phone(1), "--gaid", gaid(2))
    assert verdict(run, "--gaid", gaid(2))[0]["reason"] != "opted_out"
    assert verdict(run, "--gaid", gaid(1))[0]["reason"] == "opted_out"


@pytest.mark.parametrize(
    "words", [["link", "--account", "a1"], ["told", "privacy"], ["age", "13_15"], ["choose", "opt_out"]]
)
def test_what_cannot_be_used_of_a_command_is_named_beside_what_was_done(run, words):
    done = run(*words, "--gaid", gaid(1), "--email", "no address")
    assert done.exit_code == 1
    assert "not usable of what you listed: email 1 is malformed" in done.stderr
    alone = run(*words, "--email", "no address")
    assert alone.exit_code
    assert "email 1 is malformed" in alone.stderr
    assert run(*words, "--gaid", gaid(1)).exit_code == 0


@pytest.mark.parametrize("words", [["--phone", phone(1)], ["--account", "a1", "--account", "a2", "--phone", phone(1)]])
def test_a_link_names_one_account(run, words):
    refused = run("link", *words)
    assert refused.exit_code == 2
    assert "name one --account" in refused.output


@pytest.mark.slow
def test_an_import_opts_everybody_out_and_twice_is_once(run, folder, tmp_path):
    table = tmp_path / "old.csv"
    table.write_text(
        f"type,value,purposes,made_at,place\ngaid,{gaid(1)},,,\nemail,{email(1)},sale sharing,2024-05-01,us-ca\n"
        f" Phone ,{phone(1)},,,\n"
    )
    before = entries(folder)
    first = run("import", str(table))
    assert (first.exit_code, first.stdout) == (0, "3 lines: 3 kept, 0 kept in doubt, 0 refused, 0 empty\n")
    assert entries(folder) == before + 3
    again = run("import", str(table))
    assert (again.exit_code, entries(folder)) == (0, before + 3)
    for words in (["--gaid", gaid(1)], ["--email", email(1)], ["--phone", phone(1)]):
        assert verdict(run, *words)[0]["reason"] == "opted_out"
    shown = json.loads(run("history", "--json", "--email", email(1)).output)
    assert (shown["entry"]["src"], shown["entry"]["p"], shown["entry"]["j"]) == ("import", ["sale", "sharing"], "US-CA")
    assert shown["details"]["made_at"] == "2024-05-01"


def test_a_number_of_an_old_list_is_read_in_the_country_of_its_line_and_in_the_operators(run, tmp_path):
    table = tmp_path / "old.csv"
    table.write_text("type,value,country\nphone,(415) 555-0123,MX\nphone,(415) 555-0124,\nphone,+1 415 555 0125,MX\n")
    done = run("import", str(table))
    assert "3 lines: 3 kept" in done.output
    assert (
        "line 2: a number without its country code, read as one of MX that ends in 23 and one of US that ends in 23"
        in (done.output)
    )
    assert done.output.count("without its country code") == 1
    for number, out in (
        ("+14155550123", True),
        ("+524155550123", True),
        ("+14155550125", True),
        ("+524155550124", False),
    ):
        shown = run("history", "--phone", number)
        assert ("opt_out" in shown.output) is out, shown.output
    again = run("import", "--country", "MX", str(table))
    assert again.output.count("without its country code") == 2
    assert run("import", "--country", "UK", str(table)).exit_code == 2


def test_a_letter_with_a_number_of_no_country_says_what_it_was_read_as(run):
    said = run("choose", "opt_out", "--phone", "(415) 555-0123", "--place", "MX", "--manner", "letter")
    assert "read as one of MX that ends in 23 and one of US that ends in 23" in said.output


def test_bad_lines_of_an_import_are_named_and_cost_only_themselves(run, tmp_path):
    table = tmp_path / "old.csv"
    table.write_text(
        f"type,value\ngaid,rubbish\ngaid,{gaid(1)}\nnonsense,x\ngaid,{ZERO}\ngaid\n , \ngaid,{gaid(2)},extra\n"
    )
    told = run("import", str(table))
    assert told.exit_code == 1
    assert told.stdout == "7 lines: 1 kept, 1 kept in doubt, 5 refused, 0 empty\n"
    for line in ("line 2: malformed", "line 4: undeclared", "line 5: limited", "line 6: malformed"):
        assert line in told.stderr
    assert "rubbish" not in told.output
    for number in (1, 2):
        assert verdict(run, "--gaid", gaid(number))[0]["reason"] == "opted_out"


def test_a_table_from_a_spreadsheet_with_a_byte_order_mark_is_read(run, tmp_path):
    table = tmp_path / "old.csv"
    table.write_bytes(b"\xef\xbb\xbftype,value\r\ngaid," + GAID.encode() + b"\r\n")
    assert run("import", str(table)).exit_code == 0
    assert verdict(run, "--gaid", GAID)[0]["reason"] == "opted_out"


@pytest.mark.parametrize("text", ["", "gaid,x\n", "value\nx\n"])
def test_a_table_without_the_two_columns_is_refused(run, tmp_path, text):
    table = tmp_path / "old.csv"
    table.write_text(text)
    refused = run("import", str(table))
    assert refused.exit_code == 2
    assert "type,value" in refused.output


# --- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_stored_hashed(run, folder):
    made = run("keys", "add", "--name", "ads", "--scope", "check", "--scope", "share").output.strip()
    name, _, secret = made.partition(".")
    assert len(secret) >= 43
    stored = (folder / "api_keys.json").read_text()
    assert secret not in stored
    assert stat.S_IMODE((folder / "api_keys.json").stat().st_mode) == 0o600
    listed = run("keys", "list").output
    assert listed == f"{name}  ads  secret  check share\n"
    assert api_keys.Credentials(folder).find(made).scopes == ("check", "share")


def test_a_revoked_key_is_listed_as_such_and_its_name_is_free_again(run):
    run("keys", "add", "--name", "app", "--scope", "choose", "--publishable")
    assert "app  publishable  choose" in run("keys", "list").output
    assert run("keys", "revoke", "app").exit_code == 0
    assert "app  revoked  choose" in run("keys", "list").output
    assert run("keys", "revoke", "app").exit_code == 2
    assert run("keys", "add", "--name", "app", "--scope", "choose", "--publishable").exit_code == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--name", "ads"], "--scope"),
        (["--scope", "check"], "--name"),
        (["--name", "ads", "--scope", "everything"], "everything"),
        (["--name", "Ads!", "--scope", "check"], "lower-case"),
        (["--name", "", "--scope", "check"], "lower-case"),
        (["--name", "app", "--scope", "check", "--publishable"], "may only have scope choose"),
        (["--name", "app", "--scope", "choose", "--scope", "desk", "--publishable"], "may only have scope choose"),
    ],
)
def test_a_key_that_would_say_too_much_is_not_made(run, folder, words, why):
    refused = run("keys", "add", *words)
    assert refused.exit_code == 2
    assert why in refused.output
    assert not (folder / "api_keys.json").exists()


def test_two_live_keys_have_two_names(run):
    run("keys", "add", "--name", "ads", "--scope", "check")
    assert run("keys", "add", "--name", "ads", "--scope", "share").exit_code == 2


@pytest.mark.slow
def test_a_new_pepper_forgets_nobody(run, folder):
    run("link", "--account", "a1", "--gaid", GAID, "--idfv", IDFV)
    run("choose", "opt_out", "--account", "a1")
    rotated = run("rekey", "pepper")
    assert rotated.exit_code == 0
    assert "wrapped by 2 peppers" in rotated.output
    for words in (["--account", "a1"], ["--gaid", GAID], ["--idfv", IDFV]):
        assert verdict(run, *words)[0]["reason"] == "opted_out"
    assert run("history", "--account", "a1").output.rstrip().endswith("as logged")
    assert verdict(run, "--gaid", gaid(3))[0]["reason"] != "opted_out"


def test_a_rotation_that_was_cut_off_is_finished_and_not_started_again(run, folder):
    run("choose", "opt_out", "--gaid", GAID)
    secret_files.add_pepper(folder)  # the crash: a new pepper, and no row wrapped
    assert "wrapped by 2 peppers" in run("rekey", "pepper").output
    assert verdict(run, "--gaid", GAID)[0]["reason"] == "opted_out"


def test_the_sites_side_can_be_tried_with_a_signed_account(run, folder):
    told = run("keys", "account", "a1", "--seconds", "60").output.strip()
    now = int(datetime.now(UTC).timestamp())
    accounts = secret_files.load_secrets(folder).accounts
    account, until = api_keys.read_account(accounts, told)
    assert (account, now + 30 < until <= now + 61) == ("a1", True)


BUYER = '[recipients.teemo]\npurposes = ["sale"]\ndata = ["ad_id"]\n'
SELLING = BUYER + 'role = "third_party"\n'

# --- configuration and help ----------------------------------------------------------------------------------------


def test_a_configuration_that_can_be_used_says_what_holds(outer, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(example.over('[recipients.teemo]\ncontract = "C-1"\n'))
    code, out, _ = outer("config", "check", file)
    assert code == 0
    assert "the configuration can be used" in out
    assert "teemo: third_party, sale; contract: C-1" in out
    assert "matching: third_party, sharing, targeted_ads; contract: NO CONTRACT: nothing goes" in out
    assert "legal: legal, legal; contract: needs none" in out
    assert "visitors: without [places] header or database their place is unknown" in out


def test_where_places_are_looked_up_nothing_is_said_of_unknown_ones(outer, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(f'[places]\ndatabase = "{tmp_path}/places.mmdb"\n')
    assert "their place is unknown" not in outer("config", "check", file)[1]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[listen]\nprot = 1\n", ":2: [listen] prot: "),
        ("[listen]\nprot = 1\n", "prot"),
        ('[recipients.teemo]\nunlinkd = "allow"\n', ":2: [recipients.teemo] unlinkd: "),
        ('[recipients.teemo]\nunlinkd = "allow"\n', "unlinkd"),
        (
            '[recipients.teemo]\nrole = "friend"\n',
            ":1: [recipients.teemo] purposes: is missing, and has no default; write ",
        ),
        (BUYER + 'role = "friend"\n', ":4: [recipients.teemo] role: "),
        ('[browser]\nremember_gpc = "never"\n', ":2: [browser] remember_gpc: "),
        ("[share]\nsend_window_ms = 60000\n", ":2: [share] send_window_ms: "),
        ("[nonsense]\n", "nonsense"),
        (SELLING + 'endpoint = "http://teemo.example/"\n', ":5: [recipients.teemo] endpoint: "),
        (SELLING + '[recipients.teemo.fields]\nemail = "email_hash"\n', ":6: [recipients.teemo] fields.email: "),
        ("not toml", "config.toml:1: no TOML: "),
    ],
)
def test_a_misspelt_configuration_is_refused_with_the_path_of_the_key(outer, tmp_path, text, path):
    file = tmp_path / "config.toml"
    file.write_text(text)
    code, out, err = outer("config", "check", file)
    assert (code, out) == (3, "")
    assert path in err


def test_a_misspelt_variable_of_the_environment_is_refused_too(outer, monkeypatch):
    monkeypatch.setenv("GATEWAY_LISTEN__PROT", "1")
    code, _, err = outer("config", "check")
    assert code == 3
    assert "GATEWAY_LISTEN__PROT: there is no such option" in err


def test_the_shipped_configuration_can_be_printed_and_is_usable(outer, tmp_path):
    _, shown, _ = outer("config", "show")
    file = tmp_path / "config.toml"
    file.write_text(shown)
    assert outer("config", "check", file)[0] == 0


def test_every_command_explains_itself(run):
    listed = run("--help", data=None)
    assert listed.exit_code == 0
    for name in group.commands:
        shown = run(name, "--help", data=None)
        assert shown.exit_code == 0
        assert len(shown.output) > 60, name
        assert name in listed.output


def test_the_longer_texts_are_listed_and_printed(run):
    names = [line.split()[0] for line in run("help", data=None).output.splitlines()]
    for name in names:
        assert run("help", name, data=None).output.strip()
    unknown = run("help", "no-such-text", data=None)
    assert unknown.exit_code == 2
    assert "no text 'no-such-text'" in unknown.output


@pytest.mark.slow
def test_the_program_is_there_under_its_name(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "teemo", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("gateway: ")
    assert "Traceback" not in done.stderr


def test_the_list_of_longer_texts_says_in_a_line_what_each_is_about(run):
    told = dict(line.split(maxsplit=1) for line in run("help", data=None).output.splitlines())
    assert told["rotation"].startswith("Changing keys: ")
    assert len(told) == len({*told.values()}) > 35
    for name, about in told.items():
        assert run("help", name, data=None).output.startswith(f"# {about}\n\n")
        assert len(about) > max(len(name), 15), "more than its name"
        assert len(about) <= 100
