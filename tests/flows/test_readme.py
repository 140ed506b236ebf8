"""Every command of the README does what the README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.service import service

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


def transcript() -> list[tuple[str, str]]:
    """(command, what it prints) of the console block."""
    block = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        lines = part.splitlines()
        end = next(n for n in range(1, len(lines) + 1) if "\n".join(lines[:n]).count("'") % 2 == 0)
        found.append(("\n".join(lines[:end]), "\n".join(lines[end:]).strip()))
    return found


def like(said: str) -> str:
    """What the README shows, with its ellipsis and times standing for anything."""
    pattern = re.escape(said).replace("\\ …", ".*")
    return re.sub(r"\d{4}\\-\d\d\\-\d\d\\ \d\d:\d\d:\d\d", ".{19}", pattern)


def test_the_minute_of_the_readme(tmp_path, tool):
    tool("curl")
    told = transcript()
    assert len(told) == 6
    with service(tmp_path) as running:
        script = ["set -eu"]
        for number, (command, _) in enumerate(told):
            local = command.replace("127.0.0.1:8080", f"127.0.0.1:{running.port}").replace(
                "--data .data", f"--data {running.data}"
            )
            local = local.replace(".venv/bin/gateway", f"{sys.executable} -m gateway")
            script.append(f"{{ {local}\n}} > {tmp_path}/{number}" if "H='" not in command else local)
        subprocess.run(["sh", "-c", "\n".join(script)], check=True, cwd=ROOT)
        for number, (command, said) in enumerate(told):
            if said:
                assert re.fullmatch(like(said), (tmp_path / str(number)).read_text().strip(), re.DOTALL), command
