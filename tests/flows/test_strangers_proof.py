"""A stranger checks a person's proof with what the manual prints, and with nothing of the gateway's."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.people import email
from support.service import service
from support.wire import call

from gateway.cli.root import group

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
MANUAL = (ROOT / "gateway" / "manual" / "proofs.md").read_text()
SCRIPT = ROOT / "tests" / "support" / "verify_receipt.py"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What a person has: a receipt; and what the operator published: the key."""
    from click.testing import CliRunner

    folder = tmp_path_factory.mktemp("stranger")
    with service(folder) as running:
        for n in range(3):
            body = {"identifiers": [{"type": "email", "value": email(n)}], "choice": "opt_out"}
            status, answer = call(f"{running.url}/v1/choices", body)
            assert status == 201
    run = CliRunner()
    shown = run.invoke(group, ["receipt", "show", answer["event"], "--email", email(2), "--data", str(running.data)])
    key = run.invoke(group, ["ledger", "key", "--data", str(running.data)]).stdout.strip()
    [proof] = json.loads(shown.stdout)["proofs"]
    assert proof["receipt"].startswith("c2sp.org/tlog-proof@v1")
    return proof["receipt"], proof["opening"], key


def files(tmp_path, receipt, opening):
    (tmp_path / "it.tlog-proof").write_text(receipt)
    (tmp_path / "opening.json").write_text(json.dumps(opening))


def test_the_manual_prints_the_very_script_that_is_tested():
    assert re.search(r"```python\n(.*?)```", MANUAL, re.DOTALL).group(1) == SCRIPT.read_text()


def test_with_openssl_alone_the_signature_holds_and_a_changed_text_does_not(kept, tool, tmp_path):
    tool("openssl")
    receipt, opening, key = kept
    block = re.search(r"with openssl alone\n\n((?:    .*\n)+)", MANUAL).group(1)
    commands = block.replace("FILE", "it.tlog-proof").replace("NAME", key.partition("+")[0]).replace("VKEY", key)

    def check(text):
        files(tmp_path, text, opening)
        return subprocess.run(["sh", "-c", commands], cwd=tmp_path, capture_output=True, text=True)

    assert "Verified Successfully" in check(receipt).stdout
    size = re.search(r"\n\n.*\n([0-9]+)\n", receipt).group(1)
    assert check(receipt.replace(f"\n{size}\n", f"\n{int(size) + 1}\n")).returncode != 0


def test_with_the_script_receipt_and_opening_are_about_this_address_and_about_no_other(kept, tool, tmp_path):
    tool("openssl")
    receipt, opening, key = kept

    def check(receipt, opening):
        files(tmp_path, receipt, opening)
        command = [sys.executable, str(SCRIPT), "it.tlog-proof", key, "opening.json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    held = check(receipt, opening)
    assert held.returncode == 0, held.stderr
    assert f"about email {email(2)}" in held.stdout
    assert check(receipt, opening | {"value": email(1)}).returncode != 0
    assert check(re.sub("index [0-9]+", "index 0", receipt), opening).returncode != 0
