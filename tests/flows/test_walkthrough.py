"""Every command of the walk-through, and of the drill with keys, prints what the text shows. WRITE=1 writes what they
print into it.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from support import typed

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
MANUAL = ROOT / "gateway" / "manual"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
# What differs from run to run: event ids, moments, and today, on which a person says what they say or a key is
# made; and the ledger's version.
ANYTHING = re.compile(
    r"kept as [\w-]+|(?<= UTC  )[\w-]{22}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|(?<=ledger version )\d+|\b\d{4}-\d\d-\d\d(  \d+ days)?\b"
)


def commands(block):
    """(command, what the text shows) of one block; a command goes on in lines that begin with `>`."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        end = next((n for n, line in enumerate(lines) if n and not line.startswith("> ")), len(lines))
        command = "\n".join([lines[0], *(line[2:] for line in lines[1:end])])
        yield "\n".join(lines[:end]), command, "\n".join(lines[end:]).strip("\n")


def run(command, folder):
    environment = {**os.environ, "PATH": f"{Path(typed.program()).parent}:{os.environ['PATH']}", "GATEWAY_DATA": "walk"}
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).rstrip("\n")


def settled(text):
    return ANYTHING.sub("…", text)


@pytest.mark.parametrize("name", ["walkthrough", "rotation"])
def test_the_text_shows_what_its_commands_print(tmp_path, name):
    text = (MANUAL / f"{name}.md").read_text()
    shown, printed = [], []

    def again(match):
        parts = []
        for told, command, said in commands(match[1]):
            answer = run(command, tmp_path)
            shown.append((command, settled(said)))
            printed.append((command, settled(answer)))
            parts.append(f"$ {told}\n{settled(answer)}\n")
        return "```console\n" + "\n".join(parts) + "```"

    fresh = BLOCK.sub(again, text)
    if os.environ.get("WRITE"):
        (MANUAL / f"{name}.md").write_text(fresh)
    assert len(printed) > 10
    assert printed == shown
