"""Podman for tests: images and containers of one folder's own, on a base image made of the system's packages, for no
registry is asked. The gateway's packages come from a folder of wheels; a container has no network but its own loopback.
"""

import os
import platform
import re
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
BASE = "docker.io/library/python:3.13-slim"  # what the recipe begins with; ours has Debian's Python 3.13 in its place
PYTHON = "3.13"
# What a machine's own limits may be below.
LIMITS = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
WEEK = 7 * 24 * 3600.0  # seconds
PIP = "[global]\nno-index = true\nfind-links = /wheels\n"


@dataclass(frozen=True)
class Podman:
    """Everything that it makes is below `folder`. `here`: the folder in which its commands run."""

    folder: Path
    here: Path

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        known = ["--root", str(self.folder / "images"), "--runroot", str(self.folder / "running")]
        how = ["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--log-level", "error"]
        environment = os.environ | {"CONTAINERS_CONF": str(self.folder / "containers.conf")}
        return subprocess.run(
            ["podman", *known, *how, *words],
            cwd=self.here,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
        )

    def do(self, *words: str) -> str:
        """What it prints, if it was done."""
        done = self.run(words)
        assert done.returncode == 0, f"podman {shlex.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.strip()

    def prepare(self, kept: Path) -> None:
        """The base image: Debian's Python, where the recipe's image has its own. `kept`: a folder that outlives a run;
        nothing of ours is in the image, which is made anew once a week.
        """
        self.folder.joinpath("pip.conf").write_text(PIP)
        base = kept / f"python{PYTHON}.tar"
        if not base.exists() or time.time() - base.stat().st_mtime > WEEK:
            half = base.with_suffix(f".{os.getpid()}.tar")
            python = f'--customize-hook=chroot "$1" python{PYTHON} -m venv --copies /usr/local'
            made = ["--variant=minbase", "--include=python3-venv", "--dpkgopt=force-unsafe-io", python]
            try:
                _done("mmdebstrap", "--quiet", *made, "trixie", str(half))
                half.replace(base)
            finally:
                half.unlink(missing_ok=True)
        self.do("import", str(base), BASE)

    def build(self, words: Sequence[str]) -> None:
        """The build that a recipe names, with no network: pip finds its wheels in a folder."""
        within = ["-v", f"{self.folder}/wheels:/wheels:ro", "-v", f"{self.folder}/pip.conf:/etc/pip.conf:ro"]
        self.do("build", "--isolation", "chroot", "--format", "docker", "--layers=false", *within, *words)

    def why_not(self) -> str:
        """Why this machine runs no container; "" where it does. It runs one that has nothing but `true`."""
        self.folder.joinpath("containers.conf").write_text(LIMITS)
        name, root = "localhost/probe", self.folder / "probe.tar"
        listed = subprocess.run(["ldd", "/bin/true"], capture_output=True, text=True).stdout
        with tarfile.open(root, "w", dereference=True) as tar:
            for file in ["/bin/true", *re.findall(r"(/\S+) \(0x", listed)]:
                tar.add(file)
        for words in (["import", str(root), name], ["run", "--rm", "--network", "none", name, "/bin/true"]):
            done = self.run(words)
            if done.returncode:
                return f"podman {words[0]}: {' '.join(done.stderr.split())[-500:]}"
        return ""

    def end(self) -> None:
        """Stops and takes away what is left of it."""
        self.run(["rm", "--all", "--force", "--time", "5"])
        self.run(["system", "reset", "--force"])


def make_wheels(here: Path, folder: Path) -> None:
    """The package's own wheel and its constraints in `here`; it and what it needs, for the base image, in `folder`."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _done(*pip, "wheel", "--no-deps", "--wheel-dir", str(here), str(ROOT))
    constraints = here / "constraints.txt"
    constraints.write_bytes((ROOT / "constraints.txt").read_bytes())
    machine = platform.machine()
    kinds = [f"--platform={kind}_{machine}" for kind in ("manylinux2014", "manylinux_2_28", "manylinux_2_34")]
    (wheel,) = here.glob("gateway-*.whl")
    asked = ["--only-binary=:all:", "--python-version", PYTHON, *kinds, "-c", str(constraints), "-d", str(folder)]
    _done(*pip, "download", *asked, str(wheel))


def _done(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr[-2000:]}"
