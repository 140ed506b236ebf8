"""The container recipe, built and run by the words of its own file."""

import json
import os
import re
import shlex
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import missing
from support import inside, scratch
from support.containers import Podman, make_wheels

from gateway.cli.recipe import filled
from gateway.cli.root import group

pytestmark = pytest.mark.slow

ASK = """
import json, sys, urllib.request
path, key, body = sys.argv[1:]
headers = {"authorization": "Bearer " + key, "content-type": "application/json"}
asked = urllib.request.Request("http://127.0.0.1:8081" + path, body.encode() or None, headers)
print(urllib.request.urlopen(asked, timeout=30).read().decode())
"""
KEY = ("keys", "add", "--data", "/data", "--name", "shop", "--scope", "choose")
PHONE = [{"type": "phone", "value": "+14155550123"}]


def recipe():
    return filled("container", inside.settings(), host="www.example.com", site="127.0.0.1:9000")


def commands():
    """The podman commands that the head of the file tells, as words."""
    head = re.sub(r"\\\n#", "", recipe().partition("\nFROM ")[0])
    return [shlex.split(line.removeprefix("#")) for line in head.splitlines() if line.startswith("#   podman ")]


@pytest.fixture(scope="module")
def podman(request):
    """A machine's podman with the image built, in a folder that holds what the recipe says has to lie beside it."""
    for name in ("podman", "runc", "mmdebstrap"):
        if shutil.which(name) is None:
            missing(name)
    if os.geteuid():
        missing("root, who makes the base image")
    with tempfile.TemporaryDirectory(prefix="gateway-", dir=scratch.on_disk(), ignore_cleanup_errors=True) as folder:
        here = Path(folder) / "here"
        here.mkdir()
        made = Podman(Path(folder), here)
        try:
            if why := made.why_not():  # under CI, too: what is missing is no tool that somebody could install
                pytest.skip(f"this machine runs no container: {why}")
            with ThreadPoolExecutor() as beside:
                wheels = beside.submit(make_wheels, here, Path(folder) / "wheels")
                made.prepare(request.config.cache.mkdir("container-base"))
                wheels.result()
            here.joinpath("Containerfile").write_text(recipe())
            words = ["init", str(here / "config.toml"), "--name", "Example Shop", "--site", "https://www.example.com"]
            assert CliRunner().invoke(group, [*words, "--place", "US"]).exit_code == 0
            (build,) = [words[2:] for words in commands() if words[1] == "build"]
            made.build(build)
            yield made
        finally:
            made.end()


def alone(words):
    """A `podman run` of the recipe, in a network that has nothing but its own loopback."""
    words = ["none" if before == "--network" else word for before, word in zip(["", *words], words, strict=False)]
    return words if "--network" in words else ["run", "--network", "none", *words[1:]]


def ready(podman, container):
    """Waits until the file's own check of its health passes."""
    deadline = time.monotonic() + 60
    while podman.run(["healthcheck", "run", container]).returncode:
        assert time.monotonic() < deadline, podman.run(["logs", container]).stdout[-2000:]
        time.sleep(0.2)


def asked(podman, container, path, key, body=None):
    words = ["exec", container, "python", "-c", ASK, path, key, json.dumps(body) if body else ""]
    return json.loads(podman.do(*words))


def test_an_operator_builds_and_runs_the_container_by_the_recipes_own_words_and_its_opt_outs_outlive_it(podman):
    """Migrated, started, asked, stopped and replaced by another one on the same volumes."""
    migrate, start = [words[1:] for words in commands() if words[1] == "run"]
    assert "ledger version" in podman.do(*alone(migrate))
    first = podman.do(*alone(start))
    ready(podman, first)
    key = podman.do("exec", first, "gateway", *KEY)
    chosen = asked(podman, first, "/v1/choices", key, {"choice": "opt_out", "identifiers": PHONE})
    assert chosen["effective_at"]
    podman.do("stop", first)
    state = json.loads(podman.do("inspect", first))[0]["State"]
    assert state["ExitCode"] == 0, "it ends in order at a stop"
    second = podman.do(*alone(start))
    ready(podman, second)
    told = podman.do("exec", second, "gateway", "history", "--data", "/data", "--phone", "+14155550123")
    assert "opt_out" in told


def test_the_container_is_nobody_with_nothing_to_write_to(podman):
    _, start = [words[1:] for words in commands() if words[1] == "run"]
    running = podman.do(*alone(start))
    ready(podman, running)
    assert podman.do("exec", running, "id", "-u") == "10001"
    refused = podman.run(["exec", running, "sh", "-c", "echo x > /usr/local/x"])
    assert refused.returncode, "its file system is read-only"
    assert podman.do("exec", running, "sh", "-c", "echo x > /data/.x && rm /data/.x && echo kept") == "kept"


def test_a_container_without_its_operators_file_ends_with_one_sentence(podman):
    _, start = [words[1:] for words in commands() if words[1] == "run"]
    at = next(n for n, word in enumerate(start) if word.startswith("./config.toml"))
    words = [word for word in start[: at - 1] + start[at + 1 :] if word != "-d"]
    refused = podman.run(alone(words))
    assert refused.returncode
    line = json.loads(refused.stdout.splitlines()[-1])
    assert line["event"] == "not started"
    assert line["error"].startswith("/etc/gateway/config.toml: cannot be read")
