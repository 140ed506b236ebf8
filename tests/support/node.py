"""Packages of npm that a test needs, by name and version, kept in pytest's cache and never part of the project."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

INSTALL = ["npm", "install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
SECONDS = 180
LONG = 100  # of a folder's name


def packages(cache, *named: str, peers: bool = True) -> Path:
    """The folder whose node_modules holds them, `name@version` each; a skip with its reason where npm has none. Without
    `peers` what they expect an app to bring stays out.
    """
    from conftest import missing

    more = [] if peers else ["--legacy-peer-deps"]
    called = "-".join(named).replace("/", "_").replace("@", "-")
    folder = cache.mkdir("npm-" + (called if len(called) < LONG else hashlib.sha256(called.encode()).hexdigest()))
    done = folder / "installed"
    try:
        if not done.is_file():
            subprocess.run(
                [*INSTALL, *more, "--prefix", str(folder), *named], check=True, capture_output=True, timeout=SECONDS
            )
            done.touch()
        subprocess.run(["node", "--version"], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        missing(f"node, npm, or {', '.join(named)} from its registry")
    return folder


def program() -> str:
    """The path of node itself; a skip with its reason where there is none."""
    from conftest import missing

    return shutil.which("node") or missing("node")


def made(folder: Path, text: str, ending: str, make: Callable[[Path], None]) -> Path:
    """What a tool of `folder` makes of a text, kept there, for it takes seconds and comes to the same each time.
    `make` writes it to the path that it is given.
    """
    kept = folder / f"{hashlib.sha256(text.encode()).hexdigest()}.{ending}"
    if not kept.is_file():
        half = kept.with_name(f"{os.getpid()}-{kept.name}")
        make(half)
        half.replace(kept)
    return kept


def bundled(folder: Path, text: str) -> Path:
    """A module's text with all that it imports from `folder`, as one script, by esbuild."""

    def bundle(to: Path) -> None:
        entry = folder / f"{to.stem}.mjs"  # beside node_modules, where esbuild looks
        entry.write_text(text)
        command = [folder / "node_modules" / ".bin" / "esbuild", entry, "--bundle", "--format=iife", f"--outfile={to}"]
        subprocess.run(command, check=True, capture_output=True)
        entry.unlink()

    return made(folder, text, "js", bundle)


def minified(folder: Path, source: str) -> str:
    """A script as esbuild minifies it."""
    command = [str(folder / "node_modules" / ".bin" / "esbuild"), "--minify", "--target=es2022"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout.strip()
