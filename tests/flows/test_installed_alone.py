"""The wheel alone in an empty environment: it has the pages, the static files and the default configuration."""

import io
import os
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import pytest
from support.ports import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


def test_the_wheel_serves_the_demo_and_the_form_by_itself(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True, timeout=300)
    wheel = next(tmp_path.glob("*.whl"))
    # Nothing is compiled ahead, and no pip of its own is put into it: most of it nobody imports.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "alone"], check=True)
    python = tmp_path / "alone" / "bin" / "python"
    install = [*pip, "--python", python, "install", "--no-compile", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, timeout=300)
    port = free_port()
    command = [
        tmp_path / "alone" / "bin" / "gateway",
        "serve",
        "--dev",
        "--port",
        str(port),
        "--data",
        tmp_path / "data",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        assert "Do Not Sell or Share" in fetch(port, "/privacy-choices")
        assert "main" in fetch(port, "/privacy-choices/choices.css")
        assert "A page of an ad-funded site" in fetch(port, "/demo")
    finally:
        process.terminate()
        process.wait(timeout=60)
    shown = subprocess.run([python, "-m", "gateway", "config", "show"], capture_output=True, text=True, cwd=tmp_path)
    assert shown.stdout == (ROOT / "config.toml").read_text()
    packed = [python, "-m", "gateway", "recipe", "react-native", "--npm"]
    handed_out = subprocess.run(packed, capture_output=True, check=True, cwd=tmp_path).stdout
    with tarfile.open(fileobj=io.BytesIO(handed_out)) as package:
        lies = (ROOT / "static" / "sdk" / "gateway.js").read_bytes()
        assert package.extractfile("package/gateway.js").read() == lies


def fetch(port: int, path: str) -> str:
    for _ in range(1200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                return response.read().decode()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(path)
