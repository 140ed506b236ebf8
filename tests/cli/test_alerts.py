"""The alarms for Prometheus and the dashboard: each alarm fires for what it is for and for nothing else, all that is
drawn or judged is counted by the gateway, and no alarm is without what to do.
"""

import json
import re
import subprocess
from importlib import resources

import pytest
import yaml
from click.testing import CliRunner
from support import inside

from gateway.cli.recipe import filled
from gateway.cli.root import COMMANDS, group
from gateway.web.shell.metrics import Metrics

OF_A_REPLICA = {"gateway_replica_spool_bytes": set()}  # tests/replica/test_replica.py sees it
OF_PROMETHEUS = {"up": set()}
ALWAYS = {"job", "instance", "le"}  # what Prometheus and its histograms bring
SERIES = re.compile(r"\b(gateway_\w+|http_request_\w+|up)\b(?:\{([^}]*)\})?")
RUNNING = {"series": 'up{job="gateway",instance="another"}', "values": "1x90"}
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'

# Of each alarm: a series that raises it, and one that does not; values a minute, as promtool writes them.
CASES = {
    "GatewaySentDespiteNo": ('gateway_sent_despite_no_total{recipient="adnet"}', "_x70 1x20", "3x90"),
    "GatewayDown": ('up{job="gateway"}', "0x90", "1x90"),
    "GatewayChecksDeny": ("gateway_ledger_fresh", "1x80 0x10", "1x90"),
    "GatewayOptOutsNotKept": ('gateway_ledger_keeps{job="gateway"}', "1x80 0x10", "1x90"),
    "GatewayOptOutsUnread": ("gateway_emergency_unread", "0x80 1x10", "0x90"),
    "GatewayRehearsalFailed": ("gateway_rehearsal_alarm", "0x70 1x20", "0x86 1x4"),
    "GatewayDeletionListDue": ('gateway_deletion_list_days_left{place="US-CA",what="answer"}', "15x90", "16x90"),
    "GatewayDoorsFail": ('http_request_duration_seconds_count{route="/v1/check",status="503"}', "0+1x90", "7x90"),
    "GatewayOptOutsWait": ("gateway_emergency_waiting", "0x70 1x20", "0x86 1x4"),
    "GatewayLedgerDiffers": ("gateway_verify_alarm", "0x70 1x20", "0x86 1x4"),
    "GatewayDisclosuresLost": ('gateway_disclosures_total{recipient="adnet",outcome="lost"}', "2x80 3x10", "2x90"),
    "GatewayDecisionsNotLogged": ("gateway_decisions_not_logged_total", "0x80 1x10", "1x90"),
    "GatewayRecipientNotTold": ('gateway_deliveries{recipient="adnet",state="overdue"}', "0x80 1x10", "0x90"),
    "GatewayRecipientRefuses": ('gateway_deliveries{recipient="adnet",state="failed"}', "2x90", "0x80 2x10"),
    "GatewayRecipientGone": ('gateway_delivery_endpoint_gone{recipient="adnet"}', "1x90", "0x90"),
    "GatewayReplicaDropped": ("gateway_replicas_dropped", "0x70 1x20", "0x86 1x4"),
    "GatewayReplicaSpoolFills": ("gateway_replica_spool_bytes", "40000000x90", "1000000x90"),
    "GatewayStateFills": ("gateway_state_used", "0.6x90", "0.4x90"),
    "GatewayWitnessAway": ("gateway_witnesses_away", "1x90", "0x80 1x10"),
    "GatewayAppTooStrict": ('gateway_app_strict_alarm{key_name="app"}', "0x80 1x10", "0x90"),
    "GatewayChecksMisconfigured": ('gateway_checks_misconfigured_total{key_name="ads"}', "_x70 1x20", "5x90"),
    "GatewayOptOutsQueue": ("gateway_turns_waiting", "2000x90", "0x86 2000x4"),
}


def recipe(name):
    return filled(name, inside.settings(), host="www.example.com", site="127.0.0.1:9000")


def rules():
    (found,) = yaml.safe_load(recipe("alerts"))["groups"]
    return found["rules"]


def panels():
    return json.loads(recipe("dashboard"))["panels"]


def expressions():
    return [*(rule["expr"] for rule in rules()), *(each["expr"] for panel in panels() for each in panel["targets"])]


def asked(folder, text, cases, name="alerts"):
    """The file of a question to promtool: the rules of a text, where each case has an alarm fire, or none (None)."""
    folder.joinpath(f"{name}.yml").write_text(text)
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values}, *([] if "up{" in series else [RUNNING])],
            "promql_expr_test": [{
                "expr": FIRING, "eval_time": "90m",
                "exp_samples": [{"labels": f'{{alertname="{alarm}"}}', "value": 1}] if alarm else [],
            }],
        }
        for series, values, alarm in cases
    ]  # fmt: skip
    question = {"rule_files": [f"{name}.yml"], "evaluation_interval": "1m", "tests": tests}
    folder.joinpath(f"{name}-tests.yml").write_text(json.dumps(question))
    return f"{name}-tests.yml"


def tried(tool, folder, *questions):
    """What promtool says to them."""
    command = [tool("promtool"), "test", "rules", *questions]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


def both(alarm):
    series, raises, does_not = CASES[alarm]
    return [(series, raises, alarm), (series, does_not, None)]


def test_prometheus_reads_the_rules(tool, tmp_path):
    file = tmp_path / "alerts.yml"
    file.write_text(recipe("alerts"))
    checked = subprocess.run([tool("promtool"), "check", "rules", str(file)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_an_alarm_fires_where_prometheus_knows_no_gateway_at_all(tool, tmp_path):
    """A pod that is gone is no target any more, and one under another job's name is judged by no rule."""
    done = tried(tool, tmp_path, asked(tmp_path, recipe("alerts"), [('up{job="gatewy"}', "1x90", "GatewayDown")]))
    assert done.returncode == 0, done.stdout


def test_each_alarm_fires_for_what_it_is_for_and_for_nothing_else(tool, tmp_path):
    assert {rule["alert"] for rule in rules()} == set(CASES)
    done = tried(tool, tmp_path, asked(tmp_path, recipe("alerts"), [case for alarm in CASES for case in both(alarm)]))
    assert done.returncode == 0, done.stdout


def test_the_control_an_alarm_that_never_or_always_fires_is_found(tool, tmp_path):
    """Each rule by itself, for promtool takes long over all of them: as it is nothing is found, as it is not it is."""
    wrong, expected = {"never": "vector(1) > 2", "always": "vector(1)"}, {}
    for rule in rules():
        for kind, expression in {"right": rule["expr"], **wrong}.items():
            text = yaml.safe_dump({"groups": [{"name": "alone", "rules": [rule | {"expr": expression}]}]})
            name = f"{rule['alert']}-{kind}"
            expected[asked(tmp_path, text, both(rule["alert"]), name)] = "FAILED" if kind in wrong else "SUCCESS"
    done = tried(tool, tmp_path, *expected)
    assert dict(re.findall(r"^Unit Testing: +(\S+)\n +(\w+)", done.stdout, re.MULTILINE)) == expected
    assert len(expected) == 3 * len(CASES)


def of_series(found: Metrics) -> dict[str, set[str]]:
    """Every series that a gateway tells, with its labels."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    return {
        f"{family.name}{suffix}": set(collector._labelnames)
        for collector in found.registry._collector_to_names
        for family in collector.describe() or collector.collect()
        for suffix in suffixes[family.type]
    } | OF_A_REPLICA | OF_PROMETHEUS  # fmt: skip


def unknown(expression: str) -> set[str]:
    """What an expression reads that nobody tells."""
    known, wrong = of_series(Metrics()), set()
    for name, matchers in SERIES.findall(expression):
        labels = set(re.findall(r"(\w+)\s*[=!]~?", matchers)) - ALWAYS
        if name not in known:
            wrong.add(name)
        elif labels - known[name]:
            wrong.add(f"{name}: {labels - known[name]}")
    every = set().union(*(known.get(name, set()) for name, _ in SERIES.findall(expression))) | ALWAYS | {"version"}
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        wrong |= {word for word in re.split(r",\s*", grouped) if word not in every}
    return wrong


def test_all_that_is_judged_or_drawn_is_told_by_the_gateway():
    assert [(each, wrong) for each in expressions() if (wrong := unknown(each))] == []
    assert sum(len(SERIES.findall(each)) for each in expressions()) > len(CASES) + 15


@pytest.mark.anyio
async def test_the_gateways_own_metrics_have_every_name(client):
    text = (await client.get("/metrics")).text
    told = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    for name in {name for each in expressions() for name, _ in SERIES.findall(each)} - set(OF_A_REPLICA) - {"up"}:
        assert name in told or re.sub(r"_(bucket|count|sum)$", "", name) in told, name


@pytest.mark.parametrize(
    "expression",
    [
        "gateway_ledger_freshh == 0",
        'gateway_deliveries{states="overdue"}',
        "sum by (who) (gateway_deliveries)",
        "http_request_duration_seconds",
    ],
)
def test_the_control_a_name_that_nobody_tells_is_found(expression):
    assert len(unknown(expression)) == 1


def test_every_drawing_is_read_by_prometheus_and_none_lies_on_another(tool, tmp_path):
    records = [{"record": f"drawn:{n}", "expr": each} for n, each in enumerate(expressions())]
    file = tmp_path / "drawn.yml"
    file.write_text(json.dumps({"groups": [{"name": "drawn", "rules": records}]}))
    checked = subprocess.run([tool("promtool"), "check", "rules", str(file)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    taken = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_no_alarm_is_without_what_to_do_and_what_it_names_is_there():
    pages = {item.name.removesuffix(".md") for item in (resources.files("gateway") / "manual").iterdir()}
    for rule in rules():
        remedy = rule["annotations"]["remedy"]
        named = re.findall(r"`gateway (\w+)([^`]*)`", remedy)
        assert named, rule["alert"]
        for command, words in named:
            assert command in COMMANDS or command == "help", remedy
            assert command != "help" or words.strip() in pages, remedy
            told = CliRunner().invoke(group, [command, "--help"]).output
            assert all(option in told for option in re.findall(r"--[a-z]+", words)), remedy
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in {"page", "ticket"}
