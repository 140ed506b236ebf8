"""The pages for whoever uses a part of ours as a library: their examples run, and nothing else of the gateway comes along."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.signals import gpp

MANUAL = Path(__file__).parent.parent / "gateway" / "manual"
FEW = {"gpp": 8, "tlog": 20}  # so that a page that lost its examples is no page that passes


@pytest.mark.parametrize("page", FEW)
def test_the_examples_of_a_page_give_what_it_says(page):
    found = doctest.testfile(str(MANUAL / f"{page}.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert found.attempted >= FEW[page]


def test_the_page_has_every_name_of_the_module_for_gpp():
    text = (MANUAL / "gpp.md").read_text()
    assert {name for name in gpp.__all__ if f"{name}(" not in text} == set()
    assert {name for name in re.findall(r"gpp\.(\w+)\(", text) if name not in gpp.__all__} == set()


@pytest.mark.parametrize(
    ("imports", "needs"),
    [
        ("from gateway.signals import gpp", set()),
        ("from gateway.ledger.proof import merkle, note, policy, receipt, verifier_keys", {"cryptography"}),
    ],
)
def test_such_a_part_brings_no_other_library_along(imports, needs):
    program = f"{imports}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    others = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"gateway", "_cffi_backend"}
    assert {name for name in others if not name.startswith("_")} == needs
    assert not {name for name in loaded if re.match(r"gateway\.(app|web|settings|keys|ledger\.(store|writer))", name)}
