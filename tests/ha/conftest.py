"""Tests of three machines with Patroni: `make test-ha` runs them, for each failure takes half a minute."""

import os
from pathlib import Path

import pytest
from support import cluster as clusters
from support import example
from support.ports import free_port
from support.service import Service


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slow)
            if os.environ.get("HA") != "1":
                item.add_marker(pytest.mark.skip(reason="takes a quarter of an hour: make test-ha"))


@pytest.fixture(scope="session")
def machines():
    """Three with a database, one for the gateway."""
    if lacks := clusters.missing():
        pytest.fail(f"missing: {lacks}")
    with clusters.running() as running:
        yield running


@pytest.fixture
def cluster(machines):
    """As it is when all is well, with an empty database."""
    for each in machines.nodes:
        each.machine.plug(True)
        each.machine.see_again()
    leader = machines.whole()
    leader.sql("DROP DATABASE IF EXISTS consent WITH (FORCE)")
    leader.sql("CREATE DATABASE consent OWNER gateway TEMPLATE template0 ENCODING UTF8")
    return machines


@pytest.fixture
def gateway_of(cluster, tmp_path, monkeypatch):
    """Starts a gateway on its machine; stopped at the end."""
    running = []

    def start(module="gateway", name="data", url=None):
        monkeypatch.setenv("GATEWAY_STORE__URL", url or cluster.url())
        config = tmp_path / "config.toml"
        config.write_text(example.over('[recipients.teemo]\nunlinked = "allow"\n'))
        prefix = ("ip", "netns", "exec", cluster.front.name)
        made = Service(
            free_port(), tmp_path / name, tmp_path / f"{name}.log", ("--config", str(config)), prefix, module
        )
        running.append(made)
        with cluster.front.inside():
            return made.start()

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def gateway(gateway_of):
    return gateway_of()
