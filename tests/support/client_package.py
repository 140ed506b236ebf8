"""The client for apps as its package, and code in TypeScript that uses it, out of the manual or a README."""

import re
import subprocess
import textwrap
from pathlib import Path

from support import node

NAME = "consent-gateway-app"
ROOT = Path(__file__).parent.parent.parent
SDK = ROOT / "static" / "sdk"
STRICT = [
    "--strict",
    "--exactOptionalPropertyTypes",
    "--noUncheckedIndexedAccess",
    "--target",
    "es2022",
    "--lib",
    "es2022",
]
BUNDLER = ["--module", "esnext", "--moduleResolution", "bundler"]


def packed(folder: Path) -> Path:
    """The archive that `npm pack` makes, in an empty folder."""
    command = ["npm", "pack", "--ignore-scripts", str(SDK)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=node.SECONDS)
    (archive,) = folder.iterdir()
    return archive


def installed(project: Path, archive: Path) -> Path:
    """An empty project of ES modules that has the package, from its archive and from nowhere else."""
    (project / "package.json").write_text('{"type": "module", "private": true}')
    command = ["npm", "install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", str(archive)]
    subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=node.SECONDS)
    return project


def blocks(section: str) -> list[str]:
    """The indented code of a text."""
    found = re.findall(r"(?:^    .*\n|^\n(?=\n*    ))+", section, re.MULTILINE)
    return [textwrap.dedent(block).strip("\n") + "\n" for block in found if block.strip()]


def compiled(compiler: Path, project: Path, *options: str, files: list[Path]) -> str:
    """What TypeScript finds wrong with files of a project, a line each; of what others wrote in the packages that they
    use, nothing.
    """
    command = [compiler, *STRICT, *options, "--skipLibCheck", *files]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=node.SECONDS)
    found = [line for line in done.stdout.splitlines() if ": error " in line or line.startswith("error ")]
    assert (done.returncode == 0) is (not found), done.stdout + done.stderr
    return "\n".join(line for line in found if "node_modules/" not in line)
