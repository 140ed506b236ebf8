"""IAB Tech Lab's own library judges what we write: it must read the fields that were meant.

The package is fetched from npm when the test runs and kept in pytest's cache; nothing of it is part of the project.
"""

import json
import subprocess
from pathlib import Path
from random import Random

import pytest
from conftest import missing
from support.strings import WRITABLE, sections

from gateway.signals import gpp

pytestmark = pytest.mark.slow
PACKAGE, VERSION = "@iabgpp/cmpapi", "3.2.0"
JUDGE = Path(__file__).parent.parent.parent / "support" / "gpp_judge.mjs"
STRINGS = 2000


@pytest.fixture(scope="module")
def judge(request):
    """What the library reads in each string: its fields by section, or its error."""
    folder = request.config.cache.mkdir(f"cmpapi-{VERSION}")
    installed = folder / "node_modules" / PACKAGE / "package.json"
    command = ["npm", "install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        if not installed.is_file():
            subprocess.run(
                [*command, "--prefix", str(folder), f"{PACKAGE}@{VERSION}"],
                check=True,
                capture_output=True,
                timeout=120,
            )
        subprocess.run(["node", "--version"], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        missing(f"node, npm, or the package {PACKAGE} {VERSION} from its registry")
    assert json.loads(installed.read_text())["version"] == VERSION

    def judged(texts):
        lines = "\n".join(map(json.dumps, texts))
        done = subprocess.run(
            ["node", str(JUDGE), str(folder)], input=lines, capture_output=True, text=True, timeout=120, check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return judged


def mistakes(meant, answers):
    """(section, field, meant, read) of everything that the judge reads otherwise, errors too."""
    found = []
    for said, answer in zip(meant, answers, strict=True):
        read = answer.get("sections", {})
        assert "error" in answer or read.keys() == said.keys()
        found += [
            (name, field, value, answer.get("error") or read[name].get(field))
            for name, given in said.items()
            for field, value in given.items()
            if "error" in answer or read[name].get(field) != value
        ]
    return found


def test_the_reference_reads_what_we_meant_in_every_section_that_we_write(judge, figure):
    random = Random(2026)
    meant = [sections(random) for _ in range(STRINGS)]
    assert {name for said in meant for name in said} == set(WRITABLE)
    wrong = mistakes(meant, judge([gpp.write_gpp_string(said) for said in meant]))
    fields = sum(len(given) for said in meant for given in said.values())
    figure("GPP, judged by cmpapi", f"{fields} fields in {STRINGS} strings of ours, {len(wrong)} read otherwise")
    assert wrong == []


def test_a_subsection_that_we_left_out_is_off_for_the_reference_too(judge):
    random = Random(7)
    meant = [
        said for said in (sections(random) for _ in range(300)) if any("Gpc" not in given for given in said.values())
    ]
    for answer, said in zip(judge([gpp.write_gpp_string(said) for said in meant]), meant, strict=True):
        for name, given in said.items():
            assert given.get("Gpc", False) is bool(answer["sections"][name].get("Gpc", False))


@pytest.mark.parametrize(
    ("name", "field", "other"),
    [
        ("usnat", "SaleOptOut", {0: 1, 1: 2, 2: 0}),
        ("usmd", "TargetedAdvertisingOptOut", {0: 1, 1: 2, 2: 0}),
        ("uspv1", "OptOutSale", {"Y": "N", "N": "Y", "-": "Y"}),
        ("tcfeuv2", "PurposeOneTreatment", {True: False, False: True}),
        ("tcfcav1", "UseNonStandardStacks", {True: False, False: True}),
    ],
)
def test_the_judge_notices_one_wrong_field(judge, name, field, other):
    """Control."""
    random = Random(1)
    meant = [said for said in (sections(random, 8) for _ in range(50)) if name in said][:1]
    (said,) = meant
    (answer,) = judge([gpp.write_gpp_string({**said, name: said[name] | {field: other[said[name][field]]}})])
    assert mistakes(meant, [answer]) == [(name, field, said[name][field], other[said[name][field]])]


def test_the_judge_says_so_where_it_cannot_read(judge):
    """Control: an error of the judge is a mistake of ours."""
    (answer,) = judge(["DBABLA~*"])
    assert "error" in answer
    assert mistakes([{"usnat": {"SaleOptOut": 1}}], [answer])
